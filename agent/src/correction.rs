//! Correction tickets (谁录入谁负责谁修改) and what became of them. In: every result, in their order. Out: tickets; per register:
//! asked, open, overdue, corrected. Invariant: holds the register's own pseudonyms, kinds of evidence and days, no person;
//! a ticket ends only when a later result of its register holds the contradiction no more.
//! Specification: docs/OPERATIONS.md, "Corrections".

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use hedui_edge::cells::harmless;
use hedui_edge::clock::Clock;
use hedui_edge::{Problem, files};
use hedui_protocol::agreement::text::KeyClass;
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::ids::Name;
use hedui_protocol::message::result::Outcome;
use hedui_protocol::message::ticket::Ticket;
use serde::{Deserialize, Serialize};

use crate::clue::evaluate::{key_names, local_text};
use crate::results::{Evidence, Opened};
use crate::roll::Roll;

/// Tickets by register.
pub type ByRegister = BTreeMap<Name, Vec<Ticket>>;

/// Evidence that contradicts itself: identity conflicts, and matches although the IDs differ.
fn contradictions<'o>(
    agreement: &InForce,
    opened: &'o Opened,
) -> impl Iterator<Item = &'o Evidence> + use<'o> {
    let keys = agreement.match_keys().iter();
    let a_keys: u16 = keys
        .filter(|key| key.class == KeyClass::A)
        .fold(0, |bits, key| bits | 1 << (key.number - 1));
    opened
        .evidence
        .iter()
        .filter(move |item| match item.outcome {
            Outcome::IdentityConflict => true,
            Outcome::Match => item.differ & a_keys != 0,
            Outcome::Review => false,
        })
}

/// Contradictions by the place from which the roll has its row, and by register: township, village, register. Which side is
/// wrong nobody knows yet; a village that stands out entered its rows badly.
pub fn by_village(agreement: &InForce, opened: &Opened, roll: &Roll) -> BTreeMap<[String; 3], u64> {
    let mut counts = BTreeMap::new();
    for item in contradictions(agreement, opened) {
        let local = roll.persons.get(item.person).and_then(|p| p.local.first());
        let text = |name: &str| {
            let text = local.and_then(|local| local_text(roll, local, name));
            text.filter(|text| !text.is_empty())
                .unwrap_or("未注明")
                .to_owned()
        };
        let place = [text("township"), text("village"), item.register.to_string()];
        *counts.entry(place).or_insert(0) += 1;
    }
    counts
}

