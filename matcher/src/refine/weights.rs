//! Match weights (Fellegi and Sunter 1969). In: comparison vectors of candidates and of decoys. Out: m and u per
//! comparison and level, the prior, the weight of a vector in bits.
//! u is counted on the decoys, which are strangers but for the few that a mixture with m explains better (on small
//! registers the same person is drawn on both sides now and then); m is counted on pairs that a class-A key decides. Where there are few of those,
//! m is fitted, as the prior always is, by expectation and maximisation
//! (Winkler 1988) on the candidates. A candidate speaks about a field only if some key found it without that field:
//! on the fields of its keys it agrees by construction (Splink leaves those out for the same reason). Priors are
//! counted like observations and shown. Invariant: sums run in a fixed order.

use std::collections::BTreeSet;

use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::RefineBy;
use hedui_protocol::limits::PAD_ROWS;
use hedui_protocol::message::refine::refine_of;
use serde::{Deserialize, Serialize};

use super::answers::{LEVEL_COUNT, Vector};

/// Probabilities of the levels.
pub type Levels = [f64; LEVEL_COUNT];

/// How often a level is expected on the same person before anything is seen; counts as `PRIOR_COUNT` pairs.
const M_PRIOR: Levels = [0.84, 0.06, 0.04, 0.02, 0.03, 0.01];
/// The same on strangers.
const U_PRIOR: Levels = [0.02, 0.02, 0.04, 0.12, 0.7995, 0.0005];
/// Weight of the priors, in pairs.
const PRIOR_COUNT: f64 = 4.0;
/// Certain pairs from which they alone say what m is: no guess about candidates is needed then.
const CERTAIN_ENOUGH: usize = 200;
/// Rounds of expectation and maximisation at most.
const ROUNDS_MAX: usize = 100;
/// Change of every m below which the fit has converged.
const CONVERGED: f64 = 1e-5;
/// Prior of a pair whose class-A keys agree: one in a hundred such pairs is two persons with one number.
const AGREED_BITS: f64 = 6.63;
/// Weight of a class-A key that differs: one match in thirty has a wrong identifier on one side.
const AGAINST_A_BITS: f64 = -4.9;
/// Share of the smaller side's records that are taken to be on the other side at least.
const SHARED_LEAST: f64 = 0.01;

/// Share of decoys that are taken for the same person at first, and at most.
const SAME_DECOYS: (f64, f64) = (0.001, 0.25);

/// Name of the comparison that the matcher makes itself, behind those of the agreement: how many other pairs share the
/// rarest key of a pair. A rare value says more than a common one (Newcombe and others 1959), and the partner of a
/// record that has one shares its keys too: strangers have rivals where the same person has none.
pub const RIVALS: &str = "rivals";
/// Least number of rivals of each level but the first.
const RIVALS_LEAST: [u32; 3] = [1, 3, 8];

/// Level of a number of rivals: 0 is none.
pub fn rivals_level(rivals: u32) -> u8 {
    let below = RIVALS_LEAST.iter().filter(|least| rivals >= **least);
    u8::try_from(below.count()).unwrap_or(u8::MAX)
}

/// What the decoys say of one comparison.
struct Sampled {
    /// Share of the decoys in which both records have the field: what the join counted is of those pairs only.
    both: f64,
    /// How often strangers who have it are equal at least: three deviations below what was seen.
    equal_least: f64,
}

/// What is known before the fit.
#[derive(Default)]
pub struct Evidence {
    /// The candidates.
    pub candidates: Vec<Seen>,
    /// Vectors of the decoys.
    pub decoys: Vec<Vector>,
    /// Vectors of pairs that a class-A key decides as the same person.
    pub certain: Vec<Vector>,
    /// Number of pairs that the keys decide as the same person.
    pub decided: u64,
    /// Records of both sides.
    pub sizes: (u64, u64),
    /// For each comparison whose field is a match key by itself: that key's bit, and the pairs that agree on it and that
    /// the keys do not decide as the same person.
    pub alone: Vec<Option<(u16, u64)>>,
}

