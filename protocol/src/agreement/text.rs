//! The agreement as text: what may stand in `agreement.toml`. In: TOML. Out: [`Text`], unchecked.
//! Invariant: every key is known, every default is written here once and shown by `agreement show`;
//! the effective text (defaults filled in) is what is hashed and signed.
//! Specification: protocol/SPEC.md, "Agreement".

use serde::{Deserialize, Serialize};

use super::likeness::Likeness;
use crate::field::FieldKind;
use crate::filter::{FilterSpec, TokenKind};
use crate::ids::Name;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Format of the file; 1.
    pub version: u32,
    /// Short name of the agreement.
    pub name: Name,
    /// What the comparison is for, in the parties' words.
    pub purpose: String,
    /// Law or authorisation that it rests on.
    pub legal_basis: String,
    /// First day of validity, `YYYY-MM-DD`.
    pub valid_from: String,
    /// Last day of validity, `YYYY-MM-DD`.
    pub valid_until: String,
    /// Epoch in force; two epochs never share a key.
    #[serde(default = "one")]
    pub epoch: u32,
    /// First lock.
    #[serde(default)]
    pub lock: LockKind,
    /// Settings of the lock `oprf`.
    #[serde(default)]
    pub oprf: Oprf,
    /// A key value of more persons than this in one file becomes a filler.
    #[serde(default = "five")]
    pub multiplicity_cap: u32,
    /// Records of a dataset that may stand alone by how they share key values, in thousandths of all; absent: not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone_permille_max: Option<u32>,
    /// On what ground persons of the roll are compared; absent: `legal_basis` alone says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorisation: Option<Ground>,
    /// Days after which the matcher deletes what it received.
    #[serde(default = "ninety")]
    pub retention_days: u32,
    /// SHA-256 of the gazetteer that `cn-division` uses, or empty.
    #[serde(default)]
    pub gazetteer_sha256: String,
    /// SHA-256 of the rule file that turns matches into clues, or empty.
    #[serde(default)]
    pub rules_sha256: String,
    /// How a candidate pair is decided.
    #[serde(default)]
    pub decision: Decision,
    /// Parties.
    #[serde(default)]
    pub party: Vec<Party>,
    /// Fields that match keys are made of.
    #[serde(default)]
    pub field: Vec<Field>,
    /// Match keys, numbered from 1 in this order.
    #[serde(default)]
    pub match_key: Vec<MatchKey>,
    /// Fields whose likeness is measured in the refinement round, numbered from 0 in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparison: Vec<Comparison>,
    /// The refinement round; absent: pairs are decided by match keys alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refine: Option<Refine>,
    /// Record filters, every pair compared; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeness: Option<Likeness>,
    /// Sets of match keys whose common agreement releases a payload.
    #[serde(default)]
    pub release: Vec<Release>,
    /// Datasets.
    #[serde(default)]
    pub dataset: Vec<Dataset>,
}

/// On what ground a person of the roll is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// A signed authorisation of each person, without which the roll's owner delivers no record of that person.
    EachPerson,
    /// The power to inspect: nobody is asked, and everything says so.
    Inspection,
}

/// First lock: how a match key becomes a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockKind {
    /// Threshold VOPRF (RFC 9497, ristretto255-SHA512) of the custodians: nobody can guess alone.
    #[default]
    Oprf,
    /// Keyed hash under a secret that all departments share. A department that colludes with the
    /// matcher can guess every identity number of a county in seconds.
    Keyed,
}

/// Settings of the lock `oprf`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oprf {
    /// Custodians whose answers are needed.
    #[serde(default = "two")]
    pub threshold: u32,
    /// Custodian that deals the shares; empty: the custodians make the key together and nobody ever has it.
    #[serde(default)]
    pub dealer: String,
}

impl Default for Oprf {
    fn default() -> Self {
        Self {
            threshold: two(),
            dealer: String::new(),
        }
    }
}

