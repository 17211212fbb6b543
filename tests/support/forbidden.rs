//! What must not compile. In: lines that would leak or skip a check. Out: `cargo test` compiles each and fails if one
//! compiles; the line beside it, which may be written, shows that it is the rule that stops the other.
//! Invariant under test: secrets are not printed, copied or serialised; nothing unverified can be used.
//! Specification: SECURITY.md.
//!
//! A secret is not printed:
//! ```compile_fail,E0277
//! println!("{:?}", hedui_protocol::secret::Secret::new([0; 32]));
//! ```
//! nor copied without saying so,
//! ```compile_fail,E0599
//! let _ = hedui_protocol::secret::Secret::new([0; 32]).clone();
//! ```
//! nor serialised,
//! ```compile_fail,E0277
//! let _ = serde_json::to_string(&hedui_protocol::secret::Secret::new([0; 32]));
//! ```
//! but compared in constant time, and duplicated where a reviewer can find it.
//! ```
//! let secret = hedui_protocol::secret::Secret::new([0; 32]);
//! assert!(secret == secret.duplicate());
//! ```
//!
//! An identity's secret side is not printed or copied:
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_protocol::identity::Identity>();
//! ```
//! ```compile_fail,E0277
//! fn copied<T: Clone>() {}
//! copied::<hedui_protocol::identity::Identity>();
//! ```
//! Its card is public.
//! ```
//! fn printed<T: std::fmt::Debug + Clone>() {}
//! printed::<hedui_protocol::identity::PartyCard>();
//! ```
//!
//! The same of a custodian's share, a kit, the keys of pairs and of blinds, and of a person's cells:
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_keys::oprf::evaluate::Share>();
//! ```
//! ```compile_fail,E0277
//! fn copied<T: Clone>() {}
//! copied::<hedui_keys::oprf::evaluate::Share>();
//! ```
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_protocol::message::kit::Kit>();
//! ```
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_protocol::filter::encode::PairKey>();
//! ```
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_keys::oprf::client::BlindKey>();
//! ```
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_protocol::match_key::Person>();
//! ```
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_protocol::field::Normal>();
//! ```
//! ```compile_fail,E0277
//! fn printed<T: std::fmt::Debug>() {}
//! printed::<hedui_agent::record::Grouped>();
//! ```
//!
//! An envelope is not opened before its signature is verified:
//! ```compile_fail,E0599
//! use hedui_protocol::envelope::Checked;
//! fn opened(mut file: Checked<std::fs::File>, me: &hedui_protocol::identity::Identity) {
//!     let _ = file.open(me, &mut Vec::new());
//! }
//! ```
//! ```
//! use hedui_protocol::envelope::Checked;
//! fn opened(file: Checked<std::fs::File>, me: &hedui_protocol::identity::Identity) {
//!     let _ = file.verify().map(|mut file| file.open(me, &mut Vec::new()));
//! }
//! ```
//!
//! A verified evaluation is not made up, only what [`hedui_keys::oprf::client::EpochKey::verify`] returns counts:
//! ```compile_fail,E0451
//! let _ = hedui_keys::oprf::client::Evaluation { custodian: 1, points: Vec::new(), of: [0; 64] };
//! ```
//!
//! An agreement is not in force because somebody says so:
//! ```compile_fail
//! fn forced(agreement: hedui_protocol::agreement::Agreement) -> hedui_protocol::agreement::InForce {
//!     hedui_protocol::agreement::InForce(agreement)
//! }
//! ```
//! ```
//! fn in_force(agreement: hedui_protocol::agreement::Agreement) -> Option<hedui_protocol::agreement::InForce> {
//!     agreement.in_force("", "2016-01-01").ok()
//! }
//! ```
