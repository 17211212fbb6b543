//! Scoring a run against the planted truth, beside two baselines on the same plaintext. In: county, clue
//! file. Out: tallies per category and difficulty, precision, recall. Invariant: a found clue counts only
//! for its own benefit unit and category; baselines see plaintext and no roles.
//! Baselines: raw identity numbers, and identity numbers brought to 18 characters.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::county::County;
use crate::county::plant::CATEGORIES;

/// Unit and category.
pub type Key = (String, String);

/// One category's tally.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Planted clues.
    pub planted: usize,
    /// Found among them.
    pub found: usize,
    /// Not found.
    pub missed: usize,
    /// Found but not planted.
    #[serde(rename = "false")]
    pub wrong: usize,
}

/// Precision and recall.
#[derive(Clone, Debug, Serialize)]
pub struct Quality {
    /// Share of found clues that are true.
    pub precision: f64,
    /// Share of true clues that are found.
    pub recall: f64,
}

/// A difficulty class.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Difficulty {
    /// Planted clues.
    pub planted: usize,
    /// Found among them.
    pub found: usize,
    /// Found among them, review items included.
    pub found_with_review: usize,
}

/// The whole score.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Precision of the clues.
    pub precision: f64,
    /// Recall of the clues.
    pub recall: f64,
    /// Recall if review items count as found.
    pub recall_with_review: f64,
    /// Items for identity review.
    pub review_items: usize,
    /// Public servants living apart of whom a clue was made.
    pub supporter_clues: usize,
    /// Per category.
    pub categories: BTreeMap<String, Tally>,
    /// Per difficulty class.
    pub difficulty: BTreeMap<String, Difficulty>,
    /// What joins on plaintext would have given.
    pub baselines: BTreeMap<String, Quality>,
}

/// Reads clue and review keys from the roll owner's `clues.json`.
pub fn read_clues(json: &str) -> (BTreeSet<Key>, BTreeSet<Key>) {
    let value: serde_json::Value = serde_json::from_str(json).expect("clues.json");
    let keys = |name: &str| {
        let lines = value[name].as_array().cloned().unwrap_or_default();
        let text = |line: &serde_json::Value, field: &str| {
            line[field].as_str().unwrap_or_default().to_owned()
        };
        lines
            .iter()
            .map(|line| (text(line, "unit"), text(line, "category")))
            .collect()
    };
    (keys("clues"), keys("reviews"))
}

/// Scores clues and review items.
pub fn score(county: &County, clues: &BTreeSet<Key>, reviews: &BTreeSet<Key>) -> Score {
    let key = |clue: &crate::county::plant::Clue| {
        (
            county.units[clue.unit].number.clone(),
            clue.category.to_owned(),
        )
    };
    let truth: BTreeMap<Key, &str> = county
        .clues
        .iter()
        .map(|c| (key(c), c.difficulty))
        .collect();
    let mut categories: BTreeMap<String, Tally> = BTreeMap::new();
    let mut difficulty: BTreeMap<String, Difficulty> = BTreeMap::new();
    let (mut found, mut reviewed) = (0, 0);
    for (key, class) in &truth {
        let tally = categories.entry(key.1.clone()).or_default();
        let by_class = difficulty.entry((*class).to_owned()).or_default();
        tally.planted += 1;
        by_class.planted += 1;
        if clues.contains(key) {
            tally.found += 1;
            by_class.found += 1;
            found += 1;
        } else {
            tally.missed += 1;
        }
        if clues.contains(key) || reviews.contains(key) {
            by_class.found_with_review += 1;
            reviewed += 1;
        }
    }
    for key in clues.iter().filter(|key| !truth.contains_key(*key)) {
        categories.entry(key.1.clone()).or_default().wrong += 1;
    }
    let servants: BTreeSet<&str> = county
        .decoys
        .iter()
        .filter(|(kind, _)| *kind == "public servant living apart")
        .map(|(_, unit)| county.units[*unit].number.as_str())
        .collect();
    let cadre = CATEGORIES[6].0;
    let wronged = |key: &&Key| key.1 == cadre && servants.contains(key.0.as_str());
    let share = |part: usize, whole: usize| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    let baselines = [("raw_id", false), ("canonical_id", true)];
    Score {
        precision: share(found, clues.len()),
        recall: share(found, truth.len()),
        recall_with_review: share(reviewed, truth.len()),
        review_items: reviews.len(),
        supporter_clues: clues.iter().filter(wronged).count(),
        categories,
        difficulty,
        baselines: baselines
            .into_iter()
            .map(|(name, canonical)| (name.to_owned(), baseline(county, &truth, canonical)))
            .collect(),
    }
}

