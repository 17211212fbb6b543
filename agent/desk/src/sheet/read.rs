//! Reading a filled-in sheet. In: a workbook as Excel, WPS or LibreOffice saved it. Out: the filled-in cells of every row,
//! with the case's number and version. Invariant: columns are found by their heads, wherever they are; a cell that cannot
//! be understood is an error of that row alone, named by row and column, never quoted.
//! Specification: docs/DESK.md, "Township sheets".

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use calamine::{Data, DataType, Reader, Xlsx};

use super::{
    CASES, CHECK, Column, NUMBER, OF_CASES, OF_TASKS, QUESTION, QUESTIONS, TASKS, version_of,
};
use crate::day::Day;
use crate::words::Answer;

/// Largest workbook that is read, in bytes.
const WORKBOOK_BYTES_MAX: usize = 64 << 20;
/// Most rows of a sheet that are read.
const ROWS_MAX: usize = 100_000;
/// Most columns.
const COLUMNS_MAX: usize = 200;
/// Most cells that hold something.
const CELLS_MAX: usize = 4_000_000;
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
    if bytes.len() > WORKBOOK_BYTES_MAX {
        return Err("文件过大 the file is too large");
    }
    let mut book: Xlsx<_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|_| "不是 XLSX 文件 it is no XLSX workbook")?;
    let names = book.sheet_names();
    let mut filled = Filled::default();
    let mut broken = BTreeSet::new();
    let mut seen = false;
    // Tasks first: a conclusion may wait for the income of the same unit.
    for (sheet, form, columns) in [
        (TASKS, Form::Task, &OF_TASKS[..]),
        (CASES, Form::Case, &OF_CASES[..]),
    ] {
        if names.iter().any(|name| name == sheet) {
            seen = true;
            let table = Table::open(&mut book, sheet, columns)?;
            table.rows(form, columns, &mut filled, &mut broken);
        }
    }
    if !seen {
        return Err("没有“核查表”或“赡养费核算”表 it has neither of the sheets to fill in");
    }
    if names.iter().any(|name| name == QUESTIONS) {
        Table::open(&mut book, QUESTIONS, &[Column::Answer])?.answers(&mut filled, &mut broken);
    }
    // A row is used whole or not at all: if one of its cells cannot be read, the others wait.
    filled.rows.retain(|row| {
        let filled_in = !row.cells.is_empty() || !row.answers.is_empty();
        filled_in && !broken.contains(&row.number)
    });
    Ok(filled)
}

struct Table {
    sheet: &'static str,
    heads: BTreeMap<String, usize>,
    /// Rows below the heads, by their position from 0.
    rows: BTreeMap<usize, Vec<Data>>,
}

impl Table {
    /// Reads a sheet cell by cell: a stray cell far away takes no room for those between.
    fn open(
        book: &mut Xlsx<Cursor<&[u8]>>,
        sheet: &'static str,
        columns: &[Column],
    ) -> Result<Self, &'static str> {
        let unreadable = "工作表无法读取 a sheet cannot be read";
        let mut cells = book.worksheet_cells_reader(sheet).map_err(|_| unreadable)?;
        let mut rows: BTreeMap<usize, Vec<Data>> = BTreeMap::new();
        let mut count = 0_usize;
        while let Some(cell) = cells.next_cell().map_err(|_| unreadable)? {
            let (row, column) = cell.get_position();
            let (row, column) = (row as usize, column as usize);
            let value = Data::from(cell.get_value().clone());
            if matches!(value, Data::Empty) {
                continue;
            }
            count += 1;
            if row > ROWS_MAX || column > COLUMNS_MAX || count > CELLS_MAX {
                return Err("表格过大 the sheet has too many rows, columns or cells");
            }
            let cells = rows.entry(row).or_default();
            if cells.len() <= column {
                cells.resize(column + 1, Data::Empty);
            }
            cells[column] = value;
        }
        let is_head = |row: &Vec<Data>| {
            let has = |wanted: &str| row.iter().any(|cell| plain(cell) == wanted);
            has(NUMBER) && has(CHECK)
        };
        let at = rows
            .iter()
            .find(|(_, row)| is_head(row))
            .map(|(at, _)| *at)
            .ok_or("找不到表头 its heads are missing: 线索编号, 校验码（勿改）")?;
        let heads: BTreeMap<String, usize> = rows[&at]
            .iter()
            .enumerate()
            .map(|(column, cell)| (plain(cell), column))
            .collect();
        // A column that was renamed or removed would take its cells with it unseen.
        // Sheets that were handed out before there were such columns are read without them.
        let is_new = |column: &Column| matches!(column, Column::Proposal | Column::OverdrawnMonths);
        let has = |column: &Column| heads.contains_key(column.head());
        let is_old = !columns.iter().any(|column| is_new(column) && has(column));
        if !columns
            .iter()
            .all(|column| has(column) || (is_old && is_new(column)))
        {
            return Err("缺少填写列，或列名被改动 a column to fill in is missing or renamed");
        }
        Ok(Self {
            sheet,
            heads,
            rows: rows.split_off(&(at + 1)),
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

    fn rows(
        &self,
        form: Form,
        columns: &[Column],
        filled: &mut Filled,
        broken: &mut BTreeSet<String>,
    ) {
        let mut numbers: BTreeSet<String> =
            filled.rows.iter().map(|row| row.number.clone()).collect();
        for (at, cells) in &self.rows {
            let row = at + 1;
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
                    // Something typed into the columns to fill in below the table belongs to no case: it is shown, not dropped.
                    let typed = |column: &Column| {
                        self.cell(cells, column.head())
                            .is_some_and(|cell| !plain(cell).is_empty())
                    };
                    if columns.iter().any(typed) {
                        unread(NUMBER, "缺线索编号 the row has no number");
                    }
                    continue;
                }
                Err((column, why)) => {
                    unread(column, why);
                    continue;
                }
            };
            if !numbers.insert(number.clone()) {
                unread(
                    NUMBER,
                    "线索编号重复，各行均未采用 the number is on two rows: neither is taken",
                );
                broken.insert(number);
                continue;
            }
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
                    Err(why) => {
                        unread(column.head(), why);
                        broken.insert(number.clone());
                    }
                }
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

    fn answers(&self, filled: &mut Filled, broken: &mut BTreeSet<String>) {
        let places: BTreeMap<String, usize> = filled
            .rows
            .iter()
            .enumerate()
            .map(|(at, row)| (row.number.clone(), at))
            .collect();
        for (at, cells) in &self.rows {
            let text = |head: &str| self.cell(cells, head).map(plain).unwrap_or_default();
            let (answer, question) = (text(Column::Answer.head()), text(QUESTION));
            if answer.is_empty() {
                continue;
            }
            let problem = match (self.key(cells), Answer::read(&answer)) {
                (Ok(Some((number, _))), Some(answer)) => match places.get(&number) {
                    Some(place) => {
                        let given = &mut filled.rows[*place].answers;
                        if given.insert(question, answer).is_none() {
                            continue;
                        }
                        broken.insert(number);
                        (
                            QUESTION,
                            "同一要点有两个回答 the question is answered twice",
                        )
                    }
                    None => (
                        NUMBER,
                        "核查表中没有这条线索 the sheet of cases has no such number",
                    ),
                },
                (Ok(Some((number, _))), None) => {
                    broken.insert(number);
                    (Column::Answer.head(), "请从列表中选择 choose from the list")
                }
                (Ok(None), _) => (NUMBER, "缺线索编号 the row has no number"),
                (Err(problem), _) => problem,
            };
            filled.unread.push(Unread {
                sheet: self.sheet,
                row: at + 1,
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
