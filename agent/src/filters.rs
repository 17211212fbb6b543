//! Persons → record filters. In: grouped persons, the register's context. Out: rows of the table of filters, and the bit of
//! likeness in a bitmap of keys. Invariant: a canary's filter is the same on both sides and like nobody's; what pads cannot
//! be told from what does not. Specification: protocol/SPEC.md, "Record filters", "Filters of scope block".

use hedui_edge::Problem;
use hedui_keys::lock::Lock;
use hedui_protocol::agreement::likeness::Likeness;
use hedui_protocol::agreement::text::KeyClass;
use hedui_protocol::field::Normal;
use hedui_protocol::filter::block::BlockEncoder;
use hedui_protocol::filter::record::RecordEncoder;
use hedui_protocol::ids::Handle;
use hedui_protocol::match_key::{KeyInput, Side};
use hedui_protocol::secret::Secret;

use crate::encode::Encoder;
use crate::record::Grouped;

/// Records from which padding of sections is mixed, at most.
pub const POOL_MOST: usize = 2048;

/// Encodes records by the agreement's scope; one per thread.
pub enum Records {
    /// Under one key for the register.
    Register(RecordEncoder),
    /// Under a key per block.
    Block(BlockEncoder),
}

impl Records {
    /// Words of a filter.
    pub fn words(&self) -> usize {
        match self {
            Self::Register(records) => records.words(),
            Self::Block(records) => records.words(),
        }
    }

    /// Bits that nobody has, as many as persons' filters have, from a source of random bytes.
    fn invent(&mut self, random: &mut blake3::OutputReader, words: &mut [u64]) {
        match self {
            Self::Register(records) => records.harden(words, |_, plain| invented(random, plain)),
            Self::Block(_) => {
                let mut bytes = [0; 8];
                for word in words {
                    random.fill(&mut bytes);
                    *word = u64::from_le_bytes(bytes);
                }
            }
        }
    }
}

