//! The list of questions that a department's people fill in (协查清单). In: questions with the own records that they are about.
//! Out: a workbook; and back, decisions by record. Invariant: it shows what an answer would lay open, and each row carries a
//! check code over exactly that; a row is taken by its number, never by its place, and what cannot be read refuses the whole list.
//! Specification: docs/OPERATIONS.md, "Disclosure".

use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::ids::Handle;
use hedui_protocol::message::disclosure::{Reason, Word, is_note};
use rust_xlsxwriter::{DataValidation, Format, FormatBorder, Workbook, Worksheet, XlsxError};

use crate::source::{self, Format as FileFormat, SourceSpec};

/// Name of the sheet that is filled in.
const SHEET: &str = "协查清单";
const ANSWER: &str = "答复";
const NOTE: &str = "理由或备注（随答复一并发送）";
const NUMBER: &str = "编号（勿改）";
const CHECK: &str = "校验码（勿改）";
/// Heads and widths of the columns.
const HEAD: [(&str, f64); 12] = [
    ("序号", 6.0),
    ("数据", 16.0),
    ("本单位数据表行号", 12.0),
    ("询问事由", 24.0),
    ("与名册一致的项", 22.0),
    ("与名册不一致的项", 22.0),
    ("如提供将发送", 44.0),
    ("此前答复", 10.0),
    (ANSWER, 10.0),
    (NOTE, 30.0),
    (NUMBER, 34.0),
    (CHECK, 18.0),
];
/// Places of the answer and of the remark.
const FILLED_IN: [u16; 2] = [8, 9];
/// Words that people choose from, and those for whoever fills in by program.
const WORDS: [(&str, Word); 4] = [
    ("提供", Word::Disclosed),
    ("不提供", Word::Declined),
    ("disclose", Word::Disclosed),
    ("decline", Word::Declined),
];
/// Longest cell that Excel takes is 32,767 characters; what would be longer is cut, and says so.
const CELL_CHARS: usize = 30_000;

/// A question as its row shows it.
pub struct Row {
    /// The record's handle.
    pub handle: Handle,
    /// Register.
    pub register: String,
    /// Rows of the register's file that it stands in.
    pub rows: Vec<u64>,
    /// The same in words.
    pub rows_words: String,
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
    /// Check code over question and content.
    pub check: String,
}

/// Who asks, and on what ground.
pub struct Letter<'a> {
    /// The roll's owner.
    pub from: &'a str,
    /// Who is asked.
    pub to: &'a str,
    /// Day of the list.
    pub day: &'a str,
    /// Purpose of the agreement.
    pub purpose: &'a str,
    /// What it rests on.
    pub legal_basis: &'a str,
}

/// A decision that was filled in.
#[derive(PartialEq, Eq, Debug)]
pub struct Decision {
    /// The record.
    pub handle: Handle,
    /// Check code of what was shown.
    pub check: String,
    /// Row of the list.
    pub row: u64,
    /// Disclosed or declined.
    pub word: Word,
    /// Why, or a remark.
    pub note: String,
}

/// A filled-in list.
pub struct Filled {
    /// Decisions in the order of the rows.
    pub decisions: Vec<Decision>,
    /// Rows with a remark and no answer.
    pub undecided: Vec<u64>,
}

/// A reason in words.
pub fn reason_zh(reason: Reason) -> &'static str {
    match reason {
        Reason::Review => "名册上有人与该登记疑似为同一人，身份待核实",
        Reason::Conflict => "与名册上一人证号相同，但姓名、出生日期等不符",
        Reason::Facts => "比对认定与名册上一人为同一人，登记事实未随比对提供",
        Reason::Recheck => "比对认定与名册上一人为同一人，请予复核",
        Reason::Objection => "比对认定与名册上一人为同一人，当事人有异议",
    }
}

/// A word of an answer for people.
pub fn word_zh(word: Word) -> &'static str {
    match word {
        Word::Disclosed => "提供",
        Word::Declined => "不提供",
        Word::Unknown => "查无此记录",
    }
}

/// Writes the list.
pub fn write(path: &Path, letter: &Letter<'_>, rows: &[Row]) -> Result<(), Problem> {
    let bytes = workbook(letter, rows)
        .map_err(|error| Problem::data(format!("{}: {error}", path.display()), "report this"))?;
    files::deliver_bytes(path, &bytes)
}

fn workbook(letter: &Letter<'_>, rows: &[Row]) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    list_sheet(book.add_worksheet().set_name(SHEET)?, rows)?;
    help_sheet(
        book.add_worksheet().set_name("来函和填表说明")?,
        letter,
        rows.len(),
    )?;
    book.save_to_buffer()
}

