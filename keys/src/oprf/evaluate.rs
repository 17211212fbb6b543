//! A custodian's work on one chunk. In: its share and up to 8,192 blinded elements. Out: the evaluated
//! elements and one proof. Invariant: nothing else is ever computed with a share; the same chunk gives the
//! same bytes. The proof's nonce is derived from the share and the batch, so no randomness can fail (the
//! idea of RFC 6979). Specification: RFC 9497 §3.3.2.

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use hedui_protocol::label::Label;
use hedui_protocol::primitive::{hmac_sha512, hmac_sha512_key};
use zeroize::Zeroizing;

use super::OprfError;
use super::proof::{Elements, fits, prove};
use super::suite::{ELEMENT_BYTES, Mode, PROOF_BYTES, decode_all, decode_scalar};

/// A custodian's share of one epoch's key; wiped on drop, without `Debug`.
pub struct Share {
    scalar: Zeroizing<Scalar>,
    /// `s/2`, because the encoder doubles what it is given.
    half: Zeroizing<Scalar>,
    public: [u8; ELEMENT_BYTES],
}

impl Share {
    /// Reads a share: 32 bytes, canonical, not zero.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, OprfError> {
        Ok(Self::new(Zeroizing::new(decode_scalar(bytes)?)))
    }

    /// A share.
    pub fn new(scalar: Zeroizing<Scalar>) -> Self {
        let half = Zeroizing::new(*scalar * Scalar::from(2_u8).invert());
        Self {
            public: RistrettoPoint::mul_base(&scalar).compress().to_bytes(),
            scalar,
            half,
        }
    }

    /// The public share `s·G`.
    pub fn public(&self) -> &[u8; ELEMENT_BYTES] {
        &self.public
    }

    /// The 32 bytes of the share, for sealing. Every caller is a place to review.
    pub fn expose(&self) -> &[u8; 32] {
        self.scalar.as_bytes()
    }

    /// The share as a scalar, for splitting it on paper.
    pub(crate) fn scalar(&self) -> &Scalar {
        &self.scalar
    }

    /// `Z_j = s·B_j` for a chunk, and the proof.
    pub fn evaluate(
        &self,
        blinded: &[[u8; ELEMENT_BYTES]],
    ) -> Result<(Vec<[u8; ELEMENT_BYTES]>, [u8; PROOF_BYTES]), OprfError> {
        fits(blinded.len())?;
        let points = decode_all(blinded)?;
        let halves: Vec<RistrettoPoint> = points.iter().map(|point| *self.half * point).collect();
        let evaluated: Vec<_> = RistrettoPoint::double_and_compress_batch(&halves)
            .into_iter()
            .map(|element| element.to_bytes())
            .collect();
        let elements = Elements {
            points: &points,
            bytes: blinded,
        };
        // M binds the whole batch and Z its evaluation: another batch has another M, so a nonce is not used for two;
        // what a miscalculation could do all the same, `prove` catches.
        let nonce = |m: &[u8; ELEMENT_BYTES], z: &[u8; ELEMENT_BYTES]| {
            // Made for one chunk: the library does not wipe its keys.
            let key = hmac_sha512_key(self.scalar.as_bytes());
            let wide = Zeroizing::new(hmac_sha512(&key, Label::ProofNonce, &[m, z]));
            Scalar::from_bytes_mod_order_wide(&wide)
        };
        let proof = prove(
            Mode::Voprf,
            &self.scalar,
            &self.public,
            elements,
            (&evaluated, Some(&halves)),
            nonce,
        )?;
        Ok((evaluated, proof))
    }
}
