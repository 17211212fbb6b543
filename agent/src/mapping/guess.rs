//! Proposing a mapping from a look at the file. In: header and first rows. Out: a mapping file's text with
//! what was found and what is left to say. Invariant: a column is proposed only if its name and its
//! content both fit the field's kind; nothing is proposed for two fields; people confirm.
//! Specification: docs/OPERATIONS.md, "Mapping".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::{Dataset, FactKind};
use hedui_protocol::field::{FieldKind, Gazetteer, Quality};

use crate::source::{Reading, SourceRow, SourceSpec};

/// Rows looked at.
pub const SAMPLE_ROWS: u64 = 2000;
/// Distinct values up to which a column counts as coded.
const CODES_MAX: usize = 40;

/// Column names that registers use, by kind of field. A name fits if it contains one of the words.
fn words(kind: FieldKind) -> &'static [&'static str] {
    match kind {
        FieldKind::CnResidentId => &[
            "身份证",
            "证件号",
            "证号",
            "公民身份",
            "sfzh",
            "idcard",
            "id_no",
            "id number",
            "idno",
            "证件编号",
        ],
        FieldKind::CnName => &[
            "姓名",
            "所有人",
            "权利人",
            "名字",
            "户主",
            "购机者",
            "死者",
            "缴存人",
            "参保人",
            "经营者",
            "法定代表人",
            "xm",
            "name",
        ],
        FieldKind::PersonName => &["name", "surname", "姓名", "名字"],
        FieldKind::Date => &["出生", "生日", "birth", "dob", "csrq"],
        FieldKind::Sex => &["性别", "sex", "gender", "xb"],
        FieldKind::Phone => &["电话", "手机", "联系方式", "phone", "mobile", "tel"],
        FieldKind::CnDivision => &[
            "地址", "住址", "乡镇", "村", "区划", "坐落", "address", "镇", "社区",
        ],
        FieldKind::Plate => &["号牌", "车牌", "plate"],
        FieldKind::Uscc => &["信用代码", "uscc", "统一社会"],
        FieldKind::Text | FieldKind::Exact | FieldKind::Integer => &[],
    }
}

/// What was found for one file.
pub struct Guess {
    /// Field → columns.
    pub fields: BTreeMap<String, Vec<String>>,
    /// Fields without a column.
    pub missing: Vec<String>,
    /// Why a missing field was not taken although a column looked like it.
    pub doubts: BTreeMap<String, String>,
    /// Distinct values of columns that look coded.
    pub coded: BTreeMap<String, BTreeSet<String>>,
}

/// Looks at header and rows.
pub fn guess(agreement: &Agreement, columns: &[String], rows: &[SourceRow]) -> Guess {
    let mut fields = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let mut missing = Vec::new();
    let mut doubts = BTreeMap::new();
    for field in agreement.fields() {
        let mut best: Option<(u32, usize)> = None;
        // Columns that fit the name equally well: which of several persons is meant, only people know.
        let mut rivals: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, column) in columns.iter().enumerate() {
            if taken.contains(&at) {
                continue;
            }
            let by_name = name_fit(field.name.as_str(), field.kind, column);
            let by_content = content_fit(field.kind, at, rows);
            if by_name > 0 && by_content < 50 {
                doubts.insert(
                    field.name.to_string(),
                    format!(
                        "列 `{column}` 名称相符而内容不符 column `{column}` fits by name, its values do not: name it in \
                         the mapping, for dates with their order"
                    ),
                );
            }
            if by_name > 0 && by_content >= 50 {
                rivals.entry(by_name).or_default().push(at);
                let score = by_name * 100 + by_content;
                if best.is_none_or(|(held, _)| score > held) {
                    best = Some((score, at));
                }
            }
        }
        let equal = rivals.last_entry().map(|entry| entry.get().clone());
        let equal = equal.filter(|all| all.len() > 1 && field.kind != FieldKind::CnDivision);
        if let Some(all) = equal {
            let names: Vec<&str> = all.iter().map(|at| columns[*at].as_str()).collect();
            let why = format!(
                "多列相符，请在对应表中指明 several columns fit, say which in the mapping: {}",
                names.join(" | ")
            );
            doubts.insert(field.name.to_string(), why);
            missing.push(field.name.to_string());
            continue;
        }
        match best {
            Some((_, at)) => {
                doubts.remove(field.name.as_str());
                taken.insert(at);
                let mut chosen = vec![columns[at].clone()];
                if field.kind == FieldKind::CnDivision {
                    // Township and village often stand in columns of their own, in this order.
                    let more = |c: &&String| name_fit("", field.kind, c) > 0 && !chosen.contains(c);
                    let others: Vec<String> = columns.iter().filter(more).cloned().collect();
                    chosen.extend(others);
                    chosen.sort_by_key(|name| columns.iter().position(|c| c == name));
                }
                fields.insert(field.name.to_string(), chosen);
            }
            None => missing.push(field.name.to_string()),
        }
    }
    let coded =
        (0..columns.len()).filter_map(|at| Some((columns[at].clone(), codes_of(at, rows)?)));
    Guess {
        fields,
        missing,
        doubts,
        coded: coded.collect(),
    }
}

