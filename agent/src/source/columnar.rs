//! Apache Parquet files. In: a path. Out: rows of text cells, row group by row group.
//! Invariant: numbers and dates are written out as registers write them; nested columns are refused;
//! a defect inside the library cannot end the process with a panic.
//! Specification: docs/OPERATIONS.md, "Sources".

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hedui_edge::Problem;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::{Batches, Reading, Sink};

/// Reads a Parquet file.
pub fn read(path: &Path, rows_max: u64, sink: &mut Sink<'_>) -> Result<Reading, Problem> {
    let file = File::open(path).map_err(|error| Problem::io(path, error))?;
    let broken = |_| broken(path);
    let reader = shielded(path, || SerializedFileReader::new(file).map_err(broken))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let root = schema.root_schema();
    if let Some(nested) = root.get_fields().iter().find(|field| !field.is_primitive()) {
        return Err(Problem::data(
            format!("{}: column `{}` is nested", path.display(), nested.name()),
            "export flat columns",
        ));
    }
    let columns = root
        .get_fields()
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    let mut batches = Batches::new(columns, rows_max, sink);
    let mut rows = shielded(path, || reader.get_row_iter(None).map_err(broken))?;
    let mut number = 1;
    while let Some(row) = shielded(path, || rows.next().transpose().map_err(broken))? {
        number += 1;
        let cells = row
            .get_column_iter()
            .map(|(_, field)| text_of(field))
            .collect();
        if !batches.push(number, cells)? {
            break;
        }
    }
    batches.reading.found = "parquet".to_owned();
    batches.finish()
}

fn broken(path: &Path) -> Problem {
    Problem::data(
        format!("{}: not readable as Parquet", path.display()),
        "export the file again",
    )
}

/// Runs a call into a file library; a panic in it becomes a refusal of the file.
pub(super) fn shielded<T>(
    path: &Path,
    call: impl FnOnce() -> Result<T, Problem>,
) -> Result<T, Problem> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(call));
    std::panic::set_hook(hook);
    result.unwrap_or_else(|_| {
        Err(Problem::data(
            format!("{}: the file is damaged", path.display()),
            "export the file again",
        ))
    })
}

fn text_of(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Bool(value) => value.to_string(),
        Field::Double(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            format!("{number:.0}")
        }
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data())
            .unwrap_or_default()
            .to_owned(),
        other => other.to_string().trim_matches('"').to_owned(),
    }
}
