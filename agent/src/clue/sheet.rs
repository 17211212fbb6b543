//! Clue sheets. In: findings. Out: `线索清单.xlsx`, `clues.csv`, the handover to the desk, and a summary by category and
//! township. Invariant: shows the roll owner's own data and released codes only; every line names its
//! rule's clause and what would disprove it.
//! Specification: docs/OPERATIONS.md, "Clues".

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use hedui_edge::cells::harmless;
use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::Ground;
use hedui_protocol::field::FieldKind;
use hedui_protocol::message::result::{Outcome, Register};
use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, Workbook, Worksheet, XlsxError};
use serde::Serialize;

use super::evaluate::{Exhibit, Finding, Findings, Household, keys_in, local_text};
use super::rules::Rules;
use crate::disclosure::words::Words;
use crate::results::Evidence;
use crate::roll::Roll;

/// One line of a sheet: one piece of evidence of one finding.
#[derive(Serialize)]
pub struct Line {
    /// Number of the clue.
    pub number: String,
    /// Category.
    pub category: String,
    /// Benefit unit.
    pub unit: String,
    /// Township, from local column `township`.
    pub township: String,
    /// Village, from local column `village`.
    pub village: String,
    /// Name of the unit's applicant, as in the roll.
    pub applicant: String,
    /// Kind of benefit, from local column `benefit`.
    pub benefit: String,
    /// Address, from local column `address`.
    pub address: String,
    /// Name as in the roll.
    pub name: String,
    /// Identity number as in the roll.
    pub id: String,
    /// Role in the unit.
    pub role: String,
    /// Row of the roll's file.
    pub roll_row: u64,
    /// Register.
    pub register: String,
    /// Register's title.
    pub register_title: String,
    /// Released facts.
    pub facts: String,
    /// Keys that agree.
    pub agree: Vec<String>,
    /// Keys that differ.
    pub differ: Vec<String>,
    /// Decision of the matcher.
    pub outcome: Outcome,
    /// Name of the rule that it fulfils.
    pub rule: String,
    /// Provision.
    pub clause: String,
    /// What would disprove it.
    pub disproof: String,
    /// What the register's owner answered when asked about the record.
    pub disclosed: String,
}

/// What the sheets are made from.
pub struct Source<'a> {
    /// Agreement.
    pub agreement: &'a Agreement,
    /// Rules.
    pub rules: &'a Rules,
    /// Roll.
    pub roll: &'a Roll,
    /// Evidence.
    pub evidence: &'a [Evidence],
    /// Registers of the result, as the matcher counts them.
    pub registers: &'a [Register],
    /// What stands for every unit.
    pub units: &'a BTreeMap<String, Household>,
    /// Period in the reports.
    pub period: &'a str,
}

impl Source<'_> {
    /// The lines of findings, in their order.
    pub fn lines(&self, findings: &[Finding]) -> Vec<Line> {
        findings
            .iter()
            .flat_map(|f| f.exhibits.iter().map(|e| self.line(f, e)))
            .collect()
    }

    fn line(&self, finding: &Finding, exhibit: &Exhibit) -> Line {
        let item = &self.evidence[exhibit.evidence];
        let person = &self.roll.persons[exhibit.person];
        let local = &person.local[exhibit.roll_row];
        let rule = &self.rules.rules[exhibit.rule];
        let text = |name: &str| {
            local_text(self.roll, local, name)
                .unwrap_or_default()
                .to_owned()
        };
        let unit = self.units.get(&finding.unit).cloned().unwrap_or_default();
        let shown = |kinds: &[FieldKind]| {
            let fields = self.agreement.fields().iter().zip(&person.shown);
            let words: Vec<&str> = fields
                .filter(|(f, _)| kinds.contains(&f.kind))
                .map(|(_, s)| s.as_str())
                .collect();
            words.join(" ")
        };
        Line {
            number: finding.number.clone(),
            category: finding.category.clone(),
            unit: finding.unit.clone(),
            township: unit.township,
            village: unit.village,
            applicant: unit.applicant,
            benefit: self.rules.word(&unit.benefit),
            address: unit.address,
            name: shown(&[FieldKind::CnName, FieldKind::PersonName]),
            id: shown(&[FieldKind::CnResidentId]),
            role: role_word(self.rules, &text("role")),
            roll_row: person.rows[exhibit.roll_row],
            register: item.register.to_string(),
            register_title: self
                .agreement
                .dataset(&item.register)
                .map(Agreement::title_of_dataset)
                .unwrap_or_default(),
            facts: exhibit
                .fact_row
                .map(|row| self.facts(item, row))
                .unwrap_or_default(),
            agree: self.key_words(item.agree),
            differ: self.key_words(item.differ),
            outcome: item.outcome,
            rule: rule.name.clone(),
            clause: rule.clause.clone(),
            disproof: rule.disproof.clone(),
            disclosed: item
                .disclosed
                .as_ref()
                .map_or_else(String::new, |disclosed| {
                    disclosed.words(&Words::of(self.agreement, Some(self.rules)))
                }),
        }
    }

    fn key_words(&self, bitmap: u16) -> Vec<String> {
        let words = Words::of(self.agreement, Some(self.rules));
        let keys = keys_in(self.agreement, bitmap);
        keys.map(|key| words.key_in_rules(&key.name)).collect()
    }

    fn facts(&self, item: &Evidence, row: usize) -> String {
        let schema = self
            .agreement
            .dataset(&item.register)
            .map(|d| &d.fact[..])
            .unwrap_or_default();
        let row = item.facts.as_ref().and_then(|facts| facts.rows.get(row));
        let words = Words::of(self.agreement, Some(self.rules));
        row.map_or_else(String::new, |row| words.facts(schema, row))
    }
}

