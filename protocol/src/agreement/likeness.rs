//! Likeness of whole records: the agreement's part on record filters. In: `[likeness]` as text. Out: [`Likeness`], and
//! the key that stands for "alike enough" among the match keys. Invariant: no identity number is in a record filter, and
//! likeness never decides like an identifier. Specification: protocol/SPEC.md, "Record filters".

use serde::{Deserialize, Serialize};

use super::text::{KeyClass, RefineBy, Text};
use super::{Agreement, MatchKey};
use crate::field::{FieldKind, Form};
use crate::filter::TokenKind;
use crate::filter::block::BlockField;
use crate::filter::harden::Hardener;
use crate::filter::record::RecordField;
use crate::ids::Name;
use crate::limits::{COMPARISONS_MAX, LIKENESS_BITS_MAX, LIKENESS_BITS_MIN, MATCH_KEYS_MAX};
use crate::match_key::{KeyPart, Side};
use crate::refusal::Refusal;

/// How similar two filters are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// 2I / (|a| + |b|) for I common bits.
    #[default]
    Dice,
    /// I / (|a| + |b| − I).
    Jaccard,
    /// |a| + |b| − 2I, as a distance in bits.
    Hamming,
}

/// Who is comparable with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Every record of the roll with every record of one register: the matcher sees how alike any two records are, also
    /// of one file, and can tell persons from that (docs/KNOWN_ATTACKS.md).
    Register,
    /// Records of the roll and of one register that share the value of one match key, under a key made from that value's
    /// token: the matcher sees how alike the few records of a block are, and nothing across blocks.
    Block,
}

/// Record filters; every pair of records in scope is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Likeness {
    /// Name used like that of a match key.
    #[serde(default = "usual_name")]
    pub name: Name,
    /// Weight of likeness: C sends to review; B decides together with a key of another family; D names candidates.
    #[serde(default = "review")]
    pub class: KeyClass,
    /// Who is comparable with whom.
    pub scope: Scope,
    /// With scope `block`: the match key whose value makes the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Name>,
    /// With scope `block`: whether a register's records that have an identifier (a key of class A) are compared too; usually
    /// only those without one are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub every_record: bool,
    /// What is done to the bits before they are sent, in this order; with scope `block` always and only `saul`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub harden: Vec<Hardener>,
    /// Bits of a filter, before it is hardened.
    #[serde(default = "usual_bits")]
    pub bits: u32,
    /// Whether every field has a section of the filter to itself, so that the matcher can weigh the fields one by one
    /// (`[refine] by = "records"`); otherwise the fields share all bits.
    #[serde(default)]
    pub sections: bool,
    /// Measure.
    #[serde(default)]
    pub measure: Measure,
    /// Bound from which two records are alike: a decimal up to 1, for Hamming a number of bits.
    pub threshold: String,
    /// Of the alike records of one of the roll's, only this many, those equally alike with the last included; 0: all.
    #[serde(default)]
    pub best: u32,
    /// Fields.
    pub field: Vec<LikenessField>,
}

/// A field's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LikenessField {
    /// Field.
    pub field: Name,
    /// How its values are cut; the field kind's usual way if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenKind>,
    /// Positions that each token sets.
    #[serde(default = "fifteen")]
    pub positions: u32,
    /// Field with which it is often exchanged, such as the surname with the given name: both are encoded alike, so that the
    /// matcher can compare one record's surname with the other's given name. With sections only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Name>,
}

fn usual_name() -> Name {
    match Name::new("likeness") {
        Some(name) => name,
        None => unreachable!("the word is a name"),
    }
}

fn review() -> KeyClass {
    KeyClass::C
}

fn usual_bits() -> u32 {
    1024
}

fn fifteen() -> u32 {
    15
}

