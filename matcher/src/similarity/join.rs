//! The join: all pairs that reach a threshold. In: two sets of filters. Out: hits, sorted. Invariant: the same hits in
//! the same order for every kernel, width and number of threads; blocks of rows are independent, so that a caller may
//! keep what is done. Specification: docs/ARCHITECTURE.md, "Similarity".

use std::ops::Range;

use rayon::prelude::*;

use super::aligned::Aligned;
use super::dense::{Codes, Projection};
use super::filters::Filters;
use super::kernel::Kernel;
use super::scan::{Shape, Task, rows, tiles as folded_tiles};
use super::sketch::{picoseconds, width_for};
use super::threshold::Threshold;
use super::tiles::{self, NEVER, SIDE, TILE, lay_out};

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

/// A block of rows.
enum Side {
    Folded(Vec<u8>),
    Dense(Codes),
}

/// Limits of a block's rows and a tile's records: a pair is ruled out if its dot product, its row's and its record's limit are
/// together below nothing. With codes p, q: |p − q|² = |p|² + |q|² − 2 p·q, so u is half of reach − |p|², v half of −|q|², both rounded up.
#[derive(Default)]
struct Limits {
    /// Reach by set bits of both, at which it was reckoned.
    reach: Vec<i32>,
    rows: Vec<i32>,
    records: Vec<i32>,
    /// Set bits of the tile for which `rows` are.
    popcount: Option<u32>,
}

impl Limits {
    fn set(
        &mut self,
        join: &Join<'_>,
        dense: &Dense,
        codes: &Codes,
        (popcounts, number, tile_popcount): (&[u32], usize, u32),
    ) {
        if self.reach.is_empty() {
            let sums = u32::try_from(2 * join.a.bits()).unwrap_or(0);
            let reach = |sum| match join.threshold.radius(sum) {
                radius if radius < 0 => NEVER,
                radius => dense.projection.reach(radius, codes.error + dense.error),
            };
            self.reach = (0..=sums).map(reach).collect();
        }
        if self.popcount != Some(tile_popcount) {
            self.popcount = Some(tile_popcount);
            self.rows.clear();
            let rows = popcounts
                .iter()
                .zip(&codes.lengths)
                .map(
                    |(popcount, length)| match self.reach[(popcount + tile_popcount) as usize] {
                        NEVER => NEVER,
                        reach => (reach - length + 1) >> 1,
                    },
                );
            self.rows.extend(rows);
            self.rows.resize(codes.lengths.len(), NEVER);
        }
        self.records.clear();
        let lengths = &dense.lengths[number * TILE..(number + 1) * TILE];
        self.records
            .extend(lengths.iter().map(|length| -(length >> 1)));
        let there = (join.b.len() - number * TILE).min(TILE);
        self.records[there..].fill(NEVER);
    }
}

/// A prepared join.
pub struct Join<'a> {
    a: &'a Filters,
    b: &'a Filters,
    threshold: &'a Threshold,
    kernel: Kernel,
    sketch: Sketch,
}

/// What rules pairs out.
enum Sketch {
    /// Folded bits, looked up symbol by symbol.
    Folded {
        shape: Shape,
        tables: Aligned,
        tiles: Aligned,
    },
    /// Few whole numbers, multiplied.
    Dense(Dense),
}

/// One side's dense codes, laid out as tiles, and how to make the other's.
struct Dense {
    projection: Projection,
    tiles: Aligned<i8>,
    lengths: Vec<i32>,
    error: f64,
}

impl Dense {
    /// Dense codes, if they cost less than a folded sketch of symbols would.
    fn of(a: &Filters, b: &Filters, threshold: &Threshold, symbol_bits: usize) -> Option<Self> {
        let (projection, cost) = Projection::fit(a, b, threshold)?;
        let width = width_for(a, b, threshold, symbol_bits);
        if cost > picoseconds((a, b), threshold, (width, symbol_bits)) {
            return None;
        }
        Some(Self::laid_out(projection, b))
    }

