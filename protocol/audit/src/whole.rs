//! Whether a run is whole. In: the messages of a folder. Out: findings: what is missing, what contradicts, what answers
//! nothing. Invariant: a pure function of headers; a finding names files and parties, and is never about a body.
//! What no header shows, a lost last message that nobody answers, is said in docs/OPERATIONS.md.
//! Specification: protocol/SPEC.md, "Header", "Encoding of bodies".

use std::collections::{BTreeMap, BTreeSet};

use hedui_protocol::agreement::Agreement;
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::{Name, RequestId};

use crate::folder::{Folder, Message};

/// Something a reviewer must look into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Which rule: a word that programs can rely on.
    pub(crate) rule: &'static str,
    /// What it is about, in Chinese and English.
    pub(crate) text: String,
}

/// All findings, in a fixed order.
pub(crate) fn findings(folder: &Folder, agreement: &Agreement) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut add = |rule, text: String| all.push(Finding { rule, text });
    for (path, problem) in &folder.invalid {
        let (name, code) = (path.display(), problem.exit_code());
        add(
            "invalid",
            format!("无效文件 not valid: {name} (exit code {code}): {problem}"),
        );
    }
    if folder.records.len() > 1 {
        let same: BTreeSet<Vec<u8>> = folder
            .records
            .iter()
            .filter_map(|(path, _)| record_body(path))
            .collect();
        if same.len() > 1 {
            add(
                "records-differ",
                "各保管方签署的期次记录不一致 custodians signed different epoch records".to_owned(),
            );
        }
    }
    numbers(folder, &mut add);
    replies(folder, &mut add);
    completeness(folder, agreement, &mut add);
    all.sort();
    all.dedup();
    all
}

/// The part of an epoch record that is signed.
fn record_body(path: &std::path::Path) -> Option<Vec<u8>> {
    let text = std::fs::read_to_string(path).ok()?;
    let (body, _) = text.split_once("---\n")?;
    Some(body.as_bytes().to_vec())
}

type Add<'a> = dyn FnMut(&'static str, String) + 'a;

/// Numbers of one sender to one recipient are 1, 2, 3 …, in times that do not run backwards.
fn numbers(folder: &Folder, add: &mut Add<'_>) {
    for own in folder
        .messages
        .chunk_by(|a, b| a.header.from == b.header.from && a.header.to == b.header.to)
    {
        let who = format!("{} → {}", own[0].header.from.0, own[0].header.to.0);
        let mut next = 1;
        let mut last: Option<&Message> = None;
        for message in own {
            let seq = message.header.seq;
            if let Some(last) = last.filter(|last| last.header.seq == seq) {
                let same = last.digest == message.digest;
                let (rule, words) = if same {
                    ("twice", "同一文件出现两次 the same file lies here twice")
                } else {
                    (
                        "number-twice",
                        "同一序号两份不同文件 two different files have one number",
                    )
                };
                let (one, other) = (last.path.display(), message.path.display());
                add(rule, format!("{words}: {who} {seq}: {one}, {other}"));
                continue;
            }
            if seq > next {
                let range = if seq == next + 1 {
                    next.to_string()
                } else {
                    format!("{next}–{}", seq - 1)
                };
                add(
                    "number-missing",
                    format!("缺少序号 missing numbers: {who} {range}"),
                );
            }
            if last.is_some_and(|last| last.header.created > message.header.created) {
                let name = message.path.display();
                add(
                    "time-backwards",
                    format!("时间倒退 made before an earlier number: {who} {seq}: {name}"),
                );
            }
            next = seq.saturating_add(1);
            last = Some(message);
        }
    }
}

/// What each type of message answers.
fn answers(kind: MessageType) -> Option<MessageType> {
    match kind {
        MessageType::Receipt => Some(MessageType::Submission),
        MessageType::EvalAnswer => Some(MessageType::EvalRequest),
        MessageType::RefineAnswer => Some(MessageType::RefineRequest),
        MessageType::DisclosureAnswer => Some(MessageType::DisclosureRequest),
        _ => None,
    }
}

