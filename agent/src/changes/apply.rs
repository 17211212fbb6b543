//! Applying a file of changes. In: its rows, and what is kept. Out: every record that the changes touch, as it was delivered whole and as
//! it is now. Invariant: a change that does not fit what is there (an addition of what is there, a change or withdrawal of what is
//! not) stops everything before anything is written; rows are applied in the order of the file.
//! Specification: docs/OPERATIONS.md, "Changes".

use std::collections::{BTreeMap, BTreeSet};

use hedui_edge::Problem;
use hedui_protocol::ids::Handle;
use zeroize::Zeroizing;

use super::kept::{Changed, Kept, Row, damaged, keys_of, read_rows};
use crate::encode::Encoder;
use crate::record::{
    Operation, RowKey, number_of, person_of, renumber, row_of_changes, said_by, split,
};
use crate::spool::Spool;

/// A record before and after.
#[derive(Default)]
pub struct Version {
    /// As it was delivered whole; empty: it was not there.
    pub base: Vec<Row>,
    /// As it is now, by the rows' keys; empty: it is not there any more.
    pub now: BTreeMap<RowKey, Row>,
}

impl Version {
    /// The rows as they are now.
    pub fn rows(&self) -> Vec<Row> {
        self.now.values().cloned().collect()
    }

    /// Whether nothing has changed, not even where a row stands.
    pub fn is_same(&self) -> bool {
        let has = |row: &Row| {
            let now = self.now.get(&row.key);
            now.is_some_and(|other| other.bytes == row.bytes)
        };
        self.base.len() == self.now.len() && self.base.iter().all(has)
    }
}

/// The records that changes touch, those of earlier changes among them.
pub type Versions = BTreeMap<Handle, Version>;

/// A row of a file of changes.
pub struct Change {
    key: RowKey,
    operation: Operation,
    handle: Handle,
    row: Zeroizing<Vec<u8>>,
}

/// How the rows of a file of changes count.
#[derive(Default, serde::Serialize)]
pub struct Counts {
    /// Rows that came.
    pub added: u64,
    /// Rows that say something else.
    pub changed: u64,
    /// Rows that went.
    pub withdrawn: u64,
    /// Rows that were so already.
    pub same: u64,
}

/// The rows of a file of changes, in its order.
pub fn read(encoder: &Encoder<'_>, spool: &mut Spool) -> Result<Vec<Change>, Problem> {
    let mut changes = Vec::new();
    for part in 0..spool.partitions() {
        for bytes in spool.records(part)? {
            let parsed = split(&bytes).and_then(|(row, key, operation)| {
                // Left out and without a key: it never was there.
                let (operation, key) = (operation?, key.unwrap_or_default());
                let handle = encoder.pseudonyms.handle(encoder.register, &person_of(row));
                Some(Change {
                    key,
                    operation,
                    handle,
                    row: Zeroizing::new(row.to_vec()),
                })
            });
            changes.push(parsed.ok_or_else(damaged)?);
        }
    }
    changes.sort_by_key(|change| number_of(&change.row));
    Ok(changes)
}

/// Records that earlier changes, or these, touch.
pub fn touched(
    kept: &Kept<'_>,
    (base, since): (&str, &Changed),
    changes: &[Change],
) -> Result<Versions, Problem> {
    let keys = Sieve::of(changes.iter().map(|change| change.key));
    let stays = |change: &&Change| change.operation.brings();
    let own = changes.iter().filter(stays).map(|change| change.handle.0);
    let handles = Sieve::of(own.chain(since.records.keys().map(|handle| handle.0)));
    let mut versions = Versions::new();
    for (handle, rows) in &since.records {
        let now = by_key(rows);
        versions.insert(
            *handle,
            Version {
                now,
                base: Vec::new(),
            },
        );
    }
    kept.records(base, |handle, bytes| {
        if !handles.has(&handle.0) && !keys_of(bytes).any(|key| keys.has(&key)) {
            return Ok(());
        }
        let base = read_rows(bytes).ok_or_else(damaged)?;
        match versions.get_mut(&handle) {
            Some(version) => version.base = base,
            None => {
                let now = by_key(&base);
                versions.insert(handle, Version { base, now });
            }
        }
        Ok(())
    })?;
    Ok(versions)
}

