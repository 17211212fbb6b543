//! What became of correction tickets, over several results. In: a register's row that has somebody's number and another's
//! name. Out: passes, or a ticket that ends or stays wrongly. Invariant under test: told once, due on a day, overdue after
//! it, corrected when a result holds it no more, open again if it comes back. Specification: docs/OPERATIONS.md, "Corrections".

use std::fs;

use hedui_tests::run::Site;
use serde_json::Value;

use super::{REGISTER, site};

fn round(site: &Site, register: &str, options: &[&str]) -> Value {
    fs::write(site.root.join("register.csv"), register).expect("register");
    site.must(
        "hedui-agent",
        "police",
        &["submit", "register.csv", "--dataset", "police"],
        &[0],
    );
    site.must("hedui-matcher", "centre", &["run"], &[0]);
    let args = [&["results", "--json"], options].concat();
    let done = site.must("hedui-agent", "office", &args, &[0]);
    let said: Value = serde_json::from_str(&done.stdout).expect("one JSON object");
    said["corrections"].clone()
}

#[test]
fn a_ticket_ends_when_the_register_is_corrected_and_opens_again_if_it_is_not() {
    let folder = tempfile::tempdir().expect("folder");
    let mut site = site(folder.path());
    site.must(
        "hedui-agent",
        "office",
        &["submit", "roll.csv", "--dataset", "roll"],
        &[0],
    );
    let wrong = REGISTER.replace("张伟;", "欧阳静;");
    assert_ne!(wrong, REGISTER);
    let figures = |said: &Value| -> Vec<u64> {
        let line = &said[0];
        let read = |name: &str| line[name].as_u64().expect("number");
        ["open", "told", "overdue", "corrected", "in_time"]
            .map(read)
            .to_vec()
    };
    // Found, and nobody told; told, with ten days; overdue after them.
    assert_eq!(figures(&round(&site, &wrong, &[])), [1, 0, 0, 0, 0]);
    let told = round(&site, &wrong, &["--send-tickets", "--ticket-days", "10"]);
    assert_eq!(figures(&told), [1, 1, 0, 0, 0]);
    let again = site.must("hedui-agent", "office", &["results"], &[0]);
    assert!(!again.stderr.contains("not sent"), "{}", again.stderr);
    site.must("hedui-agent", "police", &["tickets"], &[0]);
    let list = fs::read_to_string(site.root.join("tickets.csv")).expect("list");
    let line = list.lines().nth(1).expect("a row");
    assert!(
        line.starts_with("police,2,") && line.ends_with(",2026-01-12"),
        "{list}"
    );
    site.today = "2026-01-13".to_owned();
    assert_eq!(figures(&round(&site, &wrong, &[])), [1, 1, 1, 0, 0]);
    // By the place of the roll's row, here not said; the register and its owner.
    let villages = fs::read_to_string(site.root.join("results/核改统计.csv")).expect("list");
    assert!(
        villages.ends_with("未注明,未注明,police,police,1\n"),
        "{villages}"
    );
    // Corrected, too late; and back again.
    assert_eq!(figures(&round(&site, REGISTER, &[])), [0, 0, 0, 1, 0]);
    assert_eq!(figures(&round(&site, &wrong, &[])), [1, 1, 1, 0, 0]);
    // A damaged record is refused, and nothing is written over it.
    let state = site.home("office").join("state");
    let record = fs::read_dir(&state)
        .expect("state")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("corrections-"))
        .expect("record");
    let text = fs::read_to_string(&record).expect("record");
    for name in ["张伟", "欧阳静", "4227"] {
        assert!(!text.contains(name), "the record names somebody");
    }
    fs::write(&record, "{").expect("damaged");
    let refused = site.run("hedui-agent", "office", &["results"]);
    super::assert_refused(&refused, &[2], "a damaged record");
    assert_eq!(fs::read_to_string(&record).expect("record"), "{");
}
