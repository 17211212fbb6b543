//! Deletion: what the receipts promised, and what nobody needs any more. In: the state folder and today. Out:
//! fewer files. Invariant: the ledger notes a deletion before the files go, so a crash between the two leaves
//! files that the next purge removes; an entry of the ledger is never deleted.
//! Specification: protocol/SPEC.md, "Matcher".

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hedui_edge::clock::Clock;
use hedui_edge::{Problem, files};

use crate::intake::{State, delete_after};
use crate::ledger::Ledger;

/// How much was deleted.
#[derive(Default)]
pub struct Purged {
    /// Submissions whose tables were deleted.
    pub submissions: usize,
    /// Runs.
    pub runs: usize,
}

/// Deletes the tables of submissions past their day or superseded, and what lies in the runs' folder but for `keep`; without `keep`,
/// nothing there. What changes in force build on stays as long as they do.
pub fn purge(
    state: &State,
    ledger: &Ledger,
    clock: &Clock,
    keep: Option<&BTreeSet<PathBuf>>,
) -> Result<Purged, Problem> {
    let mut done = Purged::default();
    let superseded: BTreeSet<String> = ledger.superseded()?.into_iter().collect();
    let purged: BTreeSet<String> = ledger.purged()?.into_iter().collect();
    let today = clock.today();
    let due = |folder: &Path| delete_after(folder).ok().filter(|day| *day < today);
    // Changes keep their base: both are one delivery.
    let mut bases = BTreeSet::new();
    for (changes, base) in ledger.bases()? {
        let folder = state.segments().join(&changes);
        let is_there = folder.is_dir() && !purged.contains(&changes);
        if is_there && !superseded.contains(&changes) && due(&folder).is_none() {
            bases.insert(base);
        }
    }
    for folder in folders(&state.segments())? {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if bases.contains(&name) {
            continue;
        }
        let reason = if purged.contains(&name) {
            Some("again")
        } else if superseded.contains(&name) {
            Some("superseded")
        } else {
            // A folder without a readable receipt is being made, or was left by a crash: intake clears it.
            due(&folder).map(|_| "past its day")
        };
        if let Some(reason) = reason {
            ledger.purge(&name, &clock.now(), reason)?;
            fs::remove_dir_all(&folder).map_err(|error| Problem::io(&folder, error))?;
            done.submissions += 1;
        }
    }
    if let Some(keep) = keep {
        for folder in folders(&state.runs())? {
            if !keep.contains(&folder) {
                fs::remove_dir_all(&folder).map_err(|error| Problem::io(&folder, error))?;
                done.runs += 1;
            }
        }
    }
    files::sync_folder(&state.segments());
    Ok(done)
}

/// Folders in a folder, in name order.
fn folders(parent: &Path) -> Result<Vec<PathBuf>, Problem> {
    let entries = fs::read_dir(parent).map_err(|error| Problem::io(parent, error))?;
    let mut found: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}
