//! Drawing found persons of the roll for a review. In: what the last run kept, a reviewer's words. Out: handles, one per line. Invariant: the words
//! alone decide, so a reviewer can repeat the draw; handles name nobody but to the roll's owner, who must open them.
//! Specification: protocol/SPEC.md, "Roll commitment".

use clap::Args;
use hedui_edge::{Console, Problem};
use hedui_protocol::ids::Handle;
use hedui_protocol::label::Label;
use hedui_protocol::primitive::labelled_sha256;

use crate::kept;
use crate::plan::Plan;

/// Options of `draw`.
#[derive(Args)]
pub struct DrawOptions {
    /// The reviewer's words: they draw who must be opened
    #[arg(long, value_name = "WORDS")]
    seed: String,
    /// How many of each register
    #[arg(long, default_value_t = 20)]
    count: usize,
}

/// `draw`: of every register's pairs, matches and others, those whose `H("HEDUI1/roll-draw" ‖ 0 ‖ handle ‖ words)` is least.
pub fn draw(plan: &Plan, console: &Console, options: &DrawOptions) -> Result<(), Problem> {
    let mut all = Vec::new();
    for pairing in &plan.pairings {
        let pairs = kept::pairs(&plan.folder, &pairing.register)?;
        // All outcomes: facts of a pair for review are released as well.
        let mut drawn: Vec<([u8; 32], Handle)> = pairs
            .iter()
            .map(|pair| {
                let parts = [&pair.roll.0[..], options.seed.as_bytes()];
                (labelled_sha256(Label::RollDraw, &parts), pair.roll)
            })
            .collect();
        drawn.sort_unstable();
        drawn.dedup();
        drawn.truncate(options.count);
        for (_, handle) in drawn {
            console.say(&format!("{} {}", pairing.register, handle.to_hex()));
            all.push(serde_json::json!({"register": pairing.register, "handle": handle.to_hex()}));
        }
    }
    console.object(&all);
    Ok(())
}
