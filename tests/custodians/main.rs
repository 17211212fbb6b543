//! Custodians through the real binaries: any one may be gone; every forgery, replay and excess is refused with a
//! message and an exit code of its own before a token exists; a share survives on paper and dies on command.
//! In: a small site with three custodians. Out: passes, or what was not noticed.
//! Invariant under test: SPEC.md, "OPRF lock", "Custodians".

mod custody;
mod forgery;
mod site;

use std::fs;

use hedui_protocol::label::Label;
use hedui_protocol::primitive::{hex, labelled_sha256};
use hedui_tests::county::people::number;
use hedui_tests::county_run::files_below;
use hedui_tests::run::{Done, Site};
use site::{answer, deliver, open_site, sealed};

/// A refusal: its exit code, words that name what happened, advice, no panic.
fn refused(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{}\n{}", done.stdout, done.stderr);
    for word in words {
        assert!(
            done.stderr.contains(word),
            "`{word}` is not in: {}",
            done.stderr
        );
    }
    assert!(done.stderr.contains("what to do"), "{}", done.stderr);
    assert!(!done.stderr.contains("internal error"), "{}", done.stderr);
}

/// Token files of a party.
fn tokens(site: &Site, party: &str) -> usize {
    files_below(&site.home(party))
        .iter()
        .filter(|path| path.to_string_lossy().contains("/tokens-"))
        .count()
}

/// With each custodian silent in turn, the other two are enough, and the result is the same.
#[test]
fn two_of_three_are_enough_whichever_is_gone() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    // The roll asks the first two; the second is down.
    deliver(&site, "office", "prepare", "roll", &[], &[0]);
    answer(&site, "c1", &[0]);
    let waiting = deliver(&site, "office", "finish", "roll", &[], &[75]);
    refused(&waiting, 75, &["c2", "prepare"]);
    let before = sealed(&site, "eval-request-roll").len();
    deliver(
        &site,
        "office",
        "prepare",
        "roll",
        &["--custodian", "c3"],
        &[0],
    );
    assert_eq!(sealed(&site, "eval-request-roll").len(), before + 1);
    answer(&site, "c3", &[0]);
    deliver(&site, "office", "finish", "roll", &[], &[0]);
    // The register asks the last two.
    let named = ["--custodian", "c2", "--custodian", "c3"];
    deliver(&site, "police", "prepare", "police", &named, &[0]);
    answer(&site, "c2", &[0]);
    answer(&site, "c3", &[0]);
    deliver(&site, "police", "finish", "police", &[], &[0]);
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site.must("hedui-agent", "office", &["results"], &[0]);
    let matches = fs::read_to_string(site.root.join("results/matches.csv")).expect("matches");
    assert_eq!(matches.matches(",match,").count(), 2, "{matches}");

    // A second delivery of the same values asks nobody, and one new person only itself.
    let again = deliver(&site, "police", "submit", "police", &[], &[0]);
    assert!(!again.stdout.contains("asking"), "{}", again.stdout);
    let mut register = fs::read_to_string(site.root.join("police.csv")).expect("register");
    register += "赵敏,420525197003030024,女,1970-03-03\n";
    fs::write(site.root.join("police.csv"), register).expect("register");
    let delta = deliver(&site, "police", "submit", "police", &[], &[75]);
    assert!(delta.stdout.contains(" 3 个新取值"), "{}", delta.stdout);
}

