//! Record filters: one filter for a whole record, the classic cryptographic long-term key (Schnell, Bachteler, Reiher
//! 2009). In: the normalised cells of a record, a key. Out: bits that any two records under the same key can be compared
//! by. Invariant: bit positions come from BLAKE3 in keyed mode as an extendable output, independent per hash; the tables of
//! masks are a memory of that function and never change a result. What such filters give away stands in
//! docs/KNOWN_ATTACKS.md; the agreement says who may use them. SPEC.md, "Record filters".

use std::collections::HashMap;

use zeroize::Zeroize;

use super::encode::Positions;
use super::harden::Hardener;
use super::{TokenKind, Tokens};
use crate::field::{FieldKind, Normal};
use crate::secret::Secret;

/// Masks of one field that are remembered at most; beyond it they are computed anew.
const MASKS_MAX: usize = 1 << 16;
/// Pairs of symbols of plain values.
const PAIRS: usize = 64 * 64;
/// Longest value of ASCII digits whose places have slots; longer ones take the general way.
const POSITIONS: usize = 32;
/// Tokens of an invented value: about as many as names and dates have.
const INVENTED_TOKENS: u8 = 10;
/// What stands for a byte that plain values do not have.
const OTHER: u8 = 63;

/// Number of a byte of a plain value: lower-case letters, digits, space and the padding; what normalised text is made of.
const fn symbol(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => byte - b'a',
        b'0'..=b'9' => byte - b'0' + 26,
        b' ' => 36,
        b'_' => 37,
        _ => OTHER,
    }
}

/// A field's part in a record filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordField {
    /// Index of the field in the agreement.
    pub field: usize,
    /// Kind of the field.
    pub kind: FieldKind,
    /// How its values are cut.
    pub tokens: TokenKind,
    /// Positions that each of its tokens sets.
    pub positions: u32,
    /// Number that enters the key of its positions: its own place, or that of the field with which it is exchanged.
    pub key: u32,
    /// First bit and number of bits (a power of two, both whole words) of the field's own section; absent: all bits.
    pub section: Option<(u32, u32)>,
}

/// Encodes records; not shared between threads, because it remembers masks.
pub struct RecordEncoder {
    key: Secret<32>,
    words: usize,
    fields: Vec<Masks>,
    hardeners: Vec<Hardener>,
    /// Where a filter stands until it is hardened.
    plain: Vec<u64>,
}

/// A field with the masks that were computed so far.
struct Masks {
    number: u8,
    field: RecordField,
    /// Masks one after the other; the tables and the map hold their places.
    pool: Vec<u64>,
    /// Place + 1 per slot of an ASCII token: bigrams by repeat, digits by position; 0 where it was not needed yet.
    slots: Vec<u32>,
    /// Places of other tokens.
    tokens: HashMap<String, u32>,
    /// Places of the current value's tokens.
    places: Vec<u32>,
    /// Bigrams of the current value, as pairs of symbols.
    pairs: Vec<u16>,
    /// How often each bigram of plain symbols was met in the current value; all nothing between values.
    seen: Vec<u16>,
    /// Other tokens of the current value.
    current: Tokens,
}

impl RecordEncoder {
    /// An encoder for filters of `bits` bits: a power of two, at least 64.
    pub fn new(key: Secret<32>, bits: u32, fields: &[RecordField]) -> Self {
        Self::hardened(key, bits, fields, &[])
    }

    /// The same; the filters of `bits` bits go through hardeners before they are handed over.
    pub fn hardened(
        key: Secret<32>,
        bits: u32,
        fields: &[RecordField],
        hardeners: &[Hardener],
    ) -> Self {
        let masks = |field: &RecordField| Masks {
            number: u8::try_from(field.key).unwrap_or(u8::MAX),
            field: *field,
            pool: Vec::new(),
            slots: Vec::new(),
            tokens: HashMap::new(),
            places: Vec::new(),
            pairs: Vec::new(),
            seen: Vec::new(),
            current: Tokens::default(),
        };
        Self {
            key,
            words: bits as usize / 64,
            fields: fields.iter().map(masks).collect(),
            hardeners: hardeners.to_vec(),
            plain: Vec::new(),
        }
    }

