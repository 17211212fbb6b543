//! Persons → tags, presence and sealed payloads in the context of one register. In: grouped persons.
//! Out: rows for the submission's tables. Invariant: the last file that sees plaintext on its way out;
//! a key value of more persons than the cap becomes a filler everywhere, in tags, presence and keks.
//! Specification: protocol/SPEC.md, "Submission", "Payloads"; design §5.

use std::collections::BTreeSet;

use hedui_edge::Problem;
use hedui_keys::lock::Lock;
use hedui_protocol::agreement::{Agreement, MatchKey};
use hedui_protocol::ids::Handle;
use hedui_protocol::lock::{TagContext, Token};
use hedui_protocol::match_key::{KeyInput, Side};
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
    /// Side of the comparison.
    pub side: Side,
    /// Local pseudonyms of the dataset.
    pub pseudonyms: &'a Pseudonyms,
    /// Release sets.
    pub releases: Vec<Vec<usize>>,
}

/// Tokens of one record for one match key.
pub type KeyTokens = Vec<Token>;

/// Key values that are too common: handle and match key of every record that has one.
pub type TooCommon = BTreeSet<(Handle, u8)>;

impl Encoder<'_> {
    /// Tokens of a person per match key: none where the key is absent, several only for a key that allows for
    /// errors on the roll's side.
    pub fn tokens(&self, lock: &dyn Lock, grouped: &Grouped) -> Result<Vec<KeyTokens>, Problem> {
        if let Some(canary) = grouped.canary {
            return Ok(canary::tokens(self.agreement, &self.context, canary));
        }
        let person = &grouped.person;
        let (digest, epoch) = (self.agreement.digest(), self.agreement.epoch());
        let keys = self.agreement.match_keys().iter();
        keys.map(|key| {
            let inputs = KeyInput::all(digest, epoch, key, person, self.side);
            let tokens = inputs.iter().map(|input| lock.token(input));
            tokens.collect::<Option<KeyTokens>>().ok_or_else(|| {
                Problem::not_yet(
                    "some key values are not evaluated yet",
                    "ask the custodians first",
                )
            })
        })
        .collect()
    }

    /// The tag rows of each match key (tags, and fillers in the place of absent ones), and which keys are there.
    pub fn tag_rows(
        &self,
        lock: &dyn Lock,
        person: &Grouped,
    ) -> Result<(Vec<Vec<Row>>, u16), Problem> {
        let handle = self.pseudonyms.handle(self.register, &person.id);
        let tokens = self.tokens(lock, person)?;
        let mut bitmap = 0;
        let mut tables = Vec::with_capacity(tokens.len());
        for (key, tokens) in self.agreement.match_keys().iter().zip(&tokens) {
            bitmap |= u16::from(!tokens.is_empty()) << (key.number - 1);
            let tag = |index: u16| match tokens.get(usize::from(index)) {
                Some(token) => self.context.tag(key.number, token).0,
                None => self.filler((key.number, index), handle),
            };
            let rows = (0..self.fan_out(key)).map(|index| row(tag(index), handle));
            tables.push(rows.collect());
        }
        Ok((tables, self.with_likeness(bitmap, person)))
    }

    /// Rows that every record has in the table of a key.
    pub fn fan_out(&self, key: &MatchKey) -> u16 {
        u16::try_from(key.fan_out(self.side)).unwrap_or(u16::MAX)
    }

    /// Filler tag of a record's key; `row` tells those of one record apart.
    pub fn filler(&self, key_and_row: (u8, u16), handle: Handle) -> [u8; 16] {
        self.pseudonyms
            .filler_tag(self.register, key_and_row, handle)
    }

    /// Which match keys a person has, too common ones left out; needs no token.
    pub fn bitmap(&self, grouped: &Grouped, too_common: &TooCommon) -> u16 {
        if let Some(canary) = grouped.canary {
            return canary.bitmap;
        }
        let person = &grouped.person;
        let handle = self.pseudonyms.handle(self.register, &grouped.id);
        let keys = self.agreement.match_keys().iter();
        let bitmap = keys
            .filter(|key| key.is_in(person, self.side))
            .filter(|key| !too_common.contains(&(handle, key.number)))
            .fold(0, |bits, key| bits | 1 << (key.number - 1));
        self.with_likeness(bitmap, grouped)
    }

    /// Presence row: which match keys the record has, too common ones left out.
    pub fn presence_row(
        &self,
        (handle, grouped): (Handle, &Grouped),
        tokens: &[KeyTokens],
        too_common: &TooCommon,
    ) -> [u8; PRESENCE_ROW_BYTES] {
        let mut bitmap = 0;
        for (index, token) in tokens.iter().enumerate() {
            if !token.is_empty() && !too_common.contains(&(handle, number(index))) {
                bitmap |= 1 << index;
            }
        }
        bitmap = self.with_likeness(bitmap, grouped);
        let mut row = [0; PRESENCE_ROW_BYTES];
        row[..16].copy_from_slice(&handle.0);
        row[16..18].copy_from_slice(&bitmap.to_be_bytes());
        row
    }

    /// Sealed payload row of a person.
    pub fn payload_row(
        &self,
        handle: Handle,
        tokens: &[KeyTokens],
        too_common: &TooCommon,
        facts: &[u8],
    ) -> Vec<u8> {
        let keks: Vec<Option<Secret<32>>> = (0..self.releases.len())
            .map(|set| self.payload_keys(set, handle, tokens, too_common).pop())
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

    /// Keys of a release set for one handle, if the person has every key of the set: one for a register's record,
    /// one per combination of values on the roll's side.
    pub fn payload_keys(
        &self,
        set: usize,
        handle: Handle,
        tokens: &[KeyTokens],
        too_common: &TooCommon,
    ) -> Vec<Secret<32>> {
        let mut combinations: Vec<Vec<&Token>> = vec![Vec::new()];
        for index in self.releases.get(set).into_iter().flatten() {
            let values = match tokens.get(*index) {
                Some(values) if !too_common.contains(&(handle, number(*index))) => values,
                _ => return Vec::new(),
            };
            let with = |chosen: &Vec<_>, value| chosen.iter().copied().chain([value]).collect();
            combinations = combinations
                .iter()
                .flat_map(|chosen| values.iter().map(move |value| with(chosen, value)))
                .collect();
        }
        let Ok(set) = u8::try_from(set) else {
            return Vec::new();
        };
        let key = |needed: Vec<&Token>| self.context.payload_key(set, &needed, handle);
        combinations.into_iter().map(key).collect()
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

/// Encoded facts of a person; of a canary nothing, in the room that others need.
pub fn facts_of(person: &Grouped) -> zeroize::Zeroizing<Vec<u8>> {
    match person.canary {
        Some(canary) => zeroize::Zeroizing::new(vec![0; canary.facts_bytes]),
        None => person.facts.encode(),
    }
}