/// A repeated request gives the same answer and is charged once; the log is a chain.
#[test]
fn a_replayed_request_is_charged_once_and_the_log_cannot_be_changed() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    let first = sealed(&site, "eval-answer").remove(0);
    let bytes = fs::read(&first).expect("answer");
    fs::remove_file(&first).expect("removed");
    let again = answer(&site, "c1", &[0]);
    assert!(
        again.stdout.contains("not charged again"),
        "{}",
        again.stdout
    );
    assert!(
        fs::read(&first).expect("answer") == bytes,
        "the same answer"
    );
    let log = site.must("hedui-keys", "c1", &["custodian", "log", "--json"], &[0]);
    assert_eq!(
        log.stdout.matches("\"what\":\"request\"").count(),
        1,
        "{}",
        log.stdout
    );

    let path = files_below(&site.home("c1"))
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(".jsonl"))
        .expect("the log");
    let text = fs::read_to_string(&path).expect("log");
    let refuses = |text: &str, words: &str| {
        fs::write(&path, text).expect("changed");
        let done = site.run("hedui-keys", "c1", &["custodian", "answer"]);
        refused(&done, 2, &[words]);
    };
    assert!(text.lines().count() >= 2);
    // The last line has nobody after it to tell, but its own code; the first breaks the chain as well.
    refuses(&text.replace("4096", "1"), "line 2 was changed");
    refuses(&text.replacen("made", "kept", 1), "line 2 was changed");
    // A line that somebody without the custodian's key adds, rightly chained: a request that would cost nothing.
    let last = text.lines().last().expect("a line");
    let mut entry: serde_json::Value = serde_json::from_str(last).expect("JSON");
    entry["n"] = 3.into();
    entry["request"] = "00".repeat(16).into();
    let previous = labelled_sha256(Label::CustodianLog, &[last.as_bytes()]);
    entry["previous"] = hex(&previous).into();
    refuses(&format!("{text}{entry}\n"), "line 3 was changed");
    // An editor that leaves the last line without its end takes nothing away.
    fs::write(&path, text.trim_end()).expect("edited");
    let done = answer(&site, "c1", &[0]);
    assert!(done.stdout.contains("no requests"), "{}", done.stdout);
    fs::write(&path, &text).expect("restored");
    // A line cut off by a crash was never answered: it is dropped and the rest goes on.
    fs::write(&path, format!("{text}{{\"n\":3,\"ti")).expect("cut");
    answer(&site, "c1", &[0]);
}

#[test]
fn more_than_the_quota_is_refused_and_nothing_is_evaluated() {
    let folder = tempfile::tempdir().expect("folder");
    let edit = ("evaluations_max = 0", "evaluations_max = 4096");
    let site = open_site(folder.path(), &[edit]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    fs::write(
        site.root.join("police.csv"),
        "姓名,身份证号,性别,出生日期\n孙立,,男,1990-01-02\n",
    )
    .expect("register");
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    let requests: Vec<_> = sealed(&site, "eval-request-police")
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("-to-c1-"))
        .collect();
    let newest = requests
        .last()
        .expect("request")
        .to_string_lossy()
        .into_owned();
    let answers = sealed(&site, "eval-answer").len();
    let done = site.run("hedui-keys", "c1", &["custodian", "answer", &newest]);
    refused(&done, 26, &["4096 evaluations", "0 are left", "police"]);
    assert_eq!(sealed(&site, "eval-answer").len(), answers);
}

