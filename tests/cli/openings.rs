//! Putting persons on the roll who do not belong there, and how a reviewer finds it. In: a roll of forty, one of them stuffed in after the
//! commitment. Out: passes, or a person who was queried and never had to be shown. Invariant under test: what is opened is what was
//! committed to; who was matched and is not in it shows. docs/THREAT_MODEL.md, "Cheats"; protocol/SPEC.md, "Roll commitment".

use std::fs;
use std::process::Command;

use hedui_tests::county::people::number;
use hedui_tests::run::{Done, Site};

use super::{assert_refused, site};

/// Persons on the roll, all of them in the register too.
const PERSONS: u32 = 40;

fn roll(persons: u32) -> String {
    let mut text = "证件号码,姓名\n".to_owned();
    for n in 0..persons {
        let id = number(422_725, 19_600_101 + n % 28, n);
        text += &format!("{id},张伟\n");
    }
    text
}

fn audit(site: &Site, words: &[&str]) -> (i32, String) {
    let done = Command::new(site.bins.join("hedui-audit"))
        .args([
            "openings",
            "--commitment",
            "roll.commitment",
            "openings.json",
        ])
        .args(words)
        .current_dir(&site.root)
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    (done.status.code().expect("code"), said)
}

fn commitment(site: &Site) -> std::path::PathBuf {
    let mut all = fs::read_dir(site.exchange()).expect("folder").flatten();
    let found = all.find(|entry| entry.path().extension().is_some_and(|e| e == "commitment"));
    found.expect("a commitment").path()
}

fn drawn(site: &Site) -> Done {
    let draw = site.must(
        "hedui-matcher",
        "centre",
        &["draw", "--seed", "dice 3 1 6", "--count", "50"],
        &[0],
    );
    fs::write(site.root.join("draw.txt"), &draw.stdout).expect("written");
    draw
}

#[test]
fn a_stuffed_roll_is_found() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site(folder.path());
    let submit = |party: &str, file: &str, dataset: &str| {
        let words = ["submit", file, "--dataset", dataset];
        site.must("hedui-agent", party, &words, &[0, 1]);
    };
    fs::write(site.root.join("register.csv"), roll(PERSONS + 20)).expect("register");
    fs::write(site.root.join("roll.csv"), roll(PERSONS)).expect("roll");
    submit("office", "roll.csv", "roll");
    submit("police", "register.csv", "police");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    fs::copy(commitment(&site), site.root.join("roll.commitment")).expect("kept");

    // Honest: drawn from the commitment and from the matches, everybody is shown.
    assert!(drawn(&site).stdout.lines().count() >= 40);
    let open = [
        "open-roll",
        "--seed",
        "dice 3 1 6",
        "--count",
        "12",
        "--handles",
        "draw.txt",
    ];
    let into = [&open[..], &["--out", "exchange/openings.json"]].concat();
    assert_refused(
        &site.run("hedui-agent", "office", &into),
        &[64],
        "among sealed files",
    );
    site.must("hedui-agent", "office", &open, &[0]);
    let ask = [
        "--seed",
        "dice 3 1 6",
        "--count",
        "12",
        "--handles",
        "draw.txt",
    ];
    let (code, said) = audit(&site, &ask);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("张伟") && said.contains("40 人"), "{said}");
    // Another person in an opening, a place left out, other words: each is found.
    let honest = fs::read_to_string(site.root.join("openings.json")).expect("openings");
    for (what, changed) in [
        ("another name", honest.replacen("张伟", "王芳", 1)),
        (
            "another place",
            honest.replacen("\"index\": ", "\"index\": 1", 1),
        ),
        (
            "another handle",
            honest.replacen(
                "\"handles\": [\n        \"",
                "\"handles\": [\n        \"0",
                1,
            ),
        ),
    ] {
        assert_ne!(changed, honest, "{what}");
        fs::write(site.root.join("openings.json"), changed).expect("written");
        assert_eq!(audit(&site, &ask).0, 1, "{what}");
    }
    fs::write(site.root.join("openings.json"), &honest).expect("written");
    assert_eq!(
        audit(&site, &["--seed", "dice 6 6 6", "--count", "39"]).0,
        0,
        "all are open"
    );
    site.must(
        "hedui-agent",
        "office",
        &["open-roll", "--seed", "a", "--count", "3"],
        &[0],
    );
    assert_eq!(
        audit(&site, &["--seed", "b", "--count", "39"]).0,
        1,
        "another draw"
    );
    assert_refused(
        &site.run("hedui-agent", "office", &["open-roll"]),
        &[64],
        "nobody drawn",
    );

    assert_eq!(audit(&site, &[]).0, 64, "nothing drawn");
    fs::write(site.root.join("bare.txt"), "00".repeat(16)).expect("written");
    assert_eq!(
        audit(&site, &["--handles", "bare.txt"]).0,
        10,
        "no register"
    );

    // Stuffed: twenty more are queried than were committed to; the owner shows the commitment of before.
    fs::write(site.root.join("roll.csv"), roll(PERSONS + 20)).expect("roll");
    submit("office", "roll.csv", "roll");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    drawn(&site);
    site.must(
        "hedui-agent",
        "office",
        &["open-roll", "--handles", "draw.txt"],
        &[0],
    );
    // Opened from the stuffed roll it is another commitment; opened from the old one the matches are missing.
    let (code, said) = audit(&site, &["--handles", "draw.txt"]);
    assert!(code == 1 && said.contains("another roll"), "{said}");
    fs::write(site.root.join("openings.json"), &honest).expect("written");
    let (code, said) = audit(&site, &["--handles", "draw.txt"]);
    assert!(
        code == 1 && said.contains("not in the committed roll"),
        "{said}"
    );
}
