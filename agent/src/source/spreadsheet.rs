//! Workbooks (xlsx, xls, ods). In: a path and a sheet. Out: rows of text cells.
//! Invariant: a number typed into a cell is written out without loss or marked as destroyed: Excel
//! keeps 15 digits, so a longer identity number stored as a number appears as `4.22725E+17`.
//! Memory: one sheet at a time (the format allows 1,048,576 rows). docs/OPERATIONS.md, "Sources".

use std::path::Path;

use calamine::{Data, DataType, Reader, open_workbook_auto};
use hedui_edge::Problem;

use super::delimited::clean_name;
use super::{Batches, Reading, Sink, SourceSpec};

/// Reads a sheet.
pub fn read(
    path: &Path,
    spec: &SourceSpec,
    rows_max: u64,
    sink: &mut Sink<'_>,
) -> Result<Reading, Problem> {
    if !path.exists() {
        return Err(Problem::io(path, std::io::ErrorKind::NotFound.into()));
    }
    let broken = |_| {
        Problem::data(
            format!("{}: not readable as a workbook", path.display()),
            "open it in Excel or WPS and save it again as .xlsx",
        )
    };
    let mut book = super::columnar::shielded(path, || open_workbook_auto(path).map_err(broken))?;
    let names = book.sheet_names();
    let sheet = match &spec.sheet {
        Some(name) => names.iter().find(|n| *n == name).cloned().ok_or_else(|| {
            Problem::data(
                format!("{}: there is no sheet `{name}`", path.display()),
                format!("the sheets are: {}", names.join(", ")),
            )
        })?,
        None => names.first().cloned().ok_or_else(|| {
            Problem::data(
                format!("{}: the workbook has no sheet", path.display()),
                "check the file",
            )
        })?,
    };
    let range = super::columnar::shielded(path, || book.worksheet_range(&sheet).map_err(broken))?;
    let first_row = range.start().map_or(0, |(row, _)| u64::from(row));
    let header_at = spec.header_row.max(1) - 1;
    let mut rows = range
        .rows()
        .zip(first_row..)
        .skip_while(|(_, at)| *at < header_at);
    let header = rows
        .next()
        .filter(|(_, at)| spec.header_row <= 1 || *at == header_at);
    let columns: Vec<String> = header
        .map(|(cells, _)| {
            cells
                .iter()
                .map(|cell| clean_name(&text_of(cell)))
                .collect()
        })
        .filter(|names: &Vec<String>| names.iter().any(|name| !name.is_empty()))
        .ok_or_else(|| {
            Problem::data(
                format!("{}: sheet `{sheet}` has no header row", path.display()),
                "the first row must hold the column names; or state `header_row`",
            )
        })?;
    let mut batches = Batches::new(columns, rows_max, sink);
    for (cells, at) in rows {
        if !batches.push(at + 1, cells.iter().map(text_of).collect())? {
            break;
        }
    }
    batches.reading.found = format!("workbook, sheet `{sheet}`");
    batches.finish()
}

/// A cell as text.
fn text_of(cell: &Data) -> String {
    match cell {
        Data::Empty | Data::Error(_) => String::new(),
        Data::String(text) => text.clone(),
        Data::Bool(value) => value.to_string(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => float_text(*number),
        Data::DateTime(_) => match cell.as_datetime() {
            Some(time) => time.format("%Y-%m-%d").to_string(),
            None => String::new(),
        },
        Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
    }
}

/// Whole numbers up to 15 digits are exact in a cell; longer ones have lost digits and must not look
/// like identity numbers.
fn float_text(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number:.0}")
    } else if number.abs() >= 1e15 {
        format!("{number:.5E}").replace('E', "E+")
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_visibly_destroyed() {
        assert_eq!(float_text(13_807_171_234.0), "13807171234");
        assert_eq!(float_text(422_725_196_408_150_014.0), "4.22725E+17");
        assert_eq!(float_text(1.5), "1.5");
    }
}
