//! The disclosure round and the own result, on three rows. In: a roll, a register, questions, a filled-in list. Out: passes, or what was
//! laid open without a decision, counted twice, or shown to whom it does not belong. Invariant under test: nothing is laid open
//! that nobody decided; bounds hold; the same list makes the same bytes; who is on the roll is never listed as absent.
//! Specification: protocol/SPEC.md, "Disclosure", "Own result".

use std::fs;
use std::path::Path;

use hedui_tests::opened::open;
use hedui_tests::run::Site;
use serde_json::Value;

use super::{assert_refused, sealed, site_with};

const ROWS: &str = "姓名;身份证号;出生日期\n张伟;422725196408150014;1964-08-15\n李秀英;;1964-08-15\n赵六;420525200101011235;2001-01-01\n\
    王芳;;1949-12-31\n";

fn json(site: &Site, party: &str, args: &[&str], codes: &[i32]) -> Value {
    let args = [args, &["--json"]].concat();
    let done = site.must("hedui-agent", party, &args, codes);
    serde_json::from_str(&done.stdout).expect("one JSON object")
}

fn round(folder: &Path, options: &[&str]) -> Site {
    let site = site_with(folder, options);
    fs::write(site.root.join("register.csv"), ROWS).expect("register");
    for (party, file, dataset) in [
        ("office", "roll.csv", "roll"),
        ("police", "register.csv", "police"),
    ] {
        let args = ["submit", file, "--dataset", dataset];
        site.must("hedui-agent", party, &args, &[0]);
    }
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site
}

/// Fills in a list: answer and remark by the name that its content shows.
fn fill_in(site: &Site, answers: &[(&str, &str, &str)]) {
    let mut book: calamine::Xlsx<_> =
        calamine::open_workbook(site.root.join("questions.xlsx")).expect("workbook");
    let sheet = calamine::Reader::worksheet_range_at(&mut book, 0)
        .expect("sheet")
        .expect("range");
    let mut text = "编号,答复,理由或备注\n".to_owned();
    for row in sheet.rows().skip(1) {
        let cell = |at: usize| row[at].to_string();
        let known = answers.iter().find(|(name, ..)| cell(6).contains(name));
        if let Some((_, answer, note)) = known {
            text += &format!("{},{answer},{note}\n", cell(0));
        }
    }
    fs::write(site.root.join("filled.csv"), text).expect("list");
}

