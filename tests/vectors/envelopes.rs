//! Vectors of sealed messages: headers and envelopes. In: fixed seeds. Out: scenarios.
//! Invariant: every check that SPEC.md lists has a vector that only this check refuses, with its exit code; of two faults the
//! first in its order is the answer. Specification: protocol/SPEC.md, "Header", "Envelope", "Refusals".

use std::io::Cursor;

use hedui_protocol::envelope::{Checked, EnvelopeError, Expectation, seal};
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::identity::{Identity, PartyCard};
use hedui_protocol::ids::{AgreementDigest, Epoch, RequestId};
use hedui_protocol::limits::CHUNK_BYTES;
use hedui_protocol::log::checkpoint::{Checkpoint, Origin};
use hedui_protocol::refusal::Refusal;
use hedui_tests::parties::{identity, name, seed};
use serde_json::{Value, json};

use super::scenario::{Scenario, h};

fn header() -> Header {
    let (from, to) = (identity("police", 2), identity("centre", 3));
    Header {
        kind: MessageType::Submission,
        agreement: AgreementDigest([7; 32]),
        epoch: Epoch(1),
        from: (from.card().name.clone(), from.card().key_id()),
        to: (to.card().name.clone(), to.card().key_id()),
        seq: 5,
        request: RequestId([9; 16]),
        in_reply_to: None,
        created: "2016-07-01T08:00:00Z".to_owned(),
        body_bytes: 3,
        log: None,
    }
}

/// A checkpoint of the log of these vectors.
fn checkpoint(by: &Identity, size: u64) -> Checkpoint {
    let origin = Origin::new(AgreementDigest([7; 32]), Epoch(1), &name("centre"));
    Checkpoint::sign(by, &origin, size, [9; 32])
}

pub fn headers() -> Scenario {
    let mut out = Scenario::new("headers");
    let fields = |header: &Header| {
        json!({
            "type": header.kind.word(), "agreement": header.agreement.to_hex(), "epoch": header.epoch.0,
            "from": header.from.0.as_str(), "from_key": header.from.1.to_hex(),
            "to": header.to.0.as_str(), "to_key": header.to.1.to_hex(), "seq": header.seq,
            "request": header.request.to_hex(),
            "inreplyto": header.in_reply_to.map_or("-".to_owned(), RequestId::to_hex),
            "created": header.created, "body": header.body_bytes, "log": header.log.map(|log| {
                json!({"root": h(log.root), "size": log.size, "signature": h(log.signature)})
            }),
        })
    };
    for (kind, word) in MessageType::ALL {
        let header = Header { kind, ..header() };
        out.gives(
            word,
            "parse",
            json!({"text": header.render()}),
            fields(&header),
        );
    }
    let reply = Header {
        in_reply_to: Some(RequestId([3; 16])),
        seq: u64::MAX,
        epoch: Epoch(u32::MAX),
        body_bytes: 1 << 40,
        ..header()
    };
    out.gives(
        "a reply with large numbers",
        "parse",
        json!({"text": reply.render()}),
        fields(&reply),
    );
    let seen = Header {
        log: Some(checkpoint(&identity("centre", 3), u64::MAX)),
        ..header()
    };
    out.gives(
        "a checkpoint in it",
        "parse",
        json!({"text": seen.render()}),
        fields(&seen),
    );
    let text = seen.render();
    for (what, from, to) in [
        (
            "size of a log with a leading zero",
            " 18446744073709551615 ",
            " 018446744073709551615 ",
        ),
        (
            "size of a log that is too large",
            " 18446744073709551615 ",
            " 18446744073709551616 ",
        ),
        ("root of a log that is short", "log 0909", "log 09"),
        ("root of a log in capitals", "log 09", "log 0A"),
        ("no root of a log", "log ", "log - "),
        ("a word more behind a log", "\n---", " x\n---"),
    ] {
        let bad = text.replace(from, to);
        assert!(bad != text, "{what}");
        assert!(Header::parse(bad.as_bytes()).is_err(), "{what}");
        out.refuses(what, "parse", json!({"text": bad}), 10);
    }
    let good = header().render();
    for (what, from, to) in [
        ("other format", "hedui/1", "hedui/2"),
        ("unknown type", "submission", "submissions"),
        ("other suite", "r255-1", "r255-2"),
        ("upper-case digest", &"07".repeat(32), &"0A".repeat(32)),
        ("short digest", &"07".repeat(32), &"07".repeat(31)),
        ("epoch with a leading zero", "epoch 1", "epoch 01"),
        ("epoch with a sign", "epoch 1", "epoch +1"),
        ("epoch that is too large", "epoch 1", "epoch 4294967296"),
        ("name with a capital", "from police", "from Police"),
        ("no number", "seq 5", "seq"),
        ("negative number", "seq 5", "seq -5"),
        ("short request", &"09".repeat(16), &"09".repeat(15)),
        ("empty reply", "inreplyto -", "inreplyto "),
        ("no such month", "2016-07-01T", "2016-13-01T"),
        ("no such day", "2016-07-01T", "2016-02-30T"),
        ("no such hour", "T08:", "T24:"),
        ("time without zone", "00Z", "00"),
        ("body beyond the limit", "body 3", "body 1099511627777"),
        ("log that is used", "log - 0 -", "log x 1 y"),
        ("carriage returns", "\n", "\r\n"),
        ("a space more", "to centre", "to  centre"),
        ("a line more", "log -", "note x\nlog -"),
        ("no end", "---\n", ""),
        ("lines in another order", "seq 5\n", ""),
    ] {
        let text = good.replace(from, to);
        assert!(text != good, "{what}");
        assert!(Header::parse(text.as_bytes()).is_err(), "{what}");
        out.refuses(what, "parse", json!({"text": text}), 10);
    }
    let lines: Vec<&str> = good.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let others = lines.iter().filter(|other| *other != line);
        let without: String = others.map(|other| format!("{other}\n")).collect();
        assert!(Header::parse(without.as_bytes()).is_err(), "{line}");
        let what = format!("without line {}", at + 1);
        out.refuses(&what, "parse", json!({"text": without}), 10);
    }
    out
}

