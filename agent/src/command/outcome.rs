//! The command `results`. In: the matcher's latest result. Out: matches, clue sheets, and on request correction
//! tickets. Invariant: everything opened was verified first and replayed against the agreement's rule; sheets
//! appear whole. Specification: README, "Ten minutes"; docs/OPERATIONS.md.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{Table, presets};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_keys::lock::Lock;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::LockKind;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::message::result::Outcome;
use hedui_protocol::refusal::Refusal;

use super::ask;
use super::draft::COUNTY_RULES;
use super::mailbox::send_tickets;
use super::post::{ExchangeOptions, received};
use crate::clue::evaluate::{Findings, Period, categories, evaluate, households_of};
use crate::clue::handover;
use crate::clue::rules::Rules;
use crate::clue::sheet;
use crate::clusters;
use crate::correction::{self, Corrections, Standing, tickets_of};
use crate::disclosure::asked::{self, Asked};
use crate::disclosure::replies::{self, Replies};
use crate::disclosure::words::Words;
use crate::evaluation::Workshop;
use crate::evaluation::tokens::Evaluated;
use crate::matches;
use crate::results::{self, Opened};
use crate::roll::{self, Roll};

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
    /// A register that has ended and is not expected in results any more (repeat)
    #[arg(long, value_name = "NAME")]
    ended: Vec<String>,
    /// Send correction tickets to the owners of registers; each tells it that this person is on the roll
    #[arg(long)]
    send_tickets: bool,
    /// Days in which departments are asked to correct what tickets name
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    ticket_days: u32,
    /// Print the shipped rule file for the seven categories and stop
    #[arg(long)]
    print_county_rules: bool,
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
    let _guard = files::guard(&state)?;
    let roll = roll::load(
        &roll::snapshot_path(&state, &agreement),
        &identity,
        &agreement,
    )?;
    let folder = &options.exchange.exchange;
    let mut opened = open_latest(folder, &identity, &agreement, &roll, (&state, console))?;
    let mut asked = Asked::open(&state, &agreement)?;
    let mut answers = ask::answers((&state, folder), &identity, &agreement, &asked, console)?;
    let lost = asked.see(&mut answers);
    asked.save(&state, &agreement)?;
    let stale = asked::apply(&asked, &answers, (&mut opened, &roll, &agreement));
    let gone = vanished(&state, &agreement, &opened, &options.ended)?;
    let outdated: Vec<&str> = opened.outdated.iter().map(|name| name.as_str()).collect();
    if !outdated.is_empty() {
        let what = format!(
            "结果对应此前报送的名册 the result answers an earlier delivery of the roll for {}",
            outdated.join(", ")
        );
        if outdated.len() == opened.manifest.registers.len() && gone.is_empty() {
            return Err(Problem::not_yet(what, "wait for the matcher's next run"));
        }
        console.note(&format!(
            "{what}; those are left out until the matcher's next run"
        ));
    }
    // Whatever can be refused is refused before the first sheet is written.
    let today = home.clock()?.today();
    let rules = match &options.rules {
        Some(path) => Some(Rules::read(path, &agreement, &today)?),
        None => None,
    };
    files::private_folder(&options.out)?;
    matches::write(
        &options.out.join("matches.csv"),
        &agreement,
        &roll,
        &opened.evidence,
    )?;
    let replies = Replies::of(&asked, &answers, &opened);
    if replies.asked > 0 {
        let path = options.out.join("disclosed.csv");
        let words = Words::of(&agreement, rules.as_ref());
        let both = (&asked, &answers);
        replies::write(&path, (&agreement, &roll, &opened), &words, both)?;
        print_replies(console, &replies, (stale, lost));
    }
    let clusters = clusters::of(&opened.evidence);
    clusters::write(
        &options.out.join("clusters.csv"),
        &agreement,
        &roll,
        &clusters,
    )?;
    let shared = clusters.iter().filter(|c| c.persons.len() > 1).count();
    if shared > 0 {
        console.say(&format!(
            "{shared} 组名册记录对应同一人的登记，可能重复列入 groups of roll records share a register's record: the same person \
             twice on the roll? 见 see {}",
            options.out.join("clusters.csv").display()
        ));
    }
    let tickets = tickets_of(&agreement, &opened);
    let villages = correction::by_village(&agreement, &opened, &roll);
    correction::write_villages(&options.out.join("核改统计.csv"), &agreement, &villages)?;
    let count_of = tickets.values().map(Vec::len).sum::<usize>();
    let clock = home.clock()?;
    let mut corrections = Corrections::open(&state, &agreement)?;
    // Pairs that do not open are missing from the tickets: then nothing is said of what is gone.
    let is_whole = opened.unopenable_count + opened.foreign_count + opened.impossible_count == 0;
    let held: Vec<(&str, &str)> = opened
        .manifest
        .registers
        .iter()
        .filter(|r| is_whole && !opened.outdated.contains(&r.name))
        .map(|r| (r.name.as_str(), r.register_snapshot.as_str()))
        .collect();
    corrections.take(&held, &tickets, &today);
    corrections.save(&state, &agreement)?;
    let untold: usize = tickets
        .iter()
        .map(|(register, own)| corrections.untold(register.as_str(), own).len())
        .sum();
    if options.send_tickets {
        let due = clock.after(options.ticket_days);
        send_tickets(
            home,
            &identity,
            &agreement,
            &options.exchange.exchange,
            (tickets, &opened, &due),
            &mut corrections,
            console,
        )?;
    } else if untold > 0 {
        console.note(&format!(
            "有 {untold} 条核改单未发出 correction tickets not sent: 每发一条，该部门即知此人在名册上 each one tells the \
             department that this person is on the roll; send them with --send-tickets"
        ));
    }
    let standing = corrections.standing(&agreement, &clock);
    print_corrections(console, &standing);
    let mut summary = serde_json::json!({
        "matches": count(&opened, Outcome::Match),
        "reviews": count(&opened, Outcome::Review),
        "identity_conflicts": count(&opened, Outcome::IdentityConflict),
        "clusters_of_several_persons": shared,
        "tickets": count_of,
        "tickets_sent": options.send_tickets,
        "corrections": standing,
        "disclosure": replies,
        "canary_alarms": opened.canary_alarm_count,
        "vanished": gone,
        "unguarded": opened.unguarded.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "absent": opened.absent.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "impossible": opened.impossible_count,
        "unopenable": opened.unopenable_count,
        "foreign": opened.foreign_count,
    });
    print_registers(console, &agreement, &opened);
    if let Some(rules) = rules {
        let label = options
            .period
            .clone()
            .unwrap_or_else(|| today.chars().take(7).collect());
        let period = Period {
            label: &label,
            today: today.replace('-', "").parse().unwrap_or(0),
        };
        let findings = evaluate(&agreement, &rules, &roll, &opened.evidence, &period)?;
        let units = households_of(&agreement, &roll);
        let source = sheet::Source {
            units: &units,
            agreement: &agreement,
            rules: &rules,
            roll: &roll,
            evidence: &opened.evidence,
            registers: &opened.manifest.registers,
            period: &label,
        };
        sheet::write(&options.out, &source, &findings)?;
        handover::write(&options.out, &source, &findings)?;
        print_findings(console, &rules, &findings);
        summary["clues"] = findings.clues.len().into();
        summary["review_items"] = findings.reviews.len().into();
        summary["income_tasks"] = findings.tasks.len().into();
    }
    console.say(&format!("清单在 sheets in: {}", options.out.display()));
    console.object(&summary);
    let mut what = alarms(&opened);
    if !gone.is_empty() {
        what.push(format!(
            "警示 alarm: 此前结果中有、本次没有的数据 registers that an earlier result held and this one does not: {}; ask the \
             matcher and the departments why",
            gone.join(", ")
        ));
    }
    if !outdated.is_empty() {
        what.push(format!(
            "未计入 left out: {}; 这些数据比对的是此前报送的名册，如核对中心已回执新名册仍如此，请报告 they were compared with an earlier \
             roll; if the matcher has acknowledged the newer one, tell the reviewer",
            outdated.join(", ")
        ));
    }
    if what.is_empty() {
        return Ok(());
    }
    Err(Problem::DoneWithRejects {
        what: what.join("\n"),
    })
}

