//! A batch: the values that were asked of custodians, and under which blinds. In: new values in the order of
//! their local names. Out: a sealed file with values and blinded elements, in the order of the request.
//! Invariant: blinds are derived, never stored; what custodians see is uniform whatever the values are.
//! Specification: protocol/SPEC.md, "Evaluation"; security.md §6.7 (hedged blinds).

use std::path::PathBuf;

use hedui_edge::{Problem, files};
use hedui_keys::identity_file::random;
use hedui_keys::oprf::client::BlindKey;
use hedui_keys::oprf::suite::ELEMENT_BYTES;
use hedui_keys::vault::place;
use hedui_protocol::ids::Name;
use hedui_protocol::label::Label;
use hedui_protocol::limits::EVALUATION_CHUNK;
use hedui_protocol::message::evaluation::RequestManifest;
use hedui_protocol::primitive::{Prk, Sha256, hex};
use hedui_protocol::secret::Secret;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::cache::Partition;
use super::values::Values;
use super::{ValueId, Workshop};
use crate::sealed_file;

/// Values blinded at once: 16 chunks, enough for every core.
pub const VALUES_AT_ONCE: usize = 16 * EVALUATION_CHUNK;

/// What stands beside a batch, in clear: counts, digests and request identifiers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Dataset that is charged.
    pub dataset: Name,
    /// Values, without padding.
    pub values: u64,
    /// SHA-256 over the local names of all values in order, hexadecimal.
    pub values_sha256: String,
    /// Request identifiers by custodian, hexadecimal; empty until asked.
    #[serde(default)]
    pub requests: std::collections::BTreeMap<Name, String>,
}

impl Card {
    /// Elements of a request, padding included.
    pub fn elements(&self) -> u64 {
        RequestManifest::padded(self.values)
    }
}

/// A record of the sealed file: a value and its element, or a padding element.
pub struct Asked {
    /// Local name; nothing for padding.
    pub id: ValueId,
    /// Blinded element.
    pub element: [u8; ELEMENT_BYTES],
    /// Input of the lock; empty for padding.
    pub input: Zeroizing<Vec<u8>>,
}

/// The batch of one dataset.
pub struct Batch<'a> {
    workshop: &'a Workshop<'a>,
    dataset: Name,
}

impl<'a> Batch<'a> {
    /// The batch of a dataset, whether there is one or not.
    pub fn of(workshop: &'a Workshop<'a>, dataset: &Name) -> Self {
        Self {
            workshop,
            dataset: dataset.clone(),
        }
    }

    /// Its card, if there is a batch.
    pub fn card(&self) -> Result<Option<Card>, Problem> {
        let path = self.path("json");
        if !path.exists() {
            return Ok(None);
        }
        let card = serde_json::from_slice(&files::read_small(&path)?);
        card.map(Some).map_err(|_| {
            Problem::data(
                format!("{}: the file is damaged", path.display()),
                "remove it and run `prepare` again",
            )
        })
    }

    /// Keeps the card.
    pub fn keep(&self, card: &Card) -> Result<(), Problem> {
        let json = serde_json::to_vec_pretty(card)
            .map_err(|e| Problem::data(e.to_string(), "report this"))?;
        files::write_bytes(&self.path("json"), &json)
    }

    /// Removes the batch, the card first: without it the rest is never looked at.
    pub fn remove(&self) -> Result<(), Problem> {
        for ending in ["json", "sealed"] {
            let path = self.path(ending);
            if path.exists() {
                std::fs::remove_file(&path).map_err(|error| Problem::io(&path, error))?;
            }
        }
        Ok(())
    }

    /// The values that were not evaluated in this epoch: their number and the digest of their local names.
    pub fn missing(&self, values: &mut Values) -> Result<(u64, String), Problem> {
        let (mut count, mut hash) = (0, Sha256::default());
        for index in 0..values.partitions() {
            for (id, _) in new_values(self.workshop, values, index)? {
                count += 1;
                hash.update(&id);
            }
        }
        Ok((count, hex(&hash.finish())))
    }

