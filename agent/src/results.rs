//! Opening results. In: the matcher's envelope and the roll's snapshot. Out: evidence: which person of the
//! roll, which register, how decided, and the facts that the match releases.
//! Invariant: a payload opens only with tokens of the roll's own person, so a match invented by the
//! matcher shows as unopenable and is counted. Specification: protocol/SPEC.md, "Result".

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_keys::kit_store::KitStore;
use hedui_keys::lock::{Keyed, Lock};
use hedui_protocol::agreement::InForce;
use hedui_protocol::decision::Policy;
use hedui_protocol::envelope::Verified;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::PAYLOAD_CLASSES;
use hedui_protocol::lock::TagContext;
use hedui_protocol::match_key::Side;
use hedui_protocol::message::disclosure::Word;
use hedui_protocol::message::payload::{self, Facts};
use hedui_protocol::message::result::{
    self, Manifest, Outcome, PAIR_BYTES, Pair, pair_table, payload_table,
};
use hedui_protocol::message::submission;
use hedui_protocol::message::{Layout, Table, manifest_len, parse_manifest};
use hedui_protocol::refusal::Refusal;

use crate::canary;
use crate::encode::{Encoder, TooCommon};
use crate::record::Pseudonyms;
use crate::roll::Roll;

/// One decided pair, seen from the roll.
pub struct Evidence {
    /// Register.
    pub register: Name,
    /// Index of the person in the roll.
    pub person: usize,
    /// The register's record.
    pub handle: Handle,
    /// Match keys that agree, as a bitmap.
    pub agree: u16,
    /// Match keys that differ, as a bitmap.
    pub differ: u16,
    /// Match weight in hundredths of a bit, where the refinement round decided.
    pub weight: Option<i16>,
    /// Decision of the matcher.
    pub outcome: Outcome,
    /// Released facts.
    pub facts: Option<Facts>,
    /// What the register's owner answered when asked about this record.
    pub disclosed: Option<Disclosed>,
}

/// An answer of a register's owner about one record, beside what the roll says.
pub struct Disclosed {
    /// Day of the answer, or of the question while it is open.
    pub day: String,
    /// Whether it speaks of the data that were compared.
    pub is_current: bool,
    /// What was decided; nothing while the question is open.
    pub word: Option<Word>,
    /// Why, or a remark.
    pub note: String,
    /// Fields that were laid open.
    pub fields: Vec<Compared>,
}

/// A field of a record that was laid open.
pub struct Compared {
    /// Field.
    pub field: Name,
    /// The roll's normal form, if there is one.
    pub ours: Option<String>,
    /// The register's.
    pub theirs: String,
    /// Whether it may have been derived from the number on which both agree.
    pub follows: bool,
}

/// Everything in one result.
pub struct Opened {
    /// Head of the result.
    pub manifest: Manifest,
    /// Evidence in the order of registers and handles.
    pub evidence: Vec<Evidence>,
    /// Pairs whose payload should open and does not: the matcher or the register is at fault.
    pub unopenable_count: u64,
    /// Pairs that name no person of this roll.
    pub foreign_count: u64,
    /// Registers that were compared with an earlier delivery of the roll; their pairs are not looked at.
    pub outdated: Vec<Name>,
    /// Canaries of both sides that the result does not show as the agreement's rule has it, canaries of one side that it
    /// does show, and sides whose word on their canaries is not theirs.
    pub canary_alarm_count: u64,
    /// Registers of the agreement that are not in the result.
    pub absent: Vec<Name>,
    /// Registers whose canaries prove nothing: the rule does not decide records like most of theirs by their keys.
    pub unguarded: Vec<Name>,
    /// Pairs that the agreement's rule cannot have given: keys that the person does not have, or an outcome
    /// that does not follow from the keys.
    pub impossible_count: u64,
}

