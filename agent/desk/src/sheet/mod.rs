//! A township's sheet (乡镇核查表): filled in offline, read back. In: open cases of a township. Out: one workbook, and from
//! a filled-in one the events it stands for. Invariant: what the desk learnt since the sheet was made is never
//! overwritten: such a row is shown as a conflict; the file that was read is kept by its digest, so no cell is lost.
//! Specification: docs/DESK.md, "Township sheets".

mod make;
mod merge;
mod read;

use hedui_protocol::primitive::{hex, sha256};

pub use make::make;
pub use merge::{Report, Trouble, take};
pub use read::{Filled, Form, Row, read};

/// Sheet of clues and review items.
const CASES: &str = "核查表";
/// Sheet of the decision tree's questions.
const QUESTIONS: &str = "核实要点";
/// Sheet of income tasks.
const TASKS: &str = "赡养费核算";
/// Sheet of instructions.
const HELP: &str = "填表说明";

const NUMBER: &str = "线索编号";
const CHECK: &str = "校验码（勿改）";
const QUESTION: &str = "要点代码（勿改）";

/// What a township fills in; the heads by which the columns are found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Who confirmed receipt.
    AcceptedBy,
    /// When.
    AcceptedOn,
    /// Day of the visit.
    VisitedOn,
    /// How it was looked into.
    Method,
    /// First visitor.
    VisitorA,
    /// Second visitor.
    VisitorB,
    /// What was found.
    Situation,
    /// Whether the registered person is this person.
    SamePerson,
    /// Outcome.
    Outcome,
    /// Why.
    Reason,
    /// Measure that is proposed.
    Proposal,
    /// Months for which the benefit was drawn without a claim to it.
    OverdrawnMonths,
    /// Remark.
    Note,
    /// Persons of the supporter's household.
    Persons,
    /// Its monthly income.
    Income,
    /// Persons whom the supporter owes support.
    Supported,
    /// Where the income's figure comes from.
    Source,
    /// Answer to a question.
    Answer,
}

impl Column {
    /// Head of the column.
    pub const fn head(self) -> &'static str {
        match self {
            Self::AcceptedBy => "签收人",
            Self::AcceptedOn => "签收日期",
            Self::VisitedOn => "核查日期",
            Self::Method => "核查方式",
            Self::VisitorA => "核查人甲",
            Self::VisitorB => "核查人乙",
            Self::Situation => "核查情况",
            Self::SamePerson => "是否同一人",
            Self::Outcome => "认定结果",
            Self::Reason => "认定理由",
            Self::Proposal => "处理建议",
            Self::OverdrawnMonths => "超领月数",
            Self::Note => "备注",
            Self::Persons => "赡养人家庭人口（含本人）",
            Self::Income => "赡养人家庭月净收入（元）",
            Self::Supported => "赡养人应赡养的总人数",
            Self::Source => "收入证明材料",
            Self::Answer => "回答",
        }
    }
}

/// Columns to fill in of the sheet of cases.
const OF_CASES: [Column; 13] = [
    Column::AcceptedBy,
    Column::AcceptedOn,
    Column::VisitedOn,
    Column::Method,
    Column::VisitorA,
    Column::VisitorB,
    Column::Situation,
    Column::SamePerson,
    Column::Outcome,
    Column::Reason,
    Column::Proposal,
    Column::OverdrawnMonths,
    Column::Note,
];
/// Columns to fill in of the sheet of income tasks.
const OF_TASKS: [Column; 9] = [
    Column::AcceptedBy,
    Column::AcceptedOn,
    Column::Persons,
    Column::Income,
    Column::Supported,
    Column::Source,
    Column::Outcome,
    Column::Reason,
    Column::Note,
];

/// Binds a row to its case and to what the desk knew when the sheet was made: `VERSION-XXXXXX`.
fn check_code(number: &str, version: u64) -> String {
    let digest = sha256(&[
        b"hedui township sheet",
        &[0],
        number.as_bytes(),
        &[0],
        &version.to_be_bytes(),
    ]);
    format!("{version}-{}", hex(&digest[..3]))
}

/// The version of a check code that belongs to this number.
fn version_of(number: &str, code: &str) -> Option<u64> {
    let version = code.split_once('-')?.0.parse().ok()?;
    (check_code(number, version) == code).then_some(version)
}
