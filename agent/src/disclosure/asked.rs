//! What the roll's owner asked departments about, and what they answered. In: chosen pairs of a result; sealed answers. Out: the
//! record of questions; answers by register and handle. Invariant: an answer counts only from the register's owner, to a question
//! that was asked, under the agreement's terms; what was seen once is not gone back on.
//! Specification: protocol/SPEC.md, "Disclosure".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_keys::vault;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::KeyClass;
use hedui_protocol::ids::{Handle, Name, RequestId};
use hedui_protocol::message::disclosure::{Answer, Opened, Request};
use hedui_protocol::message::parse_small_body;
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use crate::results::{self, Compared, Disclosed, Evidence};
use crate::roll::Roll;

/// Questions by register and handle, of one agreement and epoch.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    registers: BTreeMap<Name, BTreeMap<String, Question>>,
    /// Messages that are to be sealed: noted before, so that a crash leaves none that nobody knows of.
    pending: Vec<Request>,
}

/// What was asked about one record.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Day on which it was last asked.
    pub day: String,
    /// The register's data that it was asked of.
    pub snapshot: String,
    /// How often it was asked of them.
    pub round: u32,
    /// Request identifiers of the messages that asked it.
    pub requests: Vec<String>,
    /// Greatest number of an answer that was seen; 0: none.
    pub answered: u64,
}

impl Asked {
    /// Reads the record; nothing at first.
    pub fn open(state: &Path, agreement: &InForce) -> Result<Self, Problem> {
        let path = path(state, agreement);
        if !path.exists() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&files::read_state(&path)?)
            .map_err(|_| Problem::refused(&path, Refusal::malformed("state", "it is damaged")))
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

    /// How many records of a register were asked about, these among them.
    pub fn count_with<'h>(&self, register: &Name, more: impl Iterator<Item = &'h Handle>) -> usize {
        let known = self
            .registers
            .get(register)
            .into_iter()
            .flat_map(BTreeMap::keys);
        let mut all: BTreeSet<String> = known.cloned().collect();
        all.extend(more.map(|handle| handle.to_hex()));
        all.len()
    }

    /// Notes messages that are to be sealed.
    pub fn intend(&mut self, requests: Vec<Request>) {
        self.pending.extend(requests);
    }

    /// The next message that is to be sealed.
    pub fn next(&self) -> Option<&Request> {
        self.pending.first()
    }

    /// Notes that the next message was sealed under a request identifier.
    pub fn sent(&mut self, day: &str, number: &str) {
        if self.pending.is_empty() {
            return;
        }
        let request = self.pending.remove(0);
        let own = self.registers.entry(request.register).or_default();
        for asked in request.questions {
            let question = own.entry(asked.handle).or_default();
            day.clone_into(&mut question.day);
            question.snapshot.clone_from(&request.snapshot);
            question.round = request.round;
            if !question.requests.iter().any(|known| known == number) {
                question.requests.push(number.to_owned());
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

    /// Keeps which answers have been seen; returns how many records have a later one than is here now, whose answers then count
    /// as not there.
    pub fn see(&mut self, answers: &mut Answers) -> usize {
        let mut lost = 0;
        for (register, own) in &mut self.registers {
            for (text, question) in own {
                let Some(handle) = Handle::from_hex(text) else {
                    continue;
                };
                let key = (register.clone(), handle);
                let newest = answers.by_record.get(&key).and_then(|all| all.last());
                let newest = newest.map_or(0, |(number, _)| *number);
                if newest < question.answered {
                    answers.by_record.remove(&key);
                    lost += 1;
                }
                question.answered = question.answered.max(newest);
            }
        }
        lost
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

/// Answers about every record that was asked about, in the order of their numbers.
#[derive(Default)]
pub struct Answers {
    by_record: BTreeMap<(Name, Handle), Vec<(u64, Given)>>,
}

impl Answers {
    /// Takes a verified answer: who made it, its number, its day and the request that it answers, as its header says. They come in
    /// the order of their numbers.
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
            let given = Given {
                day: day.to_owned(),
                snapshot: answer.snapshot.clone(),
                opened: record,
            };
            let all = self.by_record.entry(key).or_default();
            all.push((seq, given));
            all.sort_by_key(|(seq, _)| *seq);
        }
        Ok(())
    }

    /// The answer about a record: the latest about the data of the result, else the latest of all.
    pub fn of(&self, register: &Name, handle: Handle, snapshot: &str) -> Option<&Given> {
        let all = self.by_record.get(&(register.clone(), handle))?;
        let current = all
            .iter()
            .rev()
            .find(|(_, given)| given.snapshot == snapshot);
        current.or(all.last()).map(|(_, given)| given)
    }
}

/// The register's data that a result was made from.
pub fn snapshot_of<'o>(opened: &'o results::Opened, register: &Name) -> &'o str {
    let mut registers = opened.manifest.registers.iter();
    let head = registers.find(|head| head.name == *register);
    head.map_or("", |head| head.register_snapshot.as_str())
}

