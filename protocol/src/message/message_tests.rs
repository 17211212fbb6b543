//! Heads of messages, each right and wrong in one place. In: heads made for one agreement. Out: passes, or the change that
//! was judged wrongly.
//! Invariant under test: what is read has the tables, rows and bytes that the agreement says, at most; SPEC.md, "Bodies".

use super::evaluation::{AnswerManifest, RequestManifest, chunks};
use super::kit::{KIT_BYTES, Kit};
use super::payload::{FactValue, Facts, class_of, room_of};
use super::refine::{self, Answering};
use super::result::{Outcome, Pair, payload_table};
use super::submission::{GONE, Manifest, expected, fan_out_of};
use super::*;
use crate::agreement::Agreement;
use crate::agreement::sample::{changed, name, sample};
use crate::agreement::text::FactKind;
use crate::ids::{DatasetNumber, Handle};
use crate::primitive::{hex, sha256};
use crate::secret::Secret;

/// Bytes of a head, whatever they are.
const HEAD: u64 = 100;

fn made() -> Agreement {
    Agreement::from_text(sample()).unwrap()
}

fn said<T>(found: Result<T, Refusal>) -> String {
    found.err().map_or_else(
        || "accepted".to_owned(),
        |refusal| format!("{} {refusal}", refusal.exit_code()),
    )
}

/// A submission of the register, or of the roll for it.
fn submission(agreement: &Agreement, dataset: &str, persons: u64) -> Manifest {
    let roll = dataset == "roll";
    let (rows, payloads) = Manifest::rows(persons, &[persons, 0, 0, 0]);
    let mut payloads = payloads.into_iter();
    let tables = expected(agreement, roll).into_iter().map(|(name, width)| {
        let rows = if name.starts_with("payload") {
            payloads.next().unwrap()
        } else {
            rows * fan_out_of(agreement, &name, roll)
        };
        let width = u32::try_from(width).unwrap();
        Table { name, width, rows }
    });
    Manifest {
        dataset: name(dataset),
        register: name("cars"),
        field_version: 1,
        as_of: "2016-06-30".to_owned(),
        snapshot: String::new(),
        kit_check: String::new(),
        canary: "00".repeat(18),
        base: None,
        tables: tables.collect(),
    }
}

