//! The epoch's public key as an agent comes to trust it. In: the custodians' signed records in the exchange
//! folder. Out: [`EpochKey`]. Invariant: a key is taken once every custodian has signed it, kept in the
//! state folder, and never replaced by another in the same epoch.
//! Specification: protocol/SPEC.md, "Epoch record".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::epoch::{ConfirmedEpoch, EpochRecord};
use hedui_protocol::ids::Name;
use hedui_protocol::refusal::Refusal;

use crate::oprf::client::EpochKey;
use crate::oprf::threshold::{Index, Threshold};
use crate::vault::place;

/// Ending of the custodians' records.
const EXTENSION: &str = "record";

/// Name of a custodian's copy in the exchange folder.
pub fn file_name(agreement: &Agreement, custodian: &str) -> String {
    format!("epoch-{}-by-{custodian}.{EXTENSION}", place(agreement))
}

/// The threshold of an agreement.
pub fn threshold(agreement: &Agreement) -> Result<Threshold, Refusal> {
    let count = |n: usize| Index::try_from(n).unwrap_or(Index::MAX);
    let custodians = count(agreement.custodians().len());
    Threshold::new(custodians, count(agreement.text().oprf.threshold as usize))
        .map_err(|error| Refusal::malformed("agreement", error))
}

/// The key of a confirmed record.
pub fn key_of(agreement: &Agreement, epoch: &ConfirmedEpoch) -> Result<EpochKey, Refusal> {
    described(agreement, epoch.record())
}

/// The key that a record describes, checked to be one key; whether it may be used, its signatures say.
pub(crate) fn described(agreement: &Agreement, record: &EpochRecord) -> Result<EpochKey, Refusal> {
    let shares: BTreeMap<Index, [u8; 32]> = (1..)
        .zip(&record.shares)
        .map(|(index, (_, share))| (index, *share))
        .collect();
    let refuse = |error| Refusal::BadProof(format!("the epoch record: {error}"));
    let key = EpochKey::new(threshold(agreement)?, &shares).map_err(refuse)?;
    if *key.group() != record.group {
        return Err(refuse(crate::oprf::OprfError::Inconsistent));
    }
    Ok(key)
}

/// The key in force: from the state folder, or from the records in the exchange folder, then kept. A file that no
/// custodian has signed, or not the one whom its name says, is passed over with a word: it proves nothing.
pub fn load(
    agreement: &Agreement,
    (state, exchange): (&Path, &Path),
    console: &Console,
) -> Result<EpochKey, Problem> {
    let kept = state.join(format!("epoch-{}.{EXTENSION}", place(agreement)));
    let found = records(agreement, exchange, console)?;
    if kept.exists() {
        let text = files::read_text(&kept)?;
        let held = ConfirmedEpoch::gather(agreement, std::slice::from_ref(&text))
            .map_err(|r| Problem::refused(&kept, r))?;
        for copy in &found {
            if copy.record != *held.record() {
                let why =
                    "its custodian signed another key than the one this party uses in this epoch";
                return Err(Problem::refused(
                    &copy.path,
                    Refusal::BadProof(why.to_owned()),
                ));
            }
        }
        return Ok(key_of(agreement, &held)?);
    }
    if found.is_empty() {
        return Err(Problem::not_yet(
            format!(
                "the custodians' epoch records are not in {}",
                exchange.display()
            ),
            "copy the file `epoch-….record` of every custodian into it; where there are none yet, every custodian runs \
             `hedui-keys custodian ceremony` until it says that the share is ready",
        ));
    }
    let texts: Vec<String> = found.into_iter().map(|copy| copy.text).collect();
    let confirmed = ConfirmedEpoch::gather(agreement, &texts)
        .map_err(|refusal| Problem::refused(exchange, refusal))?;
    let key = key_of(agreement, &confirmed)?;
    // One file with every signature, so that it can be checked again on its own.
    let mut all = confirmed.record().render();
    for text in &texts {
        all.extend(
            text.lines()
                .filter(|&line| line.starts_with("signature "))
                .map(|line| format!("{line}\n")),
        );
    }
    files::private_folder(state)?;
    files::write_bytes(&kept, all.as_bytes())?;
    Ok(key)
}

/// A custodian's copy of the record in the exchange folder.
pub(crate) struct Copy {
    path: PathBuf,
    text: String,
    /// What it says.
    pub(crate) record: EpochRecord,
    /// The custodians who signed it; the one that the file is named after among them.
    pub(crate) signers: Vec<Name>,
}

/// Records of this agreement and epoch in a folder that the custodians they are named after have signed, in the
/// agreement's order.
pub(crate) fn records(
    agreement: &Agreement,
    folder: &Path,
    console: &Console,
) -> Result<Vec<Copy>, Problem> {
    let mut found = Vec::new();
    for custodian in agreement.custodians() {
        let path = folder.join(file_name(agreement, custodian.as_str()));
        if path.exists() {
            let text = match files::read_text(&path) {
                Ok(text) => text,
                // Not even a text: like one that nobody has signed.
                Err(problem) => {
                    console.note(&problem.to_string());
                    continue;
                }
            };
            match EpochRecord::signed(agreement, &text) {
                Ok((record, signers)) if signers.contains(custodian) => found.push(Copy {
                    path,
                    text,
                    record,
                    signers,
                }),
                Ok(_) => console.note(&Problem::refused(&path, Refusal::BadSignature).to_string()),
                Err(refusal) => console.note(&Problem::refused(&path, refusal).to_string()),
            }
        }
    }
    Ok(found)
}

/// Files in a folder that are named like a custodian's record and are none that it has signed.
pub(crate) fn unverified(
    agreement: &Agreement,
    folder: &Path,
    console: &Console,
) -> Result<Vec<PathBuf>, Problem> {
    let good = records(agreement, folder, console)?;
    let custodians = agreement.custodians().into_iter();
    let named = custodians.map(|name| folder.join(file_name(agreement, name.as_str())));
    let bad = |path: &PathBuf| path.exists() && !good.iter().any(|copy| copy.path == *path);
    Ok(named.filter(bad).collect())
}
