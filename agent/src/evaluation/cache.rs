//! Tokens of the epoch, sealed on the agent's disk. In: values that were evaluated. Out: the same tokens
//! for the next delivery, so that a daily delta costs only its new values.
//! 64 files by the first bits of the values' local names, each sorted. Invariant: a file is replaced whole
//! or not at all; the tokens of another agreement or epoch cannot be put in its place. SPEC.md, "Evaluation".

use std::path::PathBuf;

use hedui_edge::Problem;
use hedui_protocol::lock::Token;
use hedui_protocol::secret::Secret;

use super::{ValueId, Workshop};
use crate::sealed_file;
use crate::spool::PARTITIONS;

/// Tokens of one partition, sorted by the values' local names.
#[derive(Default)]
pub struct Partition(Vec<(ValueId, Token)>);

impl Partition {
    /// Reads a partition; empty if nothing was evaluated yet.
    pub fn load(workshop: &Workshop<'_>, index: usize) -> Result<Self, Problem> {
        let (path, purpose) = file(workshop, index);
        let mut tokens = Vec::new();
        if !path.exists() {
            return Ok(Self(tokens));
        }
        sealed_file::read(&path, workshop.identity, &purpose, |record| {
            let (id, token) = record
                .split_first_chunk::<16>()
                .and_then(|(id, rest)| Some((*id, <[u8; 64]>::try_from(rest).ok()?)))
                .ok_or_else(|| {
                    let what = format!("{}: the file is damaged", path.display());
                    Problem::data(what, "remove it: its values are evaluated again")
                })?;
            tokens.push((id, Secret::new(token)));
            Ok(())
        })?;
        Ok(Self(tokens))
    }

    /// The token of a value.
    pub fn get(&self, id: &ValueId) -> Option<&Token> {
        let at = self.0.binary_search_by(|(held, _)| held.cmp(id)).ok()?;
        self.0.get(at).map(|(_, token)| token)
    }

    /// Adds tokens; those that are here stay.
    pub fn add(&mut self, tokens: impl Iterator<Item = (ValueId, Token)>) {
        self.0.extend(tokens);
        self.0.sort_by_key(|(id, _)| *id);
        self.0.dedup_by_key(|(id, _)| *id);
    }

    /// Writes the partition.
    pub fn store(&self, workshop: &Workshop<'_>, index: usize) -> Result<(), Problem> {
        let (path, purpose) = file(workshop, index);
        sealed_file::write(&path, workshop.identity, &purpose, |put| {
            self.0.iter().try_for_each(|(id, token)| {
                let mut record = zeroize::Zeroizing::new([0; 80]);
                record[..16].copy_from_slice(id);
                record[16..].copy_from_slice(token.expose());
                put(&record[..])
            })
        })
    }
}

/// The partition of a value, the same as in [`super::values::Values`].
pub fn partition_of(id: &ValueId) -> usize {
    usize::from(id[0]) * PARTITIONS / 256
}

fn file(workshop: &Workshop<'_>, index: usize) -> (PathBuf, String) {
    let place = workshop.folder.file_name().unwrap_or_default();
    (
        workshop.folder.join(format!("tokens-{index:02}.sealed")),
        format!("tokens {index} {}", place.to_string_lossy()),
    )
}
