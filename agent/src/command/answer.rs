//! The commands `questions` and `answer` of the disclosure round, for a register's owner. In: sealed questions about own records;
//! a filled-in list. Out: the list; sealed answers. Invariant: what is laid open is charged to the agreement's bound before it
//! is sealed, and the same list makes the same bytes again.
//! Specification: protocol/SPEC.md, "Disclosure"; docs/OPERATIONS.md, "Disclosure".

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, files};
use hedui_keys::vault;
use hedui_protocol::agreement::text::{Dataset, Fact};
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::{Handle, Name, RequestId};
use hedui_protocol::limits::MANIFEST_BYTES_MAX;
use hedui_protocol::message::disclosure::{Answer, Answered, Question, Request, Word, terms_of};
use hedui_protocol::message::payload::FactValue;
use hedui_protocol::message::{manifest_bytes, parse_small_body};
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use super::mailbox::handle_rows;
use super::post::{ExchangeOptions, Post, received};
use crate::changes::kept::Kept;
use crate::disclosure::delivered::{self, Delivered};
use crate::disclosure::list::{self, Decision, Row};
use crate::record::row_words;

/// Options of `questions`.
#[derive(Args)]
pub struct QuestionsOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Where to write the list
    #[arg(long, value_name = "FILE.xlsx", default_value = "questions.xlsx")]
    out: PathBuf,
    /// List what was answered already as well
    #[arg(long)]
    all: bool,
}

/// Options of `answer`.
#[derive(Args)]
pub struct AnswerOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// The filled-in list, a workbook or CSV
    list: PathBuf,
}

/// Questions to this department: the latest message about each record.
struct Open {
    request: RequestId,
    question: Question,
}

/// What this department answered, of one register, agreement and epoch.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    answers: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    day: String,
    word: Word,
    /// Whether the record was laid open at any time.
    charged: bool,
    request: String,
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
            .map_err(|error| Problem::refused(&path, Refusal::malformed("state", error)))
    }

    fn note(&mut self, answered: &Answered, day: &str, request: RequestId) {
        let before = self.answers.get(&answered.handle);
        let charged = answered.word == Word::Disclosed || before.is_some_and(|e| e.charged);
        let same = before.filter(|e| e.word == answered.word && e.request == request.to_hex());
        let day = same.map_or(day, |entry| &entry.day).to_owned();
        let entry = Entry {
            day,
            word: answered.word,
            charged,
            request: request.to_hex(),
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

impl Post<'_> {
    /// Questions to this department, by register and record.
    fn open_questions(&self) -> Result<BTreeMap<Name, BTreeMap<Handle, Open>>, Problem> {
        let mut all: BTreeMap<Name, BTreeMap<Handle, Open>> = BTreeMap::new();
        let expected = (MessageType::DisclosureRequest, &self.agreement.roll().owner);
        let folders = (self.state, self.folder);
        let mut messages = received(
            folders,
            self.identity,
            self.agreement,
            expected,
            self.console,
        )?;
        messages.sort_by_key(|(_, verified)| verified.header().seq);
        for (path, mut verified) in messages {
            let limit = MANIFEST_BYTES_MAX as u64 + 4;
            let body = exchange::open_small(&path, &mut verified, self.identity, limit)?;
            let parsed = parse_small_body::<Request>("disclosure-request", &body);
            let checked = parsed.and_then(|request| {
                let handles = request.check(self.agreement)?;
                let (dataset, _) = terms_of(self.agreement, &request.register)?;
                match dataset.owner == self.identity.card().name {
                    true => Ok((handles, request)),
                    false => {
                        let why = "it is about a register of another party";
                        Err(Refusal::malformed("disclosure-request", why))
                    }
                }
            });
            let (handles, asked) = match checked {
                Ok(both) => both,
                Err(refusal) => {
                    self.console
                        .note(&Problem::refused(&path, refusal).to_string());
                    continue;
                }
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
                "名册所属单位用 hedui-agent ask 发出 the roll's owner sends them with `hedui-agent ask`",
            ));
        }
        Ok(all)
    }

    /// The delivered records behind handles, and the name of the data.
    fn delivered(
        &self,
        dataset: &Dataset,
        wanted: impl Fn(&Handle) -> bool,
    ) -> Result<(String, BTreeMap<Handle, Delivered>), Problem> {
        let name = dataset.name.as_str();
        let since = Kept::of(self.state, self.identity, self.agreement, name).changed()?;
        let path = delivered::path(self.state, self.agreement, name);
        let terms = (self.agreement, dataset);
        delivered::find((&path, self.identity), terms, since.as_ref(), wanted)
    }
}

