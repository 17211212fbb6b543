//! A custodian's own log: who asked how many. In: requests as they are charged. Out: what is left of a quota.
//! Append-only JSON lines, each bound to the one before by SHA-256 and to the custodian's key by HMAC, synced before an
//! answer is made; a sealed anchor beside the share says how long the log must at least be.
//! Invariant: a request is charged once, whatever happens; counts and digests only, never an element.
//! Specification: protocol/SPEC.md, "Custodians".

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::label::Label;
use hedui_protocol::primitive::{hex, hmac_sha512, hmac_sha512_key, labelled_sha256};
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::ceremony::SHARE;
use crate::vault::{Vault, place};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "what")]
pub enum Event {
    /// A request was charged.
    Request {
        /// Sender.
        from: String,
        /// Dataset.
        dataset: String,
        /// Request identifier, hexadecimal.
        request: String,
        /// SHA-256 over the request's header digest and its opened body, hexadecimal: a sender can sign two
        /// bodies under one header.
        content_sha256: String,
        /// Elements, padding included.
        elements: u64,
    },
    /// The share was made, restored or destroyed.
    Share {
        /// See [`made`](MADE) and the other states.
        state: String,
    },
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Number from 1.
    pub n: u64,
    /// Time, UTC.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Digest of the line before, hexadecimal; of nothing for the first.
    pub previous: String,
    /// HMAC of the line without this field under a key of the custodian, 32 bytes, hexadecimal: only the custodian can
    /// add a line. A reviewer checks the chain, the custodian's own commands this as well.
    pub mac: String,
}

/// State of a share that a ceremony made.
pub const MADE: &str = "made";
/// State of a share that came back from paper, beside the whole log.
pub const RESTORED: &str = "restored";
/// State of a share whose copy was printed; says nothing of the share itself.
const BACKED_UP: &str = "backed up";
/// State of a share that is gone for good.
pub const DESTROYED: &str = "destroyed";
/// State after a destruction where nothing was held.
pub const DESTROYED_UNHELD: &str = "destroyed, nothing was held here";

impl Event {
    /// A line about the share.
    pub fn share(state: &str) -> Self {
        Self::Share {
            state: state.to_owned(),
        }
    }

    /// The line about a copy on paper.
    pub fn backed_up() -> Self {
        Self::share(BACKED_UP)
    }
}

/// Name of the sealed anchor: the number of lines and the digest of the last one.
const ANCHOR: &str = "log-anchor";

/// The log of one agreement and epoch.
pub struct Ledger<'a> {
    path: PathBuf,
    vault: Option<&'a Vault<'a>>,
    entries: Vec<Entry>,
    last: String,
}

impl<'a> Ledger<'a> {
    /// Opens the log for charging: every line must be the custodian's own, and there must be as many as the anchor says,
    /// so that a log that was lost, cut back or added to does not give out more than the quota. A share without an
    /// anchor has lost its log too.
    pub fn open(
        state: &Path,
        agreement: &Agreement,
        vault: &'a Vault<'a>,
    ) -> Result<Self, Problem> {
        let ledger = Self::own(state, agreement, vault)?;
        ledger.compare_with_anchor(vault)?;
        Ok(ledger)
    }

    /// Opens the log without asking the anchor: every line is the custodian's own, and whether it is the whole log somebody
    /// else must say.
    pub fn own(state: &Path, agreement: &Agreement, vault: &'a Vault<'a>) -> Result<Self, Problem> {
        let mut ledger = Self::read(state, agreement)?;
        ledger.vault = Some(vault);
        for (line, entry) in (1..).zip(&ledger.entries) {
            let mac = entry.authenticated(vault)?;
            if !bool::from(mac.as_bytes().ct_eq(entry.mac.as_bytes())) {
                return Err(ledger.changed(line));
            }
        }
        Ok(ledger)
    }

    fn compare_with_anchor(&self, vault: &Vault<'_>) -> Result<(), Problem> {
        let Some(anchor) = vault.read(ANCHOR)? else {
            if vault.holds(SHARE)? {
                let what = format!("{}: what was sealed about it is gone", self.path.display());
                let way = "put the state folder back from a copy; or `restore` from paper with --log-head and the head noted \
                           on paper; or, if the log is lost too, with --without-log";
                return Err(Problem::data(what, way));
            }
            return Ok(());
        };
        let anchor: (u64, String) = serde_json::from_slice(&anchor)
            .map_err(|e| Refusal::malformed("log anchor", e.to_string()))?;
        let found = self.entries.len() as u64;
        if found < anchor.0 {
            return Err(Problem::data(
                format!(
                    "{}: it has {found} lines, and had {}",
                    self.path.display(),
                    anchor.0
                ),
                "put the log back from a copy (it holds no secret); no request is answered without it",
            ));
        }
        let at = usize::try_from(anchor.0).unwrap_or(usize::MAX);
        let next = self.entries.get(at).map(|entry| &entry.previous);
        if next.unwrap_or(&self.last) != &anchor.1 {
            return Err(self.changed(anchor.0));
        }
        Ok(())
    }

