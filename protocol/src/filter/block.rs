//! Filters of scope `block`: records that share the value of one match key, and no others, can be compared. In: the
//! normalised cells of a record, the key of its block. Out: bits of which every one is as often 0 as 1, whatever the
//! record. Invariant: SAUL with k = 2 (Armknecht and Schäfer, PoPETs 2026(2)): no sum of filters is the filter of a sum, so
//! patterns of tokens cannot be solved for. What the likeness of filters still shows: docs/KNOWN_ATTACKS.md.
//! SPEC.md, "Filters of scope block".

use zeroize::Zeroize;

use super::{TokenKind, Tokens};
use crate::field::{FieldKind, Normal};
use crate::secret::Secret;

/// Rows of keyed bits per token, of which the majorities are exclusive-ored.
const TABLES: usize = 2;
/// Binary digits of a count of tokens: a record has fewer than 2^14 of them.
const DIGITS: usize = 14;

/// A field's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockField {
    /// Index of the field in the agreement.
    pub field: usize,
    /// Kind of the field.
    pub kind: FieldKind,
    /// How its values are cut.
    pub tokens: TokenKind,
}

/// Encodes records under the keys of their blocks; what it holds between two records is wiped.
pub struct BlockEncoder {
    words: usize,
    fields: Vec<BlockField>,
    /// Votes for a one, one binary digit after the other; each has the words of both tables.
    votes: Vec<Vec<u64>>,
    row: Vec<u8>,
    tokens: Tokens,
}

impl BlockEncoder {
    /// An encoder of filters of `bits` bits: a power of two, at least 64.
    pub fn new(bits: u32, fields: &[BlockField]) -> Self {
        let words = bits as usize / 64;
        Self {
            words,
            fields: fields.to_vec(),
            votes: vec![vec![0; TABLES * words]; DIGITS],
            row: vec![0; TABLES * words * 8],
            tokens: Tokens::default(),
        }
    }

    /// Words of a filter.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Sets the bits of a record; whether it has any token. `out` is left as it is where it has none.
    ///
    /// Row of token t of field n (its place in `likeness.field`): BLAKE3-keyed(key, 3 ‖ u8 n ‖ t) as an extendable output,
    /// 2·l bits, little-endian. Where as many tokens vote for a one as against it, BLAKE3-keyed(key, 4) decides: with a
    /// fixed decision, as in the reference, the number of set bits would show how many tokens a record has.
    pub fn encode(&mut self, key: &Secret<32>, cells: &[Normal], out: &mut [u64]) -> bool {
        self.votes.iter_mut().for_each(|digit| digit.fill(0));
        let mut count = 0;
        for (number, field) in (0_u8..).zip(self.fields.clone()) {
            let Some(cell) = cells.get(field.field) else {
                continue;
            };
            let mut tokens = std::mem::take(&mut self.tokens);
            field.tokens.fill(field.kind, cell, &mut tokens);
            for token in tokens.iter().take((1 << DIGITS) - 1 - count) {
                self.draw(key, &[&[3, number], token.as_bytes()]);
                self.vote();
                count += 1;
            }
            self.tokens = tokens;
        }
        if count > 0 {
            self.draw(key, &[&[4]]);
            self.decide(count, out);
        }
        self.wipe();
        count > 0
    }

    /// Fills the row for one input.
    fn draw(&mut self, key: &Secret<32>, input: &[&[u8]]) {
        let mut hash = blake3::Hasher::new_keyed(key.expose());
        for part in input {
            hash.update(part);
        }
        hash.finalize_xof().fill(&mut self.row);
        hash.zeroize();
    }

    /// Adds the row to the votes: a binary counter per bit, sixty-four side by side.
    fn vote(&mut self) {
        let carries = self.row.as_chunks::<8>().0;
        for (at, bytes) in carries.iter().enumerate() {
            let mut carry = u64::from_le_bytes(*bytes);
            for digit in &mut self.votes {
                let sum = digit[at] ^ carry;
                carry &= digit[at];
                digit[at] = sum;
                if carry == 0 {
                    break;
                }
            }
        }
    }

    /// Majorities of `count` votes; the row decides where they are equal.
    fn decide(&self, count: usize, out: &mut [u64]) {
        let half = count / 2;
        let majority = |at: usize| {
            // More than half, and exactly half, from the highest digit down.
            let (mut more, mut equal) = (0, u64::MAX);
            for (place, digit) in self.votes.iter().enumerate().rev() {
                if half >> place & 1 == 0 {
                    more |= equal & digit[at];
                    equal &= !digit[at];
                } else {
                    equal &= digit[at];
                }
            }
            let bytes = self.row.as_chunks::<8>().0;
            let tie = bytes.get(at).map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let even = if count.is_multiple_of(2) { tie } else { 0 };
            more | (equal & even)
        };
        for (at, word) in out.iter_mut().enumerate().take(self.words) {
            *word = majority(at) ^ majority(self.words + at);
        }
    }