/// The record of the epoch's key: unsigned, contradicted, incomplete, and exchanged later.
#[test]
fn a_substituted_epoch_key_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    let records: Vec<_> = files_below(&site.exchange())
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(".record"))
        .collect();
    assert_eq!(records.len(), 3);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    let good = fs::read_to_string(&records[0]).expect("record");
    let finish = |code: i32, words: &[&str]| {
        let done = deliver(&site, "police", "finish", "police", &[], &[code]);
        refused(&done, code, words);
        assert_eq!(tokens(&site, "police"), 0, "a token exists");
    };
    let group = good
        .lines()
        .find(|line| line.starts_with("group "))
        .expect("group");
    let share = good
        .lines()
        .find(|line| line.starts_with("share 1 "))
        .expect("share");
    let other = share.rsplit(' ').next().expect("element");
    fs::write(&records[0], good.replace(group, &format!("group {other}"))).expect("changed");
    finish(23, &["signature", "not confirmed by c1"]);
    // A text that nobody signed proves nothing and accuses nobody.
    let unsigned = good.split("signature ").next().expect("the record");
    fs::write(
        &records[0],
        unsigned.replace(group, &format!("group {other}")),
    )
    .expect("changed");
    finish(23, &["nobody has signed it", "not confirmed by c1"]);
    fs::remove_file(&records[0]).expect("removed");
    finish(23, &["not confirmed by c1"]);
    fs::write(
        &records[0],
        good.replace("threshold 2 of 3", "threshold 02 of 3"),
    )
    .expect("changed");
    finish(23, &["canonical", "not confirmed by c1"]);
    fs::write(&records[0], &good).expect("restored");
    forgery::lone_record(&site, &records[0], "c1");
    finish(10, &["signed different keys"]);
    fs::write(&records[0], &good).expect("restored");
    deliver(&site, "office", "submit", "roll", &[], &[75]);
    deliver(&site, "police", "finish", "police", &[], &[0]);
    assert!(tokens(&site, "police") > 0);
    // Later, with the key kept, another record is noticed even if its maker signed it.
    forgery::lone_record(&site, &records[0], "c1");
    fs::write(
        site.root.join("police.csv"),
        "姓名,身份证号,性别,出生日期\n孙立,,男,1990-01-02\n",
    )
    .expect("register");
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    let done = deliver(&site, "police", "finish", "police", &[], &[25]);
    refused(&done, 25, &["another key"]);
    // Garbage in its place is passed over: the key is kept.
    fs::write(&records[0], "not a record").expect("changed");
    let done = deliver(&site, "police", "finish", "police", &[], &[0]);
    assert!(done.stderr.contains("epoch record"), "{}", done.stderr);
}

/// Chunks of an answer in another order: named as such, and where the last chunk is wrong no token of the others is kept.
#[test]
fn chunks_out_of_order_are_named() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    let mut register = "姓名,身份证号,性别,出生日期\n".to_owned();
    for n in 0..6000 {
        let birth = (1950 + n % 50) * 10_000 + (1 + n % 9) * 100 + 1 + n % 28;
        let id = number(420_525, birth, 1 + n / 50);
        let name = char::from_u32(0x4e00 + n).expect("Han");
        register += &format!("王{name}{name},{id},,{birth}\n");
    }
    fs::write(site.root.join("police.csv"), register).expect("register");
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    for (words, forged) in forgery::chunks(&site, "police", "c1") {
        forged();
        let done = deliver(&site, "police", "finish", "police", &[], &[25]);
        refused(&done, 25, &["c1", words]);
        assert_eq!(tokens(&site, "police"), 0, "a token exists");
    }
    forgery::restore(&site, "c1");
    deliver(&site, "office", "submit", "roll", &[], &[75]);
    deliver(&site, "police", "finish", "police", &[], &[0]);
}

/// Numbers with one slip through custodians: every variant of a person's number is evaluated and charged, and who is found
/// is found by token. Without the option the same files match nobody by number.
#[test]
fn numbers_with_one_slip_are_found_through_custodians() {
    const SLIPS: &str = "姓名,身份证号\n张伟,422725196408150314\n李秀英,420525195501010027\n王芳,420525198001010040\n";
    for (options, expected) in [(&["--allow-id-errors"][..], 2), (&[], 1)] {
        let folder = tempfile::tempdir().expect("folder");
        let site = site::site_with(folder.path(), options);
        fs::write(site.root.join("police.csv"), SLIPS).expect("register");
        let estimate = ["--estimate", "--json"];
        let said = deliver(&site, "office", "prepare", "roll", &estimate, &[0]).stdout;
        let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        let values = said["values"].as_u64().expect("number");
        assert_eq!(
            values > 300,
            !options.is_empty(),
            "{values} values for two persons"
        );
        for (party, dataset) in [("office", "roll"), ("police", "police")] {
            deliver(&site, party, "prepare", dataset, &[], &[0, 1]);
        }
        for custodian in ["c1", "c2"] {
            answer(&site, custodian, &[0]);
        }
        for (party, dataset) in [("office", "roll"), ("police", "police")] {
            deliver(&site, party, "finish", dataset, &[], &[0, 1]);
        }
        site.must("hedui-matcher", "centre", &["run"], &[0]);
        site.must("hedui-agent", "office", &["results"], &[0]);
        let matches = fs::read_to_string(site.root.join("results/matches.csv")).expect("matches");
        let decided = matches
            .lines()
            .filter(|line| line.contains(",match,"))
            .count();
        assert_eq!(decided, expected, "{matches}");
    }
}

