//! Fetching. In: a connection and a query. Out: the CSV file, its rows in the order of the key. Invariant: one batch in memory
//! at a time; a cell that does not fit is an error, never cut; a key that is absent or repeated stops the fetch, because
//! going on after an interruption would lose rows.
//! Specification: docs/OPERATIONS.md, "Databases".

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use hedui_edge::passphrase::PassphraseSource;
use hedui_edge::{Console, Problem, files};
use odbc_api::buffers::TextRowSet;
use odbc_api::{
    Connection, ConnectionOptions, Cursor, DataType, Environment, IntoParameter,
    escape_attribute_value,
};
use zeroize::Zeroizing;

use crate::query::{CELL_BYTES_MAX, COLUMNS_MAX, Source};
use crate::resume::{Files, Point};

/// Room for one batch, in bytes.
const BATCH_BYTES_MAX: usize = 128 << 20;
/// What was written is made durable after so long, or so many rows, whichever comes first.
const CHECKPOINT: Duration = Duration::from_secs(5);
const CHECKPOINT_ROWS: u64 = 100_000;

/// Options of `fetch`.
pub struct Options<'a> {
    /// Mapping.
    pub mapping: &'a Path,
    /// Whether to count first.
    pub count: bool,
    /// Whether to begin again.
    pub anew: bool,
    /// Password of the database user.
    pub password: &'a PassphraseSource,
}

/// `drivers`.
pub fn drivers(console: &Console) -> Result<(), Problem> {
    let environment = environment()?;
    let drivers = environment.drivers().map_err(|error| failed(&error))?;
    let sources = environment.data_sources().map_err(|error| failed(&error))?;
    for driver in &drivers {
        console.say(&format!("驱动 driver: {}", driver.description));
    }
    for source in &sources {
        console.say(&format!(
            "数据源 data source: {} ({})",
            source.server_name, source.driver
        ));
    }
    if drivers.is_empty() {
        console.say("没有已安装的驱动 no driver is installed: PostgreSQL/Kingbase odbc-postgresql; MySQL odbc-mariadb; SQL Server tdsodbc; Oracle, Dameng: the maker's own");
    }
    let names: Vec<&str> = drivers.iter().map(|d| d.description.as_str()).collect();
    let known: Vec<&str> = sources.iter().map(|s| s.server_name.as_str()).collect();
    console.object(&serde_json::json!({ "drivers": names, "data_sources": known }));
    Ok(())
}

/// `fetch`.
pub fn fetch(console: &Console, options: &Options<'_>) -> Result<(), Problem> {
    let source = Source::read(options.mapping)?;
    let beside = Files::of(&source);
    let point = if options.anew { None } else { beside.read() };
    let environment = environment()?;
    let connection = connect(&environment, &source, options.password)?;
    let total = if options.count {
        count(&connection, &source)?
    } else {
        0
    };
    let started = Instant::now();
    let before = point.as_ref().map_or(0, |point| point.rows);
    if let Some(point) = &point {
        console.note(&format!(
            "继续上次取数，已有 {} 行 going on after {} rows",
            point.rows, point.rows
        ));
    }
    let key = point.as_ref().map(|point| point.key.clone());
    let statement = source.statement(point.is_some());
    // Bound as what the column is: a text of digits is ordered as text.
    let number = point
        .as_ref()
        .filter(|point| point.number)
        .and_then(|point| point.key.parse::<i64>().ok());
    let cursor = match (key, number) {
        (None, _) => connection.execute(&statement, (), None),
        (Some(_), Some(number)) => connection.execute(&statement, &number, None),
        (Some(key), None) => connection.execute(&statement, &key.into_parameter(), None),
    };
    let cursor = cursor.map_err(|error| failed(&error))?.ok_or_else(|| {
        Problem::data(
            "查询没有结果集 the query gives no rows",
            "请改用 SELECT 查询 write a SELECT",
        )
    })?;
    let rows = write(console, &source, &beside, cursor, point, total)?;
    let seconds = started.elapsed().as_secs_f64();
    let rate = (rows - before) as f64 / seconds.max(1e-9);
    console.say(&format!(
        "{} 行 rows → {}（每秒 per second {rate:.0}）",
        rows,
        source.file.display()
    ));
    console.object(&serde_json::json!({
        "rows": rows, "went_on_after": before, "file": source.file, "seconds": seconds, "rows_per_second": rate,
    }));
    Ok(())
}

