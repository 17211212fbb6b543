//! Delivering what has changed: the difference between the register as it was delivered and as it would be delivered now.
//!
//! | file | question it answers |
//! |---|---|
//! | [`kept`] | what was delivered whole, and what has been changed since? |
//! | [`apply`] | which rows does a file of changes make other than they were? |
//! | [`differ`] | which records are encoded otherwise for it, themselves or for what is too common now? |
//! | [`body`] | what does the matcher get? |
//!
//! Invariant: base and changes together are, row for row, what a whole delivery of the same rows would be; nothing is sent that does
//! not differ. Work is in proportion to what has changed, but for reading what is kept.
//! Specification: protocol/SPEC.md, "Changes"; decision 0017.

pub mod apply;
pub mod body;
pub mod differ;
pub mod kept;