/// A party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Name used everywhere.
    pub name: Name,
    /// Name for people.
    #[serde(default)]
    pub title: String,
    /// What the party does.
    pub role: Role,
    /// Ed25519 public key, hexadecimal.
    pub sign: String,
    /// X25519 public key, hexadecimal.
    pub seal: String,
}

/// What a party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Owns datasets.
    Department,
    /// Compares encodings.
    Matcher,
    /// Holds a share of the epoch's key.
    Custodian,
    /// Checks files and logs.
    Reviewer,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Name used in match keys and mappings.
    pub name: Name,
    /// Normaliser.
    pub kind: FieldKind,
    /// `field:form` that fills the field where the register has none (birth date from the ID).
    #[serde(default)]
    pub derive: String,
}

/// A match key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchKey {
    /// Name used in decisions, results and reports.
    pub name: Name,
    /// `field` or `field:form`, all of which must be present.
    pub parts: Vec<String>,
    /// Weight of agreement.
    pub class: KeyClass,
    /// Keys of one family count once, because they share their evidence; a key that agrees on evidence of two
    /// families belongs to both: `near-id+name`. Default: the key's name.
    #[serde(default)]
    pub family: String,
}

/// Weight of agreement on a match key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyClass {
    /// Decides alone.
    A,
    /// Decides together with a key of another family.
    B,
    /// Sends to review only.
    C,
    /// Names a candidate for the refinement round, no more.
    D,
}

/// A field whose likeness is measured under a key of the pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Field.
    pub field: Name,
    /// How its values are cut; the field kind's usual way if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenKind>,
    /// A second view of the same value, in a filter of its own: two values are as alike as the view says that finds them
    /// more alike, such as the shape of a name beside its sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<TokenKind>,
    /// Field with which it is often exchanged, such as the surname with the given name: a further filter holds the
    /// tokens of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Name>,
    /// Bits and positions of its filter.
    #[serde(default = "usual_filter")]
    pub filter: FilterSpec,
}

impl Comparison {
    /// The filter of both fields together: twice the bits and positions.
    pub fn both(&self) -> FilterSpec {
        FilterSpec {
            bits: self.filter.bits * 2,
            positions: self.filter.positions * 2,
        }
    }

    /// Bytes of all filters of the comparison.
    pub fn bytes(&self) -> usize {
        let both = self.exchange.as_ref().map_or(0, |_| self.both().bytes());
        let views = 1 + usize::from(self.also.is_some());
        views * self.filter.bytes() + both
    }
}

/// From what the fields of a candidate pair are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefineBy {
    /// From filters that both sides make for this pair on request, under keys of its own.
    #[default]
    Pairs,
    /// From the sections of the record filters that the matcher has already: no round, and everything that record filters
    /// give away, field by field.
    Records,
}

/// The refinement round: candidate pairs are compared field by field under keys of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refine {
    /// From what the fields of a candidate pair are compared.
    #[serde(default)]
    pub by: RefineBy,
    /// Most pairs, decoys included, that an agent answers per register and epoch.
    #[serde(default = "hundred_thousand")]
    pub pairs_max: u64,
    /// Whether a contradicted identifier may be confirmed by likeness. Not where members of a household share address,
    /// telephone and, by mistake, a number: what is alike then says nothing about the person.
    #[serde(default)]
    pub confirm_conflicts: bool,
    /// Match weight, prior included, from which a pair is a match, in bits: log2 of the odds.
    #[serde(default = "match_bits")]
    pub match_bits: f64,
    /// Match weight from which it goes to review.
    #[serde(default = "review_bits")]
    pub review_bits: f64,
}

/// A release set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Names of match keys; all must agree.
    pub keys: Vec<Name>,
}

