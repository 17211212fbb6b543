//! The matcher's commands: intake, run, worker, status. In: checked arguments. Out: files and text through
//! the console. Invariant: a command composes stages and holds no logic of its own.
//! Specification: README; docs/OPERATIONS.md.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};
use hedui_edge::exchange::{self, Draft};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, console};
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::message::submission::HANDLE_BYTES;
use hedui_protocol::primitive::sha256;
use hedui_protocol::refusal::Refusal;
use rayon::prelude::*;

use crate::block::{self, Blocks};
use crate::cell::{self, Cell};
use crate::evaluation::explanation::{self, ExplainOptions};
use crate::evaluation::{self, EvaluateOptions};
use crate::intake::{Intake, State};
use crate::likeness::{self, Prepared};
use crate::merge::{self, Compared, Merged, merge};
use crate::plan::{Plan, plan};
use crate::purge;
use crate::refine::{self, Round, Weights};

/// 核对中心 | The matcher: takes in encodings, compares them, answers the roll owner
#[derive(Parser)]
#[command(name = "hedui-matcher", version)]
pub struct Arguments {
    #[command(flatten)]
    home: HomeOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 接收 | Take in sealed files; without a file, all that lie in the exchange folder
    Intake(IntakeOptions),
    /// 比对 | Take in what is new, compare, decide, and seal the result for the roll owner
    Run(RunOptions),
    /// 计算单元 | Read cells as lines on stdin, write receipts as lines on stdout
    Worker,
    /// 进度 | Say what was accepted and what is missing
    Status(ExchangeOptions),
    /// 评估 | Precision, recall and F1 of the last run against a file of true pairs
    Evaluate {
        #[command(flatten)]
        exchange: ExchangeOptions,
        #[command(flatten)]
        options: EvaluateOptions,
    },
    /// 说明 | Why a pair was decided as it was: keys, levels and bits, no plaintext
    Explain {
        #[command(flatten)]
        exchange: ExchangeOptions,
        #[command(flatten)]
        options: ExplainOptions,
    },
    /// 清除 | Delete tables past their day, superseded deliveries and old runs
    Purge(ExchangeOptions),
    /// 命令补全 | Print completions for a shell
    Completions {
        /// Shell
        shell: console::Shell,
    },
}

/// Where sealed files are exchanged.
#[derive(Args)]
pub struct ExchangeOptions {
    /// Folder where sealed files are exchanged
    #[arg(long, value_name = "DIR", default_value = "exchange")]
    exchange: PathBuf,
}

#[derive(Args)]
struct IntakeOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Sealed files
    files: Vec<PathBuf>,
}

#[derive(Args)]
struct RunOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Refuse to run while a register of the agreement is missing
    #[arg(long)]
    require_all: bool,
    /// Print the cells that are not done as lines for `worker`, and stop
    #[arg(long)]
    print_cells: bool,
    /// Threads (default: all cores)
    #[arg(long)]
    threads: Option<usize>,
    /// Memory that comparing record filters may take, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 4.0)]
    memory: f64,
}

/// Runs one command.
pub fn run(arguments: Arguments) -> Result<(), Problem> {
    let console = Console {
        json: arguments.home.json,
    };
    let home = &arguments.home;
    match arguments.command {
        Command::Intake(options) => {
            let desk = Desk::open(home, options.exchange.exchange)?;
            let rejected = if options.files.is_empty() {
                desk.intake_all(home, &console)?
            } else {
                desk.intake_files(home, &console, &options.files)?
            };
            finish(rejected)
        }
        Command::Run(options) => compare(home, &console, options),
        Command::Worker => worker(&console),
        Command::Status(options) => {
            let desk = Desk::with(home, options.exchange, State::look(home.state()))?;
            desk.status(&console)
        }
        Command::Evaluate { exchange, options } => {
            let desk = Desk::with(home, exchange.exchange, State::look(home.state()))?;
            evaluation::evaluate(&desk.plan()?, &console, &options)
        }
        Command::Explain { exchange, options } => {
            let desk = Desk::with(home, exchange.exchange, State::look(home.state()))?;
            explanation::explain(&desk.plan()?, &desk.agreement, &console, &options)
        }
        Command::Purge(options) => {
            let desk = Desk::open(home, options.exchange)?;
            desk.purge(home, &console)
        }
        Command::Completions { shell } => {
            console::completions::<Arguments>(shell, "hedui-matcher");
            Ok(())
        }
    }
}