/// 3: the field's own name; 2: a word of the kind alone; 1: a word of the kind inside.
fn name_fit(field: &str, kind: FieldKind, column: &str) -> u32 {
    let plain = |text: &str| -> String {
        text.to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric())
            .collect()
    };
    let column = plain(column);
    if !field.is_empty() && plain(field) == column {
        return 3;
    }
    if words(kind).iter().any(|word| plain(word) == column) {
        2
    } else {
        u32::from(words(kind).iter().any(|word| column.contains(&plain(word))))
    }
}

/// Per cent of non-empty cells that the kind can use.
fn content_fit(kind: FieldKind, at: usize, rows: &[SourceRow]) -> u32 {
    if kind == FieldKind::CnDivision {
        return 60; // needs the gazetteer; the name decides
    }
    let places = Gazetteer::default();
    let (mut filled, mut usable) = (0_u32, 0_u32);
    for cell in rows.iter().filter_map(|row| row.cells.get(at)) {
        let quality = kind.normalise(cell, &places).quality;
        if quality != Quality::Absent {
            filled += 1;
            usable += u32::from(matches!(quality, Quality::Valid | Quality::Repaired));
        }
    }
    // An empty column neither fits nor does not.
    (usable * 100).checked_div(filled).unwrap_or(50)
}

fn codes_of(at: usize, rows: &[SourceRow]) -> Option<BTreeSet<String>> {
    let mut values = BTreeSet::new();
    for cell in rows.iter().filter_map(|row| row.cells.get(at)) {
        let cell = cell.trim();
        if !cell.is_empty() {
            values.insert(cell.to_owned());
        }
        if values.len() > CODES_MAX {
            return None;
        }
    }
    let repeated = rows.len() >= 3 * values.len();
    (repeated && !values.is_empty()).then_some(values)
}

/// The mapping file's text.
pub fn render(dataset: &Dataset, spec: &SourceSpec, reading: &Reading, guess: &Guess) -> String {
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |names: &[String]| {
        names
            .iter()
            .map(|name| quote(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "# 字段对应表：本文件只留在本单位。 Mapping; this file never leaves the department."
    );
    let _ = writeln!(out, "# 已识别 found: {}", on_one_line(&reading.found));
    let columns = on_one_line(&reading.columns.join(" | "));
    let _ = writeln!(out, "# 列 columns: {columns}\n");
    let _ = writeln!(
        out,
        "version = 1\ndataset = {}",
        quote(dataset.name.as_str())
    );
    let _ = writeln!(
        out,
        "as_of = \"\"  # 数据截止日 day for which the data hold, YYYY-MM-DD\n"
    );
    let _ = writeln!(out, "[source]\nfile = {}", quote(&spec.file));
    let stated = [
        ("encoding", &spec.encoding),
        ("delimiter", &spec.delimiter),
        ("sheet", &spec.sheet),
    ];
    for (key, value) in stated
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
    {
        let _ = writeln!(out, "{key} = {}", quote(value));
    }
    if spec.header_row != 1 {
        let _ = writeln!(out, "header_row = {}", spec.header_row);
    }
    for (field, columns) in &guess.fields {
        let _ = writeln!(out, "\n[field.{field}]\ncolumns = [{}]", list(columns));
    }
    for field in &guess.missing {
        let _ = writeln!(
            out,
            "\n# 未找到 not found:\n# [field.{field}]\n# columns = [\"\"]"
        );
    }
    for fact in &dataset.fact {
        let _ = writeln!(
            out,
            "\n# 事实 fact to fill in:\n# [fact.{}]\n# columns = [\"\"]",
            fact.name
        );
        if fact.kind == FactKind::Code {
            let _ = writeln!(
                out,
                "# codes = {{ \"本单位代码\" = \"...\" }}  # {}",
                fact.codes.join(" | ")
            );
        }
    }
    if !guess.coded.is_empty() {
        let _ = writeln!(
            out,
            "\n# 取值较少的列及其取值 columns that look coded, with their values:"
        );
        for (column, values) in &guess.coded {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let line = on_one_line(&format!("{column}: {}", values.join(" | ")));
            let _ = writeln!(out, "#   {line}");
        }
    }
    out
}

/// Text of a file as it can stand in a comment: nothing in it ends the line, or is forbidden in TOML.
fn on_one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}