/// Registers that an earlier result of this epoch held and this one does not; keeps which this one holds.
/// Those that `ended` names are not expected any more.
fn vanished(
    state: &Path,
    agreement: &InForce,
    opened: &Opened,
    ended: &[String],
) -> Result<Vec<String>, Problem> {
    let place = hedui_keys::vault::place(agreement);
    let kept = state.join(format!("result-{place}.registers"));
    let seen = if kept.exists() {
        files::read_text(&kept)?
    } else {
        String::new()
    };
    let held = opened.manifest.registers.iter().map(|r| r.name.as_str());
    let mut all: BTreeSet<&str> = seen
        .lines()
        .filter(|line| !line.is_empty() && !ended.iter().any(|name| name == line))
        .collect();
    let absent = opened.absent.iter().map(Name::as_str);
    let gone = absent
        .filter(|name| all.contains(name))
        .map(str::to_owned)
        .collect();
    all.extend(held);
    let lines: String = all.iter().map(|name| format!("{name}\n")).collect();
    files::write_bytes(&kept, lines.as_bytes())?;
    Ok(gone)
}

/// What R can prove against the matcher or a register.
pub(super) fn alarms(opened: &Opened) -> Vec<String> {
    let mut what = Vec::new();
    if opened.canary_alarm_count > 0 {
        what.push(format!(
                "警示 alarm: {} 条校验记录缺失或多余 canaries are missing or were invented: the matcher dropped or \
                 made up matches; do not rely on this result, tell the reviewer",
                opened.canary_alarm_count
            ));
    }
    if opened.unopenable_count + opened.foreign_count + opened.impossible_count > 0 {
        what.push(format!(
            "{} pairs whose facts are missing or do not open with this roll's own keys, {} that name nobody on this \
             roll, {} that the rule cannot give: the matcher or a register is at fault, or the roll was submitted \
             again since; tell the reviewer",
            opened.unopenable_count, opened.foreign_count, opened.impossible_count
        ));
    }
    what
}

