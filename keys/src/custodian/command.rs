//! Commands of a custodian. In: arguments. Out: answers, sheets, statements, text through the console.
//! Invariant: a command composes what the other files do; no share is ever printed except on sheets that
//! the custodian asks for, each into a file of its own.
//! Specification: docs/OPERATIONS.md, "Custodians".

use std::path::{Path, PathBuf};

use clap::Subcommand;
use curve25519_dalek::scalar::Scalar;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, files};
use hedui_protocol::epoch::EpochRecord;
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::refusal::Refusal;
use zeroize::Zeroizing;

use super::answer::{Answered, answer};
use super::ceremony::{self, GONE, Progress, SHARE};
use super::desk::Desk;
use super::destroy::destroy;
use super::ledger::{Event, Ledger, MADE, RESTORED};
use super::paper;
use crate::epoch_key::file_name;
use crate::identity_file::random;
use crate::oprf::evaluate::Share;
use crate::oprf::threshold::Threshold;
use crate::vault::place;

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
        /// The log's head as it was noted on paper: on a new machine nothing else says that the log is whole
        #[arg(long, value_name = "HEX", conflicts_with = "without_log")]
        log_head: Option<String>,
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
            if requests.is_empty() && !exchange.is_dir() {
                return Err(Problem::not_yet(
                    format!("没有此文件夹 there is no folder {}", exchange.display()),
                    "name the folder in which the departments' requests lie: --exchange DIR",
                ));
            }
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
            log_head,
            exchange,
        } => with_desk(home, console, exchange, |desk| {
            restore(desk, sheets, (*without_log, log_head.as_deref()))
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
                note_share(desk, MADE)?;
            }
            desk.console.say(&format!(
                "密钥份额已就绪 the share is ready: {}",
                desk.exchange
                    .join(file_name(desk.agreement, desk.me()))
                    .display()
            ));
            say_head(desk)?;
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
    let vault = desk.vault();
    Ledger::open(desk.state, desk.agreement, &vault)?.append(Event::share(state), &desk.clock.now())
}

/// The refusal where the log, or the mark beside it, says that the share is gone.
fn not_destroyed(desk: &Desk<'_>, ledger: Option<&Ledger<'_>>) -> Result<(), Problem> {
    if desk.vault().holds(GONE)? || ledger.is_some_and(Ledger::is_destroyed) {
        return Err(Problem::data(
            "the log says that the share of this epoch was destroyed",
            "agree on a new epoch; if its file is still here, something kept `destroy` from ending: run it again",
        ));
    }
    Ok(())
}

