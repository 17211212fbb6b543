//! Choosing the pairs of a request. In: candidates, presence tables of both sides. Out: candidates, a sample of certain
//! pairs and decoys, sorted. Invariant: at least half of a request are decoys; the same records give the same decoys in
//! every run, so that neither one request nor several tell a department which pairs are candidates. Decoys also measure how alike strangers are, certain pairs how alike the same person's records. SPEC.md, "Refinement".

use std::collections::{BTreeMap, BTreeSet};

use hedui_edge::Problem;
use hedui_protocol::ids::Handle;
use hedui_protocol::limits::{DECOYS_MIN, PAD_PAIRS};
use hedui_protocol::message::refine::data_digest;
use hedui_protocol::message::submission::PRESENCE;
use hedui_protocol::secret::Secret;

use super::Candidate;
use crate::delivery::{Delivery, Records};
use crate::intake::State;
use crate::merge::Compared;
use crate::plan::Pairing;

/// Most certain pairs of a request.
const CERTAIN_MAX: usize = 2048;

/// Decoys where nobody is asked.
const LOCAL_DECOYS: u64 = 1 << 17;

/// A pair of handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Record of the roll.
    pub roll: Handle,
    /// Record of the register.
    pub register: Handle,
}

/// The pairs of one request.
pub struct Asked {
    /// Digest of both sides' data.
    pub data: String,
    /// Candidates and decoys, sorted.
    pub pairs: Vec<Pair>,
    /// The candidates among them.
    pub candidates: BTreeMap<(Handle, Handle), Candidate>,
    /// Pairs among them that a class-A key decides.
    pub certain: BTreeSet<(Handle, Handle)>,
    /// Candidates that did not fit.
    pub left_out: u64,
    /// Records of both sides, padding included.
    pub sizes: (u64, u64),
}

impl Asked {
    /// Takes a sample of certain pairs and candidates, those on which most keys agree first, as many as half of
    /// `most` holds, and fills up with decoys. `secret` is the matcher's own, for this register and epoch. Without a bound
    /// nobody is asked: all candidates are taken, and decoys only measure how alike strangers are.
    pub fn choose(
        state: &State,
        secret: &Secret<32>,
        pairing: &Pairing,
        compared: &Compared,
        bound: Option<u64>,
    ) -> Result<Self, Problem> {
        // Whole steps: what padding cannot fill is not asked about, so that half are decoys at any bound.
        let most = bound.unwrap_or(u64::MAX) / PAD_PAIRS * PAD_PAIRS;
        let mut sorted = compared.candidates.clone();
        sorted.sort_by_key(|c| (std::cmp::Reverse(c.agree.count_ones()), *c));
        // Handles are pseudo-random, so the first ones are a sample. What a later candidate is cannot be certain.
        let room = |part: u64| usize::try_from(most / part).unwrap_or(usize::MAX);
        let sample = room(8).min(CERTAIN_MAX);
        let certain: BTreeSet<_> = compared.certain.iter().take(sample).copied().collect();
        let fit = (room(2) - certain.len()).min(sorted.len());
        let left_out = (sorted.len() - fit) as u64;
        sorted.truncate(fit);
        let real = fit as u64 + certain.len() as u64;
        let wanted = (real * 2).max(real + DECOYS_MIN);
        // Down where the bound is near, up otherwise: whole steps either way.
        let total = match bound {
            Some(_) => wanted.next_multiple_of(PAD_PAIRS).min(most),
            None => real + LOCAL_DECOYS,
        };
        let roll = state.segments().join(&pairing.roll).join(PRESENCE);
        let mut left = Records::open(&roll, Vec::new(), Vec::new())?;
        let mut right = Delivery::of(state, pairing)?.records()?;
        let mut random = blake3::Hasher::new_keyed(secret.expose()).finalize_xof();
        let mut draw = || {
            let mut bytes = [0; 16];
            random.fill(&mut bytes);
            Handle(bytes)
        };
        let candidates: BTreeMap<_, _> =
            sorted.iter().map(|c| ((c.roll, c.register), *c)).collect();
        let mut all: BTreeSet<Pair> = sorted
            .iter()
            .map(|c| Pair {
                roll: c.roll,
                register: c.register,
            })
            .chain(certain.iter().map(|(roll, register)| Pair {
                roll: *roll,
                register: *register,
            }))
            .collect();
        let possible = left.count().saturating_mul(right.count());
        while (all.len() as u64) < total.min(possible) {
            let (roll, register) = (left.at_or_after(draw())?, right.at_or_after(draw())?);
            all.insert(Pair { roll, register });
        }
        Ok(Self {
            data: data_digest(&pairing.snapshot, &pairing.register_snapshot),
            pairs: all.into_iter().collect(),
            candidates,
            certain,
            left_out,
            sizes: (left.count(), right.count()),
        })
    }

    /// The request's table.
    pub fn table(&self) -> Vec<u8> {
        let rows = self.pairs.iter();
        rows.flat_map(|pair| [pair.roll.0, pair.register.0].concat())
            .collect()
    }
}
