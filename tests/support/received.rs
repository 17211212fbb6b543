//! Every parser of bytes that come from elsewhere, as a function of bytes. In: anything. Out: nothing; a parser may refuse and
//! must not panic, hang or allocate beyond its limits. Invariant: what is read and written again is the same; a file that
//! somebody else wrote opens or is refused. Specification: protocol/SPEC.md, "Limits".

use std::io::Cursor;
use std::sync::OnceLock;

use hedui_agent::clue::rules::Rules;
use hedui_keys::custodian::paper;
use hedui_keys::oprf::client::{BlindedChunk, EpochKey};
use hedui_keys::oprf::threshold::Threshold;
use hedui_matcher::cell::Cell;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::{Fact, FactKind};
use hedui_protocol::commitment::{Commitment, Opening, Openings};
use hedui_protocol::envelope::{Checked, Expectation};
use hedui_protocol::epoch::EpochRecord;
use hedui_protocol::field::{FieldKind, Gazetteer};
use hedui_protocol::filter::{TokenKind, Tokens};
use hedui_protocol::header::Header;
use hedui_protocol::identity::PartyCard;
use hedui_protocol::ids::AgreementDigest;
use hedui_protocol::ids::Epoch;
use hedui_protocol::keyfile;
use hedui_protocol::log::checkpoint::{Checkpoint, Origin};
use hedui_protocol::log::{Entry, tile};
use hedui_protocol::message::disclosure;
use hedui_protocol::message::evaluation::{AnswerManifest, CeremonyMessage, RequestManifest};
use hedui_protocol::message::kit::Kit;
use hedui_protocol::message::own_result;
use hedui_protocol::message::payload::Facts;
use hedui_protocol::message::receipt::Receipt;
use hedui_protocol::message::refine;
use hedui_protocol::message::result::{self, Pair};
use hedui_protocol::message::submission;
use hedui_protocol::message::ticket::Tickets;
use hedui_protocol::message::{Layout, manifest_len, parse_manifest};
use hedui_protocol::primitive::unhex_bytes;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::parties::{FIELDS, agreement, identity, name, open_agreement};

/// A parser of received bytes.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 14] = [
    ("header", header),
    ("envelope", envelope),
    ("agreement", agreement_text),
    ("signatures", signatures),
    ("epoch_record", epoch_record),
    ("small_texts", small_texts),
    ("log", log),
    ("manifests", manifests),
    ("rows", rows),
    ("elements", elements),
    ("paper", paper_sheets),
    ("values", values),
    ("rules", rules),
    ("gazetteer", gazetteer),
];

/// Runs one by name.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, parse) = found.expect("a target");
    parse(data);
}

fn made() -> &'static Agreement {
    static MADE: OnceLock<Agreement> = OnceLock::new();
    MADE.get_or_init(|| {
        agreement(&format!(
            "[refine]\n---\n{FIELDS}[[comparison]]\nfield = 'name'\n"
        ))
    })
}

fn header(data: &[u8]) {
    if let Ok((header, len)) = Header::parse(data) {
        assert_eq!(header.render().as_bytes(), &data[..len]);
    }
}

fn envelope(data: &[u8]) {
    let (from, to) = (identity("police", 2), identity("centre", 3));
    let expected = Expectation {
        me: to.card(),
        agreement: AgreementDigest([7; 32]),
        epoch: Epoch(1),
        kinds: &[],
        party: &|name| (*name == from.card().name).then(|| from.card().clone()),
        matcher: to.card(),
    };
    let verified = Checked::read(Cursor::new(data), &expected).and_then(Checked::verify);
    if let Ok(mut verified) = verified {
        let mut out = Vec::new();
        // What the sender has signed may still be nonsense to the recipient's key.
        let _ = verified.open(&to, &mut out);
    }
}

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

fn agreement_text(data: &[u8]) {
    if let Ok(read) = Agreement::parse(text(data)) {
        let again = Agreement::parse(read.effective()).expect("the effective text is an agreement");
        assert!(again.digest() == read.digest() && again.effective() == read.effective());
    }
}