/// Opens a verified result.
pub fn open(
    path: &Path,
    verified: &mut Verified<BufReader<File>>,
    identity: &Identity,
    agreement: &InForce,
    roll: &Roll,
    evaluated: Option<&dyn Lock>,
    (state, work): (&Path, &Path),
) -> Result<Opened, Problem> {
    let body = files::temporary(work)?;
    verified
        .open(identity, &mut body.as_file())
        .map_err(|error| Problem::envelope(path, error))?;
    let mut body = Body {
        file: body.reopen().map_err(|e| Problem::io(path, e))?,
        path,
    };
    let len = verified.header().body_bytes;
    let refused = |refusal| Problem::refused(path, refusal);
    let prefix = <[u8; 4]>::try_from(&body.at(0, 4)?[..]).unwrap_or_default();
    let manifest_bytes = manifest_len(prefix).map_err(refused)?;
    if manifest_bytes as u64 + 4 > len {
        return Err(refused(Refusal::malformed(
            "result",
            "its manifest is longer than its body",
        )));
    }
    let json = body.at(4, manifest_bytes)?;
    let manifest: Manifest = parse_manifest("result", &json).map_err(refused)?;
    let layout = Layout::new(manifest_bytes as u64, &manifest.tables).map_err(refused)?;
    if layout.body_bytes != len {
        return Err(refused(Refusal::malformed(
            "result",
            "its body has another length than its tables",
        )));
    }
    let store = KitStore::new(state, identity, agreement);
    let mut opened = Opened {
        manifest: manifest.clone(),
        evidence: Vec::new(),
        unopenable_count: 0,
        foreign_count: 0,
        impossible_count: 0,
        outdated: Vec::new(),
        canary_alarm_count: 0,
        unguarded: Vec::new(),
        absent: agreement
            .registers()
            .filter(|dataset| !manifest.registers.iter().any(|r| r.name == dataset.name))
            .map(|dataset| dataset.name.clone())
            .collect(),
    };
    let mut seen = BTreeSet::new();
    for register in &manifest.registers {
        let dataset = agreement.dataset_or_nearest(register.name.as_str())?;
        if !seen.insert(&register.name) {
            let refusal = Refusal::malformed("result", "a register is in it twice");
            return Err(Problem::refused(path, refusal));
        }
        if register.snapshot != roll.snapshot {
            opened.outdated.push(register.name.clone());
            continue;
        }
        let kit = store.get(dataset)?.ok_or_else(|| {
            Problem::data(
                format!("the kit of `{}` is not here", register.name),
                "open results in the folder from which the roll was submitted",
            )
        })?;
        let pseudonyms = Pseudonyms::new(identity, agreement, agreement.roll().name.as_str());
        let encoder = Encoder {
            agreement,
            register: register.name.as_str(),
            context: TagContext::new(
                agreement.digest(),
                agreement.epoch(),
                kit.register,
                kit.register_secret.duplicate(),
            ),
            side: Side::Roll,
            pseudonyms: &pseudonyms,
            releases: agreement.releases(),
        };
        let keyed = Keyed::new(&kit.shared_secret);
        let lock = evaluated.unwrap_or(&keyed);
        let tables = Tables::read(&mut body, &layout, &register.name, &encoder)?;
        let counted = open_register(&mut opened, &tables, register, (&encoder, lock), roll)?;
        // What people are shown is what was checked here, not what the head claims.
        if let Some(head) = opened
            .manifest
            .registers
            .iter_mut()
            .find(|r| r.name == register.name)
        {
            [head.matches, head.reviews, head.conflicts] = counted;
        }
    }
    Ok(opened)
}

