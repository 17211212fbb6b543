//! `hedui-agent-odbc`: a table over ODBC into the file that the mapping names. In: a mapping with `[odbc]`. Out: CSV in UTF-8,
//! whole or not at all; after an interruption it goes on where it was. Invariant: reads only; a password is never on a
//! command line or in a file of ours; an error names the column, never a value.
//! Specification: docs/OPERATIONS.md, "Databases".

mod fetch;
mod query;
mod resume;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hedui_edge::passphrase::PassphraseSource;
use hedui_edge::{Console, Problem, console};

/// 数据库取数 | Fetch a table over ODBC into the file that a mapping names
#[derive(Parser)]
#[command(name = "hedui-agent-odbc", version)]
struct Arguments {
    /// Print one JSON object on stdout
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 取数 | Fetch the whole table, or go on with a fetch that was interrupted
    Fetch {
        /// Mapping with [odbc]
        mapping: PathBuf,
        /// Do not count the rows first (no remaining time is shown)
        #[arg(long)]
        no_count: bool,
        /// Begin again, even if an interrupted fetch could go on
        #[arg(long)]
        anew: bool,
        /// Password of the database user
        #[command(flatten)]
        password: PassphraseSource,
    },
    /// 驱动 | List drivers and data sources that this machine knows
    Drivers,
    /// 命令补全 | Print completions for a shell
    Completions {
        /// Shell
        shell: console::Shell,
    },
}

fn run(arguments: Arguments) -> Result<(), Problem> {
    let console = Console {
        json: arguments.json,
    };
    match arguments.command {
        Command::Fetch {
            mapping,
            no_count,
            anew,
            password,
        } => {
            let options = fetch::Options {
                mapping: &mapping,
                count: !no_count,
                anew,
                password: &password,
            };
            fetch::fetch(&console, &options)
        }
        Command::Drivers => fetch::drivers(&console),
        Command::Completions { shell } => {
            console::completions::<Arguments>(shell, "hedui-agent-odbc");
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    console::run(run)
}
