//! Building a submission: grouped persons → body → sealed envelope. In: [`Encoder`] and persons in handle
//! order. Out: one file in the exchange folder. Invariant: tables sorted by tag, padded, and the same
//! bytes for the same input on any number of threads.
//! Specification: protocol/SPEC.md, "Submission".

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hedui_edge::Problem;
use hedui_edge::files::{self, Scratch};
use hedui_keys::lock::Lock;
use hedui_protocol::agreement::MatchKey;
use hedui_protocol::field::{self, Normal};
use hedui_protocol::filter::harden;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::{PAYLOAD_CLASSES, RECORDS_WEIGHED_LEAST};
use hedui_protocol::lock::Token;
use hedui_protocol::match_key::KeyInput;
use hedui_protocol::message::submission::{
    Manifest, PRESENCE_ROW_BYTES, TAG_ROW_BYTES, expected, fan_out_of,
};
use hedui_protocol::message::{Table, manifest_bytes, payload};
use hedui_protocol::primitive::{Sha256, hex};
use rayon::prelude::*;

use crate::canary;
use crate::encode::{Encoder, TooCommon, facts_of, row};
use crate::extsort::{Row, Sorter};
use crate::filters::POOL_MOST;
use crate::padding::{self, Counts};
use crate::record::Grouped;
use crate::usual::{Usual, class_at};

/// Takes one part of the persons, and the lock that has their tokens.
pub type TakePart<'a> = dyn FnMut(&[Grouped], &dyn Lock) -> Result<(), Problem> + 'a;
/// Hands over all persons part by part, sorted by handle within and across parts. Called twice.
pub type Parts<'a> = dyn FnMut(&mut TakePart<'_>) -> Result<(), Problem> + 'a;

/// A body ready to be sealed.
pub struct Built {
    /// The body.
    pub file: Scratch,
    /// Its length in bytes.
    pub body_bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Persons (records), without padding.
    pub persons_count: u64,
    /// Records that lost a key because its value is too common, per match key.
    pub too_common_counts: Vec<u64>,
    /// Those records.
    pub too_common: TooCommon,
}

/// The lock of canaries, whose tokens need none.
pub struct Nobody;

impl Lock for Nobody {
    fn token(&self, _: &KeyInput) -> Option<Token> {
        None
    }
}

/// Head of a submission; of one that changes another, with that one's header digest.
pub(crate) fn head(
    encoder: &Encoder<'_>,
    dataset: &Name,
    (as_of, snapshot, usual): (&str, &str, &Usual),
    base: Option<String>,
    tables: Vec<Table>,
) -> Result<Manifest, Problem> {
    let is_roll = dataset.as_str() != encoder.register;
    Ok(Manifest {
        dataset: dataset.clone(),
        register: Name::try_from(encoder.register.to_owned())
            .map_err(|why| Problem::data(why, ""))?,
        field_version: field::VERSION,
        as_of: as_of.to_owned(),
        snapshot: snapshot.to_owned(),
        kit_check: hex(&encoder.context.kit_check()),
        canary: encoder.context.canary_slip(
            encoder.side,
            &canary::stamp(is_roll, as_of, snapshot),
            usual.bitmap,
        ),
        base,
        tables,
    })
}

/// Builds the body of a submission.
pub fn build(
    encoder: &Encoder<'_>,
    dataset: &Name,
    (as_of, snapshot, usual): (&str, &str, &Usual),
    work: &Path,
    parts: &mut Parts<'_>,
) -> Result<Built, Problem> {
    let is_roll = dataset.as_str() != encoder.register;
    let likeness = encoder.agreement.likeness();
    if likeness.is_some_and(|(likeness, _)| !likeness.harden.is_empty()) {
        harden::self_test()?;
    }
    let (sorters, mut counts) = sort_tags(encoder, work, is_roll, parts)?;
    if likeness.is_some_and(|(likeness, _)| likeness.sections)
        && counts.persons < RECORDS_WEIGHED_LEAST
    {
        return Err(Problem::data(
            format!(
                "{} records are too few for fields to be weighed by record filters: at least {RECORDS_WEIGHED_LEAST} are needed",
                counts.persons
            ),
            "agree on `[refine]` by pairs for small registers",
        ));
    }
    let rows = counts.rows;
    let tables: Vec<Table> = expected(encoder.agreement, is_roll)
        .into_iter()
        .map(|(name, width)| {
            let class = PAYLOAD_CLASSES
                .iter()
                .position(|c| payload::table_name(*c) == name);
            let fan_out = fan_out_of(encoder.agreement, &name, is_roll);
            let rows = class.map_or(rows * fan_out, |at| counts.payload_rows[at]);
            Table {
                name,
                width: u32::try_from(width).unwrap_or(u32::MAX),
                rows,
            }
        })
        .collect();
    let manifest = head(encoder, dataset, (as_of, snapshot, usual), None, tables)?;
    let mut body = Body::new(work)?;
    body.write(&manifest_bytes(&manifest)?)?;
    let mut too_common = TooCommon::new();
    let mut too_common_counts = Vec::new();
    for (sorter, key) in sorters.into_iter().zip(encoder.agreement.match_keys()) {
        let before = too_common.len();
        write_tags(encoder, key, sorter, work, &mut too_common, &mut body)?;
        too_common_counts.push((too_common.len() - before) as u64);
    }
    if !too_common.is_empty() {
        recount(encoder, &mut counts, &too_common, parts)?;
    }
    write_records(
        encoder,
        &counts,
        work,
        is_roll,
        &too_common,
        parts,
        &mut body,
    )?;
    let (file, body_bytes, sha256) = body.finish()?;
    Ok(Built {
        file,
        body_bytes,
        sha256,
        persons_count: counts.persons,
        too_common_counts,
        too_common,
    })
}

