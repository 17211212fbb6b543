//! Vectors of who speaks: identities, agreements, epoch records. In: fixed seeds. Out: scenarios.
//! Invariant: every check that SPEC.md lists has a vector that only this check refuses, with its exit code.
//! Specification: protocol/SPEC.md, "Identities", "Agreement", "Epoch record".

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar;
use hedui_keys::oprf::threshold::Threshold;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::epoch::EpochRecord;
use hedui_protocol::identity::PartyCard;
use hedui_protocol::ids::{Epoch, Name};
use hedui_protocol::refusal::Refusal;
use serde_json::{Value, json};

use hedui_tests::parties::{FIELDS, agreement, identity, name, seed};

use super::scenario::{Scenario, h};

fn card_of(card: &PartyCard) -> Value {
    json!({"party": card.name.as_str(), "sign": h(card.sign), "seal": h(card.seal), "key_id": card.key_id().to_hex()})
}

pub fn identities() -> Scenario {
    let mut out = Scenario::new("identities");
    for (party, of) in [("office", 1), ("police", 2), ("a", 3), ("c-1", 4)] {
        let own = identity(party, of);
        let card = own.card();
        let mut given = card_of(card);
        given["card"] = json!(card.render());
        given.as_object_mut().expect("object").remove("party");
        out.gives(
            party,
            "from_seed",
            json!({"party": party, "seed": h(seed(of))}),
            given,
        );
        out.gives(
            &format!("card of {party}"),
            "card",
            json!({"card": card.render()}),
            card_of(card),
        );
    }
    let good = identity("office", 1).card().render();
    let small_order = format!("{:064x}", 1);
    let small_order: String = small_order
        .as_bytes()
        .chunks(2)
        .rev()
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect();
    let words: Vec<&str> = good.trim_end().split(' ').collect();
    for (what, card) in [
        ("other version", good.replace("card/1", "card/2")),
        ("name with a capital", good.replace("office", "Office")),
        ("empty name", good.replace("office", "")),
        ("short key", good.replace(words[2], &words[2][2..])),
        (
            "upper-case hexadecimal",
            good.replace(words[2], &words[2].to_uppercase()),
        ),
        (
            "no second key",
            format!("{} {} {}\n", words[0], words[1], words[2]),
        ),
        ("a word more", format!("{} x\n", good.trim_end())),
        ("two spaces", good.replace("office ", "office  ")),
        (
            "signing key of small order",
            good.replace(words[2], &small_order),
        ),
        (
            "signing key that is no point",
            good.replace(words[2], &format!("02{}", "0".repeat(62))),
        ),
        ("sealing key 0", good.replace(words[3], &"0".repeat(64))),
        // Points of low order (RFC 7748 §6.1 leaves them to the protocol; RFC 9180 §7.1.4 refuses their secret).
        (
            "sealing key of order 8",
            good.replace(
                words[3],
                "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            ),
        ),
        (
            "sealing key of order 8, the other",
            good.replace(
                words[3],
                "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            ),
        ),
        (
            "sealing key p - 1",
            good.replace(
                words[3],
                "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            ),
        ),
        (
            "sealing key p",
            good.replace(
                words[3],
                "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            ),
        ),
        (
            "sealing key p + 1",
            good.replace(
                words[3],
                "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            ),
        ),
        (
            "sealing key 1",
            good.replace(
                words[3],
                "0100000000000000000000000000000000000000000000000000000000000000",
            ),
        ),
    ] {
        let parsed = PartyCard::parse(&card);
        assert!(parsed.is_none(), "{what}");
        out.refuses(what, "card", json!({"card": card}), 0);
    }
    out
}

pub fn agreements() -> Scenario {
    let mut out = Scenario::new("agreements");
    let made = agreement(FIELDS);
    let effective = made.effective();
    let digest = made.digest().to_hex();
    out.gives(
        "digest",
        "digest",
        json!({"effective": effective}),
        json!({"digest": digest}),
    );
    let parties = ["office", "police", "centre", "c1", "c2", "c3"];
    let lines: Vec<String> = (1..)
        .zip(parties)
        .map(|(of, party)| made.sign(&identity(party, of)).expect("signed"))
        .collect();
    for (of, (party, line)) in (1..).zip(parties.iter().zip(&lines)) {
        let input = json!({"digest": digest, "line": line.trim_end(), "card": identity(party, of).card().render()});
        out.gives(
            &format!("signature of {party}"),
            "signature",
            input,
            json!({"valid": true}),
        );
    }
    let line = lines[0].trim_end();
    let last = line.len() - 1;
    let flipped = format!(
        "{}{}",
        &line[..last],
        if line.ends_with('0') { '1' } else { '0' }
    );
    let other = format!(
        "{}{}",
        if digest.starts_with('0') { '1' } else { '0' },
        &digest[1..]
    );
    let own = identity("office", 1).card().render();
    for (what, digest, line, card) in [
        ("signature changed", &digest, flipped.as_str(), &own),
        ("other agreement", &other, line, &own),
        (
            "other signer's key",
            &digest,
            line,
            &identity("office", 2).card().render(),
        ),
        (
            "other name",
            &digest,
            &line.replace("office", "police"),
            &own,
        ),
        (
            "other version",
            &digest,
            &line.replace("signature/1", "signature/2"),
            &own,
        ),
        ("cut off", &digest, &line[..last - 1], &own),
    ] {
        out.refuses(
            what,
            "signature",
            json!({"digest": digest, "line": line, "card": card}),
            0,
        );
    }
    let all: String = lines.concat();
    let without: String = lines[1..].concat();
    for (what, signatures, today) in [
        ("in force on the first day", &all, "2016-01-01"),
        ("in force on the last day", &all, "2016-12-31"),
        ("the day before", &all, "2015-12-31"),
        ("the day after", &all, "2017-01-01"),
        ("one has not signed", &without, "2016-06-30"),
        ("nobody has signed", &String::new(), "2016-06-30"),
        (
            "one signature changed",
            &all.replace(line, &flipped),
            "2016-06-30",
        ),
    ] {
        let said = Agreement::parse(effective).and_then(|made| {
            let signers = made.signers(signatures);
            made.in_force(signatures, today)?;
            Ok(json!({"signers": signers.iter().map(Name::as_str).collect::<Vec<_>>()}))
        });
        let input = json!({"effective": effective, "signatures": signatures, "today": today});
        out.says(what, "in_force", input, said);
    }
    out
}

pub fn epoch_records() -> Scenario {
    let mut out = Scenario::new("epoch-records");
    let made = agreement(FIELDS);
    let threshold = Threshold::new(3, 2).expect("threshold");
    let secret = Scalar::from(7_u8);
    let shares = threshold
        .split(&secret, &[Scalar::from(1_234_567_u64)])
        .expect("split");
    let points: Vec<RistrettoPoint> = shares
        .iter()
        .map(|(_, s)| RistrettoPoint::mul_base(s))
        .collect();
    let group = RistrettoPoint::mul_base(&(secret * threshold.scale()));
    let names = ["c1", "c2", "c3"];
    let record = |points: &[RistrettoPoint], group: RistrettoPoint, epoch: u32| EpochRecord {
        agreement: made.digest(),
        epoch: Epoch(epoch),
        needed: 2,
        shares: names
            .iter()
            .zip(points)
            .map(|(n, p)| (name(n), p.compress().to_bytes()))
            .collect(),
        group: group.compress().to_bytes(),
    };
    let signed = |record: &EpochRecord, by: &[(&str, u8)]| {
        let lines = by
            .iter()
            .map(|(party, of)| record.sign(&identity(party, *of)));
        std::iter::once(record.render())
            .chain(lines)
            .collect::<String>()
    };
    let every = [("c1", 4), ("c2", 5), ("c3", 6)];
    let good = record(&points, group, 1);
    let mut moved = points.clone();
    moved[2] += RistrettoPoint::mul_base(&Scalar::ONE);
    let text = signed(&good, &every);
    let cases = [
        ("signed by all", text.clone()),
        ("signed by one", signed(&good, &every[1..2])),
        ("signed by nobody", good.render()),
        ("other epoch", signed(&record(&points, group, 2), &every)),
        (
            "share off the polynomial",
            signed(&record(&moved, group, 1), &every),
        ),
        (
            "other group key",
            signed(&record(&points, points[0], 1), &every),
        ),
        ("signed by a department", signed(&good, &[("police", 2)])),
        (
            "signed with another's key",
            text.replacen("signature c1", "signature c2", 1),
        ),
        (
            "threshold changed",
            text.replace("threshold 2 of 3", "threshold 3 of 3"),
        ),
        (
            "custodians in another order",
            text.replace("share 1 c1", "share 1 c2"),
        ),
        ("index changed", text.replace("share 1 c1", "share 4 c1")),
        ("no end", text.replace("---\n", "")),
        ("other format", text.replace("epoch/1", "epoch/2")),
        ("a space more", text.replace("epoch 1\n", "epoch  1\n")),
        (
            "share missing",
            text.lines()
                .filter(|l| !l.starts_with("share 3"))
                .map(|l| format!("{l}\n"))
                .collect(),
        ),
    ];
    for (what, text) in cases {
        let said = EpochRecord::signed(&made, &text).and_then(|(record, signers)| {
            let shares = (1..).zip(&record.shares).map(|(index, (_, share))| (index, *share)).collect();
            let key = hedui_keys::oprf::client::EpochKey::new(threshold, &shares)
                .map_err(|error| Refusal::BadProof(error.to_string()))?;
            if *key.group() != record.group {
                return Err(Refusal::BadProof("its group key is another".to_owned()));
            }
            Ok(json!({"group": h(record.group), "signers": signers.iter().map(Name::as_str).collect::<Vec<_>>()}))
        });
        out.says(
            what,
            "record",
            json!({"effective": made.effective(), "text": text}),
            said,
        );
    }
    out
}
