//! What the desk remembers. In: what a person did. Out: one event, as one line of JSON in the history.
//! Invariant: everything the desk knows is the sum of its events; an event is never changed, and what it says
//! cannot mean anything else later (terms are kept whole beside the conclusions they led to).
//! Specification: docs/DESK.md, "History".

use std::collections::BTreeMap;

use hedui_protocol::ids::Name;
use serde::{Deserialize, Serialize};

use crate::day::Day;
use crate::handover::{Exhibit, Household};
use crate::income::{Contribution, IncomeForm};
use crate::terms::Terms;
use crate::words::{Answer, Kind, Measure, Method, Outcome, Role};

/// One entry of the history.
#[derive(Clone, Serialize, Deserialize)]
pub struct Event {
    /// Position, from 1.
    pub seq: u64,
    /// Local time with its offset, RFC 3339: its first ten characters are the day that people wrote on paper.
    pub at: String,
    /// Who did it.
    pub by: Name,
    /// What was done.
    pub body: Body,
}

impl Event {
    /// Day of the event.
    pub fn day(&self) -> Day {
        Day::of_time(&self.at)
    }
}

/// A user of the desk.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Short name.
    pub name: Name,
    /// Name as it is signed.
    pub title: String,
    /// What the user may do.
    pub role: Role,
    /// Ed25519 public key, hexadecimal.
    pub sign: String,
}

/// A new case.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCase {
    /// Number: 8 hexadecimal digits.
    pub number: String,
    /// What it is about.
    pub kind: Kind,
    /// Category in the words of the reports.
    pub category: String,
    /// Benefit unit.
    pub unit: String,
    /// Period.
    pub period: String,
    /// Township.
    pub township: String,
    /// Village.
    pub village: String,
    /// What stands for the unit.
    #[serde(default, skip_serializing_if = "Household::is_unknown")]
    pub household: Household,
    /// Evidence.
    pub exhibits: Vec<Exhibit>,
    /// Case of an earlier period that it continues.
    pub continues: Option<String>,
}

/// A visit.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// When.
    pub day: Day,
    /// How.
    pub method: Method,
    /// Who: at least two, each once.
    pub visitors: Vec<String>,
    /// What they found.
    pub situation: String,
}

/// A conclusion.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conclusion {
    /// Outcome.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// Whether the registered person is this person: what the comparison itself claimed.
    pub same_person: Answer,
    /// Answers to the questions of the category, by their name.
    pub answers: BTreeMap<String, Answer>,
    /// The measure that whoever concludes proposes; nothing follows from it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Measure>,
    /// Months for which the benefit was drawn without a claim to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdrawn_months: Option<u32>,
}

/// A measure.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// What was done.
    pub measure: Measure,
    /// From when.
    pub day: Day,
    /// Money per month (reduce) or in all (recover), in fen.
    pub fen: Option<i64>,
    /// Document, receiving authority, or what is to be put right.
    pub reason: String,
}

