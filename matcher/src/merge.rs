//! Merging parts into a result. In: parts with receipts, presence and payload tables. Out: the body of the
//! roll owner's result. Invariant: a missing, foreign or changed part is refused; rows are sorted, so the
//! body is the same for any order in which cells ran.
//! Specification: protocol/SPEC.md, "Result".

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

use hedui_edge::Problem;
use hedui_edge::files::{self, Scratch};
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::RefineBy;
use hedui_protocol::decision::Policy;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::PAYLOAD_CLASSES;
use hedui_protocol::message::refine::refine_of;
use hedui_protocol::message::result::{self, Manifest, Outcome, PAIR_BYTES, Pair};
use hedui_protocol::message::submission::{PRESENCE, PRESENCE_ROW_BYTES};
use hedui_protocol::message::{Table, manifest_bytes, payload};
use hedui_protocol::primitive::Sha256;

use crate::cell::{Cell, done};
use crate::delivery::{Delivery, select};
use crate::intake::State;
use crate::kept;
use crate::plan::{Pairing, Plan};
use crate::refine::{Candidate, Weights};
use crate::segment::digest_of;
use crate::settle::{cap_matches, refine_pairs, settle_likeness, settle_ties};

/// A merged result.
pub struct Merged {
    /// The body.
    pub file: Scratch,
    /// Its length.
    pub body_bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its head, with the counts per register.
    pub manifest: Manifest,
    /// Records that some pair names, ascending, of the registers whose owners are told so.
    pub found: BTreeMap<Name, BTreeSet<Handle>>,
}

/// Payload rows of one class.
type ClassRows = (usize, Vec<Vec<u8>>);

/// One register's share of the result.
struct Share {
    pairs: Vec<Pair>,
    payloads: Vec<ClassRows>,
}

/// Pairs of one register by what the keys say.
pub struct Compared {
    /// Pairs that the keys decide.
    pub pairs: Vec<Pair>,
    /// Pairs that they leave to the refinement round, if there is one; those for review are among the others too.
    pub candidates: Vec<Candidate>,
    /// Pairs that a class-A key decides: how alike the same person's records are.
    pub certain: Vec<(Handle, Handle)>,
    /// For each match key the pairs that agree on it and that the keys do not decide as the same person.
    pub undecided: [u64; 16],
}

/// Merges all parts of a run, with the match weights of the registers whose refinement is complete.
pub fn merge(
    state: &State,
    agreement: &InForce,
    plan: &Plan,
    (compared, weights): (Vec<Compared>, &BTreeMap<String, Weights>),
) -> Result<Merged, Problem> {
    let policy = Policy::new(agreement);
    let mut manifest = Manifest {
        roll: agreement.roll().name.clone(),
        registers: Vec::new(),
        tables: Vec::new(),
    };
    let (mut shares, mut found) = (Vec::new(), BTreeMap::new());
    for (pairing, compared) in plan.pairings.iter().zip(compared) {
        let mut pairs = compared.pairs;
        if let Some(weights) = weights.get(&pairing.register) {
            let weights = (weights, agreement.roll().repeats);
            refine_pairs(&policy, &mut pairs, &compared.candidates, weights);
        }
        cap_matches(agreement, pairing, &mut pairs);
        kept::keep_pairs(&plan.folder, &pairing.register, &pairs)?;
        let payloads = payloads(agreement, &Delivery::of(state, pairing)?, &pairs)?;
        let share = Share { pairs, payloads };
        let name =
            Name::try_from(pairing.register.clone()).map_err(|why| Problem::data(why, ""))?;
        if agreement.dataset(&name).is_some_and(|d| d.own_result) {
            found.insert(
                name.clone(),
                share.pairs.iter().map(|p| p.register).collect(),
            );
        }
        let count = |outcome| share.pairs.iter().filter(|p| p.outcome == outcome).count() as u64;
        manifest.registers.push(result::Register {
            name: name.clone(),
            as_of: pairing.as_of.clone(),
            snapshot: pairing.snapshot.clone(),
            register_snapshot: pairing.register_snapshot.clone(),
            canaries: pairing.canaries.clone(),
            matches: count(Outcome::Match),
            reviews: count(Outcome::Review),
            conflicts: count(Outcome::IdentityConflict),
        });
        manifest.tables.push(Table {
            name: result::pair_table(&name),
            width: u32::try_from(PAIR_BYTES).unwrap_or(u32::MAX),
            rows: share.pairs.len() as u64,
        });
        for (class, rows) in &share.payloads {
            let width = payload::row_bytes(*class, agreement.releases().len());
            manifest.tables.push(Table {
                name: result::payload_table(&name, *class),
                width: u32::try_from(width).unwrap_or(u32::MAX),
                rows: rows.len() as u64,
            });
        }
        shares.push(share);
    }
    let file = files::temporary(&state.work())?;
    let wrap = |error| Problem::io(file.path(), error);
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file());
    let (mut hash, mut body_bytes) = (Sha256::default(), 0);
    let mut put = |bytes: &[u8]| {
        hash.update(bytes);
        body_bytes += bytes.len() as u64;
        writer.write_all(bytes).map_err(wrap)
    };
    put(&manifest_bytes(&manifest)?)?;
    for share in &shares {
        share
            .pairs
            .iter()
            .try_for_each(|pair| put(&pair.encode()))?;
        share
            .payloads
            .iter()
            .flat_map(|(_, rows)| rows)
            .try_for_each(|row| put(row))?;
    }
    writer.flush().map_err(wrap)?;
    drop(writer);
    Ok(Merged {
        sha256: hash.finish(),
        body_bytes,
        manifest,
        found,
        file,
    })
}

