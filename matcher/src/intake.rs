//! Intake: envelope → accepted tables → receipt. In: sealed files. Out: segments, a ledger entry, a
//! receipt. Invariant: every check comes before anything is kept; tables appear under their final name
//! in one rename, the ledger entry follows, the receipt last, so a crash at any point loses nothing that
//! was acknowledged. Specification: protocol/SPEC.md, "Matcher".

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hedui_edge::clock::Clock;
use hedui_edge::exchange::{self, Draft};
use hedui_edge::{Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Name, RequestId};
use hedui_protocol::message::receipt::Receipt;
use hedui_protocol::message::submission::{Manifest, PRESENCE, PRESENCE_ROW_BYTES};
use hedui_protocol::message::{Layout, Table, manifest_bytes, manifest_len, parse_manifest};
use hedui_protocol::primitive::{hex, sha256, unhex};
use hedui_protocol::refusal::Refusal;
use hedui_protocol::secret::Secret;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::changes;
use crate::ledger::Ledger;
use crate::log::Log;
use crate::segment;

/// Folders of a matcher's state.
pub struct State {
    /// The whole folder.
    pub folder: PathBuf,
    /// Whether only what was is computed again: nothing is sent, asked, logged or published.
    replay: bool,
    ledger: OnceCell<Ledger>,
    _guard: Option<files::Guard>,
}

impl State {
    /// Opens or creates the state folder for one process and clears what a killed one left half-done.
    pub fn open(folder: PathBuf) -> Result<Self, Problem> {
        let guard = files::guard(&folder)?;
        let state = Self {
            folder,
            replay: false,
            ledger: OnceCell::new(),
            _guard: Some(guard),
        };
        for path in [
            state.folder.clone(),
            state.segments(),
            state.runs(),
            state.work(),
        ] {
            files::private_folder(&path)?;
        }
        files::sweep(&state.work());
        Ok(state)
    }

    /// The state folder as another process may be working in it: to look, not to write.
    pub fn look(folder: PathBuf) -> Self {
        Self {
            folder,
            replay: false,
            ledger: OnceCell::new(),
            _guard: None,
        }
    }

    /// A state in which something is computed again, that leaves no signature behind.
    pub fn for_replay(folder: PathBuf) -> Result<Self, Problem> {
        let mut state = Self::open(folder)?;
        state.replay = true;
        Ok(state)
    }

    /// Whether this is one.
    pub fn is_replay(&self) -> bool {
        self.replay
    }

    /// Accepted tables, one folder per submission.
    pub fn segments(&self) -> PathBuf {
        self.folder.join("segments")
    }

    /// Runs, one folder per plan.
    pub fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// Temporary files.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The ledger; opened once, because opening and closing write to the disk.
    pub fn ledger(&self) -> Result<&Ledger, Problem> {
        if let Some(ledger) = self.ledger.get() {
            return Ok(ledger);
        }
        let ledger = Ledger::open(&self.folder.join("ledger.sqlite"))?;
        Ok(self.ledger.get_or_init(|| ledger))
    }
}

/// What intake needs.
pub struct Intake<'a> {
    /// The matcher.
    pub identity: &'a Identity,
    /// Agreement in force.
    pub agreement: &'a InForce,
    /// State folders.
    pub state: &'a State,
    /// Ledger.
    pub ledger: &'a Ledger,
    /// Folder for receipts.
    pub exchange: &'a Path,
    /// Clock.
    pub clock: &'a Clock,
    /// Time of the command.
    pub now: String,
}

