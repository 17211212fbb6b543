//! A share's life: ceremony, paper, loss, restoring, destruction, the next epoch. In: a small site with three custodians.
//! Out: passes, or what was not noticed. Invariant under test: an epoch has one key, one log and one ceremony; what is
//! destroyed stays destroyed. SPEC.md, "Key ceremony", "Custodians", "Share on paper".

use std::fs;

use hedui_tests::county_run::files_below;

use super::refused;
use super::site::{self, CUSTODIANS, answer, deliver, open_site, sealed};

#[test]
fn a_share_survives_on_paper_and_dies_on_command() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    site.must("hedui-keys", "c1", &["custodian", "backup", "paper"], &[0]);
    let share = files_below(&site.home("c1"))
        .into_iter()
        .find(|path| path.ends_with("share"))
        .expect("the sealed share");
    let sealed_share = fs::read(&share).expect("share");
    fs::remove_file(&share).expect("the disk died");
    let done = site.run("hedui-keys", "c1", &["custodian", "answer"]);
    refused(&done, 75, &["no share"]);
    let sheet = |n: u8| format!("paper/sheet-{n}.txt");
    let text = fs::read_to_string(site.root.join(sheet(1))).expect("sheet");
    assert!(
        !sealed_share
            .windows(8)
            .any(|w| text.as_bytes().windows(8).any(|t| t == w))
    );
    let line = text
        .lines()
        .find(|line| line.starts_with("2:"))
        .expect("line 2");
    let mut slip = line.to_owned();
    let other = if line.as_bytes()[4] == b'0' { "1" } else { "0" };
    slip.replace_range(4..5, other);
    let wrong = text.replace(line, &slip);
    fs::write(site.root.join("typed.txt"), wrong).expect("typed");
    let done = site.run(
        "hedui-keys",
        "c1",
        &["custodian", "restore", "typed.txt", &sheet(3)],
    );
    refused(&done, 2, &["sheet 1: line 2"]);
    let done = site.run("hedui-keys", "c1", &["custodian", "restore", &sheet(3)]);
    refused(&done, 2, &["2 sheets are needed"]);
    let done = site.run(
        "hedui-keys",
        "c2",
        &["custodian", "restore", &sheet(1), &sheet(3)],
    );
    refused(&done, 2, &["c1"]);
    site.must(
        "hedui-keys",
        "c1",
        &["custodian", "restore", &sheet(3), &sheet(1)],
        &[0],
    );
    answer(&site, "c1", &[0]);

    let name = site::epoch_name(&site);
    site.must(
        "hedui-keys",
        "c1",
        &["custodian", "destroy", "--confirm", &name],
        &[0],
    );
    assert!(!share.exists());
    let done = site.run("hedui-keys", "c1", &["custodian", "answer"]);
    refused(&done, 2, &["was destroyed"]);
    let log = site.must("hedui-keys", "c1", &["custodian", "log"], &[0]);
    for state in ["made", "backed up", "restored", "destroyed"] {
        assert!(
            log.stdout.contains(&format!("share {state}")),
            "{}",
            log.stdout
        );
    }
    let statement = files_below(&site.exchange())
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with("by-c1.statement"))
        .expect("the statement");
    assert!(
        fs::read_to_string(statement)
            .expect("text")
            .contains("signature c1 ")
    );
}

