//! `hedui-keys`: the safe's command line. In: arguments. Out: key files and cards.
//! Invariant: no command prints a secret or takes one from the command line.
//! Exit codes: README, "Exit codes".

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hedui_edge::home::HomeOptions;
use hedui_edge::passphrase::PassphraseSource;
use hedui_edge::{Console, Problem, console, files};
use hedui_keys::custodian::{self, command::CustodianCommand};
use hedui_keys::identity_file;
use hedui_keys::witness;
use hedui_protocol::identity::PartyCard;
use hedui_protocol::ids::Name;
use hedui_protocol::keyfile;
use hedui_protocol::refusal::Refusal;

/// 密钥保管 | Makes and keeps the key files of a party
#[derive(Parser)]
#[command(name = "hedui-keys", version)]
struct Arguments {
    #[command(flatten)]
    home: HomeOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 新建密钥 | Make a party's folder with a new key file and its public card
    New {
        /// Name of the party: a-z, 0-9 and '-'
        party: String,
    },
    /// 查看 | Show what a key file or card says about itself, never a secret
    Inspect,
    /// 更换口令 | Protect the key file with a new passphrase
    Passphrase {
        /// Read the new passphrase from the first line of this file
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<std::path::PathBuf>,
    },
    /// 密钥保管方 | Hold a share of an epoch's key: ceremony, answers, log, paper, destruction
    #[command(subcommand)]
    Custodian(CustodianCommand),
    /// 见证 | Check that the matcher's log only grew, and sign its checkpoint
    Witness {
        /// Folder where sealed files are exchanged
        #[arg(long, value_name = "DIR", default_value = "exchange")]
        exchange: std::path::PathBuf,
    },
    /// 命令补全 | Print completions for a shell
    Completions {
        /// Shell
        shell: console::Shell,
    },
}

fn main() -> ExitCode {
    console::run(work)
}

fn work(arguments: Arguments) -> Result<(), Problem> {
    let console = Console {
        json: arguments.home.json,
    };
    match arguments.command {
        Command::New { party } => {
            let name = Name::try_from(party)
                .map_err(|why| Problem::usage(why, "for example: hedui-keys new minzheng"))?;
            let card = identity_file::create(&arguments.home, &name)?;
            show(&console, &card);
            let path = arguments.home.card_file();
            console.say(&format!(
                "公开名片 public card: {} (交给协议起草方 give it to whoever drafts the agreement)",
                path.display()
            ));
            Ok(())
        }
        Command::Inspect => {
            let key_file = arguments.home.key_file();
            let text = files::read_text(&key_file)?;
            let name = keyfile::claimed_name(&text).map_err(|r| Problem::refused(&key_file, r))?;
            let path = arguments.home.card_file();
            let card = PartyCard::parse(&files::read_text(&path)?).filter(|card| card.name == name);
            let card = card.ok_or_else(|| {
                Problem::refused(
                    &path,
                    Refusal::malformed("card", "it does not fit the key file"),
                )
            })?;
            show(&console, &card);
            console.say(
                "名片未用口令核对 read from `card` without the passphrase: compare the number by telephone before it goes into an \
                 agreement",
            );
            Ok(())
        }
        Command::Passphrase {
            new_passphrase_file,
        } => {
            let new = PassphraseSource {
                passphrase_file: new_passphrase_file,
                passphrase_fd: None,
            };
            identity_file::change_passphrase(&arguments.home, &new)?;
            console.say("口令已更换 passphrase changed");
            Ok(())
        }
        Command::Custodian(command) => custodian::command::run(&arguments.home, &console, &command),
        Command::Witness { exchange } => witness::witness(&arguments.home, &console, &exchange),
        Command::Completions { shell } => {
            console::completions::<Arguments>(shell, "hedui-keys");
            Ok(())
        }
    }
}

fn show(console: &Console, card: &PartyCard) {
    console.say(&format!("单位 party   {}", card.name));
    console.say(&format!("密钥编号 key {}", card.key_id().to_hex()));
    console.object(&serde_json::json!({
        "party": card.name.as_str(),
        "key_id": card.key_id().to_hex(),
    }));
}
