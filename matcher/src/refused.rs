//! Files that were refused, for whoever asks who has delivered. In: headers and reasons. Out: the newest of them. Invariant: who sent a
//! file is what its header claims, and it is said so; a file that is accepted later is none of them; their number is bounded, because
//! whoever can write to the exchange folder can lay down any number.
//! Specification: docs/OPERATIONS.md, "Readiness".

use hedui_edge::Problem;
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;
use rusqlite::params;

use crate::ledger::{Ledger, failed};

/// A file that was refused.
#[derive(serde::Serialize)]
pub struct Refused {
    /// SHA-256 of its header, hexadecimal.
    pub header_sha256: String,
    /// Who its header says sent it.
    pub sender: String,
    /// Day of the refusal.
    pub day: String,
    /// Exit code.
    pub code: u8,
    /// Reason in words.
    pub why: String,
}

/// Refused files that are remembered.
const REFUSALS_KEPT: u32 = 200;

impl Ledger {
    /// Notes a file that was refused; who sent it is what its header claims.
    pub fn refuse(
        &self,
        header_sha256: &[u8; 32],
        sender: &str,
        now: &str,
        refusal: &Refusal,
    ) -> Result<(), Problem> {
        self.connection
            .execute(
                "INSERT OR IGNORE INTO refusal VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    hex(header_sha256),
                    sender,
                    now,
                    refusal.exit_code(),
                    refusal.headline_zh()
                ],
            )
            .map_err(|error| failed(&error))?;
        // Whoever can write to the exchange folder can lay down any number of files: the newest are kept.
        self.connection
            .execute(
                "DELETE FROM refusal WHERE header_sha256 NOT IN (
                     SELECT header_sha256 FROM refusal ORDER BY refused DESC, header_sha256 LIMIT ?1)",
                params![REFUSALS_KEPT],
            )
            .map(|_| ())
            .map_err(|error| failed(&error))
    }

    /// Files that were refused, in the order of the days.
    pub fn refusals(&self) -> Result<Vec<Refused>, Problem> {
        let mut statement = self
            .connection
            .prepare("SELECT header_sha256, sender, refused, code, why FROM refusal ORDER BY refused, header_sha256")
            .map_err(|error| failed(&error))?;
        let rows = statement
            .query_map([], |row| {
                let refused: String = row.get(2)?;
                Ok(Refused {
                    header_sha256: row.get(0)?,
                    sender: row.get(1)?,
                    day: refused.chars().take(10).collect(),
                    code: row.get(3)?,
                    why: row.get(4)?,
                })
            })
            .map_err(|error| failed(&error))?;
        rows.collect::<Result<_, _>>()
            .map_err(|error| failed(&error))
    }
}
