//! The exchange folder: where sealed files lie between parties (a USB stick, a share, an outbox).
//! In: a folder. Out: the envelopes addressed to one party, in order; and numbered new ones.
//! Invariant: a number, time and request identifier are claimed before a file is sealed, so that a
//! repeated command after a crash makes the same bytes. Specification: docs/ARCHITECTURE.md, "Files".

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use hedui_protocol::agreement::InForce;
use hedui_protocol::envelope::{self, Checked, Expectation, Verified};
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::identity::{Identity, PartyCard};
use hedui_protocol::ids::{Name, RequestId};
use hedui_protocol::label::Label;
use hedui_protocol::log::checkpoint::Checkpoint;
use hedui_protocol::primitive::{hex, labelled_sha256, sha256, unhex};
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::files;
use crate::log::Memory;
use crate::problem::Problem;

/// Ending of sealed files.
pub const EXTENSION: &str = "hedui";

/// A sealed file in an exchange folder.
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// Its header; a claim until verified.
    pub header: Header,
}

/// Sealed files in `folder` that are addressed to `me`, by sender, number and name.
/// Files that are not envelopes are passed over.
pub fn addressed_to(folder: &Path, me: &Name) -> Result<Vec<Found>, Problem> {
    envelopes(folder, |header| header.to.0 == *me)
}

/// Sealed files in `folder` whose header says that they are by `me`, in the same order. A header is a claim.
pub fn sent_by(folder: &Path, me: &Name) -> Result<Vec<Found>, Problem> {
    envelopes(folder, |header| header.from.0 == *me)
}

/// All sealed files in `folder`, in the same order. A header is a claim.
pub fn all(folder: &Path) -> Result<Vec<Found>, Problem> {
    envelopes(folder, |_| true)
}

fn envelopes(folder: &Path, wanted: impl Fn(&Header) -> bool) -> Result<Vec<Found>, Problem> {
    let entries = fs::read_dir(folder).map_err(|error| Problem::io(folder, error))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != EXTENSION) {
            continue;
        }
        // A pipe, a broken link or somebody else's file must not stop whoever looks for its own.
        let regular = fs::metadata(&path).is_ok_and(|meta| meta.is_file());
        let Some(file) = regular.then(|| File::open(&path).ok()).flatten() else {
            continue;
        };
        if let Ok((header, _, _)) = envelope::peek(&mut BufReader::new(file))
            && wanted(&header)
        {
            found.push(Found { path, header });
        }
    }
    found.sort_by(|a, b| {
        let key = |f: &Found| (f.header.from.0.clone(), f.header.seq, f.path.clone());
        key(a).cmp(&key(b))
    });
    Ok(found)
}

/// Checks a received file against the agreement in force and verifies its signature.
pub fn verify(
    path: &Path,
    agreement: &InForce,
    me: &PartyCard,
    kinds: &[MessageType],
) -> Result<Verified<BufReader<File>>, Problem> {
    let file = File::open(path).map_err(|error| Problem::io(path, error))?;
    let expected = Expectation {
        me,
        agreement: agreement.digest(),
        epoch: agreement.epoch(),
        kinds,
        party: &|name| agreement.card(name).cloned(),
        matcher: agreement.matcher(),
    };
    Checked::read(BufReader::with_capacity(1 << 18, file), &expected)
        .and_then(Checked::verify)
        .map_err(|error| Problem::envelope(path, error))
}

/// Refuses a body that is longer than what is expected of it, before it takes room.
pub fn within(
    path: &Path,
    header: &Header,
    what: &'static str,
    allowed: u64,
) -> Result<(), Problem> {
    let found = header.body_bytes;
    if found > allowed {
        let refusal = Refusal::Oversize {
            what,
            found,
            allowed,
        };
        return Err(Problem::refused(path, refusal));
    }
    Ok(())
}

