//! A department's people at their list (协查清单). In: the workbook that `questions` wrote, what they decide. Out: a filled-in list.
//! Invariant: reads the sheet as it is, by its heads; knows nothing of how the product makes or reads it.
//! Specification: docs/OPERATIONS.md, "Disclosure".

use std::path::Path;

use calamine::{Reader, Xlsx, open_workbook};

/// A row of the list, by the heads of its columns.
pub struct Row {
    /// What would be sent.
    pub content: String,
    /// The number that must not be changed.
    pub number: String,
    /// The check code.
    pub check: String,
    /// Why it is asked.
    pub reason: String,
    /// What was answered before.
    pub before: String,
}

/// Heads of the columns that are read back.
pub const HEADS: &str = "答复,理由或备注（随答复一并发送）,编号（勿改）,校验码（勿改）";

/// The rows of a list.
pub fn rows(path: &Path) -> Vec<Row> {
    let mut book: Xlsx<_> = open_workbook(path).expect("workbook");
    let sheet = book.worksheet_range("协查清单").expect("the sheet");
    let mut lines = sheet.rows();
    let heads: Vec<String> = lines
        .next()
        .expect("heads")
        .iter()
        .map(ToString::to_string)
        .collect();
    let at = |head: &str| heads.iter().position(|h| h == head).expect("a column");
    let [content, number, check, reason, before] = [
        "如提供将发送",
        "编号（勿改）",
        "校验码（勿改）",
        "询问事由",
        "此前答复",
    ]
    .map(at);
    lines
        .map(|row| Row {
            content: row[content].to_string(),
            number: row[number].to_string(),
            check: row[check].to_string(),
            reason: row[reason].to_string(),
            before: row[before].to_string(),
        })
        .filter(|row| !row.number.is_empty())
        .collect()
}

/// Writes a list as CSV in which `decide` gives answer and remark of a row.
pub fn fill(list: &Path, out: &Path, decide: impl Fn(&Row) -> Option<(String, String)>) -> usize {
    let mut text = format!("{HEADS}\n");
    let mut count = 0;
    for row in rows(list) {
        if let Some((answer, note)) = decide(&row) {
            text += &format!("{answer},{note},{},{}\n", row.number, row.check);
            count += 1;
        }
    }
    std::fs::write(out, text).expect("list");
    count
}