/// A custodian whose state is lost makes no second key under an epoch that has one, and gets no fresh quota; what was
/// destroyed stays destroyed, with a dealer too.
#[test]
fn an_epoch_has_one_ceremony_and_one_log() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[("dealer = \"\"", "dealer = \"c2\"")]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    answer(&site, "c1", &[0]);
    site.must("hedui-keys", "c1", &["custodian", "backup", "paper"], &[0]);
    let own = |name: &str| {
        files_below(&site.home("c1"))
            .into_iter()
            .find(|path| path.to_string_lossy().ends_with(name))
            .expect(name)
    };
    let (share, log, anchor) = (own("/share"), own(".jsonl"), own("log-anchor"));
    let ceremony = || site.run("hedui-keys", "c1", &["custodian", "ceremony"]);
    let records = || {
        sealed(&site, "epoch-")
            .iter()
            .map(|p| fs::read(p).expect("record"))
            .collect::<Vec<_>>()
    };
    let before = records();

    // The log alone, cut back or gone: nothing is answered.
    let text = fs::read_to_string(&log).expect("log");
    let first = text.split_inclusive('\n').next().expect("a line");
    fs::write(&log, first).expect("cut back");
    refused(
        &site.run("hedui-keys", "c1", &["custodian", "answer"]),
        2,
        &["1 lines, and had"],
    );
    fs::remove_file(&log).expect("gone");
    refused(
        &site.run("hedui-keys", "c1", &["custodian", "answer"]),
        2,
        &["0 lines, and had"],
    );
    // Log and seal gone together beside the share: no fresh quota, and a restoring that fails opens none.
    let sealed_anchor = fs::read(&anchor).expect("anchor");
    fs::remove_file(&anchor).expect("gone");
    let answers = || site.run("hedui-keys", "c1", &["custodian", "answer"]);
    refused(&answers(), 2, &["what was sealed about it is gone"]);
    let typo = [
        "custodian",
        "restore",
        "--without-log",
        "paper/sheet-1.txt",
        "police.csv",
    ];
    refused(&site.run("hedui-keys", "c1", &typo), 2, &["sheet 2"]);
    refused(&answers(), 2, &["what was sealed about it is gone"]);
    fs::write(&anchor, sealed_anchor).expect("put back");
    // The whole state gone: no second ceremony, and no share from paper without saying that the log is lost.
    fs::remove_file(&share).expect("gone");
    fs::remove_file(&anchor).expect("gone");
    refused(&ceremony(), 2, &["this epoch has its key", "restore"]);
    assert!(records() == before, "a record was changed");
    let sheets = ["paper/sheet-1.txt", "paper/sheet-2.txt"];
    let restore = |more: &[&str]| {
        let args = [&["custodian", "restore"], &sheets[..], more].concat();
        site.run("hedui-keys", "c1", &args)
    };
    refused(&restore(&[]), 2, &["log of this epoch", "--without-log"]);
    // Nor against a record that too few have signed.
    let others = sealed(&site, "epoch-");
    let kept: Vec<_> = others[1..]
        .iter()
        .map(|p| (p, fs::read(p).expect("record")))
        .collect();
    kept.iter()
        .for_each(|(path, _)| fs::remove_file(path).expect("removed"));
    refused(&restore(&["--without-log"]), 75, &["signed by 1"]);
    kept.iter()
        .for_each(|(path, bytes)| fs::write(path, bytes).expect("put back"));
    assert!(!log.exists(), "a command that failed began a log");
    assert_eq!(restore(&["--without-log"]).code, 0);
    let shown = site.must("hedui-keys", "c1", &["custodian", "log"], &[0]);
    assert!(
        shown.stdout.contains("restored without its log"),
        "{}",
        shown.stdout
    );
    answer(&site, "c1", &[0]);
    // A dealer that lost its state, and its own record, deals no second key: the others have theirs.
    for end in ["/share", "log-anchor", ".jsonl"] {
        let dealer = files_below(&site.home("c2"));
        let path = dealer
            .iter()
            .find(|path| path.to_string_lossy().ends_with(end));
        fs::remove_file(path.expect(end)).expect("gone");
    }
    let own_record = sealed(&site, "epoch-")
        .into_iter()
        .find(|p| p.to_string_lossy().ends_with("by-c2.record"));
    fs::remove_file(own_record.expect("record")).expect("gone");
    let done = site.run("hedui-keys", "c2", &["custodian", "ceremony"]);
    refused(&done, 2, &["this epoch has its key"]);

    let name = site::epoch_name(&site);
    let nobody = site.run(
        "hedui-keys",
        "police",
        &["custodian", "destroy", "--confirm", &name],
    );
    refused(&nobody, 2, &["no custodian"]);
    site.must(
        "hedui-keys",
        "c1",
        &["custodian", "destroy", "--confirm", &name],
        &[0],
    );
    refused(&ceremony(), 2, &["was destroyed"]);
    refused(&restore(&["--without-log"]), 2, &["was destroyed"]);
}

