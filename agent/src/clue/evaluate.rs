//! Applying the rules. In: evidence per person, grouped into benefit units. Out: [`Findings`].
//! Invariant: a clue is keyed by unit × category × period with all its evidence; evidence that is only
//! possibly the same person never makes a clue, only an item for identity review.
//! Specification: design §6.

use std::collections::{BTreeMap, BTreeSet};

use cel::Value;
use hedui_edge::Problem;
use hedui_protocol::agreement::text::{Fact, FactKind};
use hedui_protocol::agreement::{Agreement, MatchKey};
use hedui_protocol::field::FieldKind;
use hedui_protocol::message::payload::FactValue;
use hedui_protocol::message::result::Outcome;
use hedui_protocol::primitive::{hex, sha256};

use super::rules::{Effect, Rule, Rules, map_value};
use crate::mapping::translate::LocalValue;
use crate::results::Evidence;
use crate::roll::Roll;

/// One piece of evidence within a clue.
#[derive(Clone)]
pub struct Exhibit {
    /// Index into the evidence.
    pub evidence: usize,
    /// Index of the person in the roll.
    pub person: usize,
    /// Which row of the person in the roll.
    pub roll_row: usize,
    /// Which row of the facts; `None` if nothing was released.
    pub fact_row: Option<usize>,
    /// Rule that it fulfils, by position.
    pub rule: usize,
}

/// A clue, a task or an item for review.
pub struct Finding {
    /// Short stable number: first 8 hexadecimal digits of SHA-256 over unit, category and period.
    pub number: String,
    /// Benefit unit.
    pub unit: String,
    /// Category in the words of the reports.
    pub category: String,
    /// Evidence, each with the rule that it fulfils.
    pub exhibits: Vec<Exhibit>,
}

/// Everything that the rules found.
#[derive(Default)]
pub struct Findings {
    /// Clues.
    pub clues: Vec<Finding>,
    /// Income-computation tasks for supporters living apart.
    pub tasks: Vec<Finding>,
    /// Possible matches that people must decide before anything follows.
    pub reviews: Vec<Finding>,
    /// Exemptions that applied: reason and number of hits.
    pub exempted: BTreeMap<String, u64>,
}

/// Day and period of an evaluation.
pub struct Period<'a> {
    /// Name of the period in reports, such as `2016-06`.
    pub label: &'a str,
    /// Day as YYYYMMDD.
    pub today: i64,
}

struct Hit {
    exhibit: Exhibit,
    value: Value,
    sure: bool,
}

/// Evaluates all rules over all evidence.
pub fn evaluate(
    agreement: &Agreement,
    rules: &Rules,
    roll: &Roll,
    evidence: &[Evidence],
    period: &Period<'_>,
) -> Result<Findings, Problem> {
    let mut findings = Findings::default();
    let mut sure: BTreeMap<(String, String), Finding> = BTreeMap::new();
    let mut unsure: BTreeMap<(String, String), Finding> = BTreeMap::new();
    let mut tasks: BTreeMap<(String, String), Finding> = BTreeMap::new();
    let rules_of_roll = rules.rules.iter().enumerate();
    for (index, rule) in rules_of_roll.filter(|(_, rule)| rule.effect != Effect::Absent) {
        let units = hits_of(
            agreement,
            rules,
            index,
            roll,
            evidence,
            period,
            &mut findings.exempted,
        )?;
        for (unit, hits) in units {
            let certain: Vec<&Hit> = hits.iter().filter(|hit| hit.sure).collect();
            let all: Vec<&Hit> = hits.iter().collect();
            let target = if !certain.is_empty() && has(rules, rule, &certain, period)? {
                if rule.effect == Effect::Clue {
                    &mut sure
                } else {
                    &mut tasks
                }
            } else if certain.len() < all.len()
                && rule.effect == Effect::Clue
                && (all.iter().any(|hit| hit.exhibit.fact_row.is_none())
                    || has(rules, rule, &all, period)?)
            {
                &mut unsure
            } else {
                continue;
            };
            let key = (unit.clone(), rule.category.clone());
            let number = number(&unit, &rule.category, period.label);
            let finding = target.entry(key).or_insert_with(|| Finding {
                number,
                unit,
                category: rule.category.clone(),
                exhibits: Vec::new(),
            });
            finding
                .exhibits
                .extend(all.into_iter().map(|hit| hit.exhibit.clone()));
        }
    }
    // What is certain already needs no review of its identity.
    unsure.retain(|key, _| !sure.contains_key(key));
    findings.clues = sure.into_values().collect();
    findings.tasks = tasks.into_values().collect();
    findings.reviews = unsure.into_values().collect();
    Ok(findings)
}

