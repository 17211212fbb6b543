//! Free text, whole numbers, exact text, and the forms of alphabetic text. In: a cell. Out: one
//! spelling. Invariant: case, width, accents, punctuation and spacing do not matter in `text`;
//! nothing but outer spaces and Unicode composition is changed in `exact`.
//! Specification: protocol/SPEC.md, "text", "integer", "exact".

use unicode_normalization::UnicodeNormalization;

use super::folding::{fold_latin, fold_variant, nfkc};
use super::{Form, Normal};

/// Normalises free text: words of letters and digits, lower case, one space between.
pub fn normalise_text(raw: &str) -> Normal {
    if raw.is_ascii() {
        return match ascii_words(raw) {
            value if value.is_empty() => Normal::damaged(None),
            value => Normal::usable(value, raw),
        };
    }
    let folded = fold_latin(&nfkc(raw));
    let words: Vec<String> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().map(fold_variant).collect())
        .collect();
    let value = words.join(" ");
    if value.is_empty() {
        Normal::damaged(None)
    } else {
        Normal::usable(value, raw)
    }
}

/// The words of ASCII text: what the foldings come to there, in one pass.
fn ascii_words(raw: &str) -> String {
    let mut value = String::with_capacity(raw.len());
    let mut gap = false;
    for byte in raw.bytes() {
        if byte.is_ascii_alphanumeric() {
            if gap && !value.is_empty() {
                value.push(' ');
            }
            gap = false;
            value.push(char::from(byte.to_ascii_lowercase()));
        } else {
            gap = true;
        }
    }
    value
}

/// Normalises a whole number; thousands separators and a zero fraction are dropped.
pub fn normalise_integer(raw: &str) -> Normal {
    let text: String = nfkc(raw)
        .chars()
        .filter(|c| !matches!(c, ',' | ' ' | '_'))
        .collect();
    let whole = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, fraction)| {
            if fraction.bytes().all(|b| b == b'0') {
                whole
            } else {
                ""
            }
        });
    match whole.parse::<i128>() {
        Ok(number) => Normal::usable(number.to_string(), raw),
        Err(_) => Normal::damaged(None),
    }
}

/// Normalises exact text: Unicode NFC, outer spaces gone.
pub fn normalise_exact(raw: &str) -> Normal {
    Normal::usable(raw.nfc().collect(), raw)
}

/// Forms of alphabetic text.
pub fn form(form: Form, value: &str) -> Option<String> {
    match form {
        Form::Initial => value.chars().next().map(String::from),
        Form::First3 => {
            let letters: Vec<char> = value.chars().filter(|c| *c != ' ').take(3).collect();
            (letters.len() == 3).then(|| letters.into_iter().collect())
        }
        Form::Soundex => soundex(value.split(' ').next()?),
        Form::Sorted => {
            let mut words: Vec<&str> = value.split(' ').collect();
            words.sort_unstable();
            Some(words.join(" "))
        }
        _ => None,
    }
}

/// American Soundex (US National Archives): the first letter and three digits; `None` without one.
fn soundex(word: &str) -> Option<String> {
    let code = |c: char| match c {
        'b' | 'f' | 'p' | 'v' => '1',
        'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => '2',
        'd' | 't' => '3',
        'l' => '4',
        'm' | 'n' => '5',
        'r' => '6',
        'h' | 'w' => '-',
        _ => '0',
    };
    let letters: Vec<char> = word.chars().filter(char::is_ascii_alphabetic).collect();
    let first = *letters.first()?;
    let mut out = String::from(first.to_ascii_uppercase());
    let mut last = code(first);
    for c in letters.iter().skip(1).map(|c| code(*c)) {
        // h and w do not part two letters of one code; vowels do.
        if c == '-' {
            continue;
        }
        if c != '0' && c != last {
            out.push(c);
        }
        last = c;
    }
    out.push_str("000");
    out.truncate(4);
    Some(out)
}
