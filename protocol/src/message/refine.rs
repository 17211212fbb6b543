//! The refinement round: the matcher names candidate pairs, both sides answer with filters under keys of the pair.
//! In: pairs of handles, filters. Out: bodies with one table. Invariant: an answer's rows stand in the order of the
//! request's pairs; a request is known by a digest of its data and pairs, the same for both sides, in every key.
//! Tables: request `pairs` (roll handle 16 ‖ register handle 16, sorted), answer `filters` (u16 presence ‖ the masked
//! filters of the comparisons in order). SPEC.md, "Refinement".

use serde::{Deserialize, Serialize};

use super::{Layout, Table};
use crate::agreement::Agreement;
use crate::agreement::text::Refine;
use crate::ids::Name;
use crate::limits::{PAD_PAIRS, PAIRS_SHARE};
use crate::primitive::{hex, sha256, unhex};
use crate::refusal::Refusal;

/// Bytes of a row of a request: two handles.
pub const PAIR_ROW_BYTES: usize = 32;
/// Name of a request's table.
pub const PAIRS: &str = "pairs";
/// Name of an answer's table.
pub const FILTERS: &str = "filters";

/// Head of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Register whose records are compared with the roll's.
    pub register: Name,
    /// Side that is asked.
    pub side: Answering,
    /// That side's name of the data that it delivered.
    pub snapshot: String,
    /// Digest of both sides' delivered data, 32 bytes in hexadecimal, the same in both requests ([`data_digest`]).
    pub data: String,
    /// The one table.
    pub tables: Vec<Table>,
}

/// Which side answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answering {
    /// The roll's owner.
    Roll,
    /// The register's owner.
    Register,
}

/// Head of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Register of the request.
    pub register: Name,
    /// Side that answers.
    pub side: Answering,
    /// Digest of the request ([`pairs_digest`]), hexadecimal.
    pub request_sha256: String,
    /// The one table.
    pub tables: Vec<Table>,
}

impl Request {
    /// Head of a request of `rows` pairs to the side that delivered `snapshot`.
    pub fn new(register: &Name, side: Answering, snapshot: &str, data: &str, rows: u64) -> Self {
        Self {
            register: register.clone(),
            side,
            snapshot: snapshot.to_owned(),
            data: data.to_owned(),
            tables: vec![table(PAIRS, PAIR_ROW_BYTES, rows)],
        }
    }

    /// Checks the head against the agreement and returns where its pairs lie.
    pub fn check(
        &self,
        agreement: &Agreement,
        manifest_bytes: u64,
        body_bytes: u64,
    ) -> Result<(Layout, u64), Refusal> {
        let refine = refine_of(agreement)?;
        if unhex::<32>(&self.data).is_none() {
            return Err(Refusal::malformed("refine-request", "its `data` is wrong"));
        }
        let rows = one_table("refine-request", &self.tables, PAIRS, PAIR_ROW_BYTES)?;
        if rows % PAD_PAIRS != 0 {
            return Err(Refusal::malformed("refine-request", "it is not padded"));
        }
        let allowed = refine.pairs_max / PAIRS_SHARE;
        if rows > allowed {
            return Err(Refusal::Oversize {
                what: "refine-request",
                found: rows,
                allowed,
            });
        }
        let layout = whole("refine-request", manifest_bytes, &self.tables, body_bytes)?;
        Ok((layout, rows))
    }
}

impl Answer {
    /// Head of an answer to a request of `rows` pairs.
    pub fn new(
        agreement: &Agreement,
        register: &Name,
        side: Answering,
        request: &str,
        rows: u64,
    ) -> Self {
        Self {
            register: register.clone(),
            side,
            request_sha256: request.to_owned(),
            tables: vec![table(FILTERS, row_bytes(agreement), rows)],
        }
    }

    /// Checks the head against the agreement and the request's number of pairs.
    pub fn check(
        &self,
        agreement: &Agreement,
        rows: u64,
        manifest_bytes: u64,
        body_bytes: u64,
    ) -> Result<Layout, Refusal> {
        refine_of(agreement)?;
        if one_table("refine-answer", &self.tables, FILTERS, row_bytes(agreement))? != rows {
            return Err(Refusal::malformed(
                "refine-answer",
                "it has another number of rows than the request",
            ));
        }
        whole("refine-answer", manifest_bytes, &self.tables, body_bytes)
    }
}

/// `SHA-256(register ‖ 0 ‖ data ‖ 0 ‖ pairs)`: names a request on both sides and enters every key of its pairs, so that
/// the filters of changed data have nothing in common with those of earlier ones.
pub fn pairs_digest(register: &Name, data: &str, pairs: &[u8]) -> [u8; 32] {
    let (register, data) = (register.as_str().as_bytes(), data.as_bytes());
    sha256(&[register, &[0], data, &[0], pairs])
}

/// `SHA-256(roll's snapshot ‖ 0 ‖ register's snapshot)`, hexadecimal.
pub fn data_digest(roll: &str, register: &str) -> String {
    hex(&sha256(&[roll.as_bytes(), &[0], register.as_bytes()]))
}

/// Bytes of a row of filters.
pub fn row_bytes(agreement: &Agreement) -> usize {
    let comparisons = agreement.text().comparison.iter();
    2 + comparisons.map(|c| c.bytes()).sum::<usize>()
}

/// The agreement's refinement, or why there is none to speak of.
pub fn refine_of(agreement: &Agreement) -> Result<&Refine, Refusal> {
    let refine = agreement.text().refine.as_ref();
    refine.ok_or_else(|| Refusal::malformed("refinement", "the agreement has none"))
}

fn table(name: &str, width: usize, rows: u64) -> Table {
    Table {
        name: name.to_owned(),
        width: u32::try_from(width).unwrap_or(u32::MAX),
        rows,
    }
}

fn one_table(
    what: &'static str,
    tables: &[Table],
    name: &str,
    width: usize,
) -> Result<u64, Refusal> {
    match tables {
        [table] if table.name == name && table.width as usize == width => Ok(table.rows),
        _ => Err(Refusal::malformed(
            what,
            "it has other tables than the agreement says",
        )),
    }
}

fn whole(
    what: &'static str,
    manifest_bytes: u64,
    tables: &[Table],
    body_bytes: u64,
) -> Result<Layout, Refusal> {
    let layout = Layout::new(manifest_bytes, tables)?;
    if layout.body_bytes != body_bytes {
        return Err(Refusal::malformed(
            what,
            "its body has another length than its table",
        ));
    }
    Ok(layout)
}
