//! A result: what the roll owner receives. In: decided pairs and released payload rows per register.
//! Out: one body with, per register, `NAME/pairs` and `NAME/payload-N`.
//! Invariant: pairs sorted by both handles, payloads by handle; a payload row is present only where a
//! release set agrees. Specification: protocol/SPEC.md, "Result".

use serde::{Deserialize, Serialize};

use super::Table;
use crate::codec::{CodecError, Reader};
use crate::ids::{Handle, Name};

/// Bytes of a row of a pair table.
pub const PAIR_BYTES: usize = 40;

/// What a pair was decided to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The same person.
    Match,
    /// Possibly the same person: people decide.
    Review,
    /// One identity number, two persons: a correction ticket for both owners.
    IdentityConflict,
}

impl Outcome {
    const BYTES: [(Self, u8); 3] = [
        (Self::Match, 1),
        (Self::Review, 2),
        (Self::IdentityConflict, 3),
    ];

    fn byte(self) -> u8 {
        Self::BYTES
            .iter()
            .find(|(outcome, _)| *outcome == self)
            .map_or(0, |(_, byte)| *byte)
    }
}

/// A decided pair: `roll handle 16 ‖ register handle 16 ‖ u16 agree ‖ u16 differ ‖ u8 outcome ‖ u8 refined ‖
/// i16 weight`; weight 0 unless refined is 1.
/// Bit `n` of a bitmap is match key number `n + 1`; a key that is in neither bitmap is absent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Record of the roll.
    pub roll: Handle,
    /// Record of the register.
    pub register: Handle,
    /// Match keys that agree.
    pub agree: u16,
    /// Match keys that both records have and that differ.
    pub differ: u16,
    /// Decision.
    pub outcome: Outcome,
    /// Match weight in hundredths of a bit, prior included, if the refinement round decided.
    pub weight: Option<i16>,
}

impl Pair {
    /// The row's bytes.
    pub fn encode(&self) -> [u8; PAIR_BYTES] {
        let mut row = [0; PAIR_BYTES];
        row[..16].copy_from_slice(&self.roll.0);
        row[16..32].copy_from_slice(&self.register.0);
        row[32..34].copy_from_slice(&self.agree.to_be_bytes());
        row[34..36].copy_from_slice(&self.differ.to_be_bytes());
        row[36] = self.outcome.byte();
        if let Some(weight) = self.weight {
            row[37] = 1;
            row[38..].copy_from_slice(&weight.to_be_bytes());
        }
        row
    }

    /// Reads a row.
    pub fn decode(row: &[u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(row);
        let (roll, register) = (Handle(reader.array("pair")?), Handle(reader.array("pair")?));
        let (agree, differ) = (reader.u16("pair")?, reader.u16("pair")?);
        let byte = reader.u8("outcome")?;
        let outcome = Outcome::BYTES.iter().find(|(_, b)| *b == byte);
        let outcome = outcome.ok_or(CodecError::BadValue("outcome"))?.0;
        let (refined, weight) = (
            reader.u8("pair")?,
            i16::from_be_bytes(reader.array("pair")?),
        );
        let weight = match (refined, weight) {
            (0, 0) => None,
            (1, weight) => Some(weight),
            _ => return Err(CodecError::BadValue("pair")),
        };
        reader.finish("pair")?;
        Ok(Self {
            roll,
            register,
            agree,
            differ,
            outcome,
            weight,
        })
    }
}

/// Head of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The roll.
    pub roll: Name,
    /// Registers that were compared.
    pub registers: Vec<Register>,
    /// Tables in the order of the body.
    pub tables: Vec<Table>,
}

/// One register within a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Name of the dataset.
    pub name: Name,
    /// Day for which the register's data hold.
    pub as_of: String,
    /// The roll owner's own name of the roll's data that were compared.
    pub snapshot: String,
    /// The register owner's own name of the register's data.
    pub register_snapshot: String,
    /// What the roll's owner and the register's owner say of their canaries, as they came.
    pub canaries: [String; 2],
    /// Pairs decided as a match.
    pub matches: u64,
    /// Pairs for review.
    pub reviews: u64,
    /// Identity conflicts.
    pub conflicts: u64,
}

/// Name of the pair table of a register.
pub fn pair_table(register: &Name) -> String {
    format!("{register}/pairs")
}

/// Name of a payload table of a register.
pub fn payload_table(register: &Name, class: usize) -> String {
    format!("{register}/{}", super::payload::table_name(class))
}
