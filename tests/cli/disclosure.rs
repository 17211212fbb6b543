//! The disclosure round, on a few rows. In: a roll, a register, questions, filled-in lists, forged answers. Out: passes, or what was laid
//! open without a decision, counted twice, or shown to whom it does not belong. Invariant under test: nothing is laid open that nobody
//! decided, as it is now; bounds hold; the same list makes the same bytes.
//! Specification: protocol/SPEC.md, "Disclosure".

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use hedui_protocol::envelope;
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::ids::RequestId;
use hedui_protocol::log::checkpoint::Checkpoint;
use hedui_protocol::message::disclosure::{Answer, Answered, Question, Reason, Request, Word};
use hedui_protocol::message::{manifest_bytes, parse_small_body};
use hedui_tests::opened::{agreement, identity, open};
use hedui_tests::parties::name;
use hedui_tests::questions::{fill, rows};
use hedui_tests::run::Site;
use serde_json::Value;

use super::audit::report;
use super::{assert_refused, sealed, site_with};

pub(super) const ROWS: &str = "姓名;身份证号;出生日期\n张伟;422725196408150014;1964-08-15\n李秀英;;1964-08-15\n赵六;420525200101011235;2001-01-01\n\
    王芳;;1949-12-31\n";

pub(super) fn json(site: &Site, party: &str, args: &[&str], codes: &[i32]) -> Value {
    let args = [args, &["--json"]].concat();
    let done = site.must("hedui-agent", party, &args, codes);
    serde_json::from_str(&done.stdout).expect("one JSON object")
}

pub(super) fn deliver(site: &Site, rows: &str) {
    fs::write(site.root.join("register.csv"), rows).expect("register");
    let args = ["submit", "register.csv", "--dataset", "police"];
    site.must("hedui-agent", "police", &args, &[0]);
}

pub(super) fn round(folder: &Path, options: &[&str]) -> Site {
    let site = site_with(folder, options);
    let args = ["submit", "roll.csv", "--dataset", "roll"];
    site.must("hedui-agent", "office", &args, &[0]);
    deliver(&site, ROWS);
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site
}

/// Lists the questions anew and fills in answer and remark by the name that the content shows.
fn fill_in(site: &Site, answers: &[(&str, &str, &str)]) -> usize {
    let list = site.root.join("questions.xlsx");
    let _ = fs::remove_file(&list);
    json(site, "police", &["questions", "--all"], &[0]);
    fill(&list, &site.root.join("filled.csv"), |row| {
        let known = answers
            .iter()
            .find(|(name, ..)| row.content.contains(name))?;
        Some((known.1.to_owned(), known.2.to_owned()))
    })
}

/// Requests without an answer, as a reviewer counts them.
fn undecided(site: &Site) -> Value {
    let (_, said) = report(site, &site.exchange(), &[]);
    said["disclosure_requests_open"].clone()
}

fn figures(said: &Value) -> Vec<u64> {
    ["asked", "disclosed", "declined", "unknown", "open"]
        .map(|name| said["disclosure"][name].as_u64().expect(name))
        .to_vec()
}

