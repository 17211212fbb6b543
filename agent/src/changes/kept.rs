//! What was delivered, kept to build changes on. In: the spool of a whole delivery; later the records that changes have made other.
//! Out: the same, record by record. Three sealed files of the whole delivery (head, rows, values) and one of the changes since.
//! Invariant: all name the delivery that they belong to; files of another one count as not there.
//! Specification: docs/ARCHITECTURE.md, "Changes".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::codec::Reader;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Handle;
use hedui_protocol::limits::PAYLOAD_CLASSES;
use hedui_protocol::match_key::KeyInput;
use hedui_protocol::primitive::hex;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::content::Content;
use crate::encode::{Encoder, TooCommon};
use crate::record::{Grouped, RowKey, Spooled, group, number_of, person_of, split};
use crate::sealed_file;
use crate::spool::Spool;
use crate::usual::class_at;

const HEAD: &str = "delivered head";
const ROWS: &str = "delivered rows";
const VALUES: &str = "delivered values";
const SINCE: &str = "delivered since";
/// Rows of a register that can be kept; the keys of all are held in memory once, 24 bytes each.
pub const KEPT_ROWS_MAX: u64 = 20_000_000;

/// A row of a record: its key, and the row as spooled.
#[derive(Clone)]
pub struct Row {
    /// Local name of the row.
    pub key: RowKey,
    /// Pseudonym, number, person and facts.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What was delivered whole, in numbers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// SHA-256 of the header under which it went out, hexadecimal.
    pub base: String,
    /// Day of the last delivery, whole or changes.
    pub sent: String,
    /// What the rows say.
    pub content: String,
    /// Name of the data.
    pub snapshot: String,
    /// Digest of how rows were read: what the mapping makes of them, and the normal forms.
    pub form: String,
    /// Records, without canaries and padding.
    pub tally: Tally,
}

/// What the records are like, as the matcher sees them.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Records.
    pub records: u64,
    /// Records by bitmap, without values that are too common.
    pub presence: BTreeMap<u16, u64>,
    /// Records by class of payload.
    pub classes: [u64; PAYLOAD_CLASSES.len()],
}

impl Tally {
    /// One more record.
    pub fn add(&mut self, bitmap: u16, class: usize) {
        self.records += 1;
        *self.presence.entry(bitmap).or_default() += 1;
        self.classes[class] += 1;
    }

    /// One record less, of those that were counted.
    pub fn take(&mut self, bitmap: u16, class: usize) {
        self.records = self.records.saturating_sub(1);
        self.classes[class] = self.classes[class].saturating_sub(1);
        if let Some(count) = self.presence.get_mut(&bitmap) {
            *count = count.saturating_sub(1);
        }
        self.presence.retain(|_, count| *count > 0);
    }
}

/// Which match-key values a record has, and what follows from their frequency.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// Match keys that it has.
    pub has: u16,
    /// Those whose value is too common.
    pub common: u16,
    /// Class of its payload.
    pub class: usize,
    /// Names of the values, 12 bytes per match key of the agreement; zeros where there is none.
    names: &'a [u8],
}

/// Bytes of a value's name.
pub const NAME_BYTES: usize = 12;

impl<'a> Values<'a> {
    /// Match keys and names of the values that a record has.
    pub fn named(self) -> impl Iterator<Item = (u8, [u8; NAME_BYTES])> + use<'a> {
        let (names, _) = self.names.as_chunks::<NAME_BYTES>();
        let all = (1_u8..).zip(names.iter().copied());
        all.filter(|(_, name)| *name != [0; NAME_BYTES])
    }
}

/// Which values a record has, before it is known which are too common.
pub fn values_of(encoder: &Encoder<'_>, person: &Grouped) -> Vec<u8> {
    let agreement = encoder.agreement;
    let has = encoder.bitmap(person, &TooCommon::new());
    let class = u8::try_from(class_at(person)).unwrap_or(0);
    let mut out = [&has.to_be_bytes()[..], &[0, 0, class]].concat();
    let (digest, epoch) = (agreement.digest(), agreement.epoch());
    for key in agreement.match_keys() {
        let inputs = KeyInput::all(digest, epoch, key, &person.person, encoder.side);
        let name = inputs
            .first()
            .map(|input| encoder.pseudonyms.value_name(input.bytes()));
        out.extend_from_slice(&name.unwrap_or_default());
    }
    out
}

