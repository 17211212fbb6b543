//! A cell: the only unit of work. In: two segments, a range of first bytes. Out: a part (handles of rows
//! whose tags are equal) and a receipt. Invariant: a pure function of its files, idempotent, runnable by
//! any engine through the `worker` line protocol (one JSON object per line in, one per line out).
//! Specification: docs/ARCHITECTURE.md, "Cells".

use std::io::Write;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::primitive::{Sha256, hex};
use serde::{Deserialize, Serialize};

use hedui_protocol::agreement::likeness::Measure;

use crate::block::Blocks;
use crate::likeness::Prepared;
use crate::segment::{Range, Row};

/// Version of the line protocol and of the part format.
pub const VERSION: u32 = 1;
/// Names the code that made a part of an exact join.
pub const KERNEL: &str = "exact-merge/1";
/// Names the code that made a part of a similarity join; every processor gives the same.
pub const SIMILARITY_KERNEL: &str = "similarity/2";
/// Names the code that made a part of a comparison within blocks.
pub const BLOCK_KERNEL: &str = "block/1";

/// One cell of an exact join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Version of the line protocol; 1.
    pub version: u32,
    /// Name of the cell within its plan: `REGISTER.KEY.FROM-TO`.
    pub cell: String,
    /// Register.
    pub register: String,
    /// Number of the match key.
    pub key: u8,
    /// First of the first bytes.
    pub from: u8,
    /// Last of the first bytes.
    pub to: u8,
    /// Segment of the roll.
    pub left: PathBuf,
    /// SHA-256 of the roll's submission header.
    pub left_sha256: String,
    /// Segment of the register.
    pub right: PathBuf,
    /// SHA-256 of the register's submission header.
    pub right_sha256: String,
    /// File for the part.
    pub part: PathBuf,
    /// What makes two records alike, and which blocks of the roll's filters are compared; absent: tags are joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeness: Option<Bound>,
}

/// A cell of a similarity join: its segments are tables of record filters, in the order of handles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Bits of a filter.
    pub bits: u32,
    /// Measure.
    pub measure: Measure,
    /// Threshold, as in the agreement.
    pub threshold: String,
    /// Most alike records kept per record of the roll; 0: all.
    pub best: u32,
    /// First block of rows of the roll's filters, sorted by set bits.
    pub first_block: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Where only records that share a tag are compared: the tables of that tag, of which the cell takes the rows whose
    /// first byte is in its range. Then `first_block` and `blocks` are nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<BlockTables>,
}

/// Tag tables of the key that makes blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockTables {
    /// Segment of the roll.
    pub left: PathBuf,
    /// Segment of the register.
    pub right: PathBuf,
}

/// What a finished cell leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Name of the cell.
    pub cell: String,
    /// SHA-256 of the roll's submission header.
    pub left_sha256: String,
    /// SHA-256 of the register's submission header.
    pub right_sha256: String,
    /// Rows of the part.
    pub rows: u64,
    /// SHA-256 of the part.
    pub sha256: String,
    /// Code that made it.
    pub kernel: String,
}

fn kernel(cell: &Cell) -> &'static str {
    match &cell.likeness {
        Some(bound) if bound.within.is_some() => BLOCK_KERNEL,
        Some(_) => SIMILARITY_KERNEL,
        None => KERNEL,
    }
}

/// Path of the receipt beside a part.
pub fn receipt_path(part: &Path) -> PathBuf {
    part.with_extension("receipt")
}

/// Runs a cell: writes its part, then its receipt. A cell whose receipt is there is not run again.
pub fn run(cell: &Cell) -> Result<Receipt, Problem> {
    if cell.version != VERSION {
        return Err(Problem::data(
            format!("cell `{}` is of version {}", cell.cell, cell.version),
            "use the program of the version that planned it",
        ));
    }
    if let Some(receipt) = done(cell) {
        return Ok(receipt);
    }
    if let Some(bound) = &cell.likeness {
        if let Some(tables) = &bound.within {
            return Blocks::load(cell, bound)?.run(cell, bound, tables);
        }
        let prepared = Prepared::load(cell, bound)?;
        return prepared.with_join(|join| prepared.run(join, cell, bound));
    }
    keep::<ROW>(cell, |emit| {
        join(
            (&cell.left, &cell.right),
            (cell.from, cell.to),
            &mut |left, right| {
                let mut row = [0; ROW];
                row[..16].copy_from_slice(&left[16..]);
                row[16..].copy_from_slice(&right[16..]);
                emit(&row)
            },
        )
    })
}

