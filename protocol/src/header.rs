//! The header of an envelope. In: the first bytes of a file. Out: who sends what to whom, when.
//! Invariant: parse and render are exact inverses; strict ASCII lines in a fixed order, no optional
//! line, so that a header has one spelling. Parsing trusts nothing and allocates at most 4 KiB.
//! Specification: protocol/SPEC.md, "Header".

use std::fmt::Write as _;

use crate::ids::{AgreementDigest, Epoch, KeyId, Name, RequestId};
use crate::limits::{BODY_BYTES_MAX, HEADER_BYTES_MAX};
use crate::log::checkpoint::Checkpoint;
use crate::primitive::{hex, unhex};
use crate::refusal::Refusal;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageType {
    /// Per-register secret, roll owner → register owner.
    Kit,
    /// Encodings of one dataset, agent → matcher.
    Submission,
    /// Acknowledgement with counts, matcher → agent.
    Receipt,
    /// Matches and released payloads, matcher → roll owner.
    Result,
    /// Correction tickets, roll owner → register owner.
    Ticket,
    /// Blinded values, agent → custodian.
    EvalRequest,
    /// Evaluated values with proofs, custodian → agent.
    EvalAnswer,
    /// Step of the key ceremony, custodian → custodian.
    Ceremony,
    /// Candidate pairs whose filters are wanted, matcher → both sides.
    RefineRequest,
    /// Filters of candidate pairs, agent → matcher.
    RefineAnswer,
    /// Questions about single records, roll owner → register owner.
    DisclosureRequest,
    /// Records laid open or declined, register owner → roll owner.
    DisclosureAnswer,
    /// Which of a register's own records were found, matcher → register owner.
    OwnResult,
}

impl MessageType {
    /// Every type with its word in the header.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::Kit, "kit"),
        (Self::Submission, "submission"),
        (Self::Receipt, "receipt"),
        (Self::Result, "result"),
        (Self::Ticket, "ticket"),
        (Self::EvalRequest, "eval-request"),
        (Self::EvalAnswer, "eval-answer"),
        (Self::Ceremony, "ceremony"),
        (Self::RefineRequest, "refine-request"),
        (Self::RefineAnswer, "refine-answer"),
        (Self::DisclosureRequest, "disclosure-request"),
        (Self::DisclosureAnswer, "disclosure-answer"),
        (Self::OwnResult, "own-result"),
    ];

    /// The word in the header.
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, word)| word)
    }
}

/// The checked header of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the message is.
    pub kind: MessageType,
    /// Agreement under which it was made.
    pub agreement: AgreementDigest,
    /// Epoch for which it was made.
    pub epoch: Epoch,
    /// Sender and its key identifier.
    pub from: (Name, KeyId),
    /// Recipient and its key identifier.
    pub to: (Name, KeyId),
    /// Number of the message, strictly increasing per sender and recipient.
    pub seq: u64,
    /// Idempotency key.
    pub request: RequestId,
    /// Request that this message answers.
    pub in_reply_to: Option<RequestId>,
    /// Time of making, `YYYY-MM-DDThh:mm:ssZ`, in UTC; a claim of the sender.
    pub created: String,
    /// Plaintext bytes of the body.
    pub body_bytes: u64,
    /// The matcher's log as the sender last saw it; a claim until [`Checkpoint::holds`].
    pub log: Option<Checkpoint>,
}

/// First line of every envelope up to the type.
pub const MAGIC: &str = "hedui/1";
/// Cipher suite of format 1: HPKE X25519/HKDF-SHA256/ChaCha20-Poly1305, Ed25519, SHA-256.
pub const SUITE: &str = "r255-1";
/// Last line of the header.
const END: &str = "---";

