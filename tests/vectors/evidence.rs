//! Vectors of what is compared: match-key inputs, tokens, tags, the OPRF. In: fixed values. Out: scenarios.
//! Invariant: every derivation of SPEC.md has a vector, and every check of a custodian's answer one that it refuses.
//! Specification: protocol/SPEC.md, "Match-key inputs" to "Key ceremony".

use std::collections::BTreeMap;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use hedui_keys::lock::{Keyed, Lock};
use hedui_keys::oprf::client::{BlindKey, BlindedChunk, EpochKey};
use hedui_keys::oprf::evaluate::Share;
use hedui_keys::oprf::rfc;
use hedui_keys::oprf::suite::{Mode, decode, hash_to_group, hash_to_scalar};
use hedui_keys::oprf::threshold::Threshold;
use hedui_protocol::field::{FieldKind, Form, Gazetteer, Normal};
use hedui_protocol::filter::Tokens;
use hedui_protocol::filter::encode::FilterSpec;
use hedui_protocol::ids::{AgreementDigest, DatasetNumber, Epoch, Handle};
use hedui_protocol::lock::{TagContext, Token};
use hedui_protocol::match_key::{KeyInput, Person, Side};
use hedui_protocol::primitive::{hex, sha256};
use hedui_protocol::secret::Secret;
use hedui_tests::parties::{FIELDS, agreement};
use serde_json::{Value, json};

use super::scenario::{Scenario, all, h};

pub fn normal(kind: FieldKind, raw: &str) -> Normal {
    kind.normalise(raw, &Gazetteer::default())
}

/// The input of a key over text parts, as the library makes it.
fn input_of(digest: AgreementDigest, epoch: u32, texts: &[&str]) -> Option<Vec<u8>> {
    let mut more = String::new();
    for at in 0..texts.len() {
        more += &format!("[[field]]\nname = 'f{at}'\nkind = 'exact'\n");
    }
    let parts: Vec<String> = (0..texts.len()).map(|at| format!("'f{at}'")).collect();
    more += &format!(
        "[[match_key]]\nname = 'k'\nparts = [{}]\nclass = 'A'\n[[release]]\nkeys = ['k']\n",
        parts.join(", ")
    );
    let made = agreement(&more);
    let cells: Vec<Normal> = texts
        .iter()
        .map(|text| normal(FieldKind::Exact, text))
        .collect();
    let person = Person::new(&made, cells);
    let inputs = KeyInput::all(
        digest,
        Epoch(epoch),
        &made.match_keys()[0],
        &person,
        Side::Register,
    );
    inputs.first().map(|input| input.bytes().to_vec())
}

pub fn match_keys() -> Scenario {
    let mut out = Scenario::new("match-keys");
    let long = "x".repeat(400);
    for (what, digest, epoch, parts) in [
        ("one part", 7, 1, vec!["422725196408150014"]),
        ("three parts", 7, 1, vec!["张伟", "1964-08-15", "1"]),
        ("parts cut elsewhere", 7, 1, vec!["张伟1", "964-08-15", "1"]),
        ("other epoch", 7, 2, vec!["422725196408150014"]),
        ("other agreement", 8, 1, vec!["422725196408150014"]),
        (
            "as long as it may be",
            7,
            1,
            vec![long.as_str(), "12345678901234567890123456789012345"],
        ),
        ("too long", 7, 1, vec![long.as_str(), long.as_str()]),
    ] {
        let digest = AgreementDigest([digest; 32]);
        let made = input_of(digest, epoch, &parts);
        let input = json!({"agreement": digest.to_hex(), "epoch": epoch, "field_version": hedui_protocol::field::VERSION,
            "key": 1, "parts": parts});
        out.gives(what, "input", input, json!({"input": made.map(hex_of)}));
    }
    let kind = FieldKind::CnResidentId;
    for number in [
        "422725196408150014",
        "420525195501010027",
        "11010519491231002X",
    ] {
        let mut variants = Form::OneError.all_of_roll(kind, &normal(kind, number));
        variants.sort_unstable();
        let digest = sha256(&[variants.join("\n").as_bytes()]);
        let count = variants.len();
        out.gives(
            &format!("variants of {number}"),
            "one_error_roll",
            json!({"number": number}),
            json!({"count": count, "digest": h(digest)}),
        );
    }
    for text in [
        "422725196408150014",
        "422725196408150015",
        "42272519640815001X",
        "422725196408150041",
    ] {
        let value = Form::OneError.of(kind, &normal(kind, text));
        out.gives(
            &format!("register's {text}"),
            "one_error_register",
            json!({"text": text}),
            json!({"value": value}),
        );
    }
    out
}