    /// Sets bits like those of a record whose every field has ten invented tokens, the same for the same `seed`; `out` is
    /// cleared first.
    pub fn encode_invented(&mut self, seed: &[u8; 32], out: &mut [u64]) {
        out.fill(0);
        for masks in &self.fields {
            for token in 0..INVENTED_TOKENS {
                let mut name = [0; 16];
                blake3::Hasher::new_keyed(seed)
                    .update(&[token])
                    .finalize_xof()
                    .fill(&mut name);
                let name = crate::primitive::hex(&name);
                masks.set(&self.key, &name, out);
            }
        }
    }

    /// Words of a filter as it is handed over.
    pub fn words(&self) -> usize {
        let bits = u32::try_from(self.words * 64).unwrap_or(u32::MAX);
        let bits = self
            .hardeners
            .iter()
            .fold(bits, |bits, hardener| hardener.bits(bits));
        bits as usize / 64
    }

    /// Sets the bits of a record's cells (in the agreement's order) in `out`, which is cleared first; whether the record
    /// has any token.
    pub fn encode(&mut self, cells: &[Normal], out: &mut [u64]) -> bool {
        if self.hardeners.is_empty() {
            return self.encode_plain(cells, out);
        }
        let mut any = false;
        self.harden(out, |records, plain| {
            any = records.encode_plain(cells, plain)
        });
        any
    }

    /// Hardens the bits that `set` sets, and hands them over in `out`.
    pub fn harden(&mut self, out: &mut [u64], set: impl FnOnce(&mut Self, &mut [u64])) {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        plain.resize(self.words, 0);
        set(self, &mut plain);
        for hardener in &self.hardeners {
            hardener.apply(&mut plain);
        }
        out.copy_from_slice(&plain);
        self.plain = plain;
    }

    fn encode_plain(&mut self, cells: &[Normal], out: &mut [u64]) -> bool {
        out.fill(0);
        let mut any = false;
        for masks in &mut self.fields {
            if let Some(cell) = cells.get(masks.field.field) {
                any |= masks.add(&self.key, cell, out);
            }
        }
        any
    }
}

impl Masks {
    /// Adds a cell's bits; whether it has any token.
    fn add(&mut self, key: &Secret<32>, cell: &Normal, out: &mut [u64]) -> bool {
        self.places.clear();
        let plain = |value: &&str| value.bytes().all(|byte| symbol(byte) != OTHER);
        match (cell.value.as_deref().filter(plain), self.field.tokens) {
            (Some(value), TokenKind::Bigrams) => self.bigrams(key, out.len(), value.as_bytes()),
            (Some(value), TokenKind::Digits) if value.len() <= POSITIONS => {
                for (at, byte) in value.bytes().enumerate() {
                    let slot = at << 6 | usize::from(symbol(byte));
                    let place = self.slot(key, out.len(), slot, || {
                        format!("{at}:{}", char::from(byte))
                    });
                    self.places.push(place);
                }
            }
            _ => {
                let mut tokens = std::mem::take(&mut self.current);
                self.field.tokens.fill(self.field.kind, cell, &mut tokens);
                for token in tokens.iter() {
                    let place = self.token(key, token, out);
                    self.places.extend(place);
                }
                or_all(&self.pool, &self.places, out);
                let any = !tokens.is_empty();
                self.current = tokens;
                return any;
            }
        }
        or_all(&self.pool, &self.places, out);
        !self.places.is_empty()
    }

