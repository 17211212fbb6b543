//! Changes that do not fit. In: files of changes with one defect each. Out: passes, or a defect that was not refused, or not said where it is.
//! Invariant under test: nothing is applied, sent or kept then; the next proper file finds everything as it was.
//! Specification: docs/OPERATIONS.md, "Changes".

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hedui_tests::county_run::files_below;
use hedui_tests::run::{Done, Site, build_binaries};

const MAPPING: &str = "version = 1\ndataset = \"police\"\n[source]\nfile = \"cars.csv\"\n\
    [field.id]\ncolumns = [\"身份证号\"]\n[field.name]\ncolumns = [\"姓名\"]\n\
    [changes]\nkey = [\"车牌\"]\noperation = \"操作\"\n\
    codes = { \"增\" = \"add\", \"改\" = \"change\", \"销\" = \"withdraw\" }\n";
const CARS: &str = "车牌,姓名,身份证号\n鄂E1,张伟,422725196408150014\n鄂E2,王芳,11010519491231002X\n鄂E3,赵六,420525200101011235\n";
const ROLL: &str = "证件号码,姓名\n422725196408150014,张伟\n11010519491231002x,王芳\n";

/// A register of three cars, delivered whole, and a roll that was delivered too.
fn site(folder: &Path, cars: &str) -> Site {
    let site = Site::new(folder, &build_binaries(), "2026-01-02");
    for party in ["office", "police", "centre"] {
        site.must("hedui-keys", party, &["new", party], &[0]);
    }
    let home = |party: &str| site.home(party).to_string_lossy().into_owned();
    let new = [
        "agreement",
        "new",
        "--lock",
        "keyed",
        "--roll",
        &home("office"),
        "--department",
        &home("police"),
        "--matcher",
        &home("centre"),
        "--purpose",
        "test",
        "--legal-basis",
        "test",
    ];
    site.must("hedui-agent", "office", &new, &[0]);
    for party in ["police", "centre"] {
        site.must("hedui-agent", party, &["agreement", "sign"], &[0]);
    }
    fs::write(site.root.join("roll.csv"), ROLL).expect("roll");
    fs::write(site.root.join("cars.csv"), cars).expect("cars");
    fs::write(site.root.join("cars.map.toml"), MAPPING).expect("mapping");
    site.must(
        "hedui-agent",
        "office",
        &["submit", "roll.csv", "--dataset", "roll"],
        &[0],
    );
    site.must("hedui-agent", "police", &["submit", "cars.map.toml"], &[0]);
    site
}

fn changes(site: &Site, text: &str) -> Done {
    fs::write(site.root.join("changes.csv"), text).expect("changes");
    site.run(
        "hedui-agent",
        "police",
        &["submit", "cars.map.toml", "--changes", "changes.csv"],
    )
}

/// Every file of the register's owner and of the exchange folder.
fn everything(site: &Site) -> BTreeMap<PathBuf, Vec<u8>> {
    let folders = [site.home("police").join("state"), site.exchange()];
    let all = folders.iter().flat_map(|folder| files_below(folder));
    all.map(|path| (path.clone(), fs::read(&path).expect("file")))
        .collect()
}

fn sent(site: &Site) -> Vec<PathBuf> {
    let mut own: Vec<PathBuf> = files_below(&site.exchange());
    own.retain(|path| path.to_string_lossy().contains("/submission-police-"));
    own.sort();
    own
}