/// Counts bitmaps again without the values that are too common, so that padding looks like what is left.
fn recount(
    encoder: &Encoder<'_>,
    counts: &mut Counts,
    too_common: &TooCommon,
    parts: &mut Parts<'_>,
) -> Result<(), Problem> {
    counts.presence.clear();
    parts(&mut |persons, _| {
        let bitmaps: Vec<u16> = persons
            .par_iter()
            .map(|p| encoder.bitmap(p, too_common))
            .collect();
        for bitmap in bitmaps {
            *counts.presence.entry(bitmap).or_default() += 1;
        }
        Ok(())
    })
}

/// First pass: tags of all persons into one sorter per match key, padded.
fn sort_tags(
    encoder: &Encoder<'_>,
    work: &Path,
    is_roll: bool,
    parts: &mut Parts<'_>,
) -> Result<(Vec<Sorter>, Counts), Problem> {
    let keys = encoder.agreement.match_keys();
    let mut sorters: Vec<Sorter> = keys.iter().map(|_| Sorter::new(work)).collect();
    let mut counts = Counts::default();
    parts(&mut |persons, lock| {
        counts.persons += persons.len() as u64;
        let rows: Vec<_> = persons
            .par_iter()
            .map(|p| encoder.tag_rows(lock, p))
            .collect();
        for person_rows in rows {
            let (person_rows, bitmap) = person_rows?;
            *counts.presence.entry(bitmap).or_default() += 1;
            for (sorter, rows) in sorters.iter_mut().zip(person_rows) {
                rows.into_iter().try_for_each(|row| sorter.push(row))?;
            }
        }
        if !is_roll {
            for person in persons {
                counts.classes[class_at(person)] += 1;
            }
        }
        Ok(())
    })?;
    counts.close(is_roll);
    for (sorter, key) in sorters.iter_mut().zip(keys) {
        for index in counts.padding() {
            let mut rows = padding::tag_rows(encoder, key, index);
            rows.try_for_each(|row| sorter.push(row))?;
        }
    }
    Ok((sorters, counts))
}

/// Writes a tag table; tags of more records than the cap are replaced by fillers.
fn write_tags(
    encoder: &Encoder<'_>,
    key: &MatchKey,
    sorter: Sorter,
    work: &Path,
    too_common: &mut TooCommon,
    body: &mut Body,
) -> Result<(), Problem> {
    let mut table = TagTable {
        encoder,
        key: key.number,
        fan_out: encoder.fan_out(key),
        replaced_rows: 0,
        tag: [0; 16],
        run: Vec::new(),
        over: false,
        kept: Body::new(work)?,
        replaced: Sorter::new(work),
        too_common,
    };
    sorter.drain(|row| table.take(row))?;
    table.end_run()?;
    let TagTable { kept, replaced, .. } = table;
    merge(kept, replaced, body)
}

/// A tag table while its rows come in order: runs of one tag are held until they are known to be rare.
struct TagTable<'a> {
    encoder: &'a Encoder<'a>,
    key: u8,
    fan_out: u16,
    replaced_rows: u16,
    tag: [u8; 16],
    run: Vec<Row>,
    over: bool,
    kept: Body,
    replaced: Sorter,
    too_common: &'a mut TooCommon,
}

