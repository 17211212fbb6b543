//! A truth file. In: CSV with the columns `roll` and `register` (and `dataset` where there are several registers), one
//! true pair a line: handles, or row numbers together with both owners' handle files. Out: true pairs by handles.
//! Invariant: a line that cannot be understood ends the reading with its number, never with its content.
//! Specification: docs/OPERATIONS.md, "Evaluation".

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};
use hedui_edge::Problem;
use hedui_protocol::ids::Handle;

use crate::kept;

/// Handles of one side of a register, by row number of its owner's file, or of a file of changes and its row (`变更2:17`).
pub type Rows = BTreeMap<String, Handle>;

/// A row as its owner names it.
fn row(text: &str) -> Option<String> {
    let text = text.trim();
    let number = |text: &str| text.parse::<u64>().ok();
    match text
        .strip_prefix("变更")
        .and_then(|rest| rest.split_once(':'))
    {
        Some((file, row)) => Some(format!("变更{}:{}", number(file)?, number(row)?)),
        None => number(text).map(|row| row.to_string()),
    }
}

/// True pairs of one register.
pub type Pairs = BTreeSet<(Handle, Handle)>;

/// A file of `hedui-agent handles`: rows of one register.
pub fn rows(path: &Path, register: &str) -> Result<Rows, Problem> {
    let mut found = Rows::new();
    let table = Table::open(path, &["handle", "rows"])?;
    let of = table.place("register");
    table.each(|record| {
        if of.is_some_and(|of| record.get(of) != Some(register)) {
            return Some(());
        }
        let handle = kept::handle(record.get(table.columns[0])?)?;
        for text in record.get(table.columns[1])?.split_whitespace() {
            found.insert(row(text)?, handle);
        }
        Some(())
    })?;
    Ok(found)
}

/// The true pairs of a register; `sides` translate row numbers.
pub fn pairs(path: &Path, register: &str, sides: Option<(&Rows, &Rows)>) -> Result<Truth, Problem> {
    let table = Table::open(path, &["roll", "register"])?;
    let of = table.place("dataset");
    let mut truth = Truth::default();
    table.each(|record| {
        if of.is_some_and(|of| record.get(of).map(str::trim) != Some(register)) {
            return Some(());
        }
        let (left, right) = (record.get(table.columns[0])?, record.get(table.columns[1])?);
        let side = |text: &str, rows: Option<&Rows>| match rows {
            None => kept::handle(text).map(Some),
            Some(rows) => Some(rows.get(&row(text)?).copied()),
        };
        let left = side(left, sides.map(|sides| sides.0))?;
        let right = side(right, sides.map(|sides| sides.1))?;
        match (left, right) {
            (Some(left), Some(right)) => {
                truth.pairs.insert((left, right));
            }
            // A row that its owner rejected: a true pair that nobody can find.
            _ => truth.lost += 1,
        }
        Some(())
    })?;
    Ok(truth)
}

/// True pairs, and those whose rows were not encoded.
#[derive(Default)]
pub struct Truth {
    /// True pairs by handle.
    pub pairs: Pairs,
    /// Lines about rows without a handle: rejected by their owner, so they count as not found.
    pub lost: u64,
}

struct Table<'p> {
    path: &'p Path,
    columns: Vec<usize>,
    head: StringRecord,
}

impl<'p> Table<'p> {
    fn open(path: &'p Path, wanted: &[&str]) -> Result<Self, Problem> {
        let mut reader = ReaderBuilder::new()
            .from_path(path)
            .map_err(|e| failed(path, &e))?;
        let head = reader.headers().map_err(|e| failed(path, &e))?.clone();
        let mut table = Self {
            path,
            columns: Vec::new(),
            head,
        };
        for name in wanted {
            let at = table.place(name).ok_or_else(|| {
                Problem::data(
                    format!("{}: there is no column `{name}`", path.display()),
                    "the first line must name the columns; docs/OPERATIONS.md, \"Evaluation\"",
                )
            })?;
            table.columns.push(at);
        }
        Ok(table)
    }

    fn place(&self, name: &str) -> Option<usize> {
        let mut head = self.head.iter();
        head.position(|cell| cell.trim_start_matches('\u{feff}').trim() == name)
    }

    fn each(&self, mut take: impl FnMut(&StringRecord) -> Option<()>) -> Result<(), Problem> {
        let mut reader = ReaderBuilder::new()
            .from_path(self.path)
            .map_err(|e| failed(self.path, &e))?;
        for record in reader.records() {
            let record = record.map_err(|error| failed(self.path, &error))?;
            let line = record.position().map_or(0, csv::Position::line);
            take(&record).ok_or_else(|| {
                Problem::data(
                    format!("{}: line {line} cannot be read", self.path.display()),
                    "handles have 32 hexadecimal digits; row numbers need --roll-handles and --register-handles",
                )
            })?;
        }
        Ok(())
    }
}

/// A failure without the content that the library quotes.
fn failed(path: &Path, error: &csv::Error) -> Problem {
    match error.kind() {
        csv::ErrorKind::Io(io) => Problem::io(path, std::io::Error::from(io.kind())),
        _ => {
            let line = error.position().map_or(0, csv::Position::line);
            Problem::data(
                format!("{}: line {line} is not CSV in UTF-8", path.display()),
                "correct the file",
            )
        }
    }
}