    /// Blinds all values that were not evaluated yet and seals them; returns the card.
    pub fn make(&self, values: &mut Values, count: u64, digest: String) -> Result<Card, Problem> {
        self.remove()?;
        let card = Card {
            dataset: self.dataset.clone(),
            values: count,
            values_sha256: digest,
            requests: std::collections::BTreeMap::new(),
        };
        let seed = random::<32>()?;
        let blinds = self.blind_key(&seed);
        let bar = self.workshop.console.progress("盲化 blinding", count);
        sealed_file::write(
            &self.path("sealed"),
            self.workshop.identity,
            &self.purpose(),
            |put| {
                put(seed.expose())?;
                for index in 0..values.partitions() {
                    let new = new_values(self.workshop, values, index)?;
                    for group in new.chunks(VALUES_AT_ONCE) {
                        blind_group(&blinds, group, put)?;
                        bar.inc(group.len() as u64);
                    }
                }
                (count..card.elements())
                    .try_for_each(|index| put(&[&[0; 16][..], &blinds.padding(index)].concat()))
            },
        )?;
        bar.finish_and_clear();
        self.keep(&card)?;
        Ok(card)
    }

    /// Hands over the elements of the batch in order, and returns the key of the blinds.
    pub fn read(
        &self,
        mut take: impl FnMut(&BlindKey, Asked) -> Result<(), Problem>,
    ) -> Result<BlindKey, Problem> {
        let mut blinds = None;
        let path = self.path("sealed");
        let damaged = || {
            Problem::data(
                format!("{}: the file is damaged", path.display()),
                "remove it and run `prepare` again",
            )
        };
        sealed_file::read(&path, self.workshop.identity, &self.purpose(), |record| {
            let Some(key) = &blinds else {
                let seed = <[u8; 32]>::try_from(record).map_err(|_| damaged())?;
                blinds = Some(self.blind_key(&Secret::new(seed)));
                return Ok(());
            };
            let (id, rest) = record.split_first_chunk::<16>().ok_or_else(damaged)?;
            let (element, input) = rest.split_first_chunk().ok_or_else(damaged)?;
            take(
                key,
                Asked {
                    id: *id,
                    element: *element,
                    input: Zeroizing::new(input.to_vec()),
                },
            )
        })?;
        blinds.ok_or_else(damaged)
    }

    /// Key of the blinds: the system's randomness and the agent's own secret together.
    fn blind_key(&self, seed: &Secret<32>) -> BlindKey {
        let place = place(self.workshop.agreement);
        let own = self.workshop.identity.local_key(&[
            b"blinds",
            &[0],
            place.as_bytes(),
            &[0],
            self.dataset.as_str().as_bytes(),
        ]);
        let prk = Prk::extract(own.expose(), seed.expose());
        BlindKey::new(&Secret::new(prk.expand(Label::BlindKey, &[])))
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.workshop
            .folder
            .join(format!("batch-{}.{ending}", self.dataset))
    }

    fn purpose(&self) -> String {
        format!("batch {} {}", self.dataset, place(self.workshop.agreement))
    }
}

/// A value with its local name.
type Named = (ValueId, Zeroizing<Vec<u8>>);

/// Values of a partition that are not in the cache, by local name.
fn new_values(
    workshop: &Workshop<'_>,
    values: &mut Values,
    index: usize,
) -> Result<Vec<Named>, Problem> {
    let known = Partition::load(workshop, index)?;
    let mut new: Vec<_> = values
        .partition(index)?
        .into_iter()
        .filter(|value| known.get(&value.id).is_none())
        .map(|value| (value.id, value.input))
        .collect();
    new.dedup_by_key(|(id, _)| *id);
    Ok(new)
}

fn blind_group(
    blinds: &BlindKey,
    group: &[Named],
    put: &mut dyn FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let blinded: Vec<Vec<[u8; ELEMENT_BYTES]>> = group
        .par_chunks(EVALUATION_CHUNK / 8)
        .map(|chunk| {
            let inputs: Vec<&[u8]> = chunk.iter().map(|(_, input)| &input[..]).collect();
            blinds.blind_chunk(&inputs)
        })
        .collect();
    for ((id, input), element) in group.iter().zip(blinded.iter().flatten()) {
        let record = Zeroizing::new([&id[..], element, input].concat());
        put(&record)?;
    }
    Ok(())
}