#[test]
fn a_record_is_laid_open_by_decision_and_within_bounds_only() {
    let folder = tempfile::tempdir().expect("folder");
    let site = round(folder.path(), &["--disclosure", "2"]);
    assert_eq!(json(&site, "office", &["results"], &[0])["reviews"], 2);
    let nobody = "00000000000000000000000000000000";
    for (party, args, code) in [
        ("office", vec!["ask"], 64),
        ("office", vec!["ask", "--handle", "xyz"], 64),
        ("office", vec!["ask", "--handle", nobody], 64),
        (
            "office",
            vec!["ask", "--reviews", "--register", "polise"],
            64,
        ),
        ("office", vec!["ask", "--conflicts"], 75),
        ("police", vec!["ask", "--reviews"], 2),
        ("office", vec!["questions"], 2),
        ("police", vec!["questions"], 75),
        ("police", vec!["questions", "--out", "list.csv"], 64),
    ] {
        let refused = site.run("hedui-agent", party, &args);
        assert_refused(&refused, &[code], &args.join(" "));
    }
    // A look beforehand sends nothing.
    let listed = json(&site, "office", &["ask", "--reviews", "--list"], &[0]);
    assert_eq!(listed["would_ask"], 2);
    assert!(sealed(&site, "disclosure-request").is_empty());
    assert_eq!(
        json(&site, "office", &["ask", "--reviews"], &[0])["asked"]["police"],
        2
    );
    let again = json(&site, "office", &["ask", "--reviews"], &[0]);
    assert_eq!(again["asked_before"], 2);
    assert_eq!(sealed(&site, "disclosure-request").len(), 1, "asked once");
    let said = json(&site, "office", &["results"], &[0]);
    assert_eq!(figures(&said), [2, 0, 0, 0, 2]);
    assert_eq!(undecided(&site), serde_json::json!({"police": 1}));

    // The list shows own records, no identity number, nothing of the roll; what it decides not, is not decided.
    let listed = json(&site, "police", &["questions"], &[0]);
    assert_eq!(
        (&listed["open"], &listed["unknown"]),
        (&Value::from(2), &Value::from(0))
    );
    let shown = rows(&site.root.join("questions.xlsx"));
    assert!(
        shown
            .iter()
            .all(|row| !row.content.contains("4227") && row.before.is_empty())
    );
    let untouched = site.run("hedui-agent", "police", &["answer", "questions.xlsx"]);
    assert_refused(&untouched, &[75], "an untouched list");
    for (answer, note) in [
        ("不提供", ""),
        ("同意", ""),
        ("提供", "号码 422725196408150014"),
    ] {
        assert_eq!(
            fill_in(&site, &[("李秀英", "提供", ""), ("王芳", answer, note)]),
            2
        );
        let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
        assert_refused(&refused, &[2], answer);
        assert!(refused.stderr.contains("第3行"), "{}", refused.stderr);
    }
    assert!(sealed(&site, "disclosure-answer").is_empty());
    fill_in(
        &site,
        &[
            ("李秀英", "提供", "已与本人核对"),
            ("王芳", "不提供", "=本人不同意"),
        ],
    );
    let said = json(&site, "police", &["answer", "filled.csv"], &[0]);
    assert_eq!(undecided(&site), serde_json::json!({}));
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
    assert_eq!(figures(&said), [2, 1, 1, 0, 0]);
    let list = fs::read_to_string(site.root.join("results/disclosed.csv")).expect("list");
    assert!(
        list.contains("姓名：名册 李秀英，部门 李秀英（一致）"),
        "{list}"
    );
    assert!(
        list.contains("出生日期：名册 1964-08-15，部门 1964-08-15（一致）"),
        "{list}"
    );
    assert!(
        list.contains(",不提供,2026-01-02,是,,,'=本人不同意,"),
        "{list}"
    );
    // An answer that was seen is not gone back on.
    fs::rename(&answer, site.root.join("held-back")).expect("held back");
    let said = json(&site, "office", &["results"], &[0]);
    assert_eq!(figures(&said), [2, 0, 0, 0, 2]);
    fs::rename(site.root.join("held-back"), &answer).expect("given back");
    assert_eq!(
        figures(&json(&site, "office", &["results"], &[0])),
        [2, 1, 1, 0, 0]
    );
    // Asked once more it is another question, and what was declined may be answered otherwise.
    json(&site, "office", &["ask", "--reviews", "--again"], &[0]);
    assert_eq!(sealed(&site, "disclosure-request").len(), 2);
    assert_eq!(
        json(
            &site,
            "police",
            &["questions", "--out", "second.xlsx"],
            &[0]
        )["open"],
        2
    );
    fill_in(&site, &[("王芳", "提供", "")]);
    json(&site, "police", &["answer", "filled.csv"], &[0]);
    assert_eq!(
        figures(&json(&site, "office", &["results"], &[0])),
        [2, 2, 0, 0, 0]
    );
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

/// A list is about what it showed: other data, another question or a changed row is refused.
#[test]
fn a_decision_holds_for_what_was_shown() {
    let folder = tempfile::tempdir().expect("folder");
    let site = round(folder.path(), &["--disclosure", "5"]);
    site.must("hedui-agent", "office", &["ask", "--reviews"], &[0]);
    assert_eq!(
        fill_in(&site, &[("李秀英", "提供", ""), ("王芳", "提供", "")]),
        2
    );
    let good = fs::read_to_string(site.root.join("filled.csv")).expect("list");
    // The list itself is not written over while something is filled in that was not sent.
    fs::copy(
        site.root.join("filled.csv"),
        site.root.join("questions.xlsx"),
    )
    .expect("copied");
    let refused = site.run("hedui-agent", "police", &["questions"]);
    assert_refused(&refused, &[2], "entries that were not sent");
    // One character of a number or of a check code.
    for at in [good.len() - 3, good.len() - 25] {
        let mut bad = good.clone().into_bytes();
        bad[at] = if bad[at] == b'a' { b'b' } else { b'a' };
        fs::write(site.root.join("filled.csv"), bad).expect("list");
        let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
        assert_refused(&refused, &[2], "a changed row");
    }
    // Delivered again: the same person is the same record, and its decision was about other data.
    deliver(
        &site,
        &ROWS.replace("赵六;420525200101011235;2001-01-01\n", ""),
    );
    fs::write(site.root.join("filled.csv"), &good).expect("list");
    let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
    assert_refused(&refused, &[2], "other data");
    assert!(
        sealed(&site, "disclosure-answer").is_empty(),
        "nothing was sent"
    );
    fill_in(&site, &[("李秀英", "提供", ""), ("王芳", "提供", "")]);
    site.must("hedui-agent", "police", &["answer", "filled.csv"], &[0]);
    // What was answered stays answered when the record goes.
    deliver(
        &site,
        "姓名;身份证号;出生日期\n张伟;422725196408150014;1964-08-15\n",
    );
    let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
    assert_refused(&refused, &[75, 2], "nothing is left to answer");
    assert_eq!(
        figures(&json(&site, "office", &["results"], &[0, 1])),
        [2, 2, 0, 0, 0]
    );
}

/// Seals a message as its sender would who goes his own ways.
pub(super) fn forge(
    site: &Site,
    (kind, from, to): (MessageType, &str, &str),
    (seq, reply, log): (u64, Option<RequestId>, Option<Checkpoint>),
    body: &[u8],
) -> PathBuf {
    let (sender, agreement) = (identity(site, from), agreement(site));
    let card = agreement.card(&name(to)).expect("a party").clone();
    let header = Header {
        kind,
        agreement: agreement.digest(),
        epoch: agreement.epoch(),
        from: (name(from), sender.card().key_id()),
        to: (name(to), card.key_id()),
        seq,
        request: RequestId([u8::try_from(seq % 251).expect("small"); 16]),
        in_reply_to: reply,
        created: "2026-01-02T12:00:00Z".to_owned(),
        body_bytes: body.len() as u64,
        log,
    };
    let path = site.exchange().join(format!("forged-{from}-{seq}.hedui"));
    let mut out = Vec::new();
    envelope::seal(&header, &sender, &card, &mut Cursor::new(body), &mut out).expect("sealed");
    fs::write(&path, out).expect("forged");
    path
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
    site.must("hedui-agent", "office", &["results"], &[0]);
    let matches = fs::read_to_string(site.root.join("results/matches.csv")).expect("matches");
    let handle = |outcome: &str| {
        let own = matches.lines().filter(|line| line.contains(outcome));
        let own: Vec<String> = own
            .map(|l| l.split(',').nth(2).expect("handle").to_owned())
            .collect();
        own
    };
    let (reviews, certain) = (handle(",review,"), handle(",match,"));
    assert_eq!((reviews.len(), certain.len()), (2, 1));
    // A roll owner that asks about more than agreed by other means: the department's own tool counts.
    let question = |handle: &String| Question {
        handle: handle.clone(),
        reason: Reason::Recheck,
        agree: vec![name("id")],
        differ: Vec::new(),
    };
    let request = Request {
        register: name("police"),
        snapshot: "any".to_owned(),
        round: 1,
        questions: reviews.iter().map(question).collect(),
    };
    let ask = (MessageType::DisclosureRequest, "office", "police");
    let forged = forge(
        &site,
        ask,
        (900, None, None),
        &manifest_bytes(&request).expect("JSON"),
    );
    assert_eq!(
        fill_in(&site, &[("李秀英", "提供", ""), ("王芳", "提供", "")]),
        2
    );
    let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
    assert_refused(&refused, &[12], "above the bound");
    assert!(
        sealed(&site, "disclosure-answer").is_empty(),
        "nothing was sent"
    );
    fill_in(&site, &[("李秀英", "提供", "")]);
    json(&site, "police", &["answer", "filled.csv"], &[0]);
    fill_in(&site, &[("王芳", "提供", "")]);
    let refused = site.run("hedui-agent", "police", &["answer", "filled.csv"]);
    assert_refused(&refused, &[12], "one was laid open before");
    // The roll's own tool did not ask this: the answer counts for nothing.
    assert_eq!(
        json(&site, "office", &["results"], &[0])["disclosure"]["asked"],
        0
    );
    fs::remove_file(&forged).expect("removed");
    for path in sealed(&site, "disclosure-answer") {
        fs::remove_file(path).expect("removed");
    }

    // Asked rightly; answers by others, to other questions, and about other registers count for nothing either.
    json(
        &site,
        "office",
        &["ask", "--handle", &certain[0], "--objection"],
        &[0],
    );
    let sent = sealed(&site, "disclosure-request").remove(0);
    let (header, body) = open(&site, &sent, "police");
    let asked: Request = parse_small_body("disclosure-request", &body).expect("request");
    assert_eq!(asked.questions[0].reason, Reason::Objection);
    let answer = |handle: &str, word: &str| {
        let handle = hedui_protocol::ids::Handle::from_hex(handle).expect("handle");
        let answer = Answer {
            register: name("police"),
            snapshot: asked.snapshot.clone(),
            answers: vec![Answered::without(handle, Word::Declined, word)],
        };
        manifest_bytes(&answer).expect("JSON")
    };
    let to_office = |from| (MessageType::DisclosureAnswer, from, "office");
    let reply = Some(header.request);
    let right = answer(&certain[0], "依规");
    let other = Some(RequestId([7; 16]));
    forge(&site, to_office("centre"), (901, reply, None), &right);
    forge(&site, to_office("police"), (902, other, None), &right);
    forge(
        &site,
        to_office("police"),
        (903, reply, None),
        &answer(&reviews[0], "依规"),
    );
    forge(
        &site,
        to_office("police"),
        (904, reply, None),
        b"\0\0\0\x02{}",
    );
    let said = json(&site, "office", &["results"], &[0]);
    assert_eq!(figures(&said), [1, 0, 0, 0, 1]);
    // The right one counts, and of two the later.
    forge(
        &site,
        to_office("police"),
        (906, reply, None),
        &answer(&certain[0], "后一次"),
    );
    forge(&site, to_office("police"), (905, reply, None), &right);
    assert_eq!(
        figures(&json(&site, "office", &["results"], &[0])),
        [1, 0, 1, 0, 0]
    );
    let list = fs::read_to_string(site.root.join("results/disclosed.csv")).expect("list");
    assert!(list.contains("后一次") && !list.contains("依规"), "{list}");
    // A register that was delivered again without the record: it is unknown, by itself.
    deliver(&site, "姓名;身份证号;出生日期\n李秀英;;1964-08-15\n");
    let listed = json(&site, "police", &["questions"], &[0]);
    assert_eq!(
        (&listed["open"], &listed["unknown"]),
        (&Value::from(0), &Value::from(1))
    );
    fs::write(
        site.root.join("filled.csv"),
        format!("{}\n", hedui_tests::questions::HEADS),
    )
    .expect("list");
    let said = json(&site, "police", &["answer", "filled.csv"], &[0]);
    assert_eq!(said["unknown"], 1);
    // The result is about the earlier data, and so is the answer that holds for it.
    assert_eq!(
        figures(&json(&site, "office", &["results"], &[0, 1])),
        [1, 0, 1, 0, 0]
    );
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
    assert_refused(&refused, &[64], "no terms for a named register");
    assert!(sealed(&site, "own-result").is_empty());
    fs::write(site.root.join("rules.toml"), "version = 1\n").expect("rules");
    let args = ["absent", "--dataset", "police", "--rules", "rules.toml"];
    let refused = site.run("hedui-agent", "police", &args);
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
