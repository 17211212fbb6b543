//! What the roll's owner asked departments about, and what they answered. In: chosen pairs of a result; sealed answers. Out: the
//! record of questions; answers by register and handle. Invariant: an answer counts only from the register's owner, to a
//! question that was asked, under the agreement's terms; the latest one holds.
//! Specification: protocol/SPEC.md, "Disclosure".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_keys::vault;
use hedui_protocol::agreement::InForce;
use hedui_protocol::ids::{Handle, Name, RequestId};
use hedui_protocol::message::disclosure::{Answer, Opened};
use hedui_protocol::message::parse_small_body;
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::results::{self, Disclosed, Evidence};
use crate::roll::Roll;

/// Questions by register and handle, of one agreement and epoch.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    registers: BTreeMap<Name, BTreeMap<String, Question>>,
}

/// What was asked about one record.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Day on which it was last asked.
    pub day: String,
    /// The register's data that it was asked of.
    pub snapshot: String,
    /// Request identifiers of the messages that asked it.
    pub requests: Vec<String>,
}

impl Asked {
    /// Reads the record; nothing at first.
    pub fn open(state: &Path, agreement: &InForce) -> Result<Self, Problem> {
        let path = path(state, agreement);
        if !path.exists() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&files::read_state(&path)?)
            .map_err(|error| Problem::refused(&path, Refusal::malformed("state", error)))
    }

    /// Writes it.
    pub fn save(&self, state: &Path, agreement: &InForce) -> Result<(), Problem> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        files::write_bytes(&path(state, agreement), &json)
    }

    /// What was asked about a record.
    pub fn of(&self, register: &Name, handle: &Handle) -> Option<&Question> {
        self.registers.get(register)?.get(&handle.to_hex())
    }

    /// How many records of a register were asked about.
    pub fn count(&self, register: &Name) -> usize {
        self.registers.get(register).map_or(0, BTreeMap::len)
    }

    /// Notes that records were asked about in a message.
    pub fn note<'h>(
        &mut self,
        register: &Name,
        handles: impl Iterator<Item = &'h str>,
        (day, snapshot, request): (&str, &str, &str),
    ) {
        let own = self.registers.entry(register.clone()).or_default();
        for handle in handles {
            let question = own.entry(handle.to_owned()).or_insert_with(|| Question {
                day: String::new(),
                snapshot: String::new(),
                requests: Vec::new(),
            });
            day.clone_into(&mut question.day);
            snapshot.clone_into(&mut question.snapshot);
            if !question.requests.iter().any(|known| known == request) {
                question.requests.push(request.to_owned());
            }
        }
    }

    /// Every record that was asked about, by register.
    pub fn all(&self) -> impl Iterator<Item = (&Name, &str, &Question)> {
        self.registers.iter().flat_map(|(register, own)| {
            let own = own.iter();
            own.map(move |(handle, question)| (register, handle.as_str(), question))
        })
    }
}

fn path(state: &Path, agreement: &InForce) -> PathBuf {
    state.join(format!("asked-{}.json", vault::place(agreement)))
}

/// An answer that counts.
pub struct Given {
    /// Day on which it was made, as its sender says.
    pub day: String,
    /// Data of which it speaks.
    pub snapshot: String,
    /// What it says.
    pub opened: Opened,
}

/// The latest answer about every record that was asked about.
#[derive(Default)]
pub struct Answers {
    latest: BTreeMap<(Name, Handle), (u64, Given)>,
}

impl Answers {
    /// Takes a verified answer: who made it, its number, its day and the request that it answers, as its header says.
    pub fn take(
        &mut self,
        (agreement, asked): (&InForce, &Asked),
        (owner, (seq, day, request)): (&Name, (u64, &str, Option<RequestId>)),
        body: &[u8],
    ) -> Result<(), Refusal> {
        let answer: Answer = parse_small_body("disclosure-answer", body)?;
        let dataset = agreement.dataset(&answer.register);
        if dataset.is_none_or(|dataset| dataset.owner != *owner) {
            let why = "it is about a register of another party";
            return Err(Refusal::malformed("disclosure-answer", why));
        }
        let opened = answer.check(agreement)?;
        let request = request.map(RequestId::to_hex);
        let was_asked = |record: &Opened| {
            let question = asked.of(&answer.register, &record.handle);
            question
                .zip(request.as_ref())
                .is_some_and(|(question, request)| question.requests.contains(request))
        };
        if !opened.iter().all(was_asked) {
            let why = "it answers what was not asked";
            return Err(Refusal::malformed("disclosure-answer", why));
        }
        for record in opened {
            let key = (answer.register.clone(), record.handle);
            let is_older = self.latest.get(&key).is_some_and(|(known, _)| *known > seq);
            if !is_older {
                let given = Given {
                    day: day.to_owned(),
                    snapshot: answer.snapshot.clone(),
                    opened: record,
                };
                self.latest.insert(key, (seq, given));
            }
        }
        Ok(())
    }

    /// The answer about a record.
    pub fn of(&self, register: &Name, handle: Handle) -> Option<&Given> {
        let given = self.latest.get(&(register.clone(), handle));
        given.map(|(_, given)| given)
    }
}

/// Adds answers to the evidence that they are about; facts count only where they speak of the data that were compared.
/// Returns how many answers speak of other data.
pub fn apply(
    answers: &Answers,
    (opened, roll, agreement): (&mut results::Opened, &Roll, &InForce),
) -> usize {
    let snapshots: BTreeMap<Name, String> = opened
        .manifest
        .registers
        .iter()
        .map(|r| (r.name.clone(), r.register_snapshot.clone()))
        .collect();
    let mut outdated = 0;
    for ((register, handle), (_, given)) in &answers.latest {
        let is_same = snapshots.get(register) == Some(&given.snapshot);
        outdated += usize::from(!is_same);
        let of = |item: &&mut Evidence| item.register == *register && item.handle == *handle;
        for item in opened.evidence.iter_mut().filter(of) {
            if is_same && item.facts.is_none() {
                item.facts.clone_from(&given.opened.facts);
            }
            item.disclosed = Some(compared(given, is_same, item.person, roll, agreement));
        }
    }
    outdated
}

/// What was laid open beside what the roll says, in the agreement's order.
fn compared(
    given: &Given,
    is_current: bool,
    person: usize,
    roll: &Roll,
    agreement: &InForce,
) -> Disclosed {
    let cells = roll.persons[person].person.cells();
    let fields = agreement.fields().iter().zip(cells);
    let fields = fields
        .filter_map(|(field, cell)| {
            let theirs = given.opened.fields.get(&field.name)?;
            Some((field.name.clone(), cell.value.clone(), theirs.clone()))
        })
        .collect();
    Disclosed {
        day: given.day.clone(),
        is_current,
        word: given.opened.word,
        note: given.opened.note.clone(),
        fields,
    }
}