/// Every answer answers something that its recipient sent, and what must be answered is.
fn replies(folder: &Folder, add: &mut Add<'_>) {
    type Key<'a> = (&'a Name, &'a Name, RequestId);
    let sent: BTreeMap<Key<'_>, &Message> = folder
        .messages
        .iter()
        .map(|m| ((&m.header.from.0, &m.header.to.0, m.header.request), m))
        .collect();
    let mut answered: BTreeSet<Key<'_>> = BTreeSet::new();
    for message in &folder.messages {
        let header = &message.header;
        let name = message.path.display();
        let (wanted, given) = (answers(header.kind), header.in_reply_to);
        let Some((kind, request)) = wanted.zip(given) else {
            if wanted.is_some() != given.is_some() {
                add(
                    "reply-form",
                    format!("答复关系有误 answers nothing, or should not answer: {name}"),
                );
            }
            continue;
        };
        let key = (&header.to.0, &header.from.0, request);
        match sent.get(&key) {
            Some(asked) if asked.header.kind == kind => {
                answered.insert(key);
            }
            _ => add(
                "answers-unknown",
                format!("所答复的文件不在 what it answers is not here: {name}"),
            ),
        }
    }
    for (key, message) in &sent {
        let kind = message.header.kind;
        let due = [MessageType::Submission, MessageType::EvalRequest].contains(&kind);
        if due && !answered.contains(key) {
            add(
                "unanswered",
                format!("未获答复 not answered: {}", message.path.display()),
            );
        }
    }
}

/// Disclosure requests without an answer, per department. None of them is a fault: a department decides in its own time, and a
/// reviewer asks how long that is.
pub(crate) fn undecided(folder: &Folder) -> BTreeMap<&Name, usize> {
    let of = |kind| {
        folder
            .messages
            .iter()
            .filter(move |m| m.header.kind == kind)
    };
    let answered: BTreeSet<(&Name, RequestId)> = of(MessageType::DisclosureAnswer)
        .filter_map(|m| Some((&m.header.from.0, m.header.in_reply_to?)))
        .collect();
    let mut open = BTreeMap::new();
    for Message { header, .. } in of(MessageType::DisclosureRequest) {
        if !answered.contains(&(&header.to.0, header.request)) {
            *open.entry(&header.to.0).or_default() += 1;
        }
    }
    open
}

/// Every register has its kit and both sides' submissions, and there is a result of them.
fn completeness(folder: &Folder, agreement: &Agreement, add: &mut Add<'_>) {
    let of = |kind: MessageType, from: &Name, to: &Name| {
        let all = folder.messages.iter();
        all.filter(|m| m.header.kind == kind && m.header.from.0 == *from && m.header.to.0 == *to)
            .collect::<Vec<_>>()
    };
    let (roll, centre) = (&agreement.roll().owner, &agreement.matcher().name);
    let mut owners: BTreeMap<&Name, usize> = BTreeMap::new();
    for register in agreement.registers() {
        *owners.entry(&register.owner).or_default() += 1;
    }
    for (owner, registers) in &owners {
        let kits = if *owner == roll {
            *registers
        } else {
            of(MessageType::Kit, roll, owner).len()
        };
        if kits < *registers {
            add(
                "kit-missing",
                format!("缺少密钥包 kits are missing: {roll} → {owner}: {kits} / {registers}"),
            );
        }
        let own = of(MessageType::Submission, owner, centre).len();
        if *owner != roll && own < *registers {
            add(
                "submission-missing",
                format!("数据未报全 registers not delivered: {owner}: {own} / {registers}"),
            );
        }
    }
    let all: usize = owners.values().sum();
    let own = owners.get(roll).copied().unwrap_or(0);
    let rolls = of(MessageType::Submission, roll, centre).len();
    if rolls < all + own {
        add(
            "submission-missing",
            format!(
                "名册未报全 the roll is not delivered for every register: {rolls} / {}",
                all + own
            ),
        );
    }
    if rolls > 0 && folder.commitments.is_empty() {
        let text = format!("没有名册承诺 no commitment to the roll by {roll}");
        add("commitment-missing", text);
    }
    let results = of(MessageType::Result, centre, roll);
    let receipts = folder
        .messages
        .iter()
        .filter(|m| m.header.kind == MessageType::Receipt);
    let latest = receipts.map(|m| &m.header.created).max();
    match (results.iter().map(|m| &m.header.created).max(), latest) {
        (None, _) => add(
            "result-missing",
            "没有比对结果 there is no result".to_owned(),
        ),
        (Some(result), Some(receipt)) if result < receipt => {
            add(
                "result-old",
                "最后一次接收之后没有结果 no result after the last receipt".to_owned(),
            );
        }
        _ => {}
    }
}
