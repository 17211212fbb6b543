//! The rules of an agreement, each kept and just not kept. In: one good agreement and a change of it. Out: passes, or the
//! change that was judged wrongly.
//! Invariant under test: what could not be run, or would release too much, is refused; SPEC.md, "Agreement".

use super::sample::{accepted, comparison, name, refused, sample};
use super::text::{DatasetKind, Fact, FactKind, Release, Text};
use super::*;
use crate::filter::{FilterSpec, TokenKind};

#[test]
fn a_payload_is_released_by_an_identifier_or_by_two_families() {
    fn released(text: &mut Text, keys: &[&str]) {
        text.release = vec![Release {
            keys: keys.iter().map(|key| name(key)).collect(),
        }];
    }
    accepted(&[
        ("two families", |t| released(t, &["person", "body"])),
        ("a key of two families", |t| {
            t.match_key[3].family = "person + name".to_owned();
            released(t, &["person"]);
        }),
        ("an identifier and more", |t| released(t, &["id", "body"])),
        ("nothing is released", |t| t.release.clear()),
    ]);
    refused(
        "never less",
        &[
            ("one family", |t| released(t, &["person"])),
            ("one family twice", |t| released(t, &["slip", "body"])),
            ("class C beside", |t| released(t, &["id", "phone"])),
            ("class D beside", |t| released(t, &["id", "sound"])),
        ],
    );
    refused(
        "distinct",
        &[
            ("none", |t| released(t, &[])),
            ("twice", |t| released(t, &["id", "id"])),
        ],
    );
    refused(
        "did you mean `person`?",
        &[
            ("unknown", |t| released(t, &["id", "persn"])),
            ("contradicting", |t| {
                t.decision.contradicting = vec![name("persn")];
            }),
        ],
    );
    accepted(&[("contradicting", |t| {
        t.decision.contradicting = vec![name("person")];
    })]);
    let made = Agreement::from_text(sample()).unwrap();
    assert_eq!(made.releases(), [vec![0], vec![3, 2]]);
}

#[test]
fn comparisons_are_of_fields_that_can_be_compared() {
    accepted(&[
        ("exchanged", |t| {
            t.comparison = vec![comparison("surname"), comparison("name")];
            t.comparison[0].exchange = Some(name("name"));
        }),
        ("two views", |t| {
            t.comparison[0].tokens = Some(TokenKind::Sound);
            t.comparison[0].also = Some(TokenKind::Shape);
        }),
        ("longest", |t| t.comparison[0].filter.bits = 2048),
        ("shortest", |t| {
            t.comparison[0].filter = FilterSpec {
                bits: 64,
                positions: 32,
            };
        }),
        ("fewest positions", |t| t.comparison[0].filter.positions = 8),
    ]);
    refused(
        "no such field, or named twice",
        &[
            ("unknown", |t| t.comparison[0] = comparison("nobody")),
            ("twice", |t| t.comparison[0] = comparison("phone")),
        ],
    );
    refused(
        "identity numbers",
        &[("number", |t| {
            t.comparison[0] = comparison("id");
        })],
    );
    refused(
        "another comparison",
        &[
            ("with itself", |t| {
                t.comparison[0].exchange = Some(name("name"))
            }),
            ("not compared", |t| {
                t.comparison[0].exchange = Some(name("birth"))
            }),
        ],
    );
    refused(
        "in Han characters",
        &[
            ("tokens", |t| {
                t.comparison[1].tokens = Some(TokenKind::Sound)
            }),
            ("also", |t| t.comparison[1].also = Some(TokenKind::Han)),
        ],
    );
    refused(
        "the view that it has already",
        &[("again", |t| {
            t.comparison[0].tokens = Some(TokenKind::Shape);
            t.comparison[0].also = Some(TokenKind::Shape);
        })],
    );
    refused(
        "power of two",
        &[
            ("longer", |t| t.comparison[0].filter.bits = 4096),
            ("shorter", |t| {
                t.comparison[0].filter = FilterSpec {
                    bits: 32,
                    positions: 8,
                };
            }),
            ("no power", |t| t.comparison[0].filter.bits = 768),
            ("few positions", |t| t.comparison[0].filter.positions = 7),
            ("many positions", |t| t.comparison[0].filter.positions = 257),
        ],
    );
}

#[test]
fn refinement_has_bounds_that_can_be_kept() {
    fn bits(text: &mut Text, upper: f64, lower: f64) {
        let refine = text.refine.as_mut().unwrap();
        (refine.match_bits, refine.review_bits) = (upper, lower);
    }
    fn pairs(text: &mut Text, most: u64) {
        text.refine.as_mut().unwrap().pairs_max = most;
    }
    accepted(&[
        ("widest", |t| bits(t, 100.0, -100.0)),
        ("nothing for review", |t| bits(t, 1.5, 1.5)),
        ("lowest", |t| bits(t, -100.0, -100.0)),
        ("fewest pairs", |t| pairs(t, 2048)),
    ]);
    refused(
        "within 100 bits",
        &[
            ("above", |t| bits(t, 100.5, 0.0)),
            ("below", |t| bits(t, 0.0, -100.5)),
            ("crossed", |t| bits(t, 1.0, 1.5)),
            ("no number", |t| bits(t, f64::NAN, 0.0)),
            ("no lower number", |t| bits(t, 0.0, f64::NEG_INFINITY)),
            ("too few pairs", |t| pairs(t, 2047)),
        ],
    );
    refused(
        "without any",
        &[("nothing is compared", |t| {
            t.comparison.clear();
        })],
    );
    refused("class D", &[("nothing refines", |t| t.refine = None)]);
    accepted(&[("nothing to refine", |t| {
        t.refine = None;
        t.match_key.pop();
    })]);
    refused(
        "sections",
        &[("by records", |t| {
            t.comparison.clear();
            t.refine.as_mut().unwrap().by = text::RefineBy::Records;
        })],
    );
}

#[test]
fn datasets_are_told_apart_and_owned_by_departments() {
    refused(
        "used twice",
        &[
            ("name", |t| t.dataset[1].name = name("roll")),
            ("number", |t| t.dataset[1].number = 1),
            ("number 0", |t| t.dataset[1].number = 0),
        ],
    );
    refused(
        "no department",
        &[
            ("stranger", |t| t.dataset[1].owner = name("nobody")),
            ("custodian", |t| t.dataset[1].owner = name("c1")),
        ],
    );
    refused(
        "exactly one dataset",
        &[
            ("two rolls", |t| t.dataset[1].kind = DatasetKind::Roll),
            ("no roll", |t| t.dataset[0].kind = DatasetKind::Register),
        ],
    );
    accepted(&[
        ("a roll that repeats", |t| t.dataset[0].repeats = true),
        ("one to one", |t| t.dataset[1].one_to_one = true),
    ]);
    refused(
        "repeats",
        &[
            ("a register that repeats", |t| t.dataset[1].repeats = true),
            ("one to one with it", |t| {
                t.dataset[0].repeats = true;
                t.dataset[1].one_to_one = true;
            }),
        ],
    );
    accepted(&[("a number", |t| {
        t.dataset[1].fact.push(Fact {
            name: name("count"),
            kind: FactKind::Integer,
            codes: Vec::new(),
        });
    })]);
    refused(
        "`codes` do not fit",
        &[
            ("twice", |t| {
                let again = t.dataset[1].fact[0].clone();
                t.dataset[1].fact.push(again);
            }),
            ("a code without words", |t| {
                t.dataset[1].fact[0].codes.clear()
            }),
            ("words of a date", |t| {
                t.dataset[1].fact[0].kind = FactKind::Date
            }),
        ],
    );
}
