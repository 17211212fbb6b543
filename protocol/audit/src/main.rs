//! `hedui-audit`: reads sealed files without any secret. In: envelopes, the signed agreement. Out: who sent
//! what to whom and when, whether header, length, agreement and signature hold, and whether a run is whole.
//! Invariant: no key file is ever opened; bodies stay sealed. Specification: protocol/SPEC.md, "Envelope".

mod folder;
mod logged;
mod openings;
mod whole;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hedui_edge::clock::utc;
use hedui_edge::home::read_signatures;
use hedui_edge::{Console, Problem, console, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::envelope::peek;
use hedui_protocol::header::Header;
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;

use crate::folder::{Folder, Message, message, open};
use crate::openings::OpeningsOptions;

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
    /// 核查全程 | Verify everything in an exchange folder, and say what is missing or contradicts
    Run {
        /// The agreement; its signatures lie beside it
        #[arg(long, default_value = "agreement.toml")]
        agreement: PathBuf,
        /// Folder where sealed files are exchanged
        #[arg(long, value_name = "DIR", default_value = "exchange")]
        exchange: PathBuf,
        /// Folder in which this reviewer keeps what it saw of the matcher's log, from audit to audit
        #[arg(long, value_name = "DIR")]
        memory: Option<PathBuf>,
    },
    /// 名册抽查 | Verify the roll owner's openings against its commitment, and show the persons to compare with authorisations
    Openings {
        /// The agreement; its signatures lie beside it
        #[arg(long, default_value = "agreement.toml")]
        agreement: PathBuf,
        #[command(flatten)]
        options: OpeningsOptions,
    },
    /// 两方对照 | Compare what two parties hold: one number must not name two messages
    Compare {
        /// The agreement; its signatures lie beside it
        #[arg(long, default_value = "agreement.toml")]
        agreement: PathBuf,
        /// One party's folder of sealed files
        one: PathBuf,
        /// The other's
        other: PathBuf,
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
                all.push(line(path, &header, &hex(&digest)));
            }
            console.object(&all);
            Ok(())
        }
        Command::Verify { agreement, files } => verify(&console, &signed(&agreement)?, &files),
        Command::Run {
            agreement,
            exchange,
            memory,
        } => run(&console, &signed(&agreement)?, &exchange, memory.as_deref()),
        Command::Openings { agreement, options } => {
            finish(openings::verify(&console, &signed(&agreement)?, &options)?)
        }
        Command::Compare {
            agreement,
            one,
            other,
        } => compare(&console, &signed(&agreement)?, [&one, &other]),
        Command::Completions { shell } => {
            console::completions::<Arguments>(shell, "hedui-audit");
            Ok(())
        }
    }
}

/// An agreement that every party has signed, whatever the day.
fn signed(file: &Path) -> Result<Agreement, Problem> {
    let text = files::read_text(file)?;
    let agreement = Agreement::parse(&text).map_err(|r| Problem::refused(file, r))?;
    let signers = agreement.signers(&read_signatures(file)?);
    if signers.len() != agreement.text().party.len() {
        let missing = agreement.text().party.len() - signers.len();
        let refusal = Refusal::NotInForce(format!("{missing} signatures are missing"));
        return Err(Problem::refused(file, refusal));
    }
    Ok(agreement)
}

