//! A party's folder: key file, card, agreement, state. In: `--home`. Out: the identity and the agreement
//! in force. Invariant: a key file that others can read is refused; an agreement is used only as
//! [`InForce`]. Layout: `identity.key`, `card`, `agreement.toml`, `agreement.sig`, `state/`.
//! Specification: docs/OPERATIONS.md, "A party's folder".

use std::path::{Path, PathBuf};

use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::identity::Identity;
use hedui_protocol::keyfile;

use crate::clock::Clock;
use crate::files;
use crate::passphrase::PassphraseSource;
use crate::problem::Problem;

/// Options that every command of a party has.
#[derive(Clone, Debug, clap::Args)]
pub struct HomeOptions {
    /// The party's own folder
    #[arg(long, value_name = "DIR", default_value = "hedui", global = true)]
    pub home: PathBuf,
    /// The signed agreement (default: agreement.toml in the party's folder, else in this one)
    #[arg(long, value_name = "FILE", global = true)]
    pub agreement: Option<PathBuf>,
    /// Work as on this day (YYYY-MM-DD) instead of today
    #[arg(long, value_name = "DAY", global = true)]
    pub today: Option<String>,
    /// Print one JSON object on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Passphrase of the party's key file
    #[command(flatten)]
    pub passphrase: PassphraseSource,
}

impl HomeOptions {
    /// Path of the key file.
    pub fn key_file(&self) -> PathBuf {
        self.home.join("identity.key")
    }

    /// Path of the party's card.
    pub fn card_file(&self) -> PathBuf {
        self.home.join("card")
    }

    /// Folder of the party's state.
    pub fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    /// Path of the agreement: stated, else in the party's folder, else in the current folder.
    pub fn agreement_file(&self) -> PathBuf {
        let own = self.home.join("agreement.toml");
        match &self.agreement {
            Some(stated) => stated.clone(),
            None if own.exists() => own,
            None => PathBuf::from("agreement.toml"),
        }
    }

    /// The clock, or the stated day.
    pub fn clock(&self) -> Result<Clock, Problem> {
        Clock::new(self.today.as_deref())
    }

    /// Opens the party's key file with its passphrase.
    pub fn identity(&self) -> Result<Identity, Problem> {
        let path = self.key_file();
        check_private(&path)?;
        let text = files::read_text(&path)?;
        let name = keyfile::claimed_name(&text).map_err(|r| Problem::refused(&path, r))?;
        let passphrase = self.passphrase.read(name.as_str())?;
        let (name, seed) =
            keyfile::open_seed(&text, &passphrase).map_err(|r| Problem::refused(&path, r))?;
        Ok(Identity::from_seed(name, &seed))
    }

    /// Reads the agreement without asking whether it is in force.
    pub fn read_agreement(&self) -> Result<Agreement, Problem> {
        let path = self.agreement_file();
        let text = files::read_text(&path)?;
        Agreement::parse(&text).map_err(|refusal| Problem::refused(&path, refusal))
    }

    /// The agreement, signed by every party and valid today.
    pub fn in_force(&self) -> Result<InForce, Problem> {
        let agreement = self.read_agreement()?;
        let signatures = read_signatures(&self.agreement_file())?;
        let today = self.clock()?.today();
        agreement
            .in_force(&signatures, &today)
            .map_err(|refusal| Problem::refused(self.agreement_file(), refusal))
    }
}

/// The signature file beside an agreement.
pub fn signature_file(agreement: &Path) -> PathBuf {
    agreement.with_extension("sig")
}

/// All signatures beside an agreement; none if there is no such file.
pub fn read_signatures(agreement: &Path) -> Result<String, Problem> {
    let path = signature_file(agreement);
    if path.exists() {
        files::read_text(&path)
    } else {
        Ok(String::new())
    }
}

/// Refuses a key file that other users of the machine can read.
fn check_private(path: &Path) -> Result<(), Problem> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path)
            .map_err(|e| Problem::io(path, e))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(Problem::data(
                format!(
                    "{}: other users of this machine can read the key file",
                    path.display()
                ),
                format!("chmod 600 {}", path.display()),
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