/// A share dies although its log is spoilt: the old log is kept, the new one says so, and nothing brings the share back.
/// Where a crash came between the log's line and the share's end, nothing is answered and the command ends it.
#[test]
fn a_share_dies_with_a_spoilt_log_and_after_a_crash() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    site.must("hedui-keys", "c2", &["custodian", "backup", "paper"], &[0]);
    let name = site::epoch_name(&site);
    for custodian in ["c1", "c2"] {
        let own = |end: &str| {
            files_below(&site.home(custodian))
                .into_iter()
                .find(|path| path.to_string_lossy().ends_with(end))
                .expect(end)
        };
        let (log, share) = (own(".jsonl"), own("/share"));
        let held = fs::read(&share).expect("share");
        if custodian == "c1" {
            fs::write(&log, "{\"not\": \"a line\"}\n").expect("spoilt");
        }
        let destroy = ["custodian", "destroy", "--confirm", &name];
        site.must("hedui-keys", custodian, &destroy, &[0]);
        let spoilt = log.with_extension("jsonl.spoilt-1").exists();
        assert_eq!(spoilt, custodian == "c1", "the spoilt log is kept");
        fs::write(&share, &held).expect("as if the crash had come before");
        let done = site.run("hedui-keys", custodian, &["custodian", "answer"]);
        refused(&done, 2, &["was destroyed"]);
        site.must("hedui-keys", custodian, &destroy, &[0]);
        assert!(!share.exists());
        let done = site.run("hedui-keys", custodian, &["custodian", "ceremony"]);
        refused(&done, 2, &["was destroyed"]);
        let log = site.must("hedui-keys", custodian, &["custodian", "log"], &[0]);
        assert_eq!(
            log.stdout.matches("share destroyed").count(),
            1,
            "{}",
            log.stdout
        );
    }
    // No log, whatever becomes of it, brings a destroyed share back.
    let log = files_below(&site.home("c2"))
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(".jsonl"))
        .expect("log");
    for spoil in [Some("spoilt"), None] {
        match spoil {
            Some(text) => fs::write(&log, text).expect("spoilt"),
            None => fs::remove_file(&log).expect("gone"),
        }
        let sheets = [
            "custodian",
            "restore",
            "--without-log",
            "paper/sheet-1.txt",
            "paper/sheet-2.txt",
        ];
        refused(
            &site.run("hedui-keys", "c2", &sheets),
            2,
            &["was destroyed"],
        );
    }
}

/// A copy of the log from elsewhere, on a new machine: with the head that was noted on paper it is the whole log, without
/// one the log says that nothing was compared, and an older copy is refused. A key of the same name is not the custodian's.
#[test]
fn a_new_machine_takes_the_log_that_ends_with_the_noted_head() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    site.must("hedui-keys", "c1", &["custodian", "backup", "paper"], &[0]);
    let full = site.run("hedui-keys", "c1", &["custodian", "backup", "paper"]);
    refused(&full, 2, &["is not empty"]);
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    let own = |end: &str| {
        files_below(&site.home("c1"))
            .into_iter()
            .find(|path| path.to_string_lossy().ends_with(end))
            .expect(end)
    };
    let old = fs::read(own(".jsonl")).expect("log");
    let done = answer(&site, "c1", &[0]);
    let head = done
        .stdout
        .trim()
        .rsplit(' ')
        .next()
        .expect("the head")
        .to_owned();
    let (log, share, anchor) = (own(".jsonl"), own("/share"), own("log-anchor"));
    let whole = fs::read(&log).expect("log");
    let lose = |copy: &[u8]| {
        for path in [&share, &anchor] {
            let _ = fs::remove_file(path);
        }
        fs::write(&log, copy).expect("a copy");
    };
    let restore = |more: &[&str]| {
        let sheets = [
            "custodian",
            "restore",
            "paper/sheet-1.txt",
            "paper/sheet-2.txt",
        ];
        site.run("hedui-keys", "c1", &[&sheets[..], more].concat())
    };
    lose(&old);
    refused(&restore(&["--log-head", &head]), 2, &["not the latest"]);
    let done = restore(&[]);
    assert!(
        done.code == 0 && done.stderr.contains("whether it is the latest"),
        "{}",
        done.stderr
    );
    let shown = site.must("hedui-keys", "c1", &["custodian", "log"], &[0]);
    assert!(
        shown.stdout.contains("compared with nothing"),
        "{}",
        shown.stdout
    );
    lose(&whole);
    let done = restore(&["--log-head", &head]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let shown = site.must("hedui-keys", "c1", &["custodian", "log"], &[0]);
    assert!(
        !shown.stdout.contains("compared with nothing"),
        "{}",
        shown.stdout
    );
    // What was sealed about the log is lost, the log is not: the head on paper says so, also one that is some lines old.
    let shown = site.must("hedui-keys", "c1", &["custodian", "log", "--json"], &[0]);
    let said: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let last = said["head"].as_str().expect("head").to_uppercase();
    fs::remove_file(&anchor).expect("gone");
    for noted in [&last, &head] {
        let done = restore(&["--log-head", noted]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stdout.contains("note it on paper"));
    }
    let shown = site.must("hedui-keys", "c1", &["custodian", "log"], &[0]);
    assert!(
        shown.stdout.contains("2 lines after the head on paper"),
        "{}",
        shown.stdout
    );
    assert!(
        shown.stdout.contains("police police 4096"),
        "the charge is kept"
    );
    // Another key under the custodian's name.
    let home = site.home("c1");
    fs::rename(&home, site.root.join("c1-before")).expect("moved");
    site.must("hedui-keys", "c1", &["new", "c1"], &[0]);
    let done = site.run("hedui-keys", "c1", &["custodian", "ceremony"]);
    refused(&done, 2, &["not the one that the agreement names"]);
}

