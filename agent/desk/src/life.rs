//! The life of a case (下发、签收、核查、认定、审核、告知、申辩、处理、销号). In: a case and the next event. Out: the case after it,
//! or why it cannot happen. Invariant: two people for every visit, two for every conclusion; no outcome without a
//! reason; nothing adverse before the household was told and could object; a contested case stands still.
//! Specification: docs/DESK.md, "Life of a case".

use crate::case::{Case, Document, Objection};
use crate::event::{Act, Body, Conclusion, Event, Visit};
use crate::refused::Refused;
use crate::terms::Terms;
use crate::words::{Answer, Kind, Measure, Outcome, Stage};

/// Shortest reason, in characters: enough that a word alone does not do.
const REASON_CHARS_MIN: usize = 4;
/// Longest text, in characters.
const TEXT_CHARS_MAX: usize = 4000;

/// What a case's next event is judged against.
pub struct Around<'a> {
    /// Terms in force.
    pub terms: &'a Terms,
    /// Name as the acting user signs it.
    pub title: &'a str,
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
        Body::Accepted { .. } => &[Assigned],
        Body::Visited { .. } => &[Assigned, Accepted, Visited, Disputed],
        Body::Computed { .. } => &[Issued, Assigned, Accepted, Visited, Disputed],
        Body::Concluded { .. } => &[Assigned, Accepted, Visited],
        Body::SentBack { .. } | Body::Approved { .. } => &[Concluded],
        Body::Told { .. } => &[Approved],
        Body::Objected { .. } => &[Told, Acted, Closed],
        Body::Settled { .. } => &[Disputed],
        Body::Acted { .. } => &[Approved, Told, Acted],
        Body::Closed { .. } => &[Approved, Acted],
        Body::Reopened { .. } => &[Closed],
        Body::Withdrawn { .. } => &[Issued, Assigned, Accepted, Visited],
        _ => Stage::ALL,
    }
}

fn check(case: &Case, event: &Event, around: &Around<'_>) -> Result<(), Refused> {
    if !stages(&event.body).contains(&case.stage) {
        return Err(Refused::new(
            format!(
                "{} 现为“{}”，不能“{}” it is {}, which does not allow this",
                case.number(),
                case.stage.zh(),
                event.body.zh(),
                case.stage.en()
            ),
            "用 `hedui-desk show 编号` 查看下一步 `hedui-desk show NUMBER` says what can follow",
        ));
    }
    match &event.body {
        Body::Assigned { township, .. } => text("乡镇 township", township, 1),
        Body::Accepted { who, day, .. } => {
            not_future(day.as_str(), event).and_then(|()| text("签收人 who", who, 1))
        }
        Body::Visited { visit, .. } => check_visit(case, visit, event),
        Body::Computed { form, result, .. } => {
            if case.new.kind != Kind::IncomeTask {
                return Err(Refused::new(
                    format!("{} 不是赡养费核算任务 is no income task", case.number()),
                    "只有赡养费核算任务填写此表 the form belongs to income tasks",
                ));
            }
            let expected = crate::income::compute(form, &around.terms.income)?;
            (expected == *result).then_some(()).ok_or_else(|| {
                Refused::new(
                    "核算结果与公式不符 the result is not what the formula gives",
                    "请重新填写 fill in the form again",
                )
            })
        }
        Body::Attached { name, sha256, .. } => {
            text("附件名 name", name, 1)?;
            let known = case.documents.iter().any(|d| d.sha256 == *sha256);
            (!known).then_some(()).ok_or_else(|| {
                Refused::new(
                    format!(
                        "{}: 该附件已登记 this document is filed already",
                        case.number()
                    ),
                    "无需重复登记 nothing is left to do",
                )
            })
        }
        Body::Noted { text: note, .. } => text("备注 note", note, 1),
        Body::Concluded { conclusion, .. } => check_conclusion(case, conclusion, around),
        Body::SentBack { reason, .. }
        | Body::Settled { reason, .. }
        | Body::Reopened { reason, .. }
        | Body::Withdrawn { reason, .. } => text("理由 reason", reason, REASON_CHARS_MIN),
        Body::Approved { reason, .. } => {
            text("审核意见 reason", reason, 1)?;
            check_second(case, event, around)
        }
        Body::Told {
            day, until, how, ..
        } => {
            let adverse = case
                .conclusion
                .as_ref()
                .is_some_and(|(c, _)| c.outcome.is_adverse());
            if !adverse || case.is_task() {
                return Err(Refused::new(
                    format!(
                        "{}: 该结论无需告知申辩 nothing adverse is to be told",
                        case.number()
                    ),
                    "可直接销号 it can be closed",
                ));
            }
            not_future(day.as_str(), event)?;
            let least = day.after(around.terms.days.objection);
            if *until < least {
                return Err(Refused::new(
                    format!(
                        "{}: 申辩期至少到 {least} the time to object is too short",
                        case.number()
                    ),
                    "请给足申辩天数 give the days that the terms name",
                ));
            }
            text("告知方式 how", how, 1)
        }
        Body::Objected {
            who, grounds, day, ..
        } => {
            not_future(day.as_str(), event)?;
            text("异议人 who", who, 1)?;
            text("异议理由 grounds", grounds, REASON_CHARS_MIN)
        }
        Body::Acted { act, .. } => check_act(case, act, event),
        Body::Closed { reason, .. } => check_closing(case, reason),
        _ => Ok(()),
    }
}

