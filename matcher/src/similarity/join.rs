//! The join: all pairs that reach a threshold. In: two sets of filters. Out: hits, sorted. Invariant: the same hits in
//! the same order for every kernel, width and number of threads; blocks of rows are independent, so that a caller may
//! keep what is done. Specification: docs/ARCHITECTURE.md, "Similarity".

use std::ops::Range;

use rayon::prelude::*;

use super::aligned::Aligned;
use super::filters::Filters;
use super::kernel::Kernel;
use super::scan::{Shape, Task, rows, tiles};
use super::sketch::width_for;
use super::threshold::Threshold;

/// Rows that are compared with all tiles before the next: their symbols stay in a second-level cache.
pub const BLOCK_ROWS: usize = 2048;
/// Pairs that wait for the exact check at most.
const WAITING_MAX: usize = 1 << 14;

/// A pair that reaches the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Row of the first set, as received.
    pub a: u32,
    /// Row of the second set, as received.
    pub b: u32,
    /// Bits in common.
    pub common: u32,
}

/// What was done to find the hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Pairs that the sketch did not rule out.
    pub checked: u64,
    /// Pairs that the numbers of set bits did not rule out.
    pub scanned: u64,
}

/// A prepared join.
pub struct Join<'a> {
    a: &'a Filters,
    b: &'a Filters,
    threshold: &'a Threshold,
    kernel: Kernel,
    shape: Shape,
    tables: Aligned,
    tiles: Aligned,
}

impl<'a> Join<'a> {
    /// Prepares a join of filters of equal width on the best kernel.
    pub fn new(a: &'a Filters, b: &'a Filters, threshold: &'a Threshold) -> Self {
        Self::on(Kernel::best(), None, a, b, threshold)
    }

    /// Prepares a join on a kernel of [`Kernel::available`], with a sketch of `width` bits or the one that a sample
    /// recommends.
    pub fn on(
        kernel: Kernel,
        width: Option<usize>,
        a: &'a Filters,
        b: &'a Filters,
        threshold: &'a Threshold,
    ) -> Self {
        assert_eq!(a.bits(), b.bits(), "filters of unequal width");
        assert!(
            Kernel::available().contains(&kernel),
            "a kernel of another machine"
        );
        assert!(width != Some(0), "a sketch without bits");
        let width = width.unwrap_or_else(|| width_for(a, b, threshold, kernel.symbol_bits()));
        let shape = kernel.shape(width);
        let tile = shape.tile();
        let count = b.len().div_ceil(tile);
        let mut tiled = Aligned::zeros(count * tile * shape.symbols);
        if !b.is_empty() {
            let bytes = tile * shape.symbols;
            tiled
                .par_chunks_mut(bytes)
                .enumerate()
                .for_each(|(index, out)| {
                    let from = index * tile;
                    out.copy_from_slice(&tiles(b, from..(from + tile).min(b.len()), &shape));
                });
        }
        Self {
            a,
            b,
            threshold,
            kernel,
            tables: Aligned::copy(&kernel.tables()),
            tiles: tiled,
            shape,
        }
    }

    /// Bits of the sketch.
    pub fn width(&self) -> usize {
        self.shape.width
    }

    /// Number of blocks of rows.
    pub fn blocks(&self) -> usize {
        self.a.len().div_ceil(BLOCK_ROWS)
    }

    /// Hits of one block of rows, in no particular order, and what they cost.
    pub fn block(&self, index: usize) -> (Vec<Hit>, Effort) {
        let from = index * BLOCK_ROWS;
        let places = from..(from + BLOCK_ROWS).min(self.a.len());
        let block_rows = rows(self.a, places.clone(), &self.shape);
        let popcounts = &self.a.popcounts()[places.clone()];
        let (mut found, mut waiting, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        let mut effort = Effort::default();
        let tile = self.shape.tile();
        let bytes = tile * self.shape.symbols;
        for number in self.tiles_in_reach(&places) {
            let first = number * tile;
            let last = (first + tile).min(self.b.len()) - 1;
            let task = Task {
                shape: &self.shape,
                tables: &self.tables,
                rows: &block_rows,
                popcounts,
                tile: &self.tiles[number * bytes..(number + 1) * bytes],
                tile_popcount: self.b.popcount(last),
                threshold: self.threshold,
            };
            self.kernel.scan(&task, &mut found);
            effort.scanned += (places.len() * (last + 1 - first)) as u64;
            for (row, record) in found.drain(..) {
                let (left, right) = (from + row as usize, first + record as usize);
                if right <= last {
                    waiting.push((place(left), place(right)));
                }
            }
            if waiting.len() >= WAITING_MAX {
                effort.checked += waiting.len() as u64;
                self.check(&mut waiting, &mut hits);
            }
        }
        effort.checked += waiting.len() as u64;
        self.check(&mut waiting, &mut hits);
        let hit = |(a, b, common)| Hit { a, b, common };
        (hits.into_iter().map(hit).collect(), effort)
    }

    fn check(&self, waiting: &mut Vec<(u32, u32)>, hits: &mut Vec<(u32, u32, u32)>) {
        self.kernel
            .check((self.a, self.b), waiting, self.threshold, hits);
        waiting.clear();
    }

    /// Tiles with a record whose number of set bits can reach the threshold with some row of the block.
    fn tiles_in_reach(&self, places: &Range<usize>) -> Range<usize> {
        let (Some(first), Some(last)) = (places.clone().next(), places.clone().next_back()) else {
            return 0..0;
        };
        let counts = self.b.popcounts();
        let (few, many) = (self.a.popcount(first), self.a.popcount(last));
        // With sorted counts what is possible for one row is a range; its ends move with the row's count.
        let from = counts.partition_point(|b| *b < few && !self.threshold.possible(few, *b));
        let to = counts.partition_point(|b| *b <= many || self.threshold.possible(many, *b));
        let tile = self.shape.tile();
        from / tile..to.div_ceil(tile)
    }

    /// All hits, sorted, and what they cost; uses the threads of the current pool.
    pub fn run(&self) -> (Vec<Hit>, Effort) {
        let blocks = (0..self.blocks()).into_par_iter();
        let parts: Vec<_> = blocks.map(|index| self.block(index)).collect();
        let mut effort = Effort::default();
        let mut hits = Vec::with_capacity(parts.iter().map(|(hits, _)| hits.len()).sum());
        for (part, cost) in parts {
            hits.extend(part);
            effort.checked += cost.checked;
            effort.scanned += cost.scanned;
        }
        hits.par_sort_unstable();
        (hits, effort)
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
