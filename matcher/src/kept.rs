//! What a run keeps beside its parts. In: the decided pairs, the weighed candidates. Out: the same, read back for whoever
//! evaluates or explains. Invariant: handles, bitmaps, levels and bits only; gone with the run.
//! Specification: docs/OPERATIONS.md, "Evaluation".

use std::io::Write;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::ids::Handle;
use hedui_protocol::message::result::{PAIR_BYTES, Pair};
use hedui_protocol::primitive::unhex;

use crate::refine::weights::Model;

/// Most bytes of a kept file that are read back.
const KEPT_BYTES_MAX: u64 = 1 << 32;

/// Path of a register's decided pairs in a run's folder.
pub fn pairs_path(run: &Path, register: &str) -> PathBuf {
    run.join(format!("pairs-{register}.bin"))
}

/// Path of the model of a register's refinement round, of its candidates (`csv`), or of their picture (`svg`).
pub fn refine_path(run: &Path, register: &str, what: &str) -> PathBuf {
    run.join(format!("refine-{register}.{what}"))
}

/// Keeps the decided pairs of a register.
pub fn keep_pairs(run: &Path, register: &str, pairs: &[Pair]) -> Result<(), Problem> {
    let path = pairs_path(run, register);
    files::write_whole(&path, |out| {
        let mut rows = pairs.iter();
        rows.try_for_each(|pair| out.write_all(&pair.encode()))
            .map_err(|error| Problem::io(&path, error))
    })
}

/// The decided pairs of a register.
pub fn pairs(run: &Path, register: &str) -> Result<Vec<Pair>, Problem> {
    let path = pairs_path(run, register);
    if !path.exists() {
        return Err(Problem::not_yet(
            format!("`{register}` was not compared with the data now in force"),
            "run `hedui-matcher run` first",
        ));
    }
    let bytes = read(&path)?;
    let rows = bytes.chunks_exact(PAIR_BYTES);
    rows.map(Pair::decode)
        .collect::<Result<_, _>>()
        .map_err(|_| damaged(&path))
}

/// A candidate of the refinement round as it was kept.
pub struct Candidate {
    /// Record of the roll.
    pub roll: Handle,
    /// Record of the register.
    pub register: Handle,
    /// Match keys that agree.
    pub agree: u16,
    /// Match keys that differ.
    pub differ: u16,
    /// Levels, in the model's order.
    pub levels: Vec<Option<u8>>,
    /// Weight in bits.
    pub bits: f64,
    /// Of a one-to-one register: whether it was chosen (`yes`, `doubtful`, `no`), and its weight then.
    pub chosen: Option<(String, Option<f64>)>,
}

/// The model and the candidates of a register, if it was refined.
pub fn refined(run: &Path, register: &str) -> Result<Option<(Model, Vec<Candidate>)>, Problem> {
    let path = refine_path(run, register, "json");
    if !path.exists() {
        return Ok(None);
    }
    let model: Model = serde_json::from_slice(&read(&path)?).map_err(|_| damaged(&path))?;
    let path = refine_path(run, register, "csv");
    let text = String::from_utf8(read(&path)?).map_err(|_| damaged(&path))?;
    let lines = text.lines().skip(1);
    let candidates: Option<Vec<Candidate>> = lines
        .map(|line| candidate(line, model.comparisons.len()))
        .collect();
    Ok(Some((model, candidates.ok_or_else(|| damaged(&path))?)))
}

fn candidate(line: &str, comparisons: usize) -> Option<Candidate> {
    let cells: Vec<&str> = line.split(',').collect();
    let ([roll, register, agree, differ], rest) = cells.split_first_chunk()?;
    let (levels, [bits, word, chosen_bits]) = rest.split_last_chunk()?;
    if levels.len() != comparisons {
        return None;
    }
    let level = |cell: &&str| match *cell {
        "" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(Candidate {
        roll: handle(roll)?,
        register: handle(register)?,
        agree: u16::from_str_radix(agree, 2).ok()?,
        differ: u16::from_str_radix(differ, 2).ok()?,
        levels: levels.iter().map(level).collect::<Option<_>>()?,
        bits: bits.parse().ok()?,
        chosen: (!word.is_empty()).then(|| ((*word).to_owned(), chosen_bits.parse().ok())),
    })
}

/// A handle written as 32 hexadecimal digits.
pub fn handle(text: &str) -> Option<Handle> {
    unhex(text.trim()).map(Handle)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let wrap = |error| Problem::io(path, error);
    let len = std::fs::metadata(path).map_err(wrap)?.len();
    if len > KEPT_BYTES_MAX {
        return Err(damaged(path));
    }
    std::fs::read(path).map_err(wrap)
}

fn damaged(path: &Path) -> Problem {
    Problem::data(
        format!("{} is not as the run wrote it", path.display()),
        "run `hedui-matcher run` again",
    )
}