/// A text of a person: not blank, not endless.
fn text(what: &str, value: &str, least: usize) -> Result<(), Refused> {
    let chars = value.trim().chars().count();
    if chars < least {
        return Err(Refused::new(
            format!("{what} 未填或过短 is missing or too short (at least {least})"),
            "请写明情况 say what happened",
        ));
    }
    if chars > TEXT_CHARS_MAX {
        return Err(Refused::new(
            format!("{what} 过长 is longer than {TEXT_CHARS_MAX} characters"),
            "请改作附件 attach it as a document",
        ));
    }
    Ok(())
}

fn not_future(day: &str, event: &Event) -> Result<(), Refused> {
    if day > event.day().as_str() {
        return Err(Refused::new(
            "日期晚于今天 a day lies in the future",
            "请核对日期 check the day",
        ));
    }
    Ok(())
}

fn check_visit(case: &Case, visit: &Visit, event: &Event) -> Result<(), Refused> {
    let mut visitors: Vec<&str> = visit.visitors.iter().map(|name| name.trim()).collect();
    visitors.sort_unstable();
    visitors.dedup();
    if visitors.len() < 2 || visitors.iter().any(|name| name.is_empty()) {
        return Err(Refused::new(
            format!(
                "{}: 核查须两人以上 two different people must look into it",
                case.number()
            ),
            "请填写两名核查人 name both",
        ));
    }
    for name in visitors {
        text("核查人 visitor", name, 1)?;
    }
    not_future(visit.day.as_str(), event)?;
    if visit.day < case.begun {
        return Err(Refused::new(
            format!(
                "{}: 核查日期早于线索产生 the visit lies before the clue",
                case.number()
            ),
            "请核对日期 check the day",
        ));
    }
    text("核查情况 situation", &visit.situation, REASON_CHARS_MIN)
}

fn check_conclusion(
    case: &Case,
    conclusion: &Conclusion,
    around: &Around<'_>,
) -> Result<(), Refused> {
    let number = case.number();
    text("认定理由 reason", &conclusion.reason, REASON_CHARS_MIN)?;
    if case.is_task() {
        return case.income.is_some().then_some(()).ok_or_else(|| {
            Refused::new(
                format!("{number}: 赡养费核算表未填 the income form is not filled in"),
                "先用 `hedui-desk income` 填写 fill it in with `hedui-desk income` first",
            )
        });
    }
    if case.visits.is_empty() {
        return Err(Refused::new(
            format!("{number}: 尚未核查，不能认定 nobody has looked into it"),
            "先登记核查情况 record the visit first",
        ));
    }
    check_identity(case, conclusion)?;
    let terms = around.terms;
    for name in conclusion.answers.keys() {
        if !terms
            .questions(&case.new.category)
            .any(|q| q.name.as_str() == name)
        {
            return Err(Refused::new(
                format!("{number}: 本类别没有要点 {name} this category asks no such question"),
                "用 `hedui-desk show 编号` 查看要点 `hedui-desk show NUMBER` lists them",
            ));
        }
    }
    if !conclusion.outcome.is_adverse() {
        return Ok(());
    }
    for question in terms.questions(&case.new.category) {
        let given = conclusion.answers.get(question.name.as_str());
        if given.is_none_or(|answer| *answer == Answer::Unknown) {
            return Err(Refused::new(
                format!(
                    "{number}: 核实要点未答 the question {} is not answered",
                    question.name
                ),
                "要点全部答清后方可认定属实 answer every question before a clue is called true",
            ));
        }
        if conclusion.outcome == Outcome::Confirmed && given == Some(&question.disproved_by) {
            return Err(Refused::new(
                format!(
                    "{number}: 要点 {} 的回答排除“查实” its answer rules out `confirmed`",
                    question.name
                ),
                "请改为不属实或部分属实，或更正回答 conclude otherwise, or correct the answer",
            ));
        }
    }
    if around.income_is_open && terms.income.before.contains(&case.new.category) {
        return Err(Refused::new(
            format!("{number}: 本户赡养费核算未完成 an income task of this unit is not computed"),
            "先完成赡养费核算，再作认定 compute it first",
        ));
    }
    Ok(())
}

/// Whoever is not the registered person can have done nothing; a possible match is settled before anything else.
fn check_identity(case: &Case, conclusion: &Conclusion) -> Result<(), Refused> {
    let same = conclusion.same_person;
    if same == Answer::NotApplicable {
        return Err(Refused::new(
            format!(
                "{}: “是否本人”应答是、否或不清楚 whether it is the same person is yes, no or unknown",
                case.number()
            ),
            "请更正 correct it",
        ));
    }
    let open = same == Answer::Unknown && case.new.kind == Kind::Review;
    if conclusion.outcome.is_adverse() && (same == Answer::No || open) {
        return Err(Refused::new(
            format!(
                "{}: 身份未核实为同一人，不能认定属实 it is not the same person, or not known to be",
                case.number()
            ),
            "先核实比对登记是否为本人 settle the identity first",
        ));
    }
    Ok(())
}

