//! Benchmarks that print ratios against a named peer measured in the same run. In: sizes. Out: figures.
//! Invariant: peer and product alternate within one process, the best of several rounds of each counts, and
//! the inputs are the same. Nothing here is timed inside a test.
//! Specification: docs/PERFORMANCE.md.

pub mod changes;
pub mod encode;
pub mod join;
pub mod oprf;
pub mod similarity;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::run::workspace;

/// Runs a peer's script of tests/peers with a Python that has the peer, and reads the JSON that it prints.
fn peer<T: DeserializeOwned>(
    python: &Path,
    script: &str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> T {
    let mut command = Command::new(python);
    command.arg(workspace().join("tests/peers").join(script));
    let output = arguments(&mut command).output();
    let output = output.expect("the peer's Python starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("the peer's JSON")
}

/// Microseconds per item of the fastest of `rounds` runs.
pub struct Best {
    /// Microseconds per item.
    pub micros: f64,
}

impl Best {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self {
            micros: f64::INFINITY,
        }
    }

    /// Runs `work` over `items` items once and keeps the time if it is the best so far.
    pub fn run<T>(&mut self, items: usize, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = std::hint::black_box(work());
        let micros = start.elapsed().as_secs_f64() * 1e6 / items as f64;
        self.micros = self.micros.min(micros);
        out
    }
}

impl Default for Best {
    fn default() -> Self {
        Self::new()
    }
}
