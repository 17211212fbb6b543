//! Small secrets at rest. In: a name and bytes. Out: the same bytes, later.
//! Invariant: one sealed file per name under a local key of the party, bound to agreement, epoch, room and
//! name, so that no file can be put in another's place; written whole or not at all.
//! Specification: protocol/SPEC.md, "Secrets"; docs/OPERATIONS.md, "A party's folder".

use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::identity::Identity;
use hedui_protocol::primitive::Aead;
use hedui_protocol::refusal::Refusal;
use hedui_protocol::secret::Secret;
use zeroize::Zeroizing;

use crate::identity_file::random;

/// The secrets of one kind under one agreement and epoch.
pub struct Vault<'a> {
    folder: PathBuf,
    room: &'static str,
    identity: &'a Identity,
    associated: Vec<u8>,
}

impl<'a> Vault<'a> {
    /// The vault `room` in a party's state folder.
    pub fn new(
        state: &Path,
        room: &'static str,
        identity: &'a Identity,
        agreement: &Agreement,
    ) -> Self {
        let epoch = agreement.epoch().0.to_be_bytes();
        Self {
            folder: state.join(room).join(place(agreement)),
            room,
            identity,
            associated: [&agreement.digest().0[..], &epoch].concat(),
        }
    }

    /// The bytes under a name, if there are any.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        let path = self.path(name);
        if !self.holds(name)? {
            return Ok(None);
        }
        let mut sealed = Zeroizing::new(files::read_small(&path)?);
        let damaged = || {
            Problem::refused(
                &path,
                Refusal::malformed("sealed file", "it cannot be opened with this identity"),
            )
        };
        let (nonce, rest) = sealed.split_first_chunk_mut::<12>().ok_or_else(damaged)?;
        let plain = self.aead().open(*nonce, &self.associated(name), rest);
        Ok(Some(Zeroizing::new(plain.ok_or_else(damaged)?.to_vec())))
    }

    /// Keeps bytes under a name, in place of what was there.
    pub fn write(&self, name: &str, body: &[u8]) -> Result<(), Problem> {
        files::private_folder(&self.folder)?;
        let nonce = random::<12>()?;
        let mut sealed = Zeroizing::new(body.to_vec());
        self.aead()
            .seal(*nonce.expose(), &self.associated(name), &mut sealed);
        files::write_bytes(&self.path(name), &[&nonce.expose()[..], &sealed].concat())
    }

    /// Whether there is something under a name; that it cannot be told is an error, not an absence.
    pub fn holds(&self, name: &str) -> Result<bool, Problem> {
        let path = self.path(name);
        path.try_exists().map_err(|error| Problem::io(&path, error))
    }

    /// Key of the lines of the custodian's log of this agreement and epoch.
    pub fn log_key(&self) -> Secret<32> {
        self.identity
            .local_key(&[b"custodian-log", &[0], &self.associated])
    }

    /// Overwrites and removes what is under a name; `true` if there was something.
    pub fn destroy(&self, name: &str) -> Result<bool, Problem> {
        let path = self.path(name);
        if !self.holds(name)? {
            return Ok(false);
        }
        // What a disk keeps of it all the same is ciphertext under the party's own key.
        files::wipe(&path)?;
        files::sync_folder(&self.folder);
        Ok(true)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn aead(&self) -> Aead {
        Aead::new(self.identity.local_key(&[self.room.as_bytes()]).expose())
    }

    fn associated(&self, name: &str) -> Vec<u8> {
        [&self.associated[..], name.as_bytes()].concat()
    }
}

/// Name of the folder of one agreement and epoch: the digest's first 16 digits and the number.
pub fn place(agreement: &Agreement) -> String {
    let digits: String = agreement.digest().to_hex().chars().take(16).collect();
    format!("{digits}-{}", agreement.epoch().0)
}