fn open_register(
    opened: &mut Opened,
    tables: &Tables,
    register: &result::Register,
    (encoder, lock): (&Encoder<'_>, &dyn Lock),
    roll: &Roll,
) -> Result<[u64; 3], Problem> {
    let dataset = encoder.agreement.dataset_or_nearest(encoder.register)?;
    let policy = Policy::new(encoder.agreement);
    let due = canaries_due(&policy, register, encoder);
    let mut counts = [0; 3];
    let handles = roll.handles(encoder.pseudonyms, encoder.register);
    let canaries: BTreeMap<Handle, u16> = canary::numbers(true)
        .map(|number| {
            let id = encoder.pseudonyms.canary(encoder.register, number);
            (encoder.pseudonyms.handle(encoder.register, &id), number)
        })
        .collect();
    let padding = own_padding(encoder, (roll.persons.len() + canaries.len()) as u64);
    let (mut shown, mut wrong) = (BTreeSet::new(), 0);
    for pair in &tables.pairs {
        if let Some(number) = canaries.get(&pair.roll) {
            let right = due.as_ref().is_some_and(|due| due.is_shown(pair));
            if *number >= canary::SHARED || right {
                shown.insert(*number);
            } else {
                wrong += 1;
            }
            continue;
        }
        let Some(person) = handles.get(&pair.roll).copied() else {
            // Mixed from several persons' values, padding is now and then like somebody: no person, and nobody's fault.
            if !padding.contains(&pair.roll) {
                opened.foreign_count += 1;
            }
            continue;
        };
        let tokens = encoder.tokens(lock, &roll.persons[person])?;
        let held = (0..).zip(&tokens).fold(0, |bits: u16, (at, token)| {
            bits | u16::from(!token.is_empty()) << at
        });
        let held = encoder.with_likeness(held, &roll.persons[person]);
        if !policy.admits(pair, held) {
            opened.impossible_count += 1;
            continue;
        }
        // A record of a register has one payload: where a release set agrees, it must be here and open.
        let released = |keys: &Vec<usize>| keys.iter().all(|index| pair.agree & (1 << index) != 0);
        let conflict = pair.outcome == Outcome::IdentityConflict;
        let expected = !conflict && encoder.releases.iter().any(released);
        let mut facts = None;
        if let Some(row) = tables.payloads.get(&pair.register).filter(|_| expected) {
            for (set, keys) in encoder.releases.iter().enumerate() {
                if !released(keys) {
                    continue;
                }
                let keks = encoder.payload_keys(set, pair.register, &tokens, &TooCommon::new());
                let open = |kek| payload::open_row(row, encoder.releases.len(), set, kek, dataset);
                facts = keks.iter().find_map(open);
                if facts.is_some() {
                    break;
                }
            }
        }
        if expected && facts.is_none() {
            opened.unopenable_count += 1;
            continue;
        }
        counts[match pair.outcome {
            Outcome::Match => 0,
            Outcome::Review => 1,
            Outcome::IdentityConflict => 2,
        }] += 1;
        opened.evidence.push(Evidence {
            register: dataset.name.clone(),
            person,
            handle: pair.register,
            agree: pair.agree,
            differ: pair.differ,
            weight: pair.weight,
            outcome: pair.outcome,
            facts,
            disclosed: None,
        });
    }
    if due.as_ref().is_some_and(|due| !due.is_decided()) {
        opened.unguarded.push(dataset.name.clone());
    }
    opened.canary_alarm_count +=
        due.map_or(u64::from(canary::SHARED), |due| due.alarms(&shown, wrong));
    Ok(counts)
}

/// Handles of the roll's padding, where record filters can be like somebody's: with sections.
fn own_padding(encoder: &Encoder<'_>, records: u64) -> BTreeSet<Handle> {
    let likeness = encoder.agreement.likeness();
    if !likeness.is_some_and(|(likeness, _)| likeness.sections) {
        return BTreeSet::new();
    }
    (records..submission::Manifest::padded(records))
        .map(|index| encoder.pseudonyms.padding_handle(encoder.register, index))
        .collect()
}

/// What the canaries of a register must have come to; nothing where a side's word on them is not its own.
fn canaries_due(
    policy: &Policy,
    register: &result::Register,
    encoder: &Encoder<'_>,
) -> Option<canary::Due> {
    let [roll, other] = &register.canaries;
    let context = &encoder.context;
    let roll = context.canary_bitmap(Side::Roll, &register.snapshot, roll)?;
    let stamp = canary::stamp(false, &register.as_of, &register.register_snapshot);
    let other = context.canary_bitmap(Side::Register, &stamp, other)?;
    Some(canary::Due::of(policy, roll, other))
}

/// Tables of one register.
struct Tables {
    pairs: Vec<Pair>,
    payloads: BTreeMap<Handle, Vec<u8>>,
}

impl Tables {
    fn read(
        body: &mut Body<'_>,
        layout: &Layout,
        register: &Name,
        encoder: &Encoder<'_>,
    ) -> Result<Self, Problem> {
        let bad = |why: &str| Problem::from(Refusal::malformed("result", why));
        let mut pairs = Vec::new();
        body.rows(layout, &pair_table(register), PAIR_BYTES, |row| {
            pairs.push(Pair::decode(row).map_err(|_| bad("a pair does not decode"))?);
            Ok(())
        })?;
        let mut payloads = BTreeMap::new();
        for class in PAYLOAD_CLASSES {
            let width = payload::row_bytes(class, encoder.releases.len());
            body.rows(layout, &payload_table(register, class), width, |row| {
                let handle = row
                    .first_chunk::<16>()
                    .ok_or_else(|| bad("a payload is too short"))?;
                payloads.insert(Handle(*handle), row.to_vec());
                Ok(())
            })?;
        }
        Ok(Self { pairs, payloads })
    }
}

struct Body<'a> {
    file: File,
    path: &'a Path,
}

impl Body<'_> {
    fn at(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, Problem> {
        let mut bytes = vec![0; len];
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|error| Problem::io(self.path, error))?;
        Ok(bytes)
    }

    fn rows(
        &mut self,
        layout: &Layout,
        name: &str,
        width: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let wrong = || {
            Problem::from(Refusal::malformed(
                "result",
                format!("table `{name}` is missing or wrong"),
            ))
        };
        let (
            Table {
                width: found, rows, ..
            },
            offset,
        ) = layout.table(name).ok_or_else(wrong)?;
        if *found as usize != width {
            return Err(wrong());
        }
        self.file
            .seek(SeekFrom::Start(*offset))
            .map_err(|e| Problem::io(self.path, e))?;
        let mut reader = BufReader::with_capacity(1 << 18, &self.file);
        let mut row = vec![0; width];
        for _ in 0..*rows {
            reader
                .read_exact(&mut row)
                .map_err(|error| Problem::io(self.path, error))?;
            take(&row)?;
        }
        Ok(())
    }
}
