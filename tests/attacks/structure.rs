//! Structure: what the pattern of equal tags says of a register's records to somebody who has all of it in clear and the matcher's tables,
//! but no key. In: the registers of the town, through the agent's own `check --risk`. Out: the share of records that stand alone. Invariant
//! under test: docs/KNOWN_ATTACKS.md, "Structure": few stand alone in any register; the bound that an agreement may name is kept.

use hedui_protocol::agreement::text::LockKind;
use hedui_tests::county::{Scale, generate, write};
use hedui_tests::county_run::{self, SUBMISSIONS, Stages, mapping_of};
use hedui_tests::run::{Site, build_binaries};

/// Records of a register that may stand alone, in thousandths: what docs/KNOWN_ATTACKS.md promises of the county's template.
const ALONE_PERMILLE_MAX: u64 = 1;

#[test]
fn few_records_stand_alone_by_their_pattern() {
    let folder = tempfile::tempdir().expect("folder");
    let site = Site::new(folder.path(), &build_binaries(), "2016-06-30");
    write::write(&generate(Scale::Town, 11), &site.root.join("county")).expect("written");
    county_run::set_up(&site, &mut Stages::new(&site, true), LockKind::Keyed, &[]);
    let (mut records, mut alone) = (0, 0);
    for (register, party) in SUBMISSIONS {
        let mapping = mapping_of(&site, register);
        let words = [
            "check",
            &mapping,
            "--gazetteer",
            "county/gazetteer.csv",
            "--risk",
            "--json",
        ];
        let done = site.must("hedui-agent", party, &words, &[0, 1]);
        let said: serde_json::Value = serde_json::from_str(&done.stdout).expect("one JSON object");
        let of = |name: &str| said["structure"][name].as_u64().expect("a count");
        println!(
            "{register}: {} records, rare bitmaps {}, alone by multiplicity {}, alone {}, in small groups {}",
            of("records"),
            of("rare_bitmaps"),
            of("alone_by_multiplicity"),
            of("alone"),
            of("in_small_groups")
        );
        assert!(of("alone_by_multiplicity") <= of("alone") && of("alone") <= of("in_small_groups"));
        records += of("records");
        alone += of("alone");
    }
    println!("{alone} of {records} records stand alone");
    assert!(records > 10_000, "{records} records");
    assert!(
        alone * 1000 <= records * ALONE_PERMILLE_MAX,
        "{alone} of {records}"
    );
}
