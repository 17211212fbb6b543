//! Match keys: which bytes enter the lock. In: a person's normalised cells. Out: one input per key, or
//! none; on the roll's side several, where a key allows for errors. Invariant: the input names agreement, epoch, version of the normal forms and key, and
//! length-prefixes every part, so that no two tuples share an input.
//! Specification: protocol/SPEC.md, "Match-key inputs".

use zeroize::Zeroizing;

use crate::agreement::strict::nearest_of;
use crate::agreement::text::{DatasetKind, Field};
use crate::agreement::{Agreement, MatchKey};
use crate::field::{self, FieldKind, Form, Normal};
use crate::ids::{AgreementDigest, Epoch};
use crate::label::Label;
use crate::limits::KEY_INPUT_BYTES_MAX;

/// Which side of a comparison a person stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The persons that are asked about.
    Roll,
    /// A department's register.
    Register,
}

impl From<DatasetKind> for Side {
    fn from(kind: DatasetKind) -> Self {
        match kind {
            DatasetKind::Roll => Self::Roll,
            DatasetKind::Register => Self::Register,
        }
    }
}

/// One part of a match key: a form of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// Index of the field in the agreement.
    pub field: usize,
    /// Kind of the field.
    pub kind: FieldKind,
    /// Form that is taken.
    pub form: Form,
}

impl KeyPart {
    /// Reads `field` or `field:form`; the error names the nearest right word.
    pub fn parse(text: &str, fields: &[Field]) -> Result<Self, String> {
        let (name, form) = text.split_once(':').unwrap_or((text, "whole"));
        let hint = |near: Option<String>| {
            near.map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default()
        };
        let field = fields
            .iter()
            .position(|field| field.name.as_str() == name)
            .ok_or_else(|| {
                let all = fields.iter().map(|field| field.name.as_str());
                format!("there is no field `{name}`{}", hint(nearest_of(name, all)))
            })?;
        let kind = fields[field].kind;
        let word = |form: &Form| form_word(*form);
        let form = kind
            .forms()
            .iter()
            .find(|f| word(f) == form)
            .ok_or_else(|| {
                let all: Vec<String> = kind.forms().iter().map(word).collect();
                let near = nearest_of(form, all.iter().map(String::as_str));
                format!("field `{name}` has no form `{form}`{}", hint(near))
            })?;
        Ok(Self {
            field,
            kind,
            form: *form,
        })
    }

    /// The part's text for a person of a register, if present.
    pub fn of(&self, cells: &[Normal]) -> Option<String> {
        self.form.of(self.kind, cells.get(self.field)?)
    }

    /// Every text of the part for a person of one side.
    fn all_of(&self, cells: &[Normal], side: Side) -> Vec<String> {
        match (side, cells.get(self.field)) {
            (_, None) => Vec::new(),
            (Side::Register, Some(cell)) => self.form.of(self.kind, cell).into_iter().collect(),
            (Side::Roll, Some(cell)) => self.form.all_of_roll(self.kind, cell),
        }
    }
}

