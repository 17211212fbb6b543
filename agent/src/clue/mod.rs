//! From matches to clues (问题线索). In: evidence, the roll, the rule file. Out: clues per benefit unit ×
//! category × period, income-computation tasks, items for identity review, correction tickets.
//! Invariant: no conclusion without its rule, clause and what would disprove it; nothing is ever decided
//! about a benefit. Specification: design §6; docs/OPERATIONS.md, "Clues".

pub mod absent;
pub mod evaluate;
pub mod handover;
pub mod rules;
pub mod sheet;
pub mod vocabulary;
