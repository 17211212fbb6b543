//! Commands on a department's data before anything leaves: map, check. In: a file, its mapping, the agreement.
//! Out: a mapping, a quality report, a prepared dataset. Invariant: a dataset is read only with a mapping that
//! fits the agreement.
//! Specification: README, "Ten minutes"; docs/OPERATIONS.md.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::identity::Identity;

use crate::intake::{self, Job, Prepared};
use crate::mapping::{Mapping, guess};
use crate::quality_report;
use crate::record::Pseudonyms;
use crate::rehearsal::{self, Rehearsal};
use crate::risk::{self, Structure};
use crate::source::{self, SourceSpec};

/// Options of `map`.
#[derive(Args)]
pub struct MapOptions {
    /// The department's file
    file: PathBuf,
    /// Dataset of the agreement that it delivers
    #[arg(long)]
    dataset: String,
    /// Where to write the mapping (default: beside the file, NAME.map.toml)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Text encoding, if it is not found out rightly
    #[arg(long)]
    encoding: Option<String>,
    /// Delimiter, if it is not found out rightly
    #[arg(long)]
    delimiter: Option<String>,
    /// Sheet of a workbook
    #[arg(long)]
    sheet: Option<String>,
    /// Row of the column names
    #[arg(long, default_value_t = 1)]
    header_row: u64,
    /// Replace a mapping that exists
    #[arg(long)]
    replace: bool,
    /// Take the proposals without asking
    #[arg(long)]
    yes: bool,
}

/// Options that name a dataset's mapping and files.
#[derive(Args)]
pub struct DataOptions {
    /// Mapping file, or a data file that explains itself
    mapping: PathBuf,
    /// Dataset, where a data file is given instead of a mapping
    #[arg(long)]
    dataset: Option<String>,
    /// Read this file instead of the one in the mapping
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Read this file of changes to the last delivery: what was added, changed, withdrawn ([changes] in the mapping)
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    pub(super) changes: Option<PathBuf>,
    /// Day for which the data hold, instead of the mapping's `as_of`
    #[arg(long, value_name = "DAY")]
    pub(super) as_of: Option<String>,
    /// Gazetteer that the agreement names
    #[arg(long, value_name = "FILE")]
    gazetteer: Option<PathBuf>,
    /// Write the list of cells to correct as a workbook
    #[arg(long, value_name = "FILE.xlsx")]
    report: Option<PathBuf>,
}

/// `map`: look, ask, write.
pub fn map(home: &HomeOptions, console: &Console, options: &MapOptions) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let dataset = super::dataset_named(&agreement, &options.dataset)?;
    let mut spec = SourceSpec::of_file(&options.file);
    spec.encoding.clone_from(&options.encoding);
    spec.delimiter.clone_from(&options.delimiter);
    spec.sheet.clone_from(&options.sheet);
    spec.header_row = options.header_row;
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| options.file.with_extension("map.toml"));
    let text = propose(
        &agreement,
        dataset,
        &options.file,
        &mut spec,
        &out,
        console,
        !options.yes,
    )?;
    if out.exists() && !options.replace {
        return Err(Problem::data(
            format!("{} exists already", out.display()),
            "a corrected mapping is not overwritten: give --replace, or another --out",
        ));
    }
    files::deliver_bytes(&out, text.as_bytes())?;
    console.say(&format!("已写入 written: {}", out.display()));
    if !text.lines().any(|line| line.starts_with("[field.")) {
        console.note(
            "没有识别出任何字段；表头不在第 1 行的，请加 --header-row N no field was found: if the columns' names are not in row 1, say \
             --header-row N",
        );
    }
    console.say(&format!("下一步 next: hedui-agent check {}", out.display()));
    Ok(())
}

