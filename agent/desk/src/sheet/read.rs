//! Reading a filled-in sheet. In: a workbook as Excel, WPS or LibreOffice saved it. Out: the filled-in cells of every row,
//! with the case's number and version. Invariant: columns are found by their heads, wherever they are; a cell that cannot
//! be understood is an error of that row alone, named by row and column, never quoted.
//! Specification: docs/DESK.md, "Township sheets".

use std::collections::BTreeMap;
use std::io::Cursor;

use calamine::{Data, DataType, Reader, Xlsx};

use super::{
    CASES, CHECK, Column, NUMBER, OF_CASES, OF_TASKS, QUESTION, QUESTIONS, TASKS, version_of,
};
use crate::day::Day;
use crate::words::Answer;

/// Most rows of a sheet that are read.
const ROWS_MAX: usize = 100_000;
/// Most characters of a cell.
const CELL_CHARS_MAX: usize = 4000;

/// Which sheet a row is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Clues and review items.
    Case,
    /// Income tasks.
    Task,
}

/// The filled-in cells of one case, brought to text; days as `YYYY-MM-DD`.
pub struct Row {
    /// Which sheet.
    pub form: Form,
    /// Row of the sheet, from 1.
    pub row: usize,
    /// Number of the case.
    pub number: String,
    /// What the desk knew of the case when the sheet was made.
    pub version: u64,
    /// Cells that are filled in.
    pub cells: BTreeMap<Column, String>,
    /// Answers by the question's name.
    pub answers: BTreeMap<String, Answer>,
}

/// A row that cannot be understood.
pub struct Unread {
    /// Sheet.
    pub sheet: &'static str,
    /// Row, from 1.
    pub row: usize,
    /// Column's head.
    pub column: String,
    /// Why.
    pub why: &'static str,
}

/// A whole workbook.
#[derive(Default)]
pub struct Filled {
    /// Rows in which something is filled in.
    pub rows: Vec<Row>,
    /// Rows that cannot be understood; nothing of them is used.
    pub unread: Vec<Unread>,
}

/// Reads the bytes of a workbook.
pub fn read(bytes: &[u8]) -> Result<Filled, &'static str> {
    let mut book: Xlsx<_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|_| "不是 XLSX 文件 it is no XLSX workbook")?;
    let names = book.sheet_names();
    let mut filled = Filled::default();
    let mut seen = false;
    for (sheet, form, columns) in [
        (CASES, Form::Case, &OF_CASES[..]),
        (TASKS, Form::Task, &OF_TASKS[..]),
    ] {
        if names.iter().any(|name| name == sheet) {
            seen = true;
            let table = Table::open(&mut book, sheet)?;
            table.rows(form, columns, &mut filled);
        }
    }
    if !seen {
        return Err("没有“核查表”或“赡养费核算”表 it has neither of the sheets to fill in");
    }
    if names.iter().any(|name| name == QUESTIONS) {
        Table::open(&mut book, QUESTIONS)?.answers(&mut filled);
    }
    // A row is used whole or not at all: if one of its cells cannot be read, the others wait.
    let broken: Vec<(&str, usize)> = filled.unread.iter().map(|u| (u.sheet, u.row)).collect();
    filled.rows.retain(|row| {
        let sheet = match row.form {
            Form::Case => CASES,
            Form::Task => TASKS,
        };
        let filled_in = !row.cells.is_empty() || !row.answers.is_empty();
        filled_in && !broken.contains(&(sheet, row.row))
    });
    Ok(filled)
}

struct Table {
    sheet: &'static str,
    heads: BTreeMap<String, usize>,
    first: usize,
    rows: Vec<Vec<Data>>,
}

