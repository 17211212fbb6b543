//! Record filters through the commands where the two sides have different fields. In: a roll with names, a register of
//! identity numbers only. Out: passes, or a false alarm. Invariant under test: canaries are alike on both sides exactly
//! where both sides' records have likeness; a result without fault raises no alarm. SPEC.md, "Canaries".

use std::fs;

use super::site_with;

const TEMPLATE: &str = "version = 1\nname = 'x'\npurpose = ''\nlegal_basis = ''\nvalid_from = ''\nvalid_until = ''\n\
    [[field]]\nname = 'id'\nkind = 'cn-resident-id'\n[[field]]\nname = 'name'\nkind = 'cn-name'\n\
    [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n[[release]]\nkeys = ['id']\n\
    [likeness]\nscope = 'register'\nthreshold = '0.85'\n[[likeness.field]]\nfield = 'name'\n";

#[test]
fn a_register_without_the_fields_of_likeness_raises_no_alarm() {
    for (register, matched) in [
        ("身份证号\n422725196408150014\n420525195501010027\n", 2),
        (
            "身份证号,姓名\n422725196408150014,张伟\n420525195501010027,李秀英\n",
            2,
        ),
    ] {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("template.toml"), TEMPLATE).expect("template");
        let site = site_with(folder.path(), &["--template", "template.toml"]);
        let roll = "身份证号,姓名\n422725196408150014,张伟\n420525195501010027,李秀英\n";
        fs::write(site.root.join("roll.csv"), roll).expect("roll");
        fs::write(site.root.join("register.csv"), register).expect("register");
        for (party, file, dataset) in [
            ("office", "roll.csv", "roll"),
            ("police", "register.csv", "police"),
        ] {
            let submit = ["submit", file, "--dataset", dataset];
            site.must("hedui-agent", party, &submit, &[0]);
        }
        site.must("hedui-matcher", "centre", &["run"], &[0]);
        let done = site.must("hedui-agent", "office", &["results", "--json"], &[0]);
        let said: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
        assert_eq!(said["canary_alarms"], 0, "{}", done.stderr);
        assert_eq!(said["matches"], matched);
        assert!(said["unguarded"].as_array().expect("list").is_empty());
    }
}

/// A department that lost its state folder delivers again: the numbers of what it sent before are not used again, so that
/// the matcher takes the new delivery in.
#[test]
fn a_lost_state_folder_does_not_reuse_numbers() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site_with(folder.path(), &[]);
    for (party, file, dataset) in [
        ("office", "roll.csv", "roll"),
        ("police", "register.csv", "police"),
    ] {
        let submit = ["submit", file, "--dataset", dataset];
        site.must("hedui-agent", party, &submit, &[0, 1]);
    }
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    fs::remove_dir_all(site.home("police").join("state")).expect("the disk died");
    let submit = ["submit", "register.csv", "--dataset", "police"];
    site.must("hedui-agent", "police", &submit, &[0, 1]);
    assert_eq!(super::sealed(&site, "submission-police").len(), 2);
    site.must("hedui-matcher", "centre", &["run"], &[0]);
}

/// Likeness within blocks, and hardened record filters: a register's person without a number is found by a name with a slip
/// and the birth date; one whose number is there is not looked at again, unless the agreement says so.
#[test]
fn records_without_an_identifier_are_compared_within_their_block() {
    let head = "version = 1\nname = 'x'\npurpose = ''\nlegal_basis = ''\nvalid_from = ''\nvalid_until = ''\n\
        [decision]\nreview_one_family_against_a = true\n\
        [[field]]\nname = 'id'\nkind = 'cn-resident-id'\n[[field]]\nname = 'name'\nkind = 'person-name'\n\
        [[field]]\nname = 'birth'\nkind = 'date'\nderive = 'id:birth'\n[[field]]\nname = 'address'\nkind = 'text'\n\
        [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n[[release]]\nkeys = ['id']\n";
    let fields = "[[likeness.field]]\nfield = 'name'\n[[likeness.field]]\nfield = 'address'\n";
    let block = "[[match_key]]\nname = 'day'\nparts = ['birth']\nclass = 'D'\n[likeness]\nclass = 'B'\nscope = 'block'\nblock = 'day'\n\
        harden = ['saul']\nmeasure = 'hamming'\nthreshold = '350'\n";
    let every = format!("{block}every_record = true\n");
    let hardened = "[likeness]\nclass = 'B'\nscope = 'register'\nharden = ['xor-fold', 'balance']\nthreshold = '0.7'\n";
    let roll = "身份证号,name,address\n422725196408150014,john smithers,12 long meadow road\n\
        420525195501010027,mary watson,3 church lane\n420525197003030040,eve stone,9 hill view\n";
    // John has no number here and another spelling; Mary's number is another's; Eve is a stranger born on another day.
    let register = "身份证号,name,birth,address\n,jon smithers,1964-08-15,12 long meadow road\n\
        420525195501010043,mary watson,1955-01-01,3 church lane\n,eve stone,1971-03-03,9 hill view\n";
    for (likeness, found) in [(block, 1), (&every, 2), (hardened, 3)] {
        let folder = tempfile::tempdir().expect("folder");
        let template = format!("{head}{likeness}{fields}");
        fs::write(folder.path().join("template.toml"), template).expect("template");
        let site = site_with(folder.path(), &["--template", "template.toml"]);
        fs::write(site.root.join("roll.csv"), roll).expect("roll");
        fs::write(site.root.join("register.csv"), register).expect("register");
        for (party, file, dataset) in [
            ("office", "roll.csv", "roll"),
            ("police", "register.csv", "police"),
        ] {
            let submit = ["submit", file, "--dataset", dataset];
            site.must("hedui-agent", party, &submit, &[0]);
        }
        site.must("hedui-matcher", "centre", &["run"], &[0]);
        let done = site.must("hedui-agent", "office", &["results", "--json"], &[0]);
        let said: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
        assert_eq!(said["canary_alarms"], 0, "{likeness}: {}", done.stderr);
        assert_eq!(said["matches"], 0, "{likeness}");
        assert_eq!(said["reviews"], found, "{likeness}: {said}");
    }
}
