//! The disclosure round on the county's vehicles, before and after changes. In: review pairs of a real comparison. Out: passes, or a
//! record that is laid open other than it was delivered. Invariant under test: what the roll's owner gets are the record's own
//! facts as they were compared; after changes the facts are those of the changed record; old answers make no clue.
//! Specification: protocol/SPEC.md, "Disclosure", "Changes".

use std::collections::BTreeMap;
use std::fs;

use hedui_protocol::message::disclosure::{Answer, Request, Word};
use hedui_protocol::message::parse_small_body;
use hedui_protocol::message::payload::FactValue;
use hedui_tests::questions::fill;
use serde_json::Value;

use super::*;

fn say(site: &Site, party: &str, args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    let done = site.must("hedui-agent", party, &args, &[0, 1]);
    serde_json::from_str(&done.stdout).expect("one JSON object")
}

fn last(site: &Site, kind: &str, recipient: &str) -> Vec<u8> {
    let mut own: Vec<PathBuf> = files_below(&site.exchange())
        .into_iter()
        .filter(|path| {
            let name = path.file_name().expect("name").to_string_lossy();
            name.starts_with(kind)
        })
        .collect();
    own.sort_by_key(|path| open(site, path, recipient).0.seq);
    open(site, &own.pop().expect("a message"), recipient).1
}

/// Every question is answered with 提供; facts and names by handle, as the answer has them.
fn answered(site: &Site) -> BTreeMap<String, (Vec<Vec<FactValue>>, Option<String>)> {
    let list = site.root.join("questions.xlsx");
    let _ = fs::remove_file(&list);
    say(site, "gongan", &["questions"]);
    let open_body = last(site, "disclosure-request", "gongan");
    let request: Request = parse_small_body("disclosure-request", &open_body).expect("request");
    let filled = site.root.join("filled.csv");
    let count = fill(&list, &filled, |_| Some(("提供".to_owned(), String::new())));
    assert_eq!(count, request.questions.len());
    say(site, "gongan", &["answer", "filled.csv"]);
    let answer: Answer = parse_small_body(
        "disclosure-answer",
        &last(site, "disclosure-answer", "minzheng"),
    )
    .expect("answer");
    let opened = answer
        .check(&agreement(site))
        .expect("an answer within the terms");
    assert_eq!(opened.len(), request.questions.len());
    let name = hedui_protocol::ids::Name::new("name").expect("name");
    opened
        .into_iter()
        .filter(|record| record.word == Word::Disclosed)
        .map(|record| {
            let facts = record.facts.expect("facts").rows;
            let name = record.fields.get(&name).cloned();
            (record.handle.to_hex(), (facts, name))
        })
        .collect()
}

