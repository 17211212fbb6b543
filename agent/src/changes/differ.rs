//! Which records are encoded otherwise than they were delivered whole. In: records that changes touch, names of all values. Out: what
//! goes and what comes, and counts over all records as they are now. Invariant: a record whose rows did not change is among them
//! exactly if one of its values has become too common, or is so no longer.
//! Specification: protocol/SPEC.md, "Changes".

use std::collections::{BTreeMap, BTreeSet};

use hedui_edge::Problem;
use hedui_protocol::ids::Handle;

use super::apply::{Version, Versions};
use super::kept::{
    Head, Kept, NAME_BYTES, Row, Tally, Values, damaged, person, read_rows, read_values, values_of,
};
use crate::content::Content;
use crate::encode::{Encoder, TooCommon, facts_of};

/// A value: match key and name.
type Value = (u8, [u8; NAME_BYTES]);

/// What is encoded otherwise.
pub struct Difference {
    /// Records that are no longer as they were delivered whole, ascending.
    pub gone: Vec<Handle>,
    /// Rows of the records that come in their place or anew.
    pub come: BTreeMap<Handle, Vec<Row>>,
    /// Values of those that are too common.
    pub too_common: TooCommon,
    /// All records as they are now.
    pub tally: Tally,
    /// What all rows say now.
    pub content: Content,
}

/// One side of a version.
struct Encoded {
    /// As [`values_of`] makes it.
    values: Vec<u8>,
    facts: zeroize::Zeroizing<Vec<u8>>,
}

impl Encoded {
    fn of(encoder: &Encoder<'_>, facts: usize, rows: &[Row]) -> Result<Option<Self>, Problem> {
        let person = person(encoder, facts, rows)?;
        Ok(person.map(|person| Self {
            values: values_of(encoder, &person),
            facts: facts_of(&person),
        }))
    }

    fn values(&self) -> Result<Values<'_>, Problem> {
        read_values(&self.values).ok_or_else(damaged)
    }
}

/// How often a value is there.
#[derive(Default)]
struct Frequency {
    /// Among the touched records as they were delivered whole, and as they are now.
    touched: [u64; 2],
    /// Among the others.
    others: u64,
    /// The others that have it, as long as they are few enough to matter.
    of: Vec<Handle>,
}

/// What is known of a record that no change touches.
struct Other {
    has: u16,
    common: [u16; 2],
    class: usize,
}

/// Compares what was delivered whole with what is there now.
pub fn difference(
    encoder: &Encoder<'_>,
    facts: usize,
    kept: &Kept<'_>,
    head: &Head,
    versions: &Versions,
) -> Result<Difference, Problem> {
    let cap = u64::from(encoder.agreement.text().multiplicity_cap);
    let mut sides: BTreeMap<Handle, [Option<Encoded>; 2]> = BTreeMap::new();
    let mut frequencies: BTreeMap<Value, Frequency> = BTreeMap::new();
    for (handle, version) in versions {
        let both = [
            Encoded::of(encoder, facts, &version.base)?,
            Encoded::of(encoder, facts, &version.rows())?,
        ];
        for (place, side) in both.iter().enumerate() {
            for value in side
                .iter()
                .flat_map(|side| side.values().map(|v| v.named()).into_iter().flatten())
            {
                frequencies.entry(value).or_default().touched[place] += 1;
            }
        }
        sides.insert(*handle, both);
    }
    let mut others = count(kept, head, versions, cap, &mut frequencies)?;
    let is_common = |value: &Value| {
        let found = frequencies.get(value);
        let of = |place: usize| found.is_some_and(|f| f.others + f.touched[place] > cap);
        [of(0), of(1)]
    };
    // Others of a value that crosses the cap.
    for (value, frequency) in &frequencies {
        let [before, after] = is_common(value);
        if before == after {
            continue;
        }
        for handle in &frequency.of {
            if let Some(other) = others.get_mut(handle) {
                let bit = 1 << (value.0 - 1);
                other.common[1] = other.common[1] & !bit | if after { bit } else { 0 };
            }
        }
    }
    others.retain(|_, other| other.common[0] != other.common[1]);
    let mut found = Difference {
        gone: Vec::new(),
        come: BTreeMap::new(),
        too_common: TooCommon::new(),
        tally: head.tally.clone(),
        content: Content::parse(&head.content).ok_or_else(damaged)?,
    };
    let common = |values: Values<'_>, place: usize| {
        let common = values.named().filter(|value| is_common(value)[place]);
        common.fold(0_u16, |bits, (key, _)| bits | 1 << (key - 1))
    };
    for (handle, both) in &sides {
        let Some(version) = versions.get(handle) else {
            continue;
        };
        found.count(encoder, version);
        let mut seen = Vec::new();
        for (place, side) in both.iter().enumerate() {
            let Some(side) = side else {
                seen.push(None);
                continue;
            };
            let values = side.values()?;
            let common = common(values, place);
            let bitmap = values.has & !common;
            match place {
                0 => found.tally.take(bitmap, values.class),
                _ => found.tally.add(bitmap, values.class),
            }
            seen.push(Some((common, &side.facts)));
        }
        let same = matches!(&seen[..], [Some(base), Some(now)] if base == now);
        if same {
            continue;
        }
        if both[0].is_some() {
            found.gone.push(*handle);
        }
        if let Some(Some((common, _))) = seen.get(1) {
            found.come(*handle, version.rows(), *common);
        }
    }
    let crossing: BTreeSet<Handle> = others.keys().copied().collect();
    if !crossing.is_empty() {
        kept.records(&head.base, |handle, bytes| {
            if crossing.contains(&handle) {
                let rows = read_rows(bytes).ok_or_else(damaged)?;
                found.gone.push(handle);
                found.come(handle, rows, others[&handle].common[1]);
            }
            Ok(())
        })?;
    }
    for other in others.values() {
        let [before, after] = other.common.map(|common| other.has & !common);
        found.tally.take(before, other.class);
        found.tally.add(after, other.class);
    }
    found.gone.sort_unstable();
    Ok(found)
}

