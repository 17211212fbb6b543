//! What a custodian's answers hold. In: an office's requests, small ones and of several chunks. Out: answers whose proofs
//! verify, or a refusal.
//! Invariant under test: what was asked is evaluated in its order and charged once, nothing else; SPEC.md, "Evaluation".

use std::fs;

use hedui_protocol::epoch::ConfirmedEpoch;
use hedui_protocol::limits::PAD_ELEMENTS;
use hedui_protocol::message::Layout;
use hedui_protocol::message::evaluation::{ELEMENTS, PROOFS};
use hedui_protocol::secret::Secret;

use super::*;
use crate::custodian::ceremony::{SHARE, share_of};
use crate::custodian::test_site::{Elements, Site, header_of, request_body, sealed};
use crate::epoch_key::key_of;
use crate::oprf::client::{BlindKey, BlindedChunk, EpochKey};
use crate::store_tests::agreed;

/// Elements of a whole request.
const PAD: usize = PAD_ELEMENTS as usize;

/// Distinct elements of which nobody knows anything.
fn elements(seed: u8, count: usize) -> Elements {
    let key = BlindKey::new(&Secret::new([seed; 32]));
    (0..count as u64).map(|index| key.padding(index)).collect()
}

/// The first of them again and again, where it does not matter what is asked.
fn same(seed: u8, count: usize) -> Elements {
    vec![elements(seed, 1)[0]; count]
}

/// What the first custodian does with a request.
fn answered(site: &Site, path: &Path) -> Result<Answered, Problem> {
    site.at(0, |desk| {
        let vault = desk.vault();
        let share = share_of(&vault.read(SHARE).unwrap().unwrap()).unwrap();
        let mut ledger = Ledger::open(desk.state, desk.agreement, &vault).unwrap();
        answer(desk, &share, &mut ledger, path)
    })
}

/// Elements charged to a dataset and lines of the first custodian's log.
fn charged(site: &Site, dataset: &str) -> (u64, usize) {
    site.at(0, |desk| {
        let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
        (ledger.used(dataset), ledger.entries().len())
    })
}

/// Exit code and words of a refusal.
fn refused(site: &Site, path: &Path) -> (u8, String) {
    let problem = answered(site, path).err().unwrap();
    assert!(
        problem.to_string().contains(".hedui"),
        "it names the file: {problem}"
    );
    (problem.exit_code(), problem.to_string())
}

fn answers_in(site: &Site) -> usize {
    let mine = &site.custodians[0].card().name;
    exchange::sent_by(&site.exchange(), mine)
        .unwrap()
        .iter()
        .filter(|file| file.header.kind == MessageType::EvalAnswer)
        .count()
}

/// An answer as its receiver opens it: elements and proofs.
fn opened(site: &Site, path: &Path, count: u64) -> (Elements, Vec<[u8; PROOF_BYTES]>) {
    let kinds = [MessageType::EvalAnswer];
    let mut verified = exchange::verify(path, &site.agreement, site.office.card(), &kinds).unwrap();
    let body_bytes = verified.header().body_bytes;
    let mut body = Vec::new();
    verified.open(&site.office, &mut body).unwrap();
    let (prefix, rest) = body.split_first_chunk::<4>().unwrap();
    let len = manifest_len(*prefix).unwrap();
    let manifest: AnswerManifest = parse_manifest("answer", &rest[..len]).unwrap();
    let layout: Layout = manifest
        .check(&manifest.dataset, count, len as u64, body_bytes)
        .unwrap();
    let table = |name: &str| {
        let (table, from) = layout.table(name).unwrap();
        let from = usize::try_from(*from).unwrap();
        &body[from..from + usize::try_from(table.bytes()).unwrap()]
    };
    let (elements, proofs) = (table(ELEMENTS), table(PROOFS));
    (
        elements.as_chunks().0.to_vec(),
        proofs.as_chunks().0.to_vec(),
    )
}

fn key(site: &Site) -> EpochKey {
    let texts = [0, 1].map(|at| fs::read_to_string(site.record(at)).unwrap());
    let confirmed = ConfirmedEpoch::gather(&site.agreement, &texts).unwrap();
    key_of(&site.agreement, &confirmed).unwrap()
}

