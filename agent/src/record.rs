//! One person of one dataset inside the agent. In: translated rows. Out: bytes for the spool, and back;
//! the identity that groups rows of one person. Invariant: rows are one record exactly if all their
//! normalised fields agree, so two spellings stay two records and are compared separately.
//! Specification: docs/ARCHITECTURE.md, "Agent".

use hedui_protocol::agreement::Agreement;
use hedui_protocol::codec::{CodecError, Reader, put_short_bytes};
use hedui_protocol::field::{Normal, Quality};
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Epoch, Handle};
use hedui_protocol::limits::FACT_ROWS_MAX;
use hedui_protocol::match_key::Person;
use hedui_protocol::message::payload::{FactValue, Facts};
use hedui_protocol::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::mapping::translate::{LocalValue, Record};

/// Local pseudonym of a person within one dataset; never leaves the agent.
pub type PersonId = [u8; 16];
/// Local name of a row of a dataset whose rows have keys of their own; never leaves the agent.
pub type RowKey = [u8; 16];

/// Keys of local pseudonyms, derived from the party's own secret, agreement and epoch.
pub struct Pseudonyms {
    person: Secret<32>,
    handle: Secret<32>,
    filler: Secret<32>,
    content: Secret<32>,
}

impl Pseudonyms {
    /// The pseudonyms of one dataset.
    pub fn new(identity: &Identity, agreement: &Agreement, dataset: &str) -> Self {
        let Epoch(epoch) = agreement.epoch();
        let key = |purpose: &[u8]| {
            let place = [&agreement.digest().0[..], &epoch.to_be_bytes()].concat();
            identity.local_key(&[purpose, &[0], &place, dataset.as_bytes()])
        };
        Self {
            person: key(b"person"),
            handle: key(b"handle"),
            filler: key(b"filler"),
            content: key(b"content"),
        }
    }

    /// Pseudonym of a person: a keyed digest over all normalised fields.
    pub fn person(&self, person: &Person) -> PersonId {
        let mut hasher = blake3::Hasher::new_keyed(self.person.expose());
        for cell in person.cells() {
            for text in [&cell.value, &cell.remnant] {
                let bytes = text.as_deref().unwrap_or_default().as_bytes();
                hasher.update(&(bytes.len() as u64).to_be_bytes());
                hasher.update(bytes);
            }
        }
        first16(hasher)
    }

    /// Local pseudonym of a canary of one register's context.
    pub fn canary(&self, register: &str, number: u16) -> PersonId {
        let mut hasher = blake3::Hasher::new_keyed(self.person.expose());
        hasher
            .update(b"canary")
            .update(register.as_bytes())
            .update(&[0])
            .update(&number.to_be_bytes());
        first16(hasher)
    }

    /// Handle of a person in the context of one register.
    pub fn handle(&self, register: &str, person: &PersonId) -> Handle {
        let mut hasher = blake3::Hasher::new_keyed(self.handle.expose());
        hasher
            .update(register.as_bytes())
            .update(&[0])
            .update(person);
        Handle(first16(hasher))
    }