impl Table {
    fn open(book: &mut Xlsx<Cursor<&[u8]>>, sheet: &'static str) -> Result<Self, &'static str> {
        let range = book
            .worksheet_range(sheet)
            .map_err(|_| "工作表无法读取 a sheet cannot be read")?;
        let top = range.start().map_or(0, |(row, _)| row as usize);
        let rows: Vec<Vec<Data>> = range
            .rows()
            .take(ROWS_MAX + 2)
            .map(<[Data]>::to_vec)
            .collect();
        if rows.len() > ROWS_MAX {
            return Err("行数过多 it has too many rows");
        }
        let is_head = |row: &Vec<Data>| {
            let has = |wanted: &str| row.iter().any(|cell| plain(cell) == wanted);
            has(NUMBER) && has(CHECK)
        };
        let at = rows
            .iter()
            .position(is_head)
            .ok_or("找不到表头 its heads are missing: 线索编号, 校验码（勿改）")?;
        let heads = rows[at]
            .iter()
            .enumerate()
            .map(|(column, cell)| (plain(cell), column))
            .collect();
        Ok(Self {
            sheet,
            heads,
            first: top + at + 2,
            rows: rows.into_iter().skip(at + 1).collect(),
        })
    }

    fn cell<'a>(&self, row: &'a [Data], head: &str) -> Option<&'a Data> {
        row.get(*self.heads.get(head)?)
    }

    /// Number and version of a row; an empty row has none.
    fn key(&self, row: &[Data]) -> Result<Option<(String, u64)>, (&'static str, &'static str)> {
        let text = |head| self.cell(row, head).map(plain).unwrap_or_default();
        let (number, code) = (text(NUMBER), text(CHECK));
        if number.is_empty() && code.is_empty() {
            return Ok(None);
        }
        match version_of(&number, &code) {
            Some(version) => Ok(Some((number, version))),
            None => Err((
                CHECK,
                "线索编号与校验码不符 number and check code do not belong together",
            )),
        }
    }

    fn rows(&self, form: Form, columns: &[Column], filled: &mut Filled) {
        for (at, cells) in self.rows.iter().enumerate() {
            let row = self.first + at;
            let mut unread = |column: &str, why| {
                filled.unread.push(Unread {
                    sheet: self.sheet,
                    row,
                    column: column.to_owned(),
                    why,
                });
            };
            let (number, version) = match self.key(cells) {
                Ok(Some(key)) => key,
                Ok(None) => {
                    // Something typed below the table belongs to no case: it is shown, not dropped.
                    if cells.iter().any(|cell| !plain(cell).is_empty()) {
                        unread(NUMBER, "缺线索编号 the row has no number");
                    }
                    continue;
                }
                Err((column, why)) => {
                    unread(column, why);
                    continue;
                }
            };
            let mut texts = BTreeMap::new();
            for column in columns {
                let Some(cell) = self.cell(cells, column.head()) else {
                    continue;
                };
                match text_of(cell, *column) {
                    Ok(text) if text.is_empty() => {}
                    Ok(text) => {
                        texts.insert(*column, text);
                    }
                    Err(why) => unread(column.head(), why),
                }
            }
            if filled.rows.iter().any(|other| other.number == number) {
                unread(NUMBER, "线索编号重复 the number is on an earlier row too");
                continue;
            }
            filled.rows.push(Row {
                form,
                row,
                number,
                version,
                cells: texts,
                answers: BTreeMap::new(),
            });
        }
    }

    fn answers(&self, filled: &mut Filled) {
        for (at, cells) in self.rows.iter().enumerate() {
            let row = self.first + at;
            let text = |head: &str| self.cell(cells, head).map(plain).unwrap_or_default();
            let (answer, question) = (text(Column::Answer.head()), text(QUESTION));
            if answer.is_empty() {
                continue;
            }
            let problem = match (self.key(cells), Answer::read(&answer)) {
                (Ok(Some((number, _))), Some(answer)) => {
                    match filled.rows.iter_mut().find(|row| row.number == number) {
                        Some(row) => {
                            row.answers.insert(question, answer);
                            continue;
                        }
                        None => (
                            NUMBER,
                            "核查表中没有这条线索 the sheet of cases has no such number",
                        ),
                    }
                }
                (Ok(Some(_)), None) => {
                    (Column::Answer.head(), "请从列表中选择 choose from the list")
                }
                (Ok(None), _) => (NUMBER, "缺线索编号 the row has no number"),
                (Err(problem), _) => problem,
            };
            filled.unread.push(Unread {
                sheet: self.sheet,
                row,
                column: problem.0.to_owned(),
                why: problem.1,
            });
        }
    }
}

fn plain(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            format!("{number:.0}")
        }
        other => other.to_string().trim().to_owned(),
    }
}

fn text_of(cell: &Data, column: Column) -> Result<String, &'static str> {
    let day = matches!(column, Column::AcceptedOn | Column::VisitedOn);
    if matches!(cell, Data::Error(_)) {
        return Err("单元格有公式错误 the cell holds an error");
    }
    let text = match cell {
        Data::DateTime(_) | Data::DateTimeIso(_) => match cell.as_date() {
            Some(date) if day => Day::from_date(date).to_string(),
            _ => return Err("此处不应是日期 a date does not belong here"),
        },
        other => plain(other),
    };
    if text.chars().count() > CELL_CHARS_MAX {
        return Err("内容过长 the text is too long");
    }
    if day && !text.is_empty() {
        return Day::read(&text)
            .map(|day| day.to_string())
            .ok_or("不是日期，请写作 2016-07-01 it is no day; write 2016-07-01");
    }
    Ok(text)
}