fn hex_of(bytes: Vec<u8>) -> String {
    hex(&bytes)
}

fn scalar(of: u64) -> Scalar {
    hash_to_scalar(Mode::Oprf, &[&of.to_be_bytes()])
}

pub fn tokens() -> Scenario {
    let mut out = Scenario::new("tokens");
    for (what, key, input) in [
        ("keyed", 1, &b"input"[..]),
        ("keyed, other key", 2, b"input"),
        ("keyed, empty", 1, b""),
    ] {
        let y = keyed(key, input);
        out.gives(
            what,
            "keyed",
            json!({"key": h([key; 32]), "input": h(input)}),
            json!({"y": h(y)}),
        );
    }
    for (custodians, needed) in [(3, 2), (2, 2), (5, 3), (9, 9)] {
        let threshold = Threshold::new(custodians, needed).expect("threshold");
        let secret = scalar(u64::from(custodians));
        let key = secret * threshold.scale();
        let group = RistrettoPoint::mul_base(&key).compress().to_bytes();
        let y = rfc::output(Mode::Voprf, &key, b"some input");
        let input = json!({"secret": h(secret.as_bytes()), "custodians": custodians, "needed": needed, "input": h(b"some input")});
        out.gives(
            &format!("oprf, {needed} of {custodians}"),
            "oprf",
            input,
            json!({"group": h(group), "y": h(y)}),
        );
    }
    out
}

fn keyed(key: u8, input: &[u8]) -> [u8; 64] {
    use hedui_protocol::label::Label;
    use hedui_protocol::primitive::{hmac_sha512, hmac_sha512_key};
    hmac_sha512(&hmac_sha512_key(&[key; 32]), Label::Keyed, &[input])
}

/// The keyed lock gives what [`keyed`] computes.
pub fn the_keyed_lock_is_the_definition() {
    let made = agreement(FIELDS);
    let person = Person::new(
        &made,
        vec![normal(FieldKind::CnResidentId, "422725196408150014")],
    );
    let inputs = KeyInput::all(
        made.digest(),
        made.epoch(),
        &made.match_keys()[0],
        &person,
        Side::Roll,
    );
    let token = Keyed::new(&Secret::new([1; 32]))
        .token(&inputs[0])
        .expect("token");
    assert!(*token.expose() == keyed(1, inputs[0].bytes()));
}

struct Place {
    agreement: u8,
    epoch: u32,
    register: u16,
    secret: u8,
}

impl Place {
    fn context(&self) -> TagContext {
        TagContext::new(
            AgreementDigest([self.agreement; 32]),
            Epoch(self.epoch),
            DatasetNumber(self.register),
            Secret::new([self.secret; 32]),
        )
    }

    fn with(&self, more: Value) -> Value {
        let mut input = more;
        input["agreement"] = h([self.agreement; 32]);
        input["epoch"] = json!(self.epoch);
        input["register"] = json!(self.register);
        input["register_secret"] = h([self.secret; 32]);
        input
    }
}

