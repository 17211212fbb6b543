//! What a register delivered, kept sealed so that single records can be laid open or listed later. In: the persons of a
//! delivery, and what changes made other since. Out: the records behind the handles that are wanted.
//! Invariant: written only where the agreement lets the owner be asked or told; it is what was delivered, not what the file
//! says by now. Specification: docs/ARCHITECTURE.md, "Agent".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_keys::vault;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::codec::Reader;
use hedui_protocol::field::Normal;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Handle;
use hedui_protocol::message::payload::Facts;
use zeroize::Zeroizing;

use crate::changes::kept::{Changed, Head, Row};
use crate::record::{Grouped, Spooled, group, put_person, read_cells};
use crate::sealed_file;

const PURPOSE: &str = "delivered records";

/// Whether the records of a dataset are kept.
pub fn is_kept(dataset: &Dataset) -> bool {
    dataset.disclosure.is_some() || dataset.own_result
}

/// Where they lie.
pub fn path(state: &Path, agreement: &InForce, register: &str) -> PathBuf {
    state.join(format!(
        "records-{register}-{}.sealed",
        vault::place(agreement)
    ))
}

/// Forgets what was delivered last: another delivery begins.
pub fn forget(path: &Path) -> Result<(), Problem> {
    if path.exists() {
        files::wipe(path)?;
        files::sync_folder(path.parent().unwrap_or(Path::new(".")));
    }
    Ok(())
}

/// A delivered record. Holds people's data: no `Debug`.
pub struct Delivered {
    /// Normal forms of its fields, in the agreement's order.
    pub cells: Vec<Normal>,
    /// Its facts.
    pub facts: Facts,
}

/// Takes a record: handle and person.
pub type PutRecord<'a> = dyn FnMut(Handle, &Grouped) -> Result<(), Problem> + 'a;

/// Keeps the records of a delivery, sealed.
pub fn keep(
    path: &Path,
    identity: &Identity,
    snapshot: &str,
    fill: impl FnOnce(&mut PutRecord<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    sealed_file::write(path, identity, PURPOSE, |put| {
        put(snapshot.as_bytes())?;
        fill(&mut |handle, person| {
            let mut record = Zeroizing::new(handle.0.to_vec());
            put_person(&mut record, &person.person)
                .map_err(|error| Problem::data(error.to_string(), "report this"))?;
            record.extend_from_slice(&person.facts.encode());
            put(&record)
        })
    })
}

/// Hands over the records of a delivery with what changes made of them since, in no particular order; returns the name of
/// the data.
pub fn each(
    (path, identity): (&Path, &Identity),
    (agreement, dataset): (&InForce, &Dataset),
    since: Option<&(Head, Changed)>,
    wanted: impl Fn(&Handle) -> bool,
    mut take: impl FnMut(Handle, Delivered) -> Result<(), Problem>,
) -> Result<String, Problem> {
    if !path.exists() {
        return Err(Problem::not_yet(
            format!(
                "`{}`: 没有可供查询的报送记录 no delivered records are kept here",
                dataset.name
            ),
            "请从报送时的文件夹运行，或重新报送一次 run it in the folder from which the register was delivered, or deliver it again",
        ));
    }
    let mut snapshot: Option<String> = None;
    let mut changed = None;
    sealed_file::read(path, identity, PURPOSE, |record| {
        if snapshot.is_none() {
            let whole = String::from_utf8(record.to_vec()).map_err(|_| damaged())?;
            changed = since.filter(|(head, _)| head.snapshot == whole);
            snapshot = Some(changed.map_or(whole, |(_, changed)| changed.snapshot.clone()));
            return Ok(());
        }
        let (handle, rest) = record.split_first_chunk::<16>().ok_or_else(damaged)?;
        let handle = Handle(*handle);
        let is_other = changed.is_some_and(|(_, since)| since.records.contains_key(&handle));
        match wanted(&handle) && !is_other {
            true => take(handle, read(rest, agreement, dataset).ok_or_else(damaged)?),
            false => Ok(()),
        }
    })?;
    let records = changed.into_iter().flat_map(|(_, since)| &since.records);
    for (handle, rows) in records.filter(|(handle, _)| wanted(handle)) {
        if let Some(record) = grouped(rows, agreement, dataset)? {
            take(*handle, record)?;
        }
    }
    snapshot.ok_or_else(damaged)
}

/// The records behind some handles, and the name of the data.
pub fn find(
    place: (&Path, &Identity),
    terms: (&InForce, &Dataset),
    since: Option<&(Head, Changed)>,
    wanted: impl Fn(&Handle) -> bool,
) -> Result<(String, BTreeMap<Handle, Delivered>), Problem> {
    let mut found = BTreeMap::new();
    let snapshot = each(place, terms, since, wanted, |handle, record| {
        found.insert(handle, record);
        Ok(())
    })?;
    Ok((snapshot, found))
}

fn read(bytes: &[u8], agreement: &InForce, dataset: &Dataset) -> Option<Delivered> {
    let mut reader = Reader::new(bytes);
    let cells = read_cells(&mut reader, agreement).ok()?;
    let facts = Facts::decode(reader.rest(), &dataset.fact).ok()?;
    Some(Delivered { cells, facts })
}

/// A record as changes left it; without rows it is no longer there.
fn grouped(
    rows: &[Row],
    agreement: &InForce,
    dataset: &Dataset,
) -> Result<Option<Delivered>, Problem> {
    let spooled = rows
        .iter()
        .map(|row| Spooled::decode(&row.bytes, agreement, dataset.fact.len()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| damaged())?;
    Ok(group(spooled, |id| *id).pop().map(|person| Delivered {
        cells: person.person.cells().to_vec(),
        facts: person.facts,
    }))
}

fn damaged() -> Problem {
    Problem::data(
        "已保存的报送记录损坏 the file of delivered records is damaged",
        "请重新报送 deliver the register again",
    )
}