fn has(rules: &Rules, rule: &Rule, hits: &[&Hit], period: &Period<'_>) -> Result<bool, Problem> {
    let list: Vec<Value> = hits.iter().map(|hit| hit.value.clone()).collect();
    let context = rules.context(&[
        ("hits", Value::from(list)),
        ("today", Value::from(period.today)),
    ]);
    rule.has(&context)
}

/// Evidence that fulfils a rule, per benefit unit.
fn hits_of(
    agreement: &Agreement,
    rules: &Rules,
    index: usize,
    roll: &Roll,
    evidence: &[Evidence],
    period: &Period<'_>,
    exempted: &mut BTreeMap<String, u64>,
) -> Result<BTreeMap<String, Vec<Hit>>, Problem> {
    let rule = &rules.rules[index];
    let mut units: BTreeMap<String, Vec<Hit>> = BTreeMap::new();
    for (at, item) in evidence.iter().enumerate() {
        let registered = rule.registers.iter().any(|r| r == item.register.as_str());
        if !registered || item.outcome == Outcome::IdentityConflict {
            continue;
        }
        let Some(dataset) = agreement.dataset(&item.register) else {
            continue;
        };
        let person = &roll.persons[item.person];
        for (roll_row, local) in person.local.iter().enumerate() {
            let variables = local_value(roll, person.rows[roll_row], local);
            let base = [
                ("person", variables.clone()),
                ("register", Value::from(item.register.as_str())),
                ("today", Value::from(period.today)),
            ];
            if !rule.in_scope(&rules.context(&base))? {
                continue;
            }
            let unit = unit_of(roll, item.person, local);
            let sure = item.outcome == Outcome::Match;
            let exhibit = |fact_row| Exhibit {
                evidence: at,
                person: item.person,
                roll_row,
                fact_row,
                rule: index,
            };
            let Some(facts) = &item.facts else {
                let hit = Hit {
                    exhibit: exhibit(None),
                    value: variables,
                    sure: false,
                };
                units.entry(unit).or_default().push(hit);
                continue;
            };
            for (fact_row, row) in facts.rows.iter().enumerate() {
                let fact = fact_value(&dataset.fact, row);
                let mut all = base.to_vec();
                all.push(("fact", fact.clone()));
                let context = rules.context(&all);
                if !rule.holds(&context)? {
                    continue;
                }
                if let Some(reason) = rule.exemption(&context)? {
                    *exempted.entry(reason.to_owned()).or_default() += 1;
                    continue;
                }
                let value = map_value([
                    ("person".to_owned(), variables.clone()),
                    ("fact".to_owned(), fact),
                    ("register".to_owned(), Value::from(item.register.as_str())),
                ]);
                let hit = Hit {
                    exhibit: exhibit(Some(fact_row)),
                    value,
                    sure,
                };
                units.entry(unit.clone()).or_default().push(hit);
            }
        }
    }
    Ok(units)
}

/// Benefit unit of a row of the roll: local column `unit`, else the person itself.
pub fn unit_of(roll: &Roll, person: usize, local: &[LocalValue]) -> String {
    match local_text(roll, local, "unit") {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => format!("person-{}", hex(&roll.persons[person].id[..4])),
    }
}

/// The person and local columns of a row.
type Speaker<'r> = (usize, &'r [LocalValue]);
/// Applicants first, then by row.
type Rank = (bool, u64);

/// The row that speaks for every unit, as its person and local columns: its applicant's, else its first. Somebody who owes
/// support and lives elsewhere is looked into where the unit is.
pub fn speakers_of(roll: &Roll) -> BTreeMap<String, Speaker<'_>> {
    let mut best: BTreeMap<String, (Rank, Speaker<'_>)> = BTreeMap::new();
    for (at, person) in roll.persons.iter().enumerate() {
        for (row, local) in person.rows.iter().zip(&person.local) {
            let rank = (local_text(roll, local, "role") != Some("applicant"), *row);
            let speaks = (rank, (at, &local[..]));
            let known = best.entry(unit_of(roll, at, local)).or_insert(speaks);
            if rank < known.0 {
                *known = speaks;
            }
        }
    }
    let best = best.into_iter();
    best.map(|(unit, (_, speaker))| (unit, speaker)).collect()
}

