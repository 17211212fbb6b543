//! Canaries: invented records that prove a comparison complete. In: the register's context. Out: records for the
//! roll's and the register's side, and what a result must show of them.
//! Their tokens come from the register's secret, which only the roll owner and the register's owner have: the
//! matcher cannot tell them from persons. Invariant: a canary never reaches a clue. SPEC.md, "Canaries".

use std::collections::BTreeSet;

use hedui_protocol::agreement::Agreement;
use hedui_protocol::decision::Policy;
use hedui_protocol::lock::TagContext;
use hedui_protocol::match_key::Person;
use hedui_protocol::message::payload::Facts;
use hedui_protocol::message::result::{Outcome, Pair};

use crate::encode::KeyTokens;
use crate::record::{Canary, Grouped, Pseudonyms};
use crate::usual::Usual;

/// Canaries on both sides: each must be found.
pub const SHARED: u16 = 8;
/// Canaries on one side only: 8 to 11 on the roll's, 12 to 15 on the register's; none may be found.
pub const LONE: u16 = 4;

/// The canaries of one side.
pub fn records(
    agreement: &Agreement,
    pseudonyms: &Pseudonyms,
    (register, is_roll): (&str, bool),
    usual: &Usual,
) -> Vec<Grouped> {
    let all = numbers(is_roll).count() as u64;
    (0..)
        .zip(numbers(is_roll))
        .map(|(place, index)| Grouped {
            id: pseudonyms.canary(register, index),
            person: Person::new(agreement, Vec::new()),
            rows: Vec::new(),
            facts: Facts {
                rows: Vec::new(),
                rows_left_out: 0,
            },
            local: Vec::new(),
            shown: Vec::new(),
            canary: Some(Canary {
                index,
                bitmap: usual.bitmap,
                facts_bytes: usual.facts_bytes(place, all),
            }),
        })
        .collect()
}

/// Numbers of the canaries of one side.
pub fn numbers(is_roll: bool) -> impl Iterator<Item = u16> {
    let own = if is_roll { SHARED } else { SHARED + LONE };
    (0..SHARED).chain(own..own + LONE)
}

/// What a slip about the canaries of a delivery is bound to: the roll's name of its data, or the day and the name of a
/// register's.
pub fn stamp(is_roll: bool, as_of: &str, snapshot: &str) -> String {
    if is_roll {
        snapshot.to_owned()
    } else {
        format!("{as_of} {snapshot}")
    }
}

/// What a result must show of the canaries of both sides, by the rule of the agreement.
pub struct Due {
    agree: u16,
    outcome: Option<Outcome>,
    /// Whether the refinement round may have changed what the keys say.
    open: bool,
}

impl Due {
    /// What two canaries with these keys come to: all keys of both agree, none differs, and nobody has a better claim.
    pub fn of(policy: &Policy, roll: u16, register: u16) -> Self {
        let agree = roll & register;
        Self {
            agree,
            outcome: policy.decide(agree, 0),
            open: policy.is_candidate(agree, 0),
        }
    }

    /// Whether the rule decides what must become of them: otherwise they prove nothing.
    pub fn is_decided(&self) -> bool {
        self.outcome.is_some() && !self.open
    }

    /// Whether a pair shows a canary as it must.
    pub fn is_shown(&self, pair: &Pair) -> bool {
        let same = pair.agree == self.agree && pair.differ == 0;
        same && (self.open || (Some(pair.outcome) == self.outcome && pair.weight.is_none()))
    }

    /// Canaries of both sides that must be there and are not, and those of one side that are. `shown` are the numbers
    /// of the canaries that the result shows as they must, `wrong` counts those that it shows otherwise.
    pub fn alarms(&self, shown: &BTreeSet<u16>, wrong: u64) -> u64 {
        let invented = shown.iter().filter(|number| **number >= SHARED).count() as u64;
        let found = shown.len() as u64 - invented;
        let missing = if self.is_decided() {
            u64::from(SHARED) - found
        } else {
            0
        };
        invented + wrong.max(missing)
    }
}

/// Tokens of a canary, one per match key; none where it has no key.
pub fn tokens(agreement: &Agreement, context: &TagContext, canary: Canary) -> Vec<KeyTokens> {
    let keys = agreement.match_keys().iter();
    keys.map(|key| {
        let has = canary.bitmap & (1 << (key.number - 1)) != 0;
        let token = has.then(|| context.canary_token(canary.index, key.number));
        token.into_iter().collect()
    })
    .collect()
}
