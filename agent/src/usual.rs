//! What most records of a side look like to the matcher. In: all records of a side. Out: the bitmap and the payload sizes that a
//! canary must have so as not to be told from a record. Invariant: a bitmap that few records have is never a canary's.
//! Specification: protocol/SPEC.md, "Canaries".

use std::collections::BTreeMap;

use hedui_edge::Problem;
use hedui_protocol::decision::Policy;
use hedui_protocol::limits::PAYLOAD_CLASSES;
use hedui_protocol::message::payload;
use hedui_protocol::message::result::Outcome;
use rayon::prelude::*;

use crate::encode::{Encoder, TooCommon, facts_of};
use crate::record::Grouped;
use crate::submit::Parts;

/// What most records of a side look like to the matcher, and so what a canary must look like.
#[derive(Default)]
pub struct Usual {
    /// A bitmap of match keys that many records have: the most frequent one that decides a match, if one record in twenty
    /// has it, else the most frequent of all. A rare one would show which records are canaries.
    pub bitmap: u16,
    /// Records by the class of their payload; all nothing for the roll.
    classes: [u64; PAYLOAD_CLASSES.len()],
}

impl Usual {
    /// Looks at all records of a side, as they are without the values that are too common.
    pub fn of(
        encoder: &Encoder<'_>,
        too_common: &TooCommon,
        parts: &mut Parts<'_>,
    ) -> Result<Self, Problem> {
        let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
        let mut classes = [0; PAYLOAD_CLASSES.len()];
        parts(&mut |persons, _| {
            let seen: Vec<(u16, usize)> = persons
                .par_iter()
                .map(|person| (encoder.bitmap(person, too_common), class_at(person)))
                .collect();
            for (bitmap, class) in seen {
                *counts.entry(bitmap).or_default() += 1;
                classes[class] += 1;
            }
            Ok(())
        })?;
        Ok(Self::among(encoder, &counts, classes))
    }

    /// The same from counts over all records of a side.
    pub fn among(
        encoder: &Encoder<'_>,
        counts: &BTreeMap<u16, u64>,
        classes: [u64; PAYLOAD_CLASSES.len()],
    ) -> Self {
        let policy = Policy::new(encoder.agreement);
        let all: u64 = counts.values().sum();
        let decides = |bitmap: u16| policy.decide(bitmap, 0) == Some(Outcome::Match);
        let usual = counts.iter().max_by_key(|(bitmap, count)| {
            let often = count.saturating_mul(20) >= all;
            (often && decides(**bitmap), **bitmap != 0, **count)
        });
        Self {
            bitmap: usual.map_or(0, |(bitmap, _)| *bitmap),
            classes,
        }
    }

    /// Bytes of facts of canary `place` of `all`: their payloads fall into the classes as those of the records do.
    pub fn facts_bytes(&self, place: u64, all: u64) -> usize {
        let records: u64 = self.classes.iter().sum();
        let mut left = (2 * place + 1) * records / (2 * all).max(1);
        for (class, count) in PAYLOAD_CLASSES.iter().zip(self.classes) {
            match left.checked_sub(count) {
                Some(rest) => left = rest,
                None => return payload::room_of(*class),
            }
        }
        0
    }
}

/// Which class the payload of a record is in.
pub fn class_at(person: &Grouped) -> usize {
    let class = payload::class_of(facts_of(person).len());
    let at = PAYLOAD_CLASSES.iter().position(|other| *other == class);
    at.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Payloads of canaries fall into the classes as those of persons do: where everybody's is large, so are theirs.
    #[test]
    fn canaries_have_payloads_of_the_usual_sizes() {
        let classes_of = |counts: [u64; PAYLOAD_CLASSES.len()]| {
            let usual = Usual {
                bitmap: 1,
                classes: counts,
            };
            let mut seen = [0; PAYLOAD_CLASSES.len()];
            for place in 0..12 {
                let class = payload::class_of(usual.facts_bytes(place, 12));
                let at = PAYLOAD_CLASSES.iter().position(|other| *other == class);
                seen[at.unwrap()] += 1;
            }
            seen
        };
        let mut large = [0; PAYLOAD_CLASSES.len()];
        large[1] = 70;
        assert_eq!(classes_of(large)[1], 12);
        let mut mixed = [0; PAYLOAD_CLASSES.len()];
        (mixed[0], mixed[2]) = (300, 100);
        assert_eq!((classes_of(mixed)[0], classes_of(mixed)[2]), (9, 3));
        assert_eq!(classes_of([0; PAYLOAD_CLASSES.len()])[0], 12);
    }
}
