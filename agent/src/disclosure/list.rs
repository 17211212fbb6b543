//! The list of questions that a department's people fill in (协查清单). In: questions with the own records that they are about.
//! Out: a workbook; and back, decisions by record. Invariant: it shows exactly what an answer would lay open; a row is taken by
//! its number, never by its place, and what cannot be read refuses the whole list.
//! Specification: docs/OPERATIONS.md, "Disclosure".

use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::ids::Handle;
use hedui_protocol::message::disclosure::{Reason, Word, is_note};
use rust_xlsxwriter::{DataValidation, Format, FormatBorder, Workbook, XlsxError};

use crate::source::{self, SourceSpec};

/// Heads of the columns; those that are read back begin with the words in [`READ`].
const HEAD: [&str; 9] = [
    "编号 number",
    "数据 register",
    "行号 rows",
    "询问事由 reason",
    "一致项 agrees",
    "不一致项 differs",
    "如提供将发送 would be sent",
    "答复 answer",
    "理由或备注 reason or remark",
];
/// First words of the columns that are read back: number, answer, remark.
const READ: [&str; 3] = ["编号", "答复", "理由"];
/// Words that people choose from.
const WORDS: [(&str, Word); 2] = [("提供", Word::Disclosed), ("不提供", Word::Declined)];
/// Further words that are understood.
const ALSO: [(&str, Word); 6] = [
    ("同意", Word::Disclosed),
    ("yes", Word::Disclosed),
    ("disclose", Word::Disclosed),
    ("不同意", Word::Declined),
    ("no", Word::Declined),
    ("decline", Word::Declined),
];

/// A question as its row shows it.
pub struct Row {
    /// The record's handle.
    pub handle: Handle,
    /// Register.
    pub register: String,
    /// Rows of the register's file that it stands in.
    pub rows: String,
    /// Why it is asked.
    pub reason: Reason,
    /// What agrees.
    pub agree: String,
    /// What differs.
    pub differ: String,
    /// What would be laid open.
    pub content: String,
    /// An earlier answer.
    pub answered: Option<Word>,
}

/// A decision that was filled in.
#[derive(PartialEq, Eq, Debug)]
pub struct Decision {
    /// The record.
    pub handle: Handle,
    /// Disclosed or declined.
    pub word: Word,
    /// Why, or a remark.
    pub note: String,
}

/// A reason in words.
pub fn reason_zh(reason: Reason) -> &'static str {
    match reason {
        Reason::Review => "疑似同一人，待核实身份",
        Reason::Conflict => "证号相同但身份信息矛盾",
        Reason::Objection => "当事人对比对结果有异议",
    }
}

/// Writes the list.
pub fn write(path: &Path, rows: &[Row]) -> Result<(), Problem> {
    let bytes = workbook(rows)
        .map_err(|error| Problem::data(format!("{}: {error}", path.display()), "report this"))?;
    files::deliver_bytes(path, &bytes)
}

fn workbook(rows: &[Row]) -> Result<Vec<u8>, XlsxError> {
    let border = Format::new().set_border(FormatBorder::Thin).set_text_wrap();
    let filled_in = border.clone().set_background_color("FFF2CC");
    let head = Format::new()
        .set_bold()
        .set_border(FormatBorder::Thin)
        .set_text_wrap();
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("协查清单")?;
    for ((column, text), width) in (0..).zip(HEAD).zip([34, 16, 12, 22, 22, 22, 48, 12, 30]) {
        sheet.write_string_with_format(0, column, text, &head)?;
        sheet.set_column_width(column, width)?;
    }
    let last = u32::try_from(rows.len()).unwrap_or(u32::MAX).max(1);
    for (at, row) in (1..).zip(rows) {
        let answer = row.answered.and_then(|word| {
            let known = WORDS.iter().find(|(_, known)| *known == word);
            known.map(|(text, _)| *text)
        });
        let cells = [
            &row.handle.to_hex(),
            &row.register,
            &row.rows,
            reason_zh(row.reason),
            &row.agree,
            &row.differ,
            &row.content,
        ];
        for (column, text) in (0..).zip(cells) {
            sheet.write_string_with_format(at, column, text, &border)?;
        }
        sheet.write_string_with_format(at, 7, answer.unwrap_or_default(), &filled_in)?;
        sheet.write_string_with_format(at, 8, "", &filled_in)?;
    }
    let list = DataValidation::new()
        .allow_list_strings(&WORDS.map(|(word, _)| word))?
        .set_error_title("请从下拉列表中选择")?
        .set_error_message("填“提供”或“不提供”；尚未决定的留空")?;
    sheet.add_data_validation(1, 7, last, 7, &list)?;
    sheet.set_freeze_panes(1, 1)?;
    sheet.set_landscape().set_paper_size(9);
    sheet.set_print_fit_to_pages(1, 0).set_repeat_rows(0, 0)?;
    let help = book.add_worksheet().set_name("填表说明")?;
    help.set_column_width(0, 100)?;
    let lines = [
        "一、逐条核对本单位登记，在“答复”列选择“提供”或“不提供”；未决定的留空，以后可再填报。",
        "二、“不提供”须填写理由；“提供”可填写备注（200字以内）。",
        "三、选择“提供”的，“如提供将发送”一列的内容将密封发送给名册所属单位，其他任何一方均无法读取；身份证号从不发送。",
        "四、填好后运行 hedui-agent answer 本文件。",
        "Answer 提供 (disclose) or 不提供 (decline, with a reason); leave open what is undecided. What stands in “would be sent” goes, \
         sealed, to the roll's owner alone; identity numbers never do. Then run: hedui-agent answer FILE.",
    ];
    for (row, line) in (0..).zip(lines) {
        help.write_string(row, 0, line)?;
    }
    book.save_to_buffer()
}

