//! The centre's room: encodings in, decided pairs out.
//!
//! | file | question it answers |
//! |---|---|
//! | [`ledger`] | what was accepted, and what must be refused because of it? |
//! | [`segment`] | how do accepted tables rest, and how are their ranges read? |
//! | [`intake`] | how does an envelope become accepted tables and a receipt? |
//! | [`cell`] | what is one unit of work, and how is it run anywhere? |
//! | [`desk`] | who is at work, with which key, state and folder? |
//! | [`run`] | from what was accepted to a sealed result |
//! | [`draw`] | which matched persons must the roll's owner show? |
//! | [`replay`] | is a sealed result what its inputs give? |
//! | [`plan`] | which cells does a run have, and which are done? |
//! | [`merge`] | how do parts become one result? |
//! | [`similarity`] | which filters are alike? |
//! | [`refine`] | which candidate pairs are the same person, field by field? |
//! | `own_result` | which of its own records does a register's owner learn were found? |
//! | [`log`] | what was accepted, sent and deleted, so that nobody can deny it? |
//! | [`purge`] | what is deleted, and when? |
//! | [`command`] | what does the command line offer? |
//!
//! Invariants: imports protocol and the doorstep, never keys, never agent: this room cannot name a linkage
//! secret. Nothing here is random; a run is a pure function of its accepted tables and the agreement.
#![deny(unsafe_code)] // but for the similarity kernels

pub mod assignment;
pub mod block;
pub mod cell;
mod changes;
pub mod command;
pub mod delivery;
pub mod desk;
pub mod draw;
pub mod evaluation;
pub mod intake;
pub mod kept;
pub mod ledger;
pub mod likeness;
pub mod log;
pub mod merge;
mod own_result;
pub mod plan;
pub mod purge;
mod quality;
mod readiness;
pub mod refine;
pub mod refused;
pub mod replay;
pub mod run;
pub mod segment;
pub mod settle;
pub mod similarity;
