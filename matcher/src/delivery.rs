//! A register's delivery in force: a whole one, perhaps with changes made to it since. In: the folders of accepted tables. Out:
//! rows of its tables. Invariant: base without what is gone, and with what came, is row for row the delivery that would have come
//! whole, so nothing behind this file knows the difference.
//! Specification: protocol/SPEC.md, "Changes"; decision 0017.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use hedui_edge::Problem;
use hedui_protocol::ids::Handle;
use hedui_protocol::message::submission::{GONE, HANDLE_BYTES, PRESENCE, PRESENCE_ROW_BYTES};

use crate::intake::State;
use crate::plan::Pairing;
use crate::segment::first_from;

/// Where the tables of a register's side lie.
pub struct Delivery {
    base: PathBuf,
    changes: Option<Changes>,
}

struct Changes {
    folder: PathBuf,
    gone: Vec<Handle>,
}

impl Delivery {
    /// The register's side of a pairing.
    pub fn of(state: &State, pairing: &Pairing) -> Result<Self, Problem> {
        let folder = |header: &String| state.segments().join(header);
        let last = folder(&pairing.submission);
        match &pairing.base {
            None => Ok(Self {
                base: last,
                changes: None,
            }),
            Some(base) => Self::changed(folder(base), last),
        }
    }

    /// A whole delivery with changes to it.
    pub fn changed(base: PathBuf, folder: PathBuf) -> Result<Self, Problem> {
        let gone = handles(&folder.join(GONE), HANDLE_BYTES)?;
        Ok(Self {
            base,
            changes: Some(Changes { folder, gone }),
        })
    }

    /// Whether a record of the base is no longer as the base has it.
    pub fn is_gone(&self, handle: &Handle) -> bool {
        let gone = self.changes.as_ref().map(|changes| &changes.gone);
        gone.is_some_and(|gone| gone.binary_search(handle).is_ok())
    }

    /// Hands over the rows of a table whose handle is wanted, in the order of handles.
    pub fn select(
        &self,
        table: &str,
        width: usize,
        wanted: &BTreeSet<Handle>,
        mut take: impl FnMut(Handle, &[u8]),
    ) -> Result<(), Problem> {
        let Some(changes) = &self.changes else {
            return select(&self.base.join(table), width, wanted, take);
        };
        let mut come: BTreeMap<Handle, Vec<u8>> = BTreeMap::new();
        select(&changes.folder.join(table), width, wanted, |handle, row| {
            come.insert(handle, row.to_vec());
        })?;
        let left = wanted.iter().filter(|handle| !self.is_gone(handle));
        let left: BTreeSet<Handle> = left.copied().collect();
        let mut come = come.into_iter().peekable();
        select(&self.base.join(table), width, &left, |handle, row| {
            while let Some((earlier, row)) = come.next_if(|(next, _)| *next < handle) {
                take(earlier, &row);
            }
            take(handle, row);
        })?;
        come.for_each(|(handle, row)| take(handle, &row));
        Ok(())
    }

    /// The records of the delivery, padding included, to draw from.
    pub fn records(&self) -> Result<Records, Problem> {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        if let Some(changes) = &self.changes {
            gone.clone_from(&changes.gone);
            come = handles(&changes.folder.join(PRESENCE), PRESENCE_ROW_BYTES)?;
        }
        Records::open(&self.base.join(PRESENCE), gone, come)
    }
}

/// The handles at the head of every row of a table.
pub fn handles(path: &Path, width: usize) -> Result<Vec<Handle>, Problem> {
    let bytes = std::fs::read(path).map_err(|error| Problem::io(path, error))?;
    let rows = bytes.chunks_exact(width);
    Ok(rows
        .map(|row| Handle(row.first_chunk::<16>().copied().unwrap_or_default()))
        .collect())
}

/// Bytes read at once where rows are picked out of a table.
const PICK_BYTES: u64 = 4096;

/// Hands over the rows of a handle-sorted table whose handle is wanted. Handles are pseudo-random: where few are wanted, each is looked
/// for where it must be about, otherwise the table is read from end to end.
pub fn select(
    path: &Path,
    width: usize,
    wanted: &BTreeSet<Handle>,
    take: impl FnMut(Handle, &[u8]),
) -> Result<(), Problem> {
    let wrap = |error| Problem::io(path, error);
    let file = File::open(path).map_err(wrap)?;
    let rows = file.metadata().map_err(wrap)?.len() / width as u64;
    let step = (PICK_BYTES / width as u64).max(1);
    if (wanted.len() as u64).saturating_mul(8 * step) < rows {
        return pick(path, file, (width, rows, step), wanted, take);
    }
    scan(path, file, (width, rows), wanted, take)
}

/// Bytes read at once where a table is read from end to end.
const SCAN_BYTES: usize = 1 << 18;

