//! The key ceremony by files. In: the other custodians' messages. Out: a sealed share and a signed record.
//! Steps: commitments to all, one share to each, the record; each call does whatever can be done now.
//! Invariant: nobody ever has the key (Pedersen's DKG with proofs of knowledge, by frost-ristretto255), or,
//! where the agreement names a dealer, that custodian alone for a moment. SPEC.md, "Key ceremony".

use std::collections::BTreeMap;

use curve25519_dalek::scalar::Scalar;
use frost_ristretto255::Identifier;
use frost_ristretto255::keys::dkg;

use hedui_edge::{Problem, files};
use hedui_protocol::agreement::Agreement;
use hedui_protocol::epoch::EpochRecord;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::primitive::{hex, unhex};
use hedui_protocol::refusal::Refusal;
use zeroize::{Zeroize, Zeroizing};

use crate::custodian::desk::Desk;
use crate::custodian::ledger::Ledger;
use crate::custodian::packages::{Packages, messages, packed, received, send, unpacked};
use crate::epoch_key::{described, file_name, records, threshold, unverified};
use crate::identity_file::random;
use crate::oprf::evaluate::Share;
use crate::oprf::threshold::{Index, Threshold};

/// Name of the sealed share.
pub const SHARE: &str = "share";
/// Name of the secret that this custodian keeps between the first and the second step.
const FIRST: &str = "ceremony-1";
/// Name of the secret that this custodian keeps between the second step and the record.
const SECOND: &str = "ceremony-2";
/// Name of this custodian's own first message.
const FIRST_OUT: &str = "ceremony-1-sent";
/// Name of the first messages that the second step answered: the third uses the same ones.
const FIRSTS_SEEN: &str = "ceremony-1-seen";
/// Name of this custodian's own second messages.
const SECOND_OUT: &str = "ceremony-2-sent";
/// Name of a dealer's polynomial while it deals.
const DEALT: &str = "ceremony-dealt";
/// Name of the public record.
pub const RECORD: &str = "record";
/// Name of the mark that the share of this epoch was destroyed: no log, whatever becomes of it, brings it back.
pub const GONE: &str = "destroyed";
/// What of it is secret: holding any of these is holding a share or what makes one.
pub const SECRETS: [&str; 4] = [SHARE, FIRST, SECOND, DEALT];
/// Everything that a ceremony leaves, the share first: what `destroy` removes.
pub const FILES: [&str; 8] = [
    SHARE,
    FIRST,
    FIRST_OUT,
    FIRSTS_SEEN,
    SECOND,
    SECOND_OUT,
    DEALT,
    RECORD,
];
/// What is of no use once the share is here.
const LEFTOVERS: [&str; 4] = [FIRST, FIRSTS_SEEN, SECOND, DEALT];

/// How far a ceremony has come.
pub enum Progress {
    /// The share is here and the record is signed.
    Ready,
    /// Messages of these custodians are missing for the step.
    Waiting(u8, Vec<String>),
}

/// Does every step that can be done now.
pub fn run(desk: &Desk<'_>) -> Result<Progress, Problem> {
    let vault = desk.vault();
    if vault.holds(GONE)? || Ledger::open(desk.state, desk.agreement, &vault)?.is_destroyed() {
        return Err(Problem::data(
            "the share of this epoch was destroyed",
            "agree on a new epoch",
        ));
    }
    if let Some(share) = vault.read(SHARE)? {
        no_leftovers(desk)?;
        resend(desk)?;
        // A record that was lost on its way is written again.
        if let Some(record) = vault.read(RECORD)? {
            deliver_record(desk, &share_of(&share)?, &record)?;
        }
        return Ok(Progress::Ready);
    }
    no_key_yet(desk)?;
    let dealer = desk.agreement.text().oprf.dealer.clone();
    if !dealer.is_empty() {
        return dealt(desk, &dealer);
    }
    let threshold = threshold(desk.agreement)?;
    begin(desk, threshold)?;
    let others = desk.others();
    // Once the second step is taken the first messages are kept: the files may be gone.
    let firsts = match vault.read(SECOND_OUT)?.and(vault.read(FIRSTS_SEEN)?) {
        Some(seen) => unpacked(&seen)?,
        None => received(desk, 1)?,
    };
    if firsts.len() < others.len() {
        return Ok(Progress::Waiting(1, missing(&others, &firsts)));
    }
    let firsts = share_out(desk, firsts)?;
    let seconds = received(desk, 2)?;
    if seconds.len() < others.len() {
        return Ok(Progress::Waiting(2, missing(&others, &seconds)));
    }
    complete(desk, threshold, &firsts, &seconds)?;
    Ok(Progress::Ready)
}