#[test]
fn what_does_not_fit_is_refused_with_its_rows_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path(), CARS);
    let before = everything(&site);
    let head = "车牌,姓名,身份证号,操作\n";
    for (rows, words) in [
        ("鄂E1,李四,422725196408150014,增\n", "(2)"),
        ("鄂E9,张伟,422725196408150014,改\n", "(2)"),
        ("鄂E1,张伟,422725196408150014,销\n鄂E8,,,销\n", "(3)"),
        // The good row before a bad one is not applied either.
        ("鄂E7,孙七,,增\n鄂E2,王芳,,增\n鄂E8,,,销\n", "(3)"),
        ("鄂E1,张伟,422725196408150014,作废\n", "row 2"),
        (",张伟,422725196408150014,改\n", "row 2"),
    ] {
        let done = changes(&site, &format!("{head}{rows}"));
        assert_eq!(done.code, 2, "{rows}{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(words), "{rows}{}", done.stderr);
        for value in ["张伟", "422725196408150014", "鄂E", "作废"] {
            assert!(
                !done.stderr.contains(value),
                "a value in the message: {}",
                done.stderr
            );
        }
        assert!(
            everything(&site) == before,
            "something was written for\n{rows}"
        );
    }
    let done = changes(&site, "车牌,姓名,身份证号\n鄂E1,张伟,422725196408150014\n");
    assert_eq!(done.code, 10, "no column of operations: {}", done.stderr);
    let done = changes(&site, head);
    assert_eq!(done.code, 2, "no rows: {}", done.stderr);
    // A whole file that has an operation column is a whole file.
    let done = site.run(
        "hedui-agent",
        "office",
        &["submit", "cars.map.toml", "--changes", "changes.csv"],
    );
    assert_eq!(done.code, 2, "another party's register: {}", done.stderr);
    assert!(everything(&site) == before);
    // And the proper file is taken, once; given again it is the same file.
    let good = format!(
        "{head}鄂E4,孙七,,增\n鄂E3,,,销\n鄂E2,王芳芳,11010519491231002X,改\n鄂E1,张伟,422725196408150014,改\n"
    );
    let done = changes(&site, &good);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout
            .contains("added 1, 变更 changed 1, 注销 withdrawn 1, 无变化 the same 1"),
        "{}",
        done.stdout
    );
    let files = sent(&site);
    let bytes = fs::read(files.last().expect("changes")).expect("file");
    assert_eq!(changes(&site, &good).code, 0);
    assert_eq!(sent(&site), files);
    assert!(fs::read(files.last().expect("changes")).expect("file") == bytes);
    // An older file after a newer one is not.
    assert_eq!(changes(&site, &format!("{head}鄂E4,孙八,,改\n")).code, 0);
    let done = changes(&site, &good);
    assert_eq!(done.code, 2, "{}", done.stderr);
    // Tickets and handles name rows of files of changes.
    site.must(
        "hedui-agent",
        "police",
        &["handles", "--dataset", "police", "--out", "handles.csv"],
        &[0],
    );
    let list = fs::read_to_string(site.root.join("handles.csv")).expect("handles");
    let rows: Vec<&str> = list
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(1))
        .collect();
    let mut rows = rows;
    rows.sort_unstable();
    assert_eq!(rows, ["2", "变更1:4", "变更2:2"], "{list}");
}

#[test]
fn changes_need_a_whole_delivery_with_keys_that_the_matcher_still_has() {
    let folder = tempfile::tempdir().expect("folder");
    let twice = CARS.replace("鄂E3", "鄂E1");
    let mut site = site(folder.path(), &twice);
    let add = "车牌,姓名,身份证号,操作\n鄂E5,孙七,,增\n";
    // Two rows of one key were delivered; nothing can be changed.
    let again = site.must("hedui-agent", "police", &["submit", "cars.map.toml"], &[0]);
    assert!(
        again.stderr.contains("行 4") || again.stderr.contains("4 …"),
        "{}",
        again.stderr
    );
    assert_eq!(changes(&site, add).code, 75);
    fs::write(site.root.join("cars.csv"), CARS).expect("cars");
    site.must("hedui-agent", "police", &["submit", "cars.map.toml"], &[0]);
    let done = changes(&site, add);
    assert_eq!(done.code, 0, "{}", done.stderr);
    // Without the whole delivery the matcher refuses the changes, and takes them when it comes.
    let files = sent(&site);
    // What a row is called is no part of what it says: the whole delivery was the same one.
    assert_eq!(files.len(), 2);
    let aside = site.root.join("aside");
    fs::rename(&files[0], &aside).expect("moved");
    let done = site.run(
        "hedui-matcher",
        "centre",
        &["intake", &files[1].to_string_lossy()],
    );
    assert_eq!(done.code, 28, "{}", done.stderr);
    fs::rename(&aside, &files[0]).expect("moved");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    // And what came of both can be computed again from both.
    site.must("hedui-matcher", "centre", &["replay"], &[0]);
    // Base and changes are kept together and go together.
    let kept = |site: &Site| {
        fs::read_dir(site.home("centre").join("state/segments"))
            .expect("state")
            .count()
    };
    assert_eq!(kept(&site), 3, "roll, base, changes");
    site.must("hedui-matcher", "centre", &["purge"], &[0]);
    assert_eq!(kept(&site), 3);
    // Longer than anything is kept: deliver whole.
    site.today = "2026-12-30".to_owned();
    let later = "车牌,姓名,身份证号,操作\n鄂E6,孙八,,增\n";
    let done = changes(&site, later);
    assert_eq!(done.code, 75, "{}", done.stderr);
    site.must("hedui-matcher", "centre", &["purge"], &[0]);
    assert_eq!(kept(&site), 0);
    // What is kept is of no use to another party, and is gone when the epoch is retired.
    let own = |site: &Site| {
        files_below(&site.home("police").join("state"))
            .iter()
            .filter(|path| path.to_string_lossy().contains("delivered-"))
            .count()
    };
    assert!(own(&site) >= 4);
    let done = site.must("hedui-agent", "police", &["retire", "--json"], &[0]);
    let held: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    let epoch = held["current"].as_str().expect("epoch").to_owned();
    site.must(
        "hedui-agent",
        "police",
        &["retire", "--confirm", &epoch],
        &[0],
    );
    assert_eq!(own(&site), 0);
}