    /// Random-looking tag in the place of an absent or too common key; `row` tells those of one record apart.
    pub fn filler_tag(&self, register: &str, (key, row): (u8, u16), handle: Handle) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(self.filler.expose());
        hasher
            .update(register.as_bytes())
            .update(&[0, key])
            .update(&handle.0);
        if row > 0 {
            hasher.update(&row.to_be_bytes());
        }
        first16(hasher)
    }

    /// Random-looking row that only pads a table.
    pub fn padding(&self, table: &str, index: u64, out: &mut [u8]) {
        let mut hasher = blake3::Hasher::new_keyed(self.filler.expose());
        hasher
            .update(b"padding")
            .update(table.as_bytes())
            .update(&[0])
            .update(&index.to_be_bytes());
        hasher.finalize_xof().fill(out);
    }

    /// Handle of a record that only pads: the same in every table of a submission, like a person's.
    pub fn padding_handle(&self, register: &str, index: u64) -> Handle {
        let mut hasher = blake3::Hasher::new_keyed(self.filler.expose());
        hasher
            .update(b"padding-handle")
            .update(register.as_bytes())
            .update(&[0])
            .update(&index.to_be_bytes());
        Handle(first16(hasher))
    }

    /// Local name of a row, by what its key columns say.
    pub fn row_key(&self, dataset: &str, text: &str) -> RowKey {
        let mut hasher = blake3::Hasher::new_keyed(self.person.expose());
        hasher.update(b"row-key").update(dataset.as_bytes());
        hasher.update(&[0]).update(text.as_bytes());
        first16(hasher)
    }

    /// Local name of a match-key value.
    pub fn value_name(&self, input: &[u8]) -> [u8; 12] {
        let mut hasher = blake3::Hasher::new_keyed(self.person.expose());
        hasher.update(b"value").update(&[0]).update(input);
        let mut name = [0; 12];
        hasher.finalize_xof().fill(&mut name);
        name
    }

    /// Digest of what a row says, wherever it stands in its file.
    pub fn row_digest(&self, row: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(self.content.expose());
        hasher.update(b"row").update(&[0]).update(row);
        *hasher.finalize().as_bytes()
    }

    /// Nonce of a payload's wraps: bound to the facts, as the content key is, by a digest of its own.
    pub fn wrap_nonce(&self, handle: Handle, facts: &[u8]) -> [u8; 12] {
        let mut hasher = blake3::Hasher::new_keyed(self.content.expose());
        hasher.update(b"wrap-nonce").update(&[0]);
        hasher.update(&handle.0).update(facts);
        let mut nonce = [0; 12];
        hasher.finalize_xof().fill(&mut nonce);
        nonce
    }

    /// Content key of a payload: one per handle and content, so that it never seals two plaintexts.
    pub fn content_key(&self, handle: Handle, facts: &[u8]) -> Secret<32> {
        let mut hasher = blake3::Hasher::new_keyed(self.content.expose());
        hasher.update(b"content-key").update(&[0]);
        hasher.update(&handle.0).update(facts);
        Secret::new(*hasher.finalize().as_bytes())
    }
}

fn first16(hasher: blake3::Hasher) -> [u8; 16] {
    let mut out = [0; 16];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// What becomes of a row in a file of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It is new.
    Add,
    /// It says something else than before.
    Change,
    /// It is no longer there.
    Withdraw,
    /// It is left out by the mapping, whether it was there or not.
    #[serde(skip)]
    LeaveOut,
}

impl Operation {
    const BYTES: [(Self, u8); 4] = [
        (Self::Add, 1),
        (Self::Change, 2),
        (Self::Withdraw, 3),
        (Self::LeaveOut, 4),
    ];

    /// Whether the row is there afterwards.
    pub fn brings(self) -> bool {
        matches!(self, Self::Add | Self::Change)
    }

    fn byte(self) -> u8 {
        let found = Self::BYTES.iter().find(|(operation, _)| *operation == self);
        found.map_or(0, |(_, byte)| *byte)
    }

    fn of(byte: u8) -> Option<Self> {
        let found = Self::BYTES.iter().find(|(_, known)| *known == byte);
        found.map(|(operation, _)| *operation)
    }
}

/// Bits of a row's number that are its place in its file; above them stands the number of the file of changes, 0 for a whole one.
const ROW_BITS: u32 = 40;

/// Number of a row of a file of changes.
pub fn row_of_changes(file: u64, row: u64) -> u64 {
    file << ROW_BITS | row & ((1 << ROW_BITS) - 1)
}

/// A row's number as its department reads it: `17`, or `变更2:17` for row 17 of the second file of changes.
pub fn row_words(row: u64) -> String {
    match row >> ROW_BITS {
        0 => row.to_string(),
        file => format!("变更{file}:{}", row & ((1 << ROW_BITS) - 1)),
    }
}

/// First byte of what follows the facts of a register's row: its key and what becomes of it.
const TRAILER: u8 = 3;
/// Bytes of that.
const TRAILER_BYTES: usize = 1 + 1 + 16 + 1;
/// Bytes of a spooled row before its person: pseudonym and row number.
const ROW_HEAD: usize = 16 + 8;

/// A spooled row of a register: what it says, its key if it has one, and its operation.
pub type Split<'a> = (&'a [u8], Option<RowKey>, Option<Operation>);