#[test]
fn what_is_asked_is_evaluated_in_its_order_with_one_proof_per_chunk() {
    let site = Site::under(agreed(1, 20_000, "")).with_key();
    let asked = elements(1, 3 * PAD);
    let request = site.ask(0, "cars", &asked);
    let done = answered(&site, &request).unwrap();
    assert_eq!(
        (done.from.as_str(), done.dataset.as_str()),
        ("office", "cars")
    );
    assert_eq!((done.elements, done.left), (12_288, 7712));
    assert!(!done.repeated);
    assert_eq!(charged(&site, "cars"), (12_288, 1));
    let (question, reply) = (header_of(&request), header_of(&done.path));
    assert_eq!(reply.in_reply_to, Some(question.request));
    assert_eq!((&reply.from, &reply.to), (&question.to, &question.from));
    let name = done.path.file_name().unwrap().to_string_lossy();
    let digits: String = question.request.to_hex().chars().take(8).collect();
    assert_eq!(
        name,
        format!(
            "eval-answer-cars-{digits}-c1-to-office-{:05}.hedui",
            reply.seq
        )
    );

    let (evaluated, proofs) = opened(&site, &done.path, 12_288);
    assert_eq!((evaluated.len(), proofs.len()), (12_288, 2));
    let key = key(&site);
    let chunks = asked
        .chunks(EVALUATION_CHUNK)
        .zip(evaluated.chunks(EVALUATION_CHUNK));
    for ((asked, evaluated), proof) in chunks.zip(&proofs) {
        let blinded = BlindedChunk::decode(asked).unwrap();
        let verified = |index, answer: &[_]| key.verify(index, &blinded, answer, proof).is_ok();
        assert!(verified(1, evaluated), "by this custodian's share");
        assert!(!verified(2, evaluated), "by another's");
        let mut swapped = evaluated.to_vec();
        swapped.swap(0, 1);
        assert!(!verified(1, &swapped), "in another order");
    }
}

#[test]
fn a_repeated_request_is_answered_with_the_same_bytes_and_not_charged_again() {
    let site = Site::made();
    let request = site.ask(0, "cars", &same(1, PAD));
    let first = answered(&site, &request).unwrap();
    let bytes = fs::read(&first.path).unwrap();
    fs::remove_file(&first.path).unwrap();
    let again = answered(&site, &request).unwrap();
    assert!(!first.repeated && again.repeated);
    assert_eq!((first.left, again.left), (first.left, first.left));
    assert_eq!(again.path, first.path);
    assert!(fs::read(&again.path).unwrap() == bytes);
    assert_eq!(charged(&site, "cars"), (4096, 1));
    // The same elements for another dataset are another request.
    let other = answered(&site, &site.ask(0, "homes", &same(1, PAD))).unwrap();
    assert!(!other.repeated && other.path != first.path);
    assert_eq!(
        (charged(&site, "cars").0, charged(&site, "homes").0),
        (4096, 4096)
    );
}

#[test]
fn a_quota_is_used_to_its_last_element_and_not_beyond() {
    for (quota, left) in [(8192, 0), (8191, 4095)] {
        let site = Site::under(agreed(1, quota, "")).with_key();
        let [first, second, third] = [1, 2, 3].map(|seed| site.ask(0, "cars", &same(seed, PAD)));
        assert_eq!(answered(&site, &first).unwrap().left, quota - 4096);
        let over = if left == 0 {
            assert_eq!(answered(&site, &second).unwrap().left, 0);
            third
        } else {
            second
        };
        let before = (charged(&site, "cars"), answers_in(&site));
        let (code, said) = refused(&site, &over);
        assert_eq!(code, 26, "{said}");
        assert!(
            said.contains("4096") && said.contains(&left.to_string()),
            "{said}"
        );
        assert_eq!((charged(&site, "cars"), answers_in(&site)), before);
        assert!(
            answered(&site, &first).unwrap().repeated,
            "what was charged is answered for ever"
        );
        // Each dataset has a quota of its own.
        let homes = site.ask(0, "homes", &same(9, PAD));
        assert_eq!(answered(&site, &homes).unwrap().left, quota - 4096);
    }
}

/// A body that no quota covers takes no room: it is refused by its header, before it is opened.
#[test]
fn a_body_longer_than_any_quota_of_its_sender_is_not_opened() {
    let site = Site::under(agreed(1, 5000, "")).with_key();
    let allowed = 8192 * 32 + (4 << 20);
    for (bytes, code) in [(allowed, 10), (allowed + 1, 12)] {
        let body = vec![0; bytes];
        let path = site.send(0, "cars", MessageType::EvalRequest, &body);
        assert_eq!(refused(&site, &path).0, code, "{bytes}");
    }
    assert_eq!(charged(&site, "cars"), (0, 0));
}

#[test]
fn a_body_that_is_not_what_its_head_says_is_refused_uncharged() {
    let site = Site::made();
    let some = same(1, PAD);
    let whole = request_body("cars", 4096, &some);
    let json = usize::from(whole[3]) + 256 * usize::from(whole[2]);
    for (body, what) in [
        (Vec::new(), "nothing"),
        (whole[..3].to_vec(), "half a length"),
        (whole[..3 + json].to_vec(), "a head cut off"),
        (whole[..whole.len() - 32].to_vec(), "one element too few"),
        ([&whole[..], &some[0]].concat(), "one element too many"),
        (request_body("cars", 8192, &some), "another count"),
        (request_body("cars", 4095, &some[1..]), "without padding"),
        (request_body("cars", 0, &[]), "no elements"),
        (request_body("bikes", 4096, &some), "no dataset"),
    ] {
        let path = site.send(0, "cars", MessageType::EvalRequest, &body);
        assert_eq!(refused(&site, &path).0, 10, "{what}");
    }
    assert_eq!((charged(&site, "cars"), answers_in(&site)), ((0, 0), 0));
}

