//! Field kinds: raw text → normal form. In: a cell as the register holds it. Out: [`Normal`], and the
//! forms that match keys are made of. Invariant: pure, versioned ([`VERSION`]), frozen by vectors; a
//! value that cannot be trusted yields no normal form rather than a guess.
//! Specification: protocol/SPEC.md, "Field kinds".

pub mod cn_name;
pub mod date;
pub mod division;
pub mod folding;
pub mod person_name;
pub mod phone;
pub mod resident_id;
pub mod sex;
pub mod text;
pub mod uscc;
pub mod vehicle_plate;

use serde::{Deserialize, Serialize};

use crate::limits::VALUE_CHARS_MAX;
pub use division::Gazetteer;

/// Version of all normal forms; enters every match-key input. A changed form is a new version.
pub const VERSION: u8 = 1;

/// How a cell fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Usable as it stands.
    Valid,
    /// Usable after a repair that has one outcome only (15 → 18 digits, full-width, spaces).
    Repaired,
    /// Present, but not usable as a whole.
    Damaged,
    /// Partly hidden on purpose (`4227**********0014`).
    Masked,
    /// Empty or a word for "none".
    Absent,
    /// A filler that stands for no person (000000…, 1900-01-01).
    Placeholder,
}

impl Quality {
    /// Every quality, in the order of reports, with its Chinese word.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Valid, "有效"),
        (Self::Repaired, "已规范"),
        (Self::Damaged, "损坏"),
        (Self::Masked, "脱敏"),
        (Self::Absent, "缺失"),
        (Self::Placeholder, "占位"),
    ];
}

/// A normalised cell. Holds a person's value: no `Debug`, no `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Normal {
    /// How the cell fared.
    pub quality: Quality,
    /// The normal form, if the whole value is usable.
    pub value: Option<String>,
    /// What is left of a damaged value and still carries parts (a year, the birth date in an ID).
    pub remnant: Option<String>,
}

impl Normal {
    pub(crate) fn without_value(quality: Quality) -> Self {
        Self {
            quality,
            value: None,
            remnant: None,
        }
    }

    /// A usable value: `Valid` if it equals the trimmed raw text, else `Repaired`.
    pub(crate) fn usable(value: String, raw: &str) -> Self {
        let quality = if value == raw {
            Quality::Valid
        } else {
            Quality::Repaired
        };
        Self {
            quality,
            value: Some(value),
            remnant: None,
        }
    }

    pub(crate) fn damaged(remnant: Option<String>) -> Self {
        Self {
            quality: Quality::Damaged,
            value: None,
            remnant,
        }
    }
}

/// The kind of a field: which normaliser reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    /// Place in China as code or text, resolved by the agreement's gazetteer.
    CnDivision,
    /// Personal name in Han characters.
    CnName,
    /// Citizen identity number, GB 11643-1999.
    CnResidentId,
    /// Calendar date.
    Date,
    /// Any text, compared exactly after trimming and NFC.
    Exact,
    /// Whole number.
    Integer,
    /// Personal name in Latin or another alphabetic script.
    PersonName,
    /// Telephone number.
    Phone,
    /// Vehicle plate, GA 36.
    Plate,
    /// Sex as 1 or 2 (GB/T 2261.1).
    Sex,
    /// Free text: case, width, punctuation and spacing folded.
    Text,
    /// Unified social credit code, GB 32100-2015.
    Uscc,
}

