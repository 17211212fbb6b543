//! The intake ledger: one SQLite file. In: verified headers. Out: whether they are new, and what is in
//! force per dataset. Invariant: an entry is written after its tables are in place and before anything
//! is acknowledged; uniqueness is the database's, not the caller's.
//! Specification: protocol/SPEC.md, "Matcher".

use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::header::Header;
use hedui_protocol::limits::LOG_ENTRIES_MAX;
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::message::submission::Manifest;
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;
use rusqlite::{Connection, OptionalExtension, params};

/// An accepted submission.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// SHA-256 of its header, hexadecimal; names its folder.
    pub header_sha256: String,
    /// Dataset that was encoded.
    pub dataset: String,
    /// Register in whose context.
    pub register: String,
    /// Day for which the data hold.
    pub as_of: String,
    /// Check value of the kit under which the tags were made.
    pub kit_check: String,
    /// What the owner says of its canaries, for the roll's owner.
    pub canary: String,
    /// The owner's name of the data.
    pub snapshot: String,
    /// Header digest of the whole delivery that it changes, if it is not whole.
    pub base: Option<String>,
}

/// An accepted delivery, superseded and purged ones too.
pub struct Delivery {
    /// Dataset that was encoded.
    pub dataset: String,
    /// Register in whose context.
    pub register: String,
    /// When it was accepted, UTC.
    pub accepted: String,
    /// Day for which the data hold.
    pub as_of: String,
}

impl Delivery {
    /// Day on which it was accepted.
    pub fn day(&self) -> &str {
        self.accepted.split('T').next().unwrap_or_default()
    }
}

/// The ledger of one matcher.
pub struct Ledger {
    pub(crate) connection: Connection,
}

impl Ledger {
    /// Opens or creates the ledger.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let connection = Connection::open(path).map_err(|error| failed(&error))?;
        // FULL: a committed entry survives a power cut.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE IF NOT EXISTS message (
                     header_sha256 TEXT PRIMARY KEY,
                     agreement TEXT NOT NULL,
                     epoch INTEGER NOT NULL,
                     sender TEXT NOT NULL,
                     seq INTEGER NOT NULL,
                     request TEXT NOT NULL,
                     created TEXT NOT NULL,
                     accepted TEXT NOT NULL,
                     dataset TEXT NOT NULL,
                     register TEXT NOT NULL,
                     as_of TEXT NOT NULL,
                     kit_check TEXT NOT NULL,
                     canary TEXT NOT NULL,
                     snapshot TEXT NOT NULL,
                     receipted INTEGER NOT NULL DEFAULT 0,
                     base TEXT NOT NULL DEFAULT '',
                     UNIQUE (agreement, epoch, sender, seq),
                     UNIQUE (agreement, epoch, sender, request)
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS purge (
                     header_sha256 TEXT PRIMARY KEY,
                     purged TEXT NOT NULL,
                     reason TEXT NOT NULL
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS refusal (
                     header_sha256 TEXT PRIMARY KEY,
                     sender TEXT NOT NULL,
                     refused TEXT NOT NULL,
                     code INTEGER NOT NULL,
                     why TEXT NOT NULL
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS log (
                     place INTEGER PRIMARY KEY,
                     agreement TEXT NOT NULL,
                     epoch INTEGER NOT NULL,
                     entry TEXT NOT NULL,
                     UNIQUE (agreement, epoch, entry)
                 ) STRICT;",
            )
            .map_err(|error| failed(&error))?;
        if connection.prepare("SELECT canary FROM message").is_err() {
            return Err(Problem::data(
                format!(
                    "{}: the ledger is of an earlier version of this program",
                    path.display()
                ),
                "begin with a new state folder: the departments' files in the exchange folder are taken in again",
            ));
        }
        if connection.prepare("SELECT base FROM message").is_err() {
            // A ledger from before deliveries of changes: all that it knows are whole ones.
            connection
                .execute_batch("ALTER TABLE message ADD COLUMN base TEXT NOT NULL DEFAULT '';")
                .map_err(|error| failed(&error))?;
        }
        Ok(Self { connection })
    }

