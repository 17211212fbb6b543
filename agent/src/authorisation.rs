//! Authorisations (无授权不核对). In: the office's list of signed authorisations, through a mapping like any other file.
//! Out: for a person of the roll, whether an authorisation covers it today, for every register of the agreement.
//! Invariant: a person without one is not encoded; a list that cannot be read whole refuses the delivery; errors name
//! rows, never persons. Specification: docs/OPERATIONS.md, "Authorisations"; forms in use: shared evidence on 授权书.

use std::collections::BTreeMap;
use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::DatasetKind;
use hedui_protocol::field::{FieldKind, Gazetteer};
use hedui_protocol::match_key::Person;
use hedui_protocol::primitive::unhex;
use serde::Serialize;

use crate::mapping::Mapping;
use crate::mapping::translate::{LocalValue, Record, Translator};
use crate::source;

/// Local columns that the list's mapping must have.
const NEEDED: [&str; 4] = ["number", "from", "until", "scan"];
/// Words for all registers of the agreement.
const EVERY: [&str; 3] = ["*", "全部", "all"];

/// Why a person may not be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// No authorisation names the person.
    Nobody,
    /// Not valid yet, or not any more.
    Expired,
    /// It does not name every register of the agreement.
    Registers,
    /// Its number or the digest of the signed paper is missing.
    Paper,
    /// The paper has this number and another name.
    Name,
}

impl Lack {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Nobody,
        Self::Expired,
        Self::Registers,
        Self::Paper,
        Self::Name,
    ];

    /// The reason in Chinese and English.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Nobody => ("未签署核对授权书", "no authorisation"),
            Self::Expired => ("授权不在有效期内", "authorisation not valid today"),
            Self::Registers => (
                "授权未涵盖全部比对数据",
                "authorisation does not cover every register",
            ),
            Self::Paper => (
                "授权编号或扫描件校验值缺失",
                "number or digest of the signed paper is missing",
            ),
            Self::Name => (
                "授权书与名册姓名不一致",
                "the paper has this number and another name",
            ),
        }
    }
}

struct Entry {
    name: Option<String>,
    from: i64,
    until: i64,
    every_register: bool,
    paper: bool,
}

/// The list, by person.
pub struct Authorisations {
    by_id: BTreeMap<String, Vec<Entry>>,
    by_name: BTreeMap<[String; 3], Vec<Entry>>,
    today: i64,
    places: Places,
}

/// Where the fields stand that name a person.
struct Places {
    id: Option<usize>,
    name: Option<usize>,
    birth: Option<usize>,
}

impl Places {
    fn of(agreement: &Agreement) -> Self {
        let at = |kinds: &[FieldKind]| {
            let mut fields = agreement.fields().iter();
            fields.position(|field| kinds.contains(&field.kind))
        };
        Self {
            id: at(&[FieldKind::CnResidentId]),
            name: at(&[FieldKind::CnName, FieldKind::PersonName]),
            birth: at(&[FieldKind::Date]),
        }
    }

    fn value(place: Option<usize>, person: &Person) -> Option<&str> {
        person.cells().get(place?)?.value.as_deref()
    }

    /// Name, birth date and unit, where all three are known.
    fn name_key(&self, person: &Person, unit: &str) -> Option<[String; 3]> {
        let name = Self::value(self.name, person)?;
        let birth = Self::value(self.birth, person)?;
        (!unit.is_empty()).then(|| [name.to_owned(), birth.to_owned(), unit.to_owned()])
    }
}

impl Authorisations {
    /// Reads the list that a roll's mapping names. `today` is `YYYYMMDD`.
    pub fn read(
        agreement: &Agreement,
        mapping_file: &Path,
        places: &Gazetteer,
        today: i64,
    ) -> Result<Self, Problem> {
        let mapping = Mapping::read(mapping_file)?;
        let wrong = |why: String| {
            Problem::data(
                format!("{}: {why}", mapping_file.display()),
                "见 docs/OPERATIONS.md“授权” see docs/OPERATIONS.md, Authorisations",
            )
        };
        if agreement.dataset_or_nearest(&mapping.dataset)?.kind != DatasetKind::Roll {
            return Err(wrong(
                "授权清单的 dataset 应为名册 its dataset must be the roll".to_owned(),
            ));
        }
        for name in NEEDED {
            if !mapping.local.contains_key(name) {
                return Err(wrong(format!("缺少 [local.{name}] is missing")));
            }
        }
        let path = mapping.source_path(mapping_file);
        let header = source::read_header(&path, &mapping.source)?;
        let translator = Translator::new(&mapping, agreement, places, &header.columns, false)
            .map_err(|problem| problem.at(mapping_file))?;
        let names: Vec<&str> = mapping.local.keys().map(String::as_str).collect();
        let mut list = Self {
            by_id: BTreeMap::new(),
            by_name: BTreeMap::new(),
            today,
            places: Places::of(agreement),
        };
        let mut unreadable = Vec::new();
        let reading = source::read(&path, &mapping.source, &mut |batch| {
            for record in batch.iter().filter_map(|row| translator.record(row)) {
                if !list.add(agreement, &names, &record) {
                    unreadable.push(record.row);
                }
            }
            Ok(())
        })?;
        unreadable.extend(&reading.ragged_rows);
        if let Some(first) = unreadable.iter().min() {
            return Err(wrong(format!(
                "{} 行无法采用 rows cannot be used, the first is row {first}: 须有证号（或姓名、出生日期和户编号）、起止日期，比对数据须为协议所列 \
                 a person, both days and registers of the agreement are needed",
                unreadable.len()
            )));
        }
        Ok(list)
    }