fn environment() -> Result<Environment, Problem> {
    Environment::new().map_err(|error| failed(&error))
}

fn connect<'a>(
    environment: &'a Environment,
    source: &Source,
    password: &PassphraseSource,
) -> Result<Connection<'a>, Problem> {
    let mut text = Zeroizing::new(source.connection.trim_end_matches(';').to_owned());
    if !source.user.is_empty() {
        let whose = format!("database user {}", source.user);
        let secret = password.read(&whose)?;
        text.push_str(&format!(";UID={}", escape_attribute_value(&source.user)));
        text.push_str(";PWD=");
        text.push_str(&escape_attribute_value(&secret));
    }
    let open = |text: &str| {
        environment
            .connect_with_connection_string(text, ConnectionOptions::default())
            .map_err(|error| failed(&error))
    };
    let connection = open(&text)?;
    let told = source
        .connection
        .to_ascii_lowercase()
        .contains("usedeclarefetch");
    let system = connection
        .database_management_system_name()
        .unwrap_or_default();
    if told || !is_postgres(&system) {
        return Ok(connection);
    }
    // This driver takes all rows before it hands over the first, unless it is told to take a part at a time.
    drop(connection);
    text.push_str(&format!(
        ";UseDeclareFetch=1;Fetch={};ReadOnly=1",
        source.batch_rows
    ));
    open(&text)
}

/// Whether the database is PostgreSQL or of its lineage (Kingbase).
fn is_postgres(system: &str) -> bool {
    let lower = system.to_lowercase();
    lower.contains("postgres") || lower.contains("kingbase")
}

/// Whether the key is a whole number in the database, so that it is compared as one.
fn is_whole_number(cursor: &mut impl Cursor, at: usize) -> Result<bool, Problem> {
    let column = u16::try_from(at + 1).unwrap_or(u16::MAX);
    let kind = cursor
        .col_data_type(column)
        .map_err(|error| failed(&error))?;
    Ok(matches!(
        kind,
        DataType::TinyInt
            | DataType::SmallInt
            | DataType::Integer
            | DataType::BigInt
            | DataType::Numeric { scale: 0, .. }
            | DataType::Decimal { scale: 0, .. }
    ))
}

fn count(connection: &Connection<'_>, source: &Source) -> Result<u64, Problem> {
    let cursor = connection
        .execute(&source.count_statement(), (), None)
        .map_err(|error| failed(&error))?;
    let Some(mut cursor) = cursor else {
        return Ok(0);
    };
    let mut total = 0_i64;
    if let Some(mut row) = cursor.next_row().map_err(|error| failed(&error))? {
        row.get_data(1, &mut total)
            .map_err(|error| failed(&error))?;
    }
    Ok(u64::try_from(total).unwrap_or(0))
}

/// The file being written.
struct Out {
    writer: csv::Writer<BufWriter<File>>,
    rows: u64,
    last: Vec<u8>,
    saved: Instant,
    saved_rows: u64,
    number: bool,
    head: Vec<String>,
}

