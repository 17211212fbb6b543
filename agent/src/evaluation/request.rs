//! A batch on its way to custodians. In: a batch and the custodians to ask. Out: one sealed request each.
//! Invariant: the same batch gives the same request, so a repeated command asks nothing new; every custodian
//! gets the same elements. Specification: protocol/SPEC.md, "Evaluation".

use std::io::{BufWriter, Write};

use hedui_edge::clock::Clock;
use hedui_edge::exchange::{self, Draft};
use hedui_edge::{Problem, files};
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::Name;
use hedui_protocol::message::evaluation::RequestManifest;
use hedui_protocol::message::manifest_bytes;
use hedui_protocol::primitive::Sha256;

use super::Workshop;
use super::batch::{Batch, Card};

/// Asks custodians for a batch; returns the card with the requests' identifiers, which is also kept.
pub fn send(
    workshop: &Workshop<'_>,
    batch: &Batch<'_>,
    mut card: Card,
    custodians: &[Name],
    clock: &Clock,
) -> Result<Card, Problem> {
    let file = files::temporary(&workshop.folder)?;
    let wrap = |error| Problem::io(file.path(), error);
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
    let (mut hash, mut bytes) = (Sha256::default(), 0);
    let mut put = |part: &[u8]| -> Result<(), Problem> {
        hash.update(part);
        bytes += part.len() as u64;
        out.write_all(part).map_err(wrap)
    };
    put(&manifest_bytes(&RequestManifest::new(
        &card.dataset,
        card.elements(),
    ))?)?;
    batch.read(|_, asked| put(&asked.element))?;
    out.flush().map_err(wrap)?;
    drop(out);
    let content = hash.finish();
    // Before the first goes out: what was asked is waited for even if a crash comes before its identifier is known.
    for name in custodians {
        card.requests.entry(name.clone()).or_default();
    }
    batch.keep(&card)?;
    for name in custodians {
        let to = workshop.agreement.card(name).ok_or_else(|| {
            Problem::usage(format!("`{name}` is no party"), "see `agreement show`")
        })?;
        let draft = Draft {
            kind: MessageType::EvalRequest,
            to,
            about: card.dataset.as_str(),
            content,
            in_reply_to: None,
        };
        let mut body = file.reopen().map_err(wrap)?;
        let sent = exchange::send(
            workshop.identity,
            workshop.agreement,
            (workshop.state, workshop.exchange),
            clock,
            &draft,
            &mut body,
            bytes,
        )?;
        workshop
            .console
            .say(&format!("  → {}", sent.path.display()));
        card.requests.insert(name.clone(), sent.request.to_hex());
        batch.keep(&card)?;
    }
    Ok(card)
}

/// The custodians to ask: those named; or those that were asked for this batch before, if they are enough; or the first
/// ones of the agreement. Together with those asked before they must be as many as an answer needs.
pub fn choose(
    workshop: &Workshop<'_>,
    named: &[String],
    before: Option<&Card>,
) -> Result<Vec<Name>, Problem> {
    let all = workshop.agreement.custodians();
    let needed = workshop.agreement.text().oprf.threshold as usize;
    // One whose identifier is not known yet may never have been asked: a crash came first. It is asked again.
    let of = |sent: bool| -> Vec<Name> {
        let requests = before.iter().flat_map(|card| &card.requests);
        let requests = requests.filter(|(_, id)| !(sent && id.is_empty()));
        requests.map(|(name, _)| name.clone()).collect()
    };
    let (asked, chosen_before) = (of(true), of(false));
    if named.is_empty() {
        if chosen_before.len() >= needed {
            return Ok(chosen_before);
        }
        let others = all.into_iter().filter(|name| !asked.contains(name));
        let more = others.take(needed - asked.len()).cloned();
        return Ok(asked.iter().cloned().chain(more).collect());
    }
    let names: Vec<&str> = all.iter().map(|name| name.as_str()).collect();
    let mut chosen = Vec::new();
    for given in named {
        let name = all.iter().find(|name| name.as_str() == given);
        let name = name.ok_or_else(|| {
            Problem::usage(
                format!("`{given}` is no custodian of the agreement"),
                format!("custodians: {}", names.join(", ")),
            )
        })?;
        if !chosen.contains(*name) {
            chosen.push((*name).clone());
        }
    }
    let together = chosen.iter().filter(|name| !asked.contains(name)).count() + asked.len();
    if together < needed {
        return Err(Problem::usage(
            format!("{needed} custodians must answer, and {together} would be asked"),
            format!("name more with --custodian: {}", names.join(", ")),
        ));
    }
    Ok(chosen)
}
