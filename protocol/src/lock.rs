//! From tokens to tags and payload keys: the second lock. In: 64-byte tokens of match keys and the
//! register's secret. Out: 16-byte tags for the matcher, 32-byte keys for payloads.
//! Invariant: every output depends on the agreement, epoch, register and S_r, so that tags of two of
//! any of these cannot be joined. Specification: protocol/SPEC.md, "Tags and payload keys".

use crate::filter::encode::PairKey;
use crate::ids::{AgreementDigest, DatasetNumber, Epoch, Handle, Tag};
use crate::label::Label;
use crate::match_key::Side;
use crate::primitive::{Prk, hex, unhex};
use crate::secret::Secret;
use subtle::ConstantTimeEq;

/// Output of the first lock for one match key of one person (`y`, 64 bytes).
pub type Token = Secret<64>;

/// Everything that binds a tag to its place: agreement, epoch, register and the register's secret.
pub struct TagContext {
    agreement: AgreementDigest,
    place: [u8; 6],
    register_secret: Secret<32>,
}

impl TagContext {
    /// The context of one register in one epoch.
    pub fn new(
        agreement: AgreementDigest,
        epoch: Epoch,
        register: DatasetNumber,
        register_secret: Secret<32>,
    ) -> Self {
        let mut place = [0; 6];
        place[..4].copy_from_slice(&epoch.0.to_be_bytes());
        place[4..].copy_from_slice(&register.0.to_be_bytes());
        Self {
            agreement,
            place,
            register_secret,
        }
    }

    /// `prk = HKDF-Extract(AD, y ‖ S_r)`;
    /// `tag = HKDF-Expand(prk, "HEDUI1/tag" ‖ 0 ‖ u32 epoch ‖ u16 register ‖ u8 match key, 16)`.
    pub fn tag(&self, match_key: u8, token: &Token) -> Tag {
        Tag(self
            .prk(&[token])
            .expand(Label::Tag, &[&self.place, &[match_key]]))
    }

    /// `prk = HKDF-Extract(AD, y_1 ‖ … ‖ y_n ‖ S_r)` over the tokens of one release set in its order;
    /// `kek = HKDF-Expand(prk, "HEDUI1/kek" ‖ 0 ‖ u32 epoch ‖ u16 register ‖ u8 set ‖ handle, 32)`.
    /// One key per handle; what is sealed under it changes with the facts, so the row carries a nonce.
    pub fn payload_key(&self, set: u8, tokens: &[&Token], handle: Handle) -> Secret<32> {
        Secret::new(
            self.prk(tokens)
                .expand(Label::Kek, &[&self.place, &[set], &handle.0]),
        )
    }

    /// `HKDF-Expand(HKDF-Extract(AD, S_r), "HEDUI1/canary" ‖ 0 ‖ u32 epoch ‖ u16 register ‖ u16 number ‖ u8 match key,
    /// 64)`: the token of an invented record, which both sides of a register can compute and nobody else.
    pub fn canary_token(&self, number: u16, match_key: u8) -> Token {
        let info: [&[u8]; 3] = [&self.place, &number.to_be_bytes(), &[match_key]];
        Secret::new(self.prk(&[]).expand(Label::Canary, &info))
    }

    /// `u16(bitmap) ⊕ x(1, 0, 2 bytes) ‖ x(2, bitmap, 16 bytes)`, hexadecimal, where `x(w, b, n) = HKDF-Expand(HKDF-Extract(AD,
    /// S_r), "HEDUI1/canary-slip" ‖ 0 ‖ u32 epoch ‖ u16 register ‖ u8 side ‖ u8 w ‖ u16 b ‖ stamp, n)`: which match keys the
    /// canaries of one side have. The matcher passes it on and can neither read nor change it, so the roll owner knows what
    /// must have become of every canary. `stamp` names the side's data, so that a slip serves one delivery only.
    pub fn canary_slip(&self, side: Side, stamp: &str, bitmap: u16) -> String {
        let mac: [u8; 16] = self.slip_part(side, (2, bitmap), stamp);
        let masked = bitmap ^ u16::from_be_bytes(self.slip_part(side, (1, 0), stamp));
        hex(&[&masked.to_be_bytes()[..], &mac].concat())
    }

    /// The bitmap of a slip, if the side with that stamp wrote it.
    pub fn canary_bitmap(&self, side: Side, stamp: &str, slip: &str) -> Option<u16> {
        let [high, low, ..] = unhex::<18>(slip)?;
        let mask = u16::from_be_bytes(self.slip_part(side, (1, 0), stamp));
        let bitmap = u16::from_be_bytes([high, low]) ^ mask;
        let own = self.canary_slip(side, stamp, bitmap);
        bool::from(own.as_bytes().ct_eq(slip.as_bytes())).then_some(bitmap)
    }

    fn slip_part<const N: usize>(&self, side: Side, what: (u8, u16), stamp: &str) -> [u8; N] {
        let side = match side {
            Side::Roll => 1,
            Side::Register => 2,
        };
        let bitmap = what.1.to_be_bytes();
        let info: [&[u8]; 4] = [&self.place, &[side, what.0], &bitmap, stamp.as_bytes()];
        self.prk(&[]).expand(Label::CanarySlip, &info)
    }

