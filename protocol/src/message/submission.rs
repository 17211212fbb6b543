//! A submission: the encodings of one dataset for one register's context. In: agent's tables.
//! Out: manifest and layout that the matcher checks before it reads a row.
//! Tables: `tag-N` (tag 16 ‖ handle 16, sorted by tag), `presence` (handle 16 ‖ u16 bitmap ‖ u16 0),
//! `filters` where the agreement has likeness, `payload-N`; changes to a delivery begin with `gone` (handle 16). Invariant: sizes of
//! a whole delivery are padded, so they show multiples only. SPEC.md, "Encoding of bodies".

use serde::{Deserialize, Serialize};

use super::{Layout, Table, payload};
use crate::agreement::Agreement;
use crate::agreement::text::DatasetKind;
use crate::field;
use crate::ids::Name;
use crate::limits::{CHANGED_RECORDS_MAX, PAD_PAYLOAD_ROWS, PAD_ROWS, PAYLOAD_CLASSES};
use crate::match_key::Side;
use crate::primitive::unhex;
use crate::refusal::Refusal;

/// Bytes of a row of a tag table.
pub const TAG_ROW_BYTES: usize = 32;
/// Bytes of a row of the presence table.
pub const PRESENCE_ROW_BYTES: usize = 20;
/// Name of the table of record filters: handle 16 ‖ filter, sorted by handle.
pub const FILTERS: &str = "filters";
/// Bytes of a handle.
pub const HANDLE_BYTES: usize = 16;
/// Name of the presence table.
pub const PRESENCE: &str = "presence";
/// Name of the table of handles whose records are no longer as the base has them.
pub const GONE: &str = "gone";

/// Head of a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Dataset that was encoded.
    pub dataset: Name,
    /// Register in whose context the tags were made: the dataset itself, or the one that the roll asks.
    pub register: Name,
    /// Version of the normal forms.
    pub field_version: u8,
    /// Day for which the data hold, `YYYY-MM-DD`, as stated by the owner.
    pub as_of: String,
    /// Name that the owner gave to exactly these data; comes back with the result.
    pub snapshot: String,
    /// Check value of the kit under which the tags were made, hexadecimal.
    pub kit_check: String,
    /// What this side says of its canaries ([`crate::lock::TagContext::canary_slip`]).
    pub canary: String,
    /// Changes to a whole delivery: SHA-256 of its header, hexadecimal. Absent: this is a whole one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Tables in the order of the body.
    pub tables: Vec<Table>,
}

impl Manifest {
    /// Name of the table of a match key.
    pub fn tag_table(number: u8) -> String {
        format!("tag-{number}")
    }

    /// Rows that a table of `rows` is padded to; at least one full step.
    pub fn padded(rows: u64) -> u64 {
        rows.max(1).div_ceil(PAD_ROWS) * PAD_ROWS
    }

    /// Rows of every table of a submission of `persons` records whose payloads are in classes of `classes`
    /// records: the same number for tags and presence, and as many payload rows in all. So a padding record is
    /// in every table in which a person is.
    pub fn rows(persons: u64, classes: &[u64]) -> (u64, Vec<u64>) {
        let mut payloads: Vec<u64> = classes.iter().map(|n| Self::padded_payload(*n)).collect();
        let sum: u64 = payloads.iter().sum();
        let rows = Self::padded(persons.max(sum));
        // Both are multiples of the smaller step, so the difference is one too.
        if let Some(first) = payloads.first_mut() {
            *first += rows - sum;
        }
        (rows, payloads)
    }

    /// Rows that a payload table of `rows` is padded to; none stays none.
    pub fn padded_payload(rows: u64) -> u64 {
        rows.div_ceil(PAD_PAYLOAD_ROWS) * PAD_PAYLOAD_ROWS
    }

    /// Whether this is the roll's side of a comparison.
    pub fn is_roll(&self) -> bool {
        self.dataset != self.register
    }

    /// Header digest of the delivery that this one changes.
    pub fn base(&self) -> Option<[u8; 32]> {
        unhex(self.base.as_ref()?)
    }

    /// Most rows of a table with one row per record: each payload class may add less than one step of its own.
    fn rows_allowed(rows_max: u64) -> u64 {
        let steps = PAYLOAD_CLASSES.len() as u64 * PAD_PAYLOAD_ROWS;
        Self::padded(rows_max.saturating_add(steps))
    }

    /// Rows per table with one row per record that a delivery has once these changes are made to a base of `rows`: padded
    /// and within the cap, as if it had come whole.
    pub fn changed_rows(&self, agreement: &Agreement, rows: u64) -> Result<u64, Refusal> {
        let dataset = agreement.dataset_or_nearest(self.dataset.as_str())?;
        let of = |name: &str| {
            let table = self.tables.iter().find(|table| table.name == name);
            table.map_or(0, |table| table.rows)
        };
        let bad = |why: &str| Refusal::malformed("submission", why);
        let left = rows.checked_sub(of(GONE));
        let left = left.ok_or_else(|| bad("more records are gone than its base has"))?;
        let found = left.saturating_add(of(PRESENCE));
        let allowed = Self::rows_allowed(dataset.rows_max);
        if found > allowed {
            return Err(Refusal::Oversize {
                what: "table",
                found,
                allowed,
            });
        }
        if found % PAD_ROWS != 0 {
            return Err(bad("its base with its changes is not padded"));
        }
        Ok(found)
    }

