//! `cargo demo`: the whole run on the synthetic county through the real binaries. In: scale, seed. Out: the
//! roll owner's clue sheets and a table of what was found. Invariant: between the parties only sealed
//! files move; the truth is read by the scorer alone, at the end.
#![expect(clippy::print_stdout, reason = "a tool of the proving ground")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use comfy_table::{Table, presets};
use hedui_protocol::agreement::text::LockKind;
use hedui_tests::county::{Scale, generate, plant::CATEGORIES, write};
use hedui_tests::county_run::{self, Stage, Stages};
use hedui_tests::run::{Site, build_binaries};
use hedui_tests::score::{Score, read_clues, score};
use serde::Serialize;

/// 演示 | Run the whole comparison on the synthetic county
#[derive(Parser)]
struct Arguments {
    /// How large
    #[arg(long, value_enum, default_value = "town")]
    scale: Scale,
    /// First lock: custodians, or the shared key of trials
    #[arg(long, value_enum, default_value = "oprf")]
    lock: Lock,
    /// Compare what the keys leave open field by field
    #[arg(long)]
    refine: bool,
    /// Also find identity numbers with one slip (slower: 180 values per person of the roll)
    #[arg(long)]
    allow_id_errors: bool,
    /// Seed of the county
    #[arg(long, default_value_t = 2016)]
    seed: u64,
    /// Keep all files in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// First lock of the demo's agreement.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Lock {
    /// Three custodians, two needed
    Oprf,
    /// One key that all departments share
    Keyed,
}

#[derive(Serialize)]
struct Outcome {
    #[serde(flatten)]
    score: Score,
    stages: Vec<Stage>,
}

fn main() {
    let arguments = Arguments::parse();
    let bins = build_binaries();
    let temporary = tempfile::tempdir().expect("temporary folder");
    let root = arguments
        .keep
        .clone()
        .unwrap_or_else(|| temporary.path().to_path_buf());
    let root = std::path::absolute(root).expect("path");
    let site = Site::new(&root, &bins, "2016-06-30");
    let mut stages = Stages::new(&site, arguments.json);
    stages.begin("合成县 synthetic county");
    let county = generate(arguments.scale, arguments.seed);
    write::write(&county, &root.join("county")).expect("the county is written");
    let lock = match arguments.lock {
        Lock::Oprf => LockKind::Oprf,
        Lock::Keyed => LockKind::Keyed,
    };
    let mut options = Vec::new();
    for (wanted, option) in [
        (arguments.allow_id_errors, "--allow-id-errors"),
        (arguments.refine, "--refine"),
    ] {
        options.extend(wanted.then_some(option));
    }
    county_run::set_up(&site, &mut stages, lock, &options);
    county_run::submit(&site, &mut stages, lock);
    stages.begin("比对 matcher");
    stages.add(&county_run::compare(&site));
    if arguments.refine {
        county_run::refine(&site, &mut stages);
    }
    stages.begin("线索 clues");
    let done = county_run::clues(&site);
    stages.add(&done);
    stages.begin("应保未保 absent");
    let absent = county_run::absent(&site);
    stages.add(&absent);
    stages.begin("线索台 desk");
    let handed = county_run::desk(&site);
    stages.add(&handed);
    stages.end();
    let json = std::fs::read_to_string(root.join("clues/clues.json")).expect("clues.json");
    let (clues, reviews) = read_clues(&json);
    let score = score(&county, &clues, &reviews);
    if arguments.json {
        let outcome = Outcome {
            score,
            stages: stages.all,
        };
        println!("{}", serde_json::to_string(&outcome).expect("JSON"));
    } else {
        println!("{}", done.stdout);
        println!("{}", absent.stdout);
        println!("{}", handed.stdout);
        print(&score, &stages.all);
        if arguments.keep.is_some() {
            println!("文件 files: {}", root.display());
        }
    }
}

fn print(score: &Score, stages: &[Stage]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "类别 category",
        "实有 planted",
        "发现 found",
        "漏 missed",
        "误 false",
    ]);
    for (category, _) in CATEGORIES {
        let tally = score.categories.get(category).cloned().unwrap_or_default();
        table.add_row([
            category.to_owned(),
            tally.planted.to_string(),
            tally.found.to_string(),
            tally.missed.to_string(),
            tally.wrong.to_string(),
        ]);
    }
    println!("{table}");
    println!(
        "查准率 precision {:.4}  查全率 recall {:.4}  含待核实 with review {:.4}  待核实 review items {}  误伤公职人员亲属 supporters wronged {}",
        score.precision,
        score.recall,
        score.recall_with_review,
        score.review_items,
        score.supporter_clues
    );
    for (name, quality) in &score.baselines {
        println!(
            "  对照 baseline {name:13} precision {:.4}  recall {:.4}",
            quality.precision, quality.recall
        );
    }
    let classes: &BTreeMap<_, _> = &score.difficulty;
    for (class, tally) in classes {
        println!(
            "  难度 difficulty {class:9} {} / {} (含待核实 with review {})",
            tally.found, tally.planted, tally.found_with_review
        );
    }
    let total: f64 = stages.iter().skip(1).map(|stage| stage.seconds).sum();
    for stage in stages {
        println!(
            "  {:7.1} s {:6.0} MiB {:9.1} MB 交换 exchanged  {}",
            stage.seconds,
            stage.peak_mib,
            stage.exchange_bytes as f64 / 1e6,
            stage.name
        );
    }
    println!("  {total:7.1} s 合计（不含生成） all stages after generation");
}
