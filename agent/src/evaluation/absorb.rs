//! Answers of custodians become tokens. In: a batch and the answers to it. Out: tokens in the sealed cache.
//! Invariant: every chunk's proofs are verified before its tokens exist (the types say so), and all chunks of a batch
//! before one of its tokens is kept; a custodian whose answer does not hold is named, with what is wrong with it as far as
//! that can be told; with another answer the command goes on without it.
//! Specification: protocol/SPEC.md, "Evaluation"; RFC 9497 §3.3.2.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hedui_edge::files::{self, Scratch};
use hedui_edge::{Problem, exchange, log};
use hedui_keys::epoch_key;
use hedui_keys::oprf::OprfError;
use hedui_keys::oprf::client::{BlindKey, BlindedChunk, EpochKey};
use hedui_keys::oprf::suite::{ELEMENT_BYTES, PROOF_BYTES};
use hedui_keys::oprf::threshold::Index;
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::Name;
use hedui_protocol::limits::{EVALUATION_CHUNK, MANIFEST_BYTES_MAX};
use hedui_protocol::lock::Token;
use hedui_protocol::message::evaluation::{AnswerManifest, ELEMENTS, PROOFS, chunks};
use hedui_protocol::message::{manifest_len, parse_manifest};
use hedui_protocol::refusal::Refusal;
use hedui_protocol::secret::Secret;
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::batch::{Asked, Batch, Card, VALUES_AT_ONCE};
use super::cache::{Partition, partition_of};
use super::{ValueId, Workshop};
use crate::spool::Spool;

/// What is known about the answers to a batch.
pub enum Answers {
    /// All values have their tokens.
    Absorbed(u64),
    /// Answers of these custodians have not come.
    Waiting(Vec<Name>),
}

/// Looks for answers to a batch; with enough of them, verifies, combines and keeps the tokens.
pub fn absorb(workshop: &Workshop<'_>, batch: &Batch<'_>, card: &Card) -> Result<Answers, Problem> {
    let needed = workshop.agreement.text().oprf.threshold as usize;
    let mut wrong: Vec<(PathBuf, Problem)> = Vec::new();
    let mut told = 0;
    loop {
        let (mut answers, waiting, refused) = arrived(workshop, card, &wrong)?;
        if answers.len() < needed {
            let first = wrong.into_iter().next().map(|(_, problem)| problem);
            return first.or(refused).map_or(Ok(Answers::Waiting(waiting)), Err);
        }
        // Enough without the wrong ones: those are worth a word, no more.
        for (_, problem) in wrong.iter().skip(told) {
            workshop.console.note(&problem.to_string());
        }
        told = wrong.len();
        answers.truncate(needed);
        let places: Vec<PathBuf> = answers.iter().map(|answer| answer.path.clone()).collect();
        match verify(workshop, batch, card, answers) {
            // A custodian that answers wrongly is like one that is silent; it may have answered again, and rightly.
            Err(problem @ Problem::Refused { .. }) => {
                let Problem::Refused {
                    place: Some(place), ..
                } = &problem
                else {
                    return Err(problem);
                };
                if !places.contains(place) {
                    return Err(problem);
                }
                wrong.push((place.clone(), problem));
            }
            other => return other.map(Answers::Absorbed),
        }
    }
}

/// Verifies as many answers as are needed, combines them and keeps the tokens.
fn verify(
    workshop: &Workshop<'_>,
    batch: &Batch<'_>,
    card: &Card,
    answers: Vec<Answer>,
) -> Result<u64, Problem> {
    let key = epoch_key::load(
        workshop.agreement,
        (workshop.state, workshop.exchange),
        workshop.console,
    )?;
    let mut absorber = Absorber {
        workshop,
        key,
        answers,
        asked: Vec::new(),
        tokens: Spool::new(&workshop.folder)?,
        done: 0,
        chunks: 0,
        bar: workshop
            .console
            .progress("验证与合成 verifying", card.values),
    };
    let blinds = batch.read(|blinds, asked| absorber.take(blinds, asked))?;
    let done = absorber.finish(&blinds)?;
    batch.remove()?;
    Ok(done)
}

