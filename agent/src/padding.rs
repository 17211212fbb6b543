//! Records that only pad. In: counts over the records of a side. Out: rows like those of a record, for every table. Invariant: a padding
//! record has one handle, stands in every table in which a person stands, and looks like what is there: its bitmap is drawn from
//! those of the records. What it is depends on the counts alone, so that it can be said what changes when they do.
//! Specification: protocol/SPEC.md, "Encoding of bodies".

use std::collections::BTreeMap;
use std::ops::Range;

use hedui_protocol::agreement::MatchKey;
use hedui_protocol::ids::Handle;
use hedui_protocol::limits::PAYLOAD_CLASSES;
use hedui_protocol::message::payload;
use hedui_protocol::message::submission::{Manifest, PRESENCE, PRESENCE_ROW_BYTES};

use crate::encode::{Encoder, row};
use crate::extsort::Row;

/// What the records of a side are like, canaries included.
#[derive(Default)]
pub struct Counts {
    /// Records.
    pub persons: u64,
    /// How many of them have which keys.
    pub presence: BTreeMap<u16, u64>,
    /// How many have payloads of which class.
    pub classes: [u64; PAYLOAD_CLASSES.len()],
    /// Rows of every table with one row per record, padding included.
    pub rows: u64,
    /// Rows of the payload tables, padding included; none for the roll.
    pub payload_rows: Vec<u64>,
}

impl Counts {
    /// How far tables are padded, once all records are counted.
    pub fn close(&mut self, is_roll: bool) {
        let classes: &[u64] = if is_roll { &[] } else { &self.classes };
        (self.rows, self.payload_rows) = Manifest::rows(self.persons, classes);
    }

    /// Numbers of the padding records.
    pub fn padding(&self) -> Range<u64> {
        self.persons..self.rows
    }

    /// The bitmap of the record at a random part of all: few padding records look otherwise when some records come or go.
    fn bitmap(&self, draw: u64) -> u16 {
        let place = (u128::from(draw) * u128::from(self.persons)) >> 64;
        let mut left = u64::try_from(place).unwrap_or(0);
        for (bitmap, count) in &self.presence {
            match left.checked_sub(*count) {
                Some(rest) => left = rest,
                None => return *bitmap,
            }
        }
        0
    }

    /// Presence row of a padding record, drawn from those of the real ones, so that a register without telephones has
    /// padding without telephones.
    pub fn presence_row(&self, encoder: &Encoder<'_>, index: u64) -> [u8; PRESENCE_ROW_BYTES] {
        let table = format!("{}/{PRESENCE}", encoder.register);
        let mut random = [0; 8];
        encoder.pseudonyms.padding(&table, index, &mut random);
        let mut row = [0; PRESENCE_ROW_BYTES];
        row[..16].copy_from_slice(&handle(encoder, index).0);
        let draw = u64::from_be_bytes(random);
        row[16..18].copy_from_slice(&self.bitmap(draw).to_be_bytes());
        row
    }

    /// Padding records whose payloads are in the class at a place: padding gets its payloads class by class, every one of them in
    /// exactly one table.
    pub fn payload_padding(&self, at: usize) -> Range<u64> {
        let filler = |at: usize| {
            let rows = self.payload_rows.get(at).copied().unwrap_or(0);
            rows.saturating_sub(self.classes[at])
        };
        let first = self.persons + (0..at).map(filler).sum::<u64>();
        first..first + filler(at)
    }
}

/// Handle of a padding record.
pub fn handle(encoder: &Encoder<'_>, index: u64) -> Handle {
    encoder.pseudonyms.padding_handle(encoder.register, index)
}

/// Tag rows of a padding record for a key.
pub fn tag_rows(encoder: &Encoder<'_>, key: &MatchKey, index: u64) -> impl Iterator<Item = Row> {
    let table = format!("{}/{}", encoder.register, Manifest::tag_table(key.number));
    let fan_out = u64::from(encoder.fan_out(key));
    let handle = handle(encoder, index);
    (0..fan_out).map(move |value| {
        let mut tag = [0; 16];
        let place = index * fan_out + value;
        encoder.pseudonyms.padding(&table, place, &mut tag);
        row(tag, handle)
    })
}

/// Payload row of a padding record in a class.
pub fn payload_row(encoder: &Encoder<'_>, class: usize, index: u64) -> Vec<u8> {
    let name = format!("{}/{}", encoder.register, payload::table_name(class));
    let mut row = vec![0; payload::row_bytes(class, encoder.releases.len())];
    encoder.pseudonyms.padding(&name, index, &mut row);
    row[..16].copy_from_slice(&handle(encoder, index).0);
    row
}
