//! Answering the refinement round: filters of named pairs under keys of their own. In: a request's pairs and the
//! persons that were delivered. Out: one row of filters per pair, in the request's order.
//! Invariant: a padding handle gets the filters of some person of this side, always the same one, so that it cannot be
//! told from a person and does not make strangers less alike; the answer to a request is always the same bytes. Specification: protocol/SPEC.md, "Refinement"; design §5.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hedui_edge::Problem;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::Comparison;
use hedui_protocol::codec::Reader;
use hedui_protocol::filter::{FilterSpec, TokenKind, Tokens};
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::lock::TagContext;
use hedui_protocol::match_key::{KeyPart, Person};
use hedui_protocol::message::refine::{PAIR_ROW_BYTES, row_bytes};
use rayon::prelude::*;

use crate::changes::kept::{Changed, Head};
use crate::record::{Grouped, Pseudonyms, put_person, read_cells, said_by};
use crate::{canary, sealed_file};

const PURPOSE: &str = "delivered persons";

/// Path of the persons that a register delivered, kept for the refinement round.
pub fn persons_path(state: &Path, agreement: &InForce, register: &str) -> PathBuf {
    let digits: String = agreement.digest().to_hex().chars().take(16).collect();
    let epoch = agreement.epoch().0;
    state.join(format!("persons-{register}-{digits}-{epoch}.sealed"))
}

/// Takes a record: handle and person.
pub type PutPerson<'a> = dyn FnMut(Handle, &Grouped) -> Result<(), Problem> + 'a;

/// Keeps the persons of a delivery, sealed.
pub fn keep(
    path: &Path,
    identity: &Identity,
    snapshot: &str,
    fill: impl FnOnce(&mut PutPerson<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    sealed_file::write(path, identity, PURPOSE, |put| {
        put(snapshot.as_bytes())?;
        fill(&mut |handle, person| {
            let mut record = handle.0.to_vec();
            put_person(&mut record, &person.person)
                .map_err(|error| Problem::data(error.to_string(), "report this"))?;
            put(&record)
        })
    })
}

/// The persons behind the wanted handles of a delivery, and the name of the delivered data. A handle that is neither
/// a person's nor in `canaries` is padding: somebody stands in for it.
pub fn load(
    path: &Path,
    identity: &Identity,
    agreement: &InForce,
    (wanted, since): (&BTreeSet<Handle>, Option<&(Head, Changed)>),
    canaries: &BTreeMap<Handle, u16>,
) -> Result<(String, BTreeMap<Handle, Person>), Problem> {
    let (mut count, mut padding) = (0, wanted.clone());
    let snapshot = delivered(path, identity, since, &mut |handle, _| {
        padding.remove(&handle);
        count += 1;
        Ok(())
    })?;
    padding.retain(|handle| !canaries.contains_key(handle));
    let mut stand_ins: BTreeMap<usize, Vec<Handle>> = BTreeMap::new();
    for handle in padding {
        let number = stand_in(identity, &handle, count);
        stand_ins.entry(number).or_default().push(handle);
    }
    let (mut number, mut persons) = (0, BTreeMap::new());
    delivered(path, identity, since, &mut |handle, rest| {
        let own = wanted.get(&handle).into_iter();
        let others = stand_ins.get(&number).into_iter().flatten();
        for handle in own.chain(others) {
            let cells = read_cells(&mut Reader::new(rest), agreement);
            let person = Person::new(agreement, cells.map_err(|_| damaged())?);
            persons.insert(*handle, person);
        }
        number += 1;
        Ok(())
    })?;
    Ok((snapshot, persons))
}

/// Which of `count` persons stands in for a padding handle: pseudo-random, the same in every request.
pub fn stand_in(identity: &Identity, handle: &Handle, count: usize) -> usize {
    let key = identity.local_key(&[b"stand-in", &[0], &handle.0]);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&key.expose()[..8]);
    let drawn = u64::from_le_bytes(bytes) % (count.max(1) as u64);
    usize::try_from(drawn).unwrap_or(0)
}

fn damaged() -> Problem {
    Problem::data("the file of delivered persons is damaged", "submit again")
}

/// Takes a record of a delivery: handle and cells.
type TakeRecord<'a> = dyn FnMut(Handle, &[u8]) -> Result<(), Problem> + 'a;

/// Hands over every record of a delivery, in the order of handles, with what has been changed since; returns the name of the data.
fn delivered(
    path: &Path,
    identity: &Identity,
    since: Option<&(Head, Changed)>,
    take: &mut TakeRecord<'_>,
) -> Result<String, Problem> {
    let mut snapshot = None;
    let mut changes = BTreeMap::new().into_iter().peekable();
    let is_other = |handle: &Handle, applies: bool| {
        applies && since.is_some_and(|(_, changed)| changed.records.contains_key(handle))
    };
    let mut applies = false;
    sealed_file::read(path, identity, PURPOSE, |record| {
        if snapshot.is_none() {
            let of_file = String::from_utf8(record.to_vec()).map_err(|_| damaged())?;
            let own = since.filter(|(head, _)| head.snapshot == of_file);
            snapshot = Some(own.map_or(of_file, |(_, changed)| changed.snapshot.clone()));
            if let Some((_, changed)) = own {
                applies = true;
                changes = cells_of(changed).into_iter().peekable();
            }
            return Ok(());
        }
        let (handle, rest) = record.split_first_chunk::<16>().ok_or_else(damaged)?;
        let handle = Handle(*handle);
        while let Some((earlier, cells)) = changes.next_if(|(next, _)| *next < handle) {
            take(earlier, cells)?;
        }
        if is_other(&handle, applies) {
            return match changes.next_if(|(next, _)| *next == handle) {
                Some((_, cells)) => take(handle, cells),
                None => Ok(()),
            };
        }
        take(handle, rest)
    })?;
    changes.try_for_each(|(handle, cells)| take(handle, cells))?;
    snapshot.ok_or_else(damaged)
}

