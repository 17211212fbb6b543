//! The command `answer` of the disclosure round, for a register's owner, and what `questions` shares with it. In: sealed questions
//! about own records; a filled-in list. Out: sealed answers. Invariant: what is laid open is charged to the agreement's bound before it
//! is sealed, and the same list makes the same bytes again.
//! Specification: protocol/SPEC.md, "Disclosure"; docs/OPERATIONS.md, "Disclosure".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, files};
use hedui_keys::vault;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Handle, Name, RequestId};
use hedui_protocol::limits::MANIFEST_BYTES_MAX;
use hedui_protocol::message::disclosure::{Answer, Answered, Question, Request, Word, terms_of};
use hedui_protocol::message::{manifest_bytes, parse_small_body};
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use super::post::{ExchangeOptions, Post, received};
use crate::changes::kept::Kept;
use crate::disclosure::delivered::{self, Delivered};
use crate::disclosure::list::{self, Decision};

/// Options of `answer`.
#[derive(Args)]
pub struct AnswerOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// The filled-in list, a workbook or CSV
    list: PathBuf,
}

/// A question to this department: that of the latest message about the record.
pub(super) struct Open {
    pub(super) request: RequestId,
    pub(super) question: Question,
}

/// What this department answered, of one register, agreement and epoch.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    answers: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    day: String,
    pub(super) word: Word,
    /// Whether the record was laid open at any time.
    charged: bool,
    request: String,
    /// Whether the message that says it was sealed.
    pub(super) sent: bool,
}

impl Record {
    fn path(post: &Post<'_>, register: &Name) -> PathBuf {
        let place = vault::place(post.agreement);
        post.state
            .join(format!("disclosed-{register}-{place}.json"))
    }

    fn open(post: &Post<'_>, register: &Name) -> Result<Self, Problem> {
        let path = Self::path(post, register);
        if !path.exists() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&files::read_state(&path)?)
            .map_err(|_| Problem::refused(&path, Refusal::malformed("state", "it is damaged")))
    }

    /// What was answered to the question that is open now.
    pub(super) fn answered(&self, open: &Open) -> Option<&Entry> {
        let entry = self.answers.get(&open.question.handle);
        entry.filter(|entry| entry.request == open.request.to_hex())
    }

    fn note(&mut self, answered: &Answered, day: &str, open: &Open) {
        let before = self.answers.get(&answered.handle);
        let charged = answered.word == Word::Disclosed || before.is_some_and(|e| e.charged);
        let same = self
            .answered(open)
            .filter(|entry| entry.word == answered.word);
        let entry = Entry {
            day: same.map_or(day, |entry| &entry.day).to_owned(),
            sent: same.is_some_and(|entry| entry.sent),
            word: answered.word,
            charged,
            request: open.request.to_hex(),
        };
        self.answers.insert(answered.handle.clone(), entry);
    }

    fn charged(&self) -> u64 {
        self.answers.values().filter(|entry| entry.charged).count() as u64
    }

    fn save(&self, post: &Post<'_>, register: &Name) -> Result<(), Problem> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        files::write_bytes(&Self::path(post, register), &json)
    }
}

/// A register of this department that is asked about, with what it delivered.
pub(super) struct Own<'a> {
    pub(super) dataset: &'a Dataset,
    snapshot: String,
    pub(super) records: BTreeMap<Handle, Delivered>,
    pub(super) asked: BTreeMap<Handle, Open>,
    pub(super) record: Record,
}

impl Own<'_> {
    /// Check code over a question and what an answer to it would lay open: 16 hexadecimal digits of a keyed digest.
    pub(super) fn check(
        &self,
        identity: &Identity,
        agreement: &InForce,
        handle: &Handle,
    ) -> Option<String> {
        let (open, record) = (self.asked.get(handle)?, self.records.get(handle)?);
        let mut parts = vec![
            b"question".to_vec(),
            open.request.0.to_vec(),
            handle.0.to_vec(),
            self.snapshot.clone().into_bytes(),
            record.facts.encode().to_vec(),
        ];
        for (name, value) in fields_of(agreement, self.dataset, record) {
            parts.extend([name.as_str().as_bytes().to_vec(), value.into_bytes()]);
        }
        let mut all = Vec::new();
        for part in &parts {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(part);
        }
        let key = identity.local_key(&[&all]);
        Some(hex(&key.expose()[..8]))
    }
}

