//! Personal names in Han characters. In: a cell as villages and offices write it. Out: the name alone,
//! in variant-class characters. Invariant: notes, titles and spaces are dropped; text that is not one
//! person's name (王某, 李四之妻) is damaged; the record itself is never corrected.
//! Specification: protocol/SPEC.md, "cn-name" (dots: 民委发〔2016〕33号).

use pinyin::ToPinyin;

use super::folding::{fold_variant, from_gb18030_private_use, is_han, is_private_use, nfkc};
use super::{Form, Normal, Quality};

/// Longest name in characters (security.md §6.3).
const CHARS_MAX: usize = 30;
/// The dot between the parts of a name.
const DOT: char = '\u{b7}';
/// Compound surnames; the rest of a name of 2 characters is never split off as compound.
const COMPOUND: [&str; 56] = [
    "欧阳", "太史", "端木", "上官", "司马", "东方", "独孤", "南宫", "万俟", "闻人", "夏侯", "诸葛",
    "尉迟", "公羊", "赫连", "澹台", "皇甫", "宗政", "濮阳", "公冶", "太叔", "申屠", "公孙", "慕容",
    "仲孙", "钟离", "长孙", "宇文", "司徒", "鲜于", "司空", "闾丘", "子车", "亓官", "司寇", "巫马",
    "公西", "颛孙", "壤驷", "公良", "漆雕", "乐正", "宰父", "谷梁", "拓跋", "夹谷", "轩辕", "令狐",
    "段干", "百里", "呼延", "东郭", "南门", "羊舌", "微生", "梁丘",
];
/// Readings of characters as surnames where the everyday reading differs.
const SURNAME_READINGS: [(&str, &str); 30] = [
    ("单", "shan"),
    ("仇", "qiu"),
    ("区", "ou"),
    ("曾", "zeng"),
    ("查", "zha"),
    ("解", "xie"),
    ("任", "ren"),
    ("华", "hua"),
    ("朴", "piao"),
    ("盖", "ge"),
    ("折", "she"),
    ("召", "shao"),
    ("覃", "qin"),
    ("员", "yun"),
    ("缪", "miao"),
    ("宓", "mi"),
    ("种", "chong"),
    ("重", "chong"),
    ("乐", "yue"),
    ("尉", "wei"),
    ("纪", "ji"),
    ("翟", "zhai"),
    ("洗", "xian"),
    ("冼", "xian"),
    ("牟", "mu"),
    ("长", "zhang"),
    ("尹", "yin"),
    ("俞", "yu"),
    ("郇", "xun"),
    ("黑", "he"),
];
/// Words after which everything is a note.
const NOTE_WORDS: [&str; 14] = [
    "又名",
    "曾用名",
    "原名",
    "别名",
    "化名",
    "乳名",
    "小名",
    "法名",
    "现名",
    "代领",
    "户主",
    "已故",
    "已死亡",
    "监护人",
];
/// Titles at the end of a name.
const TITLES: [&str; 6] = ["先生", "女士", "同志", "老师", "小姐", "师傅"];

/// Normalises a name.
pub fn normalise(raw: &str) -> Normal {
    let text = without_notes(&nfkc(raw));
    if text
        .chars()
        .any(|c| matches!(c, '*' | '×' | '○' | '〇' | '□' | '■' | '�' | '?'))
    {
        let masked = text.contains('*') || text.contains('×') || text.contains('○');
        let quality = if masked {
            Quality::Masked
        } else {
            Quality::Damaged
        };
        return Normal::without_value(quality);
    }
    // Mapped first: whether there are Han characters among Latin ones must not depend on how they were encoded.
    let text: String = text.chars().map(from_gb18030_private_use).collect();
    let has_han = text.chars().any(is_han);
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        if is_private_use(c) {
            return Normal::damaged(None);
        }
        if is_dot(c) {
            if !value.is_empty() && !value.ends_with(DOT) {
                value.push(DOT);
            }
        } else if is_han(c) {
            value.push(fold_variant(c));
        } else if !has_han && c.is_alphabetic() {
            value.extend(c.to_uppercase());
        }
    }
    let mut value = value.trim_end_matches(DOT);
    for title in TITLES {
        if let Some(rest) = value
            .strip_suffix(title)
            .filter(|rest| rest.chars().count() >= 2)
        {
            value = rest;
        }
    }
    let count = value.chars().count();
    let not_a_name = NOTE_WORDS.iter().any(|word| value.starts_with(word))
        || value.ends_with('某')
        || value.contains("之妻")
        || value.contains("之夫")
        || value.contains("之子")
        || value.contains("之女")
        || value.contains("之母")
        || value.contains("之父")
        || (count == 2 && value.ends_with('氏'));
    if !(2..=CHARS_MAX).contains(&count) || not_a_name {
        return Normal::damaged(None);
    }
    Normal::usable(value.to_owned(), raw)
}

