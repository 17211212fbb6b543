//! Practising with invented persons in a department's own columns. In: mappings with codes, other orders of dates, several
//! columns. Out: passes, or a practice that does not go as earnest would. Invariant under test: nothing of the real file but
//! its head is in what is written; the same words give the same bytes; a comparison finds the persons that both hold.
//! Specification: docs/OPERATIONS.md, "Rehearsal".

use std::fs;

use serde_json::Value;

use super::{assert_refused, site};

const ROLL_MAP: &str = r#"version = 1
dataset = "roll"
[source]
file = "roll.csv"
[field.id]
columns = ["证件号码"]
[field.name]
columns = ["姓名"]
[field.birth]
columns = ["出生日期"]
date = "dmy"
"#;
const REGISTER_MAP: &str = r#"version = 1
dataset = "police"
[source]
file = "register.csv"
delimiter = ";"
[field.id]
columns = ["身份证号"]
[field.name]
columns = ["姓名"]
"#;

#[test]
fn a_practice_goes_as_earnest_would_and_holds_nobody_real() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    fs::write(site.root.join("roll.map.toml"), ROLL_MAP).expect("mapping");
    fs::write(site.root.join("register.map.toml"), REGISTER_MAP).expect("mapping");
    let rehearse = |party: &str, mapping: &str, out: &str| {
        let args = [
            "rehearse",
            mapping,
            "--seed",
            "两个单位约定的话",
            "--rows",
            "400",
            "--out",
            out,
        ];
        site.must("hedui-agent", party, &args, &[0]);
    };
    rehearse("office", "roll.map.toml", "rehearsal");
    rehearse("police", "register.map.toml", "rehearsal");
    rehearse("office", "roll.map.toml", "again");
    let read = |name: &str| fs::read_to_string(site.root.join(name)).expect("file");
    let written = read("rehearsal/演练-roll.csv");
    assert_eq!(
        written,
        read("again/演练-roll.csv"),
        "the same words, other persons"
    );
    assert_eq!(
        written.lines().next(),
        Some("证件号码,姓名,出生日期,手机"),
        "the department's own head"
    );
    assert_eq!(written.lines().count(), 401);
    for real in ["张伟", "李秀英", "422725196408150014", "13807171234"] {
        assert!(!written.contains(real), "{real} is a real cell");
    }
    // The order of dates is the department's; most cells are good, some have slips for the report to show.
    let checked = site.must(
        "hedui-agent",
        "office",
        &["check", "rehearsal/演练-roll.map.toml", "--json"],
        &[0],
    );
    let report: Value = serde_json::from_str(&checked.stdout).expect("one JSON object");
    for field in report["fields"].as_array().expect("fields") {
        let counts: Vec<u64> = field["counts"]
            .as_array()
            .expect("counts")
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        assert!(counts[0] + counts[1] >= 380 && counts[0] < 400, "{field}");
        assert_eq!(field["contradicts_count"], 0, "{field}");
    }
    site.must(
        "hedui-agent",
        "office",
        &["submit", "rehearsal/演练-roll.map.toml"],
        &[0],
    );
    site.must(
        "hedui-agent",
        "police",
        &["submit", "rehearsal/演练-police.map.toml"],
        &[0],
    );
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    let results = site.must("hedui-agent", "office", &["results", "--json"], &[0]);
    let found: Value = serde_json::from_str(&results.stdout).expect("one JSON object");
    // Each holds two in five of the persons, so about two in five of the roll are in the register.
    let matches = found["matches"].as_u64().expect("number");
    assert!((110..=210).contains(&matches), "{matches} matches");
    let refused = site.run(
        "hedui-agent",
        "office",
        &["rehearse", "roll.map.toml", "--seed", "x", "--rows", "0"],
    );
    assert_refused(&refused, &[64], "no rows");
    fs::write(
        site.root.join("wrong.map.toml"),
        ROLL_MAP.replace("姓名", "姓 名"),
    )
    .expect("mapping");
    let refused = site.run(
        "hedui-agent",
        "office",
        &["rehearse", "wrong.map.toml", "--seed", "x"],
    );
    assert_refused(&refused, &[10], "a column that is not there");
}