    fn wipe(&mut self) {
        self.tokens.wipe();
        self.row.zeroize();
        self.row.resize(TABLES * self.words * 8, 0);
        self.votes.iter_mut().for_each(Zeroize::zeroize);
        let words = TABLES * self.words;
        self.votes
            .iter_mut()
            .for_each(|digit| digit.resize(words, 0));
    }
}

/// How alike two values are whose filters of `bits` bits differ in `distance`: the cosine of their sets of tokens, common
/// tokens / √(tokens · tokens). For many tokens a bit of both majorities is equal with chance ½ + arcsin(cosine) / π
/// (Sheppard 1899), and one of their exclusive or with ½ + 2 (arcsin(cosine) / π)².
pub fn cosine(distance: u32, bits: u32) -> f64 {
    let alike = 1.0 - 2.0 * f64::from(distance) / f64::from(bits);
    (std::f64::consts::FRAC_PI_2 * alike.max(0.0).sqrt()).sin()
}

/// Bits in which filters of `bits` bits differ on average whose values have that cosine: the inverse of [`cosine`].
pub fn distance_of(cosine: f64, bits: u32) -> f64 {
    let alike = (cosine.clamp(0.0, 1.0).asin() * std::f64::consts::FRAC_2_PI).powi(2);
    f64::from(bits) * (1.0 - alike) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Gazetteer;

    fn filter(raw: &str, key: u8) -> Vec<u64> {
        let kind = FieldKind::Text;
        let field = BlockField {
            field: 0,
            kind,
            tokens: TokenKind::Bigrams,
        };
        let mut encoder = BlockEncoder::new(1024, &[field]);
        let mut out = vec![0; encoder.words()];
        let cell = kind.normalise(raw, &Gazetteer::default());
        assert!(out.len() == 16 && encoder.encode(&Secret::new([key; 32]), &[cell], &mut out));
        out
    }

    fn apart(a: &[u64], b: &[u64]) -> u32 {
        a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// Equal under one key, as unlike as chance under two; and the formula holds for values that share half their tokens.
    #[test]
    fn distances_are_what_the_formula_says() {
        let name = "the quick brown fox jumps over the lazy dog";
        assert_eq!(apart(&filter(name, 1), &filter(name, 1)), 0);
        let strangers = apart(&filter(name, 1), &filter(name, 2));
        assert!((430..=594).contains(&strangers), "{strangers}");
        let near = "the quick brown fox jumps over a crazy frog";
        let mean = (0..64)
            .map(|key| f64::from(apart(&filter(name, key), &filter(near, key))))
            .sum::<f64>()
            / 64.0;
        let tokens = |raw| {
            let cell = FieldKind::Text.normalise(raw, &Gazetteer::default());
            let tokens = TokenKind::Bigrams.tokens(FieldKind::Text, &cell);
            tokens.iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let (one, other) = (tokens(name), tokens(near));
        let common = one.iter().filter(|token| other.contains(token)).count() as f64;
        let expected = distance_of(
            common / (one.len() as f64 * other.len() as f64).sqrt(),
            1024,
        );
        assert!((mean - expected).abs() < 20.0, "{mean} {expected}");
        for whole in [0.3, 0.7, 0.95, 1.0] {
            let back = cosine(distance_of(whole, 1024).round() as u32, 1024);
            assert!((back - whole).abs() < 0.01, "{back} {whole}");
        }
        assert!(cosine(600, 1024) == 0.0);
    }

    /// The number of set bits says nothing of the number of tokens, which a fixed decision of ties would show.
    #[test]
    fn every_bit_is_as_often_one_as_zero() {
        for raw in ["a", "ab", "abc", "the quick brown fox"] {
            let ones: u32 = (0..64)
                .flat_map(|key| filter(raw, key))
                .map(|word| word.count_ones())
                .sum();
            // 65,536 coins: 128 per deviation.
            assert!((32_768_i64 - i64::from(ones)).abs() < 640, "{raw}: {ones}");
        }
    }

    /// What the encoder held of one record does not enter the next; a record without values leaves the bits alone.
    #[test]
    fn records_do_not_depend_on_those_before() {
        let kind = FieldKind::Text;
        let field = BlockField {
            field: 0,
            kind,
            tokens: TokenKind::Bigrams,
        };
        let mut encoder = BlockEncoder::new(1024, &[field]);
        let key = Secret::new([1; 32]);
        let cell = |raw| kind.normalise(raw, &Gazetteer::default());
        let mut out = vec![0; 16];
        encoder.encode(&key, &[cell("somebody else altogether")], &mut out);
        encoder.encode(&key, &[cell("anna")], &mut out);
        assert_eq!(out, filter("anna", 1));
        assert!(!encoder.encode(&key, &[cell("")], &mut out));
        assert_eq!(out, filter("anna", 1));
    }
}