impl Post<'_> {
    /// Questions to this department, by register and record; what does not count is named and passed over.
    fn open_questions(&self) -> Result<BTreeMap<Name, BTreeMap<Handle, Open>>, Problem> {
        let me = &self.identity.card().name;
        let mut own = self.agreement.registers().filter(|d| d.owner == *me);
        if !own.any(|dataset| dataset.disclosure.is_some()) {
            return Err(Problem::data(
                format!(
                    "{me} 没有协议约定可协查的数据 has no register that the agreement lets be asked about"
                ),
                "请由数据所属单位运行；名册单位用 hedui-agent ask 发起 run it as the register's owner; the roll's owner asks with `ask`",
            ));
        }
        let mut all: BTreeMap<Name, BTreeMap<Handle, Open>> = BTreeMap::new();
        let expected = (MessageType::DisclosureRequest, &self.agreement.roll().owner);
        let folders = (self.state, self.folder);
        let (identity, agreement) = (self.identity, self.agreement);
        let mut messages = received(folders, identity, agreement, expected, self.console)?;
        messages.sort_by_key(|(_, verified)| verified.header().seq);
        for (path, mut verified) in messages {
            let limit = MANIFEST_BYTES_MAX as u64 + 4;
            let Some(body) =
                self.passed_over(exchange::open_small(&path, &mut verified, identity, limit))?
            else {
                continue;
            };
            let parsed = parse_small_body::<Request>("disclosure-request", &body);
            let checked = parsed.and_then(|request| {
                let handles = request.check(agreement)?;
                let (dataset, _) = terms_of(agreement, &request.register)?;
                match dataset.owner == *me {
                    true => Ok((handles, request)),
                    false => {
                        let why = "it is about a register of another party";
                        Err(Refusal::malformed("disclosure-request", why))
                    }
                }
            });
            let checked = checked.map_err(|refusal| Problem::refused(&path, refusal));
            let Some((handles, asked)) = self.passed_over(checked)? else {
                continue;
            };
            let request = verified.header().request;
            let own = all.entry(asked.register).or_default();
            for (handle, question) in handles.into_iter().zip(asked.questions) {
                own.insert(handle, Open { request, question });
            }
        }
        if all.is_empty() {
            return Err(Problem::not_yet(
                "没有协查函 no questions are here",
                "名册所属单位用 hedui-agent ask 发出后，把文件放入交换文件夹 the roll's owner sends them with `hedui-agent ask`",
            ));
        }
        Ok(all)
    }

    /// The registers that are asked about. One whose records are not kept here does not stop the others.
    pub(super) fn owns(&self) -> Result<Vec<Own<'_>>, Problem> {
        let mut owns = Vec::new();
        for (register, asked) in self.open_questions()? {
            let (dataset, _) = terms_of(self.agreement, &register)?;
            let name = dataset.name.as_str();
            let since = Kept::of(self.state, self.identity, self.agreement, name).changed()?;
            let path = delivered::path(self.state, self.agreement, name);
            let place = (path.as_path(), self.identity);
            let terms = (self.agreement, dataset);
            let wanted = |handle: &Handle| asked.contains_key(handle);
            let (snapshot, records) = match delivered::find(place, terms, since.as_ref(), wanted) {
                Err(problem @ Problem::NotYet { .. }) => {
                    self.console.note(&problem.to_string());
                    continue;
                }
                other => other?,
            };
            owns.push(Own {
                dataset,
                snapshot,
                records,
                asked,
                record: Record::open(self, &register)?,
            });
        }
        Ok(owns)
    }
}

/// The fields of a record that the agreement names, those with a value.
pub(super) fn fields_of(
    agreement: &InForce,
    dataset: &Dataset,
    record: &Delivered,
) -> BTreeMap<Name, String> {
    let named = |name: &Name| {
        let terms = dataset.disclosure.as_ref();
        terms.is_some_and(|terms| terms.fields.contains(name))
    };
    let fields = agreement.fields().iter().zip(&record.cells);
    fields
        .filter(|(field, _)| named(&field.name))
        .filter_map(|(field, cell)| Some((field.name.clone(), cell.value.clone()?)))
        .collect()
}

/// `answer`: seals what people decided.
pub fn answer(
    home: &HomeOptions,
    console: &Console,
    options: &AnswerOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    let _guard = files::guard(&state)?;
    let post = Post {
        home,
        console,
        agreement: &agreement,
        identity: &identity,
        state: &state,
        folder: &options.exchange.exchange,
    };
    let filled = list::read(&options.list)?;
    let mut owns = post.owns()?;
    let decisions = post.checked(&options.list, filled.decisions, &owns)?;
    let today = home.clock()?.today();
    let mut counts: BTreeMap<Word, u64> = BTreeMap::new();
    // Everything is checked, then everything noted, then everything sealed.
    let mut drafts = Vec::new();
    for own in &mut owns {
        for (request, answers) in post.answers_of(own, &decisions) {
            for answered in &answers {
                *counts.entry(answered.word).or_default() += 1;
                let handle = Handle::from_hex(&answered.handle);
                if let Some(open) = handle.and_then(|handle| own.asked.get(&handle)) {
                    own.record.note(answered, &today, open);
                }
            }
            let answer = Answer {
                register: own.dataset.name.clone(),
                snapshot: own.snapshot.clone(),
                answers,
            };
            drafts.push((own.dataset.name.clone(), request, manifest_bytes(&answer)?));
        }
        let allowed = own
            .dataset
            .disclosure
            .as_ref()
            .map_or(0, |terms| terms.records_max);
        let (found, allowed) = (own.record.charged(), u64::from(allowed));
        if found > allowed {
            let what = "disclosure-answer";
            return Err(Refusal::Oversize {
                what,
                found,
                allowed,
            }
            .into());
        }
    }
    for own in &owns {
        own.record.save(&post, &own.dataset.name)?;
    }
    for (register, request, body) in &drafts {
        let digits: String = request.to_hex().chars().take(8).collect();
        let about = format!("{register}-{digits}");
        let to = (
            MessageType::DisclosureAnswer,
            &agreement.roll().owner,
            about.as_str(),
        );
        let sent = post.send(to, Some(*request), body)?;
        console.say(&format!("已答复协查 answered → {}", sent.path.display()));
    }
    let sent: BTreeSet<String> = drafts
        .iter()
        .map(|(_, request, _)| request.to_hex())
        .collect();
    for own in &mut owns {
        let answers = own.record.answers.values_mut();
        answers
            .filter(|entry| sent.contains(&entry.request))
            .for_each(|entry| entry.sent = true);
        own.record.save(&post, &own.dataset.name)?;
    }
    said(console, &counts, &filled.undecided, drafts.len())
}