/// Splits a spooled row of a register, as [`Spooled::encode`] made it; a row that was split before has nothing more to split.
pub fn split(bytes: &[u8]) -> Option<Split<'_>> {
    let (row, trailer) = bytes.split_at_checked(bytes.len().checked_sub(TRAILER_BYTES)?)?;
    let (&[TRAILER, keyed], rest) = trailer.split_first_chunk::<2>()? else {
        return None;
    };
    let (key, rest) = rest.split_first_chunk::<16>()?;
    let operation = rest.first().copied().and_then(Operation::of);
    Some((row, (keyed == 1).then_some(*key), operation))
}

/// Local pseudonym of the person of a spooled row.
pub fn person_of(row: &[u8]) -> PersonId {
    row.first_chunk::<16>().copied().unwrap_or_default()
}

/// What a spooled row says, its place in the file left out; to be split before.
pub fn said_by(row: &[u8]) -> &[u8] {
    row.get(ROW_HEAD..).unwrap_or_default()
}

/// Number of a spooled row.
pub fn number_of(row: &[u8]) -> u64 {
    let number = row.get(16..).and_then(|rest| rest.first_chunk::<8>());
    number.map_or(0, |number| u64::from_be_bytes(*number))
}

/// Gives a spooled row another number.
pub fn renumber(row: &mut [u8], number: u64) {
    if let Some(place) = row.get_mut(16..ROW_HEAD) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

/// A row of the spool: person, row number, facts, and for the roll what stays local.
pub struct Spooled {
    /// Local pseudonym.
    pub id: PersonId,
    /// Normalised person.
    pub person: Person,
    /// Row number in the source.
    pub row: u64,
    /// Facts of the row.
    pub facts: Vec<FactValue>,
    /// Local columns (roll).
    pub local: Vec<LocalValue>,
    /// Fields as in the file (roll).
    pub shown: Vec<String>,
}

impl Spooled {
    /// Serialises a record; `keep_local` for the roll, `key` of a register's row if it has one.
    pub fn encode(
        id: &PersonId,
        record: &Record,
        (keep_local, key): (bool, Option<RowKey>),
    ) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(id);
        out.extend_from_slice(&record.row.to_be_bytes());
        put_person(&mut out, &record.person)?;
        for value in &record.facts {
            put_fact(&mut out, value)?;
        }
        if keep_local {
            for value in &record.local {
                match value {
                    LocalValue::Number(number) => {
                        out.push(1);
                        out.extend_from_slice(&number.to_be_bytes());
                    }
                    LocalValue::Text(text) => {
                        out.push(2);
                        put_short_bytes(&mut out, text.as_bytes(), "local column")?;
                    }
                }
            }
            out.push(0);
            for text in &record.shown {
                put_short_bytes(&mut out, text.as_bytes(), "field")?;
            }
        } else {
            out.extend_from_slice(&[TRAILER, u8::from(key.is_some())]);
            out.extend_from_slice(&key.unwrap_or_default());
            out.push(record.operation.map_or(0, Operation::byte));
        }
        Ok(out)
    }

    /// Reads a serialised record under the same agreement and dataset.
    pub fn decode(bytes: &[u8], agreement: &Agreement, facts: usize) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let id = reader.array("person")?;
        let row = reader.u64("row")?;
        let cells = read_cells(&mut reader, agreement)?;
        let facts = (0..facts)
            .map(|_| read_fact(&mut reader))
            .collect::<Result<_, _>>()?;
        let (mut local, mut shown) = (Vec::new(), Vec::new());
        if reader.rest().first() == Some(&TRAILER) {
            reader.take(TRAILER_BYTES, "row key")?;
        } else if !reader.rest().is_empty() {
            loop {
                match reader.u8("local column")? {
                    0 => break,
                    1 => local.push(LocalValue::Number(i64::from_be_bytes(
                        reader.array("local")?,
                    ))),
                    _ => local.push(LocalValue::Text(reader.short_text("local")?.to_owned())),
                }
            }
            for _ in agreement.fields() {
                shown.push(reader.short_text("field")?.to_owned());
            }
        }
        reader.finish("record")?;
        // Gaps were derived before; deriving again changes nothing.
        Ok(Self {
            id,
            person: Person::new(agreement, cells),
            row,
            facts,
            local,
            shown,
        })
    }
}

