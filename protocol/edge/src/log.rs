//! The matcher's log as files, and what a party has seen of it. In: the exchange folder, headers of verified messages. Out: the
//! published log, checked against its checkpoint; a refusal where two views of it contradict. Invariant: what a party
//! has seen is never replaced by something that does not extend it; without the published log a view is kept and
//! compared later, not forgotten. Specification: protocol/SPEC.md, "Log".

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use hedui_protocol::agreement::Agreement;
use hedui_protocol::header::Header;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::limits::LOG_ENTRIES_MAX;
use hedui_protocol::log::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, Origin};
use hedui_protocol::log::merkle::{self, Hash};
use hedui_protocol::log::tile::{self, BUNDLE_BYTES_MAX, TILE};
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::primitive::{hex, unhex};
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::problem::Problem;

/// A log as it lies in an exchange folder; its checkpoint is signed and its entries lead to it.
pub struct Published {
    /// What the matcher signed last.
    pub checkpoint: Checkpoint,
    /// All entries.
    pub entries: Vec<Entry>,
    leaves: Vec<Hash>,
}

impl Published {
    /// Whether this log begins with what a checkpoint stands for; `None` if the checkpoint is of a later log.
    pub fn extends(&self, earlier: &Checkpoint) -> Option<bool> {
        let size = usize::try_from(earlier.size).ok()?;
        let begin = self.leaves.get(..size)?;
        Some(merkle::root(begin) == earlier.root)
    }

    /// Whether it says this of a message.
    pub fn says(&self, event: Event, header_sha256: &[u8; 32]) -> bool {
        tile::position(&self.entries, event, header_sha256).is_some()
    }
}

/// Folder of the log of an agreement and epoch.
pub fn folder(exchange: &Path, agreement: &Agreement) -> PathBuf {
    let digits: String = agreement.digest().to_hex().chars().take(16).collect();
    let epoch = agreement.epoch().0;
    exchange.join("log").join(format!("{digits}-{epoch}"))
}

/// Reads the published log of an agreement, or `None` if there is none.
///
/// # Errors
/// Refused (27) if a file is missing, not in its form, or does not lead to the signed root.
pub fn read(exchange: &Path, agreement: &Agreement) -> Result<Option<Published>, Problem> {
    let folder = folder(exchange, agreement);
    let path = folder.join("checkpoint");
    if fs::symlink_metadata(&path).is_err() {
        return Ok(None);
    }
    let bad = |path: &Path, why: &str| Problem::refused(path, Refusal::BadLog(why.to_owned()));
    within(&path, CHECKPOINT_BYTES_MAX)?;
    let checkpoint = checkpoint_at(&path, agreement)
        .ok_or_else(|| bad(&path, "it is not a checkpoint that the matcher signed"))?;
    let size = usize::try_from(checkpoint.size)
        .ok()
        .filter(|size| *size <= LOG_ENTRIES_MAX)
        .ok_or_else(|| bad(&path, "it has more entries than a log may have"))?;
    let mut entries = Vec::new();
    for n in 0..size.div_ceil(TILE) {
        let path = folder.join(tile::bundle_path(n, size));
        let bytes = within(&path, BUNDLE_BYTES_MAX)?;
        let count = (size - n * TILE).min(TILE);
        let bundle = tile::read_bundle(&bytes, count)
            .ok_or_else(|| bad(&path, "it is not a bundle of entries"))?;
        entries.extend(bundle);
    }
    let leaves: Vec<Hash> = entries.iter().map(Entry::leaf).collect();
    let once: BTreeSet<&Hash> = leaves.iter().collect();
    if once.len() < leaves.len() {
        return Err(bad(&folder, "an entry stands in it twice"));
    }
    if merkle::root(&leaves) != checkpoint.root {
        return Err(bad(
            &folder,
            "its entries do not lead to the root that the matcher signed",
        ));
    }
    Ok(Some(Published {
        checkpoint,
        entries,
        leaves,
    }))
}

fn checkpoint_at(path: &Path, agreement: &Agreement) -> Option<Checkpoint> {
    let note = within(path, CHECKPOINT_BYTES_MAX).ok()?;
    let note = std::str::from_utf8(&note).ok()?;
    Checkpoint::parse(note, agreement.matcher(), &Origin::of(agreement))
}

/// Every checkpoint that lies with a log, whatever became of its entries: its own and those that witnesses signed.
pub fn signed(exchange: &Path, agreement: &Agreement) -> Vec<Checkpoint> {
    let own = checkpoint_at(&folder(exchange, agreement).join("checkpoint"), agreement);
    let (witnessed, _) = witnessed(exchange, agreement);
    own.into_iter()
        .chain(witnessed.into_iter().map(|w| w.checkpoint))
        .collect()
}