fn open(
    file: &[u8],
    me: &Identity,
    expected: &Value,
    sender: Option<&PartyCard>,
) -> Result<Vec<u8>, Refusal> {
    let kinds: Vec<MessageType> = MessageType::ALL
        .iter()
        .filter(|(_, word)| {
            expected["types"]
                .as_array()
                .expect("types")
                .iter()
                .any(|t| t == word)
        })
        .map(|(kind, _)| *kind)
        .collect();
    let digest = AgreementDigest::from_hex(expected["agreement"].as_str().expect("digest"));
    let matcher = PartyCard::parse(expected["matcher"].as_str().expect("card")).expect("card");
    let expectation = Expectation {
        me: me.card(),
        agreement: digest.expect("digest"),
        epoch: Epoch(u32::try_from(expected["epoch"].as_u64().expect("epoch")).expect("epoch")),
        kinds: &kinds,
        party: &|name| sender.filter(|card| card.name == *name).cloned(),
        matcher: &matcher,
    };
    let mut out = Vec::new();
    let opened = Checked::read(Cursor::new(file), &expectation)
        .and_then(Checked::verify)
        .and_then(|mut verified| verified.open(me, &mut out));
    match opened {
        Ok(()) => Ok(out),
        Err(EnvelopeError::Refused(refusal)) => Err(refusal),
        Err(EnvelopeError::Io(error)) => panic!("{error}"),
    }
}

