//! Commands of a custodian. In: arguments. Out: answers, sheets, statements, text through the console.
//! Invariant: a command composes what the other files do; no share is ever printed except on sheets that
//! the custodian asks for, each into a file of its own.
//! Specification: docs/OPERATIONS.md, "Custodians".

use std::path::{Path, PathBuf};

use clap::Subcommand;
use curve25519_dalek::scalar::Scalar;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::epoch::EpochRecord;
use hedui_protocol::header::MessageType;
use hedui_protocol::label::Label;
use hedui_protocol::primitive::{hex, labelled_sha256};
use hedui_protocol::refusal::Refusal;
use zeroize::Zeroizing;

use super::answer::{Answered, answer};
use super::ceremony::{self, Progress, SHARE};
use super::desk::Desk;
use super::ledger::{DESTROYED, Event, Ledger};
use super::paper;
use crate::epoch_key::file_name;
use crate::identity_file::random;
use crate::oprf::evaluate::Share;
use crate::oprf::threshold::Threshold;
use crate::vault::{Vault, place};

/// Commands of a custodian.
#[derive(Subcommand)]
pub enum CustodianCommand {
    /// 密钥仪式 | Make the epoch's key with the other custodians: run it again when their files have come
    Ceremony {
        /// Folder where sealed files are exchanged
        #[arg(long, value_name = "DIR", default_value = "exchange")]
        exchange: PathBuf,
    },
    /// 答复 | Answer requests: those given, or all in the exchange folder
    Answer {
        /// Requests (default: every request in the exchange folder)
        requests: Vec<PathBuf>,
        /// Folder where sealed files are exchanged
        #[arg(long, value_name = "DIR", default_value = "exchange")]
        exchange: PathBuf,
    },
    /// 日志 | Show who asked how many, and check the log's chain
    Log,
    /// 纸质备份 | Split the share among people, one sheet each
    Backup {
        /// Folder for the sheets; print them, then remove it
        out: PathBuf,
        /// People who get a sheet
        #[arg(long, default_value_t = 3)]
        people: u16,
        /// Sheets that restore the share
        #[arg(long, default_value_t = 2)]
        needed: u16,
    },
    /// 恢复 | Restore a lost share from typed sheets
    Restore {
        /// Typed sheets
        #[arg(required = true)]
        sheets: Vec<PathBuf>,
        /// The log of this epoch is lost for good: begin a new one, with the whole quota again
        #[arg(long)]
        without_log: bool,
        /// Folder where sealed files are exchanged (holds the epoch's record)
        #[arg(long, value_name = "DIR", default_value = "exchange")]
        exchange: PathBuf,
    },
    /// 销毁 | Destroy the share of an epoch that is over, and sign a statement of it
    Destroy {
        /// Name of the epoch as `log` shows it; without it nothing is destroyed
        #[arg(long, value_name = "AGREEMENT-EPOCH")]
        confirm: Option<String>,
        /// Folder for the statement
        #[arg(long, value_name = "DIR", default_value = "exchange")]
        exchange: PathBuf,
    },
}

/// The custodian's share of the epoch in force.
fn share(desk: &Desk<'_>) -> Result<Share, Problem> {
    let bytes = desk.vault().read(SHARE)?.ok_or_else(|| {
        Problem::not_yet(
            "this custodian has no share for the epoch in force",
            "before the epoch has a key: hedui-keys custodian ceremony; a lost share: hedui-keys custodian restore",
        )
    })?;
    ceremony::share_of(&bytes)
}

/// Runs a custodian's command.
pub fn run(
    home: &HomeOptions,
    console: &Console,
    command: &CustodianCommand,
) -> Result<(), Problem> {
    match command {
        CustodianCommand::Destroy { confirm, exchange } => {
            destroy(home, console, confirm.as_deref(), exchange)
        }
        CustodianCommand::Log => log(home, console),
        CustodianCommand::Ceremony { exchange } => {
            with_desk(home, console, exchange, ceremony_step)
        }
        CustodianCommand::Answer { requests, exchange } => {
            with_desk(home, console, exchange, |desk| answers(desk, requests))
        }
        CustodianCommand::Backup {
            out,
            people,
            needed,
        } => with_desk(home, console, out, |desk| {
            backup(desk, out, *people, *needed)
        }),
        CustodianCommand::Restore {
            sheets,
            without_log,
            exchange,
        } => with_desk(home, console, exchange, |desk| {
            restore(desk, sheets, *without_log)
        }),
    }
}

