//! Data quality of a register before anything leaves. In: translated records. Out: counts per field and
//! row numbers of what a clerk should correct. Invariant: counts and row numbers only, never a value.
//! Row lists are bounded; the counts are not.
//! Specification: docs/OPERATIONS.md, "Quality report"; qualities: protocol `field::Quality`.

use std::collections::BTreeMap;

use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::field::Quality;
use hedui_protocol::match_key::KeyPart;
use hedui_protocol::primitive::Sha256;
use serde::Serialize;

use crate::authorisation::Lack;
use crate::mapping::Mapping;
use crate::mapping::translate::Record;

/// Row numbers kept per field and kind of defect.
pub const ROWS_KEPT: usize = 10_000;

/// Counts and rows of one field.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FieldTally {
    /// Field of the agreement.
    pub field: String,
    /// Columns of the file.
    pub columns: Vec<String>,
    /// Cells per quality, in the order of `Quality::ALL`.
    pub counts: [u64; 6],
    /// Rows whose stated value differs from the one derived from another field (birth date, ID).
    pub contradicts_count: u64,
    /// Rows to correct: defect and row number.
    #[serde(skip)]
    pub rows: Vec<(Defect, u64)>,
}

/// What is to be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Defect {
    /// Not usable as a whole.
    Damaged,
    /// Partly hidden.
    Masked,
    /// A filler.
    Placeholder,
    /// Empty.
    Absent,
    /// Differs from what another field of the row says.
    Contradicts,
    /// A code that the mapping does not translate.
    UnknownCode,
    /// The same person stands in an earlier row with the same facts.
    Duplicate,
}

impl Defect {
    /// The defect in Chinese and English.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Damaged => ("数据损坏或格式不对", "damaged"),
            Self::Masked => ("已脱敏，无法比对", "masked"),
            Self::Placeholder => ("占位数据", "placeholder"),
            Self::Absent => ("缺失", "absent"),
            Self::Contradicts => ("与身份证号不一致", "contradicts the ID"),
            Self::UnknownCode => ("代码未对应或无法识别", "unknown code or unreadable"),
            Self::Duplicate => ("重复登记", "duplicate"),
        }
    }
}

/// Quality of a whole dataset.
pub struct Tally {
    /// One entry per mapped field.
    pub fields: Vec<Option<FieldTally>>,
    /// One entry per mapped fact, behind them one per local column: name, unknown values, rows.
    pub facts: Vec<FieldTally>,
    /// Rows counted.
    pub rows_count: u64,
    /// Rows that were not taken for want of an authorisation, per reason.
    pub unauthorised_counts: BTreeMap<Lack, u64>,
    /// Those rows, at most [`ROWS_KEPT`].
    pub unauthorised: Vec<(Lack, u64)>,
    /// Digest over all of them.
    pub unauthorised_digest: Sha256,
    derived: Vec<Option<KeyPart>>,
}

impl Tally {
    /// An empty tally.
    pub fn new(agreement: &Agreement, dataset: &Dataset, mapping: &Mapping) -> Self {
        let tally = |name: &str, columns: &[String]| FieldTally {
            field: name.to_owned(),
            columns: columns.to_vec(),
            ..FieldTally::default()
        };
        let fields = agreement.fields().iter().map(|field| {
            let column = mapping.field.get(field.name.as_str())?;
            Some(tally(field.name.as_str(), &column.columns))
        });
        let facts = dataset.fact.iter().map(|fact| {
            let column = mapping.fact.get(fact.name.as_str());
            tally(
                fact.name.as_str(),
                column.map(|c| &c.columns[..]).unwrap_or_default(),
            )
        });
        let locals = mapping.local.iter();
        let locals = locals.map(|(name, column)| tally(&format!("local.{name}"), &column.columns));
        let derived = agreement.fields().iter().map(|field| {
            let part = KeyPart::parse(&field.derive, agreement.fields()).ok()?;
            (!field.derive.is_empty()).then_some(part)
        });
        Self {
            fields: fields.collect(),
            facts: facts.chain(locals).collect(),
            rows_count: 0,
            unauthorised_counts: BTreeMap::new(),
            unauthorised: Vec::new(),
            unauthorised_digest: Sha256::default(),
            derived: derived.collect(),
        }
    }

    /// Counts one record.
    pub fn count(&mut self, record: &Record) {
        self.rows_count += 1;
        for (index, field) in self.fields.iter_mut().enumerate() {
            let (Some(field), Some(Some(quality))) = (field, record.quality.get(index)) else {
                continue;
            };
            let at = Quality::ALL
                .iter()
                .position(|(q, _)| q == quality)
                .unwrap_or(0);
            field.counts[at] += 1;
            let defect = match quality {
                Quality::Damaged => Some(Defect::Damaged),
                Quality::Masked => Some(Defect::Masked),
                Quality::Placeholder => Some(Defect::Placeholder),
                Quality::Absent => Some(Defect::Absent),
                Quality::Valid | Quality::Repaired => None,
            };
            if let Some(defect) = defect {
                field.keep(defect, record.row);
            } else if let Some(Some(part)) = self.derived.get(index) {
                let stated = record
                    .person
                    .cells()
                    .get(index)
                    .and_then(|cell| cell.value.as_ref());
                let derived = part.of(record.person.cells());
                if stated.zip(derived.as_ref()).is_some_and(|(a, b)| a != b) {
                    field.contradicts_count += 1;
                    field.keep(Defect::Contradicts, record.row);
                }
            }
        }
        for index in &record.unknown_facts {
            if let Some(fact) = self.facts.get_mut(*index) {
                fact.counts[2] += 1;
                fact.keep(Defect::UnknownCode, record.row);
            }
        }
    }

    /// Notes a row that is not taken for want of an authorisation.
    pub fn refuse(&mut self, lack: Lack, row: u64) {
        *self.unauthorised_counts.entry(lack).or_default() += 1;
        self.unauthorised_digest.update(&row.to_be_bytes());
        if self.unauthorised.len() < ROWS_KEPT {
            self.unauthorised.push((lack, row));
        }
    }

    /// Rows that were not taken for want of an authorisation.
    pub fn unauthorised_count(&self) -> u64 {
        self.unauthorised_counts.values().sum()
    }

    /// Facts and local columns whose values could not be translated.
    pub fn unknown_facts_count(&self) -> u64 {
        self.facts.iter().map(|fact| fact.counts[2]).sum()
    }

    /// Those of them, each with its columns and how many values.
    pub fn unknown_facts(&self) -> impl Iterator<Item = (&str, String, u64)> {
        let some = self.facts.iter().filter(|fact| fact.counts[2] > 0);
        some.map(|fact| (&*fact.field, fact.columns.join(" "), fact.counts[2]))
    }
}

impl FieldTally {
    fn keep(&mut self, defect: Defect, row: u64) {
        if self.rows.len() < ROWS_KEPT {
            self.rows.push((defect, row));
        }
    }
}
