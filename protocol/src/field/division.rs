//! Places in China. In: a code, or text with the names of township and village. Out: the 12-digit
//! code of the gazetteer, or 9 or 6 digits where the text says no more.
//! Invariant: only the agreement's gazetteer decides; an ambiguous name yields no code.
//! Specification: protocol/SPEC.md, "cn-division".

use super::folding::{is_noise, nfkc};
use super::{Form, Normal};
use crate::refusal::Refusal;

/// Places of an agreement: codes with their present and former names.
#[derive(Default)]
pub struct Gazetteer {
    /// (stem of a township's name, its 9-digit code), longest stems first.
    townships: Vec<(String, String)>,
    /// (stem of a village's name, its 12-digit code), longest stems first.
    villages: Vec<(String, String)>,
    codes: Vec<String>,
}

const TOWNSHIP_ENDINGS: [&str; 7] = [
    "街道办事处",
    "街道",
    "管理区",
    "民族乡",
    "镇",
    "乡",
    "办事处",
];
const VILLAGE_ENDINGS: [&str; 11] = [
    "社区居民委员会",
    "居民委员会",
    "村民委员会",
    "社区居委会",
    "村委会",
    "居委会",
    "社区",
    "林场",
    "村",
    "居",
    "委会",
];

impl Gazetteer {
    /// Reads lines `code,name[,former name…]`; `#` begins a comment. Codes have 6, 9 or 12 digits.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut places = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with('#') || line.starts_with("code") {
                continue;
            }
            let mut cells = line.split(',').map(str::trim);
            let code = cells.next().unwrap_or_default();
            let digits = code.bytes().all(|b| b.is_ascii_digit());
            if !digits || !matches!(code.len(), 6 | 9 | 12) {
                let why = format!("line {}: a code has 6, 9 or 12 digits", number + 1);
                return Err(Refusal::malformed("gazetteer", why));
            }
            for name in cells.filter(|name| !name.is_empty()) {
                match code.len() {
                    9 => places
                        .townships
                        .push((stem(name, &TOWNSHIP_ENDINGS), code.to_owned())),
                    12 => places
                        .villages
                        .push((stem(name, &VILLAGE_ENDINGS), code.to_owned())),
                    _ => {}
                }
            }
            places.codes.push(code.to_owned());
        }
        let longest_first = |a: &(String, String), b: &(String, String)| {
            b.0.chars()
                .count()
                .cmp(&a.0.chars().count())
                .then_with(|| a.cmp(b))
        };
        places.townships.sort_by(longest_first);
        places.villages.sort_by(longest_first);
        places.codes.sort_unstable();
        Ok(places)
    }

    /// Township by its name anywhere in `text`; the longest name wins, two codes are none.
    fn township<'a>(&'a self, text: &str) -> Option<(&'a str, usize)> {
        unique(&self.townships, text, |_| true)
    }

    fn village<'a>(&'a self, text: &str, township: Option<&str>) -> Option<&'a str> {
        let inside = |code: &str| township.is_none_or(|prefix| code.starts_with(prefix));
        unique(&self.villages, text, inside).map(|found| found.0)
    }
}

/// The name without its ending; short stems (one character) keep it.
fn stem(name: &str, endings: &[&str]) -> String {
    let clean: String = nfkc(name).chars().filter(|c| !is_noise(*c)).collect();
    let mut stem = clean.as_str();
    // 汪家村村民委员会 → 汪家村 → 汪家: the name that lists use, with or without its ending.
    while let Some(rest) = endings.iter().find_map(|ending| {
        stem.strip_suffix(ending)
            .filter(|rest| rest.chars().count() >= 2)
    }) {
        stem = rest;
    }
    stem.to_owned()
}

/// The code of the longest stem found in `text` with the place where it ends; `None` if two
/// different codes fit equally well.
fn unique<'a>(
    places: &'a [(String, String)],
    text: &str,
    admitted: impl Fn(&str) -> bool,
) -> Option<(&'a str, usize)> {
    let mut best: Option<(&str, &str, usize)> = None;
    for (stem, code) in places.iter().filter(|(_, code)| admitted(code)) {
        if let Some((held, held_code, _)) = best {
            if stem.chars().count() < held.chars().count() {
                break;
            }
            if code != held_code && text.contains(stem.as_str()) {
                return None;
            }
        } else if let Some(at) = text.find(stem.as_str()) {
            best = Some((stem, code, at + stem.len()));
        }
    }
    best.map(|(_, code, end)| (code, end))
}

/// Normalises a place.
pub fn normalise(raw: &str, places: &Gazetteer) -> Normal {
    let text: String = nfkc(raw).chars().filter(|c| !is_noise(*c)).collect();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let code = match text.len() {
            12 if text.ends_with("000000") => text.get(..6),
            12 if text.ends_with("000") => text.get(..9),
            6 | 9 | 12 => Some(text.as_str()),
            _ => None,
        };
        return match code {
            Some(code) => Normal::usable(code.to_owned(), raw),
            None => Normal::damaged(None),
        };
    }
    let township = places.township(&text);
    let rest = township
        .and_then(|(_, end)| text.get(end..))
        .unwrap_or(&text);
    let township = township.map(|(code, _)| code);
    // A village may have moved to a neighbouring township: then its name alone decides, if unique.
    let village = places
        .village(rest, township)
        .or_else(|| places.village(&text, None));
    match village.or(township) {
        Some(code) => Normal::usable(code.to_owned(), raw),
        None => Normal::damaged(None),
    }
}

/// Forms of a place.
pub fn form(form: Form, value: &str) -> Option<String> {
    match form {
        Form::County => value.get(..6),
        Form::Township => value.get(..9),
        Form::Village => value.get(..12),
        _ => None,
    }
    .map(str::to_owned)
}