fn list_sheet(sheet: &mut Worksheet, rows: &[Row]) -> Result<(), XlsxError> {
    let border = Format::new().set_border(FormatBorder::Thin).set_text_wrap();
    let filled_in = border.clone().set_background_color("FFF2CC");
    let head = border.clone().set_bold();
    for (column, (text, width)) in (0..).zip(HEAD) {
        sheet.write_string_with_format(0, column, text, &head)?;
        sheet.set_column_width(column, width)?;
    }
    sheet.set_row_height(0, 32.0)?;
    for (at, row) in (1..).zip(rows) {
        let content: String = row.content.chars().take(CELL_CHARS).collect();
        let cut = if content.len() < row.content.len() {
            "\n（内容过长，此处未全部显示）"
        } else {
            ""
        };
        let cells = [
            at.to_string(),
            row.register.clone(),
            row.rows_words.clone(),
            reason_zh(row.reason).to_owned(),
            row.agree.clone(),
            row.differ.clone(),
            format!("{content}{cut}"),
            row.answered.map_or("", word_zh).to_owned(),
            String::new(),
            String::new(),
            row.handle.to_hex(),
            row.check.clone(),
        ];
        let mut lines = 1;
        for ((column, text), (_, width)) in (0..).zip(&cells).zip(HEAD) {
            let format = if FILLED_IN.contains(&column) {
                &filled_in
            } else {
                &border
            };
            sheet.write_string_with_format(at, column, text, format)?;
            // A Han character takes two places.
            let places = |line: &str| line.chars().map(|c| 1 + usize::from(!c.is_ascii())).sum();
            let width = width as usize;
            let own = |line: &str| usize::max(places(line), 1).div_ceil(width);
            lines = lines.max(text.lines().map(own).sum());
        }
        sheet.set_row_height(
            at,
            15.0 * f64::from(u16::try_from(lines.min(27)).unwrap_or(27)),
        )?;
    }
    let last = u32::try_from(rows.len()).unwrap_or(u32::MAX).max(1);
    let list = DataValidation::new()
        .allow_list_strings(&["提供", "不提供"])?
        .set_error_title("请从下拉列表中选择")?
        .set_error_message("填“提供”或“不提供”；尚未决定的留空")?;
    sheet.add_data_validation(1, FILLED_IN[0], last, FILLED_IN[0], &list)?;
    sheet.write_string(
        last + 2,
        1,
        "承办人：　　　　　　审核人：　　　　　　日期：　　　　年　　月　　日",
    )?;
    sheet.set_freeze_panes(1, 1)?;
    sheet.set_landscape().set_paper_size(8);
    sheet.set_print_fit_to_pages(1, 0).set_repeat_rows(0, 0)?;
    Ok(())
}

fn help_sheet(sheet: &mut Worksheet, letter: &Letter<'_>, count: usize) -> Result<(), XlsxError> {
    let wrap = Format::new().set_text_wrap();
    sheet.set_column_width(0, 100)?;
    let lines = [
        format!(
            "协查函：{} 就 {count} 条登记请 {} 协查（清单生成日期 {}）。用途：{}；依据：{}。",
            letter.from, letter.to, letter.day, letter.purpose, letter.legal_basis
        ),
        String::new(),
        "一、请逐条核对本单位登记后，在“答复”栏选择“提供”或“不提供”；暂不能决定的留空，以后再报。只填黄色栏。".to_owned(),
        "二、选“不提供”的，须写明理由；选“提供”的，可作说明。均不超过200字。".to_owned(),
        "三、选“提供”的，“如提供将发送”栏的内容加密发送名册单位；选“不提供”的，只发送理由。理由、备注随答复发送，不得填写身份证号、电话号码。\
         改动“如提供将发送”栏不改变发送的内容。"
            .to_owned(),
        "四、经审核后，由本单位操作人员运行 hedui-agent answer 文件名 发送。本单位重新报送数据后，须重新生成清单。".to_owned(),
        "In 答复 choose 提供 (disclose) or 不提供 (decline, with a reason); leave open what is undecided. What stands in 如提供将发送 goes, sealed, to \
         the roll's owner alone, and the remark with it. Then run: hedui-agent answer FILE."
            .to_owned(),
    ];
    for (row, line) in (0..).zip(&lines) {
        sheet.write_string_with_format(row, 0, line, &wrap)?;
    }
    Ok(())
}

/// Reads a filled-in list.
pub fn read(path: &Path) -> Result<Filled, Problem> {
    let mut rows = Vec::new();
    let mut spec = SourceSpec::of_file(path);
    if spec.format_of(path)? == FileFormat::Excel {
        spec.sheet = Some(SHEET.to_owned());
    }
    let reading = source::read(path, &spec, &mut |batch| {
        rows.extend(batch);
        Ok(())
    })?;
    let (mut places, mut missing) = ([0; 4], Vec::new());
    for (place, head) in places.iter_mut().zip([NUMBER, CHECK, ANSWER, NOTE]) {
        match reading.columns.iter().position(|c| c.trim() == head) {
            Some(at) => *place = at,
            None => missing.push(head),
        }
    }
    if !missing.is_empty() {
        return Err(Problem::data(
            format!(
                "{}: 缺少列 columns are missing: {}",
                path.display(),
                missing.join("、")
            ),
            "请用 hedui-agent questions 写出的清单填写，第一行须为表头，不改列名 fill in the list that `hedui-agent questions` wrote, heads first",
        ));
    }
    let [number, check, answer, note] = places;
    let (mut decisions, mut undecided, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let cell = |at: usize| row.cells.get(at).map_or("", |cell| cell.trim());
        // A line break in a remark is a space.
        let words: Vec<&str> = cell(note).split_whitespace().collect();
        let remark = words.join(" ");
        if cell(answer).is_empty() {
            if !remark.is_empty() {
                undecided.push(row.number);
            }
            continue;
        }
        match decision(cell(number), cell(answer), remark, &decisions) {
            Ok((handle, word, remark)) => decisions.push(Decision {
                handle,
                check: cell(check).to_owned(),
                row: row.number,
                word,
                note: remark,
            }),
            Err(why) => wrong.push(format!("第{}行：{why}", row.number)),
        }
    }
    let ragged = reading.ragged_rows.iter();
    wrong.extend(ragged.map(|row| format!("第{row}行：列数与表头不同 another number of cells")));
    refuse(path, &wrong)?;
    Ok(Filled {
        decisions,
        undecided,
    })
}

