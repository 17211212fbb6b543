//! The quality report for people. In: the tally of a dataset. Out: text table, JSON, and a workbook with
//! one row per cell to correct. Invariant: file names, columns, counts and row numbers only.
//! The workbook is for the clerk who corrects the rows (谁录入谁负责谁修改).
//! Specification: docs/OPERATIONS.md, "Quality report".

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use comfy_table::{Table, presets};
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::field::Quality;
use rust_xlsxwriter::{Format, Workbook};
use serde::Serialize;

use crate::authorisation::Lack;
use crate::intake::Prepared;
use crate::quality::{Defect, FieldTally};
use crate::risk::Structure;

/// What `check` prints as JSON.
#[derive(Serialize)]
pub struct Report<'a> {
    dataset: &'a str,
    rows: u64,
    persons: u64,
    duplicate_rows: u64,
    ragged_rows: u64,
    undecodable_rows: u64,
    unknown_codes: u64,
    unknown: BTreeMap<&'a str, u64>,
    unauthorised_rows: u64,
    unauthorised: &'a BTreeMap<Lack, u64>,
    as_of: &'a str,
    fields: Vec<&'a FieldTally>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structure: Option<&'a Structure>,
}

/// Duplicate rows of a dataset: persons, and rows that repeat an earlier one in every respect.
pub struct Duplicates {
    /// Persons.
    pub persons_count: u64,
    /// Numbers of repeating rows, at most [`crate::quality::ROWS_KEPT`].
    pub rows: Vec<u64>,
    /// How many there are.
    pub count: u64,
}

/// Finds duplicates by grouping the spool.
pub fn duplicates(agreement: &Agreement, prepared: &mut Prepared) -> Result<Duplicates, Problem> {
    let mut found = Duplicates {
        persons_count: 0,
        rows: Vec::new(),
        count: 0,
    };
    for part in 0..prepared.spool.partitions() {
        for person in prepared.persons(agreement, part)? {
            found.persons_count += 1;
            let kept = person.facts.rows.len() + usize::from(person.facts.rows_left_out);
            let extra = person.rows.len().saturating_sub(kept);
            found.count += extra as u64;
            let room = crate::quality::ROWS_KEPT.saturating_sub(found.rows.len());
            let len = person.rows.len();
            found
                .rows
                .extend(person.rows.iter().skip(len - extra).take(room));
        }
    }
    found.rows.sort_unstable();
    Ok(found)
}

/// Prints the report.
pub fn print(
    console: &Console,
    prepared: &Prepared,
    duplicates: &Duplicates,
    structure: Option<&Structure>,
) {
    let fields: Vec<&FieldTally> = prepared.tally.fields.iter().flatten().collect();
    console.object(&Report {
        dataset: prepared.dataset.name.as_str(),
        rows: prepared.tally.rows_count,
        persons: duplicates.persons_count,
        duplicate_rows: duplicates.count,
        ragged_rows: prepared.reading.ragged_count,
        undecodable_rows: prepared.reading.undecodable_count,
        unknown_codes: prepared.tally.unknown_facts_count(),
        unknown: prepared
            .tally
            .unknown_facts()
            .map(|(fact, _, count)| (fact, count))
            .collect(),
        unauthorised_rows: prepared.tally.unauthorised_count(),
        unauthorised: &prepared.tally.unauthorised_counts,
        as_of: &prepared.mapping.as_of,
        fields: fields.clone(),
        structure,
    });
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let mut header = vec!["字段 field".to_owned(), "列 column".to_owned()];
    header.extend(Quality::ALL.iter().map(|(_, zh)| (*zh).to_owned()));
    header.push("与证号不符".to_owned());
    table.set_header(header);
    for field in &fields {
        let mut row = vec![field.field.clone(), field.columns.join(" ")];
        row.extend(field.counts.iter().map(u64::to_string));
        row.push(field.contradicts_count.to_string());
        table.add_row(row);
    }
    console.say(&format!(
        "数据质量 data quality: {} ({} 行 rows, {} 条记录 records; {})",
        Agreement::title_of_dataset(&prepared.dataset),
        prepared.tally.rows_count,
        duplicates.persons_count,
        prepared.reading.found,
    ));
    console.say(&table.to_string());
    let extra = [
        ("重复登记 duplicate rows", duplicates.count),
        (
            "列数不符、未读入 rows left out (wrong number of cells)",
            prepared.reading.ragged_count,
        ),
        (
            "含无法识别字符 rows with undecodable characters",
            prepared.reading.undecodable_count,
        ),
        (
            "代码未对应或无法识别 values without a translation, or unreadable",
            prepared.tally.unknown_facts_count(),
        ),
    ];
    for (what, count) in extra.into_iter().filter(|(_, count)| *count > 0) {
        console.say(&format!("{what}: {count}"));
    }
    for (fact, columns, count) in prepared.tally.unknown_facts() {
        console.say(&format!("    {fact}（{columns}）: {count}"));
    }
    for (lack, count) in &prepared.tally.unauthorised_counts {
        let (zh, en) = lack.words();
        console.say(&format!("{zh}，未予核对 {en}: {count}"));
    }
    let stated = if prepared.mapping.as_of.is_empty() {
        "未注明 not stated"
    } else {
        &prepared.mapping.as_of
    };
    console.say(&format!("数据截止日 data as of: {stated}"));
    if let Some(found) = structure {
        print_structure(console, found);
    }
}

