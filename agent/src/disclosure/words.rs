//! What clerks read in place of the agreement's words for fields, match keys and facts. In: names of the agreement, and where a
//! rule file is given its words. Out: Chinese. Invariant: a name that nobody knows is shown as it stands, never dropped; the
//! words say what is compared, not what it is called in a configuration.
//! Specification: docs/OPERATIONS.md, "Disclosure".

use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::Fact;
use hedui_protocol::field::{FieldKind, Form};
use hedui_protocol::ids::Name;
use hedui_protocol::message::payload::FactValue;

use crate::clue::rules::Rules;

/// Words of an agreement.
pub struct Words<'a> {
    agreement: &'a Agreement,
    rules: Option<&'a Rules>,
}

impl<'a> Words<'a> {
    /// Words of an agreement, those of a rule file first.
    pub fn of(agreement: &'a Agreement, rules: Option<&'a Rules>) -> Self {
        Self { agreement, rules }
    }

    /// A word as the rule file has it, if it has it.
    fn ruled(&self, word: &str) -> Option<String> {
        let said = self.rules?.word(word);
        (said != word).then_some(said)
    }

    /// A field.
    pub fn field(&self, name: &Name) -> String {
        let field = self.agreement.fields().iter().find(|f| f.name == *name);
        let zh = field.and_then(|field| field_zh(field.kind, name.as_str()));
        let zh = zh.map(str::to_owned).or_else(|| self.ruled(name.as_str()));
        zh.unwrap_or_else(|| name.to_string())
    }

    /// A match key: what it compares.
    pub fn key(&self, name: &Name) -> String {
        let keys = self.agreement.match_keys();
        let Some(key) = keys.iter().find(|key| key.name == *name) else {
            return "整体相似".to_owned();
        };
        let parts = key.parts.iter().filter_map(|part| {
            let field = self.agreement.fields().get(part.field)?;
            Some(format!("{}{}", self.field(&field.name), form_zh(part.form)))
        });
        parts.collect::<Vec<_>>().join("＋")
    }

    /// A match key as the rule file has it, or its parts.
    pub fn key_in_rules(&self, name: &Name) -> String {
        let ruled = self.ruled(name.as_str());
        ruled.unwrap_or_else(|| self.key(name))
    }

    /// Several of them.
    pub fn keys(&self, names: &[Name]) -> String {
        let words: Vec<String> = names.iter().map(|name| self.key(name)).collect();
        words.join("；")
    }

    /// A value of a field, days with their dashes.
    pub fn value(&self, name: &Name, value: &str) -> String {
        let field = self.agreement.fields().iter().find(|f| f.name == *name);
        match field.map(|field| field.kind) {
            Some(FieldKind::Date) => day_of(value),
            Some(FieldKind::Sex) => match value {
                "1" | "m" | "male" => "男".to_owned(),
                "2" | "f" | "female" => "女".to_owned(),
                other => other.to_owned(),
            },
            _ => value.to_owned(),
        }
    }

    /// A fact with its name; nothing where there is no value.
    pub fn fact(&self, fact: &Fact, value: &FactValue) -> Option<String> {
        let known = |word: &str| self.ruled(word).unwrap_or_else(|| word.to_owned());
        let text = match value {
            FactValue::Absent => return None,
            FactValue::Code(index) => known(fact.codes.get(usize::from(*index))?),
            FactValue::Date(day) => day_of(&day.to_string()),
            FactValue::Integer(number) => number.to_string(),
            FactValue::Reference(text) => text.clone(),
        };
        Some(format!("{}：{text}", known(fact.name.as_str())))
    }

    /// A row of facts, those with a value; empty if none has.
    pub fn facts(&self, schema: &[Fact], row: &[FactValue]) -> String {
        let cells = schema.iter().zip(row);
        let words: Vec<String> = cells.filter_map(|(f, v)| self.fact(f, v)).collect();
        words.join("；")
    }
}

/// `YYYYMMDD` with dashes; anything else as it stands.
fn day_of(text: &str) -> String {
    let (year, rest) = text.split_at_checked(4).unwrap_or((text, ""));
    match rest.split_at_checked(2) {
        Some((month, day)) if day.len() == 2 => format!("{year}-{month}-{day}"),
        _ => text.to_owned(),
    }
}

fn field_zh(kind: FieldKind, name: &str) -> Option<&'static str> {
    Some(match kind {
        FieldKind::CnResidentId => "身份证号",
        FieldKind::CnName | FieldKind::PersonName if name.contains("given") => "名",
        FieldKind::CnName | FieldKind::PersonName if name.contains("surname") => "姓",
        FieldKind::CnName | FieldKind::PersonName => "姓名",
        FieldKind::Date if name.contains("birth") => "出生日期",
        FieldKind::Sex => "性别",
        FieldKind::Phone => "电话",
        FieldKind::CnDivision => "住址（行政区划）",
        FieldKind::Plate => "号牌号码",
        FieldKind::Uscc => "统一社会信用代码",
        FieldKind::Text if name.contains("address") => "地址",
        _ => return None,
    })
}

fn form_zh(form: Form) -> &'static str {
    match form {
        Form::Whole => "",
        Form::Birth => "中的出生日期",
        Form::Body => "（出生日期和顺序码）",
        Form::County => "（县）",
        Form::First3 => "（前三字）",
        Form::Given => "（名）",
        Form::Initial => "（首字）",
        Form::Last8 => "（后八位）",
        Form::MonthDay => "（月日）",
        Form::Organisation => "（主体代码）",
        Form::OneError => "（差一位）",
        Form::Pinyin => "（读音）",
        Form::Sequence => "（顺序码）",
        Form::Sex => "中的性别",
        Form::Sorted => "（不计词序）",
        Form::Soundex => "（读音）",
        Form::Surname => "（姓）",
        Form::Township => "（乡镇）",
        Form::Village => "（村）",
        Form::Year => "（年）",
        Form::YearMonth => "（年月）",
    }
}
