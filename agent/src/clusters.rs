//! Who belongs together over all registers. In: evidence of a result. Out: groups of records that matches connect, and
//! `clusters.csv`. Invariant: only matches connect, never what is for review; groups and their records stand in one order
//! whatever the order of the evidence. Specification: docs/OPERATIONS.md, "Results".

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::message::result::Outcome;

use crate::results::Evidence;
use crate::roll::Roll;

/// Records that belong to one person, as far as the matches say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Persons of the roll, by index; more than one where they share a register's record.
    pub persons: BTreeSet<usize>,
    /// Records of registers.
    pub records: BTreeSet<(Name, Handle)>,
}

/// The connected groups of what matches connect, in the order of their first person.
pub fn of(evidence: &[Evidence]) -> Vec<Cluster> {
    let matched = evidence
        .iter()
        .filter(|item| item.outcome == Outcome::Match);
    let mut parent: BTreeMap<usize, usize> = BTreeMap::new();
    let mut holder: BTreeMap<(&Name, Handle), usize> = BTreeMap::new();
    for item in matched.clone() {
        let own = root(&mut parent, item.person);
        let other = *holder.entry((&item.register, item.handle)).or_insert(own);
        let other = root(&mut parent, other);
        // The smaller index is the root, so the order in which pairs come does not show.
        parent.insert(own.max(other), own.min(other));
    }
    let mut clusters: BTreeMap<usize, Cluster> = BTreeMap::new();
    for item in matched {
        let cluster = clusters.entry(root(&mut parent, item.person)).or_default();
        cluster.persons.insert(item.person);
        cluster.records.insert((item.register.clone(), item.handle));
    }
    clusters.into_values().collect()
}

/// The root of a person's group; the way to it is shortened.
fn root(parent: &mut BTreeMap<usize, usize>, person: usize) -> usize {
    let mut at = person;
    loop {
        let up = *parent.entry(at).or_insert(at);
        if up == at {
            break;
        }
        let next = parent.get(&up).copied().unwrap_or(up);
        parent.insert(at, next);
        at = up;
    }
    at
}

/// Writes the groups that say more than a single match: of several registers, of several persons of the roll, and where the roll
/// repeats persons of several of its rows.
pub fn write(
    path: &Path,
    agreement: &InForce,
    roll: &Roll,
    clusters: &[Cluster],
) -> Result<(), Problem> {
    let roll_name = agreement.roll().name.to_string();
    files::deliver(path, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record(["cluster", "dataset", "record", "roll_rows", "registers"])
            .map_err(failed)?;
        let repeats = agreement.roll().repeats;
        let rows = |cluster: &Cluster| -> usize {
            let persons = cluster.persons.iter();
            let rows = persons.filter_map(|at| Some(roll.persons.get(*at)?.rows.len()));
            rows.sum()
        };
        let telling = clusters.iter().filter(|cluster| {
            let several = cluster.persons.len() > 1 || registers_of(cluster) > 1;
            several || (repeats && rows(cluster) > 1)
        });
        for (number, cluster) in (1..).zip(telling) {
            let counts = [rows(cluster).to_string(), registers_of(cluster).to_string()];
            let persons = cluster.persons.iter();
            let persons = persons.map(|at| (roll_name.clone(), roll.rows_of(*at)));
            let records = cluster.records.iter();
            let records = records.map(|(name, handle)| (name.to_string(), handle.to_hex()));
            for (dataset, record) in persons.chain(records) {
                let [persons, registers] = counts.clone();
                writer
                    .write_record([number.to_string(), dataset, record, persons, registers])
                    .map_err(failed)?;
            }
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}

fn registers_of(cluster: &Cluster) -> usize {
    let names: BTreeSet<&Name> = cluster.records.iter().map(|(name, _)| name).collect();
    names.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(person: usize, register: &str, record: u8, outcome: Outcome) -> Evidence {
        Evidence {
            register: Name::new(register).unwrap(),
            person,
            handle: Handle([record; 16]),
            agree: 1,
            differ: 0,
            weight: None,
            outcome,
            facts: None,
            disclosed: None,
        }
    }

    /// Persons 0 and 4 share a record, 4 and 2 another; 3 is on its own; what is for review connects nobody. Any order of
    /// the pairs gives the same groups.
    #[test]
    fn matches_connect_and_reviews_do_not() {
        let mut evidence = vec![
            pair(4, "police", 1, Outcome::Match),
            pair(0, "police", 1, Outcome::Match),
            pair(2, "tax", 2, Outcome::Match),
            pair(4, "tax", 2, Outcome::Match),
            pair(3, "tax", 3, Outcome::Match),
            pair(3, "police", 1, Outcome::Review),
            pair(5, "tax", 3, Outcome::IdentityConflict),
        ];
        let groups = of(&evidence);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].persons, BTreeSet::from([0, 2, 4]));
        assert_eq!(registers_of(&groups[0]), 2);
        assert_eq!(groups[1].persons, BTreeSet::from([3]));
        for turn in 1..evidence.len() {
            evidence.rotate_left(turn);
            assert_eq!(of(&evidence), groups);
        }
    }
}
