//! Dense sketches: filters projected to few whole numbers of a byte, whose distance is never larger than a bound. In: filters. Out: a
//! projection made for them, and their codes. Invariant: with M the projection's whole numbers, |M(x − y)|² is at most λ·Hamming(x, y), λ
//! bounding the largest eigenvalue of MMᵀ (computed exactly, bounded by its norm); cutting to ±127 brings no two codes further apart,
//! and rounding adds at most the largest rounding error of either side, which is measured. So a pair whose codes are further apart cannot reach the threshold.
//! Method: the directions in which filters vary most (principal components, by subspace iteration on a sample) tell strangers apart
//! with the fewest bytes. Floating point chooses the projection, never a hit. Specification: docs/ARCHITECTURE.md, "Similarity".

use rayon::prelude::*;

use super::aligned::Aligned;
use super::filters::Filters;
use super::sketch::CHECK_PS;
use super::threshold::Threshold;
use super::tiles::{SIDE, has_tiles, lay_out, multiply};

/// Whole numbers of a code at most.
pub const DIMENSIONS_MAX: usize = 384;
/// Whole numbers of a code come in steps: what one tile multiplies.
pub(crate) const STEP: usize = 64;
/// Rows of each side from which the directions are learnt.
const LEARNT_ROWS: usize = 2048;
/// Rows of each side on which a number of dimensions is tried.
const TRIED_ROWS: usize = 384;
/// Steps of the subspace iteration: more turn the directions no further than a percent of survivors.
const ITERATIONS: usize = 3;
/// One in the fixed point of the projection.
const ONE: f32 = 8192.0;
/// No two codes are further apart, squared: 384 numbers of 254 each.
const REACH_MAX: f64 = 25e6;
const _: () = assert!(DIMENSIONS_MAX * 254 * 254 <= 25_000_000);

/// Picoseconds that one step of dimensions of one pair takes.
const STEP_PS: f64 = 62.0;

/// A projection of filters of one width.
pub(crate) struct Projection {
    bits: usize,
    dimensions: usize,
    /// Whole numbers, direction by direction.
    numbers: Vec<i16>,
    /// The same as factors of a tile: `number = 128 · high + low`, the high ones first.
    factors: Aligned<i8>,
    /// What the middle of the learnt rows projects to.
    centre: Vec<i32>,
    /// From fixed point to codes.
    scale: f32,
    /// Codes' distance per square root of a bit of Hamming distance, at most.
    stretch: f64,
}

/// Codes of a range of rows.
pub(crate) struct Codes {
    /// One code after the other, `dimensions` bytes each.
    pub(crate) bytes: Aligned<i8>,
    /// Squared length of each.
    pub(crate) lengths: Vec<i32>,
    /// Largest rounding error of one of them.
    pub(crate) error: f64,
}