/// Reads what [`values_of`] makes.
pub fn read_values(bytes: &[u8]) -> Option<Values<'_>> {
    let ([a, b, c, d, class], names) = bytes.split_first_chunk::<5>()?;
    Some(Values {
        has: u16::from_be_bytes([*a, *b]),
        common: u16::from_be_bytes([*c, *d]),
        class: usize::from(*class).min(PAYLOAD_CLASSES.len() - 1),
        names,
    })
}

/// Records that changes have made other than the whole delivery has them; without rows: no longer there.
pub type Since = BTreeMap<Handle, Vec<Row>>;

/// Where the state of one register lies.
pub struct Kept<'a> {
    identity: &'a Identity,
    state: PathBuf,
    name: String,
}

/// Files of changes that were applied since the whole delivery, and what they made other.
#[derive(Default)]
pub struct Changed {
    /// SHA-256 of each file of changes, hexadecimal, in their order.
    pub files: Vec<String>,
    /// Day of the last one.
    pub sent: String,
    /// Name of the data as they are now.
    pub snapshot: String,
    /// Records that are other now.
    pub records: Since,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedHead {
    base: String,
    sent: String,
    snapshot: String,
    files: Vec<String>,
}

impl<'a> Kept<'a> {
    /// The state of a register under an agreement and epoch.
    pub fn of(state: &Path, identity: &'a Identity, agreement: &InForce, register: &str) -> Self {
        let digits: String = agreement.digest().to_hex().chars().take(16).collect();
        let epoch = agreement.epoch().0;
        Self {
            identity,
            state: state.to_path_buf(),
            name: format!("{register}-{digits}-{epoch}.sealed"),
        }
    }

    fn path(&self, what: &str) -> PathBuf {
        self.state.join(format!("delivered-{what}-{}", self.name))
    }

    /// What was delivered whole, if it is kept.
    pub fn head(&self) -> Result<Option<Head>, Problem> {
        let path = self.path("head");
        if !path.exists() {
            return Ok(None);
        }
        let mut head = None;
        sealed_file::read(&path, self.identity, HEAD, |record| {
            head = serde_json::from_slice(record).ok();
            Ok(())
        })?;
        head.map(Some).ok_or_else(damaged)
    }

    /// What has been changed since a whole delivery.
    pub fn since(&self, base: &str) -> Result<Changed, Problem> {
        let path = self.path("since");
        if !path.exists() {
            return Ok(Changed::default());
        }
        let (mut changed, mut of_base) = (Changed::default(), None);
        sealed_file::read(&path, self.identity, SINCE, |record| {
            if of_base.is_none() {
                let head: ChangedHead = serde_json::from_slice(record).map_err(|_| damaged())?;
                of_base = Some(head.base == base);
                changed.files = head.files;
                (changed.sent, changed.snapshot) = (head.sent, head.snapshot);
                return Ok(());
            }
            let (handle, rows) = read_record(record).ok_or_else(damaged)?;
            changed.records.insert(handle, rows);
            Ok(())
        })?;
        match of_base {
            Some(true) => Ok(changed),
            Some(false) => Ok(Changed::default()),
            None => Err(damaged()),
        }
    }

    /// Keeps what has been changed since a whole delivery.
    pub fn keep_since(&self, base: &str, changed: &Changed) -> Result<(), Problem> {
        let head = ChangedHead {
            base: base.to_owned(),
            sent: changed.sent.clone(),
            snapshot: changed.snapshot.clone(),
            files: changed.files.clone(),
        };
        sealed_file::write(&self.path("since"), self.identity, SINCE, |put| {
            put(&json(&head)?)?;
            let mut records = changed.records.iter();
            records.try_for_each(|(handle, rows)| put(&put_record(handle, rows)?))
        })
    }

