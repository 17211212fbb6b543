//! Parties and their long-term keys. In: 64 secret bytes, or a card of public keys. Out: signatures,
//! recipients' keys, and the root of the party's local pseudonyms.
//! Invariant: the secret side has no `Debug`, `Clone` or `Serialize`; the card holds public bytes only.
//! Specification: protocol/SPEC.md, "Identities" (RFC 8032, RFC 9180 §7.1.3).

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hpke::{Deserializable, Kem as _, Serializable, kem::X25519HkdfSha256};
use zeroize::Zeroize;

use crate::ids::{KeyId, Name};
use crate::label::Label;
use crate::primitive::{Prk, hex, labelled_sha256, unhex};
use crate::secret::Secret;

pub(crate) type Kem = X25519HkdfSha256;
pub(crate) type SealPublic = <Kem as hpke::Kem>::PublicKey;
pub(crate) type SealPrivate = <Kem as hpke::Kem>::PrivateKey;

/// The public side of a party: its name and two public keys of 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyCard {
    /// Name within agreements.
    pub name: Name,
    /// Ed25519 public key.
    pub sign: [u8; 32],
    /// X25519 public key.
    pub seal: [u8; 32],
}

impl PartyCard {
    /// `SHA-256("HEDUI1/key-id" ‖ 0 ‖ sign ‖ seal)[..8]`: names this pair of keys.
    pub fn key_id(&self) -> KeyId {
        let digest = labelled_sha256(Label::KeyId, &[&self.sign, &self.seal]);
        let mut id = [0; KeyId::LEN];
        id.copy_from_slice(&digest[..KeyId::LEN]);
        KeyId(id)
    }

    /// One line: `hedui-card/1 NAME SIGN SEAL`, keys as hexadecimal.
    pub fn render(&self) -> String {
        format!(
            "hedui-card/1 {} {} {}\n",
            self.name,
            hex(&self.sign),
            hex(&self.seal)
        )
    }

    /// Reads the line that [`PartyCard::render`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.trim_end().split(' ');
        if words.next() != Some("hedui-card/1") {
            return None;
        }
        let card = Self {
            name: Name::new(words.next()?)?,
            sign: unhex(words.next()?)?,
            seal: unhex(words.next()?)?,
        };
        (words.next().is_none() && card.is_usable()).then_some(card)
    }

    /// Whether both keys decode and neither is of small order.
    pub fn is_usable(&self) -> bool {
        VerifyingKey::from_bytes(&self.sign).is_ok_and(|key| !key.is_weak())
            && self
                .seal_public()
                .is_some_and(|public| crate::envelope::can_be_sealed_to(&public))
    }

    /// Verifies an Ed25519 signature strictly (RFC 8032 §5.1.7, small-order keys refused).
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.sign)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
            .is_ok()
    }

    pub(crate) fn seal_public(&self) -> Option<SealPublic> {
        SealPublic::from_bytes(&self.seal).ok()
    }
}

/// The secret side of a party.
pub struct Identity {
    card: PartyCard,
    sign: SigningKey,
    seal: SealPrivate,
    local: Prk,
}

impl Identity {
    /// Length of the secret seed, in bytes: 32 for signing, 32 for sealing.
    pub const SEED_BYTES: usize = 64;

    /// Derives all keys of a party from its seed (RFC 8032 §5.1.5; RFC 9180 `DeriveKeyPair`).
    pub fn from_seed(name: Name, seed: &Secret<64>) -> Self {
        let (sign_seed, seal_seed) = seed.expose().split_at(32);
        let mut sign_bytes = [0; 32];
        sign_bytes.copy_from_slice(sign_seed);
        let sign = SigningKey::from_bytes(&sign_bytes);
        sign_bytes.zeroize();
        let (seal, seal_public) = Kem::derive_keypair(seal_seed);
        let mut seal_bytes = [0; 32];
        seal_bytes.copy_from_slice(&seal_public.to_bytes());
        let card = PartyCard {
            name,
            sign: sign.verifying_key().to_bytes(),
            seal: seal_bytes,
        };
        let local = Prk::extract(b"HEDUI1/local-root", seed.expose());
        Self {
            card,
            sign,
            seal,
            local,
        }
    }

    /// The public side.
    pub fn card(&self) -> &PartyCard {
        &self.card
    }

    /// Signs `message` with Ed25519.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.sign.sign(message).to_bytes()
    }

    /// `HKDF-Expand(local root, "HEDUI1/local" ‖ 0 ‖ purpose…, 32)`: keys that never leave this party.
    pub fn local_key(&self, purpose: &[&[u8]]) -> Secret<32> {
        Secret::new(self.local.expand(Label::Local, purpose))
    }

    pub(crate) fn seal_private(&self) -> &SealPrivate {
        &self.seal
    }

    pub(crate) fn derive<const N: usize>(&self, label: Label, info: &[&[u8]]) -> Secret<N> {
        Secret::new(self.local.expand(label, info))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_round_trip_and_weak_keys_are_refused() {
        let identity = Identity::from_seed(Name::new("a").unwrap(), &Secret::new([5; 64]));
        let card = identity.card().clone();
        assert_eq!(PartyCard::parse(&card.render()), Some(card.clone()));
        assert!(card.verify(b"m", &identity.sign(b"m")));
        assert!(!card.verify(b"n", &identity.sign(b"m")));
        let mut weak = card.clone();
        weak.sign = [0; 32];
        weak.sign[0] = 1; // the neutral element
        assert!(PartyCard::parse(&weak.render()).is_none());
        assert!(PartyCard::parse("hedui-card/1 a 00 00").is_none());
    }
}
