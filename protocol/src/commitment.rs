//! The roll's commitment: whom a roll holds, fixed before anybody asks, opened person by person to a reviewer. In: the persons of a roll
//! as salted leaves. Out: a signed text with one root; openings that anybody can verify. Invariant: a leaf says nothing without its salt; an
//! opening binds a person's fields to the handles under which the matcher has that person in every register.
//! Specification: protocol/SPEC.md, "Roll commitment" (tree as in RFC 6962).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::agreement::Agreement;
use crate::identity::Identity;
use crate::ids::{AgreementDigest, Epoch};
use crate::label::Label;
use crate::log::merkle::{self, Hash, root_of_path};
use crate::primitive::{hex, labelled_sha256, unhex};
use crate::refusal::Refusal;

/// Most openings of one file: a reviewer looks at case files by hand.
pub const OPENINGS_MAX: usize = 10_000;

/// What a roll's owner commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// Agreement.
    pub agreement: AgreementDigest,
    /// Epoch.
    pub epoch: Epoch,
    /// The owner's name of exactly these data, as in its submissions.
    pub snapshot: String,
    /// Number of persons: the first leaves.
    pub persons: u64,
    /// Number of control records of both sides: the leaves behind them.
    pub controls: u64,
    /// Root over all leaves.
    pub root: Hash,
}

impl Commitment {
    /// The text that is signed.
    fn body(&self) -> String {
        let mut out = String::from("hedui-roll/1\n");
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "agreement {}\nepoch {}\nsnapshot {}\npersons {}\ncontrols {}\nroot {}\n---\n",
            self.agreement.to_hex(),
            self.epoch.0,
            self.snapshot,
            self.persons,
            self.controls,
            hex(&self.root)
        );
        out
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let digest = crate::primitive::sha256(&[self.body().as_bytes()]);
        [Label::RollCommitment.bytes(), &[0], &digest].concat()
    }

    /// The whole file, signed by the roll's owner.
    pub fn sign(&self, owner: &Identity) -> String {
        let signature = hex(&owner.sign(&self.signed_bytes()));
        format!(
            "{}signature {} {signature}\n",
            self.body(),
            owner.card().name
        )
    }

    /// Reads a file and verifies that the roll's owner signed it under this agreement.
    ///
    /// # Errors
    /// Not in its form (10), of another agreement (15) or epoch (16), not the owner's signature (20).
    pub fn parse(text: &str, agreement: &Agreement) -> Result<Self, Refusal> {
        let bad = || Refusal::malformed("roll commitment", "it is not in its form");
        let mut lines = text.lines();
        let mut field = |name: &str| -> Result<&str, Refusal> {
            let line = lines.next().ok_or_else(bad)?;
            line.strip_prefix(name).ok_or_else(bad)
        };
        field("hedui-roll/1")?;
        let found = Self {
            agreement: AgreementDigest::from_hex(field("agreement ")?).ok_or_else(bad)?,
            epoch: Epoch(field("epoch ")?.parse().map_err(|_| bad())?),
            snapshot: field("snapshot ")?.to_owned(),
            persons: field("persons ")?.parse().map_err(|_| bad())?,
            controls: field("controls ")?.parse().map_err(|_| bad())?,
            root: unhex(field("root ")?).ok_or_else(bad)?,
        };
        field("---")?;
        let owner = agreement.card(&agreement.roll().owner).ok_or_else(bad)?;
        let line = field(&format!("signature {} ", owner.name))?;
        let signature: [u8; 64] = unhex(line).ok_or_else(bad)?;
        // One spelling: what is read is what would be written.
        let whole = format!("{}signature {} {line}\n", found.body(), owner.name);
        if whole != text || hex(&signature) != line {
            return Err(bad());
        }
        if found.agreement != agreement.digest() {
            let digits = found.agreement.to_hex().chars().take(12).collect();
            return Err(Refusal::WrongAgreement(digits));
        }
        if found.epoch != agreement.epoch() {
            let (expected, found) = (agreement.epoch().0, found.epoch.0);
            return Err(Refusal::WrongEpoch { expected, found });
        }
        if !owner.verify(&found.signed_bytes(), &signature) {
            return Err(Refusal::BadSignature);
        }
        Ok(found)
    }

    /// Places that a reviewer's words draw, ascending, unlike each other: the n-th draw is the first 8 bytes (big-endian) of
    /// `H("HEDUI1/roll-draw" ‖ 0 ‖ root ‖ u32(n) ‖ words)` modulo the persons. Drawn after the commitment, they are nobody's choice.
    pub fn drawn(&self, words: &str, count: usize) -> Vec<u64> {
        let all = usize::try_from(self.persons).unwrap_or(usize::MAX);
        let wanted = count.min(all).min(OPENINGS_MAX);
        let mut found = std::collections::BTreeSet::new();
        let mut number = 0_u32;
        while found.len() < wanted {
            let parts = [&self.root[..], &number.to_be_bytes(), words.as_bytes()];
            let digest = labelled_sha256(Label::RollDraw, &parts);
            let first = digest.first_chunk::<8>().copied().unwrap_or_default();
            found.insert(u64::from_be_bytes(first) % self.persons);
            number = number.wrapping_add(1);
        }
        found.into_iter().collect()
    }
}