#[test]
fn a_record_is_laid_open_by_decision_and_within_bounds_only() {
    let folder = tempfile::tempdir().expect("folder");
    let site = round(folder.path(), &["--disclosure", "2"]);
    assert_eq!(json(&site, "office", &["results"], &[0])["reviews"], 2);
    // Nothing says what to ask; a handle that is none; a record that is not in the result.
    for (args, code) in [
        (vec!["ask"], 64),
        (vec!["ask", "--handle", "xyz"], 64),
        (
            vec!["ask", "--handle", "00000000000000000000000000000000"],
            64,
        ),
        (vec!["ask", "--reviews", "--register", "polise"], 64),
        (vec!["ask", "--conflicts"], 75),
    ] {
        let refused = site.run("hedui-agent", "office", &args);
        assert_refused(&refused, &[code], &args.join(" "));
    }
    let none = site.run("hedui-agent", "police", &["questions"]);
    assert_refused(&none, &[75], "no questions yet");
    assert_eq!(
        json(&site, "office", &["ask", "--reviews"], &[0])["asked"]["police"],
        2
    );
    let again = json(&site, "office", &["ask", "--reviews"], &[0]);
    assert_eq!(
        (
            again["asked_before"].as_u64(),
            again["asked"].as_object().expect("map").len()
        ),
        (Some(2), 0)
    );
    assert_eq!(sealed(&site, "disclosure-request").len(), 1, "asked once");
    // The list shows the own records that are meant, no identity number, and nothing of the roll.
    let listed = json(&site, "police", &["questions"], &[0]);
    assert_eq!(
        (&listed["open"], &listed["unknown"]),
        (&Value::from(2), &Value::from(0))
    );
    fill_in(
        &site,
        &[("李秀英", "提供", "已与本人核对"), ("王芳", "不提供", "")],
    );
    let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
    assert_refused(&refused, &[2], "declined without a reason");
    assert!(sealed(&site, "disclosure-answer").is_empty());
    fill_in(
        &site,
        &[
            ("李秀英", "提供", "已与本人核对"),
            ("王芳", "不提供", "本人不同意"),
        ],
    );
    let said = json(&site, "police", &["answer", "filled.csv"], &[0]);
    assert_eq!(
        (said["disclosed"].as_u64(), said["declined"].as_u64()),
        (Some(1), Some(1))
    );
    let answer = sealed(&site, "disclosure-answer").remove(0);
    let first = fs::read(&answer).expect("answer");
    // Lost on its way and sealed again: the same bytes, nothing counted twice.
    fs::remove_file(&answer).expect("lost");
    json(&site, "police", &["answer", "filled.csv"], &[0]);
    assert_eq!(fs::read(&answer).expect("answer"), first);
    let (_, body) = open(&site, &answer, "office");
    let text = String::from_utf8(body[4..].to_vec()).expect("JSON");
    assert!(
        text.contains("李秀英") && !text.contains("王芳") && !text.contains("4227"),
        "{text}"
    );
    // The roll's owner sees what was laid open beside its own, and why the other was not.
    let said = json(&site, "office", &["results"], &[0]);
    let figures = ["asked", "disclosed", "declined", "unknown", "open"]
        .map(|n| said["disclosure"][n].as_u64());
    assert_eq!(figures, [2, 1, 1, 0, 0].map(Some));
    let list = fs::read_to_string(site.root.join("results/disclosed.csv")).expect("list");
    assert!(
        list.contains("name 李秀英（一致）") && list.contains("birth 19640815（一致）"),
        "{list}"
    );
    assert!(
        list.contains("不予提供（2026-01-02）；说明：本人不同意") && !list.contains("王芳"),
        "{list}"
    );
    // The bound is of the epoch: another record may not be laid open beyond it, whoever asks.
    fill_in(&site, &[]);
    let empty = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
    assert_refused(&empty, &[75], "nothing filled in");
    // Records of who was asked and answered hold no value of anybody.
    for party in ["office", "police"] {
        for entry in fs::read_dir(site.home(party).join("state"))
            .expect("state")
            .flatten()
        {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                !text.contains("李秀英") && !text.contains("王芳"),
                "{:?}",
                entry.path()
            );
        }
    }
}

#[test]
fn a_department_answers_its_own_questions_only_and_within_the_agreement() {
    let folder = tempfile::tempdir().expect("folder");
    let site = round(folder.path(), &["--disclosure", "1"]);
    let refused = site.run("hedui-agent", "office", &["ask", "--reviews"]);
    assert_refused(&refused, &[2], "two records, one allowed");
    assert!(
        sealed(&site, "disclosure-request").is_empty(),
        "nothing was sent"
    );
    let matches = fs::read_to_string({
        site.must("hedui-agent", "office", &["results"], &[0]);
        site.root.join("results/matches.csv")
    })
    .expect("matches");
    let review = matches
        .lines()
        .find(|line| line.contains(",review,"))
        .expect("a review");
    let handle = review.split(',').nth(2).expect("handle").to_owned();
    let asked = json(&site, "office", &["ask", "--handle", &handle], &[0]);
    assert_eq!(asked["asked"]["police"], 1);
    site.must("hedui-agent", "police", &["questions"], &[0]);
    // A number that nobody asked about refuses the list.
    fs::write(
        site.root.join("filled.csv"),
        "编号,答复,理由或备注\n00000000000000000000000000000000,提供,\n",
    )
    .expect("list");
    let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
    assert_refused(&refused, &[2], "not asked");
    // A register that was delivered again without the record: it is unknown, by itself.
    let rows = "姓名;身份证号;出生日期\n张伟;422725196408150014;1964-08-15\n";
    fs::write(site.root.join("register.csv"), rows).expect("register");
    site.must(
        "hedui-agent",
        "police",
        &["submit", "register.csv", "--dataset", "police"],
        &[0],
    );
    let listed = json(&site, "police", &["questions"], &[0]);
    assert_eq!(
        (&listed["open"], &listed["unknown"]),
        (&Value::from(0), &Value::from(1))
    );
    fs::write(site.root.join("filled.csv"), "编号,答复,理由或备注\n").expect("list");
    let said = json(&site, "police", &["answer", "filled.csv"], &[0]);
    assert_eq!(said["unknown"], 1);
    let said = json(&site, "office", &["results"], &[0, 1]);
    assert_eq!(said["disclosure"]["unknown"], 1);
}

