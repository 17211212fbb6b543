//! A small site with custodians. In: edits of the agreement. Out: a signed agreement, a key, deliveries.
//! Invariant: everything happens through the binaries, as people would do it.
//! Specification: README, "With custodians".

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hedui_tests::county_run::files_below;
use hedui_tests::run::{Done, Site, build_binaries};

/// Custodians of the site.
pub(crate) const CUSTODIANS: [&str; 3] = ["c1", "c2", "c3"];

const ROLL: &str = "姓名,身份证号,性别,出生日期\n\
    张伟,422725196408150014,男,1964-08-15\n李秀英,420525195501010027,女,1955-01-01\n";
const REGISTER: &str = "姓名,身份证号,性别,出生日期\n\
    张伟,422725196408150014,男,1964-08-15\n李秀英,420525195501010027,女,1955-01-01\n\
    王芳,420525198001010040,女,1980-01-01\n";

/// A site whose custodians have made their key.
pub(crate) fn open_site(folder: &Path, edits: &[(&str, &str)]) -> Site {
    let site = signed_site(folder, edits);
    make_key(&site);
    prepare_files(&site);
    site
}

/// Writes the roll and the register.
pub(crate) fn prepare_files(site: &Site) {
    fs::write(site.root.join("roll.csv"), ROLL).expect("roll");
    fs::write(site.root.join("police.csv"), REGISTER).expect("register");
}

/// A site whose agreement is signed by all.
pub(crate) fn signed_site(folder: &Path, edits: &[(&str, &str)]) -> Site {
    drafted_site(folder, edits, &[])
}

/// A site with a key whose agreement was drafted with more options.
pub(crate) fn site_with(folder: &Path, options: &[&str]) -> Site {
    let site = drafted_site(folder, &[], options);
    make_key(&site);
    prepare_files(&site);
    site
}

fn drafted_site(folder: &Path, edits: &[(&str, &str)], options: &[&str]) -> Site {
    let site = Site::new(folder, &build_binaries(), "2026-01-02");
    let parties = ["office", "police", "centre", "c1", "c2", "c3"];
    for party in parties {
        site.must("hedui-keys", party, &["new", party], &[0]);
    }
    let homes: Vec<String> = parties
        .iter()
        .map(|party| site.home(party).to_string_lossy().into_owned())
        .collect();
    let mut args = vec!["agreement", "new", "--unsigned", "--purpose", "test"];
    args.extend(["--legal-basis", "test", "--roll", &homes[0]]);
    args.extend(["--department", &homes[1], "--matcher", &homes[2]]);
    for home in &homes[3..] {
        args.extend(["--custodian", home]);
    }
    args.extend(options);
    site.must("hedui-agent", "office", &args, &[0]);
    let mut text = fs::read_to_string(site.agreement()).expect("agreement");
    for (from, to) in edits {
        assert!(text.contains(from), "{from} is not in the agreement");
        text = text.replace(from, to);
    }
    fs::write(site.agreement(), text).expect("agreement");
    sign(&site);
    site
}

fn sign(site: &Site) {
    for party in ["office", "police", "centre", "c1", "c2", "c3"] {
        site.must("hedui-agent", party, &["agreement", "sign"], &[0]);
    }
}

fn make_key(site: &Site) {
    for _ in 0..3 {
        for party in CUSTODIANS {
            site.must("hedui-keys", party, &["custodian", "ceremony"], &[0, 75]);
        }
    }
}

/// Name of the epoch, as a custodian is told it that would destroy its share.
pub(crate) fn epoch_name(site: &Site) -> String {
    let asked = site.run("hedui-keys", "c1", &["custodian", "destroy"]);
    super::refused(&asked, 64, &["for ever"]);
    let name = asked.stderr.split("--confirm ").nth(1).expect("the name");
    name.trim().to_owned()
}

/// The next epoch: a new agreement, signed by all, and a new ceremony.
pub(crate) fn rotate(site: &Site) {
    let text = fs::read_to_string(site.agreement()).expect("agreement");
    fs::write(site.agreement(), text.replace("epoch = 1", "epoch = 2")).expect("agreement");
    fs::remove_file(site.agreement().with_extension("sig")).expect("signatures");
    sign(site);
    make_key(site);
}

/// Runs a delivering command on one of the two files.
pub(crate) fn deliver(
    site: &Site,
    party: &str,
    command: &str,
    dataset: &str,
    more: &[&str],
    codes: &[i32],
) -> Done {
    let file = format!("{dataset}.csv");
    let mut args = vec![command, &file, "--dataset", dataset];
    args.extend(more);
    site.must("hedui-agent", party, &args, codes)
}

/// A custodian answers what lies in the exchange folder.
pub(crate) fn answer(site: &Site, custodian: &str, codes: &[i32]) -> Done {
    site.must("hedui-keys", custodian, &["custodian", "answer"], codes)
}

/// Roll and register through custodians to the matcher's run.
pub(crate) fn whole_run(site: &Site) {
    for (party, dataset) in [("office", "roll"), ("police", "police")] {
        deliver(site, party, "prepare", dataset, &[], &[0]);
    }
    // Requests of an earlier epoch lie in the folder and are passed over.
    for custodian in ["c1", "c2"] {
        answer(site, custodian, &[0]);
    }
    for (party, dataset) in [("office", "roll"), ("police", "police")] {
        deliver(site, party, "finish", dataset, &[], &[0]);
    }
    let done = site.must("hedui-matcher", "centre", &["run"], &[0, 1]);
    // Two persons and the eight canaries, which the matcher cannot tell apart.
    assert!(done.stdout.contains("匹配 matches 10"), "{}", done.stdout);
}

/// All tags of submissions that the matcher holds now and did not hold `before`, as it stores them.
pub(crate) fn matched_tags(site: &Site, before: &mut BTreeSet<PathBuf>) -> BTreeSet<Vec<u8>> {
    files_below(&site.home("centre"))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("segments/"))
        .filter(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("tag-"))
        })
        .filter(|path| before.insert(path.clone()))
        .collect::<Vec<_>>()
        .into_iter()
        .flat_map(|path| {
            let bytes = fs::read(path).expect("segment");
            let rows = bytes.len() / 32 * 32;
            let start = bytes.len() - rows;
            bytes[start..]
                .chunks(32)
                .skip(70)
                .map(|row| row[..16].to_vec())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Sealed files of a kind in the exchange folder, in name order.
pub(crate) fn sealed(site: &Site, kind: &str) -> Vec<PathBuf> {
    files_below(&site.exchange())
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(kind)
        })
        .collect()
}
