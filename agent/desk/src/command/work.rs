//! Commands about one case's work, from handing down to the conclusion. In: what a person says happened. Out: one event, judged by
//! [`crate::life`]. Invariant: one case per command, except handing down, where every case is named or chosen by township; what
//! follows from a conclusion is in [`super::decision`].
//! Specification: docs/DESK.md, "Life of a case".

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::primitive::{hex, sha256};

use super::{DeskOptions, day_of, yuan_of};
use crate::day::Day;
use crate::event::{Body, Conclusion, Visit};
use crate::income::{IncomeForm, compute};
use crate::money::yuan;
use crate::words::{Answer, Measure, Method, Outcome, Stage};

fn word<T: Copy>(text: &str, read: fn(&str) -> Option<T>, all: &str) -> Result<T, String> {
    read(text).ok_or_else(|| format!("可填 one of: {all}"))
}

fn outcome_of(text: &str) -> Result<Outcome, String> {
    word(
        text,
        Outcome::read,
        "查实 confirmed, 部分属实 partly, 不属实 unfounded, 无法核实 unclear",
    )
}

fn method_of(text: &str) -> Result<Method, String> {
    word(
        text,
        Method::read,
        "入户调查 home, 邻里访问 neighbours, 信函索证 letter, 部门核实 office",
    )
}

pub(super) fn measure_of(text: &str) -> Result<Measure, String> {
    word(
        text,
        Measure::read,
        "取消 cancel, 清退 remove, 减发 reduce, 追缴 recover, 移交 hand-over, 整改 rectify, 继续享受 keep, 恢复 restore",
    )
}

fn answer_of(text: &str) -> Result<Answer, String> {
    word(
        text,
        Answer::read,
        "是 yes, 否 no, 不适用 n-a, 不清楚 unknown",
    )
}

fn named_answer(text: &str) -> Result<(String, Answer), String> {
    let (name, answer) = text
        .split_once('=')
        .ok_or_else(|| "写作 要点=回答 write QUESTION=ANSWER".to_owned())?;
    Ok((name.to_owned(), answer_of(answer)?))
}

/// Records one event of one case.
pub(super) fn record(
    options: &DeskOptions,
    console: &Console,
    number: &str,
    body: impl FnOnce(String, &Day) -> Result<Body, Problem>,
) -> Result<(), Problem> {
    let mut desk = options.open()?;
    let number = desk.book.find(number)?.number().to_owned();
    let body = body(number.clone(), &options.today()?)?;
    let actor = options.actor(&desk)?;
    let what = body.zh();
    desk.session(&actor, |session| session.must(body))?;
    let case = desk.book.find(&number)?;
    console.say(&format!(
        "{number}: {what}，现为“{}” now {}",
        case.stage.zh(),
        case.stage.en()
    ));
    console.object(&serde_json::json!({ "number": number, "stage": case.stage.en() }));
    Ok(())
}

/// Options of `assign`.
#[derive(Args)]
pub struct AssignOptions {
    /// Numbers of the cases
    numbers: Vec<String>,
    /// Instead of numbers: every case that waits to be handed down, to its own township
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
    /// Township (default: the case's own)
    #[arg(long)]
    township: Option<String>,
    /// Until when it is to be looked into (default: what the terms say)
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    due: Option<Day>,
}

