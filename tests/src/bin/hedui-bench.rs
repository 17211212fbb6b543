//! `hedui-bench`: measures kernels and jobs beside a named peer. In: a subcommand. Out: figures and ratios.
//! Invariant: peer and product run in the same process on the same inputs; a ratio is printed with what it
//! divides. Specification: docs/PERFORMANCE.md.
#![expect(clippy::print_stdout, reason = "a tool of the proving ground")]

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use hedui_protocol::agreement::text::LockKind;
use hedui_tests::bench::{changes, encode, join, oprf, similarity};
use hedui_tests::run::build_binaries;

/// 性能测量 | Measure beside a peer in the same run
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object on stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The OPRF lock beside the `voprf` crate
    Oprf {
        /// Chunks of 8,192 values per round
        #[arg(long, default_value_t = 4)]
        chunks: usize,
        /// Rounds; the best of each figure counts
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// A delivery of changes beside a whole delivery of the same rows
    Changes {
        /// Folder to work in; needs about 3 GiB per million rows
        folder: PathBuf,
        /// Rows of the register
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// Rows of a thousand that change, come or go
        #[arg(long, default_value_t = 10)]
        permille: u64,
        /// With custodians
        #[arg(long)]
        custodians: bool,
    },
    /// Record filters from a CSV file beside clkhash
    Encode {
        /// File with the columns given_name, surname, dob, sex, address
        file: PathBuf,
        /// Python with the peer installed
        #[arg(long)]
        python: Option<PathBuf>,
        /// Rounds; the best of each figure counts
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// The exact join of segments beside DuckDB's inner join
    Join {
        /// Folder for the files (3.2 GB and as much again for 100 million rows)
        folder: PathBuf,
        /// Rows of the small side
        #[arg(long, default_value_t = 1_000_000)]
        left: u64,
        /// Rows of the large side (repeat)
        #[arg(long = "rows", default_values_t = [10_000_000, 30_000_000, 100_000_000])]
        rows: Vec<u64>,
        /// Python with the peer installed
        #[arg(long)]
        python: Option<PathBuf>,
    },
    /// All pairs of filters with Dice >= t beside anonlink
    Similarity {
        /// Raw 1024-bit filters of one side
        a: PathBuf,
        /// Raw 1024-bit filters of the other side
        b: PathBuf,
        /// Rows of each side
        #[arg(long, default_value_t = 100_000)]
        rows: usize,
        /// Python with the peer installed
        #[arg(long)]
        python: Option<PathBuf>,
        /// Kernel to measure (repeat; default: all that run here)
        #[arg(long = "kernel")]
        kernels: Vec<String>,
        /// Rows on which the peer runs
        #[arg(long, default_value_t = 20_000)]
        peer_rows: usize,
        /// Rounds; the best of each figure counts
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Threads; the peer has one
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Threshold to measure (repeat; default: 0.7, 0.8, 0.85, 0.9)
        #[arg(long = "threshold")]
        thresholds: Vec<String>,
    },
}

fn main() {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Oprf { chunks, rounds } => {
            let figures = oprf::measure(chunks.max(2), rounds.max(1));
            if arguments.json {
                println!("{}", serde_json::to_string(&figures).expect("JSON"));
            } else {
                print(&figures);
            }
        }
        Command::Changes {
            folder,
            rows,
            permille,
            custodians,
        } => {
            let lock = if custodians {
                LockKind::Oprf
            } else {
                LockKind::Keyed
            };
            let figures = changes::measure(&folder, &build_binaries(), rows, permille, lock);
            if arguments.json {
                println!("{}", serde_json::to_string(&figures).expect("JSON"));
                return;
            }
            println!("{} of {} rows change", figures.changed, figures.rows);
            let costs = [
                ("first", &figures.first),
                ("changes", &figures.changes),
                ("whole", &figures.whole),
            ];
            for (name, cost) in costs {
                println!(
                    "{name:8} agent {:7.2} s {:5.0} MiB, custodian {:7.2} s, matcher {:7.2} s {:5.0} MiB, file {:7.1} MiB",
                    cost.agent,
                    cost.agent_peak_mib,
                    cost.custodian,
                    cost.matcher,
                    cost.matcher_peak_mib,
                    cost.file_mib
                );
            }
            let percent = |ratio: Option<f64>| {
                ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", 100.0 * ratio))
            };
            let [agent, matcher] = figures.ratio.map(percent);
            let [first, custodian] = figures.ratio_to_first.map(percent);
            println!(
                "agent {agent}, matcher {matcher} of a whole delivery; agent {first}, custodian {custodian} of the first one, all of \
                 whose values are new (bar 5 %)"
            );
        }
        Command::Encode {
            file,
            python,
            rounds,
        } => {
            let figures = encode::measure(&file, rounds, python.as_deref());
            if arguments.json {
                println!("{}", serde_json::to_string(&figures).expect("JSON"));
                return;
            }
            let peer = figures.peer.as_ref().map_or(0.0, |p| p.records_per_second);
            println!(
                "{} records: {:.0} record filters a second, {:.0} with a key per record; clkhash {peer:.0}",
                figures.records, figures.records_per_second, figures.salted_per_second
            );
            println!(
                "ratio {:.1}x (bar 80x), salted {:.1}x (bar 10x)",
                figures.ratio.unwrap_or(f64::NAN),
                figures.salted_ratio.unwrap_or(f64::NAN)
            );
        }
        Command::Join {
            folder,
            left,
            rows,
            python,
        } => {
            let bins = build_binaries();
            let figures = join::measure(&folder, left, &rows, &bins, python.as_deref());
            if arguments.json {
                println!("{}", serde_json::to_string(&figures).expect("JSON"));
                return;
            }
            for figure in figures {
                let ratio = figure
                    .ratio
                    .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x"));
                println!(
                    "{left} x {}: {:.2} s, {:.0} MiB, {} pairs; DuckDB {:.2} s, ratio {ratio}",
                    figure.rows,
                    figure.seconds,
                    figure.peak_mib,
                    figure.pairs,
                    figure.peer_seconds.unwrap_or(f64::NAN)
                );
            }
        }
        Command::Similarity {
            a,
            b,
            rows,
            python,
            kernels,
            peer_rows,
            rounds,
            threads,
            thresholds,
        } => {
            let options = similarity::Options {
                files: (a, b),
                rows,
                python,
                kernels,
                peer_rows,
                rounds,
                threads,
                thresholds,
            };
            let figures = similarity::measure(&options);
            if arguments.json {
                println!("{}", serde_json::to_string(&figures).expect("JSON"));
            } else {
                print_similarity(&figures);
            }
        }
    }
}

