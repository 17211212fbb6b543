//! The matcher's log against a matcher that cheats. In: a run of two departments, copies of the matcher's state. Out: passes, or the
//! cheat that nobody noticed. Invariant under test: what the matcher acknowledged it cannot drop, reorder or deny; a log that was only
//! lost is continued. Specification: protocol/SPEC.md, "Log"; docs/THREAT_MODEL.md, "Cheats, and who notices".

use std::fs;
use std::path::{Path, PathBuf};

use hedui_tests::run::Site;

use super::audit::{audited, audited_with, copy_tree};
use super::{sealed, site_with};

fn submit(site: &Site, party: &str, file: &str, dataset: &str) {
    let words = ["submit", file, "--dataset", dataset];
    site.must("hedui-agent", party, &words, &[0, 1]);
}

/// A site in which both departments have delivered and the matcher has answered.
fn run_once(folder: &Path) -> Site {
    let site = site_with(folder, &[]);
    submit(&site, "office", "roll.csv", "roll");
    submit(&site, "police", "register.csv", "police");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site
}

fn second_delivery(site: &Site) {
    let other = "姓名,身份证号\n张伟,422725196408150014\n";
    fs::write(site.root.join("register.csv"), other).expect("register");
    submit(site, "police", "register.csv", "police");
    site.must("hedui-matcher", "centre", &["intake"], &[0]);
}

/// Takes away what appeared in the exchange folder since `before`, into `aside`.
fn hide(site: &Site, before: &[PathBuf], aside: &Path) {
    fs::create_dir_all(aside).expect("folder");
    for kind in ["submission", "receipt"] {
        for path in sealed(site, kind) {
            if !before.contains(&path) {
                let target = aside.join(path.file_name().expect("name"));
                fs::rename(&path, target).expect("moved");
            }
        }
    }
}

fn replace(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    copy_tree(from, to);
}

/// The matcher acknowledges a second delivery, then goes back to its state before and answers from that.
#[test]
fn a_matcher_that_forks_its_log_is_caught() {
    let folder = tempfile::tempdir().expect("folder");
    let site = run_once(folder.path());
    let (state, log) = (
        site.home("centre").join("state"),
        site.exchange().join("log"),
    );
    let old = site.root.join("old-state");
    copy_tree(&state, &old);
    let before = [sealed(&site, "submission"), sealed(&site, "receipt")].concat();
    second_delivery(&site);
    site.must("hedui-agent", "police", &["receipts"], &[0]);
    assert_eq!(audited(&site, &site.exchange()).1, ["result-old"]);
    let (aside, honest_log) = (site.root.join("aside"), site.root.join("honest-log"));
    copy_tree(&log, &honest_log);

    // The fork: the delivery hidden, the state of before, the published log taken away, so that the program itself does not object.
    hide(&site, &before, &aside);
    replace(&old, &state);
    fs::remove_dir_all(&log).expect("removed");
    fs::write(
        site.root.join("roll.csv"),
        super::ROLL.replace("王芳", "王方"),
    )
    .expect("roll");
    submit(&site, "office", "roll.csv", "roll");
    site.must("hedui-matcher", "centre", &["run"], &[0]);

    // The department holds the matcher's signature under the other log.
    let told = site.run("hedui-agent", "police", &["receipts"]);
    assert_eq!(told.code, 27, "{}{}", told.stdout, told.stderr);
    let police = site.home("police").join("state");
    let proof = fs::read_dir(&police)
        .expect("state")
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("log-fork-"));
    let proof = fs::read_to_string(proof.expect("the proof").path()).expect("text");
    assert!(proof.matches("HEDUI1/log/").count() == 2 && proof.contains("accepted "));
    // It does nothing more under this log, whatever lies there later.
    fs::write(site.root.join("register.csv"), super::REGISTER).expect("register");
    let words = ["submit", "register.csv", "--dataset", "police"];
    assert_eq!(site.run("hedui-agent", "police", &words).code, 27);
    // And so does whoever sees both parties' files.
    for path in fs::read_dir(&aside).expect("aside").flatten() {
        fs::copy(path.path(), site.exchange().join(path.file_name())).expect("copied");
    }
    let rules = audited(&site, &site.exchange()).1;
    assert!(rules.contains(&"log-fork".to_owned()), "{rules:?}");
    // With the other log instead, the result of the fork gives it away.
    replace(&honest_log, &log);
    let rules = audited(&site, &site.exchange()).1;
    assert!(
        rules
            .iter()
            .any(|rule| rule == "log-fork" || rule == "log-cut"),
        "{rules:?}"
    );
    // The honest program does not go on with a state that contradicts what it published.
    let stopped = site.run("hedui-matcher", "centre", &["run"]);
    assert_eq!(stopped.code, 2, "{}{}", stopped.stdout, stopped.stderr);
}

