//! Envelope: every refusal on a real file, and round trips at every chunk boundary. In: fixed seeds.
//! Out: passes or names the step that failed.
//! Invariant under test: a changed bit is never accepted.

use std::io::Cursor;

use super::*;
use crate::ids::RequestId;

fn identity(name: &str, seed: u8) -> Identity {
    Identity::from_seed(Name::new(name).unwrap(), &Secret::new([seed; 64]))
}

fn header(from: &Identity, to: &Identity, body_bytes: u64) -> Header {
    Header {
        kind: MessageType::Submission,
        agreement: AgreementDigest([7; 32]),
        epoch: Epoch(1),
        from: (from.card().name.clone(), from.card().key_id()),
        to: (to.card().name.clone(), to.card().key_id()),
        seq: 1,
        request: RequestId([9; 16]),
        in_reply_to: None,
        created: "2016-07-01T08:00:00Z".to_owned(),
        body_bytes,
        log: None,
    }
}

fn sealed(body: &[u8]) -> (Identity, Identity, Vec<u8>) {
    let (from, to) = (identity("police", 1), identity("centre", 2));
    let mut out = Vec::new();
    let head = header(&from, &to, body.len() as u64);
    seal(&head, &from, to.card(), &mut Cursor::new(body), &mut out).unwrap();
    (from, to, out)
}

fn open(from: &Identity, to: &Identity, file: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let card = from.card().clone();
    let expected = Expectation {
        me: to.card(),
        agreement: AgreementDigest([7; 32]),
        epoch: Epoch(1),
        kinds: &[MessageType::Submission],
        party: &move |name| (*name == card.name).then(|| card.clone()),
        matcher: to.card(),
    };
    let mut out = Vec::new();
    Checked::read(Cursor::new(file), &expected)?
        .verify()?
        .open(to, &mut out)?;
    Ok(out)
}

#[test]
fn bodies_around_every_chunk_boundary_round_trip() {
    for len in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        2 * CHUNK_BYTES,
        200_001,
    ] {
        let body: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let (from, to, file) = sealed(&body);
        assert!(open(&from, &to, &file).unwrap() == body, "length {len}");
    }
}

#[test]
fn the_same_message_has_the_same_bytes_and_another_body_another_encapsulation() {
    let (_, _, a) = sealed(b"one");
    let (_, _, b) = sealed(b"one");
    let (_, _, c) = sealed(b"two");
    assert_eq!(a, b);
    let head = a.len() - (32 + 3 + 16 + 64);
    assert_ne!(a[head..head + 32], c[head..head + 32]);
}

#[test]
fn any_flipped_bit_truncation_or_extension_is_refused() {
    let (from, to, file) = sealed(&[5; 1000]);
    for at in 0..file.len() {
        let mut copy = file.clone();
        copy[at] ^= 1;
        assert!(open(&from, &to, &copy).is_err(), "byte {at}");
    }
    for cut in [0, 1, 10, file.len() / 2, file.len() - 1] {
        assert!(open(&from, &to, &file[..cut]).is_err());
    }
    let truncated = open(&from, &to, &file[..file.len() - 1]);
    assert!(matches!(
        truncated,
        Err(EnvelopeError::Refused(Refusal::Truncated { missing: 1 }))
    ));
    let mut long = file.clone();
    long.push(0);
    let oversize = open(&from, &to, &long);
    assert!(matches!(
        oversize,
        Err(EnvelopeError::Refused(Refusal::Oversize { .. }))
    ));
}

#[test]
fn another_recipient_sender_agreement_or_epoch_is_named() {
    let (from, to, file) = sealed(b"x");
    let (card, stranger) = (from.card().clone(), identity("stranger", 9));
    let ask = |me: &PartyCard, agreement: u8, epoch: u32, sender: PartyCard| {
        let expected = Expectation {
            me,
            agreement: AgreementDigest([agreement; 32]),
            epoch: Epoch(epoch),
            kinds: &[],
            party: &move |name| (*name == sender.name).then(|| sender.clone()),
            matcher: to.card(),
        };
        match Checked::read(Cursor::new(&file), &expected) {
            Err(EnvelopeError::Refused(refusal)) => refusal.exit_code(),
            _ => 0,
        }
    };
    assert_eq!(ask(to.card(), 7, 1, card.clone()), 0);
    assert_eq!(ask(stranger.card(), 7, 1, card.clone()), 14);
    assert_eq!(ask(to.card(), 8, 1, card.clone()), 15);
    assert_eq!(ask(to.card(), 7, 2, card), 16);
    assert_eq!(ask(to.card(), 7, 1, stranger.card().clone()), 13);
    // The right name with other keys is unknown, too.
    let impostor = identity("police", 8);
    assert_eq!(ask(to.card(), 7, 1, impostor.card().clone()), 13);
}

