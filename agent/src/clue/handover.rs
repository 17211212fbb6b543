//! What the clue desk takes over. In: findings and the roll. Out: `clues.json`, every finding with its evidence, and
//! `units.csv`, every benefit unit of the roll, from which spot checks are drawn. Invariant: `units.csv` holds no name
//! and no number of a person, and both files are the same for the same result.
//! Specification: docs/DESK.md, "Taking clues", "Spot checks".

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::message::result::Outcome;

use super::evaluate::{Findings, categories, speakers_of, unit_of};
use super::sheet::Source;
use crate::mapping::translate::LocalValue;

/// Version of `clues.json`.
const SCHEMA: u32 = 1;

/// Writes `clues.json` and `units.csv` into a folder.
pub fn write(folder: &Path, source: &Source<'_>, findings: &Findings) -> Result<(), Problem> {
    write_clues(&folder.join("clues.json"), source, findings)?;
    write_units(&folder.join("units.csv"), source)
}

fn write_clues(path: &Path, source: &Source<'_>, findings: &Findings) -> Result<(), Problem> {
    let lists = [&findings.clues, &findings.reviews, &findings.tasks];
    let [clues, reviews, tasks] = lists.map(|list| source.lines(list));
    let registers: Vec<serde_json::Value> = source
        .registers
        .iter()
        .map(|register| {
            let dataset = source.agreement.dataset(&register.name);
            serde_json::json!({
                "name": register.name,
                "title": dataset.map(Agreement::title_of_dataset).unwrap_or_default(),
                "owner": dataset.map(|dataset| dataset.owner.to_string()).unwrap_or_default(),
                "owner_title": dataset.map(|dataset| source.agreement.title_of(&dataset.owner)).unwrap_or_default(),
                "as_of": register.as_of,
                "matches": register.matches,
                "reviews": register.reviews,
                "conflicts": register.conflicts,
            })
        })
        .collect();
    let json = serde_json::json!({
        "schema": SCHEMA,
        "period": source.period,
        "agreement": source.agreement.digest().to_hex(),
        "as_of": source.roll.as_of,
        "ground": source.agreement.text().authorisation,
        "categories": categories(source.rules),
        "registers": registers,
        "clues": clues, "reviews": reviews, "income_tasks": tasks,
        "exempted": findings.exempted,
    });
    let text = serde_json::to_string_pretty(&json)
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    files::deliver_bytes(path, text.as_bytes())
}

/// Most different texts of a column that sorts people into groups; one with more may name them.
const WORDS_MAX: usize = 20;

/// Whether a local column holds numbers, days or few words.
fn is_coded(units: &BTreeMap<String, Unit<'_>>, at: usize) -> bool {
    let words: BTreeSet<&str> = units
        .values()
        .filter_map(|unit| match unit.local.get(at) {
            Some(LocalValue::Text(text)) => Some(text.as_str()),
            _ => None,
        })
        .take(1_000_000)
        .collect();
    words.len() <= WORDS_MAX && (words.len() < units.len() || words.len() <= 1)
}

struct Unit<'a> {
    local: &'a [LocalValue],
    rows: BTreeSet<u64>,
    registers: BTreeSet<&'a str>,
}

/// Writes `units.csv`: unit, how many rows it has, in how many registers one of them was found, and those local columns of
/// the row that speaks for it that hold numbers, days or few words.
fn write_units(path: &Path, source: &Source<'_>) -> Result<(), Problem> {
    let roll = source.roll;
    let speakers = speakers_of(roll);
    let mut units: BTreeMap<String, Unit<'_>> = BTreeMap::new();
    for (at, person) in roll.persons.iter().enumerate() {
        if person.canary.is_some() {
            continue;
        }
        for (row, local) in person.rows.iter().zip(&person.local) {
            let name = unit_of(roll, at, local);
            let local = speakers.get(&name).map_or(&local[..], |(_, local)| *local);
            let unit = units.entry(name).or_insert(Unit {
                local,
                rows: BTreeSet::new(),
                registers: BTreeSet::new(),
            });
            unit.rows.insert(*row);
        }
    }
    for item in source.evidence {
        if item.outcome != Outcome::Match {
            continue;
        }
        for local in &roll.persons[item.person].local {
            if let Some(unit) = units.get_mut(&unit_of(roll, item.person, local)) {
                unit.registers.insert(item.register.as_str());
            }
        }
    }
    let own = [
        "unit",
        "township",
        "village",
        "address",
        "rows",
        "registers",
    ];
    let others: Vec<(usize, &String)> = roll
        .local_names
        .iter()
        .enumerate()
        .filter(|(at, name)| !own.contains(&name.as_str()) && is_coded(&units, *at))
        .collect();
    files::deliver(path, |out| {
        out.write_all("\u{feff}".as_bytes())
            .map_err(|error| Problem::io(path, error))?;
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        let fixed = ["unit", "township", "village", "rows", "registers"];
        let head = fixed
            .into_iter()
            .chain(others.iter().map(|(_, name)| name.as_str()));
        writer.write_record(head).map_err(failed)?;
        for (name, unit) in &units {
            let household = source.units.get(name).cloned().unwrap_or_default();
            let mut row = vec![
                name.clone(),
                household.township,
                household.village,
                unit.rows.len().to_string(),
                unit.registers.len().to_string(),
            ];
            row.extend(others.iter().map(|(at, _)| match unit.local.get(*at) {
                Some(LocalValue::Number(number)) => number.to_string(),
                Some(LocalValue::Text(text)) => text.clone(),
                None => String::new(),
            }));
            writer.write_record(&row).map_err(failed)?;
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}