    /// Keeps a whole delivery that went out under a header. The head comes last: without it the rest counts as not there.
    pub fn keep_whole(
        &self,
        (encoder, facts): (&Encoder<'_>, usize),
        spool: &mut Spool,
        too_common: &TooCommon,
        (base, sent, form, content): (&str, &str, String, &Content),
    ) -> Result<(), Problem> {
        self.begin_whole()?;
        let head = self.path("head");
        let mut tally = Tally::default();
        sealed_file::write(&self.path("values"), self.identity, VALUES, |put_values| {
            put_values(base.as_bytes())?;
            sealed_file::write(&self.path("rows"), self.identity, ROWS, |put_rows| {
                put_rows(base.as_bytes())?;
                for part in 0..spool.partitions() {
                    for (record, values) in
                        part_of(encoder, facts, &spool.records(part)?, too_common)?
                    {
                        let seen = read_values(&values[16..]).ok_or_else(damaged)?;
                        tally.add(seen.has & !seen.common, seen.class);
                        put_values(&values)?;
                        put_rows(&record)?;
                    }
                }
                Ok(())
            })
        })?;
        let written = Head {
            base: base.to_owned(),
            sent: sent.to_owned(),
            content: content.render(),
            snapshot: content.name(encoder.pseudonyms),
            form,
            tally,
        };
        sealed_file::write(&head, self.identity, HEAD, |put| put(&json(&written)?))?;
        // Changes to an earlier delivery are over.
        self.forget("since")
    }

    /// A whole delivery begins: changes cannot build on the last one any more, whatever becomes of this one.
    pub fn begin_whole(&self) -> Result<(), Problem> {
        self.forget("head")
    }

    /// Keeps nothing any more: what was delivered last cannot be built on.
    pub fn forget_all(&self) -> Result<(), Problem> {
        ["head", "rows", "values", "since"]
            .iter()
            .try_for_each(|what| self.forget(what))
    }

    fn forget(&self, what: &str) -> Result<(), Problem> {
        let path = self.path(what);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Problem::io(&path, error))
            }
            _ => {
                files::sync_folder(path.parent().unwrap_or(Path::new(".")));
                Ok(())
            }
        }
    }

    /// What was delivered whole and what has been changed since, if anything was.
    pub fn changed(&self) -> Result<Option<(Head, Changed)>, Problem> {
        let Some(head) = self.head()? else {
            return Ok(None);
        };
        let changed = self.since(&head.base)?;
        Ok((!changed.files.is_empty()).then_some((head, changed)))
    }

    /// Hands over the records of the whole delivery as they are kept, in the order of their handles.
    pub fn records(
        &self,
        base: &str,
        mut take: impl FnMut(Handle, &[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.each(("rows", ROWS), base, &mut take)
    }

    /// Hands over which values each of those records has.
    pub fn values(
        &self,
        base: &str,
        mut take: impl FnMut(Handle, Values<'_>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.each(("values", VALUES), base, &mut |handle, rest| {
            take(handle, read_values(rest).ok_or_else(damaged)?)
        })
    }

    fn each(
        &self,
        (what, purpose): (&str, &str),
        base: &str,
        take: &mut TakeRecord<'_>,
    ) -> Result<(), Problem> {
        let mut first = true;
        sealed_file::read(&self.path(what), self.identity, purpose, |record| {
            if std::mem::take(&mut first) {
                return match record == base.as_bytes() {
                    true => Ok(()),
                    false => Err(damaged()),
                };
            }
            let (handle, rest) = record.split_first_chunk::<16>().ok_or_else(damaged)?;
            take(Handle(*handle), rest)
        })
    }
}

/// Takes a kept record: its handle, and what is kept of it.
type TakeRecord<'a> = dyn FnMut(Handle, &[u8]) -> Result<(), Problem> + 'a;

/// A record's kept row and its values.
type KeptRecord = (Zeroizing<Vec<u8>>, Vec<u8>);

/// What is kept of the records of one part of the spool, in the order of their handles.
fn part_of(
    encoder: &Encoder<'_>,
    facts: usize,
    spooled: &[Zeroizing<Vec<u8>>],
    too_common: &TooCommon,
) -> Result<Vec<KeptRecord>, Problem> {
    let handle = |id: &[u8; 16]| encoder.pseudonyms.handle(encoder.register, id);
    let mut rows = spooled
        .par_iter()
        .map(|bytes| {
            let (row, key, _) = split(bytes).ok_or_else(damaged)?;
            let key = key.ok_or_else(damaged)?;
            Ok((handle(&person_of(row)), number_of(row), key, row))
        })
        .collect::<Result<Vec<_>, Problem>>()?;
    rows.sort_unstable_by_key(|(handle, number, ..)| (*handle, *number));
    let groups: Vec<_> = rows.chunk_by(|a, b| a.0 == b.0).collect();
    groups
        .into_par_iter()
        .map(|rows| {
            let own: Vec<Row> = rows
                .iter()
                .map(|(_, _, key, row)| Row {
                    key: *key,
                    bytes: Zeroizing::new(row.to_vec()),
                })
                .collect();
            let handle = rows.first().map_or(Handle([0; 16]), |row| row.0);
            let person = person(encoder, facts, &own)?.ok_or_else(damaged)?;
            let mut values = values_of(encoder, &person);
            let keys = encoder.agreement.match_keys().iter();
            let common = keys
                .filter(|key| too_common.contains(&(handle, key.number)))
                .fold(0_u16, |bits, key| bits | 1 << (key.number - 1));
            values[2..4].copy_from_slice(&common.to_be_bytes());
            Ok((
                put_record(&handle, &own)?,
                [&handle.0[..], &values].concat(),
            ))
        })
        .collect()
}

