//! Payloads: the coded facts of one record, sealed so that only an agreeing match opens them.
//! In: facts and the keys of the release sets. Out: one fixed-width row per record.
//! Row: `handle 16 ‖ per release set: AEAD(kek, CEK) 48 ‖ AEAD(CEK, u16 length ‖ facts ‖ zeros)`.
//! Invariant: every kek and CEK seals once (nonce 0). Specification: protocol/SPEC.md, "Payloads".

use zeroize::Zeroizing;

use crate::agreement::text::{Dataset, Fact, FactKind};
use crate::codec::{CodecError, Reader};
use crate::ids::Handle;
use crate::limits::PAYLOAD_CLASSES;
use crate::primitive::{AEAD_TAG_BYTES, Aead};
use crate::refusal::Refusal;
use crate::secret::Secret;

/// Bytes of one wrapped content key.
pub const WRAP_BYTES: usize = 32 + AEAD_TAG_BYTES;

/// One fact of one source row. In the order of the variants, then of their values.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactValue {
    /// Not stated.
    Absent,
    /// Index into the fact's `codes`.
    Code(u8),
    /// `YYYYMMDD` as a number.
    Date(u32),
    /// Whole number.
    Integer(i64),
    /// Register-internal identifier.
    Reference(String),
}

/// Facts of all source rows of one record, each row in the order of the dataset's schema; rows ascending and each once, so that
/// they do not show the order of the source.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// One entry per source row.
    pub rows: Vec<Vec<FactValue>>,
    /// Rows that did not fit into the largest class.
    pub rows_left_out: u16,
}

impl Facts {
    /// `u16 rows ‖ u16 rows left out ‖ per row and fact: u8 length ‖ bytes`, at most the largest class.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let limit = PAYLOAD_CLASSES[PAYLOAD_CLASSES.len() - 1] - 2;
        let mut body = Zeroizing::new(Vec::new());
        let mut kept: u16 = 0;
        for row in &self.rows {
            let before = body.len();
            row.iter().for_each(|value| value.put(&mut body));
            if body.len() + 4 > limit {
                body.truncate(before);
                break;
            }
            kept += 1;
        }
        let rows = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        let left = rows.saturating_sub(kept).saturating_add(self.rows_left_out);
        let mut out = Zeroizing::new(Vec::with_capacity(body.len() + 4));
        out.extend_from_slice(&kept.to_be_bytes());
        out.extend_from_slice(&left.to_be_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// Reads what [`Facts::encode`] writes under the same schema.
    pub fn decode(bytes: &[u8], schema: &[Fact]) -> Result<Self, Refusal> {
        let read = || -> Result<Self, CodecError> {
            let mut reader = Reader::new(bytes);
            let count = reader.u16("rows")?;
            let rows_left_out = reader.u16("rows left out")?;
            let mut rows = Vec::new();
            for _ in 0..count {
                let row: Result<_, _> = schema
                    .iter()
                    .map(|fact| FactValue::read(&mut reader, fact))
                    .collect();
                rows.push(row?);
            }
            reader.finish("facts")?;
            Ok(Self {
                rows,
                rows_left_out,
            })
        };
        read().map_err(|error| Refusal::malformed("payload", error))
    }
}

impl FactValue {
    fn put(&self, out: &mut Vec<u8>) {
        let mut write = |bytes: &[u8]| {
            // Every value is shorter than 256 bytes by construction of the mapping.
            out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(&bytes[..bytes.len().min(255)]);
        };
        match self {
            Self::Absent => write(&[]),
            Self::Code(index) => write(&[*index]),
            Self::Date(day) => write(&day.to_be_bytes()),
            Self::Integer(number) => write(&number.to_be_bytes()),
            Self::Reference(text) => write(text.as_bytes()),
        }
    }