/// The matcher acknowledges a delivery and then pretends that it never came.
#[test]
fn a_matcher_that_drops_a_delivery_is_caught() {
    let folder = tempfile::tempdir().expect("folder");
    let site = run_once(folder.path());
    let before = [sealed(&site, "submission"), sealed(&site, "receipt")].concat();
    let short = site.root.join("short-log");
    copy_tree(&site.exchange().join("log"), &short);
    let memory = site.root.join("memory");
    let memory = memory.to_string_lossy();
    let witness = ["witness"];
    second_delivery(&site);
    site.must("hedui-agent", "police", &["receipts"], &[0]);
    site.must("hedui-keys", "office", &witness, &[0]);
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    assert_eq!(
        audited_with(&site, &site.exchange(), &["--memory", &memory]),
        (0, Vec::new())
    );
    // Files away, log as it was: the files that the log names are missing.
    hide(&site, &before, &site.root.join("aside"));
    let rules = audited(&site, &site.exchange()).1;
    assert!(rules.contains(&"file-missing".to_owned()), "{rules:?}");
    // The log of before in its place: shorter than what witness, reviewer and result have seen.
    let log = site.exchange().join("log");
    let only = log.read_dir().expect("log").flatten().next().expect("one");
    let witnessed = fs::read(only.path().join("witness/office")).expect("the witness's note");
    replace(&short, &log);
    fs::create_dir_all(only.path().join("witness")).expect("folder");
    fs::write(only.path().join("witness/office"), witnessed).expect("note");
    let (code, rules) = audited_with(&site, &site.exchange(), &["--memory", &memory]);
    let cuts = rules.iter().filter(|rule| *rule == "log-cut").count();
    assert!(code == 1 && cuts >= 3, "{rules:?}");
    let told = site.run("hedui-keys", "office", &witness);
    assert_eq!(told.code, 27, "{}{}", told.stdout, told.stderr);
}

/// A matcher that lost its state folder takes up the log where it was published, and nobody is alarmed.
#[test]
fn a_lost_state_folder_continues_the_log() {
    let folder = tempfile::tempdir().expect("folder");
    let site = run_once(folder.path());
    site.must("hedui-agent", "police", &["receipts"], &[0]);
    fs::remove_dir_all(site.home("centre").join("state")).expect("removed");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site.must("hedui-agent", "police", &["receipts"], &[0]);
    site.must("hedui-agent", "office", &["results"], &[0]);
    assert_eq!(audited(&site, &site.exchange()), (0, Vec::new()));
    // With the publication lost as well, what a department has seen stops the matcher before it forks by accident.
    fs::remove_dir_all(site.home("centre").join("state")).expect("removed");
    fs::remove_dir_all(site.exchange().join("log")).expect("removed");
    for kind in ["receipt", "result"] {
        for path in sealed(&site, kind) {
            fs::remove_file(path).expect("removed");
        }
    }
    let other = "姓名,身份证号\n张伟,422725196408150014\n";
    fs::write(site.root.join("register.csv"), other).expect("register");
    submit(&site, "police", "register.csv", "police");
    let stopped = site.run("hedui-matcher", "centre", &["intake"]);
    assert_eq!(stopped.code, 27, "{}{}", stopped.stdout, stopped.stderr);
    assert!(
        !site.exchange().join("log").exists(),
        "nothing was published"
    );
}

/// A result is what its inputs give; one that was computed from something else is told apart by its bytes.
#[test]
fn a_result_is_replayed_from_its_inputs() {
    let folder = tempfile::tempdir().expect("folder");
    let site = run_once(folder.path());
    let replayed = site.must("hedui-matcher", "centre", &["replay"], &[0]);
    assert!(replayed.stdout.contains("2 份输入"), "{}", replayed.stdout);
    let segments = site.home("centre").join("state/segments");
    let tables = || {
        let mut all: Vec<PathBuf> = fs::read_dir(&segments)
            .expect("segments")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        all.sort();
        all
    };
    let before = tables();
    second_delivery(&site);
    // The matcher compares other tables than those that it accepted.
    let new = tables().into_iter().find(|path| !before.contains(path));
    let new = new.expect("the second delivery's tables");
    let old = before.iter().find(|path| {
        let receipt = fs::read_to_string(path.join("receipt.json")).expect("receipt");
        receipt.contains("\"dataset\":\"police\"")
    });
    for table in fs::read_dir(old.expect("the first delivery's"))
        .expect("tables")
        .flatten()
    {
        let name = table.file_name();
        if name != "receipt.json" {
            fs::copy(table.path(), new.join(name)).expect("copied");
        }
    }
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    let cheated = site.run("hedui-matcher", "centre", &["replay"]);
    assert_eq!(cheated.code, 1, "{}{}", cheated.stdout, cheated.stderr);
    // Files that only look like an input or a result change nothing; a stated file is the one that is compared.
    let input = sealed(&site, "submission-police").remove(0);
    let bytes = fs::read(&input).expect("file");
    let head = bytes
        .windows(5)
        .position(|w| w == b"\n---\n")
        .expect("a header")
        + 5;
    let junk = [&bytes[..head], b"ten  bytes"].concat();
    fs::write(site.exchange().join("0.hedui"), &junk).expect("written");
    let number = |path: &PathBuf| path.to_string_lossy().rsplit('-').next().map(str::to_owned);
    let first = sealed(&site, "result").into_iter().min_by_key(number);
    let first = first.expect("a result");
    let words = ["replay", "--result", &first.to_string_lossy()];
    site.must("hedui-matcher", "centre", &words, &[0]);
    let bytes = fs::read(&first).expect("file");
    let later = String::from_utf8_lossy(&bytes[..600]).replace("seq 2\n", "seq 99\n");
    let end = later.find("---\n").expect("a header") + 4;
    fs::write(
        site.exchange().join("zz.hedui"),
        [&later.as_bytes()[..end], b"x"].concat(),
    )
    .expect("written");
    site.must("hedui-matcher", "centre", &words, &[0]);
    let copy = site.root.join("copy.hedui");
    let mut changed = bytes.clone();
    let last = changed.len() - 100;
    changed[last] ^= 1;
    fs::write(&copy, changed).expect("written");
    let told = site.run(
        "hedui-matcher",
        "centre",
        &["replay", "--result", "copy.hedui"],
    );
    assert_eq!(told.code, 1, "{}{}", told.stdout, told.stderr);
    // What is made again on the way is nowhere signed and nowhere left.
    let work = site.root.join("work");
    fs::create_dir(&work).expect("folder");
    let words = [
        "replay",
        "--result",
        &first.to_string_lossy(),
        "--work",
        "work",
    ];
    site.must("hedui-matcher", "centre", &words, &[0]);
    assert_eq!(fs::read_dir(&work).expect("folder").count(), 0);
}

