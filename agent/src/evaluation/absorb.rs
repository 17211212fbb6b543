//! Answers of custodians become tokens. In: a batch and the answers to it. Out: tokens in the sealed cache.
//! Invariant: every chunk's proofs are verified before its tokens exist (the types say so); a custodian whose
//! answer does not hold is named; with a spare answer the others go on without it.
//! Specification: protocol/SPEC.md, "Evaluation"; RFC 9497 §3.3.2.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hedui_edge::files::{self, Scratch};
use hedui_edge::{Problem, exchange};
use hedui_keys::epoch_key;
use hedui_keys::oprf::OprfError;
use hedui_keys::oprf::client::{BlindKey, EpochKey};
use hedui_keys::oprf::proof::Elements;
use hedui_keys::oprf::suite::{ELEMENT_BYTES, PROOF_BYTES, decode};
use hedui_keys::oprf::threshold::Index;
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::Name;
use hedui_protocol::limits::{EVALUATION_CHUNK, MANIFEST_BYTES_MAX};
use hedui_protocol::lock::Token;
use hedui_protocol::message::evaluation::{AnswerManifest, ELEMENTS, PROOFS, chunks};
use hedui_protocol::message::{manifest_len, parse_manifest};
use hedui_protocol::refusal::Refusal;
use rayon::prelude::*;

use super::batch::{Asked, Batch, Card, VALUES_AT_ONCE};
use super::cache::{Partition, partition_of};
use super::{ValueId, Workshop};

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
    loop {
        let (mut answers, waiting, refused) = arrived(workshop, card, &wrong)?;
        if answers.len() < needed {
            let first = wrong.into_iter().next().map(|(_, problem)| problem);
            return first.or(refused).map_or(Ok(Answers::Waiting(waiting)), Err);
        }
        let spare = answers.len() > needed;
        answers.truncate(needed);
        let places: Vec<PathBuf> = answers.iter().map(|answer| answer.path.clone()).collect();
        match verify(workshop, batch, card, answers) {
            // With a spare answer one custodian that answers wrongly is like one that is silent.
            Err(problem @ Problem::Refused { .. }) if spare => {
                let Problem::Refused {
                    place: Some(place), ..
                } = &problem
                else {
                    return Err(problem);
                };
                if !places.contains(place) {
                    return Err(problem);
                }
                workshop.console.note(&problem.to_string());
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
    let key = epoch_key::load(workshop.agreement, workshop.state, workshop.exchange)?;
    let mut absorber = Absorber {
        workshop,
        key,
        answers,
        asked: Vec::new(),
        tokens: Vec::new(),
        done: 0,
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
    /// Tokens of the partition that is being filled.
    tokens: Vec<(ValueId, Token)>,
    done: u64,
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
        for tokens in tokens {
            let tokens = tokens.map_err(|(at, error)| self.refusal(at, error))?;
            for (id, token) in tokens {
                self.keep(id, token)?;
            }
        }
        Ok(())
    }

    /// Collects the tokens of one partition; they come in the order of their local names.
    fn keep(&mut self, id: ValueId, token: Token) -> Result<(), Problem> {
        let here = partition_of(&id);
        if let Some((last, _)) = self.tokens.last()
            && partition_of(last) != here
        {
            self.flush()?;
        }
        self.tokens.push((id, token));
        self.done += 1;
        self.bar.inc(1);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Problem> {
        let Some((first, _)) = self.tokens.first() else {
            return Ok(());
        };
        let index = partition_of(first);
        let mut partition = Partition::load(self.workshop, index)?;
        partition.add(self.tokens.drain(..));
        partition.store(self.workshop, index)
    }

    fn finish(mut self, blinds: &BlindKey) -> Result<u64, Problem> {
        if !self.asked.is_empty() {
            self.group(blinds)?;
        }
        self.flush()?;
        self.bar.finish_and_clear();
        Ok(self.done)
    }

    /// Names the answer that does not hold.
    fn refusal(&self, at: usize, error: OprfError) -> Problem {
        let place = self.answers.get(at).map(|answer| answer.path.clone());
        Problem::Refused {
            place,
            refusal: Refusal::BadProof(error.to_string()),
        }
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

/// Tokens of a chunk, or the place of the answer that does not hold and why.
fn tokens_of(
    key: &EpochKey,
    blinds: &BlindKey,
    custodians: &[Index],
    chunk: &Chunk<'_>,
) -> Result<Vec<(ValueId, Token)>, (usize, OprfError)> {
    let bytes: Vec<[u8; ELEMENT_BYTES]> = chunk.asked.iter().map(|asked| asked.element).collect();
    let points = bytes
        .iter()
        .enumerate()
        .map(|(index, bytes)| decode(bytes, index))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| (usize::MAX, error))?;
    let blinded = Elements {
        points: &points,
        bytes: &bytes,
    };
    let mut evaluations = Vec::with_capacity(custodians.len());
    for (at, (custodian, (elements, proof))) in custodians.iter().zip(&chunk.answers).enumerate() {
        let verified = key.verify(*custodian, blinded, elements, proof);
        evaluations.push(verified.map_err(|error| (at, error))?);
    }
    // Padding stands behind the values; it is proved like everything else and then forgotten.
    let values = chunk
        .asked
        .iter()
        .take_while(|asked| !asked.input.is_empty());
    let inputs: Vec<&[u8]> = values.clone().map(|asked| &asked.input[..]).collect();
    let tokens = key
        .finalise(&inputs, blinds, &evaluations)
        .map_err(|error| (usize::MAX, error))?;
    Ok(values.map(|asked| asked.id).zip(tokens).collect())
}
