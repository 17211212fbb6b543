//! Deliveries of changes beside whole deliveries of the same rows. In: a register of the synthetic county that changes in rounds. Out:
//! passes, or the table, result or file that differs. Invariant under test: base and changes together are the whole delivery, row for row;
//! results are the same bytes, refined ones too; nothing is applied twice or by halves.
//! Specification: protocol/SPEC.md, "Changes".

mod disclosure;
mod refusals;
mod register;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hedui_protocol::agreement::text::LockKind;
use hedui_tests::county::dice::Dice;
use hedui_tests::county::{Scale, generate, write};
use hedui_tests::county_run::{self, Stages, files_below, mapping_of};
use hedui_tests::opened::{agreement, open, submission, tables};
use hedui_tests::run::{Site, build_binaries};
use register::Register;

const GAZETTEER: [&str; 2] = ["--gazetteer", "county/gazetteer.csv"];

/// A site with the county's agreement, its roll delivered, and the vehicles as a register with numbered rows.
fn site(folder: &Path, lock: LockKind, options: &[&str]) -> (Site, Register) {
    let site = Site::new(folder, &build_binaries(), "2016-06-30");
    write::write(&generate(Scale::Town, 7), &site.root.join("county")).expect("written");
    county_run::set_up(&site, &mut Stages::new(&site, true), lock, options);
    let mapping = mapping_of(&site, "dibao");
    deliver(&site, "minzheng", &mapping, &[]);
    let register = Register::of(&site, "jidongche", "gongan");
    (site, register)
}

/// Delivers, with what the custodians have to do for it.
fn deliver(site: &Site, party: &str, mapping: &str, options: &[&str]) {
    let args = |command| [&[command, mapping][..], &GAZETTEER, options].concat();
    if agreement(site).text().lock == LockKind::Keyed {
        site.must("hedui-agent", party, &args("submit"), &[0, 1]);
        return;
    }
    site.must("hedui-agent", party, &args("prepare"), &[0, 1]);
    for custodian in ["shuju", "shenji"] {
        site.must("hedui-keys", custodian, &["custodian", "answer"], &[0]);
    }
    site.must("hedui-agent", party, &args("finish"), &[0, 1]);
}

fn copy(from: &Site, to: &Path) -> Site {
    for path in files_below(&from.root) {
        let target = to.join(path.strip_prefix(&from.root).expect("below"));
        fs::create_dir_all(target.parent().expect("folder")).expect("folder");
        fs::copy(&path, &target).expect("copied");
    }
    let mut site = Site::new(to, &from.bins, &from.today);
    site.today.clone_from(&from.today);
    site
}

/// The newest submission of the register.
fn newest(site: &Site) -> PathBuf {
    newest_of(site, "jidongche")
}

fn newest_of(site: &Site, register: &str) -> PathBuf {
    let start = format!("submission-{register}-");
    let mut own: Vec<PathBuf> = files_below(&site.exchange())
        .into_iter()
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&start))
        })
        .collect();
    own.sort();
    own.pop().expect("a submission")
}

/// Rows of every table; a row without its handle is of no use, so order does not matter.
type Tables = BTreeMap<String, BTreeSet<Vec<u8>>>;

fn whole(site: &Site, path: &Path) -> Tables {
    let (_, manifest, rows) = submission(site, path, "hedui");
    assert_eq!(manifest.base, None);
    rows.into_iter()
        .map(|(name, rows)| (name, rows.into_iter().collect()))
        .collect()
}

/// A base with changes to it.
fn changed(site: &Site, base: &Path, changes: &Path) -> (Tables, usize) {
    let (header, _, _) = submission(site, base, "hedui");
    let (_, manifest, mut rows) = submission(site, changes, "hedui");
    let digest = hedui_protocol::primitive::sha256(&[header.render().as_bytes()]);
    assert_eq!(manifest.base(), Some(digest));
    let gone: BTreeSet<Vec<u8>> = rows.remove("gone").expect("table").into_iter().collect();
    let mut tables = whole(site, base);
    let mut met = BTreeSet::new();
    for (name, table) in &mut tables {
        let place = if name.starts_with("tag-") {
            16..32
        } else {
            0..16
        };
        table.retain(|row| {
            let handle = row[place.clone()].to_vec();
            let is_gone = gone.contains(&handle);
            met.extend(is_gone.then_some(handle));
            !is_gone
        });
        for row in rows.remove(name).expect("table") {
            assert!(table.insert(row), "a row of `{name}` comes that is there");
        }
    }
    assert_eq!(met, gone, "what is gone was there");
    (tables, gone.len())
}

