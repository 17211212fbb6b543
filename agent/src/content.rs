//! What the rows of a register say, in one sum. In: digests of rows. Out: a number that does not depend on their order and that
//! follows when rows come and go, and a name made of it. Invariant: the same rows give the same name, whether they came whole or
//! as changes. Digests are keyed and the key is the department's own, so a sum is enough: nobody who could want a collision can
//! compute one. Specification: docs/ARCHITECTURE.md, "Changes".

use hedui_protocol::primitive::{hex, unhex};

use crate::record::{Pseudonyms, said_by};

/// Number of rows, and the sum of their digests modulo 2²⁵⁶.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Content {
    rows: u64,
    sum: [u64; 4],
}

impl Content {
    /// One row as it was split.
    pub fn of(pseudonyms: &Pseudonyms, row: &[u8]) -> Self {
        let digest = pseudonyms.row_digest(said_by(row));
        let (words, _) = digest.as_chunks::<8>();
        let mut sum = [0; 4];
        for (place, word) in sum.iter_mut().zip(words) {
            *place = u64::from_le_bytes(*word);
        }
        Self { rows: 1, sum }
    }

    /// With other rows besides.
    pub fn add(&mut self, other: &Self) {
        self.rows = self.rows.wrapping_add(other.rows);
        let mut carry = false;
        for (place, word) in self.sum.iter_mut().zip(other.sum) {
            let (sum, over) = place.overflowing_add(word);
            let (sum, more) = sum.overflowing_add(u64::from(carry));
            (*place, carry) = (sum, over || more);
        }
    }

    /// Without some of its rows.
    pub fn take(&mut self, other: &Self) {
        self.rows = self.rows.wrapping_sub(other.rows);
        let mut borrow = false;
        for (place, word) in self.sum.iter_mut().zip(other.sum) {
            let (left, under) = place.overflowing_sub(word);
            let (left, more) = left.overflowing_sub(u64::from(borrow));
            (*place, borrow) = (left, under || more);
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The owner's name of these data, hexadecimal; it says nothing to others.
    pub fn name(&self, pseudonyms: &Pseudonyms) -> String {
        let mut name = [0; 16];
        pseudonyms.padding(&format!("rows {}", self.render()), 0, &mut name);
        hex(&name)
    }

    /// `ROWS SUM`, the sum as 64 hexadecimal digits.
    pub fn render(&self) -> String {
        let bytes: Vec<u8> = self
            .sum
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        format!("{} {}", self.rows, hex(&bytes))
    }

    /// Reads what [`Content::render`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (rows, sum) = text.split_once(' ')?;
        let bytes: [u8; 32] = unhex(sum)?;
        let (words, _) = bytes.as_chunks::<8>();
        let mut out = Self {
            rows: rows.parse().ok()?,
            sum: [0; 4],
        };
        for (place, word) in out.sum.iter_mut().zip(words) {
            *place = u64::from_le_bytes(*word);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_go_in_any_order() {
        let of = |byte: u8| Content {
            rows: 1,
            sum: [
                u64::MAX - u64::from(byte),
                u64::MAX,
                u64::from(byte),
                u64::MAX,
            ],
        };
        let mut one = Content::default();
        (1..6).for_each(|byte| one.add(&of(byte)));
        let mut other = Content::default();
        [9, 5, 3, 1, 4, 9, 2]
            .iter()
            .for_each(|byte| other.add(&of(*byte)));
        assert!(one != other);
        other.take(&of(9));
        other.take(&of(9));
        assert!(one == other && one.rows() == 5);
        assert!(Content::parse(&one.render()) == Some(one));
        assert!(Content::parse("5 00").is_none());
    }
}
