//! Committing to the roll, and opening it. In: the submitted roll's persons. Out: the signed commitment, openings of drawn persons. Invariant: salts
//! come from a key of the party's own and the snapshot, so the same roll gives the same commitment in every run, and nobody else can
//! try persons against a leaf. Specification: protocol/SPEC.md, "Roll commitment".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::commitment::{Commitment, Opening, control, leaf};
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Handle;
use hedui_protocol::log::merkle::{self, Hash};
use hedui_protocol::primitive::hex;

use crate::canary::SHARED;
use crate::intake::Prepared;
use crate::record::{Grouped, Pseudonyms};
use crate::roll::{self, Roll};

/// A roll with its leaves.
pub struct Committed {
    /// What is signed.
    pub commitment: Commitment,
    leaves: Vec<Hash>,
    persons: Vec<Leaf>,
}

/// Groups the prepared roll in memory, and fixes in the exchange folder whom it holds before anything of it is sent.
pub fn commit(
    agreement: &InForce,
    owner: &Identity,
    prepared: &mut Prepared,
    exchange: &Path,
) -> Result<Vec<Grouped>, Problem> {
    let held = roll::collect(agreement, prepared)?;
    Committed::new(agreement, &prepared.pseudonyms, &held)?.publish(exchange, owner)?;
    Ok(held.persons)
}

/// What one leaf is made of.
struct Leaf {
    salt: [u8; 32],
    fields: Vec<String>,
    handles: Vec<Handle>,
}

impl Leaf {
    fn new(agreement: &InForce, pseudonyms: &Pseudonyms, snapshot: &str, person: &Grouped) -> Self {
        let mut salt = [0; 32];
        let label = format!("roll leaf {snapshot} {}", hex(&person.id));
        pseudonyms.padding(&label, 0, &mut salt);
        let text = |cell: &hedui_protocol::field::Normal| {
            let text = cell.value.as_ref().or(cell.remnant.as_ref());
            text.cloned().unwrap_or_default()
        };
        let registers = agreement.registers();
        Self {
            salt,
            fields: person.person.cells().iter().map(text).collect(),
            handles: registers
                .map(|register| pseudonyms.handle(register.name.as_str(), &person.id))
                .collect(),
        }
    }

    /// A control record of both sides: it is matched and is nobody.
    fn control(pseudonyms: &Pseudonyms, snapshot: &str, register: &str, number: u16) -> Self {
        let id = pseudonyms.canary(register, number);
        let mut salt = [0; 32];
        pseudonyms.padding(&format!("roll leaf {snapshot} {}", hex(&id)), 0, &mut salt);
        Self {
            salt,
            fields: vec![control(register, number)],
            handles: vec![pseudonyms.handle(register, &id)],
        }
    }

    fn hash(&self) -> Option<Hash> {
        let fields: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        let handles: Vec<[u8; 16]> = self.handles.iter().map(|handle| handle.0).collect();
        leaf(&self.salt, &fields, &handles)
    }
}

impl Committed {
    /// The leaves of a roll's persons, in the order of their pseudonyms.
    pub fn new(agreement: &InForce, pseudonyms: &Pseudonyms, roll: &Roll) -> Result<Self, Problem> {
        let mut persons: Vec<Leaf> = roll
            .persons
            .iter()
            .map(|person| Leaf::new(agreement, pseudonyms, &roll.snapshot, person))
            .collect();
        let count = persons.len() as u64;
        for register in agreement.registers() {
            let name = register.name.as_str();
            let controls = (0..SHARED).map(|n| Leaf::control(pseudonyms, &roll.snapshot, name, n));
            persons.extend(controls);
        }
        let leaves: Option<Vec<Hash>> = persons.iter().map(Leaf::hash).collect();
        let leaves = leaves.ok_or_else(|| {
            Problem::data(
                "a person's fields are too long to commit to",
                "shorten the cell",
            )
        })?;
        Ok(Self {
            commitment: Commitment {
                agreement: agreement.digest(),
                epoch: agreement.epoch(),
                snapshot: roll.snapshot.clone(),
                persons: count,
                controls: leaves.len() as u64 - count,
                root: merkle::root(&leaves),
            },
            leaves,
            persons,
        })
    }

    /// Writes the signed commitment into the exchange folder.
    pub fn publish(&self, exchange: &Path, owner: &Identity) -> Result<PathBuf, Problem> {
        let digits: String = hex(&self.commitment.root).chars().take(12).collect();
        let path = exchange.join(format!("roll-{digits}.commitment"));
        files::deliver_bytes(&path, self.commitment.sign(owner).as_bytes())?;
        Ok(path)
    }

    /// The persons at some places; places that there are not are left out.
    pub fn open(&self, places: &[u64]) -> Vec<Opening> {
        let one = |place: &u64| {
            let at = usize::try_from(*place).ok()?;
            let person = self.persons.get(at)?;
            let path = merkle::path(&self.leaves, at)?;
            Some(Opening {
                index: *place,
                salt: hex(&person.salt),
                fields: person.fields.clone(),
                handles: person
                    .handles
                    .iter()
                    .map(|handle| handle.to_hex())
                    .collect(),
                path: path.iter().map(|hash| hex(hash)).collect(),
            })
        };
        places.iter().filter_map(one).collect()
    }

    /// Which person each handle of any register's context is.
    pub fn places(&self) -> BTreeMap<Handle, u64> {
        let all = (0..).zip(&self.persons);
        all.flat_map(|(place, person)| person.handles.iter().map(move |handle| (*handle, place)))
            .collect()
    }
}
