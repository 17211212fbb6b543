//! The roll owner's clue desk, where people decide. In: clues of the agent, what clerks and townships find out.
//! Out: a signed history that is only added to, sheets for townships, reports. Invariant: no outcome without a reason,
//! nothing adverse by one person alone, nothing ever removed; nothing is decided by a program.
//! Specification: design §6; docs/DESK.md.

pub mod book;
pub mod case;
pub mod command;
pub mod day;
pub mod event;
pub mod feedback;
pub mod handover;
pub mod history;
pub mod income;
pub mod life;
pub mod money;
pub mod refused;
pub mod report;
pub mod sample;
pub mod sheet;
pub mod terms;
pub mod units;
pub mod words;

#[cfg(test)]
mod desk_tests;
