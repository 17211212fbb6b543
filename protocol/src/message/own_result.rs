//! What a register's owner learns of its own records: which of them the result names. In: handles of the register. Out: a
//! body with one table. Invariant: nothing of the roll is in it but what that says: whose records somebody of the roll has.
//! It exists only for registers whose agreement says `own_result`; the others of the register are the absent (应保未保).
//! Specification: protocol/SPEC.md, "Own result".

use serde::{Deserialize, Serialize};

use super::{Layout, Table};
use crate::agreement::Agreement;
use crate::ids::{Handle, Name};
use crate::refusal::Refusal;

const WHAT: &str = "own-result";
/// Name of the one table: handles that some pair of the result names, ascending, each once.
pub const FOUND: &str = "found";
const ROW_BYTES: usize = Handle::LEN;

/// Head of an own result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Register.
    pub register: Name,
    /// Its owner's name of the data that were compared.
    pub snapshot: String,
    /// Day for which they hold.
    pub as_of: String,
    /// Day for which the roll held that they were compared with.
    pub roll_as_of: String,
    /// The one table.
    pub tables: Vec<Table>,
}

impl Manifest {
    /// Head of an own result of `rows` handles.
    pub fn new(
        register: &Name,
        (snapshot, as_of): (&str, &str),
        roll_as_of: &str,
        rows: u64,
    ) -> Self {
        Self {
            register: register.clone(),
            snapshot: snapshot.to_owned(),
            as_of: as_of.to_owned(),
            roll_as_of: roll_as_of.to_owned(),
            tables: vec![Table {
                name: FOUND.to_owned(),
                width: u32::try_from(ROW_BYTES).unwrap_or(u32::MAX),
                rows,
            }],
        }
    }

    /// Checks head and table against the agreement and returns the handles.
    pub fn check(
        &self,
        agreement: &Agreement,
        manifest_bytes: u64,
        rest: &[u8],
    ) -> Result<Vec<Handle>, Refusal> {
        let bad = |why| Refusal::malformed(WHAT, why);
        if !agreement
            .dataset(&self.register)
            .is_some_and(|d| d.own_result)
        {
            return Err(bad("the agreement has none for this register"));
        }
        match &self.tables[..] {
            [table] if table.name == FOUND && table.width as usize == ROW_BYTES => {}
            _ => return Err(bad("it has other tables than the specification says")),
        }
        let layout = Layout::new(manifest_bytes, &self.tables)?;
        if layout.body_bytes != 4 + manifest_bytes + rest.len() as u64 {
            return Err(bad("its body has another length than its table"));
        }
        let (rows, _) = rest.as_chunks::<ROW_BYTES>();
        if !rows.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(bad("its rows do not ascend"));
        }
        Ok(rows.iter().copied().map(Handle).collect())
    }
}