    /// How many lines follow the one whose digest is `head`; none if no line has it.
    pub fn lines_after(&self, head: &str) -> Option<usize> {
        let digests = self
            .entries
            .iter()
            .skip(1)
            .map(|entry| entry.previous.as_str());
        let mut digests = digests.chain(std::iter::once(self.last.as_str()));
        let at = digests.position(|digest| digest.eq_ignore_ascii_case(head.trim()))?;
        Some(self.entries.len().saturating_sub(at + 1))
    }

    /// A log that begins with `first`, in the place of one that is lost or spoilt, which is set aside. Whatever a crash
    /// leaves of this, no log without that line is ever opened beside a share.
    pub fn begin_anew(
        state: &Path,
        agreement: &Agreement,
        vault: &'a Vault<'a>,
        (first, time): (Event, &str),
    ) -> Result<Self, Problem> {
        let path = Self::place(state, agreement)?;
        if path.exists() {
            // Never over an earlier one: each is evidence.
            let asides = (1..).map(|n: u32| path.with_extension(format!("jsonl.spoilt-{n}")));
            let mut free = asides.skip_while(|aside| aside.exists());
            let aside = free.next().unwrap_or_else(|| path.clone());
            std::fs::rename(&path, &aside).map_err(|error| Problem::io(&path, error))?;
        }
        // An anchor of no lines would let an empty log pass beside a share, so the line comes before it.
        let mut ledger = Self {
            entries: Vec::new(),
            last: digest(""),
            vault: Some(vault),
            path,
        };
        ledger.append(first, time)?;
        Ok(ledger)
    }

    /// Seals that the log has at least the lines that it has now; before a share is kept.
    pub fn anchor(&self) -> Result<(), Problem> {
        let Some(vault) = self.vault else {
            return Ok(());
        };
        let anchor = serde_json::to_vec(&(self.entries.len() as u64, &self.last))
            .map_err(|e| Problem::data(e.to_string(), "report this"))?;
        vault.write(ANCHOR, &anchor)
    }

    /// Whether an anchor is sealed: without one nothing says that this is the whole log.
    pub fn is_anchored(&self) -> Result<bool, Problem> {
        self.vault.map_or(Ok(false), |vault| vault.holds(ANCHOR))
    }

    fn place(state: &Path, agreement: &Agreement) -> Result<PathBuf, Problem> {
        let folder = state.join("custodian");
        files::private_folder(&folder)?;
        Ok(folder.join(format!("log-{}.jsonl", place(agreement))))
    }

    /// Reads the log and checks its chain. A line that a crash cut off was never answered: it is dropped. A last line
    /// that is whole but for its end, as editors leave it, counts.
    pub fn read(state: &Path, agreement: &Agreement) -> Result<Self, Problem> {
        let mut ledger = Self {
            entries: Vec::new(),
            last: digest(""),
            vault: None,
            path: Self::place(state, agreement)?,
        };
        if !ledger.path.exists() {
            return Ok(ledger);
        }
        // Not `read_text`: the log may grow beyond the limit of files that come from outside.
        let text = std::fs::read_to_string(&ledger.path)
            .map_err(|error| Problem::io(&ledger.path, error))?;
        let mut whole = text.rfind('\n').map_or(0, |end| end + 1);
        let tail = text.get(whole..).unwrap_or_default();
        if serde_json::from_str::<Entry>(tail).is_ok() {
            whole = text.len();
        }
        for line in text.get(..whole).unwrap_or_default().lines() {
            let entry: Entry = serde_json::from_str(line).map_err(|_| ledger.broken())?;
            if entry.previous != ledger.last || entry.n != ledger.entries.len() as u64 + 1 {
                return Err(ledger.broken());
            }
            ledger.last = digest(line);
            ledger.entries.push(entry);
        }
        if !text.is_empty() && (whole < text.len() || !text.ends_with('\n')) {
            let kept = text.get(..whole).unwrap_or_default().trim_end_matches('\n');
            let end = if kept.is_empty() { "" } else { "\n" };
            files::write_bytes(&ledger.path, format!("{kept}{end}").as_bytes())?;
        }
        Ok(ledger)
    }

