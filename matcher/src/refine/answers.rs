//! Reading answers: how alike the records of each pair are. In: both sides' filters. Out: one comparison vector per
//! pair. Invariant: an answer counts only from the side's owner and for exactly these pairs; of two filters their
//! distance is read and nothing else. SPEC.md, "Refinement".

use std::io::{Read, Seek};

use hedui_edge::{Problem, exchange, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::filter::FilterSpec;
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::Name;
use hedui_protocol::limits::MANIFEST_BYTES_MAX;
use hedui_protocol::log::Event;
use hedui_protocol::message::refine::{Answer, Answering, pairs_digest, row_bytes};
use hedui_protocol::message::{manifest_len, parse_manifest};
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;

use super::Desk;
use super::request::Asked;

/// Level of likeness per comparison; `None` where a side has no value.
pub type Vector = Vec<Option<u8>>;

/// Least similarity of each level but the last; the first is equality.
pub const LEVELS: [f64; 4] = [1.0, 0.82, 0.62, 0.45];
/// Least similarity of two fields taken together that are called exchanged.
pub(super) const EXCHANGED_LEAST: f64 = 0.7;
/// Level of two fields that are exchanged.
pub const EXCHANGED: u8 = 5;
/// Number of levels.
pub const LEVEL_COUNT: usize = LEVELS.len() + 2;

/// The table of one side's answer to exactly these pairs, if it is there.
pub fn find(
    desk: &Desk<'_>,
    asked: &Asked,
    register: &Name,
    side: Answering,
    owner: &Name,
) -> Result<Option<Vec<u8>>, Problem> {
    let (agreement, me) = (desk.agreement, desk.identity.card());
    let digest = hex(&pairs_digest(register, &asked.data, &asked.table()));
    let mut found = exchange::addressed_to(desk.exchange, &me.name)?;
    // The latest first: it is the most likely one.
    found.sort_by_key(|file| std::cmp::Reverse(file.header.seq));
    for file in found {
        let header = &file.header;
        let ours = header.agreement == agreement.digest() && header.epoch == agreement.epoch();
        if header.kind != MessageType::RefineAnswer || !ours || header.from.0 != *owner {
            continue;
        }
        let mut verified =
            match exchange::verify(&file.path, agreement, me, &[MessageType::RefineAnswer]) {
                Ok(verified) => verified,
                Err(problem @ Problem::Refused { .. }) => {
                    desk.console.note(&problem.to_string());
                    continue;
                }
                Err(problem) => return Err(problem),
            };
        let rows = asked.pairs.len() as u64;
        let expected = rows * row_bytes(agreement) as u64 + MANIFEST_BYTES_MAX as u64;
        let header = verified.header().clone();
        let opened = files::temporary(&desk.state.work())?;
        let whole =
            exchange::within(&file.path, &header, "refine-answer", expected).and_then(|()| {
                verified
                    .open(desk.identity, &mut opened.as_file())
                    .map_err(|error| Problem::envelope(&file.path, error))
            });
        match whole {
            Err(problem @ Problem::Refused { .. }) => {
                desk.console.note(&problem.to_string());
                continue;
            }
            other => other?,
        };
        let body_bytes = header.body_bytes;
        let mut body = opened
            .reopen()
            .map_err(|error| Problem::io(&file.path, error))?;
        let answer = Body {
            agreement,
            digest: &digest,
            register,
            side,
        };
        match answer.read(&mut body, body_bytes, rows) {
            Ok(Some(table)) => {
                desk.note(Event::Accepted, verified.header_digest())?;
                return Ok(Some(table));
            }
            Ok(None) => {}
            Err(refusal) => desk
                .console
                .note(&Problem::refused(&file.path, refusal).to_string()),
        }
    }
    Ok(None)
}

/// What an answer must be about.
struct Body<'a> {
    agreement: &'a InForce,
    digest: &'a str,
    register: &'a Name,
    side: Answering,
}

