//! `hedui-febrl`: links the public febrl4 files through the real binaries. In: nothing. Out: precision and
//! recall. Invariant: the linkage sees the files' columns only.
//! Data and scoring: tests/support/febrl.rs.
#![expect(clippy::print_stdout, reason = "a tool of the proving ground")]

use clap::Parser;
use hedui_tests::febrl::link;
use hedui_tests::run::{Site, build_binaries};

/// 公开数据 | Link the public febrl4 files (5,000 × 5,000) and print precision and recall
#[derive(Parser)]
struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir().expect("temporary folder");
    let quality = link(&Site::new(folder.path(), &build_binaries(), "2026-01-02"));
    if arguments.json {
        println!("{}", serde_json::to_string(&quality).expect("JSON"));
    } else {
        println!(
            "febrl4: precision {:.4}, recall {:.4}, with review {:.4} ({} pairs to review)",
            quality.precision, quality.recall, quality.recall_with_review, quality.review_pairs
        );
    }
}
