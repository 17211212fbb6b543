//! Why the desk does not do something. In: a fact about the case. Out: what is wrong and what to do, in both
//! languages. Invariant: names the case's number, never a person. Exit code 2.
//! Specification: README, "Exit codes".

use hedui_edge::Problem;

/// A refusal of the desk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Refused {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub advice: &'static str,
}

impl Refused {
    /// A refusal.
    pub fn new(what: impl Into<String>, advice: &'static str) -> Self {
        Self {
            what: what.into(),
            advice,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::data(refused.what, refused.advice)
    }
}
