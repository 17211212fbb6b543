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

use super::outcome::{alarms, open_latest};
use super::post::{ExchangeOptions, Post, received};
use crate::clue::evaluate::{Findings, Period, evaluate, key_names};
use crate::clue::rules::Rules;
use crate::disclosure::asked::{Answers, Asked, snapshot_of};
use crate::disclosure::list::reason_zh;
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
    /// About one record, by its `register_handle` in matches.csv (repeat)
    #[arg(long, value_name = "HANDLE", conflicts_with = "rules")]
    handle: Vec<String>,
    /// About what is not certain in the review items that these rules make of the result: those that could become clues
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Only about the evidence of the clue or review item with this number (repeat; with --rules)
    #[arg(long, value_name = "NUMBER", requires = "rules", conflicts_with_all = ["reviews", "conflicts"])]
    number: Vec<String>,
    /// The person contests it: say so to the department (with --number or --handle)
    #[arg(long)]
    objection: bool,
    /// Name of the period, as in `results` (with --rules; default: this month)
    #[arg(long, requires = "rules")]
    period: Option<String>,
    /// Ask again what was asked about the same data before
    #[arg(long)]
    again: bool,
    /// Say what would be asked, and send nothing
    #[arg(long)]
    list: bool,
}

/// `ask`: seals questions about records of the latest result.
pub fn ask(home: &HomeOptions, console: &Console, options: &AskOptions) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let owner = &agreement.roll().owner;
    if identity.card().name != *owner {
        return Err(Problem::data(
            format!("协查由名册单位 {owner} 发起 only the roll's owner asks"),
            "部门用 questions 和 answer 答复 departments answer with `questions` and `answer`",
        ));
    }
    let state = home.state();
    let _guard = files::guard(&state)?;
    let folder = &options.exchange.exchange;
    let path = roll::snapshot_path(&state, &agreement);
    let roll = roll::load(&path, &identity, &agreement)?;
    let opened = open_latest(folder, &identity, &agreement, &roll, (&state, console))?;
    let alarms = alarms(&opened);
    if !alarms.is_empty() {
        return Err(Problem::data(
            alarms.join("\n"),
            "结果有警示，不能据以协查；先查明原因 the result alarms: nothing is asked on its ground",
        ));
    }
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
    let answered = answers((&state, folder), &identity, &agreement, &asked, console)?;
    let mut said = Said::default();
    // Every register is checked before the first message is noted.
    let mut requests = Vec::new();
    for (register, records) in by_record(&chosen) {
        let known = (&asked, &answered, &opened);
        requests.extend(post.requests(options, register, &records, known, &mut said)?);
    }
    if options.list {
        return listed(&post, &requests, (&roll, &opened), &said);
    }
    asked.intend(requests);
    asked.save(&state, &agreement)?;
    while let Some(request) = asked.next() {
        let (dataset, _) = terms_of(&agreement, &request.register)?;
        let (register, count) = (request.register.clone(), request.questions.len());
        let body = manifest_bytes(request)?;
        let to = (
            MessageType::DisclosureRequest,
            &dataset.owner,
            register.as_str(),
        );
        let message = post.send(to, None, &body)?;
        asked.sent(&today, &message.request.to_hex());
        asked.save(&state, &agreement)?;
        let used = asked.count_with(&register, std::iter::empty());
        let most = dataset
            .disclosure
            .as_ref()
            .map_or(0, |terms| terms.records_max);
        console.say(&format!(
            "已发出协查 asked: {} {count} 条登记 records, 本期已问 asked in this epoch {used}/{most} → {}（该部门由此得知这些登记可能涉及名册上的人 \
             its department learns that these records may be of persons on the roll）",
            Agreement::title_of_dataset(dataset),
            message.path.display()
        ));
        *said.asked.entry(register.to_string()).or_insert(0) += count;
    }
    said.finish(console)
}

/// What became of a choice.
#[derive(Default)]
struct Said {
    asked: BTreeMap<String, usize>,
    known: usize,
    silent: BTreeSet<Name>,
}

