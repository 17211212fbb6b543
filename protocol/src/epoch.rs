//! The record of an epoch's key: which custodians hold it and what their public shares are. In: text and
//! signatures. Out: [`EpochRecord`], and [`ConfirmedEpoch`] once every custodian has signed the same bytes.
//! Invariant: agents take a key from a [`ConfirmedEpoch`] only, so a substituted key needs every custodian's
//! signature. Specification: protocol/SPEC.md, "Epoch record".

use std::fmt::Write as _;

use crate::agreement::Agreement;
use crate::identity::Identity;
use crate::ids::{AgreementDigest, Epoch, Name};
use crate::label::Label;
use crate::limits::CUSTODIANS_MAX;
use crate::primitive::{hex, sha256, unhex};
use crate::refusal::Refusal;

/// First line of a record.
const MAGIC: &str = "hedui-epoch/1";
/// Line between the record and its signatures.
const END: &str = "---";

/// Who signed, and the Ed25519 signature.
pub type Signatures = Vec<(Name, [u8; 64])>;

/// Public part of an epoch's key.
#[derive(Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// Agreement.
    pub agreement: AgreementDigest,
    /// Epoch.
    pub epoch: Epoch,
    /// Answers needed.
    pub needed: u16,
    /// Custodians in the order of the agreement, index 1 first, each with its public share (32 bytes).
    pub shares: Vec<(Name, [u8; 32])>,
    /// The epoch's public key `K·G`, 32 bytes.
    pub group: [u8; 32],
}

impl EpochRecord {
    /// The exact bytes that custodians sign.
    pub fn render(&self) -> String {
        let mut out = format!(
            "{MAGIC}\nagreement {}\nepoch {}\nthreshold {} of {}\n",
            self.agreement.to_hex(),
            self.epoch.0,
            self.needed,
            self.shares.len()
        );
        // Writing to a String cannot fail.
        for (index, (name, share)) in (1..).zip(&self.shares) {
            let _ = writeln!(out, "share {index} {name} {}", hex(share));
        }
        let _ = writeln!(out, "group {}\n{END}", hex(&self.group));
        out
    }

    /// Reads a record and the signature lines behind it.
    pub fn parse(text: &str) -> Result<(Self, Signatures), Refusal> {
        let bad = |why: &str| Refusal::malformed("epoch record", why);
        let mut lines = text.lines();
        if lines.next() != Some(MAGIC) {
            return Err(bad("it does not begin with `hedui-epoch/1`"));
        }
        let mut line = |word: &str| -> Result<Vec<String>, Refusal> {
            let mut words = lines.next().unwrap_or_default().split(' ');
            if words.next() != Some(word) {
                return Err(Refusal::malformed(
                    "epoch record",
                    format!("line `{word}` is missing"),
                ));
            }
            Ok(words.map(str::to_owned).collect())
        };
        let agreement = line("agreement")?;
        let epoch = line("epoch")?;
        let threshold = line("threshold")?;
        let [needed, of, count] = &threshold[..] else {
            return Err(bad("line `threshold` is wrong"));
        };
        let (needed, count) = (needed.parse::<u16>(), count.parse::<usize>());
        let (Ok(needed), Ok(count)) = (needed, count) else {
            return Err(bad("line `threshold` is wrong"));
        };
        if of != "of" || count > CUSTODIANS_MAX {
            return Err(bad("line `threshold` is wrong"));
        }
        let mut shares = Vec::with_capacity(count);
        for _ in 0..count {
            let words = line("share")?;
            let [_, name, share] = &words[..] else {
                return Err(bad("line `share` is wrong"));
            };
            let share = Name::new(name).zip(unhex::<32>(share));
            shares.push(share.ok_or_else(|| bad("line `share` is wrong"))?);
        }
        let group = line("group")?;
        let one = |words: &[String]| words.first().cloned().unwrap_or_default();
        let record = Self {
            agreement: AgreementDigest::from_hex(&one(&agreement))
                .ok_or_else(|| bad("line `agreement` is wrong"))?,
            epoch: Epoch(
                one(&epoch)
                    .parse()
                    .map_err(|_| bad("line `epoch` is wrong"))?,
            ),
            needed,
            shares,
            group: unhex(&one(&group)).ok_or_else(|| bad("line `group` is wrong"))?,
        };
        // One spelling only.
        let rendered = record.render();
        let rest = text
            .strip_prefix(rendered.as_str())
            .ok_or_else(|| bad("it is not in canonical form"))?;
        Ok((record, signatures(rest)?))
    }

