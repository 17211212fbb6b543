//! Bytes that come from elsewhere: a short, repeatable run of every target that `tests/fuzz` has for longer ones. In: the
//! vectors, kept corpora, and what is made of them. Out: passes, or the input at which a parser panicked. Invariant under test:
//! no received byte makes a program panic. Specification: docs/TESTING.md, "Fuzzing".

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hedui_protocol::primitive::{hex, sha256};
use hedui_tests::county::dice::Dice;
use hedui_tests::parties::{FIELDS, agreement};
use hedui_tests::received::{TARGETS, run};
use hedui_tests::run::workspace;
use rayon::prelude::*;
use serde_json::Value;

/// Inputs made per target.
const INPUTS: u32 = 20_000;
/// Longest of them, in bytes.
const LONGEST: usize = 64 << 10;

/// What each target starts from: texts and bytes of the vectors, and inputs that once found something.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let folder = workspace().join("tests/fuzz/corpus").join(target);
    let kept = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut kept: Vec<PathBuf> = kept.map(|entry| entry.path()).collect();
    kept.sort();
    seeds.extend(kept.iter().map(|path| fs::read(path).expect("corpus")));
    let mut vectors = fs::read_dir(workspace().join("protocol/vectors"))
        .expect("vectors")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect::<Vec<_>>();
    vectors.sort();
    for path in vectors {
        let text = fs::read_to_string(path).expect("vectors");
        leaves(&serde_json::from_str(&text).expect("JSON"), &mut seeds);
    }
    seeds.push(agreement(FIELDS).effective().as_bytes().to_vec());
    seeds.push(Vec::new());
    seeds.sort();
    seeds.dedup();
    seeds
}

/// Texts of a vector file, those in hexadecimal also as the bytes that they mean.
fn leaves(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => {
            let pairs = text.as_bytes().chunks(2);
            let bytes: Option<Vec<u8>> = pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            into.extend(bytes.filter(|bytes| bytes.len() <= LONGEST));
            if text.len() <= LONGEST {
                into.push(text.as_bytes().to_vec());
            }
        }
        Value::Array(list) => list.iter().for_each(|value| leaves(value, into)),
        Value::Object(map) => map.values().for_each(|value| leaves(value, into)),
        _ => {}
    }
}

/// Changes an input a little: bits, bytes that mean something, pieces gone, twice or of another.
fn change(dice: &mut Dice, data: &mut Vec<u8>, others: &[Vec<u8>]) {
    for _ in 0..dice.between(1, 6) {
        let len = u32::try_from(data.len()).unwrap_or(0);
        let place = |dice: &mut Dice| dice.between(0, len.max(1) - 1) as usize;
        match dice.between(0, 6) {
            _ if data.is_empty() => data.push(0x30),
            0 => {
                let at = place(dice);
                data[at] ^= 1 << dice.between(0, 7);
            }
            1 => {
                let words = [
                    0, 0xff, b'\n', b' ', b'-', b'0', b'9', b'"', b'[', 0x80, 0xe4,
                ];
                let at = place(dice);
                data[at] = words[dice.between(0, 10) as usize];
            }
            2 => data.truncate(place(dice)),
            3 => {
                let (from, to) = (place(dice), place(dice));
                data.drain(from.min(to)..from.max(to));
            }
            4 => {
                let (from, to) = (place(dice), place(dice));
                let piece = data[from.min(to)..from.max(to)].to_vec();
                let at = place(dice);
                data.splice(at..at, piece);
            }
            5 => {
                let other = &others[dice.between(0, others.len() as u32 - 1) as usize];
                let at = place(dice);
                data.truncate(at);
                data.extend_from_slice(&other[at.min(other.len())..]);
            }
            _ => {
                let at = place(dice);
                data.insert(at, dice.between(0, 255) as u8);
            }
        }
        data.truncate(LONGEST);
    }
}

#[test]
fn no_parser_of_received_bytes_panics() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found: Vec<String> = TARGETS
        .par_iter()
        .flat_map_iter(|(target, _)| {
            let seeds = seeds(target);
            let mut dice = Dice::new(u64::from(sha256(&[target.as_bytes()])[0]));
            let made = (0..INPUTS).map(|number| {
                let mut data = seeds[number as usize % seeds.len()].clone();
                if number as usize >= seeds.len() {
                    change(&mut dice, &mut data, &seeds);
                }
                data
            });
            let fails =
                |data: &Vec<u8>| catch_unwind(AssertUnwindSafe(|| run(target, data))).is_err();
            let bad: Vec<String> = made
                .filter(fails)
                .take(3)
                .map(|data| format!("{target}: {}", hex(&data[..data.len().min(4096)])))
                .collect();
            bad
        })
        .collect();
    std::panic::set_hook(quiet);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
