//! Accepted tag tables at rest: sorted rows with an index by first byte. In: a submission's table.
//! Out: a segment file; readers over ranges of first bytes. Invariant: tags are stored as
//! BLAKE3-keyed(pepper, tag), so a stolen disk cannot be compared with what a department kept; rows are
//! sorted by stored tag, then handle. Specification: docs/ARCHITECTURE.md, "Matcher".

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use hedui_edge::Problem;
use hedui_edge::files::{self};
use hedui_protocol::primitive::{Sha256, hex};
use hedui_protocol::refusal::Refusal;
use hedui_protocol::secret::Secret;
use rayon::prelude::*;

/// A row: stored tag 16 ‖ handle 16.
pub type Row = [u8; 32];
const MAGIC: &[u8; 8] = b"hedseg1\n";
const HEAD_BYTES: u64 = 8 + 257 * 8;
/// Rows sorted in memory at a time while a segment is built (32 MiB).
const HELD_ROWS: usize = 1 << 20;

/// Writes the segment of a tag table read from `rows`; returns the segment's SHA-256.
pub fn build(
    path: &Path,
    rows: &mut impl Read,
    rows_count: u64,
    pepper: &Secret<32>,
    (work, multiplicity_cap): (&Path, u32),
) -> Result<[u8; 32], Problem> {
    let mut check = TableCheck::new(multiplicity_cap);
    let mut runs = Vec::new();
    let mut index = [0_u64; 256];
    let mut left = rows_count;
    while left > 0 {
        let take = usize::try_from(left.min(HELD_ROWS as u64)).unwrap_or(HELD_ROWS);
        let mut bytes = vec![0; take * 32];
        rows.read_exact(&mut bytes)
            .map_err(|error| Problem::io(path, error))?;
        let mut held: Vec<Row> = Vec::with_capacity(take);
        for row in bytes.as_chunks::<32>().0 {
            check.next(row)?;
            held.push(*row);
        }
        held.par_iter_mut().for_each(|row| {
            let mut hasher = blake3::Hasher::new_keyed(pepper.expose());
            hasher.update(&row[..16]);
            hasher.finalize_xof().fill(&mut row[..16]);
        });
        held.par_sort_unstable();
        for row in &held {
            index[usize::from(row[0])] += 1;
        }
        left -= take as u64;
        if left == 0 && runs.is_empty() {
            return write(path, &index, held.into_iter().map(Ok));
        }
        let run = files::temporary(work)?;
        let mut writer = BufWriter::with_capacity(1 << 20, run.as_file());
        held.iter()
            .try_for_each(|row| writer.write_all(row))
            .map_err(|e| Problem::io(run.path(), e))?;
        writer
            .flush()
            .map_err(|error| Problem::io(run.path(), error))?;
        drop(writer);
        runs.push(run);
    }
    let mut readers = Vec::new();
    for run in &runs {
        let file = run
            .reopen()
            .map_err(|error| Problem::io(run.path(), error))?;
        readers.push(BufReader::with_capacity(1 << 18, file));
    }
    write(path, &index, Merge::new(readers, path)?)
}

/// Writes a segment of rows that are sorted, into a folder that is to be settled; `counts` has the rows of each first byte.
pub fn write(
    path: &Path,
    counts: &[u64; 256],
    rows: impl Iterator<Item = Result<Row, Problem>>,
) -> Result<[u8; 32], Problem> {
    files::write_unseen(path, |out| {
        let wrap = |error| Problem::io(path, error);
        let mut hash = Sha256::default();
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            out.write_all(bytes).map_err(wrap)
        };
        put(MAGIC)?;
        let mut start = 0_u64;
        for count in counts {
            put(&start.to_be_bytes())?;
            start += count;
        }
        put(&start.to_be_bytes())?;
        for row in rows {
            put(&row?)?;
        }
        Ok(hash.finish())
    })
}

/// What a received tag table must be: sorted by tag, no tag more often than the agreement allows.
struct TableCheck {
    last: [u8; 32],
    run: u32,
    cap: u32,
}

impl TableCheck {
    fn new(cap: u32) -> Self {
        Self {
            last: [0; 32],
            run: 0,
            cap,
        }
    }