/// Applies changes of the file with a number; refuses all of them where one does not fit. Where the mapping leaves rows out
/// (`some_left_out`), a changed row that is not there may be one that was left out before: it comes.
pub fn apply(
    versions: &mut Versions,
    changes: Vec<Change>,
    (file, some_left_out): (u64, bool),
) -> Result<Counts, Problem> {
    let mut at: BTreeMap<RowKey, Handle> = BTreeMap::new();
    for (handle, version) in versions.iter() {
        at.extend(version.now.keys().map(|key| (*key, *handle)));
    }
    let (mut counts, mut unfit) = (Counts::default(), Unfit::default());
    for mut change in changes {
        let number = number_of(&change.row);
        let held = at.get(&change.key).copied();
        let same = held.is_some_and(|held| {
            held == change.handle
                && find(versions, &held, &change.key)
                    .is_some_and(|row| said_by(&row.bytes) == said_by(&change.row))
        });
        match (change.operation, held) {
            (Operation::Add | Operation::Change, Some(_)) if same => {
                counts.same += 1;
                continue;
            }
            (Operation::Add, None) => counts.added += 1,
            (Operation::Change, Some(_)) => counts.changed += 1,
            (Operation::Change, None) if some_left_out => counts.added += 1,
            (Operation::Withdraw | Operation::LeaveOut, Some(_)) => counts.withdrawn += 1,
            (Operation::LeaveOut, None) => {
                counts.same += 1;
                continue;
            }
            (Operation::Add, Some(_)) => {
                unfit.there.push(number);
                continue;
            }
            (Operation::Change | Operation::Withdraw, None) => {
                unfit.not_there.push(number);
                continue;
            }
        }
        if let Some(version) = held.and_then(|held| versions.get_mut(&held)) {
            version.now.remove(&change.key);
            at.remove(&change.key);
        }
        if change.operation.brings() {
            renumber(&mut change.row, row_of_changes(file, number));
            at.insert(change.key, change.handle);
            let row = Row {
                key: change.key,
                bytes: change.row,
            };
            let version = versions.entry(change.handle).or_default();
            version.now.insert(row.key, row);
        }
    }
    unfit.check()?;
    Ok(counts)
}

fn find<'v>(versions: &'v Versions, handle: &Handle, key: &RowKey) -> Option<&'v Row> {
    versions.get(handle)?.now.get(key)
}

fn by_key(rows: &[Row]) -> BTreeMap<RowKey, Row> {
    rows.iter().map(|row| (row.key, row.clone())).collect()
}

/// Rows that do not fit what is there.
#[derive(Default)]
struct Unfit {
    there: Vec<u64>,
    not_there: Vec<u64>,
}

impl Unfit {
    fn check(&self) -> Result<(), Problem> {
        let mut what = Vec::new();
        for (rows, words) in [
            (&self.there, "新增的行已经存在 add what is there already"),
            (
                &self.not_there,
                "变更或注销的行不存在 change or withdraw what is not there",
            ),
        ] {
            if !rows.is_empty() {
                let first: Vec<String> = rows.iter().take(5).map(u64::to_string).collect();
                let more = if rows.len() > 5 { " …" } else { "" };
                what.push(format!(
                    "{} 行 rows {words} ({}{more})",
                    rows.len(),
                    first.join(", ")
                ));
            }
        }
        if what.is_empty() {
            return Ok(());
        }
        Err(Problem::data(
            what.join("; "),
            "未作任何变更；可能漏报或重报了一份变更文件：补报，或改为全量报送 nothing was changed: perhaps a file of changes was left out or \
             comes again; deliver that first, or the whole register",
        ))
    }
}

/// A set that says no fast: names are pseudo-random, so a table of bits by their first ones rules nearly all others out.
struct Sieve {
    bits: Vec<u64>,
    names: BTreeSet<[u8; 16]>,
}

impl Sieve {
    /// Bits of the table's index.
    const INDEX_BITS: u32 = 20;

    fn of(names: impl Iterator<Item = [u8; 16]>) -> Self {
        let names: BTreeSet<[u8; 16]> = names.collect();
        let mut bits = vec![0; 1 << (Self::INDEX_BITS - 6)];
        for name in &names {
            let at = Self::index(name);
            bits[at / 64] |= 1 << (at % 64);
        }
        Self { bits, names }
    }

    fn index(name: &[u8; 16]) -> usize {
        let head = u32::from_be_bytes([name[12], name[13], name[14], name[15]]);
        (head >> (32 - Self::INDEX_BITS)) as usize
    }

    fn has(&self, name: &[u8; 16]) -> bool {
        let at = Self::index(name);
        self.bits[at / 64] & 1 << (at % 64) != 0 && self.names.contains(name)
    }
}
