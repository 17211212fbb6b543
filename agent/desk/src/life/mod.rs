//! The life of a case (下发、签收、核查、认定、审核、告知、申辩、处理、销号). In: a case and the next event. Out: the case after it,
//! or why it cannot happen. Invariant: two people for every visit, two for every conclusion; no outcome without a
//! reason; nothing adverse before the household was told and could object; a contested case stands still.
//! Specification: docs/DESK.md, "Life of a case".

mod check;

use hedui_protocol::ids::Name;

use check::check;

use crate::case::{Case, Document, Objection};
use crate::event::{Body, Event};
use crate::refused::Refused;
use crate::terms::Terms;
use crate::words::{Measure, Stage};

/// What a case's next event is judged against.
pub struct Around<'a> {
    /// Terms in force.
    pub terms: &'a Terms,
    /// Name as the acting user signs it.
    pub title: &'a str,
    /// Which user a name stands for: the first of those who are one person.
    pub person: &'a dyn Fn(&Name) -> Name,
    /// Whether an income task of the same unit is not computed yet.
    pub income_is_open: bool,
}

/// Applies an event to its case; on refusal the case is as before.
pub fn apply(case: &mut Case, event: &Event, around: &Around<'_>) -> Result<(), Refused> {
    check(case, event, around)?;
    change(case, event, around);
    case.events.push(event.seq);
    Ok(())
}

/// Whether an event's body asks for somebody who approves.
pub const fn needs_lead(body: &Body) -> bool {
    matches!(
        body,
        Body::Approved { .. }
            | Body::SentBack { .. }
            | Body::Settled { .. }
            | Body::Reopened { .. }
            | Body::Withdrawn { .. }
            | Body::UserAdded { .. }
            | Body::UserEnded { .. }
            | Body::TermsSet { .. }
    )
}

/// Stages in which an event may happen.
const fn stages(body: &Body) -> &'static [Stage] {
    use Stage::{
        Accepted, Acted, Approved, Assigned, Closed, Concluded, Disputed, Issued, Told, Visited,
    };
    match body {
        Body::Assigned { .. } => &[Issued, Assigned, Accepted],
        Body::Accepted { .. } => &[Assigned, Accepted, Visited],
        Body::Visited { .. } => &[Assigned, Accepted, Visited, Disputed],
        Body::Computed { .. } => &[Issued, Assigned, Accepted, Visited, Disputed],
        Body::Concluded { .. } => &[Assigned, Accepted, Visited],
        Body::SentBack { .. } => &[Concluded, Approved, Told, Acted],
        Body::Approved { .. } => &[Concluded],
        Body::Told { .. } => &[Approved],
        Body::Objected { .. } => &[Told, Acted, Closed],
        Body::Settled { .. } => &[Disputed],
        Body::Acted { act, .. } if matches!(act.measure, Measure::Restore) => {
            &[Visited, Approved, Told, Acted]
        }
        Body::Acted { .. } => &[Approved, Told, Acted],
        Body::Closed { .. } => &[Approved, Told, Acted],
        Body::Reopened { .. } => &[Closed],
        Body::Withdrawn { .. } => &[Issued, Assigned, Accepted, Visited],
        _ => Stage::ALL,
    }
}