/// `--estimate` says what it would cost and leaves everything as it is: before anything is asked, with every token here, and
/// where there are no custodians.
#[test]
fn an_estimate_sends_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    let estimate = |dataset: &str, party: &str, words: &str| {
        let before = files_below(&site.exchange());
        let done = deliver(&site, party, "submit", dataset, &["--estimate"], &[0]);
        assert!(done.stdout.contains(words), "{}", done.stdout);
        assert!(
            before == files_below(&site.exchange()),
            "something was sent"
        );
    };
    let said = deliver(
        &site,
        "office",
        "submit",
        "roll",
        &["--estimate", "--json"],
        &[0],
    );
    let said: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON object");
    assert_eq!(said["values"], 6);
    estimate("roll", "office", "to be evaluated: 6 个取值");
    estimate("police", "police", "to be evaluated: 9 个取值");
    site::whole_run(&site);
    estimate("roll", "office", "to be evaluated: 0 个取值");
    estimate("police", "police", "to be evaluated: 0 个取值");
}

/// A custodian that signs whatever it likes: each wrong answer is named before a token exists.
#[test]
fn wrong_answers_are_named_before_a_token_exists() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    for (forged, code, words) in forgery::answers(&site, "police", "c1") {
        let done = deliver(&site, "police", "finish", "police", &[], &[code]);
        refused(&done, code, &[&forged, words]);
        assert_eq!(tokens(&site, "police"), 0, "a token exists");
    }
    forgery::restore(&site, "c1");
    // A copy that does not verify, and comes first by name, does not stand before the true answer.
    let good = sealed(&site, "eval-answer")
        .into_iter()
        .find(|p| p.to_string_lossy().contains("-c1-to-"));
    let good = good.expect("the true answer");
    let mut copy = fs::read(&good).expect("answer");
    let last = copy.len() - 1;
    copy[last] ^= 1;
    fs::write(site.exchange().join("a-copy.hedui"), copy).expect("written");
    deliver(&site, "office", "submit", "roll", &[], &[75]);
    deliver(&site, "police", "finish", "police", &[], &[0]);
}

/// A custodian that answers wrongly is like one that is silent: another is asked, and the two right answers do.
#[test]
fn a_wrong_answer_does_not_stand_before_two_right_ones() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    let (forged, code, words) = forgery::answers(&site, "police", "c1")
        .next()
        .expect("a forgery");
    let done = deliver(&site, "police", "finish", "police", &[], &[code]);
    refused(&done, code, &[&forged, words]);
    let other = ["--custodian", "c3"];
    deliver(&site, "police", "prepare", "police", &other, &[0]);
    answer(&site, "c3", &[0]);
    let log = |party: &str| {
        let args = ["custodian", "log"];
        site.must("hedui-keys", party, &args, &[0]).stdout
    };
    let before = log("c2");
    // The kit of the register comes with the roll.
    deliver(&site, "office", "submit", "roll", &[], &[75]);
    let done = deliver(&site, "police", "finish", "police", &[], &[0]);
    assert!(
        done.stderr.contains(words),
        "the wrong answer is named\n{}",
        done.stderr
    );
    assert!(tokens(&site, "police") > 0);
    assert_eq!(log("c2"), before, "nobody is charged again");
}

/// What custodians have answered is not thrown away because a row was added before it was taken.
#[test]
fn answers_that_are_paid_for_serve_a_changed_file() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    let mut register = fs::read_to_string(site.root.join("police.csv")).expect("register");
    register += "赵敏,420525197003030024,女,1970-03-03\n";
    fs::write(site.root.join("police.csv"), register).expect("register");
    let again = deliver(&site, "police", "prepare", "police", &[], &[0]);
    assert!(again.stdout.contains(" 3 个新取值"), "{}", again.stdout);
    assert!(tokens(&site, "police") > 0, "the first answers are kept");
}