/// Cells of the records that changes brought; a spooled row has them behind pseudonym and number.
fn cells_of(changed: &Changed) -> BTreeMap<Handle, &[u8]> {
    let records = changed.records.iter();
    records
        .filter_map(|(handle, rows)| Some((*handle, said_by(&rows.first()?.bytes))))
        .collect()
}

/// Handles of the canaries of one side, by their numbers.
pub fn canaries(pseudonyms: &Pseudonyms, register: &str, is_roll: bool) -> BTreeMap<Handle, u16> {
    let handle = |number| pseudonyms.handle(register, &pseudonyms.canary(register, number));
    canary::numbers(is_roll)
        .map(|number| (handle(number), number))
        .collect()
}

/// Both handles of every pair of a request.
pub fn pairs(table: &[u8]) -> Vec<(Handle, Handle)> {
    let (rows, _) = table.as_chunks::<PAIR_ROW_BYTES>();
    let half = |row: &[u8]| {
        let mut handle = [0; 16];
        handle.copy_from_slice(row);
        Handle(handle)
    };
    rows.iter()
        .map(|row| (half(&row[..16]), half(&row[16..])))
        .collect()
}

/// Rows of filters, one per pair; `person` knows the persons of this side, `own` picks this side's handle.
pub fn rows<'p>(
    agreement: &InForce,
    (context, request): (&TagContext, &[u8; 32]),
    pairs: &[(Handle, Handle)],
    own: impl Fn(&(Handle, Handle)) -> Handle + Sync,
    person: impl Fn(&Handle) -> Option<&'p Person> + Sync,
    canaries: &BTreeMap<Handle, u16>,
) -> Vec<u8> {
    let comparisons = comparisons(agreement);
    let width = row_bytes(agreement);
    let mut out = vec![0; width * pairs.len()];
    let filled = out.par_chunks_exact_mut(width).zip(pairs.par_iter());
    filled.for_each(|(row, pair)| {
        let key = context.pair_key(request, pair.0, pair.1);
        let handle = own(pair);
        let found = person(&handle);
        let (presence, mut rest) = row.split_at_mut(2);
        let mut present = 0_u16;
        for (number, compared) in (0_u8..).zip(&comparisons) {
            let tokens = |part: &KeyPart, kind: TokenKind| match found {
                Some(person) => {
                    let cell = person.cells().get(part.field);
                    cell.map(|cell| kind.tokens(part.kind, cell))
                        .unwrap_or_default()
                }
                // A canary is like its other half and like nobody else.
                None => match canaries.get(&handle) {
                    Some(canary) => Tokens::one(&format!("canary {canary}")),
                    None => Tokens::one(&handle.to_hex()),
                },
            };
            let own = tokens(&compared.part, compared.kind_of(&compared.part));
            present |= u16::from(!own.is_empty()) << number;
            let mut put = |place: u8, spec: &FilterSpec, tokens: &Tokens| {
                let (filter, after) = std::mem::take(&mut rest).split_at_mut(spec.bytes());
                key.encode(4 * number + place, spec, tokens, filter);
                rest = after;
            };
            let spec = &compared.comparison.filter;
            put(0, spec, &own);
            if let Some(also) = compared.comparison.also {
                put(1, spec, &tokens(&compared.part, also));
            }
            if let Some(other) = &compared.exchange {
                let other = tokens(other, compared.kind_of(other));
                put(
                    2,
                    &compared.comparison.both(),
                    &Tokens::together(&own, &other),
                );
            }
        }
        presence.copy_from_slice(&present.to_be_bytes());
    });
    out
}

/// A comparison with its fields resolved.
struct Compared<'a> {
    comparison: &'a Comparison,
    part: KeyPart,
    exchange: Option<KeyPart>,
}

impl Compared<'_> {
    fn kind_of(&self, part: &KeyPart) -> TokenKind {
        self.comparison.tokens.unwrap_or(TokenKind::of(part.kind))
    }
}

fn comparisons(agreement: &InForce) -> Vec<Compared<'_>> {
    let text = agreement.text();
    let part = |field: &Name| KeyPart::parse(field.as_str(), &text.field).ok();
    let mut out = Vec::new();
    for comparison in &text.comparison {
        // The agreement was checked, so every field is there.
        if let Some(own) = part(&comparison.field) {
            let exchange = comparison.exchange.as_ref().and_then(part);
            out.push(Compared {
                comparison,
                part: own,
                exchange,
            });
        }
    }
    out
}
