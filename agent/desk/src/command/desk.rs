//! Commands about the desk itself: new, users, terms, taking clues. In: arguments. Out: events.
//! Invariant: a user's key is made before the event that names it, and is never overwritten; a handover is taken whole.
//! Specification: docs/DESK.md, "A desk", "Taking clues".

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use hedui_edge::home::HomeOptions;
use hedui_edge::passphrase::PassphraseSource;
use hedui_edge::{Console, Problem, files};
use hedui_keys::identity_file;
use hedui_protocol::primitive::hex;

use super::{DeskOptions, name_of};
use crate::book::RULES;
use crate::event::{Body, User};
use crate::handover;
use crate::history::{Actor, Desk};
use crate::terms::{COUNTY_TERMS, Terms};
use crate::words::Role;

/// Options of `new`.
#[derive(Args)]
pub struct NewOptions {
    /// Name of the office on reports, such as 远安县民政局
    #[arg(long)]
    office: String,
    /// Name of the first user as it is signed, such as 张敏
    #[arg(long)]
    title: String,
    /// Terms file (default: the shipped terms, see `terms template`)
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// 练习 | A desk for practice: days can be stated with --today, reports are marked
    #[arg(long)]
    practice: bool,
}

/// `new`: the folder, the first user's key, the first event.
pub fn new(options: &DeskOptions, console: &Console, command: &NewOptions) -> Result<(), Problem> {
    let name = options.user.as_deref().ok_or_else(|| {
        Problem::usage(
            "未指明首位审核人 the first user is not named",
            "请加 --as 用户名 add --as NAME",
        )
    })?;
    let name = name_of(name)?;
    let now = options.now(command.practice)?;
    // Kept in the history in any case: another release may ship others.
    let terms = match &command.terms {
        Some(path) => Terms::parse(&files::read_text(path)?)?,
        None => Terms::parse(COUNTY_TERMS)?,
    };
    if options.desk.join("desk.sqlite").exists() {
        return Err(Problem::data(
            format!("{} 已有台账 holds a desk already", options.desk.display()),
            "换一个 --desk choose another --desk",
        ));
    }
    files::private_folder(&options.desk)?;
    let home = options.key_home(&name);
    // A key that an interrupted `new` left is used again, with its passphrase.
    if !home.key_file().exists() {
        identity_file::create(&home, &name)?;
    }
    let actor = Actor {
        identity: home.identity()?,
        now,
    };
    let user = User {
        name,
        title: command.title.trim().to_owned(),
        role: Role::Lead,
        sign: hex(&actor.identity.card().sign),
    };
    let mut desk = Desk::create(&options.desk)?;
    desk.session(&actor, |session| {
        session.must(Body::Opened {
            rules: RULES,
            title: command.office.clone(),
            practice: command.practice,
            user,
        })?;
        session.must(Body::TermsSet { terms })
    })?;
    console.say(&format!(
        "已建立 made: {}\n首条摘要值 hash of the first entry: {}（请抄录另存，以辨认本台账 write it down elsewhere: it names this desk）\n下一步 next: 用 user add 添加经办人，用 take 接收线索 add clerks with `user add`, then `take` clues",
        options.desk.display(),
        desk.origin()
    ));
    console.object(&serde_json::json!({ "desk": options.desk, "first_entry": desk.origin() }));
    Ok(())
}

/// What a user may do, on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub enum RoleName {
    /// 经办: records and concludes
    Clerk,
    /// 审核: approves, settles, reopens, sets terms
    Lead,
}