impl Projection {
    /// The projection that costs least for these filters, and about how many picoseconds a pair costs; `None` where there are none.
    pub(crate) fn fit(a: &Filters, b: &Filters, threshold: &Threshold) -> Option<(Self, f64)> {
        if a.is_empty() || b.is_empty() {
            return None;
        }
        let (covariance, mean) = covariance(a, b);
        let bits = a.bits();
        let most = DIMENSIONS_MAX.min(bits / STEP * STEP);
        let directions = directions(&covariance, bits, most);
        // Both halves of a number fit a byte.
        let whole = |value: &f32| (value * ONE).round().clamp(-8000.0, 8000.0) as i16;
        let numbers: Vec<i16> = directions.iter().map(whole).collect();
        let mut all = Self::of(numbers, &mean, bits);
        let sampled = [a, b].map(|filters| {
            let places: Vec<usize> = spread(filters.len(), TRIED_ROWS).collect();
            let mut sums = Vec::new();
            let rows = places.iter().map(|place| filters.row(*place));
            all.project_all(rows, &mut sums);
            let bits: Vec<u32> = places
                .iter()
                .map(|place| filters.popcount(*place))
                .collect();
            (bits, sums)
        });
        all.set_scale(&sampled);
        let norms = norms(&all.numbers, bits);
        let mut best: Option<(f64, usize)> = None;
        for dimensions in (STEP..=most).step_by(STEP) {
            all.stretch = f64::from(all.scale) * norms[dimensions].sqrt();
            let survivors = all.survivors(&sampled, dimensions, threshold);
            let cost = STEP_PS * (dimensions / STEP) as f64 + CHECK_PS * survivors;
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, dimensions));
            }
        }
        let (cost, dimensions) = best?;
        let numbers = all.numbers[..dimensions * bits].to_vec();
        let mut chosen = Self::of(numbers, &mean, bits);
        chosen.scale = all.scale;
        chosen.stretch = f64::from(all.scale) * norms[dimensions].sqrt();
        Some((chosen, cost))
    }

    fn of(numbers: Vec<i16>, mean: &[f32], bits: usize) -> Self {
        let centre = numbers.chunks_exact(bits).map(|row| {
            let terms = row.iter().zip(mean);
            terms
                .map(|(number, mean)| f32::from(*number) * mean)
                .sum::<f32>() as i32
        });
        let high = |number: i16| (number + 64) >> 7;
        let halves = [high, |number: i16| number - 128 * ((number + 64) >> 7)];
        let columns: Vec<i8> = halves
            .iter()
            .flat_map(|half| {
                numbers
                    .iter()
                    .map(|number| i8::try_from(half(*number)).unwrap_or(0))
            })
            .collect();
        let mut factors = Aligned::zeros(columns.len());
        lay_out(&columns, bits, &mut factors);
        Self {
            bits,
            dimensions: numbers.len() / bits.max(1),
            centre: centre.collect(),
            numbers,
            factors,
            scale: 1.0,
            stretch: 0.0,
        }
    }

    /// Whole numbers of a code.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Codes use the byte up to two and a half deviations of the first direction, which varies most: what lies beyond is cut, which
    /// loses little. All directions share one scale, so that distances stay what they are.
    fn set_scale(&mut self, sampled: &[(Vec<u32>, Vec<i32>); 2]) {
        let (mut sum, mut count) = (0.0_f64, 0_u32);
        for (_, sums) in sampled {
            for row in sums.chunks_exact(self.dimensions) {
                sum += f64::from(row[0]).powi(2);
                count += 1;
            }
        }
        let deviation = (sum / f64::from(count.max(1))).sqrt().max(1.0);
        self.scale = (127.0 / (2.5 * deviation)) as f32;
    }

    /// What a filter projects to, in fixed point, from the middle: the truth.
    pub(crate) fn project(&self, row: &[u64], out: &mut [i32]) {
        let each = out.iter_mut().zip(&self.centre);
        for ((sum, centre), numbers) in each.zip(self.numbers.chunks_exact(self.bits)) {
            *sum = -centre;
            for (word, numbers) in row.iter().zip(numbers.chunks_exact(64)) {
                let mut left = *word;
                while left != 0 {
                    *sum += i32::from(numbers[left.trailing_zeros() as usize]);
                    left &= left - 1;
                }
            }
        }
    }

    /// The same for rows beside each other, by tiles where the machine has them.
    pub(crate) fn project_all<'f>(
        &self,
        rows: impl ExactSizeIterator<Item = &'f [u64]>,
        out: &mut Vec<i32>,
    ) {
        let count = rows.len();
        out.clear();
        out.resize(count * self.dimensions, 0);
        let mut products = Vec::new();
        let mut ones = Aligned::zeros(count.next_multiple_of(SIDE) * self.bits);
        if !has_tiles() {
            let each = rows.zip(out.chunks_exact_mut(self.dimensions));
            each.for_each(|(row, out)| self.project(row, out));
            return;
        }
        for (row, ones) in rows.zip(ones.chunks_exact_mut(self.bits)) {
            for (word, eights) in row.iter().zip(ones.chunks_exact_mut(64)) {
                for (byte, eight) in word
                    .to_le_bytes()
                    .into_iter()
                    .zip(eights.chunks_exact_mut(8))
                {
                    eight.copy_from_slice(&ONES[usize::from(byte)]);
                }
            }
        }
        let columns = 2 * self.dimensions;
        multiply(&ones, self.bits, &self.factors, &mut products);
        let each = out
            .chunks_exact_mut(self.dimensions)
            .zip(products.chunks_exact(columns));
        for (out, products) in each {
            let (high, low) = products.split_at(self.dimensions);
            let halves = high.iter().zip(low).zip(&self.centre);
            for (out, ((high, low), centre)) in out.iter_mut().zip(halves) {
                *out = 128 * high + low - centre;
            }
        }
    }

    /// Codes of a range of rows, and of as many zeros behind them as fill a step of `step` rows.
    pub(crate) fn codes(
        &self,
        filters: &Filters,
        places: std::ops::Range<usize>,
        step: usize,
    ) -> Codes {
        debug_assert_eq!(filters.bits(), self.bits);
        let rows = places.len().next_multiple_of(step);
        let mut bytes = Aligned::zeros(rows * self.dimensions);
        let mut lengths = vec![0; rows];
        let mut error = 0.0_f64;
        let mut each = bytes.chunks_exact_mut(self.dimensions).zip(&mut lengths);
        let mut sums = Vec::new();
        for from in places.clone().step_by(128) {
            let to = (from + 128).min(places.end);
            self.project_all((from..to).map(|place| filters.row(place)), &mut sums);
            for (sums, (code, length)) in sums.chunks_exact(self.dimensions).zip(&mut each) {
                error = error.max(self.code(sums, code, length));
            }
        }
        Codes {
            bytes,
            lengths,
            error: slack(error),
        }
    }

    fn code(&self, sums: &[i32], code: &mut [i8], length: &mut i32) -> f64 {
        let (mut squares, mut errors) = (0_i32, 0.0_f32);
        for (byte, sum) in code.iter_mut().zip(sums) {
            let value = *sum as f32 * self.scale;
            let whole = round(value);
            errors += (value - whole) * (value - whole);
            let cut = whole.clamp(-127.0, 127.0) as i32;
            squares += cut * cut;
            *byte = cut as i8;
        }
        *length = squares;
        f64::from(errors).sqrt()
    }

    /// Squared distance of codes that a pair within a radius of Hamming distance may have, at most; `error` is that of both sides.
    pub(crate) fn reach(&self, radius: i32, error: f64) -> i32 {
        let distance = self.stretch * f64::from(radius.max(0)).sqrt() + error;
        (distance * distance * (1.0 + 1e-9) + 1.0).min(REACH_MAX) as i32
    }

    /// Share of sampled pairs that the first whole numbers of their codes do not rule out.
    fn survivors(
        &self,
        sampled: &[(Vec<u32>, Vec<i32>); 2],
        dimensions: usize,
        threshold: &Threshold,
    ) -> f64 {
        let [left, right] = sampled.each_ref().map(|(bits, sums)| {
            let rows = sums.chunks_exact(self.dimensions);
            let mut error = 0.0_f64;
            let codes: Vec<(u32, i32, Vec<i8>)> = bits
                .iter()
                .zip(rows)
                .map(|(bits, sums)| {
                    let (mut code, mut length) = (vec![0; dimensions], 0);
                    error = error.max(self.code(&sums[..dimensions], &mut code, &mut length));
                    (*bits, length, code)
                })
                .collect();
            (codes, slack(error))
        });
        let error = left.1 + right.1;
        let kept: u64 = left
            .0
            .par_iter()
            .map(|(a_bits, a_length, x)| {
                let within = right.0.iter().filter(|(b_bits, b_length, y)| {
                    let terms = x.iter().zip(y);
                    let dot: i32 = terms.map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
                    let radius = threshold.radius(a_bits + b_bits);
                    radius >= 0 && a_length + b_length - 2 * dot <= self.reach(radius, error)
                });
                within.count() as u64
            })
            .sum();
        kept as f64 / (left.0.len() * right.0.len()).max(1) as f64
    }
}