impl Difference {
    fn come(&mut self, handle: Handle, rows: Vec<Row>, common: u16) {
        let keys = (1..=16_u8).filter(|key| common & 1 << (key - 1) != 0);
        self.too_common.extend(keys.map(|key| (handle, key)));
        self.come.insert(handle, rows);
    }

    fn count(&mut self, encoder: &Encoder<'_>, version: &Version) {
        let of = |row: &Row| Content::of(encoder.pseudonyms, &row.bytes);
        version
            .base
            .iter()
            .for_each(|row| self.content.take(&of(row)));
        version
            .now
            .values()
            .for_each(|row| self.content.add(&of(row)));
    }
}

/// Counts the values of touched records among all others; what is known of the others that have one that is rare enough to cross
/// the cap.
fn count(
    kept: &Kept<'_>,
    head: &Head,
    versions: &Versions,
    cap: u64,
    frequencies: &mut BTreeMap<Value, Frequency>,
) -> Result<BTreeMap<Handle, Other>, Problem> {
    let mut others = BTreeMap::new();
    let sieve = Sieve::of(frequencies.keys());
    kept.values(&head.base, |handle, values| {
        let mut known = values
            .named()
            .filter(|value| sieve.may_have(value))
            .peekable();
        if known.peek().is_none() || versions.contains_key(&handle) {
            return Ok(());
        }
        for value in known {
            let Some(frequency) = frequencies.get_mut(&value) else {
                continue;
            };
            frequency.others += 1;
            if frequency.others <= cap {
                frequency.of.push(handle);
                others.entry(handle).or_insert(Other {
                    has: values.has,
                    common: [values.common; 2],
                    class: values.class,
                });
            }
        }
        Ok(())
    })?;
    // More others than the cap: too common before and after, whatever the touched ones do.
    for frequency in frequencies.values_mut() {
        if frequency.others > cap {
            frequency.of.clear();
        }
    }
    Ok(others)
}

/// A table of bits by the first ones of a name, which rules nearly all other names out.
struct Sieve(Vec<u64>);

impl Sieve {
    const INDEX_BITS: u32 = 23;

    fn of<'v>(values: impl Iterator<Item = &'v Value>) -> Self {
        let mut bits = vec![0; 1 << (Self::INDEX_BITS - 6)];
        for (_, name) in values {
            let at = Self::index(name);
            bits[at / 64] |= 1 << (at % 64);
        }
        Self(bits)
    }

    fn index(name: &[u8; NAME_BYTES]) -> usize {
        let head = u32::from_be_bytes([name[0], name[1], name[2], name[3]]);
        (head >> (32 - Self::INDEX_BITS)) as usize
    }

    fn may_have(&self, (_, name): &Value) -> bool {
        let at = Self::index(name);
        self.0[at / 64] & 1 << (at % 64) != 0
    }
}
