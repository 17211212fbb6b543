//! What the commands on sealed files share: where they lie, which of them count, where the handle map rests.
//! In: the exchange folder. Out: verified messages. Invariant: a message counts only from the one party whose it
//! is to send; a file that does not verify is named and passed over, so that it does not stop the others.
//! Specification: docs/OPERATIONS.md, "The exchange folder".

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::{Console, Problem, exchange, log};
use hedui_protocol::agreement::InForce;
use hedui_protocol::envelope::Verified;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;

/// Where sealed files are exchanged.
#[derive(Args)]
pub struct ExchangeOptions {
    /// Folder where sealed files are exchanged
    #[arg(long, value_name = "DIR", default_value = "exchange")]
    pub(super) exchange: PathBuf,
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