    /// Refuses what was seen before: the same file, the same request with other content, a used number.
    pub fn check_new(&self, header: &Header, header_sha256: &[u8; 32]) -> Result<(), Problem> {
        let (agreement, epoch) = (header.agreement.to_hex(), header.epoch.0);
        let sender = header.from.0.as_str();
        if self.knows(header_sha256)? || self.deleted(header_sha256)? {
            return Err(Refusal::Duplicate.into());
        }
        let replayed: Option<i64> = self
            .connection
            .query_row(
                "SELECT 1 FROM message WHERE agreement = ?1 AND epoch = ?2 AND sender = ?3 AND request = ?4",
                params![agreement, epoch, sender, header.request.to_hex()],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| failed(&error))?;
        if replayed.is_some() {
            return Err(Refusal::Replay.into());
        }
        let used: Option<i64> = self
            .connection
            .query_row(
                "SELECT 1 FROM message WHERE agreement = ?1 AND epoch = ?2 AND sender = ?3 AND seq = ?4",
                params![agreement, epoch, sender, stored(header.seq)?],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| failed(&error))?;
        if used.is_some() {
            return Err(Refusal::WrongSequence {
                last: header.seq,
                found: header.seq,
            }
            .into());
        }
        Ok(())
    }

    /// Refuses a submission that is older than what is in force for its dataset and register. Messages
    /// about different datasets may arrive in any order.
    pub fn check_order(&self, header: &Header, manifest: &Manifest) -> Result<(), Problem> {
        let last: Option<i64> = self
            .connection
            .query_row(
                "SELECT max(seq) FROM message WHERE agreement = ?1 AND epoch = ?2 AND sender = ?3
                 AND dataset = ?4 AND register = ?5",
                params![
                    header.agreement.to_hex(),
                    header.epoch.0,
                    header.from.0.as_str(),
                    manifest.dataset.as_str(),
                    manifest.register.as_str(),
                ],
                |row| row.get(0),
            )
            .map_err(|error| failed(&error))?;
        let last = last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0);
        if header.seq <= last {
            return Err(Refusal::WrongSequence {
                last,
                found: header.seq,
            }
            .into());
        }
        Ok(())
    }

    /// Whether a file with this header was accepted.
    pub fn knows(&self, header_sha256: &[u8; 32]) -> Result<bool, Problem> {
        let known: Option<i64> = self
            .connection
            .query_row(
                "SELECT 1 FROM message WHERE header_sha256 = ?1",
                params![hex(header_sha256)],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| failed(&error))?;
        Ok(known.is_some())
    }

    /// Whether the tables of a file with this header were deleted.
    pub fn deleted(&self, header_sha256: &[u8; 32]) -> Result<bool, Problem> {
        let known: Option<i64> = self
            .connection
            .query_row(
                "SELECT 1 FROM purge WHERE header_sha256 = ?1",
                params![hex(header_sha256)],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| failed(&error))?;
        Ok(known.is_some())
    }

    /// Header digests of accepted submissions whose receipt was not written yet, in order of acceptance.
    pub fn without_receipt(&self, agreement: &Agreement) -> Result<Vec<String>, Problem> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT header_sha256 FROM message
                 WHERE receipted = 0 AND agreement = ?1 AND epoch = ?2
                   AND header_sha256 NOT IN (SELECT header_sha256 FROM purge) ORDER BY rowid",
            )
            .map_err(|error| failed(&error))?;
        let rows = statement
            .query_map(
                params![agreement.digest().to_hex(), agreement.epoch().0],
                |row| row.get(0),
            )
            .map_err(|error| failed(&error))?;
        rows.collect::<Result<_, _>>()
            .map_err(|error| failed(&error))
    }

    /// Notes that a receipt was written, and logs it.
    pub fn receipted(
        &self,
        agreement: &Agreement,
        header_sha256: &str,
        receipt_sha256: &[u8; 32],
    ) -> Result<(), Problem> {
        self.together(|| {
            self.connection
                .execute(
                    "UPDATE message SET receipted = 1 WHERE header_sha256 = ?1",
                    [header_sha256],
                )
                .map_err(|error| failed(&error))?;
            let (event, header_sha256) = (Event::Sent, *receipt_sha256);
            self.note(
                agreement,
                &Entry {
                    event,
                    header_sha256,
                },
            )
        })
    }

    /// All entries of the log of an agreement, in order.
    pub fn log(&self, agreement: &Agreement) -> Result<Vec<Entry>, Problem> {
        let mut statement = self
            .connection
            .prepare("SELECT entry FROM log WHERE agreement = ?1 AND epoch = ?2 ORDER BY place")
            .map_err(|error| failed(&error))?;
        let key = params![agreement.digest().to_hex(), agreement.epoch().0];
        let rows = statement.query_map(key, |row| row.get::<_, String>(0));
        let texts: Vec<String> = rows
            .and_then(Iterator::collect)
            .map_err(|error| failed(&error))?;
        let entries = texts.iter().map(|text| Entry::parse(text));
        entries.collect::<Option<_>>().ok_or_else(|| {
            Problem::data(
                "the log in the ledger is damaged",
                "restore the state folder from a backup",
            )
        })
    }

    /// Takes up entries of a published log that this ledger misses: what was deleted stays deleted.
    pub fn take_up(
        &self,
        agreement: &Agreement,
        entries: &[Entry],
        now: &str,
    ) -> Result<(), Problem> {
        self.together(|| {
            for entry in entries {
                self.note(agreement, entry)?;
                if entry.event == Event::Deleted {
                    self.connection
                        .execute(
                            "INSERT OR IGNORE INTO purge VALUES (?1, ?2, 'as published')",
                            params![hex(&entry.header_sha256), now],
                        )
                        .map_err(|error| failed(&error))?;
                }
            }
            Ok(())
        })
    }

    /// Logs an entry, once.
    pub fn note(&self, agreement: &Agreement, entry: &Entry) -> Result<(), Problem> {
        let count: i64 = self
            .connection
            .query_row(
                "SELECT count(*) FROM log WHERE agreement = ?1 AND epoch = ?2",
                params![agreement.digest().to_hex(), agreement.epoch().0],
                |row| row.get(0),
            )
            .map_err(|error| failed(&error))?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= LOG_ENTRIES_MAX {
            return Err(Problem::data("the log is full", "begin a new epoch"));
        }
        self.connection
            .execute(
                "INSERT OR IGNORE INTO log (agreement, epoch, entry) VALUES (?1, ?2, ?3)",
                params![
                    agreement.digest().to_hex(),
                    agreement.epoch().0,
                    entry.render()
                ],
            )
            .map_err(|error| failed(&error))?;
        Ok(())
    }

    /// Does several things or none.
    fn together(&self, work: impl FnOnce() -> Result<(), Problem>) -> Result<(), Problem> {
        let transaction = self
            .connection
            .unchecked_transaction()
            .map_err(|error| failed(&error))?;
        work()?;
        transaction.commit().map_err(|error| failed(&error))
    }

    /// Header digests of submissions whose tables were deleted.
    pub fn purged(&self) -> Result<Vec<String>, Problem> {
        self.column("SELECT header_sha256 FROM purge ORDER BY header_sha256")
    }

    /// Header digests of receipted submissions that a later one of the same dataset and register replaced.
    pub fn superseded(&self) -> Result<Vec<String>, Problem> {
        self.column(
            "SELECT header_sha256 FROM message AS m WHERE receipted = 1 AND seq < (
                 SELECT max(seq) FROM message
                 WHERE agreement = m.agreement AND epoch = m.epoch AND sender = m.sender
                   AND dataset = m.dataset AND register = m.register)
             ORDER BY header_sha256",
        )
    }

    /// Header digests of accepted changes, each with that of the delivery that it changes.
    pub fn bases(&self) -> Result<Vec<(String, String)>, Problem> {
        let query =
            "SELECT header_sha256, base FROM message WHERE base <> '' ORDER BY header_sha256";
        let mut statement = self.connection.prepare(query).map_err(|e| failed(&e))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect)
            .map_err(|error| failed(&error))
    }

    /// Whether the tables of a whole delivery of the same sender, dataset and register, made under the same kit, are here.
    pub fn is_base(&self, header: &Header, manifest: &Manifest) -> Result<bool, Problem> {
        let known: Option<i64> = self
            .connection
            .query_row(
                "SELECT 1 FROM message WHERE header_sha256 = ?1 AND agreement = ?2 AND epoch = ?3 AND sender = ?4
                 AND dataset = ?5 AND register = ?6 AND kit_check = ?7 AND base = ''
                 AND header_sha256 NOT IN (SELECT header_sha256 FROM purge)",
                params![
                    manifest.base,
                    header.agreement.to_hex(),
                    header.epoch.0,
                    header.from.0.as_str(),
                    manifest.dataset.as_str(),
                    manifest.register.as_str(),
                    manifest.kit_check,
                ],
                |row| row.get(0),
            )
            .optional()
            .map_err(|error| failed(&error))?;
        Ok(known.is_some())
    }

    fn column(&self, query: &str) -> Result<Vec<String>, Problem> {
        let mut statement = self.connection.prepare(query).map_err(|e| failed(&e))?;
        let rows = statement.query_map([], |row| row.get(0));
        rows.and_then(Iterator::collect)
            .map_err(|error| failed(&error))
    }

    /// Notes that the tables of a submission are going to be deleted; the entry itself stays.
    pub fn purge(&self, header_sha256: &str, now: &str, reason: &str) -> Result<(), Problem> {
        self.together(|| {
            self.connection
                .execute(
                    "INSERT OR IGNORE INTO purge VALUES (?1, ?2, ?3)",
                    params![header_sha256, now, reason],
                )
                .map_err(|error| failed(&error))?;
            // Into the log of its own agreement; a folder that no entry knows was never accepted.
            self.connection
                .execute(
                    "INSERT OR IGNORE INTO log (agreement, epoch, entry)
                     SELECT agreement, epoch, 'deleted ' || header_sha256 FROM message WHERE header_sha256 = ?1",
                    [header_sha256],
                )
                .map_err(|error| failed(&error))?;
            Ok(())
        })
    }

    /// Writes the entry of an accepted submission, durably, and logs it.
    pub fn accept(
        &self,
        agreement: &Agreement,
        header: &Header,
        header_sha256: &[u8; 32],
        manifest: &Manifest,
        now: &str,
    ) -> Result<(), Problem> {
        let seq = stored(header.seq)?;
        self.together(|| {
            self.connection
                .execute(
                    "INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0, ?15)",
                    params![
                        hex(header_sha256),
                        header.agreement.to_hex(),
                        header.epoch.0,
                        header.from.0.as_str(),
                        seq,
                        header.request.to_hex(),
                        header.created,
                        now,
                        manifest.dataset.as_str(),
                        manifest.register.as_str(),
                        manifest.as_of,
                        manifest.kit_check,
                        manifest.canary,
                        manifest.snapshot,
                        manifest.base.as_deref().unwrap_or_default(),
                    ],
                )
                .map_err(|error| failed(&error))?;
            self.connection
                .execute(
                    "DELETE FROM refusal WHERE header_sha256 = ?1",
                    params![hex(header_sha256)],
                )
                .map_err(|error| failed(&error))?;
            let (event, header_sha256) = (Event::Accepted, *header_sha256);
            self.note(
                agreement,
                &Entry {
                    event,
                    header_sha256,
                },
            )
        })
    }

    /// Every delivery that was accepted under an agreement, in its order.
    pub fn deliveries(&self, agreement: &Agreement) -> Result<Vec<Delivery>, Problem> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT dataset, register, accepted, as_of FROM message WHERE agreement = ?1 AND epoch = ?2
                 ORDER BY accepted, sender, seq",
            )
            .map_err(|error| failed(&error))?;
        let place = params![agreement.digest().to_hex(), agreement.epoch().0];
        let rows = statement
            .query_map(place, |row| {
                Ok(Delivery {
                    dataset: row.get(0)?,
                    register: row.get(1)?,
                    accepted: row.get(2)?,
                    as_of: row.get(3)?,
                })
            })
            .map_err(|error| failed(&error))?;
        rows.collect::<Result<_, _>>()
            .map_err(|error| failed(&error))
    }

    /// The latest accepted submission of every dataset and register under an agreement, in name order.
    pub fn in_force(&self, agreement: &Agreement) -> Result<Vec<Accepted>, Problem> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT header_sha256, dataset, register, as_of, kit_check, snapshot, canary, base FROM message AS m
                 WHERE agreement = ?1 AND epoch = ?2
                   AND header_sha256 NOT IN (SELECT header_sha256 FROM purge) AND seq = (
                     SELECT max(seq) FROM message
                     WHERE agreement = m.agreement AND epoch = m.epoch AND sender = m.sender
                       AND dataset = m.dataset AND register = m.register)
                 ORDER BY dataset, register",
            )
            .map_err(|error| failed(&error))?;
        let rows = statement
            .query_map(
                params![agreement.digest().to_hex(), agreement.epoch().0],
                |row| {
                    Ok(Accepted {
                        header_sha256: row.get(0)?,
                        dataset: row.get(1)?,
                        register: row.get(2)?,
                        as_of: row.get(3)?,
                        kit_check: row.get(4)?,
                        snapshot: row.get(5)?,
                        canary: row.get(6)?,
                        base: Some(row.get(7)?).filter(|base: &String| !base.is_empty()),
                    })
                },
            )
            .map_err(|error| failed(&error))?;
        rows.collect::<Result<_, _>>()
            .map_err(|error| failed(&error))
    }
}

/// A sequence number as SQLite stores it.
fn stored(seq: u64) -> Result<i64, Problem> {
    i64::try_from(seq).map_err(|_| Refusal::malformed("envelope", "its number is too large").into())
}

pub(crate) fn failed(error: &rusqlite::Error) -> Problem {
    Problem::data(
        format!("the ledger cannot be read or written: {error}"),
        "make room on the disk; if the file is damaged, restore it from a backup",
    )
}
