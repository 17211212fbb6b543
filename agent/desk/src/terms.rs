//! The terms of the work: deadlines, questions of the decision tree, parameters of the income form. In: a TOML file.
//! Out: [`Terms`], kept whole in the history. Invariant: a misspelt key is an error, every question names its clause,
//! and terms never change under a conclusion: the history says which held.
//! Specification: docs/DESK.md, "Terms".

use std::collections::BTreeSet;

use hedui_protocol::ids::Name;
use serde::{Deserialize, Serialize};

use crate::money::yuan;
use crate::refused::Refused;
use crate::words::Answer;

/// The shipped terms for the seven categories.
pub const COUNTY_TERMS: &str = include_str!("../templates/county-terms.toml");
/// Longest deadline in days.
const DAYS_MAX: u32 = 366;

/// Deadlines in days.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// From handing down to the end of the visits.
    pub visit: u32,
    /// In which the household may object, from the day it is told.
    pub objection: u32,
    /// From approval to measures.
    pub act: u32,
}

/// Parameters of [`income::compute`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncomeTerms {
    /// Guaranteed line per head and month, fen.
    pub line_fen: i64,
    /// Multiple of the line that is left to the supporter's household, percent.
    pub multiple_percent: u32,
    /// Share of the income above it, percent.
    pub share_percent: u32,
    /// Provision.
    pub clause: String,
    /// Categories that cannot be confirmed before the unit's income tasks are computed.
    pub before: Vec<String>,
}

/// A question of the decision tree.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Short name within its category.
    pub name: Name,
    /// Category.
    pub category: String,
    /// The question, to be answered with yes or no.
    pub ask: String,
    /// The answer that rules out `confirmed`.
    pub disproved_by: Answer,
    /// Provision.
    pub clause: String,
}

/// All terms.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Version of the form of this file.
    pub version: u32,
    /// Deadlines.
    pub days: Days,
    /// Income form.
    pub income: IncomeTerms,
    /// Questions, in the order in which they are asked.
    #[serde(default)]
    pub question: Vec<Question>,
}

impl Terms {
    /// Reads the file.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let terms: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| {
                text.get(..span.start)
                    .map_or(0, |before| before.matches('\n').count() + 1)
            });
            Refused::new(
                format!(
                    "办理规定第 {line} 行有误 line {line} of the terms: {}",
                    error.message()
                ),
                "请对照 `hedui-desk terms template` compare it with `hedui-desk terms template`",
            )
        })?;
        terms.check()?;
        Ok(terms)
    }

    /// Whether every figure is possible and every question complete.
    pub fn check(&self) -> Result<(), Refused> {
        let wrong = |what: String| {
            Err(Refused::new(
                what,
                "请对照 `hedui-desk terms template` compare it with `hedui-desk terms template`",
            ))
        };
        if self.version != 1 {
            return wrong(format!(
                "不支持的规定版本 version {} is not known",
                self.version
            ));
        }
        let days = [self.days.visit, self.days.objection, self.days.act];
        if days.iter().any(|days| *days == 0 || *days > DAYS_MAX) {
            return wrong(format!(
                "期限应为 1 至 {DAYS_MAX} 天 a deadline is out of range"
            ));
        }
        let income = &self.income;
        if income.line_fen <= 0 || income.multiple_percent == 0 || income.share_percent > 100 {
            return wrong("income 参数超出范围 a parameter is out of range".to_owned());
        }
        let mut seen = BTreeSet::new();
        for question in &self.question {
            if !seen.insert((&question.category, &question.name)) {
                return wrong(format!("核实要点 {} 重复 is asked twice", question.name));
            }
            if question.clause.trim().is_empty() || question.ask.trim().is_empty() {
                return wrong(format!(
                    "核实要点 {} 缺内容或依据 lacks its text or clause",
                    question.name
                ));
            }
            if !matches!(question.disproved_by, Answer::Yes | Answer::No) {
                return wrong(format!(
                    "核实要点 {}: disproved_by 应为 yes 或 no",
                    question.name
                ));
            }
        }
        Ok(())
    }

    /// Questions of a category.
    pub fn questions<'a>(&'a self, category: &'a str) -> impl Iterator<Item = &'a Question> {
        self.question
            .iter()
            .filter(move |question| question.category == category)
    }

    /// The guaranteed line in yuan, for sheets.
    pub fn line(&self) -> String {
        yuan(self.income.line_fen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_terms_are_read_and_ask_something_of_every_category() {
        let terms = Terms::parse(COUNTY_TERMS).unwrap();
        let categories: BTreeSet<&str> =
            terms.question.iter().map(|q| q.category.as_str()).collect();
        assert_eq!(categories.len(), 7);
        assert!(terms.questions("有车享受社会救助").count() >= 2);
    }

    #[test]
    fn misspelt_or_impossible_terms_are_refused() {
        for (from, to) in [
            ("version = 1", "version = 2"),
            ("visit = ", "vist = "),
            ("objection = 10", "objection = 0"),
            ("line_fen = 48000", "line_fen = 0"),
            ("share_percent = 50", "share_percent = 101"),
            ("name = \"scrapped\"", "name = \"driver\""),
            ("disproved_by = \"yes\"", "disproved_by = \"unknown\""),
        ] {
            assert!(COUNTY_TERMS.contains(from), "{from}");
            assert!(
                Terms::parse(&COUNTY_TERMS.replacen(from, to, 1)).is_err(),
                "{to}"
            );
        }
    }
}