/// `assign`.
pub fn assign(
    options: &DeskOptions,
    console: &Console,
    command: &AssignOptions,
) -> Result<(), Problem> {
    let mut desk = options.open()?;
    let chosen: Vec<String> = if command.all {
        let waiting = desk
            .book
            .cases
            .values()
            .filter(|case| case.stage == Stage::Issued);
        waiting.map(|case| case.number().to_owned()).collect()
    } else {
        let found = command.numbers.iter().map(|number| desk.book.find(number));
        found
            .map(|case| case.map(|case| case.number().to_owned()))
            .collect::<Result<_, _>>()?
    };
    if chosen.is_empty() && !command.all {
        return Err(Problem::usage(
            "没有写明交办哪些线索 no case is named",
            "请给出编号，或用 --all name numbers, or --all",
        ));
    }
    if desk.book.taken.is_empty() {
        return Err(Problem::not_yet(
            "还没有接收线索 no clues were taken",
            "先执行 first run hedui-desk take clues.json",
        ));
    }
    // `--all` again, after a crash perhaps: all is done.
    if chosen.is_empty() {
        console.say("没有待交办的线索 no case waits to be handed down");
    }
    let today = options.today()?;
    let due = command
        .due
        .clone()
        .unwrap_or_else(|| today.after(desk.book.terms.days.visit));
    let actor = options.actor(&desk)?;
    let mut per_township: BTreeMap<String, u64> = BTreeMap::new();
    let mut placeless = Vec::new();
    desk.session(&actor, |session| {
        for number in &chosen {
            let own = session.book().find(number)?.new.township.clone();
            let township = command.township.clone().unwrap_or(own);
            if township.is_empty() {
                placeless.push(number.clone());
                continue;
            }
            session.must(Body::Assigned {
                number: number.clone(),
                township: township.clone(),
                due: due.clone(),
            })?;
            *per_township.entry(township).or_default() += 1;
        }
        Ok(())
    })?;
    for (township, count) in &per_township {
        console.say(&format!(
            "{township}: {count} 件，{due} 前完成核查 cases, due {due}"
        ));
    }
    console.object(
        &serde_json::json!({ "assigned": per_township, "due": due, "without_township": placeless }),
    );
    if placeless.is_empty() {
        console.say("下一步 next: hedui-desk export --township 乡镇 --out 核查表.xlsx");
        return Ok(());
    }
    Err(Problem::DoneWithRejects {
        what: format!(
            "未注明乡镇，未交办 without a township, not handed down: {} (add --township)",
            placeless.join(" ")
        ),
    })
}

/// Options of `accept`.
#[derive(Args)]
pub struct AcceptOptions {
    /// Number of the case
    number: String,
    /// Who confirmed receipt
    #[arg(long)]
    who: String,
    /// When (default: today)
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    day: Option<Day>,
}

/// `accept`.
pub fn accept(
    options: &DeskOptions,
    console: &Console,
    command: AcceptOptions,
) -> Result<(), Problem> {
    record(options, console, &command.number, |number, today| {
        Ok(Body::Accepted {
            number,
            day: command.day.unwrap_or_else(|| today.clone()),
            who: command.who,
        })
    })
}

/// Options of `visit`.
#[derive(Args)]
pub struct VisitOptions {
    /// Number of the case
    number: String,
    /// When (default: today)
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    day: Option<Day>,
    /// How: 入户调查 home, 邻里访问 neighbours, 信函索证 letter, 部门核实 office
    #[arg(long, value_parser = method_of)]
    method: Method,
    /// Who (repeat: at least two)
    #[arg(long = "visitor", value_name = "NAME")]
    visitors: Vec<String>,
    /// What was found
    #[arg(long)]
    situation: String,
}

/// `visit`.
pub fn visit(
    options: &DeskOptions,
    console: &Console,
    command: VisitOptions,
) -> Result<(), Problem> {
    record(options, console, &command.number, |number, today| {
        Ok(Body::Visited {
            number,
            visit: Visit {
                day: command.day.unwrap_or_else(|| today.clone()),
                method: command.method,
                visitors: command.visitors,
                situation: command.situation,
            },
        })
    })
}

/// Options of `income`.
#[derive(Args)]
pub struct IncomeOptions {
    /// Number of the task
    number: String,
    /// Persons of the supporter's own household
    #[arg(long)]
    persons: u32,
    /// Its net income per month, yuan
    #[arg(long, value_name = "YUAN", value_parser = yuan_of)]
    income: i64,
    /// Persons whom the supporter owes support
    #[arg(long)]
    supported: u32,
    /// Where the income's figure comes from
    #[arg(long)]
    source: String,
}

/// `income`.
pub fn income(
    options: &DeskOptions,
    console: &Console,
    command: IncomeOptions,
) -> Result<(), Problem> {
    let form = IncomeForm {
        persons: command.persons,
        income_fen: command.income,
        supported: command.supported,
        source: command.source,
    };
    let terms = options.open()?.book.terms;
    let result = compute(&form, &terms.income)?;
    console.say(&format!(
        "月赡养费 contribution per month: {} 元（扣除额 left to the household {}，超出 above {}）",
        yuan(result.monthly_fen),
        yuan(result.exempt_fen),
        yuan(result.above_fen)
    ));
    record(options, console, &command.number, |number, _| {
        Ok(Body::Computed {
            number,
            form,
            result,
        })
    })
}