/// Opens a verified file with a small body.
pub fn open_small(
    path: &Path,
    verified: &mut Verified<BufReader<File>>,
    me: &Identity,
    limit: u64,
) -> Result<zeroize::Zeroizing<Vec<u8>>, Problem> {
    within(path, verified.header(), "body", limit)?;
    let mut body = zeroize::Zeroizing::new(Vec::new());
    verified
        .open(me, &mut *body)
        .map_err(|error| Problem::envelope(path, error))?;
    Ok(body)
}

/// What distinguishes one message from every other of the same sender.
pub struct Draft<'a> {
    /// Type.
    pub kind: MessageType,
    /// Recipient.
    pub to: &'a PartyCard,
    /// Words that name the content in the file's name, such as the dataset.
    pub about: &'a str,
    /// Digest of the content: the same content claims the same number.
    pub content: [u8; 32],
    /// Request that is answered.
    pub in_reply_to: Option<RequestId>,
}

/// A message that lies in the exchange folder.
pub struct Sent {
    /// Where.
    pub path: PathBuf,
    /// Its request identifier, which an answer will name.
    pub request: RequestId,
    /// SHA-256 of its header.
    pub header_sha256: [u8; 32],
    /// When it was made, UTC.
    pub created: String,
}

/// File in the state folder that holds the numbers claimed so far.
const CLAIMS: &str = "sent.json";

/// Numbers claimed so far.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    /// Last number per agreement, epoch and recipient.
    last: BTreeMap<String, u64>,
    /// Latest claim per agreement, epoch, recipient, type and subject.
    latest: BTreeMap<String, Claim>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    content: String,
    seq: u64,
    created: String,
    request: String,
    /// Size, root and signature of the matcher's log as last seen.
    #[serde(default)]
    log: Option<(u64, String, String)>,
}

impl Claims {
    fn read(state: &Path) -> Result<Self, Problem> {
        let path = state.join(CLAIMS);
        if !path.exists() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&files::read_state(&path)?).map_err(|_| {
            Problem::data(
                "the state file of sent messages is damaged",
                "restore it from a backup",
            )
        })
    }

    fn write(&self, state: &Path) -> Result<(), Problem> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        files::write_bytes(&state.join(CLAIMS), &json)
    }
}

impl Claim {
    fn checkpoint(&self) -> Option<Checkpoint> {
        let (size, root, signature) = self.log.as_ref()?;
        Some(Checkpoint {
            size: *size,
            root: unhex(root)?,
            signature: unhex(signature)?,
        })
    }
}

/// Seals a message into the exchange folder under a number claimed in `state`; returns its path.
pub fn send(
    identity: &Identity,
    agreement: &InForce,
    (state, folder): (&Path, &Path),
    clock: &Clock,
    draft: &Draft<'_>,
    body: &mut (impl Read + Seek),
    body_bytes: u64,
) -> Result<Sent, Problem> {
    let me = identity.card();
    let claim = claim((state, folder), me, agreement, clock, draft)?;
    let log = claim.checkpoint();
    let header = Header {
        kind: draft.kind,
        agreement: agreement.digest(),
        epoch: agreement.epoch(),
        from: (me.name.clone(), me.key_id()),
        to: (draft.to.name.clone(), draft.to.key_id()),
        seq: claim.seq,
        request: RequestId::from_hex(&claim.request).ok_or_else(|| {
            Problem::data(
                "the state file of sent messages is damaged",
                "restore it from a backup",
            )
        })?,
        in_reply_to: draft.in_reply_to,
        created: claim.created,
        body_bytes,
        log,
    };
    let name = format!(
        "{}-{}-{}-to-{}-{:05}.{EXTENSION}",
        draft.kind.word(),
        draft.about,
        me.name,
        draft.to.name,
        claim.seq
    );
    let path = folder.join(name);
    files::deliver(&path, |out| {
        envelope::seal(&header, identity, draft.to, body, out)
            .map_err(|error| Problem::envelope(&path, error))
    })?;
    Ok(Sent {
        path,
        request: header.request,
        header_sha256: sha256(&[header.render().as_bytes()]),
        created: header.created,
    })
}