/// Reads a filled-in list; rows without an answer are left out.
pub fn read(path: &Path) -> Result<Vec<Decision>, Problem> {
    let mut rows = Vec::new();
    let spec = SourceSpec::of_file(path);
    let reading = source::read(path, &spec, &mut |batch| {
        rows.extend(batch);
        Ok(())
    })?;
    let place = |word: &str| {
        reading
            .columns
            .iter()
            .position(|c| c.trim().starts_with(word))
    };
    let places = READ.map(place);
    let [Some(number), Some(answer), Some(note)] = places else {
        return Err(Problem::data(
            format!(
                "{}: 缺少列 a column is missing: 编号、答复、理由或备注",
                path.display()
            ),
            "请用 hedui-agent questions 写出的清单填写 fill in the list that `hedui-agent questions` wrote",
        ));
    };
    let mut decisions: Vec<Decision> = Vec::new();
    let mut wrong = Vec::new();
    for row in rows {
        let cell = |at: usize| row.cells.get(at).map_or("", |cell| cell.trim());
        if cell(answer).is_empty() {
            continue;
        }
        let handle = Handle::from_hex(cell(number));
        let word = word_of(cell(answer));
        let is_explained = word != Some(Word::Declined) || !cell(note).is_empty();
        let is_new = |handle: &Handle| !decisions.iter().any(|known| known.handle == *handle);
        match (handle.filter(is_new), word) {
            (Some(handle), Some(word)) if is_note(cell(note)) && is_explained => {
                decisions.push(Decision {
                    handle,
                    word,
                    note: cell(note).to_owned(),
                });
            }
            _ => wrong.push(row.number.to_string()),
        }
    }
    if !wrong.is_empty() || reading.ragged_count > 0 {
        wrong.extend(reading.ragged_rows.iter().map(u64::to_string));
        return Err(Problem::data(
            format!("{}: 行 rows {}", path.display(), wrong.join(", ")),
            "编号须原样保留且只出现一次；答复填“提供”或“不提供”；不提供须写理由，理由不超过200字。未发送任何答复 keep the number, each once; answer \
             提供 or 不提供; a reason for 不提供, at most 200 characters. Nothing was sent",
        ));
    }
    Ok(decisions)
}

fn word_of(text: &str) -> Option<Word> {
    let text = text.to_ascii_lowercase();
    let mut all = WORDS.iter().chain(&ALSO);
    all.find(|(known, _)| *known == text).map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(byte: u8, answered: Option<Word>) -> Row {
        Row {
            handle: Handle([byte; 16]),
            register: "police".to_owned(),
            rows: "2".to_owned(),
            reason: Reason::Review,
            agree: "name".to_owned(),
            differ: "id".to_owned(),
            content: "name：张三".to_owned(),
            answered,
        }
    }

    #[test]
    fn a_list_reads_back_what_was_answered_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("questions.xlsx");
        write(&path, &[row(1, Some(Word::Disclosed)), row(2, None)]).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.len(), 1);
        assert_eq!(back[0].handle, Handle([1; 16]));
        assert_eq!(back[0].word, Word::Disclosed);
    }

    #[test]
    fn lists_that_cannot_be_read_name_their_rows_and_are_refused_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        let one = Handle([1; 16]).to_hex();
        let good = format!("编号,答复,理由或备注\n{one},提供,\n");
        for (rows, refused) in [
            (String::new(), None),
            (format!("{one},不提供,证据不足\n"), Some("3")),
            (format!("{},不提供,\n", Handle([2; 16]).to_hex()), Some("3")),
            (format!("{},也许,\n", Handle([2; 16]).to_hex()), Some("3")),
            ("12,提供,\n".to_owned(), Some("3")),
            (format!("{},No,not ours\n", Handle([2; 16]).to_hex()), None),
            (
                format!("{},提供,{}\n", Handle([2; 16]).to_hex(), "字".repeat(201)),
                Some("3"),
            ),
        ] {
            std::fs::write(&path, format!("{good}{rows}")).unwrap();
            let found = read(&path);
            match refused {
                None => assert!(found.is_ok(), "{rows}"),
                Some(place) => {
                    let text = found.unwrap_err().to_string();
                    assert!(text.contains(&format!("rows {place}")), "{text}");
                }
            }
        }
        std::fs::write(&path, "编号,答复\n").unwrap();
        assert!(read(&path).is_err());
    }
}
