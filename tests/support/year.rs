//! A year of the clue desk, scripted: four quarterly comparisons through the real binaries, every case through its life by
//! outcomes that follow the planted truth. In: a county with its quarterly deltas. Out: what happened, in a ledger that
//! shares nothing with the desk. Invariant: the desk's figures are never read to make the ledger's; the truth decides what
//! people find out, a digest of the case's number decides the rest, so a year is the same every time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hedui_desk::event::{Act, Body, Conclusion};
use hedui_desk::words::{Answer, Measure, Outcome};
use serde_json::Value;

use crate::county::County;
use crate::county::later::Delta;
use crate::people::People;
use crate::workbook::Book;

/// Unit and category.
pub type Key = (String, String);

/// What the script did with one case.
#[derive(Clone)]
pub struct Entry {
    /// Period in which it began.
    pub period: String,
    /// Unit and category.
    pub key: Key,
    /// Township.
    pub township: String,
    /// Income task.
    pub task: bool,
    /// Outcome in the end.
    pub outcome: Outcome,
    /// Measures and money of the conclusion that stands, fen.
    pub measures: BTreeMap<&'static str, i64>,
    /// Objections, and whether one changed the conclusion.
    pub objected: Option<bool>,
    /// Whether the unit leaves the roll.
    pub leaves: bool,
    /// Evidence on which it was concluded, in an order of its own.
    pub evidence: BTreeSet<String>,
}

/// The script's own record.
#[derive(Default)]
pub struct Ledger {
    /// Cases by number.
    pub cases: BTreeMap<String, Entry>,
    /// Latest case of each unit and category.
    pub latest: BTreeMap<Key, String>,
}

/// Findings of a handover: number, kind, township and evidence per unit and category.
pub struct Found {
    /// Number.
    pub number: String,
    /// Income task.
    pub task: bool,
    /// Township.
    pub township: String,
    /// Evidence.
    pub evidence: BTreeSet<String>,
}

/// Reads a handover without the desk's own reader.
pub fn read_handover(path: &Path) -> BTreeMap<Key, Found> {
    let value: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("clues.json")).expect("JSON");
    let mut found: BTreeMap<Key, Found> = BTreeMap::new();
    for list in ["clues", "reviews", "income_tasks"] {
        for line in value[list].as_array().expect("list") {
            let text = |name: &str| line[name].as_str().expect("text").to_owned();
            let task = list == "income_tasks";
            let number = if task {
                text("number") + "-t"
            } else {
                text("number")
            };
            let evidence = ["name", "id", "register", "facts", "outcome"]
                .map(text)
                .join("|");
            found
                .entry((text("unit"), text("category")))
                .or_insert(Found {
                    number,
                    task,
                    township: text("township"),
                    evidence: BTreeSet::new(),
                })
                .evidence
                .insert(evidence);
        }
    }
    found
}

/// A number between 0 and `below` that belongs to a case.
fn chance(number: &str, what: &str, below: u64) -> u64 {
    let digest = hedui_protocol::primitive::sha256(&[number.as_bytes(), what.as_bytes()]);
    u64::from_be_bytes(digest[..8].try_into().expect("eight bytes")) % below
}

/// What the truth says of a case, and how people come to it.
pub fn decide(key: &Key, found: &Found, period: &str, truth: &BTreeSet<Key>) -> Entry {
    let number = &found.number;
    let outcome = match (
        found.task || !truth.contains(key),
        chance(number, "outcome", 100),
    ) {
        (true, _) => Outcome::Unfounded,
        (false, 0..2) => Outcome::Unclear,
        (false, 2..8) => Outcome::Partly,
        (false, _) => Outcome::Confirmed,
    };
    let mut entry = Entry {
        period: period.to_owned(),
        key: key.clone(),
        township: found.township.clone(),
        task: found.task,
        outcome,
        measures: BTreeMap::new(),
        objected: None,
        leaves: false,
        evidence: found.evidence.clone(),
    };
    if outcome.is_adverse() && chance(number, "objection", 20) == 0 {
        let overturned = chance(number, "overturned", 2) == 0;
        entry.objected = Some(overturned);
        if overturned {
            entry.outcome = Outcome::Unfounded;
        }
    }
    let money = i64::try_from(10_000 + chance(number, "money", 500_000)).expect("small");
    match entry.outcome {
        Outcome::Partly => {
            entry.measures.insert("reduce", money);
        }
        Outcome::Confirmed => {
            entry.measures.insert("cancel", 0);
            if chance(number, "recover", 3) == 0 {
                entry.measures.insert("recover", money);
            }
            // One measure in thirty is recorded and never carried out.
            entry.leaves = chance(number, "carried out", 30) != 0;
        }
        _ => {}
    }
    entry
}

/// Days of a quarter's work, from its first day on.
fn day(first: &str, after: u32) -> String {
    hedui_desk::day::Day::read(first)
        .expect("a day")
        .after(after)
        .to_string()
}

