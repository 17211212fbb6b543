//! Retiring an epoch: what this party keeps of it goes. In: the state folder, the name of an epoch. Out: what is held, or
//! nothing of that epoch any more. Invariant: only files that carry the epoch's name are touched, and only after it was
//! confirmed; the numbers of sent messages stay, so that none is used twice. Specification: docs/OPERATIONS.md, "Retiring".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_keys::vault::place;

/// Options of `retire`.
#[derive(Args)]
pub struct RetireOptions {
    /// Name of the epoch as this command lists it; without it nothing is removed
    #[arg(long, value_name = "AGREEMENT-EPOCH")]
    confirm: Option<String>,
}

/// Folders with one folder per epoch: tokens and requests of the custodians' lock, kits.
const ROOMS: [&str; 2] = ["oprf", "kits"];

/// `retire`: list the epochs that are held, or remove one.
pub fn retire(
    home: &HomeOptions,
    console: &Console,
    options: &RetireOptions,
) -> Result<(), Problem> {
    let state = home.state();
    let _guard = files::guard(&state)?;
    // The agreement that lies here may be the next one already, or none: an epoch that is over needs no agreement.
    let current = home
        .read_agreement()
        .ok()
        .map(|agreement| place(&agreement));
    let held = held(&state)?;
    let Some(name) = &options.confirm else {
        for (epoch, files) in &held {
            let now = if current.as_ref() == Some(epoch) {
                "（现用协议 of the agreement here）"
            } else {
                ""
            };
            console.say(&format!("{epoch}  {} 个文件 files{now}", files.len()));
        }
        console.say(match held.is_empty() {
            true => "没有任何期次的数据 nothing is held of any epoch",
            false => "删除某一期 to remove one: hedui-agent retire --confirm AGREEMENT-EPOCH",
        });
        let counts: BTreeMap<&String, usize> = held
            .iter()
            .map(|(epoch, files)| (epoch, files.len()))
            .collect();
        console.object(&serde_json::json!({ "held": counts, "current": current }));
        return Ok(());
    };
    let Some(files) = held.get(name) else {
        let known: Vec<&str> = held.keys().map(String::as_str).collect();
        return Err(Problem::usage(
            format!("nothing is held of `{name}`"),
            format!("held: {}", known.join(", ")),
        ));
    };
    for path in files {
        files::wipe(path)?;
    }
    for room in ROOMS {
        let folder = state.join(room).join(name);
        if folder.is_dir() {
            std::fs::remove_dir(&folder).map_err(|error| Problem::io(&folder, error))?;
        }
    }
    files::sync_folder(&state);
    console.say(&format!(
        "已删除 removed: {name}, {} 个文件 files。本期结果、核改单与细化比对此后无法在此打开或答复；磁盘备份须一并删除。\n\
         Results, tickets and refinements of this epoch can no longer be opened or answered here; remove backups of this disk as well.",
        files.len()
    ));
    console.object(&serde_json::json!({ "removed": files.len(), "epoch": name }));
    Ok(())
}

/// Files by the epoch whose name they carry: 16 hexadecimal digits of the agreement, `-`, the epoch's number.
fn held(state: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, Problem> {
    let mut held: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in entries(state)? {
        if let Some(epoch) = epoch_of(&path).filter(|_| path.is_file()) {
            held.entry(epoch).or_default().push(path);
        }
    }
    for room in ROOMS
        .map(|room| state.join(room))
        .iter()
        .filter(|room| room.is_dir())
    {
        for folder in entries(room)? {
            if let Some(epoch) = epoch_of(&folder).filter(|_| folder.is_dir()) {
                held.entry(epoch).or_default().extend(entries(&folder)?);
            }
        }
    }
    Ok(held)
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let found = std::fs::read_dir(folder).map_err(|error| Problem::io(folder, error))?;
    let mut paths = Vec::new();
    for entry in found {
        paths.push(entry.map_err(|error| Problem::io(folder, error))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The epoch in a file's name, if there is one.
fn epoch_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.split('.').next()?;
    let (rest, number) = stem.rsplit_once('-')?;
    let digits = rest.rsplit('-').next()?;
    let hex = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (hex && numbered).then(|| format!("{digits}-{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_an_epoch_have_one() {
        let of = |name: &str| epoch_of(Path::new(name));
        let epoch = Some("0123456789abcdef-12".to_owned());
        for name in [
            "roll-0123456789abcdef-12.sealed",
            "persons-si-wang-0123456789abcdef-12.sealed",
            "epoch-0123456789abcdef-12.record",
            "0123456789abcdef-12",
        ] {
            assert_eq!(of(name), epoch, "{name}");
        }
        for name in [
            "sent.json",
            "lock",
            "kits",
            "x-0123-1.sealed",
            "0123456789abcdef-x",
            "0123456789abcdef",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
