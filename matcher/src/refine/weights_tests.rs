//! The fit of match weights against what made the data. In: invented vectors. Out: passes, or the
//! probability that was missed.
//! Invariant under test: m, u and prior come back; strangers who were chosen for being alike are not taken for the same.

use super::*;

/// Vectors drawn from known m and u: the fit finds m, and the weights sort same from strangers.
#[test]
fn the_fit_finds_what_made_the_vectors() {
    let m = [
        [0.80, 0.10, 0.05, 0.03, 0.02, 0.0],
        [0.90, 0.04, 0.03, 0.02, 0.01, 0.0],
        [0.70, 0.10, 0.10, 0.05, 0.05, 0.0],
    ];
    let u = [
        [0.01, 0.02, 0.05, 0.12, 0.80, 0.0],
        [0.001, 0.01, 0.03, 0.10, 0.859, 0.0],
        [0.05, 0.05, 0.10, 0.20, 0.60, 0.0],
    ];
    let mut random = blake3::Hasher::new().update(b"weights").finalize_xof();
    let mut draw = |levels: &Levels| -> Option<u8> {
        let mut bytes = [0; 4];
        random.fill(&mut bytes);
        let mut left = f64::from(u32::from_le_bytes(bytes)) / 4_294_967_296.0;
        let mut levels = (0..).zip(levels);
        levels
            .find(|(_, share)| {
                left -= **share;
                left < 0.0
            })
            .map(|(level, _)| level)
    };
    let mut evidence = Evidence {
        sizes: (10_000, 10_000),
        ..Evidence::default()
    };
    // Two keys, on the first and on the second field: there all candidates of the key are equal.
    for at in 0..16_000 {
        let source = if at % 8 < 4 { &m } else { &u };
        let mut vector: Vector = source.iter().map(&mut draw).collect();
        let key = at % 2;
        vector[key] = Some(0);
        evidence.candidates.push(Seen {
            agree: 1 << key,
            vector,
            identifier: Identifier::Absent,
            rival_group: None,
        });
        // One decoy in twenty is the same person.
        let source = if at % 20 == 0 { &m } else { &u };
        evidence.decoys.push(source.iter().map(&mut draw).collect());
    }
    let keys = [BTreeSet::from([0]), BTreeSet::from([1])];
    let model = Model::fit(
        ["a", "b", "c"]
            .map(|name| (name.to_owned(), false))
            .to_vec(),
        &keys,
        &evidence,
    );
    for (found, made) in model.u.iter().zip(&u).chain(model.m.iter().zip(&m)) {
        for (found, made) in found.iter().zip(made) {
            assert!((found - made).abs() < 0.15, "{found} {made}");
        }
    }
    assert!(
        (model.expected / 8_000.0 - 1.0).abs() < 0.3,
        "{}",
        model.expected
    );
    assert!(
        (model.same_decoys - 0.05).abs() < 0.03,
        "{}",
        model.same_decoys
    );
    let weight = |level| model.weight(&vec![Some(level); 3], Identifier::Absent);
    assert!(weight(0) > weight(1) && weight(1) > weight(4));
    assert!(
        (weight(0) - model.weight(&vec![Some(0); 3], Identifier::Differs) + AGAINST_A_BITS).abs()
            < 1e-9
    );
    assert!((model.weight(&vec![None; 3], Identifier::Absent) - model.prior_bits).abs() < 1e-9);
}

/// Nothing to fit: the priors are used, and every weight is finite.
#[test]
fn without_evidence_the_priors_speak() {
    let model = Model::fit(
        vec![("a".to_owned(), false)],
        &[BTreeSet::new()],
        &Evidence::default(),
    );
    assert!(
        model.m[0]
            .iter()
            .zip(&M_PRIOR)
            .all(|(m, prior)| (m - prior).abs() < 1e-12)
    );
    assert!(
        model.u[0]
            .iter()
            .zip(&U_PRIOR)
            .all(|(u, prior)| (u - prior).abs() < 1e-12)
    );
    assert!(model.weight(&vec![Some(0)], Identifier::Absent).is_finite());
}

fn seen(agree: u16, level: u8, rival_group: Option<usize>) -> Seen {
    Seen {
        agree,
        vector: vec![Some(level); 3],
        identifier: Identifier::Absent,
        rival_group,
    }
}

fn model_of(evidence: &Evidence, keys: &[BTreeSet<usize>]) -> Model {
    let names = ["a", "b", "c"].map(|name| (name.to_owned(), false));
    Model::fit(names.to_vec(), keys, evidence)
}

/// Candidates of one person share one chance; those of different persons do not.
#[test]
fn candidates_that_compete_share_one_chance() {
    let mut model = model_of(&Evidence::default(), &[BTreeSet::new()]);
    model.prior_bits = 0.0;
    let together = [
        seen(1, 0, Some(0)),
        seen(1, 0, Some(0)),
        seen(1, 0, Some(1)),
    ];
    let chances = model.chances(&together);
    assert!(
        (chances[0] + chances[1] - chances[2]).abs() < 1e-3,
        "{chances:?}"
    );
    assert!(chances[2] > 0.99 && (chances[0] - 0.5).abs() < 1e-3);
    let apart = model.chances(&[seen(1, 0, None), seen(1, 0, None)]);
    assert!(apart.iter().all(|chance| *chance > 0.99));
}

/// A field that is a key by itself and that a hundredth of the strangers share, and candidates that are a little more
/// alike elsewhere than strangers are: the more of them the fit takes for the same persons, the fewer strangers the join
/// has counted as equal. What decoys show ends that; without it all 20,000 would become the same persons.
#[test]
fn a_fit_does_not_prove_itself_right() {
    let decoys: Vec<Vector> = (0..20_000)
        .map(|at| {
            let equal = if at % 100 == 0 { 0 } else { 4 };
            let alike = if at % 5 < 3 { 1 } else { 4 };
            vec![Some(equal), Some(alike), None]
        })
        .collect();
    let side = 1_414 + PAD_ROWS / 2;
    let mut evidence = Evidence {
        sizes: (side, side),
        decoys,
        alone: vec![Some((1, 20_000)), None, None],
        ..Evidence::default()
    };
    for _ in 0..20_000 {
        let mut one = seen(1, 1, None);
        (one.vector[0], one.vector[2]) = (Some(0), None);
        evidence.candidates.push(one);
    }
    let keys = [BTreeSet::from([0]), BTreeSet::new()];
    let model = model_of(&evidence, &keys);
    assert!(model.u[0][0] > 0.005, "{}", model.u[0][0]);
    assert!(model.expected < 12_000.0, "{}", model.expected);
    // Half of the decoys lack the field: what the join counted is of the others.
    evidence
        .decoys
        .iter_mut()
        .step_by(2)
        .for_each(|vector| vector[0] = None);
    let sampled = model.sampled(&evidence.decoys);
    assert!((sampled[0].both - 0.5).abs() < 1e-9 && (sampled[1].both - 1.0).abs() < 1e-9);
}