/// A mapping's text for a file, with questions on a terminal where something was not found.
fn propose(
    agreement: &Agreement,
    dataset: &Dataset,
    file: &Path,
    spec: &mut SourceSpec,
    out: &Path,
    console: &Console,
    ask: bool,
) -> Result<String, Problem> {
    let mut rows = Vec::new();
    let reading = source::read_some(file, spec, guess::SAMPLE_ROWS, &mut |batch| {
        rows.extend(batch);
        Ok(())
    })?;
    let mut found = guess::guess(agreement, &reading.columns, &rows);
    console.say(&format!("{}: {}", file.display(), reading.found));
    for (field, columns) in &found.fields {
        console.say(&format!("  {field:16} ← {}", columns.join(" + ")));
    }
    if ask && std::io::stdin().is_terminal() {
        for field in found.missing.clone() {
            let question =
                format!("字段 field `{field}` 用哪一列 which column? (回车跳过 Enter to skip) ");
            if let Some(column) = ask_for(&question, &reading.columns)? {
                found.missing.retain(|name| *name != field);
                found.fields.insert(field, vec![column]);
            }
        }
    }
    for field in &found.missing {
        let why = found
            .doubts
            .get(field)
            .map_or("未找到 not found", String::as_str);
        console.say(&format!("  {field:16} ← {why}"));
    }
    // The mapping finds its file from its own folder.
    if out.parent() == file.parent() {
        spec.file = file
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
    } else if let Ok(absolute) = std::path::absolute(file) {
        spec.file = absolute.to_string_lossy().into_owned();
    }
    Ok(guess::render(dataset, spec, &reading, &found))
}

fn ask_for(question: &str, columns: &[String]) -> Result<Option<String>, Problem> {
    let wrap = |error| Problem::io("terminal", error);
    loop {
        let mut err = std::io::stderr();
        err.write_all(question.as_bytes())
            .and_then(|()| err.flush())
            .map_err(wrap)?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(wrap)?;
        let answer = line.trim();
        if answer.is_empty() {
            return Ok(None);
        }
        if columns.iter().any(|column| column == answer) {
            return Ok(Some(answer.to_owned()));
        }
        writeln!(
            err,
            "  没有这一列 there is no such column: {}",
            columns.join(" | ")
        )
        .map_err(wrap)?;
    }
}

/// Options of `rehearse`.
#[derive(Args)]
pub struct RehearseOptions {
    /// The department's mapping; of its data file only the head is read
    mapping: PathBuf,
    /// Words that all parties of this practice have agreed on
    #[arg(long, value_name = "WORDS")]
    seed: String,
    /// Rows to invent
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rows: u64,
    /// Folder for the invented file and its mapping
    #[arg(long, value_name = "DIR", default_value = "rehearsal")]
    out: PathBuf,
}

/// `rehearse`: invented persons in the department's own columns.
pub fn rehearse(
    home: &HomeOptions,
    console: &Console,
    options: &RehearseOptions,
) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let mapping = Mapping::read(&options.mapping)?;
    let rehearsal = Rehearsal {
        agreement: &agreement,
        mapping: &mapping,
        mapping_file: &options.mapping,
        seed: &options.seed,
        rows: options.rows,
    };
    let written = rehearsal::write(&rehearsal, &options.out)?;
    console.say(&format!(
        "{} 行虚构数据 invented rows → {}\n下一步 next: hedui-agent check {}",
        options.rows,
        options.out.display(),
        written.display()
    ));
    console.object(&serde_json::json!({ "rows": options.rows, "mapping": written }));
    Ok(())
}

/// Options of `check`.
#[derive(Args)]
pub struct CheckOptions {
    #[command(flatten)]
    data: DataOptions,
    /// Also say how many records stand alone by the pattern of their encodings
    #[arg(long)]
    risk: bool,
}

