//! The doorstep of every binary: what a process does before and after the work. In: command line,
//! terminal, folders. Out: checked arguments, files that appear whole or not at all, exit codes.
//! Invariant: the only crate that prints or reads a passphrase; it knows no row, field or key of a
//! person. Specification: README, "Exit codes"; docs/ARCHITECTURE.md.
#![forbid(unsafe_code)]

pub mod cells;
pub mod clock;
pub mod console;
pub mod exchange;
pub mod files;
pub mod home;
pub mod log;
pub mod passphrase;
pub mod problem;

pub use console::Console;
pub use problem::Problem;
