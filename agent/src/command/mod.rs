//! The agent's commands. In: checked arguments. Out: files and text through the console.
//! Invariant: a command composes stages and holds no logic of its own.
//! One file per command group; arguments stand beside the code that reads them.
//! Specification: README; docs/OPERATIONS.md.

pub mod absent;
pub mod agreement;
pub mod answer;
pub mod ask;
mod changes;
pub mod data;
pub mod draft;
mod kit;
pub mod mailbox;
pub mod open;
pub mod outcome;
pub mod post;
pub mod questions;
pub mod refine;
pub mod retire;
pub mod submit;

use clap::{Parser, Subcommand};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, console};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::Dataset;

use submit::{Reach, deliver};

/// 部门端 | The department's agent: encodes registers, opens results
#[derive(Parser)]
#[command(name = "hedui-agent", version)]
pub struct Arguments {
    #[command(flatten)]
    home: HomeOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 协议 | Draft, show, sign, check and compare agreements
    #[command(subcommand)]
    Agreement(agreement::AgreementCommand),
    /// 字段对应 | Look at a file and propose its mapping
    Map(data::MapOptions),
    /// 数据质量 | Report what should be corrected, before anything leaves
    Check(data::CheckOptions),
    /// 演练 | Invent persons in this department's own columns, to practise with before any real data
    Rehearse(data::RehearseOptions),
    /// 报送 | Encode a dataset and seal it for the matcher, as far as custodians have answered
    Submit(submit::SubmitOptions),
    /// 请求计算 | Ask custodians to evaluate a dataset's new values, submit nothing
    Prepare(submit::SubmitOptions),
    /// 完成报送 | Take the custodians' answers, encode and submit, ask nothing
    Finish(submit::SubmitOptions),
    /// 结果 | Open results: matches, clues, review items, correction tickets (roll owner)
    Results(outcome::ResultsOptions),
    /// 打开名册 | Lay open persons of the submitted roll that a reviewer drew (roll owner)
    OpenRoll(open::OpenOptions),
    /// 核改单 | Open correction tickets for own registers
    Tickets(mailbox::TicketsOptions),
    /// 发起协查 | Ask departments about single records that the result leaves open (roll owner)
    Ask(ask::AskOptions),
    /// 待协查 | List what the roll's owner asks about own records, to be filled in
    Questions(questions::QuestionsOptions),
    /// 答复协查 | Seal what a filled-in list of questions decides
    Answer(answer::AnswerOptions),
    /// 应保未保 | List own records that nobody of the roll was found for, where the agreement lets the owner know
    Absent(absent::AbsentOptions),
    /// 细化比对 | Answer the matcher's requests for filters of candidate pairs
    Refine(post::ExchangeOptions),
    /// 回执 | Show the matcher's receipts
    Receipts(mailbox::ReceiptsOptions),
    /// 到期清除 | List the epochs of which something is kept here, or remove one that is over
    Retire(retire::RetireOptions),
    /// 句柄表 | Write the local map from handles to row numbers
    Handles(mailbox::HandlesOptions),
    /// 命令补全 | Print completions for a shell
    Completions {
        /// Shell
        shell: console::Shell,
    },
}

/// The dataset that somebody named on the command line.
fn dataset_named<'a>(agreement: &'a Agreement, name: &str) -> Result<&'a Dataset, Problem> {
    agreement.dataset_or_nearest(name).map_err(|refusal| {
        let all = agreement.text().dataset.iter();
        let all: Vec<&str> = all.map(|dataset| dataset.name.as_str()).collect();
        Problem::usage(
            refusal.to_string(),
            format!("协议中的数据 datasets of the agreement: {}", all.join(", ")),
        )
    })
}

/// Runs one command.
pub fn run(arguments: Arguments) -> Result<(), Problem> {
    let console = Console {
        json: arguments.home.json,
    };
    let home = &arguments.home;
    match arguments.command {
        Command::Agreement(command) => agreement::run(home, &console, &command),
        Command::Map(options) => data::map(home, &console, &options),
        Command::Check(options) => data::check(home, &console, &options),
        Command::Rehearse(options) => data::rehearse(home, &console, &options),
        Command::Submit(options) => deliver(home, &console, &options, Reach::Submit),
        Command::Prepare(options) => deliver(home, &console, &options, Reach::Prepare),
        Command::Finish(options) => deliver(home, &console, &options, Reach::Finish),
        Command::Results(options) => outcome::results(home, &console, &options),
        Command::Tickets(options) => mailbox::tickets(home, &console, &options),
        Command::Ask(options) => ask::ask(home, &console, &options),
        Command::Questions(options) => questions::questions(home, &console, &options),
        Command::Answer(options) => answer::answer(home, &console, &options),
        Command::Absent(options) => absent::absent(home, &console, &options),
        Command::Refine(options) => refine::answer(home, &console, &options),
        Command::OpenRoll(options) => open::open_roll(home, &console, &options),
        Command::Receipts(options) => mailbox::receipts(home, &console, &options),
        Command::Retire(options) => retire::retire(home, &console, &options),
        Command::Handles(options) => mailbox::handles(home, &console, &options),
        Command::Completions { shell } => {
            console::completions::<Arguments>(shell, "hedui-agent");
            Ok(())
        }
    }
}
