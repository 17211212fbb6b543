//! Attacks that the locks are for. In: a roll's tags as the matcher holds them, and what an attacker has. Out:
//! how many persons it finds. Invariant under test: SECURITY.md: with the keyed lock a department that colludes
//! with the matcher finds everybody; with the OPRF lock and one of the two locks leaked it finds nobody beyond
//! the evaluations that custodians counted. Each attack has a positive control.

use std::collections::{BTreeMap, BTreeSet};

use curve25519_dalek::scalar::Scalar;
use hedui_keys::custodian::ledger::{Event, Ledger};
use hedui_keys::lock::{Keyed, Lock};
use hedui_keys::oprf::client::{BlindKey, BlindedChunk, EpochKey};
use hedui_keys::oprf::evaluate::Share;
use hedui_keys::oprf::rfc;
use hedui_keys::oprf::suite::Mode;
use hedui_keys::oprf::threshold::Threshold;
use hedui_keys::vault::Vault;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::field::{Normal, Quality};
use hedui_protocol::ids::{AgreementDigest, DatasetNumber, Epoch, Tag};
use hedui_protocol::limits::NUMBERS_PER_AREA;
use hedui_protocol::lock::{TagContext, Token};
use hedui_protocol::match_key::{KeyInput, Person, Side};
use hedui_protocol::primitive::hex;
use hedui_protocol::secret::Secret;
use hedui_tests::bench::oprf::scalar;
use hedui_tests::county::dice::Dice;
use hedui_tests::county::people::number;
use rayon::prelude::*;

mod block;
mod graph;
mod structure;

/// Area code and birth years that the attacker knows: a tenth of the numbers of one code.
const AREA: u32 = 422_725;
const YEARS: std::ops::Range<u32> = 1950..1960;
const ROLL: usize = 500;

fn agreement(lock: &str) -> Agreement {
    let mut toml = String::from(
        "version = 1\nname = 'attack'\npurpose = 'test'\nlegal_basis = 'test'\n\
         valid_from = '2016-01-01'\nvalid_until = '2016-12-31'\n",
    );
    toml += &format!("lock = '{lock}'\n");
    for (at, (name, role)) in [
        ("office", "department"),
        ("centre", "matcher"),
        ("c1", "custodian"),
        ("c2", "custodian"),
        ("c3", "custodian"),
    ]
    .iter()
    .enumerate()
    {
        let seed = Secret::new([u8::try_from(at + 1).expect("small"); 64]);
        let name_of = hedui_protocol::ids::Name::new(name).expect("name");
        let card = hedui_protocol::identity::Identity::from_seed(name_of, &seed);
        let (sign, seal) = (hex(&card.card().sign), hex(&card.card().seal));
        toml += &format!(
            "[[party]]\nname = '{name}'\nrole = '{role}'\nsign = '{sign}'\nseal = '{seal}'\n"
        );
    }
    toml += "[[field]]\nname = 'id'\nkind = 'cn-resident-id'\n\
             [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n\
             [[release]]\nkeys = ['id']\n\
             [[dataset]]\nname = 'roll'\nnumber = 1\nowner = 'office'\nkind = 'roll'\nrows_max = 10000000\n";
    Agreement::parse(&toml).expect("agreement")
}

/// Input of the lock for an identity number.
fn input(agreement: &Agreement, id: &str) -> KeyInput {
    let cell = Normal {
        quality: Quality::Valid,
        value: Some(id.to_owned()),
        remnant: None,
    };
    let person = Person::new(agreement, vec![cell]);
    let key = &agreement.match_keys()[0];
    let (digest, epoch) = (agreement.digest(), agreement.epoch());
    let mut inputs = KeyInput::all(digest, epoch, key, &person, Side::Register);
    inputs.pop().expect("input")
}

fn context(agreement: &Agreement, register_secret: u8) -> TagContext {
    let secret = Secret::new([register_secret; 32]);
    TagContext::new(
        agreement.digest(),
        agreement.epoch(),
        DatasetNumber(2),
        secret,
    )
}