impl TagTable<'_> {
    fn take(&mut self, row: Row) -> Result<(), Problem> {
        if row[..16] != self.tag {
            self.end_run()?;
            self.tag.copy_from_slice(&row[..16]);
            self.over = false;
        }
        if self.over {
            return self.replace(row);
        }
        self.run.push(row);
        if self.run.len() > self.encoder.agreement.text().multiplicity_cap as usize {
            self.over = true;
            for row in std::mem::take(&mut self.run) {
                self.replace(row)?;
            }
        }
        Ok(())
    }

    fn end_run(&mut self) -> Result<(), Problem> {
        for row in std::mem::take(&mut self.run) {
            self.kept.write(&row)?;
        }
        Ok(())
    }

    fn replace(&mut self, old: Row) -> Result<(), Problem> {
        let mut handle = [0; 16];
        handle.copy_from_slice(&old[16..]);
        let handle = Handle(handle);
        let mut place = 0;
        if self.fan_out == 1 {
            self.too_common.insert((handle, self.key));
        } else {
            // One of many values: the record keeps the others, and with them its key.
            self.replaced_rows = self.replaced_rows.wrapping_add(1);
            place = self.fan_out.wrapping_add(self.replaced_rows);
        }
        let filler = self.encoder.filler((self.key, place), handle);
        self.replaced.push(row(filler, handle))
    }
}

/// Merges rows that kept their tag with those that got a filler, both sorted.
fn merge(kept: Body, replaced: Sorter, body: &mut Body) -> Result<(), Problem> {
    let (file, bytes, _) = kept.finish()?;
    let mut reader = BufReader::with_capacity(1 << 18, file.as_file());
    reader
        .seek(SeekFrom::Start(0))
        .map_err(|error| Problem::io(file.path(), error))?;
    let mut left = bytes / TAG_ROW_BYTES as u64;
    let mut next = |reader: &mut BufReader<&File>| -> Result<Option<Row>, Problem> {
        if left == 0 {
            return Ok(None);
        }
        left -= 1;
        let mut row = [0; TAG_ROW_BYTES];
        reader
            .read_exact(&mut row)
            .map_err(|error| Problem::io(file.path(), error))?;
        Ok(Some(row))
    };
    let mut head = next(&mut reader)?;
    replaced.drain(|row| {
        while let Some(kept) = head.filter(|kept| *kept < row) {
            body.write(&kept)?;
            head = next(&mut reader)?;
        }
        body.write(&row)
    })?;
    while let Some(kept) = head {
        body.write(&kept)?;
        head = next(&mut reader)?;
    }
    Ok(())
}

/// Second pass: presence rows into the body, payload rows behind them, class by class.
fn write_records(
    encoder: &Encoder<'_>,
    counts: &Counts,
    work: &Path,
    is_roll: bool,
    too_common: &TooCommon,
    parts: &mut Parts<'_>,
    body: &mut Body,
) -> Result<(), Problem> {
    let mut payloads = Vec::new();
    if !is_roll {
        for _ in PAYLOAD_CLASSES {
            payloads.push(Body::new(work)?);
        }
    }
    // Padding rows of the presence table are merged in by handle, so that they cannot be told apart.
    let mut padding = Padding::new(encoder, counts);
    let words = encoder.record_encoder().map(|records| records.words());
    // Handles are pseudo-random, so the first records are a sample.
    let mut pool: Vec<Vec<Normal>> = Vec::new();
    let mut filters = Body::new(work)?;
    parts(&mut |persons, lock| {
        if words.is_some() {
            let rows: Vec<Result<Vec<u8>, Problem>> = persons
                .par_iter()
                .with_min_len(1024)
                .map_init(
                    || encoder.record_encoder(),
                    |records, person| match records {
                        Some(records) => {
                            let bitmap = encoder.bitmap(person, too_common);
                            encoder.filter_row(records, lock, (person, bitmap))
                        }
                        None => Ok(Vec::new()),
                    },
                )
                .collect();
            rows.into_iter().try_for_each(|row| filters.write(&row?))?;
            let real = persons.iter().filter(|person| person.canary.is_none());
            let more = real.take(POOL_MOST - pool.len());
            pool.extend(more.map(|person| person.person.cells().to_vec()));
        }
        let rows: Vec<_> = persons
            .par_iter()
            .map(|person| {
                let handle = encoder.pseudonyms.handle(encoder.register, &person.id);
                let tokens = encoder.tokens(lock, person)?;
                let presence = encoder.presence_row((handle, person), &tokens, too_common);
                let payload = (!is_roll)
                    .then(|| encoder.payload_row(handle, &tokens, too_common, &facts_of(person)));
                Ok::<_, Problem>((presence, payload))
            })
            .collect();
        for row in rows {
            let (presence, payload) = row?;
            padding.before(&presence, body)?;
            body.write(&presence)?;
            if let Some(payload) = payload {
                let releases = encoder.releases.len();
                let width = |class: &usize| payload::row_bytes(*class, releases) == payload.len();
                if let Some(at) = PAYLOAD_CLASSES.iter().position(width) {
                    payloads[at].write(&payload)?;
                }
            }
        }
        Ok(())
    })?;
    padding.rest(body)?;
    if let (Some(words), Some(mut records)) = (words, encoder.record_encoder()) {
        let mut rows: Vec<_> = counts
            .padding()
            .map(|index| encoder.filter_padding(&mut records, index, &pool))
            .collect();
        rows.sort_unstable_by(|a, b| b.cmp(a));
        append_padded(filters, (16 + words * 8, counts.persons), rows, body)?;
    }
    for (at, (table, class)) in payloads.into_iter().zip(PAYLOAD_CLASSES).enumerate() {
        let width = payload::row_bytes(class, encoder.releases.len());
        let mut padding: Vec<Vec<u8>> = counts
            .payload_padding(at)
            .map(|index| padding::payload_row(encoder, class, index))
            .collect();
        padding.sort_unstable_by(|a, b| b.cmp(a));
        append_padded(table, (width, counts.classes[at]), padding, body)?;
    }
    Ok(())
}

