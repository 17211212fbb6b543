//! Commands on what comes back: results, tickets, receipts, handles. In: envelopes addressed to this party.
//! Out: matches, clue sheets, correction lists. Invariant: everything opened was verified first; sheets
//! appear whole. Specification: README, "Ten minutes"; docs/OPERATIONS.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{Table, presets};
use hedui_edge::exchange::{self, Draft};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_keys::lock::Lock;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::LockKind;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::MANIFEST_BYTES_MAX;
use hedui_protocol::message::receipt::Receipt;
use hedui_protocol::message::result::Outcome;
use hedui_protocol::message::ticket::{Ticket, Tickets};
use hedui_protocol::message::{manifest_bytes, parse_small_body};
use hedui_protocol::primitive::sha256;

use super::agreement::COUNTY_RULES;
use super::submit::{HANDLE_MAP, handle_map_path};
use crate::clue::evaluate::{Findings, Period, categories, evaluate, key_names};
use crate::clue::rules::Rules;
use crate::clue::sheet;
use crate::evaluation::Workshop;
use crate::evaluation::tokens::Evaluated;
use crate::results::{self, Evidence, Opened};
use crate::roll::{self, Roll};
use crate::sealed_file;

/// Where sealed files are exchanged.
#[derive(Args)]
pub struct ExchangeOptions {
    /// Folder where sealed files are exchanged
    #[arg(long, value_name = "DIR", default_value = "exchange")]
    exchange: PathBuf,
}

/// Options of `results`.
#[derive(Args)]
pub struct ResultsOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Rule file that the agreement names; without it only matches are written
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Folder for the sheets
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Name of the period in the sheets (default: this month)
    #[arg(long)]
    period: Option<String>,
    /// Print the shipped rule file for the seven categories and stop
    #[arg(long)]
    print_county_rules: bool,
}

/// Options of `tickets`.
#[derive(Args)]
pub struct TicketsOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Where to write the list
    #[arg(long, value_name = "FILE.csv", default_value = "tickets.csv")]
    out: PathBuf,
}

/// Options of `handles`.
#[derive(Args)]
pub struct HandlesOptions {
    /// Register
    #[arg(long)]
    dataset: String,
    /// Where to write the map
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
}

/// `results`: open, apply the rules, write sheets, send tickets.
pub fn results(
    home: &HomeOptions,
    console: &Console,
    options: &ResultsOptions,
) -> Result<(), Problem> {
    if options.print_county_rules {
        console.data(COUNTY_RULES);
        return Ok(());
    }
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    files::private_folder(&state)?;
    files::sweep(&state);
    let roll = roll::load(
        &roll::snapshot_path(&state, &agreement),
        &identity,
        &agreement,
    )?;
    let opened = open_latest(
        &options.exchange.exchange,
        &identity,
        &agreement,
        &roll,
        &state,
    )?;
    files::private_folder(&options.out)?;
    write_matches(
        &options.out.join("matches.csv"),
        &agreement,
        &roll,
        &opened.evidence,
    )?;
    let clock = home.clock()?;
    let today = clock.today();
    let tickets = send_tickets(
        home,
        &identity,
        &agreement,
        &options.exchange.exchange,
        &opened,
    )?;
    let mut summary = serde_json::json!({
        "matches": count(&opened, Outcome::Match),
        "reviews": count(&opened, Outcome::Review),
        "identity_conflicts": count(&opened, Outcome::IdentityConflict),
        "tickets": tickets,
        "unopenable": opened.unopenable_count,
        "foreign": opened.foreign_count,
    });
    print_registers(console, &agreement, &opened);
    if let Some(path) = &options.rules {
        let rules = Rules::read(path, &agreement, &today)?;
        let label = options
            .period
            .clone()
            .unwrap_or_else(|| today.chars().take(7).collect());
        let period = Period {
            label: &label,
            today: today.replace('-', "").parse().unwrap_or(0),
        };
        let findings = evaluate(&agreement, &rules, &roll, &opened.evidence, &period)?;
        let source = sheet::Source {
            agreement: &agreement,
            rules: &rules,
            roll: &roll,
            evidence: &opened.evidence,
            period: &label,
        };
        sheet::write(&options.out, &source, &findings)?;
        print_findings(console, &rules, &findings);
        summary["clues"] = findings.clues.len().into();
        summary["review_items"] = findings.reviews.len().into();
        summary["income_tasks"] = findings.tasks.len().into();
    }
    console.say(&format!("清单在 sheets in: {}", options.out.display()));
    console.object(&summary);
    alarm(&opened)
}