#[test]
fn only_the_owner_of_a_dataset_asks_and_only_whom_it_asked_answers() {
    let site = Site::made();
    let body = request_body("cars", 4096, &same(1, PAD));
    let good = site.ask(0, "cars", &same(1, PAD));
    let header = header_of(&good);
    let [me, other] = &site.custodians;
    let of = |party: &hedui_protocol::identity::Identity| {
        (party.card().name.clone(), party.card().key_id())
    };
    let path = site.exchange().join("made-up.hedui");
    let case = |change: &dyn Fn(&mut Header), by| {
        let mut changed = header.clone();
        change(&mut changed);
        sealed(&path, &changed, by, me, &body);
        refused(&site, &path).0
    };
    assert_eq!(
        case(&|header| header.from = of(other), other),
        10,
        "no dataset's owner"
    );
    assert_eq!(
        case(&|header| header.to = of(other), &site.office),
        14,
        "to another"
    );
    assert_eq!(
        case(&|header| header.epoch.0 = 2, &site.office),
        16,
        "another epoch"
    );
    assert_eq!(case(&|_| (), other), 20, "signed by another");
    assert_eq!(
        case(&|header| header.kind = MessageType::Ceremony, &site.office),
        22,
        "another message"
    );
    let elsewhere = agreed(2, 0, "").digest();
    assert_eq!(
        case(&|header| header.agreement = elsewhere, &site.office),
        15
    );
    assert_eq!(charged(&site, "cars"), (0, 0));
}

/// Two bodies under one header are two requests, and the second is a replay.
#[test]
fn one_header_stands_for_one_body() {
    let site = Site::made();
    let request = site.ask(0, "cars", &same(1, PAD));
    assert!(answered(&site, &request).is_ok());
    let other = site.exchange().join("other.hedui");
    let (header, me) = (header_of(&request), &site.custodians[0]);
    let mut body = request_body("cars", 4096, &same(1, PAD));
    let last = body.len() - 32;
    body[last..].copy_from_slice(&elements(2, 1)[0]);
    sealed(&other, &header, &site.office, me, &body);
    assert_eq!(refused(&site, &other).0, 18);
    let body = request_body("cars", 4096, &same(1, PAD));
    sealed(&other, &header, &site.office, me, &body);
    assert!(answered(&site, &other).unwrap().repeated, "a copy of it");
    assert_eq!(charged(&site, "cars"), (4096, 1));
}

/// The number is that of the element in the request, in whichever chunk and group of chunks it is.
#[test]
fn an_element_that_is_none_is_named_by_its_number_and_nothing_is_answered() {
    let site = Site::under(agreed(1, 2_000_000, "")).with_key();
    let good = elements(1, 1)[0];
    let with_bad = |count: usize, bad: std::ops::Range<usize>| -> Elements {
        let at = |index| if bad.contains(&index) { [0; 32] } else { good };
        (0..count).map(at).collect()
    };
    let group = CHUNKS_AT_ONCE * EVALUATION_CHUNK;
    for (count, bad, first) in [
        (PAD, 5..9, 5),
        (3 * PAD, EVALUATION_CHUNK + 7..EVALUATION_CHUNK + 8, 8199),
        (group + PAD, 3..group + PAD, 3),
    ] {
        let path = site.ask(0, "cars", &with_bad(count, bad));
        let (code, said) = refused(&site, &path);
        assert_eq!(code, 10, "{said}");
        assert!(
            said.contains(&format!("element {first} is no group element")),
            "{said}"
        );
    }
    assert_eq!(answers_in(&site), 0);
}

/// Elements are read in groups of so many chunks, to the last one.
#[test]
fn a_request_is_read_group_by_group_to_its_end() {
    let site = Site::new();
    let group = CHUNKS_AT_ONCE * EVALUATION_CHUNK;
    let total = group + 5;
    let number = |at: usize| {
        let mut element = [0; ELEMENT_BYTES];
        element[..8].copy_from_slice(&(at as u64).to_be_bytes());
        element
    };
    let path = site.place("elements");
    let all: Elements = (0..total).map(number).collect();
    fs::write(&path, all.as_flattened()).unwrap();
    let mut reader = BufReader::new(File::open(&path).unwrap());
    let mut left = total as u64;
    let first = read_group(&mut reader, &mut left, &path).unwrap();
    assert!(left == 5 && first == all[..group]);
    let second = read_group(&mut reader, &mut left, &path).unwrap();
    assert!(left == 0 && second == all[group..]);
    left = 1;
    assert!(
        read_group(&mut reader, &mut left, &path).is_err(),
        "past its end"
    );
}

#[test]
fn what_is_written_through_is_hashed_as_it_was_written() {
    // A writer that takes three bytes at a time.
    struct Slow(Vec<u8>);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Hashing {
        inner: Slow(Vec::new()),
        hash: Sha256::default(),
    };
    assert_eq!(writer.write(b"abcdefgh").unwrap(), 3);
    writer.write_all(b"defgh").unwrap();
    assert_eq!(writer.inner.0, b"abcdefgh");
    let expected = hedui_protocol::primitive::sha256(&[b"abcdefgh"]);
    assert!(writer.hash.finish() == expected);
}