/// A role in a unit as the rule file has it, or as everybody does.
fn role_word(rules: &Rules, role: &str) -> String {
    let said = rules.word(role);
    match &*said {
        "applicant" => "申请人".to_owned(),
        "member" => "共同生活成员".to_owned(),
        "supporter" => "赡养（抚养、扶养）人".to_owned(),
        _ => said,
    }
}

/// Words of an outcome for people.
pub fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Match => "同一人",
        Outcome::Review => "疑似同一人，待核实身份",
        Outcome::IdentityConflict => "证号相同但身份信息矛盾",
    }
}

/// Writes all sheets into a folder.
pub fn write(folder: &Path, source: &Source<'_>, findings: &Findings) -> Result<(), Problem> {
    let (clues, tasks) = (source.lines(&findings.clues), source.lines(&findings.tasks));
    let reviews = source.lines(&findings.reviews);
    let xlsx = folder.join("线索清单.xlsx");
    let bytes = workbook(source, findings, &clues, &reviews, &tasks)
        .map_err(|error| Problem::data(format!("{}: {error}", xlsx.display()), "report this"))?;
    files::deliver_bytes(&xlsx, &bytes)?;
    let csv_path = folder.join("clues.csv");
    files::deliver(&csv_path, |out| {
        // A byte-order mark, so that Excel and WPS read the file as UTF-8.
        out.write_all("\u{feff}".as_bytes())
            .map_err(|error| Problem::io(&csv_path, error))?;
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer.write_record(HEADER).map_err(failed)?;
        for line in &clues {
            writer
                .write_record(cells(line).map(harmless))
                .map_err(failed)?;
        }
        writer
            .flush()
            .map_err(|error| Problem::io(&csv_path, error))
    })
}

const HEADER: [&str; 20] = [
    "线索编号",
    "问题类别",
    "救助单元",
    "乡镇",
    "村（社区）",
    "申请人",
    "救助类别",
    "住址",
    "姓名",
    "身份证号",
    "与救助单元关系",
    "名册行号",
    "比对数据",
    "比对事实",
    "一致项",
    "不一致项",
    "身份认定",
    "认定依据",
    "可排除情形",
    "协查结果",
];

fn cells(line: &Line) -> [String; 20] {
    [
        line.number.clone(),
        line.category.clone(),
        line.unit.clone(),
        line.township.clone(),
        line.village.clone(),
        line.applicant.clone(),
        line.benefit.clone(),
        line.address.clone(),
        line.name.clone(),
        line.id.clone(),
        line.role.clone(),
        line.roll_row.to_string(),
        line.register_title.clone(),
        line.facts.clone(),
        line.agree.join("、"),
        line.differ.join("、"),
        outcome_words(line.outcome).to_owned(),
        line.clause.clone(),
        line.disproof.clone(),
        line.disclosed.clone(),
    ]
}

/// Findings per category and township.
pub fn by_township(source: &Source<'_>, findings: &[Finding]) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        let unit = source.units.get(&finding.unit);
        let township = match unit {
            Some(unit) if !unit.township.is_empty() => unit.township.clone(),
            _ => "未注明".to_owned(),
        };
        *counts
            .entry((finding.category.clone(), township))
            .or_default() += 1;
    }
    counts
}

fn workbook(
    source: &Source<'_>,
    findings: &Findings,
    clues: &[Line],
    reviews: &[Line],
    tasks: &[Line],
) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    summary(book.add_worksheet().set_name("汇总")?, source, findings)?;
    lines(
        book.add_worksheet().set_name("问题线索")?,
        "问题线索清单",
        source.period,
        clues,
    )?;
    lines(
        book.add_worksheet().set_name("待核实身份")?,
        "疑似同一人待核实清单",
        source.period,
        reviews,
    )?;
    lines(
        book.add_worksheet().set_name("赡养费核算")?,
        "赡养（抚养、扶养）义务人收入核算任务",
        source.period,
        tasks,
    )?;
    book.save_to_buffer()
}

