//! The desk's commands. In: checked arguments. Out: events through the history, files, text through the console.
//! Invariant: a command gathers what a person says and lets the rules judge; one file per group of commands.
//! Specification: docs/DESK.md; README, "The clue desk".

pub mod decision;
pub mod desk;
pub mod look;
pub mod output;
pub mod work;

use std::path::PathBuf;

use chrono::{Local, SecondsFormat};
use clap::{Parser, Subcommand};
use hedui_edge::clock::Clock;
use hedui_edge::home::HomeOptions;
use hedui_edge::passphrase::PassphraseSource;
use hedui_edge::{Console, Problem, console};
use hedui_protocol::ids::Name;

use crate::day::Day;
use crate::history::{Actor, Desk};

/// Options of every command.
#[derive(clap::Args)]
pub struct DeskOptions {
    /// Folder of the desk
    #[arg(long, value_name = "DIR", default_value = "desk", global = true)]
    desk: PathBuf,
    /// User who acts (not needed if the desk has one user only)
    #[arg(long = "as", value_name = "NAME", global = true)]
    user: Option<String>,
    /// Look as on this day (YYYY-MM-DD); on a desk for practice also record as on it
    #[arg(long, value_name = "DAY", global = true)]
    today: Option<String>,
    /// Print one JSON object on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Passphrase of the user's key
    #[command(flatten)]
    passphrase: PassphraseSource,
}

impl DeskOptions {
    /// The day as people here write it, or the stated one.
    fn today(&self) -> Result<Day, Problem> {
        match &self.today {
            Some(_) => Ok(Day::of_time(&Clock::new(self.today.as_deref())?.today())),
            None => Ok(Day::of_time(&Local::now().to_rfc3339())),
        }
    }

    /// The time of what is recorded. Only where people practise is it what they say: a deadline is the clock's.
    fn now(&self, practice: bool) -> Result<String, Problem> {
        match &self.today {
            None => Ok(Local::now().to_rfc3339_opts(SecondsFormat::Secs, false)),
            Some(_) if practice => Ok(format!("{}T12:00:00+00:00", self.today()?)),
            Some(_) => Err(Problem::usage(
                "正式台账按本机时间登记，不能指定日期 a desk in earnest records at the clock's time, not on a stated day",
                "去掉 --today；练习用 `hedui-desk new --practice` 另建台账 leave --today out; make a desk for practice with `new --practice`",
            )),
        }
    }

    fn open(&self) -> Result<Desk, Problem> {
        Desk::open(&self.desk)
    }

    /// Where a user's key is.
    fn key_home(&self, name: &Name) -> HomeOptions {
        HomeOptions {
            home: self.desk.join("users").join(name.as_str()),
            agreement: None,
            today: self.today.clone(),
            json: self.json,
            passphrase: self.passphrase.clone(),
        }
    }

    /// The acting user's key and the time.
    fn actor(&self, desk: &Desk) -> Result<Actor, Problem> {
        let now = self.now(desk.book.practice)?;
        let mut active = desk.book.users.values().filter(|member| member.active);
        let name = match (&self.user, active.next(), active.next()) {
            (Some(text), _, _) => name_of(text)?,
            (None, Some(only), None) => only.user.name.clone(),
            _ => {
                return Err(Problem::usage(
                    "未指明经办人 who acts is not said",
                    "请加 --as 用户名 add --as NAME; `hedui-desk user list` shows them",
                ));
            }
        };
        let home = self.key_home(&name);
        if !home.key_file().exists() {
            return Err(Problem::data(
                format!("{name}: 没有此人的密钥 the desk has no key of this user"),
                "用 `hedui-desk user list` 核对用户名 `hedui-desk user list` shows the users",
            ));
        }
        Ok(Actor {
            identity: home.identity()?,
            now,
        })
    }
}

fn name_of(text: &str) -> Result<Name, Problem> {
    Name::new(text).ok_or_else(|| {
        Problem::usage(
            "用户名只能用小写字母、数字和短横 a user's name is written a-z, 0-9 and '-'",
            "例如 zhangmin for example zhangmin",
        )
    })
}

fn day_of(text: &str) -> Result<Day, String> {
    Day::read(text)
        .ok_or_else(|| "不是日期，请写作 2016-07-01 not a day: write YYYY-MM-DD".to_owned())
}

fn yuan_of(text: &str) -> Result<i64, String> {
    crate::money::read_yuan(text)
        .ok_or_else(|| "不是金额，单位为元 not an amount in yuan".to_owned())
}