impl Encoder<'_> {
    /// A bitmap of keys with the bit of likeness, which is set if the record can be compared: it has a value in some field of its
    /// filter, and with scope `block` a block, and on a register's side no identifier unless the agreement says so.
    pub fn with_likeness(&self, keys: u16, grouped: &Grouped) -> u16 {
        let Some((likeness, key)) = self.agreement.likeness() else {
            return keys;
        };
        let bit = 1 << (key.number - 1);
        if let Some(canary) = grouped.canary {
            return keys | (canary.bitmap & bit);
        }
        if !self.is_compared(likeness, keys) {
            return keys;
        }
        let cells = grouped.person.cells();
        let mut fields = likeness.record_fields(self.agreement).into_iter();
        let has = |cell: &Normal| cell.value.is_some() || cell.remnant.is_some();
        if fields.any(|field| cells.get(field.field).is_some_and(has)) {
            keys | bit
        } else {
            keys
        }
    }

    /// Whether records with these keys are compared by likeness at all.
    fn is_compared(&self, likeness: &Likeness, keys: u16) -> bool {
        let Some(block) = likeness.block_key(self.agreement) else {
            return true;
        };
        let has = |number: u8| keys & 1 << (number - 1) != 0;
        let mut all = self.agreement.match_keys().iter();
        let identified = all.any(|key| key.class == KeyClass::A && has(key.number));
        let residual = likeness.every_record || self.side == Side::Roll || !identified;
        has(block.number) && residual
    }

    /// An encoder of record filters in the register's context, if the agreement has likeness; one per thread.
    pub fn record_encoder(&self) -> Option<Records> {
        let (likeness, _) = self.agreement.likeness()?;
        if likeness.block_key(self.agreement).is_some() {
            let fields = likeness.block_fields(self.agreement);
            return Some(Records::Block(BlockEncoder::new(likeness.bits, &fields)));
        }
        let fields = likeness.record_fields(self.agreement);
        let key = self.context.record_filter_key();
        Some(Records::Register(RecordEncoder::hardened(
            key,
            likeness.bits,
            &fields,
            &likeness.harden,
        )))
    }

    /// Row of the table of record filters. A canary's filter is the same on both sides and like nobody's; that of a
    /// record without values, or that is not compared by the bitmap that stands in its presence row, is like nobody's.
    pub fn filter_row(
        &self,
        records: &mut Records,
        lock: &dyn Lock,
        (grouped, bitmap): (&Grouped, u16),
    ) -> Result<Vec<u8>, Problem> {
        let handle = self.pseudonyms.handle(self.register, &grouped.id);
        let mut words = vec![0; records.words()];
        if grouped.canary.is_some() {
            self.canary_bits(records, grouped, handle, &mut words);
            return Ok(filter_row(handle, &words));
        }
        let cells = grouped.person.cells();
        let any = match records {
            Records::Register(records) => records.encode(cells, &mut words),
            Records::Block(records) => match self.block_key_of(lock, grouped, bitmap)? {
                Some(key) => records.encode(&key, cells, &mut words),
                None => false,
            },
        };
        // With sections a gap is a gap, and says nothing; without, no filter may be empty.
        if !any && self.sections().is_none() {
            self.nobody(records, &format!("absent {}", handle.to_hex()), &mut words);
        }
        Ok(filter_row(handle, &words))
    }

    /// Key of the filters of a record's block; none where the record has no block or is not compared.
    fn block_key_of(
        &self,
        lock: &dyn Lock,
        grouped: &Grouped,
        bitmap: u16,
    ) -> Result<Option<Secret<32>>, Problem> {
        let Some((block, likeness)) = self
            .agreement
            .likeness()
            .and_then(|(likeness, key)| Some((likeness.block_key(self.agreement)?, key.number)))
        else {
            return Ok(None);
        };
        // A block of too many records is none: their filters must not be comparable either.
        if bitmap & 1 << (likeness - 1) == 0 {
            return Ok(None);
        }
        let person = &grouped.person;
        let (digest, epoch) = (self.agreement.digest(), self.agreement.epoch());
        let inputs = KeyInput::all(digest, epoch, block, person, self.side);
        let Some(input) = inputs.first() else {
            return Ok(None);
        };
        let token = lock.token(input).ok_or_else(|| {
            Problem::not_yet(
                "some key values are not evaluated yet",
                "ask the custodians first",
            )
        })?;
        Ok(Some(self.context.block_filter_key(block.number, &token)))
    }

    fn canary_bits(
        &self,
        records: &mut Records,
        grouped: &Grouped,
        handle: Handle,
        words: &mut [u64],
    ) {
        let number = self.agreement.likeness().map_or(0, |(_, key)| key.number);
        let alike = self.with_likeness(0, grouped) != 0;
        let Some(canary) = grouped.canary.filter(|_| alike) else {
            // One without likeness is alike to nobody, not to its other half either.
            self.nobody(records, &format!("absent {}", handle.to_hex()), words);
            return;
        };
        let token = self.context.canary_token(canary.index, number);
        let mut seed = blake3::Hasher::new();
        seed.update(token.expose());
        let mut seed = seed.finalize_xof();
        match (self.sections(), &mut *records) {
            // A canary must not stand out by bits where no person has any, or by many.
            (Some(_), Records::Register(records)) => {
                let mut root = zeroize::Zeroizing::new([0; 32]);
                seed.fill(&mut root[..]);
                records.encode_invented(&root, words);
            }
            _ => records.invent(&mut seed, words),
        }
    }

    /// Row of the table of record filters that only pads. Where fields have sections each is that of another of `pool`'s
    /// records, so that strangers are as alike as persons are; else its bits are like nobody's.
    pub fn filter_padding(
        &self,
        records: &mut Records,
        index: u64,
        pool: &[Vec<Normal>],
    ) -> Vec<u8> {
        let mut words = vec![0; records.words()];
        let mixed = match records {
            Records::Register(records) => self.mixed(records, index, pool, &mut words),
            Records::Block(_) => false,
        };
        if !mixed {
            self.nobody(records, &format!("padding {index}"), &mut words);
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

    fn nobody(&self, records: &mut Records, about: &str, words: &mut [u64]) {
        let mut seed = [0; 32];
        let table = format!("{}/filters/{about}", self.register);
        self.pseudonyms.padding(&table, 0, &mut seed);
        records.invent(&mut blake3::Hasher::new_keyed(&seed).finalize_xof(), words);
    }
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

/// `handle ‖ filter`, words little-endian.
fn filter_row(handle: Handle, words: &[u64]) -> Vec<u8> {
    let bytes = words.iter().flat_map(|word| word.to_le_bytes());
    handle.0.into_iter().chain(bytes).collect()
}