impl FieldKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::CnDivision,
        Self::CnName,
        Self::CnResidentId,
        Self::Date,
        Self::Exact,
        Self::Integer,
        Self::PersonName,
        Self::Phone,
        Self::Plate,
        Self::Sex,
        Self::Text,
        Self::Uscc,
    ];

    /// Normalises one cell.
    pub fn normalise(self, raw: &str, places: &Gazetteer) -> Normal {
        let raw = raw.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
        if raw.len() > VALUE_CHARS_MAX && raw.chars().nth(VALUE_CHARS_MAX).is_some() {
            return Normal::damaged(None);
        }
        if folding::means_absent(raw) {
            return Normal::without_value(Quality::Absent);
        }
        let normal = self.normalise_present(raw, places);
        // What is left of `na.` is the word for nothing again.
        let nothing = normal.value.as_deref().is_some_and(folding::means_absent);
        if nothing && self != Self::Sex {
            return Normal::without_value(Quality::Absent);
        }
        normal
    }

    fn normalise_present(self, raw: &str, places: &Gazetteer) -> Normal {
        match self {
            Self::CnDivision => division::normalise(raw, places),
            Self::CnName => cn_name::normalise(raw),
            Self::CnResidentId => resident_id::normalise(raw),
            Self::Date => date::normalise(raw),
            Self::Exact => text::normalise_exact(raw),
            Self::Integer => text::normalise_integer(raw),
            Self::PersonName => person_name::normalise(raw),
            Self::Phone => phone::normalise(raw),
            Self::Plate => vehicle_plate::normalise(raw),
            Self::Sex => sex::normalise(raw),
            Self::Text => text::normalise_text(raw),
            Self::Uscc => uscc::normalise(raw),
        }
    }

    /// The forms that exist for this kind.
    pub fn forms(self) -> &'static [Form] {
        match self {
            Self::CnDivision => &[Form::Whole, Form::County, Form::Township, Form::Village],
            Self::CnName => &[Form::Whole, Form::Surname, Form::Given, Form::Pinyin],
            Self::CnResidentId => &[
                Form::Whole,
                Form::Birth,
                Form::Sex,
                Form::Sequence,
                Form::Body,
                Form::OneError,
            ],
            Self::Date => &[Form::Whole, Form::Year, Form::YearMonth, Form::MonthDay],
            Self::PersonName | Self::Text => &[
                Form::Whole,
                Form::Initial,
                Form::First3,
                Form::Soundex,
                Form::Sorted,
            ],
            Self::Phone => &[Form::Whole, Form::Last8],
            Self::Uscc => &[Form::Whole, Form::Organisation],
            Self::Exact | Self::Integer | Self::Plate | Self::Sex => &[Form::Whole],
        }
    }
}

/// A part or rewriting of a normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Birth date inside an identity number, `YYYYMMDD`; survives damage elsewhere.
    Birth,
    /// Digits 7–17 of an identity number: everything but area and check.
    Body,
    /// First 6 digits of a place.
    County,
    /// First three characters.
    First3,
    /// Name without surname.
    Given,
    /// First character.
    Initial,
    /// Last 8 digits.
    Last8,
    /// Month and day, `MMDD`.
    MonthDay,
    /// Organisation code inside a social credit code (positions 9–17).
    Organisation,
    /// An identity number that fails its check, as it stands; on the roll's side every number one slip away
    /// from the right one: see [`resident_id::one_error`].
    OneError,
    /// Syllables without tones, surname read as a surname.
    Pinyin,
    /// Digits 15–17 of an identity number.
    Sequence,
    /// Sex inside an identity number.
    Sex,
    /// Words in alphabetical order.
    Sorted,
    /// American Soundex of the first word (US National Archives).
    Soundex,
    /// Surname; two characters where the compound table says so.
    Surname,
    /// First 9 digits of a place.
    Township,
    /// All 12 digits of a place; absent for coarser places.
    Village,
    /// The whole normal form.
    Whole,
    /// Year, `YYYY`; survives a missing month or day.
    Year,
    /// Year and month, `YYYYMM`.
    YearMonth,
}

impl Form {
    /// Most values that one cell of the roll's side has in this form; a register's cell has one.
    pub fn fan_out(self) -> usize {
        match self {
            Self::OneError => resident_id::ONE_ERROR_MAX,
            _ => 1,
        }
    }

    /// Every value that a cell of the roll's side has in this form.
    pub fn all_of_roll(self, kind: FieldKind, cell: &Normal) -> Vec<String> {
        match self {
            Self::OneError => cell
                .value
                .as_deref()
                .map(resident_id::one_error)
                .unwrap_or_default(),
            _ => self.of(kind, cell).into_iter().collect(),
        }
    }

    /// The form of a normalised cell of `kind` (of a register, where the side matters), or `None` if the cell does not carry it.
    pub fn of(self, kind: FieldKind, cell: &Normal) -> Option<String> {
        if self == Self::Whole {
            return cell.value.clone();
        }
        match kind {
            FieldKind::CnDivision => division::form(self, cell.value.as_deref()?),
            FieldKind::CnName => cn_name::form(self, cell.value.as_deref()?),
            FieldKind::CnResidentId => resident_id::form(self, cell),
            FieldKind::Date => date::form(self, cell),
            FieldKind::PersonName | FieldKind::Text => text::form(self, cell.value.as_deref()?),
            FieldKind::Phone => phone::form(self, cell.value.as_deref()?),
            FieldKind::Uscc => uscc::form(self, cell.value.as_deref()?),
            FieldKind::Exact | FieldKind::Integer | FieldKind::Plate | FieldKind::Sex => None,
        }
    }
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;

#[cfg(test)]
mod edge_tests;
