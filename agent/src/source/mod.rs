//! Sources: a department's files as rows of text. In: a path and what is known of its format. Out:
//! [`SourceRow`]s in batches, with their row numbers. Invariant: every cell is text, typing comes
//! later; memory does not grow with the rows of a text or Parquet file; an error names row and
//! column, never a value. Specification: docs/OPERATIONS.md, "Sources".

pub mod columnar;
pub mod delimited;
pub mod sniff;
pub mod spreadsheet;

use std::path::Path;

use hedui_edge::Problem;
use serde::{Deserialize, Serialize};

/// Rows handed over at a time.
pub const BATCH_ROWS: usize = 4096;

/// A row of a source. Holds people's data: no `Debug`.
pub struct SourceRow {
    /// Number of the row in the file as a person counts it (the header is row 1).
    pub number: u64,
    /// Cells in the order of the header.
    pub cells: Vec<String>,
}

/// File format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text with delimiters.
    Csv,
    /// Excel workbook (xlsx, xlsm, xls, ods).
    Excel,
    /// Apache Parquet.
    Parquet,
}

/// What is known of a source's format; what is missing is found out and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// File, relative to the mapping's folder.
    pub file: String,
    /// Format; by the file's ending if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Text encoding: `utf-8`, `gb18030`, `gbk`, `big5`, `utf-16le`, `windows-1252`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Delimiter of a text file: `,`, `;`, `|` or `\t`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Sheet of a workbook; the first if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Row that holds the column names, from 1.
    #[serde(default = "first")]
    pub header_row: u64,
}

fn first() -> u64 {
    1
}

impl SourceSpec {
    /// Nothing known but the file.
    pub fn of_file(file: &Path) -> Self {
        Self {
            file: file.to_string_lossy().into_owned(),
            format: None,
            encoding: None,
            delimiter: None,
            sheet: None,
            header_row: 1,
        }
    }

    /// The format, stated or by the file's ending.
    pub fn format_of(&self, path: &Path) -> Result<Format, Problem> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("csv" | "txt" | "tsv" | "dat") => Ok(Format::Csv),
            Some("xlsx" | "xlsm" | "xls" | "xlsb" | "ods" | "et") => Ok(Format::Excel),
            Some("parquet" | "pq") => Ok(Format::Parquet),
            _ => Err(Problem::data(
                format!("{}: the ending does not tell the format", path.display()),
                "state `format = \"csv\"`, \"excel\" or \"parquet\" in the mapping's [source]",
            )),
        }
    }
}

/// What was read besides the rows.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows handed over.
    pub rows_count: u64,
    /// Rows left out because they have another number of cells than the header; first 100 numbers.
    pub ragged_rows: Vec<u64>,
    /// How many such rows there are.
    pub ragged_count: u64,
    /// Rows with bytes that the encoding does not know.
    pub undecodable_count: u64,
    /// What was found out about the format, for people.
    pub found: String,
}

/// Receives batches of rows; an error stops the reading.
pub type Sink<'a> = dyn FnMut(Vec<SourceRow>) -> Result<(), Problem> + 'a;

/// Reads the column names only.
pub fn read_header(path: &Path, spec: &SourceSpec) -> Result<Reading, Problem> {
    read_some(path, spec, 0, &mut |_| Ok(()))
}

/// Reads all rows.
pub fn read(path: &Path, spec: &SourceSpec, sink: &mut Sink<'_>) -> Result<Reading, Problem> {
    read_some(path, spec, u64::MAX, sink)
}

/// Reads at most `rows_max` rows.
pub fn read_some(
    path: &Path,
    spec: &SourceSpec,
    rows_max: u64,
    sink: &mut Sink<'_>,
) -> Result<Reading, Problem> {
    let reading = match spec.format_of(path)? {
        Format::Csv => delimited::read(path, spec, rows_max, sink)?,
        Format::Excel => spreadsheet::read(path, spec, rows_max, sink)?,
        Format::Parquet => columnar::read(path, rows_max, sink)?,
    };
    let mut names: Vec<&str> = reading.columns.iter().map(String::as_str).collect();
    names.sort_unstable();
    if let Some(pair) = names
        .windows(2)
        .find(|pair| pair[0] == pair[1] && !pair[0].is_empty())
    {
        return Err(Problem::data(
            format!(
                "{}: two columns are both named `{}`",
                path.display(),
                pair[0]
            ),
            "rename one of them in the file",
        ));
    }
    Ok(reading)
}

/// Collects rows into batches.
pub(crate) struct Batches<'a, 'b> {
    sink: &'a mut Sink<'b>,
    batch: Vec<SourceRow>,
    pub(crate) reading: Reading,
    rows_max: u64,
}

impl<'a, 'b> Batches<'a, 'b> {
    pub(crate) fn new(columns: Vec<String>, rows_max: u64, sink: &'a mut Sink<'b>) -> Self {
        let reading = Reading {
            columns,
            ..Reading::default()
        };
        Self {
            sink,
            batch: Vec::with_capacity(BATCH_ROWS),
            reading,
            rows_max,
        }
    }

    /// Takes one row; `false` when no more are wanted. Rows without any content are passed over.
    pub(crate) fn push(&mut self, number: u64, mut cells: Vec<String>) -> Result<bool, Problem> {
        if self.reading.rows_count >= self.rows_max {
            return Ok(false);
        }
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            return Ok(true);
        }
        let width = self.reading.columns.len();
        while cells.len() > width && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
            cells.pop();
        }
        if cells.len() != width {
            self.reading.ragged_count += 1;
            if self.reading.ragged_rows.len() < 100 {
                self.reading.ragged_rows.push(number);
            }
            return Ok(true);
        }
        if cells.iter().any(|cell| cell.contains('\u{fffd}')) {
            self.reading.undecodable_count += 1;
        }
        self.reading.rows_count += 1;
        self.batch.push(SourceRow { number, cells });
        if self.batch.len() == BATCH_ROWS {
            (self.sink)(std::mem::take(&mut self.batch))?;
        }
        Ok(true)
    }

    pub(crate) fn finish(mut self) -> Result<Reading, Problem> {
        if !self.batch.is_empty() {
            (self.sink)(std::mem::take(&mut self.batch))?;
        }
        Ok(self.reading)
    }
}