/// How far records can be told apart without a key.
fn print_structure(console: &Console, found: &Structure) {
    let lines = [
        (
            "键的组合少于五条记录具有 their keys are those of fewer than five records",
            found.rare_bitmaps,
        ),
        (
            "仅凭各值由几条记录共用即可单独认出 alone by how many records share their values",
            found.alone_by_multiplicity,
        ),
        (
            "再看与谁共用即可单独认出 alone once it is seen with whom",
            found.alone,
        ),
        (
            "仍只在不足五条的一组 in groups of fewer than five then",
            found.in_small_groups,
        ),
    ];
    console.say(&format!(
        "结构风险 structure, {} 条记录 records; 攻击者须同时掌握核对中心的编码和本数据全部明文 for somebody who has the matcher's tables and all \
         these data in clear:",
        found.records
    ));
    for (what, count) in lines {
        let share = 100.0 * count as f64 / found.records.max(1) as f64;
        console.say(&format!("  {what}: {count} ({share:.2}%)"));
    }
}

/// Writes the workbook for the clerk: sheet 1 counts, sheet 2 one row per cell to correct.
pub fn write_workbook(
    path: &Path,
    prepared: &Prepared,
    duplicates: &Duplicates,
) -> Result<(), Problem> {
    let failed = |error: rust_xlsxwriter::XlsxError| {
        Problem::data(
            format!("{}: {error}", path.display()),
            "choose another file name",
        )
    };
    let fill = || -> Result<Vec<u8>, rust_xlsxwriter::XlsxError> {
        let mut book = Workbook::new();
        let bold = Format::new().set_bold();
        let sheet = book.add_worksheet().set_name("数据质量")?;
        let mut header = vec!["字段", "列"];
        header.extend(Quality::ALL.iter().map(|(_, zh)| *zh));
        header.push("与证号不符");
        for (column, text) in (0..).zip(header) {
            sheet.write_string_with_format(0, column, text, &bold)?;
        }
        for (row, field) in (1..).zip(prepared.tally.fields.iter().flatten()) {
            sheet.write_string(row, 0, &field.field)?;
            sheet.write_string(row, 1, field.columns.join(" "))?;
            for (column, count) in (2..).zip(field.counts) {
                sheet.write_number(row, column, to_cell(count))?;
            }
            sheet.write_number(row, 8, to_cell(field.contradicts_count))?;
        }
        let sheet = book.add_worksheet().set_name("待核改明细")?;
        for (column, text) in (0..).zip([
            "行号",
            "字段",
            "列",
            "问题",
            "Problem",
            "核改情况",
            "核改人",
        ]) {
            sheet.write_string_with_format(0, column, text, &bold)?;
        }
        sheet.set_freeze_panes(1, 0)?;
        let all = prepared
            .tally
            .fields
            .iter()
            .flatten()
            .chain(&prepared.tally.facts);
        let mut lines: Vec<(u64, &str, String, Defect)> = all
            .flat_map(|field| {
                let columns = field.columns.join(" ");
                field
                    .rows
                    .iter()
                    .map(move |(d, row)| (*row, field.field.as_str(), columns.clone(), *d))
            })
            .collect();
        lines.extend(
            duplicates
                .rows
                .iter()
                .map(|row| (*row, "整行", String::new(), Defect::Duplicate)),
        );
        let mut lines: Vec<(u64, &str, String, (&str, &str))> = lines
            .into_iter()
            .map(|(row, field, columns, defect)| (row, field, columns, defect.words()))
            .collect();
        let unauthorised = prepared.tally.unauthorised.iter();
        lines.extend(unauthorised.map(|(lack, row)| (*row, "授权", String::new(), lack.words())));
        lines.sort_by_key(|(row, _, _, words)| (*row, words.1));
        // A sheet holds 1,048,576 rows; the counts on sheet 1 stay complete.
        for (at, (row, field, columns, (zh, en))) in (1..1_048_576).zip(lines) {
            sheet.write_number(at, 0, to_cell(row))?;
            for (column, text) in (1..).zip([field, &columns, zh, en]) {
                sheet.write_string(at, column, text)?;
            }
        }
        book.save_to_buffer()
    };
    let bytes = fill().map_err(failed)?;
    files::deliver(path, |out| {
        out.write_all(&bytes)
            .map_err(|error| Problem::io(path, error))
    })
}

/// Counts are below 2^53, so a cell holds them exactly.
fn to_cell(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
