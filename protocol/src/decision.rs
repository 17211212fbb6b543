//! Deciding a candidate pair by the classes of its keys. In: which match keys agree and which both records
//! have. Out: match, review, identity conflict, or nothing. Invariant: a pure function of the agreement and
//! two bitmaps: the matcher decides with it, the roll owner replays it, a reviewer can do the same. Of a refined pair
//! only the thresholds can be replayed: its weight is the matcher's word.
//! Specification: protocol/SPEC.md, "Decision"; design §5.

use std::collections::BTreeSet;

use crate::agreement::Agreement;
use crate::agreement::text::KeyClass;
use crate::message::result::{Outcome, Pair};

/// The agreement's decision rule, resolved to bitmaps.
pub struct Policy {
    class_a: u16,
    class_c: u16,
    families: Vec<(u16, String)>,
    contradicting: u16,
    families_to_match: usize,
    families_against_a: usize,
    review_one_family: bool,
    review_one_family_against_a: bool,
    review_class_c: bool,
    /// Bits from which a refined pair is a match, and from which it goes to review, in hundredths.
    refined: Option<(i16, i16)>,
    /// Whether the refinement round may confirm a contradicted identifier.
    confirm_conflicts: bool,
    /// The bit of likeness, if there is likeness.
    likeness: u16,
    /// Where records are compared within blocks only: the bit of likeness, and that of the key that makes the blocks.
    within: Option<(u16, u16)>,
}

/// Bits as hundredths, for a row of a result.
pub fn centibits(bits: f64) -> i16 {
    let bounded = (bits * 100.0)
        .round()
        .clamp(f64::from(i16::MIN), f64::from(i16::MAX));
    #[expect(clippy::cast_possible_truncation, reason = "bounded on the line above")]
    let whole = bounded as i16;
    whole
}

impl Policy {
    /// The rule of an agreement.
    pub fn new(agreement: &Agreement) -> Self {
        let decision = &agreement.text().decision;
        let bits = |wanted: &dyn Fn(&crate::agreement::MatchKey) -> bool| {
            let keys = agreement.evidence_keys().filter(|key| wanted(key));
            keys.fold(0, |bits: u16, key| bits | bit(key.number))
        };
        let exact_b =
            |key: &crate::agreement::MatchKey| key.class == KeyClass::B && !key.parts.is_empty();
        let class_b = agreement
            .evidence_keys()
            .filter(|key| key.class == KeyClass::B);
        Self {
            class_a: bits(&|key| key.class == KeyClass::A),
            class_c: bits(&|key| key.class == KeyClass::C),
            families: class_b
                .flat_map(|key| {
                    key.families()
                        .map(|family| (bit(key.number), family.to_owned()))
                })
                .collect(),
            contradicting: if decision.contradicting.is_empty() {
                // Unlike records contradict nothing: a record may be unlike itself by its gaps.
                bits(&exact_b)
            } else {
                bits(&|key| decision.contradicting.contains(&key.name))
            },
            families_to_match: decision.families_to_match as usize,
            families_against_a: decision.families_to_match_against_a as usize,
            review_one_family: decision.review_one_family,
            review_one_family_against_a: decision.review_one_family_against_a,
            review_class_c: decision.review_class_c,
            likeness: agreement.likeness().map_or(0, |(_, key)| bit(key.number)),
            within: agreement.likeness().and_then(|(likeness, key)| {
                let block = likeness.block_key(agreement)?;
                Some((bit(key.number), bit(block.number)))
            }),
            confirm_conflicts: agreement
                .text()
                .refine
                .as_ref()
                .is_some_and(|refine| refine.confirm_conflicts),
            refined: agreement
                .text()
                .refine
                .as_ref()
                .map(|refine| (centibits(refine.match_bits), centibits(refine.review_bits))),
        }
    }

    /// Agreeing keys without a likeness that one of the records does not have: such a record's bits are invented, and what is
    /// alike by chance is nothing.
    pub fn compared(&self, agree: u16, held: (u16, u16)) -> u16 {
        agree & !(self.likeness & !(held.0 & held.1))
    }