    /// The bigrams of a plain value without making strings of them; the same tokens as [`TokenKind::Bigrams`].
    fn bigrams(&mut self, key: &Secret<32>, words: usize, value: &[u8]) {
        let mut pairs = std::mem::take(&mut self.pairs);
        self.seen.resize(PAIRS, 0);
        let mut last = b'_';
        for next in value.iter().chain(b"_") {
            let pair = u16::from(symbol(last)) << 6 | u16::from(symbol(*next));
            let seen = &mut self.seen[usize::from(pair)];
            let repeat = usize::from(*seen);
            *seen += 1;
            pairs.push(pair);
            let place = self.slot(key, words, repeat * PAIRS + usize::from(pair), || {
                let mut token = String::from_iter([char::from(last), char::from(*next)]);
                if repeat > 0 {
                    token += &format!("#{}", repeat + 1);
                }
                token
            });
            self.places.push(place);
            last = *next;
        }
        // Only what was counted: the table is much larger than a value.
        for pair in pairs.drain(..) {
            self.seen[usize::from(pair)] = 0;
        }
        self.pairs = pairs;
    }

    /// Place of the mask of the token of a slot.
    #[inline]
    fn slot(
        &mut self,
        key: &Secret<32>,
        words: usize,
        slot: usize,
        token: impl FnOnce() -> String,
    ) -> u32 {
        match self.slots.get(slot) {
            Some(place) if *place > 0 => place - 1,
            _ => self.fill_slot(key, words, slot, &token()),
        }
    }

    #[cold]
    fn fill_slot(&mut self, key: &Secret<32>, words: usize, slot: usize, token: &str) -> u32 {
        let mut mask = vec![0; words];
        self.set(key, token, &mut mask);
        let place = self.keep(&mask);
        if slot >= self.slots.len() {
            self.slots.resize(slot.next_multiple_of(PAIRS) + PAIRS, 0);
        }
        self.slots[slot] = place + 1;
        place
    }

    /// Place of a token's mask; where no more are remembered, its bits are set at once and there is no place.
    fn token(&mut self, key: &Secret<32>, token: &str, out: &mut [u64]) -> Option<u32> {
        if let Some(place) = self.tokens.get(token) {
            return Some(*place);
        }
        if self.tokens.len() >= MASKS_MAX {
            self.set(key, token, out);
            return None;
        }
        let mut mask = vec![0; out.len()];
        self.set(key, token, &mut mask);
        let place = self.keep(&mask);
        self.tokens.insert(token.to_owned(), place);
        Some(place)
    }

    /// Sets a token's bits: position j is the j-th u16 (little-endian) of BLAKE3-keyed(key, 2 ‖ u8 number ‖ token), modulo
    /// the bits, or those of the section.
    fn set(&self, key: &Secret<32>, token: &str, mask: &mut [u64]) {
        let (first, bits) = match self.field.section {
            Some((first, bits)) => (first as usize, bits as usize),
            None => (0, mask.len() * 64),
        };
        let (purpose, count) = ([2, self.number], self.field.positions);
        Positions::new(key.expose(), purpose).of(token, count, |position| {
            let bit = first + (usize::from(position) & (bits - 1));
            mask[bit / 64] |= 1 << (bit % 64);
        });
    }

