//! An agent's side: blind, check, combine, finalise. In: match-key inputs and custodians' answers.
//! Out: tokens. Invariant: [`EpochKey::finalise`] takes [`Evaluation`]s, which only [`EpochKey::verify`]
//! makes and which know their chunk and key, so that no token of a chunk exists before its proofs have been checked.
//! Blinding is `B = 2(H(x) + r·G)` (Jarecki, Krawczyk, Xu 2021, eprint 2021/273); see decision 0006.

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use hedui_protocol::label::Label;
use hedui_protocol::lock::Token;
use hedui_protocol::primitive::{hmac_sha512, hmac_sha512_key};
use hedui_protocol::secret::Secret;
use ring::hmac;
use zeroize::Zeroizing;

use super::OprfError;
use super::proof::{self, Elements};
use super::suite::{
    ELEMENT_BYTES, Mode, PROOF_BYTES, decode, decode_all, finalize_hash, hash_to_group, sha512,
};
use super::threshold::{Index, Threshold, combine};

/// Key of all blinds of one batch: `r = HMAC-SHA512(key, "HEDUI1/blind" ‖ 0 ‖ input) mod ℓ`. The key comes from
/// the system's randomness and the agent's own secret together, so that neither alone is trusted.
pub struct BlindKey(Secret<32>);

impl BlindKey {
    /// The key of a batch.
    pub fn new(secret: &Secret<32>) -> Self {
        Self(secret.duplicate())
    }

    /// The key as the library takes it, for one chunk: the library does not wipe its keys.
    fn hmac(&self) -> hmac::Key {
        hmac_sha512_key(self.0.expose())
    }

    fn blind(key: &hmac::Key, input: &[u8]) -> Zeroizing<Scalar> {
        let wide = Zeroizing::new(hmac_sha512(key, Label::Blind, &[input]));
        Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
    }

    /// Blinds a chunk of inputs: `B = 2(H(x) + r·G)`, encoded together.
    pub fn blind_chunk(&self, inputs: &[&[u8]]) -> Vec<[u8; ELEMENT_BYTES]> {
        let key = self.hmac();
        let halves: Vec<RistrettoPoint> = inputs
            .iter()
            .map(|input| {
                let blind = Self::blind(&key, input);
                hash_to_group(Mode::Voprf, input) + RistrettoPoint::mul_base(&blind)
            })
            .collect();
        encode_doubles(&halves)
    }

    /// An element that hides nothing, for padding: uniform like every other.
    pub fn padding(&self, index: u64) -> [u8; ELEMENT_BYTES] {
        let wide = Zeroizing::new(hmac_sha512(
            &self.hmac(),
            Label::BlindPadding,
            &[&index.to_be_bytes()],
        ));
        RistrettoPoint::from_uniform_bytes(&wide)
            .compress()
            .to_bytes()
    }
}

/// The public key of an epoch: public shares, and the group key that they add up to.
pub struct EpochKey {
    threshold: Threshold,
    shares: BTreeMap<Index, (RistrettoPoint, [u8; ELEMENT_BYTES])>,
    group: [u8; ELEMENT_BYTES],
    /// Multiples of `K·G / 2`, for taking the blind away.
    half_table: RistrettoBasepointTable,
}

/// A chunk of blinded elements as it was sent, 1 to 8,192 of them, decoded.
pub struct BlindedChunk<'a> {
    points: Vec<RistrettoPoint>,
    bytes: &'a [[u8; ELEMENT_BYTES]],
}

impl<'a> BlindedChunk<'a> {
    /// Decodes a chunk.
    pub fn decode(bytes: &'a [[u8; ELEMENT_BYTES]]) -> Result<Self, OprfError> {
        proof::fits(bytes.len())?;
        let points = decode_all(bytes)?;
        Ok(Self { points, bytes })
    }

    fn elements(&self) -> Elements<'_> {
        Elements {
            points: &self.points,
            bytes: self.bytes,
        }
    }
}

/// One custodian's answer to one chunk, its proof verified.
pub struct Evaluation {
    custodian: Index,
    points: Vec<RistrettoPoint>,
    /// The chunk and the key for which it was verified.
    of: [u8; 64],
}

