//! Own records that nobody of the roll was found for (应保未保). In: a register's delivered records, the own result, the rules with
//! the effect `absent`. Out: the rows to look into, with clause and what would disprove it.
//! Invariant: a record that any pair of the result names is never listed, nor one whose data are other than those compared.
//! Specification: docs/OPERATIONS.md, "Absent".

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use cel::Value;
use hedui_edge::cells::harmless;
use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::ids::Handle;
use hedui_protocol::message::payload::FactValue;

use super::evaluate::fact_value;
use super::rules::{Effect, Rule, Rules};
use crate::disclosure::delivered::Delivered;
use crate::disclosure::words::Words;
use crate::record::row_words;

/// A row to look into.
pub struct Line {
    /// Category of the rule.
    pub category: String,
    /// Rows of the register's file.
    pub rows: Vec<u64>,
    /// Facts that fulfil the rule, in words.
    pub facts: String,
    /// Provision.
    pub clause: String,
    /// What would disprove it.
    pub disproof: String,
}

/// What came of a register's own records.
#[derive(Default)]
pub struct Absent {
    /// Records that the result does not name.
    pub records: u64,
    /// Those that a rule says to look into.
    pub lines: Vec<Line>,
    /// Records that a rule exempts, by reason.
    pub exempted: BTreeMap<String, u64>,
}

/// The rules of the absent that look at a register.
pub fn rules_of<'r>(rules: &'r Rules, dataset: &Dataset) -> Vec<&'r Rule> {
    let all = rules.rules.iter();
    all.filter(|rule| rule.effect == Effect::Absent)
        .filter(|rule| {
            rule.registers
                .iter()
                .any(|name| name == dataset.name.as_str())
        })
        .collect()
}

/// Tries the rules of the absent on a record without values: as far as that reaches, one that asks for what the agreement does
/// not have is found before anybody signs.
pub fn dry_run(rules: &Rules, agreement: &Agreement) -> Result<(), Problem> {
    for dataset in agreement.registers() {
        let row = vec![FactValue::Absent; dataset.fact.len()];
        for rule in rules_of(rules, dataset) {
            let context = rules.context(&[
                ("register", Value::from(dataset.name.as_str())),
                ("fact", fact_value(&dataset.fact, &row)),
                ("today", Value::from(20_160_630_i64)),
            ]);
            rule.holds(&context)?;
            rule.exemption(&context)?;
        }
    }
    Ok(())
}

impl Absent {
    /// Looks at one record that the result does not name; each rule that it fulfils gives one line.
    pub fn look(
        &mut self,
        (rules, chosen, words): (&Rules, &[&Rule], &Words<'_>),
        (dataset, today): (&Dataset, i64),
        record: &Delivered,
        rows: &[u64],
    ) -> Result<(), Problem> {
        self.records += 1;
        for rule in chosen {
            let mut facts = Vec::new();
            for row in &record.facts.rows {
                let context = rules.context(&[
                    ("register", Value::from(dataset.name.as_str())),
                    ("fact", fact_value(&dataset.fact, row)),
                    ("today", Value::from(today)),
                ]);
                if !rule.holds(&context)? {
                    continue;
                }
                match rule.exemption(&context)? {
                    Some(reason) => *self.exempted.entry(reason.to_owned()).or_default() += 1,
                    None => facts.push(words.facts(&dataset.fact, row)),
                }
            }
            if !facts.is_empty() {
                self.lines.push(Line {
                    category: rule.category.clone(),
                    rows: rows.to_vec(),
                    facts: facts.join(" / "),
                    clause: rule.clause.clone(),
                    disproof: rule.disproof.clone(),
                });
            }
        }
        Ok(())
    }

    /// The lines in the order of the file's rows, so that they can be followed in it.
    pub fn sort(&mut self) {
        self.lines
            .sort_by(|a, b| (&a.rows, &a.category).cmp(&(&b.rows, &b.category)));
    }
}

/// Writes the lines.
pub fn write(path: &Path, title: &str, lines: &[Line]) -> Result<(), Problem> {
    files::deliver(path, |out| {
        // A byte-order mark, so that Excel and WPS read the file as UTF-8.
        out.write_all("\u{feff}".as_bytes())
            .map_err(|error| Problem::io(path, error))?;
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record([
                "类别 category",
                "数据 register",
                "行号 rows",
                "登记事实 facts",
                "政策依据 clause",
                "可排除情形 disproof",
                "走访情况 visit",
                "走访结果（已申请/不符合条件/本人不愿申请/其他） outcome",
            ])
            .map_err(failed)?;
        for line in lines {
            let rows: Vec<String> = line.rows.iter().map(|row| row_words(*row)).collect();
            let rows = rows.join(" ");
            writer
                .write_record(
                    [
                        &line.category,
                        title,
                        &rows,
                        &line.facts,
                        &line.clause,
                        &line.disproof,
                        "",
                        "",
                    ]
                    .map(harmless),
                )
                .map_err(failed)?;
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}

/// What the canaries of a register say of an own result: those of both sides stand or fall together, those of the register alone
/// are found by nobody.
#[derive(Debug, PartialEq, Eq)]
pub enum Canaries {
    /// All of both sides are there, none of the others.
    Whole,
    /// None is there: the rule does not decide them, or the matcher dropped everything.
    Silent,
    /// Some are there and others of their kind are not, or one that nobody can have is.
    Wrong,
}

impl Canaries {
    /// Reads them; `shared` are the handles of those of both sides.
    pub fn of(found: &BTreeSet<Handle>, shared: &[Handle], lone: &[Handle]) -> Self {
        let seen = shared
            .iter()
            .filter(|handle| found.contains(handle))
            .count();
        if lone.iter().any(|handle| found.contains(handle)) {
            return Self::Wrong;
        }
        match seen {
            0 => Self::Silent,
            all if all == shared.len() => Self::Whole,
            _ => Self::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_stand_or_fall_together() {
        let handle = |byte| Handle([byte; 16]);
        let (shared, lone) = ([handle(1), handle(2)], [handle(9)]);
        let of = |bytes: &[u8]| {
            let found = bytes.iter().map(|byte| handle(*byte)).collect();
            Canaries::of(&found, &shared, &lone)
        };
        assert_eq!(of(&[1, 2, 7]), Canaries::Whole);
        assert_eq!(of(&[7]), Canaries::Silent);
        assert_eq!(of(&[1, 7]), Canaries::Wrong);
        assert_eq!(of(&[1, 2, 9]), Canaries::Wrong);
    }
}
