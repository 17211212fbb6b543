//! The kit of a register: the secrets that its owner needs for one epoch. In: secrets of the roll
//! owner. Out: a fixed-length body. Invariant: S_r travels in no other message; nothing is serialised
//! through a general format, so no copy of a secret stays behind.
//! Specification: protocol/SPEC.md, "Kit".

use zeroize::Zeroizing;

use crate::codec::{CodecError, Reader};
use crate::ids::DatasetNumber;
use crate::refusal::Refusal;
use crate::secret::Secret;

/// Length of a kit's body, in bytes.
pub const KIT_BYTES: usize = 2 + 32 + 32;

/// Secrets of one register in one epoch.
pub struct Kit {
    /// The register.
    pub register: DatasetNumber,
    /// `S_r`, known to the roll owner and this register's owner only.
    pub register_secret: Secret<32>,
    /// Secret of the keyed lock, shared by all departments.
    pub shared_secret: Secret<32>,
}

impl Kit {
    /// `u16 register ‖ S_r ‖ shared secret`.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(KIT_BYTES));
        out.extend_from_slice(&self.register.0.to_be_bytes());
        out.extend_from_slice(self.register_secret.expose());
        out.extend_from_slice(self.shared_secret.expose());
        out
    }

    /// Reads what [`Kit::encode`] writes.
    pub fn decode(body: &[u8]) -> Result<Self, Refusal> {
        let read = || -> Result<Self, CodecError> {
            let mut reader = Reader::new(body);
            let kit = Self {
                register: DatasetNumber(reader.u16("register")?),
                register_secret: Secret::new(reader.array("register secret")?),
                shared_secret: Secret::new(reader.array("shared secret")?),
            };
            reader.finish("kit")?;
            Ok(kit)
        };
        read().map_err(|error| Refusal::malformed("kit", error))
    }
}
