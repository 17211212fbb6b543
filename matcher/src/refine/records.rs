//! Comparison vectors from record filters that are here already. In: tables of filters with a section per field, pairs. Out:
//! one comparison vector per pair. Invariant: nobody is asked and nothing new is learnt from anybody; what the sections
//! show, the matcher had when it received them. Specification: protocol/SPEC.md, "Record filters", "Refinement".

use std::collections::{BTreeMap, BTreeSet};

use hedui_edge::Problem;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::likeness::Likeness;
use hedui_protocol::ids::Handle;
use hedui_protocol::message::submission::{FILTERS, HANDLE_BYTES};
use hedui_protocol::refusal::Refusal;

use super::answers::{EXCHANGED, EXCHANGED_LEAST, Vector, is_far, level};
use super::request::Asked;
use crate::delivery::select;
use crate::intake::State;
use crate::plan::Pairing;

/// Filters by handle.
type Filters = BTreeMap<Handle, Vec<u64>>;

/// Comparison vectors of all pairs.
pub fn vectors(
    state: &State,
    agreement: &InForce,
    pairing: &Pairing,
    asked: &Asked,
) -> Result<Vec<Vector>, Problem> {
    let (likeness, section) = agreement
        .likeness()
        .and_then(|(likeness, _)| Some((likeness, likeness.section_bits()? as usize / 64)))
        .ok_or_else(|| Refusal::malformed("agreement", "its filters have no sections"))?;
    let of = |header: &str, wanted: BTreeSet<Handle>| -> Result<Filters, Problem> {
        let path = state.segments().join(header).join(FILTERS);
        let mut found = Filters::new();
        let width = HANDLE_BYTES + likeness.bytes();
        select(&path, width, &wanted, |handle, row| {
            let (words, _) = row[HANDLE_BYTES..].as_chunks::<8>();
            let words = words.iter().map(|word| u64::from_le_bytes(*word));
            found.insert(handle, words.collect());
        })?;
        Ok(found)
    };
    let pairs = asked.pairs.iter();
    let left = of(&pairing.roll, pairs.clone().map(|pair| pair.roll).collect())?;
    let right = of(
        &pairing.submission,
        pairs.clone().map(|pair| pair.register).collect(),
    )?;
    let missing = || Refusal::malformed("filters", "a record has none");
    pairs
        .map(|pair| {
            let left = left.get(&pair.roll).ok_or_else(missing)?;
            let right = right.get(&pair.register).ok_or_else(missing)?;
            Ok(vector(likeness, section, left, right))
        })
        .collect()
}

/// Levels of the fields; where two are unlike each for itself and alike crosswise, they are exchanged.
fn vector(likeness: &Likeness, section: usize, left: &[u64], right: &[u64]) -> Vector {
    let part = |at: usize| at * section..(at + 1) * section;
    let alike = |one: usize, other: usize| dice(&left[part(one)], &right[part(other)]);
    let fields = 0..likeness.field.len();
    let mut vector: Vector = fields.map(|at| alike(at, at).map(level)).collect();
    for (one, field) in likeness.field.iter().enumerate() {
        let Some(other) = likeness.place_of(field.exchange.as_ref()) else {
            continue;
        };
        let other = other as usize;
        let crossed = [alike(one, other), alike(other, one)];
        let crossed = crossed.iter().flatten().sum::<f64>() / 2.0;
        if crossed >= EXCHANGED_LEAST && is_far(vector[one]) && is_far(vector[other]) {
            (vector[one], vector[other]) = (Some(EXCHANGED), None);
        }
    }
    vector
}

/// Dice of two sections; none where one of them is empty.
fn dice(left: &[u64], right: &[u64]) -> Option<f64> {
    let count = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
    let (a, b) = (count(left), count(right));
    if a == 0 || b == 0 {
        return None;
    }
    let common: u32 = left
        .iter()
        .zip(right)
        .map(|(a, b)| (a & b).count_ones())
        .sum();
    Some(2.0 * f64::from(common) / f64::from(a + b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section_level(left: &[u64], right: &[u64]) -> Option<u8> {
        dice(left, right).map(level)
    }

    #[test]
    fn levels_of_sections() {
        assert_eq!(section_level(&[0b1111, 0], &[0b1111, 0]), Some(0));
        assert_eq!(section_level(&[0b1111, 0], &[0, 0]), None);
        assert_eq!(section_level(&[0, 0], &[0, 0]), None);
        // 2 · 3 / 7 and 2 · 1 / 8.
        assert_eq!(section_level(&[0b1111], &[0b0111]), Some(1));
        assert_eq!(section_level(&[0b1111], &[0b1111_0000 | 1]), Some(4));
    }

    /// Given name and surname are exchanged: unlike each for itself, alike crosswise, one piece of evidence. Where only one
    /// side crosses, or they are alike as they stand, nothing is exchanged.
    #[test]
    fn exchanged_fields_are_one_piece_of_evidence() {
        let likeness: Likeness = serde_json::from_value(serde_json::json!({
            "scope": "register", "threshold": "0.4", "sections": true, "field": [
                {"field": "given", "exchange": "surname"},
                {"field": "surname", "exchange": "given"},
                {"field": "birth"},
            ],
        }))
        .unwrap();
        let (anna, smith, day) = (0b1111, 0b1111_0000, 0b1111_0000_0000);
        let of = |left: [u64; 3], right: [u64; 3]| vector(&likeness, 1, &left, &right);
        let exchanged = of([anna, smith, day], [smith, anna, day]);
        assert_eq!(exchanged, [Some(EXCHANGED), None, Some(0)]);
        assert_eq!(of([anna, smith, day], [anna, smith, day]), [Some(0); 3]);
        let half = of([anna, smith, day], [smith, 1 << 20, day]);
        assert_eq!(half, [Some(4), Some(4), Some(0)]);
        assert_eq!(of([anna, 0, day], [0, anna, 0]), [None, None, None]);
    }
}
