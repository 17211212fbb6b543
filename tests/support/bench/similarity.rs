//! `hedui-bench similarity`: all pairs with Dice >= t on one core. In: two files of raw filters, or filters made from
//! invented people. Out: billions of pairs a second per threshold and kernel, hits, ratio to the peer.
//! Invariant: sorting, folding, choosing the width and checking are inside the time; the peer's figure comes from the same
//! files in the same run (tests/peers/similarity.py), or is absent. Specification: docs/PERFORMANCE.md, "Similarity".

use std::path::{Path, PathBuf};
use std::time::Instant;

use hedui_matcher::similarity::filters::Filters;
use hedui_matcher::similarity::join::Join;
use hedui_matcher::similarity::kernel::Kernel;
use hedui_matcher::similarity::threshold::{Measure, Threshold};
use serde::Serialize;

/// Thresholds of the comparison.
const THRESHOLDS: [&str; 4] = ["0.7", "0.8", "0.85", "0.9"];
/// Bits of a filter.
const BITS: usize = 1024;

/// One kernel at one threshold.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// Dice threshold.
    pub threshold: String,
    /// Kernel.
    pub kernel: &'static str,
    /// Bits of the sketch that the sample recommended.
    pub sketch_bits: usize,
    /// Billions of pairs a second, all costs in.
    pub gpairs_per_second: f64,
    /// Seconds.
    pub seconds: f64,
    /// Pairs that reach the threshold.
    pub hits: usize,
    /// Share of pairs that were checked exactly.
    pub checked: f64,
    /// Ours divided by the peer's, if the peer is installed.
    pub ratio: Option<f64>,
}

/// The whole comparison.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Rows of each side.
    pub rows: usize,
    /// Name of the peer and its billions of pairs a second per threshold, as far as it ran.
    pub peer: Vec<Peer>,
    /// Ours.
    pub figures: Vec<Figure>,
}

/// The peer at one threshold.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub struct Peer {
    /// Dice threshold.
    pub threshold: String,
    /// Billions of pairs a second.
    pub gpairs_per_second: f64,
    /// Pairs that it found.
    pub hits: usize,
    /// Rows of each side on which it ran.
    pub rows: usize,
}

/// What to measure.
pub struct Options {
    /// Files of raw 1024-bit filters.
    pub files: (PathBuf, PathBuf),
    /// Rows of each side.
    pub rows: usize,
    /// Python that has the peer.
    pub python: Option<PathBuf>,
    /// Kernels to measure; none: all that run here.
    pub kernels: Vec<String>,
    /// Rows on which the peer runs; its rate does not depend on them.
    pub peer_rows: usize,
    /// Rounds; the best counts.
    pub rounds: usize,
    /// Threads.
    pub threads: usize,
    /// Thresholds; none: the four usual ones.
    pub thresholds: Vec<String>,
}

/// Measures every kernel of this machine.
pub fn measure(options: &Options) -> Figures {
    let (a, b) = (
        read(&options.files.0, options.rows),
        read(&options.files.1, options.rows),
    );
    let peer: Vec<Peer> = options.python.as_deref().map_or_else(Vec::new, |python| {
        super::peer(python, "similarity.py", |peer| {
            peer.args([&options.files.0, &options.files.1])
                .arg(options.peer_rows.to_string())
                .args(THRESHOLDS)
        })
    });
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build()
        .expect("threads");
    let mut figures = Vec::new();
    let given = options.thresholds.iter().map(String::as_str);
    let usual = THRESHOLDS.iter().copied();
    let thresholds: Vec<&str> = given
        .chain(usual.filter(|_| options.thresholds.is_empty()))
        .collect();
    for threshold in thresholds {
        let named = |kernel: &Kernel| {
            options.kernels.is_empty() || options.kernels.iter().any(|name| name == kernel.name())
        };
        for kernel in Kernel::available().into_iter().filter(named) {
            // The portable kernel is slow: a quarter of the rows tells its rate.
            let part = if kernel == Kernel::Portable { 4 } else { 1 };
            let rounds = if kernel == Kernel::Portable {
                1
            } else {
                options.rounds
            };
            let (a, b) = (
                &a[..a.len() / part / 128 * 128],
                &b[..b.len() / part / 128 * 128],
            );
            let runs = (0..rounds.max(1)).map(|_| pool.install(|| once(kernel, threshold, a, b)));
            let mut best = runs
                .min_by(|x, y| x.seconds.total_cmp(&y.seconds))
                .expect("a round");
            let beside = peer.iter().find(|peer| peer.threshold == threshold);
            best.ratio = beside.map(|peer| best.gpairs_per_second / peer.gpairs_per_second);
            if let Some(same) = beside.filter(|peer| peer.rows * 128 == a.len()) {
                assert_eq!(
                    same.hits, best.hits,
                    "the peer found another number of pairs"
                );
            }
            figures.push(best);
        }
    }
    Figures {
        rows: options.rows,
        peer,
        figures,
    }
}

fn once(kernel: Kernel, threshold: &str, a: &[u8], b: &[u8]) -> Figure {
    let start = Instant::now();
    let bound = Threshold::parse(Measure::Dice, threshold, BITS).expect("threshold");
    let left = Filters::from_bytes(BITS, a).expect("filters");
    let right = Filters::from_bytes(BITS, b).expect("filters");
    let join = Join::on(kernel, None, &left, &right, &bound);
    let (hits, effort) = join.run();
    let seconds = start.elapsed().as_secs_f64();
    let pairs = left.len() as f64 * right.len() as f64;
    Figure {
        threshold: threshold.to_owned(),
        kernel: kernel.name(),
        sketch_bits: join.width(),
        gpairs_per_second: pairs / seconds / 1e9,
        seconds,
        hits: hits.len(),
        checked: effort.checked as f64 / pairs,
        ratio: None,
    }
}

fn read(path: &Path, rows: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(path).expect("the file of filters");
    assert!(
        bytes.len() >= rows * BITS / 8,
        "{} has fewer rows",
        path.display()
    );
    bytes.truncate(rows * BITS / 8);
    bytes
}
