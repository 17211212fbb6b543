//! The disclosure round (协查): the roll's owner asks a department about single records that a result named, the
//! department's people answer or decline. In: handles of the register. Out: coded facts and the fields that the agreement
//! names, or a reason. Invariant: nothing is in an answer that the agreement does not name for the register, and no
//! identity number ever. Specification: protocol/SPEC.md, "Disclosure".

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::payload::Facts;
use crate::agreement::Agreement;
use crate::agreement::text::{Dataset, Disclosure};
use crate::ids::{Handle, Name};
use crate::limits::{
    FACT_ROWS_MAX, NOTE_CHARS_MAX, PAYLOAD_CLASSES, QUESTIONS_MAX, VALUE_CHARS_MAX,
};
use crate::primitive::{hex, unhex_bytes};
use crate::refusal::Refusal;

const REQUEST: &str = "disclosure-request";
const ANSWER: &str = "disclosure-answer";

/// Questions about records of one register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Register whose records are meant.
    pub register: Name,
    /// Its owner's name of the data in which the result found them.
    pub snapshot: String,
    /// How often the roll's owner has asked about these data now, from 1: the same questions again are another message.
    pub round: u32,
    /// One entry per record, each once.
    pub questions: Vec<Question>,
}

/// A question about one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The register's own handle, hexadecimal.
    pub handle: String,
    /// Why it is asked.
    pub reason: Reason,
    /// Match keys that agree with those of a person of the roll.
    pub agree: Vec<Name>,
    /// Match keys that both sides have and that differ.
    pub differ: Vec<Name>,
}

/// Why a record is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Whether it is the same person is open.
    Review,
    /// The identity number is one person's and name and birth date are another's.
    Conflict,
    /// It is the same person, and the record's facts were not released.
    Facts,
    /// It is the same person by the rule; the department is asked to look once more.
    Recheck,
    /// The person contests what followed from a match.
    Objection,
}

/// Answers about records of one register.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Register of the request.
    pub register: Name,
    /// Its owner's name of the data of which the answers speak.
    pub snapshot: String,
    /// One entry per record, each once.
    pub answers: Vec<Answered>,
}

/// The answer about one record; what is not disclosed has empty `facts` and `fields`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// The handle that was asked about, hexadecimal.
    pub handle: String,
    /// What the department's people decided.
    pub word: Word,
    /// Why it was declined, or a remark.
    pub note: String,
    /// Facts of the record as in a payload ([`Facts::encode`]), hexadecimal.
    pub facts: String,
    /// Normal forms of fields that the agreement names, by field; without a value: not there.
    pub fields: BTreeMap<Name, String>,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The record is laid open.
    Disclosed,
    /// It is not, for a reason.
    Declined,
    /// There is no such record in the data that the department holds now.
    Unknown,
}

/// A record as its owner lays it open, checked against the agreement.
pub struct Opened {
    /// The record.
    pub handle: Handle,
    /// What was decided.
    pub word: Word,
    /// Why, or a remark.
    pub note: String,
    /// Facts, if it is disclosed.
    pub facts: Option<Facts>,
    /// Fields by name.
    pub fields: BTreeMap<Name, String>,
}

/// What the agreement lets a register's owner disclose.
pub fn terms_of<'a>(
    agreement: &'a Agreement,
    register: &Name,
) -> Result<(&'a Dataset, &'a Disclosure), Refusal> {
    let dataset = agreement.dataset(register);
    let terms = dataset.and_then(|dataset| Some((dataset, dataset.disclosure.as_ref()?)));
    terms
        .ok_or_else(|| Refusal::malformed("disclosure", "the agreement has none for this register"))
}

impl Request {
    /// Checks a request and returns the records that it asks about, in its order.
    pub fn check(&self, agreement: &Agreement) -> Result<Vec<Handle>, Refusal> {
        terms_of(agreement, &self.register)?;
        let bad = |why| Refusal::malformed(REQUEST, why);
        within(REQUEST, self.questions.len())?;
        if self.questions.is_empty() || !is_plain(&self.snapshot) || self.round == 0 {
            return Err(bad("it asks nothing, names no data, or has no round"));
        }
        let is_key = |name: &Name| agreement.evidence_keys().any(|key| key.name == *name);
        let (mut handles, mut seen) = (Vec::new(), BTreeSet::new());
        for question in &self.questions {
            let handle = Handle::from_hex(&question.handle).filter(|handle| seen.insert(*handle));
            handles.push(handle.ok_or_else(|| bad("a handle is wrong, or stands in it twice"))?);
            if !question.agree.iter().chain(&question.differ).all(is_key) {
                return Err(bad("it names a match key that the agreement has not"));
            }
        }
        Ok(handles)
    }
}

