//! The protocol as RFC 9497 writes it, one value at a time. In: an input, a blind, an answer. Out: the output.
//! Invariant: no product code calls this; tests hold the fast client and the custodian against it.
//! It is the readable statement of what the others compute.
//! Specification: RFC 9497 §3.3.1, §3.3.2.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;

use super::OprfError;
use super::suite::{ELEMENT_BYTES, Mode, OUTPUT_BYTES, decode, finalize_hash, hash_to_group};

/// `Blind(input)`: `blind · H(input)`.
pub fn blind(mode: Mode, input: &[u8], blind: &Scalar) -> [u8; ELEMENT_BYTES] {
    (blind * hash_to_group(mode, input)).compress().to_bytes()
}

/// `BlindEvaluate(k, element)`.
pub fn evaluate(
    key: &Scalar,
    element: &[u8; ELEMENT_BYTES],
) -> Result<[u8; ELEMENT_BYTES], OprfError> {
    Ok((key * decode(element, 0)?).compress().to_bytes())
}

/// `Finalize(input, blind, element)`, the proof being checked before.
pub fn finalize(
    input: &[u8],
    blind: &Scalar,
    element: &[u8; ELEMENT_BYTES],
) -> Result<[u8; OUTPUT_BYTES], OprfError> {
    let unblinded = blind.invert() * decode(element, 0)?;
    Ok(finalize_hash(input, &unblinded.compress().to_bytes()))
}

/// `Evaluate(k, input)`: what blind, evaluate and finalise give together.
pub fn output(mode: Mode, key: &Scalar, input: &[u8]) -> [u8; OUTPUT_BYTES] {
    let element: RistrettoPoint = key * hash_to_group(mode, input);
    finalize_hash(input, &element.compress().to_bytes())
}
