//! The agreement: the one configuration of a project. In: text and signatures. Out: [`Agreement`]
//! (checked) and [`InForce`] (signed by every party and valid today).
//! Invariant: everything that needs an agreement in force takes [`InForce`]; only [`Agreement::in_force`]
//! makes one. Specification: protocol/SPEC.md, "Agreement".

mod check;
pub mod likeness;
pub mod strict;
pub mod text;

use std::collections::BTreeMap;

use crate::identity::{Identity, PartyCard};
use crate::ids::{AgreementDigest, DatasetNumber, Epoch, Name};
use crate::label::Label;
use crate::limits::{EVALUATIONS_DEFAULT_MAX, EVALUATIONS_WITH_ERRORS_MAX};
use crate::match_key::{KeyPart, Side};
use crate::primitive::{hex, labelled_sha256, sha256, unhex};
use crate::refusal::Refusal;
use likeness::Likeness;
use text::{Dataset, DatasetKind, Field, KeyClass, Role, Text};

/// A checked agreement.
#[derive(Clone, Debug)]
pub struct Agreement {
    text: Text,
    effective: String,
    digest: AgreementDigest,
    cards: BTreeMap<Name, PartyCard>,
    keys: Vec<MatchKey>,
    likeness: Option<MatchKey>,
}

/// A match key with its parts resolved.
#[derive(Clone, Debug)]
pub struct MatchKey {
    /// Name.
    pub name: Name,
    /// Number from 1; enters tags.
    pub number: u8,
    /// Parts in the order in which they enter the key.
    pub parts: Vec<KeyPart>,
    /// Weight of agreement.
    pub class: KeyClass,
    /// Families, joined by `+`; keys of one family count once.
    pub family: String,
}

impl MatchKey {
    /// Families whose evidence the key carries.
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.family.split('+').map(str::trim)
    }

    /// Rows per record in the key's table on one side: one, or as many as a record of the roll may have
    /// values of a key that allows for errors.
    pub fn fan_out(&self, side: Side) -> usize {
        match side {
            Side::Register => 1,
            Side::Roll => self.parts.iter().map(|part| part.form.fan_out()).product(),
        }
    }
}

impl Agreement {
    /// Reads and checks the text of an agreement.
    pub fn parse(toml: &str) -> Result<Self, Refusal> {
        let text: Text = strict::parse("agreement", toml)?;
        Self::from_text(text)
    }

    /// Checks an agreement and fixes its effective text and digest.
    pub fn from_text(mut text: Text) -> Result<Self, Refusal> {
        for key in &mut text.match_key {
            if key.family.is_empty() {
                key.family = key.name.to_string();
            }
        }
        let (cards, keys) = check::check(&text)?;
        let likeness = likeness::check(&text, &keys)?;
        let effective = toml::to_string(&text)
            .map_err(|error| Refusal::malformed("agreement", error.to_string()))?;
        let digest = AgreementDigest(labelled_sha256(Label::Agreement, &[effective.as_bytes()]));
        Ok(Self {
            text,
            effective,
            digest,
            cards,
            keys,
            likeness,
        })
    }

    /// The configuration in force, defaults filled in: exactly what is hashed and signed.
    pub fn effective(&self) -> &str {
        &self.effective
    }

    /// `AD = SHA-256("HEDUI1/agreement" ‖ 0 ‖ effective text)`.
    pub fn digest(&self) -> AgreementDigest {
        self.digest
    }

