//! A case. In: the events that name it. Out: where it stands, what is known, by when something is due.
//! Invariant: changed by [`crate::life`] alone; holds no fact that is not in its history.
//! One case is one benefit unit × one category × one period.
//! Specification: docs/DESK.md, "Life of a case".

use hedui_protocol::ids::Name;

use crate::day::Day;
use crate::event::{Act, Conclusion, NewCase, Visit};
use crate::handover::Exhibit;
use crate::income::{Contribution, IncomeForm};
use crate::words::{Kind, Measure, Outcome, Stage};

/// An objection.
#[derive(Clone)]
pub struct Objection {
    /// When.
    pub day: Day,
    /// Who objected, as it is written on the objection.
    pub who: String,
    /// Why.
    pub grounds: String,
    /// Round of conclusions that it contests.
    pub round: u32,
    /// Where the case stood.
    pub from: Stage,
    /// Whether the conclusion was upheld, and why; `None` while it is open.
    pub settled: Option<(bool, String)>,
}

/// A document that was filed.
#[derive(Clone)]
pub struct Document {
    /// File name.
    pub name: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// A case.
#[derive(Clone)]
pub struct Case {
    /// What it began with; kind and evidence as they stand now.
    pub new: NewCase,
    /// Where it stands.
    pub stage: Stage,
    /// Number of the last event that changed what a township's sheet shows or fills in.
    pub version: u64,
    /// Positions of its events in the history.
    pub events: Vec<u64>,
    /// Day on which it began.
    pub begun: Day,
    /// Until when it is to be looked into.
    pub due: Option<Day>,
    /// Who confirmed receipt, and when.
    pub accepted: Option<(Day, String)>,
    /// Visits.
    pub visits: Vec<Visit>,
    /// The form of an income task, and what follows.
    pub income: Option<(IncomeForm, Contribution)>,
    /// Documents.
    pub documents: Vec<Document>,
    /// Remarks.
    pub notes: Vec<String>,
    /// The conclusion and who recorded it.
    pub conclusion: Option<(Conclusion, Name)>,
    /// Day of approval and who approved.
    pub approved: Option<(Day, Name)>,
    /// Until when the household may object.
    pub objection_until: Option<Day>,
    /// Objections.
    pub objections: Vec<Objection>,
    /// Measures, each with the round of conclusions that it belongs to.
    pub acts: Vec<(u32, Act)>,
    /// Round of conclusions: it grows when a conclusion falls.
    pub round: u32,
    /// Evidence on which the conclusion rests.
    pub judged: Option<Vec<Exhibit>>,
    /// Day of closing.
    pub closed: Option<Day>,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
    /// Last period that holds it.
    pub last_found: String,
    /// Later periods that hold it, and whether the evidence changed.
    pub found_again: Vec<(String, bool)>,
    /// Periods that do not hold it any more.
    pub not_found: Vec<String>,
}

impl Case {
    /// A case as it begins.
    pub fn begin(new: NewCase, seq: u64, day: Day) -> Self {
        Self {
            last_found: new.period.clone(),
            new,
            stage: Stage::Issued,
            version: seq,
            events: vec![seq],
            begun: day,
            due: None,
            accepted: None,
            visits: Vec::new(),
            income: None,
            documents: Vec::new(),
            notes: Vec::new(),
            conclusion: None,
            approved: None,
            objection_until: None,
            objections: Vec::new(),
            acts: Vec::new(),
            round: 0,
            judged: None,
            closed: None,
            withdrawn: false,
            found_again: Vec::new(),
            not_found: Vec::new(),
        }
    }

    /// Number.
    pub fn number(&self) -> &str {
        &self.new.number
    }

    /// Whether work is still to be done.
    pub fn is_open(&self) -> bool {
        self.stage != Stage::Closed
    }

    /// Evidence.
    pub fn exhibits(&self) -> &[Exhibit] {
        &self.new.exhibits
    }

    /// Whether its latest comparison does not hold it any more.
    pub fn is_gone(&self) -> bool {
        self.not_found
            .last()
            .is_some_and(|period| *period > self.last_found)
    }

    /// Whether it has been lying longer than the terms allow.
    pub fn is_overdue(&self, today: &Day) -> bool {
        let waits = !matches!(self.stage, Stage::Issued | Stage::Acted | Stage::Closed);
        waits && self.due.as_ref().is_some_and(|due| today > due)
    }

    /// Whether a person who signs as `title` looked into it.
    pub fn was_visited_by(&self, title: &str) -> bool {
        self.visits
            .iter()
            .any(|visit| visit.visitors.iter().any(|name| same_name(name, title)))
    }

    /// Measures that follow from the present conclusion.
    pub fn acts_now(&self) -> impl Iterator<Item = &Act> {
        self.acts
            .iter()
            .filter(|(round, _)| *round == self.round)
            .map(|(_, act)| act)
    }

    /// Whether a conclusion that fell had taken something away that nobody has given back since.
    pub fn owes_restoring(&self) -> bool {
        let last = self
            .acts
            .iter()
            .rposition(|(_, act)| act.measure == Measure::Restore);
        let since = self.acts.iter().skip(last.map_or(0, |at| at + 1));
        let mut fallen =
            since.filter(|(round, act)| *round < self.round && act.measure.is_adverse());
        // A new conclusion may carry the same measure; only what it could not carry must go back.
        let ends = |measure: Measure| matches!(measure, Measure::Cancel | Measure::Remove);
        match self.conclusion.as_ref().map(|(c, _)| c.outcome) {
            Some(Outcome::Confirmed) => false,
            Some(Outcome::Partly) => fallen.any(|(_, act)| ends(act.measure)),
            _ => fallen.next().is_some(),
        }
    }

    /// Whether there is something to give back at all.
    pub fn has_fallen_acts(&self) -> bool {
        self.acts
            .iter()
            .any(|(round, act)| *round < self.round && act.measure.is_adverse())
    }

    /// Whether a later comparison brought other evidence than the conclusion rests on.
    pub fn is_evidence_newer(&self) -> bool {
        self.judged
            .as_ref()
            .is_some_and(|judged| !crate::handover::same(judged, self.exhibits()))
    }

    /// Whether the household was told of the present conclusion, and its time to object is over on `day` or its objection
    /// was settled against it.
    pub fn may_follow(&self, day: &Day) -> bool {
        let upheld = |o: &Objection| o.round == self.round && matches!(o.settled, Some((true, _)));
        self.objection_until
            .as_ref()
            .is_some_and(|until| day > until || self.objections.iter().any(upheld))
    }

    /// Whether it is a task, not a suspicion.
    pub fn is_task(&self) -> bool {
        self.new.kind == Kind::IncomeTask
    }
}

/// Whether two names are one person's: spaces that people put between two characters do not count.
pub fn same_name(left: &str, right: &str) -> bool {
    plain_name(left) == plain_name(right)
}

/// A name without any space.
pub fn plain_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).collect()
}
