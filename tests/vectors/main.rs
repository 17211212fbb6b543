//! Golden vectors: every file of protocol/vectors is what the code says, and what an independent program (`rederive.py`,
//! which shares nothing with it) derives from SPEC.md. In: the files. Out: passes, or the vector that differs. Invariant
//! under test: a changed normal form, derivation or check is a new version. `HEDUI_BLESS=1` writes the files anew.

mod bodies;
mod disclosure;
mod envelopes;
mod evidence;
mod filters;
mod log;
mod parties;
mod roll;
mod scenario;

use std::fs;
use std::process::Command;

use hedui_protocol::field::{FieldKind, Form, Gazetteer, Quality};
use hedui_tests::run::workspace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Vectors {
    version: u8,
    gazetteer: String,
    vectors: Vec<Vector>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Vector {
    kind: FieldKind,
    raw: String,
    #[serde(default)]
    quality: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    forms: BTreeMap<String, String>,
}

fn quality_word(quality: Quality) -> String {
    serde_json::to_value(quality)
        .expect("word")
        .as_str()
        .expect("text")
        .to_owned()
}

fn derive(kind: FieldKind, raw: &str, places: &Gazetteer) -> Vector {
    let cell = kind.normalise(raw, places);
    let word = |form: Form| {
        serde_json::to_value(form)
            .expect("word")
            .as_str()
            .expect("text")
            .to_owned()
    };
    let forms = kind.forms().iter().filter(|form| **form != Form::Whole);
    Vector {
        kind,
        raw: raw.to_owned(),
        quality: quality_word(cell.quality),
        value: cell.value.clone(),
        forms: forms
            .filter_map(|form| Some((word(*form), form.of(kind, &cell)?)))
            .collect(),
    }
}

#[test]
fn normal_forms_are_frozen() {
    let path = workspace().join("protocol/vectors/field-kinds.json");
    let mut file: Vectors =
        serde_json::from_str(&fs::read_to_string(&path).expect("vectors")).expect("JSON");
    assert_eq!(file.version, hedui_protocol::field::VERSION);
    let places = Gazetteer::parse(&file.gazetteer).unwrap_or_default();
    let derived: Vec<Vector> = file
        .vectors
        .iter()
        .map(|vector| derive(vector.kind, &vector.raw, &places))
        .collect();
    if std::env::var_os("HEDUI_BLESS").is_some() {
        file.vectors = derived;
        fs::write(
            &path,
            serde_json::to_string_pretty(&file).expect("JSON") + "\n",
        )
        .expect("written");
        return;
    }
    assert!(file.vectors.len() >= 150, "{} vectors", file.vectors.len());
    for (expected, got) in file.vectors.iter().zip(&derived) {
        assert!(
            expected == got,
            "{:?} {:?}: {}",
            expected.kind,
            expected.raw,
            serde_json::to_string(got).expect("JSON")
        );
    }
}

#[test]
fn vectors_are_what_the_code_says() {
    evidence::the_keyed_lock_is_the_definition();
    let scenarios = [
        parties::identities(),
        parties::agreements(),
        envelopes::headers(),
        envelopes::envelopes(),
        parties::epoch_records(),
        evidence::match_keys(),
        evidence::tokens(),
        evidence::tags(),
        evidence::oprf(),
        filters::filters(),
        bodies::bodies(),
        bodies::decisions(),
        disclosure::disclosure(),
        log::log(),
        roll::roll(),
    ];
    let [mut all, mut refused] = [0, 0];
    for scenario in &scenarios {
        scenario.settle();
        let counts = scenario.counts();
        all += counts[0];
        refused += counts[1];
    }
    println!("{all} vectors, {refused} refused");
    assert!(all >= 150 && refused * 2 >= all);
}

/// The independent program, where there is a Python to run it; `.ci/run` always has one.
#[test]
fn an_independent_program_derives_the_same() {
    let program = workspace().join("tests/vectors/rederive.py");
    let Ok(done) = Command::new("python3").arg(program).output() else {
        println!("no python3 here: not re-derived");
        return;
    };
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    assert!(
        done.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