#[test]
fn without_terms_nobody_is_asked_and_nobody_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    let site = round(folder.path(), &[]);
    let refused = site.run("hedui-agent", "office", &["ask", "--reviews"]);
    assert_refused(&refused, &[75], "no terms");
    let refused = site.run(
        "hedui-agent",
        "office",
        &["ask", "--reviews", "--register", "police"],
    );
    assert_refused(&refused, &[10], "no terms for a named register");
    assert!(sealed(&site, "own-result").is_empty());
    fs::write(site.root.join("rules.toml"), "version = 1\n").expect("rules");
    let refused = site.run(
        "hedui-agent",
        "police",
        &["absent", "--dataset", "police", "--rules", "rules.toml"],
    );
    assert_refused(&refused, &[2], "not told");
    let kept = fs::read_dir(site.home("police").join("state"))
        .expect("state")
        .flatten();
    let kept = kept.filter(|entry| entry.file_name().to_string_lossy().starts_with("records-"));
    assert_eq!(
        kept.count(),
        0,
        "nothing is kept for what the agreement does not have"
    );
}

#[test]
fn an_owner_learns_which_of_its_own_were_found_and_no_more() {
    let folder = tempfile::tempdir().expect("folder");
    let rules = folder.path().join("absent.toml");
    fs::write(
        &rules,
        "version = 1\n[[rule]]\nname = 'look'\ncategory = '应保未保'\neffect = 'absent'\nclause = 'c'\n\
         registers = ['police']\nwhere = \"register == 'police'\"\ndisproof = 'd'\n",
    )
    .expect("rules");
    let rules = rules.to_string_lossy().into_owned();
    let site = round(
        folder.path(),
        &["--own-result", "police", "--rules", &rules],
    );
    let messages = sealed(&site, "own-result");
    assert_eq!(messages.len(), 1);
    let args = ["absent", "--dataset", "police", "--rules", &rules];
    let said = json(&site, "police", &args, &[0]);
    // Of four records three have a pair of some kind; eight canaries of both sides are found too.
    assert_eq!(
        (said["absent"].as_u64(), said["lines"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(said["found"], 3 + 8);
    let list = fs::read_to_string(site.root.join("absent-police.csv")).expect("list");
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.contains("应保未保,police,4,"), "{list}");
    // The same run again tells the same; the roll's owner cannot read it.
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    assert_eq!(sealed(&site, "own-result").len(), 1);
    let refused = site.run("hedui-agent", "office", &args);
    assert_refused(&refused, &[2], "another party's register");
    // What the matcher tells is about the data that it compared.
    let rows = ROWS.replace("赵六;420525200101011235;2001-01-01\n", "");
    fs::write(site.root.join("register.csv"), rows).expect("register");
    site.must(
        "hedui-agent",
        "police",
        &["submit", "register.csv", "--dataset", "police"],
        &[0],
    );
    let refused = site.run("hedui-agent", "police", &args);
    assert_refused(&refused, &[75], "an earlier delivery");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    assert_eq!(json(&site, "police", &args, &[0])["absent"], 0);
}
