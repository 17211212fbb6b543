//! From a filled-in sheet to events. In: rows and the book. Out: what was recorded, what was refused, what conflicts.
//! Invariant: a row is taken whole or not at all; a sheet read twice changes nothing the second time; what happened to a
//! case since the sheet was made, other than what the sheet itself says, is a conflict unless the row is asked for.
//! Specification: docs/DESK.md, "Township sheets".

use std::collections::BTreeSet;

use hedui_edge::Problem;

use super::read::{Filled, Form, Row};
use super::{CASES, Column, TASKS};
use crate::case::Case;
use crate::day::Day;
use crate::event::{Body, Conclusion, Event, Visit};
use crate::history::{Actor, Desk, Session};
use crate::income::{Contribution, IncomeForm, compute};
use crate::money::read_yuan;
use crate::terms::Terms;
use crate::words::{Answer, Measure, Method, Outcome};

/// A row that was not taken.
pub struct Trouble {
    /// Sheet.
    pub sheet: &'static str,
    /// Row, from 1.
    pub row: usize,
    /// Number of the case, or the column that cannot be read.
    pub what: String,
    /// Why.
    pub why: String,
    /// Whether the desk knows something newer.
    pub conflict: bool,
}

/// What became of a sheet.
#[derive(Default)]
pub struct Report {
    /// Rows of which something new was recorded.
    pub applied: u64,
    /// Rows that say nothing new.
    pub known: u64,
    /// Rows that were not taken.
    pub troubles: Vec<Trouble>,
}

/// Records what a sheet says, in one transaction. Rows in `forced` are taken in spite of a conflict.
pub fn take(
    desk: &mut Desk,
    actor: &Actor,
    filled: Filled,
    digest: &str,
    forced: &BTreeSet<String>,
) -> Result<Report, Problem> {
    let mut report = Report::default();
    for unread in &filled.unread {
        report.troubles.push(Trouble {
            sheet: unread.sheet,
            row: unread.row,
            what: unread.column.clone(),
            why: unread.why.to_owned(),
            conflict: false,
        });
    }
    // Judged within the transaction: what another process added meanwhile counts.
    desk.session(actor, |session| {
        let by = &actor.identity.card().name;
        for row in &filled.rows {
            let bodies = match plan(session, row, forced)? {
                Ok(bodies) => bodies,
                Err((why, conflict)) => {
                    report.troubles.push(trouble(row, why, conflict));
                    continue;
                }
            };
            if bodies.is_empty() {
                report.known += 1;
                continue;
            }
            match session
                .book()
                .would_accept(&row.number, &bodies, by, &actor.now)
            {
                Err(refused) => report.troubles.push(trouble(row, refused.what, false)),
                Ok(()) => {
                    for body in bodies {
                        session.must(body)?;
                    }
                    report.applied += 1;
                }
            }
        }
        let conflicts = report.troubles.iter().filter(|t| t.conflict).count() as u64;
        session.must(Body::SheetTaken {
            digest: digest.to_owned(),
            applied: report.applied,
            refused: report.troubles.len() as u64 - conflicts,
            conflicts,
        })
    })?;
    report
        .troubles
        .sort_by_key(|trouble| (trouble.sheet, trouble.row));
    Ok(report)
}

fn trouble(row: &Row, why: String, conflict: bool) -> Trouble {
    Trouble {
        sheet: match row.form {
            Form::Case => CASES,
            Form::Task => TASKS,
        },
        row: row.row,
        what: row.number.clone(),
        // A refusal names the case itself; the list does already.
        why: match why.strip_prefix(&format!("{}: ", row.number)) {
            Some(rest) => rest.to_owned(),
            None => why,
        },
        conflict,
    }
}

type Planned = Result<Vec<Body>, (String, bool)>;

