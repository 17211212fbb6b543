//! Records on their way through the agent, grouped by identity without memory in proportion.
//! In: serialised records with their handle. Out: partitions in handle order.
//! Invariant: what spills to disk is sealed under a key that exists in this process only, so a killed
//! agent leaves nothing readable. Specification: docs/ARCHITECTURE.md, "Agent".

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hedui_edge::Problem;
use hedui_edge::files::{self, Scratch};
use hedui_keys::identity_file::random;
use hedui_protocol::primitive::{AEAD_TAG_BYTES, Aead};
use zeroize::Zeroizing;

use crate::sealed_file::grow;

/// Partitions by the first bits of the handle.
pub const PARTITIONS: usize = 64;
/// Bytes held in memory before partitions spill.
const MEMORY_BYTES: usize = 64 << 20;

struct Partition {
    held: Zeroizing<Vec<u8>>,
    spilled: Option<Scratch>,
    chunks: u64,
}

/// A set of records, cut into partitions.
pub struct Spool {
    folder: PathBuf,
    aead: Aead,
    partitions: Vec<Partition>,
    held_bytes: usize,
}

impl Spool {
    /// An empty spool that spills into `folder`.
    pub fn new(folder: &Path) -> Result<Self, Problem> {
        let key = random::<32>()?;
        let empty = || Partition {
            held: Zeroizing::new(Vec::new()),
            spilled: None,
            chunks: 0,
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            aead: Aead::new(key.expose()),
            partitions: (0..PARTITIONS).map(|_| empty()).collect(),
            held_bytes: 0,
        })
    }

    /// Adds a record to the partition of its handle's first byte.
    pub fn push(&mut self, first_byte: u8, record: &[u8]) -> Result<(), Problem> {
        self.push_to(usize::from(first_byte) * PARTITIONS / 256, record)
    }

    /// Adds a record to a partition.
    pub fn push_to(&mut self, index: usize, record: &[u8]) -> Result<(), Problem> {
        let Some(partition) = self.partitions.get_mut(index) else {
            return Err(Problem::data("a part does not exist", "report this"));
        };
        let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
        grow(&mut partition.held, &len.to_be_bytes());
        grow(&mut partition.held, record);
        self.held_bytes += record.len() + 4;
        if self.held_bytes > MEMORY_BYTES {
            self.spill()
        } else {
            Ok(())
        }
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// All records of a partition, in the order in which they came.
    pub fn records(&mut self, index: usize) -> Result<Vec<Zeroizing<Vec<u8>>>, Problem> {
        let Some(partition) = self.partitions.get_mut(index) else {
            return Ok(Vec::new());
        };
        let mut bytes = Zeroizing::new(Vec::new());
        if let Some(file) = &mut partition.spilled {
            let wrap = |error| Problem::io(file.path(), error);
            let mut reader = file.as_file();
            reader.seek(SeekFrom::Start(0)).map_err(wrap)?;
            for chunk in 0..partition.chunks {
                let mut len = [0; 4];
                reader.read_exact(&mut len).map_err(wrap)?;
                let room = u32::from_be_bytes(len) as usize + AEAD_TAG_BYTES;
                let mut sealed = Zeroizing::new(vec![0; room]);
                reader.read_exact(&mut sealed).map_err(wrap)?;
                let plain = self.aead.open(nonce(index, chunk), &[], &mut sealed);
                let plain = plain.ok_or_else(|| {
                    Problem::data("a temporary file was changed", "run the command again")
                })?;
                grow(&mut bytes, plain);
            }
        }
        grow(&mut bytes, &partition.held);
        let mut records = Vec::new();
        let mut rest = &bytes[..];
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let (record, tail) = tail.split_at(u32::from_be_bytes(*len) as usize);
            records.push(Zeroizing::new(record.to_vec()));
            rest = tail;
        }
        Ok(records)
    }

    fn spill(&mut self) -> Result<(), Problem> {
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            if partition.held.is_empty() {
                continue;
            }
            if partition.spilled.is_none() {
                partition.spilled = Some(files::temporary(&self.folder)?);
            }
            let Some(file) = &mut partition.spilled else {
                continue;
            };
            let len = u32::try_from(partition.held.len()).unwrap_or(u32::MAX);
            self.aead
                .seal(nonce(index, partition.chunks), &[], &mut partition.held);
            let mut writer = file.as_file();
            writer
                .write_all(&len.to_be_bytes())
                .and_then(|()| writer.write_all(&partition.held))
                .map_err(|error| Problem::io(file.path(), error))?;
            partition.chunks += 1;
            partition.held.clear();
        }
        self.held_bytes = 0;
        Ok(())
    }
}

/// Unique per key: partition and chunk.
fn nonce(partition: usize, chunk: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = u8::try_from(partition).unwrap_or(u8::MAX);
    nonce[4..].copy_from_slice(&chunk.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spilled_records_come_back_whole_in_order_and_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).ok().unwrap();
        let record = |i: u32| [&i.to_be_bytes()[..], &[b'Z'; 300_000]].concat();
        for i in 0..500 {
            spool.push((i % 256) as u8, &record(i)).ok().unwrap();
        }
        let on_disk: Vec<_> = spool
            .partitions
            .iter()
            .filter_map(|partition| partition.spilled.as_ref())
            .collect();
        assert!(!on_disk.is_empty());
        for file in on_disk {
            let mut bytes = Vec::new();
            file.reopen().unwrap().read_to_end(&mut bytes).unwrap();
            assert!(
                !bytes.windows(8).any(|w| w == b"ZZZZZZZZ"),
                "plaintext on disk"
            );
        }
        // A killed process leaves nothing that has a name.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut seen = 0;
        for index in 0..spool.partitions() {
            for bytes in spool.records(index).ok().unwrap() {
                let i = u32::from_be_bytes(bytes[..4].try_into().unwrap());
                assert_eq!(usize::try_from(i % 256).unwrap() * 64 / 256, index);
                assert!(*bytes == record(i));
                seen += 1;
            }
        }
        assert_eq!(seen, 500);
    }
}
