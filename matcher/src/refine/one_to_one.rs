//! One-to-one registers: which of rival pairs are chosen. In: weighed candidates, records that the keys have given away.
//! Out: the chosen pairs with their weight and whether they lead clearly; all others are none.
//! First the heaviest assignment of the pairs that are more likely the same person than not; then what is left is weighed
//! among itself: with few records left, a pair needs less to be the right one. Invariant: no record in two clear pairs;
//! ties are not clear. SPEC.md, "Refinement".

use std::collections::{BTreeMap, BTreeSet};

use hedui_protocol::decision::centibits;
use hedui_protocol::ids::Handle;

use super::weights::{self, Identifier, Model};
use super::{Candidate, answers::Vector};
use crate::assignment::{Edge, heaviest};

/// Least lead of an assignment over the best one without a pair, in hundredths of a bit: odds of 8 to 1.
pub const LEAD: i16 = 300;

/// A chosen pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// Match weight in bits.
    pub bits: f64,
    /// Whether it leads over every other assignment by [`LEAD`].
    pub clear: bool,
}

/// Chosen pairs.
pub type Choice = BTreeMap<(Handle, Handle), Chosen>;

/// A candidate with its comparison vector and what the class-A keys say.
pub type Weighed<'a> = (&'a Candidate, Vector, Identifier);

/// Records that are given away, by side.
#[derive(Default)]
pub struct Taken {
    /// Records of the roll.
    pub roll: BTreeSet<Handle>,
    /// Records of the register.
    pub register: BTreeSet<Handle>,
}

impl Taken {
    /// Gives the records of a pair away.
    pub fn take(&mut self, roll: Handle, register: Handle) {
        self.roll.insert(roll);
        self.register.insert(register);
    }

    fn is_free(&self, (candidate, ..): &Weighed<'_>) -> bool {
        !self.roll.contains(&candidate.roll) && !self.register.contains(&candidate.register)
    }
}

/// Chooses among the candidates whose records are not `taken`; pairs of `review_bits` and less are never chosen.
pub fn choose(
    model: &Model,
    candidates: &[Weighed<'_>],
    mut taken: Taken,
    sizes: (u64, u64),
    review_bits: f64,
) -> Choice {
    let mut choice = Choice::new();
    let likely = |(_, vector, identifier): &Weighed<'_>| model.weight(vector, *identifier);
    assign(candidates, &likely, 0.0, &mut taken, &mut choice);
    let rest: Vec<&Weighed<'_>> = candidates.iter().filter(|c| taken.is_free(c)).collect();
    let seen = |roll: bool| -> u64 {
        let handle = |(c, ..): &Weighed<'_>| if roll { c.roll } else { c.register };
        let handles: BTreeSet<Handle> = candidates.iter().map(handle).collect();
        let taken = if roll { &taken.roll } else { &taken.register };
        handles.union(taken).count() as u64
    };
    let left = (
        persons(sizes.0, seen(true)) - taken.roll.len() as f64,
        persons(sizes.1, seen(false)) - taken.register.len() as f64,
    );
    let vectors: Vec<(&Vector, Identifier)> = rest.iter().map(|(_, v, i)| (v, *i)).collect();
    let prior = model.prior_of_rest(&vectors, left);
    let among_rest =
        |(_, vector, identifier): &Weighed<'_>| model.weight_in_rest(vector, *identifier, prior);
    for least in [0.0, review_bits.min(0.0)] {
        assign(candidates, &among_rest, least, &mut taken, &mut choice);
    }
    choice
}

/// Persons of a table of `rows` rows, padding included, of whom `seen` are in some pair: where that is most of them, it
/// is their number, for padding is in none; else what is left of the rows without half a block.
fn persons(rows: u64, seen: u64) -> f64 {
    let unpadded = weights::persons(rows);
    let seen = seen as f64;
    if seen >= unpadded / 2.0 {
        seen
    } else {
        unpadded
    }
}

/// Adds the heaviest assignment of the free candidates above `least` bits. Where another is nearly as good, its pairs are
/// added too, none of them clear.
fn assign(
    candidates: &[Weighed<'_>],
    weight: &dyn Fn(&Weighed<'_>) -> f64,
    least: f64,
    taken: &mut Taken,
    choice: &mut Choice,
) {
    let free: Vec<(&Weighed<'_>, f64)> = candidates
        .iter()
        .filter(|candidate| taken.is_free(candidate))
        .map(|candidate| (candidate, weight(candidate)))
        .filter(|(_, bits)| *bits > least)
        .collect();
    let place = |handles: BTreeSet<Handle>| -> BTreeMap<Handle, u32> {
        handles.into_iter().zip(0..).collect()
    };
    let rolls = place(free.iter().map(|((c, ..), _)| c.roll).collect());
    let registers = place(free.iter().map(|((c, ..), _)| c.register).collect());
    let edges: Vec<Edge> = free
        .iter()
        .map(|((c, ..), bits)| Edge {
            left: rolls[&c.roll],
            right: registers[&c.register],
            weight: i64::from(centibits(bits - least)).max(1),
        })
        .collect();
    let mut doubtful = BTreeSet::new();
    for chosen in heaviest(&edges, i64::from(LEAD)) {
        let ((candidate, ..), bits) = free[chosen.edge];
        let clear = chosen.lead >= i64::from(LEAD) || !has_rival(&edges, chosen.edge);
        if !clear {
            doubtful.insert(candidate.roll);
        }
        choice.insert((candidate.roll, candidate.register), Chosen { bits, clear });
    }
    // A pair that shares a record with a doubtful one and is nearly as heavy may be the right one.
    let doubts: Vec<(Handle, Handle, f64)> = choice
        .iter()
        .filter(|((roll, _), _)| doubtful.contains(roll))
        .map(|((roll, register), chosen)| (*roll, *register, chosen.bits))
        .collect();
    let lead = f64::from(LEAD) / 100.0;
    for (roll, register, bits) in doubts {
        for ((candidate, ..), other) in &free {
            let shares = candidate.roll == roll || candidate.register == register;
            let near = *other > bits - lead;
            if shares && near {
                let rival = Chosen {
                    bits: *other,
                    clear: false,
                };
                choice
                    .entry((candidate.roll, candidate.register))
                    .or_insert(rival);
            }
        }
    }
    for (roll, register) in choice.keys() {
        taken.take(*roll, *register);
    }
}

/// Whether another edge shares an end with this one: a lone pair has a small lead only by being light.
fn has_rival(edges: &[Edge], at: usize) -> bool {
    let own = edges[at];
    let others = edges.iter().enumerate().filter(|(other, _)| *other != at);
    others
        .map(|(_, edge)| edge)
        .any(|edge| edge.left == own.left || edge.right == own.right)
}
