//! Commands on a department's data: map, check, submit. In: a file, its mapping, the agreement. Out: a
//! mapping, a quality report, sealed submissions. Invariant: nothing leaves before the mapping fits the
//! agreement and the agreement is in force.
//! Specification: README, "Ten minutes"; docs/OPERATIONS.md.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::exchange::{self, Draft};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_keys::kit_store::KitStore;
use hedui_keys::lock::{KEYED_WARNING, Keyed};
use hedui_protocol::agreement::text::{Dataset, DatasetKind};
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::lock::TagContext;
use hedui_protocol::message::kit::{KIT_BYTES, Kit};
use hedui_protocol::primitive::sha256;

use crate::encode::Encoder;
use crate::intake::{self, Job, Prepared};
use crate::mapping::{Mapping, guess};
use crate::record::{Pseudonyms, Spooled, group};
use crate::source::{self, SourceSpec};
use crate::{quality_report, roll, sealed_file, submit};

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
    /// Gazetteer that the agreement names
    #[arg(long, value_name = "FILE")]
    gazetteer: Option<PathBuf>,
    /// Write the list of cells to correct as a workbook
    #[arg(long, value_name = "FILE.xlsx")]
    report: Option<PathBuf>,
}

/// Options of `submit`.
#[derive(Args)]
pub struct SubmitOptions {
    #[command(flatten)]
    data: DataOptions,
    /// Folder where sealed files are exchanged
    #[arg(long, value_name = "DIR", default_value = "exchange")]
    exchange: PathBuf,
}

/// `map`: look, ask, write.
pub fn map(home: &HomeOptions, console: &Console, options: &MapOptions) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let dataset = agreement.dataset_or_nearest(&options.dataset)?;
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
    files::deliver_bytes(&out, text.as_bytes())?;
    console.say(&format!("已写入 written: {}", out.display()));
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
        console.say(&format!("  {field:16} ← 未找到 not found"));
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

/// `check`: read everything, report, let nothing leave.
pub fn check(home: &HomeOptions, console: &Console, options: &DataOptions) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let work = tempfile::tempdir().map_err(|error| Problem::io("temporary folder", error))?;
    // Pseudonyms of a report mean nothing outside it, so no key file is needed.
    let seed = hedui_keys::identity_file::random::<64>()?;
    let name = agreement.roll().owner.clone();
    let throwaway = Identity::from_seed(name, &seed);
    let mut prepared = prepare(&agreement, &throwaway, options, work.path(), console)?;
    report(&agreement, &mut prepared, options, console)?;
    rejects(&prepared)
}

fn report(
    agreement: &Agreement,
    prepared: &mut Prepared,
    options: &DataOptions,
    console: &Console,
) -> Result<(), Problem> {
    let duplicates = quality_report::duplicates(agreement, prepared)?;
    quality_report::print(console, prepared, &duplicates);
    if let Some(path) = &options.report {
        quality_report::write_workbook(path, prepared, &duplicates)?;
        console.say(&format!("核改明细 cells to correct: {}", path.display()));
    }
    Ok(())
}

