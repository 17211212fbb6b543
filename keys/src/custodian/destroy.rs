//! The end of a share. In: the name of its epoch. Out: nothing that makes a share, a log that says so, a signed statement.
//! Invariant: from the log's line on nothing is answered and no share comes back, wherever a crash cuts this off; the
//! statement says truly whether anything was held. Specification: docs/OPERATIONS.md, "Custodians".

use std::path::Path;

use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::header::MessageType;
use hedui_protocol::label::Label;
use hedui_protocol::primitive::{hex, labelled_sha256};

use super::ceremony::{self, GONE};
use super::ledger::{DESTROYED, DESTROYED_UNHELD, Event, Ledger};
use crate::vault::{Vault, place};

/// Destroys a share. The agreement may have expired: that is when this is due.
pub fn destroy(
    home: &HomeOptions,
    console: &Console,
    confirm: Option<&str>,
    exchange: &Path,
) -> Result<(), Problem> {
    let agreement: Agreement = home.read_agreement()?;
    let (state, clock, name) = (home.state(), home.clock()?, place(&agreement));
    if confirm != Some(name.as_str()) {
        return Err(Problem::usage(
            format!("this destroys the share of {name} for ever"),
            format!("if that is meant: hedui-keys custodian destroy --confirm {name}"),
        ));
    }
    let identity = home.identity()?;
    ceremony::index_of(&agreement, &identity)?;
    let me = &identity.card().name;
    let _guard = files::guard(&state)?;
    let vault = Vault::new(&state, "custodian", &identity, &agreement);
    // Before anything is removed: the statement must have a place.
    std::fs::create_dir_all(exchange).map_err(|error| Problem::io(exchange, error))?;
    let messages = exchange::addressed_to(exchange, me)?;
    let mut held = false;
    for file in ceremony::SECRETS {
        held |= vault.holds(file)?;
    }
    // The log first: from this line on nothing is answered and no share comes back, wherever a crash cuts this off.
    // A share dies also where its log was lost or spoilt: that one is kept, and a new one says what happened.
    let event = Event::share(if held { DESTROYED } else { DESTROYED_UNHELD });
    let now = clock.now();
    let ledger = match Ledger::open(&state, &agreement, &vault) {
        Ok(ledger) if ledger.share() == Some(DESTROYED) => ledger,
        Ok(ledger) if ledger.is_destroyed() && !held => ledger,
        Ok(mut ledger) => {
            // A clock that once ran ahead does not keep a share alive.
            let time = ledger.not_before(&now);
            ledger.append(event, &time)?;
            ledger
        }
        Err(problem) => {
            console.note(&problem.to_string());
            Ledger::begin_anew(&state, &agreement, &vault, (event, &now))?
        }
    };
    let was_held = ledger.share() == Some(DESTROYED);
    vault.write(GONE, b"")?;
    let mut gone = 0;
    for file in ceremony::FILES {
        gone += usize::from(vault.destroy(file)?);
    }
    // A dealt share is in the dealer's message too, and whoever has this custodian's key can open it.
    let messages = messages.iter().filter(|file| {
        file.header.kind == MessageType::Ceremony
            && file.header.agreement == agreement.digest()
            && file.header.epoch == agreement.epoch()
    });
    for file in messages {
        if let Err(error) = std::fs::remove_file(&file.path) {
            console.note(&format!(
                "请自行删除 remove it yourself: {}",
                Problem::io(&file.path, error)
            ));
        }
    }
    if !was_held {
        console.note(
            "此处没有密钥份额可销毁，声明中已注明 nothing was held here, and the statement says so: is this the right folder?",
        );
    }
    let text = format!(
        "hedui-destroyed/1\nagreement {}\nepoch {}\ncustodian {me}\nheld {}\ntime {now}\nlog {}\n---\n",
        agreement.digest().to_hex(),
        agreement.epoch().0,
        if was_held { "yes" } else { "no" },
        ledger.head(),
    );
    let digest = labelled_sha256(Label::DestroyedShare, &[text.as_bytes()]);
    let signature = hex(&identity.sign(&[Label::DestroyedShare.bytes(), &[0], &digest].concat()));
    let path = exchange.join(format!("destroyed-{name}-by-{me}.statement"));
    files::deliver_bytes(
        &path,
        format!("{text}signature {me} {signature}\n").as_bytes(),
    )?;
    console.say(&format!(
        "密钥份额已销毁，声明已签署 share destroyed, statement: {}\n\
         纸质备份、磁盘备份与密钥仪式文件的其他副本也须一并销毁 destroy the sheets, the backups of this machine and other \
         copies of the ceremony's files as well",
        path.display()
    ));
    console.object(&serde_json::json!({"destroyed": gone > 0, "epoch": name}));
    Ok(())
}

#[cfg(test)]
#[path = "destroy_tests.rs"]
mod tests;