impl Said {
    fn finish(self, console: &Console) -> Result<(), Problem> {
        if self.known > 0 {
            console.note(&format!(
                "{} 条此前已就同一数据问过；对方未收到的，加 --again 重发 were asked before about the same data; --again asks once more",
                self.known
            ));
        }
        if !self.silent.is_empty() {
            let names: Vec<&str> = self.silent.iter().map(Name::as_str).collect();
            console.note(&format!(
                "未询问（协议未约定可协查，或为本单位自有数据）not asked, without disclosure in the agreement or one's own: {}",
                names.join(", ")
            ));
        }
        console.object(&serde_json::json!({
            "asked": self.asked, "asked_before": self.known, "without_terms": self.silent,
        }));
        match self.asked.is_empty() && self.known == 0 {
            true => Err(Problem::not_yet(
                "没有可询问的记录 nothing to ask about",
                "换一种选择：--reviews、--conflicts、--handle、--rules choose otherwise",
            )),
            false => Ok(()),
        }
    }
}

impl Post<'_> {
    /// The messages about chosen records of one register.
    fn requests(
        &self,
        options: &AskOptions,
        register: &Name,
        records: &BTreeMap<Handle, &Evidence>,
        (asked, answered, opened): (&Asked, &Answers, &Opened),
        said: &mut Said,
    ) -> Result<Vec<Request>, Problem> {
        // One's own register needs no asking, only a look.
        let terms = terms_of(self.agreement, register).ok();
        let me = &self.identity.card().name;
        let Some((dataset, terms)) = terms.filter(|(d, _)| d.owner != *me) else {
            said.silent.insert(register.clone());
            return Ok(Vec::new());
        };
        let snapshot = snapshot_of(opened, register);
        let before = |handle: &Handle| {
            let before = asked.of(register, handle);
            before.filter(|question| question.snapshot == snapshot)
        };
        // What was asked before and answered since about these very data needs no asking either.
        let is_known = |item: &Evidence| {
            let given = answered.of(register, item.handle, snapshot);
            before(&item.handle).is_some() || given.is_some_and(|given| given.snapshot == snapshot)
        };
        let is_new = |item: &&Evidence| options.again || !is_known(item);
        let new: Vec<&Evidence> = records.values().copied().filter(is_new).collect();
        said.known += records.len() - new.len();
        let used = asked.count_with(register, std::iter::empty());
        let found = asked.count_with(register, new.iter().map(|item| &item.handle));
        let most = terms.records_max as usize;
        if found > most && !new.is_empty() {
            return Err(Problem::data(
                format!(
                    "{}: 本期已问 {used} 条，还可问 {} 条，本次 {} 条；未发出任何协查 asked so far, left, chosen: nothing was sent",
                    Agreement::title_of_dataset(dataset),
                    most.saturating_sub(used),
                    found - used
                ),
                "用 --number 或 --handle 只问最要紧的 ask about the most important ones: --number or --handle",
            ));
        }
        let rounds = new.iter().filter_map(|item| before(&item.handle));
        let round = rounds.map(|question| question.round).max().unwrap_or(0) + 1;
        let parts = new.chunks(QUESTIONS_MAX);
        Ok(parts
            .map(|part| Request {
                register: register.clone(),
                snapshot: snapshot.to_owned(),
                round,
                questions: part
                    .iter()
                    .map(|item| question(self.agreement, item, options.objection))
                    .collect(),
            })
            .collect())
    }
}