#[test]
fn what_is_laid_open_is_what_was_delivered_and_changed() {
    let folder = tempfile::tempdir().expect("folder");
    let options = [
        "--disclosure",
        "2000",
        "--disclose",
        "name",
        "--disclose",
        "birth",
    ];
    let (site, mut register) = site(folder.path(), LockKind::Keyed, &options);
    register.write_whole(&site);
    deliver(&site, "gongan", &register.mapping, &[]);
    site.must("hedui-matcher", "hedui", &["run"], &[0]);
    // Those whose identity is open, and forty matches that somebody contests.
    say(&site, "minzheng", &["results"]);
    let matches = fs::read_to_string(site.root.join("results/matches.csv")).expect("matches");
    let matched = matches
        .lines()
        .filter(|line| line.contains(",jidongche,") && line.contains(",match,"));
    let mut ask = vec!["ask", "--reviews", "--conflicts"];
    for line in matched.take(40) {
        ask.extend(["--handle", line.split(',').nth(2).expect("handle")]);
    }
    let asked = say(&site, "minzheng", &ask);
    let count = asked["asked"]["jidongche"].as_u64().expect("asked");
    assert!(count > 45, "{asked}");
    let first = answered(&site);
    assert_eq!(first.len() as u64, count);
    // Independently: the lines of the file behind a handle, with the number, owner and date that stand in them.
    let places = handles(&site);
    let mut file = csv::Reader::from_path(site.root.join("county/车辆.csv")).expect("file");
    let head = file.headers().expect("heads").clone();
    let at = |name: &str| head.iter().position(|cell| cell == name).expect("column");
    let (number, owner, since) = (at("序号"), at("所有人"), at("初次登记日期"));
    let lines: Vec<csv::StringRecord> = file.records().map(|row| row.expect("row")).collect();
    let line = |row: &str| &lines[row.parse::<usize>().expect("row") - 2];
    let (mut touched, mut named) = (Vec::new(), 0);
    for (handle, (facts, name)) in &first {
        let own: Vec<&csv::StringRecord> = places[handle].split(' ').map(line).collect();
        let mut expected: Vec<String> = own
            .iter()
            .map(|row| row[since].chars().filter(char::is_ascii_digit).collect())
            .filter(|day: &String| day.len() == 8)
            .collect();
        let mut dates: Vec<String> = facts.iter().flatten().filter_map(date).collect();
        for list in [&mut dates, &mut expected] {
            list.sort();
            list.dedup();
        }
        assert_eq!(dates, expected, "{handle}");
        let shown = name.as_deref().unwrap_or_default();
        named += usize::from(own.iter().all(|row| row[owner].contains(shown)));
        touched.extend(
            own.iter()
                .map(|row| row[number].parse::<u64>().expect("number")),
        );
    }
    // Some owners are written in other characters than their normal forms have.
    assert!(named * 10 > first.len() * 8, "{named} of {}", first.len());
    let rules = ["results", "--rules", "county-rules.toml"];
    let with = say(&site, "minzheng", &rules);
    assert_eq!(with["disclosure"]["disclosed"], count);
    // Facts turn what might be a clue into one that must be looked into, or into nothing: review items become fewer.
    let asked = fs::read_dir(site.home("minzheng").join("state"))
        .expect("state")
        .flatten();
    let asked = asked.map(|entry| entry.path()).find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("asked-"))
    });
    let (asked, aside) = (asked.expect("record"), site.root.join("aside.json"));
    fs::rename(&asked, &aside).expect("moved");
    let without = say(&site, "minzheng", &rules);
    fs::rename(&aside, &asked).expect("moved back");
    let items = |said: &Value| said["review_items"].as_u64().expect("items");
    assert!(items(&with) <= items(&without));
    assert_eq!(
        with["clues"], without["clues"],
        "an answer alone decides nobody's identity"
    );

    // All their vehicles change; the same questions again.
    register.scrap(&touched, "1999-01-01");
    let changes = register.write_changes(&site, 1);
    deliver(&site, "gongan", &register.mapping, &["--changes", &changes]);
    site.must("hedui-matcher", "hedui", &["run"], &[0]);
    let stale = say(&site, "minzheng", &rules);
    assert!(items(&stale) >= items(&with), "old facts still count");
    let again = say(&site, "minzheng", &ask);
    assert_eq!(again["asked"]["jidongche"], count);
    let second = answered(&site);
    assert_eq!(second.len(), first.len());
    for (facts, _) in second.values() {
        let dates: Vec<String> = facts.iter().flatten().filter_map(date).collect();
        assert!(
            !dates.is_empty() && dates.iter().all(|day| day == "19990101"),
            "{dates:?}"
        );
    }
    // Scrapped vehicles are no clue: what was open for want of facts is dismissed by them, and by nothing else.
    let dismissed = say(&site, "minzheng", &rules);
    assert!(items(&stale) > 0, "{stale}");
    assert_eq!(items(&dismissed), 0, "{dismissed}");
}

fn date(value: &FactValue) -> Option<String> {
    match value {
        FactValue::Date(day) => Some(day.to_string()),
        _ => None,
    }
}

/// Rows of the file by handle.
fn handles(site: &Site) -> BTreeMap<String, String> {
    let args = ["handles", "--dataset", "jidongche", "--out", "handles.csv"];
    site.must("hedui-agent", "gongan", &args, &[0]);
    let text = fs::read_to_string(site.root.join("handles.csv")).expect("map");
    let lines = text.lines().skip(1);
    let cells = lines.map(|line| line.split(',').collect::<Vec<_>>());
    cells
        .map(|cells| (cells[0].to_owned(), cells[1].to_owned()))
        .collect()
}