/// A message of the ceremony that was lost on its way is sent again, also by a custodian that has its share.
#[test]
fn a_lost_message_does_not_strand_a_ceremony() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site::signed_site(folder.path(), &[]);
    let ceremony = |party: &str, code: i32| {
        site.must("hedui-keys", party, &["custodian", "ceremony"], &[code]);
    };
    let drop_files = |wanted: &dyn Fn(&str) -> bool| {
        let found = files_below(&site.exchange());
        let names = found.iter().map(|path| path.to_string_lossy().into_owned());
        let lost: Vec<String> = names.filter(|name| wanted(name)).collect();
        assert!(!lost.is_empty());
        lost.iter()
            .for_each(|path| fs::remove_file(path).expect("lost"));
    };
    CUSTODIANS.iter().for_each(|party| ceremony(party, 75));
    ceremony("c1", 75);
    // The first messages are read: somebody tidies them away.
    drop_files(&|name| name.contains("step-1") && name.contains("-to-c1-"));
    ceremony("c2", 0);
    ceremony("c1", 0);
    // What c1 sent to c3 is lost, and c1 has its share already.
    drop_files(&|name| name.contains("-c1-to-c3-"));
    ceremony("c3", 75);
    ceremony("c1", 0);
    ceremony("c3", 0);
    CUSTODIANS.iter().for_each(|party| ceremony(party, 0));
    let left = files_below(&site.home("c1"));
    assert!(
        !left
            .iter()
            .any(|path| path.to_string_lossy().contains("ceremony-2-sent"))
    );
    site::prepare_files(&site);
    site::whole_run(&site);
}

/// `inspect` shows the public card; neither the sealed seed nor anything that the passphrase protects is in what it says.
/// An expired agreement has no custodians any more.
#[test]
fn inspect_shows_no_secret_and_expired_agreements_no_answer() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    let key = fs::read_to_string(site.home("c1").join("identity.key")).expect("key file");
    let shown = site.must("hedui-keys", "c1", &["inspect"], &[0]);
    let said = format!("{}{}", shown.stdout, shown.stderr);
    let secret = key.lines().filter(|line| line.len() >= 32);
    for line in secret.flat_map(|line| line.split(' ').filter(|word| word.len() >= 24)) {
        assert!(!said.contains(line), "a word of the key file was printed");
    }
    assert!(said.contains("c1"));
    deliver(&site, "police", "prepare", "police", &[], &[0]);
    let late = hedui_tests::run::Site::new(&site.root, &site.bins, "2099-01-01");
    let done = late.run("hedui-keys", "c1", &["custodian", "answer"]);
    refused(&done, 23, &["expired"]);
    assert!(sealed(&site, "eval-answer").is_empty());
}

