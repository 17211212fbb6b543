//! The structure of a delivery: measured before it leaves, refused above what the agreement allows. In: registers of a few
//! records. Out: passes, or a delivery that should not have left. Invariant under test: nothing lies in the exchange folder
//! after a refusal. Specification: docs/OPERATIONS.md, "Structure"; protocol/SPEC.md, "Agreement".

use std::fs;

use super::{assert_refused, sealed, site_with};

/// Six records that share nothing, one of them without a name: it alone has no key of names.
const REGISTER: &str = "姓名,身份证号\n张伟,422725196408150014\n王芳,11010519491231002X\n赵六,420525200101011235\n\
    钱七,110105194912310038\n孙八,110105194912310046\n,110105194912310054\n";

#[test]
fn more_lonely_records_than_agreed_are_not_delivered() {
    let folder = tempfile::tempdir().expect("folder");
    let site = site_with(folder.path(), &["--alone-permille-max", "100"]);
    fs::write(site.root.join("register.csv"), REGISTER).expect("register");
    let check = [
        "check",
        "register.csv",
        "--dataset",
        "police",
        "--risk",
        "--json",
    ];
    let said = site.run("hedui-agent", "police", &check);
    assert_eq!(said.code, 2, "{}{}", said.stdout, said.stderr);
    let found: serde_json::Value = serde_json::from_str(&said.stdout).expect("one JSON object");
    assert_eq!(found["structure"]["records"], 6);
    assert_eq!(found["structure"]["alone"], 1);
    assert_refused(&said, &[2], "check");

    site.must(
        "hedui-agent",
        "office",
        &["submit", "roll.csv", "--dataset", "roll"],
        &[0],
    );
    let submit = ["submit", "register.csv", "--dataset", "police"];
    let refused = site.run("hedui-agent", "police", &submit);
    assert_refused(&refused, &[2], "submit");
    assert!(sealed(&site, "submission-police").is_empty());

    // With a name it is one of six that are all alike.
    let whole = REGISTER.replace("\n,11", "\n李九,11");
    fs::write(site.root.join("register.csv"), whole).expect("register");
    site.must("hedui-agent", "police", &submit, &[0]);
}