/// What a row adds to its case.
fn plan(session: &Session<'_>, row: &Row, forced: &BTreeSet<String>) -> Result<Planned, Problem> {
    let Some(case) = session.book().cases.get(&row.number) else {
        return Ok(Err((
            "台账中没有这条线索 the desk has no such case".to_owned(),
            false,
        )));
    };
    let said = match Said::read(row, &session.book().terms, case) {
        Ok(said) => said,
        Err(why) => return Ok(Err((why, false))),
    };
    let bodies = said.new_to(case, &row.number);
    if bodies.is_empty() || forced.contains(&row.number) {
        return Ok(Ok(bodies));
    }
    let since: Vec<u64> = case
        .events
        .iter()
        .copied()
        .filter(|seq| *seq > row.version)
        .collect();
    let events = session.events(&since)?;
    let others: Vec<&Event> = events
        .iter()
        .filter(|event| !said.explains(&event.body))
        .collect();
    if others.is_empty() {
        return Ok(Ok(bodies));
    }
    let what: Vec<String> = others
        .iter()
        .map(|event| format!("{}（{}）", event.body.zh(), event.day()))
        .collect();
    Ok(Err((
        format!(
            "核查表发出后，台账已有变化 the desk has changed since: {}",
            what.join("、")
        ),
        true,
    )))
}

/// What a row says, in the desk's own terms.
struct Said {
    accepted: Option<(Day, String)>,
    visit: Option<Visit>,
    income: Option<(IncomeForm, Contribution)>,
    conclusion: Option<Conclusion>,
    notes: Vec<String>,
    /// Township that has the case now.
    township: String,
}

impl Said {
    fn read(row: &Row, terms: &Terms, case: &Case) -> Result<Self, String> {
        let cell = |column: Column| row.cells.get(&column).cloned();
        let day = |column: Column| cell(column).and_then(|text| Day::read(&text));
        let accepted = match (day(Column::AcceptedOn), cell(Column::AcceptedBy)) {
            (Some(day), Some(who)) => Some((day, who)),
            (None, None) => None,
            _ => return Err("签收人和签收日期须同时填写 who and when belong together".to_owned()),
        };
        let mut notes: Vec<String> = cell(Column::Note).into_iter().collect();
        let conclusion = Self::conclusion(row)?;
        if conclusion.is_none()
            && let Some(said) = cell(Column::SamePerson)
        {
            notes.push(format!("{}（未认定）：{said}", Column::SamePerson.head()));
        }
        for column in [Column::Proposal, Column::OverdrawnMonths] {
            if conclusion.is_none()
                && let Some(said) = cell(column)
            {
                notes.push(format!("{}（未认定）：{said}", column.head()));
            }
        }
        if conclusion.is_none() && !row.answers.is_empty() {
            let answers: Vec<String> = row
                .answers
                .iter()
                .map(|(question, answer)| format!("{question}：{}", answer.zh()))
                .collect();
            notes.push(format!("核实要点（未认定）{}", answers.join("；")));
        }
        Ok(Self {
            accepted,
            visit: Self::visit(row)?,
            income: Self::income(row, terms)?,
            conclusion,
            notes,
            township: case.new.township.clone(),
        })
    }

    fn visit(row: &Row) -> Result<Option<Visit>, String> {
        let columns = [
            Column::VisitedOn,
            Column::Method,
            Column::VisitorA,
            Column::VisitorB,
            Column::Situation,
        ];
        let Some(cells) = all_or_none(row, &columns)? else {
            return Ok(None);
        };
        let method = Method::read(&cells[1]).ok_or_else(|| in_list(Column::Method))?;
        let day = Day::read(&cells[0]).ok_or_else(|| in_list(Column::VisitedOn))?;
        Ok(Some(Visit {
            day,
            method,
            visitors: vec![cells[2].clone(), cells[3].clone()],
            situation: cells[4].clone(),
        }))
    }

    fn income(row: &Row, terms: &Terms) -> Result<Option<(IncomeForm, Contribution)>, String> {
        let columns = [
            Column::Persons,
            Column::Income,
            Column::Supported,
            Column::Source,
        ];
        let Some(cells) = all_or_none(row, &columns)? else {
            return Ok(None);
        };
        let number = |at: usize| {
            cells[at]
                .parse()
                .map_err(|_| format!("“{}”不是整数 is no whole number", columns[at].head()))
        };
        let form = IncomeForm {
            persons: number(0)?,
            income_fen: read_yuan(&cells[1])
                .ok_or_else(|| format!("“{}”不是金额 is no amount", Column::Income.head()))?,
            supported: number(2)?,
            source: cells[3].clone(),
        };
        let result = compute(&form, &terms.income).map_err(|refused| refused.what)?;
        Ok(Some((form, result)))
    }

