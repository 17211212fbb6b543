//! Vectors of what concerns single records and changes: disclosure requests and answers, own results, the rows of a base with its
//! changes. In: bodies. Out: scenarios. Invariant: every sentence of these sections that forbids something has a vector that is
//! refused. Specification: protocol/SPEC.md, "Disclosure", "Own result", "Changes".

use hedui_protocol::agreement::Agreement;
use hedui_protocol::ids::Handle;
use hedui_protocol::message::disclosure::{Answer, Answered, Question, Reason, Request, Word};
use hedui_protocol::message::own_result::Manifest as Found;
use hedui_protocol::message::payload::{FactValue, Facts};
use hedui_protocol::message::submission::Manifest;
use hedui_protocol::message::{
    Table, manifest_bytes, manifest_len, parse_manifest, parse_small_body,
};
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;
use hedui_tests::parties::{FIELDS, agreement, name, open_agreement};
use serde_json::{Value, json};

use super::scenario::{Scenario, h};

pub fn disclosure() -> Scenario {
    let mut out = Scenario::new("disclosure");
    let (with, without) = (open_agreement(), agreement(FIELDS));
    requests(&mut out, &with, &without);
    answers(&mut out, &with, &without);
    own_results(&mut out, &with, &without);
    changed_rows(&mut out);
    out
}

fn body(value: &Value) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("JSON");
    let len = u32::try_from(json.len()).expect("short");
    [&len.to_be_bytes()[..], &json].concat()
}

fn requests(out: &mut Scenario, with: &Agreement, without: &Agreement) {
    let question = |byte: u8| Question {
        handle: Handle([byte; 16]).to_hex(),
        reason: Reason::Review,
        agree: vec![name("name")],
        differ: vec![name("id")],
    };
    let request = |questions| Request {
        register: name("cars"),
        snapshot: "abc123".to_owned(),
        round: 1,
        questions,
    };
    let good = serde_json::to_value(request(vec![question(1), question(2)])).expect("JSON");
    let mut say = |what: &str, made: &Agreement, body: &[u8]| {
        let read = parse_small_body::<Request>("disclosure-request", body);
        let said = read.and_then(|request| request.check(made)).map(|handles| {
            let handles: Vec<String> = handles.into_iter().map(Handle::to_hex).collect();
            json!({ "handles": handles })
        });
        let input = json!({"effective": made.effective(), "body": h(body)});
        out.says(
            &format!("request, {what}"),
            "disclosure-request",
            input,
            said,
        );
    };
    say("two records", with, &body(&good));
    say("a register without terms", without, &body(&good));
    let many = |count: u16| {
        let question = |n: u16| {
            let mut question = question(1);
            question.handle = hex(&[&n.to_be_bytes()[..], &[0; 14]].concat());
            question
        };
        serde_json::to_value(request((0..count).map(question).collect())).expect("JSON")
    };
    say("as many as may be", with, &body(&many(500)));
    say("one more", with, &body(&many(501)));
    let edits: [(&str, &str, Value); 10] = [
        ("round 0", "/round", json!(0)),
        ("the roll", "/register", json!("roll")),
        ("no such dataset", "/register", json!("bikes")),
        ("no data named", "/snapshot", json!("")),
        ("data named with a space", "/snapshot", json!("a b")),
        ("nothing asked", "/questions", json!([])),
        (
            "a record twice",
            "/questions/1/handle",
            good["questions"][0]["handle"].clone(),
        ),
        (
            "a handle of 15 bytes",
            "/questions/0/handle",
            json!("01".repeat(15)),
        ),
        (
            "a key that the agreement has not",
            "/questions/0/agree/0",
            json!("plate"),
        ),
        ("no such reason", "/questions/0/reason", json!("curiosity")),
    ];
    for (what, place, value) in edits {
        let mut changed = good.clone();
        *changed.pointer_mut(place).expect(place) = value;
        say(what, with, &body(&changed));
    }
    for reason in ["conflict", "facts", "recheck", "objection"] {
        let mut changed = good.clone();
        changed["questions"][0]["reason"] = json!(reason);
        say(reason, with, &body(&changed));
    }
    let mut unknown = good.clone();
    unknown["urgent"] = json!(true);
    say("an unknown key", with, &body(&unknown));
    let whole = body(&good);
    say("cut off", with, &whole[..whole.len() - 1]);
    say("a byte more", with, &[&whole[..], b" "].concat());
}

