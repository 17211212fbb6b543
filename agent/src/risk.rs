//! What a dataset's encodings say of its records by their pattern alone. In: grouped persons. Out: how many records stand alone. Invariant:
//! no key is needed and none is used: whoever has equal tags sees what this file sees, so the figure is that of an
//! attacker who has the whole plaintext and the matcher's tables. Nothing leaves. Specification: docs/KNOWN_ATTACKS.md, "Structure".

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use hedui_edge::Problem;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::DatasetKind;
use hedui_protocol::match_key::{KeyInput, Side};
use hedui_protocol::primitive::sha256;
use serde::Serialize;

use crate::intake::Prepared;

/// Records that are looked at, at most: about 80 bytes per key and record are held in memory.
pub const RECORDS_MAX: usize = 1_000_000;
/// Groups smaller than this are called small: the usual least size of k-anonymity.
const SMALL: usize = 5;
/// Rounds after which nothing new is learnt of neighbours, as a rule.
const ROUNDS_MAX: usize = 12;

/// A record's values, one per match key, as numbers that say only which are equal; `None` where it has no such key.
pub type Pattern = Vec<Option<u64>>;

/// How far records can be told apart without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Structure {
    /// Records looked at.
    pub records: usize,
    /// Records whose combination of keys that they have fewer than five others have, or none.
    pub rare_bitmaps: usize,
    /// Records that are the only one with their multiplicities: how many records share each of their values.
    pub alone_by_multiplicity: usize,
    /// Records that are the only one of their kind once it is also asked with whom they share values, and with whom those do.
    pub alone: usize,
    /// Records in groups of fewer than five after that.
    pub in_small_groups: usize,
}

impl Structure {
    /// Records that stand alone, in thousandths of all, rounded up.
    pub fn alone_permille(&self) -> u64 {
        (self.alone as u64 * 1000).div_ceil(self.records.max(1) as u64)
    }

    /// The attack: multiplicities first, then colours refined by the colours of whoever shares a value (Weisfeiler and Leman 1968), until
    /// nothing changes, twelve rounds at most. A value of more than `cap` records is a filler, as in the tables.
    pub fn of(rows: &[Pattern], cap: usize) -> Self {
        let keys = rows.first().map_or(0, Vec::len);
        let groups: Vec<Vec<Vec<usize>>> = (0..keys).map(|key| equal(rows, key)).collect();
        let mut sizes = vec![vec![0_u32; keys]; rows.len()];
        for (key, groups) in groups.iter().enumerate() {
            for group in groups.iter().filter(|group| group.len() <= cap) {
                for row in group {
                    sizes[*row][key] = u32::try_from(group.len()).unwrap_or(u32::MAX);
                }
            }
        }
        let bitmaps: Vec<u64> = sizes
            .iter()
            .map(|sizes| hash(&sizes.iter().map(|size| *size > 0).collect::<Vec<_>>()))
            .collect();
        let mut colours: Vec<u64> = sizes.iter().map(hash).collect();
        let [by_multiplicity, _] = lonely(&colours);
        let mut kinds = count_kinds(&colours);
        for _ in 0..ROUNDS_MAX {
            colours = refined(&colours, &groups, cap);
            let now = count_kinds(&colours);
            if now == kinds {
                break;
            }
            kinds = now;
        }
        let [alone, small] = lonely(&colours);
        Self {
            records: rows.len(),
            rare_bitmaps: lonely(&bitmaps)[1],
            alone_by_multiplicity: by_multiplicity,
            alone,
            in_small_groups: small,
        }
    }
}

/// Records that share a value of a key, per value.
fn equal(rows: &[Pattern], key: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<(u64, usize)> = rows
        .iter()
        .enumerate()
        .filter_map(|(row, values)| Some(((*values.get(key)?)?, row)))
        .collect();
    order.sort_unstable();
    let chunks = order.chunk_by(|a, b| a.0 == b.0);
    chunks
        .map(|chunk| chunk.iter().map(|(_, row)| *row).collect())
        .collect()
}

