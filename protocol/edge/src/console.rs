//! The one door to the terminal. In: lines, progress, the end of a process. Out: data on stdout, all
//! else on stderr. Invariant: progress only on a terminal; a panic prints its place and nothing of its
//! message, which could quote a row. Specification: docs/ARCHITECTURE.md, "Messages".
#![expect(clippy::print_stderr, reason = "this file is the door")]

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{CommandFactory, Parser};
pub use indicatif::ProgressBar;
use indicatif::{ProgressDrawTarget, ProgressStyle};

use crate::problem::{EXIT_USAGE, Problem};

/// Whether something that was to be printed is lost.
static LOST: AtomicBool = AtomicBool::new(false);
/// Exit code of a command that failed.
const EXIT_FAILED: u8 = 2;

/// How a process talks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console {
    /// One JSON object on stdout instead of text.
    pub json: bool,
}

impl Console {
    /// A line of data on stdout. A closed pipe is not an error; that it could not be written is, when the command ends.
    pub fn data(&self, line: &str) {
        let mut out = std::io::stdout();
        let written = writeln!(out, "{line}").and_then(|()| out.flush());
        if written.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
            LOST.store(true, Ordering::Relaxed);
        }
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
        Ok(()) if LOST.load(Ordering::Relaxed) => {
            eprintln!(
                "输出未能写全 what was to be printed could not be written: 磁盘或介质可能已满 is the disk full?"
            );
            ExitCode::from(EXIT_FAILED)
        }
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
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut A::command(), name, &mut text);
    Console::default().data(String::from_utf8_lossy(&text).trim_end());
}

pub use clap_complete::Shell;
