//! Local files that hold people's data: sealed under a key of the party. In: records. Out: the same
//! records, in order. Format: random 16-byte salt, then STREAM chunks of 64 KiB (as in envelopes) under
//! `local key(purpose, salt)`. Invariant: written whole or not at all; a cut or changed file is refused.
//! Specification: docs/ARCHITECTURE.md, "Agent".

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_keys::identity_file::random;
use hedui_protocol::envelope::stream_nonce;
use hedui_protocol::identity::Identity;
use hedui_protocol::limits::CHUNK_BYTES;
use hedui_protocol::primitive::{AEAD_TAG_BYTES, Aead};
use zeroize::Zeroizing;

/// Writes records (`u32 length ‖ bytes`) into a sealed file through `fill`.
pub fn write(
    path: &Path,
    identity: &Identity,
    purpose: &str,
    fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), Problem>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let salt = random::<16>()?;
    let aead = aead(identity, purpose, salt.expose());
    files::write_whole(path, |out| {
        let wrap = |error| Problem::io(path, error);
        out.write_all(salt.expose()).map_err(wrap)?;
        let mut pending = Zeroizing::new(Vec::with_capacity(2 * CHUNK_BYTES));
        let mut counter = 0;
        let mut put = |record: &[u8]| -> Result<(), Problem> {
            let len = u32::try_from(record.len())
                .map_err(|_| Problem::data("a record is too long", "shorten its cells"))?;
            grow(&mut pending, &len.to_be_bytes());
            grow(&mut pending, record);
            // The last chunk is written after the loop, so one byte always stays behind.
            while pending.len() > CHUNK_BYTES {
                let mut chunk: Vec<u8> = pending.drain(..CHUNK_BYTES).collect();
                aead.seal(stream_nonce(counter, false), &[], &mut chunk);
                counter += 1;
                out.write_all(&chunk).map_err(wrap)?;
            }
            Ok(())
        };
        fill(&mut put)?;
        let mut chunk = pending.to_vec();
        aead.seal(stream_nonce(counter, true), &[], &mut chunk);
        out.write_all(&chunk).map_err(wrap)
    })
}

/// Hands over the records of a sealed file.
pub fn read(
    path: &Path,
    identity: &Identity,
    purpose: &str,
    mut take: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let damaged = || {
        Problem::data(
            format!("{}: the file is damaged", path.display()),
            "make it again from the source",
        )
    };
    let wrap = |error| Problem::io(path, error);
    let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(wrap)?);
    let mut salt = [0; 16];
    reader.read_exact(&mut salt).map_err(wrap)?;
    let aead = aead(identity, purpose, &salt);
    let mut pending = Zeroizing::new(Vec::with_capacity(2 * CHUNK_BYTES));
    let mut counter = 0;
    // Opened in place, so what was sealed is people's data afterwards.
    let mut sealed = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + AEAD_TAG_BYTES));
    loop {
        sealed.clear();
        let want = (CHUNK_BYTES + AEAD_TAG_BYTES) as u64;
        (&mut reader)
            .take(want)
            .read_to_end(&mut sealed)
            .map_err(wrap)?;
        let full = sealed.len() == CHUNK_BYTES + AEAD_TAG_BYTES;
        let more = full
            && !std::io::BufRead::fill_buf(&mut reader)
                .map_err(wrap)?
                .is_empty();
        let plain = aead.open(stream_nonce(counter, !more), &[], &mut sealed);
        grow(&mut pending, plain.ok_or_else(damaged)?);
        counter += 1;
        let mut at = 0;
        while let Some((len, rest)) = pending[at..].split_first_chunk::<4>() {
            let Some(record) = rest.get(..u32::from_be_bytes(*len) as usize) else {
                break;
            };
            take(record)?;
            at += 4 + record.len();
        }
        pending.drain(..at);
        if !more {
            return if pending.is_empty() {
                Ok(())
            } else {
                Err(damaged())
            };
        }
    }
}

/// Appends to a buffer of people's data; where it must move, its old place is wiped.
pub fn grow(buffer: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    if buffer.capacity() - buffer.len() < more.len() {
        let room = (buffer.len() + more.len()).next_power_of_two();
        let mut larger = Zeroizing::new(Vec::with_capacity(room));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(more);
}

fn aead(identity: &Identity, purpose: &str, salt: &[u8; 16]) -> Aead {
    let key = identity.local_key(&[b"sealed-file", &[0], purpose.as_bytes(), &[0], salt]);
    Aead::new(key.expose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedui_protocol::ids::Name;
    use hedui_protocol::secret::Secret;

    #[test]
    fn records_of_every_size_come_back_and_cuts_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let me = Identity::from_seed(Name::new("a").unwrap(), &Secret::new([1; 64]));
        for sizes in [
            vec![],
            vec![0],
            vec![CHUNK_BYTES - 4],
            vec![10, CHUNK_BYTES, 3 * CHUNK_BYTES, 1],
        ] {
            write(&path, &me, "t", |put| {
                sizes.iter().try_for_each(|n| put(&vec![7; *n]))
            })
            .ok()
            .unwrap();
            let mut got = Vec::new();
            read(&path, &me, "t", |record| {
                got.push(record.len());
                Ok(())
            })
            .ok()
            .unwrap();
            assert_eq!(got, sizes);
            assert!(read(&path, &me, "u", |_| Ok(())).is_err());
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
            assert!(read(&path, &me, "t", |_| Ok(())).is_err());
        }
    }
}
