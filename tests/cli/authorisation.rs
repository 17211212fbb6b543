//! No comparison without an authorisation: the roll's owner delivers only whom one covers. In: a roll of three, lists of
//! authorisations. Out: passes, or a person who was compared without one. Invariant under test: each reason is told apart
//! and named by row; a list that cannot be read delivers nothing. Specification: docs/OPERATIONS.md, "Authorisations".

use std::fs;

use hedui_tests::run::{Done, Site};

use super::{assert_refused, sealed, site_with};

const ROLL_MAP: &str = r#"version = 1
dataset = "roll"
as_of = "2026-01-01"
authorisations = "auth.map.toml"
[source]
file = "roll.csv"
[field.id]
columns = ["证件号码"]
[field.name]
columns = ["姓名"]
[field.birth]
columns = ["出生日期"]
"#;
const LIST_MAP: &str = r#"version = 1
dataset = "roll"
[source]
file = "auth.csv"
[field.id]
columns = ["证号"]
[field.name]
columns = ["姓名"]
[local.number]
columns = ["授权编号"]
[local.from]
columns = ["起"]
kind = "date"
[local.until]
columns = ["止"]
kind = "date"
[local.registers]
columns = ["比对数据"]
[local.scan]
columns = ["摘要"]
"#;
const SCAN: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn list(rows: &[&str]) -> String {
    format!(
        "证号,姓名,授权编号,起,止,比对数据,摘要\n{}\n",
        rows.join("\n").replace("SCAN", SCAN)
    )
}

/// A site whose agreement wants authorisations; the list is what is given.
fn with_list(site: &Site, rows: &[&str]) -> Done {
    fs::write(site.root.join("auth.csv"), list(rows)).expect("list");
    site.run(
        "hedui-agent",
        "office",
        &["check", "roll.map.toml", "--json"],
    )
}

fn prepared(folder: &std::path::Path) -> Site {
    let site = site_with(folder, &["--authorisation", "each-person"]);
    fs::write(site.root.join("roll.map.toml"), ROLL_MAP).expect("mapping");
    fs::write(site.root.join("auth.map.toml"), LIST_MAP).expect("mapping");
    site
}

#[test]
fn nobody_is_compared_without_an_authorisation_that_covers_the_day_and_every_register() {
    let folder = tempfile::tempdir().expect("folder");
    let site = prepared(folder.path());
    let reason = |rows: &[&str]| {
        let done = with_list(&site, rows);
        let found: serde_json::Value = serde_json::from_str(&done.stdout).expect("one JSON object");
        (done.code, found["unauthorised"].clone())
    };
    // The second person's number has fifteen digits on the roll and eighteen on paper.
    let two = [
        "422725196408150014,张伟,SQ1,2025-01-01,2026-12-31,全部,SCAN",
        "422725196408150030,李秀英,SQ2,2025-01-01,2026-12-31,police,SCAN",
    ];
    let with = |third: &'static str| [two[0], two[1], third];
    for (third, code, expected) in [
        (
            "11010519491231002X,王芳,SQ3,2025-01-01,2026-12-31,*,SCAN",
            0,
            serde_json::json!({}),
        ),
        (
            "11010519491231002X,王芳,SQ3,2025-01-01,2026-01-01,*,SCAN",
            1,
            serde_json::json!({"expired": 1}),
        ),
        (
            "11010519491231002X,王芳,SQ3,2026-01-03,2026-12-31,*,SCAN",
            1,
            serde_json::json!({"expired": 1}),
        ),
        (
            "11010519491231002X,王芳,SQ3,2025-01-01,2026-12-31,,SCAN",
            1,
            serde_json::json!({"registers": 1}),
        ),
        (
            "11010519491231002X,王芳,,2025-01-01,2026-12-31,*,SCAN",
            1,
            serde_json::json!({"paper": 1}),
        ),
        (
            "11010519491231002X,王芳,SQ3,2025-01-01,2026-12-31,*,12ab",
            1,
            serde_json::json!({"paper": 1}),
        ),
        (
            "11010519491231002X,王方,SQ3,2025-01-01,2026-12-31,*,SCAN",
            1,
            serde_json::json!({"name": 1}),
        ),
        (
            "110101199001010015,某人,SQ3,2025-01-01,2026-12-31,*,SCAN",
            1,
            serde_json::json!({"nobody": 1}),
        ),
    ] {
        assert_eq!(reason(&with(third)), (code, expected), "{third}");
    }
    // A second, valid paper mends what the first lacks.
    let renewed = [
        two[0],
        two[1],
        "11010519491231002X,王芳,SQ3,2024-01-01,2025-01-01,*,SCAN",
        "11010519491231002X,王芳,SQ4,2025-01-02,2026-12-31,*,SCAN",
    ];
    assert_eq!(reason(&renewed).0, 0);
    // A list that cannot be read whole delivers nothing and quotes nobody.
    for bad in [
        "11010519491231002X,王芳,SQ3,2025-13-01,2026-12-31,*,SCAN",
        "11010519491231002X,王芳,SQ3,2025-01-01,2026-12-31,polize,SCAN",
        ",王芳,SQ3,2025-01-01,2026-12-31,*,SCAN",
        "11010519491231002X,王芳,SQ3",
    ] {
        let done = with_list(&site, &with(bad));
        assert_refused(&done, &[2], bad);
        assert!(
            !done.stderr.contains("王芳") && !done.stderr.contains("110105"),
            "{}",
            done.stderr
        );
        let submit = site.run("hedui-agent", "office", &["submit", "roll.map.toml"]);
        assert_refused(&submit, &[2], bad);
    }
    assert!(sealed(&site, "submission-office").is_empty());
    fs::write(
        site.root.join("roll.map.toml"),
        ROLL_MAP.replace("authorisations", "# authorisations"),
    )
    .expect("mapping");
    assert_refused(
        &site.run("hedui-agent", "office", &["check", "roll.map.toml"]),
        &[2],
        "no list",
    );
}

#[test]
fn who_has_no_authorisation_is_not_in_the_result() {
    let folder = tempfile::tempdir().expect("folder");
    let site = prepared(folder.path());
    let rows = ["422725196408150014,张伟,SQ1,2025-01-01,2026-12-31,全部,SCAN"];
    fs::write(site.root.join("auth.csv"), list(&rows)).expect("list");
    let said = site.run("hedui-agent", "office", &["submit", "roll.map.toml"]);
    assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
    assert!(
        said.stderr.contains("not delivered: 2 (rows 3, 4"),
        "{}",
        said.stderr
    );
    site.must(
        "hedui-agent",
        "police",
        &["submit", "register.csv", "--dataset", "police"],
        &[0],
    );
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site.must("hedui-agent", "office", &["results"], &[0]);
    let matches = fs::read_to_string(site.root.join("results/matches.csv")).expect("matches");
    // 张伟 and 王芳 are in the register; only 张伟 signed.
    assert_eq!(matches.lines().count(), 2, "{matches}");
    assert!(
        matches
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains("police")),
        "{matches}"
    );
}
