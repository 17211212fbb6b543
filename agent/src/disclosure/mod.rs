//! The disclosure round (协查): records that a result leaves open are asked about, one by one. In: the roll owner's choice, the
//! department's own records. Out: sealed questions, a list that people fill in, sealed answers.
//! Invariant: nothing is laid open that a person of the department has not decided about, nor more than the agreement allows.
//! Specification: protocol/SPEC.md, "Disclosure"; docs/OPERATIONS.md, "Disclosure".

pub mod asked;
pub mod delivered;
pub mod list;
pub mod replies;
pub mod words;
