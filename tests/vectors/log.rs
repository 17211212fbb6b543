//! Vectors of the matcher's log: entries, trees, checkpoints, cosignatures, files. In: fixed keys and entries. Out: a scenario.
//! Invariant: every part that another program must spell alike has a vector, and every way to spell it otherwise one that
//! is refused. Specification: protocol/SPEC.md, "Log".

use hedui_protocol::ids::{AgreementDigest, Epoch};
use hedui_protocol::log::checkpoint::{Checkpoint, Origin};
use hedui_protocol::log::merkle::{self, Hash};
use hedui_protocol::log::{Entry, Event, tile};
use hedui_protocol::primitive::sha256;
use hedui_tests::parties::identity;
use serde_json::{Value, json};

use super::scenario::{Scenario, all, h};

/// The n-th entry of the log that is used here.
pub fn entry(n: usize) -> Entry {
    let events = [Event::Accepted, Event::Sent, Event::Deleted];
    Entry {
        event: events[n % 3],
        header_sha256: sha256(&[&n.to_be_bytes()]),
    }
}

pub fn log() -> Scenario {
    let mut out = Scenario::new("log");
    entries(&mut out);
    trees(&mut out);
    checkpoints(&mut out);
    files(&mut out);
    out
}

fn entries(out: &mut Scenario) {
    for n in 0..3 {
        let entry = entry(n);
        let given = json!({"leaf": h(entry.leaf())});
        let text = entry.render();
        out.gives(&format!("entry {n}"), "entry", json!({"text": text}), given);
    }
    let text = entry(0).render();
    for (what, bad) in [
        ("unknown word", text.replace("accepted", "received")),
        (
            "capital digits",
            text.to_uppercase().replace("ACCEPTED", "accepted"),
        ),
        ("a digit less", text[..text.len() - 1].to_owned()),
        ("a digit more", text.clone() + "0"),
        ("two spaces", text.replace(' ', "  ")),
        ("a line end", text.clone() + "\n"),
        ("empty", String::new()),
    ] {
        assert!(Entry::parse(&bad).is_none(), "{what}");
        out.refuses(&format!("entry, {what}"), "entry", json!({"text": bad}), 0);
    }
}

fn trees(out: &mut Scenario) {
    let texts: Vec<String> = (0..9).map(|n| entry(n).render()).collect();
    let leaves: Vec<Hash> = texts
        .iter()
        .map(|text| merkle::leaf(text.as_bytes()))
        .collect();
    for size in [0, 1, 2, 3, 4, 7, 8, 9] {
        let root = json!({"root": h(merkle::root(&leaves[..size]))});
        let input = json!({"entries": texts[..size]});
        out.gives(&format!("root over {size}"), "root", input, root);
    }
    for (index, size) in [(0, 1), (0, 2), (2, 3), (3, 4), (6, 7), (4, 9), (8, 9)] {
        let tree = &leaves[..size];
        let path = merkle::path(tree, index).expect("a leaf");
        let given = |path: &[Hash], index: usize, text: &str| json!({"text": text, "index": index, "size": size, "path": all(path), "root": h(merkle::root(tree))});
        let name = format!("entry {index} of {size}");
        let good = given(&path, index, &texts[index]);
        out.gives(&name, "inclusion", good, json!({"included": true}));
        let other = given(&path, index, &entry(index + 3).render());
        out.refuses(&format!("{name}, another text"), "inclusion", other, 27);
        let long = [&path[..], &[[0; 32]]].concat();
        let long = given(&long, index, &texts[index]);
        out.refuses(&format!("{name}, path too long"), "inclusion", long, 27);
        if let Some((_, short)) = path.split_last() {
            let short = given(short, index, &texts[index]);
            out.refuses(&format!("{name}, path too short"), "inclusion", short, 27);
            let swapped = given(&path, index ^ 1, &texts[index]);
            out.refuses(&format!("{name}, another place"), "inclusion", swapped, 27);
        }
    }
}

