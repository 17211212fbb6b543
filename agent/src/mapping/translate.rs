//! Applying a mapping to rows. In: [`SourceRow`]s. Out: [`Record`]s: normalised person, facts, local
//! columns, and how each cell fared. Invariant: pure per row, so rows may be translated in parallel;
//! a code without translation is counted as unknown, never passed on.
//! Specification: docs/OPERATIONS.md, "Mapping".

use std::collections::BTreeMap;

use hedui_edge::Problem;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::{Fact, FactKind};
use hedui_protocol::field::{FieldKind, Gazetteer, Normal, Quality, date};
use hedui_protocol::match_key::Person;
use hedui_protocol::message::payload::{FactValue, is_reference};

use hedui_protocol::refusal::Refusal;
use zeroize::Zeroizing;

use super::{Changes, Column, DateOrder, LocalKind, Mapping};
use crate::record::Operation;
use crate::source::SourceRow;

/// A translated row. Holds people's data: no `Debug`.
pub struct Record {
    /// Row number in the file.
    pub row: u64,
    /// Normalised fields, gaps derived.
    pub person: Person,
    /// How each field's own cell fared, in the order of the agreement; `None`: not mapped.
    pub quality: Vec<Option<Quality>>,
    /// Facts in the order of the dataset's schema.
    pub facts: Vec<FactValue>,
    /// Facts, behind them local columns, whose code or form is not known, by position.
    pub unknown_facts: Vec<usize>,
    /// Local columns in the order of the mapping.
    pub local: Vec<LocalValue>,
    /// Fields as they stand in the file, for the roll owner's own sheets.
    pub shown: Vec<String>,
    /// What names the row, if the mapping says so.
    pub key: Option<Zeroizing<String>>,
    /// What becomes of the row, in a file of changes; absent there if its word is none of the mapping's.
    pub operation: Option<Operation>,
}

/// Value of a local column.
#[derive(Clone, PartialEq, Eq)]
pub enum LocalValue {
    /// Date as YYYYMMDD, whole number; 0 if absent.
    Number(i64),
    /// Text.
    Text(String),
}

struct Cell {
    places: Vec<usize>,
    column: Column,
}

/// A mapping bound to a header: column names replaced by positions.
pub struct Translator<'a> {
    agreement: &'a Agreement,
    places: &'a Gazetteer,
    fields: Vec<Option<Cell>>,
    facts: Vec<(Fact, Option<Cell>)>,
    locals: Vec<Cell>,
    skips: Vec<(usize, Vec<String>)>,
    key: Vec<usize>,
    operation: Option<(usize, BTreeMap<String, Operation>)>,
}

impl<'a> Translator<'a> {
    /// Checks the mapping and binds it to the header of its file.
    pub fn new(
        mapping: &Mapping,
        agreement: &'a Agreement,
        places: &'a Gazetteer,
        columns: &[String],
        of_changes: bool,
    ) -> Result<Self, Problem> {
        mapping.check(agreement, columns)?;
        let at = |name: &String| columns.iter().position(|column| column == name);
        let changes = mapping.changes.as_ref();
        let operation = of_changes
            .then(|| operation(changes, columns))
            .transpose()?;
        let bind = |column: &Column| Cell {
            places: column.columns.iter().filter_map(at).collect(),
            column: column.clone(),
        };
        let field = |name: &str| mapping.field.get(name).map(bind);
        let dataset = agreement.dataset_or_nearest(&mapping.dataset)?;
        let fact = |fact: &Fact| (fact.clone(), mapping.fact.get(fact.name.as_str()).map(bind));
        Ok(Self {
            agreement,
            places,
            fields: agreement
                .fields()
                .iter()
                .map(|f| field(f.name.as_str()))
                .collect(),
            facts: dataset.fact.iter().map(fact).collect(),
            locals: mapping.local.values().map(bind).collect(),
            skips: mapping
                .skip
                .iter()
                .filter_map(|skip| Some((at(&skip.column)?, skip.values.clone())))
                .collect(),
            key: changes
                .map(|changes| changes.key.iter().filter_map(at).collect())
                .unwrap_or_default(),
            operation,
        })
    }

