//! A department's receipts as a sheet to print and file (报送回执). In: receipts that were verified. Out: one workbook.
//! Invariant: shows what the matcher signed and the log proves, and nothing of any record; whoever holds the page can compare
//! digest and number with the log.
//! Specification: protocol/SPEC.md, "Encoding of bodies" (receipt); docs/OPERATIONS.md.

use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::ids::Name;
use hedui_protocol::message::receipt::Receipt;
use hedui_protocol::message::submission::{GONE, PRESENCE};
use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, Workbook, XlsxError};

/// A receipt, and whether the delivery that it acknowledges was there to compare.
pub type Compared = (Receipt, bool);

const HEAD: [(&str, f64); 8] = [
    ("报送数据", 20.0),
    ("用于比对", 20.0),
    ("报送序号", 9.0),
    ("接收行数（含补齐行）", 18.0),
    ("核对中心保存至", 14.0),
    ("公开日志序号（从 0 起）", 9.0),
    ("与本单位报送文件", 12.0),
    ("报送文件摘要（SHA-256）", 68.0),
];

/// Writes the receipts of a department under an agreement.
pub fn write(
    path: &Path,
    agreement: &Agreement,
    (party, today): (&Name, &str),
    receipts: &[Compared],
) -> Result<(), Problem> {
    let bytes = workbook(agreement, (party, today), receipts)
        .map_err(|error| Problem::data(format!("{}: {error}", path.display()), "report this"))?;
    files::deliver_bytes(path, &bytes)
}

fn workbook(
    agreement: &Agreement,
    (party, today): (&Name, &str),
    receipts: &[Compared],
) -> Result<Vec<u8>, XlsxError> {
    let cell = Format::new().set_border(FormatBorder::Thin).set_text_wrap();
    let head = cell.clone().set_bold().set_align(FormatAlign::Center);
    let large = Format::new()
        .set_bold()
        .set_font_size(16)
        .set_align(FormatAlign::Center);
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("报送回执")?;
    let text = agreement.text();
    let title = agreement.title_of(party);
    sheet.merge_range(0, 0, 0, 7, "数据报送回执", &large)?;
    let lines = [
        format!(
            "报送单位：{title}　　核对用途：{}　　第 {} 期",
            text.purpose,
            agreement.epoch().0
        ),
        format!(
            "协议摘要：{}　　打印日期：{today}",
            agreement.digest().to_hex()
        ),
    ];
    for (row, line) in (1..).zip(&lines) {
        sheet.write_string(row, 0, line)?;
    }
    for (column, (name, width)) in (0..).zip(HEAD) {
        sheet.write_string_with_format(3, column, name, &head)?;
        sheet.set_column_width(column, width)?;
    }
    let name = |of: &Name| {
        let dataset = agreement.dataset(of);
        dataset
            .map(Agreement::title_of_dataset)
            .unwrap_or_else(|| of.to_string())
    };
    let mut row = 4;
    for (receipt, compared) in receipts {
        let cells = [
            name(&receipt.dataset),
            name(&receipt.register),
            receipt.seq.to_string(),
            rows_of(receipt),
            receipt.delete_after.clone(),
            receipt.log.index.to_string(),
            if *compared {
                "一致"
            } else {
                "文件不在，未核对"
            }
            .to_owned(),
            receipt.header_sha256.clone(),
        ];
        for (column, text) in (0..).zip(&cells) {
            sheet.write_string_with_format(row, column, text, &cell)?;
        }
        row += 1;
    }
    let notes = [
        "说明：回执由核对中心签名，附有所列报送已计入公开日志的证明，签名和证明已验证；审计方可凭摘要和日志序号与公开日志核对。",
        "核对中心收到的是去标识化的编码和密封数据（仍属个人信息），保存期满后由其下一次运行时清除；行数含为隐藏实际人数而补齐的行。",
        "经办人（签字）：　　　　　　　　负责人（签字）：　　　　　　　　单位（盖章）：　　　　　　　　年　　月　　日",
    ];
    for (at, note) in (row + 1..).zip(notes) {
        sheet.write_string(at, 0, note)?;
    }
    sheet
        .set_landscape()
        .set_paper_size(9)
        .set_print_fit_to_pages(1, 0);
    book.save_to_buffer()
}

/// How many rows were accepted; of changes, how many came and went.
fn rows_of(receipt: &Receipt) -> String {
    let rows = |name: &str| {
        let table = receipt.tables.iter().find(|table| table.name == name);
        table.map(|table| table.rows)
    };
    match (rows(PRESENCE), rows(GONE)) {
        (Some(come), Some(gone)) => format!("变更：新报 {come}，撤下 {gone}"),
        (Some(all), None) => all.to_string(),
        (None, _) => String::new(),
    }
}
