//! The ceremony's messages: how packages travel between custodians and rest on the way. In: the exchange folder, the
//! vault. Out: packages by sender. Invariant: a message counts only for this agreement, epoch and recipient, verified and
//! opened; packages of the second step add up to a share, so they are wiped. SPEC.md, "Key ceremony".

use std::collections::BTreeMap;

use hedui_edge::exchange::{self, Draft};
use hedui_edge::{Problem, log};
use hedui_protocol::header::MessageType;
use hedui_protocol::ids::Name;
use hedui_protocol::message::evaluation::CeremonyMessage;
use hedui_protocol::message::{manifest_bytes, parse_small_body};
use hedui_protocol::primitive::{hex, sha256, unhex};
use hedui_protocol::refusal::Refusal;
use zeroize::Zeroizing;

use super::ceremony::lost;
use super::desk::Desk;
use crate::oprf::threshold::Index;

/// Packages of one step by custodian; wiped, since those of the second step add up to a share.
pub type Packages = BTreeMap<Index, Zeroizing<Vec<u8>>>;

/// Packages as they rest: index and length (2 bytes each, big-endian) before each.
pub fn packed(packages: &Packages) -> Zeroizing<Vec<u8>> {
    let len = packages.values().map(|package| package.len() + 4).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    for (index, package) in packages {
        out.extend_from_slice(&index.to_be_bytes());
        out.extend_from_slice(&u16::try_from(package.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(package);
    }
    out
}

/// Packages as they rested; refuses what is cut off.
pub fn unpacked(mut bytes: &[u8]) -> Result<Packages, Refusal> {
    let damaged = || Refusal::malformed("ceremony file", "it is cut off");
    let mut packages = Packages::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<4>() {
        let [a, b, c, d] = *head;
        let len = usize::from(u16::from_be_bytes([c, d]));
        let (package, rest) = rest.split_at_checked(len).ok_or_else(damaged)?;
        let index = Index::from_be_bytes([a, b]);
        packages.insert(index, Zeroizing::new(package.to_vec()));
        bytes = rest;
    }
    bytes.is_empty().then_some(packages).ok_or_else(damaged)
}

/// Packages of a step by sender.
pub fn received(desk: &Desk<'_>, step: u8) -> Result<Packages, Problem> {
    let mut found = Packages::new();
    for (from, message) in messages(desk, step)? {
        if let Some((index, _)) = desk.others().into_iter().find(|(_, name)| *name == from) {
            found.insert(index, bytes_of(&message.package)?);
        }
    }
    Ok(found)
}

/// Ceremony messages of this agreement and epoch addressed to this custodian, verified and opened.
pub fn messages(
    desk: &Desk<'_>,
    step: u8,
) -> Result<Vec<(Name, Zeroizing<CeremonyMessage>)>, Problem> {
    const LIMIT: u64 = 64 << 10;
    let me = desk.identity.card();
    let custodians = desk.agreement.custodians();
    let mut out = Vec::new();
    for file in exchange::addressed_to(desk.exchange, &me.name)? {
        let header = &file.header;
        // Nobody else has a part in it, and nobody else's file keeps it waiting.
        if header.kind != MessageType::Ceremony
            || !custodians.contains(&&header.from.0)
            || header.agreement != desk.agreement.digest()
            || header.epoch != desk.agreement.epoch()
        {
            continue;
        }
        let kinds = [MessageType::Ceremony];
        let mut verified = exchange::verify(&file.path, desk.agreement, me, &kinds)?;
        log::notice(desk.state, desk.exchange, desk.agreement, verified.header())?;
        let body = exchange::open_small(&file.path, &mut verified, desk.identity, LIMIT)?;
        let message = parse_small_body("ceremony message", &body)
            .map(Zeroizing::<CeremonyMessage>::new)
            .map_err(|r| Problem::refused(&file.path, r))?;
        if message.step == step {
            out.push((verified.header().from.0.clone(), message));
        }
    }
    Ok(out)
}

/// Seals a package for another custodian into the exchange folder.
pub fn send(
    desk: &Desk<'_>,
    to: &Name,
    step: u8,
    package: &[u8],
    public_shares: Vec<String>,
) -> Result<(), Problem> {
    let message = Zeroizing::new(CeremonyMessage {
        step,
        package: hex(package),
        public_shares,
    });
    let body = Zeroizing::new(manifest_bytes(&*message)?);
    let to = desk.agreement.card(to).ok_or_else(|| lost(desk))?;
    let draft = Draft {
        kind: MessageType::Ceremony,
        to,
        about: &format!("step-{step}"),
        content: sha256(&[&body]),
        in_reply_to: None,
    };
    let len = body.len() as u64;
    let mut body = std::io::Cursor::new(&body[..]);
    let folders = (desk.state, desk.exchange);
    exchange::send(
        desk.identity,
        desk.agreement,
        folders,
        desk.clock,
        &draft,
        &mut body,
        len,
    )?;
    Ok(())
}

fn bytes_of(text: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(unhex::<1>);
    // Room at once: a vector that grows leaves its older selves behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    let whole = pairs.map(byte).all(|byte| {
        bytes.extend(byte.into_iter().flatten());
        byte.is_some()
    });
    whole
        .then_some(bytes)
        .ok_or_else(|| Refusal::malformed("ceremony message", "its package is not hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_rest_and_come_back_whole() {
        let packages: Packages = [(1, vec![7; 3]), (258, Vec::new()), (9, vec![1; 300])]
            .map(|(index, bytes)| (index, bytes.into()))
            .into();
        let bytes = packed(&packages);
        assert_eq!(bytes.len(), 3 * 4 + 303);
        assert_eq!(bytes[..7], [0, 1, 0, 3, 7, 7, 7]);
        assert!(unpacked(&bytes).is_ok_and(|back| back == packages));
        let whole = [0, 7, 311, bytes.len()];
        for len in 0..bytes.len() {
            assert_eq!(
                unpacked(&bytes[..len]).is_ok(),
                whole.contains(&len),
                "{len}"
            );
        }
        assert_eq!(bytes_of("00ff10").unwrap()[..], [0, 255, 16]);
        assert!(bytes_of("").unwrap().is_empty());
        for bad in ["0", "00f", "0g", "00 f", "+1"] {
            assert!(bytes_of(bad).is_err(), "{bad}");
        }
    }
}
