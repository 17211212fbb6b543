//! Deciding among rivals. In: pairs as the keys decide them, weights, similarities. Out: the same pairs, where several claim
//! one record with a silent choice never made: review, or for one-to-one registers the assignment. Invariant: the order of
//! pairs in is the order out; what a pair becomes depends on the pairs of its own register only.
//! Specification: protocol/SPEC.md, "Decision", "Refinement", "Record filters".

use std::collections::{BTreeMap, BTreeSet};

use hedui_protocol::agreement::InForce;
use hedui_protocol::decision::{Policy, centibits};
use hedui_protocol::ids::Handle;
use hedui_protocol::message::result::{Outcome, Pair};

use crate::assignment::{Edge, heaviest};
use crate::merge::Agreements;
use crate::plan::Pairing;
use crate::refine::one_to_one::LEAD;
use crate::refine::{Candidate, Weights};

/// Puts what the refinement round found in the place of what the keys left open. A record of the register that is
/// somebody's by its keys is not another's by likeness; of several refined matches only one with a clear lead stays, unless
/// the roll `repeats` persons: then each is what its weight says.
pub fn refine_pairs(
    policy: &Policy,
    pairs: &mut Vec<Pair>,
    candidates: &[Candidate],
    (weights, repeats): (&Weights, bool),
) {
    // A claim by keys that a tie lowered to review, or that is contradicted, is a claim all the same.
    let claimed = |pair: &&Pair| {
        policy.has_class_a(pair.agree)
            || policy.decide(pair.agree, pair.differ) == Some(Outcome::Match)
    };
    let claims: Vec<(Handle, Handle)> = pairs
        .iter()
        .filter(claimed)
        .map(|pair| (pair.register, pair.roll))
        .collect();
    let mut taken: BTreeMap<Handle, BTreeSet<Handle>> = BTreeMap::new();
    for (register, roll) in claims {
        taken.entry(register).or_default().insert(roll);
    }
    // What was not asked about, or settled into review by a tie, stays as the keys left it.
    pairs.retain(|pair| {
        let open = policy.is_candidate(pair.agree, pair.differ);
        !(open && weights.bits.contains_key(&(pair.roll, pair.register)))
    });
    let mut refined: Vec<Pair> = Vec::new();
    for candidate in candidates {
        let pair = (candidate.roll, candidate.register);
        let chosen = weights
            .choice
            .as_ref()
            .map(|choice| choice.contains_key(&pair));
        let Some(bits) = weights.bits.get(&pair).filter(|_| chosen != Some(false)) else {
            continue;
        };
        let weight = centibits(*bits);
        if let Some(outcome) = policy.refine(weight, candidate.agree, candidate.differ) {
            refined.push(Pair {
                roll: candidate.roll,
                register: candidate.register,
                agree: candidate.agree,
                differ: candidate.differ,
                outcome,
                weight: Some(weight),
            });
        }
    }
    if let Some(choice) = &weights.choice {
        for pair in &mut refined {
            let chosen = choice.get(&(pair.roll, pair.register));
            if pair.outcome == Outcome::Match && !chosen.is_some_and(|chosen| chosen.clear) {
                pair.outcome = policy.lowered(pair.agree);
            }
        }
        pairs.extend(refined);
        pairs.sort_unstable();
        return;
    }
    if repeats {
        pairs.extend(refined);
        pairs.sort_unstable();
        return;
    }
    // Every candidate is a rival, whatever becomes of it; one that was not asked about may be any.
    let mut best: BTreeMap<Handle, [i16; 2]> = BTreeMap::new();
    for candidate in candidates {
        let asked = weights.bits.get(&(candidate.roll, candidate.register));
        let weight = asked.map_or(i16::MAX, |bits| centibits(*bits));
        let [first, second] = best.entry(candidate.register).or_insert([i16::MIN; 2]);
        if weight > *first {
            (*first, *second) = (weight, *first);
        } else {
            *second = (*second).max(weight);
        }
    }
    for pair in &mut refined {
        let [first, second] = best.get(&pair.register).copied().unwrap_or_default();
        let leads = pair.weight == Some(first) && first.saturating_sub(second) >= LEAD;
        let others = taken
            .get(&pair.register)
            .is_some_and(|rolls| rolls.iter().any(|roll| *roll != pair.roll));
        if pair.outcome == Outcome::Match && (others || !leads) {
            pair.outcome = policy.lowered(pair.agree);
        }
    }
    pairs.extend(refined);
    pairs.sort_unstable();
}