/// Exit code 1 where rows were left out or codes not translated.
fn rejects(prepared: &Prepared) -> Result<(), Problem> {
    let (ragged, unknown) = (
        prepared.reading.ragged_count,
        prepared.tally.unknown_facts_count(),
    );
    if ragged + unknown == 0 {
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
    Err(Problem::DoneWithRejects {
        what: format!("{ragged} rows left out{first}, {unknown} values without a translation"),
    })
}

fn prepare(
    agreement: &Agreement,
    identity: &Identity,
    options: &DataOptions,
    work: &Path,
    console: &Console,
) -> Result<Prepared, Problem> {
    let mapping_file = mapping_file(agreement, options, console)?;
    let mapping = Mapping::read(&mapping_file)?;
    let dataset = agreement.dataset_or_nearest(&mapping.dataset)?;
    if let Some(stated) = &options.dataset {
        let stated = agreement.dataset_or_nearest(stated)?;
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
        input: options.input.as_deref(),
        gazetteer: options.gazetteer.as_deref(),
        work,
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
    let dataset = agreement.dataset_or_nearest(dataset)?;
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
    files::deliver_bytes(&written, text.as_bytes())?;
    console.say(&format!(
        "对应表 mapping written: {} (请核对 please check it)",
        written.display()
    ));
    Ok(written)
}

/// `submit`: check, encode, seal.
pub fn submit(
    home: &HomeOptions,
    console: &Console,
    options: &SubmitOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    files::private_folder(&state)?;
    files::sweep(&state);
    std::fs::create_dir_all(&options.exchange).map_err(|e| Problem::io(&options.exchange, e))?;
    let mut prepared = prepare(&agreement, &identity, &options.data, &state, console)?;
    let dataset = prepared.dataset.clone();
    if dataset.owner != identity.card().name {
        return Err(Problem::data(
            format!("dataset `{}` belongs to `{}`", dataset.name, dataset.owner),
            "submit with the owner's key",
        ));
    }
    report(&agreement, &mut prepared, &options.data, console)?;
    console.note(KEYED_WARNING);
    let run = Run {
        home,
        console,
        agreement: &agreement,
        identity: &identity,
        options,
        state: &state,
    };
    match dataset.kind {
        DatasetKind::Roll => run.roll(&mut prepared)?,
        DatasetKind::Register => run.register(&mut prepared)?,
    }
    rejects(&prepared)
}

struct Run<'a> {
    home: &'a HomeOptions,
    console: &'a Console,
    agreement: &'a InForce,
    identity: &'a Identity,
    options: &'a SubmitOptions,
    state: &'a Path,
}

impl Run<'_> {
    /// The roll: kits to every register's owner, and one submission per register.
    fn roll(&self, prepared: &mut Prepared) -> Result<(), Problem> {
        let store = KitStore::new(self.state, self.identity, self.agreement);
        let snapshot = roll::snapshot_path(self.state, self.agreement);
        roll::save(&snapshot, self.identity, prepared)?;
        let mut persons = roll::collect(self.agreement, prepared)?.persons;
        let registers: Vec<Dataset> = self.agreement.registers().cloned().collect();
        let bar = self
            .console
            .progress("编码 encoding", registers.len() as u64);
        for register in &registers {
            let kit = store.get_or_make(register)?;
            self.send_kit(register, &kit)?;
            let name = register.name.as_str();
            persons.sort_by_cached_key(|person| prepared.pseudonyms.handle(name, &person.id));
            self.submit_one(prepared, &register.name, &kit, &mut |take| take(&persons))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.console.say(&format!(
            "已报送名册 roll submitted: {} 条记录 records × {} 部门数据 registers",
            persons.len(),
            registers.len()
        ));
        Ok(())
    }

    /// A register: its kit, one submission, the local handle map.
    fn register(&self, prepared: &mut Prepared) -> Result<(), Problem> {
        let store = KitStore::new(self.state, self.identity, self.agreement);
        let register = prepared.dataset.clone();
        let kit = match store.get(&register)? {
            Some(kit) => kit,
            None => self.receive_kit(&store, &register)?,
        };
        let mut spool =
            std::mem::replace(&mut prepared.spool, crate::spool::Spool::new(self.state)?);
        let facts = register.fact.len();
        let name = register.name.as_str();
        let mut grouped = |take: &mut submit::TakePart<'_>| {
            for part in 0..spool.partitions() {
                let records = spool
                    .records(part)?
                    .iter()
                    .map(|bytes| Spooled::decode(bytes, self.agreement, facts))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| Problem::data(error.to_string(), "report this"))?;
                take(&group(records, |id| prepared.pseudonyms.handle(name, id)))?;
            }
            Ok(())
        };
        let map = handle_map_path(self.state, self.agreement, name);
        sealed_file::write(&map, self.identity, HANDLE_MAP, |put| {
            grouped(&mut |persons: &[_]| {
                persons
                    .iter()
                    .try_for_each(|person: &crate::record::Grouped| {
                        let mut record = prepared.pseudonyms.handle(name, &person.id).0.to_vec();
                        person
                            .rows
                            .iter()
                            .for_each(|row| record.extend_from_slice(&row.to_be_bytes()));
                        put(&record)
                    })
            })
        })?;
        let persons = self.submit_one(prepared, &register.name, &kit, &mut grouped)?;
        self.console.say(&format!(
            "已报送 submitted: {name}, {persons} 条记录 records"
        ));
        Ok(())
    }

    /// Builds and seals one submission; returns the number of records.
    fn submit_one(
        &self,
        prepared: &Prepared,
        register: &Name,
        kit: &Kit,
        parts: &mut submit::Parts<'_>,
    ) -> Result<u64, Problem> {
        let agreement = self.agreement;
        let encoder = Encoder {
            agreement,
            register: register.as_str(),
            context: TagContext::new(
                agreement.digest(),
                agreement.epoch(),
                kit.register,
                kit.register_secret.duplicate(),
            ),
            lock: &Keyed::new(&kit.shared_secret),
            pseudonyms: &prepared.pseudonyms,
            releases: agreement.releases(),
        };
        let dataset = &prepared.dataset.name;
        let built = submit::build(
            &encoder,
            dataset,
            &prepared.mapping.as_of,
            self.state,
            parts,
        )?;
        for (key, count) in agreement.match_keys().iter().zip(&built.too_common_counts) {
            if *count > 0 {
                self.console.note(&format!(
                    "  {register}: {count} 条记录的 `{}` 取值过于集中，不参与比对 records lost this key: its value is too common",
                    key.name
                ));
            }
        }
        let about = if dataset == register {
            dataset.to_string()
        } else {
            format!("{dataset}-for-{register}")
        };
        let draft = Draft {
            kind: MessageType::Submission,
            to: agreement.matcher(),
            about: &about,
            content: built.sha256,
            in_reply_to: None,
        };
        let mut body = built
            .file
            .reopen()
            .map_err(|e| Problem::io(built.file.path(), e))?;
        let folders = (self.state, self.options.exchange.as_path());
        let clock = self.home.clock()?;
        let path = exchange::send(
            self.identity,
            agreement,
            folders,
            &clock,
            &draft,
            &mut body,
            built.body_bytes,
        )?;
        self.console.say(&format!("  → {}", path.display()));
        Ok(built.persons_count)
    }

    /// Sends a register's kit to its owner; the roll owner's own registers need none.
    fn send_kit(&self, register: &Dataset, kit: &Kit) -> Result<(), Problem> {
        if register.owner == self.identity.card().name {
            return Ok(());
        }
        let to = self.agreement.card(&register.owner).ok_or_else(|| {
            Problem::data("the register's owner is no party", "see `agreement show`")
        })?;
        let body = kit.encode();
        let about = format!("{}-epoch-{}", register.name, self.agreement.epoch().0);
        let draft = Draft {
            kind: MessageType::Kit,
            to,
            about: &about,
            content: sha256(&[&body]),
            in_reply_to: None,
        };
        let folders = (self.state, self.options.exchange.as_path());
        let (clock, len) = (self.home.clock()?, body.len() as u64);
        let mut body = std::io::Cursor::new(&body[..]);
        exchange::send(
            self.identity,
            self.agreement,
            folders,
            &clock,
            &draft,
            &mut body,
            len,
        )?;
        Ok(())
    }

    /// Finds this register's kit in the exchange folder and keeps it.
    fn receive_kit(&self, store: &KitStore<'_>, register: &Dataset) -> Result<Kit, Problem> {
        if self.agreement.roll().owner == self.identity.card().name {
            return store.get_or_make(register);
        }
        let me = self.identity.card();
        let found = exchange::addressed_to(&self.options.exchange, &me.name)?;
        for file in found
            .iter()
            .filter(|file| file.header.kind == MessageType::Kit)
        {
            if file.header.agreement != self.agreement.digest() {
                continue;
            }
            let kinds = [MessageType::Kit];
            let mut verified = exchange::verify(&file.path, self.agreement, me, &kinds)?;
            if verified.header().from.0 != self.agreement.roll().owner {
                continue;
            }
            let limit = KIT_BYTES as u64;
            let body = exchange::open_small(&file.path, &mut verified, self.identity, limit)?;
            let kit = Kit::decode(&body).map_err(|r| Problem::refused(&file.path, r))?;
            if kit.register == Agreement::number(register) {
                store.put(register, &kit)?;
                return Ok(kit);
            }
        }
        Err(Problem::not_yet(
            format!(
                "the kit for `{}` is not in {}",
                register.name,
                self.options.exchange.display()
            ),
            format!(
                "ask `{}` to submit the roll first; its kit comes with that",
                self.agreement.roll().owner
            ),
        ))
    }
}

/// Purpose of the sealed handle map.
pub const HANDLE_MAP: &str = "handle map";

/// Path of the handle map of a register.
pub fn handle_map_path(state: &Path, agreement: &InForce, register: &str) -> PathBuf {
    let digits: String = agreement.digest().to_hex().chars().take(16).collect();
    state.join(format!(
        "handles-{register}-{digits}-{}.sealed",
        agreement.epoch().0
    ))
}
