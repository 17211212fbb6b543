//! What a vector file is. In: operations with their inputs and what our code makes of them. Out: the JSON of one scenario,
//! written or compared. Invariant: a file holds what the code says today, so the independent program checks the
//! code through it. Specification: protocol/SPEC.md, "Vectors".

use std::fs;

use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;
use hedui_tests::run::workspace;
use serde_json::{Value, json};

/// Vectors of one part of the specification.
pub struct Scenario {
    name: &'static str,
    vectors: Vec<Value>,
}

impl Scenario {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            vectors: Vec::new(),
        }
    }

    /// An operation that succeeds.
    pub fn gives(&mut self, name: &str, op: &str, mut input: Value, out: Value) {
        input["op"] = json!(op);
        self.vectors
            .push(json!({"name": name, "in": input, "out": out}));
    }

    /// An operation that is refused with an exit code; 0: the specification names none.
    pub fn refuses(&mut self, name: &str, op: &str, mut input: Value, code: u8) {
        input["op"] = json!(op);
        self.vectors
            .push(json!({"name": name, "in": input, "refused": code}));
    }

    /// Whichever of the two our code says.
    pub fn says(&mut self, name: &str, op: &str, input: Value, said: Result<Value, Refusal>) {
        match said {
            Ok(out) => self.gives(name, op, input, out),
            Err(refusal) => self.refuses(name, op, input, refusal.exit_code()),
        }
    }

    /// Number of vectors, and of those that are refused.
    pub fn counts(&self) -> [usize; 2] {
        let refused = self.vectors.iter().filter(|v| v.get("refused").is_some());
        [self.vectors.len(), refused.count()]
    }

    /// Compares with the file, or writes it where `HEDUI_BLESS` is set.
    pub fn settle(&self) {
        let path = workspace().join(format!("protocol/vectors/{}.json", self.name));
        let made = json!({"scenario": self.name, "vectors": self.vectors});
        if std::env::var_os("HEDUI_BLESS").is_some() {
            let text = serde_json::to_string_pretty(&made).expect("JSON") + "\n";
            fs::write(&path, text).expect("written");
            return;
        }
        let held: Value =
            serde_json::from_str(&fs::read_to_string(&path).expect("vectors")).expect("JSON");
        let (held, made) = (held["vectors"].as_array(), made["vectors"].as_array());
        let (held, made) = (held.expect("vectors"), made.expect("vectors"));
        for (held, made) in held.iter().zip(made) {
            assert!(
                held == made,
                "{}: {} is now {made}",
                self.name,
                held["name"]
            );
        }
        assert_eq!(held.len(), made.len(), "{}", self.name);
    }
}

/// Bytes as the files have them.
pub fn h(bytes: impl AsRef<[u8]>) -> Value {
    Value::from(hex(bytes.as_ref()))
}

/// The same for several.
pub fn all<B: AsRef<[u8]>>(list: &[B]) -> Value {
    list.iter().map(h).collect()
}