/// Answers all requests; one that is refused does not keep the others waiting.
fn answers(desk: &Desk<'_>, given: &[PathBuf]) -> Result<(), Problem> {
    not_destroyed(desk, None)?;
    let share = share(desk)?;
    let requests = if given.is_empty() {
        open_requests(desk)?
    } else {
        given.to_vec()
    };
    let vault = desk.vault();
    let mut ledger = Ledger::open(desk.state, desk.agreement, &vault)?;
    not_destroyed(desk, Some(&ledger))?;
    if ledger.share().is_none() {
        return Err(Problem::data(
            format!("{}: it says nothing of this share", ledger.path().display()),
            "after a ceremony: hedui-keys custodian ceremony; after a loss: put the log back from a copy, or restore \
             the share from paper with --without-log",
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
        desk.console
            .say("没有待答复的请求 there are no requests to answer");
    }
    desk.console.object(&serde_json::json!({
        "answered": done.iter().map(|a| serde_json::json!({
            "from": a.from.as_str(), "dataset": a.dataset.as_str(), "elements": a.elements,
            "left": a.left, "repeated": a.repeated, "file": a.path.display().to_string(),
        })).collect::<Vec<_>>(),
        "refused": refused.len(), "log_head": ledger.head(),
    }));
    say_head(desk)?;
    match refused.len() {
        0 => Ok(()),
        count => Err(Problem::DoneWithRejects {
            what: format!("{count} requests were refused"),
        }),
    }
}

/// Requests in the exchange folder whose answers are not there. The same request would give the same answer again, at
/// the same cost; one that is wanted again is given by name.
fn open_requests(desk: &Desk<'_>) -> Result<Vec<PathBuf>, Problem> {
    let me = &desk.identity.card().name;
    let answered = exchange::sent_by(desk.exchange, me)?;
    let kinds = [MessageType::EvalAnswer];
    let is_answered = |request: &Header| {
        let to = desk.agreement.card(&request.from.0);
        answered.iter().any(|file| {
            let claimed = file.header.kind == MessageType::EvalAnswer
                && file.header.in_reply_to == Some(request.request);
            let own = |to| exchange::verify(&file.path, desk.agreement, to, &kinds).is_ok();
            claimed && to.is_some_and(own)
        })
    };
    let found = exchange::addressed_to(desk.exchange, me)?;
    Ok(found
        .into_iter()
        .filter(|file| file.header.kind == MessageType::EvalRequest)
        .filter(|file| file.header.agreement == desk.agreement.digest())
        .filter(|file| !is_answered(&file.header))
        .map(|file| file.path)
        .collect())
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
    if ledger.entries().is_empty() {
        console.say(&format!(
            "没有日志 there is no log: {}",
            ledger.path().display()
        ));
    }
    console.say(&format!("日志摘要 head: {}", ledger.head()));
    if !ledger.entries().is_empty() {
        console.say(
            "已核对链条；是否完整须与记于纸上的摘要比对，本命令不解封份额旁的封记 the chain holds; whether it is whole, the head noted on \
             paper says: this command opens nothing sealed",
        );
    }
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
    let vault = desk.vault();
    let ledger = Ledger::open(desk.state, desk.agreement, &vault)?;
    not_destroyed(desk, Some(&ledger))?;
    if std::fs::read_dir(out).is_ok_and(|mut files| files.next().is_some()) {
        return Err(Problem::data(
            format!("{} is not empty", out.display()),
            "name a new folder: sheets of two backups must not be mixed",
        ));
    }
    let heading = paper::Heading {
        custodian: desk.me().to_owned(),
        place: place(desk.agreement),
        people,
    };
    let coefficients = (1..needed)
        .map(|_| Ok(Scalar::from_bytes_mod_order_wide(random::<64>()?.expose())))
        .collect::<Result<Vec<_>, Problem>>()?;
    let coefficients = Zeroizing::new(coefficients);
    let sheets = paper::sheets(&heading, share(desk)?.scalar(), &coefficients)
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    // The log first: no sheet exists that it does not know of.
    Ledger::open(desk.state, desk.agreement, &vault)?
        .append(Event::backed_up(), &desk.clock.now())?;
    files::private_folder(out)?;
    for (number, sheet) in (1..).zip(&sheets) {
        files::write_bytes(&out.join(format!("sheet-{number}.txt")), sheet.as_bytes())?;
    }
    desk.console.say(&format!(
        "{} 张备份已写入 sheets written to {}: 打印后请删除 print them, then remove the folder",
        sheets.len(),
        out.display()
    ));
    say_head(desk)
}

/// Says the log's head, which on a new machine is all that tells whether a copy of the log is the latest.
fn say_head(desk: &Desk<'_>) -> Result<(), Problem> {
    let ledger = Ledger::read(desk.state, desk.agreement)?;
    desk.console.say(&format!(
        "日志摘要（请记于纸上） head of the log, note it on paper: {}",
        ledger.head()
    ));
    Ok(())
}

fn restore(
    desk: &Desk<'_>,
    typed: &[PathBuf],
    (without_log, log_head): (bool, Option<&str>),
) -> Result<(), Problem> {
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
            "sheets of two backups do not go together, however alike they look: use those of one; and check which \
             epoch they are of",
        ));
    }
    // Last of all that can fail, and before the share: one that answers has a log that says so.
    log_restored(desk, without_log, log_head)?;
    desk.vault()
        .write(ceremony::RECORD, record.render().as_bytes())?;
    desk.vault().write(SHARE, share.expose())?;
    desk.console.say("密钥份额已恢复 the share is restored");
    say_head(desk)
}

/// Writes into the log that the share is back. Refuses where it says that the share was destroyed, and where it is
/// missing unless that is meant, because with it goes the count of what was asked.
fn log_restored(desk: &Desk<'_>, without_log: bool, log_head: Option<&str>) -> Result<(), Problem> {
    const WITHOUT: &str = "restored without its log";
    let (vault, now) = (desk.vault(), desk.clock.now());
    not_destroyed(desk, None)?;
    // With the head from paper nothing needs to be sealed here to know the log.
    let opened = match log_head {
        Some(_) => Ledger::own(desk.state, desk.agreement, &vault),
        None => Ledger::open(desk.state, desk.agreement, &vault),
    };
    let mut ledger = match opened {
        Err(problem) if without_log => {
            desk.console.note(&problem.to_string());
            let first = (Event::share(WITHOUT), now.as_str());
            return Ledger::begin_anew(desk.state, desk.agreement, &vault, first).map(|_| ());
        }
        other => other?,
    };
    not_destroyed(desk, Some(&ledger))?;
    let lines = ledger.entries().len();
    if lines == 0 && !without_log {
        return Err(Problem::data(
            format!(
                "{}: the log of this epoch is not here",
                ledger.path().display()
            ),
            "put it back from a copy; if it is lost for good, --without-log begins a new one, tell the reviewer",
        ));
    }
    let after = log_head.and_then(|head| ledger.lines_after(head));
    if let Some(head) = log_head.filter(|_| after.is_none()) {
        return Err(Problem::data(
            format!(
                "{}: no line of it has the head {head}; its last has {}",
                ledger.path().display(),
                ledger.head()
            ),
            "the copy is not the latest: look for one that contains the line whose head was noted on paper",
        ));
    }
    let state = if lines == 0 {
        WITHOUT.to_owned()
    } else if let Some(after) = after.filter(|after| *after > 0) {
        format!("restored beside a log with {after} lines after the head on paper")
    } else if ledger.is_anchored()? || log_head.is_some() {
        RESTORED.to_owned()
    } else {
        desk.console.note(&format!(
            "日志共 {lines} 行，未与纸上摘要比对 the log has {lines} lines; whether it is the latest copy nothing here can \
             tell. Tell the reviewer its head: {}",
            ledger.head()
        ));
        format!("restored beside a log of {lines} lines that was compared with nothing")
    };
    ledger.append(Event::share(&state), &now)
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

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
