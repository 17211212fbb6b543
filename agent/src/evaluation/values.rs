//! The distinct match-key values of a dataset. In: the spool of records. Out: values by the first bits of their
//! local name, each with the parts of the dataset in which it occurs.
//! Invariant: memory is bounded by the spool; what spills is sealed.
//! Specification: docs/ARCHITECTURE.md, "Agent".

use hedui_edge::Problem;
use hedui_protocol::match_key::{KeyInput, Side};
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::{ValueId, Workshop};
use crate::intake::Prepared;
use crate::record::Spooled;
use crate::spool::Spool;

/// A value and one part of the dataset in which it occurs.
pub struct Value {
    /// Local name.
    pub id: ValueId,
    /// Part.
    pub part: u8,
    /// Input of the lock.
    pub input: Zeroizing<Vec<u8>>,
}

/// All values of a dataset, partitioned by local name.
pub struct Values(Spool);

impl Values {
    /// Reads the records of a prepared dataset once.
    pub fn collect(workshop: &Workshop<'_>, prepared: &mut Prepared) -> Result<Self, Problem> {
        let mut spool = Spool::new(&workshop.folder)?;
        let facts = prepared.dataset.fact.len();
        let side = Side::from(prepared.dataset.kind);
        for part in 0..prepared.spool.partitions() {
            let number = u8::try_from(part).unwrap_or(u8::MAX);
            let records = prepared.spool.records(part)?;
            let values: Vec<Zeroizing<Vec<u8>>> = records
                .par_iter()
                .map(|bytes| values_of(workshop, bytes, (facts, side), number))
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect();
            for value in values {
                spool.push(value.first().copied().unwrap_or(0), &value)?;
            }
        }
        Ok(Self(spool))
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.0.partitions()
    }

    /// Values of a partition by local name and part, each pair once.
    pub fn partition(&mut self, index: usize) -> Result<Vec<Value>, Problem> {
        let mut records = self.0.records(index)?;
        records.par_sort_unstable_by(|a, b| a[..].cmp(&b[..]));
        // Equal values of one part are equal records; the input follows the name, so nothing else can be.
        records.dedup();
        records
            .into_iter()
            .map(|record| {
                let parsed = record.split_first_chunk::<16>();
                parsed
                    .and_then(|(id, rest)| {
                        let (part, input) = rest.split_first()?;
                        Some(Value {
                            id: *id,
                            part: *part,
                            input: Zeroizing::new(input.to_vec()),
                        })
                    })
                    .ok_or_else(|| Problem::data("a temporary file is damaged", "run it again"))
            })
            .collect()
    }
}

/// `name 16 ‖ part ‖ input` of every match key of a record.
fn values_of(
    workshop: &Workshop<'_>,
    bytes: &[u8],
    (facts, side): (usize, Side),
    part: u8,
) -> Result<Vec<Zeroizing<Vec<u8>>>, Problem> {
    let agreement = workshop.agreement;
    let record = Spooled::decode(bytes, agreement, facts)
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    let (digest, epoch) = (agreement.digest(), agreement.epoch());
    let keys = agreement.match_keys().iter();
    Ok(keys
        .flat_map(|key| KeyInput::all(digest, epoch, key, &record.person, side))
        .map(|input| {
            let id = workshop.id_of(input.bytes());
            Zeroizing::new([&id[..], &[part], input.bytes()].concat())
        })
        .collect())
}
