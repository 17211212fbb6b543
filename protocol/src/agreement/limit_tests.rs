//! Every number of an agreement at its limit and beyond. In: one good agreement and a change of it. Out: passes, or the
//! change that was judged wrongly.
//! Invariant under test: a limit admits what it names and nothing more; SPEC.md, "Agreement", "Limits".

use super::sample::{accepted, changed, comparison, fill, name, refused, sample};
use super::text::{LockKind, Oprf};
use super::*;
use crate::field::{FieldKind, Form};
use crate::filter::TokenKind;
use crate::limits::{
    COMPARISONS_MAX, DATASETS_MAX, FIELDS_MAX, MATCH_KEYS_MAX, PARTIES_MAX, RELEASES_MAX,
    TEXT_FILE_BYTES_MAX,
};

#[test]
fn every_count_is_admitted_up_to_its_limit() {
    let grow = |what: &str, text: &mut Text, count: usize| match what {
        "party" => fill(&mut text.party, count, |party, name, _| party.name = name),
        "field" => fill(&mut text.field, count, |field, name, _| field.name = name),
        "match_key" => fill(&mut text.match_key, count, |key, name, _| key.name = name),
        "release" => fill(&mut text.release, count, |_, _, _| ()),
        "comparison" => {
            fill(&mut text.field, 5 + count, |field, name, _| {
                field.name = name;
            });
            let fields = text.field.iter().skip(5).take(count);
            text.comparison = fields.map(|f| comparison(f.name.as_str())).collect();
        }
        _ => fill(&mut text.dataset, count, |dataset, name, number| {
            (dataset.name, dataset.number) = (name, number);
        }),
    };
    for (what, limit) in [
        ("party", PARTIES_MAX),
        ("field", FIELDS_MAX),
        ("match_key", MATCH_KEYS_MAX),
        ("release", RELEASES_MAX),
        ("comparison", COMPARISONS_MAX),
        ("dataset", DATASETS_MAX),
    ] {
        let at = changed(|text| grow(what, text, limit));
        assert!(at.is_ok(), "{what}: {:?}", at.err());
        let beyond = changed(|text| grow(what, text, limit + 1)).err();
        let (found, allowed) = (limit as u64 + 1, limit as u64);
        let expected = Refusal::Oversize {
            what,
            found,
            allowed,
        };
        assert_eq!(beyond, Some(expected), "{what}");
    }
}

#[test]
fn a_text_may_be_as_long_as_the_limit() {
    let mut toml = Agreement::from_text(sample())
        .unwrap()
        .effective()
        .to_owned();
    toml += "\n#";
    let room = usize::try_from(TEXT_FILE_BYTES_MAX).unwrap() - toml.len();
    toml += &" ".repeat(room);
    assert!(Agreement::parse(&toml).is_ok());
    toml.push(' ');
    let refusal = Agreement::parse(&toml).err().map(|r| r.exit_code());
    assert_eq!(refusal, Some(12));
}

#[test]
fn numbers_are_admitted_up_to_their_limits() {
    accepted(&[
        ("cap 1", |t| t.multiplicity_cap = 1),
        ("cap 20", |t| t.multiplicity_cap = 20),
        ("alone 1000", |t| t.alone_permille_max = Some(1000)),
        ("one family", |t| t.decision.families_to_match = 1),
        ("one row", |t| t.dataset[0].rows_max = 1),
        ("most rows", |t| t.dataset[0].rows_max = 2_000_000_000),
        ("one day", |t| t.valid_from = t.valid_until.clone()),
        ("a leap day", |t| t.valid_from = "2016-02-29".to_owned()),
    ]);
    refused(
        "multiplicity_cap",
        &[
            ("cap 0", |t| t.multiplicity_cap = 0),
            ("cap 21", |t| t.multiplicity_cap = 21),
        ],
    );
    refused(
        "alone_permille_max",
        &[("alone 1001", |t| {
            t.alone_permille_max = Some(1001);
        })],
    );
    refused(
        "families_to_match",
        &[("no family", |t| {
            t.decision.families_to_match = 0;
        })],
    );
    refused("`epoch`", &[("epoch 0", |t| t.epoch = 0)]);
    refused(
        "rows_max",
        &[
            ("no row", |t| t.dataset[0].rows_max = 0),
            ("too many rows", |t| t.dataset[1].rows_max = 2_000_000_001),
        ],
    );
    refused(
        "is before",
        &[("a day too late", |t| {
            t.valid_until = "2015-12-31".to_owned();
        })],
    );
    refused(
        "`valid_from` is not a date",
        &[
            ("no such day", |t| t.valid_from = "2015-02-29".to_owned()),
            ("short", |t| t.valid_from = "2016-1-01".to_owned()),
            ("other shape", |t| t.valid_from = "16-2001-01".to_owned()),
            ("dashes elsewhere", |t| {
                t.valid_from = "20160-1-01".to_owned()
            }),
            ("longer", |t| t.valid_from = "2016-01-01-".to_owned()),
        ],
    );
    refused(
        "purpose",
        &[("no purpose", |t| t.purpose = " \t".to_owned())],
    );
}

