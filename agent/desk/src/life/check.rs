//! What an event must fulfil. In: a case, the event, the terms, who acts. Out: nothing, or why it cannot happen.
//! Invariant: judges and changes nothing; refusals name the case's number, the question or the column, never a person.
//! Specification: docs/DESK.md, "Life of a case", "Measures".

use super::{Around, stages};
use crate::case::{Case, plain_name};
use crate::event::{Act, Body, Conclusion, Event, Visit};
use crate::refused::Refused;
use crate::words::{Answer, Kind, Measure, Outcome, Stage};

/// Shortest reason, in characters: enough that a word alone does not do.
const REASON_CHARS_MIN: usize = 4;
/// Longest text, in characters.
const TEXT_CHARS_MAX: usize = 4000;

pub(super) fn check(case: &Case, event: &Event, around: &Around<'_>) -> Result<(), Refused> {
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
        Body::SentBack { reason, .. } => {
            text("理由 reason", reason, REASON_CHARS_MIN)?;
            if case.stage == Stage::Concluded || case.is_evidence_newer() {
                return Ok(());
            }
            Err(Refused::new(
                format!(
                    "{}: 审核后比对情况未变 nothing has changed since it was approved",
                    case.number()
                ),
                "当事人有异议的用 object 登记 record an objection with `object`",
            ))
        }
        Body::Reopened { reason, .. } => text("理由 reason", reason, REASON_CHARS_MIN),
        Body::Withdrawn { reason, .. } => {
            text("理由 reason", reason, REASON_CHARS_MIN)?;
            if case.owes_restoring() {
                return Err(not_restored(case));
            }
            case.is_gone().then_some(()).ok_or_else(|| {
                Refused::new(
                    format!(
                        "{}: 最近一期仍有此线索，不能撤回 the latest comparison still holds it",
                        case.number()
                    ),
                    "请核查后认定；登记有误的认定为不属实 look into it and conclude",
                )
            })
        }
        Body::Settled { reason, .. } => {
            text("理由 reason", reason, REASON_CHARS_MIN)?;
            check_second(case, event, around)
        }
        Body::Approved { reason, .. } => {
            text("审核意见 reason", reason, 1)?;
            check_second(case, event, around)?;
            // What was concluded is judged again: terms, evidence or an income task may have changed meanwhile.
            match &case.conclusion {
                Some((conclusion, _)) => check_conclusion(case, conclusion, around),
                None => Ok(()),
            }
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
            if case
                .approved
                .as_ref()
                .is_none_or(|(approved, _)| day < approved)
            {
                return Err(Refused::new(
                    format!(
                        "{}: 告知日期早于审核 it was told before it was approved",
                        case.number()
                    ),
                    "请核对日期 check the day",
                ));
            }
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
            if case.conclusion.is_none() {
                return Err(Refused::new(
                    format!(
                        "{}: 没有认定结果可以异议 there is no conclusion to object to",
                        case.number()
                    ),
                    "需要重新核查的用 reopen use `reopen` to look into it again",
                ));
            }
            text("异议人 who", who, 1)?;
            text("异议理由 grounds", grounds, REASON_CHARS_MIN)
        }
        Body::Acted { act, .. } => check_act(case, act, event),
        Body::Closed { reason, .. } => check_closing(case, reason, event),
        _ => Ok(()),
    }
}