/// A candidate as the fit sees it.
#[derive(Clone)]
pub struct Seen {
    /// Agreeing match keys.
    pub agree: u16,
    /// Levels.
    pub vector: Vector,
    /// What the class-A keys say.
    pub identifier: Identifier,
    /// Candidates of one number compete: at most one of them is the same person. None: it stands alone.
    pub rival_group: Option<usize>,
}

/// What the class-A keys say about a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// Absent on a side.
    Absent,
    /// One agrees.
    Agrees,
    /// One differs and none agrees.
    Differs,
}

/// A fitted model; kept with the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    /// Fields, in the agreement's order.
    pub comparisons: Vec<String>,
    /// P(level | same person).
    pub m: Vec<Levels>,
    /// P(level | strangers).
    pub u: Vec<Levels>,
    /// Comparisons whose field may be derived from another, and says nothing beside an agreeing identifier.
    pub derived: Vec<bool>,
    /// log2 of the odds that two records of the two sides are the same person.
    pub prior_bits: f64,
    /// Candidates that the fit saw.
    pub candidates: usize,
    /// True pairs that it expects among them.
    pub expected: f64,
    /// Share of the decoys that are the same person on both sides.
    pub same_decoys: f64,
    /// Rounds until nothing changed.
    pub rounds: usize,
    /// What a threshold is expected to give, from the weights alone.
    pub thresholds: Vec<Expected>,
}

/// What a threshold is expected to give among the candidates, if the weights are right.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expected {
    /// Threshold in bits.
    pub bits: i32,
    /// Candidates at or above it.
    pub candidates: usize,
    /// Share of them that are the same person.
    pub precision: f64,
    /// Share of the candidates' true pairs that are among them.
    pub recall: f64,
}

/// For each match key the comparisons whose field it contains.
pub fn key_comparisons(agreement: &Agreement) -> Vec<BTreeSet<usize>> {
    let (fields, compared) = (agreement.fields(), agreement.compared());
    let place = |field: usize| {
        let name = fields.get(field).map(|field| &field.name);
        compared.iter().position(|field| Some(*field) == name)
    };
    let keys = agreement.match_keys().iter();
    let mut keys: Vec<BTreeSet<usize>> = keys
        .map(|key| {
            let parts = key.parts.iter();
            parts.filter_map(|part| place(part.field)).collect()
        })
        .collect();
    // A pair that was found by the likeness of its records as a whole agrees on no field by construction.
    if refine_of(agreement).is_ok_and(|refine| refine.by == RefineBy::Records) {
        keys.push(BTreeSet::new());
    }
    keys
}