/// `questions`: lists what the roll's owner asks about own records.
pub fn questions(
    home: &HomeOptions,
    console: &Console,
    options: &QuestionsOptions,
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
    let (mut rows, mut open, mut unknown) = (Vec::new(), 0, 0);
    for (register, asked) in post.open_questions()? {
        let (dataset, _) = terms_of(&agreement, &register)?;
        let (_, records) = post.delivered(dataset, |handle| asked.contains_key(handle))?;
        let places = handle_rows(home, &identity, &agreement, register.as_str())?;
        let record = Record::open(&post, &register)?;
        for (handle, Open { request, question }) in &asked {
            let before = record.answers.get(&question.handle);
            let answered = before.filter(|entry| entry.request == request.to_hex());
            let Some(own) = records.get(handle) else {
                unknown += 1;
                continue;
            };
            open += usize::from(answered.is_none());
            if answered.is_some() && !options.all {
                continue;
            }
            let numbers = places.get(handle).into_iter().flatten();
            let numbers: Vec<String> = numbers.map(|row| row_words(*row)).collect();
            let words = |names: &[Name]| {
                names
                    .iter()
                    .map(Name::as_str)
                    .collect::<Vec<_>>()
                    .join("、")
            };
            rows.push(Row {
                handle: *handle,
                register: Agreement::title_of_dataset(dataset),
                rows: numbers.join(" "),
                reason: question.reason,
                agree: words(&question.agree),
                differ: words(&question.differ),
                content: content(&agreement, dataset, own),
                answered: answered.map(|entry| entry.word),
            });
        }
    }
    list::write(&options.out, &rows)?;
    console.say(&format!(
        "待答复 to answer: {open} 条 records → {}；填好后 then: hedui-agent answer {}",
        options.out.display(),
        options.out.display()
    ));
    if unknown > 0 {
        console.note(&format!(
            "{unknown} 条所问记录已不在现有数据中，答复时自动说明 records are in the data no more; `answer` says so by itself"
        ));
    }
    console.object(&serde_json::json!({ "open": open, "listed": rows.len(), "unknown": unknown }));
    Ok(())
}

/// What would be laid open of a record, in words.
fn content(agreement: &InForce, dataset: &Dataset, record: &Delivered) -> String {
    let fields = fields_of(agreement, dataset, record);
    let mut lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}：{value}"))
        .collect();
    for row in &record.facts.rows {
        let words: Vec<String> = dataset
            .fact
            .iter()
            .zip(row)
            .filter_map(|(fact, value)| fact_words(fact, value))
            .collect();
        if !words.is_empty() {
            lines.push(words.join("；"));
        }
    }
    lines.join("\n")
}

fn fact_words(fact: &Fact, value: &FactValue) -> Option<String> {
    let text = match value {
        FactValue::Absent => return None,
        FactValue::Code(index) => fact.codes.get(usize::from(*index))?.clone(),
        FactValue::Date(day) => day.to_string(),
        FactValue::Integer(number) => number.to_string(),
        FactValue::Reference(text) => text.clone(),
    };
    Some(format!("{}：{text}", fact.name))
}