/// A file that is honest while it is verified and another one afterwards, as a hostile share can serve it.
struct TwoFaced {
    honest: Cursor<Vec<u8>>,
    other: Cursor<Vec<u8>>,
    turned: std::rc::Rc<std::cell::Cell<bool>>,
}

impl Read for TwoFaced {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.turned.get() {
            self.other.read(out)
        } else {
            self.honest.read(out)
        }
    }
}

impl Seek for TwoFaced {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.honest.seek(to)?;
        self.other.seek(to)
    }
}

#[test]
fn what_is_opened_must_be_what_was_verified() {
    let (from, to, honest) = sealed(b"an honest body");
    // Anybody can seal another body of that length to the same recipient under the same header; the signature is
    // only looked at in the first pass.
    let impostor = identity("police", 1);
    let mut other = Vec::new();
    let head = header(&from, &to, 14);
    let mut body = Cursor::new(&b"another's body"[..]);
    seal(&head, &impostor, to.card(), &mut body, &mut other).unwrap();
    let card = from.card().clone();
    let expected = Expectation {
        me: to.card(),
        agreement: AgreementDigest([7; 32]),
        epoch: Epoch(1),
        kinds: &[MessageType::Submission],
        party: &move |name| (*name == card.name).then(|| card.clone()),
        matcher: to.card(),
    };
    for turns in [false, true] {
        let turned = std::rc::Rc::new(std::cell::Cell::new(false));
        let file = TwoFaced {
            honest: Cursor::new(honest.clone()),
            other: Cursor::new(other.clone()),
            turned: turned.clone(),
        };
        let mut verified = Checked::read(file, &expected)
            .and_then(Checked::verify)
            .ok()
            .unwrap();
        turned.set(turns);
        let mut out = Vec::new();
        let opened = verified.open(&to, &mut out);
        if turns {
            assert!(matches!(
                opened,
                Err(EnvelopeError::Refused(Refusal::BadSignature))
            ));
        } else {
            assert!(opened.is_ok() && out == b"an honest body");
        }
    }
}

/// What the sender saw of the log counts only with the matcher's signature, for this agreement and epoch.
#[test]
fn a_checkpoint_in_a_header_is_the_matchers() {
    use crate::log::checkpoint::Checkpoint;
    let (from, to) = (identity("police", 1), identity("centre", 2));
    let ask = |signer: &Identity, agreement: u8, epoch: u32| {
        let origin = Origin::new(
            AgreementDigest([agreement; 32]),
            Epoch(epoch),
            &to.card().name,
        );
        let head = Header {
            log: Some(Checkpoint::sign(signer, &origin, 3, [1; 32])),
            ..header(&from, &to, 1)
        };
        let mut file = Vec::new();
        seal(&head, &from, to.card(), &mut Cursor::new(b"x"), &mut file).unwrap();
        match open(&from, &to, &file) {
            Ok(_) => 0,
            Err(EnvelopeError::Refused(refusal)) => refusal.exit_code(),
            Err(EnvelopeError::Io(error)) => panic!("{error}"),
        }
    };
    assert_eq!(ask(&to, 7, 1), 0);
    assert_eq!(ask(&from, 7, 1), 27, "by the sender");
    assert_eq!(ask(&to, 8, 1), 27, "another agreement's");
    assert_eq!(ask(&to, 7, 2), 27, "another epoch's");
}

/// The randomness of the encapsulation never repeats within one envelope.
#[test]
fn drawn_bytes_do_not_repeat() {
    let mut rng = SeedRng::new(&Secret::new([1; 32]));
    let mut drawn = [[0; 64]; 2];
    for part in &mut drawn {
        rng.try_fill_bytes(part).unwrap();
    }
    let blocks = drawn.as_flattened().chunks(32);
    let distinct: std::collections::BTreeSet<&[u8]> = blocks.collect();
    assert_eq!(distinct.len(), 4);
}
