//! Similarity joins against brute force. In: random and adversarial filters. Out: passes, or the kernel, width or pair
//! that differs. Invariant under test: every kernel, every width, every measure gives exactly the pairs of the
//! definition; lanes do what the portable lanes do. Specification: docs/ARCHITECTURE.md, "Similarity".

use std::collections::BTreeSet;

use super::filters::Filters;
use super::join::Join;
use super::kernel::Kernel;
use super::lanes::{Emulated, Lanes, Portable};
use super::scan::{Shape, Task, rows, scan, tables, tiles};
use super::threshold::{Measure, Threshold};

/// Filters of which many are near copies of each other: `fill` of 256 bits are set, some rows flip a few.
fn filters(rows: usize, bits: usize, fill: u8, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut random = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut next = || {
        let mut byte = [0];
        random.fill(&mut byte);
        byte[0]
    };
    for row in 0..rows {
        if row > 3 && next() < 128 {
            let from = (usize::from(next()) % row) * (bits / 8);
            let mut copy = out[from..from + bits / 8].to_vec();
            for _ in 0..next() % 40 {
                let at = usize::from(next()) * 4 % bits;
                copy[at / 8] ^= 1 << (at % 8);
            }
            out.extend(copy);
        } else {
            let set = |_| (0..8).fold(0, |byte, bit| byte | u8::from(next() < fill) << bit);
            out.extend((0..bits / 8).map(set).collect::<Vec<u8>>());
        }
    }
    // Empty and full ones are where sums and radii end.
    out[..bits / 8].fill(0);
    out[bits / 8..bits / 4].fill(255);
    out
}

fn brute_force(a: &Filters, b: &Filters, threshold: &Threshold) -> BTreeSet<(u32, u32, u32)> {
    let mut all = BTreeSet::new();
    for i in 0..a.len() {
        for j in 0..b.len() {
            let common = a.common_bits(i, b, j);
            if threshold.reached(a.popcount(i) + b.popcount(j), common) {
                all.insert((a.id(i), b.id(j), common));
            }
        }
    }
    all
}

#[test]
fn every_kernel_and_width_gives_the_pairs_of_the_definition() {
    for (bits, fill) in [(64, 100), (512, 60), (1024, 105), (2048, 128)] {
        let left = Filters::from_bytes(bits, &filters(133, bits, fill, 1)).unwrap();
        let right = Filters::from_bytes(bits, &filters(301, bits, fill, 1)).unwrap();
        for (measure, bound) in [
            (Measure::Dice, "0.5"),
            (Measure::Dice, "0.8"),
            (Measure::Dice, "1"),
            (Measure::Jaccard, "0.75"),
            (Measure::Hamming, "0"),
            (Measure::Hamming, "31"),
            (Measure::Hamming, "300"),
        ] {
            let threshold = Threshold::parse(measure, bound, bits).unwrap();
            let expected = brute_force(&left, &right, &threshold);
            assert!(!expected.is_empty());
            for kernel in Kernel::available() {
                for width in [
                    None,
                    Some(60),
                    Some(bits.min(252)),
                    Some(bits.min(500)),
                    Some(bits.min(984)),
                ] {
                    let join = Join::on(kernel, width, &left, &right, &threshold);
                    let (hits, effort) = join.run();
                    let found: BTreeSet<_> = hits.iter().map(|h| (h.a, h.b, h.common)).collect();
                    assert_eq!(found.len(), hits.len(), "a pair twice");
                    let same = found == expected;
                    assert!(same, "{kernel:?} {bits} {measure:?} {bound} {width:?}");
                    assert!(effort.checked >= hits.len() as u64);
                }
            }
        }
    }
}

/// The code around the widest machine's instructions, tried without them: nothing within the radius is ruled out.
#[test]
fn the_scan_on_emulated_wide_lanes_rules_out_nothing_within_the_radius() {
    scan_is_lossless::<Emulated<64, 6>>();
    scan_is_lossless::<Emulated<32, 4>>();
    scan_is_lossless::<Portable<16>>();
}

fn scan_is_lossless<L: Lanes>() {
    let left = Filters::from_bytes(1024, &filters(50, 1024, 105, 3)).unwrap();
    // Without the full row, whose tile nothing can be ruled out of.
    let right = Filters::from_bytes(1024, &filters(402, 1024, 105, 3)[2 * 128..]).unwrap();
    for (bound, width) in [
        ("0.9", 240),
        ("0.8", 444),
        ("0.7", 480),
        ("0.6", 720),
        ("0.5", 984),
    ] {
        let threshold = Threshold::parse(Measure::Dice, bound, 1024).unwrap();
        let shape = Shape::of::<L>(width);
        let mut pairs = BTreeSet::new();
        let bytes = shape.tile() * shape.symbols;
        let tiled = tiles(&right, 0..right.len(), &shape);
        for (number, tile) in tiled.chunks_exact(bytes).enumerate() {
            let first = number * shape.tile();
            let last = (first + shape.tile()).min(right.len()) - 1;
            let mut found = Vec::new();
            let task = Task {
                shape: &shape,
                tables: &tables::<L>(),
                rows: &rows(&left, 0..left.len(), &shape),
                popcounts: left.popcounts(),
                tile,
                tile_popcount: right.popcount(last),
                threshold: &threshold,
            };
            // SAFETY: these lanes need no processor feature, and the task was made for them.
            #[expect(unsafe_code, reason = "the scan's contract is for SIMD lanes")]
            unsafe {
                match shape.vectors {
                    8 => scan::<L, 8>(&task, &mut found),
                    4 => scan::<L, 4>(&task, &mut found),
                    2 => scan::<L, 2>(&task, &mut found),
                    _ => scan::<L, 1>(&task, &mut found),
                }
            }
            let placed = |(row, record): (u32, u32)| (row as usize, first + record as usize);
            pairs.extend(found.into_iter().map(placed));
        }
        for (a, b, _) in brute_force(&left, &right, &threshold) {
            let place = |side: &Filters, id| (0..side.len()).find(|at| side.id(*at) == id).unwrap();
            assert!(
                pairs.contains(&(place(&left, a), place(&right, b))),
                "{bound} {width}"
            );
        }
        let selective = matches!(bound, "0.9" | "0.8");
        let all = left.len() * right.len();
        assert!(
            !selective || pairs.len() < all / 2,
            "{bound} {width}: the sketch rules out little"
        );
    }
}