#[test]
fn digests_of_other_files_are_digests() {
    accepted(&[
        ("gazetteer", |t| t.gazetteer_sha256 = "0a".repeat(32)),
        ("rules", |t| t.rules_sha256 = "0a".repeat(32)),
    ]);
    refused(
        "gazetteer_sha256",
        &[
            ("short", |t| t.gazetteer_sha256 = "0a".repeat(31)),
            ("upper case", |t| t.gazetteer_sha256 = "0A".repeat(32)),
        ],
    );
    refused(
        "rules_sha256",
        &[("word", |t| t.rules_sha256 = "no".to_owned())],
    );
    let bytes = b"code,name\n";
    let digest = hex(&sha256(&[bytes]));
    let made = changed(|t| t.gazetteer_sha256 = digest.clone()).unwrap();
    assert!(made.is_gazetteer(bytes) && !made.is_gazetteer(b"") && !made.is_rules(bytes));
    let made = changed(|t| t.rules_sha256 = digest.clone()).unwrap();
    assert!(made.is_rules(bytes) && !made.is_rules(b"") && !made.is_gazetteer(bytes));
}

#[test]
fn parties_and_fields_are_named_once_and_are_what_they_say() {
    refused(
        "named twice",
        &[
            ("party", |t| {
                let again = t.party[0].clone();
                t.party.push(again);
            }),
            ("field", |t| {
                let again = t.field[2].clone();
                t.field.push(again);
            }),
            ("match key", |t| {
                let again = t.match_key[3].clone();
                t.match_key.push(again);
            }),
        ],
    );
    refused(
        "not usable",
        &[
            ("a short key", |t| t.party[0].sign = "00".to_owned()),
            ("a key of small order", |t| {
                t.party[0].sign = "00".repeat(32)
            }),
            ("a seal of small order", |t| {
                t.party[0].seal = "00".repeat(32)
            }),
        ],
    );
    refused(
        "exactly one party",
        &[
            ("no matcher", |t| t.party[1].role = Role::Reviewer),
            ("two matchers", |t| t.party[2].role = Role::Matcher),
        ],
    );
    refused(
        "derived field",
        &[("derived twice", |t| {
            t.field[4].derive = "birth".to_owned();
        })],
    );
    accepted(&[("derived once", |t| t.field[4].derive = "id".to_owned())]);
    refused(
        "no parts",
        &[("no parts", |t| t.match_key[0].parts.clear())],
    );
    refused(
        "match_key",
        &[("no key", |t| {
            t.match_key.clear();
            t.release.clear();
        })],
    );
}

#[test]
fn the_oprf_lock_has_as_many_custodians_as_it_needs() {
    fn custodians(text: &mut Text, count: usize, threshold: u32) {
        text.lock = LockKind::Oprf;
        text.oprf.threshold = threshold;
        text.party.truncate(3);
        fill(&mut text.party, 2 + count, |party, name, _| {
            party.name = name;
        });
    }
    accepted(&[
        ("2 of 2", |t| custodians(t, 2, 2)),
        ("2 of 3", |t| custodians(t, 3, 2)),
        ("3 of 3", |t| custodians(t, 3, 3)),
        ("9 of 9", |t| custodians(t, 9, 9)),
        ("dealt", |t| {
            custodians(t, 2, 2);
            t.oprf.dealer = "c1".to_owned();
        }),
        ("keyed", |t| t.oprf.threshold = 9),
    ]);
    refused(
        "custodian",
        &[
            ("1 of 2", |t| custodians(t, 2, 1)),
            ("2 of 1", |t| custodians(t, 1, 2)),
            ("3 of 2", |t| custodians(t, 2, 3)),
            ("2 of 10", |t| custodians(t, 10, 2)),
        ],
    );
    refused(
        "oprf.dealer",
        &[("dealer", |t| {
            t.lock = LockKind::Oprf;
            t.oprf = Oprf {
                threshold: 2,
                dealer: "office".to_owned(),
            };
        })],
    );
}