/// Reads a table from end to end; from one wanted row to the next in growing steps, because most rows are passed over.
fn scan(
    path: &Path,
    mut file: File,
    (width, mut left): (usize, u64),
    wanted: &BTreeSet<Handle>,
    mut take: impl FnMut(Handle, &[u8]),
) -> Result<(), Problem> {
    let mut wanted = wanted.iter().peekable();
    let mut block = Vec::new();
    while left > 0 && wanted.peek().is_some() {
        let count = (SCAN_BYTES / width).min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= count as u64;
        block.resize(count * width, 0);
        file.read_exact(&mut block)
            .map_err(|error| Problem::io(path, error))?;
        let handle = |row: usize| handle_of(&block[row * width..]);
        let (mut at, last) = (0, handle(count - 1));
        // No wanted handle is above the last one, so there always is a row from which on none is below it.
        while let Some(next) = wanted.next_if(|next| **next <= last) {
            at = first_from(at, count, |row| handle(row) < *next);
            if handle(at) == *next {
                take(*next, &block[at * width..(at + 1) * width]);
            }
        }
    }
    Ok(())
}

fn handle_of(row: &[u8]) -> Handle {
    Handle(row.first_chunk::<16>().copied().unwrap_or_default())
}

/// The same by looking near the place where a handle must be, and from there on to both sides.
fn pick(
    path: &Path,
    mut file: File,
    (width, rows, step): (usize, u64, u64),
    wanted: &BTreeSet<Handle>,
    mut take: impl FnMut(Handle, &[u8]),
) -> Result<(), Problem> {
    let wrap = |error| Problem::io(path, error);
    let mut block = Vec::new();
    for handle in wanted {
        // Rows below `low` have lesser handles, rows from `high` on greater ones.
        let (mut low, mut high) = (0, rows);
        let mut guess = place(handle, rows);
        while low < high {
            let from = guess.saturating_sub(step / 2).clamp(low, high - 1);
            let to = (from + step).min(high);
            block.resize(usize::try_from(to - from).unwrap_or(0) * width, 0);
            file.seek(SeekFrom::Start(from * width as u64))
                .and_then(|_| file.read_exact(&mut block))
                .map_err(wrap)?;
            let last = block.len() - width;
            if handle_of(&block) > *handle {
                high = from;
            } else if handle_of(&block[last..]) < *handle {
                low = to;
            } else {
                let found = block
                    .chunks_exact(width)
                    .find(|row| handle_of(row) == *handle);
                found.into_iter().for_each(|row| take(*handle, row));
                break;
            }
            // Halving bounds the steps where handles are not spread as they should be.
            guess = low + (high - low) / 2;
        }
    }
    Ok(())
}

/// Row at which a handle is to be expected among `rows` evenly spread ones.
fn place(handle: &Handle, rows: u64) -> u64 {
    let head = handle.0.first_chunk::<8>().copied().unwrap_or_default();
    let part = (u128::from(u64::from_be_bytes(head)) * u128::from(rows)) >> 64;
    u64::try_from(part).unwrap_or(0)
}

/// The records of one side, in the order of their handles.
pub struct Records {
    file: File,
    rows: u64,
    gone: Vec<Handle>,
    come: Vec<Handle>,
}

impl Records {
    /// Those of a presence table, without those that are gone and with those that came; both sorted.
    pub fn open(path: &Path, gone: Vec<Handle>, come: Vec<Handle>) -> Result<Self, Problem> {
        let wrap = |error| Problem::io(path, error);
        let file = File::open(path).map_err(wrap)?;
        let rows = file.metadata().map_err(wrap)?.len() / PRESENCE_ROW_BYTES as u64;
        Ok(Self {
            file,
            rows,
            gone,
            come,
        })
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.rows - self.gone.len() as u64 + self.come.len() as u64
    }

    /// The first record whose handle is not below a drawn one, or the first of all: a record that comes or goes
    /// moves few decoys only. Handles are pseudo-random and stand in order.
    pub fn at_or_after(&mut self, drawn: Handle) -> Result<Handle, Problem> {
        match self.first_from(drawn)? {
            Some(handle) => Ok(handle),
            None => Ok(self.first_from(Handle([0; 16]))?.unwrap_or(drawn)),
        }
    }

    fn first_from(&mut self, drawn: Handle) -> Result<Option<Handle>, Problem> {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.handle(middle)? < drawn {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut own = None;
        while low < self.rows && own.is_none() {
            let handle = self.handle(low)?;
            own = self.gone.binary_search(&handle).is_err().then_some(handle);
            low += 1;
        }
        let at = self.come.partition_point(|handle| *handle < drawn);
        let come = self.come.get(at).copied();
        Ok(own.into_iter().chain(come).min())
    }

    fn handle(&mut self, row: u64) -> Result<Handle, Problem> {
        let mut handle = [0; 16];
        self.file
            .seek(SeekFrom::Start(row * PRESENCE_ROW_BYTES as u64))
            .and_then(|_| self.file.read_exact(&mut handle))
            .map_err(|error| Problem::io("presence", error))?;
        Ok(Handle(handle))
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