fn lines(
    sheet: &mut Worksheet,
    title: &str,
    period: &str,
    lines: &[Line],
) -> Result<(), XlsxError> {
    let border = Format::new().set_border(FormatBorder::Thin).set_text_wrap();
    let head = Format::new()
        .set_bold()
        .set_border(FormatBorder::Thin)
        .set_align(FormatAlign::Center)
        .set_text_wrap();
    let large = Format::new()
        .set_bold()
        .set_font_size(16)
        .set_align(FormatAlign::Center);
    // Columns that people fill in on paper or screen follow those that the program fills.
    let filled_in = [
        "核查情况",
        "认定结果（查实/部分属实/不属实/无法核实）",
        "处理建议",
        "核查人（两人以上签字）",
        "核查日期",
    ];
    let width = u16::try_from(HEADER.len() + filled_in.len()).unwrap_or(u16::MAX);
    sheet.merge_range(0, 0, 0, width - 1, &format!("{title}（{period}）"), &large)?;
    for (column, text) in (0..).zip(HEADER.iter().chain(&filled_in)) {
        sheet.write_string_with_format(1, column, *text, &head)?;
        sheet.set_column_width(column, if column >= 13 { 24 } else { 13 })?;
    }
    sheet.set_column_width(9, 21)?;
    for (row, line) in (2..1_048_576).zip(lines) {
        for (column, text) in (0..).zip(cells(line)) {
            sheet.write_string_with_format(row, column, text, &border)?;
        }
        for column in u16::try_from(HEADER.len()).unwrap_or(0)..width {
            sheet.write_blank(row, column, &border)?;
        }
    }
    sheet.set_freeze_panes(2, 3)?;
    sheet
        .set_landscape()
        .set_paper_size(9)
        .set_print_fit_to_pages(1, 0)
        .set_repeat_rows(0, 1)?;
    Ok(())
}

fn summary(
    sheet: &mut Worksheet,
    source: &Source<'_>,
    findings: &Findings,
) -> Result<(), XlsxError> {
    let border = Format::new().set_border(FormatBorder::Thin);
    let head = Format::new()
        .set_bold()
        .set_border(FormatBorder::Thin)
        .set_text_wrap();
    let large = Format::new().set_bold().set_font_size(16);
    sheet.write_string_with_format(0, 0, format!("问题线索汇总表（{}）", source.period), &large)?;
    let counts = by_township(source, &findings.clues);
    let mut townships: Vec<&String> = counts.keys().map(|(_, township)| township).collect();
    townships.sort();
    townships.dedup();
    sheet.write_string_with_format(1, 0, "问题类别", &head)?;
    sheet.set_column_width(0, 34)?;
    for (column, township) in (1..).zip(&townships) {
        sheet.write_string_with_format(1, column, township.as_str(), &head)?;
    }
    let last = u16::try_from(townships.len() + 1).unwrap_or(u16::MAX);
    sheet.write_string_with_format(1, last, "合计", &head)?;
    let categories = super::evaluate::categories(source.rules);
    for (row, category) in (2..).zip(&categories) {
        sheet.write_string_with_format(row, 0, category, &border)?;
        let mut total = 0;
        for (column, township) in (1..).zip(&townships) {
            let count = counts
                .get(&(category.clone(), (*township).clone()))
                .copied()
                .unwrap_or(0);
            total += count;
            sheet.write_number_with_format(row, column, number(count), &border)?;
        }
        sheet.write_number_with_format(row, last, number(total), &border)?;
    }
    let mut row = u32::try_from(categories.len()).unwrap_or(0) + 3;
    let extra = [
        ("待核实身份（条）", findings.reviews.len()),
        ("赡养费核算任务（件）", findings.tasks.len()),
    ];
    for (what, count) in extra {
        sheet.write_string_with_format(row, 0, what, &border)?;
        sheet.write_number_with_format(row, 1, number(count as u64), &border)?;
        row += 1;
    }
    row += 1;
    sheet.write_string_with_format(row, 0, "依规则排除的情形", &head)?;
    for (reason, count) in &findings.exempted {
        row += 1;
        sheet.write_string_with_format(row, 0, reason, &border)?;
        sheet.write_number_with_format(row, 1, number(*count), &border)?;
    }
    row += 2;
    if let Some(ground) = source.agreement.text().authorisation {
        let words = match ground {
            Ground::EachPerson => "核对依据：本人或其监护人签署的核对授权书，已逐人核验",
            Ground::Inspection => {
                "核对依据：依法开展监督检查（不以个人授权为依据）；结果仅限本次监督检查使用，不得移作他用"
            }
        };
        sheet.write_string(row, 0, words)?;
        row += 1;
    }
    sheet.write_string(
        row,
        0,
        "说明：线索须由两名以上工作人员核查（入户调查、邻里访问等），未经核查认定不得取消、停发、减发待遇；可排除情形见各条。",
    )?;
    Ok(())
}

fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
