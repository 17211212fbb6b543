//! The list of benefit units. In: `units.csv` of `hedui-agent results`. Out: units with their columns, for spot checks.
//! Invariant: the five first columns are there and every row has as many cells as the head; no cell is quoted in an error.
//! Specification: docs/DESK.md, "Spot checks".

use std::collections::BTreeMap;
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::primitive::{hex, sha256};

use crate::sample::Unit;

/// Reads the list; also its SHA-256, hexadecimal.
pub fn read(path: &Path) -> Result<(Vec<Unit>, String), Problem> {
    let bytes = files::read_state(path)?;
    let digest = hex(&sha256(&[&bytes]));
    let wrong = |what: String| {
        Problem::data(
            format!("{}: 不是救助单元清单 {what}", path.display()),
            "请给出 hedui-agent results 写出的 units.csv take the units.csv that `hedui-agent results` wrote",
        )
    };
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let mut reader = csv::Reader::from_reader(text);
    let head: Vec<String> = match reader.headers() {
        Ok(head) => head.iter().map(str::to_owned).collect(),
        Err(_) => return Err(wrong("its head cannot be read".to_owned())),
    };
    if !head.iter().map(String::as_str).take(5).eq([
        "unit",
        "township",
        "village",
        "rows",
        "registers",
    ]) {
        return Err(wrong("its first columns are others".to_owned()));
    }
    let mut units = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let row = at + 2;
        let record = record.map_err(|_| wrong(format!("row {row} cannot be read")))?;
        let columns: BTreeMap<String, String> = head
            .iter()
            .cloned()
            .zip(record.iter().map(str::to_owned))
            .collect();
        let cell = |at: usize| record.get(at).unwrap_or_default().to_owned();
        let registers = cell(4)
            .parse()
            .map_err(|_| wrong(format!("row {row}: registers is no number")))?;
        units.push(Unit {
            unit: cell(0),
            township: cell(1),
            village: cell(2),
            registers,
            columns,
        });
    }
    Ok((units, digest))
}