/// An error with what multiplying and rounding in 24 bits may add to it. Beyond ±128 both the true and the computed value are cut to the
/// same ±127, so only values below that count: 2⁻¹⁶ each, less than 0.001 over 384 of them.
fn slack(error: f64) -> f64 {
    error * 1.001 + 0.001
}

/// Eight bits of a byte, the lowest first, as bytes.
const ONES: [[i8; 8]; 256] = {
    let mut all = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            all[byte][bit] = (byte >> bit & 1) as i8;
            bit += 1;
        }
        byte += 1;
    }
    all
};

/// Nearest whole number of a value below 2²², without a branch.
fn round(value: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (value + SHIFT) - SHIFT
}

/// Places evenly spread over the order by set bits.
fn spread(len: usize, most: usize) -> impl Iterator<Item = usize> {
    let rows = len.min(most);
    (0..rows).map(move |at| at * len / rows.max(1))
}

/// For each number of directions the largest eigenvalue of MMᵀ at most: the largest diagonal entry and the Frobenius norm of what stands
/// beside the diagonal.
fn norms(numbers: &[i16], bits: usize) -> Vec<f64> {
    let rows: Vec<&[i16]> = numbers.chunks_exact(bits).collect();
    let lines: Vec<(f64, f64)> = (0..rows.len())
        .into_par_iter()
        .map(|i| {
            let dot = |j: usize| -> f64 {
                let terms = rows[i].iter().zip(rows[j]);
                // 8,000 numbers of 8,000 squared fit 64 bits; four terms fit 32.
                let sum: i64 = terms
                    .map(|(x, y)| i64::from(i32::from(*x) * i32::from(*y)))
                    .sum();
                sum as f64
            };
            let beside: f64 = (0..i).map(dot).map(|value| 2.0 * value * value).sum();
            (dot(i), beside)
        })
        .collect();
    let (mut most, mut beside) = (0.0, 0.0);
    let mut out = vec![0.0];
    for line in lines {
        most = f64::max(most, line.0);
        beside += line.1;
        out.push((most + beside.sqrt()) * (1.0 + 1e-9));
    }
    out
}