impl Header {
    /// The exact ASCII bytes, with the closing line.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(512);
        let reply = self
            .in_reply_to
            .map_or_else(|| "-".to_owned(), RequestId::to_hex);
        let log = self.log.map_or_else(
            || "- 0 -".to_owned(),
            |log| format!("{} {} {}", hex(&log.root), log.size, hex(&log.signature)),
        );
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{MAGIC} {}\nsuite {SUITE}\nagreement {}\nepoch {}\nfrom {} {}\nto {} {}\nseq {}\n\
             request {}\ninreplyto {reply}\ncreated {}\nbody {}\nlog {log}\n{END}\n",
            self.kind.word(),
            self.agreement.to_hex(),
            self.epoch.0,
            self.from.0,
            self.from.1.to_hex(),
            self.to.0,
            self.to.1.to_hex(),
            self.seq,
            self.request.to_hex(),
            self.created,
            self.body_bytes,
        );
        out
    }

    /// Reads the header at the start of `bytes` and returns it with its length in bytes.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Refusal> {
        let bad = |why: &str| Refusal::malformed("envelope", why);
        let head = &bytes[..bytes.len().min(HEADER_BYTES_MAX)];
        if !head.starts_with(MAGIC.as_bytes()) {
            return Err(bad("it does not begin with `hedui/1`"));
        }
        let end =
            find(head, b"\n---\n").ok_or_else(|| bad("its header has no end within 4 KiB"))?;
        let len = end + 5;
        let text = std::str::from_utf8(&head[..len]).map_err(|_| bad("its header is not ASCII"))?;
        let header = Self::parse_lines(text)?;
        // One spelling only: leading zeros, doubled spaces or upper case would differ here.
        if header.render() != text {
            return Err(bad("its header is not in canonical form"));
        }
        Ok((header, len))
    }

    fn parse_lines(text: &str) -> Result<Self, Refusal> {
        let mut lines = text.lines();
        let mut field = |name: &'static str| -> Result<Vec<String>, Refusal> {
            let line = lines.next().unwrap_or_default();
            let mut words = line.split(' ');
            if words.next() != Some(name) {
                return Err(Refusal::malformed(
                    "envelope",
                    format!("line `{name}` is missing"),
                ));
            }
            Ok(words.map(str::to_owned).collect())
        };
        let one = |words: Vec<String>, name: &'static str| -> Result<String, Refusal> {
            match <[String; 1]>::try_from(words) {
                Ok([word]) => Ok(word),
                Err(_) => Err(Refusal::malformed(
                    "envelope",
                    format!("line `{name}` is wrong"),
                )),
            }
        };
        let wrong = |name: &str| Refusal::malformed("envelope", format!("line `{name}` is wrong"));
        let word = one(field(MAGIC)?, MAGIC)?;
        let kind = MessageType::ALL.iter().find(|(_, w)| *w == word);
        let kind = kind.ok_or_else(|| wrong("type"))?.0;
        if one(field("suite")?, "suite")? != SUITE {
            return Err(wrong("suite"));
        }
        let agreement = AgreementDigest::from_hex(&one(field("agreement")?, "agreement")?);
        let epoch = number(&one(field("epoch")?, "epoch")?).and_then(|n| u32::try_from(n).ok());
        let from = party(&field("from")?);
        let to = party(&field("to")?);
        let seq = number(&one(field("seq")?, "seq")?);
        let request = RequestId::from_hex(&one(field("request")?, "request")?);
        let reply = one(field("inreplyto")?, "inreplyto")?;
        let created = one(field("created")?, "created")?;
        let body = number(&one(field("body")?, "body")?).ok_or_else(|| wrong("body"))?;
        let log = log_seen(&field("log")?).ok_or_else(|| wrong("log"))?;
        if body > BODY_BYTES_MAX {
            return Err(Refusal::Oversize {
                what: "body",
                found: body,
                allowed: BODY_BYTES_MAX,
            });
        }
        if !is_utc_time(&created) {
            return Err(wrong("created"));
        }
        Ok(Self {
            kind,
            agreement: agreement.ok_or_else(|| wrong("agreement"))?,
            epoch: Epoch(epoch.ok_or_else(|| wrong("epoch"))?),
            from: from.ok_or_else(|| wrong("from"))?,
            to: to.ok_or_else(|| wrong("to"))?,
            seq: seq.ok_or_else(|| wrong("seq"))?,
            request: request.ok_or_else(|| wrong("request"))?,
            in_reply_to: match reply.as_str() {
                "-" => None,
                hex => Some(RequestId::from_hex(hex).ok_or_else(|| wrong("inreplyto"))?),
            },
            created,
            body_bytes: body,
            log,
        })
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn party(words: &[String]) -> Option<(Name, KeyId)> {
    match words {
        [name, key] => Some((Name::new(name)?, KeyId::from_hex(key)?)),
        _ => None,
    }
}