/// A delivery that was deleted in its time is not part of a later result, and a replay knows.
#[test]
fn a_replay_knows_what_was_deleted() {
    let folder = tempfile::tempdir().expect("folder");
    let site = run_once(folder.path());
    let later = Site::new(&site.root, &site.bins, "2026-05-02");
    fs::write(
        site.root.join("roll.csv"),
        super::ROLL.replace("王芳", "王方"),
    )
    .expect("roll");
    submit(&later, "office", "roll.csv", "roll");
    let other = "姓名,身份证号\n张伟,422725196408150014\n";
    fs::write(site.root.join("register.csv"), other).expect("register");
    submit(&later, "police", "register.csv", "police");
    later.must("hedui-matcher", "centre", &["run"], &[0]);
    let replayed = later.must("hedui-matcher", "centre", &["replay"], &[0]);
    assert!(
        replayed.stderr.contains("had been deleted"),
        "{}",
        replayed.stderr
    );
    assert_eq!(audited(&site, &site.exchange()).0, 0);
}

/// Whoever can write the exchange folder cannot lead the matcher's files elsewhere, nor make anybody wait.
#[cfg(unix)]
#[test]
fn links_and_pipes_in_the_log_lead_nowhere() {
    let folder = tempfile::tempdir().expect("folder");
    let site = run_once(folder.path());
    let log = fs::read_dir(site.exchange().join("log")).expect("log");
    let log = log.flatten().next().expect("one").path();
    let key = site.home("centre").join("identity.key");
    let before = fs::read(&key).expect("key");
    for place in ["tile/entries/000.p", "tile/0/000.p"] {
        fs::remove_dir_all(log.join(place)).expect("removed");
        std::os::unix::fs::symlink(site.home("centre"), log.join(place)).expect("link");
    }
    fs::remove_file(log.join("checkpoint")).expect("removed");
    let made = std::process::Command::new("mkfifo")
        .arg(log.join("checkpoint"))
        .status();
    assert!(made.expect("mkfifo").success());
    site.must("hedui-agent", "police", &["receipts"], &[0]);
    assert!(
        audited(&site, &site.exchange())
            .1
            .contains(&"log-invalid".to_owned())
    );
    site.must("hedui-matcher", "centre", &["intake"], &[0]);
    assert!(
        fs::read(&key).is_ok_and(|now| now == before),
        "the key is untouched"
    );
    assert!(!site.home("centre").join("5").exists());
    assert_eq!(audited(&site, &site.exchange()), (0, Vec::new()));
}

/// An old backup beside a spoilt publication does not become a second history.
#[test]
fn an_old_backup_does_not_fork_by_accident() {
    let folder = tempfile::tempdir().expect("folder");
    let site = run_once(folder.path());
    let state = site.home("centre").join("state");
    let old = site.root.join("old-state");
    copy_tree(&state, &old);
    second_delivery(&site);
    let collected = sealed(&site, "receipt");
    replace(&old, &state);
    for path in hedui_tests::county_run::files_below(&site.exchange().join("log")) {
        if path.to_string_lossy().contains("entries") {
            let mut bytes = fs::read(&path).expect("bundle");
            bytes[3] ^= 1;
            fs::write(&path, bytes).expect("written");
        }
    }
    for path in collected {
        fs::remove_file(path).expect("collected");
    }
    let stopped = site.run("hedui-matcher", "centre", &["run"]);
    assert_eq!(stopped.code, 27, "{}{}", stopped.stdout, stopped.stderr);
}
