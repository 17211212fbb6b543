//! A receipt: what the matcher tells a sender about its submission. In: the ledger's entry. Out: a
//! small body. Invariant: counts and digests only, never a handle: a department learns nothing about
//! the roll. Specification: protocol/SPEC.md, "Receipt".

use serde::{Deserialize, Serialize};

use super::Table;
use crate::identity::PartyCard;
use crate::ids::Name;
use crate::log::checkpoint::{Checkpoint, Origin};
use crate::log::merkle::{Hash, root_of_path};
use crate::log::{Entry, Event};
use crate::primitive::unhex;

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
    /// Where the submission stands in the matcher's log.
    pub log: Logged,
}

/// The proof that an entry stands in the matcher's log: the log as it was with this entry as its last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logged {
    /// Place of the entry, from 0; the log then had one entry more.
    pub index: u64,
    /// Root of the log, hexadecimal.
    pub root: String,
    /// The matcher's signature under that checkpoint, hexadecimal.
    pub signature: String,
    /// Audit path from the entry to the root, hexadecimal.
    pub path: Vec<String>,
}

impl Receipt {
    /// The checkpoint that the receipt's proof leads to, if it does, and the matcher signed it.
    pub fn checkpoint(&self, matcher: &PartyCard, origin: &Origin) -> Option<Checkpoint> {
        let entry = Entry {
            event: Event::Accepted,
            header_sha256: unhex(&self.header_sha256)?,
        };
        let path: Option<Vec<Hash>> = self.log.path.iter().map(|hash| unhex(hash)).collect();
        let size = self.log.index.checked_add(1)?;
        let root = root_of_path(&entry.leaf(), self.log.index, size, &path?)?;
        let checkpoint = Checkpoint {
            size,
            root,
            signature: unhex(&self.log.signature)?,
        };
        let stated = unhex(&self.log.root) == Some(root);
        (stated && checkpoint.holds(matcher, origin)).then_some(checkpoint)
    }
}
