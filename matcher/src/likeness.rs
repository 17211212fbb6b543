//! Likeness of whole records: cells of a similarity join. In: two tables of record filters. Out: parts with the handles of
//! every pair that reaches the agreement's bound, and how alike they are. Invariant: the same part for every processor and number of threads; the
//! tables are loaded once per register, and only if they fit the stated memory.
//! Specification: docs/ARCHITECTURE.md, "Cells"; protocol/SPEC.md, "Record filters".

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::agreement::likeness::Measure;
use hedui_protocol::message::submission::HANDLE_BYTES;
use hedui_protocol::refusal::Refusal;

use crate::cell::{ALIKE_ROW, Bound, Cell, Receipt, keep};
use crate::similarity::dense::DIMENSIONS_MAX;
use crate::similarity::filters::Filters;
use crate::similarity::join::{Hit, Join};
use crate::similarity::kernel::Kernel;
use crate::similarity::threshold::{self, Threshold};

/// Two tables of filters in memory, with the bound.
pub struct Prepared {
    left: Side,
    right: Side,
    threshold: Threshold,
}

struct Side {
    filters: Filters,
    handles: Vec<[u8; HANDLE_BYTES]>,
}

/// Bytes that a join of two tables takes at most: filters, as received and sorted, handles, and the wider side's sketches.
pub fn memory_bytes(rows: (u64, u64), bits: u32) -> u64 {
    let filter = u64::from(bits) / 8;
    let row = 2 * filter + HANDLE_BYTES as u64 + 16;
    // Dense codes may be longer than filters; rows of the other side are coded block by block.
    let sketch = match Kernel::best() {
        Kernel::Amx => filter.max(DIMENSIONS_MAX as u64),
        _ => filter,
    };
    (rows.0 + rows.1) * row + rows.1 * sketch
}

impl Prepared {
    /// Loads the tables of a cell.
    pub fn load(cell: &Cell, bound: &Bound) -> Result<Self, Problem> {
        let measure = match bound.measure {
            Measure::Dice => threshold::Measure::Dice,
            Measure::Jaccard => threshold::Measure::Jaccard,
            Measure::Hamming => threshold::Measure::Hamming,
        };
        let bits = bound.bits as usize;
        let threshold = Threshold::parse(measure, &bound.threshold, bits);
        let threshold =
            threshold.ok_or_else(|| Refusal::malformed("cell", "its threshold is wrong"))?;
        Ok(Self {
            left: Side::load(&cell.left, bits)?,
            right: Side::load(&cell.right, bits)?,
            threshold,
        })
    }

    /// Runs with the prepared join.
    pub fn with_join<T>(&self, work: impl FnOnce(&Join<'_>) -> T) -> T {
        work(&Join::new(
            &self.left.filters,
            &self.right.filters,
            &self.threshold,
        ))
    }

    /// Runs one cell on the current thread: its part and receipt.
    pub fn run(&self, join: &Join<'_>, cell: &Cell, bound: &Bound) -> Result<Receipt, Problem> {
        let mut hits = Vec::new();
        let last = (bound.first_block + bound.blocks).min(join.blocks());
        for block in bound.first_block..last {
            hits.extend(join.block(block).0);
        }
        if bound.best > 0 {
            self.keep_best(&mut hits, bound.best as usize);
        }
        let mut rows: Vec<[u8; ALIKE_ROW]> = hits.iter().map(|hit| self.row(hit)).collect();
        rows.sort_unstable();
        keep(cell, |emit| rows.iter().try_for_each(emit))
    }

    /// Keeps the hits of each record of the roll that are among its `best`, and those equally alike with the last of them.
    fn keep_best(&self, hits: &mut Vec<Hit>, best: usize) {
        let mut of: BTreeMap<u32, Vec<(u64, Hit)>> = BTreeMap::new();
        for hit in hits.drain(..) {
            of.entry(hit.a).or_default().push((self.rank(&hit), hit));
        }
        for (_, mut own) in of {
            own.sort_unstable_by(|x, y| y.cmp(x));
            let least = own.get(best - 1).map_or(0, |(rank, _)| *rank);
            let kept = own.into_iter().filter(|(rank, _)| *rank >= least);
            hits.extend(kept.map(|(_, hit)| hit));
        }
    }

    /// Orders hits of one record by Dice, which orders like Jaccard: the larger, the more alike. For Hamming, by distance.
    fn rank(&self, hit: &Hit) -> u64 {
        let sum = u64::from(self.left.popcount(hit.a)) + u64::from(self.right.popcount(hit.b));
        match self.threshold.measure() {
            threshold::Measure::Hamming => u64::from(u32::MAX) - (sum - 2 * u64::from(hit.common)),
            _ => (u64::from(hit.common) << 32) / sum.max(1),
        }
    }

    fn row(&self, hit: &Hit) -> [u8; ALIKE_ROW] {
        let mut row = [0; ALIKE_ROW];
        row[..16].copy_from_slice(&self.left.handles[hit.a as usize]);
        row[16..32].copy_from_slice(&self.right.handles[hit.b as usize]);
        row[32..].copy_from_slice(&self.rank(hit).to_be_bytes());
        row
    }
}

impl Side {
    fn load(path: &Path, bits: usize) -> Result<Self, Problem> {
        let wrap = |error| Problem::io(path, error);
        let file = File::open(path).map_err(wrap)?;
        let width = HANDLE_BYTES + bits / 8;
        let rows = usize::try_from(file.metadata().map_err(wrap)?.len()).unwrap_or(0) / width;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut bytes = vec![0; rows * bits / 8];
        let mut handles = vec![[0; HANDLE_BYTES]; rows];
        for (filter, handle) in bytes.chunks_exact_mut(bits / 8).zip(&mut handles) {
            reader.read_exact(handle).map_err(wrap)?;
            reader.read_exact(filter).map_err(wrap)?;
        }
        let filters = Filters::from_bytes(bits, &bytes)
            .ok_or_else(|| Problem::refused(path, Refusal::malformed("filters", "its size")))?;
        Ok(Self { filters, handles })
    }

    fn popcount(&self, id: u32) -> u32 {
        self.filters.popcount_of(id)
    }
}