/// Refuses a list of which rows are wrong; each is named with what is wrong in it, never with its content.
pub fn refuse(path: &Path, wrong: &[String]) -> Result<(), Problem> {
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Problem::data(
            format!("{}: {}", path.display(), wrong.join("；")),
            "未发送任何答复；请改正后再运行 nothing was sent: correct the list and run it again",
        )),
    }
}

type Read = (Handle, Word, String);

fn decision(
    number: &str,
    answer: &str,
    remark: String,
    before: &[Decision],
) -> Result<Read, &'static str> {
    let handle = Handle::from_hex(number).ok_or("编号被改动 the number was changed")?;
    if before.iter().any(|known| known.handle == handle) {
        return Err("编号重复 the number is on two rows");
    }
    let answer = answer.to_ascii_lowercase();
    let word = WORDS.iter().find(|(known, _)| *known == answer);
    let (_, word) = word.ok_or("答复须为“提供”或“不提供” the answer is neither 提供 nor 不提供")?;
    if *word == Word::Declined && remark.is_empty() {
        return Err("不提供须写明理由 a reason is missing");
    }
    if !is_note(&remark) {
        return Err(
            "理由或备注超过200字，或含证件号码、电话号码 the remark is too long or holds a number",
        );
    }
    Ok((handle, *word, remark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(byte: u8) -> Row {
        Row {
            handle: Handle([byte; 16]),
            register: "police".to_owned(),
            rows: vec![2],
            rows_words: "2".to_owned(),
            reason: Reason::Review,
            agree: "姓名".to_owned(),
            differ: "身份证号".to_owned(),
            content: "姓名：张三\n状态：正常".to_owned(),
            answered: Some(Word::Declined),
            check: "0011".to_owned(),
        }
    }

    /// An earlier answer is shown and is no decision: nothing is sent that nobody filled in.
    #[test]
    fn a_list_as_it_was_written_decides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("questions.xlsx");
        let letter = Letter {
            from: "民政局",
            to: "公安局",
            day: "2016-07-01",
            purpose: "核对",
            legal_basis: "授权书",
        };
        write(&path, &letter, &[row(1), row(2)]).unwrap();
        let back = read(&path).unwrap();
        assert!(back.decisions.is_empty() && back.undecided.is_empty());
    }

    #[test]
    fn lists_that_cannot_be_read_name_their_rows_and_are_refused_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        let [one, two] = [1, 2].map(|byte| Handle([byte; 16]).to_hex());
        let head = "序号,答复审批,答复,理由或备注（随答复一并发送）,编号（勿改）,校验码（勿改）\n";
        let good = format!("{head}1,同意,提供,,{one},aa\n");
        for (row, why) in [
            (String::new(), None),
            (
                format!("2,同意,不提供,证据不足,{one},aa\n"),
                Some("编号重复"),
            ),
            (format!("2,同意,不提供,,{two},aa\n"), Some("须写明理由")),
            (format!("2,,也许,,{two},aa\n"), Some("答复须为")),
            (format!("2,,同意,,{two},aa\n"), Some("答复须为")),
            ("2,,提供,,12,aa\n".to_owned(), Some("编号被改动")),
            (format!("2,,Decline,not ours,{two},aa\n"), None),
            (
                format!("2,,提供,{},{two},aa\n", "字".repeat(201)),
                Some("超过200字"),
            ),
            (
                format!("2,,提供,号码 422725196408150014,{two},aa\n"),
                Some("证件号码"),
            ),
            (format!("2,,,等批示,{two},aa\n"), None),
        ] {
            std::fs::write(&path, format!("{good}{row}")).unwrap();
            match (read(&path), why) {
                (Ok(filled), None) => {
                    assert_eq!(filled.decisions[0].word, Word::Disclosed, "{row}");
                    let open = usize::from(row.contains("等批示"));
                    assert_eq!(filled.undecided.len(), open);
                }
                (Err(problem), Some(why)) => {
                    let text = problem.to_string();
                    assert!(text.contains("第3行") && text.contains(why), "{text}");
                    assert!(!text.contains("422725"), "{text}");
                }
                _ => panic!("{row}"),
            }
        }
        std::fs::write(&path, "编号（勿改）,答复\n").unwrap();
        assert!(read(&path).is_err());
    }
}
