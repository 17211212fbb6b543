//! Openings of the roll against its commitment. In: the signed commitment, the roll owner's file, what was drawn. Out: findings, and the persons to
//! compare with their authorisations. Invariant: a drawn person that is not opened, or is another than was committed to, is found; values are
//! shown because that is what a reviewer came for, and never written. Specification: protocol/SPEC.md, "Roll commitment".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::commitment::{Commitment, OPENINGS_MAX, Opening, Openings, control};
use hedui_protocol::ids::Handle;
use hedui_protocol::refusal::Refusal;

/// Control records of a register that both sides have.
const CONTROLS: u16 = 8;

/// Options of `openings`.
#[derive(Args)]
pub(crate) struct OpeningsOptions {
    /// The commitment, as it lay in the exchange folder before anything was drawn
    #[arg(long, value_name = "FILE")]
    commitment: PathBuf,
    /// The words that drew
    #[arg(long, value_name = "WORDS")]
    seed: Option<String>,
    /// How many they drew
    #[arg(long, default_value_t = 20, requires = "seed")]
    count: usize,
    /// The matcher's draw
    #[arg(long, value_name = "FILE")]
    handles: Option<PathBuf>,
    /// The roll owner's file
    openings: PathBuf,
}

/// Verifies a file of openings; how many findings.
pub(crate) fn verify(
    console: &Console,
    agreement: &Agreement,
    options: &OpeningsOptions,
) -> Result<usize, Problem> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |refusal| Problem::refused(path.clone(), refusal)
    };
    let text = files::read_text(&options.commitment)?;
    let commitment = Commitment::parse(&text, agreement).map_err(at(&options.commitment))?;
    let bytes = files::read_state(&options.openings)?;
    let opened: Openings = serde_json::from_slice(&bytes).map_err(|_| {
        at(&options.openings)(Refusal::malformed(
            "file of openings",
            "it is not in its form",
        ))
    })?;
    if opened.openings.len() > OPENINGS_MAX {
        let refusal = Refusal::Oversize {
            what: "openings",
            found: opened.openings.len() as u64,
            allowed: OPENINGS_MAX as u64,
        };
        return Err(at(&options.openings)(refusal));
    }
    if options.seed.is_none() && options.handles.is_none() {
        return Err(Problem::usage(
            "nothing was drawn",
            "give --seed WORDS, and --handles FILE of the matcher's draw, taken from the matcher itself",
        ));
    }
    let mut findings = Vec::new();
    if opened.commitment != text {
        findings.push(
            "打开的不是这份承诺 another roll was opened than the one that was committed to"
                .to_owned(),
        );
    }
    let shown = Shown::new(agreement, &commitment, &opened, &mut findings);
    if let Some(words) = &options.seed {
        for place in commitment.drawn(words, options.count) {
            if !shown.persons.contains_key(&place) {
                findings.push(format!(
                    "抽中而未打开 drawn, not opened: 第 {place} 位 place"
                ));
            }
        }
    }
    if let Some(file) = &options.handles {
        let draw = read_draw(file, agreement)?;
        for (register, handles) in &draw {
            let open = handles.iter().filter(|h| shown.has(register, h)).count();
            console.say(&format!(
                "  {register}: 抽取 drawn {}, 已打开 opened {open}",
                handles.len()
            ));
            if open < handles.len() {
                findings.push(format!(
                    "查到而不在名册承诺中 found by the matcher, not in the committed roll: {register}: {} 个句柄 handles",
                    handles.len() - open
                ));
            }
        }
    }
    shown.print(console, agreement);
    for finding in &findings {
        console.say(&format!("发现 finding: {finding}"));
    }
    console.say(&format!(
        "名册承诺 commitment: {} 人 persons ({}); 已打开 opened {}, 发现 findings {}",
        commitment.persons,
        printable(&commitment.snapshot),
        shown.persons.len(),
        findings.len()
    ));
    console.object(&serde_json::json!({
        "persons": commitment.persons, "snapshot": commitment.snapshot, "opened": shown.persons.len(),
        "findings": findings,
    }));
    Ok(findings.len())
}

/// Openings that hold.
struct Shown<'a> {
    /// Persons by place.
    persons: BTreeMap<u64, &'a Opening>,
    /// Register and handle of every opened leaf.
    handles: BTreeSet<(String, String)>,
}

impl<'a> Shown<'a> {
    fn new(
        agreement: &Agreement,
        commitment: &Commitment,
        opened: &'a Openings,
        findings: &mut Vec<String>,
    ) -> Self {
        let registers: Vec<&str> = agreement.registers().map(|r| r.name.as_str()).collect();
        let fields = agreement.text().field.len();
        let mut shown = Self {
            persons: BTreeMap::new(),
            handles: BTreeSet::new(),
        };
        for opening in &opened.openings {
            let person = opening.index < commitment.persons;
            let shape = match person {
                true => opening.fields.len() == fields && opening.handles.len() == registers.len(),
                false => opening.fields.len() == 1 && opening.handles.len() == 1,
            };
            let known = registers.iter().copied().find(|register| {
                let all = 0..CONTROLS;
                person
                    || all
                        .into_iter()
                        .any(|n| opening.fields.first() == Some(&control(register, n)))
            });
            let Some(register) = known.filter(|_| shape && opening.holds(commitment)) else {
                findings.push(format!(
                    "与承诺不符 not what was committed to: 第 {} 位 place",
                    opening.index
                ));
                continue;
            };
            let of = match person {
                true => registers.clone(),
                false => vec![register],
            };
            for (register, handle) in of.iter().zip(&opening.handles) {
                let new = shown
                    .handles
                    .insert(((*register).to_owned(), handle.clone()));
                if !new && shown.persons.get(&opening.index) != Some(&opening) {
                    findings.push(format!(
                        "一个句柄两处出现 one handle in two places: {register}, 第 {} 位 place",
                        opening.index
                    ));
                }
            }
            if person {
                shown.persons.insert(opening.index, opening);
            }
        }
        shown
    }

    fn has(&self, register: &str, handle: &str) -> bool {
        self.handles
            .contains(&(register.to_owned(), handle.to_owned()))
    }

    /// The persons, for comparison with their authorisations.
    fn print(&self, console: &Console, agreement: &Agreement) {
        let names: Vec<&str> = agreement
            .text()
            .field
            .iter()
            .map(|f| f.name.as_str())
            .collect();
        for (place, opening) in &self.persons {
            let fields: Vec<String> = names
                .iter()
                .zip(&opening.fields)
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| format!("{name} {}", printable(value)))
                .collect();
            console.say(&format!("  {place:>6}  {}", fields.join(", ")));
        }
    }
}

/// Text of the roll owner's as it may stand on a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The matcher's draw: lines of a register and a handle, nothing else.
fn read_draw(
    path: &Path,
    agreement: &Agreement,
) -> Result<BTreeMap<String, BTreeSet<String>>, Problem> {
    let text = files::read_text(path)?;
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let parsed = line.split_once(' ').filter(|(register, handle)| {
            let known = agreement.registers().any(|r| r.name.as_str() == *register);
            known && Handle::from_hex(handle).is_some()
        });
        let (register, handle) = parsed.ok_or_else(|| {
            let why = format!("line {number} is not a register of the agreement and a handle");
            Problem::refused(path, Refusal::malformed("draw", why))
        })?;
        all.entry(register.to_owned())
            .or_default()
            .insert(handle.to_owned());
    }
    if all.is_empty() {
        return Err(Problem::refused(
            path,
            Refusal::malformed("draw", "it is empty"),
        ));
    }
    Ok(all)
}
