//! What an agreement must satisfy beyond its syntax. In: [`Text`]. Out: cards and resolved match keys.
//! Invariant: an agreement that passes can be run; every refusal names the entry and the rule.
//! Nothing is repaired here: a wrong agreement is refused, not interpreted.
//! Specification: protocol/SPEC.md, "Agreement".

use std::collections::{BTreeMap, BTreeSet};

use super::MatchKey;
use super::strict::nearest_of;
use super::text::{
    Dataset, DatasetKind, FactKind, Field, KeyClass, LockKind, RefineBy, Role, Text,
};
use crate::field::{FieldKind, date};
use crate::identity::PartyCard;
use crate::ids::Name;
use crate::limits::{
    COMPARISONS_MAX, CUSTODIANS_MAX, DATASETS_MAX, DISCLOSED_MAX, FAN_OUT_MAX, FIELDS_MAX,
    MATCH_KEYS_MAX, MULTIPLICITY_CAP_MAX, PAD_PAIRS, PAIRS_SHARE, PARTIES_MAX, RELEASES_MAX,
    ROWS_MAX,
};
use crate::match_key::{KeyPart, Side};
use crate::primitive::unhex;
use crate::refusal::Refusal;

type Checked = (BTreeMap<Name, PartyCard>, Vec<MatchKey>);

pub(super) fn check(text: &Text) -> Result<Checked, Refusal> {
    if text.version != 1 {
        return Err(bad(format!(
            "version {} is not known; this program reads 1",
            text.version
        )));
    }
    check_dates(text)?;
    check_counts(text)?;
    for (what, digest) in [
        ("gazetteer_sha256", &text.gazetteer_sha256),
        ("rules_sha256", &text.rules_sha256),
    ] {
        if !digest.is_empty() && unhex::<32>(digest).is_none() {
            return Err(bad(format!(
                "`{what}` is not a SHA-256 in lower-case hexadecimal"
            )));
        }
    }
    let cards = check_parties(text)?;
    check_fields(text)?;
    let keys = check_match_keys(text)?;
    check_releases(text, &keys)?;
    check_refine(text)?;
    check_datasets(text, &keys, &cards)?;
    check_lock(text)?;
    Ok((cards, keys))
}

fn bad(why: String) -> Refusal {
    Refusal::malformed("agreement", why)
}

fn check_dates(text: &Text) -> Result<(), Refusal> {
    for (what, day) in [
        ("valid_from", &text.valid_from),
        ("valid_until", &text.valid_until),
    ] {
        let shape = day.len() == 10 && day.split('-').map(str::len).eq([4, 2, 2]);
        if !shape || date::parse(day.replace('-', "").as_bytes()).is_none() {
            return Err(bad(format!(
                "`{what}` is not a date of the form YYYY-MM-DD"
            )));
        }
    }
    if text.valid_from > text.valid_until {
        return Err(bad("`valid_until` is before `valid_from`".to_owned()));
    }
    for (what, words) in [
        ("purpose", &text.purpose),
        ("legal_basis", &text.legal_basis),
    ] {
        if words.trim().is_empty() {
            return Err(bad(format!(
                "`{what}` is empty; no comparison without a stated basis"
            )));
        }
    }
    Ok(())
}

fn check_counts(text: &Text) -> Result<(), Refusal> {
    let counts = [
        ("party", text.party.len(), PARTIES_MAX),
        ("field", text.field.len(), FIELDS_MAX),
        ("match_key", text.match_key.len(), MATCH_KEYS_MAX),
        ("release", text.release.len(), RELEASES_MAX),
        ("comparison", text.comparison.len(), COMPARISONS_MAX),
        ("dataset", text.dataset.len(), DATASETS_MAX),
    ];
    for (what, found, allowed) in counts {
        if found > allowed {
            let (found, allowed) = (found as u64, allowed as u64);
            return Err(Refusal::Oversize {
                what,
                found,
                allowed,
            });
        }
    }
    if text.epoch == 0 {
        return Err(bad("`epoch` counts from 1".to_owned()));
    }
    if !(1..=MULTIPLICITY_CAP_MAX).contains(&text.multiplicity_cap) {
        return Err(bad(format!(
            "`multiplicity_cap` must be 1 to {MULTIPLICITY_CAP_MAX}"
        )));
    }
    if text.alone_permille_max.is_some_and(|max| max > 1000) {
        return Err(bad("`alone_permille_max` is at most 1000".to_owned()));
    }
    if text.decision.families_to_match == 0 {
        return Err(bad("`families_to_match` must be at least 1".to_owned()));
    }
    Ok(())
}

