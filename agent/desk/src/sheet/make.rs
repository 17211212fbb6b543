//! Making a township's sheet. In: open cases. Out: bytes of a workbook: 核查表, 核实要点, 赡养费核算, 填表说明.
//! Invariant: only the cells to fill in can be changed; lists offer the words that are read back; what the desk knows
//! already is filled in; identity numbers are text, so no program rounds them.
//! Specification: docs/DESK.md, "Township sheets".

use rust_xlsxwriter::{
    Color, DataValidation, DataValidationRule, Format, ProtectionOptions, Workbook, Worksheet,
    XlsxError,
};

use super::{
    CASES, CHECK, Column, HELP, NUMBER, OF_CASES, OF_TASKS, QUESTION, QUESTIONS, TASKS, check_code,
};
use crate::case::Case;
use crate::money::yuan;
use crate::report::{Look, height};
use crate::terms::Terms;
use crate::words::{Answer, Kind, Measure, Method, Outcome};

struct Pen {
    look: Look,
    fixed: Format,
    open: Format,
    day: Format,
}

/// Makes the workbook.
pub fn make(
    township: &str,
    cases: &[&Case],
    terms: &Terms,
    made: &str,
) -> Result<Vec<u8>, XlsxError> {
    let look = Look::new();
    let open = look
        .cell
        .clone()
        .set_unlocked()
        .set_num_format("@")
        .set_background_color(Color::RGB(0x00FF_FBE6));
    let pen = Pen {
        fixed: look.cell.clone().set_num_format("@"),
        day: open.clone().set_num_format("yyyy-mm-dd"),
        open,
        look,
    };
    let mut book = Workbook::new();
    let (tasks, clues): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.is_task());
    case_sheet(
        book.add_worksheet().set_name(CASES)?,
        &pen,
        (township, made),
        &clues,
    )?;
    question_sheet(
        book.add_worksheet().set_name(QUESTIONS)?,
        &pen,
        &clues,
        terms,
    )?;
    task_sheet(
        book.add_worksheet().set_name(TASKS)?,
        &pen,
        (township, made),
        &tasks,
    )?;
    help(book.add_worksheet().set_name(HELP)?, &pen, terms)?;
    book.save_to_buffer()
}

const FIXED_OF_CASES: [(&str, f64); 9] = [
    (NUMBER, 10.0),
    ("问题类别", 18.0),
    ("救助家庭（户编号、村、申请人等）", 20.0),
    ("涉及人员姓名", 9.0),
    ("身份证号", 20.0),
    ("与救助家庭的关系", 9.0),
    ("比对情况", 34.0),
    ("认定依据和可排除情形", 32.0),
    ("办理截止日期", 11.0),
];

fn case_sheet(
    sheet: &mut Worksheet,
    pen: &Pen,
    (township, made): (&str, &str),
    cases: &[&Case],
) -> Result<(), XlsxError> {
    let title = format!(
        "{township}问题线索核查表（制表日期：{made}，共 {} 件）",
        cases.len()
    );
    let last = heads(sheet, pen, &title, (&FIXED_OF_CASES, &OF_CASES))?;
    for (row, case) in (2..).zip(cases) {
        let each = |read: &dyn Fn(&crate::handover::Exhibit) -> String| distinct(case, read);
        let category = match case.new.kind {
            Kind::Clue => case.new.category.clone(),
            kind => format!("{}\n【{}】", case.new.category, kind.zh()),
        };
        let fixed = [
            case.number().to_owned(),
            category,
            household(case),
            each(&|e| e.name.clone()),
            each(&|e| e.id.clone()),
            each(&|e| e.role.clone()),
            each(&|e| {
                let asked = match e.disclosed.is_empty() {
                    true => String::new(),
                    false => format!("\n协查：{}", e.disclosed),
                };
                let facts = match e.facts.as_str() {
                    "" => "登记事实未提供",
                    facts => facts,
                };
                format!(
                    "【{}】{}：{facts}。{}（{}）{asked}",
                    e.name,
                    e.register_title,
                    e.identity(),
                    e.keys()
                )
            }),
            each(&|e| format!("依据：{}\n可排除：{}", e.clause, e.disproof)),
            case.due
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ];
        put(sheet, pen, row, (&fixed, &FIXED_OF_CASES), case, &OF_CASES)?;
    }
    finish(
        sheet,
        cases.len(),
        (FIXED_OF_CASES.len() as u16, &OF_CASES),
        last,
    )
}

