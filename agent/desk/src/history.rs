//! The history on disk. In: signed events. Out: the same, in order, whole. Invariant: one SQLite file to which rows are
//! only added; every row's hash covers the row before it and is signed by the user who did it; what was acknowledged
//! survives a crash. Several processes may use one desk: a writer reads what others added before it judges.
//! Specification: docs/DESK.md, "History" (chain: SHA-256; signature: Ed25519, RFC 8032).

use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::identity::{Identity, PartyCard};
use hedui_protocol::ids::Name;
use hedui_protocol::label::Label;
use hedui_protocol::primitive::{hex, labelled_sha256, unhex};
use rusqlite::{Connection, OpenFlags};

use crate::book::Book;
use crate::event::{Body, Event};
use crate::refused::Refused;

/// Name of the file in the desk's folder.
const FILE: &str = "desk.sqlite";
/// "HdDk": what `file` and this program know the file by.
const APPLICATION_ID: i64 = 0x4864_446b;
/// Fewest hexadecimal digits by which an entry is named.
pub const HEAD_DIGITS_MIN: usize = 16;
/// Version of the tables.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    body TEXT NOT NULL,
    hash BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE TRIGGER no_change BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER no_removal BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
";

/// A desk: its history and what it adds up to.
pub struct Desk {
    db: Connection,
    path: PathBuf,
    /// What the history adds up to.
    pub book: Book,
    head: [u8; 32],
    /// Hash of every entry, in order.
    hashes: Vec<[u8; 32]>,
}

/// A user who acts: the key, and the time.
pub struct Actor {
    /// Key.
    pub identity: Identity,
    /// Local time with its offset, RFC 3339, whole seconds.
    pub now: String,
}

impl Desk {
    /// Makes the file of a new desk.
    pub fn create(folder: &Path) -> Result<Self, Problem> {
        let path = folder.join(FILE);
        if path.exists() {
            return Err(Problem::data(
                format!("{} 已存在 exists already", path.display()),
                "换一个文件夹，或直接使用已有台账 choose another --desk, or use the one that is there",
            ));
        }
        files::private_folder(folder)?;
        // The tables appear with the file or not at all.
        let part = folder.join("desk.sqlite.part");
        let _ = std::fs::remove_file(&part);
        {
            let db = connect(
                &part,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            )?;
            let make = || -> rusqlite::Result<()> {
                db.pragma_update(None, "application_id", APPLICATION_ID)?;
                db.pragma_update(None, "user_version", VERSION)?;
                db.execute_batch(TABLES)
            };
            make().map_err(|error| failed(&part, &error))?;
        }
        restrict(&part)?;
        std::fs::rename(&part, &path).map_err(|error| Problem::io(&path, error))?;
        files::sync_folder(folder);
        Self::open(folder)
    }

    /// Opens a desk and replays its history: chain, rules and every signature.
    pub fn open(folder: &Path) -> Result<Self, Problem> {
        let path = folder.join(FILE);
        // Whoever may not look into the folder is told so, and not that nothing is there.
        let is_there = path.try_exists();
        if !is_there.map_err(|error| Problem::io(&path, error))? {
            return Err(Problem::not_yet(
                format!("{}: 尚未建立台账 there is no desk here", folder.display()),
                "先用 `hedui-desk new` 建立 make it with `hedui-desk new`",
            ));
        }
        let db = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let pragma = |name: &str| -> Result<i64, Problem> {
            db.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
                .map_err(|error| failed(&path, &error))
        };
        if pragma("application_id")? != APPLICATION_ID || pragma("user_version")? != VERSION {
            return Err(Problem::data(
                format!(
                    "{}: 不是本版本的台账 is no desk of this version",
                    path.display()
                ),
                "请核对 --desk check --desk",
            ));
        }
        let mut desk = Self {
            db,
            path,
            book: Book::new()?,
            head: [0; 32],
            hashes: Vec::new(),
        };
        desk.catch_up()?;
        Ok(desk)
    }

    /// Position and hash of the last event, as it is printed on reports.
    pub fn head(&self) -> (u64, String) {
        (self.book.seq(), hex(&self.head))
    }

    /// Whether the history holds an entry whose hash begins like this; at least the sixteen digits that reports print.
    pub fn holds(&self, head: &str) -> bool {
        head.len() >= HEAD_DIGITS_MIN && self.hashes.iter().any(|hash| hex(hash).starts_with(head))
    }

