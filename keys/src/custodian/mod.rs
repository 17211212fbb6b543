//! A custodian: holds one share of an epoch's key and answers requests. In: signed requests. Out: evaluated
//! elements with proofs, a log, statements.
//!
//! | file | question it answers |
//! |---|---|
//! | [`ceremony`] | how do custodians make a key that nobody has? |
//! | [`packages`] | how do its messages travel? |
//! | [`answer`] | what does a custodian do with a request, and when does it refuse? |
//! | [`ledger`] | who asked how many, and was it asked before? |
//! | [`paper`] | how does a share survive the loss of its machine? |
//! | [`destroy`] | how does a share end? |
//! | [`desk`] | what does every step work with? |
//! | [`command`] | which commands are there? |
//!
//! Invariant: a share is used by [`answer`] only, after the ledger has charged the request.
//! Specification: protocol/SPEC.md, "Custodians"; docs/OPERATIONS.md, "Custodians".

pub mod answer;
pub mod ceremony;
pub mod command;
pub mod desk;
pub mod destroy;
pub mod ledger;
pub mod packages;
pub mod paper;

#[cfg(test)]
mod test_site;