fn change(case: &mut Case, event: &Event, around: &Around<'_>) {
    let mut matters = true;
    match &event.body {
        Body::FoundAgain {
            period,
            kind,
            changed,
            ..
        } => {
            case.last_found.clone_from(period);
            case.found_again.push((period.clone(), changed.is_some()));
            matters = changed.is_some();
            if let Some(exhibits) = changed {
                case.new.exhibits.clone_from(exhibits);
            }
            case.new.kind = *kind;
            // Nobody has approved it yet: it is concluded again on what is known now.
            if case.stage == Stage::Concluded && case.is_evidence_newer() {
                fall(case);
                case.stage = Stage::Visited;
            }
        }
        Body::NotFound { period, .. } => {
            matters = false;
            case.not_found.push(period.clone());
        }
        Body::Assigned { township, due, .. } => {
            case.new.township.clone_from(township);
            case.due = Some(due.clone());
            case.stage = Stage::Assigned;
            case.accepted = None;
        }
        Body::Accepted { day, who, .. } => {
            case.accepted = Some((day.clone(), who.clone()));
            if case.stage == Stage::Assigned {
                case.stage = Stage::Accepted;
            }
        }
        Body::Visited { visit, .. } => {
            case.visits.push(visit.clone());
            if case.stage != Stage::Disputed {
                case.stage = Stage::Visited;
            }
        }
        Body::Computed { form, result, .. } => {
            case.income = Some((form.clone(), result.clone()));
            if case.stage != Stage::Disputed {
                case.stage = Stage::Visited;
            }
        }
        Body::Attached { name, sha256, .. } => {
            matters = false;
            case.documents.push(Document {
                name: name.clone(),
                sha256: sha256.clone(),
            });
        }
        Body::Noted { text, .. } => {
            matters = false;
            case.notes.push(text.clone());
        }
        Body::Concluded { conclusion, .. } => {
            case.conclusion = Some((conclusion.clone(), event.by.clone()));
            case.judged = Some(case.new.exhibits.clone());
            case.stage = Stage::Concluded;
        }
        Body::SentBack { .. } => {
            fall(case);
            case.stage = Stage::Visited;
            case.due = Some(event.day().after(around.terms.days.visit));
        }
        Body::Approved { .. } => {
            case.approved = Some((event.day(), event.by.clone()));
            case.due = Some(event.day().after(around.terms.days.act));
            case.stage = Stage::Approved;
        }
        Body::Told { until, .. } => {
            case.objection_until = Some(until.clone());
            case.due = Some(until.after(around.terms.days.act));
            case.stage = Stage::Told;
        }
        Body::Objected {
            day, who, grounds, ..
        } => {
            case.objections.push(Objection {
                day: day.clone(),
                who: who.clone(),
                grounds: grounds.clone(),
                round: case.round,
                from: case.stage,
                settled: None,
            });
            case.closed = None;
            case.stage = Stage::Disputed;
        }
        Body::Settled { upheld, reason, .. } => settle(case, *upheld, reason, event, around),
        Body::Acted { act, .. } => {
            case.acts.push((case.round, act.clone()));
            let untold = case
                .conclusion
                .as_ref()
                .is_some_and(|(c, _)| c.outcome.is_adverse())
                && case.objection_until.is_none();
            // What is not adverse may be done at once; the household is told all the same.
            let waits = case.stage == Stage::Visited || (untold && case.stage == Stage::Approved);
            if !waits {
                case.stage = Stage::Acted;
            }
        }
        Body::Closed { .. } => close(case, event),
        Body::Reopened { .. } => back_to_work(case, event, around),
        Body::Withdrawn { .. } => {
            case.withdrawn = true;
            close(case, event);
        }
        _ => matters = false,
    }
    if matters {
        case.version = event.seq;
    }
}

fn close(case: &mut Case, event: &Event) {
    case.closed = Some(event.day());
    case.stage = Stage::Closed;
}

fn settle(case: &mut Case, upheld: bool, reason: &str, event: &Event, around: &Around<'_>) {
    let Some(objection) = case.objections.last_mut() else {
        return;
    };
    objection.settled = Some((upheld, reason.to_owned()));
    let from = objection.from;
    if upheld {
        // Back to where it stood; what was closed is to be closed again, after a look at what was done.
        case.stage = match from {
            Stage::Closed if case.acts_now().next().is_none() => Stage::Approved,
            Stage::Closed => Stage::Acted,
            other => other,
        };
        case.due = Some(event.day().after(around.terms.days.act));
    } else {
        back_to_work(case, event, around);
    }
}

/// The conclusion falls, and what followed from it with it; measures that were taken stay recorded, under its round.
fn fall(case: &mut Case) {
    case.conclusion = None;
    case.judged = None;
    case.approved = None;
    case.objection_until = None;
    case.round += 1;
}

/// Back to where people look into it.
fn back_to_work(case: &mut Case, event: &Event, around: &Around<'_>) {
    fall(case);
    case.closed = None;
    case.withdrawn = false;
    case.due = Some(event.day().after(around.terms.days.visit));
    case.stage = if case.visits.is_empty() && case.income.is_none() {
        Stage::Accepted
    } else {
        Stage::Visited
    };
}