    /// Hash of the first entry, which names this desk and its first user's key.
    pub fn origin(&self) -> String {
        self.hashes
            .first()
            .map(|hash| hex(hash))
            .unwrap_or_default()
    }

    /// Every event, for the history of a case.
    pub fn events(&self, wanted: &[u64]) -> Result<Vec<Event>, Problem> {
        let mut found = Vec::with_capacity(wanted.len());
        let wrap = |error: rusqlite::Error| failed(&self.path, &error);
        let mut query = self
            .db
            .prepare("SELECT at, by, body FROM event WHERE seq = ?1")
            .map_err(wrap)?;
        for seq in wanted {
            let row: (String, String, String) = query
                .query_row([*seq as i64], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .map_err(wrap)?;
            found.push(event_of(&self.path, *seq, row)?);
        }
        Ok(found)
    }

    /// Does things in one transaction: all that `work` records, or nothing. `work` judges what it wants through
    /// [`Session::act`], which refuses single things without ending the session.
    pub fn session<T>(
        &mut self,
        actor: &Actor,
        work: impl FnOnce(&mut Session<'_>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let path = self.path.clone();
        let wrap = |error: rusqlite::Error| failed(&path, &error);
        // Another process may have added something since this one read the history.
        self.db.execute_batch("BEGIN IMMEDIATE").map_err(wrap)?;
        let outcome = self.catch_up().and_then(|()| {
            let mut session = Session { desk: self, actor };
            work(&mut session)
        });
        if outcome.is_ok() {
            self.db.execute_batch("COMMIT").map_err(wrap)?;
        } else {
            self.db.execute_batch("ROLLBACK").map_err(wrap)?;
            // What was judged along the way never happened.
            let folder = path.parent().unwrap_or(Path::new("."));
            *self = Self::open(folder)?;
        }
        outcome
    }

    /// Reads and applies what the file holds beyond what this process knows.
    fn catch_up(&mut self) -> Result<(), Problem> {
        let wrap = |error: rusqlite::Error| failed(&self.path, &error);
        let mut query = self
            .db
            .prepare(
                "SELECT seq, at, by, body, hash, signature FROM event WHERE seq > ?1 ORDER BY seq",
            )
            .map_err(wrap)?;
        let mut rows = query.query([self.book.seq() as i64]).map_err(wrap)?;
        while let Some(row) = rows.next().map_err(wrap)? {
            let get = |at| row.get::<_, String>(at).map_err(wrap);
            let seq: i64 = row.get(0).map_err(wrap)?;
            let seq = u64::try_from(seq).unwrap_or(0);
            let (at, by, body) = (get(1)?, get(2)?, get(3)?);
            let hash: [u8; 32] = row.get(4).map_err(wrap)?;
            let signature: [u8; 64] = row.get(5).map_err(wrap)?;
            if hash != hash_of(&self.head, seq, &at, &by, &body) {
                return Err(damaged(
                    &self.path,
                    seq,
                    "与前一条不衔接 it does not follow the one before",
                ));
            }
            let event = event_of(&self.path, seq, (at, by, body))?;
            self.book
                .apply(&event)
                .map_err(|refused| damaged(&self.path, seq, &refused.what))?;
            if !is_signed(&self.book, &event.by, &hash, &signature) {
                return Err(damaged(
                    &self.path,
                    seq,
                    "签名不符 its signature does not hold",
                ));
            }
            self.hashes.push(hash);
            self.head = hash;
        }
        Ok(())
    }
}

/// A transaction of one user.
pub struct Session<'a> {
    desk: &'a mut Desk,
    actor: &'a Actor,
}

impl Session<'_> {
    /// What the history adds up to, this session included.
    pub fn book(&self) -> &Book {
        &self.desk.book
    }

    /// Entries of the history, for what must be judged by them.
    pub fn events(&self, wanted: &[u64]) -> Result<Vec<Event>, Problem> {
        self.desk.events(wanted)
    }