/// The mapping leaves rows out: one that is left out now goes, one that was comes; and a mapping that reads rows otherwise, or a file
/// with rows cut short, is no ground for changes.
#[test]
fn rows_that_the_mapping_leaves_out_go_and_come() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path(), CARS);
    let mapping = format!("{MAPPING}[[skip]]\ncolumn = \"备注\"\nvalues = [\"作废\"]\n");
    let cars = "车牌,姓名,身份证号,备注\n鄂E1,张伟,422725196408150014,\n鄂E2,王芳,11010519491231002X,作废\n鄂E3,赵六,420525200101011235,\n";
    fs::write(site.root.join("cars.csv"), cars).expect("cars");
    fs::write(site.root.join("cars.map.toml"), &mapping).expect("mapping");
    site.must("hedui-agent", "police", &["submit", "cars.map.toml"], &[0]);
    let head = "车牌,姓名,身份证号,备注,操作\n";
    let text = format!(
        "{head}鄂E3,赵六,420525200101011235,作废,改\n鄂E2,王芳,11010519491231002X,,改\n鄂E9,孙七,,作废,增\n"
    );
    let done = changes(&site, &text);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout
            .contains("added 1, 变更 changed 0, 注销 withdrawn 1, 无变化 the same 1"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("现有 now 2 行"), "{}", done.stdout);
    let before = everything(&site);
    let done = changes(
        &site,
        &format!("{head}鄂E1,张伟,422725196408150014\n鄂E3,,,,销\n"),
    );
    assert_eq!(done.code, 2, "rows cut short: {}", done.stderr);
    let other = mapping.replace("作废", "停用");
    fs::write(site.root.join("cars.map.toml"), other).expect("mapping");
    let done = changes(&site, &format!("{head}鄂E1,张三,422725196408150014,,改\n"));
    assert_eq!(done.code, 75, "another mapping: {}", done.stderr);
    assert!(everything(&site) == before);
    // Another day, or other words for what becomes of a row, are no other reading of rows.
    let same = mapping
        .replace("dataset", "as_of = \"2025-12-31\"\ndataset")
        .replace("\"改\"", "\"改动\"");
    fs::write(site.root.join("cars.map.toml"), same).expect("mapping");
    let done = changes(
        &site,
        &format!("{head}鄂E1,张三,422725196408150014,,改动\n"),
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
}

/// A roll is delivered whole, whatever its mapping says.
#[test]
fn a_roll_has_no_changes() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path(), CARS);
    let mapping = "version = 1\ndataset = \"roll\"\n[source]\nfile = \"roll.csv\"\n[field.id]\ncolumns = [\"证件号码\"]\n\
        [changes]\nkey = [\"证件号码\"]\n";
    fs::write(site.root.join("roll2.map.toml"), mapping).expect("mapping");
    let done = site.run("hedui-agent", "office", &["check", "roll2.map.toml"]);
    assert_eq!(done.code, 10, "{}", done.stderr);
}
