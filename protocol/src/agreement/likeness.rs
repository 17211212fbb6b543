//! Likeness of whole records: the agreement's part on record filters. In: `[likeness]` as text. Out: [`Likeness`], and
//! the key that stands for "alike enough" among the match keys. Invariant: no identity number is in a record filter, and
//! likeness never decides like an identifier. Specification: protocol/SPEC.md, "Record filters".

use serde::{Deserialize, Serialize};

use super::text::{KeyClass, RefineBy, Text};
use super::{Agreement, MatchKey};
use crate::field::FieldKind;
use crate::filter::TokenKind;
use crate::filter::record::RecordField;
use crate::ids::Name;
use crate::limits::{COMPARISONS_MAX, LIKENESS_BITS_MAX, LIKENESS_BITS_MIN, MATCH_KEYS_MAX};
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
    /// Bits of a filter.
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
    /// Bytes of a filter.
    pub fn bytes(&self) -> usize {
        self.bits as usize / 8
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
    if !likeness.bits.is_power_of_two() || !bits.contains(&likeness.bits) {
        return Err(bad(format!(
            "`bits` must be a power of two from {LIKENESS_BITS_MIN} to {LIKENESS_BITS_MAX}"
        )));
    }
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
            "`threshold` must be a decimal such as \"0.85\", from 0.6 (jaccard: 0.43) to 1, for hamming a number of bits up to 0.4 of `bits`: beyond, padding is like somebody by chance"
                .to_owned(),
        ));
    }
    if likeness.field.is_empty() {
        return Err(bad("it has no `[[likeness.field]]`".to_owned()));
    }
    for part in &likeness.field {
        let field = text.field.iter().find(|field| field.name == part.field);
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
        names
            .into_iter()
            .any(|name| likeness.field.iter().any(|part| part.field == *name))
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

/// The sentence that every tool shows where record filters are used.
pub const LIKENESS_WARNING: &str = "注意: 本协议比对整条记录的相似度 (likeness)，核对中心可从记录间的相似关系推断身份，仅用于低风险项目，见 docs/KNOWN_ATTACKS.md。\n\
     Note: this agreement compares whole records by likeness. The matcher can infer persons from which records are alike; use it for low-risk projects only, see docs/KNOWN_ATTACKS.md.";

/// Least Dice and Jaccard (the same bound in the other measure), and largest share of differing bits: beyond, padding,
/// whose bits are invented, is like somebody by chance (at Dice 0.55 in 1,024 bits it was, 40 times in 10 million pairs).
const DICE_LEAST: f64 = 0.6;
const JACCARD_LEAST: f64 = 0.43;
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
            let most = f64::from(likeness.bits) * HAMMING_MOST;
            text.parse::<u32>()
                .is_ok_and(|bits| f64::from(bits) <= most)
        }
        Measure::Dice | Measure::Jaccard => {
            let dice = likeness.measure == Measure::Dice;
            let candidates = likeness.sections && likeness.class == KeyClass::D;
            let least = match (dice, candidates) {
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
mod tests {
    use super::*;

    fn agreement(likeness: &str, class: &str) -> Result<Agreement, Refusal> {
        let mut toml = "version = 1\nname = 'x'\npurpose = 'x'\nlegal_basis = 'x'\nvalid_from = '2016-01-01'\n\
             valid_until = '2016-12-31'\nlock = 'keyed'\n"
            .to_owned();
        for (seed, name, role) in [(1, "office", "department"), (2, "centre", "matcher")] {
            let name = Name::new(name).unwrap();
            let seed = crate::secret::Secret::new([seed; 64]);
            let identity = crate::identity::Identity::from_seed(name.clone(), &seed);
            let hex = crate::primitive::hex;
            let card = identity.card();
            let (sign, seal) = (hex(&card.sign), hex(&card.seal));
            toml += &format!(
                "[[party]]\nname = '{name}'\nrole = '{role}'\nsign = '{sign}'\nseal = '{seal}'\n"
            );
        }
        toml += "[[field]]\nname = 'id'\nkind = 'cn-resident-id'\n[[field]]\nname = 'name'\nkind = 'cn-name'\n\
             [[field]]\nname = 'phone'\nkind = 'phone'\n\
             [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n";
        toml += &format!("[[match_key]]\nname = 'key'\nparts = ['name']\nclass = '{class}'\n");
        toml += "[[release]]\nkeys = ['id']\n\
             [[dataset]]\nname = 'roll'\nnumber = 1\nowner = 'office'\nkind = 'roll'\nrows_max = 500\n";
        toml += &format!("[likeness]\nscope = 'register'\n{likeness}");
        Agreement::parse(&toml)
    }

    const FIELD: &str = "[[likeness.field]]\nfield = 'name'\n";

    #[test]
    fn what_cannot_be_used_is_refused() {
        let good = format!("threshold = '0.85'\n{FIELD}");
        let made = agreement(&good, "B").unwrap();
        let (_, key) = made.likeness().unwrap();
        assert!(key.number == 3 && key.class == KeyClass::C);
        assert_eq!(made.evidence_keys().count(), 3);
        for bad in [
            format!("threshold = '0.85'\nbits = 256\n{FIELD}"),
            format!("threshold = '1.1'\n{FIELD}"),
            format!("threshold = '0'\n{FIELD}"),
            format!("threshold = '0.59'\n{FIELD}"),
            format!("threshold = '0.42'\nmeasure = 'jaccard'\n{FIELD}"),
            format!("threshold = '410'\nmeasure = 'hamming'\n{FIELD}"),
            format!("threshold = '5e-1'\n{FIELD}"),
            format!("threshold = '2000'\nmeasure = 'hamming'\n{FIELD}"),
            format!("threshold = '0.5'\nsections = true\n{FIELD}"),
            format!("threshold = '0.85'\n{FIELD}{FIELD}"),
            format!(
                "threshold = '0.85'\nsections = true\nbest = 10\n{FIELD}[[likeness.field]]\nfield = 'phone'\n"
            ),
            format!("threshold = '0.85'\n{FIELD}exchange = 'phone'\n"),
            format!(
                "threshold = '0.85'\nsections = true\n{FIELD}tokens = 'sound'\npositions = 257\n"
            ),
            "threshold = '0.85'\n[[likeness.field]]\nfield = 'phone'\ntokens = 'shape'\n"
                .to_owned(),
            format!("threshold = '0.85'\nclass = 'A'\n{FIELD}"),
            format!("threshold = '0.85'\nclass = 'D'\n{FIELD}"),
            format!("threshold = '0.85'\nname = 'key'\n{FIELD}"),
            "threshold = '0.85'\n[[likeness.field]]\nfield = 'id'\n".to_owned(),
            "threshold = '0.85'\n[[likeness.field]]\nfield = 'nmae'\n".to_owned(),
            "threshold = '0.85'\nfield = []\n".to_owned(),
        ] {
            assert!(agreement(&bad, "B").is_err(), "{bad}");
        }
    }

    /// A name in a class-B key and in the filter is one piece of evidence, not two.
    #[test]
    fn evidence_does_not_count_twice() {
        let b = format!("threshold = '0.85'\nclass = 'B'\n{FIELD}");
        assert!(agreement(&b, "B").is_err());
        assert!(agreement(&b, "C").is_ok());
        let phone = b.replace("'name'", "'phone'");
        assert!(agreement(&phone, "B").is_ok());
    }
}
