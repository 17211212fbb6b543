//! The figures of all reports. In: the book, a day, a period. Out: tallies per category, township, village, register.
//! Invariant: a tally is made of the cases that it names, so every figure can be drilled into; a sum of rows is the
//! total row. Money is in fen.
//! Specification: docs/DESK.md, "Reports".

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::book::Book;
use crate::case::Case;
use crate::day::Day;
use crate::money::yuan;
use crate::words::{Kind, Measure, Outcome, Stage};

/// Cases counted together.
#[derive(Clone, Default)]
pub struct Tally {
    /// Numbers of all cases.
    pub cases: Vec<String>,
    /// Cases per stage.
    pub stages: BTreeMap<Stage, u64>,
    /// Approved outcomes.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Measures and their money, fen.
    pub measures: BTreeMap<Measure, (u64, i64)>,
    /// Open longer than the terms allow.
    pub overdue: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// Objections in all, and those that changed the conclusion.
    pub objections: (u64, u64),
}

impl Tally {
    fn add(&mut self, case: &Case, today: &Day) {
        self.cases.push(case.number().to_owned());
        *self.stages.entry(case.stage).or_default() += 1;
        if let Some(outcome) = approved_outcome(case) {
            *self.outcomes.entry(outcome).or_default() += 1;
        }
        let mut measures = BTreeSet::new();
        for act in case.acts_now() {
            let entry = self.measures.entry(act.measure).or_default();
            // A measure taken in two steps is one case's.
            entry.0 += u64::from(measures.insert(act.measure));
            entry.1 = entry.1.saturating_add(act.fen.unwrap_or(0));
        }
        self.overdue += u64::from(case.is_overdue(today));
        self.withdrawn += u64::from(case.withdrawn);
        self.objections.0 += case.objections.len() as u64;
        let changed = |o: &&crate::case::Objection| matches!(o.settled, Some((false, _)));
        self.objections.1 += case.objections.iter().filter(changed).count() as u64;
    }

    /// All cases.
    pub fn total(&self) -> u64 {
        self.cases.len() as u64
    }

    /// Cases with an outcome.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// Cases at a stage.
    pub fn stage(&self, stage: Stage) -> u64 {
        self.stages.get(&stage).copied().unwrap_or(0)
    }

    /// A measure's cases and money.
    pub fn measure(&self, measure: Measure) -> (u64, i64) {
        self.measures.get(&measure).copied().unwrap_or_default()
    }

    /// Share of cases that are closed, in percent with one decimal.
    pub fn closed_percent(&self) -> String {
        percent(self.stage(Stage::Closed), self.total())
    }
}

/// An outcome that a second person has approved.
pub fn approved_outcome(case: &Case) -> Option<Outcome> {
    case.approved.as_ref()?;
    case.conclusion.as_ref().map(|(c, _)| c.outcome)
}

/// `part / whole` in percent with one decimal.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "—".to_owned();
    }
    // Tenths of a percent, rounded half up, in whole numbers.
    let tenths = (u128::from(part) * 2000 + u128::from(whole)) / (2 * u128::from(whole));
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// All figures of one report.
pub struct Figures {
    /// Clues and review items per category.
    pub categories: BTreeMap<String, Tally>,
    /// Per township.
    pub townships: BTreeMap<String, Tally>,
    /// Per township and category.
    pub cells: BTreeMap<(String, String), Tally>,
    /// Per township and village.
    pub villages: BTreeMap<(String, String), Tally>,
    /// Per register's title: cases that rest on it.
    pub registers: BTreeMap<String, Tally>,
    /// Per kind.
    pub kinds: BTreeMap<Kind, Tally>,
    /// Income tasks per township: how many, how many closed.
    pub tasks: BTreeMap<String, (u64, u64)>,
    /// All clues and review items.
    pub all: Tally,
}

/// Which cases a report is about.
pub fn chosen<'a>(book: &'a Book, period: Option<&'a str>) -> impl Iterator<Item = &'a Case> {
    book.cases
        .values()
        .filter(move |case| period.is_none_or(|period| case.new.period == period))
}