/// One custodian's answer, opened and laid out, not yet verified.
struct Answer {
    custodian: Index,
    path: PathBuf,
    elements: BufReader<File>,
    proofs: Vec<[u8; PROOF_BYTES]>,
    next_proof: usize,
    _file: Scratch,
}

/// Answers, custodians without one, and why one that came cannot be used.
type Arrived = (Vec<Answer>, Vec<Name>, Option<Problem>);

/// Answers that came, in the order of the custodians, but for those known to be wrong; the custodians whose answers did
/// not; why an answer that came cannot be used.
fn arrived(
    workshop: &Workshop<'_>,
    card: &Card,
    wrong: &[(PathBuf, Problem)],
) -> Result<Arrived, Problem> {
    let me = workshop.identity.card();
    let found = exchange::addressed_to(workshop.exchange, &me.name)?;
    let (mut answers, mut waiting, mut unusable) = (Vec::new(), Vec::new(), None);
    for (index, name) in (1..).zip(workshop.agreement.custodians()) {
        let Some(request) = card.requests.get(name) else {
            continue;
        };
        // A header is a claim: a file that does not verify must not stand before the true answer.
        let claimed = found.iter().filter(|file| {
            let header = &file.header;
            header.kind == MessageType::EvalAnswer
                && !wrong.iter().any(|(path, _)| *path == file.path)
                && header.from.0 == *name
                && header.in_reply_to.is_some_and(|id| id.to_hex() == *request)
        });
        let (mut opened, mut refused) = (None, None);
        for file in claimed {
            match open(workshop, card, index, name, &file.path) {
                Ok(answer) => {
                    opened = Some(answer);
                    break;
                }
                Err(problem @ Problem::Refused { .. }) => refused = Some(problem),
                Err(problem) => return Err(problem),
            }
        }
        match (opened, refused) {
            (Some(answer), refused) => {
                if let Some(problem) = refused {
                    workshop.console.note(&problem.to_string());
                }
                answers.push(answer);
            }
            (None, Some(problem)) => {
                if unusable.is_none() {
                    unusable = Some(problem);
                }
            }
            (None, None) => waiting.push(name.clone()),
        }
    }
    Ok((answers, waiting, unusable))
}

fn open(
    workshop: &Workshop<'_>,
    card: &Card,
    custodian: Index,
    name: &Name,
    path: &Path,
) -> Result<Answer, Problem> {
    let me = workshop.identity.card();
    let kinds = [MessageType::EvalAnswer];
    let mut verified = exchange::verify(path, workshop.agreement, me, &kinds)?;
    if verified.header().from.0 != *name {
        return Err(Problem::refused(
            path,
            Refusal::UnknownSender(verified.header().from.0.to_string()),
        ));
    }
    log::notice(
        workshop.state,
        workshop.exchange,
        workshop.agreement,
        verified.header(),
    )?;
    let body_bytes = verified.header().body_bytes;
    let (elements, proofs) = (card.elements(), chunks(card.elements()));
    let allowed =
        elements * ELEMENT_BYTES as u64 + proofs * PROOF_BYTES as u64 + MANIFEST_BYTES_MAX as u64;
    exchange::within(path, verified.header(), "evaluation answer", allowed)?;
    let file = files::temporary(&workshop.folder)?;
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
    verified
        .open(workshop.identity, &mut out)
        .map_err(|error| Problem::envelope(path, error))?;
    out.flush().map_err(|error| Problem::io(path, error))?;
    drop(out);
    let wrap = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            let short = Refusal::malformed("evaluation answer", "it is too short");
            Problem::refused(path, short)
        }
        _ => Problem::io(path, error),
    };
    let mut reader = BufReader::with_capacity(1 << 20, file.reopen().map_err(wrap)?);
    let mut prefix = [0; 4];
    reader.read_exact(&mut prefix).map_err(wrap)?;
    let len = manifest_len(prefix).map_err(|r| Problem::refused(path, r))?;
    let mut json = vec![0; len];
    reader.read_exact(&mut json).map_err(wrap)?;
    let layout = parse_manifest::<AnswerManifest>("evaluation answer", &json)
        .and_then(|m| m.check(&card.dataset, card.elements(), len as u64, body_bytes))
        .map_err(|r| Problem::refused(path, r))?;
    let offset = |name: &str| layout.table(name).map_or(0, |(_, offset)| *offset);
    reader.seek(SeekFrom::Start(offset(PROOFS))).map_err(wrap)?;
    let mut proofs = Vec::new();
    for _ in 0..chunks(card.elements()) {
        let mut proof = [0; PROOF_BYTES];
        reader.read_exact(&mut proof).map_err(wrap)?;
        proofs.push(proof);
    }
    reader
        .seek(SeekFrom::Start(offset(ELEMENTS)))
        .map_err(wrap)?;
    Ok(Answer {
        custodian,
        path: path.to_path_buf(),
        elements: reader,
        proofs,
        next_proof: 0,
        _file: file,
    })
}

