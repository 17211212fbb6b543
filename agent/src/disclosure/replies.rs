//! What departments replied, for the roll owner's people. In: questions, answers, evidence. Out: counts, and `disclosed.csv`: one
//! line per record that was asked about. Invariant: shows the roll owner's own data and what was laid open to it, no more.
//! A difference is shown as one, not judged: whether two records are one person's is for people to say.
//! Specification: docs/OPERATIONS.md, "Disclosure".

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use hedui_edge::cells::harmless;
use hedui_edge::{Problem, files};
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::field::FieldKind;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::message::disclosure::Word;
use serde::Serialize;

use super::asked::{Answers, Asked, snapshot_of};
use super::list::word_zh;
use super::words::Words;
use crate::results::{Compared, Disclosed, Evidence, Opened};
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
    pub fn of(asked: &Asked, answers: &Answers, opened: &Opened) -> Self {
        let mut replies = Self::default();
        for (register, handle, _) in asked.all() {
            replies.asked += 1;
            let snapshot = snapshot_of(opened, register);
            let handle = Handle::from_hex(handle);
            let given = handle.and_then(|handle| answers.of(register, handle, snapshot));
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

impl Compared {
    fn verdict(&self) -> &'static str {
        match &self.ours {
            Some(ours) if *ours == self.theirs && self.follows => "一致，可由证件号推出",
            Some(ours) if *ours == self.theirs => "一致",
            Some(_) => "不一致",
            None => "名册无此项",
        }
    }

    fn words(&self, words: &Words<'_>) -> String {
        let theirs = words.value(&self.field, &self.theirs);
        format!(
            "{} {theirs}（{}）",
            words.field(&self.field),
            self.verdict()
        )
    }

    /// With the roll's own value.
    fn beside(&self, words: &Words<'_>) -> String {
        let value = |text: &str| words.value(&self.field, text);
        let ours = self.ours.as_deref().map_or_else(|| "无".to_owned(), value);
        let (name, theirs) = (words.field(&self.field), value(&self.theirs));
        format!("{name}：名册 {ours}，部门 {theirs}（{}）", self.verdict())
    }
}

impl Disclosed {
    /// What was answered, in words.
    pub fn words(&self, words: &Words<'_>) -> String {
        let Some(word) = self.word else {
            return format!("已发协查（{}），待答复", self.day);
        };
        let mut parts = vec![format!("部门{}（{}）", word_zh(word), self.day)];
        parts.extend(self.fields.iter().map(|field| field.words(words)));
        if !self.note.is_empty() {
            parts.push(format!("说明：{}", self.note));
        }
        parts.join("；")
    }
}

/// Writes one line per record that was asked about.
pub fn write(
    path: &Path,
    (agreement, roll, opened): (&InForce, &Roll, &Opened),
    words: &Words<'_>,
    (asked, answers): (&Asked, &Answers),
) -> Result<(), Problem> {
    let name_at = agreement
        .fields()
        .iter()
        .position(|field| [FieldKind::CnName, FieldKind::PersonName].contains(&field.kind));
    let mut places: BTreeMap<(&Name, Handle), Vec<&Evidence>> = BTreeMap::new();
    for item in &opened.evidence {
        let key = (&item.register, item.handle);
        places.entry(key).or_default().push(item);
    }
    files::deliver(path, |out| {
        // A byte-order mark, so that Excel and WPS read the file as UTF-8.
        out.write_all("\u{feff}".as_bytes())
            .map_err(|error| Problem::io(path, error))?;
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record([
                "名册行号 roll rows",
                "名册姓名 name",
                "数据 register",
                "询问日 asked",
                "答复 answer",
                "答复日 answered",
                "是否现有数据 current",
                "身份信息对照 fields",
                "登记事实 facts",
                "说明 remark",
                "编号 handle",
            ])
            .map_err(failed)?;
        for (register, handle, question) in asked.all() {
            let dataset = agreement.dataset(register);
            let known = Handle::from_hex(handle);
            let snapshot = snapshot_of(opened, register);
            let given = known.and_then(|handle| answers.of(register, handle, snapshot));
            let own = known.and_then(|handle| places.get(&(register, handle)));
            let own = own.map(Vec::as_slice).unwrap_or_default();
            let rows: Vec<String> = own.iter().map(|item| roll.rows_of(item.person)).collect();
            let mut names: Vec<&str> = own
                .iter()
                .filter_map(|item| roll.persons.get(item.person)?.shown.get(name_at?))
                .map(String::as_str)
                .collect();
            names.dedup();
            let replies = own.iter().filter_map(|item| item.disclosed.as_ref());
            let fields: Vec<String> = replies
                .flat_map(|reply| &reply.fields)
                .map(|field| field.beside(words))
                .collect();
            let facts = given.and_then(|given| given.opened.facts.as_ref());
            let facts: Vec<String> = facts
                .into_iter()
                .flat_map(|facts| &facts.rows)
                .map(|row| {
                    let schema = dataset.map(|dataset| &dataset.fact[..]).unwrap_or_default();
                    words.facts(schema, row)
                })
                .collect();
            let is_current = given.map_or("", |given| {
                if given.snapshot == snapshot {
                    "是"
                } else {
                    "否"
                }
            });
            writer
                .write_record(
                    [
                        rows.join(" / "),
                        names.join(" / "),
                        dataset.map(Agreement::title_of_dataset).unwrap_or_default(),
                        question.day.clone(),
                        given
                            .map_or("待答复", |given| word_zh(given.opened.word))
                            .to_owned(),
                        given.map_or_else(String::new, |given| given.day.clone()),
                        is_current.to_owned(),
                        fields.join("；"),
                        facts.join(" / "),
                        given.map_or_else(String::new, |given| given.opened.note.clone()),
                        handle.to_owned(),
                    ]
                    .map(harmless),
                )
                .map_err(failed)?;
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}
