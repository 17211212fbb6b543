//! A run: from what was accepted to a sealed result. In: the desk. Out: parts with receipts, the result's body, its envelope.
//! Invariant: what is decided is a function of accepted tables, answers and agreement; threads, order and interruptions do not show.
//! `replay` calls the same `work`. Specification: protocol/SPEC.md, "Decision", "Refinement".

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use hedui_edge::clock::Clock;
use hedui_edge::exchange::{self, Draft};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::PartyCard;
use hedui_protocol::ids::Name;
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::message::submission::HANDLE_BYTES;
use hedui_protocol::refusal::Refusal;
use rayon::prelude::*;

use crate::block::{self, Blocks};
use crate::cell::{self, Cell};
use crate::command::{ExchangeOptions, finish};
use crate::desk::Desk;
use crate::likeness::{self, Prepared};
use crate::merge::{self, Compared, Merged, merge};
use crate::plan::Plan;
use crate::purge;
use crate::refine::{self, Round, Weights};

/// What a run may take of the machine.
#[derive(Args)]
pub struct Bounds {
    /// Threads (default: all cores)
    #[arg(long)]
    threads: Option<usize>,
    /// Memory that comparing record filters may take, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 4.0)]
    memory: f64,
}

/// Options of `run`.
#[derive(Args)]
pub struct RunOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Refuse to run while a register of the agreement is missing
    #[arg(long)]
    require_all: bool,
    /// Print the cells that are not done as lines for `worker`, and stop
    #[arg(long)]
    print_cells: bool,
    #[command(flatten)]
    bounds: Bounds,
}

/// What a run decides.
pub struct Decided {
    /// The result's body.
    pub merged: Merged,
    /// Match weights of the registers that were refined.
    weights: BTreeMap<String, Weights>,
    /// Who has not answered yet.
    waiting: BTreeSet<Name>,
}

impl Desk {
    /// Asks for what the keys leave open and weighs what was answered; who has not answered yet.
    fn refine(
        &self,
        clock: &Clock,
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
        let about = format!("run-{}", plan.run.get(..12).unwrap_or(&plan.run));
        let mut body = merged
            .file
            .reopen()
            .map_err(|e| Problem::io(merged.file.path(), e))?;
        let draft = Draft {
            kind: MessageType::Result,
            to: self.card(&self.agreement.roll().owner)?,
            about: &about,
            content: merged.sha256,
            in_reply_to: None,
        };
        self.send_logged(home, &draft, &mut body, merged.body_bytes)
    }

    /// A party's card.
    pub(crate) fn card(&self, party: &Name) -> Result<&PartyCard, Problem> {
        let card = self.agreement.card(party);
        card.ok_or_else(|| Refusal::UnknownSender(party.to_string()).into())
    }

    /// Seals a message that the log then calls sent.
    pub(crate) fn send_logged(
        &self,
        home: &HomeOptions,
        draft: &Draft<'_>,
        body: &mut (impl Read + Seek),
        len: u64,
    ) -> Result<PathBuf, Problem> {
        let folders = (self.state.folder.as_path(), self.exchange.as_path());
        let clock = home.clock()?;
        let ledger = self.state.ledger()?;
        let now = clock.now();
        let log = self.log(ledger, &now);
        log.publish()?;
        let (identity, agreement) = (&self.identity, &self.agreement);
        let sent = exchange::send(identity, agreement, folders, &clock, draft, body, len)?;
        let (event, header_sha256) = (Event::Sent, sent.header_sha256);
        ledger.note(
            agreement,
            &Entry {
                event,
                header_sha256,
            },
        )?;
        log.publish()?;
        Ok(sent.path)
    }
}

/// Which side of a register is missing, for people.
pub fn side_words(side: &str) -> &'static str {
    match side {
        "roll" => {
            "名册未报送，或已按期删除（请其加 --again 重新报送） the roll's side; if it was deleted on its day, its owner delivers it anew with --again"
        }
        "kit" => {
            "双方密钥包不一致 the two sides used different kits: the roll owner restores its state folder or starts \
             a new epoch"
        }
        _ => {
            "部门数据未报送，或已按期删除（请其加 --again 全量重新报送） the register's side; if it was deleted on its day, its owner delivers it \
             whole with --again"
        }
    }
}

/// `run`: takes in, compares, decides, seals.
pub fn compare(home: &HomeOptions, console: &Console, options: RunOptions) -> Result<(), Problem> {
    let desk = Desk::open(home, options.exchange.exchange)?;
    let rejected = desk.intake_all(home, console)?;
    let clock = home.clock()?;
    purge::purge(&desk.state, desk.state.ledger()?, &clock, None)?;
    let plan = desk.plan()?;
    // Runs of other plans are over: their parts name pairs that are no longer in force.
    let mut keep = plan.parts.clone();
    keep.insert(plan.folder.clone());
    purge::purge(&desk.state, desk.state.ledger()?, &clock, Some(&keep))?;
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
    let Decided {
        merged,
        weights,
        waiting,
    } = work(&desk, &clock, console, (&plan, &todo), &options.bounds)?;
    let path = desk.send(home, &plan, &merged)?;
    // Where a refinement round is to come, pairs are still open: nobody is told yet who was not found.
    let rounds = desk.agreement.text().refine.is_some();
    let is_final = |register: &Name| !rounds || weights.contains_key(register.as_str());
    let told = desk.send_own_results(home, &plan, &merged, is_final)?;
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
    if !told.is_empty() {
        let names: Vec<&str> = told.iter().map(Name::as_str).collect();
        console.say(&format!(
            "已告知数据所属单位 told their owners which of their own records were found: {}",
            names.join(", ")
        ));
    }
    console.object(&serde_json::json!({
        "run": plan.run,
        "cells": plan.cells.len(),
        "cells_run": todo.len(),
        "registers": merged.manifest.registers,
        "missing": plan.missing,
        "rejected": rejected,
        "refined": weights.keys().collect::<Vec<_>>(),
        "refinement_waits_for": waiting,
        "own_results": told,
        "result": path,
    }));
    finish(rejected)
}

/// Runs the cells that are not done, refines as far as answers are there, and decides.
pub fn work(
    desk: &Desk,
    clock: &Clock,
    console: &Console,
    (plan, todo): (&Plan, &[&Cell]),
    bounds: &Bounds,
) -> Result<Decided, Problem> {
    let (alike, exact): (Vec<&Cell>, Vec<&Cell>) = todo
        .iter()
        .copied()
        .partition(|cell| cell.likeness.is_some());
    let groups = preflight(&alike, bounds.memory)?;
    if let Some((likeness, _)) = desk.agreement.likeness() {
        console.note(likeness.notice());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(bounds.threads.unwrap_or(0))
        .build()
        .map_err(|error| Problem::data(error.to_string(), "give a smaller --threads"))?;
    run_cells(&pool, console, &exact, cell::run)?;
    for (register, cells) in groups {
        run_alike(&pool, console, &register, &cells)?;
    }
    let compared = merge::compare(&desk.state, &desk.agreement, plan)?;
    let (weights, waiting) = desk.refine(clock, console, plan, &compared)?;
    let merged = merge(&desk.state, &desk.agreement, plan, (compared, &weights))?;
    Ok(Decided {
        merged,
        weights,
        waiting,
    })
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
