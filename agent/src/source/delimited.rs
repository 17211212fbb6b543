//! Text files with delimiters. In: a path. Out: rows of decoded cells.
//! Invariant: decoded and parsed as a stream; a row with another number of cells than the header is
//! counted and left out, never shifted; bytes unknown to the encoding become U+FFFD and are counted.
//! Specification: docs/OPERATIONS.md, "Sources".

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use encoding_rs::Encoding;
use encoding_rs_io::DecodeReaderBytesBuilder;
use hedui_edge::Problem;

use super::sniff;
use super::{Batches, Reading, Sink, SourceSpec};

/// Reads a text file.
pub fn read(
    path: &Path,
    spec: &SourceSpec,
    rows_max: u64,
    sink: &mut Sink<'_>,
) -> Result<Reading, Problem> {
    let (encoding, delimiter) = format_of(path, spec)?;
    let file = File::open(path).map_err(|error| Problem::io(path, error))?;
    let decoded = DecodeReaderBytesBuilder::new()
        .encoding(Some(encoding))
        .bom_override(true)
        .build(file);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(BufReader::with_capacity(1 << 18, decoded));
    let wrong = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => Problem::io(path, error),
        _ => Problem::data(
            format!("{}: not readable as text with delimiters", path.display()),
            "check the encoding and delimiter, or export the file again",
        ),
    };
    let mut record = csv::StringRecord::new();
    let mut number = 0;
    let mut columns = None;
    while number < spec.header_row.max(1) {
        if !reader.read_record(&mut record).map_err(wrong)? {
            break;
        }
        number += 1;
        columns = Some(record.iter().map(clean_name).collect::<Vec<_>>());
    }
    let columns = columns
        .filter(|_| number == spec.header_row.max(1))
        .ok_or_else(|| {
            Problem::data(
                format!("{}: there is no header row", path.display()),
                "the first row must hold the column names; or state `header_row`",
            )
        })?;
    let mut batches = Batches::new(columns, rows_max, sink);
    while reader.read_record(&mut record).map_err(wrong)? {
        number += 1;
        if !batches.push(number, record.iter().map(str::to_owned).collect())? {
            break;
        }
    }
    let word = if delimiter == b'\t' {
        "\\t".to_owned()
    } else {
        char::from(delimiter).to_string()
    };
    batches.reading.found = format!("{}, delimiter `{word}`", encoding.name().to_lowercase());
    batches.finish()
}

/// Encoding and delimiter: stated in the mapping, or found out.
fn format_of(path: &Path, spec: &SourceSpec) -> Result<(&'static Encoding, u8), Problem> {
    let mut sample = Vec::new();
    let file = File::open(path).map_err(|error| Problem::io(path, error))?;
    file.take(sniff::SAMPLE_BYTES as u64)
        .read_to_end(&mut sample)
        .map_err(|error| Problem::io(path, error))?;
    if sample.is_empty() {
        return Err(Problem::data(
            format!("{}: the file is empty", path.display()),
            "check the export",
        ));
    }
    if sample.starts_with(b"PK\x03\x04") || sample.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(Problem::data(
            format!("{}: this is a workbook, not a text file", path.display()),
            "give it the ending .xlsx or .xls, or state `format = \"excel\"`",
        ));
    }
    let whole = sample.len() < sniff::SAMPLE_BYTES;
    let encoding = match &spec.encoding {
        Some(label) => Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            Problem::data(
                format!("the encoding `{label}` is not known"),
                "for example utf-8, gb18030, big5",
            )
        })?,
        None => sniff::encoding(&sample, whole).map_err(|problem| at(path, problem))?,
    };
    let (text, _, _) = encoding.decode(&sample);
    if text.contains('\0') {
        return Err(Problem::data(
            format!(
                "{}: the file holds zero bytes, so it is not text",
                path.display()
            ),
            "export it as CSV, or state its encoding (utf-16le)",
        ));
    }
    let delimiter = match &spec.delimiter {
        Some(word) => sniff::delimiter_of_word(word)?,
        None => sniff::delimiter(&text).map_err(|problem| at(path, problem))?,
    };
    Ok((encoding, delimiter))
}

fn at(path: &Path, problem: Problem) -> Problem {
    match problem {
        Problem::Data { what, advice } => Problem::Data {
            what: format!("{}: {what}", path.display()),
            advice,
        },
        other => other,
    }
}

/// A column name without outer spaces, quotes and byte-order marks.
pub(super) fn clean_name(name: &str) -> String {
    name.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '"')
        .to_owned()
}