/// Adds what was asked and answered to the evidence that it is about; facts count only where they speak of the data that were
/// compared. Returns how many answers speak of other data.
pub fn apply(
    asked: &Asked,
    answers: &Answers,
    (opened, roll, agreement): (&mut results::Opened, &Roll, &InForce),
) -> usize {
    let mut places: BTreeMap<(Name, Handle), Vec<usize>> = BTreeMap::new();
    for (at, item) in opened.evidence.iter().enumerate() {
        let key = (item.register.clone(), item.handle);
        places.entry(key).or_default().push(at);
    }
    let mut outdated = 0;
    for (register, text, question) in asked.all() {
        let Some(handle) = Handle::from_hex(text) else {
            continue;
        };
        let snapshot = snapshot_of(opened, register).to_owned();
        let given = answers.of(register, handle, &snapshot);
        let is_current = given.is_some_and(|given| given.snapshot == snapshot);
        outdated += usize::from(given.is_some() && !is_current);
        let own = places.get(&(register.clone(), handle));
        for at in own.into_iter().flatten() {
            let Some(item) = opened.evidence.get_mut(*at) else {
                continue;
            };
            let Some(given) = given else {
                item.disclosed = Some(Disclosed {
                    day: question.day.clone(),
                    is_current: true,
                    word: None,
                    note: String::new(),
                    fields: Vec::new(),
                });
                continue;
            };
            if is_current && item.facts.is_none() {
                item.facts.clone_from(&given.opened.facts);
            }
            item.disclosed = Some(Disclosed {
                day: given.day.clone(),
                is_current,
                word: Some(given.opened.word),
                note: given.opened.note.clone(),
                fields: compared(given, item, roll, agreement),
            });
        }
    }
    outdated
}

/// What was laid open beside what the roll says, in the agreement's order.
fn compared(given: &Given, item: &Evidence, roll: &Roll, agreement: &InForce) -> Vec<Compared> {
    let Some(person) = roll.persons.get(item.person) else {
        return Vec::new();
    };
    let fields = agreement.fields().iter().zip(person.person.cells());
    fields
        .filter_map(|(field, cell)| {
            let theirs = given.opened.fields.get(&field.name)?;
            Some(Compared {
                field: field.name.clone(),
                ours: cell.value.clone(),
                theirs: theirs.clone(),
                follows: follows(agreement, &field.derive, item.agree),
            })
        })
        .collect()
}

/// Whether a field's value may have been derived from a number on which both agree: then that it agrees says nothing more.
fn follows(agreement: &InForce, derive: &str, agree: u16) -> bool {
    let source = derive.split(':').next().unwrap_or_default();
    let at = agreement
        .fields()
        .iter()
        .position(|f| f.name.as_str() == source);
    let mut keys = agreement.match_keys().iter();
    keys.any(|key| {
        let agrees = key.class == KeyClass::A && agree & (1 << (key.number - 1)) != 0;
        agrees && key.parts.iter().any(|part| Some(part.field) == at)
    })
}