/// Removes what the ceremony kept and the share makes useless, a dealer's polynomial first of all.
fn no_leftovers(desk: &Desk<'_>) -> Result<(), Problem> {
    LEFTOVERS
        .iter()
        .try_for_each(|name| desk.vault().destroy(name).map(|_| ()))
}

/// Sends this custodian's messages again until everybody's record is there: one that was lost on its way would keep
/// another from its share for ever. Then what was sent is removed too.
fn resend(desk: &Desk<'_>) -> Result<(), Problem> {
    let vault = desk.vault();
    let (Some(first), Some(second)) = (vault.read(FIRST_OUT)?, vault.read(SECOND_OUT)?) else {
        return Ok(());
    };
    let signed = signed_records(desk)?;
    let has_record = |name: &Name| signed.iter().any(|(_, by)| by == name);
    if desk.others().iter().all(|(_, name)| has_record(name)) {
        vault.destroy(SECOND_OUT)?;
        return Ok(());
    }
    let packages = unpacked(&second)?;
    for (index, name) in desk.others() {
        send(desk, &name, 1, &first, Vec::new())?;
        if let Some(package) = packages.get(&index) {
            send(desk, &name, 2, package, Vec::new())?;
        }
    }
    Ok(())
}

/// An epoch has one ceremony: without a share, nothing may be signed for a key that this custodian has signed, or
/// whose share it has destroyed.
fn no_key_yet(desk: &Desk<'_>) -> Result<(), Problem> {
    let vault = desk.vault();
    let ledger = Ledger::open(desk.state, desk.agreement, &vault)?;
    // A record that does not verify may be one that was spoilt on its way: while it lies here nothing is begun.
    if let Some(path) = unverified(desk.agreement, desk.exchange, desk.console)?.first() {
        return Err(Problem::data(
            format!(
                "{}: it is no record that its custodian has signed",
                path.display()
            ),
            "ask that custodian for the file again; if nobody has made one yet, remove it",
        ));
    }
    let signed = signed_records(desk)?;
    let mine = signed.iter().any(|(_, by)| by.as_str() == desk.me());
    // Another's record can be there before one's own: then the second step was taken, and its secret is here. With a
    // dealer, others have records only after it dealt, and its polynomial is kept until its own share is.
    let dealer = &desk.agreement.text().oprf.dealer;
    let begun = if dealer.is_empty() {
        vault.holds(SECOND)?
    } else {
        desk.me() != dealer || vault.holds(DEALT)?
    };
    if mine || ledger.share().is_some() || (!signed.is_empty() && !begun) {
        return Err(Problem::data(
            "this epoch has its key, and the share of this custodian is lost",
            "hedui-keys custodian restore SHEET SHEET, or agree on a new epoch: a second ceremony would make a \
             second key",
        ));
    }
    Ok(())
}

/// Records of this epoch in the exchange folder with the custodians who truly signed them.
pub fn signed_records(desk: &Desk<'_>) -> Result<Vec<(EpochRecord, Name)>, Problem> {
    let found = records(desk.agreement, desk.exchange, desk.console)?;
    let signed = found.into_iter().flat_map(|copy| {
        let record = copy.record;
        let signers = copy.signers.into_iter();
        signers.map(move |signer| (record.clone(), signer))
    });
    Ok(signed.collect())
}

fn missing<T>(others: &[(Index, Name)], have: &BTreeMap<Index, T>) -> Vec<String> {
    others
        .iter()
        .filter(|(index, _)| !have.contains_key(index))
        .map(|(_, name)| name.to_string())
        .collect()
}

/// Step 1: commitments to a random polynomial and a proof of knowing its constant.
fn begin(desk: &Desk<'_>, threshold: Threshold) -> Result<(), Problem> {
    let package = match desk.vault().read(FIRST_OUT)? {
        Some(sent) => sent.to_vec(),
        None => {
            let mut rng = SystemRng(Ok(()));
            let made = dkg::part1(
                identifier(desk.index)?,
                threshold.custodians,
                threshold.needed,
                &mut rng,
            );
            rng.0?;
            let (secret, package) = made.map_err(|_| broken(desk.me(), 1))?;
            let secret = Zeroizing::new(secret.serialize().map_err(|_| broken(desk.me(), 1))?);
            let package = package.serialize().map_err(|_| broken(desk.me(), 1))?;
            // The secret first: a message that went out can always be followed up.
            desk.vault().write(FIRST, &secret)?;
            desk.vault().write(FIRST_OUT, &package)?;
            package
        }
    };
    for (_, name) in desk.others() {
        send(desk, &name, 1, &package, Vec::new())?;
    }
    Ok(())
}

