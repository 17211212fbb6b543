//! Vectors of the roll's commitment: leaves, draws, signed texts, openings. In: fixed keys and persons. Out: a scenario.
//! Invariant: every change of an opening or of a commitment's text has a vector that is refused.
//! Specification: protocol/SPEC.md, "Roll commitment".

use hedui_protocol::commitment::{Commitment, Opening, control, leaf};
use hedui_protocol::log::merkle::{self, Hash};
use hedui_protocol::primitive::hex;
use hedui_tests::parties::{FIELDS, agreement, identity};
use serde_json::{Value, json};

use super::scenario::{Scenario, h};

const PERSONS: [[&str; 3]; 5] = [
    ["422725196408150014", "张伟", "13807171234"],
    ["", "王芳", ""],
    ["422725196408150014", "", ""],
    ["", "", ""],
    ["11010519491231002X", "欧阳修文", "13907171235"],
];

fn salt(n: u8) -> [u8; 32] {
    [n; 32]
}

fn handle(n: u8) -> [u8; 16] {
    [0x40 + n; 16]
}

pub fn roll() -> Scenario {
    let mut out = Scenario::new("roll");
    let leaves: Vec<Hash> = (0_u8..)
        .zip(PERSONS)
        .map(|(n, fields)| leaf(&salt(n), &fields, &[handle(n)]).expect("short"))
        .collect();
    let mut leaves = leaves;
    for n in 0..2_u8 {
        let field = control("cars", u16::from(n));
        let made = leaf(&salt(0x80 + n), &[&field], &[handle(0x20 + n)]).expect("short");
        leaves.push(made);
        let input =
            json!({"salt": h(salt(0x80 + n)), "fields": [field], "handles": [h(handle(0x20 + n))]});
        out.gives(
            &format!("control {n}"),
            "leaf",
            input,
            json!({"leaf": h(made)}),
        );
    }
    let leaves = leaves;
    for (n, fields) in (0_u8..).zip(PERSONS) {
        let input = json!({"salt": h(salt(n)), "fields": fields, "handles": [h(handle(n))]});
        let made = json!({"leaf": h(leaves[usize::from(n)])});
        out.gives(&format!("leaf {n}"), "leaf", input, made);
    }
    let (office, made) = (identity("office", 1), agreement(FIELDS));
    let commitment = Commitment {
        agreement: made.digest(),
        epoch: made.epoch(),
        snapshot: "0f".repeat(16),
        persons: PERSONS.len() as u64,
        controls: 2,
        root: merkle::root(&leaves),
    };
    let text = commitment.sign(&office);
    let input = |text: &str| json!({"text": text, "agreement": made.digest().to_hex(), "epoch": 1, "owner": office.card().render()});
    let given = json!({"persons": 5, "controls": 2, "root": h(commitment.root), "snapshot": "0f".repeat(16)});
    out.gives("commitment", "commitment", input(&text), given);
    let by_another = commitment.sign(&identity("police", 2));
    for (what, bad) in [
        ("more persons", text.replace("persons 5", "persons 6")),
        ("more controls", text.replace("controls 2", "controls 3")),
        ("leading zero", text.replace("persons 5", "persons 05")),
        ("another epoch", text.replace("epoch 1", "epoch 2")),
        (
            "another agreement",
            text.replace(&made.digest().to_hex(), &"07".repeat(32)),
        ),
        (
            "another root",
            text.replace(&hex(&commitment.root), &"07".repeat(32)),
        ),
        ("another snapshot", text.replace("0f0f", "0f0e")),
        ("signed by another party", by_another.clone()),
        (
            "another party's signature under the owner's name",
            by_another.replace("police", "office"),
        ),
        ("a line more", text.clone() + "x\n"),
        ("no line end", text.trim_end().to_owned()),
        (
            "no signature",
            text.split("signature")
                .next()
                .unwrap_or_default()
                .to_owned(),
        ),
        (
            "capital digits",
            text.replace(
                &hex(&commitment.root),
                &hex(&commitment.root).to_uppercase(),
            ),
        ),
        ("nothing", String::new()),
    ] {
        let refusal = Commitment::parse(&bad, &made).expect_err(what);
        let name = format!("commitment, {what}");
        out.refuses(&name, "commitment", input(&bad), refusal.exit_code());
    }
    for (words, count) in [
        ("dice", 1),
        ("dice", 3),
        ("掷骰 3 1 6", 3),
        ("", 4),
        ("dice", 5),
        ("dice", 9),
    ] {
        let drawn = commitment.drawn(words, count);
        let input =
            json!({"root": h(commitment.root), "persons": 5, "words": words, "count": count});
        out.gives(
            &format!("{count} by {words:?}"),
            "draw",
            input,
            json!({"places": drawn}),
        );
    }
    for n in 0..PERSONS.len() {
        openings(&mut out, &commitment, &leaves, n);
    }
    out
}

fn openings(out: &mut Scenario, commitment: &Commitment, leaves: &[Hash], n: usize) {
    let number = u8::try_from(n).expect("few");
    let path = merkle::path(leaves, n).expect("a leaf");
    let good = Opening {
        index: n as u64,
        salt: hex(&salt(number)),
        fields: PERSONS[n].map(str::to_owned).to_vec(),
        handles: vec![hex(&handle(number))],
        path: path.iter().map(|hash| hex(hash)).collect(),
    };
    let input = |opening: &Opening| -> Value {
        json!({"opening": serde_json::to_value(opening).expect("JSON"), "leaves": 7, "root": h(commitment.root)})
    };
    assert!(good.holds(commitment));
    out.gives(
        &format!("opening {n}"),
        "opening",
        input(&good),
        json!({"holds": true}),
    );
    type Change = fn(&mut Opening);
    let changes: [(&str, Change); 6] = [
        ("another salt", |o| o.salt.replace_range(..2, "ff")),
        ("another name", |o| o.fields[1] = "李四".to_owned()),
        ("a field less", |o| drop(o.fields.pop())),
        ("another handle", |o| o.handles[0].replace_range(..2, "ff")),
        ("another place", |o| o.index ^= 1),
        ("a hash less", |o| drop(o.path.pop())),
    ];
    for (what, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(!bad.holds(commitment), "{what}");
        out.refuses(&format!("opening {n}, {what}"), "opening", input(&bad), 0);
    }
}