/// What the roll's owner is told of the register; both sites have the same kits and keys.
fn result(site: &Site) -> Vec<u8> {
    site.must("hedui-matcher", "hedui", &["run"], &[0]);
    let mut own: Vec<PathBuf> = files_below(&site.exchange())
        .into_iter()
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("result-"))
        })
        .collect();
    own.sort_by_key(|path| open(site, path, "minzheng").0.seq);
    let (_, body) = open(site, &own.pop().expect("a result"), "minzheng");
    assert!(tables(&body) < body.len());
    body
}

fn refine(site: &Site) {
    for party in ["minzheng", "gongan"] {
        site.must("hedui-agent", party, &["refine"], &[0]);
    }
}

/// Delivers the same rows as changes here and whole in a copy of the site; both must be one.
///
/// How many rows a table has then, padding included.
fn compare(
    site: &Site,
    register: &mut Register,
    base: &Path,
    round: usize,
    refined: bool,
) -> usize {
    let folder = tempfile::tempdir().expect("folder");
    let beside = copy(site, folder.path());
    let changes = register.write_changes(site, round);
    let (name, party) = (register.name, register.party);
    deliver(site, party, &register.mapping, &["--changes", &changes]);
    register.write_whole(&beside);
    let mapping = register.mapping_in(&beside);
    deliver(&beside, party, &mapping, &[]);
    let (mine, gone) = changed(site, base, &newest_of(site, name));
    let theirs = whole(&beside, &newest_of(&beside, name));
    let head = |site: &Site| submission(site, &newest_of(site, name), "hedui").1;
    let (own, other) = (head(site), head(&beside));
    assert_eq!(
        own.snapshot, other.snapshot,
        "round {round}: the data's name"
    );
    assert_eq!(
        own.canary, other.canary,
        "round {round}: the word on canaries"
    );
    for (name, table) in &theirs {
        let own = &mine[name];
        assert_eq!(own.len(), table.len(), "round {round}: rows of `{name}`");
        let differ = own.symmetric_difference(table).count();
        assert_eq!(differ, 0, "round {round}: rows of `{name}` differ");
    }
    assert!(gone > 0, "round {round}");
    let both = [site, &beside].map(result);
    assert!(both[0] == both[1], "round {round}: another result");
    if refined {
        let both = [site, &beside].map(|site| {
            refine(site);
            result(site)
        });
        assert!(both[0] == both[1], "round {round}: another refined result");
    }
    theirs["presence"].len()
}

#[test]
fn changes_in_rounds_are_the_whole_delivery_and_give_its_result() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, mut register) = site(folder.path(), LockKind::Keyed, &["--refine"]);
    let mut dice = Dice::new(99);
    register.plant_common_values(&mut dice);
    register.write_whole(&site);
    deliver(&site, "gongan", &register.mapping, &[]);
    let base = newest(&site);
    result(&site);
    for round in 1..=3 {
        register.turn(&mut dice, round);
        compare(&site, &mut register, &base, round, round != 2);
    }
    // Another whole delivery ends what was changed since the first.
    register.write_whole(&site);
    deliver(&site, "gongan", &register.mapping, &[]);
    let base = newest(&site);
    register.turn(&mut dice, 5);
    compare(&site, &mut register, &base, 5, false);
}

/// What most records look like changes, and with it every canary.
#[test]
fn changes_of_what_is_usual_are_the_whole_delivery() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, mut register) = site(folder.path(), LockKind::Keyed, &[]);
    let mut dice = Dice::new(31);
    register.shorten(1300);
    register.plant_common_values(&mut dice);
    register.write_whole(&site);
    deliver(&site, "gongan", &register.mapping, &[]);
    let base = newest(&site);
    let before = usual(&whole(&site, &base));
    for round in 3..=5 {
        register.turn(&mut dice, round);
        compare(&site, &mut register, &base, round, false);
    }
    let (after, _) = changed(&site, &base, &newest(&site));
    assert_ne!(usual(&after), before, "what is usual did not change");
}

