//! Foldings shared by field kinds. In: text. Out: text with one spelling per character.
//! Invariant: tables are frozen; the variant table serves comparison and never corrects a record.
//! Tables: protocol/tables/variants.tsv (derive_variants.py, OpenCC, Apache-2.0).
//! Specification: protocol/SPEC.md, "Foldings".

use std::sync::OnceLock;

use unicode_normalization::UnicodeNormalization;

/// NFKC (UAX #15): full-width to ASCII, compatibility ideographs to unified ones.
pub fn nfkc(text: &str) -> String {
    if text.is_ascii() {
        text.to_owned()
    } else {
        text.nfkc().collect()
    }
}

/// Words and marks that registers use for "no value".
pub fn means_absent(raw: &str) -> bool {
    const WORDS: [&str; 22] = [
        "无",
        "无号",
        "无身份证",
        "无证",
        "没有",
        "不详",
        "未知",
        "未填",
        "空",
        "暂无",
        "待补",
        "待查",
        "缺",
        "null",
        "none",
        "n/a",
        "na",
        "nan",
        "nil",
        "unknown",
        "#n/a",
        "#value!",
    ];
    if raw.is_empty() {
        return true;
    }
    let only_marks = raw.chars().all(|c| {
        matches!(
            c,
            '-' | '—'
                | '－'
                | '/'
                | '／'
                | '\\'
                | '.'
                | '。'
                | '_'
                | '、'
                | '?'
                | '？'
                | '\''
                | '"'
        )
    });
    // No word is longer than 12 bytes, and they begin in few ways.
    let first = raw.as_bytes()[0].to_ascii_lowercase();
    let begins = matches!(first, b'n' | b'u' | b'#') || !first.is_ascii();
    only_marks
        || raw.len() <= 12 && begins && WORDS.iter().any(|word| raw.eq_ignore_ascii_case(word))
}

/// Characters that carry nothing: spaces of all kinds, zero-width characters, quotes, direction marks.
pub fn is_noise(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}')
        || matches!(
            c,
            '\'' | '"' | '`' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}'
        )
}

/// Whether `c` is a Han character, extension planes included.
pub fn is_han(c: char) -> bool {
    matches!(u32::from(c),
        0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x323af | 0x3007)
}

/// Whether `c` is a private-use code point.
pub fn is_private_use(c: char) -> bool {
    matches!(u32::from(c), 0xe000..=0xf8ff | 0xf0000..=0x10fffd)
}

/// Code points that older GB 18030 converters put into the private use area (GB 18030-2022, annex D).
pub fn from_gb18030_private_use(c: char) -> char {
    match u32::from(c) {
        0xe81e => '\u{9fb4}',
        0xe826 => '\u{9fb5}',
        0xe82b => '\u{9fb6}',
        0xe82c => '\u{9fb7}',
        0xe832 => '\u{9fb8}',
        0xe843 => '\u{9fb9}',
        0xe854 => '\u{9fba}',
        0xe863 => '\u{4dae}',
        0xe864 => '\u{9fbb}',
        _ => c,
    }
}

/// The representative of the variant class of `c` (萧 → 肖, 葉 → 叶), or `c`.
pub fn fold_variant(c: char) -> char {
    static TABLE: OnceLock<Vec<(char, char)>> = OnceLock::new();
    if c.is_ascii() {
        return c;
    }
    let table = TABLE.get_or_init(|| {
        let mut pairs: Vec<(char, char)> = include_str!("../../tables/variants.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (from, to) = line.split_once('\t')?;
                Some((from.chars().next()?, to.chars().next()?))
            })
            .collect();
        pairs.sort_unstable();
        pairs
    });
    match table.binary_search_by_key(&c, |pair| pair.0) {
        Ok(at) => table[at].1,
        Err(_) => c,
    }
}

/// Lower case, accents removed, ligatures and strokes spelt out (ß → ss, ø → o, ł → l).
pub fn fold_latin(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.nfkd() {
        match c {
            '\u{300}'..='\u{36f}' => {}
            'ß' => out.push_str("ss"),
            'Æ' | 'æ' => out.push_str("ae"),
            'Œ' | 'œ' => out.push_str("oe"),
            'Ø' | 'ø' => out.push('o'),
            'Ł' | 'ł' => out.push('l'),
            'Đ' | 'đ' | 'Ð' | 'ð' => out.push('d'),
            'Þ' | 'þ' => out.push_str("th"),
            'ı' => out.push('i'),
            c => out.extend(c.to_lowercase()),
        }
    }
    // A Hangul or other script decomposed by NFKD is put together again.
    if out.is_ascii() {
        out
    } else {
        out.nfc().collect()
    }
}