/// What an agent keeps of an epoch that is over goes on command, and nothing of the next one with it.
#[test]
fn an_agent_retires_an_epoch_and_no_other() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    site::whole_run(&site);
    let first = site::epoch_name(&site);
    site::rotate(&site);
    site::whole_run(&site);
    let second = site::epoch_name(&site);
    assert_ne!(first, second);
    let of = |party: &str, epoch: &str| -> Vec<_> {
        let files = files_below(&site.home(party).join("state"));
        files
            .into_iter()
            .filter(|path| path.to_string_lossy().contains(epoch))
            .collect()
    };
    for party in ["office", "police"] {
        let listed = site.must("hedui-agent", party, &["retire"], &[0]);
        assert!(
            listed.stdout.contains(&first) && listed.stdout.contains(&second),
            "{}",
            listed.stdout
        );
        let kept = of(party, &second);
        let holds = |what: &str| {
            of(party, &first)
                .iter()
                .any(|path| path.to_string_lossy().contains(what))
        };
        assert!(
            holds("/tokens-") && holds(".kit") && holds("/epoch-"),
            "{party}"
        );
        let wrong = site.run("hedui-agent", party, &["retire", "--confirm", "nothing"]);
        refused(&wrong, 64, &["nothing is held", &first]);
        site.must("hedui-agent", party, &["retire", "--confirm", &first], &[0]);
        assert!(of(party, &first).is_empty(), "{party}: something is left");
        assert_eq!(of(party, &second), kept, "{party}: the other epoch");
        assert!(site.home(party).join("state/sent.json").exists());
    }
    site.must("hedui-agent", "office", &["results"], &[0]);
}

/// A statement says whether there was anything to destroy.
#[test]
fn a_statement_says_what_was_held() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    let name = site::epoch_name(&site);
    let share = files_below(&site.home("c1"))
        .into_iter()
        .find(|path| path.ends_with("share"));
    let state = site.home("c1").join("state");
    assert!(share.expect("share").starts_with(&state));
    fs::rename(&state, site.root.join("elsewhere")).expect("another machine");
    let destroy = ["custodian", "destroy", "--confirm", &name];
    let done = site.must("hedui-keys", "c1", &destroy, &[0]);
    assert!(done.stderr.contains("nothing was held"), "{}", done.stderr);
    let statement = |party: &str| {
        let name = format!("by-{party}.statement");
        let found = files_below(&site.exchange())
            .into_iter()
            .find(|p| p.to_string_lossy().ends_with(&name));
        fs::read_to_string(found.expect("statement")).expect("text")
    };
    assert!(statement("c1").contains("held no"));
    site.must("hedui-keys", "c2", &destroy, &[0]);
    assert!(statement("c2").contains("held yes"));
    // The dealt or sent shares go with it.
    let messages = files_below(&site.exchange());
    let to_c2 = |path: &&std::path::PathBuf| {
        let name = path.to_string_lossy();
        name.contains("step-") && name.contains("-to-c2-")
    };
    assert_eq!(messages.iter().filter(to_c2).count(), 0);
}

/// A new epoch has a new key; nothing of the old one fits it.
#[test]
fn epochs_share_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[]);
    site::whole_run(&site);
    let group = |epoch: &str| {
        let records = files_below(&site.exchange());
        let record = records.iter().find(|path| {
            path.to_string_lossy()
                .ends_with(&format!("-{epoch}-by-c1.record"))
        });
        let text = fs::read_to_string(record.expect("record")).expect("text");
        text.lines()
            .find(|line| line.starts_with("group "))
            .expect("group")
            .to_owned()
    };
    let mut seen = std::collections::BTreeSet::new();
    let first = (group("1"), site::matched_tags(&site, &mut seen));
    site::rotate(&site);
    let stale = sealed(&site, "eval-request-police").remove(0);
    let stale = stale.to_string_lossy().into_owned();
    let done = site.run("hedui-keys", "c1", &["custodian", "answer", &stale]);
    refused(&done, 15, &["another agreement"]);
    site::whole_run(&site);
    let second = (group("2"), site::matched_tags(&site, &mut seen));
    assert!(first.0 != second.0, "the same key in two epochs");
    assert!(first.1.len() > 4000 && second.1.len() > 4000);
    assert!(first.1.is_disjoint(&second.1), "a tag in two epochs");
}

/// With a dealer the others take their shares from its messages; a second run deals the same.
#[test]
fn a_dealer_deals_once_and_the_shares_work() {
    let folder = tempfile::tempdir().expect("folder");
    let site = open_site(folder.path(), &[("dealer = \"\"", "dealer = \"c2\"")]);
    for party in CUSTODIANS {
        site.must("hedui-keys", party, &["custodian", "ceremony"], &[0]);
    }
    site::whole_run(&site);
}