/// The matcher with its agreement, key and state open.
struct Desk {
    agreement: InForce,
    identity: Identity,
    state: State,
    exchange: PathBuf,
}

impl Desk {
    fn open(home: &HomeOptions, exchange: PathBuf) -> Result<Self, Problem> {
        Self::with(home, exchange, State::open(home.state())?)
    }

    fn with(home: &HomeOptions, exchange: PathBuf, state: State) -> Result<Self, Problem> {
        let agreement = home.in_force()?;
        let identity = home.identity()?;
        if identity.card() != agreement.matcher() {
            return Err(Problem::data(
                format!(
                    "`{}` is not the matcher of this agreement",
                    identity.card().name
                ),
                "run with the matcher's --home",
            ));
        }
        if !exchange.is_dir() {
            return Err(Problem::not_yet(
                format!("there is no folder {}", exchange.display()),
                "name the folder in which the departments' sealed files lie: --exchange DIR",
            ));
        }
        Ok(Self {
            agreement,
            identity,
            state,
            exchange,
        })
    }

    /// Takes in stated files; each refusal has its own exit code, so the first one ends the command.
    fn intake_files(
        &self,
        home: &HomeOptions,
        console: &Console,
        files: &[PathBuf],
    ) -> Result<usize, Problem> {
        let (ledger, clock) = (self.state.ledger()?, home.clock()?);
        let intake = self.intake(&ledger, &clock);
        for path in files {
            let manifest = intake.accept(path)?;
            console.say(&format!(
                "已接收 accepted: {} → {}",
                manifest.dataset, manifest.register
            ));
        }
        Ok(0)
    }

    /// Takes in everything new in the exchange folder; refused files are listed and left where they are.
    fn intake_all(&self, home: &HomeOptions, console: &Console) -> Result<usize, Problem> {
        let (ledger, clock) = (self.state.ledger()?, home.clock()?);
        let intake = self.intake(&ledger, &clock);
        let found = exchange::addressed_to(&self.exchange, &self.identity.card().name)?;
        let bar = console.progress("接收 intake", found.len() as u64);
        let mut rejected = 0;
        intake.send_receipts()?;
        for file in found {
            // Answers to refinement requests are read where they are used.
            if file.header.kind == MessageType::RefineAnswer {
                bar.inc(1);
                continue;
            }
            // Seen before: the ordinary case of a second command on the same folder.
            let digest = sha256(&[file.header.render().as_bytes()]);
            if ledger.knows(&digest)? {
                bar.inc(1);
                continue;
            }
            match intake.accept(&file.path) {
                Ok(manifest) => console.say(&format!(
                    "已接收 accepted: {} → {}",
                    manifest.dataset, manifest.register
                )),
                Err(Problem::Refused { place, refusal }) => {
                    rejected += 1;
                    let problem = Problem::Refused { place, refusal };
                    console.note(&format!("{problem} (exit code {})", problem.exit_code()));
                }
                Err(other) => return Err(other),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(rejected)
    }

    fn intake<'a>(
        &'a self,
        ledger: &'a crate::ledger::Ledger,
        clock: &'a hedui_edge::clock::Clock,
    ) -> Intake<'a> {
        Intake {
            identity: &self.identity,
            agreement: &self.agreement,
            state: &self.state,
            ledger,
            exchange: &self.exchange,
            clock,
        }
    }

