//! The command `ask` of the disclosure round, for the roll's owner. In: the latest result, a choice of its pairs. Out: sealed
//! questions to the registers' owners; later their answers. Invariant: no more records of a register are asked about than the
//! agreement lets its owner lay open, and each about the same data once.
//! Specification: protocol/SPEC.md, "Disclosure"; docs/OPERATIONS.md, "Disclosure".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, files};
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::{MANIFEST_BYTES_MAX, QUESTIONS_MAX};
use hedui_protocol::message::disclosure::{Question, Reason, Request, terms_of};
use hedui_protocol::message::manifest_bytes;
use hedui_protocol::message::result::Outcome;

use super::outcome::open_latest;
use super::post::{ExchangeOptions, Post, received};
use crate::clue::evaluate::{Findings, Period, evaluate, key_names};
use crate::clue::rules::Rules;
use crate::disclosure::asked::{Answers, Asked};
use crate::results::{Evidence, Opened};
use crate::roll::{self, Roll};

/// Options of `ask`.
#[derive(Args)]
pub struct AskOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Only about records of this register (repeat)
    #[arg(long, value_name = "NAME")]
    register: Vec<String>,
    /// About all pairs whose identity is to be reviewed
    #[arg(long)]
    reviews: bool,
    /// About all pairs whose number is one person's and whose name and birth date are another's
    #[arg(long)]
    conflicts: bool,
    /// About one record, by its handle in matches.csv (repeat)
    #[arg(long, value_name = "HANDLE")]
    handle: Vec<String>,
    /// About the review items that these rules make of the result: those that could become clues
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Of them, and of the clues, only the evidence of this number (repeat; with --rules)
    #[arg(long, value_name = "NUMBER", requires = "rules")]
    number: Vec<String>,
    /// Name of the period, as in `results` (with --rules; default: this month)
    #[arg(long, requires = "rules")]
    period: Option<String>,
    /// Ask again what was asked about the same data before
    #[arg(long)]
    again: bool,
}

/// `ask`: seals questions about records of the latest result.
pub fn ask(home: &HomeOptions, console: &Console, options: &AskOptions) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    let _guard = files::guard(&state)?;
    let folder = &options.exchange.exchange;
    let roll = roll::load(
        &roll::snapshot_path(&state, &agreement),
        &identity,
        &agreement,
    )?;
    let opened = open_latest(folder, &identity, &agreement, &roll, (&state, console))?;
    let today = home.clock()?.today();
    let chosen = choose(options, &agreement, (&roll, &opened), &today)?;
    let post = Post {
        home,
        console,
        agreement: &agreement,
        identity: &identity,
        state: &state,
        folder,
    };
    let mut asked = Asked::open(&state, &agreement)?;
    let (mut sent, mut known, mut silent) = (BTreeMap::new(), 0, BTreeSet::new());
    for (register, records) in by_record(&chosen) {
        // One's own register needs no asking, only a look.
        let terms = terms_of(&agreement, register).ok();
        let Some((dataset, terms)) = terms.filter(|(d, _)| d.owner != identity.card().name) else {
            silent.insert(register.clone());
            continue;
        };
        let head = opened
            .manifest
            .registers
            .iter()
            .find(|r| r.name == *register);
        let snapshot = head.map_or("", |r| r.register_snapshot.as_str());
        let is_new = |handle: &Handle| {
            let before = asked.of(register, handle);
            options.again || before.is_none_or(|question| question.snapshot != snapshot)
        };
        let new: Vec<&Evidence> = records
            .values()
            .copied()
            .filter(|e| is_new(&e.handle))
            .collect();
        known += records.len() - new.len();
        let first = new
            .iter()
            .filter(|e| asked.of(register, &e.handle).is_none());
        let found = asked.count(register) + first.count();
        if found > terms.records_max as usize {
            return Err(Problem::data(
                format!(
                    "{}: 将共询问 {found} 条，协议上限 {} 条 {found} records would have been asked about, the agreement allows {}",
                    Agreement::title_of_dataset(dataset),
                    terms.records_max,
                    terms.records_max
                ),
                "请缩小范围：--rules 规则文件（只问可能成为线索的）、--number 或 --handle ask about fewer: --rules FILE, --number or --handle",
            ));
        }
        for part in new.chunks(QUESTIONS_MAX) {
            let request = request(&agreement, register, snapshot, part);
            let body = manifest_bytes(&request)?;
            let to = (
                MessageType::DisclosureRequest,
                &dataset.owner,
                register.as_str(),
            );
            let message = post.send(to, None, &body)?;
            let handles = request
                .questions
                .iter()
                .map(|question| question.handle.as_str());
            let number = message.request.to_hex();
            asked.note(register, handles, (&today, snapshot, &number));
            asked.save(&state, &agreement)?;
            *sent.entry(register.to_string()).or_insert(0) += part.len();
        }
    }
    said(console, &sent, known, &silent)
}

