//! What verified outcomes say about the comparison (反馈). In: approved conclusions. Out: precision per category, rule and
//! key class with intervals; early signs of over-linking; proposals. Invariant: proposes, never applies; a figure is
//! shown with the number of cases behind it, and nothing is proposed from fewer than thirty.
//! Source of the interval: Wilson, J. Amer. Statist. Assoc. 22 (1927), at 95 %.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::book::Book;
use crate::case::Case;
use crate::words::{Answer, Kind, Outcome};

/// Fewest cases from which something is proposed.
pub const CASES_MIN: u64 = 30;
/// Share of right persons below which a key class should be reviewed by people first.
const SAME_PERSON_FLOOR: f64 = 0.98;
/// Share of true clues below which a rule's condition should be looked at.
const RULE_FLOOR: f64 = 0.5;
/// Normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.959_963_985;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Cases that were true (or the right person).
    pub yes: u64,
    /// All cases that were decided.
    pub of: u64,
}

impl Share {
    fn add(&mut self, yes: bool) {
        self.yes += u64::from(yes);
        self.of += 1;
    }

    /// The share; `None` of no case.
    pub fn rate(&self) -> Option<f64> {
        (self.of > 0).then(|| self.yes as f64 / self.of as f64)
    }

    /// Wilson's interval at 95 %.
    pub fn interval(&self) -> (f64, f64) {
        let Some(p) = self.rate() else {
            return (0.0, 1.0);
        };
        let n = self.of as f64;
        let centre = p + Z * Z / (2.0 * n);
        let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        let low = ((centre - spread) / scale).max(0.0);
        let high = ((centre + spread) / scale).min(1.0);
        (low, high)
    }

    /// `93.0%（88.0%～96.0%，120 件）`.
    pub fn text(&self) -> String {
        match self.rate() {
            None => "—".to_owned(),
            Some(rate) => {
                let (low, high) = self.interval();
                format!(
                    "{:.1}%（{:.1}%～{:.1}%，{} 件）",
                    rate * 100.0,
                    low * 100.0,
                    high * 100.0,
                    self.of
                )
            }
        }
    }
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// In words of the clerk.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// What the outcomes say.
#[derive(Default, Serialize)]
pub struct Feedback {
    /// True clues per category.
    pub categories: BTreeMap<String, Share>,
    /// True clues per rule.
    pub rules: BTreeMap<String, Share>,
    /// Right persons per key class: the keys that agreed, and how the match was decided.
    pub keys: BTreeMap<String, Share>,
    /// True clues per register.
    pub registers: BTreeMap<String, Share>,
    /// Proposals.
    pub proposals: Vec<Proposal>,
}

/// Whether a case is evidence about the comparison: decided by two people, neither unclear nor withdrawn.
fn decided(case: &Case) -> Option<(bool, Answer)> {
    let (conclusion, _) = case.conclusion.as_ref()?;
    case.approved.as_ref()?;
    let counts = !case.withdrawn && !case.is_task() && conclusion.outcome != Outcome::Unclear;
    counts.then_some((conclusion.outcome.is_adverse(), conclusion.same_person))
}

/// Adds up all decided cases.
pub fn of(book: &Book) -> Feedback {
    let mut feedback = Feedback::default();
    for case in book.cases.values() {
        let Some((adverse, same_person)) = decided(case) else {
            continue;
        };
        let add = |map: &mut BTreeMap<String, Share>, name: String, yes: bool| {
            map.entry(name).or_default().add(yes);
        };
        add(&mut feedback.categories, case.new.category.clone(), adverse);
        let once = |map: &mut BTreeMap<String, Share>, mut names: Vec<String>, yes: bool| {
            names.sort();
            names.dedup();
            for name in names {
                add(map, name, yes);
            }
        };
        let exhibits = case.exhibits();
        let rules = exhibits.iter().map(|e| e.rule.clone()).collect();
        once(&mut feedback.rules, rules, adverse);
        let registers = exhibits.iter().map(|e| e.register_title.clone()).collect();
        once(&mut feedback.registers, registers, adverse);
        if matches!(same_person, Answer::Yes | Answer::No) {
            let keys = exhibits
                .iter()
                .map(|e| {
                    // Two classes per set of keys, not one for every set that differs: they would be too small to say anything.
                    let but = if e.differ.is_empty() {
                        ""
                    } else {
                        "（另有不一致）"
                    };
                    format!("{}｜{}{but}", e.identity(), e.agree.join("、"))
                })
                .collect();
            once(&mut feedback.keys, keys, same_person == Answer::Yes);
        }
    }
    feedback.proposals = proposals(&feedback, book);
    feedback
}

fn proposals(feedback: &Feedback, book: &Book) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    for (keys, share) in &feedback.keys {
        let (low, high) = share.interval();
        let sure = keys.starts_with("同一人");
        if share.of < CASES_MIN {
            continue;
        }
        if sure && high < SAME_PERSON_FLOOR {
            proposals.push(Proposal {
                zh: format!(
                    "匹配依据“{keys}”疑似误匹配偏多（同一人比例 {}），建议下一份协议改为待核实",
                    share.text()
                ),
                en: format!(
                    "keys \"{keys}\" over-link; let the next agreement send them to review"
                ),
            });
        }
        if !sure && low >= SAME_PERSON_FLOOR {
            proposals.push(Proposal {
                zh: format!(
                    "匹配依据“{keys}”经核实绝大多数为同一人（{}），可建议下一份协议直接判定",
                    share.text()
                ),
                en: format!(
                    "keys \"{keys}\" have proved right; the next agreement may let them decide"
                ),
            });
        }
    }
    for (rule, share) in &feedback.rules {
        if share.of >= CASES_MIN && share.interval().1 < RULE_FLOOR {
            proposals.push(Proposal {
                zh: format!(
                    "规则 {rule} 属实比例偏低（{}），建议复核其条件和例外",
                    share.text()
                ),
                en: format!("rule {rule} is rarely true; look at its condition and exemptions"),
            });
        }
    }
    let waiting = book
        .cases
        .values()
        .filter(|case| case.new.kind == Kind::Review && case.is_open())
        .count() as u64;
    let open = book.cases.values().filter(|case| case.is_open()).count() as u64;
    if waiting >= CASES_MIN && waiting * 2 > open {
        proposals.push(Proposal {
            zh: format!("待核实身份 {waiting} 件，超过在办的一半，建议协议启用细化比对或提高判定阈值"),
            en: format!("{waiting} of {open} open cases wait for an identity; a refinement round would settle many"),
        });
    }
    proposals
}

#[cfg(test)]
mod tests {
    use super::Share;

    /// Wilson's interval for 81 of 263 (Newcombe, Statist. Med. 17 (1998), table I): 0.2553 to 0.3662.
    #[test]
    fn the_interval_is_wilsons() {
        let (low, high) = Share { yes: 81, of: 263 }.interval();
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5);
        // 15 of 148: 0.0624 to 0.1605; none of 20: 0 to 0.1611; 1 of 29: 0.0061 to 0.1718 (same table).
        let (low, high) = Share { yes: 15, of: 148 }.interval();
        assert!((low - 0.0624).abs() < 5e-5 && (high - 0.1605).abs() < 5e-5);
        let (low, high) = Share { yes: 0, of: 20 }.interval();
        assert!(low == 0.0 && (high - 0.1611).abs() < 5e-5);
        let (low, high) = Share { yes: 1, of: 29 }.interval();
        assert!((low - 0.0061).abs() < 5e-5 && (high - 0.1718).abs() < 5e-5);
        assert_eq!(Share::default().interval(), (0.0, 1.0));
    }
}