pub(super) fn open_latest(
    folder: &Path,
    identity: &Identity,
    agreement: &InForce,
    roll: &Roll,
    (state, console): (&Path, &Console),
) -> Result<Opened, Problem> {
    let from = &agreement.matcher().name;
    let found = received(
        (state, folder),
        identity,
        agreement,
        (MessageType::Result, from),
        console,
    )?;
    let (latest, mut verified) = found
        .into_iter()
        .max_by_key(|(_, verified)| verified.header().seq)
        .ok_or_else(|| {
            Problem::not_yet(
                format!("there is no result in {}", folder.display()),
                "the matcher makes it with `hedui-matcher run`",
            )
        })?;
    newest(state, agreement, &latest, verified.header().seq)?;
    let workshop = Workshop::new(agreement, identity, (state, folder), console)?;
    let evaluated = match agreement.text().lock {
        LockKind::Keyed => None,
        LockKind::Oprf => Some(Evaluated::of_persons(&workshop, &roll.persons)?),
    };
    results::open(
        &latest,
        &mut verified,
        identity,
        agreement,
        roll,
        evaluated.as_ref().map(|lock| lock as &dyn Lock),
        (state, state),
    )
}

/// Refuses a result that is older than one opened before: a courier may hold back the newer one.
fn newest(state: &Path, agreement: &InForce, path: &Path, seq: u64) -> Result<(), Problem> {
    let kept = state.join(format!(
        "result-{}.seq",
        hedui_keys::vault::place(agreement)
    ));
    let text = if kept.exists() {
        files::read_text(&kept)?
    } else {
        String::new()
    };
    let last = text.trim().parse().unwrap_or(0);
    if seq < last {
        let found = seq;
        return Err(Problem::refused(
            path,
            Refusal::WrongSequence { last, found },
        ));
    }
    files::write_bytes(&kept, format!("{seq}\n").as_bytes())
}

fn count(opened: &Opened, outcome: Outcome) -> usize {
    opened
        .evidence
        .iter()
        .filter(|item| item.outcome == outcome)
        .count()
}

/// One line per decided pair: rows of the roll, register, handle, outcome, keys.
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
    if !opened.unguarded.is_empty() {
        let names: Vec<&str> = opened.unguarded.iter().map(|name| name.as_str()).collect();
        console.note(&format!(
            "校验记录不起作用 canaries prove nothing for: {}（其记录的匹配键不足以判定 the keys of most of their records decide nothing）",
            names.join(", ")
        ));
    }
    if !opened.absent.is_empty() {
        let names: Vec<&str> = opened.absent.iter().map(|name| name.as_str()).collect();
        console.note(&format!(
            "结果中没有 not in this result: {}（尚未报送，或被核对中心遗漏 not delivered yet, or left out by the matcher）",
            names.join(", ")
        ));
    }
}

/// What became of the questions about single records.
fn print_replies(console: &Console, replies: &Replies, (stale, lost): (usize, usize)) {
    if lost > 0 {
        console.note(&format!(
            "警示 alarm: {lost} 条登记的最近一次答复文件缺失，按未答复处理 the latest answer about so many records, seen before, is gone: they count as \
             open; ask for the file again"
        ));
    }
    console.say(&format!(
        "协查 disclosure: 已问 asked {}, 提供 disclosed {}, 不提供 declined {}, 查无此记录 unknown {}, 待答复 open {}",
        replies.asked, replies.disclosed, replies.declined, replies.unknown, replies.open
    ));
    if stale > 0 {
        console.note(&format!(
            "{stale} 条答复针对此前的数据，其登记事实不计入线索 answers speak of earlier data: their facts make no clue; ask again \
             where it still matters"
        ));
    }
}

/// What became of the tickets of earlier results and of this one.
fn print_corrections(console: &Console, standing: &[Standing]) {
    if standing.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "核改 corrections",
        "单位 owner",
        "未改 open",
        "已通知 told",
        "超期 overdue",
        "已改 corrected",
        "按期 in time",
    ]);
    for line in standing {
        table.add_row([
            line.title.clone(),
            line.owner.clone(),
            line.open.to_string(),
            line.told.to_string(),
            line.overdue.to_string(),
            line.corrected.to_string(),
            line.in_time.to_string(),
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