/// Bytes of a row of an exact join's part: two handles.
pub const ROW: usize = 32;
/// Bytes of a row of a similarity join's part: two handles and how alike they are.
pub const ALIKE_ROW: usize = 40;

/// Takes the rows of a part.
pub(crate) type Emit<'a, const N: usize> = dyn FnMut(&[u8; N]) -> Result<(), Problem> + 'a;

/// Writes a cell's part, then its receipt.
pub(crate) fn keep<const N: usize>(
    cell: &Cell,
    fill: impl FnOnce(&mut Emit<'_, N>) -> Result<(), Problem>,
) -> Result<Receipt, Problem> {
    let (rows, sha256) = files::write_whole(&cell.part, |out| {
        let mut hash = Sha256::default();
        let mut rows = 0;
        fill(&mut |row| {
            hash.update(row);
            rows += 1;
            out.write_all(row)
                .map_err(|error| Problem::io(&cell.part, error))
        })?;
        Ok((rows, hex(&hash.finish())))
    })?;
    let receipt = Receipt {
        cell: cell.cell.clone(),
        left_sha256: cell.left_sha256.clone(),
        right_sha256: cell.right_sha256.clone(),
        rows,
        sha256,
        kernel: kernel(cell).to_owned(),
    };
    let json =
        serde_json::to_vec(&receipt).map_err(|e| Problem::data(e.to_string(), "report this"))?;
    files::write_bytes(&receipt_path(&cell.part), &json)?;
    Ok(receipt)
}

/// The receipt of a finished cell, if it is there and about these inputs.
pub fn done(cell: &Cell) -> Option<Receipt> {
    let bytes = files::read_small(&receipt_path(&cell.part)).ok()?;
    let receipt: Receipt = serde_json::from_slice(&bytes).ok()?;
    let same = receipt.cell == cell.cell
        && receipt.left_sha256 == cell.left_sha256
        && receipt.right_sha256 == cell.right_sha256
        && receipt.kernel == kernel(cell);
    (same && cell.part.exists()).then_some(receipt)
}

/// Equi-join of two sorted segments, of the rows whose first byte is in the range; pairs come in the order of tag, left
/// handle, right handle.
pub(crate) fn join(
    (left_path, right_path): (&Path, &Path),
    (from, to): (u8, u8),
    emit: &mut dyn FnMut(&Row, &Row) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut left = Range::open(left_path, from, to)?;
    let mut right = Range::open(right_path, from, to)?;
    let next = |range: &mut Range, path: &Path| range.next_row().map_err(|e| Problem::io(path, e));
    let mut l = next(&mut left, left_path)?;
    let mut r = next(&mut right, right_path)?;
    let mut run: Vec<Row> = Vec::new();
    while let (Some(left_row), Some(right_row)) = (l, r) {
        match left_row[..16].cmp(&right_row[..16]) {
            std::cmp::Ordering::Less => {
                left.skip_below(&right_row[..16])
                    .map_err(|e| Problem::io(left_path, e))?;
                l = next(&mut left, left_path)?;
            }
            std::cmp::Ordering::Greater => {
                right
                    .skip_below(&left_row[..16])
                    .map_err(|e| Problem::io(right_path, e))?;
                r = next(&mut right, right_path)?;
            }
            std::cmp::Ordering::Equal => {
                // A tag occurs at most 20 times on a side (checked at intake), so a run is short.
                run.clear();
                while let Some(row) = r.filter(|row| row[..16] == left_row[..16]) {
                    run.push(row);
                    r = next(&mut right, right_path)?;
                }
                while let Some(row) = l.filter(|row| row[..16] == left_row[..16]) {
                    run.iter().try_for_each(|other| emit(&row, other))?;
                    l = next(&mut left, left_path)?;
                }
            }
        }
    }
    Ok(())
}
