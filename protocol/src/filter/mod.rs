//! Bloom filters of one field for approximate comparison. In: a normalised cell and a key. Out: bits.
//!
//! | file | question it answers |
//! |---|---|
//! | [`tokens`] | which tokens does a value have? |
//! | [`shape`] | what is a Han character made of? |
//! | [`encode`] | which bits do they set, and what may be read from them? |
//! | [`record`] | which bits does a whole record set? |
//! | [`block`] | the same, comparable within a block only |
//! | [`harden`] | what is done to the bits before they are sent? |
//!
//! The scopes differ in their key: one for a register (`record`), one for the records that share a value (`block`), one for
//! two records of one request (`pair`).
//! Scope `pair`: the key is derived for one candidate pair of one request, so nothing is comparable across pairs, and
//! the filter is masked under the same key, so that of two filters only their distance can be read.
//! Invariant: every parameter stands in the agreement; nothing is chosen here. SPEC.md, "Filters".

pub mod block;
pub mod encode;
pub mod harden;
pub mod record;
pub mod shape;
pub mod tokens;

pub use encode::FilterSpec;
pub use tokens::{TokenKind, Tokens};
