//! Likeness within blocks: cells of a join of tags whose pairs are compared by their record filters. In: the tag tables of
//! the key that makes the blocks, two tables of record filters. Out: parts like those of [`crate::likeness`]. Invariant:
//! no two records of different blocks, nor two of one side, are ever compared; the same part for any number of threads.
//! Specification: protocol/SPEC.md, "Filters of scope block".

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::message::submission::HANDLE_BYTES;
use hedui_protocol::refusal::Refusal;

use crate::cell::{ALIKE_ROW, BlockTables, Bound, Cell, Receipt, join, keep};

/// Two tables of filters in memory, with the largest distance.
pub struct Blocks {
    left: Side,
    right: Side,
    most: u32,
}

/// Filters in the order of their handles.
struct Side {
    handles: Vec<[u8; HANDLE_BYTES]>,
    filters: Vec<u64>,
    words: usize,
}

/// A pair within the bound: how far apart, and whose.
type Hit = (u32, [u8; HANDLE_BYTES], [u8; HANDLE_BYTES]);

/// Bytes that two tables take.
pub fn memory_bytes(rows: (u64, u64), bits: u32) -> u64 {
    (rows.0 + rows.1) * (HANDLE_BYTES as u64 + u64::from(bits) / 8)
}

impl Blocks {
    /// Loads the tables of a cell.
    pub fn load(cell: &Cell, bound: &Bound) -> Result<Self, Problem> {
        let most = bound.threshold.parse();
        let most = most.map_err(|_| Refusal::malformed("cell", "its threshold is wrong"))?;
        Ok(Self {
            left: Side::load(&cell.left, bound.bits)?,
            right: Side::load(&cell.right, bound.bits)?,
            most,
        })
    }

    /// Runs one cell on the current thread: its part and receipt.
    pub fn run(
        &self,
        cell: &Cell,
        bound: &Bound,
        tables: &BlockTables,
    ) -> Result<Receipt, Problem> {
        let mut hits: Vec<Hit> = Vec::new();
        join(
            (&tables.left, &tables.right),
            (cell.from, cell.to),
            &mut |left, right| {
                hits.extend(self.compare(left, right));
                Ok(())
            },
        )?;
        if bound.best > 0 {
            keep_best(&mut hits, bound.best as usize);
        }
        let row = |(distance, left, right): &Hit| {
            let mut row = [0; ALIKE_ROW];
            row[..16].copy_from_slice(left);
            row[16..32].copy_from_slice(right);
            let rank = u64::from(u32::MAX - distance);
            row[32..].copy_from_slice(&rank.to_be_bytes());
            row
        };
        let mut rows: Vec<[u8; ALIKE_ROW]> = hits.iter().map(row).collect();
        rows.sort_unstable();
        keep(cell, |emit| rows.iter().try_for_each(emit))
    }

    /// Compares two records of a block (rows of tag tables: tag 16 ‖ handle 16).
    fn compare(&self, left: &[u8; 32], right: &[u8; 32]) -> Option<Hit> {
        let (left, right) = (*left.last_chunk()?, *right.last_chunk()?);
        let pairs = self.left.of(&left)?.iter().zip(self.right.of(&right)?);
        let distance = pairs.map(|(a, b)| (a ^ b).count_ones()).sum();
        (distance <= self.most).then_some((distance, left, right))
    }
}

/// Keeps the pairs of each record of the roll that are among its `best`, and those equally alike with the last of them. A
/// record is in one block, so all its pairs are here.
fn keep_best(hits: &mut Vec<Hit>, best: usize) {
    hits.sort_unstable_by_key(|(distance, left, right)| (*left, *distance, *right));
    let mut kept = Vec::with_capacity(hits.len());
    for own in hits.chunk_by(|a, b| a.1 == b.1) {
        let most = own.get(best - 1).map_or(u32::MAX, |last| last.0);
        kept.extend(own.iter().take_while(|hit| hit.0 <= most).copied());
    }
    *hits = kept;
}

impl Side {
    fn load(path: &Path, bits: u32) -> Result<Self, Problem> {
        let wrap = |error| Problem::io(path, error);
        let words = bits as usize / 64;
        let width = HANDLE_BYTES + words * 8;
        let file = File::open(path).map_err(wrap)?;
        let rows = usize::try_from(file.metadata().map_err(wrap)?.len()).unwrap_or(0) / width;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut side = Self {
            handles: Vec::with_capacity(rows),
            filters: Vec::with_capacity(rows * words),
            words,
        };
        let (mut handle, mut filter) = ([0; HANDLE_BYTES], vec![0; words * 8]);
        for _ in 0..rows {
            reader.read_exact(&mut handle).map_err(wrap)?;
            reader.read_exact(&mut filter).map_err(wrap)?;
            side.handles.push(handle);
            let words = filter.as_chunks::<8>().0.iter();
            side.filters
                .extend(words.map(|word| u64::from_le_bytes(*word)));
        }
        Ok(side)
    }

    /// The filter of a record; the table is sorted by handle, which intake has checked.
    fn of(&self, handle: &[u8; HANDLE_BYTES]) -> Option<&[u64]> {
        let at = self.handles.binary_search(handle).ok()?;
        self.filters.get(at * self.words..(at + 1) * self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_with_their_equals() {
        let hit = |distance, left, right| (distance, [left; 16], [right; 16]);
        let mut hits = vec![
            hit(9, 1, 1),
            hit(3, 1, 2),
            hit(3, 1, 3),
            hit(7, 2, 1),
            hit(2, 1, 4),
        ];
        keep_best(&mut hits, 2);
        assert_eq!(
            hits,
            [hit(2, 1, 4), hit(3, 1, 2), hit(3, 1, 3), hit(7, 2, 1)]
        );
    }
}