/// Lets the next messages of a kind about some subjects be new ones, whatever they say: the recipient has deleted what it had, perhaps.
/// All of them at once, so that a crash amid sending leaves those claimed that were claimed anew.
pub fn send_anew(
    state: &Path,
    agreement: &InForce,
    (kind, to): (MessageType, &Name),
    abouts: &[String],
) -> Result<(), Problem> {
    let mut claims = Claims::read(state)?;
    for about in abouts {
        claims
            .latest
            .remove(&subject(agreement, (kind, to), about).1);
    }
    claims.write(state)
}

/// What numbers run along, and what messages of one content are compared within.
fn subject(agreement: &InForce, (kind, to): (MessageType, &Name), about: &str) -> (String, String) {
    let line = format!(
        "{}/{}/{to}",
        agreement.digest().to_hex(),
        agreement.epoch().0,
    );
    let subject = format!("{line}/{}/{about}", kind.word());
    (line, subject)
}

/// Highest number of the party's own messages to a recipient under this agreement in the exchange folder; those that it has
/// truly signed.
fn last_sent(
    folder: &Path,
    agreement: &InForce,
    me: &PartyCard,
    to: &PartyCard,
) -> Result<u64, Problem> {
    if !folder.is_dir() {
        return Ok(0);
    }
    let mut last = 0;
    for file in sent_by(folder, &me.name)? {
        let header = &file.header;
        let ours = header.agreement == agreement.digest() && header.epoch == agreement.epoch();
        if ours
            && header.to.0 == to.name
            && header.seq > last
            && verify(&file.path, agreement, to, &[header.kind]).is_ok()
        {
            last = header.seq;
        }
    }
    Ok(last)
}

fn claim(
    (state, folder): (&Path, &Path),
    me: &PartyCard,
    agreement: &InForce,
    clock: &Clock,
    draft: &Draft<'_>,
) -> Result<Claim, Problem> {
    let mut claims = Claims::read(state)?;
    let (line, subject) = subject(agreement, (draft.kind, &draft.to.name), draft.about);
    let reply = draft.in_reply_to.map(|r| r.0).unwrap_or_default();
    let content = hex(&sha256(&[&draft.to.key_id().0, &reply, &draft.content]));
    // Only the latest content of a subject keeps its number: going back to an older one is a new message. So is the same
    // delivery once the matcher has deleted what it had of it, and would refuse the old message.
    let is_kept = |claim: &Claim| {
        if draft.kind != MessageType::Submission {
            return true;
        }
        let age = claim
            .created
            .get(..10)
            .and_then(|day| clock.days_since(day));
        age.is_none_or(|days| days <= i64::from(agreement.text().retention_days))
    };
    if let Some(claim) = claims
        .latest
        .get(&subject)
        .filter(|claim| claim.content == content && is_kept(claim))
    {
        return Ok(claim.clone());
    }
    if !claims.last.contains_key(&line) {
        // The first one, or a state folder that was lost: what was sent before lies here perhaps, and its numbers are used.
        claims
            .last
            .insert(line.clone(), last_sent(folder, agreement, me, draft.to)?);
    }
    let last = claims.last.entry(line).or_insert(0);
    *last += 1;
    let request = labelled_sha256(
        Label::Request,
        &[
            &agreement.digest().0,
            &agreement.epoch().0.to_be_bytes(),
            &me.key_id().0,
            &last.to_be_bytes(),
            subject.as_bytes(),
            &[0],
            content.as_bytes(),
        ],
    );
    let mut id = [0; RequestId::LEN];
    id.copy_from_slice(&request[..RequestId::LEN]);
    let request = RequestId(id).to_hex();
    let claim = Claim {
        content,
        seq: *last,
        created: clock.now(),
        request,
        log: Memory::open(state)?
            .last(agreement)?
            .map(|seen| (seen.size, hex(&seen.root), hex(&seen.signature))),
    };
    claims.latest.insert(subject, claim.clone());
    claims.write(state)?;
    Ok(claim)
}
