//! The command `refine`. In: the matcher's requests. Out: sealed answers. Invariant: a request is answered once per
//! epoch and charged to the agreement's bound; the same request gives the same answer; what does not belong to the
//! data that were delivered is not answered. Specification: docs/OPERATIONS.md, "Refinement".

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hedui_edge::exchange::{self, Draft};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_keys::kit_store::KitStore;
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::Dataset;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Handle;
use hedui_protocol::limits::MANIFEST_BYTES_MAX;
use hedui_protocol::lock::TagContext;
use hedui_protocol::message::refine::{
    Answer, Answering, PAIR_ROW_BYTES, Request, pairs_digest, refine_of,
};
use hedui_protocol::message::{manifest_bytes, manifest_len, parse_manifest};
use hedui_protocol::primitive::{hex, sha256};
use hedui_protocol::refusal::Refusal;
use serde::{Deserialize, Serialize};

use super::post::{ExchangeOptions, received};
use crate::changes::kept::Kept;
use crate::record::Pseudonyms;
use crate::{refine, roll};

/// `refine`: answers every request that is new and fits.
pub fn answer(
    home: &HomeOptions,
    console: &Console,
    options: &ExchangeOptions,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    let _guard = files::guard(&state)?;
    let limit =
        refine_of(&agreement)?.pairs_max * PAIR_ROW_BYTES as u64 + MANIFEST_BYTES_MAX as u64;
    let expected = (MessageType::RefineRequest, &agreement.matcher().name);
    let folder = &options.exchange;
    let mut latest = BTreeMap::new();
    for (path, mut verified) in
        received((&state, folder), &identity, &agreement, expected, console)?
    {
        let body = exchange::open_small(&path, &mut verified, &identity, limit)?;
        let (request, pairs) = match parse(&agreement, &body) {
            Ok(parsed) => parsed,
            Err(refusal) => {
                console.note(&Problem::refused(&path, refusal).to_string());
                continue;
            }
        };
        // A later request replaces an earlier one about the same register: its data are older.
        let place = (request.register.clone(), request.side == Answering::Roll);
        latest.insert(place, (request, pairs, verified.header().request));
    }
    let desk = Desk {
        home,
        console,
        agreement: &agreement,
        identity: &identity,
        state: &state,
        folder,
    };
    // One register's request that must be refused does not keep the others from their answers.
    let (mut answered, mut refused) = (0, None);
    for (request, pairs, in_reply_to) in latest.into_values() {
        match desk.answer(&request, &pairs, in_reply_to) {
            Ok(done) => answered += u64::from(done),
            Err(problem @ Problem::Refused { .. }) => {
                console.note(&format!("{}: {problem}", request.register));
                refused.get_or_insert(problem);
            }
            Err(problem) => return Err(problem),
        }
    }
    console.object(&serde_json::json!({ "answered": answered }));
    if let Some(problem) = refused {
        return Err(problem);
    }
    if answered == 0 {
        return Err(Problem::not_yet(
            "no request of the matcher fits the data that were delivered",
            "run it again after the matcher's next run",
        ));
    }
    Ok(())
}

/// Head and pairs of a request.
fn parse(agreement: &InForce, body: &[u8]) -> Result<(Request, Vec<u8>), Refusal> {
    let short = || Refusal::malformed("refine-request", "its body is too short");
    let (prefix, rest) = body.split_first_chunk::<4>().ok_or_else(short)?;
    let len = manifest_len(*prefix)?;
    let (json, pairs) = rest.split_at_checked(len).ok_or_else(short)?;
    let request: Request = parse_manifest("refine-request", json)?;
    request.check(agreement, len as u64, body.len() as u64)?;
    Ok((request, pairs.to_vec()))
}

/// A request that was answered.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Charged {
    pairs: u64,
    snapshot: String,
}

struct Desk<'a> {
    home: &'a HomeOptions,
    console: &'a Console,
    agreement: &'a InForce,
    identity: &'a Identity,
    state: &'a Path,
    folder: &'a Path,
}