/// The fields of a record that the agreement names, those with a value.
fn fields_of(agreement: &InForce, dataset: &Dataset, record: &Delivered) -> BTreeMap<Name, String> {
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
    let mut decisions: BTreeMap<Handle, Decision> = list::read(&options.list)?
        .into_iter()
        .map(|decision| (decision.handle, decision))
        .collect();
    let asked = post.open_questions()?;
    let is_asked = |handle: &Handle| asked.values().any(|own| own.contains_key(handle));
    if let Some(count) = count_of(decisions.keys(), |handle| !is_asked(handle)) {
        return Err(Problem::data(
            format!(
                "{}: {count} 行的编号不在协查函中 numbers that nobody asked about",
                options.list.display()
            ),
            "未发送任何答复；请用最新的协查清单 nothing was sent: use the list that `hedui-agent questions` wrote last",
        ));
    }
    let today = home.clock()?.today();
    let mut counts: BTreeMap<Word, u64> = BTreeMap::new();
    // Everything is checked before the first message is sealed.
    let mut drafts = Vec::new();
    for (register, own) in &asked {
        let (dataset, terms) = terms_of(&agreement, register)?;
        let (snapshot, records) = post.delivered(dataset, |handle| own.contains_key(handle))?;
        let mut record = Record::open(&post, register)?;
        let mut by_request: BTreeMap<RequestId, Vec<Answered>> = BTreeMap::new();
        for (handle, open) in own {
            let answered = match (records.get(handle), decisions.remove(handle)) {
                (None, _) => Answered::without(*handle, Word::Unknown, ""),
                (Some(delivered), Some(decision)) if decision.word == Word::Disclosed => {
                    let fields = fields_of(&agreement, dataset, delivered);
                    Answered::disclosed(*handle, &decision.note, &delivered.facts, fields)
                }
                (Some(_), Some(decision)) => {
                    Answered::without(*handle, Word::Declined, &decision.note)
                }
                (_, None) => continue,
            };
            *counts.entry(answered.word).or_default() += 1;
            record.note(&answered, &today, open.request);
            by_request.entry(open.request).or_default().push(answered);
        }
        let (found, allowed) = (record.charged(), u64::from(terms.records_max));
        if found > allowed {
            let what = "disclosure-answer";
            return Err(Refusal::Oversize {
                what,
                found,
                allowed,
            }
            .into());
        }
        for (request, answers) in by_request {
            let answer = Answer {
                register: register.clone(),
                snapshot: snapshot.clone(),
                answers,
            };
            drafts.push((register, request, manifest_bytes(&answer)?));
        }
        record.save(&post, register)?;
    }
    for (register, request, body) in &drafts {
        let owner = &agreement.roll().owner;
        let digits: String = request.to_hex().chars().take(8).collect();
        let about = format!("{register}-{digits}");
        let to = (MessageType::DisclosureAnswer, owner, about.as_str());
        let sent = post.send(to, Some(*request), body)?;
        console.say(&format!("已答复协查 answered → {}", sent.path.display()));
    }
    let of = |word| counts.get(&word).copied().unwrap_or(0);
    console.say(&format!(
        "提供 disclosed {}, 不提供 declined {}, 查无此记录 unknown {}",
        of(Word::Disclosed),
        of(Word::Declined),
        of(Word::Unknown)
    ));
    console.object(&serde_json::json!({
        "disclosed": of(Word::Disclosed),
        "declined": of(Word::Declined),
        "unknown": of(Word::Unknown),
        "messages": drafts.len(),
    }));
    match drafts.is_empty() {
        true => Err(Problem::not_yet(
            "清单中没有填写答复 no answer is filled in",
            "在“答复”列填“提供”或“不提供” fill in the column 答复",
        )),
        false => Ok(()),
    }
}

fn count_of<T>(items: impl Iterator<Item = T>, is_meant: impl Fn(&T) -> bool) -> Option<usize> {
    let count = items.filter(|item| is_meant(item)).count();
    (count > 0).then_some(count)
}