/// Numbers of the roll, all within what the attacker can enumerate.
fn roll() -> BTreeSet<String> {
    let mut dice = Dice::new(99);
    let mut ids = BTreeSet::new();
    while ids.len() < ROLL {
        let (year, month, day) = (
            dice.between(YEARS.start, YEARS.end - 1),
            dice.between(1, 12),
            dice.between(1, 28),
        );
        ids.insert(number(
            AREA,
            year * 10_000 + month * 100 + day,
            dice.between(1, 999),
        ));
    }
    ids
}

/// Every number of the area and years: dates × 999 sequences.
fn dictionary() -> Vec<u32> {
    YEARS
        .flat_map(|year| (1..=12).map(move |month| year * 10_000 + month * 100))
        .flat_map(|month| (1..=31).map(move |day| month + day))
        .collect()
}

/// The department's shared secret and register secret, and the matcher's tags: everybody is found, in seconds.
#[test]
fn with_the_keyed_lock_a_department_and_the_matcher_find_everybody() {
    let agreement = agreement("keyed");
    let (lock, context) = (Keyed::new(&Secret::new([7; 32])), context(&agreement, 8));
    let tag = |id: &str| -> Tag {
        let token = lock.token(&input(&agreement, id)).expect("token");
        context.tag(1, &token)
    };
    let roll = roll();
    let tags: BTreeSet<Tag> = roll.iter().map(|id| tag(id)).collect();
    let found: BTreeSet<String> = dictionary()
        .par_iter()
        .flat_map_iter(|birth| (1..1000).map(move |sequence| number(AREA, *birth, sequence)))
        .filter(|id| tags.contains(&tag(id)))
        .collect();
    println!("keyed lock: {} of {} found", found.len(), roll.len());
    assert!(found.len() * 100 >= roll.len() * 99);
    assert!(found.is_subset(&roll));
}

/// The custodians' key, dealt 2 of 3.
struct Custodians {
    key: Scalar,
    shares: Vec<Share>,
    public: EpochKey,
}

fn custodians() -> Custodians {
    custodians_with(scalar(b"slope"))
}

fn custodians_with(slope: Scalar) -> Custodians {
    let threshold = Threshold::new(3, 2).expect("2 of 3");
    let secret = scalar(b"secret");
    let parts = threshold.split(&secret, &[slope]).expect("split");
    let publics: BTreeMap<u16, [u8; 32]> = parts
        .iter()
        .map(|(index, part)| (*index, *Share::new(part.clone()).public()))
        .collect();
    Custodians {
        key: secret * threshold.scale(),
        public: EpochKey::new(threshold, &publics).expect("one key"),
        shares: parts
            .into_iter()
            .map(|(_, part)| Share::new(part))
            .collect(),
    }
}

impl Custodians {
    /// Tokens the honest way, every value counted by two custodians.
    fn evaluate(&self, inputs: &[&[u8]]) -> Vec<Token> {
        let blinds = BlindKey::new(&Secret::new([3; 32]));
        let blinded = blinds.blind_chunk(inputs);
        let sent = BlindedChunk::decode(&blinded).expect("valid");
        let one = |index: u16| {
            let share = &self.shares[usize::from(index) - 1];
            let (elements, proof) = share.evaluate(&blinded).expect("evaluated");
            self.public
                .verify(index, &sent, &elements, &proof)
                .expect("proof")
        };
        let tokens = self
            .public
            .finalise(&sent, inputs, &blinds, &[one(1), one(3)]);
        tokens.expect("tokens")
    }
}

/// A small dictionary that contains the whole roll: 20 wrong numbers for every right one.
fn candidates(roll: &BTreeSet<String>) -> Vec<String> {
    let mut dice = Dice::new(5);
    let mut all = roll.clone();
    while all.len() < roll.len() * 21 {
        let birth =
            dice.between(1950, 1959) * 10_000 + dice.between(1, 12) * 100 + dice.between(1, 28);
        all.insert(number(AREA, birth, dice.between(1, 999)));
    }
    let mut all: Vec<String> = all.into_iter().collect();
    dice.shuffle(&mut all);
    all
}