/// What the keys say about every pair of every register.
pub fn compare(state: &State, agreement: &InForce, plan: &Plan) -> Result<Vec<Compared>, Problem> {
    let policy = Policy::new(agreement);
    let of = |pairing: &Pairing| {
        let cells = plan.cells.iter();
        let own: Vec<&Cell> = cells
            .filter(|cell| cell.register == pairing.register)
            .collect();
        let register = agreement
            .registers()
            .find(|d| d.name.as_str() == pairing.register);
        let likeness = agreement.likeness().map(|(_, key)| 1 << (key.number - 1));
        // Where the records' fields are weighed, the weights choose, not the likeness of the whole.
        let weighed = refine_of(agreement).is_ok_and(|refine| refine.by == RefineBy::Records);
        let once =
            likeness.filter(|_| register.is_some_and(|register| register.one_to_one) && !weighed);
        let repeats = agreement.roll().repeats;
        compare_one(state, &policy, pairing, (&own, once, repeats))
    };
    plan.pairings.iter().map(of).collect()
}

fn compare_one(
    state: &State,
    policy: &Policy,
    pairing: &Pairing,
    (cells, once, repeats): (&[&Cell], Option<u16>, bool),
) -> Result<Compared, Problem> {
    let delivery = Delivery::of(state, pairing)?;
    let mut found = agreements(cells, pairing, &delivery)?;
    let rolls: BTreeSet<Handle> = found.keys.keys().map(|(roll, _)| *roll).collect();
    let registers: BTreeSet<Handle> = found.keys.keys().map(|(_, register)| *register).collect();
    let roll = state.segments().join(&pairing.roll).join(PRESENCE);
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    let width = PRESENCE_ROW_BYTES;
    select(&roll, width, &rolls, |handle, row| {
        left.insert(handle, bitmap_of(row));
    })?;
    delivery.select(PRESENCE, width, &registers, |handle, row| {
        right.insert(handle, bitmap_of(row));
    })?;
    let (mut pairs, mut candidates, mut certain) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(bit) = once {
        let is_person = |(roll, register): &(Handle, Handle)| {
            let has = |held: Option<&u16>| held.is_some_and(|held| held & bit != 0);
            has(left.get(roll)) && has(right.get(register))
        };
        settle_likeness(&mut found, bit, &is_person);
    }
    let agree = found.keys;
    let sharing = Sharing::count(&agree);
    let mut undecided = [0; 16];
    for ((roll, register), agree) in agree {
        // A record without a presence row is padding that met a tag by chance: not a person.
        let (Some(l), Some(r)) = (left.get(&roll), right.get(&register)) else {
            continue;
        };
        let agree = policy.compared(agree, (*l, *r));
        if agree == 0 {
            continue;
        }
        let differ = policy.differing(agree, (*l, *r));
        if policy.is_candidate(agree, differ) {
            candidates.push(Candidate {
                roll,
                register,
                agree,
                differ,
                rivals: sharing.rivals(roll, register, agree),
            });
        }
        let decision = policy.decide(agree, differ);
        if decision != Some(Outcome::Match) {
            bits(agree).for_each(|key| undecided[key as usize] += 1);
        }
        if let Some(outcome) = decision {
            if outcome == Outcome::Match && policy.has_class_a(agree) {
                certain.push((roll, register));
            }
            pairs.push(Pair {
                weight: None,
                roll,
                register,
                agree,
                differ,
                outcome,
            });
        }
    }
    if !repeats {
        settle_ties(policy, &mut pairs);
    }
    Ok(Compared {
        pairs,
        candidates,
        certain,
        undecided,
    })
}

