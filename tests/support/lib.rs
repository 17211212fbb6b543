//! The proving ground: synthetic county, runner of the real binaries, scorer.
//! In: scale, seed. Out: files, runs, scores. Invariant: `county` imports none of our crates; `run` talks
//! to the product only through its binaries.
//! Tests lie beside this folder, one theme per target.
#![forbid(unsafe_code)]
pub mod bench;
pub mod county;
pub mod county_run;
pub mod febrl;
pub mod forbidden;
pub mod kills;
pub mod opened;
pub mod parties;
pub mod people;
pub mod quarterly;
pub mod questions;
pub mod received;
pub mod run;
pub mod score;
pub mod workbook;
pub mod year;