    /// Deletes what is due and says how much.
    fn purge(&self, home: &HomeOptions, console: &Console) -> Result<(), Problem> {
        let ledger = self.state.ledger()?;
        let done = purge::purge(&self.state, &ledger, &home.clock()?, None)?;
        console.say(&format!(
            "已清除 deleted: {} 份到期或被替代的数据 submissions, {} 次旧比对 runs",
            done.submissions, done.runs
        ));
        console.object(&serde_json::json!({"submissions": done.submissions, "runs": done.runs}));
        Ok(())
    }

    fn plan(&self) -> Result<Plan, Problem> {
        let accepted = self.state.ledger()?.in_force(&self.agreement)?;
        plan(&self.state, &self.agreement, &accepted)
    }

    fn status(&self, console: &Console) -> Result<(), Problem> {
        let plan = self.plan()?;
        let done = plan
            .cells
            .iter()
            .filter(|cell| cell::done(cell).is_some())
            .count();
        for pairing in &plan.pairings {
            console.say(&format!(
                "齐备 ready    {} (截止 as of {})",
                pairing.register, pairing.as_of
            ));
        }
        for (register, side) in &plan.missing {
            console.say(&format!("缺 missing    {register}: {}", side_words(side)));
        }
        console.say(&format!("计算单元 cells: {done} / {}", plan.cells.len()));
        console.object(&serde_json::json!({
            "run": plan.run,
            "ready": plan.pairings.iter().map(|p| &p.register).collect::<Vec<_>>(),
            "missing": plan.missing,
            "cells": plan.cells.len(),
            "cells_done": done,
        }));
        Ok(())
    }

    /// Asks for what the keys leave open and weighs what was answered; who has not answered yet.
    fn refine(
        &self,
        clock: &hedui_edge::clock::Clock,
        console: &Console,
        plan: &Plan,
        compared: &[Compared],
    ) -> Result<(BTreeMap<String, Weights>, BTreeSet<Name>), Problem> {
        let (mut weights, mut waiting) = (BTreeMap::new(), BTreeSet::new());
        if self.agreement.text().refine.is_none() {
            return Ok((weights, waiting));
        }
        let desk = refine::Desk {
            agreement: &self.agreement,
            identity: &self.identity,
            state: &self.state,
            exchange: &self.exchange,
            clock,
            console,
        };
        for (pairing, compared) in plan.pairings.iter().zip(compared) {
            match desk.round(plan, pairing, compared)? {
                Round::Done(found) => {
                    weights.insert(pairing.register.clone(), found);
                }
                Round::Waiting(names) => waiting.extend(names),
            }
        }
        Ok((weights, waiting))
    }

    fn send(&self, home: &HomeOptions, plan: &Plan, merged: &Merged) -> Result<PathBuf, Problem> {
        let owner = &self.agreement.roll().owner;
        let to = self
            .agreement
            .card(owner)
            .ok_or_else(|| Problem::from(Refusal::UnknownSender(owner.to_string())))?;
        let about = format!("run-{}", plan.run.get(..12).unwrap_or(&plan.run));
        let draft = Draft {
            kind: MessageType::Result,
            to,
            about: &about,
            content: merged.sha256,
            in_reply_to: None,
        };
        let mut body = merged
            .file
            .reopen()
            .map_err(|e| Problem::io(merged.file.path(), e))?;
        let folders = (self.state.folder.as_path(), self.exchange.as_path());
        let (clock, len) = (home.clock()?, merged.body_bytes);
        exchange::send(
            &self.identity,
            &self.agreement,
            folders,
            &clock,
            &draft,
            &mut body,
            len,
        )
        .map(|sent| sent.path)
    }
}

fn side_words(side: &str) -> &'static str {
    match side {
        "roll" => "名册未报送 the roll's side",
        "kit" => {
            "双方密钥包不一致 the two sides used different kits: the roll owner restores its state folder or starts \
             a new epoch"
        }
        _ => "部门数据未报送 the register's side",
    }
}

