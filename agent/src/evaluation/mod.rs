//! The agent's side of the OPRF lock: which values need custodians, what was asked, what came back.
//! In: grouped persons and answers. Out: tokens by part, for the encoder.
//!
//! | file | question it answers |
//! |---|---|
//! | [`values`] | which distinct match-key values does a dataset have? |
//! | [`cache`] | which of them were evaluated in this epoch? |
//! | [`batch`] | what was asked, under which blinds? |
//! | [`cost`] | what will that cost? |
//! | [`request`] | how does a batch reach the custodians? |
//! | [`absorb`] | how do answers become tokens? |
//! | [`tokens`] | how does the encoder get at the tokens of a part? |
//!
//! Invariant: values, blinds and tokens rest sealed; each distinct value is evaluated once per epoch.
//! Specification: protocol/SPEC.md, "Evaluation"; design §5.

pub mod absorb;
pub mod batch;
pub mod cache;
pub mod cost;
pub mod request;
pub mod tokens;
pub mod values;

use std::path::{Path, PathBuf};

use hedui_edge::{Console, Problem, files};
use hedui_keys::vault::place;
use hedui_protocol::agreement::InForce;
use hedui_protocol::identity::Identity;
use hedui_protocol::secret::Secret;

/// Local name of a match-key value: keyed, so that it says nothing to anybody else.
pub type ValueId = [u8; 16];

/// Where an agent works on evaluations of one agreement and epoch.
pub struct Workshop<'a> {
    /// Agreement.
    pub agreement: &'a InForce,
    /// Key.
    pub identity: &'a Identity,
    /// State folder of the party.
    pub state: &'a Path,
    /// Exchange folder.
    pub exchange: &'a Path,
    /// Terminal.
    pub console: &'a Console,
    folder: PathBuf,
    id_key: Secret<32>,
}

impl<'a> Workshop<'a> {
    /// The workshop in a party's state folder.
    pub fn new(
        agreement: &'a InForce,
        identity: &'a Identity,
        (state, exchange): (&'a Path, &'a Path),
        console: &'a Console,
    ) -> Result<Self, Problem> {
        let folder = state.join("oprf").join(place(agreement));
        files::private_folder(&folder)?;
        files::sweep(&folder);
        Ok(Self {
            id_key: identity.local_key(&[b"value-id", &[0], place(agreement).as_bytes()]),
            agreement,
            identity,
            state,
            exchange,
            console,
            folder,
        })
    }

    /// Local name of a value.
    pub fn id_of(&self, input: &[u8]) -> ValueId {
        let mut id = [0; 16];
        blake3::Hasher::new_keyed(self.id_key.expose())
            .update(input)
            .finalize_xof()
            .fill(&mut id);
        id
    }
}