/// `ask --list`: about which persons of the roll which register would be asked.
fn listed(
    post: &Post<'_>,
    requests: &[Request],
    (roll, opened): (&Roll, &Opened),
    said: &Said,
) -> Result<(), Problem> {
    let mut count = 0;
    for request in requests {
        let dataset = post.agreement.dataset(&request.register);
        let title = dataset.map(Agreement::title_of_dataset).unwrap_or_default();
        for question in &request.questions {
            count += 1;
            let is_it = |item: &&Evidence| {
                item.register == request.register && item.handle.to_hex() == question.handle
            };
            let own = opened.evidence.iter().filter(is_it);
            let rows: Vec<String> = own.map(|item| roll.rows_of(item.person)).collect();
            post.console.say(&format!(
                "{title}  名册行 roll row {}  {}",
                rows.join(" / "),
                reason_zh(question.reason)
            ));
        }
    }
    post.console.say(&format!(
        "共 {count} 条，未发出 would be asked about {count} records; nothing was sent"
    ));
    let counts = serde_json::json!({ "would_ask": count, "asked_before": said.known });
    post.console.object(&counts);
    Ok(())
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
        if terms_of(agreement, &dataset.name).is_err() {
            return Err(Problem::usage(
                format!(
                    "--register {name}: 协议未约定该数据可协查 the agreement has no disclosure for it"
                ),
                "名册本身和未约定的数据不能协查 the roll, and registers without such terms, cannot be asked about",
            ));
        }
        registers.insert(&dataset.name);
    }
    let mut handles = BTreeSet::new();
    for text in &options.handle {
        handles.insert(Handle::from_hex(text).ok_or_else(|| {
            Problem::usage(
                "--handle: 不是编号 not a handle",
                "从 matches.csv 的 register_handle 列复制，32 位 copy it from the column register_handle of matches.csv: 32 digits",
            )
        })?);
    }
    let of_rules = match &options.rules {
        Some(path) => of_rules(path, options, agreement, (roll, opened), today)?,
        None => BTreeSet::new(),
    };
    if !options.reviews && !options.conflicts && handles.is_empty() && options.rules.is_none() {
        return Err(Problem::usage(
            "未说明询问哪些登记 nothing says which records to ask about",
            "--rules 规则文件（可能成为线索的）、--reviews、--conflicts 或 --handle give one of them",
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
            "--handle: 最近一次结果中没有这条登记 it is not in the latest result",
            "从最近一次 hedui-agent results 的 matches.csv 复制 copy it from matches.csv of the latest `hedui-agent results`",
        )),
        None => Ok(chosen),
    }
}

/// Places of the evidence that rules make review items of, as far as it is not certain; with numbers, of all of the findings that
/// have them.
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
    let wanted: BTreeSet<String> = options.number.iter().map(|n| n.to_lowercase()).collect();
    let all = || reviews.iter().chain(&clues);
    if let Some(unknown) = wanted.iter().find(|n| !all().any(|f| f.number == **n)) {
        return Err(Problem::usage(
            format!(
                "--number {unknown}: 本期没有这个编号的线索或待核实项 there is no such clue or review item in this period"
            ),
            "编号见线索清单.xlsx，随期次而变：--period 与 results 一致 numbers are in 线索清单.xlsx; give --period as in `results`",
        ));
    }
    if !wanted.is_empty() {
        let meant = all().filter(|finding| wanted.contains(&finding.number));
        let exhibits = meant.flat_map(|finding| &finding.exhibits);
        return Ok(exhibits.map(|exhibit| exhibit.evidence).collect());
    }
    let is_open = |at: &usize| {
        let item = opened.evidence.get(*at);
        item.is_some_and(|item| item.outcome == Outcome::Review || item.facts.is_none())
    };
    let exhibits = reviews.iter().flat_map(|finding| &finding.exhibits);
    let places = exhibits.map(|exhibit| exhibit.evidence);
    Ok(places.filter(is_open).collect())
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

fn question(agreement: &InForce, item: &Evidence, is_contested: bool) -> Question {
    let names = |bitmap| {
        let names = key_names(agreement, bitmap);
        names.iter().filter_map(|name| Name::new(name)).collect()
    };
    Question {
        handle: item.handle.to_hex(),
        reason: match item.outcome {
            Outcome::Review => Reason::Review,
            Outcome::IdentityConflict => Reason::Conflict,
            Outcome::Match if is_contested => Reason::Objection,
            Outcome::Match if item.facts.is_none() => Reason::Facts,
            Outcome::Match => Reason::Recheck,
        },
        agree: names(item.agree),
        differ: names(item.differ),
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
            let body = match exchange::open_small(&path, &mut verified, identity, limit) {
                Err(problem @ Problem::Refused { .. }) => {
                    console.note(&problem.to_string());
                    continue;
                }
                other => other?,
            };
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