    /// Charges a request, or says that it was charged before (`false`). Refuses another request under the
    /// same identifier, and more than the quota.
    pub fn charge(&mut self, event: Event, quota: u64, time: &str) -> Result<bool, Problem> {
        let Event::Request {
            from,
            dataset,
            request,
            content_sha256,
            elements,
            ..
        } = &event
        else {
            return Ok(false);
        };
        for entry in &self.entries {
            // An identifier stands in clear in a header: another sender's use of it is another request.
            if let Event::Request {
                from: sender,
                request: held,
                content_sha256: digest,
                dataset: of,
                elements: count,
            } = &entry.event
                && (sender, held) == (from, request)
            {
                let same = (digest, of, count) == (content_sha256, dataset, elements);
                return if same {
                    Ok(false)
                } else {
                    Err(Refusal::Replay.into())
                };
            }
        }
        let left = quota.saturating_sub(self.used(dataset));
        if *elements > left {
            return Err(Refusal::OverQuota {
                dataset: dataset.clone(),
                found: *elements,
                left,
            }
            .into());
        }
        self.append(event, time)?;
        Ok(true)
    }

    /// Elements charged to a dataset so far.
    pub fn used(&self, name: &str) -> u64 {
        let of = |entry: &Entry| match &entry.event {
            Event::Request {
                dataset, elements, ..
            } if dataset == name => *elements,
            _ => 0,
        };
        self.entries.iter().map(of).fold(0, u64::saturating_add)
    }

    /// All lines.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What last became of the share, if the log says anything of it.
    pub fn share(&self) -> Option<&str> {
        let mut entries = self.entries.iter().rev();
        entries.find_map(|entry| match &entry.event {
            Event::Share { state } if state != BACKED_UP => Some(state.as_str()),
            _ => None,
        })
    }

    /// Whether the share was destroyed.
    pub fn is_destroyed(&self) -> bool {
        self.share()
            .is_some_and(|state| state.starts_with(DESTROYED))
    }

    /// Where the log lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Digest of the last line: what a later reader compares.
    pub fn head(&self) -> &str {
        &self.last
    }

    /// The time for a line that must not fail for its time: now, or that of the last line if that is later.
    pub fn not_before(&self, now: &str) -> String {
        let last = self.entries.last().map_or("", |entry| entry.time.as_str());
        last.max(now).to_owned()
    }

    /// Adds a line and syncs it. Times never run backwards: they are evidence.
    pub fn append(&mut self, event: Event, time: &str) -> Result<(), Problem> {
        let vault = self
            .vault
            .ok_or_else(|| Problem::data("the log was opened for reading", "report this"))?;
        if let Some(last) = self.entries.last().filter(|last| last.time.as_str() > time) {
            return Err(Problem::data(
                format!(
                    "{}: its last line is of {}, and now it is {time}",
                    self.path.display(),
                    last.time
                ),
                "set this machine's clock right; if it is that line's time that is wrong, state a day not before it with --today",
            ));
        }
        let mut entry = Entry {
            n: self.entries.len() as u64 + 1,
            time: time.to_owned(),
            event,
            previous: self.last.clone(),
            mac: String::new(),
        };
        entry.mac = entry.authenticated(vault)?;
        let line = entry.line()?;
        let is_new = !self.path.exists();
        let mut options = File::options();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(&self.path)
            .and_then(|mut file| {
                file.write_all(format!("{line}\n").as_bytes())?;
                file.sync_all()
            })
            .map_err(|error| Problem::io(&self.path, error))?;
        if let Some(folder) = self.path.parent().filter(|_| is_new) {
            files::sync_folder(folder);
        }
        self.last = digest(&line);
        self.entries.push(entry);
        // After the line: a crash between the two leaves a log that is longer than its anchor, which is well.
        self.anchor()
    }

    fn broken(&self) -> Problem {
        self.changed(self.entries.len() as u64 + 1)
    }

    fn changed(&self, line: u64) -> Problem {
        Problem::data(
            format!(
                "{}: line {line} was changed or is missing",
                self.path.display()
            ),
            "keep the file as it is and tell the reviewer; no request is answered until this is clear",
        )
    }
}

impl Entry {
    fn line(&self) -> Result<String, Problem> {
        serde_json::to_string(self).map_err(|e| Problem::data(e.to_string(), "report this"))
    }

    /// HMAC of the line with an empty `mac`.
    fn authenticated(&self, vault: &Vault<'_>) -> Result<String, Problem> {
        let bare = Self {
            mac: String::new(),
            ..self.clone()
        };
        let key = hmac_sha512_key(vault.log_key().expose());
        let mac = hmac_sha512(&key, Label::CustodianLog, &[bare.line()?.as_bytes()]);
        Ok(hex(&mac[..32]))
    }
}

fn digest(line: &str) -> String {
    hex(&labelled_sha256(Label::CustodianLog, &[line.as_bytes()]))
}
