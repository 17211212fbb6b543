//! The reviewer's program on a whole run. In: the exchange folder of two departments, and changes of it. Out: passes, or
//! the tampering that went unseen. Invariant under test: every single file of a run that is changed, cut, lengthened, taken
//! away, repeated or replaced is noticed without any secret. Specification: docs/OPERATIONS.md, "Reviewer".

use std::fs;
use std::path::Path;
use std::process::Command;

use hedui_tests::county_run::files_below;
use hedui_tests::run::Site;

use super::site_with;

/// What the program says of a folder: exit code and rules of its findings.
pub(crate) fn audited(site: &Site, folder: &Path) -> (i32, Vec<String>) {
    audited_with(site, folder, &[])
}

/// The same with further options.
pub(crate) fn audited_with(site: &Site, folder: &Path, options: &[&str]) -> (i32, Vec<String>) {
    let (code, said) = report(site, folder, options);
    let rules = said["findings"].as_array().expect("findings").iter();
    let rules = rules.map(|f| f["rule"].as_str().expect("rule").to_owned());
    (code, rules.collect())
}

/// All that an audit says.
pub(crate) fn report(site: &Site, folder: &Path, options: &[&str]) -> (i32, serde_json::Value) {
    let done = Command::new(site.bins.join("hedui-audit"))
        .args(["run", "--json", "--exchange"])
        .arg(folder)
        .args(options)
        .current_dir(&site.root)
        .output()
        .expect("run");
    let said = serde_json::from_slice(&done.stdout).expect("JSON");
    (done.status.code().expect("code"), said)
}

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    copy_tree(from, to);
}

#[test]
fn every_tampering_with_a_run_is_found() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site_with(folder.path(), &[]);
    let submit = |party: &str, file: &str, dataset: &str| {
        let words = ["submit", file, "--dataset", dataset];
        site.must("hedui-agent", party, &words, &[0, 1]);
    };
    submit("office", "roll.csv", "roll");
    let before = site.root.join("police-before");
    copy_tree(&site.home("police"), &before);
    submit("police", "register.csv", "police");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    let exchange = site.exchange();
    assert_eq!(audited(&site, &exchange), (0, Vec::new()));

    let files = files_below(&exchange);
    let log = files.iter().filter(|path| path.extension().is_none());
    assert_eq!(log.count(), 3, "checkpoint, entries, tile");
    assert_eq!(
        files.len(),
        10,
        "kit, two submissions, two receipts, result, log, commitment"
    );
    let other = site.root.join("tampered");
    let mut seen = 0;
    for path in &files {
        let good = fs::read(path).expect("file");
        let name = path.strip_prefix(&exchange).expect("below");
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            Some(bytes)
        };
        let changes: [(&str, Option<Vec<u8>>); 8] = [
            ("first byte", flipped(0)),
            (
                "number in the header",
                flipped(
                    good.windows(4)
                        .position(|w| w == b"seq ")
                        .map_or(1, |at| at + 4),
                ),
            ),
            ("a byte of the body", flipped(good.len() / 2)),
            ("last byte", flipped(good.len() - 1)),
            ("cut off", Some(good[..good.len() - 1].to_vec())),
            ("lengthened", Some([&good[..], b"x"].concat())),
            ("emptied", Some(Vec::new())),
            ("taken away", None),
        ];
        for (what, bytes) in changes {
            copy(&exchange, &other);
            match bytes {
                Some(bytes) => fs::write(other.join(name), bytes).expect("written"),
                None => fs::remove_file(other.join(name)).expect("removed"),
            }
            let (code, rules) = audited(&site, &other);
            assert!(
                code == 1 && !rules.is_empty(),
                "{what}: {} goes unseen",
                path.display()
            );
            seen += 1;
        }
        if path.extension().is_none_or(|ending| ending != "hedui") {
            continue;
        }
        copy(&exchange, &other);
        fs::copy(path, other.join("again.hedui")).expect("copied");
        assert_eq!(audited(&site, &other), (1, vec!["twice".to_owned()]));
        seen += 1;
    }
    assert!(seen >= 30, "{seen} tamperings");

    // The same number for two deliveries: what a lost state folder or a dishonest department makes.
    let sent = super::sealed(&site, "submission-police").remove(0);
    let honest = site.root.join("honest");
    copy(&exchange, &honest);
    fs::remove_file(&sent).expect("removed");
    fs::remove_dir_all(site.home("police")).expect("removed");
    copy_tree(&before, &site.home("police"));
    fs::write(
        site.root.join("register.csv"),
        "姓名,身份证号\n张伟,422725196408150014\n",
    )
    .expect("register");
    submit("police", "register.csv", "police");
    let again = super::sealed(&site, "submission-police").remove(0);
    copy(&honest, &other);
    fs::copy(&again, other.join("second.hedui")).expect("copied");
    let (code, rules) = audited(&site, &other);
    assert!(
        code == 1 && rules.contains(&"number-twice".to_owned()),
        "{rules:?}"
    );
    let compared = Command::new(site.bins.join("hedui-audit"))
        .args(["compare", "--json", "honest", "exchange"])
        .current_dir(&site.root)
        .output()
        .expect("run");
    let said: serde_json::Value = serde_json::from_slice(&compared.stdout).expect("JSON");
    assert_eq!(
        said["differing"].as_array().map(Vec::len),
        Some(1),
        "{said}"
    );
    assert_eq!(compared.status.code(), Some(1));
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}
