//! Any parser of received bytes under libFuzzer; `HEDUI_TARGET` names it. In: bytes of the fuzzer. Out: nothing, or a crash
//! that is a finding. Invariant: the same functions as the short run in `tests/received`.
//! Specification: docs/TESTING.md, "Fuzzing".
#![no_main]

use std::sync::OnceLock;

use hedui_tests::received::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

fn target() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let wanted = std::env::var("HEDUI_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        let names = || TARGETS.map(|(name, _)| name).join(", ");
        found.unwrap_or_else(|| panic!("HEDUI_TARGET is one of {}", names())).1
    })
}

fuzz_target!(|data: &[u8]| target()(data));
