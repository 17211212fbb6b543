//! Commands that look and change nothing: list, show, verify. In: filters. Out: tables, one case's file, the check of the
//! history. Invariant: need no key; show persons only for a case that is named.
//! Specification: docs/DESK.md, "Looking".

use clap::Args;
use comfy_table::{Table, presets};
use hedui_edge::{Console, Problem};

use super::DeskOptions;
use crate::case::Case;
use crate::day::Day;
use crate::event::{Body, Event};
use crate::history::HEAD_DIGITS_MIN;
use crate::money::yuan;
use crate::report::figures::township_of;
use crate::words::{Kind, Stage};

fn stage_of(text: &str) -> Result<Stage, String> {
    Stage::read(text).ok_or_else(|| {
        let all: Vec<String> = Stage::ALL
            .iter()
            .map(|s| format!("{} {}", s.zh(), s.en()))
            .collect();
        format!("可填 one of: {}", all.join(", "))
    })
}

fn kind_of(text: &str) -> Result<Kind, String> {
    Kind::read(text).ok_or_else(|| {
        "可填 one of: 问题线索 clue, 待核实身份 review, 赡养费核算 income-task".to_owned()
    })
}

/// Options of `list`.
#[derive(Args)]
pub struct ListOptions {
    /// Township
    #[arg(long)]
    township: Option<String>,
    /// Stage, Chinese or English
    #[arg(long, value_parser = stage_of)]
    stage: Option<Stage>,
    /// Kind: clue, review, income-task
    #[arg(long, value_parser = kind_of)]
    kind: Option<Kind>,
    /// Category, or part of it
    #[arg(long)]
    category: Option<String>,
    /// Period in which the case began
    #[arg(long)]
    period: Option<String>,
    /// Only what has been lying too long
    #[arg(long)]
    overdue: bool,
    /// Only cases that the latest comparison does not hold any more
    #[arg(long)]
    gone: bool,
    /// Closed cases too
    #[arg(long)]
    closed: bool,
}

/// `list`.
pub fn list(
    options: &DeskOptions,
    console: &Console,
    command: &ListOptions,
) -> Result<(), Problem> {
    let desk = options.open()?;
    let today = options.today()?;
    let wanted = |case: &&Case| {
        let text = |filter: &Option<String>, value: &str| {
            filter.as_ref().is_none_or(|f| value.contains(f.as_str()))
        };
        text(&command.township, &township_of(case))
            && text(&command.category, &case.new.category)
            && command
                .period
                .as_ref()
                .is_none_or(|p| *p == case.new.period)
            && command.stage.is_none_or(|stage| stage == case.stage)
            && command.kind.is_none_or(|kind| kind == case.new.kind)
            && (command.closed || command.stage == Some(Stage::Closed) || case.is_open())
            && (!command.overdue || case.is_overdue(&today))
            && (!command.gone || case.is_gone())
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "编号 number",
        "事项 kind",
        "问题类别 category",
        "乡镇 township",
        "村 village",
        "状态 stage",
        "期限 due",
    ]);
    let mut rows = Vec::new();
    for case in desk.book.cases.values().filter(wanted) {
        let due = case
            .due
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let late = if case.is_overdue(&today) {
            " 超期"
        } else {
            ""
        };
        table.add_row([
            case.number().to_owned(),
            case.new.kind.zh().to_owned(),
            case.new.category.clone(),
            township_of(case),
            case.new.village.clone(),
            case.stage.zh().to_owned(),
            format!("{due}{late}"),
        ]);
        rows.push(serde_json::json!({
            "number": case.number(), "kind": case.new.kind.en(), "category": case.new.category,
            "township": case.new.township, "village": case.new.village, "unit": case.new.unit,
            "period": case.new.period, "stage": case.stage.en(), "due": case.due,
            "overdue": case.is_overdue(&today), "gone": case.is_gone(),
        }));
    }
    console.say(&table.to_string());
    console.say(&format!("共 in all: {}", rows.len()));
    console.object(&serde_json::json!({ "cases": rows }));
    Ok(())
}

/// Options of `show`.
#[derive(Args)]
pub struct ShowOptions {
    /// Number of the case, or its first four digits or more
    number: String,
}