/// How many pairs each record is in by each key: as many as records of the other side share its value.
struct Sharing {
    roll: BTreeMap<(u32, Handle), u32>,
    register: BTreeMap<(u32, Handle), u32>,
}

impl Sharing {
    fn count(agree: &BTreeMap<(Handle, Handle), u16>) -> Self {
        let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
        for ((roll, register), keys) in agree {
            for key in bits(*keys) {
                *left.entry((key, *roll)).or_default() += 1;
                *right.entry((key, *register)).or_default() += 1;
            }
        }
        Self {
            roll: left,
            register: right,
        }
    }

    /// Other pairs of either record by the key of a pair that has fewest.
    fn rivals(&self, roll: Handle, register: Handle, agree: u16) -> u32 {
        let pairs = |key| {
            let count = |map: &BTreeMap<_, u32>, handle| map.get(&(key, handle)).copied();
            count(&self.roll, roll).unwrap_or(1) + count(&self.register, register).unwrap_or(1)
        };
        bits(agree)
            .map(pairs)
            .min()
            .map_or(0, |both| both.saturating_sub(2))
    }
}

/// Places of the bits of a bitmap.
fn bits(bitmap: u16) -> impl Iterator<Item = u32> {
    (0..u16::BITS).filter(move |at| bitmap & 1 << at != 0)
}

/// What the parts say: which keys agree, per pair, and how alike the record filters of a pair are.
#[derive(Default)]
pub struct Agreements {
    /// Agreeing keys.
    pub keys: BTreeMap<(Handle, Handle), u16>,
    /// How alike the record filters are; the larger, the more.
    pub alike: BTreeMap<(Handle, Handle), u64>,
}

/// Reads the parts; every one must be whole and the one that its receipt names.
fn agreements(
    cells: &[&Cell],
    pairing: &Pairing,
    delivery: &Delivery,
) -> Result<Agreements, Problem> {
    let mut found = Agreements::default();
    for cell in cells {
        let receipt = done(cell).ok_or_else(|| {
            Problem::not_yet(
                format!("cell {} is not done", cell.cell),
                "run the command again",
            )
        })?;
        if digest_of(&cell.part)? != receipt.sha256 {
            return Err(Problem::data(
                format!("part {} is not the one that its receipt names", cell.cell),
                format!("delete {} and run again", cell.part.display()),
            ));
        }
        let file = File::open(&cell.part).map_err(|error| Problem::io(&cell.part, error))?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let wrap = |error| Problem::io(&cell.part, error);
        let (mut roll, mut register, mut rank) = ([0; 16], [0; 16], [0; 8]);
        let of_base = pairing.base.as_ref() == Some(&cell.right_sha256);
        for _ in 0..receipt.rows {
            reader.read_exact(&mut roll).map_err(wrap)?;
            reader.read_exact(&mut register).map_err(wrap)?;
            let pair = (Handle(roll), Handle(register));
            if of_base && delivery.is_gone(&pair.1) {
                continue;
            }
            *found.keys.entry(pair).or_default() |= 1 << (cell.key - 1);
            if cell.likeness.is_some() {
                reader.read_exact(&mut rank).map_err(wrap)?;
                found.alike.insert(pair, u64::from_be_bytes(rank));
            }
        }
    }
    Ok(found)
}

/// Bitmap of a presence row.
fn bitmap_of(row: &[u8]) -> u16 {
    u16::from_be_bytes([row[16], row[17]])
}

/// Payload rows of the records whose pair agrees on a whole release set, per class.
fn payloads(
    agreement: &InForce,
    delivery: &Delivery,
    pairs: &[Pair],
) -> Result<Vec<ClassRows>, Problem> {
    let releases: Vec<u16> = agreement
        .releases()
        .iter()
        .map(|set| set.iter().fold(0, |bits, index| bits | 1 << index))
        .collect();
    // A pair whose name contradicts its identity number is probably not the person on the roll.
    let releasing = |pair: &&Pair| {
        pair.outcome != Outcome::IdentityConflict
            && releases.iter().any(|set| pair.agree & set == *set)
    };
    let wanted: BTreeSet<Handle> = pairs
        .iter()
        .filter(releasing)
        .map(|pair| pair.register)
        .collect();
    let mut out = Vec::new();
    for class in PAYLOAD_CLASSES {
        let mut rows = Vec::new();
        let width = payload::row_bytes(class, releases.len());
        delivery.select(&payload::table_name(class), width, &wanted, |_, row| {
            rows.push(row.to_vec());
        })?;
        out.push((class, rows));
    }
    Ok(out)
}
