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
    /// Blinds of an OPRF batch.
    Blind,
    /// Padding elements of an OPRF batch.
    BlindPadding,
    /// Key of an OPRF batch's blinds.
    BlindKey,
    /// Key of the record filters of one block.
    BlockFilter,
    /// Invented persons that prove a comparison complete.
    Canary,
    /// Check value of what one side says of its canaries.
    CanarySlip,
    /// Chain of a custodian's log.
    CustodianLog,
    /// Chain and signatures of a clue desk's history.
    DeskEvent,
    /// Statement that a share was destroyed.
    DestroyedShare,
    /// HPKE info of an envelope.
    Envelope,
    /// Seed of the deterministic encapsulation (decision 0003).
    EnvelopeSeed,
    /// Signature of a custodian under an epoch's record.
    EpochRecord,
    /// Exporter context of the STREAM key.
    EnvelopeStream,
    /// Key identifier of a party.
    KeyId,
    /// Payload key under the tokens of a release set.
    Kek,
    /// AEAD associated data of a key file.
    KeyFile,
    /// Check value of a kit.
    KitCheck,
    /// Token of the keyed lock.
    Keyed,
    /// Input of the lock for one match key.
    MatchKey,
    /// Key of local pseudonyms (handles, fillers, content keys).
    Local,
    /// Key of the filters of one candidate pair.
    PairFilter,
    /// Check words of a share on paper.
    PaperShare,
    /// Commitment scalar of a custodian's proof.
    ProofNonce,
    /// Key of record filters.
    RecordFilter,
    /// Request identifier of a message.
    Request,
    /// Signature of the roll's owner under its commitment.
    RollCommitment,
    /// Who is drawn from a roll.
    RollDraw,
    /// A person's leaf in the roll's commitment.
    RollLeaf,
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
            Self::Blind => b"HEDUI1/blind",
            Self::BlindPadding => b"HEDUI1/blind-padding",
            Self::BlindKey => b"HEDUI1/blind-key",
            Self::BlockFilter => b"HEDUI1/block-filter",
            Self::Canary => b"HEDUI1/canary",
            Self::CanarySlip => b"HEDUI1/canary-slip",
            Self::CustodianLog => b"HEDUI1/custodian-log",
            Self::DeskEvent => b"HEDUI1/desk-event",
            Self::DestroyedShare => b"HEDUI1/destroyed-share",
            Self::Envelope => b"HEDUI1/envelope",
            Self::EpochRecord => b"HEDUI1/epoch-record",
            Self::EnvelopeSeed => b"HEDUI1/envelope-seed",
            Self::EnvelopeStream => b"HEDUI1/envelope-stream",
            Self::KeyId => b"HEDUI1/key-id",
            Self::Kek => b"HEDUI1/kek",
            Self::KeyFile => b"HEDUI1/key-file",
            Self::KitCheck => b"HEDUI1/kit-check",
            Self::Keyed => b"HEDUI1/keyed",
            Self::MatchKey => b"HEDUI1/match-key",
            Self::Local => b"HEDUI1/local",
            Self::PairFilter => b"HEDUI1/pair-filter",
            Self::PaperShare => b"HEDUI1/paper-share",
            Self::ProofNonce => b"HEDUI1/proof-nonce",
            Self::RecordFilter => b"HEDUI1/record-filter",
            Self::Request => b"HEDUI1/request",
            Self::RollCommitment => b"HEDUI1/roll-commitment",
            Self::RollDraw => b"HEDUI1/roll-draw",
            Self::RollLeaf => b"HEDUI1/roll-leaf",
            Self::Signature => b"HEDUI1/signature",
            Self::Tag => b"HEDUI1/tag",
        }
    }
}