/// Whether the tiles of hashes are those of the entries: other programs read only them.
pub fn tiles_hold(exchange: &Path, agreement: &Agreement, published: &Published) -> bool {
    let folder = folder(exchange, agreement);
    tile::files(&published.entries).iter().all(|file| {
        within(&folder.join(&file.path), BUNDLE_BYTES_MAX).is_ok_and(|bytes| bytes == file.bytes)
    })
}

/// Writes a log and its signed checkpoint; what is there already is left, parts that it outgrew are taken away.
pub fn publish(
    exchange: &Path,
    agreement: &Agreement,
    matcher: &Identity,
    entries: &[Entry],
) -> Result<Checkpoint, Problem> {
    let folder = folder(exchange, agreement);
    let leaves: Vec<Hash> = entries.iter().map(Entry::leaf).collect();
    let origin = Origin::of(agreement);
    let size = entries.len() as u64;
    let checkpoint = Checkpoint::sign(matcher, &origin, size, merkle::root(&leaves));
    let files = tile::files(entries);
    for file in &files {
        put(&folder, &file.path, &file.bytes)?;
    }
    let note = checkpoint.render(matcher.card(), &origin);
    put(&folder, "checkpoint", note.as_bytes())?;
    for file in &files {
        sweep_parts(&folder, &file.path);
    }
    Ok(checkpoint)
}

/// Writes a file of the log if it is not there already. The folder is open to others: what stands in the way, a link above all,
/// is taken away and never followed.
fn put(folder: &Path, path: &str, bytes: &[u8]) -> Result<(), Problem> {
    let (parents, _) = path.rsplit_once('/').unwrap_or(("", path));
    let mut place = PathBuf::from(folder);
    // `log` and the log's own folder are open to others as well.
    for own in [folder.parent(), Some(folder)].into_iter().flatten() {
        own_folder(own)?;
    }
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        place.push(part);
        own_folder(&place)?;
    }
    let target = folder.join(path);
    if within(&target, BUNDLE_BYTES_MAX.max(CHECKPOINT_BYTES_MAX)).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    if is_real(&target, fs::FileType::is_dir) {
        fs::remove_dir_all(&target).map_err(|error| Problem::io(&target, error))?;
    }
    files::deliver_bytes(&target, bytes)
}

/// A folder that is one, not a link to one; made if it is not there.
fn own_folder(path: &Path) -> Result<(), Problem> {
    let wrap = |error| Problem::io(path, error);
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => fs::remove_file(path).map_err(wrap)?,
        Err(_) => {}
    }
    fs::create_dir_all(path).map_err(wrap)
}

/// Whether a path itself is of a kind; a link is neither file nor folder.
fn is_real(path: &Path, kind: impl Fn(&fs::FileType) -> bool) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| kind(&found.file_type()))
}

/// Takes away partial tiles narrower than the one at `path`, and those of a tile that is full now; nothing else.
fn sweep_parts(folder: &Path, path: &str) {
    let (tile, width) = path
        .split_once(".p/")
        .map_or((path, None), |(tile, width)| (tile, Some(width)));
    let parts = folder.join(format!("{tile}.p"));
    if !is_real(&parts, fs::FileType::is_dir) {
        return;
    }
    let is_width = |name: &str| name.parse::<u16>().is_ok_and(|n| usize::from(n) < TILE);
    for entry in fs::read_dir(&parts).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let other = name
            .to_str()
            .is_some_and(|name| is_width(name) && Some(name) != width);
        if other && is_real(&entry.path(), fs::FileType::is_file) {
            let _ = fs::remove_file(entry.path());
        }
    }
    if width.is_none() {
        let _ = fs::remove_dir(&parts);
    }
}

/// Reads a file of the log, at most `allowed` bytes; a pipe, a link or a folder is none.
fn within(path: &Path, allowed: usize) -> Result<Vec<u8>, Problem> {
    if !is_real(path, fs::FileType::is_file) {
        let why = "a file of the log is missing, or is no file".to_owned();
        return Err(Problem::refused(path, Refusal::BadLog(why)));
    }
    let file = fs::File::open(path).map_err(|error| Problem::io(path, error))?;
    let mut bytes = Vec::new();
    file.take(allowed as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::io(path, error))?;
    if bytes.len() > allowed {
        let why = "a file of the log is larger than it may be".to_owned();
        return Err(Problem::refused(path, Refusal::BadLog(why)));
    }
    Ok(bytes)
}

/// A checkpoint in a party's state file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    size: u64,
    root: String,
    signature: String,
}

