//! Passphrases. In: a prompt, a file or a file descriptor. Out: text, wiped on drop.
//! Invariant: never from the command line or the environment, where other users could read it.
//! A new passphrase is asked for twice and checked for length and variety.
//! Specification: README, "Passphrases".

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use hedui_protocol::keyfile::PASSPHRASE_CHARS_MIN;
use zeroize::Zeroizing;

use crate::problem::Problem;

/// Where the passphrase comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PassphraseSource {
    /// Read the passphrase from the first line of this file
    #[arg(long, value_name = "FILE", global = true)]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor
    #[arg(
        long,
        value_name = "N",
        global = true,
        conflicts_with = "passphrase_file"
    )]
    pub passphrase_fd: Option<u32>,
}

impl PassphraseSource {
    /// The passphrase of an existing key file.
    pub fn read(&self, whose: &str) -> Result<Zeroizing<String>, Problem> {
        match self.given()? {
            Some(text) => Ok(text),
            None => prompt(&format!("口令 passphrase of {whose}: ")),
        }
    }

    /// The passphrase of a new key file: asked for twice, at least 10 characters of 5 kinds.
    pub fn read_new(&self, whose: &str) -> Result<Zeroizing<String>, Problem> {
        let text = match self.given()? {
            Some(text) => text,
            None => {
                let first = prompt(&format!("新口令 new passphrase for {whose}: "))?;
                if *first != *prompt("再输一次 repeat it: ")? {
                    return Err(Problem::data(
                        "the two passphrases differ",
                        "run the command again",
                    ));
                }
                first
            }
        };
        let mut kinds: Vec<char> = text.chars().collect();
        let long = kinds.len() >= PASSPHRASE_CHARS_MIN;
        kinds.sort_unstable();
        kinds.dedup();
        if !long || kinds.len() < 5 {
            return Err(Problem::data(
                format!(
                    "the passphrase is too weak: at least {PASSPHRASE_CHARS_MIN} characters, 5 of them different"
                ),
                "take four or more unrelated words",
            ));
        }
        Ok(text)
    }

    fn given(&self) -> Result<Option<Zeroizing<String>>, Problem> {
        let path = match (&self.passphrase_file, self.passphrase_fd) {
            (Some(path), _) => path.clone(),
            (None, Some(number)) => PathBuf::from(format!("/dev/fd/{number}")),
            (None, None) => return Ok(None),
        };
        let mut text = Zeroizing::new(String::new());
        File::open(&path)
            .and_then(|file| file.take(4096).read_to_string(&mut text))
            .map_err(|error| Problem::io(&path, error))?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(Problem::data(
                "the passphrase source is empty",
                "put the passphrase on its first line",
            ));
        }
        Ok(Some(Zeroizing::new(line.to_owned())))
    }
}

fn prompt(text: &str) -> Result<Zeroizing<String>, Problem> {
    if !std::io::stdin().is_terminal() {
        return Err(Problem::usage(
            "there is no terminal to ask for the passphrase",
            "give --passphrase-file FILE or --passphrase-fd N",
        ));
    }
    rpassword::prompt_password(text)
        .map(Zeroizing::new)
        .map_err(|error| Problem::io("terminal", error))
}
