//! Sealed, signed files of any size in constant memory. In: a body and who sends it to whom. Out: one
//! file; and back: header → checked → signature verified → opened, one type per step.
//! Invariant: nothing is decrypted before the signature over the whole file verifies, and nothing is
//! handed out that the recipient could not check. Specification: protocol/SPEC.md, "Envelope".

use std::io::{self, Read, Seek, SeekFrom, Write};

use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};

use crate::header::{Header, MessageType};
use crate::identity::{Identity, Kem, PartyCard};
use crate::ids::{AgreementDigest, Epoch, Name};
use crate::label::Label;
use crate::limits::{CHUNK_BYTES, HEADER_BYTES_MAX};
use crate::log::checkpoint::Origin;
use crate::primitive::{AEAD_TAG_BYTES, Aead, Prk, Sha256, sha256};
use crate::refusal::Refusal;
use crate::secret::Secret;

type Kdf = hpke::kdf::HkdfSha256;
type HpkeAead = hpke::aead::ChaCha20Poly1305;

/// Length of the encapsulated key, in bytes (RFC 9180 §7.1, X25519).
const ENC_BYTES: u64 = 32;
/// Length of the Ed25519 signature that ends the file, in bytes.
const SIGNATURE_BYTES: u64 = 64;

/// Refusal of a received file, or failure to read or write.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The file is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Reading or writing failed.
    #[error("reading or writing failed: {0}")]
    Io(#[from] io::Error),
}

/// Ciphertext bytes of a body: every chunk of 64 KiB grows by 16; an empty body is one empty chunk.
fn cipher_bytes(body_bytes: u64) -> u64 {
    let chunks = body_bytes.div_ceil(CHUNK_BYTES as u64).max(1);
    body_bytes + chunks * AEAD_TAG_BYTES as u64
}

/// Seals `body` (exactly `header.body_bytes` long) and writes the whole envelope to `out`.
///
/// The encapsulation is derived from the sender's secret, the header and the body's digest
/// (decision 0003), so the same message always has the same bytes and no randomness can fail.
pub fn seal(
    header: &Header,
    sender: &Identity,
    recipient: &PartyCard,
    body: &mut (impl Read + Seek),
    out: &mut impl Write,
) -> Result<(), EnvelopeError> {
    let head = header.render();
    let head_digest = sha256(&[head.as_bytes()]);
    let body_digest = digest_of(body, header.body_bytes)?;
    let seed = sender.derive(Label::EnvelopeSeed, &[&head_digest, &body_digest]);
    let public = recipient
        .seal_public()
        .ok_or_else(|| Refusal::malformed("party card", "its sealing key does not decode"))?;
    let (enc, context) = hpke::setup_sender_with_rng::<HpkeAead, Kdf, Kem>(
        &OpModeS::Base,
        &public,
        &hpke_info(&head_digest),
        &mut SeedRng::new(&seed),
    )
    .map_err(|_| Refusal::malformed("party card", "its sealing key is not usable"))?;
    let mut key = [0; 32];
    // Exporting 32 bytes is always possible (RFC 9180 §5.3 bounds it at 255 hash lengths).
    let _ = context.export(Label::EnvelopeStream.bytes(), &mut key);
    let aead = Aead::new(Secret::new(key).expose());

    out.write_all(head.as_bytes())?;
    let mut hashed = Hashing {
        inner: out,
        hash: Sha256::default(),
    };
    hashed.write_all(&enc.to_bytes())?;
    body.seek(SeekFrom::Start(0))?;
    let mut left = header.body_bytes;
    let mut counter = 0;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + AEAD_TAG_BYTES);
    loop {
        let len = left.min(CHUNK_BYTES as u64);
        left -= len;
        chunk.clear();
        body.take(len).read_to_end(&mut chunk)?;
        if chunk.len() as u64 != len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        aead.seal(stream_nonce(counter, left == 0), &[], &mut chunk);
        hashed.write_all(&chunk)?;
        counter += 1;
        if left == 0 {
            break;
        }
    }
    let Hashing { inner, hash } = hashed;
    let signed = signed_bytes(header.kind, &head_digest, &hash.finish());
    inner.write_all(&sender.sign(&signed))?;
    Ok(())
}

/// What a recipient requires of a received file.
pub struct Expectation<'a> {
    /// The recipient.
    pub me: &'a PartyCard,
    /// Agreement in force.
    pub agreement: AgreementDigest,
    /// Epoch in force.
    pub epoch: Epoch,
    /// Types accepted here; empty for any.
    pub kinds: &'a [MessageType],
    /// Card of a party of the agreement.
    pub party: &'a dyn Fn(&Name) -> Option<PartyCard>,
    /// The matcher of the agreement: whose log a header names.
    pub matcher: &'a PartyCard,
}

