//! Kits at rest. In: kits made by the roll owner or received from it. Out: the kit of one register.
//! Invariant: one sealed file per agreement, epoch and register, under a local key of the party; a
//! kit is made once and then only read, so that all deliveries of an epoch fit together.
//! Specification: protocol/SPEC.md, "Kit".

use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::identity::Identity;
use hedui_protocol::message::kit::Kit;
use hedui_protocol::refusal::Refusal;
use hedui_protocol::secret::Secret;

use crate::identity_file::random;
use crate::vault::Vault;

/// The kits of one party under one agreement and epoch.
pub struct KitStore<'a>(Vault<'a>);

impl<'a> KitStore<'a> {
    /// The store in a party's state folder.
    pub fn new(state: &Path, identity: &'a Identity, agreement: &'a InForce) -> Self {
        Self(Vault::new(state, "kits", identity, agreement))
    }

    /// The kit of a register, if it is here.
    pub fn get(&self, register: &Dataset) -> Result<Option<Kit>, Problem> {
        match self.0.read(&file(register))? {
            Some(body) => Ok(Some(Kit::decode(&body)?)),
            None => Ok(None),
        }
    }

    /// Keeps a received kit. Another kit for the same register and epoch is refused.
    pub fn put(&self, register: &Dataset, kit: &Kit) -> Result<(), Problem> {
        if kit.register != Agreement::number(register) {
            return Err(Refusal::malformed("kit", "it is for another register").into());
        }
        if let Some(held) = self.get(register)? {
            let same = held.register_secret == kit.register_secret
                && held.shared_secret == kit.shared_secret;
            return if same {
                Ok(())
            } else {
                Err(Refusal::Replay.into())
            };
        }
        self.0.write(&file(register), &kit.encode())
    }

    /// The kit of a register, made now if this is the first call (roll owner only).
    pub fn get_or_make(&self, register: &Dataset) -> Result<Kit, Problem> {
        if let Some(kit) = self.get(register)? {
            return Ok(kit);
        }
        let kit = Kit {
            register: Agreement::number(register),
            register_secret: random()?,
            shared_secret: self.shared_secret()?,
        };
        self.0.write(&file(register), &kit.encode())?;
        Ok(kit)
    }

    /// The secret of the keyed lock, the same in every kit of the epoch.
    fn shared_secret(&self) -> Result<Secret<32>, Problem> {
        const NAME: &str = "shared.secret";
        if let Some(body) = self.0.read(NAME)? {
            let bytes: [u8; 32] = body[..].try_into().map_err(|_| {
                Refusal::malformed("shared secret", "it has another length than 32 bytes")
            })?;
            return Ok(Secret::new(bytes));
        }
        let secret = random::<32>()?;
        self.0.write(NAME, secret.expose())?;
        Ok(secret)
    }
}

fn file(register: &Dataset) -> String {
    format!("{}.kit", register.name)
}
