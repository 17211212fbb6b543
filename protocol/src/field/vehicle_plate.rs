//! Vehicle plates, GA 36. In: a cell. Out: upper case without separators, I and O read as digits.
//! Invariant: after the province and the office letter there are 5 or 6 characters; plates contain
//! neither I nor O beyond the office letter, so both can only be misread digits.
//! Specification: protocol/SPEC.md, "plate".

use super::Normal;
use super::folding::{is_han, is_noise, nfkc};

/// Normalises a plate.
pub fn normalise(raw: &str) -> Normal {
    let text: String = nfkc(raw)
        .chars()
        .filter(|c| !is_noise(*c) && !matches!(c, '·' | '.' | '-' | '•' | '・' | '‧'))
        .flat_map(char::to_uppercase)
        .collect();
    let body_at = if text.chars().next().is_some_and(is_han) {
        2
    } else {
        1
    };
    let value: String = text
        .chars()
        .enumerate()
        .map(|(at, c)| match c {
            'O' if at >= body_at => '0',
            'I' if at >= body_at => '1',
            c => c,
        })
        .collect();
    let count = value.chars().count();
    if (5..=10).contains(&count) && value.chars().all(char::is_alphanumeric) {
        Normal::usable(value, raw)
    } else {
        Normal::damaged(None)
    }
}
