//! Golden vectors: the normal forms of all field kinds, frozen. In: protocol/vectors/field-kinds.json. Out:
//! passes, or the value whose normal form changed. Invariant under test: a changed form is a new version.
//! `HEDUI_BLESS=1` writes the file anew from its own inputs, for a new version only.

use std::fs;

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
