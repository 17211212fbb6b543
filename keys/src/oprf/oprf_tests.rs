//! The RFC's vectors, every subset of every small sharing, the fast client against the RFC's, and forgeries.
//! In: keys/vectors/rfc9497-ristretto255.json. Out: passes or the step that differs.
//! Invariant under test: SPEC.md, "OPRF lock". Specification: RFC 9497, appendix A.1.

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use hedui_protocol::primitive::hex;
use hedui_protocol::secret::Secret;
use serde_json::Value;
use zeroize::Zeroizing;

use super::client::{BlindKey, BlindedChunk, EpochKey, Evaluation};
use super::evaluate::Share;
use super::proof::{self, Elements};
use super::suite::{Mode, PROOF_BYTES, decode, decode_scalar, derive_key, hash_to_scalar};
use super::threshold::Threshold;
use super::{OprfError, rfc};

fn suites() -> Vec<(Mode, Value)> {
    let text = include_str!("../../vectors/rfc9497-ristretto255.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let mode = |suite: &Value| match suite["mode"].as_u64().unwrap() {
        0 => Mode::Oprf,
        _ => Mode::Voprf,
    };
    let suites = all["suites"].as_array().unwrap().clone();
    suites
        .into_iter()
        .map(|suite| (mode(&suite), suite))
        .collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Comma-separated values of a batch.
fn list<const N: usize>(value: &Value) -> Vec<[u8; N]> {
    let parts = value.as_str().unwrap().split(',');
    parts
        .map(|part| bytes(&Value::from(part)).try_into().unwrap())
        .collect()
}

fn inputs(value: &Value) -> Vec<Vec<u8>> {
    let parts = value.as_str().unwrap().split(',');
    parts.map(|part| bytes(&Value::from(part))).collect()
}

fn scalar(bytes: &[u8; 32]) -> Scalar {
    decode_scalar(bytes).unwrap()
}

fn random(seed: u32) -> Scalar {
    hash_to_scalar(Mode::Oprf, &[&seed.to_be_bytes()])
}

#[test]
fn rfc_vectors_of_both_modes() {
    let mut seen = 0;
    for (mode, suite) in suites() {
        let key = scalar(&list::<32>(&suite["skSm"])[0]);
        let seed = list::<32>(&suite["seed"])[0];
        assert!(derive_key(mode, &seed, &bytes(&suite["keyInfo"])) == Some(key));
        for vector in suite["vectors"].as_array().unwrap() {
            let (blinds, elements) = (
                list::<32>(&vector["Blind"]),
                list::<32>(&vector["EvaluationElement"]),
            );
            let blinded = list::<32>(&vector["BlindedElement"]);
            let outputs = list::<64>(&vector["Output"]);
            for (at, input) in inputs(&vector["Input"]).iter().enumerate() {
                let blind = scalar(&blinds[at]);
                assert_eq!(rfc::blind(mode, input, &blind), blinded[at]);
                assert_eq!(rfc::evaluate(&key, &blinded[at]).unwrap(), elements[at]);
                let output = rfc::finalize(input, &blind, &elements[at]).unwrap();
                assert_eq!(hex(&output), hex(&outputs[at]));
                assert!(rfc::output(mode, &key, input) == outputs[at]);
                seen += 1;
            }
            if mode == Mode::Voprf {
                the_proof_of(&suite, vector, &key, &blinded, &elements);
            }
        }
    }
    assert_eq!(seen, 6);
}

fn the_proof_of(
    suite: &Value,
    vector: &Value,
    key: &Scalar,
    blinded: &[[u8; 32]],
    evaluated: &[[u8; 32]],
) {
    let public = list::<32>(&suite["pkSm"])[0];
    let expected = list::<64>(&vector["Proof"]["proof"])[0];
    let r = scalar(&list::<32>(&vector["Proof"]["r"])[0]);
    let points = |bytes: &[[u8; 32]]| -> Vec<RistrettoPoint> {
        bytes.iter().map(|b| decode(b, 0).unwrap()).collect()
    };
    let (c, d) = (points(blinded), points(evaluated));
    let (c, d) = (
        Elements {
            points: &c,
            bytes: blinded,
        },
        Elements {
            points: &d,
            bytes: evaluated,
        },
    );
    let made = proof::prove(Mode::Voprf, key, &public, c, (evaluated, None), |_, _| r).unwrap();
    assert_eq!(hex(&made), hex(&expected));
    let key_point = decode(&public, 0).unwrap();
    let verdict = |proof: &[u8; 64]| proof::verify(Mode::Voprf, (&key_point, &public), c, d, proof);
    assert_eq!(verdict(&expected), Ok(()));
    // A custodian that multiplied one element wrongly answers nothing.
    let half = key * Scalar::from(2_u8).invert();
    let mut halves: Vec<RistrettoPoint> = c.points.iter().map(|point| half * point).collect();
    let with = |halves: &[RistrettoPoint]| {
        proof::prove(
            Mode::Voprf,
            key,
            &public,
            c,
            (evaluated, Some(halves)),
            |_, _| r,
        )
    };
    assert_eq!(with(&halves), Ok(expected));
    halves[0] += RistrettoPoint::mul_base(&r);
    assert_eq!(with(&halves), Err(OprfError::Fault));
    for at in 0..64 {
        let mut wrong = expected;
        wrong[at] ^= 1;
        assert_eq!(verdict(&wrong), Err(OprfError::Proof), "byte {at}");
    }
}

/// A split of a key among custodians, and the agents' view of it.
fn deal(threshold: Threshold, key: &Scalar) -> (Vec<Share>, EpochKey) {
    let secret = key * threshold.scale().invert();
    let coefficients: Vec<Scalar> = (1..u32::from(threshold.needed)).map(random).collect();
    let shares = threshold.split(&secret, &coefficients).unwrap();
    let publics: BTreeMap<_, _> = shares
        .iter()
        .map(|(index, share)| (*index, *Share::new(share.clone()).public()))
        .collect();
    let epoch = EpochKey::new(threshold, &publics).unwrap();
    (
        shares
            .into_iter()
            .map(|(_, share)| Share::new(share))
            .collect(),
        epoch,
    )
}

fn answers(
    shares: &[Share],
    epoch: &EpochKey,
    set: &[u16],
    blinded: &[[u8; 32]],
) -> Result<Vec<Evaluation>, OprfError> {
    let sent = BlindedChunk::decode(blinded)?;
    set.iter()
        .map(|index| {
            let (elements, proof) = shares[usize::from(*index) - 1].evaluate(blinded)?;
            epoch.verify(*index, &sent, &elements, &proof)
        })
        .collect()
}

/// The RFC's outputs come out of every subset of every sharing of the RFC's key, through the fast client.
#[test]
fn every_subset_of_a_split_key_gives_the_rfc_output() {
    let (_, suite) = suites().remove(1);
    let key = scalar(&list::<32>(&suite["skSm"])[0]);
    let mut seen = 0;
    for (custodians, needed) in [(2, 2), (3, 2), (3, 3), (4, 2), (5, 3), (9, 5)] {
        let threshold = Threshold::new(custodians, needed).unwrap();
        let (shares, epoch) = deal(threshold, &key);
        assert_eq!(hex(epoch.group()), suite["pkSm"].as_str().unwrap());
        for vector in suite["vectors"].as_array().unwrap() {
            let (inputs, outputs) = (inputs(&vector["Input"]), list::<64>(&vector["Output"]));
            let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            let blinds = BlindKey::new(&Secret::new([9; 32]));
            let blinded = blinds.blind_chunk(&inputs);
            let sent = BlindedChunk::decode(&blinded).unwrap();
            for set in threshold.sets() {
                let evaluations = answers(&shares, &epoch, &set, &blinded).unwrap();
                let tokens = epoch
                    .finalise(&sent, &inputs, &blinds, &evaluations)
                    .unwrap();
                for (token, output) in tokens.iter().zip(&outputs) {
                    assert!(token.expose() == output, "{custodians} {set:?}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 4 * (1 + 3 + 1 + 6 + 10 + 126));
}

/// Two of three: the denominators are at most 2, so combining costs a few additions.
#[test]
fn coefficients_are_small_whole_numbers() {
    let threshold = Threshold::new(3, 2).unwrap();
    assert_eq!(threshold.denominator(), 2);
    let of = |set: &[u16]| threshold.coefficients(set);
    assert_eq!(of(&[1, 2]).unwrap(), [4, -2]);
    assert_eq!(of(&[1, 3]).unwrap(), [3, -1]);
    assert_eq!(of(&[3, 2]).unwrap(), [-4, 6]);
    for wrong in [&[1][..], &[1, 1], &[1, 4], &[0, 1], &[1, 2, 3]] {
        assert_eq!(of(wrong), Err(OprfError::Threshold));
    }
    for (custodians, needed) in [(1, 1), (3, 1), (3, 4), (10, 2)] {
        assert!(Threshold::new(custodians, needed).is_err());
    }
}

#[test]
fn shares_join_again_and_public_shares_must_lie_on_one_polynomial() {
    let threshold = Threshold::new(5, 3).unwrap();
    let secret = random(77);
    assert!(threshold.split(&secret, &[random(1)]).is_err());
    let shares = threshold
        .split(&secret, &[random(101), random(102)])
        .unwrap();
    for set in threshold.sets() {
        let some: Vec<_> = shares
            .iter()
            .filter(|(index, _)| set.contains(index))
            .map(|(index, share)| (*index, share.clone()))
            .collect();
        assert!(*threshold.join(&some).unwrap() == secret);
    }
    let mut publics: BTreeMap<_, _> = shares
        .iter()
        .map(|(index, share)| (*index, *Share::new(share.clone()).public()))
        .collect();
    assert!(EpochKey::new(threshold, &publics).is_ok());
    publics.insert(4, *Share::new(Zeroizing::new(random(5))).public());
    let verdict = EpochKey::new(threshold, &publics).err();
    assert_eq!(verdict, Some(OprfError::Inconsistent));
}

/// Every way to answer wrongly is noticed before a token exists.
#[test]
fn forged_answers_make_no_evaluation() {
    let threshold = Threshold::new(3, 2).unwrap();
    let (shares, epoch) = deal(threshold, &random(1));
    let inputs: Vec<Vec<u8>> = (0..20_u8).map(|i| vec![i; 40]).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let blinds = BlindKey::new(&Secret::new([3; 32]));
    let blinded = blinds.blind_chunk(&inputs);
    let sent = BlindedChunk::decode(&blinded).unwrap();
    let (elements, proof) = shares[0].evaluate(&blinded).unwrap();
    let verdict = |custodian, elements: &[[u8; 32]], proof: &[u8; PROOF_BYTES]| {
        epoch.verify(custodian, &sent, elements, proof).err()
    };
    assert_eq!(verdict(1, &elements, &proof), None);
    assert_eq!(
        verdict(2, &elements, &proof),
        Some(OprfError::Proof),
        "wrong share"
    );
    assert_eq!(verdict(4, &elements, &proof), Some(OprfError::Threshold));
    let mut swapped = elements.clone();
    swapped.swap(0, 1);
    assert_eq!(
        verdict(1, &swapped, &proof),
        Some(OprfError::Proof),
        "reordered"
    );
    assert_eq!(verdict(1, &elements[1..], &proof), Some(OprfError::Count));
    let (other, other_proof) = Share::new(Zeroizing::new(random(8)))
        .evaluate(&blinded)
        .unwrap();
    assert_eq!(
        verdict(1, &other, &other_proof),
        Some(OprfError::Proof),
        "another key"
    );
    let mut one = elements.clone();
    one[7] = other[7];
    assert_eq!(
        verdict(1, &one, &proof),
        Some(OprfError::Proof),
        "one element"
    );
    for bad in [[0; 32], [255; 32]] {
        let mut one = elements.clone();
        one[3] = bad;
        assert_eq!(
            verdict(1, &one, &proof),
            Some(OprfError::Element { index: 3 })
        );
        assert!(shares[0].evaluate(&[bad]).err() == Some(OprfError::Element { index: 0 }));
    }
    let again = shares[0].evaluate(&blinded).unwrap();
    assert!(
        again == (elements, proof),
        "the same chunk gives the same bytes"
    );
    let one = answers(&shares, &epoch, &[1], &blinded).unwrap();
    assert!(
        epoch.finalise(&sent, &inputs, &blinds, &one).is_err(),
        "one answer is not enough"
    );
    let twice = answers(&shares, &epoch, &[2, 2], &blinded).unwrap();
    assert!(
        epoch.finalise(&sent, &inputs, &blinds, &twice).is_err(),
        "nor the same twice"
    );
}

/// What was verified for one chunk or key makes no token of another, and a chunk has a bound.
#[test]
fn evaluations_belong_to_their_chunk_and_key() {
    let threshold = Threshold::new(3, 2).unwrap();
    let (shares, epoch) = deal(threshold, &random(1));
    let (_, other_epoch) = deal(threshold, &random(2));
    let inputs: Vec<&[u8]> = vec![b"one", b"two"];
    let blinds = BlindKey::new(&Secret::new([3; 32]));
    let others: Vec<&[u8]> = vec![b"one", b"three"];
    let (blinded, other) = (blinds.blind_chunk(&inputs), blinds.blind_chunk(&others));
    let (sent, other_sent) = (
        BlindedChunk::decode(&blinded).unwrap(),
        BlindedChunk::decode(&other).unwrap(),
    );
    let right = answers(&shares, &epoch, &[1, 3], &blinded).unwrap();
    assert!(epoch.finalise(&sent, &inputs, &blinds, &right).is_ok());
    let refused = |chunk, inputs: &[&[u8]], answers: &[Evaluation]| {
        epoch.finalise(chunk, inputs, &blinds, answers).err()
    };
    assert_eq!(
        refused(&other_sent, &others, &right),
        Some(OprfError::Foreign)
    );
    let mut mixed = answers(&shares, &epoch, &[1], &blinded).unwrap();
    mixed.extend(answers(&shares, &epoch, &[3], &other).unwrap());
    assert_eq!(refused(&sent, &inputs, &mixed), Some(OprfError::Foreign));
    let under_another = other_epoch.finalise(&sent, &inputs, &blinds, &right).err();
    assert_eq!(under_another, Some(OprfError::Foreign));
    let many = vec![blinded[0]; 8193];
    assert_eq!(shares[0].evaluate(&many).err(), Some(OprfError::Chunk));
    assert_eq!(shares[0].evaluate(&[]).err(), Some(OprfError::Chunk));
    assert_eq!(BlindedChunk::decode(&many).err(), Some(OprfError::Chunk));
}

/// What custodians see is neither the value nor twice the same: it depends on the blinding key, and padding looks alike.
#[test]
fn blinded_elements_hide_the_value() {
    let (one, other) = (
        BlindKey::new(&Secret::new([1; 32])),
        BlindKey::new(&Secret::new([2; 32])),
    );
    let blinded = one.blind_chunk(&[b"a", b"b"]);
    assert_eq!(blinded, one.blind_chunk(&[b"a", b"b"]));
    let bare = super::suite::hash_to_group(Mode::Voprf, b"a");
    let bare = (bare + bare).compress().to_bytes();
    let mut all = vec![bare, blinded[0], blinded[1]];
    all.extend(other.blind_chunk(&[b"a", b"b"]));
    all.extend([one.padding(0), one.padding(1), other.padding(0)]);
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert!(all.iter().all(|element| decode(element, 0).is_ok()));
}

#[test]
fn a_share_is_sealed_and_split_as_it_is() {
    let share = Share::new(Zeroizing::new(random(5)));
    assert!(*share.scalar() == random(5) && share.expose() == random(5).as_bytes());
    let back = Share::from_bytes(share.expose()).unwrap();
    assert_eq!(back.public(), share.public());
}

/// Points, bytes and evaluations of a batch are as many, or nothing is proved.
#[test]
fn a_proof_is_of_as_many_elements_as_were_evaluated() {
    let key = random(6);
    let public = RistrettoPoint::mul_base(&key).compress().to_bytes();
    let points = [
        RistrettoPoint::mul_base(&random(7)),
        RistrettoPoint::mul_base(&random(8)),
    ];
    let bytes = points.map(|point| point.compress().to_bytes());
    let answers = points.map(|point| (key * point).compress().to_bytes());
    let prove = |points: usize, of: usize, answered: usize| {
        let blinded = Elements {
            points: &points_of(&bytes)[..points],
            bytes: &bytes[..of],
        };
        proof::prove(
            Mode::Voprf,
            &key,
            &public,
            blinded,
            (&answers[..answered], None),
            |_, _| random(9),
        )
    };
    assert!(prove(2, 2, 2).is_ok());
    for (points, of, answered) in [(1, 2, 2), (2, 1, 2), (2, 2, 1)] {
        assert!(
            prove(points, of, answered).is_err(),
            "{points} {of} {answered}"
        );
    }
}

fn points_of(bytes: &[[u8; 32]]) -> Vec<RistrettoPoint> {
    bytes
        .iter()
        .map(|bytes| decode(bytes, 0).unwrap())
        .collect()
}