impl Out {
    /// The part, cut back to the point, or new with the head.
    fn open(
        files: &Files,
        point: Option<Point>,
        (number, head): (bool, &[String]),
    ) -> Result<Self, Problem> {
        let wrap = |error| Problem::io(&files.part, error);
        let busy = || {
            Problem::not_yet(
                "另一个取数正在进行 another fetch of this table is under way",
                "等它结束后再执行 wait until it has ended",
            )
        };
        let mut options = File::options();
        options.write(true);
        if point.is_none() {
            if File::open(&files.part).is_ok_and(|old| old.try_lock().is_err()) {
                return Err(busy());
            }
            // The point of an earlier fetch must not outlive its part; the part is made anew, so that no link leads elsewhere.
            files.forget();
            options.create_new(true);
        }
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&files.part).map_err(wrap)?;
        file.try_lock().map_err(|_| busy())?;
        if let Some(point) = &point {
            file.set_len(point.bytes).map_err(wrap)?;
            file.seek(SeekFrom::End(0)).map_err(wrap)?;
        }
        let mut writer =
            csv::WriterBuilder::new().from_writer(BufWriter::with_capacity(1 << 20, file));
        if point.is_none() {
            writer.write_record(head).map_err(|_| lost(&files.part))?;
        }
        Ok(Self {
            writer,
            rows: point.as_ref().map_or(0, |point| point.rows),
            last: point
                .map(|point| point.key.into_bytes())
                .unwrap_or_default(),
            saved: Instant::now(),
            saved_rows: 0,
            number,
            head: head.to_vec(),
        })
    }

    /// Makes everything durable and notes where it is.
    fn checkpoint(&mut self, files: &Files) -> Result<(), Problem> {
        let wrap = |error| Problem::io(&files.part, error);
        self.writer.flush().map_err(wrap)?;
        let file = self.writer.get_ref().get_ref();
        file.sync_data().map_err(wrap)?;
        let bytes = file.metadata().map_err(wrap)?.len();
        let key = String::from_utf8_lossy(&self.last).into_owned();
        if self.rows > 0 {
            files.write(self.rows, bytes, &key, (self.number, &self.head))?;
        }
        self.saved = Instant::now();
        self.saved_rows = self.rows;
        Ok(())
    }
}

fn write(
    console: &Console,
    source: &Source,
    beside: &Files,
    mut cursor: impl Cursor,
    point: Option<Point>,
    total: u64,
) -> Result<u64, Problem> {
    let head: Vec<String> = cursor
        .column_names()
        .and_then(Iterator::collect)
        .map_err(|error| failed(&error))?;
    let key_at = head
        .iter()
        .position(|name| name.eq_ignore_ascii_case(&source.key))
        .ok_or_else(|| {
            Problem::data(
                "查询结果中没有 key 所指的列 the query has no column of the name that `key` gives",
                "请核对 [odbc] 的 key check `key` in [odbc]",
            )
        })?;
    if let Some(point) = &point
        && point.head != head
    {
        return Err(Problem::data(
            "表的列自上次取数后有变化 the table's columns have changed since the interruption",
            "用 --anew 重新取数 fetch it with --anew",
        ));
    }
    let number = is_whole_number(&mut cursor, key_at)?;
    if head.len() > COLUMNS_MAX {
        return Err(Problem::data(
            format!("列数超过 {COLUMNS_MAX} the query has too many columns"),
            "只选需要的列 select the columns that the mapping names",
        ));
    }
    let mut out = Out::open(beside, point, (number, &head))?;
    // Room for a batch is reserved at once: fewer rows at a time where there are many columns.
    let rows_at_once =
        (BATCH_BYTES_MAX / (head.len() * CELL_BYTES_MAX)).clamp(1, source.batch_rows);
    let mut buffers = TextRowSet::for_cursor(rows_at_once, &mut cursor, Some(CELL_BYTES_MAX))
        .map_err(|error| failed(&error))?;
    let mut rows = cursor
        .bind_buffer(&mut buffers)
        .map_err(|error| failed(&error))?;
    let bar = console.progress("取数 fetching", total);
    bar.set_position(out.rows);
    loop {
        let batch = rows
            .fetch_with_truncation_check(true)
            .map_err(|error| failed(&error))?;
        let Some(batch) = batch else {
            break;
        };
        for row in 0..batch.num_rows() {
            let key = batch.at(key_at, row).unwrap_or_default();
            if key.is_empty() || key == out.last {
                return Err(Problem::data(
                    format!(
                        "第 {} 行的 key 为空或重复 the key of row {} is empty or repeated",
                        out.rows + 1,
                        out.rows + 1
                    ),
                    "key 须逐行不同且非空，例如主键 take a key that differs in every row, such as the primary key",
                ));
            }
            out.last.clear();
            out.last.extend_from_slice(key);
            let cell = |column| batch.at(column, row).unwrap_or_default();
            if let Some(bad) = (0..head.len()).find(|at| std::str::from_utf8(cell(*at)).is_err()) {
                return Err(Problem::data(
                    format!(
                        "第 {} 行“{}”列不是 UTF-8 column {} of row {} is not UTF-8",
                        out.rows + 1,
                        head[bad],
                        head[bad],
                        out.rows + 1
                    ),
                    "请在连接串或数据源中把客户端字符集设为 UTF-8 set the client's character set to UTF-8",
                ));
            }
            let cells = (0..head.len()).map(cell);
            out.writer
                .write_record(cells)
                .map_err(|_| lost(&beside.part))?;
            out.rows += 1;
        }
        bar.set_position(out.rows);
        if out.saved.elapsed() > CHECKPOINT || out.rows - out.saved_rows >= CHECKPOINT_ROWS {
            out.checkpoint(beside)?;
        }
    }
    bar.finish_and_clear();
    out.checkpoint(beside)?;
    let wrap = |error| Problem::io(&source.file, error);
    std::fs::rename(&beside.part, &source.file).map_err(wrap)?;
    files::sync_folder(source.file.parent().unwrap_or(Path::new(".")));
    beside.forget();
    Ok(out.rows)
}