impl Model {
    /// Fits m, u and the prior. `comparisons` says of each whether its field may be derived from another; `keys` has for
    /// each match key the comparisons of its fields. Behind the comparisons stands that of rivals, which only candidates
    /// have: it starts as saying nothing, and what it says is fitted on them.
    pub fn fit(
        mut comparisons: Vec<(String, bool)>,
        keys: &[BTreeSet<usize>],
        evidence: &Evidence,
    ) -> Self {
        let rivals = comparisons.len();
        comparisons.push((RIVALS.to_owned(), true));
        let count = comparisons.len();
        let seen = evidence.candidates.iter().map(|seen| &seen.vector);
        let any_rivals = smoothed(&counted(seen, rivals), &[1.0 / LEVEL_COUNT as f64; _]);
        let prior = |at: usize| if at == rivals { any_rivals } else { M_PRIOR };
        let mut model = Self {
            u: (0..rivals).map(|at| shares(&evidence.decoys, at)).collect(),
            m: (0..count).map(prior).collect(),
            derived: comparisons.iter().map(|(_, derived)| *derived).collect(),
            comparisons: comparisons.into_iter().map(|(name, _)| name).collect(),
            prior_bits: 0.0,
            candidates: evidence.candidates.len(),
            expected: 0.0,
            same_decoys: SAME_DECOYS.0,
            rounds: 0,
            thresholds: Vec::new(),
        };
        model.u.push(any_rivals);
        let speaks: Vec<Vec<usize>> = evidence
            .candidates
            .iter()
            .map(|seen| {
                (0..count)
                    .filter(|at| finds_without(keys, seen.agree, *at))
                    .collect()
            })
            .collect();
        let known: Vec<Levels> = (0..count)
            .map(|at| counted(evidence.certain.iter(), at))
            .collect();
        let enough = evidence.certain.len() >= CERTAIN_ENOUGH;
        let refit = |counts: &[Levels]| -> Vec<Levels> {
            let counts = counts.iter().enumerate();
            counts
                .map(|(at, seen)| smoothed(seen, &prior(at)))
                .collect()
        };
        if enough {
            model.m = refit(&known);
        }
        // With m as it is known beforehand: fitted together with m, "the same" would come to mean "equal throughout".
        for _ in 0..ROUNDS_MAX {
            let before = model.same_decoys;
            model.learn_strangers(&evidence.decoys);
            if (before - model.same_decoys).abs() < CONVERGED {
                break;
            }
        }
        let sampled = model.sampled(&evidence.decoys);
        model.set_prior(evidence, 0.0);
        while model.rounds < ROUNDS_MAX {
            model.rounds += 1;
            let mut counts = known.clone();
            let mut strangers = [0.0; LEVEL_COUNT];
            let mut expected = 0.0;
            let mut same_alone = vec![0.0; evidence.alone.len()];
            let chances = model.chances(&evidence.candidates);
            for ((seen, fields), same) in evidence.candidates.iter().zip(&speaks).zip(chances) {
                expected += same;
                for at in fields.iter().filter(|at| !enough || **at == rivals) {
                    if let Some(level) = seen.vector.get(*at).copied().flatten() {
                        counts[*at][usize::from(level)] += same;
                    }
                }
                for (sum, alone) in same_alone.iter_mut().zip(&evidence.alone) {
                    if alone.is_some_and(|(bit, _)| seen.agree & bit != 0) {
                        *sum += same;
                    }
                }
                if let Some(level) = seen.vector.get(rivals).copied().flatten() {
                    strangers[usize::from(level)] += 1.0 - same;
                }
            }
            let next = refit(&counts);
            let pairs = next.iter().flatten().zip(model.m.iter().flatten());
            let change = pairs
                .map(|(new, old)| (new - old).abs())
                .fold(0.0, f64::max);
            let settled = (expected - model.expected).abs() < 0.01;
            (model.m, model.expected) = (next, expected);
            model.u[rivals] = smoothed(&strangers, &any_rivals);
            model.count_equal(evidence, &sampled, &same_alone);
            model.set_prior(evidence, expected);
            if change < CONVERGED && settled {
                break;
            }
        }
        model.thresholds = model.expect(&evidence.candidates);
        model
    }

    /// How likely each candidate is the same person. Where candidates compete they share one person's chance: without
    /// that, of many strangers who are chosen for being alike, the fit would take the likeness for sameness.
    fn chances(&self, candidates: &[Seen]) -> Vec<f64> {
        let odds = candidates.iter().map(|seen| {
            let odds = self.weight(&seen.vector, seen.identifier).exp2();
            odds.min(1e30)
        });
        let odds: Vec<f64> = odds.collect();
        let mut groups: Vec<f64> = Vec::new();
        for (seen, odds) in candidates.iter().zip(&odds) {
            if let Some(group) = seen.rival_group {
                if group >= groups.len() {
                    groups.resize(group + 1, 0.0);
                }
                groups[group] += odds;
            }
        }
        let all =
            |(seen, odds): (&Seen, &f64)| seen.rival_group.map_or(*odds, |group| groups[group]);
        let pairs = candidates.iter().zip(&odds);
        pairs.map(|pair| pair.1 / (1.0 + all(pair))).collect()
    }

    /// Expected precision and recall of thresholds from −10 to 20 bits.
    fn expect(&self, candidates: &[Seen]) -> Vec<Expected> {
        let weights = candidates
            .iter()
            .map(|seen| self.weight(&seen.vector, seen.identifier));
        let mut weights: Vec<(f64, f64)> = weights.zip(self.chances(candidates)).collect();
        weights.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
        let all: f64 = weights.iter().map(|(_, share)| share).sum();
        let at = |bits: i32| {
            let count = weights.partition_point(|(weight, _)| *weight >= f64::from(bits));
            let same: f64 = weights.iter().take(count).map(|(_, share)| share).sum();
            Expected {
                bits,
                candidates: count,
                precision: same / (count.max(1) as f64),
                recall: same / all.max(f64::MIN_POSITIVE),
            }
        };
        (-10..=20).map(at).collect()
    }