/// Writes [`by_village`], with the register's title and its owner.
pub fn write_villages(
    path: &Path,
    agreement: &InForce,
    counts: &BTreeMap<[String; 3], u64>,
) -> Result<(), Problem> {
    files::deliver(path, |out| {
        // A byte-order mark, so that Excel and WPS read the file as UTF-8.
        out.write_all("\u{feff}".as_bytes())
            .map_err(|error| Problem::io(path, error))?;
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        let head = ["乡镇", "村（社区）", "比对数据", "数据单位", "矛盾对数"];
        writer.write_record(head).map_err(failed)?;
        for ([township, village, register], count) in counts {
            let mut registers = agreement.registers();
            let dataset = registers.find(|dataset| dataset.name.as_str() == register);
            let title = dataset.map(Agreement::title_of_dataset).unwrap_or_default();
            let owner = dataset
                .map(|d| agreement.title_of(&d.owner))
                .unwrap_or_default();
            writer
                .write_record([township, village, &title, &owner, &count.to_string()].map(harmless))
                .map_err(failed)?;
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}

/// Tickets for the owners of registers.
pub fn tickets_of(agreement: &InForce, opened: &Opened) -> ByRegister {
    let mut by_register = ByRegister::new();
    for item in contradictions(agreement, opened) {
        let names = |bits| {
            key_names(agreement, bits)
                .iter()
                .filter_map(|name| Name::new(name))
                .collect()
        };
        by_register
            .entry(item.register.clone())
            .or_default()
            .push(Ticket {
                handle: item.handle.to_hex(),
                agree: names(item.agree),
                differ: names(item.differ),
            });
    }
    for tickets in by_register.values_mut() {
        tickets.sort_by(|a, b| a.handle.cmp(&b.handle));
        tickets.dedup_by(|a, b| a.handle == b.handle);
    }
    by_register
}

/// One contradiction between the roll and a register's record.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Match keys that differ, in words of the agreement.
    differ: Vec<String>,
    /// Day on which a result first held it.
    found: String,
    /// Day on which its owner was told; absent if it was not.
    told: Option<String>,
    /// Day by which it was to be corrected.
    due: Option<String>,
    /// Day from which results hold it no more.
    gone: Option<String>,
}

/// Everything asked of registers under one agreement and epoch.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrections {
    /// By register, then by the record's pseudonym.
    asked: BTreeMap<String, BTreeMap<String, Asked>>,
    /// The owner's own name of each register's data when a result last held it.
    snapshots: BTreeMap<String, String>,
}

/// How a register stands.
#[derive(Default, Serialize)]
pub struct Standing {
    /// Register.
    pub register: String,
    /// Its title.
    pub title: String,
    /// Its owner.
    pub owner: String,
    /// Contradictions that the latest result of the register holds.
    pub open: u64,
    /// Those of them of which the owner was told.
    pub told: u64,
    /// Those that should have been corrected by now.
    pub overdue: u64,
    /// Those that a later delivery of the register shows no more.
    pub corrected: u64,
    /// Gone in time, of those with a day.
    pub in_time: u64,
}

impl Corrections {
    /// Reads what is kept of an agreement and epoch; nothing at first.
    pub fn open(state: &Path, agreement: &InForce) -> Result<Self, Problem> {
        let path = path(state, agreement);
        if !path.exists() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&files::read_state(&path)?).map_err(|_| {
            Problem::data(
                format!("{}: 核改记录已损坏 the record of corrections is damaged", path.display()),
                "请从备份恢复，或移走该文件重新开始 restore it from a backup, or move it away to begin anew",
            )
        })
    }

    /// Writes it.
    pub fn save(&self, state: &Path, agreement: &InForce) -> Result<(), Problem> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        files::write_bytes(&path(state, agreement), &json)
    }

    /// Takes up what a result holds: new contradictions, those that are gone, those that came back. `held` are the registers
    /// that the result answers for, each with its owner's name of its data: where those have not changed, a contradiction
    /// that is gone went by the roll, and is not the owner's doing.
    pub fn take(&mut self, held: &[(&str, &str)], tickets: &ByRegister, today: &str) {
        for (register, snapshot) in held {
            let now = tickets.iter().find(|(name, _)| name.as_str() == *register);
            let now: BTreeMap<&str, Vec<String>> = now
                .into_iter()
                .flat_map(|(_, list)| list)
                .map(|t| {
                    (
                        t.handle.as_str(),
                        t.differ.iter().map(ToString::to_string).collect(),
                    )
                })
                .collect();
            let before = self
                .snapshots
                .insert((*register).to_owned(), (*snapshot).to_owned());
            let is_new_data = before.as_deref() != Some(*snapshot);
            let known = self.asked.entry((*register).to_owned()).or_default();
            known.retain(|handle, asked| {
                is_new_data || asked.gone.is_some() || now.contains_key(handle.as_str())
            });
            for (handle, asked) in known.iter_mut() {
                match now.get(handle.as_str()) {
                    Some(differ) => {
                        asked.differ.clone_from(differ);
                        asked.gone = None;
                    }
                    None if asked.gone.is_none() => asked.gone = Some(today.to_owned()),
                    None => {}
                }
            }
            for (handle, differ) in now {
                known.entry(handle.to_owned()).or_insert_with(|| Asked {
                    differ,
                    found: today.to_owned(),
                    told: None,
                    due: None,
                    gone: None,
                });
            }
        }
        self.asked.retain(|_, tickets| !tickets.is_empty());
    }

    /// Those of a register's tickets of which its owner was not told yet.
    pub fn untold(&self, register: &str, tickets: &[Ticket]) -> Vec<Ticket> {
        let told = |ticket: &&Ticket| {
            let asked = self
                .asked
                .get(register)
                .and_then(|known| known.get(&ticket.handle));
            asked.is_some_and(|asked| asked.told.is_some())
        };
        tickets
            .iter()
            .filter(|ticket| !told(ticket))
            .cloned()
            .collect()
    }

    /// Notes that a register's owner was told of these tickets; the first day counts.
    pub fn tell(&mut self, register: &str, handles: &[String], today: &str, due: &str) {
        let Some(known) = self.asked.get_mut(register) else {
            return;
        };
        for handle in handles {
            if let Some(asked) = known.get_mut(handle)
                && asked.told.is_none()
            {
                asked.told = Some(today.to_owned());
                asked.due = Some(due.to_owned());
            }
        }
    }

    /// Where every register stands.
    pub fn standing(&self, agreement: &InForce, clock: &Clock) -> Vec<Standing> {
        let today = clock.today();
        let line = |(register, tickets): (&String, &BTreeMap<String, Asked>)| {
            let dataset = agreement
                .registers()
                .find(|dataset| dataset.name.as_str() == register);
            let mut standing = Standing {
                register: register.clone(),
                title: dataset.map(Agreement::title_of_dataset).unwrap_or_default(),
                owner: dataset.map(|d| d.owner.to_string()).unwrap_or_default(),
                ..Standing::default()
            };
            for asked in tickets.values() {
                match &asked.gone {
                    None => {
                        standing.open += 1;
                        standing.told += u64::from(asked.told.is_some());
                        standing.overdue +=
                            u64::from(asked.due.as_ref().is_some_and(|due| today > *due));
                    }
                    Some(gone) => {
                        standing.corrected += 1;
                        standing.in_time +=
                            u64::from(asked.due.as_ref().is_some_and(|due| gone <= due));
                    }
                }
            }
            standing
        };
        self.asked.iter().map(line).collect()
    }
}

fn path(state: &Path, agreement: &InForce) -> PathBuf {
    state.join(format!(
        "corrections-{}.json",
        hedui_keys::vault::place(agreement)
    ))
}