fn answers(out: &mut Scenario, with: &Agreement, without: &Agreement) {
    let facts = Facts {
        rows: vec![vec![FactValue::Code(1), FactValue::Date(20_160_101)]],
        rows_left_out: 0,
    };
    let fields = [(name("name"), "张三".to_owned())].into_iter().collect();
    let answer = Answer {
        register: name("cars"),
        snapshot: "abc123".to_owned(),
        answers: vec![
            Answered::disclosed(Handle([1; 16]), "", &facts, fields),
            Answered::without(Handle([2; 16]), Word::Declined, "本人不同意"),
            Answered::without(Handle([3; 16]), Word::Unknown, ""),
        ],
    };
    let good = serde_json::to_value(answer).expect("JSON");
    let mut say = |what: &str, made: &Agreement, value: &Value| {
        let body = body(value);
        let read = parse_small_body::<Answer>("disclosure-answer", &body);
        let said = read.and_then(|answer| answer.check(made)).map(|opened| {
            let words: Vec<Value> = opened
                .into_iter()
                .map(|record| {
                    let rows = record.facts.map(|facts| facts.rows.len());
                    json!({"handle": record.handle.to_hex(), "word": record.word, "rows": rows, "fields": record.fields})
                })
                .collect();
            json!({ "answers": words })
        });
        let input = json!({"effective": made.effective(), "body": h(body)});
        out.says(&format!("answer, {what}"), "disclosure-answer", input, said);
    };
    say("one of each", with, &good);
    say("a register without terms", without, &good);
    let long = |count| json!("字".repeat(count));
    let edits: [(&str, &str, Value); 22] = [
        (
            "a telephone number in a note",
            "/answers/1/note",
            json!("请联系 138 0717 1234"),
        ),
        (
            "an identity number in full-width digits",
            "/answers/1/note",
            json!("４２２７２５１９６４０８１５００１４"),
        ),
        (
            "a day in a note",
            "/answers/1/note",
            json!("2016-07-01 已更正，见 2016-07-02 批复"),
        ),
        (
            "too many rows",
            "/answers/0/facts",
            json!(format!("04010000{}", "0000".repeat(1025))),
        ),
        ("nothing answered", "/answers", json!([])),
        (
            "a record twice",
            "/answers/1/handle",
            good["answers"][0]["handle"].clone(),
        ),
        (
            "a handle of 17 bytes",
            "/answers/0/handle",
            json!("01".repeat(17)),
        ),
        ("no such word", "/answers/0/word", json!("perhaps")),
        ("declined without a reason", "/answers/1/note", json!("")),
        ("a note of 200 characters", "/answers/1/note", long(200)),
        ("a note of 201 characters", "/answers/1/note", long(201)),
        ("a note of two lines", "/answers/1/note", json!("一\n二")),
        (
            "declined, and laid open all the same",
            "/answers/1/facts",
            good["answers"][0]["facts"].clone(),
        ),
        (
            "unknown, with a field",
            "/answers/2/fields",
            json!({"name": "张三"}),
        ),
        ("disclosed without facts", "/answers/0/facts", json!("")),
        ("facts of half a byte", "/answers/0/facts", json!("000")),
        (
            "facts with a row missing",
            "/answers/0/facts",
            json!("00020000010104"),
        ),
        (
            "facts with a code that is none",
            "/answers/0/facts",
            json!("00010000010500"),
        ),
        (
            "an identity number",
            "/answers/0/fields",
            json!({"id": "422725196408150014"}),
        ),
        (
            "a field of no value",
            "/answers/0/fields",
            json!({"name": ""}),
        ),
        (
            "a value of two lines",
            "/answers/0/fields",
            json!({"name": "张\t三"}),
        ),
        (
            "another field of the terms",
            "/answers/0/fields",
            json!({"phone": "13807171234"}),
        ),
    ];
    for (what, place, value) in edits {
        let mut changed = good.clone();
        *changed.pointer_mut(place).expect(place) = value;
        say(what, with, &changed);
    }
}

