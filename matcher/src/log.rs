//! The matcher's own log. In: the ledger's entries, the exchange folder. Out: the published log, a proof for each receipt. Invariant:
//! what was published once is only ever extended: a ledger that is behind its own publication takes the missing entries from it, one
//! that contradicts it stops the matcher. Entries are written in the ledger's transactions. SPEC.md, "Log".

use std::path::Path;

use hedui_edge::log::{self, Memory};
use hedui_edge::{Problem, exchange};
use hedui_protocol::agreement::InForce;
use hedui_protocol::header::Header;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::log::checkpoint::{Checkpoint, Origin};
use hedui_protocol::log::merkle::{self, Hash};
use hedui_protocol::log::{Entry, Event, tile};
use hedui_protocol::message::receipt::Logged;
use hedui_protocol::primitive::{hex, sha256};
use hedui_protocol::refusal::Refusal;

use crate::intake::State;
use crate::ledger::Ledger;

/// What writing the log needs.
pub struct Log<'a> {
    /// The matcher.
    pub identity: &'a Identity,
    /// Agreement in force.
    pub agreement: &'a InForce,
    /// The matcher's state.
    pub state: &'a State,
    /// Where it is published.
    pub exchange: &'a Path,
    /// Where its entries are.
    pub ledger: &'a Ledger,
    /// Time of the command.
    pub now: &'a str,
}

impl Log<'_> {
    /// Brings ledger and publication together after whatever happened since the last command: entries that a lost state folder
    /// misses, messages that a killed process sent without noting it.
    pub fn recover(&self) -> Result<(), Problem> {
        let published = match log::read(self.exchange, self.agreement) {
            Ok(published) => published,
            // Somebody spoilt the copy: it is written anew from the ledger.
            Err(Problem::Refused { .. } | Problem::Io { .. }) => None,
            Err(other) => return Err(other),
        };
        let own = self.ledger.log(self.agreement)?;
        if let Some(published) = published {
            let both = own.len().min(published.entries.len());
            if own[..both] != published.entries[..both] {
                return Err(Problem::data(
                    "the log of this state folder is not the one that was published",
                    "this is another matcher's state folder, or an old copy that went on by itself: restore the latest backup; \
                     if there is none, tell the reviewer and begin a new epoch",
                ));
            }
            self.ledger
                .take_up(self.agreement, &published.entries[both..], self.now)?;
        }
        // A checkpoint that holds was signed by this matcher, whoever carries it.
        let origin = Origin::of(self.agreement);
        let me = self.identity.card();
        let files = exchange::all(self.exchange)?;
        let mut seen: Vec<(Checkpoint, &Name)> = Vec::new();
        for file in &files {
            let log = file.header.log.filter(|log| {
                seen.last().is_none_or(|(before, _)| before != log) && log.holds(me, &origin)
            });
            seen.extend(log.map(|log| (log, &file.header.from.0)));
        }
        let mut own_words = log::signed(self.exchange, self.agreement);
        own_words.extend(Memory::open(&self.state.folder)?.all(self.agreement));
        seen.extend(own_words.into_iter().map(|word| (word, &me.name)));
        self.extends(&seen)?;
        let mut own = self.ledger.log(self.agreement)?;
        for file in files.iter().filter(|f| f.header.from.0 == me.name) {
            let header = &file.header;
            let entry = Entry {
                event: Event::Sent,
                header_sha256: sha256(&[header.render().as_bytes()]),
            };
            let ours = header.agreement == self.agreement.digest()
                && header.epoch == self.agreement.epoch()
                && !own.contains(&entry);
            let to = self.agreement.card(&header.to.0).filter(|_| ours);
            let signed = to.is_some_and(|to| {
                exchange::verify(&file.path, self.agreement, to, &[header.kind]).is_ok()
            });
            if signed {
                self.ledger.note(self.agreement, &entry)?;
                own.push(entry);
            }
        }
        if own.is_empty() {
            return Ok(());
        }
        self.publish()
    }

    /// Publishes the log as it stands; later headers carry its checkpoint.
    /// A replay publishes nothing: what it signed would contradict what was.
    pub fn publish(&self) -> Result<(), Problem> {
        if self.state.is_replay() {
            return Ok(());
        }
        let entries = self.ledger.log(self.agreement)?;
        let checkpoint = log::publish(self.exchange, self.agreement, self.identity, &entries)?;
        Memory::open(&self.state.folder)?.own(self.agreement, &checkpoint)
    }

    /// The proof that a submission stands in the log: its place, and the path to the root that the log had with it as last entry.
    pub fn proof(&self, header_sha256: &[u8; 32]) -> Result<Logged, Problem> {
        let missing = || {
            Problem::data(
                "an accepted submission does not stand in the log of this state folder",
                "report this",
            )
        };
        let entries = self.ledger.log(self.agreement)?;
        let index = tile::position(&entries, Event::Accepted, header_sha256).ok_or_else(missing)?;
        let leaves: Vec<Hash> = entries[..=index].iter().map(Entry::leaf).collect();
        let origin = Origin::of(self.agreement);
        let size = leaves.len() as u64;
        let checkpoint = Checkpoint::sign(self.identity, &origin, size, merkle::root(&leaves));
        let path = merkle::path(&leaves, index).ok_or_else(missing)?;
        Ok(Logged {
            index: index as u64,
            root: hex(&checkpoint.root),
            signature: hex(&checkpoint.signature),
            path: path.iter().map(|hash| hex(hash)).collect(),
        })
    }

    /// Refuses to go on if the sender of a message has seen a log of this matcher that this one does not extend.
    pub fn compare(&self, header: &Header) -> Result<(), Problem> {
        match header.log {
            Some(seen) => self.extends(&[(seen, &header.from.0)]),
            None => Ok(()),
        }
    }

    /// Refuses to go on if this ledger does not begin with what checkpoints of its own stand for.
    fn extends(&self, seen: &[(Checkpoint, &Name)]) -> Result<(), Problem> {
        let entries = self.ledger.log(self.agreement)?;
        let leaves: Vec<Hash> = entries.iter().map(Entry::leaf).collect();
        let size = |seen: &Checkpoint| usize::try_from(seen.size).unwrap_or(usize::MAX);
        let roots = merkle::roots(&leaves, &seen.iter().map(|(seen, _)| size(seen)).collect());
        let other = seen
            .iter()
            .find(|(seen, _)| roots.get(&size(seen)) != Some(&seen.root));
        let Some((seen, who)) = other else {
            return Ok(());
        };
        let why = format!(
            "`{who}` has seen {} entries of this matcher's log that this state folder does not have; restore the latest backup",
            seen.size
        );
        Err(Problem::from(Refusal::BadLog(why)))
    }
}
