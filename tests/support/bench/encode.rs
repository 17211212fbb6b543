//! `hedui-bench encode`: record filters from a CSV file on one core. In: a file with the columns given_name, surname, dob,
//! sex, address. Out: records a second, ratio to the peer. Invariant: reading, normalising and encoding are inside the
//! time on both sides, the tables of masks start empty, the peer's figure comes from the same file in the same run
//! (tests/peers/encode.py), or is absent. Specification: docs/PERFORMANCE.md, "Encoding".

use std::path::Path;
use std::time::Instant;

use hedui_protocol::field::{FieldKind, Gazetteer, Normal};
use hedui_protocol::filter::encode::{FilterSpec, PairKey};
use hedui_protocol::filter::record::{RecordEncoder, RecordField};
use hedui_protocol::filter::{TokenKind, Tokens};
use hedui_protocol::secret::Secret;
use serde::{Deserialize, Serialize};

/// Fields of the file: kind, tokens and positions per token, as in the peer's schema.
const FIELDS: [(FieldKind, TokenKind, u32); 5] = [
    (FieldKind::PersonName, TokenKind::Bigrams, 15),
    (FieldKind::PersonName, TokenKind::Bigrams, 15),
    (FieldKind::Date, TokenKind::Digits, 15),
    (FieldKind::Sex, TokenKind::Whole, 15),
    (FieldKind::Text, TokenKind::Bigrams, 6),
];
/// Bits of a record filter.
const BITS: u32 = 1024;

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Records of the file.
    pub records: usize,
    /// Record filters a second, from CSV.
    pub records_per_second: f64,
    /// Bits set on average.
    pub mean_bits: f64,
    /// Records a second with a key of its own for each, as in scope `pair`.
    pub salted_per_second: f64,
    /// The peer's, if it is installed.
    pub peer: Option<Peer>,
    /// Ours over the peer's: at least 80 is the bar.
    pub ratio: Option<f64>,
    /// The same for a key per record: at least 10 is the bar.
    pub salted_ratio: Option<f64>,
}

/// The peer on the same file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Records a second, from CSV, one process.
    pub records_per_second: f64,
    /// Bits set on average.
    pub mean_bits: f64,
}

/// Measures; the best of `rounds` counts.
pub fn measure(file: &Path, rounds: usize, python: Option<&Path>) -> Figures {
    let (mut best, mut salted) = (f64::MAX, f64::MAX);
    let (mut records, mut bits) = (0, 0_u64);
    for round in 0..rounds.max(1) {
        let start = Instant::now();
        (records, bits) = once(file, u8::try_from(round % 256).unwrap_or(0));
        best = best.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let rows = with_salts(file);
        salted = salted.min(start.elapsed().as_secs_f64() / rows as f64);
    }
    let peer: Option<Peer> =
        python.map(|python| super::peer(python, "encode.py", |peer| peer.arg(file)));
    let ours = records as f64 / best;
    let ratio = |ours: f64| peer.as_ref().map(|p| ours / p.records_per_second);
    Figures {
        records,
        records_per_second: ours,
        mean_bits: bits as f64 / records.max(1) as f64,
        salted_per_second: 1.0 / salted,
        ratio: ratio(ours),
        salted_ratio: ratio(1.0 / salted),
        peer,
    }
}

fn once(file: &Path, key: u8) -> (usize, u64) {
    let fields: Vec<RecordField> = (0..)
        .zip(FIELDS)
        .map(|(field, (kind, tokens, positions))| RecordField {
            field,
            kind,
            tokens,
            positions,
            key: u32::try_from(field).unwrap_or(u32::MAX),
            section: None,
        })
        .collect();
    let mut encoder = RecordEncoder::new(Secret::new([key; 32]), BITS, &fields);
    let mut out = vec![0; encoder.words()];
    let (mut records, mut bits) = (0, 0);
    let mut all: Vec<u64> = Vec::new();
    for_each(file, |cells| {
        encoder.encode(cells, &mut out);
        all.extend_from_slice(&out);
        records += 1;
    });
    bits += all
        .iter()
        .map(|word| u64::from(word.count_ones()))
        .sum::<u64>();
    (records, bits)
}

/// The filters of scope `pair`: one per field, a key per record.
fn with_salts(file: &Path) -> usize {
    let spec = FilterSpec {
        bits: 256,
        positions: 64,
    };
    let (mut rows, mut out) = (0_u64, vec![0; spec.bytes()]);
    let mut values = Tokens::default();
    for_each(file, |cells| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&rows.to_le_bytes());
        let key = PairKey::new(Secret::new(key));
        for (number, ((kind, tokens, _), cell)) in (0..).zip(FIELDS.iter().zip(cells)) {
            tokens.fill(*kind, cell, &mut values);
            key.encode(number, &spec, &values, &mut out);
            std::hint::black_box(&out);
        }
        rows += 1;
    });
    usize::try_from(rows).unwrap_or(0)
}

fn for_each(file: &Path, mut take: impl FnMut(&[Normal])) {
    let mut reader = csv::Reader::from_path(file).expect("the file");
    let places = Gazetteer::default();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).expect("a row") {
        let cells = FIELDS.iter().zip(&record);
        let cells: Vec<Normal> = cells.map(|(f, raw)| f.0.normalise(raw, &places)).collect();
        take(&cells);
    }
}
