//! Commands that write or read files: sheets, draws, reports, feedback. In: the book, a sheet, a list of units. Out: files
//! that appear whole. Invariant: a sheet that was read is kept in the desk's folder under its digest before anything of
//! it is recorded. Specification: docs/DESK.md, "Township sheets", "Spot checks", "Reports".

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets};
use hedui_edge::cells::harmless;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::primitive::{hex, sha256};

use super::DeskOptions;
use crate::case::Case;
use crate::event::Body;
use crate::feedback;
use crate::report;
use crate::sample::{self, Stratum};
use crate::sheet;
use crate::units;
use crate::words::Stage;

/// Options of `export`.
#[derive(Args)]
pub struct ExportOptions {
    /// Township
    #[arg(long)]
    township: String,
    /// Workbook to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `export`.
pub fn export(
    options: &DeskOptions,
    console: &Console,
    command: &ExportOptions,
) -> Result<(), Problem> {
    let mut desk = options.open()?;
    let stages = [Stage::Assigned, Stage::Accepted, Stage::Visited];
    let cases: Vec<&Case> = desk
        .book
        .cases
        .values()
        .filter(|case| case.new.township == command.township && stages.contains(&case.stage))
        .collect();
    if cases.is_empty() {
        return Err(Problem::not_yet(
            format!(
                "{}: 没有在办线索 no case is with this township",
                command.township
            ),
            "先用 `hedui-desk assign` 交办 hand cases down with `hedui-desk assign`",
        ));
    }
    let today = options.today()?;
    let bytes = sheet::make(&command.township, &cases, &desk.book.terms, today.as_str())
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    let count = cases.len() as u64;
    let actor = options.actor(&desk)?;
    files::deliver_bytes(&command.out, &bytes)?;
    desk.session(&actor, |session| {
        session.must(Body::SheetMade {
            township: command.township.clone(),
            cases: count,
            digest: hex(&sha256(&[&bytes])),
        })
    })?;
    console.say(&format!(
        "{} 件 cases → {}\n含个人信息，交接请登记 it holds personal data: note to whom it is handed",
        count,
        command.out.display()
    ));
    console.object(&serde_json::json!({ "cases": count, "file": command.out }));
    Ok(())
}

/// Options of `import`.
#[derive(Args)]
pub struct ImportOptions {
    /// Filled-in workbook
    file: PathBuf,
    /// Take this case's row in spite of a conflict (repeat)
    #[arg(long, value_name = "NUMBER")]
    take: Vec<String>,
}

/// `import`.
pub fn import(
    options: &DeskOptions,
    console: &Console,
    command: &ImportOptions,
) -> Result<(), Problem> {
    let mut desk = options.open()?;
    let bytes = files::read_state(&command.file)?;
    let filled = sheet::read(&bytes).map_err(|why| {
        Problem::data(
            format!("{}: {why}", command.file.display()),
            "请交回 `hedui-desk export` 发出的核查表 hand back the workbook that `hedui-desk export` made",
        )
    })?;
    let actor = options.actor(&desk)?;
    let mut forced = BTreeSet::new();
    for number in &command.take {
        forced.insert(desk.book.find(number)?.number().to_owned());
    }
    let (digest, _) = super::work::keep(options, &bytes)?;
    let report = sheet::take(&mut desk, &actor, filled, &digest, &forced)?;
    let conflicts = report.troubles.iter().filter(|t| t.conflict).count();
    console.say(&format!(
        "已登记 recorded: {} 行，无新内容 nothing new: {}，未采用 not taken: {}，冲突 conflicts: {conflicts}",
        report.applied,
        report.known,
        report.troubles.len() - conflicts
    ));
    let rows: Vec<serde_json::Value> = report
        .troubles
        .iter()
        .map(|t| {
            serde_json::json!({
                "sheet": t.sheet, "row": t.row, "what": t.what, "why": t.why, "conflict": t.conflict,
            })
        })
        .collect();
    console.object(&serde_json::json!({
        "recorded": report.applied, "nothing_new": report.known, "troubles": rows, "kept_as": digest,
    }));
    if report.troubles.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = report
        .troubles
        .iter()
        .map(|t| {
            let kind = if t.conflict {
                "冲突 conflict"
            } else {
                "未采用 not taken"
            };
            format!(
                "{kind}: {} 第 {} 行 row {}, {}: {}",
                t.sheet, t.row, t.row, t.what, t.why
            )
        })
        .collect();
    Err(Problem::DoneWithRejects {
        what: format!(
            "{}\n原表已保存，改正后重新收表，已登记的不会重复；冲突行用 --take 编号 采用乡镇所填 the sheet is kept; correct and read it \
             again, what is recorded is not recorded twice; --take NUMBER takes a row in conflict",
            lines.join("\n")
        ),
    })
}

/// Options of `draw`.
#[derive(Args)]
pub struct DrawOptions {
    /// units.csv of `hedui-agent results`
    units: PathBuf,
    /// Published seed: any text that nobody could choose, such as a lottery's number of a day fixed before
    #[arg(long)]
    seed: String,
    /// Stratum: `column=value:100%`, `column>=value:50%`, `rest:30%`, with a label before it or without: `备案对象:filed=yes:100%`
    /// (repeat, the first that fits counts)
    #[arg(long = "stratum", value_name = "STRATUM", default_value = "rest:30%")]
    strata: Vec<String>,
    /// Units that are drawn besides because most registers hold somebody of theirs
    #[arg(long, value_name = "N", default_value_t = 0)]
    risk: u32,
    /// List to write, CSV
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `draw`.
pub fn draw(
    options: &DeskOptions,
    console: &Console,
    command: &DrawOptions,
) -> Result<(), Problem> {
    if command.seed.trim().chars().count() < 6 {
        return Err(Problem::usage(
            "种子过短 the seed is too short",
            "请用事先公布、无人能选定的文字 take a published text that nobody could choose",
        ));
    }
    let mut desk = options.open()?;
    let (list, digest) = units::read(&command.units)?;
    let strata = Stratum::read_all(&command.strata)?;
    for stratum in &strata {
        if let Some(column) = &stratum.column
            && !list.iter().any(|unit| unit.columns.contains_key(column))
        {
            return Err(Problem::usage(
                format!("救助单元清单没有这一列 the list of units has no column {column}"),
                "分层用的列须在名册字段对应表的 [local] 中 the roll's mapping must have it under [local]",
            ));
        }
    }
    let drawn = sample::draw(
        &list,
        &desk.book.busy(),
        command.seed.trim(),
        &digest,
        &strata,
        command.risk,
    );
    let actor = options.actor(&desk)?;
    let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    writer
        .write_record(["抽中方式", "乡镇", "村（社区）", "救助单元"])
        .map_err(failed)?;
    for unit in &drawn.drawn {
        let stratum = strata.iter().find(|stratum| stratum.name() == unit.stratum);
        let how = stratum.map_or_else(|| "按风险抽取".to_owned(), Stratum::words);
        writer
            .write_record([how.as_str(), &unit.township, &unit.village, &unit.unit].map(harmless))
            .map_err(failed)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    files::deliver_bytes(&command.out, &bytes)?;
    let counts = drawn.counts.clone();
    let total = drawn.drawn.len();
    desk.session(&actor, |session| session.must(Body::Drawn { draw: drawn }))?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["分层 stratum", "户数 units", "抽中 drawn"]);
    for (name, (of, taken)) in &counts {
        let stratum = strata.iter().find(|stratum| stratum.name() == *name);
        let words = stratum.map_or_else(|| name.clone(), Stratum::words);
        table.add_row([words, of.to_string(), taken.to_string()]);
    }
    console.say(&table.to_string());
    console.say(&format!(
        "共抽中 drawn in all: {total} → {}",
        command.out.display()
    ));
    console.object(&serde_json::json!({ "drawn": total, "strata": counts, "list_sha256": digest, "seed": command.seed.trim() }));
    Ok(())
}

/// Options of `report`.
#[derive(Args)]
pub struct ReportOptions {
    /// Folder to write into
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,
    /// Only cases that began in this period
    #[arg(long)]
    period: Option<String>,
}

/// `report`.
pub fn report(
    options: &DeskOptions,
    console: &Console,
    command: &ReportOptions,
) -> Result<(), Problem> {
    let desk = options.open()?;
    let today = options.today()?;
    if let Some(period) = &command.period
        && !desk.book.taken.iter().any(|taken| taken.period == *period)
    {
        let known: Vec<&str> = desk
            .book
            .taken
            .iter()
            .map(|taken| taken.period.as_str())
            .collect();
        return Err(Problem::usage(
            format!("没有这一期 no such period: {period}"),
            format!("已有各期 periods: {}", known.join(", ")),
        ));
    }
    let source = report::Source {
        book: &desk.book,
        today: &today,
        period: command.period.as_deref(),
        head: desk.head(),
    };
    let written = report::write(&command.out, &source)?;
    console.say(&format!(
        "{}: {}",
        command.out.display(),
        written.join("、")
    ));
    console.object(&serde_json::json!({ "folder": command.out, "files": written }));
    Ok(())
}

/// `feedback`.
pub fn feedback(options: &DeskOptions, console: &Console) -> Result<(), Problem> {
    let desk = options.open()?;
    let feedback = feedback::of(&desk.book);
    let groups = [
        ("问题类别 category", &feedback.categories),
        ("规则 rule", &feedback.rules),
        ("比对数据 register", &feedback.registers),
        (
            "匹配依据（同一人比例）match keys (right person)",
            &feedback.keys,
        ),
    ];
    for (title, shares) in groups {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([title, "属实比例（95% 可信范围） share"]);
        for (name, share) in shares {
            table.add_row([name.clone(), share.text()]);
        }
        console.say(&table.to_string());
    }
    for proposal in &feedback.proposals {
        console.say(&format!(
            "建议 proposal: {}\n  {}",
            proposal.zh, proposal.en
        ));
    }
    if feedback.proposals.is_empty() {
        console.say(&format!(
            "暂无建议（每项满 {} 件才提出） no proposal; none is made from fewer than {} cases",
            feedback::CASES_MIN,
            feedback::CASES_MIN
        ));
    }
    console.object(&feedback);
    Ok(())
}