/// What stands for a benefit unit in lists, as the row says that speaks for it.
#[derive(Clone, Default)]
pub struct Household {
    /// Township, from local column `township`.
    pub township: String,
    /// Village, from local column `village`.
    pub village: String,
    /// Name of the applicant, as in the roll.
    pub applicant: String,
    /// Kind of benefit, from local column `benefit`.
    pub benefit: String,
    /// Address, from local column `address`.
    pub address: String,
}

/// The household of every unit.
pub fn households_of(agreement: &Agreement, roll: &Roll) -> BTreeMap<String, Household> {
    let name_at = agreement
        .fields()
        .iter()
        .position(|field| [FieldKind::CnName, FieldKind::PersonName].contains(&field.kind));
    let household = |(unit, (at, local)): (String, Speaker<'_>)| {
        let text = |name: &str| local_text(roll, local, name).unwrap_or_default().to_owned();
        let shown = name_at.and_then(|place| roll.persons[at].shown.get(place));
        let is_applicant = text("role") == "applicant";
        let household = Household {
            township: text("township"),
            village: text("village"),
            applicant: shown.filter(|_| is_applicant).cloned().unwrap_or_default(),
            benefit: text("benefit"),
            address: text("address"),
        };
        (unit, household)
    };
    speakers_of(roll).into_iter().map(household).collect()
}

/// Text of a local column.
pub fn local_text<'a>(roll: &Roll, local: &'a [LocalValue], name: &str) -> Option<&'a str> {
    let at = roll.local_names.iter().position(|n| n == name)?;
    match local.get(at)? {
        LocalValue::Text(text) => Some(text),
        LocalValue::Number(_) => None,
    }
}

fn local_value(roll: &Roll, row: u64, local: &[LocalValue]) -> Value {
    let named = roll
        .local_names
        .iter()
        .cloned()
        .zip(local.iter().map(|value| match value {
            LocalValue::Number(number) => Value::from(*number),
            LocalValue::Text(text) => Value::from(text.as_str()),
        }));
    let row = i64::try_from(row).unwrap_or(i64::MAX);
    map_value(named.chain([("row".to_owned(), Value::from(row))]))
}

/// A row of facts as rules see it: absent dates and numbers are 0, absent words are empty.
pub(super) fn fact_value(schema: &[Fact], row: &[FactValue]) -> Value {
    map_value(schema.iter().zip(row).map(|(fact, value)| {
        let value = match value {
            FactValue::Absent => match fact.kind {
                FactKind::Date | FactKind::Integer => Value::from(0_i64),
                FactKind::Code | FactKind::Reference => Value::from(""),
            },
            FactValue::Code(index) => Value::from(
                fact.codes
                    .get(usize::from(*index))
                    .map_or("", String::as_str),
            ),
            FactValue::Date(day) => Value::from(i64::from(*day)),
            FactValue::Integer(number) => Value::from(*number),
            FactValue::Reference(text) => Value::from(text.as_str()),
        };
        (fact.name.to_string().replace('-', "_"), value)
    }))
}

fn number(unit: &str, category: &str, period: &str) -> String {
    let digest = sha256(&[
        unit.as_bytes(),
        &[0],
        category.as_bytes(),
        &[0],
        period.as_bytes(),
    ]);
    hex(&digest[..4])
}

/// Match keys in a bitmap, in the order of the agreement.
pub fn keys_in(agreement: &Agreement, bitmap: u16) -> impl Iterator<Item = &MatchKey> {
    let keys = agreement.evidence_keys();
    keys.filter(move |key| bitmap & (1 << (key.number - 1)) != 0)
}

/// Names of the match keys in a bitmap.
pub fn key_names(agreement: &Agreement, bitmap: u16) -> Vec<String> {
    let keys = keys_in(agreement, bitmap);
    keys.map(|key| key.name.to_string()).collect()
}

/// Categories of the rules, each once, in the order of the file.
pub fn categories(rules: &Rules) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let clues = rules
        .rules
        .iter()
        .filter(|rule| rule.effect == Effect::Clue);
    clues
        .map(|rule| rule.category.clone())
        .filter(|name| seen.insert(name.clone()))
        .collect()
}
