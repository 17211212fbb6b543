//! Planning a run. In: accepted submissions. Out: the run's folder with its cells. Invariant: the plan and
//! the run's name depend on the agreement and the accepted submissions only, so a repeated command
//! continues the same run. Specification: docs/ARCHITECTURE.md, "Cells".

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::message::submission::{FILTERS, HANDLE_BYTES, Manifest};
use hedui_protocol::primitive::{hex, sha256};
use serde::Serialize;

use crate::cell::{BlockTables, Bound, Cell, VERSION};
use crate::intake::State;
use crate::ledger::Accepted;
use crate::segment;
use crate::similarity::join::BLOCK_ROWS;

/// Cells of one register's similarity join at most.
const LIKENESS_CELLS: usize = 64;
/// Rows of both sides that one cell is cut to, about.
const CELL_ROWS: u64 = 4 << 20;

/// The two sides of one register.
#[derive(Clone, Debug, Serialize)]
pub struct Pairing {
    /// Register.
    pub register: String,
    /// Header digest of the roll's submission for this register.
    pub roll: String,
    /// Header digest of the register's submission.
    pub submission: String,
    /// Header digest of the whole delivery that the submission changes, if it is not whole itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Day for which the register's data hold.
    pub as_of: String,
    /// Day for which the roll holds.
    #[serde(skip)]
    pub roll_as_of: String,
    /// The roll owner's name of the roll's data.
    pub snapshot: String,
    /// The register owner's name of the register's data.
    pub register_snapshot: String,
    /// What the roll's owner and the register's owner say of their canaries.
    pub canaries: [String; 2],
}

