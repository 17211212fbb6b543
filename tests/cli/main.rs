//! The command line: help and errors as snapshots, and more than 200 malformed inputs. In: broken files of
//! every kind. Out: passes, or the input that was not refused as it should be.
//! Invariant under test: a clear message, the right exit code, no panic, no partial output.

mod audit;
mod authorisation;
mod cells;
mod corrections;
mod disclosure;
mod likeness;
mod log;
mod malformed;
mod one_error;
mod openings;
mod own_result;
mod readiness;
mod refine;
mod rehearsal;
mod risk;
mod snapshots;

use std::path::PathBuf;

use hedui_tests::run::{Done, Site, build_binaries};

/// Persons that two departments know, in no particular style.
pub(crate) const ROLL: &str = "证件号码,姓名,出生日期,手机\n\
    422725196408150014,张伟,1964-08-15,13807171234\n\
    422725640815003,李秀英,19640815,13907171235\n\
    11010519491231002x,王芳,1949/12/31,13607171236\n";
pub(crate) const REGISTER: &str =
    "姓名;身份证号\n张伟;422725196408150014\n王芳;11010519491231002X\n赵六;420525200101011235\n";

/// A site with two departments, a matcher and a signed agreement.
pub(crate) fn site(folder: &std::path::Path) -> Site {
    site_with(folder, &[])
}

/// The same, with further options of `agreement new`.
pub(crate) fn site_with(folder: &std::path::Path, options: &[&str]) -> Site {
    let site = Site::new(folder, &build_binaries(), "2026-01-02");
    for party in ["office", "police", "centre"] {
        site.must("hedui-keys", party, &["new", party], &[0]);
    }
    let home = |party: &str| site.home(party).to_string_lossy().into_owned();
    let (office, police, centre) = (home("office"), home("police"), home("centre"));
    let new = [
        "agreement",
        "new",
        "--lock",
        "keyed",
        "--roll",
        &office,
        "--department",
        &police,
        "--matcher",
        &centre,
        "--purpose",
        "test",
        "--legal-basis",
        "test",
    ];
    let new = [&new[..], options].concat();
    site.must("hedui-agent", "office", &new, &[0]);
    site.must("hedui-agent", "police", &["agreement", "sign"], &[0]);
    site.must("hedui-agent", "centre", &["agreement", "sign"], &[0]);
    std::fs::write(site.root.join("roll.csv"), ROLL).expect("roll");
    std::fs::write(site.root.join("register.csv"), REGISTER).expect("register");
    site
}

/// A refusal must look like one: its exit code, a line in Chinese, advice, no panic, no person's value.
pub(crate) fn assert_refused(done: &Done, codes: &[i32], what: &str) {
    assert!(
        codes.contains(&done.code),
        "{what}: exit {} instead of {codes:?}\n{}\n{}",
        done.code,
        done.stdout,
        done.stderr
    );
    assert!(
        !done.stderr.contains("internal error"),
        "{what}: panic\n{}",
        done.stderr
    );
    let advice = done.code == 64 || done.stderr.contains("what to do");
    assert!(advice, "{what}: no advice\n{}", done.stderr);
    for value in [
        "422725196408150014",
        "19640815001",
        "张伟",
        "李秀英",
        "13807171234",
    ] {
        assert!(
            !done.stderr.contains(value),
            "{what}: a person's value in the message"
        );
        assert!(
            !done.stdout.contains(value),
            "{what}: a person's value in the output"
        );
    }
}

/// Sealed files of a kind in the exchange folder.
pub(crate) fn sealed(site: &Site, kind: &str) -> Vec<PathBuf> {
    hedui_tests::county_run::files_below(&site.exchange())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "hedui"))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            kind.is_empty() || name.starts_with(&format!("{kind}-"))
        })
        .collect()
}

/// The README's ten commands, taken from its text, in an empty folder.
#[test]
fn the_readmes_ten_commands_work_as_printed() {
    for readme in ["README.md", "README.zh-CN.md"] {
        let text =
            std::fs::read_to_string(hedui_tests::run::workspace().join(readme)).expect("README");
        let block = text
            .split("hedui-keys new office")
            .nth(1)
            .expect("the walk-through");
        let block = block.split("```").next().expect("its end");
        let joined = format!("hedui-keys new office{block}").replace("\\\n", " ");
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("roll.csv"), ROLL).expect("roll");
        std::fs::write(folder.path().join("register.csv"), REGISTER).expect("register");
        std::fs::write(folder.path().join("pw"), "correct horse battery staple\n")
            .expect("passphrase");
        let bins = build_binaries();
        let mut count = 0;
        for line in joined.lines().filter(|line| line.starts_with("hedui-")) {
            let command = line.split('#').next().unwrap_or_default();
            let mut words: Vec<&str> = Vec::new();
            for (at, part) in command.split('"').enumerate() {
                if at % 2 == 1 {
                    words.push(part)
                } else {
                    words.extend(part.split_whitespace())
                }
            }
            let bin = bins.join(words.remove(0));
            words.extend(["--passphrase-file", "pw"]);
            let done = hedui_tests::run::run(&bin, &words, folder.path());
            assert_eq!(done.code, 0, "{line}\n{}\n{}", done.stdout, done.stderr);
            count += 1;
        }
        assert_eq!(count, 10, "{readme}");
        let matches = std::fs::read_to_string(folder.path().join("results/matches.csv"));
        assert_eq!(matches.expect("matches").lines().count(), 3);
    }
}

/// The same with the agreement in one place, and what the reviewer sees.
#[test]
fn two_departments_link_their_files_and_a_reviewer_verifies_all() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path()); // 3 × new, draft (signs), 2 × sign: six commands
    site.must(
        "hedui-agent",
        "office",
        &["submit", "roll.csv", "--dataset", "roll"],
        &[0],
    );
    site.must(
        "hedui-agent",
        "police",
        &["submit", "register.csv", "--dataset", "police"],
        &[0],
    );
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    site.must("hedui-agent", "office", &["results"], &[0]);
    let matches = std::fs::read_to_string(site.root.join("results/matches.csv")).expect("matches");
    assert_eq!(
        matches.lines().count(),
        3,
        "two persons are in both files:\n{matches}"
    );
    assert!(matches.lines().skip(1).all(|line| line.contains(",match,")));
    assert!(matches.contains("2,police,") && matches.contains("4,police,"));
    let args = ["receipts", "--json", "--out", "receipts.xlsx"];
    let receipts = site.must("hedui-agent", "police", &args, &[0]);
    let mut book: calamine::Xlsx<_> =
        calamine::open_workbook(site.root.join("receipts.xlsx")).expect("workbook");
    let sheet = calamine::Reader::worksheet_range_at(&mut book, 0)
        .expect("sheet")
        .expect("range");
    let said: serde_json::Value = serde_json::from_str(&receipts.stdout).expect("JSON");
    let cell = |column| sheet.get_value((4, column)).map(ToString::to_string);
    assert_eq!(
        cell(6).as_deref(),
        Some("一致"),
        "compared with what was sent"
    );
    assert_eq!(
        cell(7).as_deref(),
        said[0]["header_sha256"].as_str(),
        "the sheet names the file that was acknowledged"
    );
    assert!(receipts.stdout.contains("\"dataset\":\"police\""));
    let audit = std::process::Command::new(site.bins.join("hedui-audit"))
        .args(["verify", "--agreement", "agreement.toml"])
        .args(sealed(&site, ""))
        .current_dir(&site.root)
        .status()
        .expect("audit");
    assert!(audit.success());
}
