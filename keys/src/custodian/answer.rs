//! Answering a request. In: a sealed request. Out: a sealed answer with one proof per chunk.
//! Order: verify the sender, check the request against the agreement, charge it in the log, then evaluate.
//! Invariant: memory does not grow with the request; the same request gives the same answer.
//! Specification: protocol/SPEC.md, "Evaluation", "Custodians".

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hedui_edge::exchange::{self, Draft};
use hedui_edge::files::{self, Scratch};
use hedui_edge::{Problem, log};
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::ids::{Name, RequestId};
use hedui_protocol::limits::{EVALUATION_CHUNK, MANIFEST_BYTES_MAX};
use hedui_protocol::message::evaluation::{AnswerManifest, RequestManifest};
use hedui_protocol::message::{manifest_bytes, manifest_len, parse_manifest};
use hedui_protocol::primitive::{Sha256, hex};
use hedui_protocol::refusal::Refusal;
use rayon::prelude::*;

use super::desk::Desk;
use super::ledger::{Event, Ledger};
use crate::oprf::OprfError;
use crate::oprf::evaluate::Share;
use crate::oprf::suite::{ELEMENT_BYTES, PROOF_BYTES};

/// Chunks evaluated at once: enough for every core, 256 KiB of elements each.
const CHUNKS_AT_ONCE: usize = 16;

/// What was answered.
pub struct Answered {
    /// Where the answer lies.
    pub path: PathBuf,
    /// Who asked.
    pub from: Name,
    /// For which dataset.
    pub dataset: Name,
    /// Elements, padding included.
    pub elements: u64,
    /// Elements left in this epoch.
    pub left: u64,
    /// Whether it had been answered before.
    pub repeated: bool,
}

/// A checked request whose elements lie in a temporary file.
struct Request {
    from: Name,
    id: RequestId,
    content_sha256: [u8; 32],
    manifest: RequestManifest,
    elements: BufReader<File>,
    quota: u64,
    _file: Scratch,
}

/// Answers one request.
pub fn answer(
    desk: &Desk<'_>,
    share: &Share,
    ledger: &mut Ledger<'_>,
    path: &Path,
) -> Result<Answered, Problem> {
    let mut request = open(desk, path)?;
    let count = request.manifest.count();
    let dataset = request.manifest.dataset.clone();
    let event = Event::Request {
        from: request.from.to_string(),
        dataset: dataset.to_string(),
        request: request.id.to_hex(),
        content_sha256: hex(&request.content_sha256),
        elements: count,
    };
    let charged = ledger
        .charge(event, request.quota, &desk.clock.now())
        .map_err(|problem| at(path, problem))?;
    let body = evaluate(desk, share, &mut request, path)?;
    let to = desk
        .agreement
        .card(&request.from)
        .ok_or_else(|| Problem::refused(path, Refusal::UnknownSender(request.from.to_string())))?;
    let digits: String = request.id.to_hex().chars().take(8).collect();
    let draft = Draft {
        kind: MessageType::EvalAnswer,
        to,
        about: &format!("{dataset}-{digits}"),
        content: body.digest,
        in_reply_to: Some(request.id),
    };
    let mut reader = body.file.reopen().map_err(|e| Problem::io(path, e))?;
    let sent = exchange::send(
        desk.identity,
        desk.agreement,
        (desk.state, desk.exchange),
        desk.clock,
        &draft,
        &mut reader,
        body.bytes,
    )?;
    Ok(Answered {
        path: sent.path,
        from: request.from,
        left: request.quota.saturating_sub(ledger.used(dataset.as_str())),
        dataset,
        elements: count,
        repeated: !charged,
    })
}

/// Verifies a request and opens its body into a temporary file.
fn open(desk: &Desk<'_>, path: &Path) -> Result<Request, Problem> {
    let kinds = [MessageType::EvalRequest];
    let me = desk.identity.card();
    let mut verified = exchange::verify(path, desk.agreement, me, &kinds)?;
    within(desk, path, verified.header())?;
    log::notice(desk.state, desk.exchange, desk.agreement, verified.header())?;
    let file = files::temporary(desk.state)?;
    let content_sha256 = {
        let mut writer = Hashing {
            inner: BufWriter::with_capacity(1 << 20, file.as_file()),
            hash: Sha256::default(),
        };
        writer.hash.update(&verified.header_digest());
        verified
            .open(desk.identity, &mut writer)
            .map_err(|error| Problem::envelope(path, error))?;
        writer
            .flush()
            .map_err(|error| Problem::io(file.path(), error))?;
        writer.hash.finish()
    };
    let header = verified.header();
    let reopened = file
        .reopen()
        .map_err(|error| Problem::io(file.path(), error))?;
    let mut elements = BufReader::with_capacity(1 << 20, reopened);
    let short = || {
        Problem::refused(
            path,
            Refusal::malformed("evaluation request", "it is too short"),
        )
    };
    let mut prefix = [0; 4];
    elements.read_exact(&mut prefix).map_err(|_| short())?;
    let len = manifest_len(prefix).map_err(|r| Problem::refused(path, r))?;
    let mut json = vec![0; len];
    elements.read_exact(&mut json).map_err(|_| short())?;
    let manifest: RequestManifest =
        parse_manifest("evaluation request", &json).map_err(|r| Problem::refused(path, r))?;
    let from = header.from.0.clone();
    let (dataset, _) = manifest
        .check(desk.agreement, &from, len as u64, header.body_bytes)
        .map_err(|r| Problem::refused(path, r))?;
    Ok(Request {
        id: header.request,
        content_sha256,
        quota: desk.agreement.evaluations_max(dataset),
        from,
        manifest,
        elements,
        _file: file,
    })
}