impl Answer {
    /// Checks an answer: handles each once, a reason where it declines, facts of the register's schema and fields of the
    /// agreement where it discloses and nowhere else.
    pub fn check(&self, agreement: &Agreement) -> Result<Vec<Opened>, Refusal> {
        let (dataset, terms) = terms_of(agreement, &self.register)?;
        within(ANSWER, self.answers.len())?;
        if self.answers.is_empty() || !is_plain(&self.snapshot) {
            return Err(Refusal::malformed(
                ANSWER,
                "it answers nothing, or names no data",
            ));
        }
        let mut seen = BTreeSet::new();
        let answers = self.answers.iter();
        answers
            .map(|answered| {
                let opened = answered.check(dataset, terms)?;
                match seen.insert(opened.handle) {
                    true => Ok(opened),
                    false => Err(Refusal::malformed(ANSWER, "a handle stands in it twice")),
                }
            })
            .collect()
    }
}

impl Answered {
    /// An answer that lays nothing open.
    pub fn without(handle: Handle, word: Word, note: &str) -> Self {
        Self {
            handle: handle.to_hex(),
            word,
            note: note.to_owned(),
            facts: String::new(),
            fields: BTreeMap::new(),
        }
    }

    /// An answer that lays a record open.
    pub fn disclosed(
        handle: Handle,
        note: &str,
        facts: &Facts,
        fields: BTreeMap<Name, String>,
    ) -> Self {
        Self {
            facts: hex(&facts.encode()),
            fields,
            ..Self::without(handle, Word::Disclosed, note)
        }
    }

    fn check(&self, dataset: &Dataset, terms: &Disclosure) -> Result<Opened, Refusal> {
        let bad = |why| Refusal::malformed(ANSWER, why);
        let handle = Handle::from_hex(&self.handle).ok_or_else(|| bad("a handle is wrong"))?;
        if !is_note(&self.note) || (self.word == Word::Declined && self.note.is_empty()) {
            return Err(bad(
                "a reason is missing, too long, no line of text, or holds a number",
            ));
        }
        let is_open = self.word == Word::Disclosed;
        let is_empty = self.facts.is_empty() && self.fields.is_empty();
        if !is_open && !is_empty {
            return Err(bad("it lays open what it does not disclose"));
        }
        let named = |(field, value): (&Name, &String)| {
            let is_value = !value.is_empty() && value.chars().count() <= VALUE_CHARS_MAX;
            terms.fields.contains(field) && is_value && !value.chars().any(char::is_control)
        };
        if !self.fields.iter().all(named) {
            return Err(bad(
                "it has a field that the agreement does not name, or a value that is none",
            ));
        }
        let facts = match is_open {
            true => {
                let bytes = unhex_bytes(&self.facts).filter(|bytes| bytes.len() <= FACTS_BYTES_MAX);
                let bytes = bytes.ok_or_else(|| bad("its facts are wrong"))?;
                let facts = Facts::decode(&bytes, &dataset.fact)?;
                // Rows are unlike, so without facts there is one at most.
                let most = if dataset.fact.is_empty() {
                    1
                } else {
                    FACT_ROWS_MAX
                };
                if facts.rows.len() > most {
                    return Err(bad("its facts have too many rows"));
                }
                Some(facts)
            }
            false => None,
        };
        Ok(Opened {
            handle,
            word: self.word,
            note: self.note.clone(),
            facts,
            fields: self.fields.clone(),
        })
    }
}

/// Most bytes of a record's facts: as many as the largest payload holds.
const FACTS_BYTES_MAX: usize = PAYLOAD_CLASSES[PAYLOAD_CLASSES.len() - 1] - 2;

/// Digits in a row that a reason or remark may not have: so many have telephone, account and identity numbers.
const NUMBER_DIGITS: usize = 11;

/// Whether a text may be a reason or remark: one line, without a number that would name somebody.
pub fn is_note(text: &str) -> bool {
    let is_line = text.chars().count() <= NOTE_CHARS_MAX && !text.chars().any(char::is_control);
    let mut digits = 0;
    let names_nobody = text.chars().filter(|c| *c != ' ').all(|character| {
        let is_digit = character.is_ascii_digit() || ('０'..='９').contains(&character);
        digits = if is_digit { digits + 1 } else { 0 };
        digits < NUMBER_DIGITS
    });
    is_line && names_nobody
}

fn is_plain(snapshot: &str) -> bool {
    (1..=128).contains(&snapshot.len()) && snapshot.bytes().all(|b| b.is_ascii_graphic())
}

fn within(what: &'static str, found: usize) -> Result<(), Refusal> {
    match found > QUESTIONS_MAX {
        true => Err(Refusal::Oversize {
            what,
            found: found as u64,
            allowed: QUESTIONS_MAX as u64,
        }),
        false => Ok(()),
    }
}