/// `check`: read everything, report, let nothing leave.
pub fn check(
    home: &HomeOptions,
    console: &Console,
    CheckOptions {
        data: options,
        risk: asked,
    }: &CheckOptions,
) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let work = tempfile::tempdir().map_err(|error| Problem::io("temporary folder", error))?;
    // Pseudonyms of a report mean nothing outside it, so no key file is needed.
    let seed = hedui_keys::identity_file::random::<64>()?;
    let name = agreement.roll().owner.clone();
    let throwaway = Identity::from_seed(name, &seed);
    let mut prepared = prepare(home, &agreement, &throwaway, options, work.path(), console)?;
    report(&agreement, &mut prepared, options, *asked, console)?;
    rejects(&prepared)
}

/// Quality of the data, and, if `risk` is set or the agreement requires it, how far its records can be told apart without a key.
///
/// # Errors
/// Refused if more records stand alone than the agreement allows, or if there are too many to look at them as it requires.
pub(super) fn report(
    agreement: &Agreement,
    prepared: &mut Prepared,
    options: &DataOptions,
    risk: bool,
    console: &Console,
) -> Result<(), Problem> {
    let duplicates = quality_report::duplicates(agreement, prepared)?;
    // Few rows always stand alone: what counts is the whole delivery, which was looked at.
    let whole = options.changes.is_none();
    let required = agreement.text().alone_permille_max.filter(|_| whole);
    let structure = if risk || required.is_some() {
        let cap = agreement.text().multiplicity_cap as usize;
        risk::patterns(agreement, prepared)?.map(|rows| Structure::of(&rows, cap))
    } else {
        None
    };
    quality_report::print(console, prepared, &duplicates, structure.as_ref());
    if let Some(path) = &options.report {
        quality_report::write_workbook(path, prepared, &duplicates)?;
        console.say(&format!("核改明细 cells to correct: {}", path.display()));
    }
    if risk && agreement.likeness().is_some() {
        console
            .say("整条记录滤波器另有风险 record filters are another matter: docs/KNOWN_ATTACKS.md");
    }
    let dataset = &prepared.dataset.name;
    match (required, structure) {
        (Some(max), Some(found)) if found.alone_permille() > u64::from(max) => Err(Problem::data(
            format!(
                "`{dataset}`: {} of 1000 records stand alone by their pattern, the agreement allows {max}",
                found.alone_permille()
            ),
            "nothing was sent; tell whoever drafted the agreement: match keys that few records have, or the bound, must change",
        )),
        (Some(_), None) => Err(Problem::data(
            format!(
                "`{dataset}` has more than {} records: too many for the check that the agreement requires",
                risk::RECORDS_MAX
            ),
            "nothing was sent; tell whoever drafted the agreement: `alone_permille_max` cannot be checked for so large a dataset",
        )),
        _ => Ok(()),
    }
}

/// Exit code 1 where rows were left out, or codes, dates or numbers not understood.
pub(super) fn rejects(prepared: &Prepared) -> Result<(), Problem> {
    let (ragged, unknown) = (
        prepared.reading.ragged_count,
        prepared.tally.unknown_facts_count(),
    );
    let unauthorised = prepared.tally.unauthorised_count();
    if ragged + unknown + unauthorised == 0 {
        return Ok(());
    }
    let rows: Vec<String> = prepared
        .reading
        .ragged_rows
        .iter()
        .take(5)
        .map(u64::to_string)
        .collect();
    let first = if rows.is_empty() {
        String::new()
    } else {
        format!(" (rows {} …)", rows.join(", "))
    };
    let columns: Vec<String> = prepared
        .tally
        .unknown_facts()
        .map(|(fact, columns, count)| format!("{fact}（{columns}）: {count}"))
        .collect();
    let mut what = format!(
        "{ragged} rows left out{first}, {unknown} values without a translation or unreadable"
    );
    if unknown > 0 {
        what.push_str(&format!(" ({})", columns.join(", ")));
    }
    if unauthorised > 0 {
        let rows: Vec<String> = prepared
            .tally
            .unauthorised
            .iter()
            .take(5)
            .map(|(_, row)| row.to_string())
            .collect();
        what.push_str(&format!(
            "; 无有效授权、未予核对 without a valid authorisation, not delivered: {unauthorised} (rows {} …)",
            rows.join(", ")
        ));
    }
    Err(Problem::DoneWithRejects { what })
}

