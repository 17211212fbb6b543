//! The reports as a workbook. In: figures. Out: bytes of `核查报表.xlsx`: 汇总, 乡镇进度, 村级分布, 数据来源, 明细.
//! Invariant: opens without a repair prompt in Excel, WPS and LibreOffice; numbers are numbers; prints on A4 across.
//! Specification: docs/DESK.md, "Reports".

use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError};

use super::Source;
use super::figures::{Figures, Tally, approved_outcome, chosen, township_of};
use crate::money::yuan;
use crate::words::{Measure, Outcome, Stage};

/// Formats of every sheet.
pub(crate) struct Look {
    pub(crate) title: Format,
    pub(crate) head: Format,
    pub(crate) cell: Format,
    pub(crate) number: Format,
}

impl Look {
    pub(crate) fn new() -> Self {
        let cell = Format::new()
            .set_border(FormatBorder::Thin)
            .set_text_wrap()
            .set_align(FormatAlign::Top);
        Self {
            title: Format::new()
                .set_bold()
                .set_font_size(16)
                .set_align(FormatAlign::Center),
            head: Format::new()
                .set_bold()
                .set_border(FormatBorder::Thin)
                .set_align(FormatAlign::Center)
                .set_align(FormatAlign::VerticalCenter)
                .set_text_wrap(),
            number: cell.clone().set_align(FormatAlign::Right),
            cell,
        }
    }
}

/// Height of a row whose texts wrap in columns of so many characters, in points: no program reckons it by itself when it
/// opens a file. A Han character takes the room of two others.
pub(crate) fn height<'a>(texts: impl Iterator<Item = (&'a str, f64)>) -> f64 {
    let lines = texts.map(|(text, width)| -> u32 {
        let lines = text.split('\n').map(|line| {
            let room: u32 = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
            // Column widths are small whole numbers.
            room.div_ceil((width as u32).saturating_sub(1).max(1))
                .max(1)
        });
        lines.sum()
    });
    // Twenty-six lines are as many as a row can show.
    f64::from(lines.max().unwrap_or(1).min(26)) * 15.0
}