    fn read(reader: &mut Reader<'_>, fact: &Fact) -> Result<Self, CodecError> {
        let len = usize::from(reader.u8("fact")?);
        if len == 0 {
            return Ok(Self::Absent);
        }
        let mut inner = Reader::new(reader.take(len, "fact")?);
        let value = match fact.kind {
            FactKind::Code => {
                let index = inner.u8("code")?;
                if usize::from(index) >= fact.codes.len() {
                    return Err(CodecError::BadValue("code"));
                }
                Self::Code(index)
            }
            FactKind::Date => Self::Date(inner.u32("date")?),
            FactKind::Integer => Self::Integer(i64::from_be_bytes(inner.array("integer")?)),
            FactKind::Reference => {
                let text = inner.take(len, "reference")?;
                let text = std::str::from_utf8(text)
                    .ok()
                    .filter(|text| is_reference(text));
                Self::Reference(text.ok_or(CodecError::BadValue("reference"))?.to_owned())
            }
        };
        inner.finish("fact")?;
        Ok(value)
    }
}

/// Whether `text` may travel as a reference: 1 to 32 of `[A-Za-z0-9-]`, not all digits of an identity
/// number's length.
pub fn is_reference(text: &str) -> bool {
    let alphabet = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let like_id =
        matches!(text.len(), 15 | 18) && text.bytes().take(15).all(|b| b.is_ascii_digit());
    let like_phone = text.len() == 11 && text.bytes().all(|b| b.is_ascii_digit());
    alphabet && (1..=32).contains(&text.len()) && !like_id && !like_phone
}

/// Name of the table that holds payloads of one class.
pub fn table_name(class: usize) -> String {
    format!("payload-{class}")
}

/// Bytes of the nonce of a row's wraps.
pub const NONCE_BYTES: usize = 12;

/// Bytes of one row of a class, for a number of release sets.
pub fn row_bytes(class: usize, releases: usize) -> usize {
    Handle::LEN + NONCE_BYTES + releases * WRAP_BYTES + class + AEAD_TAG_BYTES
}

/// The class that holds `len` bytes of encoded facts.
pub fn class_of(len: usize) -> usize {
    let fits = |class: &&usize| len + 2 <= **class;
    *PAYLOAD_CLASSES
        .iter()
        .find(fits)
        .unwrap_or(&PAYLOAD_CLASSES[PAYLOAD_CLASSES.len() - 1])
}

/// Bytes of encoded facts that a class holds at most.
pub fn room_of(class: usize) -> usize {
    class.saturating_sub(2)
}

/// Seals encoded facts into one row. `keks` has one key per release set; `None` for a set that this
/// record cannot carry, whose place is filled from `filler`. A kek outlives the facts (it is the same when the
/// register is delivered again in the epoch), so `nonce` must differ where the facts, and with them `cek`, do.
pub fn seal_row(
    handle: Handle,
    facts: &[u8],
    (cek, nonce): (&Secret<32>, [u8; NONCE_BYTES]),
    keks: &[Option<Secret<32>>],
    filler: &mut dyn FnMut(&mut [u8]),
) -> Vec<u8> {
    let class = class_of(facts.len());
    let mut row = Vec::with_capacity(row_bytes(class, keks.len()));
    row.extend_from_slice(&handle.0);
    row.extend_from_slice(&nonce);
    for kek in keks {
        let mut wrap = Vec::with_capacity(WRAP_BYTES);
        match kek {
            Some(kek) => {
                wrap.extend_from_slice(cek.expose());
                Aead::new(kek.expose()).seal(nonce, &handle.0, &mut wrap);
            }
            None => {
                wrap.resize(WRAP_BYTES, 0);
                filler(&mut wrap);
            }
        }
        row.extend_from_slice(&wrap);
    }
    let mut body = Vec::with_capacity(class + AEAD_TAG_BYTES);
    let len = u16::try_from(facts.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(facts);
    body.resize(class, 0);
    Aead::new(cek.expose()).seal([0; 12], &handle.0, &mut body);
    row.extend_from_slice(&body);
    row
}

/// Opens a row with the key of release set `set`, or `None` if that key does not open it.
pub fn open_row(
    row: &[u8],
    releases: usize,
    set: usize,
    kek: &Secret<32>,
    dataset: &Dataset,
) -> Option<Facts> {
    let (handle, rest) = row.split_first_chunk::<16>()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
    let (wraps, body) = rest.split_at_checked(releases * WRAP_BYTES)?;
    let mut wrap = wraps.chunks_exact(WRAP_BYTES).nth(set)?.to_vec();
    let opened = Aead::new(kek.expose()).open(*nonce, handle, &mut wrap)?;
    let cek = Secret::new(opened.try_into().ok()?);
    let mut body = Zeroizing::new(body.to_vec());
    let plain = Aead::new(cek.expose()).open([0; 12], handle, &mut body[..])?;
    let (len, rest) = plain.split_first_chunk::<2>()?;
    let facts = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
    Facts::decode(facts, &dataset.fact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Name;

    fn dataset() -> Dataset {
        let fact = |name: &str, kind, codes: &[&str]| Fact {
            name: Name::new(name).unwrap(),
            kind,
            codes: codes.iter().map(|c| (*c).to_owned()).collect(),
        };
        Dataset {
            name: Name::new("vehicle").unwrap(),
            number: 2,
            title: String::new(),
            owner: Name::new("police").unwrap(),
            kind: crate::agreement::text::DatasetKind::Register,
            rows_max: 10,
            evaluations_max: 0,
            matches_max: 0,
            one_to_one: false,
            repeats: false,
            own_result: false,
            disclosure: None,
            fact: vec![
                fact("status", FactKind::Code, &["normal", "scrapped"]),
                fact("since", FactKind::Date, &[]),
                fact("value", FactKind::Integer, &[]),
                fact("case", FactKind::Reference, &[]),
            ],
        }
    }

    #[test]
    fn a_row_opens_with_its_key_only() {
        let row = vec![
            FactValue::Code(1),
            FactValue::Date(20160101),
            FactValue::Integer(-5),
            FactValue::Reference("K-9".to_owned()),
        ];
        let facts = Facts {
            rows: vec![row.clone(), row],
            rows_left_out: 0,
        };
        let (cek, kek) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let handle = Handle([3; 16]);
        let keks = [None, Some(kek.duplicate())];
        let sealed = seal_row(
            handle,
            &facts.encode(),
            (&cek, [5; 12]),
            &keks,
            &mut |out| out.fill(7),
        );
        assert_eq!(sealed.len(), row_bytes(96, 2));
        assert!(open_row(&sealed, 2, 1, &kek, &dataset()) == Some(facts));
        assert!(open_row(&sealed, 2, 0, &kek, &dataset()).is_none());
        assert!(open_row(&sealed, 2, 1, &Secret::new([9; 32]), &dataset()).is_none());
        for at in 0..sealed.len() {
            let mut copy = sealed.clone();
            copy[at] ^= 1;
            let opened = open_row(&copy, 2, 1, &kek, &dataset());
            let in_other_wrap = (28..28 + WRAP_BYTES).contains(&at);
            assert!(opened.is_none() || in_other_wrap, "byte {at}");
        }
    }

    #[test]
    fn facts_that_exceed_the_largest_class_are_counted_not_lost_silently() {
        let row = vec![FactValue::Reference("x".repeat(32))];
        let facts = Facts {
            rows: vec![row; 500],
            rows_left_out: 0,
        };
        let encoded = facts.encode();
        assert!(encoded.len() + 2 <= 4096);
        let mut schema = dataset();
        schema.fact.drain(..3);
        let back = Facts::decode(&encoded, &schema.fact).ok().unwrap();
        assert_eq!(back.rows.len() + usize::from(back.rows_left_out), 500);
    }

    #[test]
    fn identity_numbers_and_phones_cannot_travel_as_references() {
        assert!(is_reference("DB-2016-0001"));
        for bad in [
            "422725196408150014",
            "42272519640815001X",
            "422725640815001",
            "13807171234",
            "张三",
            "",
        ] {
            assert!(!is_reference(bad));
        }
    }
}