/// Refuses a body that no quota of its sender could cover, before it takes room on the disk.
fn within(desk: &Desk<'_>, path: &Path, header: &Header) -> Result<(), Problem> {
    let datasets = desk.agreement.text().dataset.iter();
    let quota = datasets
        .filter(|dataset| dataset.owner == header.from.0)
        .map(|dataset| desk.agreement.evaluations_max(dataset))
        .max()
        .unwrap_or(0);
    let elements = RequestManifest::padded(quota).saturating_mul(ELEMENT_BYTES as u64);
    let allowed = elements.saturating_add(MANIFEST_BYTES_MAX as u64);
    exchange::within(path, header, "evaluation request", allowed)
}

/// Writes through and hashes what is written.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

struct Body {
    file: Scratch,
    bytes: u64,
    digest: [u8; 32],
}

/// Evaluates all chunks, some at a time on all cores, in the order of the request.
fn evaluate(
    desk: &Desk<'_>,
    share: &Share,
    request: &mut Request,
    path: &Path,
) -> Result<Body, Problem> {
    let count = request.manifest.count();
    let file = files::temporary(desk.state)?;
    let wrap = |error| Problem::io(file.path(), error);
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
    let mut hash = Sha256::default();
    let mut bytes = 0;
    let mut put = |part: &[u8]| -> Result<(), Problem> {
        hash.update(part);
        bytes += part.len() as u64;
        out.write_all(part).map_err(wrap)
    };
    put(&manifest_bytes(&AnswerManifest::new(
        &request.manifest.dataset,
        count,
    ))?)?;
    let bar = desk.console.progress("计算 evaluating", count);
    let mut proofs: Vec<[u8; PROOF_BYTES]> = Vec::new();
    let mut left = count;
    while left > 0 {
        let group = read_group(&mut request.elements, &mut left, path)?;
        let first = count - left - group.len() as u64;
        let answers: Vec<_> = group
            .par_chunks(EVALUATION_CHUNK)
            .map(|chunk| share.evaluate(chunk))
            .collect();
        for (chunk, answer) in (0_u64..).zip(answers) {
            let (elements, proof) = answer.map_err(|error| match error {
                // Nothing that was asked is at fault, and nothing more is evaluated on this machine.
                OprfError::Fault => Problem::data(
                    error.to_string(),
                    "do not use this machine until its memory and processor have been tested",
                ),
                _ => Problem::refused(
                    path,
                    refusal(error, first + chunk * EVALUATION_CHUNK as u64),
                ),
            })?;
            elements.iter().try_for_each(|element| put(element))?;
            proofs.push(proof);
        }
        bar.inc(group.len() as u64);
    }
    bar.finish_and_clear();
    proofs.iter().try_for_each(|proof| put(proof))?;
    out.flush().map_err(wrap)?;
    drop(out);
    file.as_file().seek(SeekFrom::Start(0)).map_err(wrap)?;
    Ok(Body {
        digest: hash.finish(),
        bytes,
        file,
    })
}

fn read_group(
    elements: &mut BufReader<File>,
    left: &mut u64,
    path: &Path,
) -> Result<Vec<[u8; ELEMENT_BYTES]>, Problem> {
    let want = (*left).min((CHUNKS_AT_ONCE * EVALUATION_CHUNK) as u64);
    let mut group = Vec::with_capacity(usize::try_from(want).unwrap_or(0));
    for _ in 0..want {
        let mut element = [0; ELEMENT_BYTES];
        elements
            .read_exact(&mut element)
            .map_err(|error| Problem::io(path, error))?;
        group.push(element);
    }
    *left -= want;
    Ok(group)
}

fn refusal(error: OprfError, first: u64) -> Refusal {
    let why = match error {
        OprfError::Element { index } => {
            format!("element {} is no group element", first + index as u64)
        }
        other => other.to_string(),
    };
    Refusal::malformed("evaluation request", why)
}

/// Says which file a refusal of the log is about.
fn at(path: &Path, problem: Problem) -> Problem {
    match problem {
        Problem::Refused {
            place: None,
            refusal,
        } => Problem::refused(path, refusal),
        other => other,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
