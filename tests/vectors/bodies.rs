//! Vectors of what messages carry, and of what is decided: kits, pairs, payloads, decisions. In: fixed values. Out: scenarios.
//! Invariant: every row that SPEC.md forbids has a vector that is refused; every branch of the rule one that takes it.
//! Specification: protocol/SPEC.md, "Encoding of bodies", "Decision".

use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::{Dataset, DatasetKind, Fact, FactKind};
use hedui_protocol::decision::Policy;
use hedui_protocol::ids::{DatasetNumber, Handle};
use hedui_protocol::message::kit::Kit;
use hedui_protocol::message::payload::{self, FactValue, Facts};
use hedui_protocol::message::result::{Outcome, Pair};
use hedui_protocol::secret::Secret;
use hedui_tests::parties::{FIELDS, agreement, name};
use serde_json::{Value, json};

use super::scenario::{Scenario, h};

fn outcome_word(outcome: Outcome) -> Value {
    serde_json::to_value(outcome).expect("word")
}

pub fn bodies() -> Scenario {
    let mut out = Scenario::new("bodies");
    kits(&mut out);
    pairs(&mut out);
    payloads(&mut out);
    out
}

fn kits(out: &mut Scenario) {
    for register in [1, 2, u16::MAX] {
        let kit = Kit {
            register: DatasetNumber(register),
            register_secret: Secret::new([3; 32]),
            shared_secret: Secret::new([4; 32]),
        };
        let given = json!({"register": register, "register_secret": h([3; 32]), "shared_secret": h([4; 32])});
        out.gives(
            &format!("kit of register {register}"),
            "kit",
            json!({"body": h(&*kit.encode())}),
            given,
        );
    }
    for (what, bytes) in [
        ("kit, a byte less", vec![1; 65]),
        ("kit, a byte more", vec![1; 67]),
        ("kit, empty", Vec::new()),
    ] {
        assert!(Kit::decode(&bytes).is_err());
        out.refuses(what, "kit", json!({"body": h(&bytes)}), 10);
    }
}

fn pairs(out: &mut Scenario) {
    let pair = |outcome, weight| Pair {
        roll: Handle([1; 16]),
        register: Handle([2; 16]),
        agree: 0x8001,
        differ: 0x0102,
        outcome,
        weight,
    };
    for (what, outcome, weight) in [
        ("match", Outcome::Match, None),
        ("review", Outcome::Review, None),
        ("conflict", Outcome::IdentityConflict, None),
        ("refined match", Outcome::Match, Some(1234)),
        ("refined review", Outcome::Review, Some(-250)),
        ("weight 0", Outcome::Review, Some(0)),
        ("least weight", Outcome::Review, Some(i16::MIN)),
    ] {
        let pair = pair(outcome, weight);
        let given = json!({"roll": h(pair.roll.0), "register": h(pair.register.0), "agree": pair.agree, "differ": pair.differ,
            "outcome": outcome_word(outcome), "weight": weight});
        out.gives(
            &format!("pair, {what}"),
            "pair",
            json!({"row": h(pair.encode())}),
            given,
        );
    }
    let good = pair(Outcome::Match, None).encode().to_vec();
    let with = |at: usize, byte: u8| {
        let mut row = good.clone();
        row[at] = byte;
        row
    };
    for (what, row) in [
        ("no such outcome", with(36, 9)),
        ("outcome 0", with(36, 0)),
        ("refined is neither 0 nor 1", with(37, 2)),
        ("weight without refined", with(39, 1)),
        ("a byte less", good[..39].to_vec()),
        ("a byte more", [&good[..], &[0]].concat()),
    ] {
        assert!(Pair::decode(&row).is_err(), "{what}");
        out.refuses(&format!("pair, {what}"), "pair", json!({"row": h(row)}), 10);
    }
}

