//! `hedui-desk`: parse, run, exit code; nothing else.
//! In: command line. Out: exit code (README, "Exit codes").
//! Invariant: a panic prints its place only.

use std::process::ExitCode;

fn main() -> ExitCode {
    hedui_edge::console::run(hedui_desk::command::run)
}