/// The text before the first bracket, note word, digit run or separator.
fn without_notes(text: &str) -> String {
    let cut = text
        .char_indices()
        .find(|(at, c)| {
            *at > 0
                && matches!(
                    c,
                    '(' | '（' | '[' | '【' | '<' | '〔' | '/' | ',' | '，' | '、' | ';' | '+'
                )
        })
        .map_or(text.len(), |(at, _)| at);
    let mut end = cut;
    for word in NOTE_WORDS {
        if let Some(at) = text.find(word).filter(|at| *at > 0) {
            end = end.min(at);
        }
    }
    text.get(..end).unwrap_or(text).to_owned()
}

/// Every dot that stands between the parts of a name.
fn is_dot(c: char) -> bool {
    matches!(
        c,
        '\u{b7}' | '\u{2022}' | '\u{30fb}' | '\u{ff65}' | '\u{2027}' | '\u{22c5}' | '.' | '﹒'
    )
}

/// Surname and given name of a normal form. A name with a dot has no Han surname.
fn split(value: &str) -> Option<(&str, &str)> {
    if value.contains(DOT) || !value.chars().any(is_han) {
        return None;
    }
    let second = value.char_indices().nth(1)?.0;
    let third = value.char_indices().nth(2).map(|(at, _)| at);
    if let Some(third) = third {
        let (head, tail) = value.split_at(third);
        if COMPOUND.contains(&head) {
            return Some((head, tail));
        }
    }
    Some(value.split_at(second))
}

/// Forms of a name.
pub fn form(form: Form, value: &str) -> Option<String> {
    match form {
        Form::Surname => Some(split(value)?.0.to_owned()),
        Form::Given => Some(split(value)?.1.to_owned()),
        Form::Pinyin => Some(syllables(value)),
        _ => None,
    }
}

/// Toneless syllables with a space between; a character without a reading stands for itself.
fn syllables(value: &str) -> String {
    if !value.chars().any(is_han) {
        return value.to_lowercase();
    }
    let (surname, given) = split(value).unwrap_or(("", value));
    let mut out = String::new();
    let mut push = |syllable: &str| {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(syllable);
    };
    match SURNAME_READINGS.iter().find(|(c, _)| *c == surname) {
        Some((_, reading)) => push(reading),
        None => surname.chars().for_each(|c| reading(c, &mut push)),
    }
    given.chars().for_each(|c| reading(c, &mut push));
    out
}

/// The syllables of a name, without and with their tone (a digit behind), surname read as a surname; a character without
/// a reading stands for itself. A surname that the table of readings knows has no tone.
pub fn readings(value: &str) -> Vec<(String, String)> {
    let (surname, given) = split(value).unwrap_or(("", value));
    let mut out = Vec::new();
    let of = |c: char| match c.to_pinyin() {
        Some(reading) => (
            reading.plain().to_owned(),
            reading.with_tone_num_end().to_owned(),
        ),
        None => (c.to_string(), c.to_string()),
    };
    match SURNAME_READINGS.iter().find(|(c, _)| *c == surname) {
        Some((_, reading)) => out.push(((*reading).to_owned(), (*reading).to_owned())),
        None => out.extend(surname.chars().map(of)),
    }
    out.extend(given.chars().filter(|c| *c != DOT).map(of));
    out
}

/// The dot of a transcribed name is often left out in registers, so a reading does not depend on it.
fn reading(c: char, push: &mut impl FnMut(&str)) {
    if c == '·' {
        return;
    }
    match c.to_pinyin() {
        Some(reading) => push(reading.plain()),
        None => push(c.encode_utf8(&mut [0; 4])),
    }
}
