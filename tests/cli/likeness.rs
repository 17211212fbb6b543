//! Record filters through the commands where the two sides have different fields. In: a roll with names, a register of
//! identity numbers only. Out: passes, or a false alarm. Invariant under test: canaries are alike on both sides exactly
//! where both sides' records have likeness; a result without fault raises no alarm. SPEC.md, "Canaries".

use std::fs;

use hedui_tests::opened;
use hedui_tests::run::Site;

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
        let said = compared(&site, roll, register);
        assert_eq!(said["matches"], matched);
        assert!(said["unguarded"].as_array().expect("list").is_empty());
    }
}

/// Submits both sides, compares, and returns what the roll's owner is told; no canary alarm.
fn compared(site: &Site, roll: &str, register: &str) -> serde_json::Value {
    fs::write(site.root.join("roll.csv"), roll).expect("roll");
    fs::write(site.root.join("register.csv"), register).expect("register");
    submit_both(site, &[0]);
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    let done = site.must("hedui-agent", "office", &["results", "--json"], &[0]);
    let said: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
    assert_eq!(said["canary_alarms"], 0, "{}", done.stderr);
    said
}

fn submit_both(site: &Site, codes: &[i32]) {
    for (party, file, dataset) in [
        ("office", "roll.csv", "roll"),
        ("police", "register.csv", "police"),
    ] {
        let submit = ["submit", file, "--dataset", dataset];
        site.must("hedui-agent", party, &submit, codes);
    }
}

/// A department that lost its state folder delivers again: the numbers of what it sent before are not used again, so that
/// the matcher takes the new delivery in.
#[test]
fn a_lost_state_folder_does_not_reuse_numbers() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site_with(folder.path(), &[]);
    submit_both(&site, &[0, 1]);
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
    let hardened = "[likeness]\nclass = 'B'\nscope = 'register'\nharden = ['xor-fold', 'balance']\nmeasure = 'hamming'\nthreshold = '250'\n";
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
        let said = compared(&site, roll, register);
        assert_eq!(said["matches"], 0, "{likeness}");
        assert_eq!(said["reviews"], found, "{likeness}: {said}");
    }
}

/// A block of more records than the cap is none: not only its tags are fillers, its filters cannot be compared either, and the
/// canaries lose the bit that all others lose.
#[test]
fn a_block_of_too_many_is_not_comparable() {
    let folder = tempfile::tempdir().expect("folder");
    let template = "version = 1\nname = 'x'\npurpose = ''\nlegal_basis = ''\nvalid_from = ''\nvalid_until = ''\n\
        [[field]]\nname = 'id'\nkind = 'exact'\n[[field]]\nname = 'name'\nkind = 'person-name'\n[[field]]\nname = 'birth'\nkind = 'date'\n\
        [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n[[match_key]]\nname = 'day'\nparts = ['birth']\nclass = 'D'\n\
        [[release]]\nkeys = ['id']\n[likeness]\nscope = 'block'\nblock = 'day'\nharden = ['saul']\nmeasure = 'hamming'\nthreshold = '370'\n\
        [[likeness.field]]\nfield = 'name'\n";
    fs::write(folder.path().join("template.toml"), template).expect("template");
    let site = site_with(folder.path(), &["--template", "template.toml"]);
    let people: String = (0..60)
        .map(|n| format!(",anna lee {},1900-01-01\n", char::from(b'a' + n % 26)))
        .collect();
    let register = format!("id,name,birth\n{people}7,rare one,1955-05-05\n");
    fs::write(site.root.join("register.csv"), register).expect("register");
    let roll = "id,name,birth\n7,rare one,1955-05-05\n8,anna lee a,1900-01-01\n";
    fs::write(site.root.join("roll.csv"), roll).expect("roll");
    submit_both(&site, &[0, 1]);
    let (_, body) = opened::open(
        &site,
        &super::sealed(&site, "submission-police")[0],
        "centre",
    );
    let table = |name: &str| rows_of(&body, name);
    let filters: Vec<Vec<u8>> = table("filters");
    for (at, one) in filters.iter().enumerate().step_by(7) {
        for other in &filters[at + 1..] {
            let bits = one[16..].iter().zip(&other[16..]);
            let apart: u32 = bits.map(|(a, b)| (a ^ b).count_ones()).sum();
            assert!(
                apart > 390,
                "two filters of one side differ in {apart} bits only"
            );
        }
    }
    // Bits: id 1, day 2, likeness 4. Nearly nobody has a block, and so nobody shows one.
    let with_block = table("presence")
        .iter()
        .filter(|row| row[17] & 2 != 0)
        .count();
    let all = table("presence").len();
    assert!(with_block * 10 < all, "{with_block} of {all}");
}

/// Rows of a table of a submission.
fn rows_of(body: &[u8], name: &str) -> Vec<Vec<u8>> {
    use hedui_protocol::message::{Layout, manifest_len, parse_manifest, submission};
    let len = manifest_len(*body.first_chunk().expect("length")).expect("length");
    let manifest: submission::Manifest =
        parse_manifest("submission", &body[4..4 + len]).expect("manifest");
    let layout = Layout::new(len as u64, &manifest.tables).expect("layout");
    let (table, start) = layout.table(name).expect("table");
    let (start, width) = (
        usize::try_from(*start).expect("small"),
        table.width as usize,
    );
    let rows = body[start..].chunks(width);
    rows.take(usize::try_from(table.rows).expect("small"))
        .map(<[u8]>::to_vec)
        .collect()
}