fn with_desk(
    home: &HomeOptions,
    console: &Console,
    exchange: &Path,
    work: impl FnOnce(&Desk<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let index = ceremony::index_of(&agreement, &identity)?;
    let (state, clock) = (home.state(), home.clock()?);
    let _guard = files::guard(&state)?;
    std::fs::create_dir_all(exchange).map_err(|error| Problem::io(exchange, error))?;
    work(&Desk {
        agreement: &agreement,
        identity: &identity,
        index,
        state: &state,
        exchange,
        clock: &clock,
        console,
    })
}

fn ceremony_step(desk: &Desk<'_>) -> Result<(), Problem> {
    match ceremony::run(desk)? {
        Progress::Ready => {
            // Also where a crash came between the share and its line.
            let vault = desk.vault();
            if Ledger::open(desk.state, desk.agreement, &vault)?
                .share()
                .is_none()
            {
                note_share(desk, "made")?;
            }
            desk.console.say(&format!(
                "密钥份额已就绪 the share is ready: {}",
                desk.exchange
                    .join(file_name(desk.agreement, desk.me()))
                    .display()
            ));
            desk.console
                .say("下一步 next: hedui-keys custodian backup DIR (纸质备份 a copy on paper)");
            desk.console.object(&serde_json::json!({"ready": true}));
            Ok(())
        }
        Progress::Waiting(step, names) => {
            desk.console
                .object(&serde_json::json!({"ready": false, "step": step, "waiting_for": names}));
            Err(Problem::not_yet(
                format!("step {step} of the ceremony waits for {}", names.join(", ")),
                "run the same command again when their files are in the exchange folder",
            ))
        }
    }
}

fn note_share(desk: &Desk<'_>, state: &str) -> Result<(), Problem> {
    let event = Event::Share {
        state: state.to_owned(),
    };
    let vault = desk.vault();
    Ledger::open(desk.state, desk.agreement, &vault)?.append(event, &desk.clock.now())
}

/// Answers all requests; one that is refused does not keep the others waiting.
fn answers(desk: &Desk<'_>, given: &[PathBuf]) -> Result<(), Problem> {
    let share = share(desk)?;
    let requests = if given.is_empty() {
        let me = &desk.identity.card().name;
        exchange::addressed_to(desk.exchange, me)?
            .into_iter()
            .filter(|file| file.header.kind == MessageType::EvalRequest)
            .filter(|file| file.header.agreement == desk.agreement.digest())
            .map(|file| file.path)
            .collect()
    } else {
        given.to_vec()
    };
    let vault = desk.vault();
    let mut ledger = Ledger::open(desk.state, desk.agreement, &vault)?;
    if ledger.share() == Some(DESTROYED) {
        return Err(Problem::data(
            "the log says that the share of this epoch was destroyed",
            "run `hedui-keys custodian destroy` again: something kept it from ending",
        ));
    }
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for path in &requests {
        match answer(desk, &share, &mut ledger, path) {
            Ok(answered) => {
                say(desk.console, &answered);
                done.push(answered);
            }
            Err(problem @ Problem::Refused { .. }) if requests.len() > 1 => {
                desk.console.note(&format!("{problem}"));
                refused.push(problem);
            }
            Err(problem) => return Err(problem),
        }
    }
    if requests.is_empty() {
        desk.console.say("没有待答复的请求 there are no requests");
    }
    desk.console.object(&serde_json::json!({
        "answered": done.iter().map(|a| serde_json::json!({
            "from": a.from.as_str(), "dataset": a.dataset.as_str(), "elements": a.elements,
            "left": a.left, "repeated": a.repeated, "file": a.path.display().to_string(),
        })).collect::<Vec<_>>(),
        "refused": refused.len(),
    }));
    match refused.len() {
        0 => Ok(()),
        count => Err(Problem::DoneWithRejects {
            what: format!("{count} requests were refused"),
        }),
    }
}

fn say(console: &Console, answered: &Answered) {
    let again = if answered.repeated {
        "（此前已答复，不重复计数 answered before, not charged again）"
    } else {
        ""
    };
    console.say(&format!(
        "已答复 answered: {} {} {} 个元素 elements{again}，本期剩余 left {}\n  → {}",
        answered.from,
        answered.dataset,
        answered.elements,
        answered.left,
        answered.path.display()
    ));
}

fn log(home: &HomeOptions, console: &Console) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let state = home.state();
    // Opening the log mends a torn last line, so nobody may be writing it.
    let _guard = files::guard(&state)?;
    let ledger = Ledger::read(&state, &agreement)?;
    console.say(&format!("期次 epoch: {}", place(&agreement)));
    for entry in ledger.entries() {
        let what = match &entry.event {
            Event::Request {
                from,
                dataset,
                elements,
                request,
                ..
            } => format!("{from} {dataset} {elements} 个元素 elements  {request}"),
            Event::Share { state } => format!("share {state}"),
        };
        console.say(&format!("{:>6}  {}  {what}", entry.n, entry.time));
    }
    console.say(&format!("日志摘要 head: {}", ledger.head()));
    console.object(&serde_json::json!({
        "epoch": place(&agreement), "entries": ledger.entries(), "head": ledger.head(),
    }));
    Ok(())
}

