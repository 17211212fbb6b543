//! The standard algorithms, each behind one function. In: labelled bytes. Out: digests and keys.
//! Invariant: SHA-256 for every normative digest, HKDF-SHA256 for every derivation,
//! ChaCha20-Poly1305 for every sealing; no function takes an algorithm as a parameter.
//! Specification: protocol/SPEC.md, "Primitives" (RFC 6234, RFC 5869, RFC 2104, RFC 8439).

use ring::{aead, digest, hkdf, hmac};

use crate::label::Label;

/// `SHA-256(parts[0] ‖ parts[1] ‖ …)`, 32 bytes (RFC 6234).
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    to_array(context.finish().as_ref())
}

/// `SHA-256(label ‖ 0 ‖ parts…)`, 32 bytes.
pub fn labelled_sha256(label: Label, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(label.bytes());
    context.update(&[0]);
    for part in parts {
        context.update(part);
    }
    to_array(context.finish().as_ref())
}

/// SHA-256 over a stream of updates.
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added, 32 bytes.
    pub fn finish(self) -> [u8; 32] {
        to_array(self.0.finish().as_ref())
    }
}

/// `HMAC-SHA512(key, label ‖ 0 ‖ parts…)`, 64 bytes (RFC 2104).
pub fn hmac_sha512(key: &hmac::Key, label: Label, parts: &[&[u8]]) -> [u8; 64] {
    let mut context = hmac::Context::with_key(key);
    context.update(label.bytes());
    context.update(&[0]);
    for part in parts {
        context.update(part);
    }
    to_array(context.sign().as_ref())
}

/// A key for [`hmac_sha512`].
pub fn hmac_sha512_key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA512, secret)
}

/// A pseudo-random key: `HKDF-Extract(salt, ikm)` (RFC 5869 §2.2).
pub struct Prk(hkdf::Prk);

impl Prk {
    /// `HKDF-Extract(salt, ikm)` with SHA-256.
    pub fn extract(salt: &[u8], ikm: &[u8]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm))
    }

    /// `HKDF-Expand(prk, label ‖ 0 ‖ info…, N)`; `N` is at most 8160 bytes (RFC 5869 §2.3).
    pub fn expand<const N: usize>(&self, label: Label, info: &[&[u8]]) -> [u8; N] {
        struct Length(usize);
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        const {
            assert!(
                N <= 255 * 32,
                "RFC 5869 bounds the output at 255 hash lengths"
            )
        };
        let mut all: Vec<&[u8]> = Vec::with_capacity(info.len() + 2);
        all.push(label.bytes());
        all.push(&[0]);
        all.extend_from_slice(info);
        let mut out = [0; N];
        let filled = self
            .0
            .expand(&all, Length(N))
            .and_then(|okm| okm.fill(&mut out));
        debug_assert!(filled.is_ok(), "the length is checked at compile time");
        out
    }
}

/// Length of a Poly1305 authenticator, in bytes.
pub const AEAD_TAG_BYTES: usize = 16;

/// ChaCha20-Poly1305 with a 256-bit key (RFC 8439). The caller owns the uniqueness of nonces.
pub struct Aead(aead::LessSafeKey);

impl Aead {
    /// A key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        let unbound = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key);
        match unbound {
            Ok(key) => Self(aead::LessSafeKey::new(key)),
            // 32 bytes is the key length of the algorithm; ring refuses other lengths only.
            Err(_) => unreachable!("a ChaCha20-Poly1305 key has 32 bytes"),
        }
    }

    /// Encrypts `buffer` in place and appends the 16-byte authenticator.
    pub fn seal(&self, nonce: [u8; 12], aad: &[u8], buffer: &mut Vec<u8>) {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let sealed = self
            .0
            .seal_in_place_append_tag(nonce, aead::Aad::from(aad), buffer);
        debug_assert!(sealed.is_ok(), "only inputs beyond 256 GiB are refused");
    }

    /// Decrypts `buffer` (ciphertext ‖ authenticator) in place and returns the plaintext, or `None`
    /// if the authenticator is wrong.
    pub fn open<'a>(&self, nonce: [u8; 12], aad: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.0
            .open_in_place(nonce, aead::Aad::from(aad), buffer)
            .ok()
            .map(|plain| &*plain)
    }
}

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The bytes that lower-case hexadecimal digits name, as many as there are, or `None`.
pub fn unhex_bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(nibble(*high)? << 4 | nibble(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// The `N` bytes that `2 N` lower-case hexadecimal digits name, or `None`.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(out)
}

fn to_array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869 appendix A.1, with the label emptied by hand: the wrapper must be plain HKDF.
    #[test]
    fn hkdf_is_rfc5869_with_label_as_info_prefix() {
        let prk = Prk::extract(
            &unhex::<13>("000102030405060708090a0b0c").unwrap(),
            &[0x0b; 22],
        );
        let ours: [u8; 42] = prk.expand(Label::Tag, &[b"x"]);
        let mut info = Label::Tag.bytes().to_vec();
        info.extend_from_slice(b"\0x");
        struct L;
        impl hkdf::KeyType for L {
            fn len(&self) -> usize {
                42
            }
        }
        let mut direct = [0; 42];
        prk.0
            .expand(&[&info], L)
            .unwrap()
            .fill(&mut direct)
            .unwrap();
        assert_eq!(ours, direct);
        let mut rfc = [0; 42];
        let info = unhex::<10>("f0f1f2f3f4f5f6f7f8f9").unwrap();
        prk.0.expand(&[&info], L).unwrap().fill(&mut rfc).unwrap();
        assert_eq!(
            hex(&rfc),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }

    #[test]
    fn hex_round_trips_and_refuses_upper_case_and_odd_lengths() {
        assert_eq!(unhex::<2>("00ff"), Some([0, 255]));
        assert_eq!(hex(&[0, 255]), "00ff");
        assert_eq!(unhex::<2>("00FF"), None);
        assert_eq!(unhex::<2>("00f"), None);
    }
}