/// Step 2: a share of this custodian's polynomial for each of the others. Returns the first messages that it
/// answers, from now on whatever comes under their names.
fn share_out(desk: &Desk<'_>, firsts: Packages) -> Result<Packages, Problem> {
    let vault = desk.vault();
    let kept = (vault.read(SECOND_OUT)?, vault.read(FIRSTS_SEEN)?);
    let (packages, firsts): (Packages, Packages) = match kept {
        (Some(sent), Some(seen)) => (unpacked(&sent)?, unpacked(&seen)?),
        _ => {
            let secret = desk.vault().read(FIRST)?.ok_or_else(|| lost(desk))?;
            let secret = dkg::round1::SecretPackage::deserialize(&secret)
                .map_err(|_| broken(desk.me(), 1))?;
            let (next, mut out) = dkg::part2(secret, &parsed_firsts(desk, &firsts)?)
                .map_err(|error| accused(desk, &error, 1))?;
            let mut packages = Packages::new();
            for (index, _) in desk.others() {
                let package = out.remove(&identifier(index)?);
                let bytes = package.and_then(|package| package.serialize().ok());
                packages.insert(
                    index,
                    Zeroizing::new(bytes.ok_or_else(|| broken(desk.me(), 2))?),
                );
            }
            let next = Zeroizing::new(next.serialize().map_err(|_| broken(desk.me(), 2))?);
            // What goes out last: until it is kept nothing was sent, and the step can be taken anew.
            vault.write(FIRSTS_SEEN, &packed(&firsts))?;
            vault.write(SECOND, &next)?;
            vault.write(SECOND_OUT, &packed(&packages))?;
            (packages, firsts)
        }
    };
    for (index, name) in desk.others() {
        if let Some(package) = packages.get(&index) {
            send(desk, &name, 2, package, Vec::new())?;
        }
    }
    Ok(firsts)
}

/// Step 3: the share, the public shares, the record.
fn complete(
    desk: &Desk<'_>,
    threshold: Threshold,
    firsts: &Packages,
    seconds: &Packages,
) -> Result<(), Problem> {
    let secret = desk.vault().read(SECOND)?.ok_or_else(|| lost(desk))?;
    let secret =
        dkg::round2::SecretPackage::deserialize(&secret).map_err(|_| broken(desk.me(), 2))?;
    let mut packages = BTreeMap::new();
    for (index, bytes) in seconds {
        let package = dkg::round2::Package::deserialize(bytes)
            .map_err(|_| broken(desk.name_of(*index), 2))?;
        packages.insert(identifier(*index)?, package);
    }
    let (key, public) = dkg::part3(&secret, &parsed_firsts(desk, firsts)?, &packages)
        .map_err(|error| accused(desk, &error, 2))?;
    let mut share = [0; 32];
    let bytes = Zeroizing::new(key.signing_share().serialize());
    share.copy_from_slice(&bytes);
    let own = Share::from_bytes(&share).map_err(|e| Refusal::BadProof(e.to_string()));
    let mut publics = Vec::new();
    for index in 1..=threshold.custodians {
        let held = public.verifying_shares().get(&identifier(index)?);
        let bytes = held.and_then(|share| share.serialize().ok());
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        publics.push(bytes.ok_or_else(|| broken(desk.name_of(index), 2))?);
    }
    let done = keep(desk, &own?, &publics);
    share.zeroize();
    done
}

/// With a dealer: the dealer deals, the others take what they were dealt.
fn dealt(desk: &Desk<'_>, dealer: &str) -> Result<Progress, Problem> {
    let threshold = threshold(desk.agreement)?;
    if desk.me() == dealer {
        return deal(desk, threshold);
    }
    let Some((share, publics)) = dealt_share(desk, dealer)? else {
        return Ok(Progress::Waiting(3, vec![dealer.to_owned()]));
    };
    keep(desk, &share, &publics)?;
    Ok(Progress::Ready)
}