    /// Keys that both records have (`held`, of either side) and that do not agree. Records of two blocks were never compared, so
    /// they are not unlike.
    pub fn differing(&self, agree: u16, held: (u16, u16)) -> u16 {
        let differ = held.0 & held.1 & !agree;
        match self.within {
            Some((likeness, block)) if agree & block == 0 => differ & !likeness,
            _ => differ,
        }
    }

    /// Decides a pair: `agree` has a bit per key with equal tags, `differ` one per key that both records
    /// have with unequal tags.
    ///
    /// 1. Class A agrees: a conflict if some contradicting key differs and none agrees, else a match.
    /// 2. Class A differs: a match only with as many class-B families as the agreement demands against
    ///    it; with as many as would do without class A, or with one where the agreement says so, review.
    /// 3. Class A absent on either side: a match with enough families, review with one, or on class C.
    pub fn decide(&self, agree: u16, differ: u16) -> Option<Outcome> {
        if agree & self.class_a != 0 {
            let contradicted = agree & self.contradicting == 0 && differ & self.contradicting != 0;
            return Some(if contradicted {
                Outcome::IdentityConflict
            } else {
                Outcome::Match
            });
        }
        let agreeing = self.families.iter().filter(|(bit, _)| agree & bit != 0);
        let families = agreeing
            .map(|(_, family)| family)
            .collect::<BTreeSet<_>>()
            .len();
        if differ & self.class_a != 0 {
            if self.families_against_a > 0 && families >= self.families_against_a {
                return Some(Outcome::Match);
            }
            let alone = families > 0 && self.review_one_family_against_a;
            return (alone || families >= self.families_to_match).then_some(Outcome::Review);
        }
        if families >= self.families_to_match {
            return Some(Outcome::Match);
        }
        let review = (families > 0 && self.review_one_family)
            || (agree & self.class_c != 0 && self.review_class_c);
        review.then_some(Outcome::Review)
    }

    /// Whether a received pair can be what the rule gives: no key both agrees and differs, every key is one that
    /// the roll's record has (`held`), and the outcome is the rule's, or review in place of a match (ties, caps).
    pub fn admits(&self, pair: &Pair, held: u16) -> bool {
        let within = self.within.is_none_or(|(likeness, block)| {
            (pair.agree | pair.differ) & likeness == 0 || pair.agree & block != 0
        });
        let own = (pair.agree | pair.differ) & !held == 0;
        let possible = pair.agree & pair.differ == 0 && own && within;
        let decided = self.decide(pair.agree, pair.differ);
        if let Some(weight) = pair.weight {
            let refined = self.refine(weight, pair.agree, pair.differ);
            let lowered =
                refined == Some(Outcome::Match) && pair.outcome == self.lowered(pair.agree);
            let same = refined == Some(pair.outcome) || lowered;
            return possible && same && self.is_candidate(pair.agree, pair.differ);
        }
        let lowered = decided == Some(Outcome::Match) && pair.outcome == Outcome::Review;
        possible && (decided == Some(pair.outcome) || lowered)
    }

    /// Whether the refinement round looks at a pair: one that the keys send to review or find contradictory, or on which
    /// they agree somewhere without deciding; on two keys at least where class A differs.
    pub fn is_candidate(&self, agree: u16, differ: u16) -> bool {
        let undecided = match self.decide(agree, differ) {
            Some(Outcome::IdentityConflict) => self.confirm_conflicts,
            Some(outcome) => outcome == Outcome::Review,
            None => {
                let needed = if differ & self.class_a == 0 { 1 } else { 2 };
                agree.count_ones() >= needed
            }
        };
        self.refined.is_some() && undecided
    }

    /// What a refined pair is by its match weight, in hundredths of a bit. Two different identifiers are never overruled
    /// by likeness alone: people decide. A contradicted identifier is confirmed or stays a conflict.
    pub fn refine(&self, weight: i16, agree: u16, differ: u16) -> Option<Outcome> {
        let (match_from, review_from) = self.refined?;
        if self.has_class_a(agree) {
            let confirmed = weight >= match_from;
            return Some(if confirmed {
                Outcome::Match
            } else {
                Outcome::IdentityConflict
            });
        }
        if weight >= match_from && differ & self.class_a == 0 {
            Some(Outcome::Match)
        } else {
            (weight >= review_from).then_some(Outcome::Review)
        }
    }