#[test]
fn no_rows_and_odd_widths() {
    let threshold = Threshold::parse(Measure::Dice, "0.8", 64).unwrap();
    let none = Filters::from_bytes(64, &[]).unwrap();
    let one = Filters::from_bytes(64, &[255; 8]).unwrap();
    assert!(Join::new(&none, &one, &threshold).run().0.is_empty());
    assert!(Join::new(&one, &none, &threshold).run().0.is_empty());
    assert_eq!(Join::new(&one, &one, &threshold).run().0.len(), 1);
    assert!(Filters::from_bytes(60, &[0; 8]).is_none());
    assert!(Filters::from_bytes(64, &[0; 9]).is_none());
    assert!(Filters::from_bytes(0, &[]).is_none());
}

/// Every operation of an implementation on random bytes, lane by lane against its definition in the trait.
///
/// # Safety
/// Only on a processor with the features of the implementation.
#[expect(unsafe_code, reason = "the operations' contract is for SIMD lanes")]
unsafe fn lane_by_lane<L: Lanes>() {
    let mut random = blake3::Hasher::new().update(b"lanes").finalize_xof();
    let mask = u8::MAX >> (8 - L::SYMBOL_BITS);
    let bytes = |lanes: L| {
        let from = (&raw const lanes).cast::<u8>();
        // SAFETY: an implementation is a vector of L::COUNT bytes.
        unsafe { std::slice::from_raw_parts(from, L::COUNT) }.to_vec()
    };
    let each = |a: &[u8], b: &[u8], of: fn(u8, u8) -> u8| -> Vec<u8> {
        a.iter().zip(b).map(|(a, b)| of(*a, *b)).collect()
    };
    for round in 0..200_u8 {
        let (mut a, mut b) = (vec![0; L::COUNT], vec![0; L::COUNT]);
        random.fill(&mut a);
        random.fill(&mut b);
        // SAFETY: the caller's processor has the features; a and b have L::COUNT bytes.
        let (x, y) = unsafe { (L::load(a.as_ptr()), L::load(b.as_ptr())) };
        assert_eq!(bytes(x), a);
        // SAFETY: as above.
        let [sum, mean, least, zero] = unsafe { [x.add(y), x.average(y), x.least(y), L::zero()] };
        assert_eq!(bytes(sum), each(&a, &b, u8::saturating_add));
        assert_eq!(
            bytes(mean),
            each(&a, &b, |a, b| (u16::from(a) + u16::from(b)).div_ceil(2)
                as u8)
        );
        assert_eq!(bytes(least), each(&a, &b, u8::min));
        assert!(bytes(zero).iter().all(|byte| *byte == 0));
        for limit in [0, round, 127, 128, 254, 255] {
            let expected = (0..).zip(&a).fold(0, |bits, (lane, byte)| {
                bits | u64::from(*byte <= limit) << lane
            });
            // SAFETY: as above.
            assert_eq!(unsafe { x.at_most(limit) }, expected, "{limit}");
        }
        let symbol = round & mask;
        let table: Vec<u8> = (0..L::COUNT).map(|lane| L::entry(symbol, lane)).collect();
        let symbols: Vec<u8> = a.iter().map(|byte| byte & mask).collect();
        // SAFETY: as above.
        let found = unsafe { L::distances(L::load(table.as_ptr()), L::load(symbols.as_ptr())) };
        let expected: Vec<u8> = symbols
            .iter()
            .map(|other| (symbol ^ other).count_ones() as u8)
            .collect();
        assert_eq!(bytes(found), expected, "{symbol}");
    }
}

#[test]
fn lanes_do_what_the_portable_lanes_do() {
    for kernel in Kernel::available() {
        // SAFETY: the machine can run these kernels.
        #[expect(unsafe_code, reason = "as above")]
        unsafe {
            match kernel {
                Kernel::Portable => lane_by_lane::<Portable<16>>(),
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx2 => lane_by_lane::<super::lanes::x86::Avx2>(),
                #[cfg(target_arch = "x86_64")]
                Kernel::Avx512 => lane_by_lane::<super::lanes::x86::Avx512>(),
                #[cfg(target_arch = "aarch64")]
                Kernel::Neon => lane_by_lane::<super::lanes::arm::Neon>(),
                // Its lanes are those of AVX-512; its tiles are compared in `dense_tests`.
                Kernel::Amx => {}
                _ => unreachable!("not of this machine"),
            }
        }
    }
}