fn dataset() -> Dataset {
    let fact = |of: &str, kind, codes: &[&str]| Fact {
        name: name(of),
        kind,
        codes: codes.iter().map(|code| (*code).to_owned()).collect(),
    };
    Dataset {
        name: name("cars"),
        number: 2,
        title: String::new(),
        owner: name("police"),
        kind: DatasetKind::Register,
        rows_max: 10,
        evaluations_max: 0,
        matches_max: 0,
        one_to_one: false,
        repeats: false,
        own_result: false,
        disclosure: None,
        fact: vec![
            fact("status", FactKind::Code, &["normal", "scrapped"]),
            fact("since", FactKind::Date, &[]),
            fact("value", FactKind::Integer, &[]),
            fact("case", FactKind::Reference, &[]),
        ],
    }
}

fn value_of(fact: &FactValue) -> Value {
    match fact {
        FactValue::Absent => Value::Null,
        FactValue::Code(index) => json!(index),
        FactValue::Date(day) => json!(day),
        FactValue::Integer(number) => json!(number),
        FactValue::Reference(text) => json!(text),
    }
}

fn payloads(out: &mut Scenario) {
    let schema = json!([{"kind": "code", "codes": 2}, {"kind": "date"}, {"kind": "integer"}, {"kind": "reference"}]);
    let row = |number: i64| {
        vec![
            FactValue::Code(1),
            FactValue::Date(20_160_101),
            FactValue::Integer(number),
            FactValue::Reference("K-9".to_owned()),
        ]
    };
    let gaps = vec![
        FactValue::Absent,
        FactValue::Absent,
        FactValue::Integer(i64::MIN),
        FactValue::Absent,
    ];
    let (cek, kek) = (Secret::new([1; 32]), Secret::new([2; 32]));
    let handle = Handle([3; 16]);
    let seal = |facts: &[u8], sets: usize, place: usize| {
        let keks: Vec<_> = (0..sets)
            .map(|at| (at == place).then(|| kek.duplicate()))
            .collect();
        payload::seal_row(handle, facts, (&cek, [5; 12]), &keks, &mut |out| {
            out.fill(7)
        })
    };
    let open = |row: &[u8], sets, set, key: u8| {
        payload::open_row(row, sets, set, &Secret::new([key; 32]), &dataset())
    };
    let add = |out: &mut Scenario,
               what: &str,
               row: &[u8],
               (sets, set, key): (usize, usize, u8),
               class: usize| {
        let input = json!({"row": h(row), "class": class, "releases": sets, "set": set, "kek": h([key; 32]), "facts_schema": schema});
        match open(row, sets, set, key) {
            Some(facts) => {
                let rows: Vec<Vec<Value>> = facts
                    .rows
                    .iter()
                    .map(|row| row.iter().map(value_of).collect())
                    .collect();
                out.gives(
                    what,
                    "payload",
                    input,
                    json!({"facts": rows, "rows_left_out": facts.rows_left_out}),
                );
            }
            None => out.refuses(what, "payload", input, 0),
        }
    };
    for (what, rows, left, sets, set) in [
        ("payload, one row", vec![row(-5)], 0, 1, 0),
        (
            "payload, second release set",
            vec![row(1), gaps.clone()],
            3,
            2,
            1,
        ),
        ("payload, no rows", Vec::new(), 0, 1, 0),
        ("payload, larger class", vec![row(7); 8], 0, 1, 0),
    ] {
        let facts = Facts {
            rows,
            rows_left_out: left,
        }
        .encode();
        let sealed = seal(&facts, sets, set);
        add(
            out,
            what,
            &sealed,
            (sets, set, 2),
            payload::class_of(facts.len()),
        );
    }
    let facts = Facts {
        rows: vec![row(-5)],
        rows_left_out: 0,
    }
    .encode();
    let sealed = seal(&facts, 2, 1);
    add(out, "payload, other key", &sealed, (2, 1, 9), 96);
    add(out, "payload, other set", &sealed, (2, 0, 2), 96);
    for (what, at) in [
        ("handle", 0),
        ("nonce", 16),
        ("wrap", 28 + 48),
        ("facts", 28 + 96),
    ] {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        add(
            out,
            &format!("payload, {what} changed"),
            &bad,
            (2, 1, 2),
            96,
        );
    }
    add(
        out,
        "payload, cut off",
        &sealed[..sealed.len() - 1],
        (2, 1, 2),
        96,
    );
    for (what, facts) in [
        ("no such code", vec![0, 1, 0, 0, 1, 2, 0, 0, 0]),
        ("date of three bytes", vec![0, 1, 0, 0, 0, 3, 1, 2, 3, 0, 0]),
        ("row missing", vec![0, 2, 0, 0, 1, 1, 0, 0, 0]),
        ("a byte more", vec![0, 1, 0, 0, 1, 1, 0, 0, 0, 9]),
        (
            "reference with a space",
            [&[0, 1, 0, 0, 0, 0, 0, 3][..], b"K 9"].concat(),
        ),
        (
            "reference like an identity number",
            [&[0, 1, 0, 0, 0, 0, 0, 18][..], b"422725196408150014"].concat(),
        ),
    ] {
        add(
            out,
            &format!("payload, {what}"),
            &seal(&facts, 1, 0),
            (1, 0, 2),
            96,
        );
    }
}

