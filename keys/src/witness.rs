//! Witnessing the matcher's log. In: the published log, what this party has seen of it before, its key. Out: a cosignature beside the
//! log. Invariant: nothing is signed that does not extend what was seen; any party but the matcher may witness.
//! Specification: protocol/SPEC.md, "Log" (C2SP tlog-cosignature).

use std::path::Path;

use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files, log};

/// Checks the log in an exchange folder and signs its checkpoint.
pub fn witness(home: &HomeOptions, console: &Console, exchange: &Path) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let own = agreement.card(&identity.card().name);
    if own != Some(identity.card()) || identity.card() == agreement.matcher() {
        return Err(Problem::data(
            "this party cannot witness the log: it is not in the agreement, or is the matcher itself",
            "use the --home of a reviewer, a custodian or a department",
        ));
    }
    let state = home.state();
    let _guard = files::guard(&state)?;
    let time = home.clock()?.unix_seconds();
    let (path, checkpoint) = log::witness(&state, exchange, &agreement, &identity, time)?;
    console.say(&format!(
        "已见证 witnessed: {} 条 entries → {}",
        checkpoint.size,
        path.display()
    ));
    console.object(&serde_json::json!({"entries": checkpoint.size, "note": path}));
    Ok(())
}