/// A file whose header is what the recipient expects; its signature is not yet verified.
pub struct Checked<F> {
    header: Header,
    head_digest: [u8; 32],
    head_bytes: u64,
    sender: PartyCard,
    file: F,
}

/// A file whose signature verifies under the sender's key in the agreement.
pub struct Verified<F> {
    checked: Checked<F>,
    /// SHA-256 of what the signature covers behind the header.
    digest: [u8; 32],
}

impl<F> std::fmt::Debug for Checked<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checked")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// Reads only the header of a file, without judging it.
pub fn peek(file: &mut (impl Read + Seek)) -> Result<(Header, [u8; 32], u64), EnvelopeError> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(HEADER_BYTES_MAX);
    file.take(HEADER_BYTES_MAX as u64).read_to_end(&mut head)?;
    let (header, len) = Header::parse(&head)?;
    Ok((header, sha256(&[&head[..len]]), len as u64))
}

impl<F: Read + Seek> Checked<F> {
    /// Reads the header and compares it, and the file's length, with what is expected.
    pub fn read(mut file: F, expected: &Expectation<'_>) -> Result<Self, EnvelopeError> {
        let (header, head_digest, head_bytes) = peek(&mut file)?;
        if header.agreement != expected.agreement {
            let digits = header.agreement.to_hex().chars().take(12).collect();
            return Err(Refusal::WrongAgreement(digits).into());
        }
        if header.to.0 != expected.me.name || header.to.1 != expected.me.key_id() {
            return Err(Refusal::WrongRecipient(header.to.0.to_string()).into());
        }
        if header.epoch != expected.epoch {
            let (expected, found) = (expected.epoch.0, header.epoch.0);
            return Err(Refusal::WrongEpoch { expected, found }.into());
        }
        if !expected.kinds.is_empty() && !expected.kinds.contains(&header.kind) {
            let words: &'static str = expected.kinds.first().map_or("", |kind| kind.word());
            let found = header.kind.word().to_owned();
            return Err(Refusal::WrongType {
                expected: words,
                found,
            }
            .into());
        }
        let sender = (expected.party)(&header.from.0)
            .filter(|card| card.key_id() == header.from.1)
            .ok_or_else(|| Refusal::UnknownSender(header.from.0.to_string()))?;
        let origin = Origin::new(header.agreement, header.epoch, &expected.matcher.name);
        let why = match &header.log {
            Some(log) if !log.holds(expected.matcher, &origin) => {
                "the checkpoint in the header is not signed by the matcher"
            }
            None if sender == *expected.matcher => {
                "a message of the matcher carries no checkpoint of it"
            }
            _ => "",
        };
        if !why.is_empty() {
            return Err(Refusal::BadLog(why.to_owned()).into());
        }
        let mut checked = Self {
            header,
            head_digest,
            head_bytes,
            sender,
            file,
        };
        checked.check_length()?;
        Ok(checked)
    }

    fn check_length(&mut self) -> Result<(), EnvelopeError> {
        let expected =
            self.head_bytes + ENC_BYTES + cipher_bytes(self.header.body_bytes) + SIGNATURE_BYTES;
        let found = self.file.seek(SeekFrom::End(0))?;
        if found < expected {
            return Err(Refusal::Truncated {
                missing: expected - found,
            }
            .into());
        }
        if found > expected {
            return Err(Refusal::Oversize {
                what: "file",
                found,
                allowed: expected,
            }
            .into());
        }
        Ok(())
    }

    /// The header; a claim until [`Checked::verify`] has succeeded.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Hashes the whole file and verifies the sender's signature over it.
    pub fn verify(mut self) -> Result<Verified<F>, EnvelopeError> {
        self.file.seek(SeekFrom::Start(self.head_bytes))?;
        let len = ENC_BYTES + cipher_bytes(self.header.body_bytes);
        let mut hash = Sha256::default();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut left = len;
        while left > 0 {
            let want = usize::try_from(left.min(CHUNK_BYTES as u64)).unwrap_or(CHUNK_BYTES);
            self.file.read_exact(&mut buffer[..want])?;
            hash.update(&buffer[..want]);
            left -= want as u64;
        }
        let mut signature = [0; SIGNATURE_BYTES as usize];
        self.file.read_exact(&mut signature)?;
        let digest = hash.finish();
        let signed = signed_bytes(self.header.kind, &self.head_digest, &digest);
        if !self.sender.verify(&signed, &signature) {
            return Err(Refusal::BadSignature.into());
        }
        Ok(Verified {
            checked: self,
            digest,
        })
    }
}

