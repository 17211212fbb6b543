//! Reports (七类汇总、乡镇通报、四个讲清楚). In: the book, a day. Out: figures, a workbook, one self-contained HTML page, a
//! public notice. Invariant: every figure is a count of cases that the same report lists; outcomes count once they are
//! approved by a second person; every report carries the head of the history it was made from.
//! Specification: docs/DESK.md, "Reports".

pub mod figures;
mod html;
mod notice;
mod workbook;

pub(crate) use workbook::{Look, height};

use std::path::Path;

use hedui_edge::{Problem, files};

use crate::book::Book;
use crate::day::Day;
use figures::Figures;

/// What a report is made from.
pub struct Source<'a> {
    /// The book.
    pub book: &'a Book,
    /// Day of the report.
    pub today: &'a Day,
    /// Cases that began in this period; all if `None`.
    pub period: Option<&'a str>,
    /// Position and hash of the last entry of the history.
    pub head: (u64, String),
}

impl Source<'_> {
    /// What the report is about, in words.
    fn span(&self) -> String {
        match (self.period, self.book.taken.first(), self.book.taken.last()) {
            (Some(period), _, _) => period.to_owned(),
            (None, Some(first), Some(last)) if first.period != last.period => {
                format!("{} 至 {}", first.period, last.period)
            }
            (None, _, Some(last)) => last.period.clone(),
            (None, _, None) => "尚无线索".to_owned(),
        }
    }

    /// The line that commits a printed page to the history.
    fn commitment(&self) -> String {
        let (seq, hash) = &self.head;
        let short: String = hash.chars().take(16).collect();
        let practice = if self.book.practice {
            "【练习】"
        } else {
            ""
        };
        format!(
            "{practice}台账第 {seq} 条，摘要值 {short}；出表日期 {}",
            self.today
        )
    }
}

/// Writes all reports into a folder; gives their names.
pub fn write(folder: &Path, source: &Source<'_>) -> Result<Vec<&'static str>, Problem> {
    let figures = Figures::of(source.book, source.today, source.period);
    files::private_folder(folder)?;
    let book = workbook::make(source, &figures)
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    files::deliver_bytes(&folder.join("核查报表.xlsx"), &book)?;
    files::deliver_bytes(
        &folder.join("核查报告.html"),
        html::page(source, &figures).as_bytes(),
    )?;
    files::deliver_bytes(
        &folder.join("致困难群众的一封信.html"),
        notice::page(source).as_bytes(),
    )?;
    let json = serde_json::to_string_pretty(&figures.plain())
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    files::deliver_bytes(&folder.join("figures.json"), json.as_bytes())?;
    Ok(vec![
        "核查报表.xlsx",
        "核查报告.html",
        "致困难群众的一封信.html",
        "figures.json",
    ])
}