/// What R can prove against the matcher or a register stops the command with an alarm.
fn alarm(opened: &Opened) -> Result<(), Problem> {
    if opened.unopenable_count + opened.foreign_count == 0 {
        return Ok(());
    }
    Err(Problem::DoneWithRejects {
        what: format!(
            "{} pairs whose facts do not open with this roll's own keys and {} pairs that name nobody on this roll: \
             the matcher or a register is at fault; tell the reviewer",
            opened.unopenable_count, opened.foreign_count
        ),
    })
}

fn open_latest(
    folder: &Path,
    identity: &Identity,
    agreement: &InForce,
    roll: &Roll,
    state: &Path,
) -> Result<Opened, Problem> {
    let me = identity.card();
    let mut found = exchange::addressed_to(folder, &me.name)?;
    found.retain(|file| {
        file.header.kind == MessageType::Result && file.header.agreement == agreement.digest()
    });
    let latest = found
        .into_iter()
        .max_by_key(|file| file.header.seq)
        .ok_or_else(|| {
            Problem::not_yet(
                format!("there is no result in {}", folder.display()),
                "the matcher makes it with `hedui-matcher run`",
            )
        })?;
    let mut verified = exchange::verify(&latest.path, agreement, me, &[MessageType::Result])?;
    if verified.header().from.0 != agreement.matcher().name {
        let sender = verified.header().from.0.to_string();
        let refusal = hedui_protocol::refusal::Refusal::UnknownSender(sender);
        return Err(Problem::refused(&latest.path, refusal));
    }
    let console = Console::default();
    let workshop = Workshop::new(agreement, identity, (state, folder), &console)?;
    let evaluated = match agreement.text().lock {
        LockKind::Keyed => None,
        LockKind::Oprf => Some(Evaluated::of_persons(&workshop, &roll.persons)?),
    };
    results::open(
        &latest.path,
        &mut verified,
        identity,
        agreement,
        roll,
        evaluated.as_ref().map(|lock| lock as &dyn Lock),
        (state, state),
    )
}

fn count(opened: &Opened, outcome: Outcome) -> usize {
    opened
        .evidence
        .iter()
        .filter(|item| item.outcome == outcome)
        .count()
}

