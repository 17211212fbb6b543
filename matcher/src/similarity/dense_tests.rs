//! Dense codes beside the filters that they stand for, and tiles beside plain multiplication. In: random filters, random bytes. Out:
//! passes, or a pair that would be lost. Invariant under test: the bound holds for every pair, close or far, whatever the
//! filters are; tiles pick exactly what plain multiplication picks. Specification: docs/ARCHITECTURE.md, "Similarity".

use super::dense::Projection;
use super::filters::Filters;
use super::threshold::{Measure, Threshold};
use super::tiles::{NEVER, TILE, Task};

fn stream(seed: u64) -> impl FnMut() -> u64 {
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    move || {
        let mut bytes = [0; 8];
        reader.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// Filters in families, so that some are close; `density` of 256 bits are set.
fn filters(rows: usize, bits: usize, density: u64, seed: u64) -> Filters {
    let mut next = stream(seed);
    let mut out = Vec::new();
    let mut parent = vec![0_u8; bits / 8];
    for row in 0..rows {
        if row % 4 == 0 {
            for byte in &mut parent {
                *byte = (0..8).fold(0, |byte, bit| {
                    byte | u8::from(next() % 256 < density) << bit
                });
            }
        }
        let mut own = parent.clone();
        for _ in 0..next() % 40 {
            let at = usize::try_from(next() % bits as u64).unwrap();
            own[at / 8] ^= 1 << (at % 8);
        }
        out.extend(own);
    }
    Filters::from_bytes(bits, &out).unwrap()
}

#[test]
fn codes_of_no_pair_are_further_apart_than_the_bound() {
    for (bits, density, seed) in [
        (1024, 100, 1),
        (512, 40, 2),
        (64, 128, 3),
        (1024, 250, 4),
        (2048, 3, 5),
    ] {
        let (a, b) = (
            filters(150, bits, density, seed),
            filters(120, bits, density, seed + 50),
        );
        let threshold = Threshold::parse(Measure::Dice, "0.8", bits).unwrap();
        let (projection, _) = Projection::fit(&a, &b, &threshold).unwrap();
        let (x, y) = (
            projection.codes(&a, 0..150, 32),
            projection.codes(&b, 0..120, 128),
        );
        let of = |codes: &'_ [i8], at: usize| {
            codes[at * projection.dimensions()..(at + 1) * projection.dimensions()].to_vec()
        };
        let mut tight = 0;
        for i in 0..150 {
            let left = of(&x.bytes, i);
            let length: i32 = left.iter().map(|n| i32::from(*n) * i32::from(*n)).sum();
            assert_eq!(length, x.lengths[i]);
            for j in 0..120 {
                let right = of(&y.bytes, j);
                let apart: i32 = left
                    .iter()
                    .zip(&right)
                    .map(|(p, q)| (i32::from(*p) - i32::from(*q)).pow(2))
                    .sum();
                let common = a.common_bits(i, &b, j);
                let hamming = a.popcount(i) + b.popcount(j) - 2 * common;
                let reach = projection.reach(i32::try_from(hamming).unwrap(), x.error + y.error);
                assert!(
                    apart <= reach,
                    "{bits} {density}: {apart} {reach} {hamming}"
                );
                tight += usize::from(apart * 3 > reach);
            }
        }
        assert!(
            tight > 100 || !(10..=200).contains(&density),
            "{bits} {density}: a bound that says nothing"
        );
    }
}

/// Tiles project as the plain sum over set bits does.
#[test]
fn projections_by_tiles_are_the_plain_ones() {
    let (a, b) = (filters(70, 512, 90, 7), filters(50, 512, 90, 8));
    let threshold = Threshold::parse(Measure::Dice, "0.8", 512).unwrap();
    let (projection, _) = Projection::fit(&a, &b, &threshold).unwrap();
    let mut all = Vec::new();
    projection.project_all((0..70).map(|place| a.row(place)), &mut all);
    let mut plain = vec![0; projection.dimensions()];
    for (place, sums) in all.chunks_exact(projection.dimensions()).enumerate() {
        projection.project(a.row(place), &mut plain);
        assert_eq!(plain, sums, "{place}");
    }
}

/// More than a block of rows, and tiles that are full and that are not: every pair of the definition, no other.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn joins_by_dense_codes_find_every_pair() {
    use super::join::{BLOCK_ROWS, Join};
    if !super::tiles::amx::available() {
        return;
    }
    let a = filters(BLOCK_ROWS + 37, 256, 100, 11);
    for (rows, text) in [(320, "0.8"), (301, "0.7")] {
        let b = filters(rows, 256, 100, 11);
        let threshold = Threshold::parse(Measure::Dice, text, 256).unwrap();
        let (hits, _) = Join::dense(&a, &b, &threshold).unwrap().run();
        let mut expected = Vec::new();
        for i in 0..a.len() {
            for j in 0..b.len() {
                let common = a.common_bits(i, &b, j);
                if threshold.reached(a.popcount(i) + b.popcount(j), common) {
                    expected.push((a.id(i), b.id(j), common));
                }
            }
        }
        expected.sort_unstable();
        let got: Vec<_> = hits.iter().map(|hit| (hit.a, hit.b, hit.common)).collect();
        assert!(got == expected, "{rows} {text}");
        assert!(got.len() > 300, "{}", got.len());
    }
}

/// Sides without a row, or without a bit, or all alike.
#[test]
fn filters_that_teach_nothing_are_coded_all_the_same() {
    let nothing = Filters::from_bytes(128, &[]).unwrap();
    let empty = Filters::from_bytes(128, &[0; 16 * 40]).unwrap();
    let threshold = Threshold::parse(Measure::Jaccard, "0.7", 128).unwrap();
    assert!(Projection::fit(&nothing, &empty, &threshold).is_none());
    let (projection, _) = Projection::fit(&empty, &empty, &threshold).unwrap();
    let codes = projection.codes(&empty, 0..40, 32);
    assert_eq!(codes.lengths, [0; 64]);
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn tiles_pick_what_plain_multiplication_picks() {
    if !super::tiles::amx::available() {
        return;
    }
    let mut next = stream(9);
    for dimensions in [64, 128, 192, 384] {
        for rows in [32, 64, 2048] {
            let mut bytes = |len: usize| -> Vec<i8> {
                (0..len)
                    .map(|_| i8::from_le_bytes([next().to_le_bytes()[0]]))
                    .collect()
            };
            let (codes, tile) = (bytes(rows * dimensions), bytes(TILE * dimensions));
            // Limits at which about one pair in a hundred stays, a row and a record that nothing reaches, and one that all do.
            let spread = (5460.0 * (dimensions as f64).sqrt()) as i32;
            let mut limit = |len: usize| -> Vec<i32> {
                (0..len)
                    .map(|_| -spread - i32::try_from(next() % 1000).unwrap())
                    .collect()
            };
            let (mut u, mut v) = (limit(rows), limit(TILE));
            u[3] = NEVER;
            v[TILE - 1] = NEVER;
            u[rows - 1] = 1 << 28;
            let task = Task {
                dimensions,
                rows: &codes,
                u: &u,
                tile: &tile,
                v: &v,
            };
            let (mut got, mut plain) = (Vec::new(), Vec::new());
            // SAFETY: asked above.
            #[allow(unsafe_code, reason = "the kernel under test")]
            unsafe {
                super::tiles::amx::scan(&task, &mut got);
            }
            task.plain(&mut plain);
            got.sort_unstable();
            assert_eq!(got, plain, "{dimensions} {rows}");
            assert!(plain.len() >= TILE - 1 && plain.len() < rows * TILE / 2 || rows < 64);
        }
    }
}
