//! Openings of the roll against its commitment. In: the signed commitment, the roll owner's file, what was drawn. Out: findings, and the persons to
//! compare with their authorisations. Invariant: a drawn person that is not opened, or is another than was committed to, is found; values are
//! shown because that is what a reviewer came for, and never written. Specification: protocol/SPEC.md, "Roll commitment".

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::commitment::{Commitment, OPENINGS_MAX, Openings};
use hedui_protocol::refusal::Refusal;

/// Handles of one register that may be no person's: the control records that both sides have.
const CONTROLS_MAX: usize = 8;

/// Options of `openings`.
#[derive(Args)]
pub(crate) struct OpeningsOptions {
    /// The commitment, as it lay in the exchange folder before anything was drawn
    #[arg(long, value_name = "FILE")]
    commitment: PathBuf,
    /// The words that drew
    #[arg(long, value_name = "WORDS")]
    seed: Option<String>,
    /// How many they drew
    #[arg(long, default_value_t = 20, requires = "seed")]
    count: usize,
    /// The matcher's draw
    #[arg(long, value_name = "FILE")]
    handles: Option<PathBuf>,
    /// The roll owner's file
    openings: PathBuf,
}

/// Verifies a file of openings; how many findings.
pub(crate) fn verify(
    console: &Console,
    agreement: &Agreement,
    options: &OpeningsOptions,
) -> Result<usize, Problem> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |refusal| Problem::refused(path.clone(), refusal)
    };
    let text = files::read_text(&options.commitment)?;
    let commitment = Commitment::parse(&text, agreement).map_err(at(&options.commitment))?;
    let bytes = files::read_state(&options.openings)?;
    let opened: Openings = serde_json::from_slice(&bytes).map_err(|_| {
        at(&options.openings)(Refusal::malformed(
            "file of openings",
            "it is not in its form",
        ))
    })?;
    if opened.openings.len() > OPENINGS_MAX {
        let refusal = Refusal::Oversize {
            what: "openings",
            found: opened.openings.len() as u64,
            allowed: OPENINGS_MAX as u64,
        };
        return Err(at(&options.openings)(refusal));
    }
    let mut findings = Vec::new();
    if opened.commitment != text {
        findings.push(
            "打开的不是这份承诺 another roll was opened than the one that was committed to"
                .to_owned(),
        );
    }
    let mut places = BTreeSet::new();
    let mut handles = BTreeSet::new();
    for opening in &opened.openings {
        if opening.holds(&commitment) {
            places.insert(opening.index);
            handles.extend(opening.handles.iter().cloned());
        } else {
            findings.push(format!(
                "与承诺不符 not what was committed to: 第 {} 位 place",
                opening.index
            ));
        }
    }
    if let Some(words) = &options.seed {
        for place in commitment.drawn(words, options.count) {
            if !places.contains(&place) {
                findings.push(format!(
                    "抽中而未打开 drawn, not opened: 第 {place} 位 place"
                ));
            }
        }
    }
    if let Some(file) = &options.handles {
        findings.extend(matched(&files::read_text(file)?, &handles));
    }
    show(console, agreement, &opened);
    for finding in &findings {
        console.say(&format!("发现 finding: {finding}"));
    }
    console.say(&format!(
        "名册承诺 commitment: {} 人 persons; 已打开 opened {}, 发现 findings {}",
        commitment.persons,
        places.len(),
        findings.len()
    ));
    console.object(&serde_json::json!({
        "persons": commitment.persons, "opened": places.len(), "findings": findings,
    }));
    Ok(findings.len())
}

/// Matched handles that no opening has: more of a register than it has control records is somebody who was not committed to.
fn matched(draw: &str, opened: &BTreeSet<String>) -> Vec<String> {
    let mut missing: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for line in draw.lines() {
        if let Some((register, handle)) = line.trim().rsplit_once(' ')
            && !opened.contains(handle)
        {
            *missing.entry(register.trim()).or_default() += 1;
        }
    }
    let above = missing
        .into_iter()
        .filter(|(_, count)| *count > CONTROLS_MAX);
    above
        .map(|(register, count)| {
            format!(
                "匹配人员不在名册承诺中 matched, not in the committed roll: {register}: {count} 个句柄 handles, 校验记录至多 control \
                 records at most {CONTROLS_MAX}"
            )
        })
        .collect()
}

/// The persons, for comparison with their authorisations.
fn show(console: &Console, agreement: &Agreement, opened: &Openings) {
    let names: Vec<&str> = agreement
        .text()
        .field
        .iter()
        .map(|f| f.name.as_str())
        .collect();
    for opening in &opened.openings {
        let fields: Vec<String> = names
            .iter()
            .zip(&opening.fields)
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        console.say(&format!("  {:>6}  {}", opening.index, fields.join(", ")));
    }
}
