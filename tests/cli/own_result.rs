//! The own result, on a few rows. In: a register whose owner is told which of its records were found, rules of the absent, a result with
//! a handle too few. Out: passes, or a person of the roll who is listed as absent, or a handle that nobody missed. Invariant under test:
//! an owner learns of its own records only, of the data that were compared, and who is on the roll is never listed.
//! Specification: protocol/SPEC.md, "Own result".

use std::fs;

use hedui_protocol::header::MessageType;
use hedui_tests::opened::open;

use super::disclosure::{ROWS, deliver, forge, json, round};
use super::{assert_refused, sealed, site_with};

#[test]
fn a_rule_of_the_absent_that_cannot_work_is_refused_before_anybody_signs() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site_with(folder.path(), &[]);
    fs::remove_file(site.agreement()).expect("removed");
    let rule = |register: &str, condition: &str| {
        format!(
            "version = 1\n[[rule]]\nname = 'look'\ncategory = 'c'\neffect = 'absent'\nclause = 'c'\nregisters = ['{register}']\n\
             where = \"{condition}\"\ndisproof = 'd'\n"
        )
    };
    let home = |party: &str| site.home(party).to_string_lossy().into_owned();
    let (office, police, centre) = (home("office"), home("police"), home("centre"));
    let parties = [
        "--roll",
        &office,
        "--department",
        &police,
        "--matcher",
        &centre,
    ];
    let ground = ["--purpose", "p", "--legal-basis", "l"];
    let rules = ["--own-result", "police", "--rules", "rules.toml"];
    let args = [
        &["agreement", "new", "--lock", "keyed"][..],
        &parties,
        &ground,
        &rules,
    ]
    .concat();
    for (text, code) in [
        (rule("police", "fact.colour == 'red'"), 2),
        (rule("polise", "today > 0"), 10),
        (rule("police", "today >"), 10),
        (
            rule("police", "today > 0").replace("where", "scope = 'true'\nwhere"),
            10,
        ),
    ] {
        fs::write(site.root.join("rules.toml"), &text).expect("rules");
        let refused = site.run("hedui-agent", "office", &args);
        assert_refused(&refused, &[code], &text);
        assert!(!site.agreement().exists(), "nothing is drafted");
    }
    fs::write(site.root.join("rules.toml"), rule("police", "today > 0")).expect("rules");
    site.must("hedui-agent", "office", &args, &[0]);
}

#[test]
fn an_owner_learns_which_of_its_own_were_found_and_no_more() {
    let folder = tempfile::tempdir().expect("folder");
    let rules = folder.path().join("absent.toml");
    fs::write(
        &rules,
        "version = 1\n[[rule]]\nname = 'look'\ncategory = '应保未保'\neffect = 'absent'\nclause = 'c'\n\
         registers = ['police']\nwhere = \"register == 'police'\"\ndisproof = 'd'\n",
    )
    .expect("rules");
    let rules = rules.to_string_lossy().into_owned();
    let site = round(
        folder.path(),
        &["--own-result", "police", "--rules", &rules],
    );
    let messages = sealed(&site, "own-result");
    assert_eq!(messages.len(), 1);
    let args = ["absent", "--dataset", "police", "--rules", &rules];
    let said = json(&site, "police", &args, &[0]);
    // Of four records three have a pair of some kind.
    assert_eq!(
        (said["absent"].as_u64(), said["lines"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(said["found"], 3);
    let list = fs::read_to_string(site.root.join("absent-police.csv")).expect("list");
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.contains("应保未保,police,4,"), "{list}");
    // The same run again tells the same; the roll's owner cannot read it.
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    assert_eq!(sealed(&site, "own-result").len(), 1);
    let refused = site.run("hedui-agent", "office", &args);
    assert_refused(&refused, &[2], "another party's register");
    // What the matcher tells is about the data that it compared.
    deliver(
        &site,
        &ROWS.replace("赵六;420525200101011235;2001-01-01\n", ""),
    );
    let refused = site.run("hedui-agent", "police", &args);
    assert_refused(&refused, &[75], "an earlier delivery");
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    assert_eq!(json(&site, "police", &args, &[0])["absent"], 0);
    // A newer one that was used and is held back is missed; so are canaries that were dropped.
    let newest = sealed(&site, "own-result").pop().expect("two");
    let (header, body) = open(&site, &newest, "police");
    fs::rename(&newest, site.root.join("held-back")).expect("held back");
    let refused = site.run("hedui-agent", "police", &args);
    assert_refused(&refused, &[17], "held back");
    fs::rename(site.root.join("held-back"), &newest).expect("given back");
    let len = u32::from_be_bytes(*body.first_chunk::<4>().expect("length")) as usize;
    let (head, table) = body.split_at(4 + len);
    let head = String::from_utf8(head[4..].to_vec()).expect("JSON");
    // One handle less than the matcher's: whichever it is, a record's or a canary's.
    let mut alarms = 0;
    for at in 0..table.len() / 16 {
        let short = [&table[..at * 16], &table[at * 16 + 16..]].concat();
        let rows = table.len() / 16;
        let json = head.replace(
            &format!("\"rows\":{rows}"),
            &format!("\"rows\":{}", rows - 1),
        );
        let len = u32::try_from(json.len()).expect("short").to_be_bytes();
        let body = [&len[..], json.as_bytes(), &short].concat();
        let told = (MessageType::OwnResult, "centre", "police");
        let path = forge(&site, told, (1000 + at as u64, None, header.log), &body);
        let done = site.run("hedui-agent", "police", &args);
        alarms += usize::from(done.code == 2 && done.stderr.contains("警示"));
        fs::remove_file(path).expect("removed");
        let state = site.home("police").join("state");
        let kept = fs::read_dir(&state)
            .expect("state")
            .flatten()
            .map(|entry| entry.path());
        let kept = kept.filter(|path| path.extension().is_some_and(|ending| ending == "seq"));
        kept.for_each(|path| fs::remove_file(path).expect("forgotten"));
    }
    assert_eq!(alarms, 8, "every canary that is left out is missed");
}
