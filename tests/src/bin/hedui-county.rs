//! `hedui-county`: writes the synthetic county. In: scale, seed, folder. Out: registers, gazetteer, truth.
//! Invariant: the same scale and seed give the same files.
//! The model: tests/support/county.
#![expect(clippy::print_stdout, reason = "a tool of the proving ground")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hedui_tests::county::{Scale, generate, write};

/// 合成县 | Write a synthetic county: registers as departments keep them, and the planted truth
#[derive(Parser)]
struct Arguments {
    /// Folder to write into
    folder: PathBuf,
    /// How large
    #[arg(long, value_enum, default_value = "town")]
    scale: Scale,
    /// Seed
    #[arg(long, default_value_t = 2016)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let county = generate(arguments.scale, arguments.seed);
    match write::write(&county, &arguments.folder) {
        Ok(()) => {
            for (name, register) in &county.registers {
                println!("{:>8} {name}", register.rows.len());
            }
            println!(
                "{:>8} clues, {} decoys",
                county.clues.len(),
                county.decoys.len()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}: {error}", arguments.folder.display());
            ExitCode::from(2)
        }
    }
}