impl Body<'_> {
    fn read(
        &self,
        body: &mut (impl Read + Seek),
        body_bytes: u64,
        rows: u64,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let bad = |error: std::io::Error| Refusal::malformed("refine-answer", error);
        let mut prefix = [0; 4];
        body.rewind()
            .and_then(|()| body.read_exact(&mut prefix))
            .map_err(bad)?;
        let len = manifest_len(prefix)?;
        let mut json = vec![0; len];
        body.read_exact(&mut json).map_err(bad)?;
        let head: Answer = parse_manifest("refine-answer", &json)?;
        if head.request_sha256 != self.digest
            || head.register != *self.register
            || head.side != self.side
        {
            return Ok(None);
        }
        let layout = head.check(self.agreement, rows, len as u64, body_bytes)?;
        let mut table = Vec::with_capacity(usize::try_from(layout.body_bytes).unwrap_or(0));
        body.read_to_end(&mut table).map_err(bad)?;
        Ok(Some(table))
    }
}

/// Comparison vectors of all pairs.
pub fn vectors(agreement: &InForce, left: &[u8], right: &[u8]) -> Result<Vec<Vector>, Problem> {
    let width = row_bytes(agreement);
    if left.len() != right.len() || !left.len().is_multiple_of(width) {
        return Err(Refusal::malformed(
            "refine-answer",
            "the two sides' answers have different sizes",
        )
        .into());
    }
    let rows = left.chunks_exact(width).zip(right.chunks_exact(width));
    Ok(rows
        .map(|(left, right)| vector(agreement, left, right))
        .collect())
}

fn vector(agreement: &InForce, left: &[u8], right: &[u8]) -> Vector {
    let presence = |row: &[u8]| {
        row.first_chunk::<2>()
            .map_or(0, |bytes| u16::from_be_bytes(*bytes))
    };
    let both = presence(left) & presence(right);
    let mut from = 2;
    let mut similarity = |spec: &FilterSpec| {
        let part = from..from + spec.bytes();
        from = part.end;
        let bytes = left[part.clone()].iter().zip(&right[part]);
        spec.similarity(bytes.map(|(a, b)| (a ^ b).count_ones()).sum())
    };
    let comparisons = &agreement.text().comparison;
    let (mut vector, mut exchanged) = (Vector::new(), Vec::new());
    for (number, comparison) in (0..).zip(comparisons) {
        let first = similarity(&comparison.filter);
        let own = match comparison.also.map(|_| similarity(&comparison.filter)) {
            None => level(first),
            // Equal in one view only, such as two names of one sound, is not equal.
            Some(second) if first.max(second) >= 1.0 && first.min(second) < 1.0 => 1,
            Some(second) => level(first.max(second)),
        };
        vector.push((both & 1 << number != 0).then_some(own));
        if let Some(other) = &comparison.exchange {
            let alike = similarity(&comparison.both()) >= EXCHANGED_LEAST;
            let other = comparisons.iter().position(|c| c.field == *other);
            exchanged.extend(other.filter(|_| alike).map(|other| (number, other)));
        }
    }
    for (one, other) in exchanged {
        // Unlike each for itself, alike together: one piece of evidence, not two.
        if is_far(vector[one]) && is_far(vector[other]) {
            (vector[one], vector[other]) = (Some(EXCHANGED), None);
        }
    }
    vector
}

/// Whether a level is one of unlike values.
pub(super) fn is_far(level: Option<u8>) -> bool {
    level.is_some_and(|level| usize::from(level) >= LEVELS.len() - 1)
}

/// Level of a similarity: 0 is equality, the last is everything below the lowest bound.
pub(super) fn level(similarity: f64) -> u8 {
    let at = LEVELS.iter().position(|least| similarity >= *least);
    u8::try_from(at.unwrap_or(LEVELS.len())).unwrap_or(u8::MAX)
}