fn check_parties(text: &Text) -> Result<BTreeMap<Name, PartyCard>, Refusal> {
    let mut cards = BTreeMap::new();
    for party in &text.party {
        let card = unhex(&party.sign)
            .zip(unhex(&party.seal))
            .map(|(sign, seal)| PartyCard {
                name: party.name.clone(),
                sign,
                seal,
            })
            .filter(PartyCard::is_usable)
            .ok_or_else(|| bad(format!("the keys of party `{}` are not usable", party.name)))?;
        if cards.insert(party.name.clone(), card).is_some() {
            return Err(bad(format!("party `{}` is named twice", party.name)));
        }
    }
    if text
        .party
        .iter()
        .filter(|party| party.role == Role::Matcher)
        .count()
        != 1
    {
        return Err(bad(
            "exactly one party must have the role `matcher`".to_owned()
        ));
    }
    Ok(cards)
}

fn check_lock(text: &Text) -> Result<(), Refusal> {
    if text.lock == LockKind::Keyed {
        return Ok(());
    }
    let custodians: Vec<&Name> = text
        .party
        .iter()
        .filter(|party| party.role == Role::Custodian)
        .map(|party| &party.name)
        .collect();
    let needed = text.oprf.threshold as usize;
    if needed < 2 || custodians.len() < needed || custodians.len() > CUSTODIANS_MAX {
        return Err(bad(format!(
            "the lock `oprf` needs {needed} of 2 to {CUSTODIANS_MAX} parties with the role `custodian` \
             (at least 2), there are {}; for a trial without custodians write lock = \"keyed\"",
            custodians.len()
        )));
    }
    let dealer = &text.oprf.dealer;
    if !dealer.is_empty() && !custodians.iter().any(|name| name.as_str() == dealer) {
        return Err(bad(format!("`oprf.dealer` names no custodian `{dealer}`")));
    }
    Ok(())
}

fn check_fields(text: &Text) -> Result<(), Refusal> {
    let mut names = BTreeSet::new();
    for field in &text.field {
        if !names.insert(&field.name) {
            return Err(bad(format!("field `{}` is named twice", field.name)));
        }
        if !field.derive.is_empty() {
            let part = KeyPart::parse(&field.derive, &text.field).map_err(bad)?;
            let source = text
                .field
                .get(part.field)
                .is_some_and(|f| f.derive.is_empty());
            if !source {
                return Err(bad(format!(
                    "field `{}` derives from a derived field",
                    field.name
                )));
            }
        }
    }
    Ok(())
}

fn check_match_keys(text: &Text) -> Result<Vec<MatchKey>, Refusal> {
    let mut keys: Vec<MatchKey> = Vec::new();
    for (index, key) in text.match_key.iter().enumerate() {
        if keys.iter().any(|other| other.name == key.name) {
            return Err(bad(format!("match key `{}` is named twice", key.name)));
        }
        if key.parts.is_empty() {
            return Err(bad(format!("match key `{}` has no parts", key.name)));
        }
        let mut parts = Vec::new();
        for part in &key.parts {
            let part = KeyPart::parse(part, &text.field)
                .map_err(|why| bad(format!("match key `{}`: {why}", key.name)))?;
            parts.push(part);
        }
        let key = MatchKey {
            name: key.name.clone(),
            number: u8::try_from(index + 1).unwrap_or(u8::MAX),
            parts,
            class: key.class,
            family: key.family.clone(),
        };
        check_fan_out(&key)?;
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(bad("there is no `match_key`".to_owned()));
    }
    known_keys(text, &text.decision.contradicting, "decision.contradicting")?;
    Ok(keys)
}

/// A key that allows for errors is a guess at what was meant: it never decides alone.
fn check_fan_out(key: &MatchKey) -> Result<(), Refusal> {
    let fan_out = key.fan_out(Side::Roll);
    if fan_out > FAN_OUT_MAX {
        return Err(bad(format!(
            "match key `{}` would have {fan_out} values per person, more than {FAN_OUT_MAX}",
            key.name
        )));
    }
    if fan_out > 1 && (key.class == KeyClass::A || key.parts.len() < 2) {
        return Err(bad(format!(
            "match key `{}` allows for errors: it needs a second part, such as the name, and class B or C",
            key.name
        )));
    }
    Ok(())
}

