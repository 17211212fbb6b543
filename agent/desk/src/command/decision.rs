//! Commands about a conclusion and what follows from it: approval, notice, objection, measures. In: what a person says happened. Out: one
//! event, judged by [`crate::life`]. Invariant: approving names every case; no command ends anybody's benefit: measures are recorded
//! after people took them.
//! Specification: docs/DESK.md, "Life of a case".

use std::collections::BTreeMap;

use clap::Args;
use hedui_edge::{Console, Problem};

use super::work::{measure_of, record};
use super::{DeskOptions, day_of, yuan_of};
use crate::day::Day;
use crate::event::{Act, Body};
use crate::words::Measure;

/// Options of `approve`.
#[derive(Args)]
pub struct ApproveOptions {
    /// Numbers of the cases, each named
    #[arg(required = true)]
    numbers: Vec<String>,
    /// Opinion
    #[arg(long, default_value = "同意")]
    reason: String,
}

/// `approve`: each case by itself; those that may not be approved are listed.
pub fn approve(
    options: &DeskOptions,
    console: &Console,
    command: &ApproveOptions,
) -> Result<(), Problem> {
    let mut desk = options.open()?;
    let numbers: Vec<String> = command
        .numbers
        .iter()
        .map(|number| desk.book.find(number).map(|case| case.number().to_owned()))
        .collect::<Result<_, _>>()?;
    let actor = options.actor(&desk)?;
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    desk.session(&actor, |session| {
        for number in numbers {
            let body = Body::Approved {
                number: number.clone(),
                reason: command.reason.clone(),
            };
            match session.act(body)? {
                Ok(()) => done.push(number),
                Err(why) => refused.push((number, why.what)),
            }
        }
        Ok(())
    })?;
    console.say(&format!("审核通过 approved: {}", done.len()));
    let whys: Vec<&str> = refused.iter().map(|(_, why)| &**why).collect();
    console.object(&serde_json::json!({ "approved": done, "refused": whys }));
    if refused.is_empty() {
        return Ok(());
    }
    Err(Problem::DoneWithRejects {
        what: by_reason(&refused),
    })
}

/// Each reason once, with the cases that it stops where it does not name them itself.
fn by_reason(refused: &[(String, String)]) -> String {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (number, why) in refused {
        reasons.entry(why).or_default().push(number);
    }
    let line = |(why, numbers): (&str, Vec<&str>)| match numbers[..] {
        [number] if why.contains(number) => why.to_owned(),
        _ => format!("{}: {why}", numbers.join(" ")),
    };
    let lines: Vec<String> = reasons.into_iter().map(line).collect();
    lines.join("\n")
}

/// Options of `tell`.
#[derive(Args)]
pub struct TellOptions {
    /// Number of the case
    number: String,
    /// When the household was told (default: today)
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    day: Option<Day>,
    /// Until when it may object (default: what the terms say)
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    until: Option<Day>,
    /// How it was told: in person, by letter
    #[arg(long)]
    how: String,
}

/// `tell`.
pub fn tell(options: &DeskOptions, console: &Console, command: TellOptions) -> Result<(), Problem> {
    let days = options.open()?.book.terms.days.objection;
    record(options, console, &command.number, |number, today| {
        let day = command.day.unwrap_or_else(|| today.clone());
        Ok(Body::Told {
            number,
            until: command.until.unwrap_or_else(|| day.after(days)),
            day,
            how: command.how,
        })
    })
}

/// Options of `object`.
#[derive(Args)]
pub struct ObjectOptions {
    /// Number of the case
    number: String,
    /// Who objects
    #[arg(long)]
    who: String,
    /// Why
    #[arg(long)]
    grounds: String,
    /// When (default: today)
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    day: Option<Day>,
}

/// `object`.
pub fn object(
    options: &DeskOptions,
    console: &Console,
    command: ObjectOptions,
) -> Result<(), Problem> {
    record(options, console, &command.number, |number, today| {
        Ok(Body::Objected {
            number,
            day: command.day.unwrap_or_else(|| today.clone()),
            who: command.who,
            grounds: command.grounds,
        })
    })
}

/// Options of `settle`.
#[derive(Args)]
#[command(group(clap::ArgGroup::new("decision").required(true).args(["uphold", "overturn"])))]
pub struct SettleOptions {
    /// Number of the case
    number: String,
    /// 维持 | The conclusion stands
    #[arg(long)]
    uphold: bool,
    /// 撤销 | The conclusion falls; the case is looked into again
    #[arg(long)]
    overturn: bool,
    /// Why
    #[arg(long)]
    reason: String,
}

/// `settle`.
pub fn settle(
    options: &DeskOptions,
    console: &Console,
    command: SettleOptions,
) -> Result<(), Problem> {
    record(options, console, &command.number, |number, _| {
        Ok(Body::Settled {
            number,
            upheld: command.uphold,
            reason: command.reason,
        })
    })
}

/// Options of `act`.
#[derive(Args)]
pub struct ActOptions {
    /// Number of the case
    number: String,
    /// 取消 cancel, 清退 remove, 减发 reduce, 追缴 recover, 移交 hand-over, 整改 rectify, 继续享受 keep, 恢复 restore
    #[arg(long, value_parser = measure_of)]
    measure: Measure,
    /// From when (default: today)
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    day: Option<Day>,
    /// Amount in yuan: per month (reduce) or in all (recover)
    #[arg(long, value_name = "YUAN", value_parser = yuan_of)]
    amount: Option<i64>,
    /// Document, receiving authority, or what is to be put right
    #[arg(long)]
    reason: String,
}

/// `act`.
pub fn act(options: &DeskOptions, console: &Console, command: ActOptions) -> Result<(), Problem> {
    record(options, console, &command.number, |number, today| {
        Ok(Body::Acted {
            number,
            act: Act {
                measure: command.measure,
                day: command.day.unwrap_or_else(|| today.clone()),
                fen: command.amount,
                reason: command.reason,
            },
        })
    })
}