fn backup(desk: &Desk<'_>, out: &Path, people: u16, needed: u16) -> Result<(), Problem> {
    let people = Threshold::new(people, needed).map_err(|_| {
        Problem::usage(
            "--people and --needed do not fit",
            "2 ≤ --needed ≤ --people ≤ 9, for example --people 3 --needed 2",
        )
    })?;
    let heading = paper::Heading {
        custodian: desk.me().to_owned(),
        place: place(desk.agreement),
        people,
    };
    let coefficients = (1..needed)
        .map(|_| Ok(Scalar::from_bytes_mod_order_wide(random::<64>()?.expose())))
        .collect::<Result<Vec<_>, Problem>>()?;
    let coefficients = Zeroizing::new(coefficients);
    let sheets = paper::sheets(&heading, share(desk)?.expose(), &coefficients)
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    files::private_folder(out)?;
    for (number, sheet) in (1..).zip(&sheets) {
        files::write_bytes(&out.join(format!("sheet-{number}.txt")), sheet.as_bytes())?;
    }
    note_share(desk, "backed up")?;
    desk.console.say(&format!(
        "{} 张备份已写入 sheets written to {}: 打印后请删除 print them, then remove the folder",
        sheets.len(),
        out.display()
    ));
    Ok(())
}

fn restore(desk: &Desk<'_>, typed: &[PathBuf], without_log: bool) -> Result<(), Problem> {
    let state = logged(desk, without_log)?;
    let texts = typed
        .iter()
        .map(|path| files::read_text(path).map(Zeroizing::new))
        .collect::<Result<Vec<_>, _>>()?;
    let (heading, scalar) = paper::restore(&texts).map_err(|error| {
        Problem::data(error.to_string(), "compare with the paper, line by line")
    })?;
    if heading.place != place(desk.agreement) || heading.custodian != desk.me() {
        return Err(Problem::data(
            format!(
                "the sheets are of `{}`, epoch {}",
                heading.custodian, heading.place
            ),
            "use the folder and the agreement that they were made for",
        ));
    }
    let share = Share::new(scalar);
    let record = agreed_record(desk)?;
    let mine = record.shares.get(usize::from(desk.index) - 1);
    if mine.map(|(_, public)| public) != Some(share.public()) {
        return Err(Problem::data(
            "the sheets give another share than the epoch's record names",
            "check which epoch the sheets are of",
        ));
    }
    // The log first: a share that answers has a log that says so.
    note_share(desk, state)?;
    desk.vault()
        .write(ceremony::RECORD, record.render().as_bytes())?;
    desk.vault().write(SHARE, share.expose().as_bytes())?;
    desk.console.say("密钥份额已恢复 the share is restored");
    Ok(())
}