impl Figures {
    /// Counts.
    pub fn of(book: &Book, today: &Day, period: Option<&str>) -> Self {
        let mut figures = Self {
            categories: BTreeMap::new(),
            townships: BTreeMap::new(),
            cells: BTreeMap::new(),
            villages: BTreeMap::new(),
            registers: BTreeMap::new(),
            kinds: BTreeMap::new(),
            tasks: BTreeMap::new(),
            all: Tally::default(),
        };
        for case in chosen(book, period) {
            let (category, township) = (case.new.category.clone(), township_of(case));
            figures
                .kinds
                .entry(case.new.kind)
                .or_default()
                .add(case, today);
            if case.is_task() {
                let tasks = figures.tasks.entry(township).or_default();
                tasks.0 += 1;
                tasks.1 += u64::from(!case.is_open());
                continue;
            }
            let cell = (township.clone(), category.clone());
            let village = (township.clone(), case.new.village.clone());
            figures.all.add(case, today);
            figures
                .townships
                .entry(township)
                .or_default()
                .add(case, today);
            figures
                .villages
                .entry(village)
                .or_default()
                .add(case, today);
            figures
                .categories
                .entry(category)
                .or_default()
                .add(case, today);
            figures.cells.entry(cell).or_default().add(case, today);
            let titles: BTreeSet<&str> = case
                .exhibits()
                .iter()
                .map(|e| e.register_title.as_str())
                .collect();
            for title in titles {
                figures
                    .registers
                    .entry(title.to_owned())
                    .or_default()
                    .add(case, today);
            }
        }
        figures
    }

    /// Categories in the order of the latest rules; what only earlier rules had comes last.
    pub fn in_order<'a>(&'a self, book: &'a Book) -> Vec<(&'a str, &'a Tally)> {
        let latest = book.taken.last().map(|taken| &taken.categories[..]);
        let place = |name: &str| {
            let order = latest.unwrap_or_default();
            order.iter().position(|c| c == name).unwrap_or(order.len())
        };
        let mut rows: Vec<(&str, &Tally)> = self
            .categories
            .iter()
            .map(|(name, tally)| (name.as_str(), tally))
            .collect();
        rows.sort_by_key(|(name, _)| place(name));
        rows
    }

    /// The figures as JSON, for whoever checks or goes on reckoning.
    pub fn plain(&self) -> serde_json::Value {
        let rows = |map: &BTreeMap<String, Tally>| -> Vec<Plain> {
            map.iter().map(|(name, tally)| plain(name, tally)).collect()
        };
        serde_json::json!({
            "all": plain("", &self.all),
            "categories": rows(&self.categories),
            "townships": rows(&self.townships),
            "registers": rows(&self.registers),
            "income_tasks": self.tasks,
            "kinds": self.kinds.iter().map(|(kind, tally)| plain(kind.en(), tally)).collect::<Vec<_>>(),
        })
    }
}

/// Township of a case as reports show it.
pub fn township_of(case: &Case) -> String {
    if case.new.township.is_empty() {
        "未注明".to_owned()
    } else {
        case.new.township.clone()
    }
}

#[derive(Serialize)]
struct Plain {
    name: String,
    cases: u64,
    stages: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<&'static str, u64>,
    measures: BTreeMap<&'static str, u64>,
    money: BTreeMap<&'static str, String>,
    overdue: u64,
    withdrawn: u64,
    objections: u64,
    objections_that_changed_something: u64,
}

fn plain(name: &str, tally: &Tally) -> Plain {
    let money = tally.measures.iter().filter(|(_, (_, fen))| *fen > 0);
    Plain {
        name: name.to_owned(),
        cases: tally.total(),
        stages: tally.stages.iter().map(|(s, n)| (s.en(), *n)).collect(),
        outcomes: tally.outcomes.iter().map(|(o, n)| (o.en(), *n)).collect(),
        measures: tally
            .measures
            .iter()
            .map(|(m, (n, _))| (m.en(), *n))
            .collect(),
        money: money.map(|(m, (_, fen))| (m.en(), yuan(*fen))).collect(),
        overdue: tally.overdue,
        withdrawn: tally.withdrawn,
        objections: tally.objections.0,
        objections_that_changed_something: tally.objections.1,
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn percentages_are_rounded_half_up() {
        for (part, whole, text) in [
            (1, 3, "33.3%"),
            (2, 3, "66.7%"),
            (1, 16, "6.3%"),
            (0, 5, "0.0%"),
            (5, 5, "100.0%"),
            (0, 0, "—"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }
}