    /// Adds a row; `false` if it names nobody, or days or registers that cannot be read.
    fn add(&mut self, agreement: &Agreement, names: &[&str], record: &Record) -> bool {
        let local = |wanted: &str| {
            let at = names.iter().position(|name| *name == wanted)?;
            record.local.get(at)
        };
        let text = |wanted: &str| match local(wanted) {
            Some(LocalValue::Text(text)) => text.trim(),
            _ => "",
        };
        let day = |wanted: &str| match local(wanted) {
            Some(LocalValue::Number(day)) if *day > 0 => Some(*day),
            _ => None,
        };
        let (Some(from), Some(until)) = (day("from"), day("until")) else {
            return false;
        };
        let Some(every_register) =
            covers(agreement, text("registers"), names.contains(&"registers"))
        else {
            return false;
        };
        let entry = Entry {
            name: Places::value(self.places.name, &record.person).map(str::to_owned),
            from,
            until,
            every_register,
            paper: !text("number").is_empty()
                && unhex::<32>(&text("scan").to_lowercase()).is_some(),
        };
        if let Some(id) = Places::value(self.places.id, &record.person) {
            self.by_id.entry(id.to_owned()).or_default().push(entry);
            return true;
        }
        match self.places.name_key(&record.person, text("unit")) {
            Some(key) => {
                self.by_name.entry(key).or_default().push(entry);
                true
            }
            None => false,
        }
    }

    /// Whether a person of the roll may be compared; `unit` is its benefit unit.
    pub fn lack(&self, person: &Person, unit: &str) -> Option<Lack> {
        // A number that no paper names is nobody's authorisation, whatever else agrees.
        let entries = match Places::value(self.places.id, person) {
            Some(id) => self.by_id.get(id),
            None => self
                .places
                .name_key(person, unit)
                .and_then(|key| self.by_name.get(&key)),
        };
        let Some(entries) = entries else {
            return Some(Lack::Nobody);
        };
        let name = Places::value(self.places.name, person);
        // The best of several: what one lacks another may have.
        entries
            .iter()
            .map(|entry| {
                let other_name = entry.name.as_deref().zip(name).is_some_and(|(a, b)| a != b);
                if other_name {
                    Some(Lack::Name)
                } else if !(entry.from..=entry.until).contains(&self.today) {
                    Some(Lack::Expired)
                } else if !entry.every_register {
                    Some(Lack::Registers)
                } else if !entry.paper {
                    Some(Lack::Paper)
                } else {
                    None
                }
            })
            .min_by_key(|lack| lack.map_or(0, |lack| 1 + lack as u8))
            .flatten()
    }
}

/// Whether a cell names every register of the agreement; `None` if it names one that is not there. Without such a column
/// an authorisation covers all: the paper says so.
fn covers(agreement: &Agreement, cell: &str, has_column: bool) -> Option<bool> {
    if !has_column || EVERY.contains(&cell) {
        return Some(true);
    }
    let named: Vec<&str> = cell
        .split(['、', '，', ',', '；', ';', '|'])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    let registers: Vec<(&str, &str)> = agreement
        .text()
        .dataset
        .iter()
        .filter(|dataset| dataset.kind == DatasetKind::Register)
        .map(|dataset| (dataset.name.as_str(), dataset.title.as_str()))
        .collect();
    let is = |word: &str, (name, title): &(&str, &str)| word == *name || word == *title;
    let known = named
        .iter()
        .all(|word| registers.iter().any(|r| is(word, r)));
    known.then(|| {
        registers
            .iter()
            .all(|r| named.iter().any(|word| is(word, r)))
    })
}