/// How a candidate pair is decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Keys that contradict a class-A agreement when both records have some of them and none agrees.
    /// Empty: every class-B key.
    #[serde(default)]
    pub contradicting: Vec<Name>,
    /// Families of class-B keys that decide where class A is absent on either side.
    #[serde(default = "two")]
    pub families_to_match: u32,
    /// The same where both sides have class A and it differs; 0: never a match then.
    #[serde(default)]
    pub families_to_match_against_a: u32,
    /// Whether a pair that agrees on one class-B family only goes to review.
    #[serde(default = "yes")]
    pub review_one_family: bool,
    /// The same where both sides have class A and it differs: finds altered identity numbers, at the
    /// price of reviewing namesakes with the same birth date.
    #[serde(default)]
    pub review_one_family_against_a: bool,
    /// Whether a pair that agrees on class-C keys only goes to review.
    #[serde(default = "yes")]
    pub review_class_c: bool,
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            contradicting: Vec::new(),
            families_to_match: two(),
            families_to_match_against_a: 0,
            review_one_family: true,
            review_one_family_against_a: false,
            review_class_c: true,
        }
    }
}

/// A dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Name used everywhere.
    pub name: Name,
    /// Number within the agreement, from 1; enters tags.
    pub number: u16,
    /// Name for people.
    #[serde(default)]
    pub title: String,
    /// Party that holds it.
    pub owner: Name,
    /// Whether it asks or answers.
    pub kind: DatasetKind,
    /// Most rows that may be submitted.
    pub rows_max: u64,
    /// Most values that custodians evaluate for it in one epoch; 0: 1.1 per row and match key, and 65,536.
    #[serde(default)]
    pub evaluations_max: u64,
    /// Most records of the register that one person of the roll may match before all go to review;
    /// 0: no bound.
    #[serde(default)]
    pub matches_max: u32,
    /// Whether each person of the roll is in the register once at most, and each of its records is one person: of rival
    /// pairs the best are then chosen together, and what is left is weighed among itself.
    #[serde(default)]
    pub one_to_one: bool,
    /// Of the roll: whether one person may stand in it more than once. Then several of its records may be one record of a
    /// register without being rivals.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeats: bool,
    /// Of a register: whether the matcher tells its owner which of the owner's own records were found on the roll, so that
    /// the others can be looked into (应保未保). The owner then knows who is on the roll among its own persons.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_result: bool,
    /// Of a register: what its owner may be asked to lay open about single records; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosure: Option<Disclosure>,
    /// Coded facts that travel as payload.
    #[serde(default)]
    pub fact: Vec<Fact>,
}

/// What a register's owner may lay open about a record that the roll's owner asks about, each time by its own decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// Most records that are laid open in one epoch.
    #[serde(default = "two_hundred")]
    pub records_max: u32,
    /// Fields that go with the facts, such as the name; identity numbers never do.
    #[serde(default)]
    pub fields: Vec<Name>,
}

/// Whether a dataset asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetKind {
    /// The persons that are asked about.
    Roll,
    /// A department's register.
    Register,
}

/// A fact of a register's rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Name used in mappings and rules.
    pub name: Name,
    /// Type.
    pub kind: FactKind,
    /// Admitted words of a `code`.
    #[serde(default)]
    pub codes: Vec<String>,
}

/// Type of a fact. There is no free text: names and remarks cannot travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FactKind {
    /// One of the words listed in `codes`.
    Code,
    /// Date as `YYYYMMDD`.
    Date,
    /// Whole number.
    Integer,
    /// Short register-internal identifier (`[A-Za-z0-9-]`, at most 32), such as a case number.
    Reference,
}

fn usual_filter() -> FilterSpec {
    FilterSpec {
        bits: 512,
        positions: 128,
    }
}

fn hundred_thousand() -> u64 {
    100_000
}

fn two_hundred() -> u32 {
    200
}

/// Odds of 20 to 1.
fn match_bits() -> f64 {
    4.3
}

/// Odds of 1 to 8.
fn review_bits() -> f64 {
    -3.0
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

fn five() -> u32 {
    5
}

fn ninety() -> u32 {
    90
}

fn yes() -> bool {
    true
}