/// The words of the line `log`: none seen yet, or root, size and signature.
fn log_seen(words: &[String]) -> Option<Option<Checkpoint>> {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["-", "0", "-"] => Some(None),
        [root, size, signature] => Some(Some(Checkpoint {
            size: number(size)?,
            root: unhex(root)?,
            signature: unhex(signature)?,
        })),
        _ => None,
    }
}

/// Whether `text` is a time `YYYY-MM-DDThh:mm:ssZ` that there is: a day of the Gregorian calendar, no leap second.
pub fn is_utc_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let form = bytes.len() == 20
        && bytes.iter().enumerate().all(|(i, b)| match i {
            4 | 7 => *b == b'-',
            10 => *b == b'T',
            13 | 16 => *b == b':',
            19 => *b == b'Z',
            _ => b.is_ascii_digit(),
        });
    let number = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse().ok());
    let parts: Option<[u32; 6]> = form
        .then(|| {
            Some([
                number(0, 4)?,
                number(5, 7)?,
                number(8, 10)?,
                number(11, 13)?,
                number(14, 16)?,
                number(17, 19)?,
            ])
        })
        .flatten();
    parts.is_some_and(|[year, month, day, hour, minute, second]| {
        (1..=days_of(year, month)).contains(&day) && hour < 24 && minute < 60 && second < 60
    })
}

/// Days of a month; none of one that there is not.
fn days_of(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            kind: MessageType::Submission,
            agreement: AgreementDigest([7; 32]),
            epoch: Epoch(1),
            from: (Name::new("police").unwrap(), KeyId([1; 8])),
            to: (Name::new("centre").unwrap(), KeyId([2; 8])),
            seq: 3,
            request: RequestId([9; 16]),
            in_reply_to: None,
            created: "2016-07-01T08:00:00Z".to_owned(),
            body_bytes: 12,
            log: None,
        }
    }

    #[test]
    fn the_log_as_last_seen_is_carried() {
        let log = Checkpoint {
            size: 17,
            root: [3; 32],
            signature: [4; 64],
        };
        let header = Header {
            log: Some(log),
            ..sample()
        };
        let text = header.render();
        assert_eq!(
            Header::parse(text.as_bytes()).unwrap(),
            (header, text.len())
        );
        for bad in [
            text.replace(" 17 ", " 017 "),
            text.replace(" 17 ", " - "),
            text.replace("log 0303", "log 0"),
            text.replace("0404\n", "0404 x\n"),
        ] {
            assert_ne!(bad, text);
            assert!(Header::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn parse_inverts_render_and_reports_its_length() {
        let mut bytes = sample().render().into_bytes();
        let len = bytes.len();
        bytes.extend_from_slice(b"body");
        assert_eq!(Header::parse(&bytes).unwrap(), (sample(), len));
    }

    #[test]
    fn times_are_of_the_calendar() {
        for good in ["2016-02-29T23:59:59Z", "2000-02-29T00:00:00Z"] {
            assert!(is_utc_time(good), "{good}");
        }
        for bad in [
            "2015-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2016-00-01T00:00:00Z",
            "2016-04-31T00:00:00Z",
            "2016-01-00T00:00:00Z",
            "2016-01-01T00:60:00Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(!is_utc_time(bad), "{bad}");
        }
    }

    /// Each line broken in turn is refused, and never with a panic.
    #[test]
    fn every_broken_line_is_refused() {
        let text = sample().render();
        let lines: Vec<&str> = text.lines().collect();
        for i in 0..lines.len() {
            for replacement in [
                "",
                "x",
                "seq 03",
                "body 99999999999999999999",
                "epoch -1",
                "to a",
            ] {
                let mut copy = lines.clone();
                if copy[i] == replacement {
                    continue;
                }
                copy[i] = replacement;
                let joined = copy.join("\n") + "\n";
                assert!(
                    Header::parse(joined.as_bytes()).is_err(),
                    "line {i} as {replacement:?}"
                );
            }
        }
        for cut in 0..text.len() {
            assert!(Header::parse(&text.as_bytes()[..cut]).is_err());
        }
    }
}
