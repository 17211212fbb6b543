//! Correction tickets (谁录入谁负责谁修改): what a register's owner should check in its own rows.
//! In: identity conflicts found by the roll owner. Out: a small body. Invariant: names the owner's own
//! record and which kinds of evidence disagree, never the other side's value.
//! Specification: protocol/SPEC.md, "Ticket".

use serde::{Deserialize, Serialize};

use crate::ids::Name;

/// Tickets for one register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tickets {
    /// Register whose rows are meant.
    pub register: Name,
    /// Day `YYYY-MM-DD` by which the roll's owner asks for them; absent: none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// One entry per record.
    pub tickets: Vec<Ticket>,
}

/// One record to check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The register's own handle, hexadecimal.
    pub handle: String,
    /// Match keys that agree.
    pub agree: Vec<Name>,
    /// Match keys that both sides have and that differ.
    pub differ: Vec<Name>,
}
