//! The list of matches. In: evidence of a result. Out: `matches.csv`, one line per decided pair.
//! Invariant: rows of the roll and handles of registers only; no value of anybody stands in it.
//! Specification: docs/OPERATIONS.md.

use std::path::Path;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::message::result::Outcome;

use crate::clue::evaluate::key_names;
use crate::results::Evidence;
use crate::roll::Roll;

/// Writes the list.
pub fn write(
    path: &Path,
    agreement: &InForce,
    roll: &Roll,
    evidence: &[Evidence],
) -> Result<(), Problem> {
    files::deliver(path, |out| {
        let mut writer = csv::Writer::from_writer(out);
        let failed = |error: csv::Error| Problem::data(error.to_string(), "report this");
        writer
            .write_record([
                "roll_rows",
                "register",
                "register_handle",
                "outcome",
                "agree",
                "differ",
                "weight_bits",
            ])
            .map_err(failed)?;
        for item in evidence {
            let rows = roll.rows_of(item.person);
            let outcome = match item.outcome {
                Outcome::Match => "match",
                Outcome::Review => "review",
                Outcome::IdentityConflict => "identity-conflict",
            };
            writer
                .write_record([
                    rows,
                    item.register.to_string(),
                    item.handle.to_hex(),
                    outcome.to_owned(),
                    key_names(agreement, item.agree).join(" "),
                    key_names(agreement, item.differ).join(" "),
                    item.weight.map_or_else(String::new, |weight| {
                        format!("{:.2}", f64::from(weight) / 100.0)
                    }),
                ])
                .map_err(failed)?;
        }
        writer.flush().map_err(|error| Problem::io(path, error))
    })
}
