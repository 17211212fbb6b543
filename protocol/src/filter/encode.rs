//! Tokens → bits under a key. In: tokens of one field, a 32-byte key. Out: a masked filter.
//! Every value sets about the same number of bits, however many tokens it has, so lengths do not show; the mask is the
//! same on both sides of a pair, so of two filters their Hamming distance can be read and nothing else: either alone
//! is uniform (BLAKE3 in keyed mode taken as a pseudo-random function). Independent positions, no double hashing
//! (Niedermeyer et al. 2014 broke that). SPEC.md, "Filters".

use serde::{Deserialize, Serialize};

use zeroize::{Zeroize, Zeroizing};

use super::Tokens;
use crate::secret::Secret;

/// Parameters of one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterSpec {
    /// Bits of the filter: a power of two from 64 to 4096.
    pub bits: u32,
    /// Positions that a value's tokens share.
    pub positions: u32,
}

impl FilterSpec {
    /// Whether the parameters can be used.
    pub fn is_usable(&self) -> bool {
        self.bits.is_power_of_two()
            && (64..=4096).contains(&self.bits)
            && (8..=self.bits / 2).contains(&self.positions)
    }

    /// Bytes of a filter.
    pub fn bytes(&self) -> usize {
        self.bits as usize / 8
    }

    /// Bits that a value sets on average: l (1 − (1 − 1/l)^k) for k random positions of l.
    pub fn set_bits(&self) -> f64 {
        let l = f64::from(self.bits);
        l * (1.0 - (1.0 - 1.0 / l).powf(f64::from(self.positions)))
    }

    /// Similarity in [0, 1] of two values whose filters differ in `distance` bits: 1 for equal ones; values without a
    /// common token come out near `set_bits / bits`, because positions meet by chance.
    pub fn similarity(&self, distance: u32) -> f64 {
        (1.0 - f64::from(distance) / (2.0 * self.set_bits())).clamp(0.0, 1.0)
    }
}

/// Key of the filters of one candidate pair (scope `pair`).
pub struct PairKey(Secret<32>);

impl PairKey {
    /// Wraps a derived key.
    pub fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    /// Writes the masked filter `number` (comparison n has the numbers 4n, for its second view 4n + 1 and for both fields
    /// together 4n + 2); without tokens the mask alone.
    ///
    /// Position j of a token: the j-th u16 (little-endian) of BLAKE3-keyed(key, `0 ‖ number ‖ token`), modulo the bits.
    /// With n tokens the first `positions mod n` of them have one position more than the others. Mask:
    /// BLAKE3-keyed(key, `1 ‖ number`).
    pub fn encode(&self, number: u8, spec: &FilterSpec, tokens: &Tokens, out: &mut [u8]) {
        out.fill(0);
        let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let mut positions = Positions::new(self.0.expose(), [0, number]);
        for (index, token) in (0..).zip(tokens.iter()) {
            let share = spec.positions / count + u32::from(index < spec.positions % count);
            positions.of(token, share, |position| {
                let bit = u32::from(position) & (spec.bits - 1);
                if let Some(byte) = out.get_mut(bit as usize / 8) {
                    *byte |= 1 << (bit % 8);
                }
            });
        }
        self.mask(number, out);
    }

    fn mask(&self, number: u8, out: &mut [u8]) {
        let add = |out: &mut [u8], mask: &[u8]| {
            let pairs = out.iter_mut().zip(mask);
            pairs.for_each(|(out, mask)| *out ^= mask);
        };
        if out.len() <= 32 {
            // The hash is the beginning of the extendable output, and the shorter way to it.
            let mask = blake3::keyed_hash(self.0.expose(), &[1, number]);
            return add(out, mask.as_bytes());
        }
        let mut mask = blake3::Hasher::new_keyed(self.0.expose())
            .update(&[1, number])
            .finalize_xof();
        let mut block = [0; 64];
        for part in out.chunks_mut(64) {
            mask.fill(&mut block);
            add(part, &block);
        }
        block.zeroize();
    }
}

/// Longest token that is hashed in one call, in bytes; longer ones take the general way to the same bits.
const SHORT: usize = 62;

/// Positions of tokens under one key and purpose: the first u16 (little-endian) of BLAKE3-keyed(key, `purpose ‖ token`), read
/// as an extendable output. No filter has more than 2¹⁶ bits and all have a power of two, so every position is as likely
/// as any other.
pub(super) struct Positions<'k> {
    key: &'k [u8; 32],
    purpose: [u8; 2],
    /// Where a short token is hashed from; wiped once, at the end.
    input: Zeroizing<[u8; SHORT + 2]>,
}

impl<'k> Positions<'k> {
    pub(super) fn new(key: &'k [u8; 32], purpose: [u8; 2]) -> Self {
        let mut input = Zeroizing::new([0; SHORT + 2]);
        input[..2].copy_from_slice(&purpose);
        Self {
            key,
            purpose,
            input,
        }
    }

