//! A folder of sealed files as a reviewer sees it. In: a folder, the signed agreement. Out: every message with its header and
//! whether it holds. Invariant: what is said of a file comes from its bytes, never from its name; bodies stay sealed.
//! Specification: protocol/SPEC.md, "Header", "Envelope", "Epoch record".

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::commitment::Commitment;
use hedui_protocol::envelope::{Checked, Expectation, peek};
use hedui_protocol::epoch::EpochRecord;
use hedui_protocol::header::Header;
use hedui_protocol::refusal::Refusal;
use rayon::prelude::*;

/// Ending of sealed files.
const ENDING: &str = "hedui";
/// Ending of commitments to the roll.
const COMMITMENT: &str = "commitment";

/// A message that lies in the folder.
pub(crate) struct Message {
    /// Where.
    pub(crate) path: PathBuf,
    /// Its header.
    pub(crate) header: Header,
    /// SHA-256 of the header.
    pub(crate) digest: [u8; 32],
}

/// What a folder holds.
#[derive(Default)]
pub(crate) struct Folder {
    /// Messages that hold, by sender, recipient, number and name of the file.
    pub(crate) messages: Vec<Message>,
    /// Sealed files that do not hold.
    pub(crate) invalid: Vec<(PathBuf, Problem)>,
    /// Names of the custodians who signed each epoch record.
    pub(crate) records: Vec<(PathBuf, Vec<String>)>,
    /// Commitments to the roll, signed by its owner, with the number of persons.
    pub(crate) commitments: Vec<(PathBuf, u64)>,
    /// Other files.
    pub(crate) others: Vec<PathBuf>,
}

/// What a file is found to be.
enum Look {
    Message(Box<Message>),
    Invalid(PathBuf, Problem),
    Record(PathBuf, Vec<String>),
    Commitment(PathBuf, u64),
    Other(PathBuf),
}

impl Folder {
    /// Looks at every file of a folder, on all cores.
    pub(crate) fn read(folder: &Path, agreement: &Agreement) -> Result<Self, Problem> {
        let entries = fs::read_dir(folder).map_err(|error| Problem::io(folder, error))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.is_file());
        paths.sort();
        let looks: Vec<Look> = paths
            .into_par_iter()
            .map(|path| look(path, agreement))
            .collect();
        let mut found = Self::default();
        for look in looks {
            match look {
                Look::Message(message) => found.messages.push(*message),
                Look::Invalid(path, problem) => found.invalid.push((path, problem)),
                Look::Record(path, signers) => found.records.push((path, signers)),
                Look::Commitment(path, persons) => found.commitments.push((path, persons)),
                Look::Other(path) => found.others.push(path),
            }
        }
        found.messages.sort_by(|a, b| {
            let key = |m: &Message| (m.header.from.0.clone(), m.header.to.0.clone(), m.header.seq);
            (key(a), &a.path).cmp(&(key(b), &b.path))
        });
        Ok(found)
    }
}

fn look(path: PathBuf, agreement: &Agreement) -> Look {
    if path.extension().is_some_and(|ending| ending == ENDING) {
        return match message(&path, agreement) {
            Ok(message) => Look::Message(Box::new(message)),
            Err(problem) => Look::Invalid(path, problem),
        };
    }
    let Ok(text) = files::read_text(&path) else {
        return Look::Other(path);
    };
    if path.extension().is_some_and(|ending| ending == COMMITMENT) {
        return match Commitment::parse(&text, agreement) {
            Ok(found) => Look::Commitment(path, found.persons),
            Err(refusal) => {
                let problem = Problem::refused(&path, refusal);
                Look::Invalid(path, problem)
            }
        };
    }
    if !text.starts_with("hedui-epoch/") {
        return Look::Other(path);
    }
    match EpochRecord::signed(agreement, &text) {
        Ok((_, signers)) => {
            let names = signers.iter().map(ToString::to_string).collect();
            Look::Record(path, names)
        }
        Err(refusal) => {
            let problem = Problem::refused(&path, refusal);
            Look::Invalid(path, problem)
        }
    }
}

/// Verifies one sealed file.
pub(crate) fn message(path: &Path, agreement: &Agreement) -> Result<Message, Problem> {
    let (header, digest, _) = peek(&mut open(path)?).map_err(|e| Problem::envelope(path, e))?;
    let to = agreement
        .card(&header.to.0)
        .ok_or_else(|| Problem::refused(path, Refusal::WrongRecipient(header.to.0.to_string())))?;
    let expected = Expectation {
        me: to,
        agreement: agreement.digest(),
        epoch: agreement.epoch(),
        kinds: &[],
        party: &|name| agreement.card(name).cloned(),
        matcher: agreement.matcher(),
    };
    Checked::read(open(path)?, &expected)
        .and_then(Checked::verify)
        .map_err(|error| Problem::envelope(path, error))?;
    Ok(Message {
        path: path.to_path_buf(),
        header,
        digest,
    })
}

/// Opens a file to read.
pub(crate) fn open(path: &Path) -> Result<BufReader<File>, Problem> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|error| Problem::io(path, error))
}