    /// Translates a row; `None` if the mapping leaves it out.
    pub fn record(&self, row: &SourceRow) -> Option<Record> {
        let skipped = self.skips.iter().any(|(place, values)| {
            row.cells
                .get(*place)
                .is_some_and(|cell| values.iter().any(|v| v == cell.trim()))
        });
        // In a file of changes a row that is left out is one that is no longer delivered.
        if skipped && self.operation.is_none() {
            return None;
        }
        let mut cells = Vec::with_capacity(self.fields.len());
        let mut quality = Vec::with_capacity(self.fields.len());
        let mut shown = Vec::with_capacity(self.fields.len());
        for (field, cell) in self.agreement.fields().iter().zip(&self.fields) {
            let raw = cell.as_ref().map(|cell| cell.text(row));
            let normal = field
                .kind
                .normalise(raw.as_deref().unwrap_or_default(), self.places);
            quality.push(cell.as_ref().map(|_| normal.quality));
            cells.push(normal);
            shown.push(raw.unwrap_or_default());
        }
        let mut unknown_facts = Vec::new();
        let mut facts = Vec::with_capacity(self.facts.len());
        for (index, (fact, cell)) in self.facts.iter().enumerate() {
            match cell.as_ref().map(|cell| cell.fact(row, fact)) {
                None => facts.push(FactValue::Absent),
                Some(Some(value)) => facts.push(value),
                Some(None) => {
                    unknown_facts.push(index);
                    facts.push(FactValue::Absent);
                }
            }
        }
        let mut local = Vec::with_capacity(self.locals.len());
        for (index, cell) in self.locals.iter().enumerate() {
            local.push(cell.local(row).unwrap_or_else(|| {
                unknown_facts.push(self.facts.len() + index);
                LocalValue::Number(0)
            }));
        }
        Some(Record {
            row: row.number,
            person: Person::new(self.agreement, cells),
            quality,
            facts,
            unknown_facts,
            local,
            shown,
            key: self.key_of(row),
            operation: self.operation.as_ref().and_then(|(place, codes)| {
                let word = row.cells.get(*place)?;
                let stated = codes.get(word.trim()).copied();
                stated.map(|stated| if skipped { Operation::LeaveOut } else { stated })
            }),
        })
    }