/// Every record's colour with the colours of those who share a value with it.
fn refined(colours: &[u64], groups: &[Vec<Vec<usize>>], cap: usize) -> Vec<u64> {
    let mut seen: Vec<Vec<u64>> = colours.iter().map(|colour| vec![*colour]).collect();
    for (key, groups) in groups.iter().enumerate() {
        let shared = groups
            .iter()
            .filter(|group| (2..=cap).contains(&group.len()));
        for group in shared {
            let mut others: Vec<u64> = group.iter().map(|row| colours[*row]).collect();
            others.sort_unstable();
            let colour = hash(&(key, others));
            for row in group {
                seen[*row].push(colour);
            }
        }
    }
    seen.iter().map(hash).collect()
}

/// Records that are the only one of their colour, and those of colours that fewer than five have.
fn lonely(colours: &[u64]) -> [usize; 2] {
    let mut sorted = colours.to_vec();
    sorted.sort_unstable();
    let groups = sorted.chunk_by(|a, b| a == b);
    groups.fold([0, 0], |[alone, small], group| {
        let (one, few) = (group.len() == 1, group.len() < SMALL);
        [
            alone + usize::from(one),
            small + if few { group.len() } else { 0 },
        ]
    })
}

fn count_kinds(colours: &[u64]) -> usize {
    let mut sorted = colours.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

/// The same in every run: the hasher has no seed.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Patterns of a prepared dataset; `None` if it has too many records to hold them.
pub fn patterns(
    agreement: &Agreement,
    prepared: &mut Prepared,
) -> Result<Option<Vec<Pattern>>, Problem> {
    let side = match prepared.dataset.kind {
        DatasetKind::Roll => Side::Roll,
        DatasetKind::Register => Side::Register,
    };
    let mut rows = Vec::new();
    for part in 0..prepared.spool.partitions() {
        for grouped in prepared.persons(agreement, part)? {
            if rows.len() == RECORDS_MAX {
                return Ok(None);
            }
            let keys = agreement.match_keys().iter();
            let pattern = keys.map(|key| {
                let (digest, epoch) = (agreement.digest(), agreement.epoch());
                let inputs = KeyInput::all(digest, epoch, key, &grouped.person, side);
                // Of a key with several values the first one stands for all; who shares another one is not seen.
                inputs.first().map(|input| {
                    let digest = sha256(&[input.bytes()]);
                    let first = digest.first_chunk::<8>().copied().unwrap_or_default();
                    u64::from_le_bytes(first)
                })
            });
            rows.push(pattern.collect());
        }
    }
    Ok(Some(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two households of two, one of three, one person alone: who is who depends on what the keys say.
    #[test]
    fn neighbours_tell_apart_what_multiplicities_do_not() {
        // Keys: own number, household, telephone.
        let rows = |rows: &[(u64, u64, Option<u64>)]| -> Vec<Pattern> {
            rows.iter()
                .map(|(id, house, phone)| vec![Some(*id), Some(*house), *phone])
                .collect()
        };
        let alike = rows(&[
            (1, 10, Some(1)),
            (2, 10, Some(2)),
            (3, 11, Some(3)),
            (4, 11, Some(4)),
        ]);
        let found = Structure::of(&alike, 5);
        assert_eq!((found.alone_by_multiplicity, found.alone), (0, 0));
        assert_eq!((found.rare_bitmaps, found.in_small_groups), (4, 4));
        // One telephone is missing: that record is alone at once, its companion by its neighbour.
        let gap = rows(&[
            (1, 10, None),
            (2, 10, Some(2)),
            (3, 11, Some(3)),
            (4, 11, Some(4)),
        ]);
        let found = Structure::of(&gap, 5);
        assert_eq!((found.alone_by_multiplicity, found.alone), (1, 2));
        assert_eq!(found.alone_permille(), 500);
        // A value of more records than the cap is a filler and says nothing.
        let crowd: Vec<(u64, u64, Option<u64>)> = (0..20).map(|n| (n, 1, Some(n))).collect();
        let found = Structure::of(&rows(&crowd), 5);
        assert_eq!((found.alone, found.in_small_groups), (0, 0));
        assert_eq!(Structure::of(&[], 5).alone_permille(), 0);
    }
}