/// One line per decided pair: rows of the roll, register, handle, outcome, keys.
fn write_matches(
    path: &Path,
    agreement: &InForce,
    roll: &Roll,
    evidence: &[Evidence],
) -> Result<(), Problem> {
    files::deliver(path, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record([
                "roll_rows",
                "register",
                "register_handle",
                "outcome",
                "agree",
                "differ",
            ])
            .map_err(failed)?;
        for item in evidence {
            let rows: Vec<String> = roll.persons[item.person]
                .rows
                .iter()
                .map(u64::to_string)
                .collect();
            let outcome = match item.outcome {
                Outcome::Match => "match",
                Outcome::Review => "review",
                Outcome::IdentityConflict => "identity-conflict",
            };
            writer
                .write_record([
                    rows.join(" "),
                    item.register.to_string(),
                    item.handle.to_hex(),
                    outcome.to_owned(),
                    key_names(agreement, item.agree).join(" "),
                    key_names(agreement, item.differ).join(" "),
                ])
                .map_err(failed)?;
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}

/// Tickets to the owners of registers: identity conflicts, and matches although the IDs differ.
fn send_tickets(
    home: &HomeOptions,
    identity: &Identity,
    agreement: &InForce,
    folder: &Path,
    opened: &Opened,
) -> Result<usize, Problem> {
    let a_keys: u16 = agreement
        .match_keys()
        .iter()
        .filter(|key| key.class == hedui_protocol::agreement::text::KeyClass::A)
        .fold(0, |bits, key| bits | 1 << (key.number - 1));
    let mut by_register: BTreeMap<&Name, Vec<Ticket>> = BTreeMap::new();
    for item in &opened.evidence {
        let conflict = item.outcome == Outcome::IdentityConflict;
        if conflict || (item.outcome == Outcome::Match && item.differ & a_keys != 0) {
            let names = |bits| {
                key_names(agreement, bits)
                    .iter()
                    .filter_map(|name| Name::new(name))
                    .collect()
            };
            by_register.entry(&item.register).or_default().push(Ticket {
                handle: item.handle.to_hex(),
                agree: names(item.agree),
                differ: names(item.differ),
            });
        }
    }
    let mut sent = 0;
    for (register, mut tickets) in by_register {
        tickets.sort_by(|a, b| a.handle.cmp(&b.handle));
        tickets.dedup_by(|a, b| a.handle == b.handle);
        sent += tickets.len();
        let owner = agreement
            .dataset(register)
            .and_then(|d| agreement.card(&d.owner));
        let Some(owner) = owner.filter(|card| card.name != identity.card().name) else {
            continue;
        };
        let body = manifest_bytes(&Tickets {
            register: register.clone(),
            tickets,
        })?;
        let draft = Draft {
            kind: MessageType::Ticket,
            to: owner,
            about: register.as_str(),
            content: sha256(&[&body]),
            in_reply_to: None,
        };
        let (state, clock, len) = (home.state(), home.clock()?, body.len() as u64);
        let folders = (state.as_path(), folder);
        let mut body = std::io::Cursor::new(&body[..]);
        exchange::send(identity, agreement, folders, &clock, &draft, &mut body, len)?;
    }
    Ok(sent)
}

fn print_registers(console: &Console, agreement: &InForce, opened: &Opened) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "比对数据 register",
        "同一人 match",
        "待核实 review",
        "身份矛盾 conflict",
        "截止日 as of",
    ]);
    for register in &opened.manifest.registers {
        let title = agreement
            .dataset(&register.name)
            .map(hedui_protocol::agreement::Agreement::title_of_dataset)
            .unwrap_or_default();
        table.add_row([
            title,
            register.matches.to_string(),
            register.reviews.to_string(),
            register.conflicts.to_string(),
            register.as_of.clone(),
        ]);
    }
    console.say(&table.to_string());
}

fn print_findings(console: &Console, rules: &Rules, findings: &Findings) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["问题类别 category", "线索 clues", "待核实身份 to review"]);
    let count = |list: &[crate::clue::evaluate::Finding], category: &str| {
        list.iter()
            .filter(|finding| finding.category == category)
            .count()
            .to_string()
    };
    for category in categories(rules) {
        table.add_row([
            category.clone(),
            count(&findings.clues, &category),
            count(&findings.reviews, &category),
        ]);
    }
    console.say(&table.to_string());
    console.say(&format!(
        "合计 total: {} 条线索 clues, {} 条待核实 to review, {} 件赡养费核算 income tasks",
        findings.clues.len(),
        findings.reviews.len(),
        findings.tasks.len()
    ));
}

