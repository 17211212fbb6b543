//! The second kind of first lock: a threshold VOPRF. In: match-key inputs of an agent and the shares of
//! custodians. Out: tokens that no single party could have computed.
//!
//! | file | question it answers |
//! |---|---|
//! | [`suite`] | how do bytes become group elements and scalars (RFC 9497 §4.1)? |
//! | [`proof`] | how is a batch of evaluations proved and checked (RFC 9497 §2.2)? |
//! | [`threshold`] | how is a key split, and what do `t` answers add up to? |
//! | [`evaluate`] | what does a custodian do with a chunk? |
//! | [`client`] | how does an agent blind, check, combine and finalise? |
//! | [`rfc`] | the RFC's own client, the reference that the fast one is tested against |
//!
//! Invariant: a token needs [`client::Evaluation`]s, and only a verified proof makes one.
//! Specification: protocol/SPEC.md, "OPRF lock"; RFC 9497; decision 0006.

pub mod client;
pub mod evaluate;
pub mod proof;
pub mod rfc;
pub mod suite;
pub mod threshold;

/// Why an element, share, proof or record is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OprfError {
    /// Not the canonical encoding of a group element, or the identity (RFC 9497 §2.1, §4.1).
    #[error("element {index} is not a valid group element")]
    Element {
        /// Position within the chunk, from 0.
        index: usize,
    },
    /// Not the canonical encoding of a scalar, or zero.
    #[error("a scalar is not in canonical form")]
    Scalar,
    /// The proof does not verify under the custodian's public share.
    #[error("the proof does not verify under the custodian's public share")]
    Proof,
    /// Another number of elements than were sent.
    #[error("the answer has another number of elements than the request")]
    Count,
    /// A chunk of no elements, or of more than 8,192.
    #[error("a chunk has from 1 to 8192 elements")]
    Chunk,
    /// Evaluations of another chunk or under another key than the one that is finalised.
    #[error("the evaluations are not of this chunk and key")]
    Foreign,
    /// A proof that was made does not verify: the machine miscalculated.
    #[error(
        "this machine miscalculated: a proof that it made does not verify; nothing was answered"
    )]
    Fault,
    /// Custodians or threshold outside what the scheme allows.
    #[error("the custodians or the threshold do not fit")]
    Threshold,
    /// Public shares that do not lie on one polynomial, or a group key that is not theirs.
    #[error("the public shares do not belong together")]
    Inconsistent,
}

#[cfg(test)]
#[path = "oprf_tests.rs"]
mod tests;