/// Category that a register's hits belong to in a join without roles.
fn category_of(register: &str) -> Option<usize> {
    match register {
        "nongji" | "linye" => Some(0),
        "budongchan" => Some(1),
        "jidongche" => Some(2),
        "tekun" => Some(3),
        "siwang" | "huohua" | "siwangzheng" => Some(4),
        "gongjijin" | "gongshang" => Some(5),
        "caizheng" | "cungan" => Some(6),
        _ => None,
    }
}

/// Every person of the roll with the same number as a row of a register: a clue for the person's unit.
fn baseline(county: &County, truth: &BTreeMap<Key, &str>, canonical: bool) -> Quality {
    let form = |id: &str| {
        if canonical {
            canonical_id(id)
        } else {
            id.to_owned()
        }
    };
    let place = |header: &[&str], wanted: &[&str]| {
        header
            .iter()
            .position(|name| wanted.contains(name))
            .unwrap_or(0)
    };
    let ids = [
        "身份证号",
        "公民身份号码",
        "身份证号码",
        "证件号码",
        "身份证明号码",
        "证件号",
    ];
    let roll = &county.registers["dibao"];
    let (id_at, unit_at) = (
        place(&roll.header(), &ids),
        place(&roll.header(), &["户编号"]),
    );
    let mut units: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in &roll.rows {
        units
            .entry(form(&row.cells[id_at]))
            .or_default()
            .push(&row.cells[unit_at]);
    }
    let mut found: BTreeSet<Key> = BTreeSet::new();
    for (name, register) in &county.registers {
        let Some(category) = category_of(name) else {
            continue;
        };
        let id_at = place(&register.header(), &ids);
        for row in &register.rows {
            let id = form(&row.cells[id_at]);
            for unit in units
                .get(&id)
                .filter(|_| id.len() >= 15)
                .into_iter()
                .flatten()
            {
                found.insert(((*unit).to_owned(), CATEGORIES[category].0.to_owned()));
            }
        }
    }
    let hits = found.iter().filter(|key| truth.contains_key(*key)).count();
    Quality {
        precision: hits as f64 / found.len().max(1) as f64,
        recall: hits as f64 / truth.len() as f64,
    }
}

/// Digits and X only, 15 brought to 18: what a careful clerk would do in a spreadsheet.
fn canonical_id(id: &str) -> String {
    let text: String = id
        .chars()
        .map(|c| {
            char::from_u32(u32::from(c).wrapping_sub(0xfee0))
                .filter(char::is_ascii_alphanumeric)
                .unwrap_or(c)
        })
        .map(|c| {
            if matches!(c, 'x' | '×' | '*' | 'х') {
                'X'
            } else {
                c
            }
        })
        .filter(|c| c.is_ascii_digit() || *c == 'X')
        .collect();
    if text.len() != 15 || !text.is_ascii() {
        return text;
    }
    let (area, rest) = text.split_at(6);
    let (birth, sequence) = rest.split_at(6);
    match (area.parse(), format!("19{birth}").parse(), sequence.parse()) {
        (Ok(area), Ok(birth), Ok(sequence)) => crate::county::people::number(area, birth, sequence),
        _ => text,
    }
}