impl Intake<'_> {
    /// Accepts one file, or refuses it and keeps nothing.
    pub fn accept(&self, path: &Path) -> Result<Manifest, Problem> {
        let me = self.identity.card();
        let kinds = [MessageType::Submission];
        let mut verified = exchange::verify(path, self.agreement, me, &kinds)?;
        let at = |problem: Problem| problem.at(path);
        let digest = verified.header_digest();
        self.ledger
            .check_new(verified.header(), &digest)
            .map_err(at)?;
        self.log().compare(verified.header()).map_err(at)?;
        let opened = files::temporary(&self.state.work())?;
        let wrap = |error| Problem::io(&self.state.folder, error);
        {
            let mut writer = BufWriter::with_capacity(1 << 20, opened.as_file());
            verified
                .open(self.identity, &mut writer)
                .map_err(|e| Problem::envelope(path, e))?;
            writer.flush().map_err(wrap)?;
        }
        let header = verified.header().clone();
        let mut body = BufReader::with_capacity(1 << 20, opened.reopen().map_err(wrap)?);
        let (manifest, layout) = self.read_manifest(&mut body, &header).map_err(at)?;
        self.ledger.check_order(&header, &manifest).map_err(at)?;
        let base = self.base(&header, &manifest).map_err(at)?;
        let receipt = self.receipt(&header, &digest, &manifest)?;
        self.keep(&mut body, &layout, &digest, (&receipt, base.as_deref()))
            .map_err(at)?;
        self.ledger.accept(
            self.agreement,
            &header,
            &digest,
            &manifest,
            &self.clock.now(),
        )?;
        self.send_receipts()?;
        Ok(manifest)
    }

    /// The matcher's log.
    pub fn log(&self) -> Log<'_> {
        Log {
            identity: self.identity,
            agreement: self.agreement,
            state: self.state,
            exchange: self.exchange,
            ledger: self.ledger,
            now: &self.now,
        }
    }

    /// Sends every receipt that is owed, also those that an earlier process did not come to. The log as it then stands is
    /// published before the next message, or by the caller.
    pub fn send_receipts(&self) -> Result<(), Problem> {
        if self.state.is_replay() {
            return Ok(());
        }
        for header_sha256 in self.ledger.without_receipt(self.agreement)? {
            let path = self.state.segments().join(&header_sha256).join(RECEIPT);
            let owed: Owed = serde_json::from_slice(&files::read_small(&path)?)
                .map_err(|error| Problem::refused(&path, Refusal::malformed("receipt", error)))?;
            self.log().publish()?;
            let sent = self.send_receipt(owed)?;
            self.ledger
                .receipted(self.agreement, &header_sha256, &sent)?;
        }
        Ok(())
    }

    fn read_manifest(
        &self,
        body: &mut BufReader<File>,
        header: &Header,
    ) -> Result<(Manifest, Layout), Problem> {
        let wrap = |error| Problem::io(&self.state.folder, error);
        let short = || Refusal::malformed("submission", "its body is too short");
        if header.body_bytes < 4 {
            return Err(short().into());
        }
        let mut prefix = [0; 4];
        body.read_exact(&mut prefix).map_err(wrap)?;
        let len = manifest_len(prefix)?;
        if header.body_bytes < 4 + len as u64 {
            return Err(short().into());
        }
        let mut json = vec![0; len];
        body.read_exact(&mut json).map_err(wrap)?;
        let manifest: Manifest = parse_manifest("submission", &json)?;
        let sender = &header.from.0;
        let layout = manifest.check(self.agreement, sender, len as u64, header.body_bytes)?;
        Ok((manifest, layout))
    }

    /// Writes the tables into a folder of their own and renames it into place.
    fn keep(
        &self,
        body: &mut BufReader<File>,
        layout: &Layout,
        digest: &[u8; 32],
        (receipt, base): (&[u8], Option<&Path>),
    ) -> Result<(), Problem> {
        let wrap = |error| Problem::io(&self.state.folder, error);
        let target = self.state.segments().join(hex(digest));
        // Without a ledger entry a folder is what a crash left behind.
        for stale in [&target, &target.with_extension("part")] {
            if stale.exists() {
                fs::remove_dir_all(stale).map_err(wrap)?;
            }
        }
        let part = target.with_extension("part");
        files::private_folder(&part)?;
        let filled = self.fill(&part, body, layout, base).and_then(|()| {
            let path = part.join(RECEIPT);
            files::write_unseen(&path, |out| {
                out.write_all(receipt)
                    .map_err(|error| Problem::io(&path, error))
            })?;
            files::settle(&part)
        });
        if let Err(problem) = filled {
            // Nothing of a refused file stays.
            let _ = fs::remove_dir_all(&part);
            return Err(problem);
        }
        fs::rename(&part, &target).map_err(wrap)?;
        // The ledger may name the folder only once its name survives a power cut.
        files::sync_folder(&self.state.segments());
        Ok(())
    }

    /// Writes the tables into a folder, checked as they come.
    fn fill(
        &self,
        part: &Path,
        body: &mut BufReader<File>,
        layout: &Layout,
        base: Option<&Path>,
    ) -> Result<(), Problem> {
        let wrap = |error| Problem::io(&self.state.folder, error);
        let tables = Tables {
            folder: part,
            work: &self.state.work(),
            pepper: self.identity.local_key(&[b"pepper"]),
            multiplicity_cap: self.agreement.text().multiplicity_cap,
        };
        let mut small = Vec::new();
        let mut room = SIDE_BY_SIDE_BYTES;
        for (table, offset) in &layout.tables {
            body.seek(SeekFrom::Start(*offset)).map_err(wrap)?;
            let bytes = table.rows.saturating_mul(u64::from(table.width));
            if bytes > room {
                tables.fill(table, body)?;
                continue;
            }
            room -= bytes;
            let mut held = vec![0; usize::try_from(bytes).unwrap_or(0)];
            body.read_exact(&mut held).map_err(wrap)?;
            small.push((table, held));
        }
        let filled: Vec<Result<(), Problem>> = small
            .par_iter()
            .map(|(table, held)| tables.fill(table, &mut &held[..]))
            .collect();
        // Of several faults the first in the delivery's order is the reason, whatever the threads did.
        filled.into_iter().collect::<Result<(), _>>()?;
        match base {
            Some(base) => changes::check(base, part, self.agreement),
            None => Ok(()),
        }
    }

    /// Folder of the delivery that a submission changes, if it is not whole: here, the sender's, and of the size that these
    /// changes need.
    fn base(&self, header: &Header, manifest: &Manifest) -> Result<Option<PathBuf>, Problem> {
        let Some(base) = manifest.base() else {
            return Ok(None);
        };
        if !self.ledger.is_base(header, manifest)? {
            return Err(Refusal::MissingBase.into());
        }
        let folder = self.state.segments().join(hex(&base));
        let presence = folder.join(PRESENCE);
        let meta = fs::metadata(&presence).map_err(|error| Problem::io(&presence, error))?;
        manifest.changed_rows(self.agreement, meta.len() / PRESENCE_ROW_BYTES as u64)?;
        Ok(Some(folder))
    }

    fn receipt(
        &self,
        header: &Header,
        digest: &[u8; 32],
        manifest: &Manifest,
    ) -> Result<Vec<u8>, Problem> {
        let owed = Owed {
            to: header.from.0.clone(),
            in_reply_to: header.request.to_hex(),
            receipt: Kept {
                dataset: manifest.dataset.clone(),
                register: manifest.register.clone(),
                header_sha256: hex(digest),
                seq: header.seq,
                tables: manifest.tables.clone(),
                delete_after: self.clock.after(self.agreement.text().retention_days),
            },
        };
        serde_json::to_vec(&owed).map_err(|error| Problem::data(error.to_string(), "report this"))
    }

    /// Sends a receipt; the digest of its header.
    fn send_receipt(&self, owed: Owed) -> Result<[u8; 32], Problem> {
        let kept = owed.receipt;
        let accepted = unhex(&kept.header_sha256)
            .ok_or_else(|| Problem::from(Refusal::malformed("receipt", "its digest")))?;
        let receipt = Receipt {
            log: self.log().proof(&accepted)?,
            dataset: kept.dataset,
            register: kept.register,
            header_sha256: kept.header_sha256,
            seq: kept.seq,
            tables: kept.tables,
            delete_after: kept.delete_after,
        };
        let body = manifest_bytes(&receipt)?;
        let unknown = || Problem::from(Refusal::UnknownSender(owed.to.to_string()));
        let about = format!("{}-for-{}", receipt.dataset, receipt.register);
        let draft = Draft {
            kind: MessageType::Receipt,
            to: self.agreement.card(&owed.to).ok_or_else(unknown)?,
            about: &about,
            content: sha256(&[&body]),
            in_reply_to: RequestId::from_hex(&owed.in_reply_to),
        };
        let folders = (self.state.folder.as_path(), self.exchange);
        let len = body.len() as u64;
        let mut body = std::io::Cursor::new(&body[..]);
        let sent = exchange::send(
            self.identity,
            self.agreement,
            folders,
            self.clock,
            &draft,
            &mut body,
            len,
        )?;
        Ok(sent.header_sha256)
    }
}