impl Seen {
    fn new(checkpoint: &Checkpoint) -> Self {
        Self {
            size: checkpoint.size,
            root: hex(&checkpoint.root),
            signature: hex(&checkpoint.signature),
        }
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            size: self.size,
            root: unhex(&self.root)?,
            signature: unhex(&self.signature)?,
        })
    }
}

/// What a party has seen of one log.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct View {
    /// The largest checkpoint that is known to extend all others, and those that could not be compared yet.
    seen: Vec<Seen>,
    /// Whether two of them contradict: nothing more is done under this log.
    fork: bool,
}

/// What a party has seen of logs: one JSON file in its state folder.
pub struct Memory {
    path: PathBuf,
    all: BTreeMap<String, View>,
}

impl Memory {
    /// Opens what is remembered in a state folder.
    pub fn open(state: &Path) -> Result<Self, Problem> {
        let path = state.join("log-seen.json");
        let all = if path.exists() {
            serde_json::from_slice(&files::read_state(&path)?).map_err(|_| {
                Problem::data(
                    format!("{}: the memory of the matcher's log is damaged", path.display()),
                    "restore it from a backup; without one a changed log of the past goes unnoticed here: delete it and tell the reviewer",
                )
            })?
        } else {
            BTreeMap::new()
        };
        Ok(Self { path, all })
    }

    fn key(agreement: &Agreement) -> String {
        format!("{}/{}", agreement.digest().to_hex(), agreement.epoch().0)
    }

    fn seen(&self, agreement: &Agreement) -> Vec<Checkpoint> {
        let seen = self.all.get(&Self::key(agreement));
        seen.into_iter()
            .flat_map(|view| &view.seen)
            .filter_map(Seen::checkpoint)
            .collect()
    }

    /// All checkpoints that are remembered of a log.
    pub fn all(&self, agreement: &Agreement) -> Vec<Checkpoint> {
        self.seen(agreement)
    }

    /// The largest checkpoint seen, for the next header.
    ///
    /// # Errors
    /// Refused (27) once two checkpoints contradicted each other.
    pub fn last(&self, agreement: &Agreement) -> Result<Option<Checkpoint>, Problem> {
        self.still_one(agreement)?;
        Ok(self.seen(agreement).into_iter().max_by_key(|c| c.size))
    }

    fn still_one(&self, agreement: &Agreement) -> Result<(), Problem> {
        let view = self.all.get(&Self::key(agreement));
        if view.is_some_and(|view| view.fork) {
            let why = format!(
                "it signed two logs that are not one; the proof: {}",
                self.evidence_path(agreement).display()
            );
            return Err(Problem::from(Refusal::BadLog(why)));
        }
        Ok(())
    }

    /// Adds a verified checkpoint, after comparing it with all others and with the published log as far as it is there.
    ///
    /// # Errors
    /// Refused (27) if the matcher signed two logs of which neither extends the other; both checkpoints are kept.
    pub fn notice(
        &mut self,
        exchange: &Path,
        agreement: &Agreement,
        found: &Checkpoint,
    ) -> Result<(), Problem> {
        self.still_one(agreement)?;
        let mut seen = self.seen(agreement);
        if seen.contains(found) && seen.len() == 1 {
            return Ok(());
        }
        if !seen.contains(found) {
            seen.push(*found);
        }
        // A broken published log is the reviewer's finding; here it only means that nothing can be compared yet.
        let published = read(exchange, agreement).ok().flatten();
        let fork = two_roots(&seen).or_else(|| {
            let published = published.as_ref()?;
            let other = seen.iter().find(|c| published.extends(c) == Some(false))?;
            Some((*other, published.checkpoint))
        });
        if let Some(pair) = fork {
            for one in [pair.0, pair.1] {
                if !seen.contains(&one) {
                    seen.push(one);
                }
            }
            self.evidence(agreement, &pair, published.as_ref())?;
            self.keep(agreement, &seen, true)?;
            return self.still_one(agreement);
        }
        if let Some(published) = published
            && seen.iter().all(|c| published.extends(c) == Some(true))
        {
            let largest = seen.iter().max_by_key(|c| c.size).copied();
            seen = largest.into_iter().collect();
        }
        self.keep(agreement, &seen, false)
    }

    /// The matcher's own: what it has published, which it knows to extend everything before.
    pub fn own(&mut self, agreement: &Agreement, checkpoint: &Checkpoint) -> Result<(), Problem> {
        if self.seen(agreement) == [*checkpoint] {
            return Ok(());
        }
        self.keep(agreement, &[*checkpoint], false)
    }

    fn keep(
        &mut self,
        agreement: &Agreement,
        seen: &[Checkpoint],
        fork: bool,
    ) -> Result<(), Problem> {
        let seen = seen.iter().map(Seen::new).collect();
        self.all.insert(Self::key(agreement), View { seen, fork });
        let json = serde_json::to_vec_pretty(&self.all)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        files::write_bytes(&self.path, &json)
    }