pub fn tags() -> Scenario {
    let mut out = Scenario::new("tags");
    let places = [
        (7, 1, 2, 5),
        (8, 1, 2, 5),
        (7, 2, 2, 5),
        (7, 1, 3, 5),
        (7, 1, 2, 6),
        (7, u32::MAX, u16::MAX, 5),
    ];
    for (number, (agreement, epoch, register, secret)) in (1_u8..).zip(places) {
        let place = Place {
            agreement,
            epoch,
            register,
            secret,
        };
        let context = place.context();
        let named = |what: &str| format!("{what}, place {number}");
        let (y, z) = (Token::new([number; 64]), Token::new([0xee; 64]));
        let handle = Handle([number; 16]);
        let add = |out: &mut Scenario, op: &str, input: Value, given: Value| {
            out.gives(&named(op), op, place.with(input), given);
        };
        add(
            &mut out,
            "tag",
            json!({"key": number, "y": h(y.expose())}),
            json!({"tag": h(context.tag(number, &y).0)}),
        );
        let kek = context.payload_key(1, &[&y, &z], handle);
        add(
            &mut out,
            "kek",
            json!({"set": 1, "tokens": [h(y.expose()), h(z.expose())], "handle": h(handle.0)}),
            json!({"kek": h(kek.expose())}),
        );
        add(
            &mut out,
            "kit_check",
            json!({}),
            json!({"check": h(context.kit_check())}),
        );
        let token = context.canary_token(11, number);
        add(
            &mut out,
            "canary_token",
            json!({"number": 11, "key": number}),
            json!({"token": h(token.expose())}),
        );
        let filter_key = context.block_filter_key(number, &y);
        add(
            &mut out,
            "block_key",
            json!({"key": number, "y": h(y.expose())}),
            json!({"filter_key": h(filter_key.expose())}),
        );
        add(
            &mut out,
            "record_key",
            json!({}),
            json!({"key": h(context.record_filter_key().expose())}),
        );
        // The key of a pair never leaves its type: its mask of 256 bits shows it.
        let mut mask = [0; 32];
        let spec = FilterSpec {
            bits: 256,
            positions: 64,
        };
        context
            .pair_key(&[3; 32], handle, Handle([0xdd; 16]))
            .encode(0, &spec, &Tokens::default(), &mut mask);
        let pair = json!({"request": h([3; 32]), "roll": h(handle.0), "other": h([0xdd; 16])});
        add(&mut out, "pair_key", pair, json!({"mask": h(mask)}));
        for (side, word) in [(Side::Roll, 1), (Side::Register, 2)] {
            let slip = context.canary_slip(side, "2016-12-31", 0x0105);
            let mut input = json!({"side": word, "stamp": "2016-12-31", "bitmap": 0x0105});
            out.gives(
                &named(&format!("slip of side {word}")),
                "canary_slip",
                place.with(input.clone()),
                json!({"slip": slip}),
            );
            input.as_object_mut().expect("object").remove("bitmap");
            let read = |slip: &str, stamp: &str| {
                let mut input = input.clone();
                input["slip"] = json!(slip);
                input["stamp"] = json!(stamp);
                (place.with(input), context.canary_bitmap(side, stamp, slip))
            };
            let (good, bitmap) = read(&slip, "2016-12-31");
            assert_eq!(bitmap, Some(0x0105));
            out.gives(
                &named(&format!("slip of side {word} read")),
                "canary_bitmap",
                good,
                json!({"bitmap": 0x0105}),
            );
            let flipped = format!(
                "{}{}",
                &slip[..35],
                if slip.ends_with('0') { '1' } else { '0' }
            );
            let masked = format!(
                "{}{}",
                if slip.starts_with('0') { '1' } else { '0' },
                &slip[1..]
            );
            for (what, slip, stamp) in [
                ("check changed", flipped.as_str(), "2016-12-31"),
                ("bitmap changed", masked.as_str(), "2016-12-31"),
                ("other stamp", slip.as_str(), "2016-12-30"),
                ("cut off", &slip[..34], "2016-12-31"),
                ("empty", "", "2016-12-31"),
            ] {
                let (input, bitmap) = read(slip, stamp);
                assert_eq!(bitmap, None);
                out.refuses(
                    &named(&format!("slip of side {word}, {what}")),
                    "canary_bitmap",
                    input,
                    0,
                );
            }
        }
    }
    out
}