/// `user` and its commands.
#[derive(Subcommand)]
pub enum UserCommand {
    /// 添加 | Add a user (lead); asks the new user for a passphrase
    Add {
        /// Short name: a-z, 0-9 and '-'
        name: String,
        /// Name as it is signed
        #[arg(long)]
        title: String,
        /// What the user may do
        #[arg(long, value_enum, default_value = "clerk")]
        role: RoleName,
        /// Ended user who is the same person
        #[arg(long, value_name = "NAME")]
        replaces: Option<String>,
        /// Read the new user's passphrase from the first line of this file
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// 停用 | End a user (lead); what the user did stays
    End {
        /// Short name
        name: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// 列出 | List users
    List,
}

/// `user`.
pub fn user(options: &DeskOptions, console: &Console, command: UserCommand) -> Result<(), Problem> {
    let mut desk = options.open()?;
    match command {
        UserCommand::List => {
            list_users(&desk, console);
            Ok(())
        }
        UserCommand::Add {
            name,
            title,
            role,
            replaces,
            new_passphrase_file,
        } => {
            let name = name_of(&name)?;
            let actor = options.actor(&desk)?;
            let home = HomeOptions {
                passphrase: PassphraseSource {
                    passphrase_file: new_passphrase_file,
                    passphrase_fd: None,
                },
                ..options.key_home(&name)
            };
            if desk.book.users.contains_key(&name) {
                return Err(Problem::data(
                    format!("{name}: 用户名已在用 the name is taken"),
                    "请换一个 choose another",
                ));
            }
            // A key that belongs to no user is what an interrupted command left.
            if home.key_file().exists() {
                files::wipe(&home.key_file())?;
            }
            let card = identity_file::create(&home, &name).map_err(|problem| match problem {
                Problem::Usage { .. } => Problem::usage(
                    "没有终端，无法询问新用户的口令 there is no terminal to ask for the new user's passphrase",
                    "用 --new-passphrase-file 指定文件 give --new-passphrase-file FILE",
                ),
                other => other,
            })?;
            let user = User {
                name: name.clone(),
                title: title.trim().to_owned(),
                role: match role {
                    RoleName::Clerk => Role::Clerk,
                    RoleName::Lead => Role::Lead,
                },
                sign: hex(&card.sign),
            };
            let replaces = replaces.as_deref().map(name_of).transpose()?;
            desk.session(&actor, |session| {
                session.must(Body::UserAdded { user, replaces })
            })?;
            console.say(&format!("已添加 added: {name}"));
            console.object(&serde_json::json!({ "user": name }));
            Ok(())
        }
        UserCommand::End { name, reason } => {
            let name = name_of(&name)?;
            let actor = options.actor(&desk)?;
            desk.session(&actor, |session| {
                session.must(Body::UserEnded {
                    name: name.clone(),
                    reason,
                })
            })?;
            console.say(&format!("已停用 ended: {name}"));
            console.object(&serde_json::json!({ "user": name }));
            Ok(())
        }
    }
}

fn list_users(desk: &Desk, console: &Console) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["用户名 name", "姓名 signs as", "角色 role", "状态 state"]);
    let mut rows = Vec::new();
    for member in desk.book.users.values() {
        let (user, active) = (&member.user, member.active);
        let state = if active {
            "在用 active"
        } else {
            "停用 ended"
        };
        table.add_row([user.name.as_str(), &user.title, user.role.zh(), state]);
        rows.push(serde_json::json!({
            "name": user.name, "title": user.title, "role": user.role.en(), "active": active,
        }));
    }
    console.say(&table.to_string());
    console.object(&serde_json::json!({ "users": rows }));
}

/// `terms` and its commands.
#[derive(Subcommand)]
pub enum TermsCommand {
    /// 模板 | Print the shipped terms for the seven categories
    Template,
    /// 查看 | Print the terms in force
    Show,
    /// 设定 | Let terms from a file hold from now on (lead)
    Set {
        /// Terms file
        file: PathBuf,
    },
}