/// A text of a person: not blank, not endless.
fn text(what: &str, value: &str, least: usize) -> Result<(), Refused> {
    let chars = value.trim().chars().count();
    if chars < least {
        return Err(Refused::new(
            format!(
                "{what} 未填或过短（至少 {least} 个字） is missing or too short (at least {least} characters)"
            ),
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
    let mut visitors: Vec<String> = visit.visitors.iter().map(|name| plain_name(name)).collect();
    visitors.sort_unstable();
    visitors.dedup();
    if visitors.len() < 2 || visitors.iter().any(String::is_empty) {
        return Err(Refused::new(
            format!(
                "{}: 核查须两名以上工作人员 two different people must look into it",
                case.number()
            ),
            "请填写两名核查人 name both",
        ));
    }
    for name in &visitors {
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
    check_proposal(case, conclusion)?;
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
                "要点全部答清后方可认定查实或部分属实 answer every question before a clue is called true",
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

/// Most months of a benefit that can have been drawn without a claim to it.
const OVERDRAWN_MONTHS_MAX: u32 = 600;

/// What is proposed must be able to follow from the outcome.
fn check_proposal(case: &Case, conclusion: &Conclusion) -> Result<(), Refused> {
    let fits = |measure: Measure| match measure {
        Measure::Cancel | Measure::Remove => conclusion.outcome == Outcome::Confirmed,
        Measure::Reduce | Measure::Recover | Measure::HandOver => conclusion.outcome.is_adverse(),
        Measure::Rectify | Measure::Keep => true,
        Measure::Restore => false,
    };
    let is_fit = conclusion.proposal.is_none_or(fits);
    let months = conclusion.overdrawn_months;
    let is_counted = months.is_none_or(|months| {
        conclusion.outcome.is_adverse() && (1..=OVERDRAWN_MONTHS_MAX).contains(&months)
    });
    if !is_counted {
        return Err(Refused::new(
            format!(
                "{}: 超领月数须为 1 至 600 的整数，且限于查实、部分属实 months overdrawn are 1 to 600, of a conclusion that is true or partly",
                case.number()
            ),
            "没有超领的不填 leave it out where there are none",
        ));
    }
    if is_fit {
        return Ok(());
    }
    Err(Refused::new(
        format!(
            "{}: 处理建议与认定结果不符 the proposal does not follow from the outcome",
            case.number()
        ),
        "取消、清退须认定查实；减发、追缴、移交须认定查实或部分属实 cancel and remove need `confirmed`; reduce, recover and hand-over \
         `confirmed` or `partly`",
    ))
}

/// Whoever is not the registered person can have done nothing; a possible match is settled before anything else.
fn check_identity(case: &Case, conclusion: &Conclusion) -> Result<(), Refused> {
    let same = conclusion.same_person;
    if same == Answer::NotApplicable {
        return Err(Refused::new(
            format!(
                "{}: “是否同一人”只能填“是”“否”或“不清楚” whether it is the same person is yes, no or unknown",
                case.number()
            ),
            "请更正 correct it",
        ));
    }
    let open = same == Answer::Unknown && case.new.kind == Kind::Review;
    if conclusion.outcome.is_adverse() && (same == Answer::No || open) {
        return Err(Refused::new(
            format!(
                "{}: 身份未核实为同一人，不能认定查实或部分属实 it is not the same person, or not known to be",
                case.number()
            ),
            "先核实是否为同一人 settle the identity first",
        ));
    }
    Ok(())
}

/// The second person is neither who recorded the conclusion, under whatever user, nor one of those who visited.
fn check_second(case: &Case, event: &Event, around: &Around<'_>) -> Result<(), Refused> {
    let acting = (around.person)(&event.by);
    let recorded = case
        .conclusion
        .as_ref()
        .is_some_and(|(_, by)| (around.person)(by) == acting);
    if recorded || case.was_visited_by(around.title) {
        return Err(Refused::new(
            format!(
                "{}: 认定和审核须为不同的人 who concluded or visited cannot approve or settle",
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
    let allowed = match (outcome, act.measure) {
        (_, Measure::Restore) => case.has_fallen_acts(),
        (Some(Outcome::Confirmed), _) => true,
        (Some(Outcome::Partly), measure) => !matches!(measure, Measure::Cancel | Measure::Remove),
        (_, measure) => !measure.is_adverse(),
    };
    if !allowed {
        return Err(Refused::new(
            format!(
                "{number}: 该结论不能“{}” the conclusion does not carry this",
                act.measure.zh()
            ),
            "取消、清退须查实；不属实、无法核实的只能继续享受或整改；恢复用于被撤销的认定 see docs/DESK.md, Measures",
        ));
    }
    let money = matches!(act.measure, Measure::Reduce | Measure::Recover);
    let stated = act.fen.is_some_and(|fen| fen > 0);
    if act.measure != Measure::Restore && (money != act.fen.is_some() || money != stated) {
        return Err(Refused::new(
            format!(
                "{number}: 减发（每月）、追缴（总额）须填金额，其他措施不填 an amount belongs to reduce and recover, to these alone"
            ),
            "请核对金额 check the amount",
        ));
    }
    if !act.measure.is_adverse() {
        return Ok(());
    }
    if case.is_evidence_newer() {
        return Err(Refused::new(
            format!(
                "{number}: 认定后比对情况有变 later comparison brought other evidence than the conclusion rests on"
            ),
            "请审核人退回重核 a lead sends it back",
        ));
    }
    if case.stage == Stage::Approved || !case.may_follow(&event.day()) || !case.may_follow(&act.day)
    {
        return Err(Refused::new(
            format!(
                "{number}: 尚未告知，或申辩期未满 the household was not told, or may still object"
            ),
            "先告知，申辩期满后再处理；死亡停发按规定及时办理的，登记为整改 tell it first and wait; a payment stopped for a death is recorded as rectify",
        ));
    }
    Ok(())
}

fn check_closing(case: &Case, reason: &str, event: &Event) -> Result<(), Refused> {
    text("销号说明 reason", reason, REASON_CHARS_MIN)?;
    let adverse = case
        .conclusion
        .as_ref()
        .is_some_and(|(c, _)| c.outcome.is_adverse());
    let ready = !adverse
        || case.is_task()
        || (case.acts_now().next().is_some() && case.may_follow(&event.day()));
    let restored = !case.owes_restoring();
    if !ready {
        return Err(Refused::new(
            format!(
                "{}: 尚未告知、申辩期未满或无处理措施，不能销号 it was not told, may be objected to, or no measure was taken",
                case.number()
            ),
            "先告知并登记处理情况 tell the household and record the measure first",
        ));
    }
    if !restored {
        return Err(not_restored(case));
    }
    Ok(())
}

fn not_restored(case: &Case) -> Refused {
    Refused::new(
        format!(
            "{}: 被撤销的认定已有处理措施，尚未恢复 what the overturned conclusion took away is not given back",
            case.number()
        ),
        "先登记恢复 record `act --measure restore` first",
    )
}