/// The letter of base64 behind another: it differs in the last bit, which a padded end does not use.
fn next_letter(letter: &str) -> char {
    let byte = letter.bytes().next().expect("a letter");
    char::from(match byte {
        b'Z' => b'a',
        b'z' => b'0',
        b'9' => b'+',
        b'+' => b'/',
        other => other + 1,
    })
}

fn checkpoints(out: &mut Scenario) {
    let (matcher, witness) = (identity("centre", 3), identity("audit", 4));
    let agreement = AgreementDigest([7; 32]);
    let origin = Origin::new(agreement, Epoch(2), &matcher.card().name);
    let leaves: Vec<Hash> = (0..5).map(|n| entry(n).leaf()).collect();
    let checkpoint = Checkpoint::sign(&matcher, &origin, 5, merkle::root(&leaves));
    let note = checkpoint.render(matcher.card(), &origin);
    let input = |note: &str| json!({"note": note, "agreement": agreement.to_hex(), "epoch": 2, "matcher": matcher.card().render()});
    let read = |note: &str| Checkpoint::parse(note, matcher.card(), &origin);
    let given =
        |c: &Checkpoint| json!({"size": c.size, "root": h(c.root), "signature": h(c.signature)});
    let empty = Checkpoint::sign(&matcher, &origin, 0, merkle::root(&[]));
    let empty = empty.render(matcher.card(), &origin);
    let cosigned = note.clone() + &checkpoint.cosign(&witness, &origin, 1_467_360_000);
    for (what, text) in [
        ("five entries", &note),
        ("no entry", &empty),
        ("with a witness", &cosigned),
    ] {
        let found = read(text).expect("it holds");
        out.gives(
            &format!("checkpoint, {what}"),
            "checkpoint",
            input(text),
            given(&found),
        );
    }
    let (body, signature) = note.split_once("\n\n").expect("a note");
    for (what, bad) in [
        ("another size", note.replace("\n5\n", "\n6\n")),
        ("leading zero", note.replace("\n5\n", "\n05\n")),
        ("a fourth line", note.replace("\n5\n", "\n5\nx\n")),
        ("another epoch in it", note.replace("/2/", "/3/")),
        ("another name", note.replace("centre ", "centra ")),
        ("no empty line", note.replace("\n\n", "\n")),
        ("no signature", format!("{body}\n\n")),
        ("a hyphen for the dash", note.replace('\u{2014}', "-")),
        ("no line end", note[..note.len() - 1].to_owned()),
        ("a line that is no signature", format!("{note}x\n")),
        (
            "signature without padding",
            note.replace("==\n", "\n").replace("=\n", "\n"),
        ),
        (
            "signature cut",
            format!("{body}\n\n{}AA==\n", &signature[..signature.len() - 12]),
        ),
        ("two lines of the matcher", format!("{note}{signature}")),
        (
            "a signature of no bytes",
            format!("{note}\u{2014} x AAAAAA==\n"),
        ),
        ("stray bits behind a root", {
            let root = body.lines().nth(2).expect("a root");
            let end = root.strip_suffix('=').expect("padding");
            let (kept, last) = end.split_at(end.len() - 1);
            note.replace(root, &format!("{kept}{}=", next_letter(last)))
        }),
        ("only the witness's line", {
            let line = cosigned.rsplit_once("\u{2014} ").expect("a line").1;
            format!("{body}\n\n\u{2014} {line}")
        }),
    ] {
        assert!(bad != note && read(&bad).is_none(), "{what}");
        out.refuses(&format!("checkpoint, {what}"), "checkpoint", input(&bad), 0);
    }
    let elsewhere: [(&str, &str, Value); 3] = [
        ("of another agreement", "agreement", json!("08".repeat(32))),
        ("of another epoch", "epoch", json!(3)),
        (
            "of another matcher",
            "matcher",
            json!(identity("centre", 5).card().render()),
        ),
    ];
    for (what, field, value) in elsewhere {
        let mut input = input(&note);
        input[field] = value;
        out.refuses(&format!("checkpoint {what}"), "checkpoint", input, 0);
    }
    let mut with = |what: &str, note: &str, by: &hedui_protocol::identity::Identity| {
        let mut input = input(note);
        input["witness"] = json!(by.card().render());
        let name = format!("witness, {what}");
        match read(note).and_then(|c| c.cosigned(note, by.card(), &origin)) {
            Some(time) => out.gives(&name, "witness", input, json!({"time": time})),
            None => out.refuses(&name, "witness", input, 0),
        }
    };
    with("its line", &cosigned, &witness);
    with("none", &note, &witness);
    with("another party's line", &cosigned, &identity("police", 2));
    with("the matcher's line is none", &cosigned, &matcher);
    let other = Checkpoint::sign(&matcher, &origin, 6, merkle::root(&leaves));
    let moved = note.clone() + &other.cosign(&witness, &origin, 1_467_360_000);
    with("under another checkpoint", &moved, &witness);
    let late = note.clone() + &checkpoint.cosign(&witness, &origin, 1 << 63);
    with("a time that is no signed number", &late, &witness);
    let header = |c: &Checkpoint| {
        json!({"log": format!("{} {} {}", hedui_protocol::primitive::hex(&c.root), c.size,
        hedui_protocol::primitive::hex(&c.signature)),
        "agreement": agreement.to_hex(), "epoch": 2, "matcher": matcher.card().render()})
    };
    out.gives(
        "line of a header",
        "header-line",
        header(&checkpoint),
        given(&checkpoint),
    );
    let changes: [fn(&mut Checkpoint); 3] =
        [|c| c.size += 1, |c| c.root[0] ^= 1, |c| c.signature[9] ^= 1];
    for (what, change) in ["size", "root", "signature"].iter().zip(changes) {
        let mut bad = checkpoint;
        change(&mut bad);
        assert!(!bad.holds(matcher.card(), &origin));
        out.refuses(
            &format!("line of a header, another {what}"),
            "header-line",
            header(&bad),
            27,
        );
    }
}