    /// u from the decoys, each as far as it is one of two strangers.
    fn learn_strangers(&mut self, decoys: &[Vector]) {
        let mut counts = vec![[0.0; LEVEL_COUNT]; self.u.len()];
        let odds = (self.same_decoys / (1.0 - self.same_decoys)).log2();
        let mut all_same = 0.0;
        for vector in decoys {
            let same = 1.0 / (1.0 + (-odds - self.evidence(vector, false)).exp2());
            all_same += same;
            for (counts, level) in counts.iter_mut().zip(vector) {
                if let Some(level) = level {
                    counts[usize::from(*level)] += 1.0 - same;
                }
            }
        }
        // The last comparison is that of rivals, which decoys do not have.
        let fields = self.u.len() - 1;
        for (u, seen) in self.u.iter_mut().zip(&counts).take(fields) {
            *u = smoothed(seen, &U_PRIOR);
        }
        let share = all_same / (decoys.len().max(1) as f64);
        self.same_decoys = share.clamp(f64::MIN_POSITIVE, SAME_DECOYS.1);
    }

    /// How often strangers are equal in a field that is a match key by itself: the join has counted it over all pairs of
    /// the two sides, of which decoys are but a sample. `same` are the same persons expected among the undecided.
    fn count_equal(&mut self, evidence: &Evidence, sampled: &[Sampled], same: &[f64]) {
        let all = (persons(evidence.sizes.0) * persons(evidence.sizes.1)).max(1.0);
        let alone = evidence.alone.iter().zip(sampled).zip(same);
        for (at, ((alone, sampled), same)) in alone.enumerate() {
            let (Some((_, undecided)), Some([first, others @ ..])) = (alone, self.u.get_mut(at))
            else {
                continue;
            };
            // What decoys show beyond chance stays: else a fit that takes all pairs of a key for the same persons would
            // make that key's strangers impossible, and so prove itself right.
            let counted = (*undecided as f64 - same).max(1.0) / (all * sampled.both).max(1.0);
            let equal = counted.max(sampled.equal_least);
            let scale = (1.0 - equal) / (1.0 - *first);
            *first = equal;
            others.iter_mut().for_each(|level| *level *= scale);
        }
    }

    /// What the decoys say of each comparison, once the share of the same persons among them is known.
    fn sampled(&self, decoys: &[Vector]) -> Vec<Sampled> {
        let of = |at: usize| {
            let (mut equal, mut both) = (0.0, 0.0);
            for level in decoys.iter().filter_map(|vector| *vector.get(at)?) {
                both += 1.0;
                equal += f64::from(u8::from(level == 0));
            }
            let strangers: f64 = equal - both * self.same_decoys;
            let least = strangers - 3.0 * strangers.max(0.0).sqrt() - 3.0;
            Sampled {
                both: if both > 0.0 {
                    both / decoys.len() as f64
                } else {
                    1.0
                },
                equal_least: least.max(0.0) / f64::max(both, 1.0),
            }
        };
        (0..self.u.len()).map(of).collect()
    }

    /// The prior: the share of true pairs among all pairs of the two sides, those that the keys decide and those that
    /// are expected among the candidates; on small tables at least as many as among the decoys.
    fn set_prior(&mut self, evidence: &Evidence, expected: f64) {
        let (left, right) = (persons(evidence.sizes.0), persons(evidence.sizes.1));
        let all = (left * right).max(2.0);
        let at_least = (left.min(right) * SHARED_LEAST).max(1.0);
        let matching = (evidence.decided as f64 + expected)
            .max(at_least)
            .min(all / 2.0);
        let mut share = matching / all;
        // Tables of one block are mostly padding, which the sizes count: there the decoys, all of persons, say more.
        if evidence.sizes.0.min(evidence.sizes.1) <= PAD_ROWS {
            share = share.max(self.same_decoys);
        }
        self.prior_bits = (share / (1.0 - share)).log2();
    }