    /// Checks the manifest against the agreement and the sender, and returns where the tables lie.
    pub fn check(
        &self,
        agreement: &Agreement,
        sender: &Name,
        manifest_bytes: u64,
        body_bytes: u64,
    ) -> Result<Layout, Refusal> {
        let bad = |why: String| Refusal::malformed("submission", why);
        let dataset = agreement.dataset_or_nearest(self.dataset.as_str())?;
        let register = agreement.dataset_or_nearest(self.register.as_str())?;
        let kinds = (dataset.kind, register.kind);
        let roll = kinds == (DatasetKind::Roll, DatasetKind::Register);
        let own = self.dataset == self.register && dataset.kind == DatasetKind::Register;
        if !roll && !own {
            return Err(bad("its dataset and register do not go together".to_owned()));
        }
        if dataset.owner != *sender {
            return Err(bad(format!(
                "dataset `{}` is not the sender's",
                self.dataset
            )));
        }
        if self.field_version != field::VERSION {
            return Err(bad(format!(
                "normal forms of version {}",
                self.field_version
            )));
        }
        if unhex::<18>(&self.canary).is_none() {
            return Err(bad("its `canary` is wrong".to_owned()));
        }
        let changes = self.base.is_some();
        if changes {
            if self.base().is_none() {
                return Err(bad("its `base` is no digest".to_owned()));
            }
            if !own || agreement.likeness().is_some() {
                return Err(bad(
                    "a roll, and a register with record filters, is delivered whole".to_owned(),
                ));
            }
        }
        let mut wanted = expected(agreement, roll);
        if changes {
            wanted.insert(0, (GONE.to_owned(), HANDLE_BYTES));
        }
        let mut allowed = Self::rows_allowed(dataset.rows_max);
        if changes {
            allowed = allowed.min(CHANGED_RECORDS_MAX + 4 * PAD_ROWS);
        }
        let fan_out = |table: &Table| fan_out_of(agreement, &table.name, roll);
        for (table, (name, width)) in self.tables.iter().zip(&wanted) {
            let width = *width;
            if table.name != *name || table.width as usize != width {
                return Err(bad(format!(
                    "table `{name}` is missing or has another width"
                )));
            }
            let step = if name.starts_with("payload") {
                PAD_PAYLOAD_ROWS
            } else {
                PAD_ROWS
            };
            if table.rows % step != 0 && !changes {
                return Err(bad(format!("table `{name}` is not padded")));
            }
            let allowed = allowed.saturating_mul(fan_out(table));
            if table.rows > allowed {
                let found = table.rows;
                return Err(Refusal::Oversize {
                    what: "table",
                    found,
                    allowed,
                });
            }
        }
        if self.tables.len() != wanted.len() {
            return Err(bad(
                "it has more or fewer tables than the agreement".to_owned()
            ));
        }
        let (payloads, others): (Vec<&Table>, Vec<&Table>) = self
            .tables
            .iter()
            .skip(usize::from(changes))
            .partition(|table| table.name.starts_with("payload"));
        let rows = others.last().map_or(0, |table| table.rows);
        let sum: u64 = payloads.iter().map(|table| table.rows).sum();
        let whole = |table: &&&Table| Some(table.rows) == rows.checked_mul(fan_out(table));
        if !others.iter().all(|table| whole(&table)) || (own && sum != rows) {
            return Err(bad(
                "its tables have different numbers of records".to_owned()
            ));
        }
        let layout = Layout::new(manifest_bytes, &self.tables)?;
        if layout.body_bytes != body_bytes {
            return Err(bad("its body has another length than its tables".to_owned()));
        }
        Ok(layout)
    }
}

/// Rows per record in a table: more than one only for a key that allows for errors, on the roll's side.
pub fn fan_out_of(agreement: &Agreement, table: &str, roll: bool) -> u64 {
    let side = if roll { Side::Roll } else { Side::Register };
    let mut keys = agreement.match_keys().iter();
    let key = keys.find(|key| Manifest::tag_table(key.number) == table);
    key.map_or(1, |key| key.fan_out(side) as u64)
}

/// Names and widths of the tables of a submission.
pub fn expected(agreement: &Agreement, roll: bool) -> Vec<(String, usize)> {
    let keys = agreement.match_keys().iter();
    let mut tables: Vec<_> = keys
        .map(|key| (Manifest::tag_table(key.number), TAG_ROW_BYTES))
        .collect();
    tables.push((PRESENCE.to_owned(), PRESENCE_ROW_BYTES));
    if let Some((likeness, _)) = agreement.likeness() {
        tables.push((FILTERS.to_owned(), HANDLE_BYTES + likeness.bytes()));
    }
    if !roll {
        let releases = agreement.releases().len();
        for class in PAYLOAD_CLASSES {
            tables.push((
                payload::table_name(class),
                payload::row_bytes(class, releases),
            ));
        }
    }
    tables
}