/// The bitmap that most records have.
fn usual(tables: &Tables) -> [u8; 2] {
    let mut counts: BTreeMap<[u8; 2], usize> = BTreeMap::new();
    for row in &tables["presence"] {
        *counts.entry([row[16], row[17]]).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.expect("rows").0
}

/// Registers whose rows end otherwise: two numbers, a code and a date. What is said in any of their columns is part of what the
/// data are called.
#[test]
fn every_column_of_any_register_counts() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, _) = site(folder.path(), LockKind::Keyed, &[]);
    for (name, party, columns) in [
        ("linye", "linye", ["金额（元）", "年度"]),
        ("budongchan", "ziran", ["登记日期", "权利人"]),
    ] {
        let mut register = Register::of(&site, name, party);
        register.write_whole(&site);
        deliver(&site, party, &register.mapping, &[]);
        let base = newest_of(&site, name);
        let mut dice = Dice::new(8);
        for (round, column) in (1..).zip(columns) {
            let before = submission(&site, &newest_of(&site, name), "hedui").1;
            register.swap(&mut dice, column);
            compare(&site, &mut register, &base, round, false);
            let after = submission(&site, &newest_of(&site, name), "hedui").1;
            assert_ne!(before.snapshot, after.snapshot, "{name} {column}");
        }
    }
}

/// So many come and go that tables are padded further, and less far again.
#[test]
fn changes_across_a_step_of_padding_are_the_whole_delivery() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, mut register) = site(folder.path(), LockKind::Keyed, &[]);
    let mut dice = Dice::new(3);
    register.shorten(4000);
    register.write_whole(&site);
    deliver(&site, "gongan", &register.mapping, &[]);
    let base = newest(&site);
    let before = whole(&site, &base)["presence"].len();
    register.crowd(&mut dice, 800);
    let more = compare(&site, &mut register, &base, 1, false);
    assert!(more > before, "{more} {before}");
    register.turn(&mut dice, 2);
    register.clear(&mut dice, 900);
    let less = compare(&site, &mut register, &base, 2, false);
    assert_eq!(less, before);
}

#[test]
fn changes_under_custodians_are_the_whole_delivery() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, mut register) = site(folder.path(), LockKind::Oprf, &[]);
    let mut dice = Dice::new(5);
    register.shorten(900);
    register.plant_common_values(&mut dice);
    register.write_whole(&site);
    deliver(&site, "gongan", &register.mapping, &[]);
    let base = newest(&site);
    for round in 1..=2 {
        register.turn(&mut dice, round);
        compare(&site, &mut register, &base, round, false);
    }
}

/// Killed at any moment and run again, a delivery of changes is the one that was not disturbed.
#[test]
fn killed_deliveries_of_changes_are_repeated_to_the_same_bytes() {
    let folder = tempfile::tempdir().expect("folder");
    let (site, mut register) = site(&folder.path().join("base"), LockKind::Keyed, &[]);
    let mut dice = Dice::new(17);
    register.write_whole(&site);
    deliver(&site, "gongan", &register.mapping, &[]);
    site.must("hedui-matcher", "hedui", &["run"], &[0]);
    register.turn(&mut dice, 1);
    let changes = register.write_changes(&site, 1);
    let args = |mapping: &str| -> Vec<String> {
        let words = [
            &["submit", mapping][..],
            &GAZETTEER,
            &["--changes", &changes],
        ]
        .concat();
        words.iter().map(|word| (*word).to_owned()).collect()
    };
    let run = |site: &Site, limit: Option<Duration>| {
        let args = args(&register.mapping_in(site));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        site.run_limited("hedui-agent", "gongan", &args, limit)
    };
    let calm = copy(&site, &folder.path().join("calm"));
    let usual = run(&calm, None);
    assert!([0, 1].contains(&usual.code), "{}", usual.stderr);
    let expected = fs::read(newest(&calm)).expect("changes");
    let matched = calm.must("hedui-matcher", "hedui", &["run"], &[0]).seconds;
    let expected_result = result(&calm);
    let mut kills = 0;
    for round in 0..12 {
        let site = copy(&site, &folder.path().join(format!("round-{round}")));
        let moment = |usual: f64, dice: &mut Dice| {
            Duration::from_secs_f64(usual * f64::from(dice.between(1, 1000)) / 1000.0)
        };
        kills += usize::from(run(&site, Some(moment(usual.seconds, &mut dice))).code == -1);
        let again = run(&site, None);
        assert!([0, 1].contains(&again.code), "{}", again.stderr);
        assert!(
            fs::read(newest(&site)).expect("changes") == expected,
            "round {round}"
        );
        let limit = Some(moment(matched, &mut dice));
        kills += usize::from(
            site.run_limited("hedui-matcher", "hedui", &["run"], limit)
                .code
                == -1,
        );
        assert!(result(&site) == expected_result, "round {round}: result");
    }
    assert!(kills > 10, "{kills} kills");
}
