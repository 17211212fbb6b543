//! What messages contain once opened. In: typed content. Out: body bytes, and back.
//! A body is `u32 length ‖ manifest (JSON) ‖ tables`, each table rows × width bytes in the manifest's
//! order. Invariant: fixed-width tables only (decision 0001), sizes checked before anything is read.
//! Specification: protocol/SPEC.md, "Bodies".

pub mod disclosure;
pub mod evaluation;
pub mod kit;
pub mod own_result;
pub mod payload;
pub mod receipt;
pub mod refine;
pub mod result;
pub mod submission;
pub mod ticket;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::limits::{BODY_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::refusal::Refusal;

/// A table inside a body: rows of one width, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name within the message.
    pub name: String,
    /// Bytes per row.
    pub width: u32,
    /// Rows, padding included.
    pub rows: u64,
}

impl Table {
    /// Bytes of the table.
    pub fn bytes(&self) -> u64 {
        u64::from(self.width).saturating_mul(self.rows)
    }
}

/// Where each table of a body lies.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Tables with the offset of their first byte in the body.
    pub tables: Vec<(Table, u64)>,
    /// Bytes of the whole body.
    pub body_bytes: u64,
}

impl Layout {
    /// Places `tables` one after the other behind a manifest of `manifest_bytes`.
    pub fn new(manifest_bytes: u64, tables: &[Table]) -> Result<Self, Refusal> {
        let mut offset = 4 + manifest_bytes;
        let mut placed = Vec::with_capacity(tables.len());
        for table in tables {
            placed.push((table.clone(), offset));
            offset = offset.saturating_add(table.bytes());
        }
        if offset > BODY_BYTES_MAX {
            let allowed = BODY_BYTES_MAX;
            return Err(Refusal::Oversize {
                what: "body",
                found: offset,
                allowed,
            });
        }
        Ok(Self {
            tables: placed,
            body_bytes: offset,
        })
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&(Table, u64)> {
        self.tables.iter().find(|(table, _)| table.name == name)
    }
}

/// `u32 length ‖ JSON` of a manifest.
pub fn manifest_bytes(manifest: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    let json = serde_json::to_vec(manifest).map_err(|e| Refusal::malformed("manifest", e))?;
    if json.len() > MANIFEST_BYTES_MAX {
        let (found, allowed) = (json.len() as u64, MANIFEST_BYTES_MAX as u64);
        return Err(Refusal::Oversize {
            what: "manifest",
            found,
            allowed,
        });
    }
    let len = u32::try_from(json.len()).unwrap_or(u32::MAX);
    Ok([&len.to_be_bytes()[..], &json].concat())
}

/// Length of the manifest announced by the first 4 bytes of a body.
pub fn manifest_len(prefix: [u8; 4]) -> Result<usize, Refusal> {
    let len = u32::from_be_bytes(prefix) as usize;
    if len > MANIFEST_BYTES_MAX {
        let (found, allowed) = (len as u64, MANIFEST_BYTES_MAX as u64);
        return Err(Refusal::Oversize {
            what: "manifest",
            found,
            allowed,
        });
    }
    Ok(len)
}

/// Reads the JSON of a manifest; unknown keys are refused by its type.
pub fn parse_manifest<M: DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<M, Refusal> {
    serde_json::from_slice(json).map_err(|error| {
        // Serde's own words may quote a value.
        let kind = match error.classify() {
            Category::Data => "a key or value is missing, unknown or wrong",
            Category::Eof => "it ends too early",
            Category::Io | Category::Syntax => "it is no JSON",
        };
        let (line, column) = (error.line(), error.column());
        Refusal::malformed(what, format!("{kind} (line {line}, column {column})"))
    })
}

/// A body without tables: its manifest is all there is.
pub fn parse_small_body<M: DeserializeOwned>(
    what: &'static str,
    body: &[u8],
) -> Result<M, Refusal> {
    let (prefix, rest) = body
        .split_first_chunk::<4>()
        .ok_or_else(|| Refusal::malformed(what, "its body is too short"))?;
    if manifest_len(*prefix)? != rest.len() {
        return Err(Refusal::malformed(
            what,
            "its body has another length than it says",
        ));
    }
    parse_manifest(what, rest)
}

#[cfg(test)]
mod message_tests;