fn compare(home: &HomeOptions, console: &Console, options: RunOptions) -> Result<(), Problem> {
    let desk = Desk::open(home, options.exchange.exchange)?;
    let rejected = desk.intake_all(home, console)?;
    let clock = home.clock()?;
    purge::purge(&desk.state, &desk.state.ledger()?, &clock, None)?;
    let plan = desk.plan()?;
    // Runs of other plans are over: their parts name pairs that are no longer in force.
    purge::purge(
        &desk.state,
        &desk.state.ledger()?,
        &clock,
        Some(&plan.folder),
    )?;
    for (register, side) in &plan.missing {
        console.say(&format!("缺 missing: {register}: {}", side_words(side)));
    }
    if plan.pairings.is_empty() || (options.require_all && !plan.missing.is_empty()) {
        // A refused file is not a missing one: waiting would not help.
        finish(rejected)?;
        return Err(Problem::not_yet(
            format!("{} registers are not complete", plan.missing.len()),
            "wait for their submissions; `hedui-matcher status` lists them",
        ));
    }
    let todo: Vec<&Cell> = plan
        .cells
        .iter()
        .filter(|cell| cell::done(cell).is_none())
        .collect();
    if options.print_cells {
        for cell in todo {
            let line = serde_json::to_string(cell).unwrap_or_default();
            console.data(&line);
        }
        return Ok(());
    }
    let (alike, exact): (Vec<&Cell>, Vec<&Cell>) =
        todo.iter().partition(|cell| cell.likeness.is_some());
    let groups = preflight(&alike, options.memory)?;
    if let Some((likeness, _)) = desk.agreement.likeness() {
        console.note(likeness.notice());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.unwrap_or(0))
        .build()
        .map_err(|error| Problem::data(error.to_string(), "give a smaller --threads"))?;
    run_cells(&pool, console, &exact, cell::run)?;
    for (register, cells) in groups {
        run_alike(&pool, console, &register, &cells)?;
    }
    let compared = merge::compare(&desk.state, &desk.agreement, &plan)?;
    let (weights, waiting) = desk.refine(&clock, console, &plan, &compared)?;
    let merged = merge(&desk.state, &desk.agreement, &plan, (compared, &weights))?;
    let path = desk.send(home, &plan, &merged)?;
    for register in &merged.manifest.registers {
        let title = desk
            .agreement
            .dataset(&register.name)
            .map(Agreement::title_of_dataset);
        console.say(&format!(
            "{}: 匹配 matches {}, 待核实 review {}, 身份矛盾 conflicts {}",
            title.unwrap_or_default(),
            register.matches,
            register.reviews,
            register.conflicts
        ));
    }
    if !waiting.is_empty() {
        let names: Vec<&str> = waiting.iter().map(Name::as_str).collect();
        console.say(&format!(
            "细化比对待答复 refinement waits for {}: 各方执行 each runs `hedui-agent refine`, 然后再次比对 then run this again; \
             此结果未经细化 this result is by match keys alone there",
            names.join(", ")
        ));
    }
    console.say(&format!("结果 result: {}", path.display()));
    console.object(&serde_json::json!({
        "run": plan.run,
        "cells": plan.cells.len(),
        "cells_run": todo.len(),
        "registers": merged.manifest.registers,
        "missing": plan.missing,
        "rejected": rejected,
        "refined": weights.keys().collect::<Vec<_>>(),
        "refinement_waits_for": waiting,
        "result": path,
    }));
    finish(rejected)
}

