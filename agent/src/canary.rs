//! Canaries: invented records that prove a comparison complete. In: the register's context. Out: records for the
//! roll's and the register's side, and what a result must show of them.
//! Their tokens come from the register's secret, which only the roll owner and the register's owner have: the
//! matcher cannot tell them from persons. Invariant: a canary never reaches a clue. SPEC.md, "Canaries".

use hedui_protocol::agreement::Agreement;
use hedui_protocol::lock::TagContext;
use hedui_protocol::match_key::Person;
use hedui_protocol::message::payload::Facts;

use crate::encode::KeyTokens;
use crate::record::{Canary, Grouped, Pseudonyms};

/// Canaries on both sides: each must be found.
pub const SHARED: u16 = 8;
/// Canaries on one side only: 8 to 11 on the roll's, 12 to 15 on the register's; none may be found.
pub const LONE: u16 = 4;

/// The canaries of one side.
pub fn records(
    agreement: &Agreement,
    pseudonyms: &Pseudonyms,
    (register, is_roll): (&str, bool),
    bitmap: u16,
) -> Vec<Grouped> {
    numbers(is_roll)
        .map(|index| Grouped {
            id: pseudonyms.canary(register, index),
            person: Person::new(agreement, Vec::new()),
            rows: Vec::new(),
            facts: Facts {
                rows: Vec::new(),
                rows_left_out: 0,
            },
            local: Vec::new(),
            shown: Vec::new(),
            canary: Some(Canary { index, bitmap }),
        })
        .collect()
}

/// Numbers of the canaries of one side.
pub fn numbers(is_roll: bool) -> impl Iterator<Item = u16> {
    let own = if is_roll { SHARED } else { SHARED + LONE };
    (0..SHARED).chain(own..own + LONE)
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
