//! Persons → tags, presence and sealed payloads in the context of one register. In: grouped persons.
//! Out: rows for the submission's tables. Invariant: the last file that sees plaintext on its way out;
//! a key value of more persons than the cap becomes a filler everywhere, in tags, presence and keks.
//! Specification: protocol/SPEC.md, "Submission", "Payloads"; design §5.

use std::collections::BTreeSet;

use hedui_edge::Problem;
use hedui_keys::lock::Lock;
use hedui_protocol::agreement::{Agreement, MatchKey};
use hedui_protocol::field::Normal;
use hedui_protocol::filter::record::RecordEncoder;
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
        Ok((tables, bitmap | self.likeness_bit(person)))
    }

    /// The bit of likeness in a record's bitmap: set if the record has a value in some field of its filter.
    pub fn likeness_bit(&self, grouped: &Grouped) -> u16 {
        let Some((likeness, key)) = self.agreement.likeness() else {
            return 0;
        };
        let bit = 1 << (key.number - 1);
        if let Some(canary) = grouped.canary {
            return canary.bitmap & bit;
        }
        let cells = grouped.person.cells();
        let mut fields = likeness.record_fields(self.agreement).into_iter();
        let has = |cell: &Normal| cell.value.is_some() || cell.remnant.is_some();
        if fields.any(|field| cells.get(field.field).is_some_and(has)) {
            bit
        } else {
            0
        }
    }

    /// An encoder of record filters in the register's context, if the agreement has likeness; one per thread.
    pub fn record_encoder(&self) -> Option<RecordEncoder> {
        let (likeness, _) = self.agreement.likeness()?;
        let fields = likeness.record_fields(self.agreement);
        let key = self.context.record_filter_key();
        Some(RecordEncoder::new(key, likeness.bits, &fields))
    }

    /// Row of the table of record filters. A canary's filter is the same on both sides and like nobody's; that of a
    /// record without values is like nobody's.
    pub fn filter_row(&self, records: &mut RecordEncoder, grouped: &Grouped) -> Vec<u8> {
        let handle = self.pseudonyms.handle(self.register, &grouped.id);
        let mut words = vec![0; records.words()];
        if let Some(canary) = grouped.canary {
            let number = self.agreement.likeness().map_or(0, |(_, key)| key.number);
            // One without likeness is alike to nobody, not to its other half either.
            if self.likeness_bit(grouped) == 0 {
                self.nobody(&format!("absent {}", handle.to_hex()), &mut words);
                return filter_row(handle, &words);
            }
            let token = self.context.canary_token(canary.index, number);
            let mut seed = blake3::Hasher::new();
            seed.update(token.expose());
            let mut seed = seed.finalize_xof();
            match self.sections() {
                // A canary must not stand out by bits where no person has any, or by many.
                Some(_) => {
                    let mut root = zeroize::Zeroizing::new([0; 32]);
                    seed.fill(&mut root[..]);
                    records.encode_invented(&root, &mut words);
                }
                None => invented(&mut seed, &mut words),
            }
        } else if !records.encode(grouped.person.cells(), &mut words) && self.sections().is_none() {
            // With sections a gap is a gap, and says nothing; without, no filter may be empty.
            self.nobody(&format!("absent {}", handle.to_hex()), &mut words);
        }
        filter_row(handle, &words)
    }

    /// Row of the table of record filters that only pads. Where fields have sections each is that of another of `pool`'s
    /// records, so that strangers are as alike as persons are; else its bits are like nobody's.
    pub fn filter_padding(
        &self,
        records: &mut RecordEncoder,
        index: u64,
        pool: &[Vec<Normal>],
    ) -> Vec<u8> {
        let mut words = vec![0; records.words()];
        if !self.mixed(records, index, pool, &mut words) {
            self.nobody(&format!("padding {index}"), &mut words);
        }
        let handle = self.pseudonyms.padding_handle(self.register, index);
        filter_row(handle, &words)
    }

    /// Bits of a section, if the fields have sections.
    fn sections(&self) -> Option<u32> {
        let likeness = self.agreement.likeness();
        likeness.and_then(|(likeness, _)| likeness.section_bits())
    }

    /// A record of which every field is somebody else's; whether there is one.
    fn mixed(
        &self,
        records: &mut RecordEncoder,
        index: u64,
        pool: &[Vec<Normal>],
        words: &mut [u64],
    ) -> bool {
        let Some((likeness, _)) = self.agreement.likeness().filter(|(l, _)| l.sections) else {
            return false;
        };
        let fields = likeness.record_fields(self.agreement);
        if pool.len() < fields.len() {
            return false;
        }
        let mut draw = [0; 16];
        let table = format!("{}/mixed", self.register);
        self.pseudonyms.padding(&table, index, &mut draw);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |n: usize, byte| n << 8 | usize::from(*byte))
        };
        // A first person and a step: no two fields are of one person.
        let (mut at, step) = (
            number(&draw[..7]) % pool.len(),
            1 + number(&draw[7..14]) % (pool.len() / fields.len()).max(1),
        );
        let mut cells: Vec<Normal> = pool[at].clone();
        for field in fields {
            at = (at + step) % pool.len();
            if let (Some(own), Some(other)) =
                (cells.get_mut(field.field), pool[at].get(field.field))
            {
                own.clone_from(other);
            }
        }
        records.encode(&cells, words)
    }

    fn nobody(&self, about: &str, words: &mut [u64]) {
        let mut seed = [0; 32];
        let table = format!("{}/filters/{about}", self.register);
        self.pseudonyms.padding(&table, 0, &mut seed);
        invented(&mut blake3::Hasher::new_keyed(&seed).finalize_xof(), words);
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
        let likeness = self.likeness_bit(grouped);
        let keys = self.agreement.match_keys().iter();
        keys.filter(|key| key.is_in(person, self.side))
            .filter(|key| !too_common.contains(&(handle, key.number)))
            .fold(likeness, |bits, key| bits | 1 << (key.number - 1))
    }

    /// Presence row: which match keys the record has, too common ones left out.
    pub fn presence_row(
        &self,
        handle: Handle,
        (tokens, likeness_bit): (&[KeyTokens], u16),
        too_common: &TooCommon,
    ) -> [u8; PRESENCE_ROW_BYTES] {
        let mut bitmap = likeness_bit;
        for (index, token) in tokens.iter().enumerate() {
            if !token.is_empty() && !too_common.contains(&(handle, number(index))) {
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

/// Random bits, about as many as persons' filters have: between a third and a half.
fn invented(random: &mut blake3::OutputReader, words: &mut [u64]) {
    let mut draw = || {
        let mut bytes = [0; 4];
        random.fill(&mut bytes);
        u32::from_le_bytes(bytes) as usize
    };
    let bits = words.len() * 64;
    let positions = bits * (42 + draw() % 24) / 100;
    for _ in 0..positions {
        let bit = draw() % bits;
        words[bit / 64] |= 1 << (bit % 64);
    }
}

/// Records from which padding of sections is mixed, at most.
pub const POOL_MOST: usize = 2048;

/// `handle ‖ filter`, words little-endian.
fn filter_row(handle: Handle, words: &[u64]) -> Vec<u8> {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    handle.0.into_iter().chain(bytes).collect()
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
