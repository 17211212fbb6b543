//! A custodian at work: agreement, key, folders, clock, terminal. In: what a command opened. Out: what every step
//! of it needs. Invariant: a desk exists for a custodian of an agreement in force only.
//! Specification: docs/OPERATIONS.md, "Custodians".

use std::path::Path;

use hedui_edge::Console;
use hedui_edge::clock::Clock;
use hedui_protocol::agreement::InForce;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;

use crate::oprf::threshold::Index;
use crate::vault::Vault;

/// Everything that a custodian works with under an agreement in force.
pub struct Desk<'a> {
    /// Agreement.
    pub agreement: &'a InForce,
    /// Key.
    pub identity: &'a Identity,
    /// Place in the sharing.
    pub index: Index,
    /// State folder.
    pub state: &'a Path,
    /// Exchange folder.
    pub exchange: &'a Path,
    /// Clock.
    pub clock: &'a Clock,
    /// Terminal.
    pub console: &'a Console,
}

impl Desk<'_> {
    /// The custodian's sealed secrets of this epoch.
    pub fn vault(&self) -> Vault<'_> {
        Vault::new(self.state, "custodian", self.identity, self.agreement)
    }

    /// The custodian's name.
    pub fn me(&self) -> &str {
        self.identity.card().name.as_str()
    }

    /// The other custodians with their places.
    pub fn others(&self) -> Vec<(Index, Name)> {
        let all = (1..).zip(self.agreement.custodians());
        all.filter(|(index, _)| *index != self.index)
            .map(|(index, name)| (index, name.clone()))
            .collect()
    }

    /// Name of a custodian.
    pub fn name_of(&self, index: Index) -> &str {
        let custodians = self.agreement.custodians();
        let at = usize::from(index).wrapping_sub(1);
        custodians.get(at).map_or("", |name| name.as_str())
    }
}
