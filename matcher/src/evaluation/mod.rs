//! The command `evaluate`. In: what a run kept, a truth file. Out: precision, recall and F1 as decided, with review, and
//! by threshold of the match weight. Invariant: handles in, counts out; decisions are read, never made.
//! Specification: docs/OPERATIONS.md, "Evaluation".

pub mod explanation;
pub mod figures;
pub mod truth;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets};
use hedui_edge::{Console, Problem};
use hedui_protocol::ids::Handle;
use hedui_protocol::message::result::{Outcome, Pair};
use serde::Serialize;

use crate::kept;
use crate::plan::{Pairing, Plan};
use figures::Figures;
use truth::{Rows, Truth};

/// Options of `evaluate`.
#[derive(Args)]
pub struct EvaluateOptions {
    /// True pairs: CSV with the columns roll and register (handles, or row numbers), and dataset if there are several
    #[arg(long, value_name = "FILE.csv")]
    truth: PathBuf,
    /// Register (default: every one that was compared)
    #[arg(long)]
    register: Option<String>,
    /// Roll's handles by row, as its owner's `hedui-agent handles` wrote them
    #[arg(long, value_name = "FILE.csv", requires = "register_handles")]
    roll_handles: Option<PathBuf>,
    /// Register's handles by row
    #[arg(long, value_name = "FILE.csv", requires = "roll_handles")]
    register_handles: Option<PathBuf>,
}

/// Figures of one register.
#[derive(Serialize)]
struct Evaluated {
    register: String,
    true_pairs: u64,
    /// Pairs found that rest on no row of the files: control records of the roll owner.
    left_out: u64,
    decided: Figures,
    with_review: Figures,
    review_pairs: u64,
    /// By least match weight in bits, the pairs that keys decide always among them.
    thresholds: BTreeMap<i32, Figures>,
}

/// `evaluate`.
pub fn evaluate(plan: &Plan, console: &Console, options: &EvaluateOptions) -> Result<(), Problem> {
    let wanted = |pairing: &&Pairing| {
        options
            .register
            .as_ref()
            .is_none_or(|r| *r == pairing.register)
    };
    let pairings: Vec<&Pairing> = plan.pairings.iter().filter(wanted).collect();
    if pairings.is_empty() {
        return Err(Problem::not_yet(
            "there is no such register among those that were compared",
            "`hedui-matcher status` lists them",
        ));
    }
    let mut all = Vec::new();
    for pairing in pairings {
        all.push(evaluate_one(plan, &pairing.register, options)?);
    }
    all.iter().for_each(|one| print(console, one));
    console.object(&serde_json::json!({ "run": plan.run, "registers": all }));
    Ok(())
}

fn evaluate_one(
    plan: &Plan,
    register: &str,
    options: &EvaluateOptions,
) -> Result<Evaluated, Problem> {
    let sides = match (&options.roll_handles, &options.register_handles) {
        (Some(left), Some(right)) => {
            Some((truth::rows(left, register)?, truth::rows(right, register)?))
        }
        _ => None,
    };
    let borrowed = sides.as_ref().map(|(left, right)| (left, right));
    let truth = truth::pairs(&options.truth, register, borrowed)?;
    let pairs = kept::pairs(&plan.folder, register)?;
    let known = Known::new(sides.as_ref());
    let count = |take: &dyn Fn(&Pair) -> bool| {
        let found: Vec<&Pair> = pairs
            .iter()
            .filter(|p| take(p) && known.has(p.roll, p.register))
            .collect();
        figures(&truth, found.iter().map(|pair| (pair.roll, pair.register)))
    };
    let review = |pair: &Pair| pair.outcome == Outcome::Review;
    let matched = |pair: &Pair| pair.outcome == Outcome::Match;
    Ok(Evaluated {
        register: register.to_owned(),
        true_pairs: truth.pairs.len() as u64 + truth.lost,
        left_out: pairs
            .iter()
            .filter(|pair| !known.has(pair.roll, pair.register))
            .count() as u64,
        decided: count(&matched),
        with_review: count(&|pair| matched(pair) || review(pair)),
        review_pairs: pairs.iter().filter(|pair| review(pair)).count() as u64,
        thresholds: thresholds(plan, register, &truth, (&pairs, &known))?,
    })
}

