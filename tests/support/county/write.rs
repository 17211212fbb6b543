//! Writing a county to disk. In: a [`County`]. Out: one file per register in the department's own format,
//! the gazetteer, and the truth in a folder of its own. Invariant: the linkage is never pointed at the
//! truth; it is read by the demo's scorer only.

use std::io;
use std::path::Path;

use super::County;
use super::registers::{Format, Register};

/// Name of a register's file.
pub fn file_name(register: &Register) -> String {
    let ending = match register.format {
        Format::Xlsx => "xlsx",
        Format::Utf8 | Format::Gb18030 => "csv",
    };
    format!("{}.{ending}", register.title)
}

/// Writes all files into `folder` and the truth into `folder/truth`.
pub fn write(county: &County, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder.join("truth"))?;
    for register in county.registers.values() {
        one(register, register.format, &folder.join(file_name(register)))?;
    }
    std::fs::write(folder.join("gazetteer.csv"), county.people.gazetteer())?;
    truth(county, &folder.join("truth"))
}

/// Writes every register in every format: `utf8/`, `gb18030/` and `xlsx/` below `folder`.
pub fn every_format(county: &County, folder: &Path) -> io::Result<()> {
    for (format, name, ending) in [
        (Format::Utf8, "utf8", "csv"),
        (Format::Gb18030, "gb18030", "csv"),
        (Format::Xlsx, "xlsx", "xlsx"),
    ] {
        std::fs::create_dir_all(folder.join(name))?;
        for register in county.registers.values() {
            let file = format!("{}.{ending}", register.title);
            one(register, format, &folder.join(name).join(file))?;
        }
    }
    Ok(())
}

/// Writes one register in one format.
pub fn one(register: &Register, format: Format, path: &Path) -> io::Result<()> {
    match format {
        Format::Xlsx => workbook(register, path),
        Format::Utf8 => std::fs::write(path, text(register)?),
        Format::Gb18030 => {
            let utf8 = String::from_utf8(text(register)?).map_err(io::Error::other)?;
            std::fs::write(path, encoding_rs::GB18030.encode(&utf8).0)
        }
    }
}

fn text(register: &Register) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(register.header())?;
    for row in &register.rows {
        writer.write_record(&row.cells)?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

fn workbook(register: &Register, path: &Path) -> io::Result<()> {
    let fill = || -> Result<(), rust_xlsxwriter::XlsxError> {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet().set_name(register.title)?;
        for (column, name) in (0..).zip(register.header()) {
            sheet.write_string(0, column, name)?;
        }
        for (line, row) in (1..).zip(&register.rows) {
            for (column, cell) in (0..).zip(&row.cells) {
                sheet.write_string(line, column, cell)?;
            }
        }
        book.save(path)
    };
    fill().map_err(io::Error::other)
}

fn truth(county: &County, folder: &Path) -> io::Result<()> {
    let table = |name: &str, header: &[&str], rows: &mut dyn Iterator<Item = Vec<String>>| {
        let mut writer = csv::Writer::from_path(folder.join(name))?;
        writer.write_record(header)?;
        for row in rows {
            writer.write_record(row)?;
        }
        writer.flush()
    };
    let unit = |at: usize| county.units[at].number.clone();
    table(
        "clues.csv",
        &["unit", "category", "subtype", "difficulty"],
        &mut county.clues.iter().map(|clue| {
            vec![
                unit(clue.unit),
                clue.category.to_owned(),
                clue.subtype.to_owned(),
                clue.difficulty.to_owned(),
            ]
        }),
    )?;
    table(
        "decoys.csv",
        &["type", "unit"],
        &mut county
            .decoys
            .iter()
            .map(|(kind, at)| vec![(*kind).to_owned(), unit(*at)]),
    )?;
    table(
        "units.csv",
        &["unit", "urban", "since", "until", "filed", "income"],
        &mut county.units.iter().map(|unit| {
            vec![
                unit.number.clone(),
                unit.urban.to_string(),
                unit.since.to_string(),
                unit.until.to_string(),
                unit.filed.to_string(),
                unit.income.to_string(),
            ]
        }),
    )?;
    // One unit in fifty has no authorisation, or one that has expired.
    table(
        "authorisations.csv",
        &["unit", "number", "from", "until"],
        &mut county
            .units
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 100 != 17)
            .map(|(at, unit)| {
                let until = if at % 100 == 67 {
                    20_151_231
                } else {
                    20_171_231
                };
                let number = format!("SQ420525-{at:06}");
                vec![
                    unit.number.clone(),
                    number,
                    unit.since.to_string(),
                    until.to_string(),
                ]
            }),
    )?;
    let rows = county.registers.iter().flat_map(|(name, register)| {
        register
            .rows
            .iter()
            .enumerate()
            .map(move |(at, row)| (name, at + 2, row))
    });
    table(
        "entities.csv",
        &["register", "row", "person"],
        &mut rows.clone().map(|(name, at, row)| {
            vec![(*name).to_owned(), at.to_string(), row.person.to_string()]
        }),
    )?;
    table(
        "errors.csv",
        &["register", "row", "field", "kind", "before", "after"],
        &mut rows.flat_map(|(name, at, row)| {
            row.changes.iter().map(move |change| {
                vec![
                    (*name).to_owned(),
                    at.to_string(),
                    change.field.to_owned(),
                    change.kind.to_owned(),
                    change.before.clone(),
                    change.after.clone(),
                ]
            })
        }),
    )?;
    table(
        "reverse.csv",
        &["register", "person"],
        &mut county
            .reverse
            .iter()
            .map(|(register, person)| vec![(*register).to_owned(), person.to_string()]),
    )?;
    table(
        "links.csv",
        &["unit", "person", "role"],
        &mut county.units.iter().flat_map(|unit| {
            let persons = unit.persons.iter().map(|p| (*p, "member"));
            let apart = unit.supporters.iter().map(|p| (*p, "supporter"));
            let kin = unit.kin.iter().map(|p| (*p, "kin"));
            persons.chain(apart).chain(kin).map(|(person, role)| {
                vec![unit.number.clone(), person.to_string(), role.to_owned()]
            })
        }),
    )
}
