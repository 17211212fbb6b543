//! Differential tests: our own kernels against independent implementations. In: seeded random inputs. Out:
//! passes or the first difference. Invariant under test: what we compute is what the standard says, for
//! inputs nobody chose. Specification: RFC 9497 (oracle: the `voprf` crate).

mod wycheproof_sets;

use std::collections::BTreeMap;

use curve25519_dalek::scalar::Scalar;
use hedui_keys::oprf::client::{BlindKey, BlindedChunk, EpochKey};
use hedui_keys::oprf::evaluate::Share;
use hedui_keys::oprf::rfc;
use hedui_keys::oprf::suite::Mode;
use hedui_keys::oprf::threshold::Threshold;
use hedui_protocol::secret::Secret;
use hedui_tests::bench::oprf::scalar;
use hedui_tests::county::dice::Dice;
use rand_core_06::OsRng;
use voprf::{EvaluationElement, OprfServer, Proof, Ristretto255, VoprfClient, VoprfServer};

fn inputs(dice: &mut Dice, count: usize) -> Vec<Vec<u8>> {
    let one = |dice: &mut Dice| {
        let len = dice.between(0, 300);
        (0..len).map(|_| dice.below(256) as u8).collect()
    };
    (0..count).map(|_| one(dice)).collect()
}

/// Our outputs are the oracle's, mode OPRF and mode VOPRF, for keys nobody chose.
#[test]
fn outputs_are_the_oracles() {
    let mut dice = Dice::new(1);
    for round in 0..20_u8 {
        let (k, p) = (scalar(&[1, round]), scalar(&[2, round]));
        let server = VoprfServer::<Ristretto255>::new_with_key(k.as_bytes()).expect("server");
        let plain = OprfServer::<Ristretto255>::new_with_key(p.as_bytes()).expect("server");
        for input in inputs(&mut dice, 10) {
            let theirs = server.evaluate(&input).expect("output");
            assert_eq!(rfc::output(Mode::Voprf, &k, &input)[..], theirs[..]);
            let theirs = plain.evaluate(&input).expect("output");
            assert_eq!(rfc::output(Mode::Oprf, &p, &input)[..], theirs[..]);
        }
    }
}

/// The oracle's client accepts our custodian's elements and proof, and finalises to the token that our fast
/// client makes of two shares of the same key.
#[test]
fn the_oracles_client_accepts_our_custodian_and_gets_our_tokens() {
    let mut dice = Dice::new(2);
    let key = scalar(b"the key");
    let whole = Share::new(zeroize::Zeroizing::new(key));
    let inputs = inputs(&mut dice, 50);
    let refs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let theirs: Vec<_> = inputs
        .iter()
        .map(|input| VoprfClient::<Ristretto255>::blind(input, &mut OsRng).expect("blind"))
        .collect();
    let blinded: Vec<[u8; 32]> = theirs
        .iter()
        .map(|b| b.message.serialize()[..].try_into().expect("32 bytes"))
        .collect();
    let (elements, proof) = whole.evaluate(&blinded).expect("evaluated");
    let messages: Vec<_> = elements
        .iter()
        .map(|e| EvaluationElement::<Ristretto255>::deserialize(e).expect("element"))
        .collect();
    let clients: Vec<_> = theirs.into_iter().map(|b| b.state).collect();
    let proof = Proof::<Ristretto255>::deserialize(&proof).expect("proof");
    let public = server_key(&key);
    let outputs: Vec<_> = VoprfClient::batch_finalize(&refs, &clients, &messages, &proof, public)
        .expect("the oracle accepts our proof")
        .map(|o| o.expect("output"))
        .collect();
    for (ours, theirs) in tokens(&key, &refs).iter().zip(&outputs) {
        assert_eq!(ours[..], theirs[..]);
    }
}

fn server_key(key: &Scalar) -> <<Ristretto255 as voprf::CipherSuite>::Group as voprf::Group>::Elem {
    let server = VoprfServer::<Ristretto255>::new_with_key(key.as_bytes()).expect("key");
    server.get_public_key()
}

/// Tokens through our fast client and two of three shares.
fn tokens(key: &Scalar, inputs: &[&[u8]]) -> Vec<[u8; 64]> {
    let threshold = Threshold::new(3, 2).expect("2 of 3");
    let secret = key * threshold.scale().invert();
    let parts = threshold
        .split(&secret, &[scalar(b"slope")])
        .expect("split");
    let shares: Vec<Share> = parts.iter().map(|(_, s)| Share::new(s.clone())).collect();
    let publics: BTreeMap<u16, [u8; 32]> = (1..)
        .zip(&shares)
        .map(|(i, share)| (i, *share.public()))
        .collect();
    let epoch = EpochKey::new(threshold, &publics).expect("one key");
    let blinds = BlindKey::new(&Secret::new([5; 32]));
    let blinded = blinds.blind_chunk(inputs);
    let sent = BlindedChunk::decode(&blinded).expect("valid");
    let evaluations: Vec<_> = [1, 3]
        .into_iter()
        .map(|index: u16| {
            let (elements, proof) = shares[usize::from(index) - 1]
                .evaluate(&blinded)
                .expect("ok");
            epoch
                .verify(index, &sent, &elements, &proof)
                .expect("the proof holds")
        })
        .collect();
    let tokens = epoch
        .finalise(&sent, inputs, &blinds, &evaluations)
        .expect("tokens");
    tokens.iter().map(|token| *token.expose()).collect()
}