fn files(out: &mut Scenario) {
    for size in [0, 1, 256, 257, 600] {
        let entries: Vec<Entry> = (0..size).map(entry).collect();
        let mut files = tile::files(&entries);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let list: Vec<Value> = files
            .iter()
            .map(|file| json!({"path": file.path, "sha256": h(sha256(&[&file.bytes]))}))
            .collect();
        let input = json!({"size": size, "rule": "entry n: word n mod 3 of accepted, sent, deleted; digest H(u64(n))"});
        out.gives(
            &format!("files of {size} entries"),
            "files",
            input,
            json!({"files": list}),
        );
    }
    let entries: Vec<Entry> = (0..3).map(entry).collect();
    let bundle = tile::files(&entries).remove(0).bytes;
    let mut add = |what: &str, bytes: &[u8], count: usize| {
        let input = json!({"bytes": h(bytes), "count": count});
        match tile::read_bundle(bytes, count) {
            Some(entries) => {
                let texts: Vec<String> = entries.iter().map(Entry::render).collect();
                out.gives(what, "bundle", input, json!({"entries": texts}));
            }
            None => out.refuses(what, "bundle", input, 0),
        }
    };
    add("bundle of three", &bundle, 3);
    add("bundle, one asked for less", &bundle, 2);
    add("bundle, one asked for more", &bundle, 4);
    add("bundle, cut off", &bundle[..bundle.len() - 1], 3);
    add("bundle, a byte behind it", &[&bundle[..], &[0]].concat(), 3);
    let mut long = bundle.clone();
    long[1] += 1;
    add("bundle, a length too long", &long, 3);
    add("bundle, empty, none asked for", &[], 0);
}