    fn evidence_path(&self, agreement: &Agreement) -> PathBuf {
        let digits: String = agreement.digest().to_hex().chars().take(16).collect();
        let name = format!("log-fork-{digits}-{}.txt", agreement.epoch().0);
        self.path.with_file_name(name)
    }

    /// Writes both checkpoints down as notes that anybody can verify, and the entries that were published: with them two checkpoints of
    /// unequal sizes contradict each other as well.
    fn evidence(
        &self,
        agreement: &Agreement,
        pair: &(Checkpoint, Checkpoint),
        published: Option<&Published>,
    ) -> Result<(), Problem> {
        let (origin, matcher) = (Origin::of(agreement), agreement.matcher());
        let mut text = [pair.0, pair.1]
            .map(|c| c.render(matcher, &origin))
            .join("\n");
        for entry in published.iter().flat_map(|published| &published.entries) {
            text += "\n";
            text += &entry.render();
        }
        files::write_bytes(&self.evidence_path(agreement), text.as_bytes())
    }
}

/// Two checkpoints of one size with two roots.
fn two_roots(seen: &[Checkpoint]) -> Option<(Checkpoint, Checkpoint)> {
    seen.iter().enumerate().find_map(|(n, one)| {
        let other = seen[n + 1..]
            .iter()
            .find(|c| c.size == one.size && c.root != one.root)?;
        Some((*one, *other))
    })
}

/// Takes note of the checkpoint in the header of a verified message.
pub fn notice(
    state: &Path,
    exchange: &Path,
    agreement: &Agreement,
    header: &Header,
) -> Result<(), Problem> {
    match &header.log {
        Some(found) => Memory::open(state)?.notice(exchange, agreement, found),
        None => Ok(()),
    }
}

/// A witness's signature, as it lies beside the log.
pub struct Witnessed {
    /// Who.
    pub witness: Name,
    /// What it has seen; signed by the matcher.
    pub checkpoint: Checkpoint,
    /// When, in seconds since 1970; a claim of the witness.
    pub time: u64,
}

/// Compares the published log with what this party has seen, and signs its checkpoint; where the note was written.
pub fn witness(
    state: &Path,
    exchange: &Path,
    agreement: &Agreement,
    identity: &Identity,
    time: u64,
) -> Result<(PathBuf, Checkpoint), Problem> {
    let published = read(exchange, agreement)?.ok_or_else(|| {
        Problem::not_yet(
            format!("{}: there is no log yet", exchange.display()),
            "the matcher writes it with `hedui-matcher intake`; copy its folder `log` with the files",
        )
    })?;
    let mut memory = Memory::open(state)?;
    let last = memory.last(agreement)?;
    if let Some(last) = last.filter(|last| last.size > published.checkpoint.size) {
        let why = format!(
            "this party has seen {} entries, published are {}",
            last.size, published.checkpoint.size
        );
        return Err(Problem::from(Refusal::BadLog(why)));
    }
    memory.notice(exchange, agreement, &published.checkpoint)?;
    let (origin, matcher) = (Origin::of(agreement), agreement.matcher());
    let checkpoint = published.checkpoint;
    let note = checkpoint.render(matcher, &origin) + &checkpoint.cosign(identity, &origin, time);
    let name = identity.card().name.as_str();
    let path = folder(exchange, agreement).join("witness").join(name);
    files::deliver_bytes(&path, note.as_bytes())?;
    Ok((path, checkpoint))
}

/// What witnesses have signed; and the files that are no witness's note of this log.
pub fn witnessed(exchange: &Path, agreement: &Agreement) -> (Vec<Witnessed>, Vec<PathBuf>) {
    let origin = Origin::of(agreement);
    let parse = |path: &Path| -> Option<Witnessed> {
        let note = String::from_utf8(within(path, CHECKPOINT_BYTES_MAX).ok()?).ok()?;
        let witness = Name::new(path.file_name()?.to_str()?)?;
        let checkpoint = Checkpoint::parse(&note, agreement.matcher(), &origin)?;
        let card = agreement
            .card(&witness)
            .filter(|card| *card != agreement.matcher())?;
        let time = checkpoint.cosigned(&note, card, &origin)?;
        Some(Witnessed {
            witness,
            checkpoint,
            time,
        })
    };
    let entries = fs::read_dir(folder(exchange, agreement).join("witness"));
    let mut paths: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !path.to_string_lossy().ends_with(".part"))
        .collect();
    paths.sort();
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        match parse(&path) {
            Some(witnessed) => found.push(witnessed),
            None => bad.push(path),
        }
    }
    (found, bad)
}
