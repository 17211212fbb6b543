//! The scan: which pairs a sketch does not rule out. In: rows of one side as symbols, a tile of the other side laid out
//! symbol by symbol. Out: pairs of places. Invariant: a superset of the pairs within the radius; a tile stays in the
//! first-level cache while the rows pass it.
//! Method: for each symbol of a row one table of distances stays in a register while the tile's symbols look it up.
//! Specification: docs/ARCHITECTURE.md, "Similarity".
#![allow(
    unsafe_code,
    reason = "SIMD; each kernel is checked against the portable one"
)]

use super::filters::Filters;
use super::lanes::Lanes;
use super::sketch::{CHUNK_BITS, cut, fold, symbol_count};
use super::threshold::Threshold;

/// Bytes of a tile that leave room for a row and the tables in a first-level cache of 32 KiB.
const TILE_BYTES: usize = 28 << 10;

/// The shape of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Bits of the sketch.
    pub(crate) width: usize,
    /// Symbols of the sketch.
    pub(crate) symbols: usize,
    /// Symbols whose distances fit one byte.
    pub(crate) chunk: usize,
    /// Vectors of a tile.
    pub(crate) vectors: usize,
    /// Records of a vector.
    pub(crate) lanes: usize,
    /// Bits of a symbol.
    pub(crate) symbol_bits: usize,
}

impl Shape {
    /// The shape of a sketch of `width` bits on lanes `L`.
    pub(crate) fn of<L: Lanes>(width: usize) -> Self {
        let symbols = symbol_count(width, L::SYMBOL_BITS);
        let fits = |vectors: &usize| vectors * L::COUNT * symbols <= TILE_BYTES;
        Self {
            width,
            symbols,
            chunk: CHUNK_BITS / L::SYMBOL_BITS,
            vectors: [8, 4, 2].into_iter().find(fits).unwrap_or(1),
            lanes: L::COUNT,
            symbol_bits: L::SYMBOL_BITS,
        }
    }

    /// Records of a tile.
    pub(crate) fn tile(&self) -> usize {
        self.vectors * self.lanes
    }
}

/// One side as rows: symbols of a row beside each other.
pub(crate) fn rows(filters: &Filters, places: std::ops::Range<usize>, shape: &Shape) -> Vec<u8> {
    let mut out = vec![0; places.len() * shape.symbols];
    let mut folded = vec![0; shape.width.div_ceil(64)];
    for (row, place) in out.chunks_exact_mut(shape.symbols.max(1)).zip(places) {
        fold(filters.row(place), shape.width, &mut folded);
        cut(&folded, shape.symbol_bits, row);
    }
    out
}

/// One side as tiles: per tile and symbol the symbols of its records beside each other. The last tile repeats its last
/// record, which the scan's caller leaves out.
pub(crate) fn tiles(filters: &Filters, places: std::ops::Range<usize>, shape: &Shape) -> Vec<u8> {
    let tile = shape.tile();
    let count = places.len().div_ceil(tile);
    let mut out = vec![0; count * tile * shape.symbols];
    let mut row = vec![0; shape.symbols];
    let mut folded = vec![0; shape.width.div_ceil(64)];
    for at in 0..count * tile {
        let place = (places.start + at).min(places.end - 1);
        fold(filters.row(place), shape.width, &mut folded);
        cut(&folded, shape.symbol_bits, &mut row);
        let base = at / tile * tile * shape.symbols + at % tile;
        for (index, symbol) in row.iter().enumerate() {
            out[base + index * tile] = *symbol;
        }
    }
    out
}

/// The table of every symbol, one vector each.
pub(crate) fn tables<L: Lanes>() -> Vec<u8> {
    let all = (0..1_usize << L::SYMBOL_BITS)
        .flat_map(|symbol| (0..L::COUNT).map(move |lane| (symbol, lane)));
    all.map(|(symbol, lane)| L::entry(u8::try_from(symbol).unwrap_or(0), lane))
        .collect()
}

/// A tile and what its rows are compared with.
pub(crate) struct Task<'a> {
    /// Shape of both sides.
    pub(crate) shape: &'a Shape,
    /// Tables of the lanes.
    pub(crate) tables: &'a [u8],
    /// Rows, as [`rows`] makes them.
    pub(crate) rows: &'a [u8],
    /// Set bits of each row.
    pub(crate) popcounts: &'a [u32],
    /// One tile, as [`tiles`] makes them.
    pub(crate) tile: &'a [u8],
    /// Most set bits of a record of the tile.
    pub(crate) tile_popcount: u32,
    /// The threshold.
    pub(crate) threshold: &'a Threshold,
}

