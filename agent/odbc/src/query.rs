//! What is asked of the database. In: the `[odbc]` table of a mapping. Out: [`Source`]: connection, query, key; and the
//! statements made of them. Invariant: one statement that reads; no password in the mapping; the key orders the rows, so
//! that an interrupted fetch goes on after the last key.
//! Specification: docs/OPERATIONS.md, "Databases".

use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use serde::Deserialize;

/// Longest cell that is fetched, in bytes.
pub const CELL_BYTES_MAX: usize = 8192;
/// Rows that are fetched at a time.
const BATCH_ROWS: usize = 2000;
/// Most columns of a query.
pub const COLUMNS_MAX: usize = 256;

#[derive(Deserialize)]
struct Mapping {
    source: File,
    odbc: Option<Table>,
}

#[derive(Deserialize)]
struct File {
    file: String,
    encoding: Option<String>,
    delimiter: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    connection: String,
    query: String,
    key: String,
    #[serde(default)]
    user: String,
    #[serde(default = "batch_rows")]
    batch_rows: usize,
}

fn batch_rows() -> usize {
    BATCH_ROWS
}

/// What to fetch, and into which file.
pub struct Source {
    /// Connection string, without a password.
    pub connection: String,
    /// User of the database; empty if the data source knows it.
    pub user: String,
    /// The query.
    pub query: String,
    /// Column that orders the rows and differs in every one.
    pub key: String,
    /// Rows at a time.
    pub batch_rows: usize,
    /// File to write.
    pub file: PathBuf,
}

impl Source {
    /// Reads the `[odbc]` table of a mapping and checks it.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let wrong = |why: &str| {
            Problem::data(
                format!("{}: {why}", path.display()),
                "见 docs/OPERATIONS.md“数据库” see docs/OPERATIONS.md, Databases",
            )
        };
        let text = files::read_text(path)?;
        let mapping: Mapping = toml::from_str(&text).map_err(|error| wrong(error.message()))?;
        let table = mapping
            .odbc
            .ok_or_else(|| wrong("没有 [odbc] 一节 it has no [odbc]"))?;
        if mapping
            .source
            .encoding
            .is_some_and(|e| !e.eq_ignore_ascii_case("utf-8"))
            || mapping.source.delimiter.is_some_and(|d| d != ",")
        {
            return Err(wrong(
                "[source] 应为 UTF-8、逗号分隔 the file is written in UTF-8 with commas",
            ));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = folder.join(&mapping.source.file);
        if file
            .extension()
            .is_none_or(|ending| !ending.eq_ignore_ascii_case("csv"))
        {
            return Err(wrong(
                "[source] 的 file 应以 .csv 结尾 the file must end in .csv",
            ));
        }
        let lower = table.connection.to_ascii_lowercase();
        if lower.split(';').any(|part| {
            let name = part.split('=').next().unwrap_or_default().trim();
            matches!(name, "pwd" | "password")
        }) {
            return Err(wrong(
                "连接串不得含口令 the connection must not hold a password: it is asked for",
            ));
        }
        check_query(&table.query).map_err(wrong)?;
        let plain = |c: char| c == '_' || c.is_alphanumeric();
        if table.key.is_empty() || !table.key.chars().all(plain) {
            return Err(wrong(
                "key 应为查询结果中的一个列名 `key` must be the name of a column of the query",
            ));
        }
        if !(1..=100_000).contains(&table.batch_rows) {
            return Err(wrong("batch_rows 应为 1 至 100000 is out of range"));
        }
        Ok(Self {
            connection: table.connection,
            user: table.user,
            query: table.query.trim().to_owned(),
            key: table.key,
            batch_rows: table.batch_rows,
            file,
        })
    }

    /// All rows after a key, in the order of the key.
    pub fn statement(&self, after: bool) -> String {
        let (query, key) = (&self.query, &self.key);
        let condition = if after {
            format!(" WHERE {key} > ?")
        } else {
            String::new()
        };
        // A derived table named without AS is understood by every database that we know of.
        format!("SELECT * FROM ({query}) hedui_rows{condition} ORDER BY {key}")
    }

    /// How many rows the query has.
    pub fn count_statement(&self) -> String {
        format!("SELECT COUNT(*) FROM ({}) hedui_rows", self.query)
    }
}

/// One statement that reads: begins with SELECT or WITH, holds no semicolon and no word that changes data outside of
/// quotes. The account's rights are the real protection; this catches what was pasted by mistake.
fn check_query(query: &str) -> Result<(), &'static str> {
    const CHANGES: [&str; 14] = [
        "insert", "update", "delete", "merge", "drop", "alter", "create", "truncate", "grant",
        "revoke", "call", "exec", "execute", "into",
    ];
    let mut words: Vec<String> = vec![String::new()];
    let mut quote = None;
    let mut before = '\0';
    for c in query.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            None if c == '[' => quote = Some(']'),
            None if c == ';' => {
                return Err(
                    "查询应为一条语句，不含分号 the query must be one statement without a semicolon",
                );
            }
            None if (before == '-' && c == '-') || (before == '/' && c == '*') => {
                return Err("查询不得含注释 the query must hold no comment");
            }
            None if c.is_alphanumeric() || c == '_' => {
                if let Some(word) = words.last_mut() {
                    word.push(c.to_ascii_lowercase());
                }
            }
            // What follows a dot is a column's or a table's name, whatever it says.
            None if c == '.' => words.push(".".to_owned()),
            None => words.push(String::new()),
        }
        before = c;
    }
    if quote.is_some() {
        return Err("引号不成对 a quote is not closed");
    }
    words.retain(|word| !word.is_empty());
    if !words
        .first()
        .is_some_and(|word| word == "select" || word == "with")
    {
        return Err("只能用 SELECT 查询 the query must begin with SELECT or WITH");
    }
    if words.iter().any(|word| CHANGES.contains(&word.as_str())) {
        return Err("只能读取，不能修改数据 the query must only read");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_query;

    #[test]
    fn only_one_statement_that_reads_is_taken() {
        for good in [
            "SELECT id, name FROM person",
            "with t as (select 1 as id) select * from t",
            "select 'drop; table' as word, \"update\" from t",
            "SELECT created_at, update_time FROM t WHERE deleted = 0",
            "SELECT t.call, [update], `a;b` FROM t",
        ] {
            assert_eq!(check_query(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "DELETE FROM person",
            "SELECT 1; DROP TABLE person",
            "select * into copy from person",
            "with x as (delete from person returning *) select * from x",
            "select 1 -- and more",
            "select 1 /* x */",
            "select `it's` from t; delete from t",
            "select 'open",
            "exec sp_who",
        ] {
            assert!(check_query(bad).is_err(), "{bad}");
        }
    }
}