impl Likeness {
    /// The sentence that every tool shows where an agreement compares by likeness.
    pub fn notice(&self) -> &'static str {
        match self.scope {
            Scope::Register => LIKENESS_WARNING,
            Scope::Block => BLOCK_NOTICE,
        }
    }

    /// Bits of a filter as it is sent.
    pub fn sent_bits(&self) -> u32 {
        let hardeners = self.harden.iter();
        hardeners.fold(self.bits, |bits, hardener| hardener.bits(bits))
    }

    /// Bytes of a filter as it is sent.
    pub fn bytes(&self) -> usize {
        self.sent_bits() as usize / 8
    }

    /// The match key that makes the blocks, if records are compared within blocks only.
    pub fn block_key<'a>(&self, agreement: &'a Agreement) -> Option<&'a MatchKey> {
        let name = self.block.as_ref().filter(|_| self.scope == Scope::Block)?;
        agreement.match_keys().iter().find(|key| key.name == *name)
    }

    /// Place of a field among those of the filter.
    pub fn place_of(&self, field: Option<&Name>) -> Option<u32> {
        let at = self
            .field
            .iter()
            .position(|part| Some(&part.field) == field)?;
        u32::try_from(at).ok()
    }

    /// Bits of each field's section: the largest power of two of which every field can have one.
    pub fn section_bits(&self) -> Option<u32> {
        let count = u32::try_from(self.field.len().max(1)).ok()?;
        let share = (self.bits / count).checked_ilog2()?;
        self.sections.then_some(1 << share)
    }

    /// The fields as the encoder of blocks takes them.
    pub fn block_fields(&self, agreement: &Agreement) -> Vec<BlockField> {
        let fields = self.record_fields(agreement).into_iter();
        let one = |field: RecordField| BlockField {
            field: field.field,
            kind: field.kind,
            tokens: field.tokens,
        };
        fields.map(one).collect()
    }

    /// The fields as the encoder takes them.
    pub fn record_fields(&self, agreement: &Agreement) -> Vec<RecordField> {
        let fields = agreement.fields();
        let section = self.section_bits();
        let one = |(number, part): (u32, &LikenessField)| {
            let field = fields.iter().position(|field| field.name == part.field)?;
            let kind = fields[field].kind;
            let (tokens, positions) = (part.tokens.unwrap_or(TokenKind::of(kind)), part.positions);
            Some(RecordField {
                field,
                kind,
                tokens,
                positions,
                key: self
                    .place_of(part.exchange.as_ref())
                    .unwrap_or(number)
                    .min(number),
                section: section.map(|bits| (number * bits, bits)),
            })
        };
        (0..).zip(&self.field).filter_map(one).collect()
    }
}

/// Checks `[likeness]` and returns the key that stands for it, numbered behind the match keys.
pub(super) fn check(text: &Text, keys: &[MatchKey]) -> Result<Option<MatchKey>, Refusal> {
    let Some(likeness) = &text.likeness else {
        return Ok(None);
    };
    let bad = |why: String| Refusal::malformed("agreement", format!("`[likeness]`: {why}"));
    if keys.len() >= MATCH_KEYS_MAX || keys.iter().any(|key| key.name == likeness.name) {
        return Err(bad(format!(
            "it takes the place of a match key: at most {} others, none of its name",
            MATCH_KEYS_MAX - 1
        )));
    }
    if likeness.class == KeyClass::A {
        return Err(bad("likeness never decides alone (class A)".to_owned()));
    }
    if likeness.class == KeyClass::D && text.refine.is_none() {
        return Err(bad(
            "class D names candidates, and there is no `[refine]`".to_owned()
        ));
    }
    let bits = LIKENESS_BITS_MIN..=LIKENESS_BITS_MAX;
    if !likeness.bits.is_power_of_two()
        || !bits.contains(&likeness.bits)
        || !bits.contains(&likeness.sent_bits())
    {
        return Err(bad(format!(
            "`bits` must be a power of two from {LIKENESS_BITS_MIN} to {LIKENESS_BITS_MAX}, hardened too"
        )));
    }
    match likeness.scope {
        Scope::Register => check_register(likeness),
        Scope::Block => check_block(likeness, keys),
    }
    .map_err(bad)?;
    let mut seen = std::collections::BTreeSet::new();
    if likeness.field.len() > COMPARISONS_MAX
        || !likeness.field.iter().all(|f| seen.insert(&f.field))
    {
        return Err(bad(format!(
            "a field stands in it once, and at most {COMPARISONS_MAX} do: one likeness would count twice"
        )));
    }
    if likeness.sections {
        check_sections(text, likeness).map_err(bad)?;
    }
    if !is_bound(likeness) {
        return Err(bad(
            "`threshold` must be a decimal such as \"0.85\", from 0.6 (jaccard: 0.43; hardened: 0.7 and 0.54) to 1, for hamming a number of bits up to 0.4 of those sent: beyond, padding is like somebody by chance"
                .to_owned(),
        ));
    }
    if likeness.field.is_empty() {
        return Err(bad("it has no `[[likeness.field]]`".to_owned()));
    }
    let block = keys
        .iter()
        .find(|key| Some(&key.name) == likeness.block.as_ref());
    for part in &likeness.field {
        let field = text.field.iter().find(|field| field.name == part.field);
        let of_block = |key: &MatchKey| rests_on(text, key, &part.field);
        if block.is_some_and(of_block) {
            return Err(bad(format!(
                "field `{}` is the same in all records of a block and says nothing there",
                part.field
            )));
        }
        let usable = field.is_some_and(|field| field.kind != FieldKind::CnResidentId);
        let room = likeness.section_bits().unwrap_or(likeness.bits);
        let fits = |view: &TokenKind| field.is_some_and(|field| view.fits(field.kind));
        let usable = usable && part.tokens.iter().all(fits);
        if !usable || !(1..=room / 4).contains(&part.positions) {
            return Err(bad(format!(
                "field `{}`: no such field, an identity number, tokens of another kind of field, or `positions` not from 1 to a \
                 quarter of the bits (of its section)",
                part.field
            )));
        }
    }
    let fits = |part: &LikenessField| exchange_fits(text, part, likeness);
    if let Some(part) = likeness.field.iter().find(|part| !fits(part)) {
        return Err(bad(format!(
            "field `{}`: `exchange` must name another field of the same kind, `positions` and tokens, which names this one, and needs \
             `sections`",
            part.field
        )));
    }
    shares_no_evidence(text, keys, likeness).map_err(bad)?;
    Ok(Some(MatchKey {
        name: likeness.name.clone(),
        number: u8::try_from(keys.len() + 1).unwrap_or(u8::MAX),
        parts: Vec::new(),
        class: likeness.class,
        family: likeness.name.to_string(),
    }))
}

