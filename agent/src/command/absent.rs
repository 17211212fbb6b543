//! The command `absent`, for a register's owner: which of its own records nobody of the roll was found for. In: the matcher's own
//! result, the delivered records, the rules. Out: a list of own rows. Invariant: only where the agreement says `own_result`, and
//! only about the very data that were compared; an own result that is not whole is not used.
//! Specification: protocol/SPEC.md, "Own result"; docs/OPERATIONS.md, "Absent".

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, files};
use hedui_keys::vault;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Handle;
use hedui_protocol::limits::{MANIFEST_BYTES_MAX, PAD_ROWS};
use hedui_protocol::message::own_result::Manifest;
use hedui_protocol::message::{manifest_len, parse_manifest};
use hedui_protocol::refusal::Refusal;

use super::mailbox::handle_rows;
use super::post::{ExchangeOptions, received};
use crate::canary;
use crate::changes::kept::Kept;
use crate::clue::absent::{self, Absent, Canaries};
use crate::clue::rules::Rules;
use crate::disclosure::delivered;
use crate::disclosure::words::Words;
use crate::record::Pseudonyms;

/// Options of `absent`.
#[derive(Args)]
pub struct AbsentOptions {
    #[command(flatten)]
    exchange: ExchangeOptions,
    /// A register of one's own
    #[arg(long)]
    dataset: String,
    /// Rule file that the agreement names
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Where to write the list (default: absent-DATASET.csv)
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
}

/// `absent`: lists own rows that a rule says to look into because nobody of the roll was found for them.
pub fn absent(
    home: &HomeOptions,
    console: &Console,
    options: &AbsentOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    let _guard = files::guard(&state)?;
    let dataset = super::dataset_named(&agreement, &options.dataset)?;
    let name = dataset.name.as_str();
    if dataset.owner != identity.card().name || !dataset.own_result {
        return Err(Problem::data(
            format!(
                "`{name}`: 协议未约定告知本单位 the agreement does not say that this party is told about it"
            ),
            "协议中该数据须有 own_result = true，且属于本单位 the dataset needs own_result = true in the agreement, and must be this party's",
        ));
    }
    let today = home.clock()?.today();
    let rules = Rules::read(&options.rules, &agreement, &today)?;
    let chosen = absent::rules_of(&rules, dataset);
    if chosen.is_empty() {
        return Err(Problem::data(
            format!(
                "`{name}`: 规则中没有适用的 `absent` 规则 no valid rule with the effect `absent` looks at it"
            ),
            "在规则文件中加入，并重新签署协议 add one to the rule file, and sign a new agreement",
        ));
    }
    let folders = (state.as_path(), options.exchange.exchange.as_path());
    let (seq, manifest, found) = latest(folders, &identity, &agreement, dataset, console)?;
    let found: BTreeSet<Handle> = found.into_iter().collect();
    check_canaries(&identity, &agreement, dataset, &found, console)?;
    let places = handle_rows(home, &identity, &agreement, name)?;
    let since = Kept::of(&state, &identity, &agreement, name).changed()?;
    let path = delivered::path(&state, &agreement, name);
    let today = today.replace('-', "").parse().unwrap_or(0);
    let words = Words::of(&agreement, Some(&rules));
    let mut result = Absent::default();
    let snapshot = delivered::each(
        (&path, &identity),
        (&agreement, dataset),
        since.as_ref(),
        |handle| !found.contains(handle),
        |handle, record| {
            let rows = places.get(&handle).map_or(&[][..], Vec::as_slice);
            result.look((&rules, &chosen, &words), (dataset, today), &record, rows)
        },
    )?;
    if snapshot != manifest.snapshot {
        return Err(Problem::not_yet(
            format!(
                "`{name}`: 核对中心告知的是此前报送的数据 what the matcher told is about an earlier delivery"
            ),
            "等核对中心下一次比对 wait for the matcher's next run",
        ));
    }
    keep_newest(&state, &agreement, dataset, seq)?;
    result.sort();
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| PathBuf::from(format!("absent-{name}.csv")));
    let title = Agreement::title_of_dataset(dataset);
    absent::write(&out, &title, &result.lines)?;
    console.say(&format!(
        "{title}: 名册中未找到 not found on the roll {} 条登记 records（名册截至 roll as of {}）, 建议走访了解 to look into {} 条 → {}",
        result.records,
        manifest.roll_as_of,
        result.lines.len(),
        out.display()
    ));
    console.object(&serde_json::json!({
        "dataset": name,
        "found": found.intersection(&places.keys().copied().collect()).count(),
        "absent": result.records,
        "lines": result.lines.len(),
        "exempted": result.exempted,
        "roll_as_of": manifest.roll_as_of,
    }));
    Ok(())
}