/// Deals: the polynomial rests sealed until every share is on its way, so that a repeated command deals the
/// same shares.
fn deal(desk: &Desk<'_>, threshold: Threshold) -> Result<Progress, Problem> {
    let needed = usize::from(threshold.needed);
    if desk.vault().read(DEALT)?.is_none() {
        let mut polynomial = Zeroizing::new(Vec::with_capacity(32 * needed));
        for _ in 0..needed {
            let drawn = Zeroizing::new(Scalar::from_bytes_mod_order_wide(random::<64>()?.expose()));
            polynomial.extend_from_slice(drawn.as_bytes());
        }
        desk.vault().write(DEALT, &polynomial)?;
    }
    let polynomial = desk.vault().read(DEALT)?.ok_or_else(|| lost(desk))?;
    let mut coefficients = Zeroizing::new(Vec::with_capacity(needed));
    for bytes in polynomial.chunks_exact(32) {
        coefficients.push(*ceremony_scalar(bytes)?);
    }
    let (secret, rest) = coefficients.split_first().ok_or_else(|| lost(desk))?;
    let shares = threshold.split(secret, rest).map_err(|_| lost(desk))?;
    let publics: Vec<[u8; 32]> = shares
        .iter()
        .map(|(_, share)| *Share::new(share.clone()).public())
        .collect();
    for (index, name) in desk.others() {
        if let Some((_, share)) = shares.iter().find(|(i, _)| *i == index) {
            let public = publics.iter().map(|bytes| hex(bytes)).collect();
            send(desk, &name, 3, share.as_bytes(), public)?;
        }
    }
    if let Some((_, share)) = shares.into_iter().find(|(i, _)| *i == desk.index) {
        keep(desk, &Share::new(share), &publics)?;
    }
    Ok(Progress::Ready)
}

fn ceremony_scalar(bytes: &[u8]) -> Result<Zeroizing<Scalar>, Problem> {
    let mut sized = Zeroizing::new([0; 32]);
    sized.copy_from_slice(bytes);
    let scalar = crate::oprf::suite::decode_scalar(&sized);
    scalar
        .map(Zeroizing::new)
        .map_err(|_| Refusal::malformed("ceremony file", "it holds no scalar").into())
}

/// A dealt share and everybody's public share.
type Dealt = (Share, Vec<[u8; 32]>);

fn dealt_share(desk: &Desk<'_>, dealer: &str) -> Result<Option<Dealt>, Problem> {
    for (from, message) in messages(desk, 3)? {
        if from.as_str() != dealer {
            continue;
        }
        let bad = || Refusal::BadProof("the dealer's message does not hold".to_owned());
        let bytes = unhex::<32>(&message.package)
            .map(Zeroizing::new)
            .ok_or_else(bad)?;
        let share = Share::from_bytes(&bytes).map_err(|_| bad())?;
        let publics: Option<Vec<[u8; 32]>> = message
            .public_shares
            .iter()
            .map(|text| unhex(text))
            .collect();
        let publics = publics.ok_or_else(bad)?;
        let mine = publics.get(usize::from(desk.index) - 1);
        if mine != Some(share.public()) {
            return Err(bad().into());
        }
        return Ok(Some((share, publics)));
    }
    Ok(None)
}

/// Seals the share, signs the record and delivers it. The key is checked to be one key first.
fn keep(desk: &Desk<'_>, share: &Share, publics: &[[u8; 32]]) -> Result<(), Problem> {
    let names = desk.agreement.custodians();
    let mut record = EpochRecord {
        agreement: desk.agreement.digest(),
        epoch: desk.agreement.epoch(),
        needed: threshold(desk.agreement)?.needed,
        shares: names
            .into_iter()
            .cloned()
            .zip(publics.iter().copied())
            .collect(),
        group: [0; 32],
    };
    let shares = (1..).zip(publics.iter().copied()).collect();
    let key = crate::oprf::client::EpochKey::new(threshold(desk.agreement)?, &shares)
        .map_err(|e| Refusal::BadProof(e.to_string()))?;
    record.group = *key.group();
    described(desk.agreement, &record)?;
    let text = record.render();
    let vault = desk.vault();
    vault.write(RECORD, text.as_bytes())?;
    // Before the share: a share beside no anchor has lost its log.
    Ledger::open(desk.state, desk.agreement, &vault)?.anchor()?;
    vault.write(SHARE, share.expose())?;
    no_leftovers(desk)?;
    deliver_record(desk, share, text.as_bytes())
}

