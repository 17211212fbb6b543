//! Sorting 32-byte rows (tag ‖ handle) that may not fit into memory. In: rows in any order. Out: rows
//! in byte order. Invariant: memory is bounded by [`HELD_ROWS`] rows per sorter; the order is total,
//! so the output does not depend on threads or on where runs were cut.
//! Sorting also erases the order of the source. Specification: docs/ARCHITECTURE.md, "Agent".

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hedui_edge::Problem;
use hedui_edge::files::{self, Scratch};
use rayon::slice::ParallelSliceMut;

/// A row: tag 16 ‖ handle 16.
pub type Row = [u8; 32];
/// Rows held in memory per sorter (16 MiB).
pub const HELD_ROWS: usize = 512 << 10;

/// Collects rows and gives them back sorted.
pub struct Sorter {
    folder: PathBuf,
    held: Vec<Row>,
    runs: Vec<Scratch>,
    held_max: usize,
}

impl Sorter {
    /// An empty sorter that spills into `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            held: Vec::new(),
            runs: Vec::new(),
            held_max: HELD_ROWS,
        }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Row) -> Result<(), Problem> {
        self.held.push(row);
        if self.held.len() >= self.held_max {
            self.spill()
        } else {
            Ok(())
        }
    }

    /// Hands over all rows in byte order.
    pub fn drain(
        mut self,
        mut take: impl FnMut(Row) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        self.held.par_sort_unstable();
        if self.runs.is_empty() {
            return self.held.into_iter().try_for_each(take);
        }
        let mut readers = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            readers.push(Run::new(run)?);
        }
        let mut held = self.held.into_iter();
        let mut heap = BinaryHeap::new();
        let last = readers.len();
        for (at, run) in readers.iter_mut().enumerate() {
            heap.extend(run.next()?.map(|row| Reverse((row, at))));
        }
        heap.extend(held.next().map(|row| Reverse((row, last))));
        while let Some(Reverse((row, at))) = heap.pop() {
            take(row)?;
            let next = match readers.get_mut(at) {
                Some(run) => run.next()?,
                None => held.next(),
            };
            heap.extend(next.map(|row| Reverse((row, at))));
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), Problem> {
        self.held.par_sort_unstable();
        let run = files::temporary(&self.folder)?;
        let mut writer = BufWriter::with_capacity(1 << 20, run.as_file());
        for row in &self.held {
            writer
                .write_all(row)
                .map_err(|error| Problem::io(run.path(), error))?;
        }
        writer
            .flush()
            .map_err(|error| Problem::io(run.path(), error))?;
        drop(writer);
        self.runs.push(run);
        self.held.clear();
        Ok(())
    }
}

struct Run {
    reader: BufReader<File>,
    path: PathBuf,
}

impl Run {
    fn new(file: &Scratch) -> Result<Self, Problem> {
        let path = file.path().to_path_buf();
        let mut handle = file
            .as_file()
            .try_clone()
            .map_err(|error| Problem::io(&path, error))?;
        handle
            .seek(SeekFrom::Start(0))
            .map_err(|error| Problem::io(&path, error))?;
        // Clones share one position, but each run is its own file.
        Ok(Self {
            reader: BufReader::with_capacity(1 << 18, handle),
            path,
        })
    }

    fn next(&mut self) -> Result<Option<Row>, Problem> {
        let mut row = [0; 32];
        match self.reader.read_exact(&mut row) {
            Ok(()) => Ok(Some(row)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(Problem::io(&self.path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cut_anywhere_give_the_same_order() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<Row> = (0..1000_u64)
            .map(|i| {
                let mut row = [0; 32];
                row[..8].copy_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
                row[31] = (i % 251) as u8;
                row
            })
            .collect();
        let mut expected = rows.clone();
        expected.sort_unstable();
        for held_max in [1, 7, 250, 251, 999, 1000, 5000] {
            let mut sorter = Sorter::new(folder.path());
            sorter.held_max = held_max;
            rows.iter().for_each(|row| sorter.push(*row).ok().unwrap());
            let mut got = Vec::new();
            sorter
                .drain(|row| {
                    got.push(row);
                    Ok(())
                })
                .ok()
                .unwrap();
            assert!(got == expected, "runs of {held_max}");
        }
    }
}
