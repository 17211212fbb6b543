//! A receipt: what the matcher tells a sender about its submission. In: the ledger's entry. Out: a
//! small body. Invariant: counts and digests only, never a handle: a department learns nothing about
//! the roll. Specification: protocol/SPEC.md, "Receipt".

use serde::{Deserialize, Serialize};

use super::Table;
use crate::ids::Name;

/// Acknowledgement of one submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Dataset received.
    pub dataset: Name,
    /// Register whose context it is for.
    pub register: Name,
    /// SHA-256 of the submission's header, hexadecimal.
    pub header_sha256: String,
    /// Sequence number of the submission.
    pub seq: u64,
    /// Tables received, rows padded as sent.
    pub tables: Vec<Table>,
    /// Day after which the matcher deletes the tables, `YYYY-MM-DD`.
    pub delete_after: String,
}