/// Brings all new cases of a period to their end.
pub fn work(people: &mut People<'_>, first: &str, period: &str, ledger: &Ledger) {
    let site = people.site;
    let fresh: Vec<(&String, &Entry)> = ledger
        .cases
        .iter()
        .filter(|(_, e)| e.period == period)
        .collect();
    people.run("clerk", &day(first, 0), &["assign", "--all"]);
    let townships: BTreeSet<&str> = fresh.iter().map(|(_, e)| e.township.as_str()).collect();
    for township in &townships {
        let sheet = format!("{township}.xlsx");
        let args = ["export", "--township", *township, "--out", &sheet];
        people.run("clerk", &day(first, 1), &args);
    }
    for township in &townships {
        let sheet = format!("{township}.xlsx");
        let mut book = Book::open(&site.root.join(&sheet));
        for (number, entry) in fresh.iter().filter(|(_, e)| e.township == *township) {
            fill_in(&mut book, number, entry, &day(first, 4));
        }
        book.write(&site.root.join(&sheet));
        people.run("clerk", &day(first, 10), &["import", &sheet]);
    }
    let numbers: Vec<&str> = fresh.iter().map(|(number, _)| number.as_str()).collect();
    people.run(
        "lead",
        &day(first, 11),
        &[&["approve"], &numbers[..]].concat(),
    );
    let mut steps: BTreeMap<(u32, bool), Vec<Body>> = BTreeMap::new();
    for (number, entry) in &fresh {
        for (after, lead, body) in steps_of(number, entry, first) {
            steps.entry((after, lead)).or_default().push(body);
        }
    }
    for ((after, lead), bodies) in steps {
        people.record(lead, &day(first, after), bodies);
    }
}

fn fill_in(book: &mut Book, number: &str, entry: &Entry, visited: &str) {
    // Before an objection that will succeed, people are wrong.
    let first = if entry.objected == Some(true) {
        Outcome::Confirmed
    } else {
        entry.outcome
    };
    let reason = "凭证、本人陈述和登记相互印证";
    if entry.task {
        let cells = [
            ("赡养人家庭人口（含本人）", "3"),
            ("赡养人家庭月净收入（元）", "1800"),
            ("赡养人应赡养的总人数", "2"),
            ("收入证明材料", "工资单"),
            ("认定结果", first.zh()),
            ("认定理由", reason),
        ];
        book.fill("赡养费核算", |row| row[0] == number, &cells);
        return;
    }
    // A clue that is not true is somebody else's register entry, or what the rule could not know.
    let same = first != Outcome::Unfounded || chance(number, "same person", 2) == 0;
    let cells = [
        ("核查日期", visited),
        ("核查方式", "入户调查"),
        ("核查人甲", "赵一"),
        ("核查人乙", "钱二"),
        ("核查情况", "到户查看并核对凭证"),
        ("是否同一人", if same { "是" } else { "否" }),
        ("认定结果", first.zh()),
        ("认定理由", reason),
    ];
    book.fill("核查表", |row| row[0] == number, &cells);
    if first.is_adverse() {
        let terms =
            hedui_desk::terms::Terms::parse(hedui_desk::terms::COUNTY_TERMS).expect("terms");
        for question in terms.questions(&entry.key.1) {
            let answer = if question.disproved_by == Answer::Yes {
                "否"
            } else {
                "是"
            };
            let name = question.name.to_string();
            book.fill(
                "核实要点",
                |row| row[0] == number && row.contains(&name),
                &[("回答", answer)],
            );
        }
    }
}

/// Everything after approval: days after the quarter's first, whether a lead does it, what.
fn steps_of(number: &str, entry: &Entry, first: &str) -> Vec<(u32, bool, Body)> {
    let number = || number.to_owned();
    let reason = || "按规定办理，材料齐全".to_owned();
    let on = |after| hedui_desk::day::Day::read(&day(first, after)).expect("a day");
    let mut steps = Vec::new();
    let adverse_at_first =
        !entry.task && (entry.outcome.is_adverse() || entry.objected == Some(true));
    if adverse_at_first {
        let told = Body::Told {
            number: number(),
            day: on(12),
            until: on(22),
            how: "当面送达".to_owned(),
        };
        steps.push((12, false, told));
    }
    if let Some(overturned) = entry.objected {
        let who = "当事人".to_owned();
        let objected = Body::Objected {
            number: number(),
            day: on(15),
            who,
            grounds: "情况已有变化".to_owned(),
        };
        steps.push((15, false, objected));
        steps.push((
            18,
            true,
            Body::Settled {
                number: number(),
                upheld: !overturned,
                reason: reason(),
            },
        ));
        if overturned {
            let conclusion = Conclusion {
                outcome: Outcome::Unfounded,
                reason: reason(),
                same_person: Answer::Yes,
                answers: BTreeMap::new(),
                proposal: None,
                overdrawn_months: None,
            };
            steps.push((
                19,
                false,
                Body::Concluded {
                    number: number(),
                    conclusion,
                },
            ));
            steps.push((
                20,
                true,
                Body::Approved {
                    number: number(),
                    reason: reason(),
                },
            ));
        }
    }
    for (measure, fen) in &entry.measures {
        let measure = Measure::read(measure).expect("a measure");
        let act = Act {
            measure,
            day: on(23),
            fen: (*fen > 0).then_some(*fen),
            reason: reason(),
        };
        steps.push((
            23,
            false,
            Body::Acted {
                number: number(),
                act,
            },
        ));
    }
    steps.push((
        24,
        false,
        Body::Closed {
            number: number(),
            reason: reason(),
        },
    ));
    steps
}