#[test]
fn a_key_that_allows_for_errors_never_decides_alone() {
    accepted(&[("class C", |t| t.match_key[1].class = KeyClass::C)]);
    refused(
        "allows for errors",
        &[
            ("class A", |t| t.match_key[1].class = KeyClass::A),
            ("alone", |t| t.match_key[1].parts.truncate(1)),
        ],
    );
    refused(
        "32400 values",
        &[("twice", |t| {
            t.match_key[1].parts[1] = "id:one-error".to_owned();
        })],
    );
    let made = Agreement::from_text(sample()).unwrap();
    let slip = &made.match_keys()[1];
    assert_eq!(
        (slip.fan_out(Side::Roll), slip.fan_out(Side::Register)),
        (180, 1)
    );
    assert_eq!(slip.parts[0].form, Form::OneError);
}

/// 1.1 values per row and key and 65,536, not more than the custodians will do; or what is stated.
#[test]
fn quotas_follow_the_rows_and_keys() {
    let made = |rows: u64, stated: u64| {
        let made = changed(|text| {
            for dataset in &mut text.dataset {
                (dataset.rows_max, dataset.evaluations_max) = (rows, stated);
            }
        });
        let made = made.unwrap();
        let of = |at: usize| made.evaluations_max(&made.text().dataset[at]);
        (of(0), of(1))
    };
    // Five keys of one value and one of 180 on the roll's side; six of one on a register's.
    assert_eq!(
        made(1000, 0),
        (185_000 + 18_500 + 65_536, 6_000 + 600 + 65_536)
    );
    assert_eq!(made(1_000_000_000, 0), (4_000_000, 2_000_000));
    assert_eq!(made(1000, 7), (7, 7));
    let made = changed(|text| {
        text.match_key.remove(1);
        text.dataset[0].rows_max = 1_000_000_000;
    });
    let made = made.unwrap();
    assert_eq!(made.values_per_record(made.roll()), 5);
    assert_eq!(made.evaluations_max(made.roll()), 2_000_000);
}

#[test]
fn people_read_titles_where_there_are_any() {
    let made = changed(|text| {
        text.party[0].title = "Office".to_owned();
        text.dataset[0].title = "Roll".to_owned();
    });
    let made = made.unwrap();
    assert_eq!(made.title_of(&name("office")), "Office");
    assert_eq!(made.title_of(&name("c1")), "c1");
    assert_eq!(made.title_of(&name("nobody")), "nobody");
    let titles = made.text().dataset.iter().map(Agreement::title_of_dataset);
    assert_eq!(titles.collect::<Vec<_>>(), ["Roll", "cars"]);
    assert_eq!(made.registers().map(|d| d.number).collect::<Vec<_>>(), [2]);
    assert_eq!(made.compared(), [&name("name"), &name("phone")]);
    assert!(made.dataset_or_nearest("cars").is_ok());
    let hint = made.dataset_or_nearest("carz").err().unwrap().to_string();
    assert!(hint.contains("did you mean `cars`?"), "{hint}");
}

/// The filter of two fields together has twice the bits and positions, and its bytes beside those of both views.
#[test]
fn filters_of_a_comparison_have_their_bytes() {
    let mut one = comparison("name");
    assert_eq!(one.bytes(), 64);
    one.also = Some(TokenKind::Shape);
    assert_eq!(one.bytes(), 128);
    one.exchange = Some(name("phone"));
    assert_eq!((one.both().bits, one.both().positions), (1024, 256));
    assert_eq!(one.bytes(), 256);
    one.also = None;
    assert_eq!(one.bytes(), 192);
}

#[test]
fn what_is_left_out_is_what_the_specification_says() {
    let made = Agreement::from_text(sample()).unwrap();
    for line in [
        "epoch = 1\n",
        "multiplicity_cap = 5\n",
        "retention_days = 90\n",
        "threshold = 2\n",
        "families_to_match = 2\n",
        "review_one_family = true\n",
        "review_one_family_against_a = false\n",
        "review_class_c = true\n",
        "bits = 512\npositions = 128\n",
        "pairs_max = 100000\nconfirm_conflicts = false\nmatch_bits = 4.3\nreview_bits = -3.0\n",
    ] {
        assert!(
            made.effective().contains(line),
            "{line}\n{}",
            made.effective()
        );
    }
    assert_eq!(made.fields()[0].kind, FieldKind::CnResidentId);
    assert_eq!(made.match_keys()[0].family, "id");
}
