//! Proofs that a batch was evaluated under the key that was announced (DLEQ). In: public share, blinded and
//! evaluated elements. Out: 64 bytes, and the verdict on them.
//! Invariant: byte for byte the proofs of RFC 9497; a batch has at most 8,192 elements here (the RFC's
//! index allows 65,535). Specification: RFC 9497 §2.2.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::VartimeMultiscalarMul;
use hedui_protocol::limits::EVALUATION_CHUNK;

use super::OprfError;
use super::suite::{ELEMENT_BYTES, Mode, PROOF_BYTES, decode, hash_to_scalar, sha512};

/// Elements of a batch, decoded and as they travel; made where they are decoded.
#[derive(Clone, Copy)]
pub struct Elements<'a> {
    /// Decoded.
    pub(super) points: &'a [RistrettoPoint],
    /// Encoded.
    pub(super) bytes: &'a [[u8; ELEMENT_BYTES]],
}

/// Whether a number of elements is one that a batch may have: 1 to 8,192.
pub(super) fn fits(count: usize) -> Result<(), OprfError> {
    let fits = (1..=EVALUATION_CHUNK).contains(&count);
    fits.then_some(()).ok_or(OprfError::Chunk)
}

/// `GenerateProof(k, A = G, B = public, C = blinded, D = evaluated)` with the commitment scalar `nonce` of the
/// composites M and Z, which must be secret and used for this batch only.
///
/// The proof is verified before it is handed over, and `halves`, the evaluated elements at half before they were encoded,
/// must add up to Z: a faulty multiple of the key beside the right one would be a lesson about the key. Two proofs of one batch with one nonce, the second with a bit of Z or
/// of a commitment flipped by a fault, would give the key away: `s = (r₁ − r₂)/(c₂ − c₁)`. So a proof that does not
/// verify never leaves ([`OprfError::Fault`]).
pub fn prove(
    mode: Mode,
    key: &Scalar,
    public: &[u8; ELEMENT_BYTES],
    blinded: Elements<'_>,
    (evaluated, halves): (&[[u8; ELEMENT_BYTES]], Option<&[RistrettoPoint]>),
    nonce: impl FnOnce(&[u8; ELEMENT_BYTES], &[u8; ELEMENT_BYTES]) -> Scalar,
) -> Result<[u8; PROOF_BYTES], OprfError> {
    fits(evaluated.len())?;
    if blinded.bytes.len() != evaluated.len() || blinded.points.len() != evaluated.len() {
        return Err(OprfError::Count);
    }
    let weights = weights(mode, public, blinded.bytes, evaluated);
    let m = RistrettoPoint::vartime_multiscalar_mul(&weights, blinded.points);
    // ComputeCompositesFast: the prover knows k, so the second composite is k·M.
    let z = key * m;
    if let Some(halves) = halves {
        let sum = RistrettoPoint::vartime_multiscalar_mul(&weights, halves);
        if sum + sum != z {
            return Err(OprfError::Fault);
        }
    }
    let m_bytes = m.compress().to_bytes();
    let r = zeroize::Zeroizing::new(nonce(&m_bytes, &z.compress().to_bytes()));
    let (t2, t3) = (RistrettoPoint::mul_base(&r), *r * m);
    let challenge = challenge(mode, public, &m_bytes, &z, &t2, &t3);
    let response = *r - challenge * key;
    let public_point = decode(public, 0)?;
    if again(mode, (&public_point, public), (m, z), (challenge, response)) != challenge {
        return Err(OprfError::Fault);
    }
    let mut proof = [0; PROOF_BYTES];
    proof[..32].copy_from_slice(challenge.as_bytes());
    proof[32..].copy_from_slice(response.as_bytes());
    Ok(proof)
}

/// The challenge that a verifier computes from the composites M and Z and a proof's two scalars.
fn again(
    mode: Mode,
    public: (&RistrettoPoint, &[u8; ELEMENT_BYTES]),
    (m, z): (RistrettoPoint, RistrettoPoint),
    (claimed, response): (Scalar, Scalar),
) -> Scalar {
    let t2 = RistrettoPoint::vartime_double_scalar_mul_basepoint(&claimed, public.0, &response);
    let t3 = RistrettoPoint::vartime_multiscalar_mul([response, claimed], [m, z]);
    challenge(mode, public.1, &m.compress().to_bytes(), &z, &t2, &t3)
}

/// `VerifyProof(A = G, B = public, C = blinded, D = evaluated, proof)`.
pub fn verify(
    mode: Mode,
    public: (&RistrettoPoint, &[u8; ELEMENT_BYTES]),
    blinded: Elements<'_>,
    evaluated: Elements<'_>,
    proof: &[u8; PROOF_BYTES],
) -> Result<(), OprfError> {
    if blinded.bytes.len() != evaluated.bytes.len() {
        return Err(OprfError::Count);
    }
    fits(evaluated.bytes.len())?;
    let scalar = |half: &[u8]| -> Result<Scalar, OprfError> {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(half);
        Option::from(Scalar::from_canonical_bytes(bytes)).ok_or(OprfError::Proof)
    };
    let (claimed, response) = (scalar(&proof[..32])?, scalar(&proof[32..])?);
    let weights = weights(mode, public.1, blinded.bytes, evaluated.bytes);
    let m = RistrettoPoint::vartime_multiscalar_mul(&weights, blinded.points);
    let z = RistrettoPoint::vartime_multiscalar_mul(&weights, evaluated.points);
    if again(mode, public, (m, z), (claimed, response)) == claimed {
        Ok(())
    } else {
        Err(OprfError::Proof)
    }
}

/// `d_i` of `ComputeComposites`: one scalar per element, bound to the key and to both elements.
fn weights(
    mode: Mode,
    public: &[u8; ELEMENT_BYTES],
    blinded: &[[u8; ELEMENT_BYTES]],
    evaluated: &[[u8; ELEMENT_BYTES]],
) -> Vec<Scalar> {
    let dst = [b"Seed-", mode.context()].concat();
    let dst_len = u16::try_from(dst.len()).unwrap_or(u16::MAX).to_be_bytes();
    let seed = sha512(&[&[0, 32], public, &dst_len, &dst]);
    let pairs = blinded.iter().zip(evaluated).zip(0_u16..);
    pairs
        .map(|((c, d), index)| {
            let index = index.to_be_bytes();
            hash_to_scalar(
                mode,
                &[
                    &[0, 64],
                    &seed,
                    &index,
                    &[0, 32],
                    c,
                    &[0, 32],
                    d,
                    b"Composite",
                ],
            )
        })
        .collect()
}

fn challenge(
    mode: Mode,
    public: &[u8; ELEMENT_BYTES],
    m: &[u8; ELEMENT_BYTES],
    z: &RistrettoPoint,
    t2: &RistrettoPoint,
    t3: &RistrettoPoint,
) -> Scalar {
    let [z, t2, t3] = [z, t2, t3].map(|point| point.compress().to_bytes());
    let len = &[0, 32];
    hash_to_scalar(
        mode,
        &[
            len,
            public,
            len,
            m,
            len,
            &z,
            len,
            &t2,
            len,
            &t3,
            b"Challenge",
        ],
    )
}