/// A planned run.
pub struct Plan {
    /// Name: SHA-256 over agreement and submissions.
    pub run: String,
    /// Folder of the run.
    pub folder: PathBuf,
    /// Folders of the parts that it is made of.
    pub parts: BTreeSet<PathBuf>,
    /// Registers with both sides, in name order.
    pub pairings: Vec<Pairing>,
    /// Registers of the agreement of which a side is missing, with that side.
    pub missing: Vec<(String, &'static str)>,
    /// Cells in a fixed order.
    pub cells: Vec<Cell>,
}

/// Plans the comparison of everything that is accepted and in force.
pub fn plan(state: &State, agreement: &InForce, accepted: &[Accepted]) -> Result<Plan, Problem> {
    let roll = agreement.roll().name.as_str();
    let by_name: BTreeMap<(&str, &str), &Accepted> = accepted
        .iter()
        .map(|a| ((a.dataset.as_str(), a.register.as_str()), a))
        .collect();
    let (mut pairings, mut missing) = (Vec::new(), Vec::new());
    let mut registers: Vec<&str> = agreement.registers().map(|d| d.name.as_str()).collect();
    registers.sort_unstable();
    for register in registers {
        match (
            by_name.get(&(roll, register)),
            by_name.get(&(register, register)),
        ) {
            (Some(left), Some(right)) if left.kit_check != right.kit_check => {
                missing.push((register.to_owned(), "kit"));
            }
            (Some(left), Some(right)) => pairings.push(Pairing {
                register: register.to_owned(),
                roll: left.header_sha256.clone(),
                submission: right.header_sha256.clone(),
                base: right.base.clone(),
                as_of: right.as_of.clone(),
                roll_as_of: left.as_of.clone(),
                snapshot: left.snapshot.clone(),
                register_snapshot: right.snapshot.clone(),
                canaries: [left.canary.clone(), right.canary.clone()],
            }),
            (None, _) => missing.push((register.to_owned(), "roll")),
            (_, None) => missing.push((register.to_owned(), "register")),
        }
    }
    let json = serde_json::to_vec(&(agreement.digest().to_hex(), &pairings))
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    let run = hex(&sha256(&[&json]));
    let folder = state.runs().join(run.get(..32).unwrap_or(&run));
    files::private_folder(&folder)?;
    let mut cells = Vec::new();
    let mut parts = BTreeSet::new();
    for pairing in &pairings {
        let submissions = pairing.base.iter().chain([&pairing.submission]);
        for submission in submissions {
            let sides = Sides::of(state, pairing, submission);
            files::private_folder(&sides.parts)?;
            cells.extend(sides.exact_cells(agreement)?);
            cells.extend(sides.similarity_cells(agreement)?);
            parts.insert(sides.parts);
        }
    }
    Ok(Plan {
        run,
        folder,
        parts,
        pairings,
        missing,
        cells,
    })
}

/// Two sets of accepted tables that are joined, with the folder for what comes of it. The folder is named after the two, so a
/// register whose sides have not changed is not joined again in the next run.
struct Sides<'a> {
    register: &'a str,
    left: (&'a String, PathBuf),
    right: (&'a String, PathBuf),
    parts: PathBuf,
}

impl<'a> Sides<'a> {
    fn of(state: &State, pairing: &'a Pairing, submission: &'a String) -> Self {
        let folder = |header: &String| state.segments().join(header);
        let name = hex(&sha256(&[pairing.roll.as_bytes(), submission.as_bytes()]));
        let name = format!("parts-{}", name.get(..32).unwrap_or(&name));
        Self {
            register: &pairing.register,
            left: (&pairing.roll, folder(&pairing.roll)),
            right: (submission, folder(submission)),
            parts: state.runs().join(name),
        }
    }

    /// A cell of a key over one of the tables; `what` tells the cells of the key apart.
    fn cell(&self, (key, what): (u8, &str), table: &str) -> Cell {
        let name = format!("{}.{key}.{what}", self.register);
        Cell {
            version: VERSION,
            part: self.parts.join(format!("{name}.part")),
            cell: name,
            register: self.register.to_owned(),
            key,
            from: 0,
            to: u8::MAX,
            left: self.left.1.join(table),
            left_sha256: self.left.0.clone(),
            right: self.right.1.join(table),
            right_sha256: self.right.0.clone(),
            likeness: None,
        }
    }

    /// Cells of the joins of tags.
    fn exact_cells(&self, agreement: &InForce) -> Result<Vec<Cell>, Problem> {
        let mut cells = Vec::new();
        for key in agreement.match_keys() {
            let table = Manifest::tag_table(key.number);
            let whole = self.cell((key.number, "all"), &table);
            let rows = segment::rows_count(&whole.left)? + segment::rows_count(&whole.right)?;
            for (from, to) in ranges(rows) {
                let what = format!("{from:03}-{to:03}");
                let part = self.cell((key.number, &what), &table);
                cells.push(Cell { from, to, ..part });
            }
        }
        Ok(cells)
    }

    /// Cells of the join of record filters, if the agreement has likeness.
    fn similarity_cells(&self, agreement: &InForce) -> Result<Vec<Cell>, Problem> {
        let Some((likeness, key)) = agreement.likeness() else {
            return Ok(Vec::new());
        };
        let bound = |first_block, blocks| Bound {
            bits: likeness.sent_bits(),
            measure: likeness.measure,
            threshold: likeness.threshold.clone(),
            best: likeness.best,
            first_block,
            blocks,
            within: None,
        };
        if let Some(block) = likeness.block_key(agreement) {
            let table = Manifest::tag_table(block.number);
            let tags = self.cell((block.number, "all"), &table);
            let rows = segment::rows_count(&tags.left)? + segment::rows_count(&tags.right)?;
            let cells = ranges(rows).into_iter().map(|(from, to)| {
                let within = BlockTables {
                    left: tags.left.clone(),
                    right: tags.right.clone(),
                };
                let what = format!("{from:03}-{to:03}");
                Cell {
                    likeness: Some(Bound {
                        within: Some(within),
                        ..bound(0, 0)
                    }),
                    from,
                    to,
                    ..self.cell((key.number, &what), FILTERS)
                }
            });
            return Ok(cells.collect());
        }
        let width = (HANDLE_BYTES + likeness.bytes()) as u64;
        let whole = self.cell((key.number, "all"), FILTERS);
        let left = std::fs::metadata(&whole.left).map_err(|e| Problem::io(&whole.left, e))?;
        let cells = blocks(left.len() / width)
            .into_iter()
            .map(|(first, blocks)| {
                let what = format!("{first:06}");
                Cell {
                    likeness: Some(bound(first, blocks)),
                    ..self.cell((key.number, &what), FILTERS)
                }
            });
        Ok(cells.collect())
    }
}

/// Cuts the blocks of the roll's filters into cells: enough for every core and for resuming, each with work of its own.
fn blocks(rows: u64) -> Vec<(usize, usize)> {
    let all = usize::try_from(rows)
        .unwrap_or(usize::MAX)
        .div_ceil(BLOCK_ROWS);
    let step = all.div_ceil(LIKENESS_CELLS).max(1);
    let firsts = (0..all).step_by(step);
    firsts.map(|first| (first, step.min(all - first))).collect()
}

/// Cuts the 256 first bytes into a power of two of equal ranges. Tags are pseudo-random, so equal ranges
/// are equal work.
fn ranges(rows: u64) -> Vec<(u8, u8)> {
    let mut cuts: u64 = 1;
    while cuts < 256 && rows / cuts > CELL_ROWS {
        cuts *= 2;
    }
    let width = 256 / cuts;
    let byte = |n: u64| u8::try_from(n).unwrap_or(u8::MAX);
    (0..cuts)
        .map(|cut| (byte(cut * width), byte(cut * width + width - 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_tile_all_first_bytes() {
        for rows in [0, CELL_ROWS, CELL_ROWS + 1, 100 * CELL_ROWS, u64::MAX] {
            let ranges = ranges(rows);
            assert_eq!(ranges.first().map(|r| r.0), Some(0));
            assert_eq!(ranges.last().map(|r| r.1), Some(255));
            assert!(ranges.windows(2).all(|w| w[0].1 + 1 == w[1].0));
        }
    }
}