/// Cells of similarity joins by register, once it is known that each register's filters fit the memory.
fn preflight<'c>(
    cells: &[&'c Cell],
    gibibytes: f64,
) -> Result<BTreeMap<String, Vec<&'c Cell>>, Problem> {
    let mut groups: BTreeMap<String, Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        groups.entry(cell.register.clone()).or_default().push(cell);
    }
    for (register, cells) in &groups {
        let Some((cell, bound)) = cells.iter().find_map(|c| Some((c, c.likeness.as_ref()?))) else {
            continue;
        };
        let width = HANDLE_BYTES as u64 + u64::from(bound.bits) / 8;
        let rows = |path: &Path| -> Result<u64, Problem> {
            let meta = std::fs::metadata(path).map_err(|error| Problem::io(path, error))?;
            Ok(meta.len() / width)
        };
        let rows = (rows(&cell.left)?, rows(&cell.right)?);
        let needed = match bound.within {
            Some(_) => block::memory_bytes(rows, bound.bits),
            None => likeness::memory_bytes(rows, bound.bits),
        };
        let needed = needed as f64 / f64::from(1 << 30);
        if needed > gibibytes {
            return Err(Problem::data(
                format!(
                    "`{register}`: comparing {} by {} filters takes {needed:.1} GiB, the bound is {gibibytes}",
                    rows.0, rows.1
                ),
                "give more with --memory, or a smaller register; nothing was compared",
            ));
        }
    }
    Ok(groups)
}

/// Runs one register's similarity join; its tables are loaded once.
fn run_alike(
    pool: &rayon::ThreadPool,
    console: &Console,
    register: &str,
    cells: &[&Cell],
) -> Result<(), Problem> {
    let Some((first, bound)) = cells.iter().find_map(|c| Some((c, c.likeness.as_ref()?))) else {
        return Ok(());
    };
    console.say(&format!(
        "整条记录相似度比对 comparing record filters: {register}"
    ));
    if bound.within.is_some() {
        let blocks = Blocks::load(first, bound)?;
        return run_cells(pool, console, cells, |cell| {
            match cell.likeness.as_ref().map(|bound| (bound, &bound.within)) {
                Some((bound, Some(tables))) => blocks.run(cell, bound, tables),
                _ => cell::run(cell),
            }
        });
    }
    let prepared = pool.install(|| Prepared::load(first, bound))?;
    let (prepared, console) = (&prepared, console);
    pool.install(|| {
        prepared.with_join(|join| {
            run_cells(pool, console, cells, |cell| match &cell.likeness {
                Some(bound) => prepared.run(join, cell, bound),
                None => cell::run(cell),
            })
        })
    })
}

/// Runs cells on all cores; the first problem stops the rest, finished cells stay finished.
fn run_cells(
    pool: &rayon::ThreadPool,
    console: &Console,
    cells: &[&Cell],
    work: impl Fn(&Cell) -> Result<cell::Receipt, Problem> + Sync,
) -> Result<(), Problem> {
    let bar = console.progress("比对 comparing", cells.len() as u64);
    let stop = AtomicBool::new(false);
    let result = pool.install(|| {
        cells.par_iter().try_for_each(|cell| {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let run = work(cell).map(|_| bar.inc(1));
            run.inspect_err(|_| stop.store(true, Ordering::Relaxed))
        })
    });
    bar.finish_and_clear();
    result
}

/// `worker`: cells in, receipts out, one per line; an engine's tasks call nothing else.
fn worker(console: &Console) -> Result<(), Problem> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Problem::io("stdin", error))?;
        if line.trim().is_empty() {
            continue;
        }
        let cell: Cell = serde_json::from_str(&line)
            .map_err(|error| Problem::from(Refusal::malformed("cell", error)))?;
        let receipt = cell::run(&cell)?;
        console.data(&serde_json::to_string(&receipt).unwrap_or_default());
    }
    Ok(())
}

fn finish(rejected: usize) -> Result<(), Problem> {
    if rejected == 0 {
        return Ok(());
    }
    Err(Problem::DoneWithRejects {
        what: format!("{rejected} files were refused"),
    })
}
