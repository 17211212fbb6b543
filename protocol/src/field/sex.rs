//! Sex, GB/T 2261.1. In: a cell. Out: `1` (male) or `2` (female).
//! Invariant: "unknown" and "not stated" (0, 9) are absent, not a third value.
//! Codes of a department are translated by its mapping before this.
//! Specification: protocol/SPEC.md, "sex".

use super::folding::nfkc;
use super::{Normal, Quality};

/// Normalises a sex.
pub fn normalise(raw: &str) -> Normal {
    let value = match raw {
        // As most registers write it.
        "1" | "男" | "M" => return Normal::usable("1".to_owned(), raw),
        "2" | "女" | "F" => return Normal::usable("2".to_owned(), raw),
        other => nfkc(other).to_lowercase(),
    };
    let value = match value.trim() {
        "1" | "01" | "男" | "男性" | "m" | "male" | "1男" | "1-男" | "1-男性" | "man" => "1",
        "2" | "02" | "女" | "女性" | "f" | "female" | "2女" | "2-女" | "2-女性" | "woman" => {
            "2"
        }
        "0" | "9" | "u" | "x" | "未说明" | "未知的性别" | "未说明的性别" => {
            return Normal::without_value(Quality::Absent);
        }
        _ => return Normal::damaged(None),
    };
    Normal::usable(value.to_owned(), raw)
}