pub(super) fn prepare(
    home: &HomeOptions,
    agreement: &Agreement,
    identity: &Identity,
    options: &DataOptions,
    work: &Path,
    console: &Console,
) -> Result<Prepared, Problem> {
    let mapping_file = mapping_file(agreement, options, console)?;
    let mut mapping = Mapping::read(&mapping_file)?;
    if let Some(day) = &options.as_of {
        mapping.as_of.clone_from(day);
    }
    let dataset = agreement.dataset_or_nearest(&mapping.dataset)?;
    if let Some(stated) = &options.dataset {
        let stated = super::dataset_named(agreement, stated)?;
        if stated.name != dataset.name {
            return Err(Problem::data(
                format!(
                    "{} is for dataset `{}`",
                    mapping_file.display(),
                    dataset.name
                ),
                format!(
                    "leave out --dataset, or make a mapping for `{}`",
                    stated.name
                ),
            ));
        }
    }
    let pseudonyms = Pseudonyms::new(identity, agreement, dataset.name.as_str());
    let job = Job {
        agreement,
        mapping_file: &mapping_file,
        mapping,
        input: options.changes.as_deref().or(options.input.as_deref()),
        of_changes: options.changes.is_some(),
        gazetteer: options.gazetteer.as_deref(),
        work,
        today: home.clock()?.today().replace('-', "").parse().unwrap_or(0),
    };
    intake::prepare(job, pseudonyms, console)
}

/// The mapping file; for a data file whose columns explain themselves one is written beside it.
fn mapping_file(
    agreement: &Agreement,
    options: &DataOptions,
    console: &Console,
) -> Result<PathBuf, Problem> {
    let given = &options.mapping;
    if given.extension().is_some_and(|ending| ending == "toml") || !given.exists() {
        return Ok(given.clone());
    }
    let written = given.with_extension("map.toml");
    if written.exists() {
        let named = Mapping::read(&written)?.source_path(&written);
        if std::fs::canonicalize(&named).ok() != std::fs::canonicalize(given).ok() {
            return Err(Problem::data(
                format!(
                    "{} is for {}, not for {}",
                    written.display(),
                    named.display(),
                    given.display()
                ),
                format!(
                    "give the mapping and --input {}, or move the mapping away so that a new one is made",
                    given.display()
                ),
            ));
        }
        console.say(&format!(
            "用已有的对应表 using the mapping {}",
            written.display()
        ));
        return Ok(written);
    }
    let dataset = options.dataset.as_deref().ok_or_else(|| {
        Problem::usage(
            "a data file was given without saying which dataset it is",
            "add --dataset NAME, or give the mapping file",
        )
    })?;
    let dataset = super::dataset_named(agreement, dataset)?;
    if !dataset.fact.is_empty() {
        return Err(Problem::data(
            format!(
                "dataset `{}` delivers facts, whose codes only you know",
                dataset.name
            ),
            format!(
                "hedui-agent map {} --dataset {}",
                given.display(),
                dataset.name
            ),
        ));
    }
    let mut spec = SourceSpec::of_file(given);
    let text = propose(
        agreement, dataset, given, &mut spec, &written, console, true,
    )?;
    if !text.lines().any(|line| line.starts_with("columns = [")) {
        return Err(Problem::data(
            format!("{}: no column explains itself", given.display()),
            format!(
                "if the column names stand in another row: hedui-agent map {} --dataset {} --header-row N",
                given.display(),
                dataset.name
            ),
        ));
    }
    files::deliver_bytes(&written, text.as_bytes())?;
    console.say(&format!(
        "对应表 mapping written: {} (请核对 please check it)",
        written.display()
    ));
    Ok(written)
}