/// Covariance of the bits of a sample of both sides, row by row, and their means.
fn covariance(a: &Filters, b: &Filters) -> (Vec<f32>, Vec<f32>) {
    let bits = a.bits();
    let places = [a, b]
        .map(|filters| spread(filters.len(), LEARNT_ROWS).map(move |place| filters.row(place)));
    let rows: Vec<&[u64]> = places.into_iter().flatten().collect();
    // Bits as columns, so that two of them meet in words.
    let words = rows.len().div_ceil(64);
    let mut columns = vec![0_u64; bits * words];
    for (at, row) in rows.iter().enumerate() {
        for (index, word) in row.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = index * 64 + left.trailing_zeros() as usize;
                columns[bit * words + at / 64] |= 1 << (at % 64);
                left &= left - 1;
            }
        }
    }
    let count = rows.len() as f32;
    let column = |bit: usize| &columns[bit * words..(bit + 1) * words];
    let ones =
        |x: &[u64], y: &[u64]| -> u32 { x.iter().zip(y).map(|(x, y)| (x & y).count_ones()).sum() };
    let mean: Vec<f32> = (0..bits)
        .map(|bit| ones(column(bit), column(bit)) as f32 / count)
        .collect();
    let mut out = vec![0.0; bits * bits];
    out.par_chunks_exact_mut(bits)
        .enumerate()
        .for_each(|(i, row)| {
            for (j, value) in row.iter_mut().enumerate() {
                *value = ones(column(i), column(j)) as f32 / count - mean[i] * mean[j];
            }
        });
    (out, mean)
}

/// Orthonormal directions, those of most variance first, `most` rows of `bits` numbers.
fn directions(covariance: &[f32], bits: usize, most: usize) -> Vec<f32> {
    // Any beginning does; signs of a hash are as good as random ones and the same in every run.
    let start = |at: usize| {
        let mixed = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
        if (mixed ^ (mixed >> 29)).count_ones().is_multiple_of(2) {
            1.0
        } else {
            -1.0
        }
    };
    let mut held: Vec<f32> = (0..most * bits).map(start).collect();
    orthonormalise(&mut held, bits);
    for _ in 0..ITERATIONS {
        let turned: Vec<f32> = held
            .par_chunks_exact(bits)
            .flat_map_iter(|row| {
                let mut out = vec![0.0; bits];
                for (weight, line) in row.iter().zip(covariance.chunks_exact(bits)) {
                    out.iter_mut()
                        .zip(line)
                        .for_each(|(out, value)| *out += weight * value);
                }
                out
            })
            .collect();
        held = turned;
        orthonormalise(&mut held, bits);
    }
    held
}

/// Gram and Schmidt, twice for the sake of rounding; a direction that is nothing but others becomes nothing.
fn orthonormalise(rows: &mut [f32], bits: usize) {
    let count = rows.len() / bits;
    for at in 0..count {
        let (before, rest) = rows.split_at_mut(at * bits);
        let own = &mut rest[..bits];
        for _ in 0..2 {
            let dots: Vec<f32> = before
                .chunks_exact(bits)
                .map(|other| dot(own, other))
                .collect();
            for (other, dot) in before.chunks_exact(bits).zip(dots) {
                own.iter_mut()
                    .zip(other)
                    .for_each(|(own, other)| *own -= dot * other);
            }
        }
        let length = dot(own, own).sqrt();
        let factor = if length > 1e-6 { 1.0 / length } else { 0.0 };
        own.iter_mut().for_each(|own| *own *= factor);
    }
}

fn dot(x: &[f32], y: &[f32]) -> f32 {
    // Eight sums, so that they may be added side by side.
    let mut sums = [0.0_f32; 8];
    let (left, _) = x.as_chunks::<8>();
    let (right, _) = y.as_chunks::<8>();
    for (x, y) in left.iter().zip(right) {
        sums.iter_mut()
            .zip(x.iter().zip(y))
            .for_each(|(sum, (x, y))| *sum += x * y);
    }
    sums.iter().sum()
}