/// 线索台 | The roll owner's clue desk: hands clues down, records what people find and decide, reports
#[derive(Parser)]
#[command(name = "hedui-desk", version)]
pub struct Arguments {
    #[command(flatten)]
    desk: DeskOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 建立 | Make a new desk; its first user approves
    New(desk::NewOptions),
    /// 人员 | Add, end or list the users of this desk
    #[command(subcommand)]
    User(desk::UserCommand),
    /// 办理规定 | Show or set deadlines, questions and the income form
    #[command(subcommand)]
    Terms(desk::TermsCommand),
    /// 接收线索 | Take the clues.json of `hedui-agent results`
    Take(desk::TakeOptions),
    /// 清单 | List cases
    List(look::ListOptions),
    /// 查看 | Show one case, its history and what can follow
    Show(look::ShowOptions),
    /// 交办 | Hand cases down to townships
    Assign(work::AssignOptions),
    /// 发核查表 | Write a township's sheet to be filled in offline
    Export(output::ExportOptions),
    /// 收核查表 | Read a filled-in sheet; conflicts are shown, nothing is overwritten
    Import(output::ImportOptions),
    /// 签收 | Record that a township confirmed a case
    Accept(work::AcceptOptions),
    /// 核查 | Record a visit
    Visit(work::VisitOptions),
    /// 赡养费核算 | Fill in the form of an income task
    Income(work::IncomeOptions),
    /// 附件 | File a document by its digest
    Attach(work::AttachOptions),
    /// 备注 | Add a remark
    Note(work::TextOptions),
    /// 认定 | Record a conclusion
    Conclude(work::ConcludeOptions),
    /// 退回 | Send a conclusion back (lead)
    SendBack(work::TextOptions),
    /// 审核 | Approve conclusions (lead, another person)
    Approve(decision::ApproveOptions),
    /// 告知 | Record that the household was told and until when it may object
    Tell(decision::TellOptions),
    /// 异议 | Record an objection; the case stands still until it is settled
    Object(decision::ObjectOptions),
    /// 异议处理 | Uphold or overturn a contested conclusion (lead)
    Settle(decision::SettleOptions),
    /// 处理 | Record a measure
    Act(decision::ActOptions),
    /// 销号 | Close a case
    Close(work::TextOptions),
    /// 重新核查 | Open a closed case again (lead)
    Reopen(work::TextOptions),
    /// 撤回 | End a case whose evidence is gone or was wrong (lead)
    Withdraw(work::TextOptions),
    /// 抽查 | Draw units without open cases from a published seed
    Draw(output::DrawOptions),
    /// 报表 | Write the workbook, the report in four sections and the public notice
    Report(output::ReportOptions),
    /// 反馈 | What verified outcomes say about rules and match keys
    Feedback,
    /// 核验 | Check every entry and signature of the history
    Verify(look::VerifyOptions),
    /// 命令补全 | Print completions for a shell
    Completions {
        /// Shell
        shell: console::Shell,
    },
}

/// Runs one command.
pub fn run(arguments: Arguments) -> Result<(), Problem> {
    let options = &arguments.desk;
    let console = &Console { json: options.json };
    match arguments.command {
        Command::New(command) => desk::new(options, console, &command),
        Command::User(command) => desk::user(options, console, command),
        Command::Terms(command) => desk::terms(options, console, command),
        Command::Take(command) => desk::take(options, console, &command),
        Command::List(command) => look::list(options, console, &command),
        Command::Show(command) => look::show(options, console, &command),
        Command::Verify(command) => look::verify(options, console, &command),
        Command::Assign(command) => work::assign(options, console, &command),
        Command::Export(command) => output::export(options, console, &command),
        Command::Import(command) => output::import(options, console, &command),
        Command::Draw(command) => output::draw(options, console, &command),
        Command::Report(command) => output::report(options, console, &command),
        Command::Feedback => output::feedback(options, console),
        Command::Completions { shell } => {
            console::completions::<Arguments>(shell, "hedui-desk");
            Ok(())
        }
        Command::Accept(command) => work::accept(options, console, command),
        Command::Visit(command) => work::visit(options, console, command),
        Command::Income(command) => work::income(options, console, command),
        Command::Attach(command) => work::attach(options, console, &command),
        Command::Note(command) => work::text(options, console, command, work::TextKind::Note),
        Command::Conclude(command) => work::conclude(options, console, command),
        Command::SendBack(command) => {
            work::text(options, console, command, work::TextKind::SendBack)
        }
        Command::Approve(command) => decision::approve(options, console, &command),
        Command::Tell(command) => decision::tell(options, console, command),
        Command::Object(command) => decision::object(options, console, command),
        Command::Settle(command) => decision::settle(options, console, command),
        Command::Act(command) => decision::act(options, console, command),
        Command::Close(command) => work::text(options, console, command, work::TextKind::Close),
        Command::Reopen(command) => work::text(options, console, command, work::TextKind::Reopen),
        Command::Withdraw(command) => {
            work::text(options, console, command, work::TextKind::Withdraw)
        }
    }
}
