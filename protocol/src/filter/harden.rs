//! Hardeners: what is done to a filter before it is sent. In: the bits of a record filter. Out: other bits, from which the
//! first cannot be read off position by position. Invariant: a hardener that would leave the bits as they are is refused
//! before anything is encoded: [`self_test`] compares each with its definition, bit by bit, on values of its own.
//! None of these hides which records are alike: docs/KNOWN_ATTACKS.md. SPEC.md, "Hardeners".

use serde::{Deserialize, Serialize};

use super::block::{BlockEncoder, BlockField};
use super::{TokenKind, Tokens};
use crate::field::{FieldKind, Gazetteer, Normal};
use crate::refusal::Refusal;
use crate::secret::Secret;

/// What is done to the bits of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hardener {
    /// Bit j of the first half ⊕ bit j of the second: half as many bits, patterns of single tokens gone (Schnell and
    /// Borgs 2016).
    XorFold,
    /// The complement behind the filter: twice as many bits, of which exactly half are set (Schnell and Borgs 2016).
    Balance,
    /// Majorities of keyed random rows, two of them exclusive-ored: not linear in the tokens (SAUL with k = 2, Armknecht
    /// and Schäfer 2026). Scope `block` only.
    Saul,
}

impl Hardener {
    /// Bits that leave of `bits` that enter.
    pub fn bits(self, bits: u32) -> u32 {
        match self {
            Self::XorFold => bits / 2,
            Self::Balance => bits.saturating_mul(2),
            Self::Saul => bits,
        }
    }

    /// Changes the words of a filter (a power of two of them).
    pub fn apply(self, words: &mut Vec<u64>) {
        match self {
            Self::XorFold => {
                let half = words.len() / 2;
                let (first, second) = words.split_at_mut(half);
                first.iter_mut().zip(second).for_each(|(a, b)| *a ^= *b);
                words.truncate(half);
            }
            Self::Balance => words.extend_from_within(..),
            Self::Saul => {}
        }
        if self == Self::Balance {
            let half = words.len() / 2;
            words.iter_mut().skip(half).for_each(|word| *word = !*word);
        }
    }
}

/// Whether every hardener does here what its definition says, and changes what it gets.
pub fn self_test() -> Result<(), Refusal> {
    let wrong = |what: &str| {
        Refusal::malformed(
            "hardener",
            format!("{what} fails its self-test on this machine; nothing was encoded"),
        )
    };
    let plain: Vec<u64> = (1..=8_u64)
        .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0x0f5a_33c6_0ff0_a5c3)
        .collect();
    for (hardener, name) in [
        (Hardener::XorFold, "XOR-fold"),
        (Hardener::Balance, "balance"),
    ] {
        let mut made = plain.clone();
        hardener.apply(&mut made);
        let kept = made.len().min(plain.len());
        let unchanged = made[..kept] == plain[..kept] && made.len() <= plain.len();
        if unchanged || made != by_definition(hardener, &plain) {
            return Err(wrong(name));
        }
    }
    // Nine tokens, so that no bit is tied, and ten, so that ties are.
    let (first, other, even) = (
        saul(1, "anna lee"),
        saul(2, "anna lee"),
        saul(1, "anna leed"),
    );
    let ones = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
    let apart: Vec<u64> = first.0.iter().zip(&other.0).map(|(a, b)| a ^ b).collect();
    // Two keys have nothing in common: a quarter to three quarters of the bits differ but once in 2^190.
    if first.0 != first.1
        || other.0 != other.1
        || even.0 != even.1
        || !(128..=384).contains(&ones(&apart))
    {
        return Err(wrong("SAUL"));
    }
    Ok(())
}

/// A hardened filter, bit by bit.
fn by_definition(hardener: Hardener, plain: &[u64]) -> Vec<u64> {
    let bit = |at: usize| plain[at / 64] >> (at % 64) & 1;
    let bits = plain.len() * 64;
    let made: Vec<u64> = match hardener {
        Hardener::XorFold => (0..bits / 2)
            .map(|at| bit(at) ^ bit(at + bits / 2))
            .collect(),
        Hardener::Balance => {
            let complement = (0..bits).map(|at| 1 - bit(at));
            (0..bits).map(bit).chain(complement).collect()
        }
        Hardener::Saul => (0..bits).map(bit).collect(),
    };
    let word = |bits: &[u64]| (0..).zip(bits).fold(0, |word, (at, bit)| word | bit << at);
    made.chunks(64).map(word).collect()
}

/// A name under a key, as the encoder makes it and by definition.
fn saul(key: u8, name: &str) -> (Vec<u64>, Vec<u64>) {
    let key = Secret::new([key; 32]);
    let cell = FieldKind::PersonName.normalise(name, &Gazetteer::default());
    let field = BlockField {
        field: 0,
        kind: FieldKind::PersonName,
        tokens: TokenKind::Bigrams,
    };
    let mut made = vec![0; 8];
    BlockEncoder::new(512, &[field]).encode(&key, std::slice::from_ref(&cell), &mut made);
    (made, saul_by_definition(&key, &cell))
}

fn saul_by_definition(key: &Secret<32>, cell: &Normal) -> Vec<u64> {
    let tokens: Tokens = TokenKind::Bigrams.tokens(FieldKind::PersonName, cell);
    let row = |purpose: &[u8]| {
        let mut row = [0; 128];
        let mut hash = blake3::Hasher::new_keyed(key.expose());
        hash.update(purpose).finalize_xof().fill(&mut row);
        row
    };
    let rows: Vec<[u8; 128]> = tokens
        .iter()
        .map(|token| row(&[&[3, 0], token.as_bytes()].concat()))
        .collect();
    let tie = row(&[4]);
    let bit = |row: &[u8; 128], at: usize| row[at / 8] >> (at % 8) & 1;
    let majority = |at: usize| {
        let votes = rows
            .iter()
            .map(|row| usize::from(bit(row, at)))
            .sum::<usize>();
        match (2 * votes).cmp(&rows.len()) {
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => bit(&tie, at),
        }
    };
    let word = |word: usize| {
        let bits = (0..64).map(|at| word * 64 + at);
        let bits = bits.map(|at| u64::from(majority(at) ^ majority(512 + at)));
        (0..).zip(bits).fold(0, |word, (at, bit)| word | bit << at)
    };
    (0..8).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardeners_pass_their_self_test() {
        self_test().unwrap();
    }

    /// Balanced filters have half of their bits set, whatever they were.
    #[test]
    fn balance_hides_the_number_of_bits() {
        for plain in [vec![0; 8], vec![u64::MAX; 8], vec![0x1234; 8]] {
            let mut made = plain;
            Hardener::Balance.apply(&mut made);
            let ones: u32 = made.iter().map(|word| word.count_ones()).sum();
            assert_eq!((made.len(), ones), (16, 512));
        }
        assert_eq!(Hardener::XorFold.bits(1024), 512);
        assert_eq!(Hardener::Balance.bits(1024), 2048);
    }
}