/// Appends a table of `rows` rows of a width, its padding (last first) merged in by handle.
fn append_padded(
    table: Body,
    (width, rows): (usize, u64),
    mut padding: Vec<Vec<u8>>,
    body: &mut Body,
) -> Result<(), Problem> {
    let (file, _, _) = table.finish()?;
    let mut reader = BufReader::with_capacity(1 << 18, file.as_file());
    reader
        .seek(SeekFrom::Start(0))
        .map_err(|error| Problem::io(file.path(), error))?;
    let mut row = vec![0; width];
    for _ in 0..rows {
        reader
            .read_exact(&mut row)
            .map_err(|error| Problem::io(file.path(), error))?;
        while padding.last().is_some_and(|filler| *filler < row) {
            body.write(&padding.pop().unwrap_or_default())?;
        }
        body.write(&row)?;
    }
    padding
        .into_iter()
        .rev()
        .try_for_each(|filler| body.write(&filler))
}

/// Presence rows that only pad, the last handle first.
struct Padding {
    rows: Vec<[u8; PRESENCE_ROW_BYTES]>,
}

impl Padding {
    fn new(encoder: &Encoder<'_>, counts: &Counts) -> Self {
        let mut rows: Vec<_> = counts
            .padding()
            .map(|index| counts.presence_row(encoder, index))
            .collect();
        rows.sort_unstable_by(|a, b| b.cmp(a));
        Self { rows }
    }

    fn before(&mut self, next: &[u8; PRESENCE_ROW_BYTES], body: &mut Body) -> Result<(), Problem> {
        while self.rows.last().is_some_and(|row| row < next) {
            body.write(&self.rows.pop().unwrap_or_default())?;
        }
        Ok(())
    }

    fn rest(self, body: &mut Body) -> Result<(), Problem> {
        self.rows
            .into_iter()
            .rev()
            .try_for_each(|row| body.write(&row))
    }
}

/// A temporary file that is written front to back and hashed on the way.
pub(crate) struct Body {
    writer: BufWriter<File>,
    file: Scratch,
    path: PathBuf,
    bytes: u64,
    hash: Sha256,
}

impl Body {
    pub(crate) fn new(work: &Path) -> Result<Self, Problem> {
        let file = files::temporary(work)?;
        let path = file.path().to_path_buf();
        let handle = file
            .as_file()
            .try_clone()
            .map_err(|error| Problem::io(&path, error))?;
        let writer = BufWriter::with_capacity(1 << 20, handle);
        Ok(Self {
            writer,
            file,
            path,
            bytes: 0,
            hash: Sha256::default(),
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
        self.writer
            .write_all(bytes)
            .map_err(|error| Problem::io(&self.path, error))
    }

    pub(crate) fn finish(mut self) -> Result<(Scratch, u64, [u8; 32]), Problem> {
        self.writer
            .flush()
            .map_err(|error| Problem::io(&self.path, error))?;
        Ok((self.file, self.bytes, self.hash.finish()))
    }
}