/// Head of a column and how its number is read off a tally.
type Counted = (&'static str, fn(&Tally) -> u64);

/// Columns of a tally.
const COLUMNS: [Counted; 16] = [
    ("线索数", Tally::total),
    ("查实", |t| t.outcome(Outcome::Confirmed)),
    ("部分属实", |t| t.outcome(Outcome::Partly)),
    ("不属实", |t| t.outcome(Outcome::Unfounded)),
    ("无法核实", |t| t.outcome(Outcome::Unclear)),
    ("取消", |t| t.measure(Measure::Cancel).0),
    ("清退", |t| t.measure(Measure::Remove).0),
    ("减发", |t| t.measure(Measure::Reduce).0),
    ("追缴", |t| t.measure(Measure::Recover).0),
    ("移交", |t| t.measure(Measure::HandOver).0),
    ("整改", |t| t.measure(Measure::Rectify).0),
    ("继续享受", |t| t.measure(Measure::Keep).0),
    ("恢复", |t| t.measure(Measure::Restore).0),
    ("异议", |t| t.objections.0),
    ("超期", |t| t.overdue),
    ("已销号", |t| t.stage(Stage::Closed)),
];

/// Makes the workbook.
pub(super) fn make(source: &Source<'_>, figures: &Figures) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let look = Look::new();
    let span = source.span();
    let rows: Vec<(Vec<&str>, &Tally)> = figures
        .in_order(source.book)
        .into_iter()
        .map(|(name, tally)| (vec![name], tally))
        .collect();
    let title = format!("问题线索核查汇总表（{span}）");
    table(
        book.add_worksheet().set_name("汇总")?,
        &look,
        source,
        (&title, &["问题类别"]),
        &rows,
    )?;
    let rows: Vec<(Vec<&str>, &Tally)> = figures
        .townships
        .iter()
        .map(|(name, tally)| (vec![name.as_str()], tally))
        .collect();
    let title = format!("各乡镇核查进度通报（{span}）");
    table(
        book.add_worksheet().set_name("乡镇进度")?,
        &look,
        source,
        (&title, &["乡镇"]),
        &rows,
    )?;
    let rows: Vec<(Vec<&str>, &Tally)> = figures
        .villages
        .iter()
        .map(|((township, village), tally)| (vec![township.as_str(), village.as_str()], tally))
        .collect();
    let title = format!("村（社区）线索分布（{span}）");
    table(
        book.add_worksheet().set_name("村级分布")?,
        &look,
        source,
        (&title, &["乡镇", "村（社区）"]),
        &rows,
    )?;
    let rows: Vec<(Vec<&str>, &Tally)> = figures
        .registers
        .iter()
        .map(|(name, tally)| (vec![name.as_str()], tally))
        .collect();
    let title = format!("按比对数据统计（{span}；一条线索可涉及多项数据）");
    table(
        book.add_worksheet().set_name("数据来源")?,
        &look,
        source,
        (&title, &["比对数据"]),
        &rows,
    )?;
    details(book.add_worksheet().set_name("明细")?, &look, source)?;
    book.save_to_buffer()
}

fn table(
    sheet: &mut Worksheet,
    look: &Look,
    source: &Source<'_>,
    (title, names): (&str, &[&str]),
    rows: &[(Vec<&str>, &Tally)],
) -> Result<(), XlsxError> {
    let first = u16::try_from(names.len()).unwrap_or(1);
    let width = first + COLUMNS.len() as u16 + 2;
    sheet.merge_range(0, 0, 0, width - 1, title, &look.title)?;
    for (column, name) in (0..).zip(names) {
        sheet.write_string_with_format(1, column, *name, &look.head)?;
        sheet.set_column_width(column, if first == 1 { 42 } else { 22 })?;
    }
    for (column, (name, _)) in (first..).zip(COLUMNS) {
        sheet.write_string_with_format(1, column, name, &look.head)?;
        sheet.set_column_width(column, 9)?;
    }
    for (column, name) in (width - 2..).zip(["追缴金额（元）", "月减发（元）"]) {
        sheet.write_string_with_format(1, column, name, &look.head)?;
        sheet.set_column_width(column, 14)?;
    }
    let mut row = 2;
    for (texts, tally) in rows {
        for (column, text) in (0..).zip(texts) {
            sheet.write_string_with_format(row, column, *text, &look.cell)?;
        }
        numbers(sheet, look, (row, first), |read| read(tally))?;
        for (column, measure) in (width - 2..).zip([Measure::Recover, Measure::Reduce]) {
            let fen = tally.measure(measure).1;
            sheet.write_number_with_format(row, column, fen as f64 / 100.0, &look.number)?;
        }
        row += 1;
    }
    // The total of a table whose rows may share cases would be wrong, so it is a sum only where rows are apart.
    if names != ["比对数据"] {
        sheet.write_string_with_format(row, 0, "合计", &look.head)?;
        for column in 1..first {
            sheet.write_blank(row, column, &look.head)?;
        }
        numbers(sheet, look, (row, first), |read| {
            rows.iter().map(|(_, t)| read(t)).sum()
        })?;
        for (column, measure) in (width - 2..).zip([Measure::Recover, Measure::Reduce]) {
            let fen: i64 = rows.iter().map(|(_, t)| t.measure(measure).1).sum();
            sheet.write_number_with_format(row, column, fen as f64 / 100.0, &look.number)?;
        }
        row += 1;
    }
    sheet.write_string(
        row + 1,
        0,
        format!("说明：认定结果经第二人审核后计入；{}", source.commitment()),
    )?;
    page(sheet, first)
}

fn numbers(
    sheet: &mut Worksheet,
    look: &Look,
    (row, first): (u32, u16),
    value: impl Fn(fn(&Tally) -> u64) -> u64,
) -> Result<(), XlsxError> {
    for (column, (_, read)) in (first..).zip(COLUMNS) {
        let number = u32::try_from(value(read)).unwrap_or(u32::MAX);
        sheet.write_number_with_format(row, column, f64::from(number), &look.number)?;
    }
    Ok(())
}

fn page(sheet: &mut Worksheet, frozen: u16) -> Result<(), XlsxError> {
    sheet.set_freeze_panes(2, frozen)?;
    sheet
        .set_landscape()
        .set_paper_size(9)
        .set_print_fit_to_pages(1, 0)
        .set_repeat_rows(0, 1)?;
    Ok(())
}

const DETAILS: [(&str, f64); 18] = [
    ("线索编号", 12.0),
    ("事项类型", 12.0),
    ("问题类别", 26.0),
    ("期次", 10.0),
    ("乡镇", 12.0),
    ("村（社区）", 14.0),
    ("户编号", 16.0),
    ("姓名", 12.0),
    ("状态", 10.0),
    ("办理截止日期", 12.0),
    ("核查人", 16.0),
    ("核查日期", 12.0),
    ("认定结果", 10.0),
    ("认定理由", 36.0),
    ("处理建议", 10.0),
    ("超领月数", 8.0),
    ("处理情况", 36.0),
    ("销号日期", 12.0),
];

fn details(sheet: &mut Worksheet, look: &Look, source: &Source<'_>) -> Result<(), XlsxError> {
    let width = DETAILS.len() as u16;
    let title = format!("线索办理明细（{}）", source.span());
    sheet.merge_range(0, 0, 0, width - 1, &title, &look.title)?;
    for (column, (name, chars)) in (0..).zip(DETAILS) {
        sheet.write_string_with_format(1, column, name, &look.head)?;
        sheet.set_column_width(column, chars)?;
    }
    for (row, case) in (2..1_048_576).zip(chosen(source.book, source.period)) {
        let visit = case.visits.last();
        let acts: Vec<String> = case
            .acts
            .iter()
            .map(|(round, act)| {
                let fallen = if *round < case.round {
                    "【认定已撤销】"
                } else {
                    ""
                };
                (fallen, act)
            })
            .map(|(fallen, act)| match act.fen {
                Some(fen) => format!(
                    "{fallen}{} {} {}元（{}）",
                    act.day,
                    act.measure.zh(),
                    yuan(fen),
                    act.reason
                ),
                None => format!("{fallen}{} {}（{}）", act.day, act.measure.zh(), act.reason),
            })
            .collect();
        let names: Vec<&str> = case.exhibits().iter().map(|e| e.name.as_str()).collect();
        let mut names = names;
        names.dedup();
        let conclusion = case.conclusion.as_ref().map(|(c, _)| c);
        let cells = [
            case.number().to_owned(),
            case.new.kind.zh().to_owned(),
            case.new.category.clone(),
            case.new.period.clone(),
            township_of(case),
            case.new.village.clone(),
            case.new.unit.clone(),
            names.join("、"),
            if case.withdrawn {
                "已撤回"
            } else {
                case.stage.zh()
            }
            .to_owned(),
            case.due
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            visit.map(|v| v.visitors.join("、")).unwrap_or_default(),
            visit.map(|v| v.day.to_string()).unwrap_or_default(),
            match (approved_outcome(case), conclusion) {
                (Some(outcome), _) => outcome.zh().to_owned(),
                (None, Some(c)) => format!("{}（待审核）", c.outcome.zh()),
                (None, None) => String::new(),
            },
            conclusion.map(|c| c.reason.clone()).unwrap_or_default(),
            conclusion
                .and_then(|c| Some(c.proposal?.zh().to_owned()))
                .unwrap_or_default(),
            conclusion
                .and_then(|c| Some(c.overdrawn_months?.to_string()))
                .unwrap_or_default(),
            acts.join("；"),
            case.closed
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ];
        for (column, text) in (0..).zip(&cells) {
            sheet.write_string_with_format(row, column, text, &look.cell)?;
        }
        let texts = cells.iter().zip(DETAILS);
        sheet.set_row_height(
            row,
            height(texts.map(|(text, (_, chars))| (text.as_str(), chars))),
        )?;
    }
    page(sheet, 1)
}