    fn keep(&mut self, mask: &[u64]) -> u32 {
        let place = self.pool.len() / mask.len();
        self.pool.extend_from_slice(mask);
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

/// Joins the masks at `places`. The usual width has a loop of its own, whose sum stays in registers.
fn or_all(pool: &[u64], places: &[u32], out: &mut [u64]) {
    if let (Ok(out), (masks, [])) = (
        <&mut [u64; 16]>::try_from(&mut *out),
        pool.as_chunks::<16>(),
    ) {
        let mut sum = *out;
        for place in places {
            let mask = &masks[*place as usize];
            for (sum, word) in sum.iter_mut().zip(mask) {
                *sum |= word;
            }
        }
        *out = sum;
        return;
    }
    let words = out.len();
    for place in places {
        let from = *place as usize * words;
        for (out, word) in out.iter_mut().zip(&pool[from..from + words]) {
            *out |= word;
        }
    }
}

impl Drop for Masks {
    fn drop(&mut self) {
        self.pool.zeroize();
        #[expect(
            clippy::iter_over_hash_type,
            reason = "what is wiped first does not show"
        )]
        for (mut value, _) in self.tokens.drain() {
            value.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::Gazetteer;

    const FIELDS: [RecordField; 3] = [
        RecordField {
            field: 0,
            kind: FieldKind::Text,
            tokens: TokenKind::Bigrams,
            positions: 15,
            key: 0,
            section: None,
        },
        RecordField {
            field: 1,
            kind: FieldKind::CnName,
            tokens: TokenKind::Han,
            positions: 20,
            key: 1,
            section: Some((256, 512)),
        },
        RecordField {
            field: 2,
            kind: FieldKind::Date,
            tokens: TokenKind::Digits,
            positions: 10,
            key: 2,
            section: None,
        },
    ];

    fn cells(raw: [&str; 3]) -> Vec<Normal> {
        let places = Gazetteer::default();
        let kinds = FIELDS.iter().zip(raw);
        kinds
            .map(|(f, raw)| f.kind.normalise(raw, &places))
            .collect()
    }

    /// The bits by the words of the specification: no table, no memory.
    fn by_definition(key: u8, cells: &[Normal]) -> Vec<u64> {
        let mut out = vec![0_u64; 16];
        for (number, (field, cell)) in (0_u8..).zip(FIELDS.iter().zip(cells)) {
            for token in field.tokens.tokens(field.kind, cell).iter() {
                let mut positions = vec![0; 2 * field.positions as usize];
                blake3::Hasher::new_keyed(&[key; 32])
                    .update(&[2, number])
                    .update(token.as_bytes())
                    .finalize_xof()
                    .fill(&mut positions);
                for position in positions.as_chunks::<2>().0 {
                    let (first, bits) = field.section.unwrap_or((0, 1024));
                    let position = u32::from(u16::from_le_bytes(*position));
                    let bit = (first + position % bits) as usize;
                    out[bit / 64] |= 1 << (bit % 64);
                }
            }
        }
        out
    }

    proptest! {
        /// Tables and memory never change a bit, whatever came before.
        #[test]
        fn the_tables_are_the_definition(
            values in proptest::collection::vec(("[ -~]{0,40}", "\\PC{0,8}", "[0-9-]{0,10}"), 1..6)
        ) {
            let mut encoder = RecordEncoder::new(Secret::new([7; 32]), 1024, &FIELDS);
            let mut out = vec![0; 16];
            for (a, b, c) in values.iter().chain(&values) {
                let cells = cells([a, b, c]);
                encoder.encode(&cells, &mut out);
                prop_assert_eq!(&out, &by_definition(7, &cells));
            }
        }
    }

    #[test]
    fn repeats_are_tokens_of_their_own() {
        let mut encoder = RecordEncoder::new(Secret::new([7; 32]), 1024, &FIELDS);
        let (mut once, mut many) = (vec![0; 16], vec![0; 16]);
        for (raw, out) in [("anna", &mut once), ("ananananananana", &mut many)] {
            let cells = cells([raw, "", ""]);
            encoder.encode(&cells, out);
            assert_eq!(*out, by_definition(7, &cells));
        }
        assert_ne!(once, many);
        assert!(!encoder.encode(&cells(["", "", ""]), &mut once));
    }

    /// Invented records have about the bits of real ones, are the same for one seed and unlike for two.
    #[test]
    fn invented_records_have_bits_of_their_own() {
        let mut encoder = RecordEncoder::new(Secret::new([7; 32]), 1024, &FIELDS);
        let mut made = |seed: u8| {
            let mut out = vec![u64::MAX; 16];
            encoder.encode_invented(&[seed; 32], &mut out);
            out
        };
        let (one, other) = (made(1), made(2));
        assert!(one == made(1) && one != other);
        let ones = |words: &[u64]| words.iter().map(|word| word.count_ones()).sum::<u32>();
        // Ten tokens of 15, 20 and 10 positions: 450, of which some meet.
        assert!((250..=450).contains(&ones(&one)) && (250..=450).contains(&ones(&other)));
    }
}
