//! Commands on agreements: new, show, sign, check, diff. In: cards, templates, files. Out: an agreement and
//! its signatures. Invariant: what is signed is the effective text that `show` prints.
//! Specification: protocol/SPEC.md, "Agreement"; README, "Ten minutes".

use std::path::{Path, PathBuf};

use clap::Subcommand;
use hedui_edge::home::{HomeOptions, read_signatures, signature_file};
use hedui_edge::{Console, Problem, files};
use hedui_keys::lock::KEYED_WARNING;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::agreement::text::LockKind;

use super::draft;

/// Commands on agreements.
#[derive(Subcommand)]
pub enum AgreementCommand {
    /// 起草 | Draft an agreement from a template and the parties' cards
    New(Box<draft::NewOptions>),
    /// 查看 | Print the configuration in force, defaults filled in, and its digest
    Show,
    /// 签署 | Sign the agreement with this party's key
    Sign,
    /// 检查 | Say who has signed and whether it is in force
    Check,
    /// 比较 | List the lines in which two agreements differ
    Diff {
        /// The other agreement
        other: PathBuf,
    },
}

/// Runs a command on agreements.
pub fn run(
    home: &HomeOptions,
    console: &Console,
    command: &AgreementCommand,
) -> Result<(), Problem> {
    match command {
        AgreementCommand::New(options) => draft::new(home, console, options),
        AgreementCommand::Show => show(home, console),
        AgreementCommand::Sign => sign(home, console),
        AgreementCommand::Check => check(home, console),
        AgreementCommand::Diff { other } => diff(home, console, other),
    }
}

fn show(home: &HomeOptions, console: &Console) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    console.say(agreement.effective());
    print_digest(console, &agreement);
    draft::print_costs(console, &agreement);
    if agreement.text().lock == LockKind::Keyed {
        console.note(KEYED_WARNING);
    }
    if let Some((likeness, _)) = agreement.likeness() {
        console.note(likeness.notice());
    }
    console.object(&serde_json::json!({
        "digest": agreement.digest().to_hex(),
        "effective": agreement.text(),
    }));
    Ok(())
}

/// Shows in which lines the text differs from the one of the same name that this party signed last.
fn warn_of_changes(
    home: &HomeOptions,
    console: &Console,
    agreement: &Agreement,
) -> Result<(), Problem> {
    let Ok(entries) = std::fs::read_dir(home.state()) else {
        return Ok(());
    };
    let signed = entries.flatten().map(|entry| entry.path()).filter(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name.starts_with("signed-") && name.ends_with(".toml")
    });
    let latest = signed.max_by_key(|path| std::fs::metadata(path).and_then(|m| m.modified()).ok());
    let Some(path) = latest else { return Ok(()) };
    let before = files::read_text(&path)?;
    if before == agreement.effective() {
        return Ok(());
    }
    console.note(
        "与本单位上次签署的文本不同 this text differs from the one that this party signed last:",
    );
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&before), lines(agreement.effective()));
    for (mark, from, against) in [("-", &old, &new), ("+", &new, &old)] {
        for line in from
            .iter()
            .filter(|line| !line.is_empty() && !against.contains(line))
        {
            console.note(&format!("  {mark} {line}"));
        }
    }
    Ok(())
}

pub(super) fn print_digest(console: &Console, agreement: &Agreement) {
    console.say(&format!("协议摘要 digest: {}", agreement.digest().to_hex()));
}

pub(super) fn sign(home: &HomeOptions, console: &Console) -> Result<(), Problem> {
    let path = home.agreement_file();
    let agreement = home.read_agreement()?;
    let line = agreement.sign(&home.identity()?)?;
    warn_of_changes(home, console, &agreement)?;
    let mut signatures = read_signatures(&path)?;
    if !signatures.contains(&line) {
        signatures.push_str(&line);
        files::write_bytes(&signature_file(&path), signatures.as_bytes())?;
    }
    // What was signed stays provable, whatever happens to the shared file.
    let digits: String = agreement.digest().to_hex().chars().take(16).collect();
    files::private_folder(&home.state())?;
    let own = home.state().join(format!("signed-{digits}.toml"));
    files::write_bytes(&own, agreement.effective().as_bytes())?;
    console.say(&format!(
        "已签署 signed: {}",
        signature_file(&path).display()
    ));
    status(console, &agreement, &signatures);
    Ok(())
}

/// Says who has signed and who has not; `true` if all have.
fn status(console: &Console, agreement: &Agreement, signatures: &str) -> bool {
    let signers = agreement.signers(signatures);
    let mut complete = true;
    for party in &agreement.text().party {
        let signed = signers.contains(&party.name);
        complete &= signed;
        let other = format!("hedui-agreement-signature/1 {} ", party.name);
        let word = if signed {
            "已签 signed"
        } else if signatures.lines().any(|line| line.starts_with(&other)) {
            "所签为另一文本 signed another text"
        } else {
            "未签 not yet"
        };
        console.say(&format!(
            "  {word:14} {} {}",
            party.name,
            agreement.title_of(&party.name)
        ));
    }
    console.object(&serde_json::json!({
        "digest": agreement.digest().to_hex(),
        "signed_by": signers,
        "complete": complete,
    }));
    complete
}

fn check(home: &HomeOptions, console: &Console) -> Result<(), Problem> {
    let agreement = home.read_agreement()?;
    let signatures = read_signatures(&home.agreement_file())?;
    print_digest(console, &agreement);
    status(console, &agreement, &signatures);
    let today = home.clock()?.today();
    agreement
        .in_force(&signatures, &today)
        .map_err(|r| Problem::refused(home.agreement_file(), r))?;
    console.say("协议有效 in force");
    Ok(())
}

fn diff(home: &HomeOptions, console: &Console, other: &Path) -> Result<(), Problem> {
    let ours = home.read_agreement()?;
    let theirs =
        Agreement::parse(&files::read_text(other)?).map_err(|r| Problem::refused(other, r))?;
    let lines = |agreement: &Agreement| -> Vec<String> {
        agreement.effective().lines().map(str::to_owned).collect()
    };
    let (ours_lines, theirs_lines) = (lines(&ours), lines(&theirs));
    let mut same = true;
    for (mark, from, against) in [
        ("-", &ours_lines, &theirs_lines),
        ("+", &theirs_lines, &ours_lines),
    ] {
        for line in from
            .iter()
            .filter(|line| !line.is_empty() && !against.contains(line))
        {
            console.say(&format!("{mark} {line}"));
            same = false;
        }
    }
    same &= ours.digest() == theirs.digest();
    console.say(if same {
        "两份协议相同 the agreements are the same"
    } else {
        "两份协议不同 the agreements differ"
    });
    console.object(&serde_json::json!({ "same": same }));
    Ok(())
}
