//! Calendar dates. In: a cell, year first (the agent's mapping has put other orders right). Out:
//! `YYYYMMDD`. Invariant: only dates of the Gregorian calendar between 1850 and 2199 are usable; of another the
//! digits that it has are a remnant. Specification: protocol/SPEC.md, "date".

use super::folding::nfkc;
use super::{Form, Normal, Quality};

/// Fillers of registers, spreadsheets and databases.
const PLACEHOLDERS: [&str; 8] = [
    "19000101", "19000100", "18991230", "18991231", "99991231", "00000000", "00010101", "11111111",
];

/// Normalises a date.
pub fn normalise(raw: &str) -> Normal {
    if !PLACEHOLDERS.contains(&raw) && parse(raw.as_bytes()).is_some() {
        return Normal::usable(raw.to_owned(), raw);
    }
    let text = nfkc(raw);
    let numbers = digit_groups(&text);
    let digits: String = match &numbers[..] {
        // 2016-07-01, 2016年7月1日, 2016/7/1 8:00
        [year, month, day, ..] if year.len() == 4 && month.len() <= 2 && day.len() <= 2 => {
            format!("{year}{month:0>2}{day:0>2}")
        }
        // 20160701, 20160701 080000, 20160701080000
        [all, ..] if all.len() == 8 || all.len() == 14 => all.chars().take(8).collect(),
        [year, month] if year.len() == 4 && month.len() <= 2 => format!("{year}{month:0>2}"),
        [all] if all.len() == 6 || all.len() == 4 => (*all).to_owned(),
        _ => return Normal::damaged(None),
    };
    if PLACEHOLDERS.contains(&digits.as_str()) {
        return Normal::without_value(Quality::Placeholder);
    }
    match digits.len() {
        8 if parse(digits.as_bytes()).is_some() => Normal::usable(digits, raw),
        // 1964-00-00 and 1964-08-00 keep what they have.
        8 if digits.ends_with("0000") => Normal::damaged(year_of(&digits)),
        8 if digits.ends_with("00") => Normal::damaged(month_of(&digits).or(year_of(&digits))),
        // 1983-13-40 names no day; its digits still say how far it is from another date.
        8 => Normal::damaged(Some(digits)),
        6 => Normal::damaged(month_of(&digits)),
        4 => Normal::damaged(year_of(&digits)),
        _ => Normal::damaged(None),
    }
}

fn year_of(digits: &str) -> Option<String> {
    let year = digits.get(..4)?;
    (1850..=2199)
        .contains(&year.parse::<u32>().ok()?)
        .then(|| year.to_owned())
}

fn month_of(digits: &str) -> Option<String> {
    let month: u32 = digits.get(4..6)?.parse().ok()?;
    year_of(digits)?;
    (1..=12)
        .contains(&month)
        .then(|| digits.get(..6).map(str::to_owned))?
}

fn digit_groups(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .collect()
}

/// Year, month and day of 8 ASCII digits, if they name a day of the Gregorian calendar.
pub fn parse(digits: &[u8]) -> Option<(u32, u32, u32)> {
    if digits.len() != 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |part: &[u8]| part.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0'));
    let (year, month, day) = (
        number(&digits[..4]),
        number(&digits[4..6]),
        number(&digits[6..]),
    );
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    ((1850..=2199).contains(&year) && (1..=days).contains(&day)).then_some((year, month, day))
}

/// Whether 8 ASCII digits may be the birth date of a person in a register.
pub fn is_plausible_birth(digits: &[u8]) -> bool {
    parse(digits).is_some_and(|(year, _, _)| year <= 2099)
}

/// Forms of a date; of a damaged one those whose digits are possible.
pub fn form(form: Form, cell: &Normal) -> Option<String> {
    let text = cell.value.as_deref().or(cell.remnant.as_deref())?;
    match form {
        Form::Year => year_of(text),
        Form::YearMonth => month_of(text),
        Form::MonthDay => cell.value.as_deref()?.get(4..8).map(str::to_owned),
        _ => None,
    }
}
