//! Kits on their way. In: the roll owner's kits; the exchange folder. Out: a sealed kit for each register's owner; the kit that
//! a register's owner received. Invariant: a kit is made once and kept; the latest that came counts.
//! Specification: protocol/SPEC.md, "Encoding of bodies".

use hedui_edge::Problem;
use hedui_edge::exchange::{self, Draft};
use hedui_keys::kit_store::KitStore;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::header::MessageType;
use hedui_protocol::message::kit::{KIT_BYTES, Kit};
use hedui_protocol::primitive::sha256;

use super::post::received;
use super::submit::Run;

impl Run<'_> {
    /// Kits to every register's owner; they come with the roll and depend on nothing in it.
    pub(super) fn kits(&self) -> Result<(), Problem> {
        let store = KitStore::new(self.state, self.identity, self.agreement);
        for register in self.agreement.registers() {
            self.send_kit(register, &store.get_or_make(register)?)?;
        }
        Ok(())
    }

    /// Sends a register's kit to its owner; the roll owner's own registers need none.
    fn send_kit(&self, register: &Dataset, kit: &Kit) -> Result<(), Problem> {
        if register.owner == self.identity.card().name {
            return Ok(());
        }
        let to = self.agreement.card(&register.owner).ok_or_else(|| {
            Problem::data("the register's owner is no party", "see `agreement show`")
        })?;
        let body = kit.encode();
        let about = format!("{}-epoch-{}", register.name, self.agreement.epoch().0);
        let draft = Draft {
            kind: MessageType::Kit,
            to,
            about: &about,
            content: sha256(&[&body]),
            in_reply_to: None,
        };
        let folders = (self.state, self.options.exchange());
        let (clock, len) = (self.home.clock()?, body.len() as u64);
        let mut body = std::io::Cursor::new(&body[..]);
        exchange::send(
            self.identity,
            self.agreement,
            folders,
            &clock,
            &draft,
            &mut body,
            len,
        )?;
        Ok(())
    }

    /// Finds this register's kit in the exchange folder and keeps it.
    pub(super) fn receive_kit(
        &self,
        store: &KitStore<'_>,
        register: &Dataset,
    ) -> Result<Kit, Problem> {
        if self.agreement.roll().owner == self.identity.card().name {
            return store.get_or_make(register);
        }
        let expected = (MessageType::Kit, &self.agreement.roll().owner);
        let folder = self.options.exchange();
        let state = self.home.state();
        let mut found = received(
            (&state, folder),
            self.identity,
            self.agreement,
            expected,
            self.console,
        )?;
        // The latest kit counts: the roll owner made a new one only if it had lost the one before.
        found.sort_by_key(|(_, verified)| std::cmp::Reverse(verified.header().seq));
        for (path, mut verified) in found {
            let limit = KIT_BYTES as u64;
            let body = exchange::open_small(&path, &mut verified, self.identity, limit)?;
            let kit = Kit::decode(&body).map_err(|r| Problem::refused(&path, r))?;
            if kit.register == Agreement::number(register) {
                store.put(register, &kit)?;
                return Ok(kit);
            }
        }
        Err(Problem::not_yet(
            format!(
                "the kit for `{}` is not in {}",
                register.name,
                self.options.exchange().display()
            ),
            format!(
                "ask `{}` to submit the roll first; its kit comes with that",
                self.agreement.roll().owner
            ),
        ))
    }
}
