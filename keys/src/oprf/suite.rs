//! ristretto255-SHA512 (RFC 9497 §4.1). In: bytes. Out: group elements, scalars, outputs of 64 bytes.
//! Invariant: modes are separated by their context string; encodings are canonical and never the identity.
//! `expand_message_xmd` is RFC 9380 §5.3.1 with SHA-512 for outputs of one hash length.
//! Specification: RFC 9497 §3.1, §4.1; RFC 9496.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ring::digest;
use zeroize::Zeroize;

use super::OprfError;

/// Bytes of an encoded element.
pub const ELEMENT_BYTES: usize = 32;
/// Bytes of a proof: challenge ‖ response.
pub const PROOF_BYTES: usize = 64;
/// Bytes of an output.
pub const OUTPUT_BYTES: usize = 64;

/// Mode of the protocol (RFC 9497 §3.1); the product uses [`Mode::Voprf`] only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Without proofs, 0x00; for the RFC's vectors.
    Oprf,
    /// With proofs, 0x01.
    Voprf,
}

impl Mode {
    /// `"OPRFV1-" ‖ I2OSP(mode, 1) ‖ "-" ‖ "ristretto255-SHA512"`.
    pub const fn context(self) -> &'static [u8] {
        match self {
            Self::Oprf => b"OPRFV1-\x00-ristretto255-SHA512",
            Self::Voprf => b"OPRFV1-\x01-ristretto255-SHA512",
        }
    }

    const fn hash_to_group_dst(self) -> &'static [u8] {
        match self {
            Self::Oprf => b"HashToGroup-OPRFV1-\x00-ristretto255-SHA512",
            Self::Voprf => b"HashToGroup-OPRFV1-\x01-ristretto255-SHA512",
        }
    }

    const fn hash_to_scalar_dst(self) -> &'static [u8] {
        match self {
            Self::Oprf => b"HashToScalar-OPRFV1-\x00-ristretto255-SHA512",
            Self::Voprf => b"HashToScalar-OPRFV1-\x01-ristretto255-SHA512",
        }
    }

    const fn derive_key_pair_dst(self) -> &'static [u8] {
        match self {
            Self::Oprf => b"DeriveKeyPairOPRFV1-\x00-ristretto255-SHA512",
            Self::Voprf => b"DeriveKeyPairOPRFV1-\x01-ristretto255-SHA512",
        }
    }
}

/// `HashToGroup(input)`. The identity, which RFC 9497 refuses here, comes out with probability 2⁻²⁵²; nobody checks.
pub fn hash_to_group(mode: Mode, input: &[u8]) -> RistrettoPoint {
    let mut uniform = expand(&[input], mode.hash_to_group_dst());
    let point = RistrettoPoint::from_uniform_bytes(&uniform);
    uniform.zeroize();
    point
}

/// `HashToScalar(parts[0] ‖ parts[1] ‖ …)`.
pub fn hash_to_scalar(mode: Mode, parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&expand(parts, mode.hash_to_scalar_dst()))
}

/// `DeriveKeyPair(seed, info)` (RFC 9497 §3.2.1): the secret key, for the RFC's vectors.
pub fn derive_key(mode: Mode, seed: &[u8; 32], info: &[u8]) -> Option<Scalar> {
    let len = u16::try_from(info.len()).ok()?.to_be_bytes();
    (0..=u8::MAX).find_map(|counter| {
        let parts: [&[u8]; 4] = [seed, &len, info, &[counter]];
        let key = Scalar::from_bytes_mod_order_wide(&expand(&parts, mode.derive_key_pair_dst()));
        (key != Scalar::ZERO).then_some(key)
    })
}

/// `Hash(len(input) ‖ input ‖ len(element) ‖ element ‖ "Finalize")`, 64 bytes (RFC 9497 §3.3.1).
pub fn finalize_hash(input: &[u8], element: &[u8; ELEMENT_BYTES]) -> [u8; OUTPUT_BYTES] {
    let mut hash = digest::Context::new(&digest::SHA512);
    let len = u16::try_from(input.len()).unwrap_or(u16::MAX);
    hash.update(&len.to_be_bytes());
    hash.update(input);
    hash.update(&[0, 32]);
    hash.update(element);
    hash.update(b"Finalize");
    sized(hash.finish().as_ref())
}

/// SHA-512 of the parts, 64 bytes.
pub(super) fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = digest::Context::new(&digest::SHA512);
    for part in parts {
        hash.update(part);
    }
    sized(hash.finish().as_ref())
}

/// Decodes an element; `index` is its place in the chunk.
pub fn decode(bytes: &[u8; ELEMENT_BYTES], index: usize) -> Result<RistrettoPoint, OprfError> {
    CompressedRistretto(*bytes)
        .decompress()
        .filter(|point| !point.is_identity())
        .ok_or(OprfError::Element { index })
}

/// Decodes a chunk's elements.
pub fn decode_all(chunk: &[[u8; ELEMENT_BYTES]]) -> Result<Vec<RistrettoPoint>, OprfError> {
    let places = chunk.iter().enumerate();
    places.map(|(index, bytes)| decode(bytes, index)).collect()
}

/// Decodes a scalar that is neither zero nor above the group order.
pub fn decode_scalar(bytes: &[u8; 32]) -> Result<Scalar, OprfError> {
    Option::<Scalar>::from(Scalar::from_canonical_bytes(*bytes))
        .filter(|scalar| *scalar != Scalar::ZERO)
        .ok_or(OprfError::Scalar)
}

/// `expand_message_xmd(parts…, dst, 64)` with SHA-512: one block, so `b_0` and `b_1` only.
fn expand(parts: &[&[u8]], dst: &[u8]) -> [u8; 64] {
    let dst_len = [u8::try_from(dst.len()).unwrap_or(u8::MAX)];
    let mut first = digest::Context::new(&digest::SHA512);
    first.update(&[0; 128]);
    for part in parts {
        first.update(part);
    }
    first.update(&[0, 64, 0]);
    first.update(dst);
    first.update(&dst_len);
    sha512(&[first.finish().as_ref(), &[1], dst, &dst_len])
}

fn sized(bytes: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    out.copy_from_slice(bytes);
    out
}