/// A file that changed while answers are outstanding does not throw away what may be counted already; only on request.
#[test]
fn an_outstanding_request_is_waited_for() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    let requests = sealed(&site, "eval-request-police").len();
    let register = fs::read_to_string(site.root.join("police.csv")).expect("register");
    let more = format!("{register}赵敏,420525197003030024,女,1970-03-03\n");
    fs::write(site.root.join("police.csv"), more).expect("register");
    let done = deliver(&site, "police", "prepare", "police", &[], &[75]);
    refused(&done, 75, &["earlier request", "--anew"]);
    assert_eq!(sealed(&site, "eval-request-police").len(), requests);
    answer(&site, "c2", &[0]);
    let done = deliver(&site, "police", "prepare", "police", &[], &[0]);
    assert!(done.stdout.contains(" 3 个新取值"), "{}", done.stdout);
    // The second request is dropped: a third one asks for the values of the file as it is now.
    let again = format!("{register}钱强,420525197102020018,男,1971-02-02\n");
    fs::write(site.root.join("police.csv"), again).expect("register");
    deliver(&site, "police", "prepare", "police", &["--anew"], &[0]);
    answer(&site, "c1", &[0]);
    answer(&site, "c2", &[0]);
    deliver(&site, "office", "submit", "roll", &[], &[75]);
    deliver(&site, "police", "finish", "police", &[], &[0]);
}

/// Requests that a custodian must not answer.
#[test]
fn requests_that_do_not_belong_here_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    let request = sealed(&site, "eval-request-police").remove(0);
    let path = request.to_string_lossy().into_owned();
    let other = site.run("hedui-keys", "c2", &["custodian", "answer", &path]);
    refused(&other, 14, &["c1"]);
    let mut bytes = fs::read(&request).expect("request");
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&request, bytes).expect("changed");
    let changed = site.run("hedui-keys", "c1", &["custodian", "answer", &path]);
    refused(&changed, 20, &["signature"]);
    for (code, words) in forgery::requests(&site, "police", "c1", &request) {
        let done = site.run("hedui-keys", "c1", &["custodian", "answer", &path]);
        refused(&done, code, &[words]);
        assert!(sealed(&site, "eval-answer").is_empty());
    }
    let nobody = site.run("hedui-keys", "police", &["custodian", "answer", &path]);
    refused(&nobody, 2, &["no custodian"]);
}

/// A padding record is in every table in which a person is: the matcher cannot count persons by intersecting.
#[test]
fn padding_stands_in_every_table_like_a_person() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    site::whole_run(&site);
    for kind in ["submission-roll-for-police", "submission-police"] {
        let path = sealed(&site, kind).remove(0);
        let tables = forgery::handles_by_table(&site, &path, "centre");
        let presence = &tables["presence"];
        assert_eq!(presence.len(), 4096);
        let mut payloads = std::collections::BTreeSet::new();
        for (name, handles) in &tables {
            if name.starts_with("tag-") {
                assert!(handles == presence, "{kind} {name}");
            }
            if name.starts_with("payload-") {
                assert!(payloads.is_disjoint(handles), "{kind} {name}");
                payloads.extend(handles.iter().copied());
            }
        }
        assert!(
            kind.contains("roll") || payloads == *presence,
            "{kind}: payloads"
        );
    }
}

/// A matcher that drops matches, holds back facts or claims what the keys do not say is noticed by the roll owner.
#[test]
fn a_dishonest_matcher_is_noticed() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    site::whole_run(&site);
    let path = sealed(&site, "result-").remove(0);
    let good = fs::read(&path).expect("result");
    let done = site.must("hedui-agent", "office", &["results"], &[0]);
    assert!(!done.stderr.contains("alarm"), "{}", done.stderr);
    let mut count = 0;
    for words in forgery::results(&site, &path) {
        let done = site.run("hedui-agent", "office", &["results"]);
        refused(&done, 1, &[words]);
        count += 1;
    }
    assert_eq!(count, 8);
    fs::write(&path, good).expect("restored");
    site.must("hedui-agent", "office", &["results"], &[0]);
}
