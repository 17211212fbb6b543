//! The files of a published log (C2SP tlog-tiles). In: entries. Out: paths and bytes of tiles and entry bundles; and back.
//! Invariant: a pure function of the entries, so that the same log is the same files; a bundle is read whole or not at all,
//! and never more than its limit. Specification: protocol/SPEC.md, "Log".

use super::merkle::{Hash, root};
use super::{Entry, Event};

/// Hashes of a full tile, entries of a full bundle (tlog-tiles: height 8).
pub const TILE: usize = 256;
/// Bytes of a full bundle at most: two of length and the longest entry each.
pub const BUNDLE_BYTES_MAX: usize = TILE * (2 + LINE_BYTES_MAX);
/// Longest entry: its word, a space and 64 digits.
const LINE_BYTES_MAX: usize = 8 + 1 + 64;

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Place below the log's folder, parts divided by `/`.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Number of a tile as a path: three digits a part, all parts but the last begin with `x`.
fn number(n: usize) -> String {
    let last = format!("{:03}", n % 1000);
    match n / 1000 {
        0 => last,
        rest => format!("{}/{last}", parts(rest)),
    }
}

fn parts(n: usize) -> String {
    let last = format!("x{:03}", n % 1000);
    match n / 1000 {
        0 => last,
        rest => format!("{}/{last}", parts(rest)),
    }
}

/// Path of tile or bundle `n` of a level with `width` of 256 places filled.
fn place(level: &str, n: usize, width: usize) -> String {
    let n = number(n);
    match width {
        TILE => format!("tile/{level}/{n}"),
        _ => format!("tile/{level}/{n}.p/{width}"),
    }
}

/// Path of the bundle that holds entry `256 n` and those behind it, in a log of `size` entries.
pub fn bundle_path(n: usize, size: usize) -> String {
    place("entries", n, (size - n * TILE).min(TILE))
}

/// Every file of a log but its checkpoint.
pub fn files(entries: &[Entry]) -> Vec<File> {
    let mut out = Vec::new();
    for (n, bundle) in entries.chunks(TILE).enumerate() {
        let mut bytes = Vec::new();
        for entry in bundle {
            let line = entry.render();
            // A line is far shorter than 64 KiB.
            bytes.extend(u16::try_from(line.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(line.as_bytes());
        }
        let path = place("entries", n, bundle.len());
        out.push(File { path, bytes });
    }
    let mut hashes: Vec<Hash> = entries.iter().map(Entry::leaf).collect();
    let mut level = 0;
    while !hashes.is_empty() {
        for (n, tile) in hashes.chunks(TILE).enumerate() {
            let path = place(&level.to_string(), n, tile.len());
            let bytes = tile.as_flattened().to_vec();
            out.push(File { path, bytes });
        }
        // Only full tiles have a hash in the level above.
        hashes = hashes.chunks_exact(TILE).map(root).collect();
        level += 1;
    }
    out
}

/// Reads a bundle of exactly `count` entries.
pub fn read_bundle(bytes: &[u8], count: usize) -> Option<Vec<Entry>> {
    let mut rest = bytes;
    let mut out = Vec::with_capacity(count.min(TILE));
    for _ in 0..count {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (line, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        out.push(Entry::parse(std::str::from_utf8(line).ok()?)?);
        rest = after;
    }
    rest.is_empty().then_some(out)
}

/// Number of the first entry that says this of a message.
pub fn position(entries: &[Entry], event: Event, header_sha256: &[u8; 32]) -> Option<usize> {
    entries
        .iter()
        .position(|e| e.event == event && e.header_sha256 == *header_sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(n: usize) -> Vec<Entry> {
        let entry = |n: usize| Entry {
            event: Event::Sent,
            header_sha256: crate::primitive::sha256(&[&n.to_be_bytes()]),
        };
        (0..n).map(entry).collect()
    }

    /// The example of tlog-tiles: tile 1,234,067 is `x001/x234/067`.
    #[test]
    fn numbers_are_spelt_as_in_the_specification() {
        assert_eq!(number(1_234_067), "x001/x234/067");
        assert_eq!(number(67), "067");
        assert_eq!(number(1000), "x001/000");
    }

    /// A log of 70,000 entries has the tiles that tlog-tiles names for it.
    #[test]
    fn a_large_log_has_the_tiles_of_the_specification() {
        let log = entries(70_000);
        let all = files(&log);
        let has = |path: &str| all.iter().find(|file| file.path == path);
        // 273 full tiles and 112 hashes; one full tile above them and 17 hashes; one hash.
        for path in [
            "tile/0/272",
            "tile/0/273.p/112",
            "tile/1/000",
            "tile/1/001.p/17",
            "tile/2/000.p/1",
        ] {
            assert!(has(path).is_some(), "{path}");
        }
        assert_eq!(all.len(), 274 + 274 + 2 + 1);
        let leaves: Vec<Hash> = log.iter().map(Entry::leaf).collect();
        let top = &has("tile/2/000.p/1").unwrap().bytes;
        assert_eq!(top[..], root(&leaves[..1 << 16])[..]);
    }

    #[test]
    fn bundles_are_read_whole_or_not_at_all() {
        let log = entries(300);
        let all = files(&log);
        let bytes = |n| {
            let path = bundle_path(n, log.len());
            all.iter()
                .find(|file| file.path == path)
                .unwrap()
                .bytes
                .clone()
        };
        assert_eq!(read_bundle(&bytes(0), 256).unwrap(), log[..256]);
        assert_eq!(read_bundle(&bytes(1), 44).unwrap(), log[256..]);
        assert!(read_bundle(&bytes(1), 43).is_none());
        assert!(read_bundle(&bytes(1), 45).is_none());
        assert!(bytes(0).len() <= BUNDLE_BYTES_MAX);
        let mut changed = bytes(1);
        changed[1] ^= 1;
        assert!(read_bundle(&changed, 44).is_none());
    }

    /// What is looked for is this event of this message, not either.
    #[test]
    fn an_entry_is_found_by_its_event_and_message() {
        let mut log = entries(3);
        log[1].header_sha256 = log[0].header_sha256;
        log[1].event = Event::Accepted;
        let (first, last) = (log[0].header_sha256, log[2].header_sha256);
        assert_eq!(position(&log, Event::Sent, &first), Some(0));
        assert_eq!(position(&log, Event::Accepted, &first), Some(1));
        assert_eq!(position(&log, Event::Sent, &last), Some(2));
        assert_eq!(position(&log, Event::Accepted, &last), None);
        assert_eq!(position(&log, Event::Sent, &[0; 32]), None);
    }

    /// The longest bundle is read, and none is longer.
    #[test]
    fn the_longest_bundle_is_as_long_as_its_limit() {
        let mut log = entries(TILE);
        log.iter_mut()
            .for_each(|entry| entry.event = Event::Accepted);
        let bytes = &files(&log)[0].bytes;
        assert_eq!(bytes.len(), BUNDLE_BYTES_MAX);
        assert_eq!(read_bundle(bytes, TILE).unwrap(), log);
    }
}
