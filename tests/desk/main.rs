//! The clue desk through its binary: a handover, townships' sheets, kills at any moment. In: clues of the synthetic
//! county's truth. Out: passes, or work that was lost, done twice or reckoned wrongly.
//! Invariant under test: what was acknowledged is there, nothing is there in half, every figure can be reckoned again.

mod crash;
mod sheets;

use std::collections::BTreeMap;
use std::fs;

use hedui_tests::county::{County, Scale, generate};
use hedui_tests::run::{Done, Site, build_binaries};
use serde_json::{Value, json};

/// The planted truth as a handover, without any linkage: one clue per planted one.
pub(crate) fn handover(county: &County, period: &str) -> Value {
    let people = &county.people;
    let lines: Vec<Value> = county
        .clues
        .iter()
        .map(|clue| {
            let unit = &county.units[clue.unit];
            let person = unit.persons[0];
            let number = hedui_protocol::primitive::sha256(&[
                unit.number.as_bytes(),
                clue.category.as_bytes(),
                period.as_bytes(),
            ]);
            json!({
                "number": hedui_protocol::primitive::hex(&number[..4]),
                "category": clue.category,
                "unit": unit.number,
                "township": people.township(person),
                "village": "某村",
                "name": people.all[person].name,
                "id": people.all[person].id,
                "role": "申请人",
                "roll_row": 2,
                "register": "register",
                "register_title": "某项登记",
                "facts": clue.subtype,
                "agree": ["身份证号"],
                "differ": [],
                "outcome": "match",
                "rule": clue.subtype,
                "clause": "条款",
                "disproof": "情形",
            })
        })
        .collect();
    let mut categories: Vec<&str> = county.clues.iter().map(|clue| clue.category).collect();
    categories.sort_unstable();
    categories.dedup();
    json!({
        "schema": 1, "period": period, "agreement": "00", "categories": categories, "registers": [],
        "clues": lines, "reviews": [], "income_tasks": [], "exempted": {},
    })
}

/// Runs a command that must succeed with one of the exit codes.
pub(crate) fn must(site: &Site, user: &str, day: &str, args: &[&str], codes: &[i32]) -> Done {
    let done = site.desk(user, day, args);
    assert!(
        codes.contains(&done.code),
        "hedui-desk {args:?}: exit {}\n{}\n{}",
        done.code,
        done.stdout,
        done.stderr
    );
    done
}

/// The one JSON object of a command.
pub(crate) fn object(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).expect("one JSON object")
}

/// A site with a desk of two users; the handover lies in `clues.json`.
pub(crate) fn desk(folder: &std::path::Path) -> (Site, County) {
    let site = Site::new(folder, &build_binaries(), "2016-06-30");
    let county = generate(Scale::Town, 2016);
    let text = serde_json::to_string(&handover(&county, "2016-06")).expect("JSON");
    fs::write(site.root.join("clues.json"), text).expect("handover");
    users(&site);
    (site, county)
}

/// An empty desk with a lead and a clerk.
pub(crate) fn users(site: &Site) {
    let new = [
        "new",
        "--practice",
        "--office",
        "某县民政局",
        "--title",
        "李审核",
    ];
    must(site, "lead", "2016-07-01", &new, &[0]);
    let passphrase = site.passphrase.to_string_lossy().into_owned();
    let add = [
        "user",
        "add",
        "clerk",
        "--title",
        "王经办",
        "--new-passphrase-file",
        &passphrase,
    ];
    must(site, "lead", "2016-07-01", &add, &[0]);
}

/// Cases by number, as `list` shows them.
pub(crate) fn cases(site: &Site) -> BTreeMap<String, Value> {
    let listed = object(&must(
        site,
        "clerk",
        "2016-07-01",
        &["list", "--closed", "--json"],
        &[0],
    ));
    let cases = listed["cases"].as_array().expect("cases").clone();
    cases
        .into_iter()
        .map(|case| (case["number"].as_str().expect("number").to_owned(), case))
        .collect()
}