fn elements(out: &mut Scenario) {
    let good = hash_to_group(Mode::Voprf, b"element").compress().to_bytes();
    out.gives(
        "an element",
        "element",
        json!({"element": h(good)}),
        json!({"ok": true}),
    );
    let mut bad: Vec<(String, [u8; 32])> = vec![("identity".to_owned(), [0; 32])];
    for (what, hex) in [
        // RFC 9496, A.2: non-canonical field encodings, negative field elements, non-square x².
        (
            "non-canonical, p",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ),
        (
            "non-canonical, all ones",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ),
        (
            "non-canonical, high bit",
            "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ),
        (
            "negative",
            "0100000000000000000000000000000000000000000000000000000000000000",
        ),
        (
            "high bit of another",
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ),
        (
            "negative, from the RFC",
            "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
        ),
        (
            "no square, from the RFC",
            "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
        ),
        (
            "negative product, from the RFC",
            "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
        ),
    ] {
        bad.push((
            what.to_owned(),
            hedui_protocol::primitive::unhex(hex).expect("hex"),
        ));
    }
    // Of all strings of 32 bytes one in sixteen is an element.
    for number in 0..100_u64 {
        let bytes = sha256(&[&number.to_be_bytes()]);
        let what = format!("string {number}");
        match decode(&bytes, 0) {
            Ok(_) => out.gives(
                &what,
                "element",
                json!({"element": h(bytes)}),
                json!({"ok": true}),
            ),
            Err(_) => bad.push((what, bytes)),
        }
    }
    for (what, bytes) in bad {
        assert!(decode(&bytes, 0).is_err(), "{what}");
        out.refuses(&what, "element", json!({"element": h(bytes)}), 25);
    }
}

pub fn oprf() -> Scenario {
    let mut out = Scenario::new("oprf");
    elements(&mut out);
    let inputs: [&[u8]; 3] = [b"one", b"two", b"three"];
    for input in inputs {
        let element = hash_to_group(Mode::Voprf, input).compress().to_bytes();
        let what = String::from_utf8_lossy(input).into_owned();
        out.gives(
            &format!("hash of {what}"),
            "hash_to_group",
            json!({"input": h(input)}),
            json!({"element": h(element)}),
        );
        let blinded = BlindKey::new(&Secret::new([4; 32])).blind_chunk(&[input]);
        out.gives(
            &format!("blinded {what}"),
            "blind",
            json!({"k": h([4; 32]), "input": h(input)}),
            json!({"blinded": h(blinded[0])}),
        );
    }
    for (custodians, needed, set) in [
        (3, 2, vec![1, 3]),
        (3, 2, vec![3, 2]),
        (5, 3, vec![1, 2, 5]),
        (9, 5, vec![9, 1, 4, 6, 2]),
    ] {
        let threshold = Threshold::new(custodians, needed).expect("threshold");
        let coefficients = threshold.coefficients(&set).expect("coefficients");
        let given = json!({"denominator": threshold.denominator(), "coefficients": coefficients});
        let input = json!({"custodians": custodians, "needed": needed, "set": set});
        out.gives(
            &format!("coefficients {set:?} of {custodians}"),
            "coefficients",
            input,
            given,
        );
    }
    let threshold = Threshold::new(3, 2).expect("threshold");
    let shares = threshold.split(&scalar(11), &[scalar(12)]).expect("split");
    let shares: Vec<Share> = shares
        .into_iter()
        .map(|(_, share)| Share::new(share))
        .collect();
    let k = BlindKey::new(&Secret::new([4; 32]));
    let blinded = k.blind_chunk(&inputs);
    let public: BTreeMap<u16, [u8; 32]> = (1..)
        .zip(shares.iter().map(|share| *share.public()))
        .collect();
    let key = EpochKey::new(threshold, &public).expect("key");
    let chunk = BlindedChunk::decode(&blinded).expect("chunk");
    let answers: Vec<_> = shares
        .iter()
        .map(|share| share.evaluate(&blinded).expect("answer"))
        .collect();
    for (at, (share, (evaluated, proof))) in shares.iter().zip(&answers).enumerate() {
        let input = json!({"share": h(share.expose()), "blinded": all(&blinded)});
        let given =
            json!({"public": h(share.public()), "evaluated": all(evaluated), "proof": h(proof)});
        out.gives(
            &format!("answer of custodian {}", at + 1),
            "evaluate",
            input,
            given,
        );
        let input = json!({"public": h(share.public()), "blinded": all(&blinded), "evaluated": all(evaluated), "proof": h(proof)});
        out.gives(
            &format!("proof of custodian {}", at + 1),
            "verify",
            input,
            json!({"valid": true}),
        );
    }
    let (evaluated, proof) = &answers[0];
    let order = {
        // ℓ, little-endian: the first scalar that is not canonical.
        let mut bytes = (-Scalar::ONE).to_bytes();
        bytes[0] += 1;
        bytes
    };
    let mut exchanged = evaluated.clone();
    exchanged.swap(0, 1);
    let mut alien = evaluated.clone();
    alien[2] = CompressedRistretto(blinded[2]).to_bytes();
    let mut zero = evaluated.clone();
    zero[1] = [0; 32];
    let with = |from: usize, bytes: &[u8]| {
        let mut changed = *proof;
        changed[from..from + bytes.len()].copy_from_slice(bytes);
        changed
    };
    type Case<'a> = (&'a str, u16, &'a [[u8; 32]], &'a [[u8; 32]], [u8; 64]);
    let cases: [Case<'_>; 9] = [
        (
            "challenge changed",
            1,
            &blinded,
            evaluated,
            with(0, &[proof[0] ^ 1]),
        ),
        (
            "response changed",
            1,
            &blinded,
            evaluated,
            with(32, &[proof[32] ^ 1]),
        ),
        (
            "response not canonical",
            1,
            &blinded,
            evaluated,
            with(32, &order),
        ),
        (
            "challenge not canonical",
            1,
            &blinded,
            evaluated,
            with(0, &[0xff; 32]),
        ),
        ("other custodian's key", 2, &blinded, evaluated, *proof),
        ("answers exchanged", 1, &blinded, &exchanged, *proof),
        ("one answer is another element", 1, &blinded, &alien, *proof),
        ("one answer is the identity", 1, &blinded, &zero, *proof),
        ("one answer missing", 1, &blinded, &evaluated[..2], *proof),
    ];
    for (what, custodian, blinded, evaluated, proof) in cases {
        let said = key.verify(custodian, &chunk, evaluated, &proof);
        assert!(said.is_err(), "{what}");
        let input = json!({"public": h(public[&custodian]), "blinded": all(blinded), "evaluated": all(evaluated), "proof": h(proof)});
        out.refuses(what, "verify", input, 25);
    }
    for set in [[1_u16, 2], [3, 1], [2, 3]] {
        let evaluations: Vec<_> = set
            .iter()
            .map(|at| {
                let (evaluated, proof) = &answers[usize::from(*at) - 1];
                key.verify(*at, &chunk, evaluated, proof).expect("verified")
            })
            .collect();
        let tokens = key
            .finalise(&chunk, &inputs, &k, &evaluations)
            .expect("tokens");
        for (number, (input, token)) in inputs.iter().zip(&tokens).enumerate() {
            let given: Vec<[u8; 32]> = set
                .iter()
                .map(|at| answers[usize::from(*at) - 1].0[number])
                .collect();
            let input = json!({"k": h([4; 32]), "input": h(input), "custodians": 3, "needed": 2, "set": set,
                "evaluated": all(&given), "group": h(key.group())});
            out.gives(
                &format!("token {number} by {set:?}"),
                "finalise",
                input,
                json!({"y": h(token.expose())}),
            );
        }
    }
    out
}