    /// Records one thing, if the rules allow it.
    pub fn act(&mut self, body: Body) -> Result<Result<(), Refused>, Problem> {
        let event = Event {
            seq: self.desk.book.seq() + 1,
            at: self.actor.now.clone(),
            by: self.actor.identity.card().name.clone(),
            body,
        };
        if let Err(refused) = self.desk.book.apply(&event) {
            return Ok(Err(refused));
        }
        let body = serde_json::to_string(&event.body)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        let hash = hash_of(
            &self.desk.head,
            event.seq,
            &event.at,
            event.by.as_str(),
            &body,
        );
        let signature = self.actor.identity.sign(&signed_bytes(&hash));
        self.desk
            .db
            .prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .and_then(|mut insert| {
                insert.execute(rusqlite::params![
                    event.seq as i64,
                    event.at,
                    event.by.as_str(),
                    body,
                    hash,
                    signature
                ])
            })
            .map_err(|error| failed(&self.desk.path, &error))?;
        // A key that is not the user's would leave an entry that nobody can open again.
        if !is_signed(&self.desk.book, &event.by, &hash, &signature) {
            return Err(Problem::data(
                format!(
                    "{}: 密钥不是台账登记的密钥 the key is not the one that the desk knows",
                    event.by
                ),
                "请恢复此用户原来的 users 文件夹 restore this user's own folder under users/",
            ));
        }
        self.desk.head = hash;
        self.desk.hashes.push(hash);
        Ok(Ok(()))
    }

    /// Records one thing or ends the session.
    pub fn must(&mut self, body: Body) -> Result<(), Problem> {
        self.act(body)?.map_err(Problem::from)
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Problem> {
    let wrap = |error: rusqlite::Error| failed(path, &error);
    let db = Connection::open_with_flags(path, flags).map_err(wrap)?;
    db.busy_timeout(std::time::Duration::from_secs(20))
        .map_err(wrap)?;
    db.pragma_update(None, "synchronous", "FULL")
        .map_err(wrap)?;
    Ok(db)
}

fn restrict(path: &Path) -> Result<(), Problem> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(|error| Problem::io(path, error))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// `SHA-256("HEDUI1/desk-event" ‖ 0 ‖ previous ‖ seq ‖ LF ‖ at ‖ LF ‖ by ‖ LF ‖ body)`; none of the parts but the
/// body, which is last, can hold a line feed.
fn hash_of(previous: &[u8; 32], seq: u64, at: &str, by: &str, body: &str) -> [u8; 32] {
    let line = format!("{seq}\n{at}\n{by}\n{body}");
    labelled_sha256(Label::DeskEvent, &[previous, line.as_bytes()])
}

/// Whether an entry is signed with the key of the user who did it.
fn is_signed(book: &Book, by: &Name, hash: &[u8; 32], signature: &[u8; 64]) -> bool {
    let card = book.users.get(by).and_then(|member| {
        Some(PartyCard {
            name: member.user.name.clone(),
            sign: unhex(&member.user.sign)?,
            seal: [0; 32],
        })
    });
    card.is_some_and(|card| card.verify(&signed_bytes(hash), signature))
}

/// `"HEDUI1/desk-event" ‖ 0 ‖ hash`: what a user signs.
fn signed_bytes(hash: &[u8; 32]) -> Vec<u8> {
    [Label::DeskEvent.bytes(), &[0], hash].concat()
}

fn event_of(
    path: &Path,
    seq: u64,
    (at, by, body): (String, String, String),
) -> Result<Event, Problem> {
    let body = serde_json::from_str(&body)
        .map_err(|_| damaged(path, seq, "内容无法读取 it cannot be read by this version"))?;
    let by = Name::new(&by).ok_or_else(|| damaged(path, seq, "人员名有误 its user is no name"))?;
    Ok(Event { seq, at, by, body })
}

fn damaged(path: &Path, seq: u64, why: &str) -> Problem {
    Problem::data(
        format!(
            "{}: 台账第 {seq} 条 entry {seq} of the history: {why}",
            path.display()
        ),
        "台账被改动或损坏，请保留原件并从备份恢复 the history was changed or damaged: keep it as it is and restore a backup",
    )
}

fn failed(path: &Path, error: &rusqlite::Error) -> Problem {
    let busy = error
        .sqlite_error_code()
        .is_some_and(|code| code == rusqlite::ErrorCode::DatabaseBusy);
    if busy {
        return Problem::not_yet(
            format!(
                "{}: 另一人正在使用 somebody else is writing",
                path.display()
            ),
            "稍后重新执行同一命令 run the same command again",
        );
    }
    // SQLite's messages name tables and reasons, never values.
    Problem::data(
        format!("{}: {error}", path.display()),
        "请检查磁盘空间和文件权限 check the disk and who owns the file",
    )
}