    fn next(&mut self, row: &Row) -> Result<(), Problem> {
        if *row < self.last {
            return Err(Refusal::malformed("submission", "a table is not sorted by tag").into());
        }
        self.run = if row[..16] == self.last[..16] {
            self.run + 1
        } else {
            1
        };
        if self.run > self.cap {
            let (found, allowed) = (u64::from(self.run), u64::from(self.cap));
            return Err(Refusal::Oversize {
                what: "multiplicity of a tag",
                found,
                allowed,
            }
            .into());
        }
        self.last = *row;
        Ok(())
    }
}

struct Merge {
    readers: Vec<BufReader<File>>,
    heap: std::collections::BinaryHeap<std::cmp::Reverse<(Row, usize)>>,
}

impl Merge {
    fn new(mut readers: Vec<BufReader<File>>, path: &Path) -> Result<Self, Problem> {
        let mut heap = std::collections::BinaryHeap::new();
        for (at, reader) in readers.iter_mut().enumerate() {
            let row = read_row(reader).map_err(|error| Problem::io(path, error))?;
            heap.extend(row.map(|row| std::cmp::Reverse((row, at))));
        }
        Ok(Self { readers, heap })
    }
}

impl Iterator for Merge {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let std::cmp::Reverse((row, at)) = self.heap.pop()?;
        match read_row(&mut self.readers[at]) {
            Ok(next) => self
                .heap
                .extend(next.map(|next| std::cmp::Reverse((next, at)))),
            Err(error) => return Some(Err(Problem::io("temporary run", error))),
        }
        Some(Ok(row))
    }
}