fn verify(console: &Console, agreement: &Agreement, paths: &[PathBuf]) -> Result<(), Problem> {
    let (mut all, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        match message(path, agreement) {
            Ok(message) => {
                say_valid(console, &message);
                let mut line = line(path, &message.header, &hex(&message.digest));
                line["valid"] = true.into();
                all.push(line);
            }
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

fn say_valid(console: &Console, message: &Message) {
    let header = &message.header;
    console.say(&format!(
        "有效 valid: {} {} → {} 第 {} 号 number, {} 字节 bytes",
        header.kind.word(),
        header.from.0,
        header.to.0,
        header.seq,
        header.body_bytes
    ));
}

/// Everything in a folder, and what is missing.
fn run(
    console: &Console,
    agreement: &Agreement,
    exchange: &Path,
    memory: Option<&Path>,
) -> Result<(), Problem> {
    let folder = Folder::read(exchange, agreement)?;
    let logged = logged::look(exchange, &folder, agreement, memory)?;
    let mut findings = whole::findings(&folder, agreement);
    findings.extend(logged.findings);
    let mut counts: BTreeMap<(&str, &str, &str), (u64, u64)> = BTreeMap::new();
    for Message { header, .. } in &folder.messages {
        let key = (
            header.from.0.as_str(),
            header.to.0.as_str(),
            header.kind.word(),
        );
        let (files, bytes) = counts.entry(key).or_default();
        *files += 1;
        *bytes += header.body_bytes;
    }
    console.say(&format!(
        "协议 agreement: {} ({}…), 期次 epoch {}, 全部签署 signed by all {}",
        agreement.text().name,
        agreement
            .digest()
            .to_hex()
            .chars()
            .take(12)
            .collect::<String>(),
        agreement.epoch().0,
        agreement.text().party.len()
    ));
    for ((from, to, kind), (files, bytes)) in &counts {
        console.say(&format!(
            "  {from} → {to}  {kind}: {files} 份 files, {bytes} 字节 bytes"
        ));
    }
    for (path, signers) in &folder.records {
        let (path, signers) = (path.display(), signers.join(", "));
        console.say(&format!(
            "  期次记录 epoch record {path}: 签署 signed by {signers}"
        ));
    }
    for (path, persons) in &folder.commitments {
        let path = path.display();
        console.say(&format!(
            "  名册承诺 roll commitment {path}: {persons} 人 persons"
        ));
    }
    if let Some(entries) = logged.entries {
        console.say(&format!("  公开日志 log: {entries} 条 entries"));
    }
    for (name, size, time) in &logged.witnesses {
        console.say(&format!(
            "  见证 witnessed by {name}: {size} 条 entries, {}",
            utc(*time)
        ));
    }
    let undecided = whole::undecided(&folder);
    for (department, requests) in &undecided {
        console.say(&format!(
            "  协查待答复 disclosure requests without an answer: {department} {requests} 份 files"
        ));
    }
    for path in &folder.others {
        console.say(&format!("  未查看 not looked at: {}", path.display()));
    }
    for finding in &findings {
        console.say(&format!(
            "发现 finding [{}]: {}",
            finding.rule, finding.text
        ));
    }
    let valid = folder.messages.len();
    console.say(&format!(
        "有效 valid {valid}, 无效 invalid {}, 发现 findings {}",
        folder.invalid.len(),
        findings.len()
    ));
    let pair = |f: &whole::Finding| serde_json::json!({"rule": f.rule, "text": f.text});
    console.object(&serde_json::json!({
        "agreement": agreement.digest().to_hex(),
        "epoch": agreement.epoch().0,
        "valid": valid,
        "invalid": folder.invalid.len(),
        "log_entries": logged.entries,
        "witnesses": logged.witnesses.iter().map(|(name, size, time)| {
            serde_json::json!({"witness": name, "entries": size, "time": time})
        }).collect::<Vec<_>>(),
        "disclosure_requests_open": undecided,
        "findings": findings.iter().map(pair).collect::<Vec<_>>(),
        "messages": folder.messages.iter().map(|m| line(&m.path, &m.header, &hex(&m.digest))).collect::<Vec<_>>(),
    }));
    finish(findings.len())
}

/// Messages of one sender, recipient and number that are not the same in two folders.
fn compare(console: &Console, agreement: &Agreement, folders: [&Path; 2]) -> Result<(), Problem> {
    type Key = (String, String, u64);
    let read = |folder: &Path| -> Result<BTreeMap<Key, Message>, Problem> {
        let found = Folder::read(folder, agreement)?;
        let key = |m: &Message| {
            (
                m.header.from.0.to_string(),
                m.header.to.0.to_string(),
                m.header.seq,
            )
        };
        Ok(found.messages.into_iter().map(|m| (key(&m), m)).collect())
    };
    let [one, other] = [read(folders[0])?, read(folders[1])?];
    let mut differing = Vec::new();
    let mut same = 0;
    for (key, mine) in &one {
        match other.get(key) {
            Some(theirs) if theirs.digest != mine.digest => {
                console.say(&format!(
                    "发现 finding [differs]: {} → {} 第 {} 号 number: {} ≠ {}",
                    key.0,
                    key.1,
                    key.2,
                    mine.path.display(),
                    theirs.path.display()
                ));
                differing.push(serde_json::json!({"from": key.0, "to": key.1, "seq": key.2}));
            }
            Some(_) => same += 1,
            None => {}
        }
    }
    let [only_one, only_other] =
        [one.len() - same, other.len() - same].map(|n| n - differing.len());
    console.say(&format!(
        "相同 the same {same}, 不同 differing {}, 仅一方有 only in the first {only_one}, in the second {only_other}",
        differing.len()
    ));
    console.object(&serde_json::json!({
        "same": same, "differing": differing, "only_first": only_one, "only_second": only_other,
    }));
    finish(differing.len())
}

fn finish(findings: usize) -> Result<(), Problem> {
    match findings {
        0 => Ok(()),
        count => Err(Problem::DoneWithRejects {
            what: format!("{count} 项发现，请核查 findings to look into"),
        }),
    }
}

fn line(path: &Path, header: &Header, digest: &str) -> serde_json::Value {
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
        "header_sha256": digest,
    })
}
