//! `hedui-bench join`: the exact join of the matcher's segments. In: sizes. Out: seconds and memory of one `hedui-matcher
//! worker` process, beside DuckDB's inner join of the same tokens in Parquet on one thread.
//! Invariant: both read from files and write their result to a file; both files are in the page cache; the numbers of
//! pairs are equal. Specification: docs/PERFORMANCE.md, "Join".

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use hedui_matcher::cell::{Cell, Receipt, VERSION};
use hedui_matcher::segment::{self, Row};
use serde::{Deserialize, Serialize};

/// One size.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// Rows of the large side.
    pub rows: u64,
    /// Pairs found.
    pub pairs: u64,
    /// Seconds of the worker, start and receipts included.
    pub seconds: f64,
    /// Largest resident set of the worker, in MiB.
    pub peak_mib: f64,
    /// Seconds of the peer, if it ran.
    pub peer_seconds: Option<f64>,
    /// The peer's seconds divided by ours.
    pub ratio: Option<f64>,
}

#[derive(Deserialize)]
struct Peer {
    seconds: f64,
    rows: u64,
}

/// Joins `left` rows with each of `sizes` rows; half of the left side is on the right.
pub fn measure(
    folder: &Path,
    left: u64,
    sizes: &[u64],
    bins: &Path,
    python: Option<&Path>,
) -> Vec<Figure> {
    std::fs::create_dir_all(folder).expect("folder");
    sizes
        .iter()
        .map(|rows| one(folder, left, *rows, bins, python))
        .collect()
}

fn one(folder: &Path, left: u64, rows: u64, bins: &Path, python: Option<&Path>) -> Figure {
    let paths: Vec<PathBuf> = ["left", "right"]
        .iter()
        .map(|name| folder.join(name))
        .collect();
    let tokens: Vec<PathBuf> = paths
        .iter()
        .map(|path| path.with_extension("tokens"))
        .collect();
    generate((&paths[0], &tokens[0]), (&paths[1], &tokens[1]), left, rows);
    let cells = cells(folder, &paths, rows);
    let (mut seconds, mut peak_mib, mut pairs) = (f64::INFINITY, 0.0_f64, 0);
    for _ in 0..2 {
        for cell in &cells {
            let _ = std::fs::remove_file(&cell.part);
            let _ = std::fs::remove_file(hedui_matcher::cell::receipt_path(&cell.part));
        }
        let start = Instant::now();
        let (found, peak) = worker(bins, &cells);
        seconds = seconds.min(start.elapsed().as_secs_f64());
        (pairs, peak_mib) = (found, peak_mib.max(peak));
    }
    let peer = python.map(|python| -> Peer {
        super::peer(python, "join.py", |peer| peer.args(&tokens).arg(folder))
    });
    if let Some(peer) = &peer {
        assert_eq!(peer.rows, pairs, "the peer found another number of pairs");
    }
    for path in paths.iter().chain(&tokens) {
        std::fs::remove_file(path).expect("removed");
    }
    Figure {
        rows,
        pairs,
        seconds,
        peak_mib,
        peer_seconds: peer.as_ref().map(|peer| peer.seconds),
        ratio: peer.as_ref().map(|peer| peer.seconds / seconds),
    }
}

/// Random tags, one first byte after the other, so that each part is sorted in memory.
fn generate(left: (&Path, &Path), right: (&Path, &Path), left_rows: u64, right_rows: u64) {
    let part = |seed: &[u8], byte: usize, rows: u64| -> Vec<Row> {
        let mut random = blake3_of(seed, byte);
        let mut bytes = vec![0; usize::try_from(rows).expect("rows") * 32];
        random.fill(&mut bytes);
        let first = u8::try_from(byte).expect("a byte");
        let (rows, _) = bytes.as_chunks::<32>();
        rows.iter()
            .map(|row| {
                let mut row = *row;
                row[0] = first;
                row
            })
            .collect()
    };
    let share = |rows: u64, byte: usize| rows / 256 + u64::from((byte as u64) < rows % 256);
    for (is_left, (segment, tokens)) in [(true, left), (false, right)] {
        let counts: [u64; 256] =
            std::array::from_fn(|byte| share(if is_left { left_rows } else { right_rows }, byte));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(tokens).expect("tokens"));
        let parts = (0..256).flat_map(|byte| {
            let mut rows = part(b"left", byte, share(left_rows, byte));
            if !is_left {
                rows.truncate(rows.len() / 2);
                let more = counts[byte] - rows.len() as u64;
                rows.extend(part(b"right", byte, more));
            }
            rows.sort_unstable();
            rows
        });
        let rows = parts.inspect(|row| out.write_all(&row[..16]).expect("tokens"));
        segment::write(segment, &counts, rows.map(Ok)).expect("segment");
    }
}

fn blake3_of(seed: &[u8], byte: usize) -> blake3::OutputReader {
    blake3::Hasher::new()
        .update(seed)
        .update(&byte.to_le_bytes())
        .finalize_xof()
}

/// Cells as the matcher plans them: about four million rows each.
fn cells(folder: &Path, paths: &[PathBuf], rows: u64) -> Vec<Cell> {
    let cuts = (rows / (4 << 20)).max(1).next_power_of_two().min(256);
    let byte = |n: u64| u8::try_from(n).expect("a byte");
    (0..cuts)
        .map(|cut| {
            let (from, to) = (cut * (256 / cuts), (cut + 1) * (256 / cuts) - 1);
            Cell {
                version: VERSION,
                cell: format!("bench.1.{from:03}-{to:03}"),
                register: "bench".to_owned(),
                key: 1,
                from: byte(from),
                to: byte(to),
                left: paths[0].clone(),
                left_sha256: String::new(),
                right: paths[1].clone(),
                right_sha256: String::new(),
                likeness: None,
                part: folder.join(format!("{from:03}.part")),
            }
        })
        .collect()
}

fn worker(bins: &Path, cells: &[Cell]) -> (u64, f64) {
    let mut child = Command::new(bins.join("hedui-matcher"))
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the worker starts");
    let mut stdin = child.stdin.take().expect("piped");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped")));
    let (mut pairs, mut peak) = (0, 0.0_f64);
    for cell in cells {
        writeln!(stdin, "{}", serde_json::to_string(cell).expect("JSON")).expect("a cell");
        let line = lines.next().expect("a receipt").expect("text");
        let receipt: Receipt = serde_json::from_str(&line).expect("a receipt");
        pairs += receipt.rows;
        peak = peak.max(resident_mib(child.id()));
    }
    drop(stdin);
    assert!(child.wait().expect("the worker ends").success());
    (pairs, peak)
}

/// Largest resident set of a living process so far.
fn resident_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