/// `tickets`: which own rows should be checked, and why.
pub fn tickets(
    home: &HomeOptions,
    console: &Console,
    options: &TicketsOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let me = identity.card();
    let mut lines: BTreeSet<(String, String, String, String)> = BTreeSet::new();
    for file in exchange::addressed_to(&options.exchange.exchange, &me.name)? {
        if file.header.kind != MessageType::Ticket {
            continue;
        }
        let mut verified = exchange::verify(&file.path, &agreement, me, &[MessageType::Ticket])?;
        let limit = MANIFEST_BYTES_MAX as u64 + 4;
        let body = exchange::open_small(&file.path, &mut verified, &identity, limit)?;
        let list: Tickets =
            parse_small_body("ticket", &body).map_err(|r| Problem::refused(&file.path, r))?;
        let rows = handle_rows(home, &identity, &agreement, list.register.as_str())?;
        for ticket in list.tickets {
            let known = Handle::from_hex(&ticket.handle).and_then(|handle| rows.get(&handle));
            let words =
                |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(" ");
            for row in known.into_iter().flatten() {
                lines.insert((
                    list.register.to_string(),
                    format!("{row:>10}"),
                    words(&ticket.agree),
                    words(&ticket.differ),
                ));
            }
        }
    }
    files::deliver(&options.out, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record(["数据 register", "行号 row", "一致 agrees", "不一致 differs"])
            .map_err(failed)?;
        for (register, row, agree, differ) in &lines {
            writer
                .write_record([register, row.trim(), agree, differ])
                .map_err(failed)?;
        }
        writer
            .flush()
            .map_err(|error| Problem::io(&options.out, error))
    })?;
    console.say(&format!(
        "待核改 rows to check: {} → {}",
        lines.len(),
        options.out.display()
    ));
    console.object(&serde_json::json!({ "rows": lines.len() }));
    Ok(())
}

/// `receipts`: what the matcher acknowledges.
pub fn receipts(
    home: &HomeOptions,
    console: &Console,
    options: &ExchangeOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let me = identity.card();
    let mut all = Vec::new();
    for file in exchange::addressed_to(&options.exchange, &me.name)? {
        if file.header.kind != MessageType::Receipt {
            continue;
        }
        let mut verified = exchange::verify(&file.path, &agreement, me, &[MessageType::Receipt])?;
        let limit = MANIFEST_BYTES_MAX as u64 + 4;
        let body = exchange::open_small(&file.path, &mut verified, &identity, limit)?;
        let receipt: Receipt =
            parse_small_body("receipt", &body).map_err(|r| Problem::refused(&file.path, r))?;
        console.say(&format!(
            "{} → {}: 第 {} 号 number, 保存至 kept until {}",
            receipt.dataset, receipt.register, receipt.seq, receipt.delete_after
        ));
        all.push(receipt);
    }
    console.object(&all);
    Ok(())
}

fn handle_rows(
    home: &HomeOptions,
    identity: &Identity,
    agreement: &InForce,
    register: &str,
) -> Result<BTreeMap<Handle, Vec<u64>>, Problem> {
    let path = handle_map_path(&home.state(), agreement, register);
    let mut rows = BTreeMap::new();
    sealed_file::read(&path, identity, HANDLE_MAP, |record| {
        if let Some((handle, numbers)) = record.split_first_chunk::<16>() {
            let numbers = numbers
                .chunks_exact(8)
                .filter_map(|chunk| chunk.first_chunk::<8>());
            rows.insert(
                Handle(*handle),
                numbers.map(|n| u64::from_be_bytes(*n)).collect(),
            );
        }
        Ok(())
    })?;
    Ok(rows)
}

/// `handles`: the local map as CSV, for the register's owner only.
pub fn handles(
    home: &HomeOptions,
    console: &Console,
    options: &HandlesOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let dataset = agreement.dataset_or_nearest(&options.dataset)?;
    let rows = handle_rows(home, &identity, &agreement, dataset.name.as_str())?;
    files::deliver(&options.out, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer.write_record(["handle", "rows"]).map_err(failed)?;
        for (handle, rows) in &rows {
            let rows: Vec<String> = rows.iter().map(u64::to_string).collect();
            writer
                .write_record([handle.to_hex(), rows.join(" ")])
                .map_err(failed)?;
        }
        writer
            .flush()
            .map_err(|error| Problem::io(&options.out, error))
    })?;
    console.say(&format!(
        "句柄 handles: {} → {}",
        rows.len(),
        options.out.display()
    ));
    Ok(())
}
