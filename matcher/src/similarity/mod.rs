//! Similarity joins of bit filters: every pair whose Dice, Jaccard or Hamming reaches a threshold. In: two sets of
//! filters of equal width. Out: pairs with their common bits; none missing, none added, for any kernel.
//!
//! | file | question it answers |
//! |---|---|
//! | [`filters`] | how do filters lie in memory? |
//! | [`threshold`] | how many common bits does a pair of given sizes need? |
//! | [`sketch`] | which shorter code rules out most pairs, and how wide must it be? |
//! | [`dense`] | which few whole numbers tell filters apart, and how far apart can they be? |
//! | [`aligned`] | where do vectors lie? |
//! | [`lanes`] | what must a processor be able to do? |
//! | [`scan`] | which pairs does the sketch not rule out? |
//! | [`tiles`] | the same of dense codes, by tile registers |
//! | [`kernel`] | which processor does what, chosen at run time |
//! | [`join`] | the whole: band, scan, exact check, in parallel |
//!
//! Invariant: the exact check alone decides; everything before it only rules out pairs that cannot reach the
//! threshold. Specification: docs/ARCHITECTURE.md, "Similarity"; bounds: [`sketch`].

pub(crate) mod aligned;
pub mod dense;
pub mod filters;
pub mod join;
pub mod kernel;
pub(crate) mod lanes;
pub(crate) mod scan;
pub mod sketch;
pub mod threshold;
pub(crate) mod tiles;

#[cfg(test)]
mod dense_tests;
#[cfg(test)]
#[path = "similarity_tests.rs"]
mod tests;
