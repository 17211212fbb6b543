//! `hedui-audit`: reads sealed files without any secret. In: envelopes, the signed agreement. Out: who sent
//! what to whom and when, and whether header, length, agreement and signature hold.
//! Invariant: no key file is ever opened; bodies stay sealed. Specification: protocol/SPEC.md, "Envelope".

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hedui_edge::home::read_signatures;
use hedui_edge::{Console, Problem, console, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::envelope::{Checked, Expectation, peek};
use hedui_protocol::header::Header;
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;

/// 审查 | Reads and verifies sealed files without any secret
#[derive(Parser)]
#[command(name = "hedui-audit", version)]
struct Arguments {
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 查看 | Print the header of sealed files
    Show {
        /// Sealed files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// 验证 | Verify header, length, parties and signature of sealed files under a signed agreement
    Verify {
        /// The agreement; its signatures lie beside it
        #[arg(long)]
        agreement: PathBuf,
        /// Sealed files
        #[arg(required = true)]
        files: Vec<PathBuf>,
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
        json: arguments.json,
    };
    match arguments.command {
        Command::Show { files } => {
            let mut all = Vec::new();
            for path in &files {
                let mut file = open(path)?;
                let (header, digest, _) =
                    peek(&mut file).map_err(|e| Problem::envelope(path, e))?;
                console.say(&format!("{}\n{}", path.display(), header.render()));
                all.push(line(path, &header, &digest));
            }
            console.object(&all);
            Ok(())
        }
        Command::Verify { agreement, files } => verify(&console, &agreement, &files),
        Command::Completions { shell } => {
            console::completions::<Arguments>(shell, "hedui-audit");
            Ok(())
        }
    }
}

fn verify(console: &Console, agreement_file: &Path, paths: &[PathBuf]) -> Result<(), Problem> {
    let text = files::read_text(agreement_file)?;
    let agreement = Agreement::parse(&text).map_err(|r| Problem::refused(agreement_file, r))?;
    let signers = agreement.signers(&read_signatures(agreement_file)?);
    if signers.len() != agreement.text().party.len() {
        let missing = agreement.text().party.len() - signers.len();
        let refusal = Refusal::NotInForce(format!("{missing} signatures are missing"));
        return Err(Problem::refused(agreement_file, refusal));
    }
    let (mut all, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        match verify_one(console, &agreement, path) {
            Ok(line) => all.push(line),
            Err(problem) => {
                console.note(&format!(
                    "无效 invalid: {problem} (exit code {})",
                    problem.exit_code()
                ));
                all.push(serde_json::json!({
                    "file": path.display().to_string(),
                    "valid": false,
                    "exit_code": problem.exit_code(),
                }));
                bad.push(problem);
            }
        }
    }
    console.object(&all);
    match bad.len() {
        0 => Ok(()),
        // One bad file keeps its own exit code; several share one.
        1 => Err(bad.remove(0)),
        count => Err(Problem::DoneWithRejects {
            what: format!("{count} of {} files are not valid", paths.len()),
        }),
    }
}

/// Verifies one file and says what it is.
fn verify_one(
    console: &Console,
    agreement: &Agreement,
    path: &Path,
) -> Result<serde_json::Value, Problem> {
    let (header, digest, _) =
        peek(&mut open(path)?).map_err(|error| Problem::envelope(path, error))?;
    let to = agreement
        .card(&header.to.0)
        .ok_or_else(|| Problem::refused(path, Refusal::WrongRecipient(header.to.0.to_string())))?;
    let expected = Expectation {
        me: to,
        agreement: agreement.digest(),
        epoch: agreement.epoch(),
        kinds: &[],
        party: &|name| agreement.card(name).cloned(),
    };
    Checked::read(open(path)?, &expected)
        .and_then(Checked::verify)
        .map_err(|error| Problem::envelope(path, error))?;
    console.say(&format!(
        "有效 valid: {} {} → {} 第 {} 号 number, {} 字节 bytes",
        header.kind.word(),
        header.from.0,
        header.to.0,
        header.seq,
        header.body_bytes
    ));
    let mut line = serde_json::to_value(line(path, &header, &digest)).unwrap_or_default();
    line["valid"] = true.into();
    Ok(line)
}

fn open(path: &Path) -> Result<BufReader<File>, Problem> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|error| Problem::io(path, error))
}

fn line(path: &Path, header: &Header, digest: &[u8; 32]) -> serde_json::Value {
    serde_json::json!({
        "file": path,
        "type": header.kind.word(),
        "from": header.from.0,
        "to": header.to.0,
        "seq": header.seq,
        "epoch": header.epoch,
        "agreement": header.agreement.to_hex(),
        "created": header.created,
        "body_bytes": header.body_bytes,
        "header_sha256": hex(digest),
    })
}
