//! The mapping: a department's columns and codes → standard fields and facts. In: `NAME.map.toml`, which
//! never leaves the department. Out: [`Mapping`], checked against the agreement and the file's header.
//! Invariant: every name in it exists on both sides; a misspelt one is refused with the nearest.
//! Specification: docs/OPERATIONS.md, "Mapping".

pub mod guess;
pub mod translate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::strict::{self, nearest_of};
use hedui_protocol::agreement::text::{Dataset, DatasetKind, FactKind};
use hedui_protocol::field;
use hedui_protocol::primitive::{hex, sha256};
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::record::Operation;
use crate::source::SourceSpec;

/// A mapping file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Format of the file; 1.
    pub version: u32,
    /// Dataset of the agreement that the file delivers.
    pub dataset: String,
    /// Day for which the data hold, `YYYY-MM-DD`.
    #[serde(default)]
    pub as_of: String,
    /// The file and its format.
    pub source: SourceSpec,
    /// Fields of the agreement.
    #[serde(default)]
    pub field: BTreeMap<String, Column>,
    /// Facts of the dataset's payload.
    #[serde(default)]
    pub fact: BTreeMap<String, Column>,
    /// Roll owner only: columns that stay here and that rules and clue sheets use.
    #[serde(default)]
    pub local: BTreeMap<String, Column>,
    /// Rows that are not delivered.
    #[serde(default)]
    pub skip: Vec<Skip>,
    /// Roll owner only: mapping of the list of authorisations, relative to this file's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorisations: Option<String>,
    /// How rows are told apart from one delivery to the next, where a department delivers what has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Query that `hedui-agent-odbc` fetches into the source's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odbc: Option<OdbcQuery>,
}

/// How rows are told apart, and what a file of changes says of each.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// Columns that together name a row, unlike in every row.
    pub key: Vec<String>,
    /// Column of a file of changes that says what becomes of the row; such a file has all columns of the whole one besides.
    #[serde(default)]
    pub operation: String,
    /// The department's words in that column.
    #[serde(default)]
    pub codes: BTreeMap<String, Operation>,
}

/// What `hedui-agent-odbc` asks of a database; this program reads the file that it writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OdbcQuery {
    /// Connection string without a password.
    pub connection: String,
    /// User of the database.
    #[serde(default)]
    pub user: String,
    /// One SELECT.
    pub query: String,
    /// Column that orders the rows and differs in each.
    pub key: String,
    /// Rows fetched at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_rows: Option<u32>,
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Columns, joined with a space where there are several.
    pub columns: Vec<String>,
    /// Order of day, month and year: `ymd` (default), `dmy`, `mdy`, `ym`, `excel` (day number).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<DateOrder>,
    /// The department's codes → standard words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub codes: BTreeMap<String, String>,
    /// Standard word for every code that is not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// Local columns: how rules see the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<LocalKind>,
}

/// Order of a date's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateOrder {
    /// Day, month, year.
    Dmy,
    /// Day number of a spreadsheet (1 = 1900-01-01).
    Excel,
    /// Month, day, year.
    Mdy,
    /// Year and month; the first day stands for the month. Not for fields: a day of birth it is not.
    Ym,
    /// Year, month, day.
    Ymd,
}

/// How rules see a local column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalKind {
    /// Date, as the number YYYYMMDD; 0 if absent.
    Date,
    /// Whole number; 0 if absent.
    Integer,
    /// Text.
    Text,
}

/// Rows left out: those whose column has one of the values.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// Column.
    pub column: String,
    /// Values.
    pub values: Vec<String>,
}

/// Version of how cells become facts; another one asks for a whole delivery before changes. 2: amounts with units, days in columns with codes.
const READING: u8 = 2;