/// Scans rows against one tile; pushes row and record, both counted from the start of the task, of every pair that is
/// not ruled out.
///
/// # Safety
/// The processor has the features of `L`; the task was made for lanes `L` and `V` vectors.
#[inline(always)]
pub(crate) unsafe fn scan<L: Lanes, const V: usize>(task: &Task<'_>, out: &mut Vec<(u32, u32)>) {
    let shape = task.shape;
    assert_eq!(task.tile.len(), shape.symbols * V * L::COUNT);
    let rows = task.rows.chunks_exact(shape.symbols).zip(task.popcounts);
    for (index, (row, popcount)) in (0..).zip(rows) {
        let Ok(radius) = u32::try_from(task.threshold.radius(popcount + task.tile_popcount)) else {
            continue;
        };
        // SAFETY: the caller's contract is passed on.
        let (sums, limit) = unsafe {
            if radius < 255 {
                // Sums that reach 255 stay there, beyond the radius.
                (sum::<L, V>(task, row, 0, shape.symbols), radius)
            } else {
                averages::<L, V>(task, row, radius)
            }
        };
        let limit = u8::try_from(limit).unwrap_or(u8::MAX);
        // SAFETY: as above.
        unsafe {
            let mut least = sums[0];
            for sum in &sums[1..] {
                least = least.least(*sum);
            }
            if least.at_most(limit) != 0 {
                for (vector, sum) in (0..).zip(&sums) {
                    push_lanes(sum.at_most(limit), index, vector * L::COUNT, out);
                }
            }
        }
    }
}

#[cold]
fn push_lanes(mut mask: u64, row: u32, first: usize, out: &mut Vec<(u32, u32)>) {
    while mask != 0 {
        let record = u32::try_from(first).unwrap_or(u32::MAX) + mask.trailing_zeros();
        out.push((row, record));
        mask &= mask - 1;
    }
}

/// Distances over a range of symbols, 255 at most.
#[inline(always)]
unsafe fn sum<L: Lanes, const V: usize>(
    task: &Task<'_>,
    row: &[u8],
    from: usize,
    to: usize,
) -> [L; V] {
    // SAFETY: symbols are below 2^symbol bits, so a table lies within `tables`; the tile has V vectors per symbol.
    unsafe {
        let mut sums = [L::zero(); V];
        let mut at = task.tile.as_ptr().add(from * V * L::COUNT);
        for symbol in row.get_unchecked(from..to) {
            let table = L::load(task.tables.as_ptr().add(usize::from(*symbol) * L::COUNT));
            for (vector, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(L::distances(table, L::load(at.add(vector * L::COUNT))));
            }
            at = at.add(V * L::COUNT);
        }
        sums
    }
}

/// Averages of two or four partial sums and the limit that belongs to them, for radii beyond a byte. With S the whole
/// sum, avg(x, y) <= (x + y + 1) / 2; of two sums the average is at most (S + 1) / 2, of four at most (S + 4) / 4.
#[inline(always)]
unsafe fn averages<L: Lanes, const V: usize>(
    task: &Task<'_>,
    row: &[u8],
    radius: u32,
) -> ([L; V], u32) {
    let shape = task.shape;
    let end = |chunk: usize| (chunk * shape.chunk).min(shape.symbols);
    // SAFETY: as for `sum`; ranges end at the number of symbols.
    unsafe {
        let mut half = sum::<L, V>(task, row, 0, end(1));
        average(&mut half, &sum::<L, V>(task, row, end(1), end(2)));
        if shape.symbols <= 2 * shape.chunk {
            return (half, radius.div_ceil(2));
        }
        let mut other = sum::<L, V>(task, row, end(2), end(3));
        average(&mut other, &sum::<L, V>(task, row, end(3), end(4)));
        average(&mut half, &other);
        (half, (radius + 4) / 4)
    }
}

/// Averages vector by vector. No closure: it would not have the processor features of the kernel around it.
#[inline(always)]
unsafe fn average<L: Lanes, const V: usize>(into: &mut [L; V], other: &[L; V]) {
    for (into, other) in into.iter_mut().zip(other) {
        // SAFETY: the caller's contract is passed on.
        *into = unsafe { into.average(*other) };
    }
}
