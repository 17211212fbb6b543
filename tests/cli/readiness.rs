//! Who has delivered what: in time, late, missing, overdue, refused. In: two deliveries and a broken file. Out: passes, or a
//! standing that is not what happened. Invariant under test: a refused file is listed with its reason, and nothing of it
//! counts as delivered. Specification: docs/OPERATIONS.md, "Readiness".

use std::fs;

use serde_json::Value;

use super::{assert_refused, sealed, site};

#[test]
fn deliveries_are_in_time_late_missing_or_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let mut site = site(folder.path());
    let say = |site: &hedui_tests::run::Site, due: &[&str]| -> Value {
        let args = [&["readiness", "--json"], due].concat();
        let done = site.must("hedui-matcher", "centre", &args, &[0]);
        serde_json::from_str(&done.stdout).expect("one JSON object")
    };
    let standing = |said: &Value, name: &str| {
        let lines = said["datasets"].as_array().expect("list");
        let line = lines.iter().find(|l| l["dataset"] == name).expect("line");
        line["standing"].as_str().expect("word").to_owned()
    };
    site.must(
        "hedui-agent",
        "office",
        &["submit", "roll.csv", "--dataset", "roll"],
        &[0],
    );
    site.must(
        "hedui-agent",
        "police",
        &["submit", "register.csv", "--dataset", "police"],
        &[0],
    );
    site.must("hedui-matcher", "centre", &["readiness"], &[0]);
    // Lying in the folder is not delivered: the matcher has taken nothing in.
    let before = say(&site, &["--due", "2026-01-01"]);
    assert_eq!(
        (standing(&before, "roll"), standing(&before, "police")),
        ("overdue".into(), "overdue".into())
    );
    assert_eq!(
        standing(&say(&site, &["--due", "2026-01-09"]), "police"),
        "missing"
    );
    // A byte of the register's delivery is turned on its way.
    let file = sealed(&site, "submission-police").remove(0);
    let good = fs::read(&file).expect("file");
    let mut bad = good.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    fs::write(&file, bad).expect("file");
    let intake = site.run("hedui-matcher", "centre", &["intake"]);
    assert_eq!(intake.code, 1, "{}{}", intake.stdout, intake.stderr);
    let after = say(
        &site,
        &["--due", "2026-01-02", "--due", "police=2026-01-09"],
    );
    assert_eq!(
        (standing(&after, "roll"), standing(&after, "police")),
        ("delivered".into(), "missing".into())
    );
    let refused = after["refused"].as_array().expect("list");
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (&refused[0]["sender"], &refused[0]["code"]),
        (&Value::from("police"), &Value::from(20))
    );
    fs::write(&file, good).expect("file");
    site.today = "2026-01-11".to_owned();
    site.must("hedui-matcher", "centre", &["intake"], &[0]);
    let late = say(&site, &["--due", "2026-01-09"]);
    assert_eq!(
        (standing(&late, "roll"), standing(&late, "police")),
        ("delivered".into(), "late".into())
    );
    // Every row has a usable number; of the next delivery's three rows one has not. Of so few the twelve invented ones, which have
    // one, count too: fourteen of fifteen.
    let share = |said: &Value, at: usize| {
        let lines = said["datasets"].as_array().expect("list");
        let line = lines
            .iter()
            .find(|l| l["dataset"] == "police")
            .expect("line");
        line["shares"][at]["id"].as_u64().expect("share")
    };
    let first = share(&late, 0);
    assert_eq!(first, 1000);
    let poorer = super::REGISTER.replace("420525200101011235", "");
    fs::write(site.root.join("register.csv"), poorer).expect("register");
    site.must(
        "hedui-agent",
        "police",
        &["submit", "register.csv", "--dataset", "police"],
        &[0],
    );
    site.must("hedui-matcher", "centre", &["intake"], &[0]);
    let again = say(&site, &[]);
    assert_eq!(share(&again, 0), first);
    assert!(
        (900..=965).contains(&share(&again, 1)),
        "{}",
        share(&again, 1)
    );
    let shown = site.must("hedui-matcher", "centre", &["readiness"], &[0]);
    assert!(shown.stdout.contains("（-"), "{}", shown.stdout);
    for due in ["2026-13-01", "polize=2026-01-01", "police="] {
        let done = site.run("hedui-matcher", "centre", &["readiness", "--due", due]);
        assert_refused(&done, &[64, 10], due);
    }
}

#[test]
fn the_same_data_are_delivered_anew_once_the_matcher_has_deleted_them() {
    let folder = tempfile::tempdir().expect("folder");
    let mut site = site(folder.path());
    let round = |site: &hedui_tests::run::Site| {
        site.must(
            "hedui-agent",
            "office",
            &["submit", "roll.csv", "--dataset", "roll"],
            &[0],
        );
        let args = ["submit", "register.csv", "--dataset", "police"];
        let said = site.must("hedui-agent", "police", &args, &[0]).stdout;
        site.must("hedui-matcher", "centre", &["run"], &[0]);
        let is_old = said.contains("所报相同");
        (sealed(site, "submission-police").len(), is_old)
    };
    assert_eq!(round(&site), (1, false));
    assert_eq!(round(&site), (1, false), "the same keeps its number");
    site.today = "2026-02-20".to_owned();
    assert_eq!(round(&site), (1, true), "and its day, as the clerk is told");
    // A slip in the day deletes what was to stay. The same data are no news to anybody then, so their owners say that they mean it.
    site.today = "2026-12-20".to_owned();
    site.must("hedui-matcher", "centre", &["purge"], &[0]);
    site.today = "2026-02-20".to_owned();
    let said = site.must("hedui-matcher", "centre", &["run"], &[75]).stdout;
    assert!(said.contains("加 --again"), "{said}");
    for (party, file, dataset) in [
        ("office", "roll.csv", "roll"),
        ("police", "register.csv", "police"),
    ] {
        let args = ["submit", file, "--dataset", dataset, "--again"];
        let said = site.must("hedui-agent", party, &args, &[0]).stdout;
        assert!(!said.contains("所报相同"), "{said}");
    }
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    assert_eq!(round(&site), (2, false), "and is then the latest");
    // Retention is ninety days: later the tables are gone, and with them what the old message said.
    site.today = "2026-05-24".to_owned();
    assert_eq!(round(&site), (3, false));
    site.must("hedui-agent", "office", &["results"], &[0]);
}
