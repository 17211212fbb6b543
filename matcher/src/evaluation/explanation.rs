//! The command `explain`. In: what a run kept about one pair. Out: which keys agree and differ, the level of every
//! comparison and what it adds in bits, and the decision. Invariant: no plaintext is known here, and none is shown.
//! Specification: docs/OPERATIONS.md, "Evaluation".

use clap::Args;
use comfy_table::{Table, presets};
use hedui_edge::{Console, Problem};
use hedui_protocol::agreement::Agreement;
use serde::Serialize;

use crate::kept::{self, Candidate};
use crate::plan::Plan;
use crate::refine::weights::{Model, RIVALS};

/// Options of `explain`.
#[derive(Args)]
pub struct ExplainOptions {
    /// Register
    #[arg(long)]
    register: String,
    /// Handle of the roll's record, 32 hexadecimal digits
    roll: String,
    /// Handle of the register's record
    record: String,
}

#[derive(Serialize)]
struct Key {
    key: String,
    class: String,
    says: &'static str,
}

#[derive(Serialize)]
struct Comparison {
    field: String,
    level: &'static str,
    /// P(level | same person), P(level | strangers).
    m: Option<f64>,
    u: Option<f64>,
    bits: Option<f64>,
}

/// `explain`.
pub fn explain(
    plan: &Plan,
    agreement: &Agreement,
    console: &Console,
    options: &ExplainOptions,
) -> Result<(), Problem> {
    let handle = |text: &str| {
        kept::handle(text).ok_or_else(|| {
            Problem::usage(
                "a handle has 32 hexadecimal digits",
                "take it from results/matches.csv, or from the run's refine-REGISTER.csv",
            )
        })
    };
    let (roll, record) = (handle(&options.roll)?, handle(&options.record)?);
    let register = agreement
        .dataset_or_nearest(&options.register)?
        .name
        .to_string();
    let pairs = kept::pairs(&plan.folder, &register)?;
    let decided = pairs
        .iter()
        .find(|pair| (pair.roll, pair.register) == (roll, record));
    let refined = kept::refined(&plan.folder, &register)?;
    let is_it = |candidate: &&Candidate| (candidate.roll, candidate.register) == (roll, record);
    let candidate = refined
        .as_ref()
        .and_then(|(model, all)| Some((model, all.iter().find(is_it)?)));
    let bitmaps = decided.map(|pair| (pair.agree, pair.differ));
    let bitmaps = bitmaps.or(candidate.map(|(_, c)| (c.agree, c.differ)));
    let Some((agree, differ)) = bitmaps else {
        console.say("没有任何规则使这两条记录成为候选 no key brought these two records together, or they are not in this run");
        console.object(&serde_json::json!({ "candidate": false }));
        return Ok(());
    };
    let keys = keys(agreement, agree, differ);
    let comparisons = candidate
        .map(|(model, own)| comparisons(model, own))
        .unwrap_or_default();
    let outcome = decided.map(|pair| pair.outcome);
    let outcome = serde_json::to_value(outcome).unwrap_or_default();
    print(console, &keys, &comparisons);
    if let Some((model, own)) = candidate {
        console.say(&format!(
            "先验 prior {:.2}, 合计 in all {:.2} bits{}",
            model.prior_bits,
            own.bits,
            own.chosen
                .as_ref()
                .map_or_else(String::new, |(word, bits)| {
                    let bits = bits.map_or_else(String::new, |bits| format!(", {bits:.2} bits"));
                    format!("; 一对一分配 one-to-one: {word}{bits}")
                })
        ));
    }
    console.say(&format!(
        "结论 decision: {}",
        outcome.as_str().unwrap_or("none")
    ));
    console.object(&serde_json::json!({
        "candidate": true,
        "keys": keys,
        "comparisons": comparisons,
        "prior_bits": candidate.map(|(model, _)| model.prior_bits),
        "weight_bits": candidate.map(|(_, own)| own.bits),
        "chosen": candidate.and_then(|(_, own)| own.chosen.clone()),
        "outcome": outcome,
    }));
    Ok(())
}

fn keys(agreement: &Agreement, agree: u16, differ: u16) -> Vec<Key> {
    let says = |bit: u16| match (agree & bit != 0, differ & bit != 0) {
        (true, _) => "一致 agrees",
        (_, true) => "不一致 differs",
        _ => "缺 absent",
    };
    agreement
        .evidence_keys()
        .map(|key| Key {
            key: key.name.to_string(),
            class: format!("{:?}", key.class),
            says: says(1 << (key.number - 1)),
        })
        .collect()
}

fn comparisons(model: &Model, own: &Candidate) -> Vec<Comparison> {
    let fields = model.comparisons.iter().zip(&own.levels).enumerate();
    fields
        .map(|(at, (field, level))| {
            let of = |table: &[[f64; 6]]| Some(*table.get(at)?.get(usize::from((*level)?))?);
            let (m, u) = (of(&model.m), of(&model.u));
            Comparison {
                field: field.clone(),
                level: level_words(field == RIVALS, *level),
                bits: m.zip(u).map(|(m, u)| (m / u).log2()),
                m,
                u,
            }
        })
        .collect()
}

/// A level in words.
pub fn level_words(rivals: bool, level: Option<u8>) -> &'static str {
    match (rivals, level) {
        (_, None) => "缺 absent",
        (false, Some(0)) => "相同 equal",
        (false, Some(1)) => "很像 ≥ 0.82",
        (false, Some(2)) => "相像 ≥ 0.62",
        (false, Some(3)) => "略像 ≥ 0.45",
        (false, Some(4)) => "不像 < 0.45",
        (false, Some(_)) => "对调 exchanged",
        (true, Some(0)) => "无 none",
        (true, Some(1)) => "1–2",
        (true, Some(2)) => "3–7",
        (true, Some(_)) => "≥ 8",
    }
}

fn print(console: &Console, keys: &[Key], comparisons: &[Comparison]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["匹配键 match key", "类 class", "两侧 both sides"]);
    for key in keys {
        table.add_row([key.key.as_str(), &key.class, key.says]);
    }
    console.say(&table.to_string());
    if comparisons.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["字段 field", "相似程度 level", "m", "u", "bits"]);
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    for one in comparisons {
        table.add_row([
            one.field.clone(),
            one.level.to_owned(),
            number(one.m, 5),
            number(one.u, 7),
            number(one.bits, 2),
        ]);
    }
    console.say(&table.to_string());
}