/// Figures by threshold: pairs that the keys decide, and candidates from so many bits.
fn thresholds(
    plan: &Plan,
    register: &str,
    truth: &Truth,
    (pairs, known): (&[Pair], &Known),
) -> Result<BTreeMap<i32, Figures>, Problem> {
    let Some((_, candidates)) = kept::refined(&plan.folder, register)? else {
        return Ok(BTreeMap::new());
    };
    let by_keys = pairs
        .iter()
        .filter(|p| p.outcome == Outcome::Match && p.weight.is_none());
    let by_keys: Vec<(Handle, Handle)> = by_keys.map(|pair| (pair.roll, pair.register)).collect();
    let weighed = candidates.iter().filter_map(|candidate| {
        let bits = match &candidate.chosen {
            None => candidate.bits,
            Some((_, bits)) => (*bits)?,
        };
        Some((bits, (candidate.roll, candidate.register)))
    });
    let weighed: Vec<_> = weighed.collect();
    let at = |bits: i32| {
        let above = weighed.iter().filter(|(own, _)| *own >= f64::from(bits));
        let mut found: Vec<_> = by_keys
            .iter()
            .copied()
            .chain(above.map(|(_, pair)| *pair))
            .collect();
        found.sort_unstable();
        found.dedup();
        found.retain(|(roll, register)| known.has(*roll, *register));
        (bits, figures(truth, found.into_iter()))
    };
    Ok((-10..=20).map(at).collect())
}

fn figures(truth: &Truth, found: impl Iterator<Item = (Handle, Handle)>) -> Figures {
    let (mut all, mut correct) = (0, 0);
    for pair in found {
        all += 1;
        correct += u64::from(truth.pairs.contains(&pair));
    }
    Figures::new(all, correct, truth.pairs.len() as u64 + truth.lost)
}

/// Handles that are rows of the files; all, where only handles are given.
struct Known(Option<[std::collections::BTreeSet<Handle>; 2]>);

impl Known {
    fn new(sides: Option<&(Rows, Rows)>) -> Self {
        Self(sides.map(|(left, right)| [left, right].map(|rows| rows.values().copied().collect())))
    }

    fn has(&self, roll: Handle, register: Handle) -> bool {
        let sides = self.0.as_ref();
        sides.is_none_or(|[left, right]| left.contains(&roll) && right.contains(&register))
    }
}

fn print(console: &Console, one: &Evaluated) {
    console.say(&format!(
        "{}: 真实配对 true pairs {}, 待核实 for review {}, 未计入 left out {} (验证记录 control records)",
        one.register, one.true_pairs, one.review_pairs, one.left_out
    ));
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "判定 decision",
        "查准率 precision",
        "查全率 recall",
        "F1",
        "误 false",
        "漏 missed",
    ]);
    let mut row = |name: String, figures: &Figures| {
        table.add_row([
            name,
            figures.precision.text(),
            figures.recall.text(),
            figures.f1.text(),
            figures.false_positives.to_string(),
            figures.false_negatives.to_string(),
        ]);
    };
    row("匹配 matches".to_owned(), &one.decided);
    row("含待核实 with review".to_owned(), &one.with_review);
    let mut before = None;
    for (bits, figures) in &one.thresholds {
        // A threshold that changes nothing is left to --json.
        if before.replace(figures) != Some(figures) {
            row(format!("≥ {bits} bits"), figures);
        }
    }
    console.say(&table.to_string());
    console.say("方括号内为 95 % 置信区间 in brackets: intervals of 95 % (Wilson)");
}