/// Most bytes of a delivery's smaller tables that are held at once, to be written side by side.
const SIDE_BY_SIDE_BYTES: u64 = 16 << 20;
/// File in a submission's folder that holds its receipt.
const RECEIPT: &str = "receipt.json";

/// The day after which a submission's tables are deleted, as its receipt promises.
pub fn delete_after(folder: &Path) -> Result<String, Problem> {
    let path = folder.join(RECEIPT);
    let owed: Owed = serde_json::from_slice(&files::read_small(&path)?)
        .map_err(|error| Problem::refused(&path, Refusal::malformed("receipt", error)))?;
    Ok(owed.receipt.delete_after)
}

/// A receipt with its address, kept with the tables until it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owed {
    to: Name,
    in_reply_to: String,
    receipt: Kept,
}

/// What of a receipt is known before its submission stands in the log.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    dataset: Name,
    register: Name,
    header_sha256: String,
    seq: u64,
    tables: Vec<Table>,
    delete_after: String,
}

/// Where the tables of one delivery go, and how.
struct Tables<'a> {
    folder: &'a Path,
    work: &'a Path,
    pepper: Secret<32>,
    multiplicity_cap: u32,
}

impl Tables<'_> {
    /// Writes one table, checked as it comes.
    fn fill(&self, table: &Table, rows: &mut impl Read) -> Result<(), Problem> {
        let path = self.folder.join(&table.name);
        if !table.name.starts_with("tag-") {
            return keep_sorted(&path, rows, table.rows, table.width as usize);
        }
        let bounds = (self.work, self.multiplicity_cap);
        segment::build(&path, rows, table.rows, &self.pepper, bounds)?;
        Ok(())
    }
}

/// Copies a table whose rows begin with a handle; they must be sorted and unlike each other.
fn keep_sorted(path: &Path, body: &mut impl Read, rows: u64, width: usize) -> Result<(), Problem> {
    files::write_unseen(path, |out| {
        let wrap = |error| Problem::io(path, error);
        let mut row = vec![0; width];
        let mut last: Option<[u8; 16]> = None;
        for _ in 0..rows {
            body.read_exact(&mut row).map_err(wrap)?;
            let handle = row.first_chunk::<16>().copied().unwrap_or_default();
            if last.is_some_and(|last| last >= handle) {
                return Err(
                    Refusal::malformed("submission", "a table is not sorted by handle").into(),
                );
            }
            last = Some(handle);
            out.write_all(&row).map_err(wrap)?;
        }
        Ok(())
    })
}
