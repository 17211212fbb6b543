//! The command `open-roll`. In: the roll as it was submitted, what a reviewer drew. Out: a file with these persons in clear, for the reviewer's
//! hands only. Invariant: nothing of it goes to the exchange folder; what is asked and is no person is said to be none.
//! Specification: protocol/SPEC.md, "Roll commitment"; docs/OPERATIONS.md, "Roll commitment".

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::commitment::{OPENINGS_MAX, Openings};
use hedui_protocol::ids::Handle;
use hedui_protocol::refusal::Refusal;

use crate::commitment::Committed;
use crate::record::Pseudonyms;
use crate::roll;

/// Options of `open-roll`.
#[derive(Args)]
pub struct OpenOptions {
    /// The reviewer's words: they draw who is opened
    #[arg(long, value_name = "WORDS")]
    seed: Option<String>,
    /// How many the words draw
    #[arg(long, default_value_t = 20, requires = "seed")]
    count: usize,
    /// Handles that the matcher has drawn from its matches, one per line, as `hedui-matcher draw` wrote them
    #[arg(long, value_name = "FILE")]
    handles: Option<PathBuf>,
    /// Where to write them: persons in clear, for the reviewer's hands only
    #[arg(long, value_name = "FILE", default_value = "openings.json")]
    out: PathBuf,
}

/// `open-roll`: lays open who was drawn.
pub fn open_roll(
    home: &HomeOptions,
    console: &Console,
    options: &OpenOptions,
) -> Result<(), Problem> {
    if options.seed.is_none() && options.handles.is_none() {
        return Err(Problem::usage(
            "nobody was drawn",
            "give the reviewer's --seed WORDS, or --handles FILE of the matcher's draw",
        ));
    }
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let path = roll::snapshot_path(&home.state(), &agreement);
    let held = roll::load(&path, &identity, &agreement)?;
    let pseudonyms = Pseudonyms::new(&identity, &agreement, agreement.roll().name.as_str());
    let committed = Committed::new(&agreement, &pseudonyms, &held)?;
    let mut places: BTreeSet<u64> = BTreeSet::new();
    if let Some(words) = &options.seed {
        places.extend(committed.commitment.drawn(words, options.count));
    }
    let mut unknown = 0;
    if let Some(file) = &options.handles {
        let known = committed.places();
        for handle in read_handles(file)? {
            match known.get(&handle) {
                Some(place) => {
                    places.insert(*place);
                }
                None => unknown += 1,
            }
        }
    }
    let places: Vec<u64> = places.into_iter().collect();
    let file = Openings {
        commitment: committed.commitment.sign(&identity),
        openings: committed.open(&places),
    };
    if in_exchange(&options.out) {
        return Err(Problem::usage(
            "--out lies in an exchange folder",
            "the file holds persons in clear: write it where only the reviewer gets it",
        ));
    }
    let json = serde_json::to_vec_pretty(&file)
        .map_err(|error| Problem::data(error.to_string(), "report this"))?;
    files::deliver_bytes(&options.out, &json)?;
    console.say(&format!(
        "已打开 opened: {} 条（含校验记录 control records included）, 不在名册中的句柄 handles that are not on the roll {unknown} → {} (含明文，只交审查方 in clear: hand it to the reviewer only)",
        file.openings.len(),
        options.out.display()
    ));
    console.object(&serde_json::json!({
        "persons": file.openings.len(), "not_on_the_roll": unknown, "out": options.out,
    }));
    Ok(())
}

/// Whether a file would lie among sealed files.
fn in_exchange(out: &Path) -> bool {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(parent.unwrap_or(Path::new(".")));
    entries.into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|ending| ending == "hedui")
    })
}

/// The last word of every line.
fn read_handles(path: &Path) -> Result<Vec<Handle>, Problem> {
    let text = files::read_text(path)?;
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let handle = line.split_whitespace().last().and_then(Handle::from_hex);
        let handle = handle.ok_or_else(|| {
            let why = format!("line {number} ends with no handle");
            Problem::refused(path, Refusal::malformed("list of handles", why))
        })?;
        all.push(handle);
    }
    if all.len() > OPENINGS_MAX {
        let refusal = Refusal::Oversize {
            what: "handles",
            found: all.len() as u64,
            allowed: OPENINGS_MAX as u64,
        };
        return Err(Problem::refused(path, refusal));
    }
    Ok(all)
}
