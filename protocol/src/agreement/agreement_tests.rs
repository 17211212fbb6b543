//! Agreement: strictness, digest, signatures, validity. In: a small agreement. Out: passes, or names
//! the rule that was not kept.
//! Invariant under test: nothing unknown, unsigned or expired runs.

use super::*;
use crate::secret::Secret;

fn identity(name: &str, seed: u8) -> Identity {
    Identity::from_seed(Name::new(name).unwrap(), &Secret::new([seed; 64]))
}

fn sample() -> (String, [Identity; 2]) {
    let parties = [identity("office", 1), identity("centre", 2)];
    let mut toml = String::from(
        "version = 1\nname = 'demo'\npurpose = 'test'\nlegal_basis = 'test'\nlock = 'keyed'\n\
         valid_from = '2016-01-01'\nvalid_until = '2016-12-31'\n",
    );
    for (party, role) in parties.iter().zip(["department", "matcher"]) {
        let card = party.card();
        toml += &format!(
            "[[party]]\nname = '{}'\nrole = '{role}'\nsign = '{}'\nseal = '{}'\n",
            card.name,
            hex(&card.sign),
            hex(&card.seal)
        );
    }
    toml += "[[field]]\nname = 'id'\nkind = 'cn-resident-id'\n\
             [[field]]\nname = 'birth'\nkind = 'date'\nderive = 'id:birth'\n\
             [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n\
             [[match_key]]\nname = 'body'\nparts = ['id:body', 'birth']\nclass = 'B'\n\
             [[release]]\nkeys = ['id']\n\
             [[dataset]]\nname = 'roll'\nnumber = 1\nowner = 'office'\nkind = 'roll'\nrows_max = 9\n";
    (toml, parties)
}

#[test]
fn every_unknown_or_wrong_entry_is_refused_with_its_name() {
    let (good, _) = sample();
    assert!(Agreement::parse(&good).is_ok());
    for (from, to, word) in [
        ("purpose", "purpse", "did you mean `purpose`"),
        ("rows_max", "row_max", "did you mean `rows_max`"),
        (
            "'cn-resident-id'",
            "'cn-residentid'",
            "did you mean `cn-resident-id`",
        ),
        ("version = 1", "version = 2", "version 2"),
        ("'id:body'", "'id:bodi'", "did you mean `body`"),
        ("'id:body'", "'idd:body'", "did you mean `id`"),
        ("keys = ['id']", "keys = ['body']", "never less"),
        ("2016-12-31", "2015-12-31", "before"),
        ("2016-12-31", "2016-13-31", "valid_until"),
        ("number = 1", "number = 0", "number"),
        ("owner = 'office'", "owner = 'centre'", "no department"),
        ("kind = 'roll'", "kind = 'register'", "exactly one dataset"),
        ("role = 'matcher'", "role = 'reviewer'", "matcher"),
        ("legal_basis = 'test'", "legal_basis = ' '", "basis"),
        ("rows_max = 9", "rows_max = 0", "rows_max"),
    ] {
        let refusal = Agreement::parse(&good.replace(from, to))
            .err()
            .unwrap()
            .to_string();
        assert!(refusal.contains(word), "{from} -> {to}: {refusal}");
    }
}

#[test]
fn the_effective_text_shows_defaults_and_is_a_fixed_point() {
    let agreement = Agreement::parse(&sample().0).unwrap();
    assert!(agreement.effective().contains("multiplicity_cap = 5"));
    let again = Agreement::parse(agreement.effective()).unwrap();
    assert_eq!(again.effective(), agreement.effective());
    assert!(again.digest() == agreement.digest());
    let spelt = sample()
        .0
        .replace("valid_until", "multiplicity_cap = 5\nvalid_until");
    assert!(Agreement::parse(&spelt).unwrap().digest() == agreement.digest());
    let other = sample()
        .0
        .replace("valid_until", "multiplicity_cap = 6\nvalid_until");
    assert!(Agreement::parse(&other).unwrap().digest() != agreement.digest());
}

#[test]
fn unsigned_partly_signed_foreign_early_and_late_are_refused() {
    let (toml, [office, centre]) = sample();
    let agreement = Agreement::parse(&toml).unwrap();
    let both = agreement.sign(&office).unwrap() + &agreement.sign(&centre).unwrap();
    assert!(agreement.clone().in_force(&both, "2016-06-30").is_ok());
    let code = |signatures: &str, day: &str| {
        agreement
            .clone()
            .in_force(signatures, day)
            .err()
            .map(|refusal| refusal.exit_code())
    };
    assert_eq!(code("", "2016-06-30"), Some(23));
    assert_eq!(
        code(&agreement.sign(&office).unwrap(), "2016-06-30"),
        Some(23)
    );
    assert_eq!(code(&both, "2015-12-31"), Some(23));
    assert_eq!(code(&both, "2017-01-01"), Some(23));
    assert!(agreement.sign(&identity("office", 9)).is_err());
    let changed = Agreement::parse(&toml.replace("'test'", "'other'")).unwrap();
    assert!(changed.in_force(&both, "2016-06-30").is_err());
}
