//! The safe: linkage secrets of departments. In: passphrases, kits, match-key inputs. Out: tokens.
//!
//! | file | question it answers |
//! |---|---|
//! | [`identity_file`] | how is a party's key file made, opened, re-protected? |
//! | [`vault`], [`kit_store`] | where do small secrets rest between runs? |
//! | [`lock`] | how does a match key become a token? |
//! | [`oprf`] | how do custodians and an agent make one together? |
//! | [`epoch_key`] | which key of the custodians does an agent trust? |
//! | [`witness`] | did the matcher's log only grow? |
//! | [`custodian`] | how is a share made, used, counted and kept? |
//!
//! Invariant: imports protocol (and the doorstep crate) only; no secret is printed, serialised through
//! a general format, or written in clear. Specification: protocol/SPEC.md, "Locks".
#![forbid(unsafe_code)]

pub mod custodian;
pub mod epoch_key;
pub mod identity_file;
pub mod kit_store;
pub mod lock;
pub mod oprf;
pub mod vault;
pub mod witness;

#[cfg(test)]
mod store_tests;