/// `terms`.
pub fn terms(
    options: &DeskOptions,
    console: &Console,
    command: TermsCommand,
) -> Result<(), Problem> {
    match command {
        TermsCommand::Template => {
            if console.json {
                console.object(&Terms::parse(COUNTY_TERMS)?);
            } else {
                console.data(COUNTY_TERMS.trim_end());
            }
            Ok(())
        }
        TermsCommand::Show => {
            let desk = options.open()?;
            let text = toml::to_string(&desk.book.terms)
                .map_err(|error| Problem::data(error.to_string(), "report this"))?;
            console.say(text.trim_end());
            console.object(&desk.book.terms);
            Ok(())
        }
        TermsCommand::Set { file } => {
            let terms = Terms::parse(&files::read_text(&file)?)?;
            let mut desk = options.open()?;
            let actor = options.actor(&desk)?;
            desk.session(&actor, |session| session.must(Body::TermsSet { terms }))?;
            console.say("已设定，此前的认定不变 set; earlier conclusions stay as they are");
            let unused = unused_categories(&desk);
            for category in &unused {
                console.note(&format!(
                    "注意: 目前没有“{category}”类线索，其核实要点暂不会用到 note: no case has this category so far, its questions are not asked"
                ));
            }
            console.object(&serde_json::json!({ "set": true, "unused_categories": unused }));
            Ok(())
        }
    }
}

/// Categories of the terms' questions that neither the latest comparison nor a case has; none before clues were taken.
fn unused_categories(desk: &Desk) -> BTreeSet<String> {
    let book = &desk.book;
    let Some(latest) = book.taken.last() else {
        return BTreeSet::new();
    };
    let cases = book.cases.values().map(|case| &case.new.category);
    let known: BTreeSet<&String> = latest.categories.iter().chain(cases).collect();
    let asked = book.terms.question.iter().map(|q| q.category.clone());
    asked.filter(|category| !known.contains(category)).collect()
}

/// Options of `take`.
#[derive(Args)]
pub struct TakeOptions {
    /// clues.json of `hedui-agent results`
    file: PathBuf,
}

/// `take`: new cases, cases found again, cases found no more.
pub fn take(
    options: &DeskOptions,
    console: &Console,
    command: &TakeOptions,
) -> Result<(), Problem> {
    let handover = handover::read(&command.file)?;
    let mut desk = options.open()?;
    let actor = options.actor(&desk)?;
    let (mut issued, mut again, mut changed, mut gone) = (0_u64, 0_u64, 0_u64, 0_u64);
    let before = desk.session(&actor, |session| {
        // The same command again, after a crash perhaps: nothing is recorded twice, and nothing was wrong.
        let mut taken = session.book().taken.iter();
        if taken.any(|taken| taken.digest == handover.digest) {
            return Ok(true);
        }
        let bodies = session.book().plan(&handover);
        for body in bodies {
            match &body {
                Body::Issued { .. } => issued += 1,
                Body::FoundAgain { changed: None, .. } => again += 1,
                Body::FoundAgain { .. } => changed += 1,
                Body::NotFound { .. } => gone += 1,
                _ => {}
            }
            session.must(body)?;
        }
        Ok(false)
    })?;
    if before {
        console.say("该线索文件已接收过，无需重复接收 this handover was taken before; nothing is left to do");
    }
    console.say(&format!(
        "{} 期 period: 新增 new {issued}，继续出现 found again {again}，比对情况有变 with other evidence {changed}，不再出现 found no more {gone}",
        handover.period
    ));
    let look: Vec<&str> = desk
        .book
        .to_look_at_again()
        .iter()
        .map(|case| case.number())
        .collect();
    if !look.is_empty() {
        console.say(&format!(
            "已销号的线索出现新的比对情况，请决定是否重新核查 closed cases with new evidence (see `reopen`): {}",
            look.join(" ")
        ));
    }
    console.say("下一步 next: hedui-desk list，然后 then hedui-desk assign");
    console.object(&serde_json::json!({
        "period": handover.period, "new": issued, "found_again": again, "evidence_changed": changed,
        "found_no_more": gone, "closed_with_new_evidence": look, "taken_before": before,
    }));
    Ok(())
}
