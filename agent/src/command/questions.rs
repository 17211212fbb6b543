//! The command `questions` of the disclosure round, for a register's owner. In: sealed questions about own records, what was
//! delivered. Out: a list to fill in. Invariant: each row shows what an answer would lay open and carries its check code; a list in
//! which something is filled in that was not sent is never written over.
//! Specification: docs/OPERATIONS.md, "Disclosure".

use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::ids::Name;

use super::answer::{Own, fields_of};
use super::mailbox::handle_rows;
use super::post::{ExchangeOptions, Post};
use crate::clue::rules::Rules;
use crate::disclosure::delivered::Delivered;
use crate::disclosure::list::{self, Decision, Letter, Row};
use crate::disclosure::words::Words;
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
    /// Rule file that the agreement names: its words for facts and codes stand in the list
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

/// `questions`: lists what the roll's owner asks about own records.
pub fn questions(
    home: &HomeOptions,
    console: &Console,
    options: &QuestionsOptions,
) -> Result<(), Problem> {
    if options
        .out
        .extension()
        .is_none_or(|ending| ending != "xlsx")
    {
        return Err(Problem::usage(
            "--out: 清单是工作簿 the list is a workbook",
            "文件名以 .xlsx 结尾 name it FILE.xlsx",
        ));
    }
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    let _guard = files::guard(&state)?;
    let today = home.clock()?.today();
    let post = Post {
        home,
        console,
        agreement: &agreement,
        identity: &identity,
        state: &state,
        folder: &options.exchange.exchange,
    };
    let rules = match &options.rules {
        Some(path) => Some(Rules::read(path, &agreement, &today)?),
        None => None,
    };
    let words = Words::of(&agreement, rules.as_ref());
    let (mut rows, mut open, mut unknown) = (Vec::new(), 0, 0);
    let owns = post.owns()?;
    for own in &owns {
        let places = handle_rows(home, &identity, &agreement, own.dataset.name.as_str())?;
        for (handle, asked) in &own.asked {
            let answered = own.record.answered(asked).filter(|entry| entry.sent);
            let Some(record) = own.records.get(handle) else {
                unknown += usize::from(answered.is_none());
                continue;
            };
            open += usize::from(answered.is_none());
            if answered.is_some() && !options.all {
                continue;
            }
            let numbers = places.get(handle).cloned().unwrap_or_default();
            let shown: Vec<String> = numbers.iter().map(|row| row_words(*row)).collect();
            rows.push(Row {
                handle: *handle,
                register: Agreement::title_of_dataset(own.dataset),
                rows: numbers,
                rows_words: shown.join(" "),
                reason: asked.question.reason,
                agree: words.keys(&asked.question.agree),
                differ: words.keys(&asked.question.differ),
                content: content(&words, &agreement, own.dataset, record),
                answered: answered.map(|entry| entry.word),
                check: own.check(&identity, &agreement, handle).unwrap_or_default(),
            });
        }
    }
    console.object(&serde_json::json!({ "open": open, "listed": rows.len(), "unknown": unknown }));
    if unknown > 0 {
        console.note(&format!(
            "{unknown} 条所问登记已不在现有数据中，运行 answer 时自动回复“查无此记录” records are in the data no more; `answer` says so by itself"
        ));
    }
    if rows.is_empty() {
        console.say("没有待答复的协查，未生成清单 nothing to answer, no list was written");
        return Ok(());
    }
    keeps_what_was_filled_in(&options.out, &owns)?;
    rows.sort_by(|a, b| (&a.register, &a.rows, a.handle).cmp(&(&b.register, &b.rows, b.handle)));
    let titles = |name: &Name| {
        let party = agreement.text().party.iter().find(|p| p.name == *name);
        let title = party.map(|party| party.title.clone()).unwrap_or_default();
        if title.is_empty() {
            name.to_string()
        } else {
            title
        }
    };
    let letter = Letter {
        from: &titles(&agreement.roll().owner),
        to: &titles(&identity.card().name),
        day: &today,
        purpose: &agreement.text().purpose,
        legal_basis: &agreement.text().legal_basis,
    };
    list::write(&options.out, &letter, &rows)?;
    console.say(&format!(
        "待答复 to answer: {open} 条登记 records，列出 listed {} → {}；填好后 then: hedui-agent answer {}",
        rows.len(),
        options.out.display(),
        options.out.display()
    ));
    Ok(())
}

/// Refuses to write over a list in which something is filled in that was not sent yet.
fn keeps_what_was_filled_in(out: &Path, owns: &[Own<'_>]) -> Result<(), Problem> {
    if !out.exists() {
        return Ok(());
    }
    let is_sent = |decision: &Decision| {
        let entry = owns.iter().find_map(|own| {
            let open = own.asked.get(&decision.handle)?;
            own.record.answered(open)
        });
        entry.is_some_and(|entry| entry.sent && entry.word == decision.word)
    };
    let is_empty = list::read(out)
        .is_ok_and(|filled| filled.undecided.is_empty() && filled.decisions.iter().all(is_sent));
    match is_empty {
        true => Ok(()),
        false => Err(Problem::data(
            format!(
                "{} 中已有填写内容，或不是协查清单，未覆盖 it holds entries that were not sent, or is no list",
                out.display()
            ),
            "请先运行 answer，或用 --out 另存为其他文件 run `answer` first, or give another --out",
        )),
    }
}

/// What would be laid open of a record, in words.
fn content(
    words: &Words<'_>,
    agreement: &InForce,
    dataset: &Dataset,
    record: &Delivered,
) -> String {
    let fields = fields_of(agreement, dataset, record);
    let mut lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}：{}", words.field(name), words.value(name, value)))
        .collect();
    for row in &record.facts.rows {
        lines.push(words.facts(&dataset.fact, row));
    }
    lines.retain(|line| !line.is_empty());
    if lines.is_empty() {
        lines.push("（协议约定的项目均无内容）".to_owned());
    }
    lines.join("\n")
}
