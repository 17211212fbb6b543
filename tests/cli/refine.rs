//! The refinement round through the commands: out of order, with cut and foreign files, over the bound. In: two small
//! registers without a common identifier. Out: passes, or what was lost or not refused.
//! Invariant under test: a run never waits for answers; an answer counts only whole, from its side, for its request.
//! Specification: protocol/SPEC.md, "Refinement"; docs/OPERATIONS.md, "Refinement".

use std::fs;

use super::{sealed, site_with};

/// The same six persons with slips in names or dates, and strangers; no identity numbers.
const ROLL: &str = "姓名,出生日期,手机\n\
    张伟明,1964-08-15,13807171234\n\
    李秀英,1971-03-02,13907171235\n\
    王芳,1949-12-31,13607171236\n\
    赵六福,1980-05-06,13507171237\n\
    钱多多,1990-01-09,13407171238\n";
const REGISTER: &str = "姓名;出生日期;手机\n\
    张炜明;19640815;13807171234\n\
    李秀英;19710302;13907171299\n\
    王芳;19491231;13607171236\n\
    孙七;19800506;13307171237\n\
    周八;19900101;13207171238\n";

#[test]
fn the_round_refines_what_is_open_and_a_run_never_waits() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site_with(folder.path(), &["--refine"]);
    fs::write(site.root.join("roll.csv"), ROLL).expect("roll");
    fs::write(site.root.join("register.csv"), REGISTER).expect("register");
    let early = site.run("hedui-agent", "office", &["refine"]);
    super::assert_refused(&early, &[75], "nothing was asked yet");
    for (party, file, dataset) in [
        ("office", "roll.csv", "roll"),
        ("police", "register.csv", "police"),
    ] {
        let submit = ["submit", file, "--dataset", dataset];
        site.must("hedui-agent", party, &submit, &[0, 1]);
    }
    let run = || {
        site.must("hedui-matcher", "centre", &["run", "--json"], &[0])
            .stdout
    };
    let first = run();
    assert!(
        first.contains("\"refinement_waits_for\":[\"office\",\"police\"]"),
        "{first}"
    );
    assert_eq!(sealed(&site, "refine-request").len(), 2);
    assert_eq!(sealed(&site, "result").len(), 1, "a run never waits");

    site.must("hedui-agent", "office", &["refine"], &[0]);
    assert!(run().contains("\"refinement_waits_for\":[\"police\"]"));
    site.must("hedui-agent", "police", &["refine"], &[0]);
    // An answer that was cut is named, and waited for.
    let answers = sealed(&site, "refine-answer");
    let register = answers
        .iter()
        .find(|path| path.to_string_lossy().contains("police-register"))
        .expect("the register's answer");
    let whole = fs::read(register).expect("answer");
    fs::write(register, &whole[..whole.len() - 1]).expect("cut");
    assert!(run().contains("\"refinement_waits_for\":[\"police\"]"));
    fs::write(register, &whole).expect("whole again");
    // The same request again: the same answer, charged once.
    site.must("hedui-agent", "police", &["refine"], &[0]);
    assert_eq!(fs::read(register).expect("answer"), whole);
    let charged: Vec<_> = hedui_tests::county_run::files_below(&site.home("police"))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("/refined-"))
        .collect();
    let text = fs::read_to_string(&charged[0]).expect("charges");
    assert_eq!(
        (charged.len(), text.matches("snapshot").count()),
        (1, 1),
        "{text}"
    );

    let refined = run();
    assert!(refined.contains("\"refined\":[\"police\"]"), "{refined}");
    site.must("hedui-agent", "office", &["results"], &[0]);
    let matches = fs::read_to_string(site.root.join("results/matches.csv")).expect("matches");
    let weighed = |line: &&str| {
        line.rsplit(',')
            .next()
            .is_some_and(|bits| bits.contains('.'))
    };
    assert!(matches.lines().any(|line| weighed(&line)), "{matches}");
    for row in ["2", "3", "4"] {
        let found = matches
            .lines()
            .any(|line| line.starts_with(&format!("{row},police,")));
        assert!(found, "row {row}\n{matches}");
    }
    assert!(
        !matches
            .lines()
            .any(|line| line.starts_with("5,") || line.starts_with("6,"))
    );
}

#[test]
fn more_pairs_than_the_agreement_allows_are_not_answered() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site_with(folder.path(), &["--refine"]);
    // The same agreement with a smaller bound, signed anew by everybody.
    let path = site.root.join("agreement.toml");
    let text = fs::read_to_string(&path).expect("agreement");
    let small = text.replace("pairs_max = 100000", "pairs_max = 2048");
    assert_ne!(small, text);
    fs::write(&path, small).expect("written");
    for party in ["office", "police", "centre"] {
        site.must("hedui-agent", party, &["agreement", "sign"], &[0]);
    }
    fs::write(site.root.join("roll.csv"), ROLL).expect("roll");
    fs::write(site.root.join("register.csv"), REGISTER).expect("register");
    let submit = |party: &str, file: &str, dataset: &str| {
        let command = ["submit", file, "--dataset", dataset];
        site.must("hedui-agent", party, &command, &[0, 1])
    };
    submit("office", "roll.csv", "roll");
    submit("police", "register.csv", "police");
    // Every delivery makes another request of a quarter of the bound; the fifth is over it.
    let mut later = REGISTER.to_owned();
    for row in ["", "吴九", "郑十", "冯一"] {
        if !row.is_empty() {
            later += &format!("{row};19700707;13107171239\n");
            fs::write(site.root.join("register.csv"), &later).expect("register");
            submit("police", "register.csv", "police");
        }
        site.must("hedui-matcher", "centre", &["run"], &[0]);
        site.must("hedui-agent", "police", &["refine"], &[0]);
    }
    later += "陈二;19700707;13107171239\n";
    fs::write(site.root.join("register.csv"), later).expect("register");
    submit("police", "register.csv", "police");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    let done = site.run("hedui-agent", "police", &["refine"]);
    super::assert_refused(&done, &[12], "over the bound");
}
