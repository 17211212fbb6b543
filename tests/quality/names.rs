//! Han names at pair scope: how many wrongly written names are told from siblings' names. In: the county's population and
//! its slips. Out: recall at 5 % sibling false positives, per kind of slip. Invariant under test: the filters are those of
//! a refinement round under fresh keys, and what is compared are their distances, as the matcher sees them; the slips'
//! tables come from elsewhere than the encoder's (NOTICE). Bar: recall at least 0.80; padded bigrams reach 0.15 of it.

use std::collections::BTreeMap;

use hedui_protocol::field::{FieldKind, Gazetteer};
use hedui_protocol::filter::encode::PairKey;
use hedui_protocol::filter::{FilterSpec, TokenKind};
use hedui_protocol::secret::Secret;
use hedui_tests::county::dice::Dice;
use hedui_tests::county::errors::{Class, distort};
use hedui_tests::county::people::People;
use hedui_tests::county::{Scale, generate};

/// Slips that leave a name of the same person: of the others the name says nothing (又名, the head's name).
const SLIPS: [&str; 4] = ["homophone", "look-alike", "variant", "dropped character"];
const SPEC: FilterSpec = FilterSpec {
    bits: 1024,
    positions: 256,
};

/// Similarity of two names in the better of two views, each pair under a key of its own.
struct Pairs {
    views: Vec<TokenKind>,
    next: u64,
}

impl Pairs {
    fn similarity(&mut self, one: &str, other: &str) -> f64 {
        self.next += 1;
        let mut key = [9; 32];
        key[..8].copy_from_slice(&self.next.to_le_bytes());
        let key = PairKey::new(Secret::new(key));
        let places = Gazetteer::default();
        let of = |view: &TokenKind| {
            let filter = |name: &str| {
                let cell = FieldKind::CnName.normalise(name, &places);
                let tokens = view.tokens(FieldKind::CnName, &cell);
                let mut out = vec![0; SPEC.bytes()];
                key.encode(0, &SPEC, &tokens, &mut out);
                out
            };
            let bits = filter(one).into_iter().zip(filter(other));
            SPEC.similarity(bits.map(|(a, b)| (a ^ b).count_ones()).sum())
        };
        self.views.iter().map(of).fold(0.0, f64::max)
    }
}

/// Recall per kind of slip, and over all, where 5 % of the siblings pass.
fn recall(
    views: &[TokenKind],
    slips: &[(&'static str, String, String)],
    siblings: &[(String, String)],
) -> (f64, BTreeMap<&'static str, f64>) {
    let mut pairs = Pairs {
        views: views.to_vec(),
        next: 0,
    };
    let mut passing: Vec<f64> = siblings
        .iter()
        .map(|(a, b)| pairs.similarity(a, b))
        .collect();
    passing.sort_by(|a, b| b.total_cmp(a));
    let bound = passing[passing.len() / 20];
    let mut counts: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (kind, before, after) in slips {
        let count = counts.entry(kind).or_default();
        count.1 += 1.0;
        count.0 += f64::from(u8::from(pairs.similarity(before, after) > bound));
    }
    let all = counts
        .values()
        .fold((0.0, 0.0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    let each = counts
        .into_iter()
        .map(|(kind, (found, of))| (kind, found / of));
    (all.0 / all.1, each.collect())
}

/// Siblings who share their surname and their generation's character: the names that are hardest to tell apart.
fn siblings(people: &People) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for members in &people.households {
        for (at, one) in members.iter().enumerate() {
            for other in &members[at + 1..] {
                let (one, other) = (&people.all[*one].name, &people.all[*other].name);
                let alike = one.chars().zip(other.chars()).take(2).all(|(a, b)| a == b);
                if alike && one != other && one.chars().count() == 3 && other.chars().count() == 3 {
                    out.push((one.clone(), other.clone()));
                }
            }
        }
    }
    out
}

#[test]
fn wrongly_written_names_are_told_from_siblings() {
    let county = generate(Scale::County, 7);
    let people = &county.people;
    let mut dice = Dice::new(77);
    let mut slips = Vec::new();
    // The slips of village lists, at the rates that they have there to each other.
    for at in 0..people.all.len() {
        let (_, changes) = distort(people, at, Class::C, 1.0, &mut dice);
        let names = changes.into_iter().filter(|change| change.field == "name");
        for change in names {
            if let Some(kind) = SLIPS.iter().find(|kind| **kind == change.kind) {
                slips.push((*kind, change.before, change.after));
            }
        }
    }
    let siblings = siblings(people);
    println!(
        "{} slips, {} pairs of siblings",
        slips.len(),
        siblings.len()
    );
    assert!(slips.len() > 2000 && siblings.len() > 2000);
    let mut figures = BTreeMap::new();
    for (name, views) in [
        ("sound and shape", &[TokenKind::Sound, TokenKind::Shape][..]),
        ("sound", &[TokenKind::Sound]),
        ("shape", &[TokenKind::Shape]),
        ("characters and syllables", &[TokenKind::Han]),
        ("padded bigrams", &[TokenKind::Bigrams]),
    ] {
        let (all, each) = recall(views, &slips, &siblings);
        println!("{name}: {all:.3} {each:.3?}");
        figures.insert(name, all);
    }
    assert!(figures["sound and shape"] >= 0.80, "{figures:?}");
    assert!(figures["sound and shape"] > figures["characters and syllables"] + 0.05);
}
