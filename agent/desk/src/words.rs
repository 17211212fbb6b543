//! The words of the desk's work. In: variants. Out: what clerks read and what the history keeps.
//! Invariant: one Chinese word per variant, the same on sheets, reports and the console; a sheet's cell is read
//! back by the same table that wrote it.
//! Specification: docs/DESK.md, "Words".

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $zh:literal / $en:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every variant, in the order of the work.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What clerks read.
            pub const fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh),+ }
            }

            /// The English beside it, which is also the name on the command line.
            pub const fn en(self) -> &'static str {
                match self { $(Self::$variant => $en),+ }
            }

            /// Reads a cell or an argument: the Chinese or the English word.
            pub fn read(text: &str) -> Option<Self> {
                let text = text.trim();
                Self::ALL.iter().copied().find(|word| word.zh() == text || word.en() == text)
            }
        }
    };
}

words! {
    /// What a case is about.
    Kind {
        /// A clue: somebody of a benefit unit is surely in a register.
        Clue = "问题线索" / "clue",
        /// Possibly the same person: the identity comes first.
        Review = "待核实身份" / "review",
        /// Income of somebody who owes support and lives apart.
        IncomeTask = "赡养费核算" / "income-task",
    }
}

words! {
    /// Where a case stands.
    Stage {
        /// Handed to the desk, to nobody yet.
        Issued = "待交办" / "issued",
        /// Handed down to a township that has not confirmed it.
        Assigned = "待签收" / "assigned",
        /// Confirmed by the township.
        Accepted = "核查中" / "accepted",
        /// Looked into by two people.
        Visited = "待认定" / "visited",
        /// A conclusion that a second person must approve.
        Concluded = "待审核" / "concluded",
        /// Approved; the household is to be told, or the case closed.
        Approved = "已审核" / "approved",
        /// The household was told and may object.
        Told = "申辩期" / "told",
        /// Contested: nothing follows until it is settled.
        Disputed = "异议复核" / "disputed",
        /// Measures were taken.
        Acted = "已处理" / "acted",
        /// Closed.
        Closed = "已销号" / "closed",
    }
}

words! {
    /// What was found out.
    Outcome {
        /// Wholly true.
        Confirmed = "查实" / "confirmed",
        /// Partly true.
        Partly = "部分属实" / "partly",
        /// Not true.
        Unfounded = "不属实" / "unfounded",
        /// Could not be found out.
        Unclear = "无法核实" / "unclear",
    }
}

impl Outcome {
    /// Whether something may follow for the household.
    pub const fn is_adverse(self) -> bool {
        matches!(self, Self::Confirmed | Self::Partly)
    }
}

words! {
    /// What was done.
    Measure {
        /// Benefit ended.
        Cancel = "取消" / "cancel",
        /// Removed from the roll.
        Remove = "清退" / "remove",
        /// Benefit lowered.
        Reduce = "减发" / "reduce",
        /// Money claimed back.
        Recover = "追缴" / "recover",
        /// Handed over to another authority.
        HandOver = "移交" / "hand-over",
        /// Something to be put right.
        Rectify = "整改" / "rectify",
        /// Benefit goes on.
        Keep = "继续享受" / "keep",
        /// What an overturned conclusion took away is given back.
        Restore = "恢复" / "restore",
    }
}

words! {
    /// How a case was looked into.
    Method {
        /// At home.
        Home = "入户调查" / "home",
        /// Among the neighbours.
        Neighbours = "邻里访问" / "neighbours",
        /// Documents were asked for by letter.
        Letter = "信函索证" / "letter",
        /// Another office was asked.
        Office = "部门核实" / "office",
    }
}

words! {
    /// Answer to a question of the decision tree.
    Answer {
        /// Yes.
        Yes = "是" / "yes",
        /// No.
        No = "否" / "no",
        /// The question does not arise.
        NotApplicable = "不适用" / "n-a",
        /// Not known.
        Unknown = "不清楚" / "unknown",
    }
}

words! {
    /// What a user of the desk may do.
    Role {
        /// Records and concludes.
        Clerk = "经办" / "clerk",
        /// Approves, settles, reopens, sets the terms.
        Lead = "审核" / "lead",
    }
}

impl Measure {
    /// Whether it takes something away from the household.
    pub const fn is_adverse(self) -> bool {
        matches!(
            self,
            Self::Cancel | Self::Remove | Self::Reduce | Self::Recover | Self::HandOver
        )
    }
}