/// The matcher's latest own result of a register.
fn latest(
    folders: (&Path, &Path),
    identity: &Identity,
    agreement: &InForce,
    dataset: &Dataset,
    console: &Console,
) -> Result<(u64, Manifest, Vec<Handle>), Problem> {
    let rows_max = dataset.rows_max + PAD_ROWS;
    let limit = MANIFEST_BYTES_MAX as u64 + 4 + rows_max.saturating_mul(Handle::LEN as u64);
    let expected = (MessageType::OwnResult, &agreement.matcher().name);
    let mut newest = None;
    let mut messages = received(folders, identity, agreement, expected, console)?;
    messages.sort_by_key(|(_, verified)| verified.header().seq);
    for (path, mut verified) in messages {
        let seq = verified.header().seq;
        let body = exchange::open_small(&path, &mut verified, identity, limit);
        let said = body.and_then(|body| {
            read(agreement, &body).map_err(|refusal| Problem::refused(&path, refusal))
        });
        match said {
            Ok((manifest, found)) if manifest.register == dataset.name => {
                newest = Some((path, seq, manifest, found));
            }
            Ok(_) => {}
            Err(problem @ Problem::Refused { .. }) => console.note(&problem.to_string()),
            Err(problem) => return Err(problem),
        }
    }
    let (path, seq, manifest, found) = newest.ok_or_else(|| {
        Problem::not_yet(
            format!(
                "`{}`: 尚未收到核对中心的告知文件 the matcher has not told anything yet, or the file is missing",
                dataset.name
            ),
            "等核对中心比对后再运行；文件丢失的请重新拷贝 run it again after the matcher's run; copy the file again if it was lost",
        )
    })?;
    let last = last_used(folders.0, agreement, dataset)?;
    if seq < last {
        let found = seq;
        return Err(Problem::refused(
            &path,
            Refusal::WrongSequence { last, found },
        ));
    }
    Ok((seq, manifest, found))
}

fn place_of(state: &Path, agreement: &InForce, dataset: &Dataset) -> PathBuf {
    let place = vault::place(agreement);
    state.join(format!("own-result-{}-{place}.seq", dataset.name))
}

/// Number of the newest own result that was used: a courier may hold back a newer one.
fn last_used(state: &Path, agreement: &InForce, dataset: &Dataset) -> Result<u64, Problem> {
    let path = place_of(state, agreement, dataset);
    if !path.exists() {
        return Ok(0);
    }
    Ok(files::read_text(&path)?.trim().parse().unwrap_or(0))
}

fn keep_newest(
    state: &Path,
    agreement: &InForce,
    dataset: &Dataset,
    seq: u64,
) -> Result<(), Problem> {
    files::write_bytes(
        &place_of(state, agreement, dataset),
        format!("{seq}\n").as_bytes(),
    )
}

fn read(agreement: &InForce, body: &[u8]) -> Result<(Manifest, Vec<Handle>), Refusal> {
    let short = || Refusal::malformed("own-result", "its body is too short");
    let (prefix, rest) = body.split_first_chunk::<4>().ok_or_else(short)?;
    let len = manifest_len(*prefix)?;
    let (json, rows) = rest.split_at_checked(len).ok_or_else(short)?;
    let manifest: Manifest = parse_manifest("own-result", json)?;
    let found = manifest.check(agreement, len as u64, rows)?;
    Ok((manifest, found))
}

fn check_canaries(
    identity: &Identity,
    agreement: &InForce,
    dataset: &Dataset,
    found: &BTreeSet<Handle>,
    console: &Console,
) -> Result<(), Problem> {
    let name = dataset.name.as_str();
    let pseudonyms = Pseudonyms::new(identity, agreement, name);
    let handle = |number| pseudonyms.handle(name, &pseudonyms.canary(name, number));
    let (shared, lone): (Vec<u16>, Vec<u16>) =
        canary::numbers(false).partition(|number| *number < canary::SHARED);
    let handles = |numbers: &[u16]| numbers.iter().map(|n| handle(*n)).collect::<Vec<_>>();
    match Canaries::of(found, &handles(&shared), &handles(&lone)) {
        Canaries::Whole => Ok(()),
        Canaries::Silent => {
            console.note(&format!(
                "{name}: 校验记录均未出现，无法证明告知完整 no canary of both sides is in it: nothing proves that it is whole"
            ));
            Ok(())
        }
        Canaries::Wrong => Err(Problem::data(
            format!(
                "警示 alarm: {name}: 校验记录缺失或多余 canaries are missing or were invented: the matcher dropped or made up what it tells"
            ),
            "未写出清单；请报告审计方 no list was written: tell the reviewer",
        )),
    }
}
