//! Whether the matcher's log holds. In: the published log, the messages of a folder, what the reviewer saw before. Out: findings: a
//! fork, a cut, what is not logged, what is logged and not here. Invariant: a message that the log names and that is not in the
//! folder is found, also the last one; nothing needs a secret. Specification: protocol/SPEC.md, "Log".

use std::path::Path;

use hedui_edge::log::{self, Memory, Published};
use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::header::MessageType;
use hedui_protocol::log::checkpoint::Checkpoint;
use hedui_protocol::log::{Entry, Event, tile};
use hedui_protocol::primitive::hex;

use crate::folder::{Folder, Message};
use crate::whole::Finding;

/// What was found about the log.
#[derive(Default)]
pub(crate) struct Logged {
    /// Number of entries, if there is a log that holds.
    pub(crate) entries: Option<u64>,
    /// Who has witnessed it, up to which size, when (seconds since 1970).
    pub(crate) witnesses: Vec<(String, u64, u64)>,
    /// What a reviewer must look into.
    pub(crate) findings: Vec<Finding>,
}

impl Logged {
    fn add(&mut self, rule: &'static str, text: String) {
        self.findings.push(Finding { rule, text });
    }
}

/// Looks at the log of an exchange folder; `memory` is a folder in which the reviewer keeps what it saw.
pub(crate) fn look(
    exchange: &Path,
    folder: &Folder,
    agreement: &Agreement,
    memory: Option<&Path>,
) -> Result<Logged, Problem> {
    let mut out = Logged::default();
    let published = match log::read(exchange, agreement) {
        Ok(Some(published)) => published,
        Ok(None) => {
            let any = folder
                .messages
                .iter()
                .any(|m| m.header.from.0 == agreement.matcher().name);
            if any {
                let text = "没有公开日志 the matcher's log is not here".to_owned();
                out.add("log-missing", text);
            }
            return Ok(out);
        }
        Err(problem) => {
            let text = format!("公开日志无效 the matcher's log does not hold: {problem}");
            out.add("log-invalid", text);
            return Ok(out);
        }
    };
    out.entries = Some(published.checkpoint.size);
    if !log::tiles_hold(exchange, agreement, &published) {
        let text = "日志的哈希文件与条目不符 the tiles are not those of the entries".to_owned();
        out.add("log-invalid", text);
    }
    for message in &folder.messages {
        if let Some(seen) = &message.header.log {
            let who = format!("{}: {}", message.header.from.0, message.path.display());
            compare(&mut out, &published, seen, &who);
        }
    }
    witnesses(&mut out, exchange, agreement, &published);
    messages(&mut out, folder, agreement, &published);
    files_of(&mut out, folder, &published);
    latest_result(&mut out, folder, &published);
    if let Some(memory) = memory {
        remember(&mut out, exchange, agreement, &published, memory)?;
    }
    out.findings.sort();
    out.findings.dedup();
    Ok(out)
}

/// Whether the log begins with what somebody saw of it.
fn compare(out: &mut Logged, published: &Published, seen: &Checkpoint, who: &str) {
    match published.extends(seen) {
        Some(true) => {}
        Some(false) => out.add(
            "log-fork",
            format!(
                "日志分叉 the matcher signed another log of {} entries for {who}",
                seen.size
            ),
        ),
        None => out.add(
            "log-cut",
            format!(
                "日志被截短 the log has {} entries, {} were signed for {who}",
                published.checkpoint.size, seen.size
            ),
        ),
    }
}

fn witnesses(out: &mut Logged, exchange: &Path, agreement: &Agreement, published: &Published) {
    let (found, bad) = log::witnessed(exchange, agreement);
    for path in bad {
        let text = format!(
            "见证无效 not a witness's note of this log: {}",
            path.display()
        );
        out.add("witness-invalid", text);
    }
    for witnessed in found {
        let name = witnessed.witness.to_string();
        compare(out, published, &witnessed.checkpoint, &name);
        let size = witnessed.checkpoint.size;
        out.witnesses.push((name, size, witnessed.time));
    }
}

/// What the matcher sent is logged and says what it had logged; what it acknowledged was logged before.
fn messages(out: &mut Logged, folder: &Folder, agreement: &Agreement, published: &Published) {
    let matcher = &agreement.matcher().name;
    let own = folder
        .messages
        .iter()
        .filter(|m| m.header.from.0 == *matcher);
    for message in own {
        let name = message.path.display();
        if !published.says(Event::Sent, &message.digest) {
            let text = format!("日志无此文件 the log does not say that it was sent: {name}");
            out.add("not-logged", text);
        }
        if message.header.kind != MessageType::Receipt {
            continue;
        }
        let asked = folder.messages.iter().find(|m| {
            m.header.kind == MessageType::Submission
                && Some(m.header.request) == message.header.in_reply_to
                && m.header.from.0 == message.header.to.0
        });
        // Without a checkpoint a message of the matcher is not valid at all.
        let size = message.header.log.map_or(0, |seen| seen.size);
        let before = |asked: &Message| {
            tile::position(&published.entries, Event::Accepted, &asked.digest)
                .is_some_and(|at| (at as u64) < size)
        };
        if asked.is_some_and(|asked| !before(asked)) {
            let text = format!("已回执而日志无记录 acknowledged, but not logged before: {name}");
            out.add("not-logged", text);
        }
    }
}

/// What the log names lies here.
fn files_of(out: &mut Logged, folder: &Folder, published: &Published) {
    let here = |entry: &Entry| {
        folder
            .messages
            .iter()
            .any(|message| message.digest == entry.header_sha256)
    };
    for entry in &published.entries {
        if entry.event == Event::Deleted || here(entry) {
            continue;
        }
        let word = match entry.event {
            Event::Accepted => "已接收 accepted",
            _ => "已发出 sent",
        };
        let digest: String = hex(&entry.header_sha256).chars().take(16).collect();
        out.add(
            "file-missing",
            format!("日志所列文件不在 a logged message is not here: {word} {digest}…"),
        );
    }
}

/// Nothing was accepted after the last result.
fn latest_result(out: &mut Logged, folder: &Folder, published: &Published) {
    let is = |entry: &Entry, event: Event, kind: MessageType| {
        entry.event == event
            && folder
                .messages
                .iter()
                .any(|m| m.digest == entry.header_sha256 && m.header.kind == kind)
    };
    let last = |event, kind| published.entries.iter().rposition(|e| is(e, event, kind));
    let result = last(Event::Sent, MessageType::Result);
    if result.is_some() && last(Event::Accepted, MessageType::Submission) > result {
        let text = "最后一次接收之后没有结果 no result after the last accepted delivery".to_owned();
        out.add("result-old", text);
    }
}

fn remember(
    out: &mut Logged,
    exchange: &Path,
    agreement: &Agreement,
    published: &Published,
    folder: &Path,
) -> Result<(), Problem> {
    files::private_folder(folder)?;
    let mut memory = Memory::open(folder)?;
    for seen in memory.all(agreement) {
        compare(out, published, &seen, "本审查 this reviewer");
    }
    match memory.notice(exchange, agreement, &published.checkpoint) {
        // Said above; the notes are written.
        Err(Problem::Refused { .. }) => Ok(()),
        other => other,
    }
}