/// `show`.
pub fn show(
    options: &DeskOptions,
    console: &Console,
    command: &ShowOptions,
) -> Result<(), Problem> {
    let desk = options.open()?;
    let case = desk.book.find(&command.number)?;
    let events = desk.events(&case.events)?;
    let terms = &desk.book.terms;
    let mut lines = vec![
        format!(
            "{}　{}　{}",
            case.number(),
            case.new.kind.zh(),
            case.new.category
        ),
        format!(
            "户编号 unit: {}　{}{}　期次 period: {}",
            case.new.unit,
            township_of(case),
            case.new.village,
            case.new.period
        ),
        format!(
            "状态 stage: {} {}　期限 due: {}",
            case.stage.zh(),
            case.stage.en(),
            case.due.as_ref().map_or("—", Day::as_str)
        ),
    ];
    if let Some(earlier) = &case.new.continues {
        lines.push(format!("上期线索 continues: {earlier}"));
    }
    if case.is_evidence_newer() {
        lines.push("认定后比对情况有变 a later comparison brought other evidence than the conclusion rests on".to_owned());
    }
    if case.is_gone() {
        lines.push("最近一期未再出现 the latest comparison does not hold it any more".to_owned());
    }
    let household = case.new.household.words();
    if !household.is_empty() {
        lines.push(format!("救助家庭 household: {}", household.join("；")));
    }
    lines.push("比对情况 evidence:".to_owned());
    for e in case.exhibits() {
        lines.push(format!(
            "  {} {} {}｜{}：{}",
            e.name, e.id, e.role, e.register_title, e.facts
        ));
        lines.push(format!(
            "    {}（{}）｜依据 clause: {}｜可排除 disproved by: {}",
            e.identity(),
            e.keys(),
            e.clause,
            e.disproof
        ));
        if !e.disclosed.is_empty() {
            lines.push(format!("    协查 disclosure: {}", e.disclosed));
        }
    }
    if terms.questions(&case.new.category).next().is_some() {
        lines.push("核实要点 questions:".to_owned());
    }
    let given = case.conclusion.as_ref().map(|(c, _)| &c.answers);
    for question in terms.questions(&case.new.category) {
        let answer = given.and_then(|answers| answers.get(question.name.as_str()));
        lines.push(format!(
            "  {}  {}  → {}（答“{}”的不得认定查实 rules out confirmed）",
            question.name,
            question.ask,
            answer.map_or("未答", |a| a.zh()),
            question.disproved_by.zh()
        ));
    }
    lines.push("经过 history:".to_owned());
    lines.extend(
        events
            .iter()
            .map(|event| format!("  {}", event_line(event))),
    );
    lines.push(format!("下一步 what can follow: {}", next(case)));
    console.say(&lines.join("\n"));
    let history: Vec<serde_json::Value> = events
        .iter()
        .map(|event| serde_json::json!({ "seq": event.seq, "at": event.at, "by": event.by, "what": event.body }))
        .collect();
    console.object(&serde_json::json!({
        "number": case.number(), "kind": case.new.kind.en(), "category": case.new.category, "unit": case.new.unit,
        "stage": case.stage.en(), "due": case.due, "evidence": case.exhibits(), "history": history,
    }));
    Ok(())
}

