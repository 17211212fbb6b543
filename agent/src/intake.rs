//! Reading a mapped source once: rows → records in a spool, and the quality tally. In: mapping and
//! agreement. Out: [`Prepared`]. Invariant: one pass over the file; rows are translated in parallel
//! and spooled in file order, so the result does not depend on threads.
//! Specification: docs/ARCHITECTURE.md, "Agent".

use std::path::{Path, PathBuf};

use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::{Dataset, DatasetKind, Ground};
use hedui_protocol::field::Gazetteer;
use hedui_protocol::primitive::{Sha256, hex};
use hedui_protocol::refusal::Refusal;
use rayon::prelude::*;

use crate::authorisation::Authorisations;
use crate::content::Content;
use crate::mapping::Mapping;
use crate::mapping::translate::{LocalValue, Record, Translator};
use crate::quality::Tally;
use crate::record::{Grouped, Operation, Pseudonyms, Spooled, group, split};
use crate::source::{self, Reading};
use crate::spool::Spool;

/// A dataset that was read.
pub struct Prepared {
    /// Dataset of the agreement.
    pub dataset: Dataset,
    /// The mapping that was applied.
    pub mapping: Mapping,
    /// Records, partitioned by handle.
    pub spool: Spool,
    /// Quality of the cells.
    pub tally: Tally,
    /// What the source said.
    pub reading: Reading,
    /// Pseudonyms of the dataset.
    pub pseudonyms: Pseudonyms,
    /// SHA-256 of the source file.
    pub source_sha256: [u8; 32],
    /// Name of exactly these data, which says nothing to others; hexadecimal. Of a roll: its file and mapping; of a register: what its
    /// rows say, in whatever order.
    pub snapshot: String,
    /// What the rows of a register say, in one sum.
    pub content: Content,
}

impl Prepared {
    /// The records of a part of the spool, one per person, in the order of their pseudonyms.
    pub fn persons(&mut self, agreement: &Agreement, part: usize) -> Result<Vec<Grouped>, Problem> {
        let facts = self.dataset.fact.len();
        let records = self.spool.records(part)?;
        let records = records
            .iter()
            .map(|bytes| Spooled::decode(bytes, agreement, facts))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        Ok(group(records, |id| *id))
    }
}

/// What is needed to read a dataset.
pub struct Job<'a> {
    /// Agreement.
    pub agreement: &'a Agreement,
    /// Mapping file.
    pub mapping_file: &'a Path,
    /// The mapping.
    pub mapping: Mapping,
    /// Another file than the mapping names.
    pub input: Option<&'a Path>,
    /// Gazetteer file, if the agreement names one.
    pub gazetteer: Option<&'a Path>,
    /// Folder for spilled data.
    pub work: &'a Path,
    /// Day on which authorisations must be valid, as YYYYMMDD.
    pub today: i64,
    /// Whether the file says what has changed since the last delivery.
    pub of_changes: bool,
}

/// Reads, translates and spools a dataset.
pub fn prepare(
    job: Job<'_>,
    pseudonyms: Pseudonyms,
    console: &Console,
) -> Result<Prepared, Problem> {
    let Job {
        agreement, mapping, ..
    } = &job;
    let dataset = agreement.dataset_or_nearest(&mapping.dataset)?.clone();
    let path = source_path(&job);
    let places = read_gazetteer(agreement, job.gazetteer)?;
    let header = source::read_header(&path, &mapping.source)?;
    let translator = Translator::new(mapping, agreement, &places, &header.columns, job.of_changes)
        .map_err(|problem| problem.at(job.mapping_file))?;
    let authorisations = authorisations(&job, &dataset, &places, console)?;
    let unit_at = mapping.local.keys().position(|name| name == "unit");
    let mut spool = Spool::new(job.work)?;
    let mut tally = Tally::new(agreement, &dataset, mapping);
    let keep_local = dataset.kind == DatasetKind::Roll;
    let bar = console.progress(
        "读取 reading",
        std::fs::metadata(&path).map_or(0, |m| m.len()),
    );
    let (mut rows, mut content) = (0_u64, Content::default());
    let reading = source::read(&path, &mapping.source, &mut |batch| {
        rows += batch.len() as u64;
        if rows > dataset.rows_max {
            let (found, allowed) = (rows, dataset.rows_max);
            return Err(Refusal::Oversize {
                what: "rows",
                found,
                allowed,
            }
            .into());
        }
        let records: Vec<_> = batch
            .par_iter()
            .filter_map(|row| translator.record(row))
            .map(|record| {
                let lack = authorisations
                    .as_ref()
                    .and_then(|list| list.lack(&record.person, unit_of(&record, unit_at)));
                (record, lack)
            })
            .map(|(record, lack)| {
                let id = pseudonyms.person(&record.person);
                let handle = pseudonyms.handle(dataset.name.as_str(), &id);
                let key = record.key.as_ref();
                let key = key.map(|key| pseudonyms.row_key(dataset.name.as_str(), key));
                let bytes = Spooled::encode(&id, &record, (keep_local, key));
                let said = bytes.as_ref().ok().filter(|_| !keep_local);
                let digest = said
                    .and_then(|bytes| split(bytes))
                    .map(|(row, ..)| Content::of(&pseudonyms, row))
                    .unwrap_or_default();
                (record, lack, handle, bytes, digest)
            })
            .collect();
        for (record, lack, handle, bytes, digest) in &records {
            if job.of_changes {
                check_change(record)?;
            }
            content.add(digest);
            tally.count(record);
            if let Some(lack) = lack {
                tally.refuse(*lack, record.row);
                continue;
            }
            let bytes = bytes.as_ref().map_err(|error| {
                Problem::data(format!("row {}: {error}", record.row), "shorten the cell")
            })?;
            spool.push(handle.0[0], bytes)?;
        }
        bar.inc(
            batch
                .iter()
                .flat_map(|row| &row.cells)
                .map(|cell| cell.len() as u64 + 1)
                .sum(),
        );
        Ok(())
    })?;
    bar.finish_and_clear();
    if reading.rows_count == 0 {
        return Err(Problem::data(
            format!("{}: there are no rows", path.display()),
            "check the export",
        ));
    }
    let source_sha256 = digest_of(&path)?;
    let mapping_sha256 = digest_of(job.mapping_file)?;
    let mut name = [0; 16];
    // Which rows were left out for want of an authorisation is part of what these data are.
    let left_out = match tally.unauthorised_count() {
        0 => String::new(),
        _ => {
            let digest = std::mem::take(&mut tally.unauthorised_digest);
            format!(" without {}", hex(&digest.finish()))
        }
    };
    if tally.unauthorised_count() == tally.rows_count {
        return Err(Problem::data(
            "名册中无人持有有效授权，未予核对 nobody on the roll has a valid authorisation: nothing is delivered",
            "请核对授权清单、有效期和字段对应表 check the list, its days and its mapping",
        ));
    }
    let label = format!(
        "snapshot {} {}{left_out}",
        hex(&source_sha256),
        hex(&mapping_sha256)
    );
    pseudonyms.padding(&label, 0, &mut name);
    let mapping = job.mapping;
    Ok(Prepared {
        snapshot: match keep_local {
            true => hex(&name),
            false => content.name(&pseudonyms),
        },
        content,
        dataset,
        mapping,
        spool,
        tally,
        reading,
        pseudonyms,
        source_sha256,
    })
}

