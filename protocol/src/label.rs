//! The one list of domain-separation labels. In: nothing. Out: the prefix of every derivation.
//! Invariant: no two uses of a key, digest or signature share a label; each appears once.
//! Every label is followed by one zero byte wherever it is used.
//! Specification: protocol/SPEC.md, "Labels".

/// One use of a hash, key or signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Digest of the effective agreement.
    Agreement,
    /// Signature of a party under the agreement's digest.
    AgreementSignature,
    /// HPKE info of an envelope.
    Envelope,
    /// Seed of the deterministic encapsulation (decision 0003).
    EnvelopeSeed,
    /// Exporter context of the STREAM key.
    EnvelopeStream,
    /// Key identifier of a party.
    KeyId,
    /// Payload key under the tokens of a release set.
    Kek,
    /// AEAD associated data of a key file.
    KeyFile,
    /// Token of the keyed lock.
    Keyed,
    /// Input of the lock for one match key.
    MatchKey,
    /// Key of local pseudonyms (handles, fillers, content keys).
    Local,
    /// Request identifier of a message.
    Request,
    /// Signature over an envelope.
    Signature,
    /// Tag of a match key in one register.
    Tag,
}

impl Label {
    /// The ASCII bytes of the label, without the zero byte that follows it.
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Agreement => b"HEDUI1/agreement",
            Self::AgreementSignature => b"HEDUI1/agreement-signature",
            Self::Envelope => b"HEDUI1/envelope",
            Self::EnvelopeSeed => b"HEDUI1/envelope-seed",
            Self::EnvelopeStream => b"HEDUI1/envelope-stream",
            Self::KeyId => b"HEDUI1/key-id",
            Self::Kek => b"HEDUI1/kek",
            Self::KeyFile => b"HEDUI1/key-file",
            Self::Keyed => b"HEDUI1/keyed",
            Self::MatchKey => b"HEDUI1/match-key",
            Self::Local => b"HEDUI1/local",
            Self::Request => b"HEDUI1/request",
            Self::Signature => b"HEDUI1/signature",
            Self::Tag => b"HEDUI1/tag",
        }
    }
}