    /// What the key columns say; nothing where one of them is empty.
    fn key_of(&self, row: &SourceRow) -> Option<Zeroizing<String>> {
        let cells = self.key.iter().filter_map(|place| row.cells.get(*place));
        let room = cells.map(|cell| cell.len() + 1).sum();
        let mut text = Zeroizing::new(String::with_capacity(room));
        for place in &self.key {
            let cell = row.cells.get(*place)?.trim();
            if cell.is_empty() {
                return None;
            }
            text.push_str(cell);
            text.push('\u{1f}');
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Place and words of the column that says what becomes of a row.
fn operation(
    changes: Option<&Changes>,
    columns: &[String],
) -> Result<(usize, BTreeMap<String, Operation>), Problem> {
    let wrong = |why: &str| Problem::from(Refusal::malformed("mapping", why));
    let changes = changes.ok_or_else(|| {
        wrong("it has no [changes]: key, operation and codes; docs/OPERATIONS.md, Changes")
    })?;
    if changes.operation.is_empty() || changes.codes.is_empty() {
        return Err(wrong(
            "[changes] needs `operation` and `codes` to read a file of changes",
        ));
    }
    super::column_exists(&changes.operation, columns, "[changes] operation")?;
    let at = columns
        .iter()
        .position(|column| *column == changes.operation);
    Ok((at.unwrap_or(0), changes.codes.clone()))
}

impl Cell {
    /// The cell's text: columns joined, codes translated, dates put into year-month-day order.
    fn text(&self, row: &SourceRow) -> String {
        let mut text = String::new();
        for cell in self.places.iter().filter_map(|place| row.cells.get(*place)) {
            let cell = cell.trim();
            if !text.is_empty() && !cell.is_empty() {
                text.push(' ');
            }
            text.push_str(cell);
        }
        if !self.column.codes.is_empty() || self.column.other.is_some() {
            text = translate(&text, &self.column.codes, self.column.other.as_deref());
        }
        match self.column.date {
            None | Some(DateOrder::Ymd) => text,
            Some(order) => reorder(&text, order).unwrap_or(text),
        }
    }

    /// The value of a fact; `None` if the cell is not empty and has no translation.
    fn fact(&self, row: &SourceRow, fact: &Fact) -> Option<FactValue> {
        let text = self.text(row);
        if text.is_empty() {
            return Some(FactValue::Absent);
        }
        match fact.kind {
            FactKind::Code => {
                let at = fact.codes.iter().position(|code| *code == text)?;
                u8::try_from(at).ok().map(FactValue::Code)
            }
            FactKind::Date => match normal(FieldKind::Date, &text) {
                Normal {
                    quality: Quality::Placeholder | Quality::Absent,
                    ..
                } => Some(FactValue::Absent),
                cell => cell.value?.parse().ok().map(FactValue::Date),
            },
            FactKind::Integer => {
                let value = normal(FieldKind::Integer, &rounded(&text)).value?;
                value.parse().ok().map(FactValue::Integer)
            }
            FactKind::Reference => is_reference(&text).then_some(FactValue::Reference(text)),
        }
    }

    /// The value of a local column; `None` if a date or number is not empty and cannot be read.
    fn local(&self, row: &SourceRow) -> Option<LocalValue> {
        let text = self.text(row);
        let cell = match self.column.kind {
            Some(LocalKind::Date) => normal(FieldKind::Date, &text),
            Some(LocalKind::Integer) => normal(FieldKind::Integer, &rounded(&text)),
            None | Some(LocalKind::Text) => return Some(LocalValue::Text(text)),
        };
        if text.is_empty() || matches!(cell.quality, Quality::Placeholder | Quality::Absent) {
            return Some(LocalValue::Number(0));
        }
        cell.value?.parse().ok().map(LocalValue::Number)
    }
}

fn normal(kind: FieldKind, text: &str) -> Normal {
    kind.normalise(text, &Gazetteer::default())
}

fn translate(text: &str, codes: &BTreeMap<String, String>, other: Option<&str>) -> String {
    match codes.get(text) {
        Some(word) => word.clone(),
        None if text.is_empty() => String::new(),
        None => other.unwrap_or(text).to_owned(),
    }
}

/// Signs that stand before an amount.
const SIGNS: [&str; 3] = ["人民币", "￥", "¥"];
/// Units that stand behind one, where the column's unit is meant.
const UNITS: [&str; 6] = ["元整", "元", "圆", "平方米", "㎡", "m²"];

/// Amounts with a fraction count in whole units, rounded to the nearest; signs and units around them are passed over, and 万 is ten
/// thousand.
fn rounded(text: &str) -> String {
    let is_filler = |c: char| matches!(c, ',' | '，') || c.is_whitespace();
    let plain: String = text.chars().filter(|c| !is_filler(*c)).collect();
    let mut number = plain.as_str();
    for sign in SIGNS {
        number = number.strip_prefix(sign).unwrap_or(number);
    }
    if let Some(short) = UNITS.iter().find_map(|unit| number.strip_suffix(unit)) {
        number = short;
    }
    let (number, scale) = match number.strip_suffix('万') {
        Some(number) => (number, 10_000.0),
        None => (number, 1.0),
    };
    match number.parse::<f64>() {
        Ok(number) if (number * scale).abs() < 1e15 => format!("{:.0}", (number * scale).round()),
        _ => plain,
    }
}

/// A date in another order as `YYYYMMDD`, its parts apart or as eight digits; two-digit years are refused.
fn reorder(text: &str, order: DateOrder) -> Option<String> {
    let groups: Vec<&str> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|g| !g.is_empty())
        .collect();
    let (year, month, day) = match (order, &groups[..]) {
        (DateOrder::Excel, [days, ..]) => return from_day_number(days.parse().ok()?),
        (DateOrder::Dmy, [day, month, year, ..]) => (year, month, day),
        (DateOrder::Mdy, [month, day, year, ..]) => (year, month, day),
        (DateOrder::Ym, [year, month]) if year.len() == 4 => (year, month, &"1"),
        (DateOrder::Ym, [digits]) if digits.len() == 6 => {
            let (year, month) = digits.split_at_checked(4)?;
            return reorder(&format!("{year} {month}"), DateOrder::Ym);
        }
        (DateOrder::Ym, _) => return None,
        (order, [digits]) if digits.len() == 8 => {
            let (first, rest) = digits.split_at_checked(2)?;
            let (second, year) = rest.split_at_checked(2)?;
            let (day, month) = match order {
                DateOrder::Dmy => (first, second),
                _ => (second, first),
            };
            return reorder(&format!("{day} {month} {year}"), DateOrder::Dmy);
        }
        _ => return None,
    };
    let digits = format!("{year}{month:0>2}{day:0>2}");
    date::parse(digits.as_bytes()).map(|_| digits)
}

/// Day number of a spreadsheet: 60 stands for a day that never was, so counting starts 1899-12-30.
fn from_day_number(days: u64) -> Option<String> {
    let epoch = chrono::NaiveDate::from_ymd_opt(1899, 12, 30)?;
    let day = epoch.checked_add_days(chrono::Days::new(days))?;
    (days > 60).then(|| day.format("%Y%m%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_what_stands_around_them() {
        for (text, number) in [
            ("380", "380"),
            ("380.5元", "381"),
            ("12,345.50 元", "12346"),
            ("１２，３４５", "１２３４５"),
            ("￥60000", "60000"),
            ("人民币 800 元整", "800"),
            ("3.5万", "35000"),
            ("1.1万元", "11000"),
            ("-20", "-20"),
            ("120㎡", "120"),
            ("89.6平方米", "90"),
        ] {
            assert_eq!(rounded(text), number, "{text}");
        }
        // What is no amount stays as it is, and is counted as unreadable.
        for text in ["元", "万", "约380", "380元/月", "3万5", "nan", "1e400"] {
            let cell = normal(FieldKind::Integer, &rounded(text));
            assert!(cell.value.is_none(), "{text}");
        }
        assert_eq!(
            normal(FieldKind::Integer, "１２３４５").value.as_deref(),
            Some("12345")
        );
    }

    #[test]
    fn dates_are_put_in_order_without_guessing() {
        assert_eq!(
            reorder("15/8/1964", DateOrder::Dmy).as_deref(),
            Some("19640815")
        );
        assert_eq!(
            reorder("8/15/1964", DateOrder::Mdy).as_deref(),
            Some("19640815")
        );
        assert_eq!(reorder("15/8/64", DateOrder::Dmy), None);
        for (text, order) in [("15081964", DateOrder::Dmy), ("08151964", DateOrder::Mdy)] {
            assert_eq!(reorder(text, order).as_deref(), Some("19640815"));
        }
        for text in ["19641508", "1508196", "150819640"] {
            assert_eq!(reorder(text, DateOrder::Dmy), None);
        }
        assert_eq!(reorder("31/2/1964", DateOrder::Dmy), None);
        for text in ["202605", "2026-05", "2026年5月", "2026.5"] {
            assert_eq!(reorder(text, DateOrder::Ym).as_deref(), Some("20260501"));
        }
        for text in [
            "2026",
            "202613",
            "26-05",
            "052026",
            "20260517",
            "2026-05-17",
        ] {
            assert_eq!(reorder(text, DateOrder::Ym), None, "{text}");
        }
        assert_eq!(
            reorder("42369", DateOrder::Excel).as_deref(),
            Some("20151231")
        );
    }
}
