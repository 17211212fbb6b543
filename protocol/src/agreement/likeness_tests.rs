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

/// The sample agreement with sections that are weighed: two fields that can be exchanged, and one more.
fn sections(change: impl FnOnce(&mut Text)) -> Result<Agreement, Refusal> {
    super::super::sample::changed(|text| {
        text.comparison.clear();
        text.refine.as_mut().unwrap().by = RefineBy::Records;
        let likeness = "scope = 'register'\nclass = 'D'\nsections = true\nbest = 10\nthreshold = '0.5'\n\
             [[field]]\nfield = 'surname'\nexchange = 'name'\n[[field]]\nfield = 'name'\nexchange = 'surname'\n\
             [[field]]\nfield = 'phone'\n";
        text.likeness = Some(super::super::strict::parse("likeness", likeness).unwrap());
        change(text);
    })
}

fn part(text: &mut Text, at: usize) -> &mut LikenessField {
    &mut likeness_of(text).field[at]
}

fn likeness_of(text: &mut Text) -> &mut Likeness {
    text.likeness.as_mut().unwrap()
}

/// Thresholds pass at the least and most that each measure has, and not beyond.
#[test]
fn thresholds_are_admitted_up_to_their_bounds() {
    let register = |bound: &str, more: &str| {
        let text = format!("threshold = '{bound}'\n{more}{FIELD}");
        agreement(&text, "B").is_ok()
    };
    let jaccard = "measure = 'jaccard'\n";
    let hamming = "measure = 'hamming'\n";
    let folded = "harden = ['xor-fold']\n";
    let folded_jaccard = format!("{jaccard}{folded}");
    let folded_hamming = format!("{hamming}{folded}");
    for (least, below, more) in [
        ("0.6", "0.5999", ""),
        ("0.43", "0.4299", jaccard),
        ("0.7", "0.6999", folded),
        ("0.54", "0.5399", folded_jaccard.as_str()),
    ] {
        assert!(
            register(least, more) && register("1", more),
            "{least} {more}"
        );
        assert!(
            !register(below, more) && !register("1.01", more),
            "{below} {more}"
        );
    }
    for (most, beyond, more) in [
        ("409", "410", hamming),
        ("204", "205", folded_hamming.as_str()),
    ] {
        assert!(
            register(most, more) && !register(beyond, more),
            "{most} {more}"
        );
    }
    assert!(register("0.600000000", "") && !register("0.6000000000", ""));
    let weighed = |bound: &str, measure: Measure| {
        sections(|text| {
            likeness_of(text).threshold = bound.to_owned();
            likeness_of(text).measure = measure;
        })
        .is_ok()
    };
    assert!(weighed("0.35", Measure::Dice) && !weighed("0.3499", Measure::Dice));
    assert!(weighed("0.21", Measure::Jaccard) && !weighed("0.2099", Measure::Jaccard));
}