    /// The signature line of a custodian.
    pub fn sign(&self, identity: &Identity) -> String {
        let signature = identity.sign(&self.signed_bytes());
        format!("signature {} {}\n", identity.card().name, hex(&signature))
    }

    /// `"HEDUI1/epoch-record" ‖ 0 ‖ SHA-256(record)`.
    fn signed_bytes(&self) -> Vec<u8> {
        let digest = sha256(&[self.render().as_bytes()]);
        [Label::EpochRecord.bytes(), &[0], &digest].concat()
    }

    /// Reads a record with its signatures; returns the custodians who signed it, at least one. A signature that does not
    /// hold, or of somebody else, is a refusal.
    pub fn signed(agreement: &Agreement, text: &str) -> Result<(Self, Vec<Name>), Refusal> {
        let (record, signatures) = Self::parse(text)?;
        record.fits(agreement)?;
        let mut signers = Vec::with_capacity(signatures.len());
        for (name, signature) in signatures {
            let known = agreement.custodians().contains(&&name);
            let card = agreement.card(&name).filter(|_| known);
            let card = card.ok_or_else(|| Refusal::UnknownSender(name.to_string()))?;
            if !card.verify(&record.signed_bytes(), &signature) {
                return Err(Refusal::BadSignature);
            }
            signers.push(name);
        }
        if signers.is_empty() {
            return Err(Refusal::malformed("epoch record", "nobody has signed it"));
        }
        Ok((record, signers))
    }

    /// Checks that the record is for this agreement and its epoch and names its custodians in order.
    fn fits(&self, agreement: &Agreement) -> Result<(), Refusal> {
        if self.agreement != agreement.digest() {
            let digits = self.agreement.to_hex().chars().take(12).collect();
            return Err(Refusal::WrongAgreement(digits));
        }
        if self.epoch != agreement.epoch() {
            let (expected, found) = (agreement.epoch().0, self.epoch.0);
            return Err(Refusal::WrongEpoch { expected, found });
        }
        let named: Vec<&Name> = self.shares.iter().map(|(name, _)| name).collect();
        let threshold = u32::from(self.needed) == agreement.text().oprf.threshold;
        if named != agreement.custodians() || !threshold {
            return Err(Refusal::malformed(
                "epoch record",
                "its custodians or threshold are not those of the agreement",
            ));
        }
        Ok(())
    }
}

fn signatures(lines: &str) -> Result<Signatures, Refusal> {
    let parse = |line: &str| {
        let mut words = line.split(' ');
        (words.next()? == "signature").then_some(())?;
        let signature = Name::new(words.next()?).zip(unhex::<64>(words.next()?))?;
        words.next().is_none().then_some(signature)
    };
    lines
        .lines()
        .map(|line| {
            parse(line).ok_or_else(|| Refusal::malformed("epoch record", "a signature is wrong"))
        })
        .collect()
}

/// A record that every custodian of the agreement has signed.
pub struct ConfirmedEpoch(EpochRecord);

impl ConfirmedEpoch {
    /// Brings the custodians' records together; `texts` holds any number of signed copies.
    ///
    /// Two custodians that sign different records have been told different things in the ceremony, or one
    /// of them lies: that is refused, whichever of them is right.
    pub fn gather(agreement: &Agreement, texts: &[String]) -> Result<Self, Refusal> {
        let mut agreed: Option<EpochRecord> = None;
        let mut signers: Vec<Name> = Vec::new();
        for text in texts {
            let (record, signed_by) = EpochRecord::signed(agreement, text)?;
            signers.extend(signed_by);
            match &agreed {
                Some(first) if *first != record => {
                    return Err(Refusal::malformed(
                        "epoch record",
                        "custodians signed different keys for this epoch; do not use either",
                    ));
                }
                _ => agreed = Some(record),
            }
        }
        let missing: Vec<&str> = agreement
            .custodians()
            .into_iter()
            .filter(|name| !signers.contains(name))
            .map(Name::as_str)
            .collect();
        match agreed {
            Some(record) if missing.is_empty() => Ok(Self(record)),
            _ => Err(Refusal::NotInForce(format!(
                "the epoch's key is not confirmed by {}",
                missing.join(", ")
            ))),
        }
    }