fn own_results(out: &mut Scenario, with: &Agreement, without: &Agreement) {
    let head = |rows| Found::new(&name("cars"), ("abc123", "2016-06-30"), "2016-06-29", rows);
    let handles = |bytes: &[u8]| {
        bytes
            .iter()
            .flat_map(|byte| [*byte; 16])
            .collect::<Vec<u8>>()
    };
    let with_head =
        |head: &Found, rows: &[u8]| [&manifest_bytes(head).expect("JSON")[..], rows].concat();
    let mut say = |what: &str, made: &Agreement, body: &[u8]| {
        let input = json!({"effective": made.effective(), "body": h(body)});
        let said = read_found(made, body).map(|handles| {
            let handles: Vec<String> = handles.into_iter().map(Handle::to_hex).collect();
            json!({ "found": handles })
        });
        out.says(&format!("own result, {what}"), "own-result", input, said);
    };
    say(
        "three records",
        with,
        &with_head(&head(3), &handles(&[1, 2, 9])),
    );
    say("nobody", with, &with_head(&head(0), &[]));
    say(
        "a register that has none",
        without,
        &with_head(&head(1), &handles(&[1])),
    );
    say(
        "rows descend",
        with,
        &with_head(&head(2), &handles(&[2, 1])),
    );
    say("a row twice", with, &with_head(&head(2), &handles(&[2, 2])));
    say(
        "a row less than it says",
        with,
        &with_head(&head(2), &handles(&[2])),
    );
    say(
        "a byte more",
        with,
        &[with_head(&head(1), &handles(&[2])), vec![0]].concat(),
    );
    for (what, change) in [("another table", "gone"), ("a table of another width", "")] {
        let mut other = head(1);
        match change {
            "" => other.tables[0].width = 15,
            word => other.tables[0].name = word.to_owned(),
        }
        say(what, with, &with_head(&other, &handles(&[1])));
    }
    let mut two = head(1);
    two.tables.push(two.tables[0].clone());
    say("two tables", with, &with_head(&two, &handles(&[1, 2])));
}

fn read_found(made: &Agreement, body: &[u8]) -> Result<Vec<Handle>, Refusal> {
    let (prefix, rest) = body.split_first_chunk::<4>().expect("prefix");
    let (json, rows) = rest.split_at(manifest_len(*prefix)?);
    parse_manifest::<Found>("own-result", json)?.check(made, json.len() as u64, rows)
}

/// Rows that a base has once changes are made to it.
fn changed_rows(out: &mut Scenario) {
    let made = agreement(FIELDS);
    let table = |of: &str, width, rows| Table {
        name: of.to_owned(),
        width,
        rows,
    };
    for (what, base, gone, come) in [
        ("as many go as come", 4096, 7, 7),
        ("nothing", 4096, 0, 0),
        ("a step more", 4096, 10, 4106),
        ("a step less", 8192, 4096, 0),
        ("all of it", 4096, 4096, 4096),
        ("one more than there is", 4096, 4097, 4097),
        ("not padded", 4096, 1, 0),
        ("not padded upwards", 4096, 0, 1),
        ("above the cap", 4096, 0, 8192),
    ] {
        let manifest = Manifest {
            dataset: name("cars"),
            register: name("cars"),
            field_version: 1,
            as_of: "2016-06-30".to_owned(),
            snapshot: String::new(),
            kit_check: String::new(),
            canary: String::new(),
            base: Some("00".repeat(32)),
            tables: vec![table("gone", 16, gone), table("presence", 20, come)],
        };
        let said = manifest
            .changed_rows(&made, base)
            .map(|rows| json!({ "rows": rows }));
        let input = json!({"rows_max": 500, "base": base, "gone": gone, "come": come});
        out.says(&format!("changes, {what}"), "changed-rows", input, said);
    }
}
