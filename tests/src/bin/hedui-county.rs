//! `hedui-county`: writes the synthetic county. In: scale, seed, folder. Out: registers, gazetteer, truth.
//! Invariant: the same scale and seed give the same files.
//! The model: tests/support/county.
#![expect(clippy::print_stdout, reason = "a tool of the proving ground")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hedui_tests::county::{County, Scale, generate, later, write};

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
    /// Every register also as UTF-8, GB 18030 and workbook, in folders of their own
    #[arg(long)]
    every_format: bool,
    /// Deltas of the six quarters after the snapshot
    #[arg(long)]
    quarters: bool,
    /// Month-level payments of the last year (1.6 to 2 million rows in the county)
    #[arg(long)]
    payments: bool,
}

fn write_all(county: &County, arguments: &Arguments) -> std::io::Result<()> {
    let folder = &arguments.folder;
    write::write(county, folder)?;
    if arguments.every_format {
        write::every_format(county, folder)?;
    }
    if arguments.quarters {
        later::quarters(county, arguments.seed, folder)?;
    }
    if arguments.payments {
        let rows = later::payments(county, arguments.seed, folder)?;
        println!("{rows:>8} payments");
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let county = generate(arguments.scale, arguments.seed);
    match write_all(&county, &arguments) {
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