fn said(
    console: &Console,
    sent: &BTreeMap<String, usize>,
    known: usize,
    silent: &BTreeSet<Name>,
) -> Result<(), Problem> {
    for (register, count) in sent {
        console.say(&format!(
            "已发出协查 asked: {register}, {count} 条 records（该部门由此得知这些登记可能涉及名册上的人 its department learns that these records may be \
             of persons on the roll）"
        ));
    }
    if known > 0 {
        console.note(&format!(
            "{known} 条此前已问 were asked before about the same data; --again asks once more"
        ));
    }
    if !silent.is_empty() {
        let names: Vec<&str> = silent.iter().map(Name::as_str).collect();
        console.note(&format!(
            "未询问（协议未约定可协查，或为本单位自有数据）not asked, without disclosure in the agreement or one's own: {}",
            names.join(", ")
        ));
    }
    console.object(
        &serde_json::json!({ "asked": sent, "asked_before": known, "without_terms": silent }),
    );
    match sent.is_empty() && known == 0 {
        true => Err(Problem::not_yet(
            "没有可询问的记录 nothing to ask about",
            "换一种选择：--reviews、--conflicts、--handle、--rules choose otherwise",
        )),
        false => Ok(()),
    }
}

/// Evidence that the options name.
fn choose<'o>(
    options: &AskOptions,
    agreement: &InForce,
    (roll, opened): (&Roll, &'o Opened),
    today: &str,
) -> Result<Vec<&'o Evidence>, Problem> {
    let mut registers = BTreeSet::new();
    for name in &options.register {
        let dataset = super::dataset_named(agreement, name)?;
        terms_of(agreement, &dataset.name)?;
        registers.insert(&dataset.name);
    }
    let mut handles = BTreeSet::new();
    for text in &options.handle {
        handles.insert(Handle::from_hex(text).ok_or_else(|| {
            Problem::usage(
                "--handle is not a handle",
                "copy it from the column `handle` of matches.csv: 32 digits",
            )
        })?);
    }
    let of_rules = match &options.rules {
        Some(path) => of_rules(path, options, agreement, (roll, opened), today)?,
        None => BTreeSet::new(),
    };
    if !options.reviews && !options.conflicts && handles.is_empty() && options.rules.is_none() {
        return Err(Problem::usage(
            "nothing says which records to ask about",
            "give --reviews, --conflicts, --handle HANDLE or --rules FILE",
        ));
    }
    let is_chosen = |(at, item): &(usize, &Evidence)| {
        let by_kind = match item.outcome {
            Outcome::Review => options.reviews,
            Outcome::IdentityConflict => options.conflicts,
            Outcome::Match => false,
        };
        let inside = registers.is_empty() || registers.contains(&item.register);
        inside && (by_kind || handles.contains(&item.handle) || of_rules.contains(at))
    };
    let chosen = opened.evidence.iter().enumerate().filter(is_chosen);
    let chosen: Vec<&Evidence> = chosen.map(|(_, item)| item).collect();
    let unknown = handles
        .iter()
        .find(|handle| !chosen.iter().any(|e| e.handle == **handle));
    match unknown {
        Some(_) => Err(Problem::usage(
            "a --handle is not in the latest result",
            "copy it from matches.csv of the latest `hedui-agent results`",
        )),
        None => Ok(chosen),
    }
}