pub fn envelopes() -> Scenario {
    let mut out = Scenario::new("envelopes");
    let (from, to) = (identity("police", 2), identity("centre", 3));
    let sealed = |body: &[u8], by: &Identity, head: Header| {
        let mut file = Vec::new();
        let head = Header {
            body_bytes: body.len() as u64,
            ..head
        };
        seal(&head, by, to.card(), &mut Cursor::new(body), &mut file).expect("sealed");
        file
    };
    let input = |file: &[u8], me: (&str, u8), sender: Option<&PartyCard>| {
        json!({"file": h(file), "me": {"party": me.0, "seed": h(seed(me.1))}, "sender": sender.map(PartyCard::render),
            "agreement": "07".repeat(32), "epoch": 1, "types": ["submission"], "matcher": to.card().render()})
    };
    let card = from.card();
    let mut twice = Vec::new();
    let mut add = |what: &str,
                   file: &[u8],
                   me: (&str, u8),
                   sender: Option<&PartyCard>,
                   change: (&str, Value)| {
        let mut input = input(file, me, sender);
        if !change.0.is_empty() {
            input[change.0] = change.1;
        }
        let said =
            open(file, &identity(me.0, me.1), &input, sender).map(|body| json!({"body": h(body)}));
        out.says(what, "open", input, said);
    };
    let same = || ("", Value::Null);
    let centre = ("centre", 3);
    let two_chunks: Vec<u8> = (0..CHUNK_BYTES + 1).map(|at| (at % 251) as u8).collect();
    for (what, body) in [
        ("empty body", &[][..]),
        ("three bytes", b"abc"),
        ("two chunks", &two_chunks),
    ] {
        add(
            what,
            &sealed(body, &from, header()),
            centre,
            Some(card),
            same(),
        );
    }
    for (what, by) in [
        ("a checkpoint of the matcher's log", &to),
        ("a checkpoint that the sender signed", &from),
    ] {
        let head = Header {
            log: Some(checkpoint(by, 3)),
            ..header()
        };
        let file = sealed(b"abc", &from, head);
        add(what, &file, centre, Some(card), same());
        let what = format!("{what}, and cut off");
        add(&what, &file[..file.len() - 1], centre, Some(card), same());
    }
    for (what, log) in [
        ("the matcher's own, without a checkpoint", None),
        ("the matcher's own", Some(checkpoint(&to, 3))),
    ] {
        let head = Header {
            from: (to.card().name.clone(), to.card().key_id()),
            log,
            ..header()
        };
        let file = sealed(b"abc", &to, head);
        add(what, &file, centre, Some(to.card()), same());
    }
    let file = sealed(b"abc", &from, header());
    let head = file.len() - (32 + 3 + 16 + 64);
    for (what, at) in [
        ("encapsulation changed", head),
        ("chunk changed", head + 32),
        ("signature changed", file.len() - 1),
        ("first half of the signature changed", file.len() - 64),
    ] {
        let mut bad = file.clone();
        bad[at] ^= 1;
        add(what, &bad, centre, Some(card), same());
    }
    // Two faults: the first check in the specification's order says which.
    let faults = [
        ("agreement", json!("08".repeat(32))),
        ("me", json!({"party": "office", "seed": h(seed(1))})),
        ("epoch", json!(2)),
        ("types", json!(["result"])),
        ("sender", Value::Null),
    ];
    let short = &file[..file.len() - 1];
    for (at, first) in faults.iter().enumerate() {
        for second in &faults[at + 1..] {
            let mut changed = input(&file, centre, Some(card));
            changed[first.0] = first.1.clone();
            changed[second.0] = second.1.clone();
            let me = if [first.0, second.0].contains(&"me") {
                ("office", 1)
            } else {
                centre
            };
            let sender = Some(card).filter(|_| ![first.0, second.0].contains(&"sender"));
            let what = format!("other {} and {}", first.0, second.0);
            twice.push((what, changed, me, sender));
        }
        let mut changed = input(short, centre, Some(card));
        changed[first.0] = first.1.clone();
        let me = if first.0 == "me" {
            ("office", 1)
        } else {
            centre
        };
        let sender = Some(card).filter(|_| first.0 != "sender");
        twice.push((
            format!("other {} and cut off", first.0),
            changed,
            me,
            sender,
        ));
    }
    for at in (0..file.len()).step_by(7) {
        let mut bad = file.clone();
        bad[at] ^= 0x20;
        add(
            &format!("byte {at} changed"),
            &bad,
            centre,
            Some(card),
            same(),
        );
    }
    add(
        "a byte less",
        &file[..file.len() - 1],
        centre,
        Some(card),
        same(),
    );
    add("only the header", &file[..head], centre, Some(card), same());
    add("nothing", &[], centre, Some(card), same());
    add(
        "a byte more",
        &[&file[..], &[0]].concat(),
        centre,
        Some(card),
        same(),
    );
    add(
        "other agreement",
        &file,
        centre,
        Some(card),
        ("agreement", json!("08".repeat(32))),
    );
    add(
        "other epoch",
        &file,
        centre,
        Some(card),
        ("epoch", json!(2)),
    );
    add(
        "other type expected",
        &file,
        centre,
        Some(card),
        ("types", json!(["result", "receipt"])),
    );
    add(
        "any type expected",
        &file,
        centre,
        Some(card),
        ("types", json!([])),
    );
    add("other recipient", &file, ("office", 1), Some(card), same());
    add(
        "recipient's name with other keys",
        &file,
        ("centre", 9),
        Some(card),
        same(),
    );
    add("sender is no party", &file, centre, None, same());
    add(
        "sender with other keys",
        &file,
        centre,
        Some(identity("police", 9).card()),
        same(),
    );
    // Signed by a party whose keys the header does not name.
    add(
        "signed by another",
        &sealed(b"abc", &identity("office", 1), header()),
        centre,
        Some(card),
        same(),
    );
    let lie = Header { seq: 6, ..header() };
    let mut other_header = lie.render().into_bytes();
    other_header.extend_from_slice(&file[head..]);
    add(
        "header exchanged",
        &other_header,
        centre,
        Some(card),
        same(),
    );
    for (what, input, me, sender) in twice {
        let text = input["file"].as_str().expect("hexadecimal").as_bytes();
        let bytes = text.chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hexadecimal");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        });
        let file: Vec<u8> = bytes.collect();
        let said = open(&file, &identity(me.0, me.1), &input, sender);
        out.says(
            &what,
            "open",
            input,
            said.map(|body| json!({"body": h(body)})),
        );
    }
    out
}
