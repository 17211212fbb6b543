//! Telling a register's owner which of its own records were found. In: a merged result. Out: one sealed message per register
//! whose agreement says `own_result`. Invariant: nothing but handles of the recipient's own goes into it; every pair that the
//! roll's owner is shown counts, whatever its outcome, so that nobody is called absent who may be there.
//! Specification: protocol/SPEC.md, "Own result".

use std::io::Cursor;

use hedui_edge::Problem;
use hedui_edge::exchange::Draft;
use hedui_edge::home::HomeOptions;
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::Name;
use hedui_protocol::message::manifest_bytes;
use hedui_protocol::message::own_result::Manifest;
use hedui_protocol::primitive::sha256;

use crate::desk::Desk;
use crate::merge::Merged;
use crate::plan::Plan;

impl Desk {
    /// Sends the own results of a run, of the registers that are final; those whose owners were told.
    pub(crate) fn send_own_results(
        &self,
        home: &HomeOptions,
        plan: &Plan,
        merged: &Merged,
        is_final: impl Fn(&Name) -> bool,
    ) -> Result<Vec<Name>, Problem> {
        let mut told = Vec::new();
        for (register, found) in merged.found.iter().filter(|(name, _)| is_final(name)) {
            let pairing = plan
                .pairings
                .iter()
                .find(|p| p.register == register.as_str());
            let (Some(pairing), Some(dataset)) = (pairing, self.agreement.dataset(register)) else {
                continue;
            };
            let head = Manifest::new(
                register,
                (&pairing.register_snapshot, &pairing.as_of),
                &pairing.roll_as_of,
                found.len() as u64,
            );
            let mut body = manifest_bytes(&head)?;
            found
                .iter()
                .for_each(|handle| body.extend_from_slice(&handle.0));
            let draft = Draft {
                kind: MessageType::OwnResult,
                to: self.card(&dataset.owner)?,
                about: register.as_str(),
                content: sha256(&[&body]),
                in_reply_to: None,
            };
            let len = body.len() as u64;
            self.send_logged(home, &draft, &mut Cursor::new(body), len)?;
            told.push(register.clone());
        }
        Ok(told)
    }
}
