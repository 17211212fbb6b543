//! Persons → tags, presence and sealed payloads in the context of one register. In: grouped persons.
//! Out: rows for the submission's tables. Invariant: the last file that sees plaintext on its way out;
//! a key value of more persons than the cap becomes a filler everywhere, in tags, presence and keks.
//! Specification: protocol/SPEC.md, "Submission", "Payloads"; design §5.

use std::collections::BTreeSet;

use hedui_edge::Problem;
use hedui_keys::lock::Lock;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::ids::Handle;
use hedui_protocol::lock::{TagContext, Token};
use hedui_protocol::match_key::KeyInput;
use hedui_protocol::message::payload;
use hedui_protocol::message::submission::PRESENCE_ROW_BYTES;
use hedui_protocol::secret::Secret;

use crate::canary;
use crate::extsort::Row;
use crate::record::{Grouped, Pseudonyms};

/// Everything that encoding one dataset for one register needs.
pub struct Encoder<'a> {
    /// Agreement.
    pub agreement: &'a Agreement,
    /// Register whose context it is.
    pub register: &'a str,
    /// Tags and payload keys of the register.
    pub context: TagContext,
    /// Local pseudonyms of the dataset.
    pub pseudonyms: &'a Pseudonyms,
    /// Release sets.
    pub releases: Vec<Vec<usize>>,
}

/// Key values that are too common: handle and match key of every record that has one.
pub type TooCommon = BTreeSet<(Handle, u8)>;

impl Encoder<'_> {
    /// Tokens of a person, one per match key; `None` where the key is absent.
    pub fn tokens(
        &self,
        lock: &dyn Lock,
        grouped: &Grouped,
    ) -> Result<Vec<Option<Token>>, Problem> {
        if let Some(canary) = grouped.canary {
            return Ok(canary::tokens(self.agreement, &self.context, canary));
        }
        let person = &grouped.person;
        let (digest, epoch) = (self.agreement.digest(), self.agreement.epoch());
        let keys = self.agreement.match_keys().iter();
        keys.map(|key| match KeyInput::new(digest, epoch, key, person) {
            None => Ok(None),
            Some(input) => lock.token(&input).map(Some).ok_or_else(|| {
                Problem::not_yet(
                    "some key values are not evaluated yet",
                    "ask the custodians first",
                )
            }),
        })
        .collect()
    }

    /// One tag row per match key (the tag, or a filler where the key is absent), and which keys are there.
    pub fn tag_rows(&self, lock: &dyn Lock, person: &Grouped) -> Result<(Vec<Row>, u16), Problem> {
        let handle = self.pseudonyms.handle(self.register, &person.id);
        let tokens = self.tokens(lock, person)?;
        let mut bitmap = 0;
        let mut rows = Vec::with_capacity(tokens.len());
        for (key, token) in self.agreement.match_keys().iter().zip(&tokens) {
            rows.push(match token {
                Some(token) => {
                    bitmap |= 1 << (key.number - 1);
                    row(self.context.tag(key.number, token).0, handle)
                }
                None => row(self.filler(key.number, handle), handle),
            });
        }
        Ok((rows, bitmap))
    }

    /// Filler tag of a record's key.
    pub fn filler(&self, key: u8, handle: Handle) -> [u8; 16] {
        self.pseudonyms.filler_tag(self.register, key, handle)
    }

    /// Which match keys a person has, too common ones left out; needs no token.
    pub fn bitmap(&self, grouped: &Grouped, too_common: &TooCommon) -> u16 {
        if let Some(canary) = grouped.canary {
            return canary.bitmap;
        }
        let person = &grouped.person;
        let handle = self.pseudonyms.handle(self.register, &grouped.id);
        let (digest, epoch) = (self.agreement.digest(), self.agreement.epoch());
        let keys = self.agreement.match_keys().iter();
        keys.filter(|key| KeyInput::new(digest, epoch, key, person).is_some())
            .filter(|key| !too_common.contains(&(handle, key.number)))
            .fold(0, |bits, key| bits | 1 << (key.number - 1))
    }

    /// Presence row: which match keys the record has, too common ones left out.
    pub fn presence_row(
        &self,
        handle: Handle,
        tokens: &[Option<Token>],
        too_common: &TooCommon,
    ) -> [u8; PRESENCE_ROW_BYTES] {
        let mut bitmap: u16 = 0;
        for (index, token) in tokens.iter().enumerate() {
            if token.is_some() && !too_common.contains(&(handle, number(index))) {
                bitmap |= 1 << index;
            }
        }
        let mut row = [0; PRESENCE_ROW_BYTES];
        row[..16].copy_from_slice(&handle.0);
        row[16..18].copy_from_slice(&bitmap.to_be_bytes());
        row
    }

    /// Sealed payload row of a person.
    pub fn payload_row(
        &self,
        handle: Handle,
        tokens: &[Option<Token>],
        too_common: &TooCommon,
        facts: &[u8],
    ) -> Vec<u8> {
        let keks: Vec<Option<Secret<32>>> = (0..self.releases.len())
            .map(|set| self.payload_key(set, handle, tokens, too_common))
            .collect();
        let cek = self.pseudonyms.content_key(handle, facts);
        let nonce = self.pseudonyms.wrap_nonce(handle, facts);
        let mut count = 0;
        let mut filler = |out: &mut [u8]| {
            count += 1;
            let table = format!("wrap-{count}-{}", handle.to_hex());
            self.pseudonyms.padding(&table, 0, out);
        };
        payload::seal_row(handle, facts, (&cek, nonce), &keks, &mut filler)
    }

    /// Key of a release set for one handle, if the person has every key of the set.
    pub fn payload_key(
        &self,
        set: usize,
        handle: Handle,
        tokens: &[Option<Token>],
        too_common: &TooCommon,
    ) -> Option<Secret<32>> {
        let mut needed = Vec::new();
        for index in self.releases.get(set)? {
            if too_common.contains(&(handle, number(*index))) {
                return None;
            }
            needed.push(tokens.get(*index)?.as_ref()?);
        }
        let set = u8::try_from(set).ok()?;
        Some(self.context.payload_key(set, &needed, handle))
    }
}

/// Number of the match key at an index.
fn number(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

/// `tag ‖ handle`.
pub fn row(tag: [u8; 16], handle: Handle) -> Row {
    let mut row = [0; 32];
    row[..16].copy_from_slice(&tag);
    row[16..].copy_from_slice(&handle.0);
    row
}

/// Encoded facts of a person.
pub fn facts_of(person: &Grouped) -> zeroize::Zeroizing<Vec<u8>> {
    person.facts.encode()
}