/// What an attacker finds with a way to compute tokens and a register secret.
fn found(
    agreement: &Agreement,
    tags: &BTreeSet<Tag>,
    candidates: &[String],
    register_secret: u8,
    token: &(dyn Fn(&[u8]) -> [u8; 64] + Sync),
) -> usize {
    let context = context(agreement, register_secret);
    let hit = |id: &&String| {
        let token = Secret::new(token(input(agreement, id).bytes()));
        tags.contains(&context.tag(1, &token))
    };
    candidates.par_iter().filter(hit).count()
}

fn scalar_of(share: &Share) -> Scalar {
    Option::from(Scalar::from_canonical_bytes(*share.expose())).expect("canonical")
}

#[test]
fn with_the_oprf_lock_one_leaked_lock_finds_nobody() {
    let agreement = agreement("oprf");
    let custodians = custodians();
    let roll = roll();
    let inputs: Vec<KeyInput> = roll.iter().map(|id| input(&agreement, id)).collect();
    let refs: Vec<&[u8]> = inputs.iter().map(KeyInput::bytes).collect();
    let right = context(&agreement, 8);
    let tags: BTreeSet<Tag> = custodians
        .evaluate(&refs)
        .iter()
        .map(|token| right.tag(1, token))
        .collect();
    assert_eq!(tags.len(), ROLL);
    let all = candidates(&roll);
    let with = |key: Scalar| move |input: &[u8]| rfc::output(Mode::Voprf, &key, input);

    // Positive control: both locks leaked, everybody is found.
    let both = found(&agreement, &tags, &all, 8, &with(custodians.key));
    assert_eq!(both, ROLL, "both locks");
    // The department's lock leaked (S_r is known), and one custodian's share: as it is, and in the place of the
    // polynomial's constant, which is where a share would serve if the sharing hid nothing.
    let scale = Threshold::new(3, 2).expect("2 of 3").scale();
    for share in &custodians.shares {
        let share = scalar_of(share);
        for key in [share, share * scale] {
            assert_eq!(
                found(&agreement, &tags, &all, 8, &with(key)),
                0,
                "S_r and one share"
            );
        }
    }
    // Positive control of that: with a sharing that hides nothing one share is the key.
    let flat = custodians_with(Scalar::ZERO);
    let flat_tags: BTreeSet<Tag> = flat
        .evaluate(&refs)
        .iter()
        .map(|token| right.tag(1, token))
        .collect();
    let share = scalar_of(&flat.shares[1]) * scale;
    assert_eq!(
        found(&agreement, &flat_tags, &all, 8, &with(share)),
        ROLL,
        "a flat polynomial"
    );
    assert_eq!(
        found(&agreement, &tags, &all, 8, &with(scalar(b"guess"))),
        0,
        "S_r alone"
    );
    // The custodians' lock leaked (two of them collude with the matcher), S_r safe.
    assert_eq!(
        found(&agreement, &tags, &all, 9, &with(custodians.key)),
        0,
        "the key alone"
    );
}

/// Whoever holds the tags of two epochs, registers or agreements cannot join them: one coordinate apart, with everything else
/// the same, no tag occurs twice; with nothing apart all do.
#[test]
fn tags_of_two_epochs_registers_or_agreements_cannot_be_joined() {
    let agreement = agreement("oprf");
    let roll = roll();
    let inputs: Vec<KeyInput> = roll.iter().map(|id| input(&agreement, id)).collect();
    let refs: Vec<&[u8]> = inputs.iter().map(KeyInput::bytes).collect();
    let tags = |key: &Scalar, digest: u8, epoch: u32, register: u16, secret: u8| -> BTreeSet<Tag> {
        let context = TagContext::new(
            AgreementDigest([digest; 32]),
            Epoch(epoch),
            DatasetNumber(register),
            Secret::new([secret; 32]),
        );
        let token = |input: &&[u8]| Secret::new(rfc::output(Mode::Voprf, key, input));
        refs.iter()
            .map(|input| context.tag(1, &token(input)))
            .collect()
    };
    let (key, next_key) = (scalar(b"epoch 1"), scalar(b"epoch 2"));
    let held = tags(&key, 1, 1, 2, 8);
    assert_eq!(held.len(), ROLL);
    assert!(
        held == tags(&key, 1, 1, 2, 8),
        "positive control: nothing apart"
    );
    for (what, other) in [
        (
            "another key of the custodians, everything else the same",
            tags(&next_key, 1, 1, 2, 8),
        ),
        ("another epoch under the same key", tags(&key, 1, 2, 2, 8)),
        ("another register", tags(&key, 1, 1, 3, 8)),
        ("another agreement", tags(&key, 2, 1, 2, 8)),
        ("another secret of the register", tags(&key, 1, 1, 2, 9)),
    ] {
        assert!(held.is_disjoint(&other), "{what}");
    }
}