/// What was done.
#[expect(
    missing_docs,
    reason = "a variant says what its fields are; their types say the rest"
)]
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// The desk was opened by its first user, who is a lead.
    Opened {
        /// Version of the rules that judge this history.
        rules: u32,
        title: String,
        /// Whether people practise here, on days of their own choice.
        practice: bool,
        user: User,
    },
    /// A user was added.
    UserAdded {
        user: User,
        /// An ended user who is the same person, such as one who lost the passphrase.
        replaces: Option<Name>,
    },
    /// A user may do nothing more.
    UserEnded { name: Name, reason: String },
    /// Terms hold from now on.
    TermsSet { terms: Terms },
    /// A handover of clues was taken.
    Taken {
        period: String,
        agreement: String,
        digest: String,
        categories: Vec<String>,
        /// Ground on which persons were compared: `each-person`, `inspection`, or what the agreement's words say.
        ground: Option<String>,
        registers: Vec<crate::handover::RegisterSummary>,
        cases: u64,
    },
    /// A case begins.
    Issued { case: NewCase },
    /// A later handover holds the same unit and category.
    FoundAgain {
        number: String,
        period: String,
        kind: Kind,
        /// The evidence, if it is not the same as before.
        changed: Option<Vec<Exhibit>>,
    },
    /// A later handover does not hold it any more.
    NotFound { number: String, period: String },
    /// Handed down.
    Assigned {
        number: String,
        township: String,
        due: Day,
    },
    /// The township confirmed it.
    Accepted {
        number: String,
        day: Day,
        who: String,
    },
    /// Looked into.
    Visited { number: String, visit: Visit },
    /// A supporter's contribution was computed.
    Computed {
        number: String,
        form: IncomeForm,
        result: Contribution,
    },
    /// A document was filed.
    Attached {
        number: String,
        name: String,
        sha256: String,
        bytes: u64,
    },
    /// A remark.
    Noted { number: String, text: String },
    /// A conclusion.
    Concluded {
        number: String,
        conclusion: Conclusion,
    },
    /// The second person did not agree.
    SentBack { number: String, reason: String },
    /// The second person agreed.
    Approved { number: String, reason: String },
    /// The household was told and may object until a day.
    Told {
        number: String,
        day: Day,
        until: Day,
        how: String,
    },
    /// Somebody objected.
    Objected {
        number: String,
        day: Day,
        who: String,
        grounds: String,
    },
    /// An objection was settled.
    Settled {
        number: String,
        upheld: bool,
        reason: String,
    },
    /// A measure was taken.
    Acted { number: String, act: Act },
    /// Closed.
    Closed { number: String, reason: String },
    /// Opened again.
    Reopened { number: String, reason: String },
    /// A case whose evidence is gone or was wrong needs no more work.
    Withdrawn { number: String, reason: String },
    /// A township's sheet was made.
    SheetMade {
        township: String,
        cases: u64,
        digest: String,
    },
    /// A township's sheet was read.
    SheetTaken {
        digest: String,
        applied: u64,
        refused: u64,
        conflicts: u64,
    },
    /// Units without clues were drawn for a spot check.
    Drawn { draw: crate::sample::Draw },
}

impl Body {
    /// The case it belongs to.
    pub fn number(&self) -> Option<&str> {
        match self {
            Self::Issued { case } => Some(&case.number),
            Self::FoundAgain { number, .. }
            | Self::NotFound { number, .. }
            | Self::Assigned { number, .. }
            | Self::Accepted { number, .. }
            | Self::Visited { number, .. }
            | Self::Computed { number, .. }
            | Self::Attached { number, .. }
            | Self::Noted { number, .. }
            | Self::Concluded { number, .. }
            | Self::SentBack { number, .. }
            | Self::Approved { number, .. }
            | Self::Told { number, .. }
            | Self::Objected { number, .. }
            | Self::Settled { number, .. }
            | Self::Acted { number, .. }
            | Self::Closed { number, .. }
            | Self::Reopened { number, .. }
            | Self::Withdrawn { number, .. } => Some(number),
            Self::Opened { .. }
            | Self::UserAdded { .. }
            | Self::UserEnded { .. }
            | Self::TermsSet { .. }
            | Self::Taken { .. }
            | Self::SheetMade { .. }
            | Self::SheetTaken { .. }
            | Self::Drawn { .. } => None,
        }
    }

    /// What clerks read in the history of a case.
    pub const fn zh(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "建立台账",
            Self::UserAdded { .. } => "增加人员",
            Self::UserEnded { .. } => "停用人员",
            Self::TermsSet { .. } => "设定办理规定",
            Self::Taken { .. } => "接收比对线索",
            Self::Issued { .. } => "生成线索",
            Self::FoundAgain { .. } => "再次出现",
            Self::NotFound { .. } => "本期未再出现",
            Self::Assigned { .. } => "交办",
            Self::Accepted { .. } => "签收",
            Self::Visited { .. } => "核查",
            Self::Computed { .. } => "赡养费核算",
            Self::Attached { .. } => "附件",
            Self::Noted { .. } => "备注",
            Self::Concluded { .. } => "认定",
            Self::SentBack { .. } => "退回重核",
            Self::Approved { .. } => "审核通过",
            Self::Told { .. } => "告知",
            Self::Objected { .. } => "提出异议",
            Self::Settled { .. } => "异议处理",
            Self::Acted { .. } => "处理",
            Self::Closed { .. } => "销号",
            Self::Reopened { .. } => "重新核查",
            Self::Withdrawn { .. } => "撤回",
            Self::SheetMade { .. } => "发出核查表",
            Self::SheetTaken { .. } => "收回核查表",
            Self::Drawn { .. } => "抽查抽样",
        }
    }
}