impl Desk<'_> {
    /// Answers one request; `false` where it is about other data than were delivered.
    fn answer(
        &self,
        request: &Request,
        table: &[u8],
        in_reply_to: hedui_protocol::ids::RequestId,
    ) -> Result<bool, Problem> {
        let register = self
            .agreement
            .dataset_or_nearest(request.register.as_str())?;
        let owner = match request.side {
            Answering::Roll => &self.agreement.roll().owner,
            Answering::Register => &register.owner,
        };
        if *owner != self.identity.card().name {
            return Err(
                Refusal::malformed("refine-request", "it asks another party's side").into(),
            );
        }
        let store = KitStore::new(self.state, self.identity, self.agreement);
        let Some(kit) = store.get(register)? else {
            return Ok(false);
        };
        let context = TagContext::new(
            self.agreement.digest(),
            self.agreement.epoch(),
            kit.register,
            kit.register_secret.duplicate(),
        );
        let digest = pairs_digest(&request.register, &request.data, table);
        let pairs = refine::pairs(table);
        let Some(rows) = self.rows(request, register, (&context, &digest), &pairs)? else {
            self.console.note(&format!(
                "{}: 请求所据数据已更新，不作答复 the request is about an earlier delivery; not answered",
                request.register
            ));
            return Ok(false);
        };
        self.charge(request, &digest, pairs.len() as u64)?;
        let count = pairs.len() as u64;
        let head = Answer::new(
            self.agreement,
            &request.register,
            request.side,
            &hex(&digest),
            count,
        );
        let body = [&manifest_bytes(&head)?[..], &rows].concat();
        let side = if request.side == Answering::Roll {
            "roll"
        } else {
            "register"
        };
        let draft = Draft {
            kind: MessageType::RefineAnswer,
            to: self.agreement.matcher(),
            about: &format!("{}-{side}", request.register),
            content: sha256(&[&body]),
            in_reply_to: Some(in_reply_to),
        };
        let (clock, len) = (self.home.clock()?, body.len() as u64);
        let mut body = std::io::Cursor::new(&body[..]);
        let folders = (self.state, self.folder);
        let sent = exchange::send(
            self.identity,
            self.agreement,
            folders,
            &clock,
            &draft,
            &mut body,
            len,
        )?;
        self.console.say(&format!(
            "已答复比对细化请求 answered: {} {count} 对 pairs → {}",
            request.register,
            sent.path.display()
        ));
        Ok(true)
    }

    /// Rows of filters, or `None` if other data were delivered than the request is about.
    fn rows(
        &self,
        request: &Request,
        register: &Dataset,
        (context, digest): (&TagContext, &[u8; 32]),
        pairs: &[(Handle, Handle)],
    ) -> Result<Option<Vec<u8>>, Problem> {
        let agreement = self.agreement;
        let name = register.name.as_str();
        let is_roll = request.side == Answering::Roll;
        let dataset = if is_roll {
            agreement.roll().name.as_str()
        } else {
            name
        };
        let pseudonyms = Pseudonyms::new(self.identity, agreement, dataset);
        let canaries = refine::canaries(&pseudonyms, name, is_roll);
        let keys = (context, digest);
        if is_roll {
            let path = roll::snapshot_path(self.state, agreement);
            let roll = roll::load(&path, self.identity, agreement)?;
            let handles = roll.handles(&pseudonyms, name);
            let person = |handle: &Handle| {
                let padding = || {
                    let somebody = refine::stand_in(self.identity, handle, roll.persons.len());
                    (!canaries.contains_key(handle)).then_some(somebody)
                };
                let at = handles.get(handle).copied().or_else(padding);
                at.and_then(|at| roll.persons.get(at)).map(|p| &p.person)
            };
            let rows = refine::rows(agreement, keys, pairs, |pair| pair.0, person, &canaries);
            return Ok((roll.snapshot == request.snapshot).then_some(rows));
        }
        let path = refine::persons_path(self.state, agreement, name);
        if !path.exists() {
            return Ok(None);
        }
        let wanted: BTreeSet<Handle> = pairs.iter().map(|pair| pair.1).collect();
        let since = Kept::of(self.state, self.identity, agreement, name).changed()?;
        let (snapshot, persons) = refine::load(
            &path,
            self.identity,
            agreement,
            (&wanted, since.as_ref()),
            &canaries,
        )?;
        let person = |handle: &Handle| persons.get(handle);
        let rows = refine::rows(agreement, keys, pairs, |pair| pair.1, person, &canaries);
        Ok((snapshot == request.snapshot).then_some(rows))
    }

    /// Charges a request to the agreement's bound: a matcher that asked about every pair would learn how alike all
    /// persons are. A request that was answered before is not charged again.
    fn charge(&self, request: &Request, digest: &[u8; 32], pairs: u64) -> Result<(), Problem> {
        let digits: String = self.agreement.digest().to_hex().chars().take(16).collect();
        let side = if request.side == Answering::Roll {
            "roll"
        } else {
            "register"
        };
        let path = self.state.join(format!(
            "refined-{}-{side}-{digits}-{}.json",
            request.register,
            self.agreement.epoch().0
        ));
        let mut charged: BTreeMap<String, Charged> = match path.exists() {
            true => serde_json::from_slice(&files::read_state(&path)?)
                .map_err(|error| Problem::refused(&path, Refusal::malformed("state", error)))?,
            false => BTreeMap::new(),
        };
        let snapshot = request.snapshot.clone();
        let charge = Charged { pairs, snapshot };
        // The same pairs under the same keys about other data would show the matcher what has changed in them.
        if charged
            .get(&hex(digest))
            .is_some_and(|held| *held != charge)
        {
            return Err(Refusal::Replay.into());
        }
        charged.insert(hex(digest), charge);
        let found = charged.values().map(|charge| charge.pairs).sum();
        let allowed = refine_of(self.agreement)?.pairs_max;
        if found > allowed {
            return Err(Refusal::Oversize {
                what: "refine-request",
                found,
                allowed,
            }
            .into());
        }
        let json = serde_json::to_vec(&charged)
            .map_err(|e| Problem::data(e.to_string(), "report this"))?;
        files::write_bytes(&path, &json)
    }
}