    fn conclusion(row: &Row) -> Result<Option<Conclusion>, String> {
        let Some(cells) = all_or_none(row, &[Column::Outcome, Column::Reason])? else {
            return Ok(None);
        };
        let same_person = match row.cells.get(&Column::SamePerson) {
            None => Answer::Unknown,
            Some(text) => Answer::read(text).ok_or_else(|| in_list(Column::SamePerson))?,
        };
        Ok(Some(Conclusion {
            outcome: Outcome::read(&cells[0]).ok_or_else(|| in_list(Column::Outcome))?,
            reason: cells[1].clone(),
            same_person,
            answers: row.answers.clone(),
            proposal: match row.cells.get(&Column::Proposal) {
                None => None,
                Some(text) => Some(Measure::read(text).ok_or_else(|| in_list(Column::Proposal))?),
            },
            overdrawn_months: match row.cells.get(&Column::OverdrawnMonths) {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| {
                    let head = Column::OverdrawnMonths.head();
                    format!("“{head}”不是整数 is no whole number")
                })?),
            },
        }))
    }

    /// Events that record what the case does not hold yet.
    fn new_to(&self, case: &Case, number: &str) -> Vec<Body> {
        let number = number.to_owned();
        let mut bodies = Vec::new();
        if let Some((day, who)) = &self.accepted
            && case.accepted.as_ref() != self.accepted.as_ref()
        {
            bodies.push(Body::Accepted {
                number: number.clone(),
                day: day.clone(),
                who: who.clone(),
            });
        }
        if let Some(visit) = &self.visit
            && !case.visits.contains(visit)
        {
            bodies.push(Body::Visited {
                number: number.clone(),
                visit: visit.clone(),
            });
        }
        if let Some((form, result)) = &self.income
            && case.income.as_ref().map(|(known, _)| known) != Some(form)
        {
            bodies.push(Body::Computed {
                number: number.clone(),
                form: form.clone(),
                result: result.clone(),
            });
        }
        for text in self.notes.iter().filter(|text| !case.notes.contains(text)) {
            bodies.push(Body::Noted {
                number: number.clone(),
                text: text.clone(),
            });
        }
        if let Some(conclusion) = &self.conclusion
            && case.conclusion.as_ref().map(|(known, _)| known) != Some(conclusion)
        {
            bodies.push(Body::Concluded {
                number,
                conclusion: conclusion.clone(),
            });
        }
        bodies
    }

    /// Whether an event since the sheet was made is only what the sheet itself says, or changes nothing on it.
    fn explains(&self, body: &Body) -> bool {
        match body {
            Body::Accepted { day, who, .. } => self
                .accepted
                .as_ref()
                .is_some_and(|(d, w)| d == day && w == who),
            Body::Visited { visit, .. } => self.visit.as_ref() == Some(visit),
            Body::Computed { form, .. } => self.income.as_ref().is_some_and(|(f, _)| f == form),
            Body::Concluded { conclusion, .. } => self.conclusion.as_ref() == Some(conclusion),
            Body::FoundAgain { changed, .. } => changed.is_none(),
            Body::Noted { .. } | Body::Attached { .. } | Body::NotFound { .. } => true,
            // Handed down again to the same township, with another day.
            Body::Assigned { township, .. } => *township == self.township,
            _ => false,
        }
    }
}

fn in_list(column: Column) -> String {
    format!("“{}”请从列表中选择 choose from the list", column.head())
}

/// The cells of a group, if any is filled in; then all must be.
fn all_or_none(row: &Row, columns: &[Column]) -> Result<Option<Vec<String>>, String> {
    let cells: Vec<Option<&String>> = columns.iter().map(|column| row.cells.get(column)).collect();
    if cells.iter().all(Option::is_none) {
        return Ok(None);
    }
    let missing: Vec<&str> = columns
        .iter()
        .zip(&cells)
        .filter(|(_, cell)| cell.is_none())
        .map(|(column, _)| column.head())
        .collect();
    if missing.is_empty() {
        return Ok(Some(cells.into_iter().flatten().cloned().collect()));
    }
    Err(format!("未填 missing: {}", missing.join("、")))
}
