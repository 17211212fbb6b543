//! What departments replied, for the roll owner's people. In: questions, answers, evidence. Out: counts, and `disclosed.csv`: one
//! line per record that was asked about. Invariant: shows the roll owner's own data and what was laid open to it, no more.
//! A difference is shown as one, not judged: whether two records are one person's is for people to say.
//! Specification: docs/OPERATIONS.md, "Disclosure".

use std::io::Write;
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::message::disclosure::Word;
use serde::Serialize;

use super::asked::{Answers, Asked};
use crate::results::{Disclosed, Evidence};
use crate::roll::Roll;

/// Replies in numbers.
#[derive(Default, Serialize)]
pub struct Replies {
    /// Records that were asked about.
    pub asked: u64,
    /// Laid open.
    pub disclosed: u64,
    /// Declined, with a reason.
    pub declined: u64,
    /// Not in the department's data any more.
    pub unknown: u64,
    /// Not answered yet.
    pub open: u64,
}

impl Replies {
    /// Counts what was asked and answered.
    pub fn of(asked: &Asked, answers: &Answers) -> Self {
        let mut replies = Self::default();
        for (register, handle, _) in asked.all() {
            replies.asked += 1;
            let given = Handle::from_hex(handle).and_then(|handle| answers.of(register, handle));
            *match given.map(|given| given.opened.word) {
                Some(Word::Disclosed) => &mut replies.disclosed,
                Some(Word::Declined) => &mut replies.declined,
                Some(Word::Unknown) => &mut replies.unknown,
                None => &mut replies.open,
            } += 1;
        }
        replies
    }
}

/// A word of an answer for people.
pub fn word_zh(word: Word) -> &'static str {
    match word {
        Word::Disclosed => "已提供",
        Word::Declined => "不予提供",
        Word::Unknown => "查无此记录",
    }
}

impl Disclosed {
    /// What was answered, in words; `name` turns a field's name into people's. The same answer has the same words in every
    /// later result, so that nobody looks twice into what has not changed.
    pub fn words(&self, name: impl Fn(&Name) -> String) -> String {
        let mut parts = vec![format!("{}（{}）", word_zh(self.word), self.day)];
        for (field, ours, theirs) in &self.fields {
            let compared = match ours {
                Some(ours) if ours == theirs => "一致",
                Some(_) => "不一致",
                None => "名册无此项",
            };
            parts.push(format!("{} {theirs}（{compared}）", name(field)));
        }
        if !self.note.is_empty() {
            parts.push(format!("说明：{}", self.note));
        }
        parts.join("；")
    }
}

/// Writes one line per record that was asked about.
pub fn write(
    path: &Path,
    (agreement, roll, evidence): (&InForce, &Roll, &[Evidence]),
    asked: &Asked,
    answers: &Answers,
) -> Result<(), Problem> {
    files::deliver(path, |out| {
        // A byte-order mark, so that Excel and WPS read the file as UTF-8.
        out.write_all("\u{feff}".as_bytes())
            .map_err(|error| Problem::io(path, error))?;
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record([
                "名册行号 roll rows",
                "数据 register",
                "编号 handle",
                "询问日 asked",
                "答复 answer",
                "答复日 answered",
                "是否现有数据 current",
                "内容 content",
            ])
            .map_err(failed)?;
        for (register, handle, question) in asked.all() {
            let title = agreement
                .dataset(register)
                .map(hedui_protocol::agreement::Agreement::title_of_dataset)
                .unwrap_or_default();
            let known = Handle::from_hex(handle);
            let given = known.and_then(|handle| answers.of(register, handle));
            let own = |item: &&Evidence| item.register == *register && Some(item.handle) == known;
            let own: Vec<&Evidence> = evidence.iter().filter(own).collect();
            let rows: Vec<String> = own.iter().map(|item| roll.rows_of(item.person)).collect();
            let replies = || own.iter().filter_map(|item| item.disclosed.as_ref());
            let is_current = match replies().next() {
                Some(reply) if reply.is_current => "是",
                Some(_) => "否",
                None => "",
            };
            let words: Vec<String> = replies()
                .map(|reply| reply.words(ToString::to_string))
                .collect();
            writer
                .write_record([
                    rows.join(" / "),
                    title,
                    handle.to_owned(),
                    question.day.clone(),
                    given
                        .map_or("待答复", |given| word_zh(given.opened.word))
                        .to_owned(),
                    given.map_or_else(String::new, |given| given.day.clone()),
                    is_current.to_owned(),
                    words.join(" / "),
                ])
                .map_err(failed)?;
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}