fn said(
    console: &Console,
    counts: &BTreeMap<Word, u64>,
    undecided: &[u64],
    messages: usize,
) -> Result<(), Problem> {
    let of = |word| counts.get(&word).copied().unwrap_or(0);
    let [disclosed, declined, unknown] = [Word::Disclosed, Word::Declined, Word::Unknown].map(of);
    console.say(&format!(
        "提供 disclosed {disclosed}, 不提供 declined {declined}, 查无此记录 unknown {unknown}"
    ));
    if !undecided.is_empty() {
        let rows: Vec<String> = undecided.iter().map(u64::to_string).collect();
        console.note(&format!(
            "有备注而未选答复，未发送 a remark and no answer, not sent: 第{}行 rows",
            rows.join("、")
        ));
    }
    console.object(&serde_json::json!({
        "disclosed": disclosed,
        "declined": declined,
        "unknown": unknown,
        "undecided": undecided.len(),
        "messages": messages,
    }));
    match messages {
        0 => Err(Problem::not_yet(
            "清单中没有填写答复 no answer is filled in",
            "在“答复”列填“提供”或“不提供” fill in the column 答复",
        )),
        _ => Ok(()),
    }
}

impl Post<'_> {
    /// Decisions by record: each about a question that is open here, and about what would be sent now.
    fn checked(
        &self,
        path: &Path,
        decisions: Vec<Decision>,
        owns: &[Own<'_>],
    ) -> Result<BTreeMap<Handle, Decision>, Problem> {
        let (mut by_handle, mut wrong) = (BTreeMap::new(), Vec::new());
        for decision in decisions {
            let row = decision.row;
            let own = owns
                .iter()
                .find(|own| own.asked.contains_key(&decision.handle));
            let Some(own) = own else {
                wrong.push(format!("第{row}行：编号不在协查函中 nobody asked about it"));
                continue;
            };
            let check = own.check(self.identity, self.agreement, &decision.handle);
            if check.is_some_and(|check| check != decision.check) {
                wrong.push(format!(
                    "第{row}行：清单生成后本单位数据或协查函已有变化，请重新运行 questions the data or the question have changed since the list"
                ));
                continue;
            }
            by_handle.insert(decision.handle, decision);
        }
        list::refuse(path, &wrong)?;
        Ok(by_handle)
    }

    /// Answers to what is asked of a register, by the message that asks. A record that is there no more is answered by itself, but
    /// never in the place of an answer that was given before.
    fn answers_of(
        &self,
        own: &Own<'_>,
        decisions: &BTreeMap<Handle, Decision>,
    ) -> BTreeMap<RequestId, Vec<Answered>> {
        let decided: BTreeSet<RequestId> = own
            .asked
            .iter()
            .filter(|(handle, _)| decisions.contains_key(handle))
            .map(|(_, open)| open.request)
            .collect();
        let mut by_request: BTreeMap<RequestId, Vec<Answered>> = BTreeMap::new();
        for (handle, open) in &own.asked {
            let before = own.record.answered(open);
            let answered = match (own.records.get(handle), decisions.get(handle)) {
                (None, _) if before.is_some_and(|entry| entry.word != Word::Unknown) => continue,
                (None, _)
                    if before.is_some_and(|entry| entry.sent)
                        && !decided.contains(&open.request) =>
                {
                    continue;
                }
                (None, _) => Answered::without(*handle, Word::Unknown, ""),
                (Some(record), Some(decision)) if decision.word == Word::Disclosed => {
                    let fields = fields_of(self.agreement, own.dataset, record);
                    Answered::disclosed(*handle, &decision.note, &record.facts, fields)
                }
                (Some(_), Some(decision)) => {
                    Answered::without(*handle, Word::Declined, &decision.note)
                }
                (Some(_), None) => continue,
            };
            by_request.entry(open.request).or_default().push(answered);
        }
        by_request
    }
}