    /// Weight of a vector in bits, prior included.
    pub fn weight(&self, vector: &Vector, identifier: Identifier) -> f64 {
        self.evidence(vector, identifier == Identifier::Agrees)
            + match identifier {
                Identifier::Absent => self.prior_bits,
                Identifier::Agrees => AGREED_BITS,
                Identifier::Differs => self.prior_bits + AGAINST_A_BITS,
            }
    }
}

/// Persons of a table: sizes are padded to whole blocks, half a block less is what they are on average.
pub fn persons(rows: u64) -> f64 {
    (rows as f64 - PAD_ROWS as f64 / 2.0).max(1.0)
}

/// Chance of odds given in bits.
fn chance(bits: f64) -> f64 {
    1.0 / (1.0 + (-bits).exp2())
}

impl Model {
    /// The prior among the pairs of what is left when all other records have found their partner: the share of true
    /// pairs that makes the rest's candidates most likely (the one maximum of a mixture of two known parts).
    /// `left` are the persons of both sides that are left.
    pub fn prior_of_rest(&self, rest: &[(&Vector, Identifier)], left: (f64, f64)) -> f64 {
        let left = (left.0.max(1.0), left.1.max(1.0));
        let all = (left.0 * left.1).max(2.0);
        let mut expected = (left.0.min(left.1) / 2.0).max(0.5);
        let mut prior = 0.0;
        for _ in 0..ROUNDS_MAX {
            prior = (expected / all).min(0.5).log2();
            let same = rest.iter();
            let same = same.map(|(vector, id)| chance(self.weight_in_rest(vector, *id, prior)));
            let next = same.sum::<f64>().max(0.5);
            if (next - expected).abs() < 0.01 {
                break;
            }
            expected = next;
        }
        prior
    }

    /// Weight of a pair of the rest. Rivals say nothing there: they have found partners of their own.
    pub fn weight_in_rest(&self, vector: &Vector, identifier: Identifier, prior: f64) -> f64 {
        let fields = vector.len().saturating_sub(1);
        let fields = vector.get(..fields).unwrap_or_default();
        self.evidence(fields, identifier == Identifier::Agrees)
            + match identifier {
                Identifier::Absent => prior,
                Identifier::Agrees => AGREED_BITS,
                Identifier::Differs => prior + AGAINST_A_BITS,
            }
    }

    /// Bits of the levels of a vector; where an identifier agrees, what is derived from it says nothing more.
    fn evidence(&self, vector: &[Option<u8>], agrees: bool) -> f64 {
        let levels = vector.iter().zip(&self.derived).enumerate();
        levels
            .filter(|(_, (_, derived))| !(agrees && **derived))
            .filter_map(|(at, (level, _))| {
                let level = usize::from((*level)?);
                Some((self.m.get(at)?.get(level)? / self.u.get(at)?.get(level)?).log2())
            })
            .sum()
    }
}

/// Shares of the levels of a comparison, smoothed.
fn shares(vectors: &[Vector], at: usize) -> Levels {
    smoothed(&counted(vectors.iter(), at), &U_PRIOR)
}

/// How often each level of a comparison was seen.
fn counted<'v>(vectors: impl Iterator<Item = &'v Vector>, at: usize) -> Levels {
    let mut seen = [0.0; LEVEL_COUNT];
    for level in vectors.filter_map(|vector| *vector.get(at)?) {
        seen[usize::from(level)] += 1.0;
    }
    seen
}

fn smoothed(seen: &Levels, prior: &Levels) -> Levels {
    let all: f64 = seen.iter().sum::<f64>() + PRIOR_COUNT;
    std::array::from_fn(|level| (seen[level] + PRIOR_COUNT * prior[level]) / all)
}

/// Whether one of the agreeing keys does not contain a comparison's field.
fn finds_without(keys: &[BTreeSet<usize>], agree: u16, at: usize) -> bool {
    let mut keys = keys.iter().enumerate();
    keys.any(|(key, fields)| agree & 1 << key != 0 && !fields.contains(&at))
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