/// The second person is neither who recorded the conclusion nor one of those who visited.
fn check_second(case: &Case, event: &Event, around: &Around<'_>) -> Result<(), Refused> {
    let recorded = case
        .conclusion
        .as_ref()
        .is_some_and(|(_, by)| *by == event.by);
    if recorded || case.was_visited_by(around.title) {
        return Err(Refused::new(
            format!(
                "{}: 认定和审核须为不同的人 who concluded or visited cannot approve",
                case.number()
            ),
            "请另一名审核人办理 another lead must do it",
        ));
    }
    Ok(())
}

fn check_act(case: &Case, act: &Act, event: &Event) -> Result<(), Refused> {
    let number = case.number();
    text("依据或说明 reason", &act.reason, REASON_CHARS_MIN)?;
    let outcome = case.conclusion.as_ref().map(|(c, _)| c.outcome);
    let allowed = match outcome {
        Some(Outcome::Confirmed) => true,
        Some(Outcome::Partly) => !matches!(act.measure, Measure::Cancel | Measure::Remove),
        _ => matches!(act.measure, Measure::Keep | Measure::Rectify),
    };
    if !allowed {
        return Err(Refused::new(
            format!(
                "{number}: 该结论不能“{}” the conclusion does not carry this",
                act.measure.zh()
            ),
            "取消、清退须查实；不属实、无法核实的只能保留或整改 see docs/DESK.md, Measures",
        ));
    }
    let money = matches!(act.measure, Measure::Reduce | Measure::Recover);
    if money != act.fen.is_some_and(|fen| fen > 0) {
        return Err(Refused::new(
            format!(
                "{number}: 减发、追缴须填金额，其他不填 an amount belongs to reduce and recover, to these alone"
            ),
            "请核对金额 check the amount",
        ));
    }
    let adverse = !matches!(act.measure, Measure::Keep | Measure::Rectify);
    let waited = case
        .objection_until
        .as_ref()
        .is_some_and(|until| event.day() > *until)
        || case
            .objections
            .iter()
            .any(|o| matches!(o.settled, Some((true, _))));
    if adverse && !(waited && case.stage != Stage::Approved) {
        return Err(Refused::new(
            format!(
                "{number}: 尚未告知或申辩期未满 the household was not told, or may still object"
            ),
            "先告知，申辩期满后再处理 tell it first and wait",
        ));
    }
    Ok(())
}

fn check_closing(case: &Case, reason: &str) -> Result<(), Refused> {
    text("销号说明 reason", reason, REASON_CHARS_MIN)?;
    let adverse = case
        .conclusion
        .as_ref()
        .is_some_and(|(c, _)| c.outcome.is_adverse());
    if adverse && !case.is_task() && case.acts.is_empty() {
        return Err(Refused::new(
            format!(
                "{}: 尚无处理措施，不能销号 no measure was taken",
                case.number()
            ),
            "先登记处理情况 record the measure first",
        ));
    }
    Ok(())
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
        }
        Body::NotFound { period, .. } => case.not_found.push(period.clone()),
        Body::Assigned { township, due, .. } => {
            case.new.township.clone_from(township);
            case.due = Some(due.clone());
            case.stage = Stage::Assigned;
            case.accepted = None;
        }
        Body::Accepted { day, who, .. } => {
            case.accepted = Some((day.clone(), who.clone()));
            case.stage = Stage::Accepted;
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
            case.stage = Stage::Concluded;
        }
        Body::SentBack { .. } => {
            case.conclusion = None;
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
                from: case.stage,
                settled: None,
            });
            case.closed = None;
            case.stage = Stage::Disputed;
        }
        Body::Settled { upheld, reason, .. } => settle(case, *upheld, reason, event, around),
        Body::Acted { act, .. } => {
            case.acts.push(act.clone());
            case.stage = Stage::Acted;
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
            Stage::Closed if case.acts.is_empty() => Stage::Approved,
            Stage::Closed => Stage::Acted,
            other => other,
        };
        case.due = Some(event.day().after(around.terms.days.act));
    } else {
        back_to_work(case, event, around);
    }
}

/// Everything that followed from the conclusion waits for a new one; measures that were taken stay recorded.
fn back_to_work(case: &mut Case, event: &Event, around: &Around<'_>) {
    case.conclusion = None;
    case.approved = None;
    case.objection_until = None;
    case.closed = None;
    case.withdrawn = false;
    case.due = Some(event.day().after(around.terms.days.visit));
    case.stage = if case.visits.is_empty() && case.income.is_none() {
        Stage::Accepted
    } else {
        Stage::Visited
    };
}