fn signatures(data: &[u8]) {
    made().signers(text(data));
}

fn epoch_record(data: &[u8]) {
    if let Ok((record, _)) = EpochRecord::parse(text(data)) {
        assert!(text(data).starts_with(&record.render()));
    }
    let _ = EpochRecord::signed(made(), text(data));
}

fn small_texts(data: &[u8]) {
    if let Some(card) = PartyCard::parse(text(data)) {
        assert_eq!(card.render().trim_end(), text(data).trim_end());
    }
    let _ = keyfile::claimed_name(text(data));
    let _ = serde_json::from_str::<Cell>(text(data));
}

/// A published log, a roll's commitment and its openings.
fn log(data: &[u8]) {
    if let Some(entry) = Entry::parse(text(data)) {
        assert_eq!(entry.render(), text(data));
    }
    for count in [0, 1, 2, 3, 256] {
        if let Some(entries) = tile::read_bundle(data, count) {
            let files = tile::files(&entries);
            let bundle = files.first().map(|file| &file.bytes[..]);
            assert_eq!(bundle.unwrap_or_default(), data, "one spelling");
        }
    }
    let matcher = identity("centre", 3);
    let origin = Origin::new(AgreementDigest([7; 32]), Epoch(2), &name("centre"));
    if let Some(checkpoint) = Checkpoint::parse(text(data), matcher.card(), &origin) {
        assert!(checkpoint.holds(matcher.card(), &origin));
        let _ = checkpoint.cosigned(text(data), identity("audit", 4).card(), &origin);
    }
    if let Ok(commitment) = Commitment::parse(text(data), made()) {
        assert_eq!(commitment.sign(&identity("office", 1)), text(data));
    }
    let nobody = Commitment {
        agreement: AgreementDigest([7; 32]),
        epoch: Epoch(1),
        snapshot: String::new(),
        persons: 5,
        controls: 2,
        root: [9; 32],
    };
    if let Ok(opening) = serde_json::from_slice::<Opening>(data) {
        assert!(!opening.holds(&nobody), "an invented opening");
    }
    if let Ok(openings) = serde_json::from_slice::<Openings>(data) {
        let held = openings.openings.iter().any(|one| one.holds(&nobody));
        assert!(!held, "an invented opening");
    }
    if let Ok(receipt) = serde_json::from_slice::<Receipt>(data) {
        let _ = receipt.checkpoint(matcher.card(), &origin);
    }
}

fn manifest<M: DeserializeOwned>(json: &[u8]) -> Option<M> {
    parse_manifest("message", json).ok()
}

fn manifests(data: &[u8]) {
    if let Some(prefix) = data.first_chunk::<4>() {
        let _ = manifest_len(*prefix);
    }
    let (agreement, len) = (made(), data.len() as u64);
    let (office, cars) = (name("office"), name("cars"));
    for bytes in [0, len, u64::MAX] {
        if let Some(head) = manifest::<submission::Manifest>(data) {
            let _ = head.check(agreement, &office, len, bytes);
            let _ = head.check(agreement, &name("police"), len, bytes);
        }
        if let Some(head) = manifest::<RequestManifest>(data) {
            let _ = head.check(agreement, &office, len, bytes);
        }
        if let Some(head) = manifest::<AnswerManifest>(data) {
            let _ = head.check(&cars, 4096, len, bytes);
        }
        if let Some(head) = manifest::<refine::Request>(data) {
            let _ = head.check(agreement, len, bytes);
        }
        if let Some(head) = manifest::<refine::Answer>(data) {
            let _ = head.check(agreement, 512, len, bytes);
        }
    }
    if let Some(head) = manifest::<result::Manifest>(data) {
        let _ = Layout::new(len, &head.tables);
    }
    // As a manifest, and as a body whose first four bytes are its length.
    records(data);
    records(data.get(4..).unwrap_or_default());
    let _: Option<CeremonyMessage> = manifest(data);
    let _: Option<Receipt> = manifest(data);
    let _: Option<Tickets> = manifest(data);
}