/// What a visitor needs to find the household.
fn household(case: &Case) -> String {
    let mut lines = vec![case.new.unit.clone(), case.new.village.clone()];
    lines.extend(case.new.household.words());
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

const FIXED_OF_TASKS: [(&str, f64); 7] = [
    (NUMBER, 13.0),
    ("户编号", 14.0),
    ("村（社区）", 12.0),
    ("赡养人姓名", 10.0),
    ("身份证号", 20.0),
    ("比对情况", 30.0),
    ("办理截止日期", 11.0),
];

fn task_sheet(
    sheet: &mut Worksheet,
    pen: &Pen,
    (township, made): (&str, &str),
    cases: &[&Case],
) -> Result<(), XlsxError> {
    let title = format!(
        "{township}赡养费核算表（制表日期：{made}，共 {} 件）",
        cases.len()
    );
    let last = heads(sheet, pen, &title, (&FIXED_OF_TASKS, &OF_TASKS))?;
    for (row, case) in (2..).zip(cases) {
        let each = |read: &dyn Fn(&crate::handover::Exhibit) -> String| distinct(case, read);
        let fixed = [
            case.number().to_owned(),
            case.new.unit.clone(),
            case.new.village.clone(),
            each(&|e| e.name.clone()),
            each(&|e| e.id.clone()),
            each(&|e| format!("{}：{}", e.register_title, e.facts)),
            case.due
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ];
        put(sheet, pen, row, (&fixed, &FIXED_OF_TASKS), case, &OF_TASKS)?;
    }
    finish(
        sheet,
        cases.len(),
        (FIXED_OF_TASKS.len() as u16, &OF_TASKS),
        last,
    )
}

/// Title and heads; gives the column of the check code.
fn heads(
    sheet: &mut Worksheet,
    pen: &Pen,
    title: &str,
    (fixed, open): (&[(&str, f64)], &[Column]),
) -> Result<u16, XlsxError> {
    let last = (fixed.len() + open.len()) as u16;
    sheet.merge_range(0, 0, 0, last, title, &pen.look.title)?;
    for (at, (name, width)) in (0..).zip(fixed) {
        sheet.write_string_with_format(1, at, *name, &pen.look.head)?;
        sheet.set_column_width(at, *width)?;
    }
    for (at, column) in (fixed.len() as u16..).zip(open) {
        sheet.write_string_with_format(1, at, column.head(), &pen.look.head)?;
        sheet.set_column_width(at, width_of(*column))?;
    }
    sheet.write_string_with_format(1, last, CHECK, &pen.look.head)?;
    sheet.set_column_width(last, 14.0)?;
    sheet.set_row_height(1, 32.0)?;
    Ok(last)
}

fn put(
    sheet: &mut Worksheet,
    pen: &Pen,
    row: u32,
    (fixed, columns): (&[String], &[(&str, f64)]),
    case: &Case,
    open: &[Column],
) -> Result<(), XlsxError> {
    let last = (fixed.len() + open.len()) as u16;
    let mut texts: Vec<(String, f64)> = fixed
        .iter()
        .cloned()
        .zip(columns.iter().map(|(_, w)| *w))
        .collect();
    for (at, text) in (0..).zip(fixed) {
        sheet.write_string_with_format(row, at, text, &pen.fixed)?;
    }
    for (at, column) in (fixed.len() as u16..).zip(open) {
        let day = matches!(column, Column::AcceptedOn | Column::VisitedOn);
        let format = if day { &pen.day } else { &pen.open };
        let known = known(case, *column);
        if known.is_empty() {
            sheet.write_blank(row, at, format)?;
        } else {
            sheet.write_string_with_format(row, at, &known, format)?;
            texts.push((known, width_of(*column)));
        }
    }
    sheet.set_row_height(
        row,
        height(texts.iter().map(|(text, width)| (text.as_str(), *width))),
    )?;
    let code = check_code(case.number(), case.version);
    sheet.write_string_with_format(row, last, code, &pen.fixed)?;
    Ok(())
}

/// Width of a column to fill in, in characters.
const fn width_of(column: Column) -> f64 {
    match column {
        Column::Situation | Column::Reason => 30.0,
        Column::Source => 22.0,
        Column::Note => 16.0,
        Column::AcceptedBy | Column::VisitorA | Column::VisitorB | Column::SamePerson => 8.0,
        _ => 11.0,
    }
}

/// What the desk knows already.
fn known(case: &Case, column: Column) -> String {
    let visit = case.visits.last();
    let conclusion = case.conclusion.as_ref().map(|(c, _)| c);
    let income = case.income.as_ref().map(|(form, _)| form);
    let text = match column {
        Column::AcceptedBy => case.accepted.as_ref().map(|(_, who)| who.clone()),
        Column::AcceptedOn => case.accepted.as_ref().map(|(day, _)| day.to_string()),
        Column::VisitedOn => visit.map(|v| v.day.to_string()),
        Column::Method => visit.map(|v| v.method.zh().to_owned()),
        Column::VisitorA => visit.and_then(|v| v.visitors.first().cloned()),
        Column::VisitorB => visit.and_then(|v| v.visitors.get(1).cloned()),
        Column::Situation => visit.map(|v| v.situation.clone()),
        Column::SamePerson => conclusion.map(|c| c.same_person.zh().to_owned()),
        Column::Outcome => conclusion.map(|c| c.outcome.zh().to_owned()),
        Column::Reason => conclusion.map(|c| c.reason.clone()),
        Column::Proposal => conclusion.and_then(|c| Some(c.proposal?.zh().to_owned())),
        Column::OverdrawnMonths => conclusion.and_then(|c| Some(c.overdrawn_months?.to_string())),
        Column::Persons => income.map(|f| f.persons.to_string()),
        Column::Income => income.map(|f| yuan(f.income_fen)),
        Column::Supported => income.map(|f| f.supported.to_string()),
        Column::Source => income.map(|f| f.source.clone()),
        Column::Note | Column::Answer => None,
    };
    text.unwrap_or_default()
}

/// Measures that can be proposed.
const PROPOSED: [Measure; 7] = [
    Measure::Cancel,
    Measure::Remove,
    Measure::Reduce,
    Measure::Recover,
    Measure::HandOver,
    Measure::Rectify,
    Measure::Keep,
];

/// Lists to choose from, protection, printing.
fn finish(
    sheet: &mut Worksheet,
    rows: usize,
    (first, columns): (u16, &[Column]),
    last: u16,
) -> Result<(), XlsxError> {
    let bottom = u32::try_from(rows.max(1) + 1).unwrap_or(2);
    for (at, column) in (first..).zip(columns) {
        if *column == Column::OverdrawnMonths {
            let months = DataValidation::new()
                .allow_whole_number(DataValidationRule::Between(1, 600))
                .set_error_title("超领月数")?
                .set_error_message("填 1 至 600 的整数，没有超领的留空")?;
            sheet.add_data_validation(2, at, bottom, at, &months)?;
            continue;
        }
        let words: Vec<&str> = match column {
            Column::Method => Method::ALL.iter().map(|m| m.zh()).collect(),
            Column::Outcome => Outcome::ALL.iter().map(|o| o.zh()).collect(),
            Column::Proposal => PROPOSED.iter().map(|m| m.zh()).collect(),
            Column::SamePerson => [Answer::Yes, Answer::No, Answer::Unknown]
                .map(Answer::zh)
                .to_vec(),
            Column::Answer => Answer::ALL.iter().map(|a| a.zh()).collect(),
            _ => continue,
        };
        let list = DataValidation::new()
            .allow_list_strings(&words)?
            .set_error_title("请从下拉列表中选择")?
            .set_error_message("只能填写列表中的词")?;
        sheet.add_data_validation(2, at, bottom, at, &list)?;
    }
    // Whoever fills in cases signs below them; the questions belong to them.
    if columns.len() > 1 {
        sign(sheet, bottom + 2)?;
    }
    let options = ProtectionOptions {
        format_columns: true,
        format_rows: true,
        use_autofilter: true,
        ..ProtectionOptions::new()
    };
    sheet.protect_with_options(&options);
    if rows > 0 {
        sheet.autofilter(1, 0, bottom, last)?;
    }
    sheet.set_freeze_panes(2, 1)?;
    sheet
        .set_landscape()
        .set_paper_size(8)
        .set_print_fit_to_pages(1, 0)
        .set_repeat_rows(0, 1)?;
    Ok(())
}

/// Lines to sign on, as every such form has them.
fn sign(sheet: &mut Worksheet, first: u32) -> Result<(), XlsxError> {
    let lines = [
        "填表人（签字）：　　　　　　核查人（签字）：　　　　　　　　　　　　民政办负责人（签字）：　　　　　　分管领导（签字）：",
        "填报单位（盖章）：　　　　　　　　　　联系电话：　　　　　　　　　　填报日期：　　　　年　　月　　日",
    ];
    for (row, text) in (first..).zip(lines) {
        // Beside the column of numbers: a row that holds none is no case.
        sheet.write_string(row, 1, text)?;
    }
    Ok(())
}

fn question_sheet(
    sheet: &mut Worksheet,
    pen: &Pen,
    cases: &[&Case],
    terms: &Terms,
) -> Result<(), XlsxError> {
    let fixed: [(&str, f64); 6] = [
        (NUMBER, 11.0),
        ("问题类别", 24.0),
        ("姓名", 10.0),
        ("核实要点", 46.0),
        ("依据", 36.0),
        (QUESTION, 18.0),
    ];
    let last = heads(
        sheet,
        pen,
        "核实要点（认定属实前须逐条回答）",
        (&fixed, &[Column::Answer]),
    )?;
    let mut row = 2;
    for case in cases {
        let given = case.conclusion.as_ref().map(|(c, _)| &c.answers);
        for question in terms.questions(&case.new.category) {
            let cells = [
                case.number().to_owned(),
                case.new.category.clone(),
                distinct(case, &|e| e.name.clone()),
                question.ask.clone(),
                question.clause.clone(),
                question.name.to_string(),
            ];
            for (at, text) in (0..).zip(&cells) {
                sheet.write_string_with_format(row, at, text, &pen.fixed)?;
            }
            match given.and_then(|answers| answers.get(question.name.as_str())) {
                Some(answer) => {
                    sheet.write_string_with_format(row, last - 1, answer.zh(), &pen.open)?
                }
                None => sheet.write_blank(row, last - 1, &pen.open)?,
            };
            let code = check_code(case.number(), case.version);
            sheet.write_string_with_format(row, last, code, &pen.fixed)?;
            row += 1;
        }
    }
    finish(sheet, row as usize - 2, (last - 1, &[Column::Answer]), last)
}

fn help(sheet: &mut Worksheet, pen: &Pen, terms: &Terms) -> Result<(), XlsxError> {
    let lines = [
        "填表说明".to_owned(),
        "一、只填写黄色单元格，可以分几次填写、分几次交回；未填的行不影响其他行。同一行的核查日期、核查方式、核查人甲、核查人乙、\
         核查情况须填全；认定结果和认定理由须同时填写。"
            .to_owned(),
        "二、核查须两名以上工作人员，核查人乙不得与核查人甲相同；须附签字的核查记录。日期写作 2016-07-01。".to_owned(),
        "三、“是否同一人”指比对到的登记是否就是表中这个人。标有【待核实身份】的，先核实身份，再核实问题。".to_owned(),
        "四、认定结果：查实，指情况属实且不符合政策；部分属实，指情况部分属实，或属实但只影响待遇金额；不属实，指情况不存在，或属于可排除情形；\
         无法核实，指已用尽核查手段仍不能确定。认定查实、部分属实的，“核实要点”须逐条回答，答“不清楚”的视为未答；认定理由须写明事实\
         和证据，不能只写“属实”。"
            .to_owned(),
        "五、线索不是结论。与可排除情形相符的，认定为不属实并写明依据。处理建议、超领月数（不符合条件期间已领取的月数）供审核参考，不是处理决定：\
         取消、清退限于查实，减发、追缴、移交限于查实或部分属实。"
            .to_owned(),
        format!(
            "六、未共同生活的赡养（抚养、扶养）义务人，只填“赡养费核算”表；收入、人口均填赡养义务人家庭的，不填救助家庭的。低保标准每人每月 {} 元。",
            terms.line()
        ),
        "七、不要修改线索编号和校验码。行的次序可以变动，文件可以另存，不要另建表、改列名。".to_owned(),
        "八、本表含个人信息，按工作秘密管理，用后及时交回；不得通过微信、QQ等传输，不得擅自复印、留存。".to_owned(),
        "九、签收后请于办理截止日期前交回。".to_owned(),
    ];
    sheet.set_column_width(0, 100.0)?;
    for (row, line) in (0..).zip(&lines) {
        let format = if row == 0 {
            &pen.look.title
        } else {
            &pen.look.cell
        };
        sheet.write_string_with_format(row, 0, line, format)?;
    }
    sheet.protect();
    Ok(())
}

fn distinct(case: &Case, read: &dyn Fn(&crate::handover::Exhibit) -> String) -> String {
    let mut texts: Vec<String> = Vec::new();
    for exhibit in case.exhibits() {
        let text = read(exhibit);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join("\n")
}
