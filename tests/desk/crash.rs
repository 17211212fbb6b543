//! Kills at fifty moments. In: a desk that takes clues, hands them down, reads a sheet. Out: passes, or a history that is
//! damaged, half there, or lost after it was acknowledged. Invariant under test: one command is one transaction; the same
//! command again does what is missing and nothing twice. Specification: docs/DESK.md, "History".

use std::process::{Command, Stdio};
use std::time::Duration;

use super::{cases, desk, must, object, users};
use hedui_tests::run::Site;

/// Starts a command and kills it after a while; whether it had ended by itself.
fn killed_after(site: &Site, args: &[&str], wait: Duration) -> bool {
    let passphrase = site.passphrase.to_string_lossy().into_owned();
    let mut child = Command::new(site.bins.join("hedui-desk"))
        .args(args)
        .args([
            "--as",
            "clerk",
            "--today",
            "2016-07-02",
            "--passphrase-file",
            &passphrase,
        ])
        .current_dir(&site.root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    std::thread::sleep(wait);
    let ended = child
        .try_wait()
        .expect("state")
        .is_some_and(|status| status.success());
    let _ = child.kill();
    let _ = child.wait();
    ended
}

#[test]
fn a_killed_desk_loses_nothing_and_does_nothing_by_halves() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, _) = desk(folder.path());
    let entries = |site: &Site| {
        let done = must(site, "clerk", "2016-07-02", &["verify", "--json"], &[0]);
        let found = object(&done);
        (
            found["entries"].as_u64().expect("number"),
            found["head"].as_str().expect("hash").to_owned(),
        )
    };
    // How long each command takes undisturbed, so that kills fall before, within and after its work.
    let started = std::time::Instant::now();
    let (mut before, mut head) = entries(&site);
    let look = started.elapsed();
    let mut done_by_itself = 0;
    for moment in 0..50_u32 {
        let take = cases(&site).is_empty();
        let args: &[&str] = if take {
            &["take", "clues.json"]
        } else {
            &["assign", "--all"]
        };
        let wait = look / 4 + Duration::from_millis(u64::from(moment * 37 % 50) * 8);
        let ended = killed_after(&site, args, wait);
        done_by_itself += u32::from(ended);
        let (after, now) = entries(&site);
        // Everything before is there, and what the command adds is there whole or not at all.
        must(
            &site,
            "clerk",
            "2016-07-02",
            &["verify", "--head", &head],
            &[0],
        );
        let added = after - before;
        let whole = if take { 568 } else { 567 };
        assert!(
            added == 0 || added == whole,
            "moment {moment}: {added} entries"
        );
        assert!(
            !ended || added == whole,
            "moment {moment}: acknowledged and lost"
        );
        (before, head) = (after, now);
        // Begin again with an empty desk once both commands are through.
        if cases(&site)
            .values()
            .all(|case| case["stage"] == "assigned")
            && !cases(&site).is_empty()
        {
            std::fs::remove_dir_all(site.root.join("desk")).expect("removed");
            users(&site);
            (before, head) = entries(&site);
        }
    }
    // Whoever repeats a command that had done everything is told so, not that it was wrong.
    if cases(&site).is_empty() {
        must(&site, "clerk", "2016-07-02", &["take", "clues.json"], &[0]);
    }
    let again = ["take", "clues.json", "--json"];
    let taken = object(&must(&site, "clerk", "2016-07-02", &again, &[0]));
    assert_eq!(
        (&taken["taken_before"], &taken["new"]),
        (&true.into(), &0.into())
    );
    must(&site, "clerk", "2016-07-02", &["assign", "--all"], &[0]);
    let done = entries(&site);
    must(&site, "clerk", "2016-07-02", &["assign", "--all"], &[0]);
    assert!(entries(&site) == done, "nothing is recorded twice");
    must(&site, "clerk", "2016-07-02", &["assign"], &[64]);
    println!("50 kills, {done_by_itself} after the command had ended");
    assert!(done_by_itself < 50, "no kill fell into a command's work");
}