fn print_similarity(figures: &similarity::Figures) {
    println!(
        "{} x {} filters, billions of pairs a second",
        figures.rows, figures.rows
    );
    for peer in &figures.peer {
        println!(
            "  t={:<5} anonlink  {:8.3}  {} hits on {} rows",
            peer.threshold, peer.gpairs_per_second, peer.hits, peer.rows
        );
    }
    for figure in &figures.figures {
        let ratio = figure
            .ratio
            .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}x"));
        println!(
            "  t={:<5} {:9} {:8.3}  {ratio:>7}  {} hits, sketch {} bits, {:.2e} checked",
            figure.threshold,
            figure.kernel,
            figure.gpairs_per_second,
            figure.hits,
            figure.sketch_bits,
            figure.checked
        );
    }
}

fn print(figures: &oprf::Figures) {
    let rows = [
        ("agent: blind", figures.blind),
        (
            "agent: decode, verify 2 proofs, combine, finalise",
            figures.finish,
        ),
        (
            "custodian: decode, evaluate, encode, prove",
            figures.custodian,
        ),
        (
            "bare: decode, multiply, encode",
            figures.bare_multiplication,
        ),
        (
            "voprf crate: blind + verifiable batch finalise",
            figures.peer_verifiable,
        ),
        (
            "voprf crate: blind + finalise without proof",
            figures.peer_unverified,
        ),
    ];
    println!(
        "{} values per round, microseconds per value, one core",
        figures.values
    );
    for (what, micros) in rows {
        println!("  {micros:8.1}  {what}");
    }
    println!(
        "client_ratio     {:.2}  (peer with proofs / ours)",
        figures.client_ratio
    );
    println!(
        "                 {:.2}  (peer without proofs / ours)",
        figures.client_ratio_unverified_peer
    );
    println!(
        "custodian_ratio  {:.2}  (ours / bare)",
        figures.custodian_ratio
    );
    println!(
        "scaling_2        {:.2}  (two threads / one; bare multiplications reach {:.2} here)",
        figures.scaling_2, figures.machine_scaling_2
    );
}