    /// `HKDF-Expand(HKDF-Extract(AD, S_r), "HEDUI1/kit-check" ‖ 0 ‖ u32 epoch ‖ u16 register, 8)`: equal on both
    /// sides of a register exactly if both used the same kit, and says nothing else about it.
    pub fn kit_check(&self) -> [u8; 8] {
        self.prk(&[]).expand(Label::KitCheck, &[&self.place])
    }

    /// `HKDF-Expand(HKDF-Extract(AD, S_r), "HEDUI1/pair-filter" ‖ 0 ‖ u32 epoch ‖ u16 register ‖ request ‖ roll handle ‖
    /// register handle, 32)`: the key of the filters of one candidate pair of one request.
    pub fn pair_key(&self, request: &[u8; 32], roll: Handle, register: Handle) -> PairKey {
        let info: [&[u8]; 4] = [&self.place, request, &roll.0, &register.0];
        PairKey::new(Secret::new(self.prk(&[]).expand(Label::PairFilter, &info)))
    }

    /// `HKDF-Expand(HKDF-Extract(AD, S_r), "HEDUI1/record-filter" ‖ 0 ‖ u32 epoch ‖ u16 register, 32)`: the key of the record
    /// filters of one register and of the roll for it; those of another register have nothing in common with them.
    pub fn record_filter_key(&self) -> Secret<32> {
        Secret::new(self.prk(&[]).expand(Label::RecordFilter, &[&self.place]))
    }

    /// `HKDF-Expand(HKDF-Extract(AD, y ‖ S_r), "HEDUI1/block-filter" ‖ 0 ‖ u32 epoch ‖ u16 register ‖ u8 match key, 32)`: the
    /// key of the record filters of all records that share the value of one match key, of which y is the token.
    pub fn block_filter_key(&self, match_key: u8, token: &Token) -> Secret<32> {
        let info: [&[u8]; 2] = [&self.place, &[match_key]];
        Secret::new(self.prk(&[token]).expand(Label::BlockFilter, &info))
    }

    fn prk(&self, tokens: &[&Token]) -> Prk {
        // Room at once: a vector that grows leaves its older selves behind.
        let mut ikm = zeroize::Zeroizing::new(Vec::with_capacity(64 * tokens.len() + 32));
        for token in tokens {
            ikm.extend_from_slice(token.expose());
        }
        ikm.extend_from_slice(self.register_secret.expose());
        Prk::extract(&self.agreement.0, &ikm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(agreement: u8, epoch: u32, register: u16, secret: u8) -> TagContext {
        TagContext::new(
            AgreementDigest([agreement; 32]),
            Epoch(epoch),
            DatasetNumber(register),
            Secret::new([secret; 32]),
        )
    }

    /// Changing any one input changes the tag: nothing can be joined across any boundary.
    #[test]
    fn tags_differ_in_every_coordinate() {
        let token = Token::new([1; 64]);
        let base = context(1, 1, 1, 1).tag(1, &token);
        assert!(base == context(1, 1, 1, 1).tag(1, &token));
        assert!(base != context(2, 1, 1, 1).tag(1, &token));
        assert!(base != context(1, 2, 1, 1).tag(1, &token));
        assert!(base != context(1, 1, 2, 1).tag(1, &token));
        assert!(base != context(1, 1, 1, 2).tag(1, &token));
        assert!(base != context(1, 1, 1, 1).tag(2, &token));
        assert!(base != context(1, 1, 1, 1).tag(1, &Token::new([2; 64])));
    }

    /// A slip is read by whoever has the register's secret, for its own side and stamp only; nobody else can change it.
    #[test]
    fn slips_of_canaries_cannot_be_made_up() {
        let own = context(1, 1, 1, 1);
        let slip = own.canary_slip(Side::Register, "2016-12-31", 0x0103);
        let read = |context: &TagContext, side, stamp| context.canary_bitmap(side, stamp, &slip);
        assert_eq!(read(&own, Side::Register, "2016-12-31"), Some(0x0103));
        assert_eq!(read(&own, Side::Roll, "2016-12-31"), None);
        assert_eq!(read(&own, Side::Register, "2016-12-30"), None);
        let foreign = context(1, 1, 1, 2);
        assert_eq!(read(&foreign, Side::Register, "2016-12-31"), None);
        for wrong in 0..=u16::MAX {
            let other = format!("{wrong:04x}{}", slip.get(4..).unwrap());
            let found = own.canary_bitmap(Side::Register, "2016-12-31", &other);
            assert_eq!(found.is_some(), other == slip);
        }
        assert_eq!(own.canary_bitmap(Side::Register, "2016-12-31", ""), None);
    }

    #[test]
    fn payload_keys_are_single_use_and_need_every_token() {
        let (a, b) = (Token::new([1; 64]), Token::new([2; 64]));
        let context = context(1, 1, 1, 1);
        let key = context.payload_key(0, &[&a, &b], Handle([1; 16]));
        assert!(key == context.payload_key(0, &[&a, &b], Handle([1; 16])));
        assert!(key != context.payload_key(0, &[&a], Handle([1; 16])));
        assert!(key != context.payload_key(0, &[&b, &a], Handle([1; 16])));
        assert!(key != context.payload_key(1, &[&a, &b], Handle([1; 16])));
        assert!(key != context.payload_key(0, &[&a, &b], Handle([2; 16])));
    }
}