/// A row of a file of changes says which row it is about, and what becomes of that.
fn check_change(record: &Record) -> Result<(), Problem> {
    let lacks = match (&record.key, record.operation) {
        // A row that the mapping leaves out is not there, with a key or without.
        (_, Some(Operation::LeaveOut)) => return Ok(()),
        (None, _) => "关键列为空 a key column is empty",
        (_, None) => {
            "操作列的内容不在对应表所列代码之中 its operation is none of the mapping's codes"
        }
        _ => return Ok(()),
    };
    Err(Problem::data(
        format!("第 {} 行 row {}: {lacks}", record.row, record.row),
        "未作任何变更；请改正该行或对应表 [changes] nothing was changed: correct the row, or [changes] in the mapping",
    ))
}

/// The list of authorisations, if the agreement wants one of each person and this is the roll.
fn authorisations(
    job: &Job<'_>,
    dataset: &Dataset,
    places: &Gazetteer,
    console: &Console,
) -> Result<Option<Authorisations>, Problem> {
    let wanted = job.agreement.text().authorisation == Some(Ground::EachPerson);
    if !wanted || dataset.kind != DatasetKind::Roll {
        if job.mapping.authorisations.is_some() {
            console.note("协议未要求逐人授权，授权清单未使用 the agreement asks for no authorisations: the list is not used");
        }
        return Ok(None);
    }
    let file = job.mapping.authorisations.as_ref().ok_or_else(|| {
        Problem::data(
            "协议要求逐人授权，名册的字段对应表未指明授权清单 the agreement wants an authorisation of each person; the roll's mapping names \
             no list",
            "在字段对应表首部加 authorisations = \"授权清单.map.toml\" add it at the top of the mapping; docs/OPERATIONS.md, Authorisations",
        )
    })?;
    let folder = job.mapping_file.parent().unwrap_or(Path::new("."));
    Authorisations::read(job.agreement, &folder.join(file), places, job.today).map(Some)
}

/// Benefit unit of a row, as its mapping names it.
fn unit_of(record: &Record, unit_at: Option<usize>) -> &str {
    match unit_at.and_then(|at| record.local.get(at)) {
        Some(LocalValue::Text(unit)) => unit.trim(),
        _ => "",
    }
}

/// The file to read: `--input`, or the one that the mapping names.
pub fn source_path(job: &Job<'_>) -> PathBuf {
    job.input.map_or_else(
        || job.mapping.source_path(job.mapping_file),
        Path::to_path_buf,
    )
}

/// The gazetteer of the agreement, checked by its digest.
pub fn read_gazetteer(agreement: &Agreement, path: Option<&Path>) -> Result<Gazetteer, Problem> {
    if agreement.text().gazetteer_sha256.is_empty() {
        return Ok(Gazetteer::default());
    }
    let path = path.ok_or_else(|| {
        Problem::usage(
            "the agreement names a gazetteer",
            "give it with --gazetteer FILE",
        )
    })?;
    let bytes = files::read_small(path)?;
    if !agreement.is_gazetteer(&bytes) {
        return Err(Problem::refused(
            path,
            Refusal::malformed(
                "copy of the gazetteer",
                "it is not the one that the agreement names by its digest",
            ),
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::refused(path, Refusal::malformed("gazetteer", "it is not UTF-8")))?;
    Gazetteer::parse(&text).map_err(|refusal| Problem::refused(path, refusal))
}

fn digest_of(path: &Path) -> Result<[u8; 32], Problem> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).map_err(|error| Problem::io(path, error))?;
    let (mut hash, mut buffer) = (Sha256::default(), vec![0; 1 << 18]);
    loop {
        let got = file
            .read(&mut buffer)
            .map_err(|error| Problem::io(path, error))?;
        if got == 0 {
            return Ok(hash.finish());
        }
        hash.update(&buffer[..got]);
    }
}
