//! The one door to the terminal. In: lines, progress, the end of a process. Out: data on stdout, all
//! else on stderr. Invariant: progress only on a terminal; a panic prints its place and nothing of its
//! message, which could quote a row. Specification: docs/ARCHITECTURE.md, "Messages".
#![expect(clippy::print_stderr, reason = "this file is the door")]

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
pub use indicatif::ProgressBar;
use indicatif::{ProgressDrawTarget, ProgressStyle};

use crate::problem::{EXIT_USAGE, Problem};

/// How a process talks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console {
    /// One JSON object on stdout instead of text.
    pub json: bool,
}

impl Console {
    /// A line of data on stdout; a closed pipe is not an error.
    pub fn data(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    /// Text for people on stdout, left out with `--json`.
    pub fn say(&self, line: &str) {
        if !self.json {
            self.data(line);
        }
    }

    /// A note on stderr.
    pub fn note(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// The one JSON object of `--json`.
    pub fn object(&self, value: &impl serde::Serialize) {
        if self.json
            && let Ok(text) = serde_json::to_string(value)
        {
            self.data(&text);
        }
    }

    /// Progress with rate and ETA over `total` units; silent where stderr is no terminal.
    pub fn progress(&self, what: &'static str, total: u64) -> ProgressBar {
        let bar = ProgressBar::new(total);
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "{prefix:24} {wide_bar} {percent:>3}%  {elapsed} / 剩余 ETA {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Runs a binary: arguments, work, exit code. Usage errors exit 64, problems with their own code.
pub fn run<A: Parser + CommandFactory>(work: impl FnOnce(A) -> Result<(), Problem>) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        eprintln!(
            "内部错误: internal error at {place}; please report this place. Nothing was half-written."
        );
    }));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let parsed = match A::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    match work(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            eprintln!("  怎么办 what to do: {}", problem.advice());
            ExitCode::from(problem.exit_code())
        }
    }
}

/// Prints the completions of a binary for a shell.
pub fn completions<A: CommandFactory>(shell: Shell, name: &str) {
    clap_complete::generate(shell, &mut A::command(), name, &mut std::io::stdout());
}

pub use clap_complete::Shell;
