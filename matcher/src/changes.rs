//! Whether changes fit the delivery that they change. In: tables of the base and of the changes, both already sorted and sealed by their
//! owner. Out: nothing, or a refusal. Invariant: what is gone was there, what comes was not or is gone, and together no tag is more
//! frequent than the agreement allows: the two are what a whole delivery may be.
//! Specification: protocol/SPEC.md, "Changes".

use std::collections::BTreeSet;
use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::agreement::InForce;
use hedui_protocol::ids::Handle;
use hedui_protocol::limits::PAYLOAD_CLASSES;
use hedui_protocol::message::payload;
use hedui_protocol::message::submission::{
    GONE, HANDLE_BYTES, Manifest, PRESENCE, PRESENCE_ROW_BYTES,
};
use hedui_protocol::refusal::Refusal;
use rayon::prelude::*;

use crate::delivery::{handles, select};
use crate::segment::{Range, Row};

/// Checks the tables in `changes` against those in `base`.
pub(crate) fn check(base: &Path, changes: &Path, agreement: &InForce) -> Result<(), Problem> {
    let gone = handles(&changes.join(GONE), HANDLE_BYTES)?;
    let come = handles(&changes.join(PRESENCE), PRESENCE_ROW_BYTES)?;
    let (records, tags) = rayon::join(
        || check_records((base, changes), agreement, (&gone, &come)),
        || check_tags((base, changes), agreement, (&gone, &come)),
    );
    records.and(tags)
}

fn check_records(
    (base, changes): (&Path, &Path),
    agreement: &InForce,
    (gone, come): (&[Handle], &[Handle]),
) -> Result<(), Problem> {
    let wanted: BTreeSet<Handle> = gone.iter().chain(come).copied().collect();
    let mut found = BTreeSet::new();
    select(
        &base.join(PRESENCE),
        PRESENCE_ROW_BYTES,
        &wanted,
        |handle, _| {
            found.insert(handle);
        },
    )?;
    let bad = |why: &str| Problem::from(Refusal::malformed("submission", why));
    if gone.iter().any(|handle| !found.contains(handle)) {
        return Err(bad("a record is gone that its base does not have"));
    }
    let is_gone = |handle: &Handle| gone.binary_search(handle).is_ok();
    if come.iter().any(|h| found.contains(h) && !is_gone(h)) {
        return Err(bad("a record comes that its base has already"));
    }
    let comes = |handle: &Handle| come.binary_search(handle).is_ok();
    let releases = agreement.releases().len();
    for class in PAYLOAD_CLASSES {
        let path = changes.join(payload::table_name(class));
        let handles = handles(&path, payload::row_bytes(class, releases))?;
        if !handles.iter().all(comes) {
            return Err(bad("a payload comes without its record"));
        }
    }
    Ok(())
}

fn check_tags(
    (base, changes): (&Path, &Path),
    agreement: &InForce,
    (gone, come): (&[Handle], &[Handle]),
) -> Result<(), Problem> {
    let is_gone = |handle: &Handle| gone.binary_search(handle).is_ok();
    // What comes, comes in every table: presence is sorted, so it can be asked.
    let comes = |handle: &Handle| come.binary_search(handle).is_ok();
    let cap = agreement.text().multiplicity_cap;
    let checked: Vec<Result<(), Problem>> = agreement
        .match_keys()
        .par_iter()
        .map(|key| {
            let table = Manifest::tag_table(key.number);
            let tables = (&*base.join(&table), &*changes.join(&table));
            let most = most_frequent(tables, &is_gone, &comes)?;
            if most > u64::from(cap) {
                return Err(Refusal::Oversize {
                    what: "multiplicity of a tag",
                    found: most,
                    allowed: u64::from(cap),
                }
                .into());
            }
            Ok(())
        })
        .collect();
    // Of several faults the first in the order of the keys is the reason, whatever the threads did.
    checked.into_iter().collect()
}

/// How many records have the most frequent of the tags that come.
fn most_frequent(
    (base, changes): (&Path, &Path),
    is_gone: &dyn Fn(&Handle) -> bool,
    comes: &dyn Fn(&Handle) -> bool,
) -> Result<u64, Problem> {
    let (mut old, mut new) = (Range::open(base, 0, 255)?, Range::open(changes, 0, 255)?);
    let next = |range: &mut Range, path| range.next_row().map_err(|e| Problem::io(path, e));
    let handle = |row: &Row| {
        let mut handle = [0; 16];
        handle.copy_from_slice(&row[16..]);
        Handle(handle)
    };
    let (mut held, mut row) = (next(&mut old, base)?, next(&mut new, changes)?);
    let mut most = 0;
    while let Some(first) = row {
        let mut count = 0;
        while let Some(same) = row.filter(|row| row[..16] == first[..16]) {
            if !comes(&handle(&same)) {
                let why = "a tag comes without its record";
                return Err(Refusal::malformed("submission", why).into());
            }
            count += 1;
            row = next(&mut new, changes)?;
        }
        if held.is_some_and(|held| held[..16] < first[..16]) {
            old.skip_below(&first[..16])
                .map_err(|error| Problem::io(base, error))?;
            held = next(&mut old, base)?;
        }
        while let Some(same) = held.filter(|held| held[..16] == first[..16]) {
            count += u64::from(!is_gone(&handle(&same)));
            held = next(&mut old, base)?;
        }
        most = most.max(count);
    }
    Ok(most)
}
