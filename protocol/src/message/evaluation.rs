//! Requests to custodians and their answers. In: blinded elements of one dataset. Out: bodies with one table
//! of elements, and in answers one proof per chunk.
//! Invariant: an element is 32 bytes, a proof 64; a request is padded, so its size shows multiples only.
//! Specification: protocol/SPEC.md, "Evaluation"; RFC 9497.

use serde::{Deserialize, Serialize};

use super::{Layout, Table};
use crate::agreement::Agreement;
use crate::agreement::text::Dataset;
use crate::ids::Name;
use crate::limits::{EVALUATION_CHUNK, PAD_ELEMENTS};
use crate::refusal::Refusal;

/// Name of the table of elements.
pub const ELEMENTS: &str = "elements";
/// Name of the table of proofs.
pub const PROOFS: &str = "proofs";

/// Head of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestManifest {
    /// Dataset whose values are evaluated; its quota is charged.
    pub dataset: Name,
    /// The elements.
    pub tables: Vec<Table>,
}

impl RequestManifest {
    /// The head of a request for `count` elements, padding included.
    pub fn new(dataset: &Name, count: u64) -> Self {
        Self {
            dataset: dataset.clone(),
            tables: vec![elements(count)],
        }
    }

    /// Elements that a request for `count` values has.
    pub fn padded(count: u64) -> u64 {
        count.max(1).div_ceil(PAD_ELEMENTS) * PAD_ELEMENTS
    }

    /// Checks the head against the agreement and the sender; returns the dataset and the layout.
    pub fn check<'a>(
        &self,
        agreement: &'a Agreement,
        sender: &Name,
        manifest_bytes: u64,
        body_bytes: u64,
    ) -> Result<(&'a Dataset, Layout), Refusal> {
        let bad = |why: &str| Refusal::malformed("evaluation request", why);
        let dataset = agreement.dataset_or_nearest(self.dataset.as_str())?;
        if dataset.owner != *sender {
            return Err(bad("the dataset is not the sender's"));
        }
        let count = self.count();
        if self.tables != [elements(count)] || count == 0 || !count.is_multiple_of(PAD_ELEMENTS) {
            return Err(bad("its table is not the one of a request"));
        }
        let layout = Layout::new(manifest_bytes, &self.tables)?;
        if layout.body_bytes != body_bytes {
            return Err(bad("its body has another length than its table"));
        }
        Ok((dataset, layout))
    }

    /// Elements, padding included.
    pub fn count(&self) -> u64 {
        self.tables.first().map_or(0, |table| table.rows)
    }
}

/// Head of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerManifest {
    /// Dataset of the request.
    pub dataset: Name,
    /// Elements and proofs.
    pub tables: Vec<Table>,
}

impl AnswerManifest {
    /// The head of the answer to a request for `count` elements.
    pub fn new(dataset: &Name, count: u64) -> Self {
        Self {
            dataset: dataset.clone(),
            tables: vec![elements(count), proofs(count)],
        }
    }

    /// Checks the head against what was asked.
    pub fn check(
        &self,
        dataset: &Name,
        count: u64,
        manifest_bytes: u64,
        body_bytes: u64,
    ) -> Result<Layout, Refusal> {
        let bad = |why: &str| Refusal::malformed("evaluation answer", why);
        if *self != Self::new(dataset, count) {
            return Err(bad("it does not fit the request"));
        }
        let layout = Layout::new(manifest_bytes, &self.tables)?;
        if layout.body_bytes != body_bytes {
            return Err(bad("its body has another length than its tables"));
        }
        Ok(layout)
    }
}

/// Proofs for `count` elements: one per chunk.
pub fn chunks(count: u64) -> u64 {
    count.div_ceil(EVALUATION_CHUNK as u64)
}

fn elements(count: u64) -> Table {
    Table {
        name: ELEMENTS.to_owned(),
        width: 32,
        rows: count,
    }
}

fn proofs(count: u64) -> Table {
    Table {
        name: PROOFS.to_owned(),
        width: 64,
        rows: chunks(count),
    }
}

/// A step of the custodians' key ceremony.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CeremonyMessage {
    /// 1: commitments and proof of knowledge, for everybody; 2: the share for this recipient;
    /// 3: a share from the dealer.
    pub step: u8,
    /// Package of the step, hexadecimal.
    pub package: String,
    /// Public shares of all custodians (step 3), hexadecimal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_shares: Vec<String>,
}

impl zeroize::Zeroize for CeremonyMessage {
    fn zeroize(&mut self) {
        self.package.zeroize();
    }
}
