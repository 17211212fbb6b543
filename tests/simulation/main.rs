//! Faults: agents and matcher are killed at random moments, run again, and must leave the same bytes as an
//! undisturbed run. In: a seed. Out: passes or the round and file that differ.
//! Invariant under test: nothing acknowledged is lost, nothing half-written stays under a final name.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hedui_protocol::agreement::text::LockKind;
use hedui_tests::county::dice::Dice;
use hedui_tests::county::{Scale, generate, write};
use hedui_tests::county_run::{self, Stages, files_below, mapping_of};
use hedui_tests::run::{Site, build_binaries};

/// Steps of a round: party, binary, arguments.
fn steps(site: &Site) -> Vec<(&'static str, &'static str, Vec<String>)> {
    let deliver = |command: &str, register: &str| {
        vec![
            command.to_owned(),
            mapping_of(site, register),
            "--gazetteer".to_owned(),
            "county/gazetteer.csv".to_owned(),
        ]
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut steps = Vec::new();
    for command in ["prepare", "finish"] {
        if command == "finish" {
            for custodian in ["shuju", "shenji"] {
                steps.push((custodian, "hedui-keys", words(&["custodian", "answer"])));
            }
        }
        steps.push(("minzheng", "hedui-agent", deliver(command, "dibao")));
        steps.push(("gongan", "hedui-agent", deliver(command, "jidongche")));
        steps.push(("caizheng", "hedui-agent", deliver(command, "caizheng")));
    }
    steps.push(("hedui", "hedui-matcher", words(&["run"])));
    let results = ["results", "--out", "clues", "--rules", "county-rules.toml"];
    steps.push(("minzheng", "hedui-agent", words(&results)));
    steps
}

fn copy(from: &Path, to: &Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).expect("below"));
        fs::create_dir_all(target.parent().expect("folder")).expect("folder");
        fs::copy(&path, &target).expect("copied");
    }
}

fn exchanged(site: &Site) -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| {
        path.file_name()
            .expect("name")
            .to_string_lossy()
            .into_owned()
    };
    let mut all = files_below(&site.exchange());
    all.extend(
        files_below(&site.root.join("clues"))
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e != "xlsx")),
    );
    all.iter()
        .map(|path| (name(path), fs::read(path).expect("file")))
        .collect()
}

#[test]
fn fifty_kills_leave_the_bytes_of_an_undisturbed_run() {
    let bins = build_binaries();
    let folder = tempfile::tempdir().expect("folder");
    let base = Site::new(&folder.path().join("base"), &bins, "2016-06-30");
    write::write(&generate(Scale::Town, 3), &base.root.join("county")).expect("written");
    county_run::set_up(&base, &mut Stages::new(&base, true), LockKind::Oprf, &[]);
    // The kits' secrets and the keys of the blinds are random: they are made once here, so that every round has
    // the same. The custodians' records stay.
    for (party, bin, args) in &steps(&base)[..3] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        base.must(bin, party, &args, &[0, 1]);
    }
    for path in files_below(&base.exchange()) {
        if path.extension().is_some_and(|ending| ending == "hedui") {
            fs::remove_file(path).expect("removed");
        }
    }

    let calm = Site::new(&folder.path().join("calm"), &bins, "2016-06-30");
    copy(&base.root, &calm.root);
    let mut seconds = Vec::new();
    for (party, bin, args) in steps(&calm) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        seconds.push(calm.must(bin, party, &args, &[0, 1]).seconds);
    }
    let expected = exchanged(&calm);
    assert!(expected.len() > 20);

    let mut dice = Dice::new(50);
    let mut kills = 0;
    for round in 0..8 {
        let site = Site::new(
            &folder.path().join(format!("round-{round}")),
            &bins,
            "2016-06-30",
        );
        copy(&base.root, &site.root);
        for ((party, bin, args), usual) in steps(&site).into_iter().zip(&seconds) {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let moment = usual * f64::from(dice.between(1, 1000)) / 1000.0;
            let done = site.run_limited(bin, party, &args, Some(Duration::from_secs_f64(moment)));
            kills += usize::from(done.code == -1);
            site.must(bin, party, &args, &[0, 1]);
        }
        let got = exchanged(&site);
        let names =
            |list: &[(String, Vec<u8>)]| list.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
        assert_eq!(names(&got), names(&expected), "round {round}");
        for ((name, a), (_, b)) in got.iter().zip(&expected) {
            assert!(a == b, "round {round}: {name} differs");
        }
        let leftover = files_below(&site.root).into_iter().find(|path| {
            path.parent()
                .is_some_and(|folder| folder.ends_with("state/work"))
        });
        assert_eq!(leftover, None, "temporary files stay after a complete run");
        fs::remove_dir_all(&site.root).expect("removed");
    }
    assert!(kills >= 50, "only {kills} of 80 runs were killed in time");
    println!("{kills} kills");
}
