//! What the commands on sealed files share: where they lie, which of them count, where the handle map rests.
//! In: the exchange folder. Out: verified messages. Invariant: a message counts only from the one party whose it
//! is to send; a file that does not verify is named and passed over, so that it does not stop the others.
//! Specification: docs/OPERATIONS.md, "The exchange folder".

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::exchange::{Draft, Sent};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, log};
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::{Dataset, DatasetKind};
use hedui_protocol::envelope::Verified;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Name, RequestId};
use hedui_protocol::primitive::sha256;
use hedui_protocol::refusal::Refusal;

/// Where sealed files are exchanged.
#[derive(Args)]
pub struct ExchangeOptions {
    /// Folder where sealed files are exchanged
    #[arg(long, value_name = "DIR", default_value = "exchange")]
    pub(super) exchange: PathBuf,
}

/// A party at its post: everything that a command works with which reads and sends sealed files.
pub struct Post<'a> {
    /// Home of the command.
    pub(super) home: &'a HomeOptions,
    /// Where people read.
    pub(super) console: &'a Console,
    /// Agreement in force.
    pub(super) agreement: &'a InForce,
    /// The party's key.
    pub(super) identity: &'a Identity,
    /// State folder.
    pub(super) state: &'a Path,
    /// Exchange folder.
    pub(super) folder: &'a Path,
}

/// What a submission is about, in its file's name.
pub(super) fn about(dataset: &Name, register: &Name) -> String {
    if dataset == register {
        return dataset.to_string();
    }
    format!("{dataset}-for-{register}")
}

/// Lets a dataset's next submissions be new to the matcher, also if another command seals them.
pub(super) fn submit_anew(
    state: &Path,
    agreement: &InForce,
    dataset: &Dataset,
) -> Result<(), Problem> {
    let abouts: Vec<String> = match dataset.kind {
        DatasetKind::Register => vec![about(&dataset.name, &dataset.name)],
        DatasetKind::Roll => {
            let registers = agreement.registers();
            registers.map(|r| about(&dataset.name, &r.name)).collect()
        }
    };
    let to = (MessageType::Submission, &agreement.matcher().name);
    exchange::send_anew(state, agreement, to, &abouts)
}

impl Post<'_> {
    /// What became of one message: a refusal is named and passed over, so that it does not stop the others.
    pub(super) fn passed_over<T>(&self, read: Result<T, Problem>) -> Result<Option<T>, Problem> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(problem @ Problem::Refused { .. }) => {
                self.console.note(&problem.to_string());
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Seals a message into the exchange folder.
    pub(super) fn send(
        &self,
        (kind, to, about): (MessageType, &Name, &str),
        in_reply_to: Option<RequestId>,
        body: &[u8],
    ) -> Result<Sent, Problem> {
        let card = self.agreement.card(to);
        let draft = Draft {
            kind,
            to: card.ok_or_else(|| Problem::from(Refusal::UnknownSender(to.to_string())))?,
            about,
            content: sha256(&[body]),
            in_reply_to,
        };
        let (clock, len) = (self.home.clock()?, body.len() as u64);
        let mut body = std::io::Cursor::new(body);
        let folders = (self.state, self.folder);
        exchange::send(
            self.identity,
            self.agreement,
            folders,
            &clock,
            &draft,
            &mut body,
            len,
        )
    }
}

/// A message with its place, signature verified.
pub type Received = (PathBuf, Verified<BufReader<File>>);

/// Messages of one type from the one party that may send them, under the agreement in force. What does not
/// verify is named on stderr and passed over, so that one bad file does not stop the others; a matcher's log that contradicts
/// what this party has seen of it does stop.
pub fn received(
    (state, folder): (&Path, &Path),
    identity: &Identity,
    agreement: &InForce,
    (kind, from): (MessageType, &Name),
    console: &Console,
) -> Result<Vec<Received>, Problem> {
    let me = identity.card();
    let mut out = Vec::new();
    for file in exchange::addressed_to(folder, &me.name)? {
        let header = &file.header;
        let ours = header.agreement == agreement.digest() && header.epoch == agreement.epoch();
        if header.kind != kind || !ours || header.from.0 != *from {
            continue;
        }
        match exchange::verify(&file.path, agreement, me, &[kind]) {
            Ok(verified) => {
                log::notice(state, folder, agreement, verified.header())?;
                out.push((file.path, verified));
            }
            Err(problem @ Problem::Refused { .. }) => console.note(&problem.to_string()),
            Err(problem) => return Err(problem),
        }
    }
    Ok(out)
}

/// Purpose of the sealed handle map.
pub const HANDLE_MAP: &str = "handle map";

/// Path of the handle map of a register.
pub fn handle_map_path(state: &Path, agreement: &InForce, register: &str) -> PathBuf {
    let digits: String = agreement.digest().to_hex().chars().take(16).collect();
    state.join(format!(
        "handles-{register}-{digits}-{}.sealed",
        agreement.epoch().0
    ))
}