/// The one field of a control record's leaf; its one handle is that of the register.
pub fn control(register: &str, number: u16) -> String {
    format!("control {register} {number}")
}

/// One person of a roll, laid open: values in clear, for the reviewer only; or one control record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Place among the leaves, from 0.
    pub index: u64,
    /// 32 bytes that only this person's leaf has, hexadecimal.
    pub salt: String,
    /// Normal forms in the agreement's order; empty where there is none.
    pub fields: Vec<String>,
    /// Handle in every register's context, in the agreement's order, hexadecimal.
    pub handles: Vec<String>,
    /// Audit path, hexadecimal.
    pub path: Vec<String>,
}

/// Hash of a person's leaf: `H(0 ‖ "HEDUI1/roll-leaf" ‖ 0 ‖ salt ‖ u16(fields) ‖ (u16(length) ‖ text)* ‖ u16(handles) ‖ handle*)`.
/// `None` if a text or list is too long to be written so.
pub fn leaf(salt: &[u8; 32], fields: &[&str], handles: &[[u8; 16]]) -> Option<Hash> {
    let mut bytes = [Label::RollLeaf.bytes(), &[0], salt].concat();
    bytes.extend(u16::try_from(fields.len()).ok()?.to_be_bytes());
    for field in fields {
        bytes.extend(u16::try_from(field.len()).ok()?.to_be_bytes());
        bytes.extend(field.as_bytes());
    }
    bytes.extend(u16::try_from(handles.len()).ok()?.to_be_bytes());
    bytes.extend(handles.as_flattened());
    Some(merkle::leaf(&bytes))
}

impl Opening {
    /// Whether it is a leaf of the commitment, at its place.
    pub fn holds(&self, commitment: &Commitment) -> bool {
        let all = commitment.persons.checked_add(commitment.controls);
        all.and_then(|all| self.root(all)) == Some(commitment.root)
    }

    fn root(&self, leaves: u64) -> Option<Hash> {
        let fields: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        let handles: Option<Vec<[u8; 16]>> = self.handles.iter().map(|h| unhex(h)).collect();
        let path: Option<Vec<Hash>> = self.path.iter().map(|h| unhex(h)).collect();
        let own = leaf(&unhex(&self.salt)?, &fields, &handles?)?;
        root_of_path(&own, self.index, leaves, &path?)
    }
}

/// What a roll's owner hands to a reviewer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Openings {
    /// The commitment that they open: the whole signed text.
    pub commitment: String,
    /// The persons.
    pub openings: Vec<Opening>,
}