/// What the year changes in the registers before the next comparison: units leave the roll, payments go on, a third of the
/// rows with slips are corrected, the quarter's new rows come.
pub fn turn(county: &mut County, ledger: &Ledger, delta: Delta, paid: &str, third: usize) {
    let left: BTreeSet<&str> = ledger
        .cases
        .values()
        .filter(|e| e.leaves)
        .map(|e| e.key.0.as_str())
        .collect();
    let roll = county.registers.get_mut("dibao").expect("the roll");
    let at = |name: &str| {
        roll.header()
            .iter()
            .position(|h| *h == name)
            .expect("column")
    };
    let (unit, paid_at, until) = (at("户编号"), at("最后发放日期"), at("停发日期"));
    roll.rows
        .retain(|row| !left.contains(row.cells[unit].as_str()));
    for row in roll
        .rows
        .iter_mut()
        .filter(|row| row.cells[until].is_empty())
    {
        row.cells[paid_at] = paid.to_owned();
    }
    for register in county.registers.values_mut() {
        for row in (0..register.rows.len()).filter(|row| row % 3 == third) {
            if !register.rows[row].changes.is_empty() {
                register.correct(&county.people, row);
            }
        }
    }
    for (name, rows) in delta.registers {
        county
            .registers
            .get_mut(name)
            .expect("register")
            .rows
            .extend(rows.rows);
    }
}

/// Unit and category of what a delta planted.
pub fn planted(county: &County, delta: &Delta) -> Vec<Key> {
    let category = |register: &str| match register {
        "jidongche" => "有车享受社会救助",
        "budongchan" => "有房享受社会救助",
        _ => "死亡继续享受社会救助",
    };
    let keys = delta.truth.iter();
    keys.map(|(register, unit, _)| {
        (
            county.units[*unit].number.clone(),
            category(register).to_owned(),
        )
    })
    .collect()
}

/// Every figure of `figures.json`, reckoned again from the ledger alone; gives how many were compared.
pub fn check_figures(figures: &Value, ledger: &Ledger) -> usize {
    let mut compared = 0;
    let mut same = |what: &str, said: &Value, mine: u64| {
        assert_eq!(said.as_u64().unwrap_or(0), mine, "{what}");
        compared += 1;
    };
    let mut groups: BTreeMap<(&str, String), Vec<&Entry>> = BTreeMap::new();
    for entry in ledger.cases.values().filter(|e| !e.task) {
        groups
            .entry(("categories", entry.key.1.clone()))
            .or_default()
            .push(entry);
        groups
            .entry(("townships", entry.township.clone()))
            .or_default()
            .push(entry);
        groups
            .entry(("all", String::new()))
            .or_default()
            .push(entry);
    }
    for ((group, name), entries) in groups {
        let row = match group {
            "all" => &figures["all"],
            _ => figures[group]
                .as_array()
                .expect("rows")
                .iter()
                .find(|r| r["name"] == name.as_str())
                .expect("row"),
        };
        let place = format!("{group} {name}");
        same(
            &format!("{place} cases"),
            &row["cases"],
            entries.len() as u64,
        );
        same(
            &format!("{place} closed"),
            &row["stages"]["closed"],
            entries.len() as u64,
        );
        same(&format!("{place} overdue"), &row["overdue"], 0);
        for outcome in Outcome::ALL {
            let mine = entries.iter().filter(|e| e.outcome == *outcome).count() as u64;
            same(
                &format!("{place} {}", outcome.en()),
                &row["outcomes"][outcome.en()],
                mine,
            );
        }
        for measure in ["cancel", "recover", "reduce"] {
            let taken: Vec<i64> = entries
                .iter()
                .filter_map(|e| e.measures.get(measure))
                .copied()
                .collect();
            same(
                &format!("{place} {measure}"),
                &row["measures"][measure],
                taken.len() as u64,
            );
            let fen: i64 = taken.iter().sum();
            let said = row["money"][measure]
                .as_str()
                .unwrap_or("0.00")
                .replace('.', "");
            let said: u64 = said.parse().expect("an amount");
            let fen = u64::try_from(fen).expect("not negative");
            same(&format!("{place} {measure} money"), &Value::from(said), fen);
        }
        let objected = entries.iter().filter(|e| e.objected.is_some()).count() as u64;
        let changed = entries.iter().filter(|e| e.objected == Some(true)).count() as u64;
        same(&format!("{place} objections"), &row["objections"], objected);
        same(
            &format!("{place} changed"),
            &row["objections_that_changed_something"],
            changed,
        );
    }
    compared
}