/// Writes this custodian's signed copy of the record into the exchange folder.
fn deliver_record(desk: &Desk<'_>, share: &Share, record: &[u8]) -> Result<(), Problem> {
    let text = String::from_utf8_lossy(record);
    let (parsed, _) = EpochRecord::parse(&text)?;
    let mine = parsed.shares.get(usize::from(desk.index) - 1);
    if mine.map(|(_, public)| public) != Some(share.public()) {
        return Err(Refusal::BadProof("the share does not fit the record".to_owned()).into());
    }
    let path = desk.exchange.join(file_name(desk.agreement, desk.me()));
    let signed = format!("{text}{}", parsed.sign(desk.identity));
    // What others may have taken already is never replaced by something else.
    if path.exists() && files::read_small(&path)? != signed.as_bytes() {
        return Err(Problem::refused(
            &path,
            Refusal::BadProof("it is not the record that this custodian keeps".to_owned()),
        ));
    }
    files::deliver_bytes(&path, signed.as_bytes())
}

/// Reads a sealed share.
pub fn share_of(bytes: &[u8]) -> Result<Share, Problem> {
    let bytes: Option<[u8; 32]> = bytes.try_into().ok();
    let share = bytes
        .map(Zeroizing::new)
        .and_then(|b| Share::from_bytes(&b).ok());
    share.ok_or_else(|| Refusal::malformed("share", "it is not a canonical scalar").into())
}

fn parsed_firsts(
    desk: &Desk<'_>,
    firsts: &Packages,
) -> Result<BTreeMap<Identifier, dkg::round1::Package>, Problem> {
    firsts
        .iter()
        .map(|(index, bytes)| {
            let package = dkg::round1::Package::deserialize(bytes)
                .map_err(|_| broken(desk.name_of(*index), 1))?;
            Ok((identifier(*index)?, package))
        })
        .collect()
}

fn identifier(index: Index) -> Result<Identifier, Problem> {
    Identifier::try_from(index)
        .map_err(|_| Refusal::malformed("custodian", "its index is 0").into())
}

fn broken(name: &str, step: u8) -> Problem {
    Refusal::BadProof(format!(
        "step {step} of the ceremony by `{name}` does not hold; if `{name}` lost its state and began again, agree on a new epoch"
    ))
    .into()
}

/// Names the custodian whose contribution failed, where the protocol tells.
fn accused(desk: &Desk<'_>, error: &frost_ristretto255::Error, step: u8) -> Problem {
    let culprit = error.culprits().into_iter().next();
    let name = culprit.and_then(|culprit| {
        let others = desk.others().into_iter();
        others
            .filter(|(index, _)| Identifier::try_from(*index).ok() == Some(culprit))
            .map(|(_, name)| name.to_string())
            .next()
    });
    broken(
        &name.unwrap_or_else(|| "another custodian".to_owned()),
        step,
    )
}

/// The refusal where a ceremony cannot go on.
pub fn lost(desk: &Desk<'_>) -> Problem {
    Problem::data(
        format!("what `{}` kept of this ceremony is gone", desk.me()),
        "start a new epoch: a ceremony cannot be continued without it",
    )
}

/// The system's randomness for frost, which takes an infallible source: a failure is kept and asked for.
struct SystemRng(Result<(), Problem>);

impl frost_ristretto255::rand_core::RngCore for SystemRng {
    fn next_u32(&mut self) -> u32 {
        frost_ristretto255::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        frost_ristretto255::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        for part in out.chunks_mut(32) {
            match random::<32>() {
                Ok(bytes) => part.copy_from_slice(&bytes.expose()[..part.len()]),
                Err(problem) => self.0 = Err(problem),
            }
        }
    }

    fn try_fill_bytes(
        &mut self,
        out: &mut [u8],
    ) -> Result<(), frost_ristretto255::rand_core::Error> {
        self.fill_bytes(out);
        Ok(())
    }
}

impl frost_ristretto255::rand_core::CryptoRng for SystemRng {}

/// Whether an identity is a custodian of the agreement, and which.
pub fn index_of(agreement: &Agreement, identity: &Identity) -> Result<Index, Problem> {
    let (custodians, own) = (agreement.custodians(), identity.card());
    let at = custodians.iter().position(|name| **name == own.name);
    // A key made anew under the same name is not the one that the parties signed for.
    if at.is_some() && agreement.card(&own.name) != Some(own) {
        return Err(Problem::data(
            format!(
                "this key of `{}` is not the one that the agreement names",
                own.name
            ),
            "use the folder whose card went into the agreement, or agree anew with this one",
        ));
    }
    at.and_then(|at| Index::try_from(at + 1).ok())
        .ok_or_else(|| no_custodian(&identity.card().name))
}

/// The refusal of somebody who is no custodian.
pub fn no_custodian(name: &Name) -> Problem {
    Problem::data(
        format!("`{name}` is no custodian of this agreement"),
        "see the roles in `hedui-agent agreement show`",
    )
}

#[cfg(test)]
#[path = "ceremony_tests.rs"]
mod tests;
