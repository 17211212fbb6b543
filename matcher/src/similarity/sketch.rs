//! Sketches: shorter codes whose distance is never larger. In: filters. Out: each filter's bits folded by exclusive or to
//! fewer bits, cut into symbols, laid out symbol by symbol over a block of records.
//! Invariant: folding maps equal bits to equal bits, so Hamming(fold a, fold b) <= Hamming(a, b), and Hamming(a, b) =
//! |a| + |b| − 2I: a pair whose folded distance exceeds its radius cannot reach the threshold.
//! The width that costs least is chosen from a sample: narrow sketches are read faster and rule out less.

use super::filters::Filters;
use super::threshold::Threshold;

/// Most bits of a sketch: four sums that fit a byte each, whatever the size of a symbol.
pub const SKETCH_BITS_MAX: usize = 984;
/// Bits whose distance is summed in one byte without overflow: at most 248 in whole symbols of 4, 6 or 8 bits.
pub const CHUNK_BITS: usize = 248;

/// Folds a filter to `width` bits: bit i goes, by exclusive or, to bit i mod `width`. `out` has whole words.
pub(crate) fn fold(row: &[u64], width: usize, out: &mut [u64]) {
    out.fill(0);
    let bits = row.len() * 64;
    let word = |at: usize| row.get(at).copied().unwrap_or(0);
    for from in (0..bits).step_by(width) {
        let (first, shift) = (from / 64, from % 64);
        for (index, out) in out.iter_mut().enumerate() {
            let low = word(first + index) >> shift;
            // Two steps, because a shift by 64 is none.
            let high = word(first + index + 1) << 1 << (63 - shift);
            let left = width.saturating_sub(index * 64).min(64);
            let mask = if left == 64 {
                u64::MAX
            } else {
                (1 << left) - 1
            };
            *out ^= (low | high) & mask;
        }
    }
}

/// Cuts a folded filter into symbols of `symbol_bits` bits.
pub(crate) fn cut(folded: &[u64], symbol_bits: usize, out: &mut [u8]) {
    let (mut held, mut bits, mut next) = (0_u128, 0, folded.iter());
    for symbol in out {
        if bits < symbol_bits {
            held |= u128::from(next.next().copied().unwrap_or(0)) << bits;
            bits += 64;
        }
        *symbol = held.to_le_bytes()[0] & ((1_u16 << symbol_bits) - 1).to_le_bytes()[0];
        held >>= symbol_bits;
        bits -= symbol_bits;
    }
}

/// Symbols of a sketch.
pub(crate) fn symbol_count(width: usize, symbol_bits: usize) -> usize {
    width.div_ceil(symbol_bits)
}

/// Rows of each side that a sample takes, evenly spread over the order by set bits.
const SAMPLE_ROWS: usize = 384;
/// Cost of checking one pair exactly, in units of one symbol of one pair: about 200 cycles against a 64th of a cycle
/// on the widest kernel and a 16th on the narrowest (docs/PERFORMANCE.md, "Similarity").
const CHECK_COST: f64 = 4_000.0;

/// Picoseconds that an exact check takes, and one symbol of one pair on the widest lanes: by these a folded sketch is compared with a dense one.
pub(crate) const CHECK_PS: f64 = 55_000.0;
const SYMBOL_PS: f64 = 7.6;

/// About how many picoseconds a pair costs with a sketch of `width` bits on the widest lanes.
pub(crate) fn picoseconds(
    (a, b): (&Filters, &Filters),
    threshold: &Threshold,
    (width, symbol_bits): (usize, usize),
) -> f64 {
    let symbols = symbol_count(width, symbol_bits) as f64;
    SYMBOL_PS * symbols + CHECK_PS * survivors(a, b, threshold, width)
}

/// Width of the sketch that costs least for these filters, in bits.
pub fn width_for(a: &Filters, b: &Filters, threshold: &Threshold, symbol_bits: usize) -> usize {
    let most = a.bits().min(SKETCH_BITS_MAX);
    let widths: Vec<usize> = (1..=most / 12)
        .map(|step| step * 12)
        .filter(|w| *w >= 60)
        .collect();
    let cost = |width: usize| {
        let symbols = symbol_count(width, symbol_bits) as f64;
        symbols + CHECK_COST * survivors(a, b, threshold, width)
    };
    // Costs fall to a valley and rise again: thirds find its floor with few samples, exactly enough for a choice.
    let (mut low, mut high) = (0, widths.len().saturating_sub(1));
    while high - low > 2 {
        let (left, right) = (low + (high - low) / 3, high - (high - low) / 3);
        if cost(widths[left]) <= cost(widths[right]) {
            high = right;
        } else {
            low = left;
        }
    }
    let best = (low..=high).min_by(|x, y| cost(widths[*x]).total_cmp(&cost(widths[*y])));
    best.and_then(|at| widths.get(at)).copied().unwrap_or(most)
}

/// Share of sampled pairs that a sketch of `width` bits does not rule out.
pub fn survivors(a: &Filters, b: &Filters, threshold: &Threshold, width: usize) -> f64 {
    let sample = |filters: &Filters| -> Vec<(u32, Vec<u64>)> {
        let rows = filters.len().min(SAMPLE_ROWS);
        let folded = |at: usize| {
            let place = at * filters.len() / rows;
            let mut words = vec![0; width.div_ceil(64)];
            fold(filters.row(place), width, &mut words);
            (filters.popcount(place), words)
        };
        (0..rows).map(folded).collect()
    };
    let (left, right) = (sample(a), sample(b));
    let mut kept = 0_u64;
    for (a_bits, x) in &left {
        for (b_bits, y) in &right {
            let distance: u32 = x.iter().zip(y).map(|(x, y)| (x ^ y).count_ones()).sum();
            kept += u64::from(i64::from(distance) <= i64::from(threshold.radius(a_bits + b_bits)));
        }
    }
    kept as f64 / (left.len() * right.len()).max(1) as f64
}