type Change<T> = (&'static str, fn(&mut T));

/// Changes to a register: three records gone, two that come, one with a large payload.
fn changes(agreement: &Agreement) -> Manifest {
    let mut head = submission(agreement, "cars", 1);
    head.base = Some("0a".repeat(32));
    for table in &mut head.tables {
        table.rows = match table.name.as_str() {
            "payload-96" | "payload-4096" => 1,
            "payload-256" | "payload-1024" => 0,
            _ => 2,
        };
    }
    let gone = Table {
        name: GONE.to_owned(),
        width: 16,
        rows: 3,
    };
    head.tables.insert(0, gone);
    head
}

#[test]
fn changes_have_what_goes_and_what_comes() {
    let agreement = made();
    let head = changes(&agreement);
    assert_eq!(checked(&agreement, &head), "accepted");
    assert_eq!(head.base(), Some([10; 32]));
    assert_eq!(submission(&agreement, "cars", 1).base(), None);
    let wrong: &[Change<Manifest>] = &[
        ("no digest", |head| head.base = Some("0a".repeat(31))),
        ("no digest", |head| head.base = Some(String::new())),
        ("another width", |head| head.base = None),
        ("another width", |head| {
            head.tables.remove(0);
        }),
        ("another width", |head| head.tables[0].width = 20),
        ("numbers of records", |head| head.tables[1].rows = 3),
        ("numbers of records", |head| head.tables[7].rows = 1),
        ("numbers of records", |head| head.tables[9].rows = 1),
        ("too large", |head| {
            head.tables[1..8].iter_mut().for_each(|t| t.rows = 1 << 13);
        }),
    ];
    for (word, change) in wrong {
        let mut head = head.clone();
        change(&mut head);
        let refusal = checked(&agreement, &head);
        assert!(refusal.contains(word), "{word}: {refusal}");
    }
    // Of a roll there are none, nor of record filters.
    let mut roll = submission(&agreement, "roll", 1);
    roll.base = Some("0a".repeat(32));
    assert!(checked(&agreement, &roll).contains("delivered whole"));
    let alike = changed(|text| {
        let likeness = "scope = 'register'\nthreshold = '0.85'\n[[field]]\nfield = 'phone'\n";
        text.likeness = Some(crate::agreement::strict::parse("likeness", likeness).unwrap());
    });
    let alike = alike.unwrap();
    assert!(checked(&alike, &changes(&alike)).contains("delivered whole"));
}

/// A base with its changes is as large as a whole delivery may be, and padded like one.
#[test]
fn changes_fit_the_size_of_their_base() {
    let agreement = made();
    let head = changes(&agreement);
    let rows = |base: u64| match head.changed_rows(&agreement, base) {
        Ok(rows) => rows.to_string(),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(rows(4097), "4096");
    for base in [4096, 4000, 3] {
        assert!(rows(base).contains("not padded"), "{base}");
    }
    for base in [0, 1, 2] {
        assert!(rows(base).contains("more records are gone"), "{base}");
    }
    let dataset = agreement.dataset_or_nearest("cars").unwrap();
    let most = Manifest::padded(dataset.rows_max + 4 * 256);
    assert_eq!(rows(most + 1), most.to_string());
    assert!(rows(most + 4097).contains("too large"));
}

fn checked(agreement: &Agreement, head: &Manifest) -> String {
    let bytes = Layout::new(HEAD, &head.tables).unwrap().body_bytes;
    said(head.check(agreement, &name("office"), HEAD, bytes))
}

#[test]
fn a_submission_has_the_tables_of_the_agreement() {
    let agreement = made();
    let (own, roll) = (
        submission(&agreement, "cars", 1),
        submission(&agreement, "roll", 1),
    );
    assert_eq!(checked(&agreement, &own), "accepted");
    assert_eq!(checked(&agreement, &roll), "accepted");
    assert!(roll.is_roll() && !own.is_roll());
    let places: Vec<_> = own
        .tables
        .iter()
        .map(|t| (t.name.as_str(), t.width))
        .collect();
    let tags = ["tag-1", "tag-2", "tag-3", "tag-4", "tag-5", "tag-6"].map(|tag| (tag, 32));
    assert_eq!(places[..6], tags);
    // Handle, nonce, two wrapped keys, the facts and their tag.
    let rest = [
        ("presence", 20),
        ("payload-96", 236),
        ("payload-256", 396),
        ("payload-1024", 1164),
        ("payload-4096", 4236),
    ];
    assert_eq!(places[6..], rest);
    assert_eq!(roll.tables.len(), 7);
    assert_eq!(roll.tables[1].rows, 180 * 4096);
    let alike = changed(|text| {
        let likeness = "scope = 'register'\nthreshold = '0.85'\n[[field]]\nfield = 'phone'\n";
        text.likeness = Some(crate::agreement::strict::parse("likeness", likeness).unwrap());
    });
    let filters = expected(&alike.unwrap(), true).pop();
    assert_eq!(filters, Some(("filters".to_owned(), 16 + 128)));
    let bytes = Layout::new(HEAD, &own.tables).unwrap().body_bytes;
    for (sender, bytes, word) in [
        ("police", bytes, "not the sender's"),
        ("office", bytes + 1, "another length"),
        ("office", bytes - 1, "another length"),
    ] {
        let refusal = said(own.check(&agreement, &name(sender), HEAD, bytes));
        assert!(refusal.contains(word), "{refusal}");
    }
}

#[test]
fn a_submission_that_differs_anywhere_is_refused() {
    let agreement = made();
    let changes: &[Change<Manifest>] = &[
        ("go together", |head| head.dataset = name("roll")),
        ("go together", |head| {
            (head.dataset, head.register) = (name("roll"), name("roll"));
        }),
        ("go together", |head| head.register = name("roll")),
        ("has no", |head| head.register = name("nobody")),
        ("version 2", |head| head.field_version = 2),
        ("canary", |head| head.canary = "00".repeat(17)),
        ("another width", |head| head.tables[0].width = 33),
        ("another width", |head| {
            head.tables[6].name = "tag-7".to_owned()
        }),
        ("not padded", |head| head.tables[0].rows += 1),
        ("not padded", |head| head.tables[0].rows += 256),
        ("not padded", |head| head.tables[7].rows += 1),
        ("numbers of records", |head| head.tables[0].rows = 0),
        ("numbers of records", |head| head.tables[6].rows = 0),
        ("numbers of records", |head| head.tables[7].rows -= 256),
        ("numbers of records", |head| head.tables[8].rows += 256),
        ("more or fewer", |head| {
            head.tables.pop();
        }),
        ("more or fewer", |head| {
            let more = head.tables[0].clone();
            head.tables.push(more);
        }),
        ("12 too large", |head| head.tables[0].rows = 8192),
        ("12 too large", |head| head.tables[7].rows = 4096 + 256),
    ];
    for (at, (word, change)) in changes.iter().enumerate() {
        let mut head = submission(&agreement, "cars", 1);
        change(&mut head);
        let refusal = checked(&agreement, &head);
        let skipped = *word == "go together" && head.dataset != head.register;
        // The roll's tables are others, so that refusal may come first for the changed pair.
        assert!(
            refusal.contains(word) || skipped && refusal != "accepted",
            "{at}: {refusal}"
        );
    }
    let mut roll = submission(&agreement, "roll", 1);
    roll.tables[1].rows += 4096;
    assert!(checked(&agreement, &roll).contains("12 too large"));
    roll.tables[1].rows -= 2 * 4096;
    assert!(checked(&agreement, &roll).contains("numbers of records"));
}

/// A table is padded to whole steps, and has as many rows as the agreement's rows and a step per class come to.
#[test]
fn rows_are_padded_and_at_most_those_of_the_agreement() {
    for (rows, tags, payload) in [
        (0, 4096, 0),
        (1, 4096, 256),
        (256, 4096, 256),
        (257, 4096, 512),
        (4096, 4096, 4096),
        (4097, 8192, 4352),
    ] {
        assert_eq!(Manifest::padded(rows), tags, "{rows}");
        assert_eq!(Manifest::padded_payload(rows), payload, "{rows}");
    }
    assert_eq!(Manifest::rows(0, &[]), (4096, vec![]));
    assert_eq!(Manifest::rows(1, &[0, 0]), (4096, vec![4096, 0]));
    assert_eq!(Manifest::rows(5000, &[100, 300]), (8192, vec![7680, 512]));
    assert_eq!(Manifest::rows(10, &[4097, 0]), (8192, vec![8192, 0]));
    let of = |rows_max: u64, persons: u64| {
        let agreement = changed(|text| text.dataset[1].rows_max = rows_max).unwrap();
        checked(&agreement, &submission(&agreement, "cars", persons))
    };
    // 3,072 rows and four steps of 256 are 4,096.
    assert_eq!(of(3072, 4096), "accepted");
    assert!(of(3072, 4097).contains("12 too large"));
    assert_eq!(of(3073, 8192), "accepted");
    let agreement = made();
    let of = |table: &str, roll: bool| fan_out_of(&agreement, table, roll);
    assert_eq!((of("tag-2", true), of("tag-2", false)), (180, 1));
    assert_eq!((of("tag-1", true), of("presence", true)), (1, 1));
}

#[test]
fn requests_for_evaluation_are_padded_and_answered_as_asked() {
    let agreement = made();
    for (count, padded) in [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192)] {
        assert_eq!(RequestManifest::padded(count), padded);
    }
    for (count, proofs) in [(0, 0), (1, 1), (8192, 1), (8193, 2), (16_384, 2)] {
        assert_eq!(chunks(count), proofs);
    }
    let request = |dataset: &str, count: u64, change: fn(&mut RequestManifest)| {
        let mut head = RequestManifest::new(&name(dataset), count);
        change(&mut head);
        let bytes = Layout::new(HEAD, &head.tables).unwrap().body_bytes;
        said(head.check(&agreement, &name("office"), HEAD, bytes))
    };
    assert_eq!(request("cars", 4096, |_| ()), "accepted");
    assert_eq!(request("roll", 8192, |_| ()), "accepted");
    for (dataset, count) in [
        ("cars", 0),
        ("cars", 4095),
        ("cars", 6000),
        ("nobody", 4096),
    ] {
        assert_ne!(
            request(dataset, count, |_| ()),
            "accepted",
            "{dataset} {count}"
        );
    }
    let changes: [fn(&mut RequestManifest); 4] = [
        |head| head.tables[0].name = "proofs".to_owned(),
        |head| head.tables[0].width = 33,
        |head| head.tables.push(head.tables[0].clone()),
        |head| head.tables.clear(),
    ];
    for change in changes {
        assert!(request("cars", 4096, change).contains("not the one of a request"));
    }
    let head = RequestManifest::new(&name("cars"), 4096);
    let bytes = HEAD + 4 + 32 * 4096;
    let (dataset, layout) = head
        .check(&agreement, &name("office"), HEAD, bytes)
        .unwrap();
    assert_eq!((dataset.number, layout.body_bytes), (2, bytes));
    for (sender, bytes) in [
        ("police", bytes),
        ("office", bytes + 1),
        ("office", bytes - 1),
    ] {
        assert!(head.check(&agreement, &name(sender), HEAD, bytes).is_err());
    }
    let answer = AnswerManifest::new(&name("cars"), 8193);
    let bytes = HEAD + 4 + 32 * 8193 + 64 * 2;
    let asked = |dataset: &str, count: u64, bytes: u64| {
        answer.check(&name(dataset), count, HEAD, bytes).is_ok()
    };
    assert!(asked("cars", 8193, bytes));
    assert!(!asked("roll", 8193, bytes) && !asked("cars", 8192, bytes));
    assert!(!asked("cars", 8193, bytes + 1) && !asked("cars", 8193, bytes - 1));
}

#[test]
fn requests_for_refinement_keep_to_their_share() {
    let agreement = changed(|text| text.refine.as_mut().unwrap().pairs_max = 2048).unwrap();
    let data = refine::data_digest("a", "b");
    let request = |rows: u64, change: fn(&mut refine::Request)| {
        let mut head = refine::Request::new(&name("cars"), Answering::Roll, "a", &data, rows);
        change(&mut head);
        let bytes = Layout::new(HEAD, &head.tables).unwrap().body_bytes;
        said(head.check(&agreement, HEAD, bytes))
    };
    assert_eq!(request(0, |_| ()), "accepted");
    assert_eq!(request(512, |_| ()), "accepted");
    assert!(request(511, |_| ()).contains("not padded"));
    assert!(request(1024, |_| ()).contains("12 too large"));
    assert!(request(512, |head| head.data = "00".to_owned()).contains("`data`"));
    let changes: [fn(&mut refine::Request); 4] = [
        |head| head.tables[0].name = "filters".to_owned(),
        |head| head.tables[0].width = 31,
        |head| head.tables.push(head.tables[0].clone()),
        |head| head.tables.clear(),
    ];
    for change in changes {
        assert!(request(512, change).contains("other tables"));
    }
    let head = refine::Request::new(&name("cars"), Answering::Roll, "a", &data, 512);
    let (layout, rows) = head.check(&agreement, HEAD, HEAD + 4 + 32 * 512).unwrap();
    assert_eq!((layout.tables[0].1, rows), (HEAD + 4, 512));
    assert!(head.check(&agreement, HEAD, HEAD + 5 + 32 * 512).is_err());
    let none = changed(|text| {
        text.refine = None;
        text.match_key.pop();
    });
    assert!(
        head.check(&none.unwrap(), HEAD, HEAD + 4 + 32 * 512)
            .is_err()
    );

    // Presence and two filters of 64 bytes.
    assert_eq!(refine::row_bytes(&agreement), 130);
    let answer = refine::Answer::new(&agreement, &name("cars"), Answering::Register, "", 512);
    let fits = |rows: u64, bytes: u64| answer.check(&agreement, rows, HEAD, bytes).is_ok();
    let bytes = HEAD + 4 + 130 * 512;
    assert!(fits(512, bytes) && !fits(513, bytes) && !fits(512, bytes + 1));
    let mut wide = answer.clone();
    wide.tables[0].width = 131;
    assert!(wide.check(&agreement, 512, HEAD, bytes + 512).is_err());
}

/// What a request is known by depends on everything in it, and no two parts can be read as one.
#[test]
fn a_request_is_known_by_its_register_data_and_pairs() {
    let whole = refine::pairs_digest(&name("cars"), "d", b"pairs");
    assert_eq!(whole, sha256(&[b"cars\0d\0pairs"]));
    assert_eq!(refine::data_digest("a", "b"), hex(&sha256(&[b"a\0b"])));
    assert_ne!(refine::data_digest("a", "b"), refine::data_digest("ab", ""));
}

/// A head is read up to its limit, and a body not beyond its own.
#[test]
fn heads_and_bodies_have_limits() {
    let longest = manifest_bytes(&"a".repeat(MANIFEST_BYTES_MAX - 2)).unwrap();
    assert_eq!(longest.len(), MANIFEST_BYTES_MAX + 4);
    let back: String = parse_small_body("text", &longest).unwrap();
    assert_eq!(back.len(), MANIFEST_BYTES_MAX - 2);
    assert!(parse_small_body::<String>("text", &longest[..longest.len() - 1]).is_err());
    let beyond = manifest_bytes(&"a".repeat(MANIFEST_BYTES_MAX - 1)).err();
    assert_eq!(beyond.map(|refusal| refusal.exit_code()), Some(12));
    let len = u32::try_from(MANIFEST_BYTES_MAX).unwrap();
    assert_eq!(
        manifest_len(len.to_be_bytes()).ok(),
        Some(MANIFEST_BYTES_MAX)
    );
    assert!(manifest_len((len + 1).to_be_bytes()).is_err());
    assert_eq!(manifest_len([0, 0, 1, 2]).ok(), Some(258));
    assert!(parse_small_body::<String>("text", &[0, 0, 0]).is_err());

    let table = |name: &str, width: u32, rows: u64| Table {
        name: name.to_owned(),
        width,
        rows,
    };
    assert_eq!(table("a", 3, 5).bytes(), 15);
    let layout = Layout::new(6, &[table("a", 3, 5), table("b", 2, 1)]).unwrap();
    assert_eq!(layout.table("b").map(|(_, at)| *at), Some(25));
    assert!(layout.body_bytes == 27 && layout.table("c").is_none());
    assert!(Layout::new(0, &[table("a", 1, BODY_BYTES_MAX - 4)]).is_ok());
    let beyond = Layout::new(0, &[table("a", 1, BODY_BYTES_MAX - 3)]).err();
    assert_eq!(beyond.map(|refusal| refusal.exit_code()), Some(12));
    assert!(Layout::new(0, &[table("a", u32::MAX, u64::MAX), table("b", 1, 1)]).is_err());
}

/// Facts fill the largest class to its last byte; what is beyond is counted.
#[test]
fn facts_fill_a_payload_to_its_last_byte() {
    let facts = |rows: usize| Facts {
        rows: vec![vec![FactValue::Absent]; rows],
        rows_left_out: 1,
    };
    let schema = [crate::agreement::text::Fact {
        name: name("count"),
        kind: FactKind::Integer,
        codes: Vec::new(),
    }];
    for (rows, kept, left) in [(4090, 4090, 1), (4091, 4090, 2)] {
        let bytes = facts(rows).encode();
        assert_eq!(bytes.len(), 4094);
        let back = Facts::decode(&bytes, &schema).unwrap();
        assert_eq!((back.rows.len(), back.rows_left_out), (kept, left));
    }
    for (len, class) in [
        (0, 96),
        (94, 96),
        (95, 256),
        (1022, 1024),
        (1023, 4096),
        (9999, 4096),
    ] {
        assert_eq!(class_of(len), class, "{len}");
    }
    assert_eq!((room_of(96), room_of(4096)), (94, 4094));
    assert_eq!(payload_table(&name("cars"), 96), "cars/payload-96");
}

#[test]
fn a_row_of_a_result_is_read_as_it_was_written() {
    for weight in [None, Some(0), Some(-300), Some(i16::MAX)] {
        let pair = Pair {
            roll: Handle([1; 16]),
            register: Handle([2; 16]),
            agree: 0x0102,
            differ: 0x0408,
            outcome: Outcome::Review,
            weight,
        };
        let row = pair.encode();
        let back = Pair::decode(&row).unwrap();
        assert!(back.encode() == row && back.weight == weight);
        assert!((back.agree, back.differ) == (0x0102, 0x0408));
        assert!(
            Pair::decode(&row[1..]).is_err() && Pair::decode(&[&row[..], &[0]].concat()).is_err()
        );
    }
    let row = Pair {
        roll: Handle([0; 16]),
        register: Handle([0; 16]),
        agree: 0,
        differ: 0,
        outcome: Outcome::Match,
        weight: None,
    }
    .encode();
    assert!(Pair::decode(&row).is_ok());
    for (at, byte) in [(36, 255), (37, 2), (39, 1)] {
        let mut wrong = row;
        wrong[at] = byte;
        assert!(Pair::decode(&wrong).is_err(), "{at}");
    }
}

#[test]
fn a_kit_is_as_long_as_it_says() {
    let kit = Kit {
        register: DatasetNumber(258),
        register_secret: Secret::new([3; 32]),
        shared_secret: Secret::new([4; 32]),
    };
    let bytes = kit.encode();
    assert_eq!(
        (bytes.len(), bytes[..3].to_vec()),
        (KIT_BYTES, vec![1, 2, 3])
    );
    let back = Kit::decode(&bytes).unwrap();
    assert!(back.encode() == bytes && back.register == DatasetNumber(258));
    let longer = [&bytes[..], &[0]].concat();
    assert!(Kit::decode(&bytes[1..]).is_err() && Kit::decode(&longer).is_err());
}
