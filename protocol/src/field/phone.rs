//! Telephone numbers. In: a cell. Out: digits with the country prefix of China removed.
//! Invariant: fillers and numbers of impossible length are not usable; a number supports, never decides.
//! Specification: protocol/SPEC.md, "phone".

use super::folding::nfkc;
use super::{Form, Normal, Quality};

/// Normalises a telephone number.
pub fn normalise(raw: &str) -> Normal {
    let text = nfkc(raw);
    // Two numbers in one cell: the first counts.
    let first = text
        .split(['/', ';', '、', ',', '，'])
        .next()
        .unwrap_or_default();
    let all: String = first.chars().filter(char::is_ascii_digit).collect();
    if first.contains('*') {
        return Normal::without_value(Quality::Masked);
    }
    let mut digits = all.as_str();
    // Until none is left: what a normal form begins with is no prefix.
    while let Some(rest) = ["0086", "86"]
        .iter()
        .find_map(|prefix| digits.strip_prefix(prefix).filter(|rest| rest.len() >= 10))
    {
        digits = rest;
    }
    let same = digits
        .bytes()
        .all(|b| Some(&b) == digits.as_bytes().first());
    if !digits.is_empty() && (same || matches!(digits, "12345678901" | "13800138000" | "12345678"))
    {
        return Normal::without_value(Quality::Placeholder);
    }
    if (7..=15).contains(&digits.len()) {
        Normal::usable(digits.to_owned(), raw)
    } else {
        Normal::damaged(None)
    }
}

/// Forms of a telephone number.
pub fn form(form: Form, value: &str) -> Option<String> {
    match form {
        Form::Last8 => value
            .len()
            .checked_sub(8)
            .and_then(|at| value.get(at..))
            .map(str::to_owned),
        _ => None,
    }
}
