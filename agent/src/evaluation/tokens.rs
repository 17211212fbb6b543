//! Tokens for the encoder, part by part. In: the values of a dataset and the cache. Out: a lock per part.
//! Invariant: a dataset whose values are not all evaluated is not encoded; memory holds one part.
//! Specification: docs/ARCHITECTURE.md, "Agent".

use std::collections::HashMap;

use hedui_edge::Problem;
use hedui_keys::lock::Lock;
use hedui_protocol::lock::Token;
use hedui_protocol::match_key::{KeyInput, Side};
use hedui_protocol::secret::Secret;

use super::cache::{Partition, partition_of};
use super::values::Values;
use super::{ValueId, Workshop};
use crate::record::Grouped;
use crate::spool::Spool;

/// The tokens of a dataset, partitioned like its records.
pub struct Tokens<'a> {
    workshop: &'a Workshop<'a>,
    spool: Spool,
}

/// The lock of one part: tokens that custodians made, by local name.
pub struct Evaluated<'a> {
    workshop: &'a Workshop<'a>,
    tokens: HashMap<ValueId, Token>,
}

impl<'a> Tokens<'a> {
    /// Brings every value's token to the parts in which the value occurs.
    pub fn gather(workshop: &'a Workshop<'a>, values: &mut Values) -> Result<Self, Problem> {
        let mut spool = Spool::new(&workshop.folder)?;
        for index in 0..values.partitions() {
            let known = Partition::load(workshop, index)?;
            for value in values.partition(index)? {
                let token = known.get(&value.id).ok_or_else(not_evaluated)?;
                let record = zeroize::Zeroizing::new([&value.id[..], token.expose()].concat());
                spool.push_to(usize::from(value.part), &record)?;
            }
        }
        Ok(Self { workshop, spool })
    }

    /// The lock of one part.
    pub fn part(&mut self, index: usize) -> Result<Evaluated<'a>, Problem> {
        let mut lock = Evaluated {
            workshop: self.workshop,
            tokens: HashMap::new(),
        };
        lock.add(self.spool.records(index)?);
        Ok(lock)
    }
}

impl<'a> Evaluated<'a> {
    /// The lock of persons of the roll, which are held in memory: their tokens from the cache.
    pub fn of_persons(workshop: &'a Workshop<'a>, persons: &[Grouped]) -> Result<Self, Problem> {
        let agreement = workshop.agreement;
        let (digest, epoch) = (agreement.digest(), agreement.epoch());
        let mut ids: Vec<ValueId> = persons
            .iter()
            .flat_map(|person| {
                let keys = agreement.match_keys().iter();
                keys.flat_map(|key| KeyInput::all(digest, epoch, key, &person.person, Side::Roll))
            })
            .map(|input| workshop.id_of(input.bytes()))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mut tokens = HashMap::with_capacity(ids.len());
        for part in ids.chunk_by(|a, b| partition_of(a) == partition_of(b)) {
            let index = part.first().map_or(0, partition_of);
            let known = Partition::load(workshop, index)?;
            for id in part {
                let token = known.get(id).ok_or_else(not_evaluated)?;
                tokens.insert(*id, token.duplicate());
            }
        }
        Ok(Self { workshop, tokens })
    }

    fn add(&mut self, records: Vec<zeroize::Zeroizing<Vec<u8>>>) {
        for record in records {
            if let Some((id, token)) = record.split_first_chunk::<16>()
                && let Ok(token) = <[u8; 64]>::try_from(token)
            {
                self.tokens.insert(*id, Secret::new(token));
            }
        }
    }
}

fn not_evaluated() -> Problem {
    Problem::not_yet(
        "some values are not evaluated yet",
        "run `hedui-agent prepare` and wait for the custodians' answers",
    )
}

impl Lock for Evaluated<'_> {
    fn token(&self, input: &KeyInput) -> Option<Token> {
        let id = self.workshop.id_of(input.bytes());
        self.tokens.get(&id).map(Secret::duplicate)
    }
}