/// Options of `attach`.
#[derive(Args)]
pub struct AttachOptions {
    /// Number of the case
    number: String,
    /// Document; a copy is kept in the desk's folder under its digest
    file: PathBuf,
}

/// `attach`.
pub fn attach(
    options: &DeskOptions,
    console: &Console,
    command: &AttachOptions,
) -> Result<(), Problem> {
    let document = files::read_state(&command.file)?;
    let (sha256, bytes) = keep(options, &document)?;
    let name = command
        .file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    record(options, console, &command.number, |number, _| {
        Ok(Body::Attached {
            number,
            name,
            sha256,
            bytes,
        })
    })
}

/// Keeps a document under its digest; gives the digest and the size.
pub(super) fn keep(options: &DeskOptions, bytes: &[u8]) -> Result<(String, u64), Problem> {
    let digest = hex(&sha256(&[bytes]));
    let folder = options.desk.join("files");
    files::private_folder(&folder)?;
    let copy = folder.join(&digest);
    if !copy.exists() {
        files::write_bytes(&copy, bytes)?;
    }
    Ok((digest, bytes.len() as u64))
}

/// Options of commands that say one text about one case.
#[derive(Args)]
pub struct TextOptions {
    /// Number of the case
    number: String,
    /// What is to be said: reason or remark
    #[arg(long)]
    reason: String,
}

/// Which of those commands.
#[derive(Clone, Copy)]
pub enum TextKind {
    /// `note`.
    Note,
    /// `send-back`.
    SendBack,
    /// `close`.
    Close,
    /// `reopen`.
    Reopen,
    /// `withdraw`.
    Withdraw,
}

/// `note`, `send-back`, `close`, `reopen`, `withdraw`.
pub fn text(
    options: &DeskOptions,
    console: &Console,
    command: TextOptions,
    kind: TextKind,
) -> Result<(), Problem> {
    record(options, console, &command.number, |number, _| {
        let reason = command.reason;
        Ok(match kind {
            TextKind::Note => Body::Noted {
                number,
                text: reason,
            },
            TextKind::SendBack => Body::SentBack { number, reason },
            TextKind::Close => Body::Closed { number, reason },
            TextKind::Reopen => Body::Reopened { number, reason },
            TextKind::Withdraw => Body::Withdrawn { number, reason },
        })
    })
}

/// Options of `conclude`.
#[derive(Args)]
pub struct ConcludeOptions {
    /// Number of the case
    number: String,
    /// 查实 confirmed, 部分属实 partly, 不属实 unfounded, 无法核实 unclear
    #[arg(long, value_parser = outcome_of)]
    outcome: Outcome,
    /// Why: facts and evidence
    #[arg(long)]
    reason: String,
    /// Whether the registered person is this person: 是 yes, 否 no, 不清楚 unknown
    #[arg(long, value_name = "ANSWER", default_value = "unknown", value_parser = answer_of)]
    same_person: Answer,
    /// Answer to a question of the category, as `show` lists them (repeat)
    #[arg(long = "answer", value_name = "QUESTION=ANSWER", value_parser = named_answer)]
    answers: Vec<(String, Answer)>,
    /// Measure that is proposed: 取消 cancel, 清退 remove, 减发 reduce, 追缴 recover, 移交 hand-over, 整改 rectify, 继续享受 keep
    #[arg(long, value_name = "MEASURE", value_parser = measure_of)]
    propose: Option<Measure>,
    /// Months for which the benefit was drawn without a claim to it
    #[arg(long, value_name = "MONTHS")]
    overdrawn_months: Option<u32>,
}

/// `conclude`.
pub fn conclude(
    options: &DeskOptions,
    console: &Console,
    command: ConcludeOptions,
) -> Result<(), Problem> {
    record(options, console, &command.number, |number, _| {
        Ok(Body::Concluded {
            number,
            conclusion: Conclusion {
                outcome: command.outcome,
                reason: command.reason,
                same_person: command.same_person,
                answers: command.answers.into_iter().collect(),
                proposal: command.propose,
                overdrawn_months: command.overdrawn_months,
            },
        })
    })
}