    /// The record.
    pub fn record(&self) -> &EpochRecord {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte of a record changed in turn: refused, or the same text again; never a panic, never two
    /// spellings of one record.
    #[test]
    fn a_record_has_one_spelling() {
        let name = |text: &str| Name::new(text).unwrap();
        let record = EpochRecord {
            agreement: AgreementDigest([7; 32]),
            epoch: Epoch(3),
            needed: 2,
            shares: vec![
                (name("a"), [1; 32]),
                (name("b-2"), [2; 32]),
                (name("c"), [255; 32]),
            ],
            group: [9; 32],
        };
        let text = format!("{}signature a {}\n", record.render(), "0".repeat(128));
        let (back, signatures) = EpochRecord::parse(&text).unwrap();
        assert!(back == record && signatures.len() == 1);
        for at in 0..text.len() {
            for byte in [b' ', b'0', b'f', b'\n', b'-', b'9', b'A'] {
                let mut changed = text.clone().into_bytes();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                if let Ok((other, signatures)) = EpochRecord::parse(&changed) {
                    assert!(changed.starts_with(&other.render()), "byte {at}");
                    assert!(signatures.len() == 1, "byte {at}");
                }
            }
            assert!(
                EpochRecord::parse(text.get(..at).unwrap()).is_err() || at >= record.render().len()
            );
        }
        let many = text.replace("threshold 2 of 3", "threshold 2 of 4000000000");
        assert!(EpochRecord::parse(&many).is_err());
    }

    /// One record that every custodian signed, in any number of copies; two records are refused whoever signed them.
    #[test]
    fn an_epoch_is_confirmed_by_every_custodian_for_one_record() {
        use crate::secret::Secret;
        let agreement = Agreement::from_text(crate::agreement::sample::sample()).unwrap();
        let custodians = agreement.custodians().into_iter().cloned();
        let record = |group: u8| EpochRecord {
            agreement: agreement.digest(),
            epoch: agreement.epoch(),
            needed: 2,
            shares: custodians
                .clone()
                .zip([[1; 32], [2; 32], [3; 32]])
                .collect(),
            group: [group; 32],
        };
        let signed = |record: &EpochRecord, at: u8| {
            let name = Name::new(&format!("c{at}")).unwrap();
            let identity = Identity::from_seed(name, &Secret::new([at + 2; 64]));
            record.render() + &record.sign(&identity)
        };
        let (one, other) = (record(9), record(8));
        let gather = |texts: &[String]| ConfirmedEpoch::gather(&agreement, texts);
        let all = [
            signed(&one, 1),
            signed(&one, 2),
            signed(&one, 3),
            signed(&one, 3),
        ];
        assert!(gather(&all).is_ok_and(|epoch| *epoch.record() == one));
        let code = |texts: &[String]| gather(texts).err().map(|refusal| refusal.exit_code());
        assert_eq!(code(&all[..2]), Some(23));
        assert_eq!(code(&[]), Some(23));
        let mixed = [signed(&one, 1), signed(&one, 2), signed(&other, 3)];
        assert_eq!(code(&mixed), Some(10));
        for (what, code) in [
            (
                EpochRecord {
                    needed: 3,
                    ..record(9)
                },
                10,
            ),
            (
                EpochRecord {
                    epoch: Epoch(2),
                    ..record(9)
                },
                16,
            ),
            (
                EpochRecord {
                    agreement: AgreementDigest([0; 32]),
                    ..record(9)
                },
                15,
            ),
        ] {
            let refusal = EpochRecord::signed(&agreement, &signed(&what, 1)).err();
            assert_eq!(refusal.map(|refusal| refusal.exit_code()), Some(code));
        }
    }
}