/// Appends a person's cells.
pub fn put_person(out: &mut Vec<u8>, person: &Person) -> Result<(), CodecError> {
    for cell in person.cells() {
        let flags = u8::from(cell.value.is_some()) | u8::from(cell.remnant.is_some()) << 1;
        out.push(flags);
        for text in cell.value.iter().chain(cell.remnant.iter()) {
            put_short_bytes(out, text.as_bytes(), "field")?;
        }
    }
    Ok(())
}

/// Reads a person's cells under the same agreement.
pub fn read_cells(
    reader: &mut Reader<'_>,
    agreement: &Agreement,
) -> Result<Vec<Normal>, CodecError> {
    let mut cells = Vec::with_capacity(agreement.fields().len());
    for _ in agreement.fields() {
        let flags = reader.u8("field")?;
        let mut text = |bit: u8| -> Result<Option<String>, CodecError> {
            if flags & bit == 0 {
                return Ok(None);
            }
            Ok(Some(reader.short_text("field")?.to_owned()))
        };
        let (value, remnant) = (text(1)?, text(2)?);
        cells.push(Normal {
            quality: Quality::Valid,
            value,
            remnant,
        });
    }
    Ok(cells)
}

fn put_fact(out: &mut Vec<u8>, value: &FactValue) -> Result<(), CodecError> {
    match value {
        FactValue::Absent => out.push(0),
        FactValue::Code(index) => out.extend_from_slice(&[1, *index]),
        FactValue::Date(day) => {
            out.push(2);
            out.extend_from_slice(&day.to_be_bytes());
        }
        FactValue::Integer(number) => {
            out.push(3);
            out.extend_from_slice(&number.to_be_bytes());
        }
        FactValue::Reference(text) => {
            out.push(4);
            put_short_bytes(out, text.as_bytes(), "reference")?;
        }
    }
    Ok(())
}

fn read_fact(reader: &mut Reader<'_>) -> Result<FactValue, CodecError> {
    Ok(match reader.u8("fact")? {
        0 => FactValue::Absent,
        1 => FactValue::Code(reader.u8("code")?),
        2 => FactValue::Date(reader.u32("date")?),
        3 => FactValue::Integer(i64::from_be_bytes(reader.array("integer")?)),
        _ => FactValue::Reference(reader.short_text("reference")?.to_owned()),
    })
}

/// What makes a record a canary.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    /// Number within the register's context.
    pub index: u16,
    /// Match keys that it has: those that most records of its side have.
    pub bitmap: u16,
    /// Bytes of encoded facts that it pretends to have: as many as records of its side have.
    pub facts_bytes: usize,
}

/// A person with all its rows.
pub struct Grouped {
    /// Local pseudonym.
    pub id: PersonId,
    /// Normalised person.
    pub person: Person,
    /// Rows in the source.
    pub rows: Vec<u64>,
    /// Facts of the rows, ascending; equal rows counted once.
    pub facts: Facts,
    /// Local columns per row (roll).
    pub local: Vec<Vec<LocalValue>>,
    /// Fields as in the file, of the first row (roll).
    pub shown: Vec<String>,
    /// Set for an invented record.
    pub canary: Option<Canary>,
}

/// Groups the records of a partition by person, in the order of `key`.
pub fn group<K: Ord>(mut records: Vec<Spooled>, key: impl Fn(&PersonId) -> K) -> Vec<Grouped> {
    records.sort_by_cached_key(|record| (key(&record.id), record.row));
    let mut out: Vec<Grouped> = Vec::new();
    for record in records {
        match out.last_mut().filter(|last| last.id == record.id) {
            Some(last) => {
                last.rows.push(record.row);
                last.facts.rows.push(record.facts);
                last.local.push(record.local);
            }
            None => out.push(Grouped {
                id: record.id,
                person: record.person,
                rows: vec![record.row],
                facts: Facts {
                    rows: vec![record.facts],
                    rows_left_out: 0,
                },
                local: vec![record.local],
                shown: record.shown,
                canary: None,
            }),
        }
    }
    for person in &mut out {
        let facts = &mut person.facts;
        facts.rows.sort_unstable();
        facts.rows.dedup();
        let left_out = facts.rows.len().saturating_sub(FACT_ROWS_MAX);
        facts.rows_left_out = u16::try_from(left_out).unwrap_or(u16::MAX);
        facts.rows.truncate(FACT_ROWS_MAX);
    }
    out
}
