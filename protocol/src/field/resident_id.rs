//! Citizen identity numbers, GB 11643-1999. In: a cell. Out: 18 characters, or why not.
//! Invariant: a value is usable only with a right check character, a real birth date and a known
//! province; a number that fails keeps its digits as remnant, whose date may still be read.
//! Specification: protocol/SPEC.md, "cn-resident-id".

use super::date::is_plausible_birth;
use super::folding::{is_noise, nfkc};
use super::{Form, Normal, Quality};

/// Weights of the first 17 digits (GB 11643-1999, 2^(18-i) mod 11).
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
/// Check character for each remainder (ISO 7064 MOD 11-2).
const CHECK: &[u8; 11] = b"10X98765432";

/// The check character of 17 digits, or `None` if they are not digits.
pub fn check_character(digits: &[u8]) -> Option<u8> {
    if digits.len() != 17 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum: u32 = digits
        .iter()
        .zip(WEIGHTS)
        .map(|(d, w)| u32::from(d - b'0') * w)
        .sum();
    CHECK.get(usize::try_from(sum % 11).ok()?).copied()
}

/// Normalises an identity number.
pub fn normalise(raw: &str) -> Normal {
    let Some(text) = clean(raw) else {
        return Normal::without_value(Quality::Masked);
    };
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Normal::without_value(Quality::Absent);
    }
    if bytes.len() >= 6 && bytes.iter().all(|b| *b == bytes[0]) {
        return Normal::without_value(Quality::Placeholder);
    }
    match bytes.len() {
        18 if is_valid(bytes) => Normal::usable(text, raw),
        15 => match upgrade(bytes) {
            Some(value) => Normal {
                quality: Quality::Repaired,
                value: Some(value),
                remnant: None,
            },
            None => Normal::damaged(None),
        },
        14..=18 => Normal::damaged(Some(text)),
        _ => Normal::damaged(None),
    }
}

/// Upper case, noise and look-alikes of X folded; `None` if digits are hidden by `*`.
fn clean(raw: &str) -> Option<String> {
    let mut text: String = nfkc(raw)
        .chars()
        .filter(|c| !is_noise(*c) && !matches!(c, '-' | '.' | ','))
        .map(|c| match c {
            'x' | 'Х' | 'х' | '×' | '✕' | '╳' | '㐅' => 'X',
            'O' | 'o' | 'О' | 'о' => '0',
            'l' | 'I' => '1',
            c => c,
        })
        .collect();
    let body = text.strip_suffix('*').unwrap_or(&text);
    if body.len() == 17 && text.len() == 18 && body.bytes().all(|b| b.is_ascii_digit()) {
        // A lone final star stands for X in old exports; the check character decides.
        text = format!("{body}X");
    }
    if text.contains('*') || text.contains('#') {
        return None;
    }
    text.retain(|c| c.is_ascii_digit() || c == 'X' || c.is_alphabetic() || c == '+');
    Some(text)
}

fn is_valid(bytes: &[u8]) -> bool {
    let Some((digits, last)) = bytes.split_at_checked(17) else {
        return false;
    };
    check_character(digits).is_some_and(|check| last == [check])
        && is_known_province(digits)
        && is_plausible_birth(&digits[6..14])
}

/// First two digits of GB/T 2260, with 81–83 for residence permits of Hong Kong, Macao and Taiwan.
fn is_known_province(digits: &[u8]) -> bool {
    let number = digits[..2]
        .iter()
        .fold(0, |n, d| n * 10 + u32::from(d - b'0'));
    matches!(number, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
}

/// 15 digits (used until 1999) → 18: the century after digit 6, the check character at the end.
/// Sequence numbers 996–999 were given to persons born before 1900.
fn upgrade(bytes: &[u8]) -> Option<String> {
    if !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let century: &[u8] = if &bytes[12..14] == b"99" && bytes[14] >= b'6' {
        b"18"
    } else {
        b"19"
    };
    let mut value = [&bytes[..6], century, &bytes[6..]].concat();
    value.push(check_character(&value)?);
    is_valid(&value).then(|| String::from_utf8(value).ok())?
}

/// Most texts that [`one_error`] gives: 9 other digits in 17 places, 10 other check characters, 17 exchanges.
pub const ONE_ERROR_MAX: usize = 17 * 9 + 10 + 17;

/// Every text that one slip makes of a valid number: one character for another, or two neighbours exchanged.
/// ISO 7064 MOD 11-2 detects each of them, so none is anybody's valid number.
pub fn one_error(valid: &str) -> Vec<String> {
    let bytes = valid.as_bytes();
    let mut out = Vec::with_capacity(ONE_ERROR_MAX);
    let mut push = |text: Vec<u8>| out.extend(String::from_utf8(text));
    for at in 0..bytes.len() {
        let alphabet: &[u8] = if at == 17 {
            b"0123456789X"
        } else {
            b"0123456789"
        };
        for other in alphabet.iter().filter(|other| **other != bytes[at]) {
            let mut text = bytes.to_vec();
            text[at] = *other;
            push(text);
        }
        if bytes.get(at + 1).is_some_and(|next| *next != bytes[at]) {
            let mut text = bytes.to_vec();
            text.swap(at, at + 1);
            push(text);
        }
    }
    out
}

/// A number of 18 characters that fails its check and may be one slip away from a right one.
fn failing(cell: &Normal) -> Option<String> {
    let text = cell.remnant.as_deref().filter(|text| text.len() == 18)?;
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'X');
    let (body, last) = text.as_bytes().split_at(17);
    (digits && check_character(body).is_none_or(|check| last != [check])).then(|| text.to_owned())
}

/// Forms of an identity number; the birth date and sex are also read from a remnant.
pub fn form(form: Form, cell: &Normal) -> Option<String> {
    if form == Form::OneError {
        return failing(cell);
    }
    let whole = cell.value.as_deref();
    let text = match form {
        Form::Birth | Form::Sex => whole.or(cell.remnant.as_deref())?,
        _ => whole?,
    };
    let part = |range: std::ops::Range<usize>| text.get(range).map(str::to_owned);
    match form {
        Form::Birth => part(6..14).filter(|digits| is_plausible_birth(digits.as_bytes())),
        Form::Sex => {
            let digit = *text.as_bytes().get(16).filter(|d| d.is_ascii_digit())?;
            // A truncated or zero-filled tail (Excel keeps 15 digits) says nothing about the sex.
            if whole.is_none() && text.ends_with("000") {
                return None;
            }
            Some(if digit % 2 == 1 { "1" } else { "2" }.to_owned())
        }
        Form::Sequence => part(14..17),
        Form::Body => part(6..17),
        _ => None,
    }
}
