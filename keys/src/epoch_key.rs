//! The epoch's public key as an agent comes to trust it. In: the custodians' signed records in the exchange
//! folder. Out: [`EpochKey`]. Invariant: a key is taken once every custodian has signed it, kept in the
//! state folder, and never replaced by another in the same epoch.
//! Specification: protocol/SPEC.md, "Epoch record".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::epoch::{ConfirmedEpoch, EpochRecord};
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

/// The key that a record describes, checked to be one key.
pub fn key_of(agreement: &Agreement, record: &EpochRecord) -> Result<EpochKey, Refusal> {
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

/// The key in force: from the state folder, or from the records in the exchange folder, then kept.
pub fn load(agreement: &Agreement, state: &Path, exchange: &Path) -> Result<EpochKey, Problem> {
    let kept = state.join(format!("epoch-{}.{EXTENSION}", place(agreement)));
    let found = records(agreement, exchange)?;
    if kept.exists() {
        let text = files::read_text(&kept)?;
        let held = ConfirmedEpoch::gather(agreement, std::slice::from_ref(&text))
            .map_err(|r| Problem::refused(&kept, r))?;
        for (path, text) in &found {
            let (record, _) = EpochRecord::parse(text).map_err(|r| Problem::refused(path, r))?;
            if record != *held.record() {
                let why = "it names another key than the one this party uses in this epoch";
                return Err(Problem::refused(path, Refusal::BadProof(why.to_owned())));
            }
        }
        return Ok(key_of(agreement, held.record())?);
    }
    if found.is_empty() {
        return Err(Problem::not_yet(
            format!(
                "the custodians' epoch records are not in {}",
                exchange.display()
            ),
            "every custodian runs `hedui-keys custodian ceremony` until it says that the key is ready",
        ));
    }
    let texts: Vec<String> = found.iter().map(|(_, text)| text.clone()).collect();
    let confirmed = ConfirmedEpoch::gather(agreement, &texts)
        .map_err(|refusal| Problem::refused(exchange, refusal))?;
    let key = key_of(agreement, confirmed.record())?;
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

/// Records of this agreement and epoch in a folder, in name order.
fn records(agreement: &Agreement, folder: &Path) -> Result<Vec<(PathBuf, String)>, Problem> {
    let mut found = Vec::new();
    for custodian in agreement.custodians() {
        let path = folder.join(file_name(agreement, custodian.as_str()));
        if path.exists() {
            let text = files::read_text(&path)?;
            found.push((path, text));
        }
    }
    Ok(found)
}