fn lost(path: &Path) -> Problem {
    Problem::io(path, std::io::Error::other("write failed"))
}

/// What the driver says, without values: its state and what to do about the usual ones.
fn failed(error: &odbc_api::Error) -> Problem {
    let text = error.to_string();
    let state = text
        .split("State: ")
        .nth(1)
        .map(|rest| rest.chars().take(5).collect::<String>())
        .unwrap_or_default();
    let lower = text.to_lowercase();
    // PostgreSQL's driver has one state for everything that goes wrong before the first statement.
    let state = if lower.contains("authentication failed") {
        "28000".to_owned()
    } else {
        state
    };
    let (what, advice) = match state.as_str() {
        "01000" | "IM002" | "IM003" => (
            "找不到数据源或驱动 the data source or its driver is not there",
            "用 `hedui-agent-odbc drivers` 查看；PostgreSQL/Kingbase: apt-get install odbc-postgresql; Oracle、达梦用厂商驱动 see `hedui-agent-odbc drivers`",
        ),
        "28000" | "28P01" => (
            "用户名或口令不正确 the database refuses the user or the password",
            "请核对 user 和口令 check both",
        ),
        "08001" | "08S01" => (
            "连不上数据库，或连接中断 the database cannot be reached, or the connection broke",
            "重新执行同一命令，从中断处继续 run the same command again: it goes on where it was",
        ),
        "42S02" | "42P01" => (
            "表不存在或无权读取 there is no such table, or no right to read it",
            "请核对查询和账户权限 check the query and the account's rights",
        ),
        "42S22" | "42703" => (
            "列不存在 there is no such column",
            "请核对查询和 key check the query and `key`",
        ),
        "01004" => (
            "单元格过长 a cell is longer than can be fetched",
            "只选需要的列，或在查询中截取 leave the column out, or shorten it in the query",
        ),
        _ if lower.contains("truncat") => (
            "单元格过长 a cell is longer than can be fetched",
            "只选需要的列，或在查询中截取 leave the column out, or shorten it in the query",
        ),
        _ => (
            "数据库返回错误 the database refused",
            "请把状态码告知数据库管理员 tell the database's keeper the state",
        ),
    };
    Problem::data(
        format!(
            "{what}（状态 state {}）",
            if state.is_empty() { "?" } else { &state }
        ),
        advice,
    )
}