/// The person of a record's rows, all of which are the same person's.
pub fn person(
    encoder: &Encoder<'_>,
    facts: usize,
    rows: &[Row],
) -> Result<Option<Grouped>, Problem> {
    let decoded = rows
        .iter()
        .map(|row| Spooled::decode(&row.bytes, encoder.agreement, facts))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| damaged())?;
    Ok(group(decoded, |id| *id).pop())
}

/// `handle 16 ‖ (key 16 ‖ u32 length ‖ row)…`.
fn put_record(handle: &Handle, rows: &[Row]) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let room = rows.iter().map(|row| row.bytes.len() + 20).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(room + 16));
    out.extend_from_slice(&handle.0);
    for row in rows {
        let len = u32::try_from(row.bytes.len()).map_err(|_| damaged())?;
        out.extend_from_slice(&row.key);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&row.bytes);
    }
    Ok(out)
}

/// Reads what [`put_record`] writes.
fn read_record(record: &[u8]) -> Option<(Handle, Vec<Row>)> {
    let (handle, rest) = record.split_first_chunk::<16>()?;
    Some((Handle(*handle), read_rows(rest)?))
}

/// Reads the rows of a kept record.
pub fn read_rows(bytes: &[u8]) -> Option<Vec<Row>> {
    let mut reader = Reader::new(bytes);
    let mut rows = Vec::new();
    while !reader.rest().is_empty() {
        let key = reader.array("key").ok()?;
        let len = u32::from_be_bytes(reader.array("row").ok()?);
        let bytes = reader.take(usize::try_from(len).ok()?, "row").ok()?;
        rows.push(Row {
            key,
            bytes: Zeroizing::new(bytes.to_vec()),
        });
    }
    Some(rows)
}

/// Keys of the rows of a kept record, without reading the rows.
pub fn keys_of(bytes: &[u8]) -> impl Iterator<Item = RowKey> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<20>()?;
        let (key, len) = head.split_first_chunk::<16>()?;
        let len = len.first_chunk::<4>().map(|len| u32::from_be_bytes(*len))?;
        rest = tail.get(usize::try_from(len).ok()?..)?;
        Some(*key)
    })
}

/// Why rows cannot be told apart by their keys.
pub struct Unfit {
    /// Rows without a key, or with the key of another.
    pub count: u64,
    /// Numbers of the first of them.
    pub rows: Vec<u64>,
}

/// Looks whether every row has a key of its own.
pub fn unfit(spool: &mut Spool) -> Result<Option<Unfit>, Problem> {
    let mut keys: Vec<(RowKey, u64)> = Vec::new();
    let mut found = Unfit {
        count: 0,
        rows: Vec::new(),
    };
    let mut note = |number: u64| {
        found.count += 1;
        found.rows.push(number);
        found.rows.sort_unstable();
        found.rows.truncate(5);
    };
    for part in 0..spool.partitions() {
        for bytes in spool.records(part)? {
            match split(&bytes) {
                Some((row, Some(key), _)) => keys.push((key, number_of(row))),
                _ => note(number_of(&bytes)),
            }
        }
    }
    keys.par_sort_unstable();
    let pairs = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    pairs.for_each(|pair| note(pair[1].1));
    Ok((found.count > 0).then_some(found))
}

/// A header digest as it is kept.
pub fn base_of(header_sha256: &[u8; 32]) -> String {
    hex(header_sha256)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| Problem::data(error.to_string(), "report this"))
}

pub(super) fn damaged() -> Problem {
    Problem::data(
        "已保存的上次报送数据缺失或损坏 what is kept of the last whole delivery is missing or damaged",
        "请全量报送一次 deliver the whole register once",
    )
}
