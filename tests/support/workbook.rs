//! A workbook as text, changed by another program than the one that made it. In: a sheet of the desk. Out: the same with
//! cells filled in, written anew: plain cells without formats, lists or protection.
//! Invariant: what is not filled in stays as it was read. Used by the desk's tests and the scripted year.

use std::path::Path;

use calamine::{Data, Reader, open_workbook_auto};

/// Cells of all sheets as text, to be changed and written by another program than the one that made them.
pub struct Book(Vec<(String, Vec<Vec<String>>)>);

impl Book {
    /// Reads a workbook.
    pub fn open(path: &Path) -> Self {
        let mut book = open_workbook_auto(path).expect("workbook");
        let text = |cell: &Data| match cell {
            Data::Empty => String::new(),
            other => other.to_string(),
        };
        let names = book.sheet_names();
        let sheets = names.into_iter().map(|name| {
            let range = book.worksheet_range(&name).expect("sheet");
            let rows = range
                .rows()
                .map(|row| row.iter().map(text).collect())
                .collect();
            (name, rows)
        });
        Self(sheets.collect())
    }

    /// Rows of a sheet.
    pub fn sheet(&mut self, name: &str) -> &mut Vec<Vec<String>> {
        &mut self.0.iter_mut().find(|(n, _)| n == name).expect("sheet").1
    }

    /// Fills in a row that holds `number` in its first cell.
    pub fn fill(
        &mut self,
        sheet: &str,
        row_of: impl Fn(&[String]) -> bool,
        cells: &[(&str, &str)],
    ) {
        let rows = self.sheet(sheet);
        let heads = rows[1].clone();
        let row = rows
            .iter_mut()
            .skip(2)
            .find(|row| row_of(row))
            .expect("row");
        for (head, text) in cells {
            let at = heads.iter().position(|h| h == head).expect("column");
            row[at] = (*text).to_owned();
        }
    }

    /// Writes the workbook.
    pub fn write(&self, path: &Path) {
        let mut book = rust_xlsxwriter::Workbook::new();
        for (name, rows) in &self.0 {
            let sheet = book.add_worksheet().set_name(name).expect("name");
            for (row, cells) in (0..).zip(rows) {
                for (column, cell) in (0..).zip(cells) {
                    sheet.write_string(row, column, cell).expect("cell");
                }
            }
        }
        book.save(path).expect("saved");
    }
}
