//! Unified social credit codes, GB 32100-2015. In: a cell. Out: 18 characters with a right check.
//! Invariant: the alphabet has no I, O, S, V, Z; a code that fails its mod-31 check is damaged.
//! Older 15-digit registration numbers have no check and stay as remnants.
//! Specification: protocol/SPEC.md, "uscc".

use super::folding::{is_noise, nfkc};
use super::{Form, Normal, Quality};

const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
/// Weights 3^(i-1) mod 31 of the first 17 characters.
const WEIGHTS: [usize; 17] = [
    1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28,
];

/// Normalises a code.
pub fn normalise(raw: &str) -> Normal {
    let text: String = nfkc(raw)
        .chars()
        .filter(|c| !is_noise(*c) && *c != '-')
        .flat_map(char::to_uppercase)
        .collect();
    if text.contains('*') {
        return Normal::without_value(Quality::Masked);
    }
    if text.len() == 18 && check(text.as_bytes()) == Some(true) {
        return Normal::usable(text, raw);
    }
    Normal::damaged((text.len() == 15).then_some(text))
}

fn check(code: &[u8]) -> Option<bool> {
    let value = |c: u8| ALPHABET.iter().position(|a| *a == c);
    let mut sum = 0;
    for (c, weight) in code.iter().zip(WEIGHTS) {
        sum += value(*c)? * weight;
    }
    Some(value(*code.get(17)?)? == (31 - sum % 31) % 31)
}

/// Forms of a code.
pub fn form(form: Form, value: &str) -> Option<String> {
    match form {
        Form::Organisation => value.get(8..17).map(str::to_owned),
        _ => None,
    }
}
