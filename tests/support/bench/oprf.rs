//! The OPRF lock beside the `voprf` crate (0.5, the same ciphersuite). In: values per round, rounds. Out:
//! microseconds per value and ratios. Invariant: both sides do the whole of their work, encodings included; the
//! product verifies two custodians' proofs, the peer one server's.
//! Specification: docs/PERFORMANCE.md, "OPRF"; RFC 9497.

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::CompressedRistretto;
use curve25519_dalek::scalar::Scalar;
use hedui_keys::oprf::client::{BlindKey, BlindedChunk, EpochKey};
use hedui_keys::oprf::evaluate::Share;
use hedui_keys::oprf::suite::{Mode, hash_to_scalar};
use hedui_keys::oprf::threshold::Threshold;
use hedui_protocol::limits::EVALUATION_CHUNK;
use hedui_protocol::secret::Secret;
use rand_core_06::OsRng;
use rayon::prelude::*;
use serde::Serialize;
use voprf::{EvaluationElement, OprfClient, OprfServer, Ristretto255, VoprfClient, VoprfServer};

use super::Best;

type Element = [u8; 32];

/// Figures of one run; times in microseconds per value.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Values per round.
    pub values: usize,
    /// Our blinding.
    pub blind: f64,
    /// Our decoding, verifying of two answers, combining, finalising.
    pub finish: f64,
    /// A custodian's work.
    pub custodian: f64,
    /// Decoding, one multiplication, encoding, by the same library one by one.
    pub bare_multiplication: f64,
    /// The peer's blind and verifiable batch finalise (mode VOPRF).
    pub peer_verifiable: f64,
    /// The peer's blind and finalise without any proof (mode OPRF).
    pub peer_unverified: f64,
    /// Peer's verifiable client over ours: at least 2 is the bar.
    pub client_ratio: f64,
    /// Peer's client without proofs over ours, which verifies.
    pub client_ratio_unverified_peer: f64,
    /// Custodian over bare multiplication: at most 1.3 is the bar.
    pub custodian_ratio: f64,
    /// What two threads of bare multiplications, which share nothing, reach over one on this machine: the most that
    /// `scaling_2` can be.
    pub machine_scaling_2: f64,
    /// Throughput of two threads over one, the smaller of client's and custodian's: at least 1.8 is the bar.
    pub scaling_2: f64,
}

/// A sharing 2 of 3, as in the product.
struct Parties {
    shares: Vec<Share>,
    key: EpochKey,
}

/// A key split among three custodians, two of whom are needed.
fn parties() -> Parties {
    let threshold = Threshold::new(3, 2).expect("2 of 3");
    let scalar = |n: u8| hash_to_scalar(Mode::Oprf, &[b"bench", &[n]]);
    let parts = threshold.split(&scalar(0), &[scalar(1)]).expect("split");
    let publics: BTreeMap<u16, Element> = parts
        .iter()
        .map(|(index, part)| (*index, *Share::new(part.clone()).public()))
        .collect();
    Parties {
        key: EpochKey::new(threshold, &publics).expect("one key"),
        shares: parts
            .into_iter()
            .map(|(_, part)| Share::new(part))
            .collect(),
    }
}

/// Everything of one chunk that the client's second half needs.
struct Asked {
    inputs: Vec<Vec<u8>>,
    blinded: Vec<Element>,
    answers: Vec<(Vec<Element>, [u8; 64])>,
}

impl Parties {
    fn ask(&self, chunk: usize, blinds: &BlindKey) -> Asked {
        let inputs: Vec<Vec<u8>> = (0..EVALUATION_CHUNK)
            .map(|i| format!("{:080}", chunk * EVALUATION_CHUNK + i).into_bytes())
            .collect();
        let refs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let blinded = blinds.blind_chunk(&refs);
        let answer = |share: &Share| share.evaluate(&blinded).expect("valid elements");
        Asked {
            answers: self.shares[..2].iter().map(answer).collect(),
            inputs,
            blinded,
        }
    }

    fn finish(&self, asked: &Asked, blinds: &BlindKey) -> usize {
        let sent = BlindedChunk::decode(&asked.blinded).expect("valid");
        let verified: Vec<_> = (1..)
            .zip(&asked.answers)
            .map(|(index, (elements, proof))| {
                let verified = self.key.verify(index, &sent, elements, proof);
                verified.expect("the proof holds")
            })
            .collect();
        let refs: Vec<&[u8]> = asked.inputs.iter().map(Vec::as_slice).collect();
        let tokens = self.key.finalise(&sent, &refs, blinds, &verified);
        tokens.expect("two answers").len()
    }
}