/// What a scope of whole registers may say.
fn check_register(likeness: &Likeness) -> Result<(), String> {
    if likeness.block.is_some() || likeness.every_record {
        return Err("`block` and `every_record` are of scope \"block\"".to_owned());
    }
    let mut seen = likeness.harden.clone();
    seen.dedup();
    let twice = seen.len() < likeness.harden.len() || seen.len() > 2;
    if twice || likeness.harden.contains(&Hardener::Saul) {
        return Err(
            "`harden` is \"xor-fold\", \"balance\" or both, each once; \"saul\" is of scope \"block\"".to_owned(),
        );
    }
    if likeness.harden.contains(&Hardener::Balance) && likeness.measure != Measure::Hamming {
        return Err(
            "balanced filters share about as many bits whoever they are of: `measure = \"hamming\"`".to_owned(),
        );
    }
    if likeness.sections && !likeness.harden.is_empty() {
        return Err("sections are compared one by one: `harden` would mix them".to_owned());
    }
    Ok(())
}

/// What a scope of blocks must say.
fn check_block(likeness: &Likeness, keys: &[MatchKey]) -> Result<(), String> {
    if likeness.harden != [Hardener::Saul] || likeness.measure != Measure::Hamming {
        return Err(
            "scope \"block\" has `harden = [\"saul\"]` and `measure = \"hamming\"`, the only ones that stand the attacks on it"
                .to_owned(),
        );
    }
    if likeness.sections {
        return Err("scope \"block\" has no sections".to_owned());
    }
    let key = keys
        .iter()
        .find(|key| Some(&key.name) == likeness.block.as_ref());
    let Some(key) = key else {
        return Err("scope \"block\" needs `block`, the name of a match key".to_owned());
    };
    if key.class == KeyClass::A {
        return Err(format!(
            "match key `{}` decides by itself: a block is of those that no identifier brings together",
            key.name
        ));
    }
    if key.fan_out(Side::Roll) != 1 {
        return Err(format!(
            "match key `{}` allows for errors: a record would be in many blocks",
            key.name
        ));
    }
    let usual = fifteen();
    if likeness.field.iter().any(|field| field.positions != usual) {
        return Err(
            "`positions` are of scope \"register\": in a block every token has one vote".to_owned(),
        );
    }
    Ok(())
}

/// Sections serve one purpose: to be weighed. There padding has values of persons, so nothing may be decided by the
/// likeness of a whole, and candidates must be few.
fn check_sections(text: &Text, likeness: &Likeness) -> Result<(), String> {
    let weighed = text
        .refine
        .as_ref()
        .is_some_and(|refine| refine.by == RefineBy::Records);
    if likeness.class != KeyClass::D || !weighed {
        return Err("`sections` are weighed: class D, and `[refine] by = \"records\"`".to_owned());
    }
    if likeness.field.len() < 2
        || likeness
            .section_bits()
            .is_none_or(|bits| bits < SECTION_LEAST)
    {
        return Err(format!(
            "with `sections` there are two fields at least, each of {SECTION_LEAST} bits at least"
        ));
    }
    if !(1..=SECTIONS_BEST_MOST).contains(&likeness.best) {
        return Err(format!(
            "with `sections`, `best` is 1 to {SECTIONS_BEST_MOST}: candidates of each record of the roll"
        ));
    }
    Ok(())
}

fn exchange_fits(text: &Text, part: &LikenessField, likeness: &Likeness) -> bool {
    let Some(other) = &part.exchange else {
        return true;
    };
    let kind = |name: &Name| text.field.iter().find(|f| f.name == *name).map(|f| f.kind);
    let other = likeness
        .field
        .iter()
        .find(|other_part| other_part.field == *other);
    let alike = |other: &LikenessField| {
        other.field != part.field
            && other.exchange.as_ref() == Some(&part.field)
            && (other.positions, other.tokens, kind(&other.field))
                == (part.positions, part.tokens, kind(&part.field))
    };
    likeness.sections && other.is_some_and(alike)
}

