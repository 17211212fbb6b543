//! The matcher's commands: intake, run, worker, status. In: checked arguments. Out: files and text through
//! the console. Invariant: a command composes stages and holds no logic of its own.
//! Specification: README; docs/OPERATIONS.md.

use std::io::BufRead;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, console};
use hedui_protocol::refusal::Refusal;

use crate::cell::{self, Cell};
use crate::desk::Desk;
use crate::draw::{self, DrawOptions};
use crate::evaluation::explanation::{self, ExplainOptions};
use crate::evaluation::{self, EvaluateOptions};
use crate::intake::State;
use crate::purge;
use crate::readiness::{ReadinessOptions, readiness};
use crate::replay::{self, ReplayOptions};
use crate::run::{self, RunOptions, side_words};

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
    /// 重放 | Run a sealed result again from the files it rests on, and compare byte for byte
    Replay(ReplayOptions),
    /// 计算单元 | Read cells as lines on stdin, write receipts as lines on stdout
    Worker,
    /// 进度 | Say what was accepted and what is missing
    Status(ExchangeOptions),
    /// 报送情况 | Who has delivered what, in time or late, how fresh, and what was refused
    Readiness {
        #[command(flatten)]
        exchange: ExchangeOptions,
        #[command(flatten)]
        options: ReadinessOptions,
    },
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
    /// 抽取 | Draw matched persons of the roll, whom its owner must open to a reviewer
    Draw {
        #[command(flatten)]
        exchange: ExchangeOptions,
        #[command(flatten)]
        options: DrawOptions,
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
    pub(crate) exchange: PathBuf,
}

#[derive(Args)]
struct IntakeOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Sealed files
    files: Vec<PathBuf>,
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
        Command::Run(options) => run::compare(home, &console, options),
        Command::Replay(options) => replay::replay(home, &console, &options),
        Command::Worker => worker(&console),
        Command::Status(options) => {
            let desk = Desk::with(home, options.exchange, State::look(home.state()))?;
            desk.status(&console)
        }
        Command::Readiness { exchange, options } => {
            let desk = Desk::with(home, exchange.exchange, State::look(home.state()))?;
            readiness(home, &desk, &console, &options)
        }
        Command::Evaluate { exchange, options } => {
            let desk = Desk::with(home, exchange.exchange, State::look(home.state()))?;
            evaluation::evaluate(&desk.plan()?, &console, &options)
        }
        Command::Explain { exchange, options } => {
            let desk = Desk::with(home, exchange.exchange, State::look(home.state()))?;
            explanation::explain(&desk.plan()?, &desk.agreement, &console, &options)
        }
        Command::Draw { exchange, options } => {
            let desk = Desk::with(home, exchange.exchange, State::look(home.state()))?;
            draw::draw(&desk.plan()?, &console, &options)
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

impl Desk {
    /// Deletes what is due and says how much.
    fn purge(&self, home: &HomeOptions, console: &Console) -> Result<(), Problem> {
        let ledger = self.state.ledger()?;
        let clock = home.clock()?;
        let done = purge::purge(&self.state, ledger, &clock, None)?;
        self.log(ledger, &clock.now()).publish()?;
        console.say(&format!(
            "已清除 deleted: {} 份到期或被替代的数据 submissions, {} 次旧比对 runs",
            done.submissions, done.runs
        ));
        console.object(&serde_json::json!({"submissions": done.submissions, "runs": done.runs}));
        Ok(())
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
}

/// Ends well, or says how many files were refused.
pub(crate) fn finish(rejected: usize) -> Result<(), Problem> {
    if rejected == 0 {
        return Ok(());
    }
    Err(Problem::DoneWithRejects {
        what: format!("{rejected} files were refused"),
    })
}
