//! Personal names in alphabetic scripts. In: a cell. Out: lower-case words without accents.
//! Invariant: titles, punctuation and case do not matter; the order of words does (form `sorted`
//! removes it). Names in Han characters belong to `cn-name`.
//! Specification: protocol/SPEC.md, "person-name".

use super::Normal;
use super::folding::{fold_latin, nfkc};

const TITLES: [&str; 16] = [
    "mr", "mrs", "ms", "miss", "dr", "prof", "sir", "jr", "sr", "ii", "iii", "herr", "frau", "md",
    "phd", "esq",
];

/// Normalises a name.
pub fn normalise(raw: &str) -> Normal {
    if !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        // One word without accents: what the rest comes to.
        return Normal::usable(raw.to_ascii_lowercase(), raw);
    }
    let folded = fold_latin(&nfkc(raw));
    // O'Brien and OBrien, Anne-Marie and Anne Marie are one spelling each.
    let joined: String = folded
        .chars()
        .filter(|c| !matches!(c, '\'' | '’' | '`' | '.'))
        .collect();
    let mut words: Vec<&str> = joined
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .collect();
    if words.len() > 1 {
        let named: Vec<&str> = words
            .iter()
            .copied()
            .filter(|word| !TITLES.contains(word))
            .collect();
        if !named.is_empty() {
            words = named;
        }
    }
    let value = words.join(" ");
    if value.is_empty() {
        Normal::damaged(None)
    } else {
        Normal::usable(value, raw)
    }
}
