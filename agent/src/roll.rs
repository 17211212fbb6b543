//! The roll owner's own persons, kept sealed between submission and result. In: the prepared roll.
//! Out: a sealed snapshot, and back: persons with rows, local columns and handles per register.
//! Invariant: results are read against exactly the roll that was submitted, whatever happened to its
//! file since. Specification: docs/ARCHITECTURE.md, "Agent".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::Problem;
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Handle;
use serde::{Deserialize, Serialize};

use crate::intake::Prepared;
use crate::record::{Grouped, Pseudonyms, Spooled, group};
use crate::sealed_file;

const PURPOSE: &str = "roll snapshot";

/// The roll in memory.
pub struct Roll {
    /// Names of the local columns, in the order of their values.
    pub local_names: Vec<String>,
    /// Day for which the roll holds.
    pub as_of: String,
    /// Name of exactly these data.
    pub snapshot: String,
    /// Persons, in the order of their pseudonyms.
    pub persons: Vec<Grouped>,
}

impl Roll {
    /// Rows of the file that hold a person, for lists: `2 17`; nothing for one that is not there.
    pub fn rows_of(&self, person: usize) -> String {
        let rows = self.persons.get(person).map(|person| &person.rows);
        let rows: Vec<String> = rows.into_iter().flatten().map(u64::to_string).collect();
        rows.join(" ")
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    local_names: Vec<String>,
    as_of: String,
    snapshot: String,
}

/// Path of the snapshot of one agreement and epoch.
pub fn snapshot_path(state: &Path, agreement: &InForce) -> PathBuf {
    let digits: String = agreement.digest().to_hex().chars().take(16).collect();
    state.join(format!("roll-{digits}-{}.sealed", agreement.epoch().0))
}

/// Groups the prepared roll in memory.
pub fn collect(agreement: &Agreement, prepared: &mut Prepared) -> Result<Roll, Problem> {
    let mut persons = Vec::new();
    for part in 0..prepared.spool.partitions() {
        persons.extend(prepared.persons(agreement, part)?);
    }
    persons.sort_by_key(|person| person.id);
    Ok(Roll {
        local_names: prepared.mapping.local.keys().cloned().collect(),
        as_of: prepared.mapping.as_of.clone(),
        snapshot: prepared.snapshot.clone(),
        persons,
    })
}

/// Writes the snapshot of the prepared roll.
pub fn save(path: &Path, identity: &Identity, prepared: &mut Prepared) -> Result<(), Problem> {
    let head = Head {
        local_names: prepared.mapping.local.keys().cloned().collect(),
        as_of: prepared.mapping.as_of.clone(),
        snapshot: prepared.snapshot.clone(),
    };
    let head =
        serde_json::to_vec(&head).map_err(|e| Problem::data(e.to_string(), "report this"))?;
    sealed_file::write(path, identity, PURPOSE, |put| {
        put(&head)?;
        for part in 0..prepared.spool.partitions() {
            for record in prepared.spool.records(part)? {
                put(&record)?;
            }
        }
        Ok(())
    })
}

/// Reads the snapshot.
pub fn load(path: &Path, identity: &Identity, agreement: &Agreement) -> Result<Roll, Problem> {
    if !path.exists() {
        return Err(Problem::not_yet(
            "the roll was not submitted from this folder under this agreement",
            "run `hedui-agent submit` for the roll first",
        ));
    }
    let facts = agreement.roll().fact.len();
    let (mut head, mut records) = (None, Vec::new());
    sealed_file::read(path, identity, PURPOSE, |record| {
        if head.is_none() {
            head = serde_json::from_slice::<Head>(record).ok();
        } else {
            records.push(zeroize::Zeroizing::new(record.to_vec()));
        }
        Ok(())
    })?;
    let head = head
        .ok_or_else(|| Problem::data("the roll's snapshot is damaged", "submit the roll again"))?;
    let mut persons = group(decode_all(&records, agreement, facts)?, |id| *id);
    persons.sort_by_key(|person| person.id);
    Ok(Roll {
        local_names: head.local_names,
        as_of: head.as_of,
        snapshot: head.snapshot,
        persons,
    })
}

impl Roll {
    /// Which person each handle of a register's context is.
    pub fn handles(&self, pseudonyms: &Pseudonyms, register: &str) -> BTreeMap<Handle, usize> {
        let handle = |person: &Grouped| pseudonyms.handle(register, &person.id);
        self.persons
            .iter()
            .enumerate()
            .map(|(index, person)| (handle(person), index))
            .collect()
    }
}

fn decode_all(
    records: &[zeroize::Zeroizing<Vec<u8>>],
    agreement: &Agreement,
    facts: usize,
) -> Result<Vec<Spooled>, Problem> {
    records
        .iter()
        .map(|bytes| Spooled::decode(bytes, agreement, facts))
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::data(error.to_string(), "submit the roll again"))
}