/// What the log will say of a restored share; refuses where it says that the share was destroyed, and where it is
/// missing unless that is meant, because with it goes the count of what was asked.
fn logged(desk: &Desk<'_>, without_log: bool) -> Result<&'static str, Problem> {
    let vault = desk.vault();
    let ledger = match Ledger::open(desk.state, desk.agreement, &vault) {
        Err(_) if without_log => Ledger::begin_anew(desk.state, desk.agreement, &vault)?,
        other => other?,
    };
    let here = !ledger.entries().is_empty();
    match (ledger.share(), here || without_log) {
        (Some(DESTROYED), _) => Err(Problem::data(
            "the share of this epoch was destroyed",
            "agree on a new epoch",
        )),
        (None, false) => Err(Problem::data(
            format!(
                "{}: the log of this epoch is not here",
                ledger.path().display()
            ),
            "put it back from a copy; if it is lost for good, --without-log begins a new one, tell the reviewer",
        )),
        (None, true) if !here => Ok("restored without its log"),
        _ => Ok("restored"),
    }
}

/// The record on which as many custodians agree, by their signatures, as an answer needs.
fn agreed_record(desk: &Desk<'_>) -> Result<EpochRecord, Problem> {
    let signed = ceremony::signed_records(desk)?;
    let needed = desk.agreement.text().oprf.threshold as usize;
    let (mut agreed, mut by) = (None, std::collections::BTreeSet::new());
    for (record, signer) in signed {
        if *agreed.get_or_insert_with(|| record.clone()) != record {
            let why = "custodians signed different keys for this epoch";
            return Err(Problem::refused(
                desk.exchange,
                Refusal::BadProof(why.to_owned()),
            ));
        }
        by.insert(signer);
    }
    agreed.filter(|_| by.len() >= needed).ok_or_else(|| {
        Problem::not_yet(
            format!(
                "{} holds the epoch's record signed by {} custodians, {needed} are needed",
                desk.exchange.display(),
                by.len()
            ),
            "ask the other custodians for their files `epoch-….record`",
        )
    })
}

/// Destroys a share. The agreement may have expired: that is when this is due.
fn destroy(
    home: &HomeOptions,
    console: &Console,
    confirm: Option<&str>,
    exchange: &Path,
) -> Result<(), Problem> {
    let agreement: Agreement = home.read_agreement()?;
    let identity = home.identity()?;
    let (state, clock, name) = (home.state(), home.clock()?, place(&agreement));
    if confirm != Some(name.as_str()) {
        return Err(Problem::usage(
            format!("this destroys the share of {name} for ever"),
            format!("if that is meant: hedui-keys custodian destroy --confirm {name}"),
        ));
    }
    let me = &identity.card().name;
    if !agreement.custodians().contains(&me) {
        return Err(ceremony::no_custodian(me));
    }
    let _guard = files::guard(&state)?;
    let vault = Vault::new(&state, "custodian", &identity, &agreement);
    // The log first: from this line on nothing is answered and no share comes back, wherever a crash cuts this off.
    // A share dies also where its log was lost or spoilt: that one is kept, and a new one says what happened.
    let mut ledger = match Ledger::open(&state, &agreement, &vault) {
        Ok(ledger) => ledger,
        Err(problem) => {
            console.note(&problem.to_string());
            Ledger::begin_anew(&state, &agreement, &vault)?
        }
    };
    let held = ceremony::FILES.iter().any(|file| vault.holds(file));
    if ledger.share() != Some(DESTROYED) && (held || ledger.share().is_some()) {
        let state = DESTROYED.to_owned();
        ledger.append(Event::Share { state }, &clock.now())?;
    }
    let mut gone = 0;
    for file in ceremony::FILES {
        gone += usize::from(vault.destroy(file)?);
    }
    let text = format!(
        "hedui-destroyed/1\nagreement {}\nepoch {}\ncustodian {me}\ntime {}\nlog {}\n---\n",
        agreement.digest().to_hex(),
        agreement.epoch().0,
        clock.now(),
        ledger.head(),
    );
    let digest = labelled_sha256(Label::DestroyedShare, &[text.as_bytes()]);
    let signature = hex(&identity.sign(&[Label::DestroyedShare.bytes(), &[0], &digest].concat()));
    let path = exchange.join(format!("destroyed-{name}-by-{me}.statement"));
    files::deliver_bytes(
        &path,
        format!("{text}signature {me} {signature}\n").as_bytes(),
    )?;
    console.say(&format!(
        "密钥份额已销毁，声明已签署 share destroyed, statement: {}\n\
         纸质备份与磁盘备份也须一并销毁 destroy the sheets and the backups of this machine as well",
        path.display()
    ));
    console.object(&serde_json::json!({"destroyed": gone > 0, "epoch": name}));
    Ok(())
}