    fn laid_out(projection: Projection, b: &Filters) -> Self {
        let bytes = TILE * projection.dimensions();
        let count = b.len().div_ceil(TILE);
        let (mut tiles, mut lengths) = (Aligned::zeros(count * bytes), vec![0; count * TILE]);
        let each = tiles
            .par_chunks_exact_mut(bytes)
            .zip(lengths.par_chunks_exact_mut(TILE));
        let error = each
            .enumerate()
            .map(|(index, (tile, lengths))| {
                let from = index * TILE;
                let codes = projection.codes(b, from..(from + TILE).min(b.len()), TILE);
                lay_out(&codes.bytes, projection.dimensions(), tile);
                lengths.copy_from_slice(&codes.lengths);
                codes.error
            })
            .reduce(|| 0.0, f64::max);
        Self {
            projection,
            tiles,
            lengths,
            error,
        }
    }
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
        // A stated width is that of a folded sketch.
        let dense = match (kernel, width) {
            (Kernel::Amx, None) => Dense::of(a, b, threshold, kernel.symbol_bits()),
            _ => None,
        };
        let sketch = match dense {
            Some(dense) => Sketch::Dense(dense),
            None => Self::folded(kernel, width, (a, b), threshold),
        };
        Self {
            a,
            b,
            threshold,
            kernel,
            sketch,
        }
    }

    /// A join by dense codes, whatever they cost.
    #[cfg(test)]
    pub(crate) fn dense(a: &'a Filters, b: &'a Filters, threshold: &'a Threshold) -> Option<Self> {
        let (projection, _) = Projection::fit(a, b, threshold)?;
        Some(Self {
            a,
            b,
            threshold,
            kernel: Kernel::Amx,
            sketch: Sketch::Dense(Dense::laid_out(projection, b)),
        })
    }

    fn folded(
        kernel: Kernel,
        width: Option<usize>,
        (a, b): (&Filters, &Filters),
        threshold: &Threshold,
    ) -> Sketch {
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
                    out.copy_from_slice(&folded_tiles(b, from..(from + tile).min(b.len()), &shape));
                });
        }
        Sketch::Folded {
            tables: Aligned::copy(&kernel.tables()),
            tiles: tiled,
            shape,
        }
    }

    /// Bits of a folded sketch, whole numbers of a dense one.
    pub fn width(&self) -> usize {
        match &self.sketch {
            Sketch::Folded { shape, .. } => shape.width,
            Sketch::Dense(dense) => dense.projection.dimensions(),
        }
    }

    /// Records of a tile.
    fn tile(&self) -> usize {
        match &self.sketch {
            Sketch::Folded { shape, .. } => shape.tile(),
            Sketch::Dense(_) => TILE,
        }
    }

    /// Number of blocks of rows.
    pub fn blocks(&self) -> usize {
        self.a.len().div_ceil(BLOCK_ROWS)
    }

    /// Hits of one block of rows, in no particular order, and what they cost.
    pub fn block(&self, index: usize) -> (Vec<Hit>, Effort) {
        let from = index * BLOCK_ROWS;
        let places = from..(from + BLOCK_ROWS).min(self.a.len());
        let side = self.rows(&places);
        let (mut found, mut waiting, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        let mut effort = Effort::default();
        let tile = self.tile();
        let mut limits = Limits::default();
        for number in self.tiles_in_reach(&places) {
            let first = number * tile;
            let last = (first + tile).min(self.b.len()) - 1;
            self.scan(&side, (&places, number, last), &mut limits, &mut found);
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

    /// The rows of a block as their kernel takes them.
    fn rows(&self, places: &Range<usize>) -> Side {
        match &self.sketch {
            Sketch::Folded { shape, .. } => Side::Folded(rows(self.a, places.clone(), shape)),
            Sketch::Dense(dense) => {
                Side::Dense(dense.projection.codes(self.a, places.clone(), SIDE))
            }
        }
    }

    /// Pairs of a block of rows and a tile that the sketch does not rule out.
    fn scan(
        &self,
        side: &Side,
        (places, number, last): (&Range<usize>, usize, usize),
        limits: &mut Limits,
        found: &mut Vec<(u32, u32)>,
    ) {
        let popcounts = &self.a.popcounts()[places.clone()];
        let tile_popcount = self.b.popcount(last);
        match (&self.sketch, side) {
            (
                Sketch::Folded {
                    shape,
                    tables,
                    tiles,
                },
                Side::Folded(rows),
            ) => {
                let bytes = shape.tile() * shape.symbols;
                let task = Task {
                    shape,
                    tables,
                    rows,
                    popcounts,
                    tile: &tiles[number * bytes..(number + 1) * bytes],
                    tile_popcount,
                    threshold: self.threshold,
                };
                self.kernel.scan(&task, found);
            }
            (Sketch::Dense(dense), Side::Dense(codes)) => {
                limits.set(self, dense, codes, (popcounts, number, tile_popcount));
                let dimensions = dense.projection.dimensions();
                let bytes = TILE * dimensions;
                let task = tiles::Task {
                    dimensions,
                    rows: &codes.bytes,
                    u: &limits.rows,
                    tile: &dense.tiles[number * bytes..(number + 1) * bytes],
                    v: &limits.records,
                };
                self.kernel.scan_dense(&task, found);
            }
            // Rows are made for the sketch.
            _ => {}
        }
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
        let tile = self.tile();
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