/// Sections are whole words of the filter, one a field; each passes at its least and most.
#[test]
fn sections_have_their_bits_and_candidates() {
    let made = sections(|_| ()).unwrap();
    let (likeness, key) = made.likeness().unwrap();
    assert_eq!(
        (likeness.section_bits(), key.class),
        (Some(256), KeyClass::D)
    );
    let fields = likeness.record_fields(&made);
    let places: Vec<_> = fields
        .iter()
        .map(|field| (field.key, field.section))
        .collect();
    assert_eq!(
        places,
        [
            (0, Some((0, 256))),
            (0, Some((256, 256))),
            (2, Some((512, 256)))
        ]
    );
    assert_eq!(made.compared().len(), 3);
    assert!(likeness.notice().contains("docs/KNOWN_ATTACKS.md"));
    let unweighed = agreement(&format!("threshold = '0.85'\n{FIELD}"), "B").unwrap();
    assert_eq!(unweighed.likeness().unwrap().0.section_bits(), None);
    let good = |change: fn(&mut Text)| sections(change).is_ok();
    assert!(good(|t| likeness_of(t).best = 1) && good(|t| likeness_of(t).best = 50));
    assert!(!good(|t| likeness_of(t).best = 0) && !good(|t| likeness_of(t).best = 51));
    assert!(good(|t| likeness_of(t).field.truncate(2)));
    assert!(!good(|t| {
        likeness_of(t).field.remove(0);
        likeness_of(t).field.truncate(1);
        part(t, 0).exchange = None;
    }));
    // Three fields of 512 bits have 128 each, of which a quarter are positions; nine of 512 have 32, which is no word.
    assert!(good(|t| likeness_of(t).bits = 512));
    assert!(good(|t| part(t, 2).positions = 64) && !good(|t| part(t, 2).positions = 65));
    assert!(good(|t| part(t, 2).positions = 1) && !good(|t| part(t, 2).positions = 0));
    let many = |count: usize| {
        sections(|text| {
            let phone = text.field[4].clone();
            for at in 3..count {
                let mut field = phone.clone();
                field.name = Name::new(&format!("phone-{at}")).unwrap();
                let mut part = part(text, 2).clone();
                part.field = field.name.clone();
                likeness_of(text).field.push(part);
                text.field.push(field);
            }
            likeness_of(text).bits = 512;
        })
    };
    assert!(many(8).is_ok() && many(9).is_err());
    assert!(!good(|t| t.refine.as_mut().unwrap().by = RefineBy::Pairs));
    assert!(!good(|t| likeness_of(t).class = KeyClass::C));
    assert!(!good(
        |t| t.refine.as_mut().unwrap().confirm_conflicts = true
    ));
    let compared = super::super::sample::comparison("name");
    assert!(sections(|t| t.comparison.push(compared)).is_err());
    assert!(!good(|t| likeness_of(t).harden = vec![Hardener::XorFold]));
}

/// Two fields that are exchanged name each other and are encoded alike.
#[test]
fn fields_are_exchanged_both_ways_and_alike() {
    let name = |text: &str| Some(Name::new(text).unwrap());
    for (what, good) in [
        ("one way", sections(|t| part(t, 0).exchange = None)),
        ("itself", sections(|t| part(t, 2).exchange = name("phone"))),
        ("a third", sections(|t| part(t, 2).exchange = name("name"))),
        ("nobody", sections(|t| part(t, 2).exchange = name("birth"))),
        ("positions", sections(|t| part(t, 0).positions = 14)),
        (
            "tokens",
            sections(|t| part(t, 0).tokens = Some(TokenKind::Sound)),
        ),
        (
            "kinds",
            sections(|t| {
                part(t, 0).exchange = name("phone");
                part(t, 1).exchange = None;
                part(t, 2).exchange = name("surname");
            }),
        ),
    ] {
        assert!(good.is_err(), "{what}");
    }
    assert!(
        sections(|t| {
            part(t, 0).exchange = None;
            part(t, 1).exchange = None;
        })
        .is_ok()
    );
}

/// What a key has of a field, itself or through what it derives from, counts for that field and for no other form of it.
#[test]
fn a_field_rests_on_what_it_comes_from() {
    let made = Agreement::from_text(super::super::sample::sample()).unwrap();
    let rests = |key: usize, field: &str| {
        let name = Name::new(field).unwrap();
        rests_on(made.text(), &made.match_keys()[key], &name)
    };
    assert!(rests(0, "id") && rests(0, "birth") && !rests(0, "name"));
    assert!(!rests(2, "id") && !rests(2, "birth"), "a part of a number");
    assert!(rests(3, "name") && rests(3, "birth") && !rests(3, "id"));
    assert!(!rests(5, "name"), "the sound of a name is not the name");
    assert!(!rests(0, "nobody"));
}

/// Several departures from a register's hardeners at once are not needed: each alone is refused.
#[test]
fn hardeners_of_a_register_are_each_used_once() {
    let hamming = "measure = 'hamming'\nthreshold = '100'\n";
    let made =
        |harden: &str| agreement(&format!("{hamming}harden = {harden}\n{FIELD}"), "B").is_ok();
    assert!(made("['balance']") && made("['xor-fold']") && made("['balance', 'xor-fold']"));
    assert!(!made("['xor-fold', 'xor-fold']") && !made("['xor-fold', 'balance', 'xor-fold']"));
    assert!(!made("['saul']") && !made("['balance', 'saul']"));
}