    /// What a refined match becomes where another pair has a better claim.
    pub fn lowered(&self, agree: u16) -> Outcome {
        if self.has_class_a(agree) {
            Outcome::IdentityConflict
        } else {
            Outcome::Review
        }
    }

    /// Whether a class-A key is among the agreeing ones.
    pub fn has_class_a(&self, agree: u16) -> bool {
        agree & self.class_a != 0
    }
}

fn bit(number: u8) -> u16 {
    1 << (number - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Handle;

    /// Keys: 1 A; 2 and 3 B of one family; 4 B of another; 5 C.
    fn policy(against_a: usize) -> Policy {
        let family = |name: &str| name.to_owned();
        Policy {
            class_a: 1,
            class_c: 16,
            families: vec![(2, family("n")), (4, family("n")), (8, family("p"))],
            contradicting: 2 | 4 | 8,
            families_to_match: 2,
            families_against_a: against_a,
            review_one_family: true,
            review_one_family_against_a: false,
            review_class_c: true,
            refined: Some((430, -300)),
            confirm_conflicts: false,
            likeness: 32,
            within: Some((32, 8)),
        }
    }

    #[test]
    fn every_branch_of_the_rule() {
        let p = policy(0);
        for (agree, differ, outcome) in [
            (1, 0, Some(Outcome::Match)),
            (1 | 2, 4 | 8, Some(Outcome::Match)),
            (1, 2 | 4, Some(Outcome::IdentityConflict)),
            (1 | 16, 8, Some(Outcome::IdentityConflict)),
            (2 | 8, 0, Some(Outcome::Match)),
            (2 | 4, 0, Some(Outcome::Review)),
            (2, 8, Some(Outcome::Review)),
            (16, 0, Some(Outcome::Review)),
            (2 | 8, 1, Some(Outcome::Review)),
            (2 | 4, 1, None),
            (16, 1, None),
            (0, 0, None),
        ] {
            assert_eq!(p.decide(agree, differ), outcome, "{agree:b} {differ:b}");
        }
        assert_eq!(policy(2).decide(2 | 8, 1), Some(Outcome::Match));
        assert_eq!(policy(2).decide(2 | 4, 1), None);
        assert_eq!(policy(3).decide(2 | 8, 1), Some(Outcome::Review));
    }

    /// Records of two blocks were never compared: they are not unlike.
    #[test]
    fn likeness_differs_within_a_block_only() {
        let p = policy(0);
        assert_eq!(p.differing(1, (63, 63)), 62 & !32);
        assert_eq!(p.differing(1 | 8, (63, 63)), 62 & !8);
        assert_eq!(p.differing(8, (63, 31)), 31 & !8);
        assert_eq!(p.compared(1 | 8 | 32, (63, 63)), 1 | 8 | 32);
        assert_eq!(p.compared(1 | 8 | 32, (63, 31)), 1 | 8);
        let pair = |agree, differ| Pair {
            roll: Handle([1; 16]),
            register: Handle([2; 16]),
            agree,
            differ,
            outcome: Outcome::Match,
            weight: None,
        };
        assert!(p.admits(&pair(1 | 8 | 32, 0), 63) && p.admits(&pair(1 | 8, 32), 63));
        assert!(!p.admits(&pair(1 | 32, 0), 63) && !p.admits(&pair(1, 32), 63));
    }

    fn pair(agree: u16, differ: u16, outcome: Outcome, weight: Option<i16>) -> Pair {
        Pair {
            roll: Handle([1; 16]),
            register: Handle([2; 16]),
            agree,
            differ,
            outcome,
            weight,
        }
    }

    #[test]
    fn bits_are_hundredths_within_a_row() {
        for (bits, hundredths) in [
            (4.3, 430),
            (-3.0, -300),
            (0.005, 1),
            (0.004, 0),
            (1e9, i16::MAX),
            (-1e9, i16::MIN),
        ] {
            assert_eq!(centibits(bits), hundredths, "{bits}");
        }
    }

    /// What is open after the keys is refined: on one key, on two where class A differs, a conflict where that is agreed.
    #[test]
    fn what_the_keys_leave_open_is_a_candidate() {
        let mut p = policy(0);
        for (agree, differ, candidate) in [
            (2, 0, true),
            (2, 8, true),
            (16, 0, true),
            (32, 0, true),
            (0, 0, false),
            (1, 0, false),
            (2 | 8, 0, false),
            (1, 2, false),
            (16, 1, false),
            (16 | 32, 1, true),
        ] {
            let found = p.is_candidate(agree, differ);
            assert_eq!(found, candidate, "{agree:b} {differ:b}");
        }
        p.confirm_conflicts = true;
        assert!(p.is_candidate(1, 2) && !p.is_candidate(1, 0));
        p.refined = None;
        assert!(!p.is_candidate(2, 0) && p.refine(430, 2, 0).is_none());
    }

    /// Each bound is reached at exactly its weight; two different identifiers are never overruled.
    #[test]
    fn weights_decide_from_their_bounds_on() {
        let p = policy(0);
        use Outcome::{IdentityConflict, Match, Review};
        for (weight, agree, differ, outcome) in [
            (430, 2, 0, Some(Match)),
            (429, 2, 0, Some(Review)),
            (-300, 2, 0, Some(Review)),
            (-301, 2, 0, None),
            (430, 2 | 16, 1, Some(Review)),
            (430, 1, 2, Some(Match)),
            (429, 1, 2, Some(IdentityConflict)),
            (-301, 1, 2, Some(IdentityConflict)),
        ] {
            let found = p.refine(weight, agree, differ);
            assert_eq!(found, outcome, "{weight} {agree:b} {differ:b}");
        }
        assert!(p.has_class_a(1) && p.has_class_a(3) && !p.has_class_a(2) && !p.has_class_a(0));
        assert_eq!((p.lowered(1), p.lowered(2)), (IdentityConflict, Review));
    }

    /// A received pair is one that the rule gives, or the lesser outcome in place of a match.
    #[test]
    fn a_received_pair_is_what_the_rule_gives() {
        let mut p = policy(0);
        p.confirm_conflicts = true;
        use Outcome::{IdentityConflict, Match, Review};
        for (agree, differ, outcome, weight, admitted) in [
            (1, 0, Match, None, true),
            (1, 0, Review, None, true),
            (1, 0, IdentityConflict, None, false),
            (1, 2, IdentityConflict, None, true),
            (1, 2, Match, None, false),
            (2, 0, Review, None, true),
            (2, 0, Match, None, false),
            (0, 0, Review, None, false),
            // Both agrees and differs; not of this record.
            (1 | 2, 2, Match, None, false),
            (1 | 64, 0, Match, None, false),
            (1, 64, Match, None, false),
            // Likeness without the block, of either kind.
            (1 | 32, 0, Match, None, false),
            (1, 32, Match, None, false),
            (1 | 8 | 32, 0, Match, None, true),
            (2, 0, Match, Some(430), true),
            (2, 0, Review, Some(430), true),
            (2, 0, IdentityConflict, Some(430), false),
            (2, 0, Match, Some(429), false),
            (2, 0, Review, Some(429), true),
            (2, 0, Review, Some(-301), false),
            (1, 2, Match, Some(430), true),
            (1, 2, IdentityConflict, Some(430), true),
            (1, 2, Review, Some(430), false),
            (1, 2, IdentityConflict, Some(0), true),
            // Nothing was open.
            (1, 0, Match, Some(430), false),
            (2, 2, Match, Some(430), false),
        ] {
            let found = p.admits(&pair(agree, differ, outcome, weight), 63);
            assert_eq!(
                found, admitted,
                "{agree:b} {differ:b} {outcome:?} {weight:?}"
            );
        }
        p.confirm_conflicts = false;
        assert!(!p.admits(&pair(1, 2, Match, Some(430)), 63));
    }

    /// More agreement never makes a pair less of a match while class A is absent (no non-monotone surprise).
    #[test]
    fn agreement_is_monotone_without_class_a() {
        let rank = |outcome: Option<Outcome>| match outcome {
            None => 0,
            Some(Outcome::Review) => 1,
            Some(Outcome::Match) => 2,
            Some(Outcome::IdentityConflict) => -1,
        };
        let p = policy(0);
        for agree in (0..32_u16).filter(|bits| bits & 1 == 0) {
            for more in (0..32_u16).filter(|bits| bits & 1 == 0) {
                assert!(rank(p.decide(agree | more, 0)) >= rank(p.decide(agree, 0)));
            }
        }
    }
}
