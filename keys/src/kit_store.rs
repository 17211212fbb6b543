//! Kits at rest. In: kits made by the roll owner or received from it. Out: the kit of one register.
//! Invariant: one sealed file per agreement, epoch and register, under a local key of the party; a
//! kit is made once and then only read, so that all deliveries of an epoch fit together.
//! Specification: protocol/SPEC.md, "Kit".

use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::identity::Identity;
use hedui_protocol::message::kit::Kit;
use hedui_protocol::primitive::Aead;
use hedui_protocol::refusal::Refusal;
use hedui_protocol::secret::Secret;
use zeroize::Zeroizing;

use crate::identity_file::random;

/// The kits of one party under one agreement and epoch.
pub struct KitStore<'a> {
    folder: PathBuf,
    identity: &'a Identity,
    agreement: &'a InForce,
}

impl<'a> KitStore<'a> {
    /// The store in a party's state folder.
    pub fn new(state: &Path, identity: &'a Identity, agreement: &'a InForce) -> Self {
        let digits: String = agreement.digest().to_hex().chars().take(16).collect();
        let folder = state
            .join("kits")
            .join(format!("{digits}-{}", agreement.epoch().0));
        Self {
            folder,
            identity,
            agreement,
        }
    }

    /// The kit of a register, if it is here.
    pub fn get(&self, register: &Dataset) -> Result<Option<Kit>, Problem> {
        let path = self.path(register.name.as_str());
        match self.read(&path)? {
            Some(body) => Kit::decode(&body)
                .map(Some)
                .map_err(|r| Problem::refused(&path, r)),
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
        self.write(&self.path(register.name.as_str()), &kit.encode())
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
        self.write(&self.path(register.name.as_str()), &kit.encode())?;
        Ok(kit)
    }

    /// The secret of the keyed lock, the same in every kit of the epoch.
    fn shared_secret(&self) -> Result<Secret<32>, Problem> {
        let path = self.folder.join("shared.secret");
        if let Some(body) = self.read(&path)? {
            let bytes: [u8; 32] = body[..].try_into().map_err(|_| damaged(&path))?;
            return Ok(Secret::new(bytes));
        }
        let secret = random::<32>()?;
        self.write(&path, secret.expose())?;
        Ok(secret)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.kit"))
    }

    fn read(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        if !path.exists() {
            return Ok(None);
        }
        let mut sealed = Zeroizing::new(files::read_small(path)?);
        let (nonce, rest) = sealed
            .split_first_chunk_mut::<12>()
            .ok_or_else(|| damaged(path))?;
        let aad = self.associated(path);
        let plain = self
            .aead()
            .open(*nonce, &aad, rest)
            .ok_or_else(|| damaged(path))?;
        Ok(Some(Zeroizing::new(plain.to_vec())))
    }

    fn write(&self, path: &Path, body: &[u8]) -> Result<(), Problem> {
        files::private_folder(&self.folder)?;
        let nonce = random::<12>()?;
        let mut sealed = Zeroizing::new(body.to_vec());
        self.aead()
            .seal(*nonce.expose(), &self.associated(path), &mut sealed);
        files::write_bytes(path, &[&nonce.expose()[..], &sealed].concat())
    }

    fn aead(&self) -> Aead {
        Aead::new(self.identity.local_key(&[b"kits"]).expose())
    }

    fn associated(&self, path: &Path) -> Vec<u8> {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let epoch = self.agreement.epoch().0.to_be_bytes();
        [&self.agreement.digest().0[..], &epoch, name.as_bytes()].concat()
    }
}

fn damaged(path: &Path) -> Problem {
    Problem::refused(
        path,
        Refusal::malformed("kit file", "it cannot be opened with this identity"),
    )
}