/// Measures; `chunks` of 8,192 values per round.
pub fn measure(chunks: usize, rounds: usize) -> Figures {
    let parties = parties();
    let blinds = BlindKey::new(&Secret::new([7; 32]));
    let values = chunks * EVALUATION_CHUNK;
    let asked: Vec<Asked> = (0..chunks).map(|c| parties.ask(c, &blinds)).collect();
    let blind = |asked: &Asked| {
        let refs: Vec<&[u8]> = asked.inputs.iter().map(Vec::as_slice).collect();
        blinds.blind_chunk(&refs).len()
    };
    let evaluate = |asked: &Asked| {
        let done = parties.shares[2].evaluate(&asked.blinded);
        done.expect("valid").0.len()
    };
    let one = pool(1);
    let two = pool(2);
    let mut best: [Best; 10] = std::array::from_fn(|_| Best::new());
    let [
        b_blind,
        b_finish,
        b_one,
        b_custodian,
        b_bare,
        b_verifiable,
        b_unverified,
        b_two,
        b_two_c,
        b_two_bare,
    ] = &mut best;
    for _ in 0..rounds {
        one.install(|| {
            // One chunk at a time, like the peer: the least time of a round's two halves together counts.
            if let Some(chunk) = asked.first() {
                let (mut first, mut second) = (Best::new(), Best::new());
                first.run(EVALUATION_CHUNK, || blind(chunk));
                second.run(EVALUATION_CHUNK, || parties.finish(chunk, &blinds));
                if first.micros + second.micros < b_blind.micros + b_finish.micros {
                    (b_blind.micros, b_finish.micros) = (first.micros, second.micros);
                }
            }
            b_one.run(values, || {
                let each = |a: &Asked| blind(a) + parties.finish(a, &blinds);
                asked.iter().map(each).sum::<usize>()
            });
            b_custodian.run(values, || asked.iter().map(evaluate).sum::<usize>());
            b_bare.run(EVALUATION_CHUNK, || bare(&asked[0].blinded));
            peer_verifiable(&asked[0].inputs, b_verifiable);
            peer_unverified(&asked[0].inputs, b_unverified);
        });
        two.install(|| {
            b_two.run(values, || {
                let each = |a: &Asked| blind(a) + parties.finish(a, &blinds);
                asked.par_iter().map(each).sum::<usize>()
            });
            b_two_c.run(values, || asked.par_iter().map(evaluate).sum::<usize>());
            b_two_bare.run(values, || {
                asked.par_iter().map(|a| bare(&a.blinded)).sum::<usize>()
            });
        });
    }
    let client = b_blind.micros + b_finish.micros;
    Figures {
        values,
        blind: b_blind.micros,
        finish: b_finish.micros,
        custodian: b_custodian.micros,
        bare_multiplication: b_bare.micros,
        peer_verifiable: b_verifiable.micros,
        peer_unverified: b_unverified.micros,
        client_ratio: b_verifiable.micros / client,
        client_ratio_unverified_peer: b_unverified.micros / client,
        custodian_ratio: b_custodian.micros / b_bare.micros,
        machine_scaling_2: b_bare.micros / b_two_bare.micros,
        scaling_2: (b_one.micros / b_two.micros).min(b_custodian.micros / b_two_c.micros),
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    builder.build().expect("threads")
}

/// Decode, multiply by a secret, encode: what every server of this suite must do.
fn bare(elements: &[Element]) -> usize {
    let key = hash_to_scalar(Mode::Oprf, &[b"bare"]);
    let evaluate = |bytes: &Element| -> [u8; 32] {
        let point = CompressedRistretto(*bytes).decompress().expect("valid");
        (key * point).compress().to_bytes()
    };
    elements
        .iter()
        .map(evaluate)
        .filter(|e| e[0] != 255 || *e != [255; 32])
        .count()
}

fn peer_verifiable(inputs: &[Vec<u8>], best: &mut Best) {
    let mut rng = OsRng;
    let server = VoprfServer::<Ristretto255>::new(&mut rng).expect("server");
    let mut blind = Best::new();
    let blinded: Vec<_> = blind.run(inputs.len(), || {
        let one = |input: &Vec<u8>| {
            let blinded = VoprfClient::<Ristretto255>::blind(input, &mut OsRng).expect("blinded");
            (blinded.message.serialize(), blinded)
        };
        inputs.iter().map(one).collect()
    });
    let messages: Vec<_> = blinded.iter().map(|(_, b)| b.message.clone()).collect();
    let answer = server
        .batch_blind_evaluate(&mut rng, &messages)
        .expect("batch");
    let clients: Vec<_> = blinded.into_iter().map(|(_, b)| b.state).collect();
    let sent: Vec<_> = answer.messages.iter().map(|m| m.serialize()).collect();
    let mut finish = Best::new();
    finish.run(inputs.len(), || {
        let read = |bytes| EvaluationElement::<Ristretto255>::deserialize(bytes).expect("element");
        let elements: Vec<_> = sent.iter().map(|bytes| read(bytes)).collect();
        let (elements, proof) = (&elements, &answer.proof);
        let key = server.get_public_key();
        let refs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let out = VoprfClient::batch_finalize(&refs, &clients, elements, proof, key);
        out.expect("the proof holds")
            .map(|o| o.expect("output"))
            .collect::<Vec<_>>()
            .len()
    });
    best.micros = best.micros.min(blind.micros + finish.micros);
}

fn peer_unverified(inputs: &[Vec<u8>], best: &mut Best) {
    let server = OprfServer::<Ristretto255>::new(&mut OsRng).expect("server");
    let mut blind = Best::new();
    let blinded: Vec<_> = blind.run(inputs.len(), || {
        let one = |input: &Vec<u8>| {
            let blinded = OprfClient::<Ristretto255>::blind(input, &mut OsRng).expect("blinded");
            (blinded.message.serialize(), blinded)
        };
        inputs.iter().map(one).collect()
    });
    let answers: Vec<_> = blinded
        .iter()
        .map(|(_, b)| server.blind_evaluate(&b.message).serialize())
        .collect();
    let mut finish = Best::new();
    finish.run(inputs.len(), || {
        let read = |bytes| EvaluationElement::<Ristretto255>::deserialize(bytes).expect("element");
        let all = blinded.iter().zip(&answers).zip(inputs);
        all.map(|(((_, b), a), i)| b.state.finalize(i, &read(a)).expect("output"))
            .collect::<Vec<_>>()
            .len()
    });
    best.micros = best.micros.min(blind.micros + finish.micros);
}

/// A scalar of the suite, for tests that deal keys.
pub fn scalar(seed: &[u8]) -> Scalar {
    hash_to_scalar(Mode::Oprf, &[seed])
}
