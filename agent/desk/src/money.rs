//! Amounts of money. In: yuan as people write them. Out: whole fen, and yuan with two decimals again.
//! Invariant: no fraction of a fen, no floating point, nothing negative.
//! Specification: docs/DESK.md, "Terms".

/// Yuan as people write them, to fen: `1234`, `1,234.5`, `1234.50元`.
pub fn read_yuan(text: &str) -> Option<i64> {
    let text = text.trim().trim_end_matches('元').trim();
    let text = text.replace([',', '，'], "");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || part.len() > 2 || !digits(whole) || !digits(part) {
        return None;
    }
    let part = format!("{part:0<2}");
    Some(whole.parse::<i64>().ok()? * 100 + part.parse::<i64>().ok()?)
}

/// Fen as yuan, two decimals.
pub fn yuan(fen: i64) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_are_read_as_people_write_them() {
        for (text, fen) in [
            ("1234", 123_400),
            ("1,234.5", 123_450),
            (" 0.07元", 7),
            ("1234.50", 123_450),
        ] {
            assert_eq!(read_yuan(text), Some(fen), "{text}");
        }
        for text in ["", "-5", "1.234", "十元", "1e3", "1.2.3", "9999999999999"] {
            assert_eq!(read_yuan(text), None, "{text}");
        }
        assert_eq!(yuan(123_450), "1234.50");
    }
}
