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

    /// The passphrase of a new key file: asked for twice, at least 10 characters of 5 kinds, no row of the keyboard or run
    /// of digits or letters, nor the party's own name.
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
        if is_weak(&text, whose) {
            return Err(Problem::data(
                format!(
                    "the passphrase is too weak: at least {PASSPHRASE_CHARS_MIN} characters, 5 of them different, no row of \
                     keys or digits, not the party's name"
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

/// What people take who were asked for ten characters: guessed first by whoever has a list.
fn is_weak(text: &str, name: &str) -> bool {
    const ROWS: [&str; 5] = [
        "01234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiop",
        "asdfghjkl",
        "zxcvbnm",
    ];
    let lower: Vec<char> = text.to_lowercase().chars().collect();
    let mut kinds = lower.clone();
    kinds.sort_unstable();
    kinds.dedup();
    // Characters that do not merely follow the one before, forwards or backwards, in a row.
    let follows = |pair: &[char]| {
        let next = |row: &&str| {
            let both: String = pair.iter().collect();
            let back: String = pair.iter().rev().collect();
            row.contains(&both) || row.contains(&back)
        };
        pair[0] == pair[1] || ROWS.iter().any(next)
    };
    let rest = text.to_lowercase().replace(&name.to_lowercase(), "");
    let rest: Vec<char> = rest.chars().collect();
    let own = rest.windows(2).filter(|pair| !follows(pair)).count();
    lower.len() < PASSPHRASE_CHARS_MIN || kinds.len() < 5 || own < 4
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

#[cfg(test)]
mod tests {
    use super::is_weak;

    #[test]
    fn rows_of_keys_and_names_are_weak() {
        for weak in [
            "1234567890",
            "0987654321",
            "abcdefghijkl",
            "qwertyuiop",
            "aaaaabbbbbccccc",
            "short pw",
            "jingcha12345",
            "警察局警察局",
        ] {
            assert!(is_weak(weak, "jingcha"), "{weak}");
        }
        for good in [
            "correct horse battery",
            "两只老虎跑得快呀真奇怪",
            "Tr0ub4dor&3x",
            "jingcha-wolai-kafei",
        ] {
            assert!(!is_weak(good, "jingcha"), "{good}");
        }
    }
}