fn form_word(form: Form) -> String {
    // The serde name is the one spelling of a form.
    serde_json::to_value(form)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A person of a register: one normalised cell per field of the agreement, gaps filled by derivation.
pub struct Person {
    cells: Vec<Normal>,
}

impl Person {
    /// Takes the normalised cells in the order of the agreement's fields and fills each field that is
    /// not usable and has a `derive` from the field it names.
    pub fn new(agreement: &Agreement, mut cells: Vec<Normal>) -> Self {
        for (index, field) in agreement.fields().iter().enumerate() {
            let usable = cells.get(index).is_some_and(|cell| cell.value.is_some());
            if field.derive.is_empty() || usable {
                continue;
            }
            let part = KeyPart::parse(&field.derive, agreement.fields());
            if let Some(value) = part.ok().and_then(|part| part.of(&cells))
                && let Some(cell) = cells.get_mut(index)
            {
                cell.value = Some(value);
            }
        }
        Self { cells }
    }

    /// The cells, in the order of the agreement's fields.
    pub fn cells(&self) -> &[Normal] {
        &self.cells
    }
}

impl MatchKey {
    /// Whether a person of one side has the key: every part is there, and their texts fit an input.
    pub fn is_in(&self, person: &Person, side: Side) -> bool {
        let mut bytes = INPUT_HEAD_BYTES;
        self.parts.iter().all(|part| {
            let texts = Zeroizing::new(part.all_of(person.cells(), side));
            let least = texts.iter().map(String::len).min();
            bytes += 2 + least.unwrap_or(0);
            least.is_some() && bytes <= KEY_INPUT_BYTES_MAX
        })
    }
}

/// Bytes of an input before its texts: label, 0, digest, epoch, version, key.
const INPUT_HEAD_BYTES: usize = Label::MatchKey.bytes().len() + 1 + 32 + 4 + 1 + 1;

/// Input of the lock for one match key of one person; wiped on drop.
pub struct KeyInput(Zeroizing<Vec<u8>>);

impl KeyInput {
    /// `"HEDUI1/match-key" ‖ 0 ‖ AD ‖ u32 epoch ‖ u8 version ‖ u8 key ‖ (u16 length ‖ text)…` for every
    /// combination of the parts' texts; none if a part is absent or the whole is longer than 512 bytes.
    pub fn all(
        agreement: AgreementDigest,
        epoch: Epoch,
        key: &MatchKey,
        person: &Person,
        side: Side,
    ) -> Vec<Self> {
        let mut input = Vec::with_capacity(KEY_INPUT_BYTES_MAX);
        input.extend_from_slice(Label::MatchKey.bytes());
        input.push(0);
        input.extend_from_slice(&agreement.0);
        input.extend_from_slice(&epoch.0.to_be_bytes());
        input.extend_from_slice(&[field::VERSION, key.number]);
        let mut inputs = vec![Self(Zeroizing::new(input))];
        for part in &key.parts {
            let texts = Zeroizing::new(part.all_of(person.cells(), side));
            inputs = inputs
                .iter()
                .flat_map(|input| texts.iter().filter_map(|text| input.with(text)))
                .collect();
        }
        inputs
    }

    fn with(&self, text: &str) -> Option<Self> {
        let len = u16::try_from(text.len()).ok()?;
        let mut input = Zeroizing::new(Vec::with_capacity(KEY_INPUT_BYTES_MAX));
        input.extend_from_slice(&self.0);
        input.extend_from_slice(&len.to_be_bytes());
        input.extend_from_slice(text.as_bytes());
        (input.len() <= KEY_INPUT_BYTES_MAX).then_some(Self(input))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::sample::sample;
    use crate::field::Gazetteer;

    fn person(raw: [&str; 5]) -> (Agreement, Person) {
        let agreement = Agreement::from_text(sample()).unwrap();
        let fields = agreement.fields().iter().zip(raw);
        let cells = fields.map(|(field, raw)| field.kind.normalise(raw, &Gazetteer::default()));
        let person = Person::new(&agreement, cells.collect());
        (agreement, person)
    }

    /// A field that is missing is filled from the one it derives from; one that is there stays as it is.
    #[test]
    fn gaps_are_filled_by_what_they_derive_from() {
        let id = "422725196408150014";
        for (birth, filled) in [
            ("", "19640815"),
            ("1964-13-40", "19640815"),
            ("1970-01-01", "19700101"),
        ] {
            let (_, person) = person([id, birth, "", "", ""]);
            assert_eq!(person.cells()[1].value.as_deref(), Some(filled), "{birth}");
        }
        let (_, without) = person(["", "", "张伟", "", ""]);
        assert!(without.cells()[1].value.is_none());
    }

    /// A person has a key if every part has a text on that side, and as many inputs as the parts have texts together.
    #[test]
    fn a_person_has_a_key_if_every_part_is_there() {
        let held = |raw: [&str; 5], key: usize, side: Side| {
            let (agreement, person) = person(raw);
            let key = &agreement.match_keys()[key];
            let inputs = KeyInput::all(agreement.digest(), agreement.epoch(), key, &person, side);
            assert_eq!(key.is_in(&person, side), !inputs.is_empty());
            inputs.len()
        };
        let (right, slip) = ("422725196408150014", "422725196408150015");
        let whole = [right, "", "张伟", "张", "13807171234"];
        assert_eq!(held(whole, 0, Side::Register), 1);
        assert_eq!(held(whole, 3, Side::Roll), 1);
        assert!(held(whole, 1, Side::Roll) > 170 && held(whole, 1, Side::Register) == 0);
        let slipped = [slip, "", "张伟", "", ""];
        assert_eq!(held(slipped, 1, Side::Register), 1);
        assert_eq!(
            (
                held(slipped, 1, Side::Roll),
                held(slipped, 0, Side::Register)
            ),
            (0, 0)
        );
        assert_eq!(held(["", "1964-08-15", "", "", ""], 3, Side::Register), 0);
        assert_eq!(held([right, "", "", "", ""], 1, Side::Roll), 0);
        let (agreement, _) = person(whole);
        let part = &agreement.match_keys()[2].parts[0];
        let none = part.of(&[]);
        assert!(none.is_none() && part.all_of(&[], Side::Roll).is_empty());
    }
}
