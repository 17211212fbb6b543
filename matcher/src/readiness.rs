//! Who has delivered what (报送情况). In: the ledger, due days, today. Out: one line per register: delivered, late, missing,
//! overdue; how fresh it is; what was refused and why. Invariant: knows days, names and counts that the ledger holds
//! anyway; a refused file's sender is what its header claims, and said to be.
//! Specification: docs/OPERATIONS.md, "Readiness".

use std::collections::BTreeMap;

use clap::Args;
use hedui_edge::clock::Clock;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::DatasetKind;
use serde::Serialize;

use crate::desk::Desk;
use crate::ledger::Delivery;
use crate::quality::{self, Shares};

/// Options of `readiness`.
#[derive(Args)]
pub(crate) struct ReadinessOptions {
    /// Day by which registers are due: DAY for all, or REGISTER=DAY for one (repeat)
    #[arg(long, value_name = "DAY")]
    due: Vec<String>,
    /// Only what was accepted from this day on counts: the first day of the campaign
    #[arg(long, value_name = "DAY", value_parser = day_of)]
    since: Option<String>,
}

fn day_of(text: &str) -> Result<String, String> {
    Clock::new(Some(text))
        .map(|clock| clock.today())
        .map_err(|_| "不是日期，请写作 2016-07-01 not a day: write YYYY-MM-DD".to_owned())
}

/// Where a register stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    /// In time, or no day was said.
    Delivered,
    /// After its day.
    Late,
    /// Not yet; its day has not passed.
    Missing,
    /// Not yet; its day has passed.
    Overdue,
}

impl Standing {
    fn words(self) -> &'static str {
        match self {
            Self::Delivered => "已报送 delivered",
            Self::Late => "迟报 late",
            Self::Missing => "未报送 missing",
            Self::Overdue => "超期未报 overdue",
        }
    }
}

/// One line.
#[derive(Serialize)]
struct Line {
    dataset: String,
    title: String,
    owner: String,
    standing: Standing,
    due: Option<String>,
    first_delivered: Option<String>,
    last_delivered: Option<String>,
    as_of: Option<String>,
    age_days: Option<i64>,
    deliveries: usize,
    /// Day for which each delivery held, in their order.
    history: Vec<String>,
    /// Thousandths of the records that have each match key, of each delivery that was counted, in their order.
    shares: Vec<Shares>,
}

/// `readiness`.
pub(crate) fn readiness(
    home: &HomeOptions,
    desk: &Desk,
    console: &Console,
    options: &ReadinessOptions,
) -> Result<(), Problem> {
    let clock = home.clock()?;
    let due = due_days(&desk.agreement, &options.due)?;
    let ledger = desk.state.ledger()?;
    let mut deliveries = ledger.deliveries(&desk.agreement)?;
    if let Some(since) = &options.since {
        deliveries.retain(|delivery| delivery.day() >= since.as_str());
    }
    let mut lines = lines(&desk.agreement, &deliveries, &due, &clock);
    let mut counted = quality::history(&desk.state, ledger, &desk.agreement)?;
    // What was counted of earlier campaigns says nothing of one in which nothing has come yet.
    for line in lines.iter_mut().filter(|line| line.deliveries > 0) {
        line.shares = counted.remove(&line.dataset).unwrap_or_default();
    }
    let refusals = ledger.refusals()?;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "数据 dataset",
        "单位 owner",
        "状态 standing",
        "期限 due",
        "最近报送 last",
        "数据截止日 as of",
        "距今（天）age",
        "次数 times",
        "证件号可用率（较上次）usable id",
    ]);
    for line in &lines {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        table.add_row([
            line.title.clone(),
            line.owner.clone(),
            line.standing.words().to_owned(),
            text(&line.due),
            text(&line.last_delivered),
            text(&line.as_of),
            line.age_days
                .map(|days| days.to_string())
                .unwrap_or_default(),
            line.deliveries.to_string(),
            quality::words(&desk.agreement, &line.shares),
        ]);
    }
    console.say(&table.to_string());
    for refusal in &refusals {
        console.say(&format!(
            "退回 refused: {}（自称 claims to be from {}，{}）{}，退出码 code {}",
            refusal.header_sha256.chars().take(12).collect::<String>(),
            refusal.sender,
            refusal.day,
            refusal.why,
            refusal.code
        ));
    }
    let open = lines
        .iter()
        .filter(|line| matches!(line.standing, Standing::Missing | Standing::Overdue))
        .count();
    console.say(&format!(
        "共 in all: {}，未报送 not delivered: {open}",
        lines.len()
    ));
    console.object(&serde_json::json!({ "datasets": lines, "refused": refusals }));
    Ok(())
}

