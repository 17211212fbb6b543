//! Snapshots of help and usage errors. In: command lines. Out: passes, or the text that changed; with
//! `HEDUI_BLESS=1` the new texts are written. Invariant under test: exit codes, and words that people read,
//! change on purpose only.

use std::fs;

use hedui_tests::run::{build_binaries, run, workspace};

#[test]
fn help_and_usage_errors_are_as_reviewed() {
    let bins = build_binaries();
    let mut out = String::new();
    for (bin, args) in [
        ("hedui-keys", &["--help"][..]),
        ("hedui-keys", &["nwe", "x"]),
        ("hedui-agent", &["--help"]),
        ("hedui-agent", &["agreement", "--help"]),
        ("hedui-agent", &["submit", "--help"]),
        ("hedui-agent", &["submit", "x.csv", "--exchagne", "y"]),
        ("hedui-agent", &["submt"]),
        ("hedui-agent", &["agreement", "show"]),
        ("hedui-agent", &["agreement", "new", "--roll", "x"]),
        ("hedui-matcher", &["--help"]),
        ("hedui-matcher", &["run", "--help"]),
        ("hedui-audit", &["--help"]),
        ("hedui-audit", &["show", "missing.hedui"]),
        ("hedui-desk", &["--help"]),
        ("hedui-desk", &["conclude", "--help"]),
        ("hedui-desk", &["list", "--stage", "clsoed"]),
        ("hedui-desk", &["approve"]),
        ("hedui-desk", &["take", "clues.json"]),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        let done = run(&bins.join(bin), args, folder.path());
        out += &format!(
            "$ {bin} {}\n[exit {}]\n{}{}\n",
            args.join(" "),
            done.code,
            done.stdout,
            done.stderr
        );
    }
    let path = workspace().join("tests/cli/help.txt");
    if std::env::var_os("HEDUI_BLESS").is_some() {
        fs::write(&path, &out).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(out == expected, "help changed; review and bless:\n{out}");
}
