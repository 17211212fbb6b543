//! What an agreement may say of likeness. In: texts of agreements. Out: passes, or the text that was
//! judged wrongly.
//! Invariant under test: every parameter that would compare what cannot be compared is refused. SPEC.md, "Record filters".

use super::*;

fn agreement(likeness: &str, class: &str) -> Result<Agreement, Refusal> {
    with_scope(&format!("scope = 'register'\n{likeness}"), class)
}

fn with_scope(likeness: &str, class: &str) -> Result<Agreement, Refusal> {
    let mut toml =
        "version = 1\nname = 'x'\npurpose = 'x'\nlegal_basis = 'x'\nvalid_from = '2016-01-01'\n\
         valid_until = '2016-12-31'\nlock = 'keyed'\n"
            .to_owned();
    for (seed, name, role) in [(1, "office", "department"), (2, "centre", "matcher")] {
        let name = Name::new(name).unwrap();
        let seed = crate::secret::Secret::new([seed; 64]);
        let identity = crate::identity::Identity::from_seed(name.clone(), &seed);
        let hex = crate::primitive::hex;
        let card = identity.card();
        let (sign, seal) = (hex(&card.sign), hex(&card.seal));
        toml += &format!(
            "[[party]]\nname = '{name}'\nrole = '{role}'\nsign = '{sign}'\nseal = '{seal}'\n"
        );
    }
    toml += "[[field]]\nname = 'id'\nkind = 'cn-resident-id'\n[[field]]\nname = 'name'\nkind = 'cn-name'\n\
         [[field]]\nname = 'phone'\nkind = 'phone'\n\
         [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n";
    toml += &format!("[[match_key]]\nname = 'key'\nparts = ['name']\nclass = '{class}'\n");
    toml += "[[release]]\nkeys = ['id']\n\
         [[dataset]]\nname = 'roll'\nnumber = 1\nowner = 'office'\nkind = 'roll'\nrows_max = 500\n";
    toml += &format!("[likeness]\n{likeness}");
    Agreement::parse(&toml)
}

const FIELD: &str = "[[likeness.field]]\nfield = 'name'\n";

#[test]
fn what_cannot_be_used_is_refused() {
    let good = format!("threshold = '0.85'\n{FIELD}");
    let made = agreement(&good, "B").unwrap();
    let (_, key) = made.likeness().unwrap();
    assert!(key.number == 3 && key.class == KeyClass::C);
    assert_eq!(made.evidence_keys().count(), 3);
    for bad in [
        format!("threshold = '0.85'\nbits = 256\n{FIELD}"),
        format!("threshold = '1.1'\n{FIELD}"),
        format!("threshold = '0'\n{FIELD}"),
        format!("threshold = '0.59'\n{FIELD}"),
        format!("threshold = '0.42'\nmeasure = 'jaccard'\n{FIELD}"),
        format!("threshold = '410'\nmeasure = 'hamming'\n{FIELD}"),
        format!("threshold = '5e-1'\n{FIELD}"),
        format!("threshold = '2000'\nmeasure = 'hamming'\n{FIELD}"),
        format!("threshold = '0.5'\nsections = true\n{FIELD}"),
        format!("threshold = '0.85'\n{FIELD}{FIELD}"),
        format!(
            "threshold = '0.85'\nsections = true\nbest = 10\n{FIELD}[[likeness.field]]\nfield = 'phone'\n"
        ),
        format!("threshold = '0.85'\n{FIELD}exchange = 'phone'\n"),
        format!("threshold = '0.85'\nsections = true\n{FIELD}tokens = 'sound'\npositions = 257\n"),
        "threshold = '0.85'\n[[likeness.field]]\nfield = 'phone'\ntokens = 'shape'\n".to_owned(),
        format!("threshold = '0.85'\nclass = 'A'\n{FIELD}"),
        format!("threshold = '0.85'\nclass = 'D'\n{FIELD}"),
        format!("threshold = '0.85'\nname = 'key'\n{FIELD}"),
        "threshold = '0.85'\n[[likeness.field]]\nfield = 'id'\n".to_owned(),
        "threshold = '0.85'\n[[likeness.field]]\nfield = 'nmae'\n".to_owned(),
        "threshold = '0.85'\nfield = []\n".to_owned(),
    ] {
        assert!(agreement(&bad, "B").is_err(), "{bad}");
    }
}

const BLOCK: &str =
    "scope = 'block'\nblock = 'key'\nharden = ['saul']\nmeasure = 'hamming'\nthreshold = '400'\n";

/// With scope block everything is fixed by what stands the attacks; with scope register hardeners are two, each once.
#[test]
fn scopes_have_parameters_of_their_own() {
    let phone = "[[likeness.field]]\nfield = 'phone'\n";
    let good = format!("{BLOCK}{phone}");
    let made = with_scope(&good, "D").unwrap();
    let (likeness, _) = made.likeness().unwrap();
    assert_eq!(likeness.block_key(&made).map(|key| key.number), Some(2));
    assert_eq!(
        (likeness.sent_bits(), likeness.block_fields(&made).len()),
        (1024, 1)
    );
    for (from, to) in [
        ("block = 'key'", "block = 'keys'"),
        ("block = 'key'\n", ""),
        ("['saul']", "[]"),
        ("['saul']", "['saul', 'balance']"),
        ("'hamming'", "'dice'"),
        ("'400'", "'410'"),
        ("'400'", "'+400'"),
        ("block = 'key'", "block = 'id'"),
        ("field = 'phone'", "field = 'name'"),
        ("field = 'phone'", "field = 'phone'\npositions = 10"),
        ("scope = 'block'", "scope = 'register'"),
        (
            "block = 'key'",
            "block = 'key'\nsections = true\nbest = 3\nclass = 'D'",
        ),
    ] {
        let bad = good.replace(from, to);
        assert!(bad != good && with_scope(&bad, "D").is_err(), "{bad}");
    }
    let register = |more: &str| {
        let text = format!("scope = 'register'\nthreshold = '0.85'\n{more}{FIELD}");
        with_scope(&text, "B").map(|made| made.likeness().unwrap().0.bytes())
    };
    assert_eq!(register("").ok(), Some(128));
    assert_eq!(register("harden = ['xor-fold']\n").ok(), Some(64));
    let hamming = "measure = 'hamming'\nthreshold = '200'\n";
    let balanced =
        format!("scope = 'register'\n{hamming}harden = ['xor-fold', 'balance']\n{FIELD}");
    let made = with_scope(&balanced, "B").unwrap();
    assert_eq!(made.likeness().unwrap().0.bytes(), 128);
    for bad in [
        "harden = ['balance']\n",
        "harden = ['balance', 'balance']\n",
        "harden = ['saul']\n",
        "harden = ['xor-fold']\nbits = 512\n",
        "harden = ['balance']\nbits = 4096\n",
        "every_record = true\n",
        "block = 'key'\n",
    ] {
        assert!(register(bad).is_err(), "{bad}");
    }
    let low = format!("scope = 'register'\nthreshold = '0.65'\nharden = ['balance']\n{FIELD}");
    assert!(with_scope(&low, "B").is_err());
}

/// A name in a class-B key and in the filter is one piece of evidence, not two.
#[test]
fn evidence_does_not_count_twice() {
    let b = format!("threshold = '0.85'\nclass = 'B'\n{FIELD}");
    assert!(agreement(&b, "B").is_err());
    assert!(agreement(&b, "C").is_ok());
    let phone = b.replace("'name'", "'phone'");
    assert!(agreement(&phone, "B").is_ok());
}