pub fn decisions() -> Scenario {
    let mut out = Scenario::new("decisions");
    let strict = agreement(FIELDS);
    let lenient = agreement(&format!(
        "lock = 'keyed'\n[decision]\nfamilies_to_match = 1\nfamilies_to_match_against_a = 2\nreview_one_family_against_a = true\n\
         review_class_c = false\ncontradicting = ['phone']\n---\n{FIELDS}"
    ));
    let block = agreement(&format!(
        "lock = 'keyed'\n---\n{FIELDS}[likeness]\nscope = 'block'\nblock = 'phone'\nclass = 'B'\nharden = ['saul']\nmeasure = 'hamming'\n\
         threshold = '300'\n[[likeness.field]]\nfield = 'name'\n"
    )
    .replace("class = 'B'\n[[match_key]]\nname = 'name-phone'", "class = 'C'\n[[match_key]]\nname = 'name-phone'")
    .replace("class = 'B'\nfamily", "class = 'C'\nfamily"));
    let three = agreement(&format!("[decision]\nfamilies_to_match = 3\n---\n{FIELDS}"));
    for (what, made) in [
        ("usual rule", &strict),
        ("three families", &three),
        ("other rule", &lenient),
        ("with likeness", &block),
    ] {
        decided(&mut out, what, made);
    }
    out
}

fn decided(out: &mut Scenario, what: &str, made: &Agreement) {
    let policy = Policy::new(made);
    for (agree, differ) in [
        (1, 0),
        (1, 2),
        (1, 6),
        (1, 8),
        (3, 12),
        (2, 0),
        (2, 1),
        (4, 0),
        (4, 1),
        (8, 0),
        (8, 1),
        (6, 0),
        (6, 1),
        (12, 0),
        (12, 1),
        (14, 1),
        (0, 15),
        (0, 0),
        (16, 0),
        (24, 1),
        (18, 8),
    ] {
        let known = made.evidence_keys().count();
        if (agree | differ) >> known != 0 {
            continue;
        }
        let said = policy.decide(agree, differ).map(outcome_word);
        let input = json!({"effective": made.effective(), "agree": agree, "differ": differ});
        out.gives(
            &format!("{what}: {agree:05b} agree, {differ:05b} differ"),
            "decide",
            input,
            json!({"outcome": said}),
        );
    }
    for agree in [1, 8, 16] {
        let input =
            json!({"effective": made.effective(), "agree": agree, "left": 0x1f, "right": 0x17});
        let differ = policy.differing(agree, (0x1f, 0x17));
        let what = format!("{what}: {agree:05b} agree of two bitmaps");
        out.gives(&what, "differing", input, json!({"differ": differ}));
    }
}