impl Mapping {
    /// Reads a mapping file.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let text = files::read_text(path)?;
        let mapping: Self =
            strict::parse("mapping", &text).map_err(|refusal| Problem::refused(path, refusal))?;
        if mapping.version != 1 {
            let why = format!(
                "version {} is not known; this program reads 1",
                mapping.version
            );
            return Err(Problem::refused(path, Refusal::malformed("mapping", why)));
        }
        Ok(mapping)
    }

    /// Digest of what the mapping makes of a row, under the normal forms of this program: rows that were read in another way cannot be
    /// told from rows that have changed.
    pub fn form(&self) -> String {
        let key = self.changes.as_ref().map(|changes| &changes.key);
        let form = (&self.dataset, &self.field, &self.fact, &self.skip, key);
        let text = serde_json::to_string(&form).unwrap_or_default();
        hex(&sha256(&[&[field::VERSION, READING], text.as_bytes()]))
    }

    /// Path of the source file, relative to the mapping's folder.
    pub fn source_path(&self, mapping_file: &Path) -> PathBuf {
        let folder = mapping_file.parent().unwrap_or(Path::new("."));
        folder.join(&self.source.file)
    }

    /// Checks the mapping against the agreement and the header of its file.
    pub fn check(&self, agreement: &Agreement, columns: &[String]) -> Result<(), Problem> {
        let dataset = agreement.dataset_or_nearest(&self.dataset)?;
        let fields: Vec<&str> = agreement.fields().iter().map(|f| f.name.as_str()).collect();
        let facts: Vec<&str> = dataset.fact.iter().map(|f| f.name.as_str()).collect();
        known("field", self.field.keys(), &fields)?;
        known("fact", self.fact.keys(), &facts)?;
        if dataset.kind != DatasetKind::Roll && !self.local.is_empty() {
            return Err(wrong("`local` columns belong to the roll only".to_owned()));
        }
        let all = [
            ("field", &self.field),
            ("fact", &self.fact),
            ("local", &self.local),
        ];
        for (what, entries) in all {
            for (name, column) in entries {
                if column.columns.is_empty() {
                    return Err(wrong(format!("[{what}.{name}] names no column")));
                }
                if what == "field" && column.date == Some(DateOrder::Ym) {
                    return Err(wrong(format!(
                        "[field.{name}]: `ym` is for facts and local columns"
                    )));
                }
                for wanted in &column.columns {
                    column_exists(wanted, columns, &format!("[{what}.{name}]"))?;
                }
            }
        }
        for skip in &self.skip {
            column_exists(&skip.column, columns, "[[skip]]")?;
        }
        if let Some(changes) = &self.changes {
            if dataset.kind == DatasetKind::Roll {
                return Err(wrong(
                    "[changes] is for registers: a roll is delivered whole".to_owned(),
                ));
            }
            if changes.key.is_empty() {
                return Err(wrong("[changes] names no `key` column".to_owned()));
            }
            for column in &changes.key {
                column_exists(column, columns, "[changes] key")?;
            }
        }
        self.check_codes(dataset)?;
        if self.field.is_empty() {
            return Err(wrong("no field of the agreement is mapped".to_owned()));
        }
        if !self.as_of.is_empty() && hedui_edge::clock::Clock::new(Some(&self.as_of)).is_err() {
            return Err(wrong(
                "`as_of` is not a date of the form YYYY-MM-DD".to_owned(),
            ));
        }
        Ok(())
    }

    fn check_codes(&self, dataset: &Dataset) -> Result<(), Problem> {
        for fact in dataset
            .fact
            .iter()
            .filter(|fact| fact.kind == FactKind::Code)
        {
            let Some(column) = self.fact.get(fact.name.as_str()) else {
                continue;
            };
            for word in column.codes.values().chain(column.other.iter()) {
                if !fact.codes.contains(word) {
                    let all = fact.codes.iter().map(String::as_str);
                    let near = nearest_of(word, all);
                    let hint = near
                        .map(|near| format!("; did you mean `{near}`?"))
                        .unwrap_or_default();
                    return Err(wrong(format!(
                        "[fact.{}] translates to `{word}`, which the agreement does not list{hint}",
                        fact.name
                    )));
                }
            }
        }
        Ok(())
    }
}

fn wrong(why: String) -> Problem {
    Refusal::malformed("mapping", why).into()
}

fn known<'a>(
    what: &str,
    names: impl Iterator<Item = &'a String>,
    all: &[&str],
) -> Result<(), Problem> {
    for name in names {
        if !all.contains(&name.as_str()) {
            let near = nearest_of(name, all.iter().copied());
            let hint = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(wrong(format!("the agreement has no {what} `{name}`{hint}")));
        }
    }
    Ok(())
}

fn column_exists(wanted: &str, columns: &[String], place: &str) -> Result<(), Problem> {
    if columns.iter().any(|column| column == wanted) {
        return Ok(());
    }
    let near = nearest_of(wanted, columns.iter().map(String::as_str));
    let hint = near
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    Err(wrong(format!(
        "{place}: the file has no column `{wanted}`{hint}"
    )))
}