/// In a one-to-one register each record is like one other at most: the assignment that is most alike in all.
pub fn settle_likeness(
    found: &mut Agreements,
    likeness_bit: u16,
    is_person: &dyn Fn(&(Handle, Handle)) -> bool,
) {
    found.alike.retain(|pair, _| is_person(pair));
    let place = |handles: BTreeSet<Handle>| -> BTreeMap<Handle, u32> {
        handles.into_iter().zip(0..).collect()
    };
    let rolls = place(found.alike.keys().map(|pair| pair.0).collect());
    let registers = place(found.alike.keys().map(|pair| pair.1).collect());
    let least = found.alike.values().min().copied().unwrap_or(0);
    let edges: Vec<Edge> = found
        .alike
        .iter()
        .map(|((roll, register), rank)| Edge {
            left: rolls[roll],
            right: registers[register],
            weight: i64::try_from(rank - least).unwrap_or(i64::MAX >> 16) + 1,
        })
        .collect();
    // Leads are not asked for: how much more alike is clearly more alike, no threshold says.
    let chosen: BTreeSet<usize> = heaviest(&edges, i64::MIN)
        .iter()
        .map(|chosen| chosen.edge)
        .collect();
    for (at, pair) in found.alike.keys().enumerate() {
        if !chosen.contains(&at)
            && let Some(keys) = found.keys.get_mut(pair)
        {
            *keys &= !likeness_bit;
        }
    }
}

/// A register record that is some person's by its identity number is not silently another's by weaker keys,
/// nor two persons' by weaker keys alone: such matches go to review. Not for a roll in which persons are repeated.
pub fn settle_ties(policy: &Policy, pairs: &mut [Pair]) {
    let certain: BTreeSet<Handle> = pairs
        .iter()
        .filter(|pair| pair.outcome == Outcome::Match && policy.has_class_a(pair.agree))
        .map(|pair| pair.register)
        .collect();
    let weak = |pair: &Pair| pair.outcome == Outcome::Match && !policy.has_class_a(pair.agree);
    let mut claims: BTreeMap<Handle, usize> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| weak(pair)) {
        *claims.entry(pair.register).or_default() += 1;
    }
    for pair in pairs.iter_mut() {
        let tied = claims.get(&pair.register).is_some_and(|claims| *claims > 1);
        if weak(pair) && (tied || certain.contains(&pair.register)) {
            pair.outcome = Outcome::Review;
        }
    }
}

/// Where the agreement bounds how many records of a register one person may match, more go to review.
pub fn cap_matches(agreement: &InForce, pairing: &Pairing, pairs: &mut [Pair]) {
    let register = agreement
        .registers()
        .find(|d| d.name.as_str() == pairing.register);
    let cap = register.map_or(0, |dataset| {
        if dataset.one_to_one {
            1
        } else {
            dataset.matches_max
        }
    }) as usize;
    if cap == 0 {
        return;
    }
    let mut counts: BTreeMap<Handle, usize> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| pair.outcome == Outcome::Match) {
        *counts.entry(pair.roll).or_default() += 1;
    }
    for pair in pairs
        .iter_mut()
        .filter(|pair| pair.outcome == Outcome::Match)
    {
        if counts.get(&pair.roll).is_some_and(|count| *count > cap) {
            pair.outcome = Outcome::Review;
        }
    }
}