impl EpochKey {
    /// Checks that the public shares belong together and form the key.
    pub fn new(
        threshold: Threshold,
        shares: &BTreeMap<Index, [u8; ELEMENT_BYTES]>,
    ) -> Result<Self, OprfError> {
        let mut points = BTreeMap::new();
        for (index, bytes) in shares {
            points.insert(*index, decode(bytes, usize::from(*index))?);
        }
        let group = threshold.group_key(&points)?;
        let half = group * Scalar::from(2_u8).invert();
        let group_bytes = group.compress().to_bytes();
        decode(&group_bytes, 0)?;
        Ok(Self {
            threshold,
            shares: points
                .into_iter()
                .zip(shares.values())
                .map(|((index, point), bytes)| (index, (point, *bytes)))
                .collect(),
            group: group_bytes,
            half_table: RistrettoBasepointTable::create(&half),
        })
    }

    /// `K·G`, encoded.
    pub fn group(&self) -> &[u8; ELEMENT_BYTES] {
        &self.group
    }

    /// Decodes an answer to a chunk and verifies its proof under the custodian's public share.
    pub fn verify(
        &self,
        custodian: Index,
        blinded: &BlindedChunk<'_>,
        answer: &[[u8; ELEMENT_BYTES]],
        proof: &[u8; PROOF_BYTES],
    ) -> Result<Evaluation, OprfError> {
        let (share, bytes) = self.shares.get(&custodian).ok_or(OprfError::Threshold)?;
        if answer.len() != blinded.bytes.len() {
            return Err(OprfError::Count);
        }
        let points = decode_all(answer)?;
        let evaluated = Elements {
            points: &points,
            bytes: answer,
        };
        let elements = blinded.elements();
        proof::verify(Mode::Voprf, (share, bytes), elements, evaluated, proof)?;
        Ok(Evaluation {
            custodian,
            points,
            of: self.chunk_digest(blinded),
        })
    }

    /// Names a chunk under this key.
    fn chunk_digest(&self, blinded: &BlindedChunk<'_>) -> [u8; 64] {
        sha512(&[&self.group, blinded.bytes.as_flattened()])
    }

    /// Tokens of a chunk: `N/2 = Σ c_i·Z_i − r·(K/2)·G`, doubled by the encoder, then the RFC's `Finalize` hash. `inputs`
    /// and `blinds` are those of [`BlindKey::blind_chunk`] that gave `blinded`, in the same order; elements behind the
    /// inputs are padding. Refuses evaluations of another chunk or key.
    ///
    /// The group library's own scratch space for the common inversion is not wiped.
    pub fn finalise(
        &self,
        blinded: &BlindedChunk<'_>,
        inputs: &[&[u8]],
        blinds: &BlindKey,
        evaluations: &[Evaluation],
    ) -> Result<Vec<Token>, OprfError> {
        let set: Vec<Index> = evaluations.iter().map(|e| e.custodian).collect();
        let coefficients = self.threshold.coefficients(&set)?;
        if blinded.bytes.len() < inputs.len() {
            return Err(OprfError::Count);
        }
        let of = self.chunk_digest(blinded);
        if evaluations.iter().any(|e| e.of != of) {
            return Err(OprfError::Foreign);
        }
        let key = blinds.hmac();
        let halves: Vec<RistrettoPoint> = inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                let points: Vec<_> = evaluations.iter().map(|e| &e.points[index]).collect();
                combine(&coefficients, &points) - &*BlindKey::blind(&key, input) * &self.half_table
            })
            .collect();
        let halves = Zeroizing::new(halves);
        let elements = Zeroizing::new(encode_doubles(&halves));
        Ok(inputs
            .iter()
            .zip(elements.iter())
            .map(|(input, element)| Secret::new(finalize_hash(input, element)))
            .collect())
    }
}

/// Encodings of `2·P`, one field inversion for all (RFC 9496 encodes; the batch is curve25519-dalek's).
fn encode_doubles(halves: &[RistrettoPoint]) -> Vec<[u8; ELEMENT_BYTES]> {
    RistrettoPoint::double_and_compress_batch(halves)
        .into_iter()
        .map(|element| element.to_bytes())
        .collect()
}