    /// The checked content.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Epoch in force.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.text.epoch)
    }

    /// Card of a party.
    pub fn card(&self, name: &Name) -> Option<&PartyCard> {
        self.cards.get(name)
    }

    /// The matcher's card.
    pub fn matcher(&self) -> &PartyCard {
        let party = self
            .text
            .party
            .iter()
            .find(|party| party.role == Role::Matcher);
        match party.and_then(|party| self.card(&party.name)) {
            Some(card) => card,
            None => unreachable!("the check requires exactly one matcher"),
        }
    }

    /// Title of a party for people, or its name.
    pub fn title_of(&self, name: &Name) -> String {
        let party = self.text.party.iter().find(|party| party.name == *name);
        party.map_or_else(|| name.to_string(), |party| titled(&party.title, name))
    }

    /// Match keys in the order of their numbers.
    pub fn match_keys(&self) -> &[MatchKey] {
        &self.keys
    }

    /// Fields.
    pub fn fields(&self) -> &[Field] {
        &self.text.field
    }

    /// A dataset by name.
    pub fn dataset(&self, name: &Name) -> Option<&Dataset> {
        self.text
            .dataset
            .iter()
            .find(|dataset| dataset.name == *name)
    }

    /// A dataset by name, or a refusal that names the nearest one.
    pub fn dataset_or_nearest(&self, name: &str) -> Result<&Dataset, Refusal> {
        let all = || self.text.dataset.iter();
        all()
            .find(|dataset| dataset.name.as_str() == name)
            .ok_or_else(|| {
                let names = all().map(|dataset| dataset.name.as_str());
                let near = strict::nearest_of(name, names);
                let hint = near
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                Refusal::malformed("dataset", format!("the agreement has no `{name}`{hint}"))
            })
    }

    /// The roll: the one dataset that asks.
    pub fn roll(&self) -> &Dataset {
        match self
            .text
            .dataset
            .iter()
            .find(|dataset| dataset.kind == DatasetKind::Roll)
        {
            Some(dataset) => dataset,
            None => unreachable!("the check requires exactly one roll"),
        }
    }

    /// Registers in the order of the agreement.
    pub fn registers(&self) -> impl Iterator<Item = &Dataset> {
        self.text
            .dataset
            .iter()
            .filter(|dataset| dataset.kind == DatasetKind::Register)
    }

    /// Custodians in the order of the agreement: the first has index 1.
    pub fn custodians(&self) -> Vec<&Name> {
        let custodians = self.text.party.iter();
        custodians
            .filter(|party| party.role == Role::Custodian)
            .map(|party| &party.name)
            .collect()
    }

    /// Values that custodians evaluate for a dataset in one epoch at most: as stated; or one per row and match key (as
    /// many as it may have on the roll's side) and a tenth more, and 65,536 for the padding of small requests, but not
    /// more than [`EVALUATIONS_DEFAULT_MAX`], or [`EVALUATIONS_WITH_ERRORS_MAX`] where a key allows for errors.
    pub fn evaluations_max(&self, dataset: &Dataset) -> u64 {
        if dataset.evaluations_max > 0 {
            return dataset.evaluations_max;
        }
        let per_record = self.values_per_record(dataset);
        let values = dataset.rows_max.saturating_mul(per_record);
        let most = if per_record > self.keys.len() as u64 {
            EVALUATIONS_WITH_ERRORS_MAX
        } else {
            EVALUATIONS_DEFAULT_MAX
        };
        (values.saturating_add(values / 10).saturating_add(65_536)).min(most)
    }

    /// Values that one record of a dataset has at most, over all match keys.
    pub fn values_per_record(&self, dataset: &Dataset) -> u64 {
        let side = Side::from(dataset.kind);
        self.keys.iter().map(|key| key.fan_out(side) as u64).sum()
    }

    /// Title of a dataset for people, or its name.
    pub fn title_of_dataset(dataset: &Dataset) -> String {
        titled(&dataset.title, &dataset.name)
    }

    /// The fields by which candidate pairs are compared, in order.
    pub fn compared(&self) -> Vec<&Name> {
        match (&self.text.refine, &self.text.likeness) {
            (Some(refine), Some(likeness)) if refine.by == text::RefineBy::Records => {
                likeness.field.iter().map(|part| &part.field).collect()
            }
            _ => self.text.comparison.iter().map(|c| &c.field).collect(),
        }
    }

    /// The record filters and the key that stands for them, if the agreement has any.
    pub fn likeness(&self) -> Option<(&Likeness, &MatchKey)> {
        self.text.likeness.as_ref().zip(self.likeness.as_ref())
    }

    /// Everything on which a pair can agree: the match keys, and behind them likeness.
    pub fn evidence_keys(&self) -> impl Iterator<Item = &MatchKey> {
        self.keys.iter().chain(self.likeness.as_ref())
    }

    /// Release sets as match-key numbers minus one.
    pub fn releases(&self) -> Vec<Vec<usize>> {
        let index = |name: &Name| self.keys.iter().position(|key| key.name == *name);
        let set = |names: &Vec<Name>| names.iter().filter_map(index).collect();
        self.text
            .release
            .iter()
            .map(|release| set(&release.keys))
            .collect()
    }

    /// Number of a dataset.
    pub fn number(dataset: &Dataset) -> DatasetNumber {
        DatasetNumber(dataset.number)
    }

    /// Signs the agreement: one line for the signature file.
    pub fn sign(&self, identity: &Identity) -> Result<String, Refusal> {
        let card = identity.card();
        if self.card(&card.name) != Some(card) {
            return Err(Refusal::NotInForce(format!(
                "`{}` with these keys is not a party of it",
                card.name
            )));
        }
        let signature = hex(&identity.sign(&self.signed_bytes()));
        Ok(format!(
            "hedui-agreement-signature/1 {} {}\n",
            card.name, signature
        ))
    }

    /// Parties whose signature in `signatures` verifies.
    pub fn signers(&self, signatures: &str) -> Vec<Name> {
        let message = self.signed_bytes();
        let verified = |line: &str| -> Option<Name> {
            let mut words = line.trim_end().split(' ');
            (words.next()? == "hedui-agreement-signature/1").then_some(())?;
            let name = Name::new(words.next()?)?;
            let signature = unhex::<64>(words.next()?)?;
            self.card(&name)?
                .verify(&message, &signature)
                .then_some(name)
        };
        let mut names: Vec<Name> = signatures.lines().filter_map(verified).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether a file has the digest that the agreement names for it.
    pub fn is_gazetteer(&self, bytes: &[u8]) -> bool {
        self.text.gazetteer_sha256 == hex(&sha256(&[bytes]))
    }

    /// Whether a rule file has the digest that the agreement names for it.
    pub fn is_rules(&self, bytes: &[u8]) -> bool {
        self.text.rules_sha256 == hex(&sha256(&[bytes]))
    }

    /// Proves that every party has signed and that `today` (`YYYY-MM-DD`) is a day of validity.
    pub fn in_force(self, signatures: &str, today: &str) -> Result<InForce, Refusal> {
        let signers = self.signers(signatures);
        let missing: Vec<&str> = self
            .cards
            .keys()
            .filter(|name| !signers.contains(name))
            .map(Name::as_str)
            .collect();
        if !missing.is_empty() {
            return Err(Refusal::NotInForce(format!(
                "no valid signature of {}",
                missing.join(", ")
            )));
        }
        if *today < *self.text.valid_from {
            return Err(Refusal::NotInForce(format!(
                "valid from {} only",
                self.text.valid_from
            )));
        }
        if *today > *self.text.valid_until {
            return Err(Refusal::NotInForce(format!(
                "expired on {}",
                self.text.valid_until
            )));
        }
        Ok(InForce(self))
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [Label::AgreementSignature.bytes(), &[0], &self.digest.0].concat()
    }
}

fn titled(title: &str, name: &Name) -> String {
    if title.is_empty() {
        name.to_string()
    } else {
        title.to_owned()
    }
}

/// An agreement that every party has signed and that is valid today.
#[derive(Clone, Debug)]
pub struct InForce(Agreement);

impl std::ops::Deref for InForce {
    type Target = Agreement;

    fn deref(&self) -> &Agreement {
        &self.0
    }
}

#[cfg(test)]
#[path = "agreement_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "limit_tests.rs"]
mod limit_tests;

#[cfg(test)]
#[path = "rule_tests.rs"]
mod rule_tests;

#[cfg(test)]
pub(crate) mod sample;