/// A department that asks custodians for numbers of its choice finds those, and custodians have counted them.
#[test]
fn guessing_through_custodians_finds_no_more_than_they_count() {
    let agreement = agreement("oprf");
    let custodians = custodians();
    let roll = roll();
    let context = context(&agreement, 8);
    let evaluated = |ids: &[&String]| -> Vec<Tag> {
        let inputs: Vec<KeyInput> = ids.iter().map(|id| input(&agreement, id)).collect();
        let refs: Vec<&[u8]> = inputs.iter().map(KeyInput::bytes).collect();
        let tokens = custodians.evaluate(&refs);
        tokens.iter().map(|token| context.tag(1, token)).collect()
    };
    let roll_tags: BTreeSet<Tag> = evaluated(&roll.iter().collect::<Vec<_>>())
        .into_iter()
        .collect();
    let all = candidates(&roll);
    // The custodian's own log counts, and it counts before anything is evaluated.
    let folder = tempfile::tempdir().expect("folder");
    let seed = Secret::new([3; 64]);
    let name = hedui_protocol::ids::Name::new("c1").expect("name");
    let identity = hedui_protocol::identity::Identity::from_seed(name, &seed);
    let vault = Vault::new(folder.path(), "custodian", &identity, &agreement);
    let mut ledger = Ledger::open(folder.path(), &agreement, &vault).expect("log");
    // As in `custodian answer`: what is not charged is not evaluated.
    let mut ask = |request: u8, ids: &[&String]| -> Vec<Tag> {
        let event = Event::Request {
            from: "office".to_owned(),
            dataset: "roll".to_owned(),
            request: hex(&[request; 16]),
            content_sha256: hex(&[request; 32]),
            elements: ids.len() as u64,
        };
        let charged = ledger.charge(event, 4096, "2016-05-01T00:00:00Z");
        charged.map_or(Vec::new(), |_| evaluated(ids))
    };
    // The attacker tries everything that it has, block by block, each block twice.
    let (mut hits, mut tried) = (BTreeSet::new(), 0);
    for (number, block) in (1..).zip(all.chunks(2048)) {
        let block: Vec<&String> = block.iter().collect();
        for _ in 0..2 {
            let tags = ask(number, &block);
            tried += usize::from(!tags.is_empty()) * block.len();
            let found = block
                .iter()
                .zip(&tags)
                .filter(|(_, tag)| roll_tags.contains(*tag));
            hits.extend(found.map(|(id, _)| (*id).clone()));
        }
    }
    assert_eq!(
        tried,
        2 * 4096,
        "two blocks were charged, and answered twice"
    );
    let truth: BTreeSet<String> = all
        .iter()
        .take(4096)
        .filter(|id| roll.contains(*id))
        .cloned()
        .collect();
    assert_eq!(hits, truth);
    // A clock that runs backwards is no way to a log that nobody believes.
    let event = Event::Request {
        from: "office".to_owned(),
        dataset: "other".to_owned(),
        request: hex(&[99; 16]),
        content_sha256: hex(&[99; 32]),
        elements: 1,
    };
    let earlier = ledger.charge(event.clone(), 4096, "2016-04-30T23:59:59Z");
    assert!(earlier.is_err_and(|problem| problem.to_string().contains("its last line is of")));
    assert!(ledger.charge(event, 4096, "2016-05-01T00:00:00Z").is_ok());
    let quota = agreement.evaluations_max(agreement.roll());
    // What one department may ask in an epoch, of any register whose agreement states no other number.
    assert!(quota <= NUMBERS_PER_AREA / 18, "the quota is {quota}");
    println!(
        "{} found with 4,096 counted evaluations; the quota is {quota}",
        hits.len()
    );
}