struct Absorber<'a> {
    workshop: &'a Workshop<'a>,
    key: EpochKey,
    answers: Vec<Answer>,
    asked: Vec<Asked>,
    /// Tokens by partition until every proof of the batch has been checked; what does not fit in memory is sealed under a
    /// key of this process.
    tokens: Spool,
    done: u64,
    /// Chunks of the groups before this one.
    chunks: usize,
    bar: hedui_edge::console::ProgressBar,
}

/// A chunk: what was asked, and each custodian's elements and proof.
struct Chunk<'a> {
    asked: &'a [Asked],
    answers: Vec<(Vec<[u8; ELEMENT_BYTES]>, [u8; PROOF_BYTES])>,
}

impl Absorber<'_> {
    fn take(&mut self, blinds: &BlindKey, asked: Asked) -> Result<(), Problem> {
        self.asked.push(asked);
        if self.asked.len() < VALUES_AT_ONCE {
            return Ok(());
        }
        self.group(blinds)
    }

    /// Verifies and finalises the values read so far; a group is a whole number of chunks, but for the last.
    fn group(&mut self, blinds: &BlindKey) -> Result<(), Problem> {
        let asked = std::mem::take(&mut self.asked);
        let mut chunks = Vec::new();
        for part in asked.chunks(EVALUATION_CHUNK) {
            let answers = self
                .answers
                .iter_mut()
                .map(|answer| answer.chunk(part.len()))
                .collect::<Result<_, _>>()?;
            chunks.push(Chunk {
                asked: part,
                answers,
            });
        }
        let custodians: Vec<Index> = self.answers.iter().map(|a| a.custodian).collect();
        let key = &self.key;
        let tokens: Vec<_> = chunks
            .par_iter()
            .map(|chunk| tokens_of(key, blinds, &custodians, chunk))
            .collect();
        for (at, tokens) in tokens.into_iter().enumerate() {
            let tokens = tokens.map_err(|wrong| self.refusal(&chunks, at, wrong))?;
            for (id, token) in tokens {
                let record = Zeroizing::new([&id[..], token.expose()].concat());
                self.tokens.push_to(partition_of(&id), &record)?;
                self.done += 1;
                self.bar.inc(1);
            }
        }
        self.chunks += chunks.len();
        Ok(())
    }

    /// Keeps the tokens, once all proofs have been checked.
    fn finish(mut self, blinds: &BlindKey) -> Result<u64, Problem> {
        if !self.asked.is_empty() {
            self.group(blinds)?;
        }
        for index in 0..self.tokens.partitions() {
            let records = self.tokens.records(index)?;
            if records.is_empty() {
                continue;
            }
            let mut partition = Partition::load(self.workshop, index)?;
            partition.add(records.iter().filter_map(|record| {
                let (id, token) = record.split_first_chunk::<16>()?;
                Some((*id, Secret::new(<[u8; 64]>::try_from(token).ok()?)))
            }));
            partition.store(self.workshop, index)?;
        }
        self.bar.finish_and_clear();
        Ok(self.done)
    }

    /// Names the answer that does not hold, the chunk, and what is wrong with it as far as that can be told.
    fn refusal(&self, chunks: &[Chunk<'_>], at: usize, (who, error): Wrong) -> Problem {
        let Some(answer) = self.answers.get(who) else {
            let why = format!("chunk {}: {error}", self.chunks + at + 1);
            return Refusal::BadProof(why).into();
        };
        let number = self.chunks + at + 1;
        let why = match error {
            OprfError::Proof => self.diagnosis(chunks, at, who),
            OprfError::Element { index } => {
                let element = (number - 1) * EVALUATION_CHUNK + index;
                format!("element {element} is not a valid group element")
            }
            other => format!("chunk {number}: {other}"),
        };
        Problem::refused(&answer.path, Refusal::BadProof(why))
    }

    /// Why a proof may not verify: another custodian's share, chunks in another order, a key that nobody knows, or a change.
    fn diagnosis(&self, chunks: &[Chunk<'_>], at: usize, who: usize) -> String {
        let number = self.chunks + at + 1;
        let own = self.answers[who].custodian;
        let verifies = |custodian: Index, asked: &Chunk<'_>, answered: &Chunk<'_>| {
            let bytes = asked.elements();
            let (elements, proof) = &answered.answers[who];
            let sent = BlindedChunk::decode(&bytes);
            sent.is_ok_and(|sent| self.key.verify(custodian, &sent, elements, proof).is_ok())
        };
        let here = &chunks[at];
        let names = self.workshop.agreement.custodians();
        let mut others = (1..).zip(&names).filter(|(index, _)| *index != own);
        if let Some((_, name)) = others.find(|(index, _)| verifies(*index, here, here)) {
            return format!("chunk {number} was made with the share of custodian `{name}`");
        }
        let moved = chunks
            .iter()
            .position(|other| verifies(own, other, here))
            .map(|place| self.chunks + place + 1);
        if let Some(place) = moved {
            return format!("the answer to chunk {place} stands in the place of chunk {number}");
        }
        let holds = |chunk: &Chunk<'_>| verifies(own, chunk, chunk);
        if chunks.len() > 1 && !chunks.iter().any(holds) {
            return "no chunk's proof holds: the answer was made with a share that is not of this epoch's key".to_owned();
        }
        format!(
            "the proof of chunk {number} does not hold: an element or the proof was changed, or the share is not of this \
             epoch's key"
        )
    }
}

impl Answer {
    fn chunk(
        &mut self,
        len: usize,
    ) -> Result<(Vec<[u8; ELEMENT_BYTES]>, [u8; PROOF_BYTES]), Problem> {
        let mut elements = vec![[0; ELEMENT_BYTES]; len];
        for element in &mut elements {
            self.elements
                .read_exact(element)
                .map_err(|error| Problem::io(&self.path, error))?;
        }
        let proof = self.proofs.get(self.next_proof).copied();
        self.next_proof += 1;
        let missing = || Refusal::malformed("evaluation answer", "a proof is missing");
        let proof = proof.ok_or_else(|| Problem::refused(&self.path, missing()))?;
        Ok((elements, proof))
    }
}

/// The place of an answer that does not hold, and why; a place that no answer has where it is not one answer's fault.
type Wrong = (usize, OprfError);

impl Chunk<'_> {
    fn elements(&self) -> Vec<[u8; ELEMENT_BYTES]> {
        self.asked.iter().map(|asked| asked.element).collect()
    }
}

/// Tokens of a chunk, or which answer does not hold and why.
fn tokens_of(
    key: &EpochKey,
    blinds: &BlindKey,
    custodians: &[Index],
    chunk: &Chunk<'_>,
) -> Result<Vec<(ValueId, Token)>, Wrong> {
    let bytes = chunk.elements();
    let blinded = BlindedChunk::decode(&bytes).map_err(|error| (usize::MAX, error))?;
    let mut evaluations = Vec::with_capacity(custodians.len());
    for (at, (custodian, (elements, proof))) in custodians.iter().zip(&chunk.answers).enumerate() {
        let verified = key.verify(*custodian, &blinded, elements, proof);
        evaluations.push(verified.map_err(|error| (at, error))?);
    }
    // Padding stands behind the values; it is proved like everything else and then forgotten.
    let values = chunk
        .asked
        .iter()
        .take_while(|asked| !asked.input.is_empty());
    let inputs: Vec<&[u8]> = values.clone().map(|asked| &asked.input[..]).collect();
    let tokens = key
        .finalise(&blinded, &inputs, blinds, &evaluations)
        .map_err(|error| (usize::MAX, error))?;
    Ok(values.map(|asked| asked.id).zip(tokens).collect())
}