/// Messages about single records; what passes is within the terms.
fn records(data: &[u8]) {
    static OPEN: OnceLock<Agreement> = OnceLock::new();
    let open = OPEN.get_or_init(open_agreement);
    if let Some(request) = manifest::<disclosure::Request>(data)
        && let Ok(handles) = request.check(open)
    {
        assert_eq!(handles.len(), request.questions.len());
    }
    if let Some(answer) = manifest::<disclosure::Answer>(data)
        && let Ok(records) = answer.check(open)
    {
        let is_open = |record: &disclosure::Opened| record.word == disclosure::Word::Disclosed;
        assert!(records.iter().all(|r| is_open(r) == r.facts.is_some()));
        assert!(records.iter().all(|r| !r.fields.contains_key(&name("id"))));
    }
    let end = data
        .iter()
        .rposition(|byte| *byte == b'}')
        .map_or(0, |at| at + 1);
    let (json, table) = data.split_at(end);
    if let Some(head) = manifest::<own_result::Manifest>(json)
        && let Ok(found) = head.check(open, json.len() as u64, table)
    {
        assert_eq!(found.len() * 16, table.len());
    }
    let _ = unhex_bytes(&String::from_utf8_lossy(data));
}

fn rows(data: &[u8]) {
    if let Ok(pair) = Pair::decode(data) {
        assert_eq!(pair.encode(), data);
    }
    if let Ok(kit) = Kit::decode(data) {
        assert_eq!(&**kit.encode(), data);
    }
    let fact = |kind, codes: &[&str]| Fact {
        name: name("f"),
        kind,
        codes: codes.iter().map(|code| (*code).to_owned()).collect(),
    };
    let schema = [
        fact(FactKind::Code, &["a", "b"]),
        fact(FactKind::Date, &[]),
        fact(FactKind::Integer, &[]),
        fact(FactKind::Reference, &[]),
    ];
    if let Ok(facts) = Facts::decode(data, &schema) {
        assert!(&**facts.encode() == data || data.len() > 4094);
    }
    let _ = Facts::decode(data, &[]);
}

fn elements(data: &[u8]) {
    let (chunk, rest) = data.as_chunks::<32>();
    if let Ok(blinded) = BlindedChunk::decode(chunk) {
        let proof: [u8; 64] = std::array::from_fn(|at| rest.get(at).copied().unwrap_or(1));
        let threshold = Threshold::new(3, 2).expect("threshold");
        let public = (1..).zip(chunk.iter().copied().take(3)).collect();
        if let Ok(key) = EpochKey::new(threshold, &public) {
            assert!(key.verify(1, &blinded, chunk, &proof).is_err());
        }
    }
}

fn paper_sheets(data: &[u8]) {
    let typed: Vec<Zeroizing<String>> = text(data)
        .split("\n\n")
        .map(|sheet| Zeroizing::new(sheet.to_owned()))
        .collect();
    let _ = paper::restore(&typed);
}

fn values(data: &[u8]) {
    let (places, raw) = (Gazetteer::default(), text(data));
    for kind in FieldKind::ALL {
        let cell = kind.normalise(raw, &places);
        for form in kind.forms() {
            let _ = form.of(kind, &cell);
            assert!(form.all_of_roll(kind, &cell).len() <= form.fan_out());
        }
        if let Some(value) = &cell.value {
            let again = kind.normalise(value, &places);
            assert!(
                again.value.as_ref() == Some(value),
                "{kind:?} is not stable"
            );
        }
        let tokens: [TokenKind; 6] = [
            TokenKind::Bigrams,
            TokenKind::Digits,
            TokenKind::Han,
            TokenKind::Sound,
            TokenKind::Shape,
            TokenKind::Whole,
        ];
        for cut in tokens {
            let list: Tokens = cut.tokens(kind, &cell);
            let mut all: Vec<&str> = list.iter().collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "a token twice");
        }
    }
}

fn rules(data: &[u8]) {
    let _ = Rules::parse(text(data), None, "2016-06-30");
    let _ = Rules::parse(text(data), Some(made()), "2016-06-30");
}

fn gazetteer(data: &[u8]) {
    let _ = Gazetteer::parse(text(data));
}
