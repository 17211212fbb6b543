//! Replaying a run: whether a sealed result is what the agreement makes of the files that it rests on. In: the exchange folder with its
//! log, the matcher's key. Out: the same bytes, or the place where they part. Invariant: nothing of the matcher's state is read,
//! nothing in the exchange folder is written; everything is done anew in a folder that is removed. SPEC.md, "Log", "Decision".

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::log::{self, Published};
use hedui_edge::{Console, Problem, exchange, files};
use hedui_protocol::envelope;
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::log::{Event, tile};
use hedui_protocol::primitive::sha256;
use hedui_protocol::refusal::Refusal;

use crate::cell::Cell;
use crate::desk::Desk;
use crate::intake::State;
use crate::run::{self, Bounds};

/// Options of `replay`.
#[derive(Args)]
pub struct ReplayOptions {
    /// Folder where sealed files are exchanged, with the matcher's log
    #[arg(long, value_name = "DIR", default_value = "exchange")]
    exchange: PathBuf,
    /// The result (default: the latest)
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// Folder to work in; needs as much room as the submissions (default: the system's)
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    #[command(flatten)]
    bounds: Bounds,
}

/// `replay`: everything that was accepted before a result, taken in and compared again.
pub fn replay(
    home: &HomeOptions,
    console: &Console,
    options: &ReplayOptions,
) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let (path, header) = chosen(home, options)?;
    let published = log::read(&options.exchange, &agreement)?.ok_or_else(|| {
        Problem::not_yet(
            "there is no log in the exchange folder",
            "copy its folder `log` with the files: it says what was accepted before the result",
        )
    })?;
    let digest = sha256(&[header.render().as_bytes()]);
    let at = tile::position(&published.entries, Event::Sent, &digest).ok_or_else(|| {
        let why = "the log does not say that this result was sent".to_owned();
        Problem::refused(&path, Refusal::BadLog(why))
    })?;
    let folder = match &options.work {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let folder = folder.map_err(|error| Problem::io("work folder", error))?;
    let inputs = folder.path().join("exchange");
    let taken = take(&options.exchange, &published, at, &inputs)?;
    // As on the day of the result: what was kept then is kept now.
    let day = header.created.get(..10).unwrap_or_default().to_owned();
    let then = HomeOptions {
        today: Some(day),
        ..home.clone()
    };
    let desk = Desk::with(&then, inputs, State::open(folder.path().join("state"))?)?;
    // The log as it was: senders' headers name earlier states of it.
    for entry in &published.entries[..at] {
        desk.state.ledger()?.note(&desk.agreement, entry)?;
    }
    if desk.intake_all(&then, console)? > 0 {
        return Err(Problem::DoneWithRejects {
            what: "files that the log calls accepted are refused now".to_owned(),
        });
    }
    let plan = desk.plan()?;
    let cells: Vec<&Cell> = plan.cells.iter().collect();
    let clock = then.clock()?;
    let decided = run::work(&desk, &clock, console, (&plan, &cells), &options.bounds)?;
    let again = folder.path().join("again.hedui");
    let same = decided.merged.body_bytes == header.body_bytes && {
        let to = agreement
            .card(&header.to.0)
            .ok_or_else(|| Problem::from(Refusal::WrongRecipient(header.to.0.to_string())))?;
        let mut body = decided
            .merged
            .file
            .reopen()
            .map_err(|error| Problem::io(&again, error))?;
        files::write_whole(&again, |out: &mut BufWriter<&File>| {
            envelope::seal(&header, &desk.identity, to, &mut body, out)
                .map_err(|error| Problem::envelope(&again, error))?;
            out.flush().map_err(|error| Problem::io(&again, error))
        })?;
        equal(&path, &again)?
    };
    console.object(&serde_json::json!({
        "result": path, "inputs": taken, "same": same, "registers": decided.merged.manifest.registers,
    }));
    if !same {
        return Err(Problem::DoneWithRejects {
            what: format!(
                "{}: 重放结果不同 its inputs give another result than this one",
                path.display()
            ),
        });
    }
    console.say(&format!(
        "重放一致 the same bytes: {} ({taken} 份输入 inputs)",
        path.display()
    ));
    Ok(())
}

/// The result to replay, with its header; its signature is part of the bytes that are compared.
fn chosen(home: &HomeOptions, options: &ReplayOptions) -> Result<(PathBuf, Header), Problem> {
    let agreement = home.read_agreement()?;
    let found = exchange::sent_by(&options.exchange, &agreement.matcher().name)?;
    let mut results = found.into_iter().filter(|file| {
        let header = &file.header;
        header.kind == MessageType::Result
            && header.agreement == agreement.digest()
            && header.epoch == agreement.epoch()
    });
    let chosen = match &options.result {
        Some(path) => {
            let name = path.file_name();
            results.find(|file| file.path.file_name() == name)
        }
        None => results.next_back(),
    };
    chosen.map(|file| (file.path, file.header)).ok_or_else(|| {
        Problem::not_yet(
            "there is no such result of this agreement in the exchange folder",
            "name one with --result, or the folder with --exchange",
        )
    })
}

/// Brings together what was accepted before an entry of the log; how many files.
fn take(
    exchange: &Path,
    published: &Published,
    before: usize,
    target: &Path,
) -> Result<usize, Problem> {
    files::private_folder(target)?;
    let accepted: Vec<[u8; 32]> = published.entries[..before]
        .iter()
        .filter(|entry| entry.event == Event::Accepted)
        .map(|entry| entry.header_sha256)
        .collect();
    let mut taken = 0;
    for file in exchange::all(exchange)? {
        let digest = sha256(&[file.header.render().as_bytes()]);
        if !accepted.contains(&digest) {
            continue;
        }
        let name = file.path.file_name().unwrap_or_default();
        let to = target.join(name);
        // A link costs no room; another disk needs a copy.
        fs::hard_link(&file.path, &to)
            .or_else(|_| fs::copy(&file.path, &to).map(|_| ()))
            .map_err(|error| Problem::io(&to, error))?;
        taken += 1;
    }
    if taken < accepted.len() {
        return Err(Problem::not_yet(
            format!(
                "{} of {} files that the log calls accepted are not in the exchange folder",
                accepted.len() - taken,
                accepted.len()
            ),
            "`hedui-audit run` names them",
        ));
    }
    Ok(taken)
}

/// Whether two files have the same bytes.
fn equal(one: &Path, other: &Path) -> Result<bool, Problem> {
    let open = |path: &Path| File::open(path).map_err(|error| Problem::io(path, error));
    let (mut a, mut b) = (open(one)?, open(other)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let n = a.read(&mut left).map_err(|e| Problem::io(one, e))?;
        if n == 0 {
            return Ok(b.read(&mut right).map_err(|e| Problem::io(other, e))? == 0);
        }
        if b.read_exact(&mut right[..n]).is_err() || left[..n] != right[..n] {
            return Ok(false);
        }
    }
}