/// Due day per dataset; an empty name stands for all.
fn due_days(agreement: &Agreement, stated: &[String]) -> Result<BTreeMap<String, String>, Problem> {
    let mut due = BTreeMap::new();
    for text in stated {
        let (name, day) = text.split_once('=').unwrap_or(("", text));
        if !name.is_empty() {
            agreement.dataset_or_nearest(name)?;
        }
        let day = Clock::new(Some(day)).map_err(|_| {
            Problem::usage(
                "--due: 不是日期 not a day",
                "写作 --due 2016-07-10 或 --due hukou=2016-07-05 write YYYY-MM-DD or REGISTER=YYYY-MM-DD",
            )
        })?;
        due.insert(name.to_owned(), day.today());
    }
    Ok(due)
}

/// One line per dataset, in the order of the agreement. The roll counts as delivered when every register has it.
fn lines(
    agreement: &Agreement,
    deliveries: &[Delivery],
    due: &BTreeMap<String, String>,
    clock: &Clock,
) -> Vec<Line> {
    let datasets = &agreement.text().dataset;
    let registers = datasets
        .iter()
        .filter(|d| d.kind == DatasetKind::Register)
        .count();
    datasets
        .iter()
        .map(|dataset| {
            let own: Vec<&Delivery> = deliveries
                .iter()
                .filter(|d| d.dataset == dataset.name.as_str())
                .collect();
            let mut contexts: Vec<&str> = own.iter().map(|d| d.register.as_str()).collect();
            contexts.sort_unstable();
            contexts.dedup();
            let wanted = if dataset.kind == DatasetKind::Roll {
                registers
            } else {
                1
            };
            let whole = contexts.len() >= wanted;
            let limit = due.get(dataset.name.as_str()).or_else(|| due.get(""));
            // The roll was there when its last register had it.
            let firsts = contexts.iter().filter_map(|context| {
                own.iter()
                    .find(|d| d.register == *context)
                    .map(|d| d.day().to_owned())
            });
            let first = firsts.max();
            let today = clock.today();
            let standing = match (whole, limit) {
                (true, Some(limit)) if first.as_ref().is_some_and(|day| day > limit) => {
                    Standing::Late
                }
                (true, _) => Standing::Delivered,
                (false, Some(limit)) if today > *limit => Standing::Overdue,
                (false, _) => Standing::Missing,
            };
            let last = own.last();
            let mut history: Vec<String> = own.iter().map(|d| d.as_of.clone()).collect();
            history.dedup();
            let owner = agreement
                .text()
                .party
                .iter()
                .find(|party| party.name == dataset.owner);
            Line {
                dataset: dataset.name.to_string(),
                title: Agreement::title_of_dataset(dataset),
                owner: owner.map_or_else(
                    || dataset.owner.to_string(),
                    |party| {
                        if party.title.is_empty() {
                            party.name.to_string()
                        } else {
                            party.title.clone()
                        }
                    },
                ),
                standing,
                due: limit.cloned(),
                first_delivered: first,
                last_delivered: last.map(|d| d.day().to_owned()),
                as_of: last.map(|d| d.as_of.clone()).filter(|day| !day.is_empty()),
                age_days: last.and_then(|d| clock.days_since(&d.as_of)),
                deliveries: own.len() / contexts.len().max(1),
                history,
                shares: Vec::new(),
            }
        })
        .collect()
}