/// One line of a case's history.
fn event_line(event: &Event) -> String {
    let detail = match &event.body {
        Body::Assigned { township, due, .. } => format!("{township}，{due} 前"),
        Body::Accepted { who, day, .. } => format!("{who} {day}"),
        Body::Visited { visit, .. } => format!(
            "{} {} {}：{}",
            visit.day,
            visit.method.zh(),
            visit.visitors.join("、"),
            visit.situation
        ),
        Body::Computed { result, .. } => format!("月赡养费 {} 元", yuan(result.monthly_fen)),
        Body::Attached { name, sha256, .. } => {
            format!("{name}（{}）", sha256.chars().take(12).collect::<String>())
        }
        Body::Noted { text, .. } => text.clone(),
        Body::Concluded { conclusion, .. } => {
            let mut text = format!("{}：{}", conclusion.outcome.zh(), conclusion.reason);
            if let Some(measure) = conclusion.proposal {
                text += &format!("｜处理建议：{}", measure.zh());
            }
            if let Some(months) = conclusion.overdrawn_months {
                text += &format!("｜超领月数：{months}");
            }
            text
        }
        Body::Told { until, how, .. } => format!("{how}，至 {until} 可以申辩"),
        Body::Objected { who, grounds, .. } => format!("{who}：{grounds}"),
        Body::Settled { upheld, reason, .. } => {
            format!("{}：{reason}", if *upheld { "维持" } else { "撤销认定" })
        }
        Body::Acted { act, .. } => match act.fen {
            Some(fen) => format!(
                "{} {} {} 元：{}",
                act.measure.zh(),
                act.day,
                yuan(fen),
                act.reason
            ),
            None => format!("{} {}：{}", act.measure.zh(), act.day, act.reason),
        },
        Body::FoundAgain {
            period, changed, ..
        } => {
            let how = if changed.is_some() {
                "比对情况有变"
            } else {
                "比对情况未变"
            };
            format!("{period} {how}")
        }
        Body::NotFound { period, .. } => period.clone(),
        Body::SentBack { reason, .. }
        | Body::Approved { reason, .. }
        | Body::Closed { reason, .. }
        | Body::Reopened { reason, .. }
        | Body::Withdrawn { reason, .. } => reason.clone(),
        _ => String::new(),
    };
    let at = event.at.replace('T', " ");
    format!(
        "{} {} {}　{detail}",
        at.trim_end_matches('Z'),
        event.by,
        event.body.zh()
    )
}

/// Commands that can follow, in words.
fn next(case: &Case) -> &'static str {
    let adverse = case
        .conclusion
        .as_ref()
        .is_some_and(|(c, _)| c.outcome.is_adverse());
    match case.stage {
        Stage::Issued => "交办 assign",
        Stage::Assigned => "签收 accept，或收核查表 import",
        Stage::Accepted if case.is_task() => "核算 income",
        Stage::Accepted => "核查 visit",
        Stage::Visited => "认定 conclude",
        Stage::Concluded => "审核 approve，或退回 send-back（审核人 lead）",
        Stage::Approved if adverse && !case.is_task() => "告知 tell",
        Stage::Approved => "销号 close",
        Stage::Told => "申辩期满后处理 act（after the days to object），或异议 object",
        Stage::Disputed => "复核 visit，异议处理 settle（审核人 lead）",
        Stage::Acted => "销号 close，继续处理 act，或异议 object",
        Stage::Closed => "异议 object，或重新核查 reopen（审核人 lead）",
    }
}

/// Options of `verify`.
#[derive(Args)]
pub struct VerifyOptions {
    /// The history must hold this hash, or its first 16 digits, as `verify` or a report printed them
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
}

/// `verify`.
pub fn verify(
    options: &DeskOptions,
    console: &Console,
    command: &VerifyOptions,
) -> Result<(), Problem> {
    let desk = options.open()?;
    let (seq, head) = desk.head();
    if let Some(wanted) = &command.head
        && wanted.len() < HEAD_DIGITS_MIN
    {
        return Err(Problem::usage(
            format!(
                "摘要值至少填 {HEAD_DIGITS_MIN} 位 give at least {HEAD_DIGITS_MIN} digits of the hash"
            ),
            "报表页脚印有 16 位 reports print sixteen",
        ));
    }
    if let Some(wanted) = &command.head
        && !desk.holds(wanted)
    {
        return Err(Problem::data(
            "台账中没有该摘要值对应的记录：台账被截短或替换 the history does not hold this hash: it was cut back or replaced",
            "请保留现有文件并从备份恢复 keep the folder as it is and restore a backup",
        ));
    }
    console.say(&format!(
        "台账完好 the history holds: {seq} 条记录，衔接、规则、签名均有效 entries, chain, rules and signatures valid; {} 件 cases\n\
         首条摘要值 hash of the first entry: {}\n第 {seq} 条摘要值 hash of entry {seq}: {head}",
        desk.book.cases.len(),
        desk.origin()
    ));
    let users: Vec<serde_json::Value> = desk
        .book
        .users
        .values()
        .map(|m| serde_json::json!({ "name": m.user.name, "key": m.user.sign }))
        .collect();
    console.object(&serde_json::json!({
        "entries": seq, "first_entry": desk.origin(), "head": head, "cases": desk.book.cases.len(), "users": users,
    }));
    Ok(())
}
