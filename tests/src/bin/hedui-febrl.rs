//! `hedui-febrl`: links the public febrl4 files through the real binaries. In: nothing. Out: precision and
//! recall. Invariant: the linkage sees the files' columns only.
//! Data and scoring: tests/support/febrl.rs.
#![expect(clippy::print_stdout, reason = "a tool of the proving ground")]

use clap::Parser;
use hedui_tests::febrl::{
    SETS, find_repeats, link, link_by_block, link_by_likeness, link_by_likeness_once,
    link_by_records, link_by_weights, link_one_to_one,
};
use hedui_tests::run::{Site, build_binaries};

/// 公开数据 | Link the public febrl4 files (5,000 × 5,000) and print precision and recall
#[derive(Parser)]
struct Arguments {
    /// Keep all files in this folder
    #[arg(long)]
    keep: Option<std::path::PathBuf>,
    /// Link by record filters instead, at this Dice threshold (repeat)
    #[arg(long, value_name = "THRESHOLD")]
    likeness: Vec<String>,
    /// Link by record filters whose fields are weighed one by one instead
    #[arg(long)]
    records: bool,
    /// Link by record filters within blocks of one birth date instead, at this distance in bits (repeat)
    #[arg(long, value_name = "BITS")]
    block: Vec<String>,
    /// Look for repeated persons in one of the other files instead: 1, 2 or 3 (repeat)
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=3))]
    repeats: Vec<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().expect("temporary folder");
    let root = arguments.keep.as_deref().unwrap_or(folder.path());
    let root = std::path::absolute(root).expect("path");
    let bins = build_binaries();
    let fresh = |name: &str| Site::new(&root.join(name), &bins, "2026-01-02");
    let mut all = Vec::new();
    for threshold in &arguments.likeness {
        for (name, number, fields) in SETS {
            let site = fresh(&format!("likeness-{number}-{threshold}"));
            let quality = link_by_likeness(&site, fields, threshold);
            all.push((format!("{name}, Dice {threshold}"), quality));
            let once = fresh(&format!("once-{number}-{threshold}"));
            let quality = link_by_likeness_once(&once, fields, threshold);
            all.push((format!("{name}, Dice {threshold}, one to one"), quality));
        }
    }
    for threshold in &arguments.block {
        for (name, number, fields) in SETS {
            let site = fresh(&format!("block-{number}-{threshold}"));
            let quality = link_by_block(&site, fields, threshold);
            all.push((
                format!("{name}, blocks of a birth date, {threshold} bits"),
                quality,
            ));
        }
    }
    for file in &arguments.repeats {
        for (name, number, fields) in SETS {
            let site = fresh(&format!("repeats-{file}-{number}"));
            let [pairs, clusters] = find_repeats(&site, *file, fields);
            all.push((format!("febrl{file}, {name}, repeated persons"), pairs));
            all.push((format!("febrl{file}, {name}, clusters of them"), clusters));
        }
    }
    if arguments.records {
        for (name, number, fields) in SETS {
            for (once, words) in [(false, ""), (true, ", one to one")] {
                let site = fresh(&format!("records-{number}-{once}"));
                let quality = link_by_records(&site, fields, once);
                all.push((format!("{name}, sections{words}"), quality));
            }
        }
    }
    if all.is_empty() {
        all.push(("general template".to_owned(), link(&fresh("general"))));
        for (name, number, fields) in SETS {
            let quality = link_by_weights(&fresh(&format!("fields-{number}")), fields);
            all.push((name.to_owned(), quality));
            let quality = link_one_to_one(&fresh(&format!("one-to-one-{number}")), fields);
            all.push((format!("{name}, one to one"), quality));
        }
    }
    if arguments.json {
        let map: std::collections::BTreeMap<_, _> =
            all.iter().map(|(name, quality)| (name, quality)).collect();
        println!("{}", serde_json::to_string(&map).expect("JSON"));
        return;
    }
    for (name, quality) in &all {
        println!(
            "{name}: F1 {:.4}, precision {:.4}, recall {:.4}, with review {:.4} ({} pairs to review)",
            quality.f1,
            quality.precision,
            quality.recall,
            quality.recall_with_review,
            quality.review_pairs
        );
    }
}