fn known_keys(text: &Text, names: &[Name], place: &str) -> Result<(), Refusal> {
    for name in names {
        if !text.match_key.iter().any(|key| key.name == *name) {
            let all = text.match_key.iter().map(|key| key.name.as_str());
            let near = nearest_of(name.as_str(), all);
            let hint = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(bad(format!("`{place}` names no match key `{name}`{hint}")));
        }
    }
    Ok(())
}

fn check_releases(text: &Text, keys: &[MatchKey]) -> Result<(), Refusal> {
    for release in &text.release {
        known_keys(text, &release.keys, "release.keys")?;
        let distinct: BTreeSet<&Name> = release.keys.iter().collect();
        if distinct.is_empty() || distinct.len() != release.keys.len() {
            return Err(bad("a `release` must name distinct match keys".to_owned()));
        }
        let class = |name: &&Name| {
            text.match_key
                .iter()
                .find(|key| key.name == **name)
                .map(|key| key.class)
        };
        let a = distinct.iter().any(|name| class(name) == Some(KeyClass::A));
        let families: BTreeSet<&str> = keys
            .iter()
            .filter(|key| distinct.contains(&key.name))
            .flat_map(MatchKey::families)
            .collect();
        let weak = distinct
            .iter()
            .any(|name| matches!(class(name), Some(KeyClass::C | KeyClass::D)));
        if weak || (!a && families.len() < 2) {
            return Err(bad(
                "a payload is released by a class-A key or by class-B keys of two or more families, never less"
                    .to_owned(),
            ));
        }
    }
    Ok(())
}

/// Least bound of pairs of an epoch: requests are padded, and one may ask about a part only.
const PAIRS_LEAST: u64 = PAD_PAIRS * PAIRS_SHARE;

fn check_refine(text: &Text) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for comparison in &text.comparison {
        let name = &comparison.field;
        if !text.field.iter().any(|field| field.name == *name) || !seen.insert(name) {
            return Err(bad(format!(
                "comparison `{name}`: no such field, or named twice"
            )));
        }
        // Filters have one lock (decision 0009): what can be enumerated behind it must not be in them.
        let is_id = |field: &Field| field.name == *name && field.kind == FieldKind::CnResidentId;
        if text.field.iter().any(is_id) {
            return Err(bad(format!(
                "comparison `{name}`: identity numbers are compared by match keys only"
            )));
        }
        if let Some(other) = &comparison.exchange
            && (other == name || !text.comparison.iter().any(|c| c.field == *other))
        {
            return Err(bad(format!(
                "comparison `{name}`: `exchange` must name the field of another comparison"
            )));
        }
        let kind = text.field.iter().find(|f| f.name == *name).map(|f| f.kind);
        let views = [comparison.tokens, comparison.also];
        let mut views = views.iter().flatten();
        if views.any(|view| kind.is_some_and(|kind| !view.fits(kind))) {
            return Err(bad(format!(
                "comparison `{name}`: `han`, `sound` and `shape` are of names in Han characters (`cn-name`) only"
            )));
        }
        if comparison.also.is_some() && comparison.also == comparison.tokens {
            return Err(bad(format!(
                "comparison `{name}`: `also` is the view that it has already"
            )));
        }
        if !comparison.filter.is_usable() || comparison.filter.bits > 2048 {
            return Err(bad(format!(
                "comparison `{name}`: `bits` must be a power of two from 64 to 2048, `positions` 8 to half of them"
            )));
        }
    }
    let Some(refine) = &text.refine else {
        let block = text.likeness.as_ref().and_then(|l| l.block.as_ref());
        let mut keys = text.match_key.iter();
        let unused = keys.find(|key| key.class == KeyClass::D && Some(&key.name) != block);
        return match unused {
            Some(key) => Err(bad(format!(
                "match key `{}` only names candidates (class D), and there is no `[refine]`",
                key.name
            ))),
            None => Ok(()),
        };
    };
    if refine.by == RefineBy::Records {
        let sections = text
            .likeness
            .as_ref()
            .is_some_and(|likeness| likeness.sections);
        if !sections || !text.comparison.is_empty() || refine.confirm_conflicts {
            return Err(bad(
                "`[refine] by = \"records\"` weighs the fields of `[likeness]`, which needs `sections = true`; no \
                 `[[comparison]]` and no `confirm_conflicts` beside it"
                    .to_owned(),
            ));
        }
    } else if text.comparison.is_empty() {
        return Err(bad("`[refine]` without any `[[comparison]]`".to_owned()));
    }
    let (upper, lower) = (refine.match_bits, refine.review_bits);
    let usable = upper.is_finite() && lower.is_finite() && lower <= upper && upper.abs() <= 100.0;
    if !usable || lower < -100.0 || refine.pairs_max < PAIRS_LEAST {
        return Err(bad(
            "`[refine]`: `review_bits` <= `match_bits`, both within 100 bits; `pairs_max` at least 2048".to_owned(),
        ));
    }
    Ok(())
}

