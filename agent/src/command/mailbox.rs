//! Commands on a department's post: tickets, receipts, handles. In: envelopes addressed to this party. Out:
//! lists of own rows. Invariant: a message counts only from the party whose it is to send: receipts from the
//! matcher, tickets from the roll owner; a file that does not verify is named and passed over.
//! Specification: docs/OPERATIONS.md.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::cells::harmless;
use hedui_edge::exchange::{self, Draft};
use hedui_edge::home::HomeOptions;
use hedui_edge::log::Memory;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::MANIFEST_BYTES_MAX;
use hedui_protocol::log::checkpoint::Origin;
use hedui_protocol::message::receipt::Receipt;
use hedui_protocol::message::ticket::Tickets;
use hedui_protocol::message::{manifest_bytes, parse_small_body};
use hedui_protocol::primitive::{hex, sha256};
use hedui_protocol::refusal::Refusal;

use super::post::{ExchangeOptions, HANDLE_MAP, handle_map_path, received};
use crate::changes::kept::Kept;
use crate::correction::{ByRegister, Corrections};
use crate::receipt_sheet;
use crate::record::{Pseudonyms, number_of, row_words};
use crate::results::Opened;
use crate::roll;
use crate::sealed_file;

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
    /// A register of one's own, or the roll
    #[arg(long)]
    dataset: String,
    /// Where to write the map
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
}

/// Tickets of one register that are sent without further question.
const USUAL_TICKETS: usize = 20;

