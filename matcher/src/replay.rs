//! Replaying a run: whether a sealed result is what the agreement makes of the files that it rests on. In: the exchange folder with its
//! log, the matcher's key. Out: the same bytes, or the place where they part. Invariant: nothing of the matcher's state is read,
//! nothing in the exchange folder is written; everything is done anew in a folder that is removed. SPEC.md, "Log", "Decision".

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
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
    // As on the day of the result: what was kept then is kept now.
    let then = on_the_day_of(home, &header);
    let (taken, deleted) = take(&options.exchange, &published, at, &inputs, &then)?;
    if deleted > 0 {
        console.note(&format!(
            "{deleted} 份数据当时已删除、未参与比对 submissions had been deleted by then, as the log says"
        ));
    }
    let state = State::for_replay(folder.path().join("state"))?;
    let desk = Desk::with(&then, inputs, state)?;
    // The log as it was: senders' headers name earlier states of it.
    let ledger = desk.state.ledger()?;
    ledger.take_up(&desk.agreement, &published.entries[..at], &header.created)?;
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

/// The same party on the day on which a message was made.
fn on_the_day_of(home: &HomeOptions, header: &Header) -> HomeOptions {
    HomeOptions {
        today: header.created.get(..10).map(str::to_owned),
        ..home.clone()
    }
}

/// Whether a file is what its header says, signature included.
fn holds(home: &HomeOptions, path: &Path, header: &Header) -> Result<bool, Problem> {
    let Ok(agreement) = on_the_day_of(home, header).in_force() else {
        return Ok(false);
    };
    let to = agreement.card(&header.to.0);
    Ok(to.is_some_and(|to| exchange::verify(path, &agreement, to, &[header.kind]).is_ok()))
}

/// The result to replay, with its header: the stated file, or the latest in the folder that the matcher has truly signed.
fn chosen(home: &HomeOptions, options: &ReplayOptions) -> Result<(PathBuf, Header), Problem> {
    let agreement = home.read_agreement()?;
    if let Some(path) = &options.result {
        let file = File::open(path).map_err(|error| Problem::io(path, error))?;
        let (header, ..) =
            envelope::peek(&mut BufReader::new(file)).map_err(|e| Problem::envelope(path, e))?;
        // What is wrong with it, its bytes will say.
        return Ok((path.clone(), header));
    }
    let found = exchange::sent_by(&options.exchange, &agreement.matcher().name)?;
    for file in found.into_iter().rev() {
        let header = &file.header;
        let ours = header.agreement == agreement.digest() && header.epoch == agreement.epoch();
        if header.kind == MessageType::Result && ours && holds(home, &file.path, header)? {
            return Ok((file.path, file.header));
        }
    }
    Err(Problem::not_yet(
        "there is no result of this agreement in the exchange folder",
        "name one with --result, or the folder with --exchange",
    ))
}

/// Brings together what had been accepted before an entry of the log and not been deleted by then; how many files, and how many
/// were deleted.
fn take(
    folder: &Path,
    published: &Published,
    before: usize,
    target: &Path,
    home: &HomeOptions,
) -> Result<(usize, usize), Problem> {
    files::private_folder(target)?;
    let of = |event: Event| -> BTreeSet<[u8; 32]> {
        published.entries[..before]
            .iter()
            .filter(|entry| entry.event == event)
            .map(|entry| entry.header_sha256)
            .collect()
    };
    let (accepted, deleted) = (of(Event::Accepted), of(Event::Deleted));
    let mut wanted: BTreeSet<[u8; 32]> = accepted.difference(&deleted).copied().collect();
    let all = wanted.len();
    for file in exchange::all(folder)? {
        let digest = sha256(&[file.header.render().as_bytes()]);
        // A header is a claim: another file with the same one must not stand in the place of the true one.
        if !wanted.contains(&digest) || !holds(home, &file.path, &file.header)? {
            continue;
        }
        let to = target.join(file.path.file_name().unwrap_or_default());
        // A link costs no room; another disk needs a copy.
        fs::hard_link(&file.path, &to)
            .or_else(|_| fs::copy(&file.path, &to).map(|_| ()))
            .map_err(|error| Problem::io(&to, error))?;
        wanted.remove(&digest);
    }
    if !wanted.is_empty() {
        return Err(Problem::not_yet(
            format!(
                "{} of {all} files that the log calls accepted are not in the exchange folder",
                wanted.len()
            ),
            "`hedui-audit run` names them",
        ));
    }
    Ok((all, accepted.len() - all))
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
