//! The matcher's transparency log: what it accepted, sent and deleted, in an order that it cannot change afterwards. In: digests
//! of headers. Out: entries, tree, signed checkpoints. Invariant: one text per entry and per checkpoint, so that two logs
//! are one exactly if their roots are; nothing in it is about a person. Pure: files are the doorstep's (`hedui-edge`).
//! Specification: protocol/SPEC.md, "Log" (RFC 6962; C2SP tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature).

pub mod checkpoint;
pub mod merkle;
pub mod tile;

use crate::primitive::{hex, unhex};

/// What an entry of the log says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The matcher accepted the message: its content is part of what it compares.
    Accepted,
    /// The matcher sent the message.
    Sent,
    /// The matcher deleted what it had kept of the message.
    Deleted,
}

impl Event {
    /// Every event with its word.
    const ALL: [(Self, &'static str); 3] = [
        (Self::Accepted, "accepted"),
        (Self::Sent, "sent"),
        (Self::Deleted, "deleted"),
    ];
}

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// SHA-256 of the message's header.
    pub header_sha256: [u8; 32],
}

impl Entry {
    /// `WORD HEX64`, no line end: what is hashed and published.
    pub fn render(&self) -> String {
        let word = Event::ALL.iter().find(|(event, _)| *event == self.event);
        let word = word.map_or("", |(_, word)| word);
        format!("{word} {}", hex(&self.header_sha256))
    }

    /// Reads what [`Entry::render`] writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, digest) = text.split_once(' ')?;
        let (event, _) = Event::ALL.iter().find(|(_, name)| *name == word)?;
        let entry = Self {
            event: *event,
            header_sha256: unhex(digest)?,
        };
        (entry.render() == text).then_some(entry)
    }

    /// Hash of the entry as a leaf of the tree.
    pub fn leaf(&self) -> merkle::Hash {
        merkle::leaf(self.render().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_one_spelling() {
        let entry = Entry {
            event: Event::Accepted,
            header_sha256: [0xab; 32],
        };
        let text = entry.render();
        assert_eq!(Entry::parse(&text), Some(entry));
        for bad in [
            text.to_uppercase(),
            text.clone() + " ",
            text.replace("accepted", "accept"),
            text.replace("ab", "AB"),
            text.trim_end_matches('b').to_owned(),
            String::new(),
        ] {
            assert_eq!(Entry::parse(&bad), None, "{bad}");
        }
    }
}
