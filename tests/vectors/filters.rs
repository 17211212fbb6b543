//! Vectors of filters: tokens, filters of pairs, of records and of blocks, hardeners. In: fixed values. Out: a scenario.
//! Invariant: every kind of filter and every hardener of SPEC.md has vectors, records without values among them.
//! Specification: protocol/SPEC.md, "Filters", "Record filters".

use hedui_protocol::field::{FieldKind, Normal};
use hedui_protocol::filter::block::{BlockEncoder, BlockField};
use hedui_protocol::filter::encode::{FilterSpec, PairKey};
use hedui_protocol::filter::harden::Hardener;
use hedui_protocol::filter::record::{RecordEncoder, RecordField};
use hedui_protocol::filter::{TokenKind, Tokens};
use hedui_protocol::secret::Secret;
use serde_json::{Value, json};

use super::evidence::normal;
use super::scenario::{Scenario, h};

fn token_list(kind: TokenKind, field: FieldKind, raw: &str) -> Vec<String> {
    let tokens = kind.tokens(field, &normal(field, raw));
    tokens.iter().map(str::to_owned).collect()
}

fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn filters() -> Scenario {
    let mut out = Scenario::new("filters");
    for (word, kind, field, values) in [
        (
            "bigrams",
            TokenKind::Bigrams,
            FieldKind::Text,
            [
                "anna",
                "ananananananananananananan",
                "a",
                "12 long meadow road",
            ],
        ),
        (
            "digits",
            TokenKind::Digits,
            FieldKind::Date,
            ["1964-08-15", "2016-01-01", "1900-12-31", "2000-02-29"],
        ),
        (
            "whole",
            TokenKind::Whole,
            FieldKind::Text,
            ["a", "anna", "x y", "12"],
        ),
    ] {
        for raw in values {
            let value = normal(field, raw).value.expect("a value");
            let tokens = token_list(kind, field, raw);
            out.gives(
                &format!("{word} of {raw}"),
                "tokens",
                json!({"kind": word, "value": value}),
                json!({"tokens": tokens}),
            );
        }
    }
    let text =
        |raw: &str| TokenKind::Bigrams.tokens(FieldKind::Text, &normal(FieldKind::Text, raw));
    for (one, other) in [("li", "lin"), ("anna", "hannah"), ("aaaa", "aaa")] {
        let both = Tokens::together(&text(one), &text(other));
        let list = |tokens: &Tokens| tokens.iter().map(str::to_owned).collect::<Vec<_>>();
        let input = json!({"one": list(&text(one)), "other": list(&text(other))});
        out.gives(
            &format!("{one} and {other}"),
            "together",
            input,
            json!({"tokens": list(&both)}),
        );
    }
    let names = ["anna", "bartholomew", "", "li"];
    for (bits, positions) in [(256, 64), (64, 8), (2048, 512)] {
        let spec = FilterSpec { bits, positions };
        for (number, raw) in (0_u8..).zip(names) {
            let mut filter = vec![0; spec.bytes()];
            PairKey::new(Secret::new([6; 32])).encode(number, &spec, &text(raw), &mut filter);
            let tokens: Vec<String> = text(raw).iter().map(str::to_owned).collect();
            let input = json!({"key": h([6; 32]), "number": number, "bits": bits, "positions": positions, "tokens": tokens});
            out.gives(
                &format!("pair, {bits} bits, {number}"),
                "pair",
                input,
                json!({"filter": h(filter)}),
            );
        }
        for distance in [0, 10, positions] {
            let similarity = (spec.similarity(distance) * 1e6).round() / 1e6;
            let input = json!({"bits": bits, "positions": positions, "distance": distance});
            out.gives(
                &format!("similarity, {bits} bits, {distance}"),
                "similarity",
                input,
                json!({"similarity": similarity}),
            );
        }
    }
    records(&mut out);
    out
}

fn records(out: &mut Scenario) {
    let values = [
        ["anna lee", "1964-08-15"],
        ["bartholomew", "2016-01-01"],
        ["", "1999-09-09"],
        ["ananananana", ""],
    ];
    let kinds = [
        (FieldKind::Text, TokenKind::Bigrams),
        (FieldKind::Date, TokenKind::Digits),
    ];
    type Layout<'a> = (&'a str, u32, [Option<(u32, u32)>; 2], &'a [Hardener]);
    let layouts: [Layout<'_>; 5] = [
        ("one filter", 1024, [None, None], &[]),
        ("sections", 1024, [Some((0, 512)), Some((512, 512))], &[]),
        ("xor-fold", 1024, [None, None], &[Hardener::XorFold]),
        ("balance", 512, [None, None], &[Hardener::Balance]),
        (
            "xor-fold and balance",
            1024,
            [None, None],
            &[Hardener::XorFold, Hardener::Balance],
        ),
    ];
    for (number, raw) in values.iter().enumerate() {
        let cells: Vec<Normal> = kinds
            .iter()
            .zip(raw)
            .map(|((kind, _), raw)| normal(*kind, raw))
            .collect();
        let lists: Vec<Vec<String>> = kinds
            .iter()
            .zip(raw)
            .map(|((kind, tokens), raw)| token_list(*tokens, *kind, raw))
            .collect();
        for (what, bits, sections, harden) in layouts {
            let fields: Vec<RecordField> = (0..)
                .zip(kinds.iter().zip(sections))
                .map(|(field, ((kind, tokens), section))| RecordField {
                    field,
                    kind: *kind,
                    tokens: *tokens,
                    positions: 15 - 5 * u32::try_from(field).unwrap_or(0),
                    key: u32::try_from(field).unwrap_or(0),
                    section,
                })
                .collect();
            let mut encoder = RecordEncoder::hardened(Secret::new([8; 32]), bits, &fields, harden);
            let mut filter = vec![0; encoder.words()];
            encoder.encode(&cells, &mut filter);
            let given: Vec<Value> = fields
                .iter()
                .zip(&lists)
                .map(|(field, tokens)| json!({"number": field.key, "positions": field.positions, "section": field.section, "tokens": tokens}))
                .collect();
            let input = json!({"key": h([8; 32]), "bits": bits, "fields": given, "harden": harden});
            out.gives(
                &format!("record {number}, {what}"),
                "record",
                input,
                json!({"filter": h(bytes_of(&filter))}),
            );
        }
        let fields: Vec<BlockField> = (0..)
            .zip(kinds)
            .map(|(field, (kind, tokens))| BlockField {
                field,
                kind,
                tokens,
            })
            .collect();
        let mut filter = vec![0; 16];
        BlockEncoder::new(1024, &fields).encode(&Secret::new([9; 32]), &cells, &mut filter);
        let given: Vec<Value> = (0..)
            .zip(&lists)
            .map(|(number, tokens): (u8, _)| json!({"number": number, "tokens": tokens}))
            .collect();
        let input = json!({"key": h([9; 32]), "bits": 1024, "fields": given});
        out.gives(
            &format!("record {number}, block"),
            "block",
            input,
            json!({"filter": h(bytes_of(&filter))}),
        );
    }
}