/// Likeness of class B counts as a family of its own: then no other class-B key may rest on one of its fields, unless one
/// family is enough anyway. A name would count twice.
fn shares_no_evidence(text: &Text, keys: &[MatchKey], likeness: &Likeness) -> Result<(), String> {
    if likeness.class != KeyClass::B || text.decision.families_to_match <= 1 {
        return Ok(());
    }
    let inside = |key: &&MatchKey| {
        let names = key.parts.iter().map(|part| &text.field[part.field].name);
        let named = |name: &Name| likeness.field.iter().any(|part| part.field == *name);
        let mut derived = likeness.field.iter();
        names.into_iter().any(named) || derived.any(|part| rests_on(text, key, &part.field))
    };
    match keys
        .iter()
        .filter(|key| key.class == KeyClass::B)
        .find(inside)
    {
        Some(key) => Err(format!(
            "with class B the fields of match key `{}` would count twice; use class C or other fields",
            key.name
        )),
        None => Ok(()),
    }
}

/// Whether a field has nothing that some part of a key does not have: the field itself, or what it is derived from.
fn rests_on(text: &Text, key: &MatchKey, field: &Name) -> bool {
    let Some(at) = text.field.iter().position(|one| one.name == *field) else {
        return false;
    };
    let source = KeyPart::parse(&text.field[at].derive, &text.field).ok();
    key.parts.iter().any(|part| {
        let itself = part.field == at && part.form == Form::Whole;
        let derived = source.as_ref().is_some_and(|source| {
            source.field == part.field && (part.form == Form::Whole || part.form == source.form)
        });
        itself || derived
    })
}

/// The sentence that every tool shows where record filters are compared within blocks.
const BLOCK_NOTICE: &str = "注意: 本协议在分块内比对记录的相似度 (likeness, scope block)，核对中心可见同一分块内记录的相似程度，见 docs/KNOWN_ATTACKS.md。\n\
     Note: this agreement compares records by likeness within blocks. The matcher sees how alike the records of one block are, see docs/KNOWN_ATTACKS.md.";

/// The sentence that every tool shows where record filters are used.
const LIKENESS_WARNING: &str = "注意: 本协议比对整条记录的相似度 (likeness)，核对中心可从记录间的相似关系推断身份，仅用于低风险项目，见 docs/KNOWN_ATTACKS.md。\n\
     Note: this agreement compares whole records by likeness. The matcher can infer persons from which records are alike; use it for low-risk projects only, see docs/KNOWN_ATTACKS.md.";

/// Least Dice and Jaccard (the same bound in the other measure), and largest share of differing bits: beyond, padding,
/// whose bits are invented, is like somebody by chance (at Dice 0.55 in 1,024 bits it was, 40 times in 10 million pairs).
const DICE_LEAST: f64 = 0.6;
const JACCARD_LEAST: f64 = 0.43;
/// Folded filters have more of their bits set: strangers share more of them.
const DICE_LEAST_HARDENED: f64 = 0.7;
const JACCARD_LEAST_HARDENED: f64 = 0.54;
/// With sections padding is made of the values of different persons, and the threshold only names candidates.
const DICE_LEAST_SECTIONS: f64 = 0.35;
const JACCARD_LEAST_SECTIONS: f64 = 0.21;
/// Most candidates of a record of the roll by likeness, with sections.
const SECTIONS_BEST_MOST: u32 = 50;
/// Least bits of a section: whole words.
const SECTION_LEAST: u32 = 64;
const HAMMING_MOST: f64 = 0.4;

fn is_bound(likeness: &Likeness) -> bool {
    let text = &likeness.threshold;
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.len() <= 11;
    match likeness.measure {
        Measure::Hamming => {
            let most = f64::from(likeness.sent_bits()) * HAMMING_MOST;
            plain
                && text
                    .parse::<u32>()
                    .is_ok_and(|bits| f64::from(bits) <= most)
        }
        Measure::Dice | Measure::Jaccard => {
            let dice = likeness.measure == Measure::Dice;
            let candidates = likeness.sections && likeness.class == KeyClass::D;
            let hardened = !likeness.harden.is_empty();
            let least = match (dice, candidates) {
                (true, false) if hardened => DICE_LEAST_HARDENED,
                (false, false) if hardened => JACCARD_LEAST_HARDENED,
                (true, false) => DICE_LEAST,
                (false, false) => JACCARD_LEAST,
                (true, true) => DICE_LEAST_SECTIONS,
                (false, true) => JACCARD_LEAST_SECTIONS,
            };
            plain
                && text
                    .parse::<f64>()
                    .is_ok_and(|t| (least..=1.0).contains(&t))
        }
    }
}

#[cfg(test)]
#[path = "likeness_tests.rs"]
mod tests;