/// Sends the tickets of which owners were not told yet, and keeps that they are told, register by register. A register with more than twenty of them, and more than one per twenty matches, gets none: a
/// department that pairs true numbers with invented names would learn from them who is on the roll.
pub fn send_tickets(
    home: &HomeOptions,
    identity: &Identity,
    agreement: &InForce,
    folder: &Path,
    (by_register, opened, due): (ByRegister, &Opened, &str),
    corrections: &mut Corrections,
    console: &Console,
) -> Result<(), Problem> {
    let today = home.clock()?.today();
    for (register, tickets) in by_register {
        let matches = opened
            .manifest
            .registers
            .iter()
            .find(|r| r.name == register);
        let matches = matches.map_or(0, |r| r.matches);
        let count = tickets.len();
        if count > USUAL_TICKETS && count as u64 * 20 > matches {
            console.note(&format!(
                "警示 alarm: {register} 的身份矛盾异常多，未发送核改单 {count} conflicts beside {matches} matches is \
                 unusual; no ticket sent, ask the reviewer"
            ));
            continue;
        }
        let owner = agreement
            .dataset(&register)
            .and_then(|d| agreement.card(&d.owner));
        let Some(owner) = owner.filter(|card| card.name != identity.card().name) else {
            continue;
        };
        let tickets = corrections.untold(register.as_str(), &tickets);
        if tickets.is_empty() {
            continue;
        }
        let handles: Vec<String> = tickets.iter().map(|ticket| ticket.handle.clone()).collect();
        let body = manifest_bytes(&Tickets {
            register: register.clone(),
            due: Some(due.to_owned()),
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
        corrections.tell(register.as_str(), &handles, &today, due);
        corrections.save(&state, agreement)?;
    }
    Ok(())
}

/// `tickets`: which own rows should be checked, and why.
pub fn tickets(
    home: &HomeOptions,
    console: &Console,
    options: &TicketsOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let clock = home.clock()?;
    let mut lines: BTreeMap<[String; 4], String> = BTreeMap::new();
    let folder = &options.exchange.exchange;
    let expected = (MessageType::Ticket, &agreement.roll().owner);
    let mut unknown = 0;
    let state = home.state();
    let _guard = files::guard(&state)?;
    let folders = (state.as_path(), folder.as_path());
    for (path, mut verified) in received(folders, &identity, &agreement, expected, console)? {
        let limit = MANIFEST_BYTES_MAX as u64 + 4;
        let body = exchange::open_small(&path, &mut verified, &identity, limit)?;
        let list: Tickets =
            parse_small_body("ticket", &body).map_err(|r| Problem::refused(&path, r))?;
        let own = agreement
            .dataset(&list.register)
            .is_some_and(|dataset| dataset.owner == identity.card().name);
        if !own {
            let refusal = Refusal::malformed("ticket", "it is about a register of another party");
            console.note(&Problem::refused(&path, refusal).to_string());
            continue;
        }
        if list
            .due
            .as_deref()
            .is_some_and(|day| clock.days_since(day).is_none())
        {
            let refusal = Refusal::malformed("ticket", "its day is not written YYYY-MM-DD");
            console.note(&Problem::refused(&path, refusal).to_string());
            continue;
        }
        let rows = handle_rows(home, &identity, &agreement, list.register.as_str())?;
        for ticket in list.tickets {
            let known = Handle::from_hex(&ticket.handle).and_then(|handle| rows.get(&handle));
            let words =
                |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(" ");
            unknown += usize::from(known.is_none());
            for row in known.into_iter().flatten() {
                let line = [
                    list.register.to_string(),
                    format!("{:>12}", row_words(*row)),
                    words(&ticket.agree),
                    words(&ticket.differ),
                ];
                // The same row asked for twice: the first day holds.
                let due = list.due.clone().unwrap_or_default();
                let known = lines.entry(line).or_insert_with(|| due.clone());
                if due < *known {
                    *known = due;
                }
            }
        }
    }
    files::deliver(&options.out, |out| {
        // A byte-order mark, so that Excel and WPS read the file as UTF-8.
        out.write_all("\u{feff}".as_bytes())
            .map_err(|error| Problem::io(&options.out, error))?;
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record([
                "数据 register",
                "行号 row",
                "一致 agrees",
                "不一致 differs",
                "期限 due",
            ])
            .map_err(failed)?;
        for ([register, row, agree, differ], due) in &lines {
            writer
                .write_record([register, row.trim(), agree, differ, due].map(harmless))
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
    if unknown > 0 {
        console.note(&format!(
            "{unknown} 条核改单对应此前报送的数据 tickets are about an earlier delivery of this register"
        ));
    }
    console.object(&serde_json::json!({ "rows": lines.len(), "unknown": unknown }));
    Ok(())
}

/// Options of `receipts`.
#[derive(Args)]
pub struct ReceiptsOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// Write the receipts as a sheet to print and file
    #[arg(long, value_name = "FILE.xlsx")]
    out: Option<PathBuf>,
}

/// `receipts`: what the matcher acknowledges.
pub fn receipts(
    home: &HomeOptions,
    console: &Console,
    options: &ReceiptsOptions,
) -> Result<(), Problem> {
    let folder = &options.exchange.exchange;
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let mut all = Vec::new();
    let expected = (MessageType::Receipt, &agreement.matcher().name);
    let (state, origin) = (home.state(), Origin::of(&agreement));
    let _guard = files::guard(&state)?;
    let delivered = exchange::sent_by(folder, &identity.card().name)?;
    let folders = (state.as_path(), folder.as_path());
    for (path, mut verified) in received(folders, &identity, &agreement, expected, console)? {
        let limit = MANIFEST_BYTES_MAX as u64 + 4;
        let body = exchange::open_small(&path, &mut verified, &identity, limit)?;
        let receipt: Receipt =
            parse_small_body("receipt", &body).map_err(|r| Problem::refused(&path, r))?;
        let own = delivered.iter().find(|file| {
            Some(file.header.request) == verified.header().in_reply_to
                && file.header.to.0 == agreement.matcher().name
        });
        match own {
            Some(own) => {
                let digest = hex(&sha256(&[own.header.render().as_bytes()]));
                if digest != receipt.header_sha256 || own.header.seq != receipt.seq {
                    let why = "the receipt acknowledges another delivery than the one it answers";
                    return Err(Problem::refused(&path, Refusal::BadLog(why.to_owned())));
                }
            }
            None => console.note(&format!(
                "{}: 所回执的报送文件不在此处 the delivery that it acknowledges is not here to compare",
                path.display()
            )),
        }
        let logged = receipt
            .checkpoint(agreement.matcher(), &origin)
            .ok_or_else(|| {
                let why = "the receipt does not prove that the submission stands in it";
                Problem::refused(&path, Refusal::BadLog(why.to_owned()))
            })?;
        Memory::open(&state)?.notice(folders.1, &agreement, &logged)?;
        console.say(&format!(
            "{} → {}: 第 {} 号 number, 保存至 kept until {}",
            receipt.dataset, receipt.register, receipt.seq, receipt.delete_after
        ));
        all.push((receipt, own.is_some()));
    }
    if let Some(out) = &options.out {
        let today = home.clock()?.today();
        receipt_sheet::write(out, &agreement, (&identity.card().name, &today), &all)?;
        console.say(&format!("回执单 sheet: {}", out.display()));
    }
    let all: Vec<&Receipt> = all.iter().map(|(receipt, _)| receipt).collect();
    console.object(&all);
    Ok(())
}

pub(super) fn handle_rows(
    home: &HomeOptions,
    identity: &Identity,
    agreement: &InForce,
    register: &str,
) -> Result<BTreeMap<Handle, Vec<u64>>, Problem> {
    let path = handle_map_path(&home.state(), agreement, register);
    if !path.exists() {
        return Err(Problem::not_yet(
            format!("`{register}` was not submitted from this folder under this agreement"),
            "run `hedui-agent submit` for it first",
        ));
    }
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
    let kept = Kept::of(&home.state(), identity, agreement, register);
    if let Some((_, since)) = kept.changed()? {
        for (handle, changed) in since.records {
            rows.remove(&handle);
            let mut numbers: Vec<u64> = changed.iter().map(|row| number_of(&row.bytes)).collect();
            numbers.sort_unstable();
            if !numbers.is_empty() {
                rows.insert(handle, numbers);
            }
        }
    }
    Ok(rows)
}

/// `handles`: the local map as CSV, for the dataset's owner only: a register's pseudonyms with row numbers, or the
/// roll's, which are others towards every register.
pub fn handles(
    home: &HomeOptions,
    console: &Console,
    options: &HandlesOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let dataset = super::dataset_named(&agreement, &options.dataset)?;
    let own = dataset.name.as_str();
    let mut maps = Vec::new();
    if own == agreement.roll().name.as_str() {
        let path = roll::snapshot_path(&home.state(), &agreement);
        let roll = roll::load(&path, &identity, &agreement)?;
        let pseudonyms = Pseudonyms::new(&identity, &agreement, own);
        for register in agreement.registers() {
            let name = register.name.as_str();
            let persons = roll.handles(&pseudonyms, name).into_iter();
            let rows = |at: usize| roll.persons.get(at).map(|person| person.rows.clone());
            let map = persons.filter_map(|(handle, at)| Some((handle, rows(at)?)));
            maps.push((name, map.collect()));
        }
    } else {
        maps.push((own, handle_rows(home, &identity, &agreement, own)?));
    }
    files::deliver(&options.out, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        let head = ["handle", "rows", "register"];
        writer.write_record(head).map_err(failed)?;
        for (register, map) in &maps {
            for (handle, rows) in map {
                let rows: Vec<String> = rows.iter().map(|row| row_words(*row)).collect();
                let record = [&handle.to_hex(), &rows.join(" "), *register];
                writer.write_record(record).map_err(failed)?;
            }
        }
        writer
            .flush()
            .map_err(|error| Problem::io(&options.out, error))
    })?;
    let count: usize = maps.iter().map(|(_, map)| map.len()).sum();
    console.say(&format!(
        "句柄 handles: {count} → {}",
        options.out.display()
    ));
    Ok(())
}