impl<F: Read + Seek> Verified<F> {
    /// The verified header.
    pub fn header(&self) -> &Header {
        &self.checked.header
    }

    /// `SHA-256(header)`: names this message in ledgers and logs.
    pub fn header_digest(&self) -> [u8; 32] {
        self.checked.head_digest
    }

    /// Decrypts the body into `out`. On an error the caller discards what was written. The file is read a second time
    /// here, and may have been changed by whoever can write it: what is read must be what was verified.
    pub fn open(&mut self, me: &Identity, out: &mut impl Write) -> Result<(), EnvelopeError> {
        let Checked {
            header,
            head_digest,
            head_bytes,
            file,
            ..
        } = &mut self.checked;
        file.seek(SeekFrom::Start(*head_bytes))?;
        let mut enc = [0; ENC_BYTES as usize];
        file.read_exact(&mut enc)?;
        let mut hash = Sha256::default();
        hash.update(&enc);
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&enc);
        let context = hpke::setup_receiver::<HpkeAead, Kdf, Kem>(
            &OpModeR::Base,
            me.seal_private(),
            &enc.map_err(|_| Refusal::Unreadable)?,
            &hpke_info(head_digest),
        )
        .map_err(|_| Refusal::Unreadable)?;
        let mut key = [0; 32];
        let _ = context.export(Label::EnvelopeStream.bytes(), &mut key);
        let aead = Aead::new(Secret::new(key).expose());
        let mut left = header.body_bytes;
        let mut counter = 0;
        let mut buffer = vec![0; CHUNK_BYTES + AEAD_TAG_BYTES];
        loop {
            let len = usize::try_from(left.min(CHUNK_BYTES as u64)).unwrap_or(CHUNK_BYTES);
            left -= len as u64;
            let chunk = &mut buffer[..len + AEAD_TAG_BYTES];
            file.read_exact(chunk)?;
            hash.update(chunk);
            let plain = aead.open(stream_nonce(counter, left == 0), &[], chunk);
            out.write_all(plain.ok_or(Refusal::Unreadable)?)?;
            counter += 1;
            if left == 0 {
                let same = hash.finish() == self.digest;
                return if same {
                    Ok(())
                } else {
                    Err(Refusal::BadSignature.into())
                };
            }
        }
    }
}

/// STREAM nonce: 11-byte big-endian counter ‖ 1 for the last chunk, else 0 (C2SP age).
pub fn stream_nonce(counter: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&counter.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

/// Whether anything can be sealed to a key: the shared secret with a key of low order is 0, which RFC 9180 §7.1.4 refuses.
pub(crate) fn can_be_sealed_to(public: &crate::identity::SealPublic) -> bool {
    let mut rng = SeedRng::new(&Secret::new([1; 32]));
    hpke::setup_sender_with_rng::<HpkeAead, Kdf, Kem>(&OpModeS::Base, public, &[], &mut rng).is_ok()
}

fn hpke_info(head_digest: &[u8; 32]) -> Vec<u8> {
    [Label::Envelope.bytes(), &[0], head_digest].concat()
}

/// `"HEDUI1/signature" ‖ 0 ‖ type ‖ 0 ‖ SHA-256(header) ‖ SHA-256(enc ‖ chunks)`.
fn signed_bytes(kind: MessageType, head: &[u8; 32], cipher: &[u8; 32]) -> Vec<u8> {
    [
        Label::Signature.bytes(),
        &[0],
        kind.word().as_bytes(),
        &[0],
        head,
        cipher,
    ]
    .concat()
}

fn digest_of(body: &mut (impl Read + Seek), len: u64) -> io::Result<[u8; 32]> {
    body.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut total = 0;
    loop {
        let got = body.read(&mut buffer)?;
        if got == 0 {
            break;
        }
        total += got as u64;
        hash.update(&buffer[..got]);
    }
    if total == len {
        Ok(hash.finish())
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

struct Hashing<'a, W> {
    inner: &'a mut W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes of the encapsulation: `HKDF-Expand(HKDF-Extract(0, seed), "HEDUI1/envelope-seed" ‖ 0 ‖ u64 n)`.
struct SeedRng {
    prk: Prk,
    block: u64,
}

impl SeedRng {
    fn new(seed: &Secret<32>) -> Self {
        Self {
            prk: Prk::extract(&[], seed.expose()),
            block: 0,
        }
    }
}

impl TryRng for SeedRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for part in out.chunks_mut(32) {
            let block: [u8; 32] = self
                .prk
                .expand(Label::EnvelopeSeed, &[&self.block.to_be_bytes()]);
            part.copy_from_slice(&block[..part.len()]);
            self.block += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for SeedRng {}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