/// Places of the evidence that rules make review items of; with numbers, of the findings that have them.
fn of_rules(
    path: &Path,
    options: &AskOptions,
    agreement: &InForce,
    (roll, opened): (&Roll, &Opened),
    today: &str,
) -> Result<BTreeSet<usize>, Problem> {
    let rules = Rules::read(path, agreement, today)?;
    let label = options.period.clone();
    let label = label.unwrap_or_else(|| today.chars().take(7).collect());
    let period = Period {
        label: &label,
        today: today.replace('-', "").parse().unwrap_or(0),
    };
    let Findings { clues, reviews, .. } =
        evaluate(agreement, &rules, roll, &opened.evidence, &period)?;
    let all = || reviews.iter().chain(&clues);
    if let Some(unknown) = options
        .number
        .iter()
        .find(|number| !all().any(|finding| finding.number == **number))
    {
        return Err(Problem::usage(
            format!("--number {unknown}: there is no such clue or review item in this period"),
            "numbers are in 线索清单.xlsx; they change with the period: give --period as in `results`",
        ));
    }
    let is_meant = |number: &String| options.number.contains(number);
    let meant: Vec<_> = match options.number.is_empty() {
        true => reviews.iter().collect(),
        false => all().filter(|finding| is_meant(&finding.number)).collect(),
    };
    let exhibits = meant.into_iter().flat_map(|finding| &finding.exhibits);
    Ok(exhibits.map(|exhibit| exhibit.evidence).collect())
}

/// Chosen evidence by register and record; of several pairs of a record, the one on which most agrees.
fn by_record<'e>(chosen: &[&'e Evidence]) -> BTreeMap<&'e Name, BTreeMap<Handle, &'e Evidence>> {
    let mut out: BTreeMap<&Name, BTreeMap<Handle, &Evidence>> = BTreeMap::new();
    for item in chosen {
        let records = out.entry(&item.register).or_default();
        let known = records.entry(item.handle).or_insert(item);
        if item.agree.count_ones() > known.agree.count_ones() {
            *known = item;
        }
    }
    out
}

fn request(agreement: &InForce, register: &Name, snapshot: &str, records: &[&Evidence]) -> Request {
    let names = |bitmap| {
        let names = key_names(agreement, bitmap);
        names.iter().filter_map(|name| Name::new(name)).collect()
    };
    let question = |item: &&Evidence| Question {
        handle: item.handle.to_hex(),
        reason: match item.outcome {
            Outcome::Review => Reason::Review,
            Outcome::IdentityConflict => Reason::Conflict,
            Outcome::Match => Reason::Objection,
        },
        agree: names(item.agree),
        differ: names(item.differ),
    };
    Request {
        register: register.clone(),
        snapshot: snapshot.to_owned(),
        questions: records.iter().map(question).collect(),
    }
}

/// Answers to what was asked, as far as they are here; what does not count is named and passed over.
pub(super) fn answers(
    (state, folder): (&Path, &Path),
    identity: &Identity,
    agreement: &InForce,
    asked: &Asked,
    console: &Console,
) -> Result<Answers, Problem> {
    let owners: BTreeSet<&Name> = asked
        .all()
        .filter_map(|(register, ..)| Some(&agreement.dataset(register)?.owner))
        .collect();
    let mut answers = Answers::default();
    for owner in owners {
        let expected = (MessageType::DisclosureAnswer, owner);
        let mut messages = received((state, folder), identity, agreement, expected, console)?;
        messages.sort_by_key(|(_, verified)| verified.header().seq);
        for (path, mut verified) in messages {
            let limit = MANIFEST_BYTES_MAX as u64 + 4;
            let body = exchange::open_small(&path, &mut verified, identity, limit)?;
            let header = verified.header();
            let day: String = header.created.chars().take(10).collect();
            let head = (header.seq, day.as_str(), header.in_reply_to);
            if let Err(refusal) = answers.take((agreement, asked), (owner, head), &body) {
                console.note(&Problem::refused(&path, refusal).to_string());
            }
        }
    }
    Ok(answers)
}