    /// Hands over the first `count` positions of a token.
    pub(super) fn of(&mut self, token: &str, count: u32, mut take: impl FnMut(u16)) {
        let mut left = count as usize;
        if left <= 16 && token.len() <= SHORT {
            // The hash of 32 bytes is the beginning of the extendable output, and the shorter way to it.
            self.input[2..2 + token.len()].copy_from_slice(token.as_bytes());
            let hash = blake3::keyed_hash(self.key, &self.input[..2 + token.len()]);
            let positions = hash.as_bytes().as_chunks::<2>().0;
            let wanted = positions.iter().take(left);
            return wanted.for_each(|bytes| take(u16::from_le_bytes(*bytes)));
        }
        let mut hash = blake3::Hasher::new_keyed(self.key)
            .update(&self.purpose)
            .update(token.as_bytes())
            .finalize_xof();
        while left > 0 {
            let mut block = [0; 64];
            let part = &mut block[..(left * 2).min(64)];
            hash.fill(part);
            let positions = part.as_chunks::<2>().0;
            positions
                .iter()
                .for_each(|bytes| take(u16::from_le_bytes(*bytes)));
            left -= positions.len();
            block.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{FieldKind, Gazetteer};
    use crate::filter::TokenKind;

    const SPEC: FilterSpec = FilterSpec {
        bits: 512,
        positions: 128,
    };

    fn filter(key: u8, kind: FieldKind, raw: &str) -> Vec<u8> {
        let cell = kind.normalise(raw, &Gazetteer::default());
        let tokens = TokenKind::of(kind).tokens(kind, &cell);
        let mut out = vec![0; SPEC.bytes()];
        PairKey::new(Secret::new([key; 32])).encode(1, &SPEC, &tokens, &mut out);
        out
    }

    /// The short way and the general one give the same positions.
    #[test]
    fn positions_do_not_depend_on_the_way() {
        let long = "x".repeat(SHORT + 1);
        for token in ["", "ab", "c:张", &"x".repeat(SHORT), &long] {
            for count in [0, 1, 15, 16, 17, 32, 33, 80] {
                let mut found = Vec::new();
                Positions::new(&[5; 32], [0, 3]).of(token, count, |position| {
                    found.push(position);
                });
                let mut bytes = vec![0; 2 * count as usize];
                blake3::Hasher::new_keyed(&[5; 32])
                    .update(&[0, 3])
                    .update(token.as_bytes())
                    .finalize_xof()
                    .fill(&mut bytes);
                let all = bytes.as_chunks::<2>().0.iter();
                assert_eq!(
                    found,
                    all.map(|b| u16::from_le_bytes(*b)).collect::<Vec<_>>()
                );
            }
        }
    }

    fn distance(a: &[u8], b: &[u8]) -> u32 {
        a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    fn similarity(kind: FieldKind, a: &str, b: &str) -> f64 {
        SPEC.similarity(distance(&filter(1, kind, a), &filter(1, kind, b)))
    }

    #[test]
    fn alike_values_are_near_and_others_far() {
        use FieldKind::{CnName, Date, PersonName};
        assert_eq!(similarity(PersonName, "Stephen", "STEPHEN"), 1.0);
        assert!(similarity(PersonName, "stephen", "stephan") > 0.6);
        assert!(similarity(PersonName, "stephen", "maria") < 0.4);
        assert!(similarity(Date, "1964-08-15", "19640816") > 0.8);
        assert!(
            similarity(CnName, "张伟明", "章伟明") > 0.7,
            "the sound is left"
        );
        assert!(similarity(CnName, "张伟明", "张卫") < 0.7);
        assert!(similarity(CnName, "张伟明", "李秀英") < 0.4);
    }

    /// Equal values under two pairs' keys are as far apart as random bits; so is one filter from nothing.
    #[test]
    fn filters_of_two_pairs_are_unrelated_and_each_is_uniform() {
        let (mut across, mut ones) = (0, 0);
        for key in 0..200_u8 {
            let one = filter(key, FieldKind::CnName, "张伟明");
            across += distance(&one, &filter(key + 1, FieldKind::CnName, "张伟明"));
            ones += distance(&one, &vec![0; SPEC.bytes()]);
        }
        // 200 × 512 fair bits: mean 51,200, deviation 160.
        assert!((50_400..=52_000).contains(&across), "{across}");
        assert!((50_400..=52_000).contains(&ones), "{ones}");
    }

    /// Two characters or four set about the same number of bits: a length does not show in a distance from another
    /// value.
    #[test]
    fn lengths_do_not_show() {
        let to_other = |name: &str| -> f64 {
            let all = (0..100_u8).map(|key| {
                let other = filter(key, FieldKind::CnName, "欧阳修文");
                f64::from(distance(&filter(key, FieldKind::CnName, name), &other))
            });
            all.sum::<f64>() / 100.0
        };
        assert!((to_other("张三") - to_other("李国英兰")).abs() < 12.0);
    }
}