fn read_row(reader: &mut impl Read) -> std::io::Result<Option<Row>> {
    let mut row = [0; 32];
    match reader.read_exact(&mut row) {
        Ok(()) => Ok(Some(row)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes read at a time: they stay in a second-level cache while their rows are looked at.
const READ_BYTES: usize = 1 << 18;

/// Reads the rows of a segment whose first byte lies in `from..=to`.
pub struct Range {
    file: File,
    /// Whole rows; those from `at` on are not taken yet.
    buffer: Vec<u8>,
    at: usize,
    /// Rows of the range that are not in the buffer yet.
    left: u64,
}

impl Range {
    /// Opens a range.
    pub fn open(path: &Path, from: u8, to: u8) -> Result<Self, Problem> {
        let wrap = |error| Problem::io(path, error);
        let mut file = File::open(path).map_err(wrap)?;
        let mut head = vec![0; usize::try_from(HEAD_BYTES).unwrap_or(0)];
        file.read_exact(&mut head).map_err(wrap)?;
        if !head.starts_with(MAGIC) {
            return Err(Problem::data(
                format!("{}: not a segment", path.display()),
                "take the submission in again",
            ));
        }
        let start_of = |byte: usize| {
            let at = 8 + byte * 8;
            head[at..at + 8]
                .iter()
                .fold(0_u64, |n, b| n << 8 | u64::from(*b))
        };
        let (first, end) = (start_of(usize::from(from)), start_of(usize::from(to) + 1));
        file.seek(SeekFrom::Start(HEAD_BYTES + first * 32))
            .map_err(wrap)?;
        let left = end.saturating_sub(first);
        Ok(Self {
            file,
            buffer: Vec::new(),
            at: 0,
            left,
        })
    }

    /// Reads the next rows over those that were taken; `false` at the end of the range.
    fn refill(&mut self) -> std::io::Result<bool> {
        let rows = self.left.min(READ_BYTES as u64 / 32);
        self.left -= rows;
        self.at = 0;
        self.buffer
            .resize(usize::try_from(rows * 32).unwrap_or(READ_BYTES), 0);
        self.file.read_exact(&mut self.buffer)?;
        Ok(rows > 0)
    }

    /// Passes over rows whose tag is less than `tag`. Rows are looked at in growing steps, because most lie far apart.
    pub fn skip_below(&mut self, tag: &[u8]) -> std::io::Result<()> {
        loop {
            let (rows, _) = self.buffer[self.at..].as_chunks::<32>();
            if rows.last().is_none_or(|last| last[..16] < *tag) {
                if !self.refill()? {
                    return Ok(());
                }
                continue;
            }
            let below = first_from(0, rows.len(), |row| rows[row][..16] < *tag);
            self.at += below * 32;
            return Ok(());
        }
    }

    /// The next row, or `None` at the end of the range.
    pub fn next_row(&mut self) -> std::io::Result<Option<Row>> {
        if self.at == self.buffer.len() && !self.refill()? {
            return Ok(None);
        }
        let row = self.buffer[self.at..].first_chunk::<32>().copied();
        self.at += 32;
        Ok(row)
    }
}

/// The first of sorted rows, from `at` on and before `end`, that is not below what is looked for; `end` if all are. Rows are looked at in
/// growing steps, then between the last two, because what is looked for is near or far by chance (Bentley and Yao 1976).
pub(crate) fn first_from(at: usize, end: usize, below: impl Fn(usize) -> bool) -> usize {
    let mut step = 1;
    while at + step < end && below(at + step) {
        step *= 2;
    }
    let (mut low, mut high) = (at + step / 2, (at + step).min(end));
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Rows of a segment.
pub fn rows_count(path: &Path) -> Result<u64, Problem> {
    let len = std::fs::metadata(path)
        .map_err(|error| Problem::io(path, error))?
        .len();
    Ok(len.saturating_sub(HEAD_BYTES) / 32)
}

/// SHA-256 of a whole file, hexadecimal.
pub fn digest_of(path: &Path) -> Result<String, Problem> {
    let mut file = File::open(path).map_err(|error| Problem::io(path, error))?;
    let (mut hash, mut buffer) = (Sha256::default(), vec![0; 1 << 18]);
    loop {
        let got = file
            .read(&mut buffer)
            .map_err(|error| Problem::io(path, error))?;
        if got == 0 {
            return Ok(hex(&hash.finish()));
        }
        hash.update(&buffer[..got]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<u8> {
        let mut rows: Vec<Row> = (0..count)
            .map(|i| {
                let mut row = [0; 32];
                row[..8]
                    .copy_from_slice(&(i / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
                row[24..].copy_from_slice(&i.to_be_bytes());
                row
            })
            .collect();
        rows.sort_unstable();
        rows.concat()
    }

    #[test]
    fn ranges_cover_a_segment_exactly_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let pepper = Secret::new([3; 32]);
        build(
            &path,
            &mut &rows(5000)[..],
            5000,
            &pepper,
            (folder.path(), 20),
        )
        .ok()
        .unwrap();
        assert_eq!(rows_count(&path).ok(), Some(5000));
        let mut all = Vec::new();
        for (from, to) in [(0, 0), (1, 99), (100, 254), (255, 255)] {
            let mut range = Range::open(&path, from, to).ok().unwrap();
            while let Some(row) = range.next_row().unwrap() {
                assert!((from..=to).contains(&row[0]));
                all.push(row);
            }
        }
        assert_eq!(all.len(), 5000);
        assert!(all.is_sorted());
        // Skipping to any tag, present or not, ends where looking at every row would.
        for at in (0..5000).step_by(37) {
            for change in [0, 1] {
                let mut tag = all[at];
                tag[15] ^= change;
                let mut range = Range::open(&path, 0, 255).ok().unwrap();
                for _ in 0..at / 3 {
                    range.next_row().unwrap();
                }
                range.skip_below(&tag[..16]).unwrap();
                let expected = all[at / 3..].iter().find(|row| row[..16] >= tag[..16]);
                assert_eq!(range.next_row().unwrap().as_ref(), expected);
            }
        }
    }

    #[test]
    fn unsorted_or_crowded_tables_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let pepper = Secret::new([3; 32]);
        let mut bytes = rows(100);
        bytes.swap(0, 32 * 99);
        assert!(build(&path, &mut &bytes[..], 100, &pepper, (folder.path(), 20)).is_err());
        let crowded = [0; 32 * 21];
        assert!(build(&path, &mut &crowded[..], 21, &pepper, (folder.path(), 20)).is_err());
        assert!(!path.exists(), "nothing half-written");
    }
}