fn check_datasets(
    text: &Text,
    keys: &[MatchKey],
    cards: &BTreeMap<Name, PartyCard>,
) -> Result<(), Refusal> {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for dataset in &text.dataset {
        let name = &dataset.name;
        if !names.insert(name) || !numbers.insert(dataset.number) || dataset.number == 0 {
            return Err(bad(format!(
                "dataset `{name}`: name or number is 0 or used twice"
            )));
        }
        let owner = text.party.iter().find(|party| party.name == dataset.owner);
        if !cards.contains_key(&dataset.owner)
            || owner.is_some_and(|party| party.role != Role::Department)
        {
            return Err(bad(format!(
                "dataset `{name}`: owner `{}` is no department",
                dataset.owner
            )));
        }
        if !(1..=ROWS_MAX).contains(&dataset.rows_max) {
            return Err(bad(format!(
                "dataset `{name}`: `rows_max` must be 1 to {ROWS_MAX}"
            )));
        }
        if dataset.repeats && dataset.kind != DatasetKind::Roll {
            return Err(bad(format!(
                "dataset `{name}`: `repeats` is of the roll; a register may hold a person more than once anyway"
            )));
        }
        check_disclosure(text, keys, dataset)?;
        let mut facts = BTreeSet::new();
        for fact in &dataset.fact {
            let coded = fact.kind == FactKind::Code;
            if !facts.insert(&fact.name) || coded == fact.codes.is_empty() {
                return Err(bad(format!(
                    "dataset `{name}`: fact `{}` is named twice, or `codes` do not fit its kind",
                    fact.name
                )));
            }
        }
    }
    if text
        .dataset
        .iter()
        .filter(|dataset| dataset.kind == DatasetKind::Roll)
        .count()
        != 1
    {
        return Err(bad("exactly one dataset must be the `roll`".to_owned()));
    }
    let repeats = text.dataset.iter().any(|dataset| dataset.repeats);
    if repeats && text.dataset.iter().any(|dataset| dataset.one_to_one) {
        return Err(bad(
            "a register cannot be `one_to_one` with a roll that `repeats` persons".to_owned(),
        ));
    }
    Ok(())
}

/// What the owner of a register is told or may lay open is of that register, within bounds, and no identity number.
fn check_disclosure(text: &Text, keys: &[MatchKey], dataset: &Dataset) -> Result<(), Refusal> {
    let name = &dataset.name;
    let is_roll = dataset.kind == DatasetKind::Roll;
    if is_roll && (dataset.own_result || dataset.disclosure.is_some()) {
        return Err(bad(format!(
            "dataset `{name}`: `own_result` and `disclosure` are of registers"
        )));
    }
    let Some(terms) = &dataset.disclosure else {
        return Ok(());
    };
    if !(1..=DISCLOSED_MAX).contains(&terms.records_max) {
        return Err(bad(format!(
            "dataset `{name}`: `disclosure.records_max` must be 1 to {DISCLOSED_MAX}"
        )));
    }
    let mut seen = BTreeSet::new();
    for named in &terms.fields {
        let field = text.field.iter().find(|field| field.name == *named);
        // What decides by itself who somebody is, of whatever kind, is an identity number.
        let decides = |key: &MatchKey| {
            let is_whole = |part: &KeyPart| {
                text.field
                    .get(part.field)
                    .is_some_and(|field| field.name == *named)
            };
            key.class == KeyClass::A && key.parts.len() == 1 && key.parts.iter().all(is_whole)
        };
        let is_number = field.is_some_and(|field| field.kind == FieldKind::CnResidentId);
        let is_fit = field.is_some() && !is_number && !keys.iter().any(decides);
        if !is_fit || !seen.insert(named) {
            return Err(bad(format!(
                "dataset `{name}`: `disclosure.fields` names `{named}`, which is no field, stands there twice, or is an \
                 identity number, which is compared by match keys only"
            )));
        }
    }
    Ok(())
}
