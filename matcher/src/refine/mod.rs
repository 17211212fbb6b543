//! The refinement round: candidate pairs compared field by field, under keys that the matcher does not have. In:
//! candidate pairs of a run. Out: their match weights.
//!
//! | file | question it answers |
//! |---|---|
//! | [`request`] | which pairs are asked about, and with which decoys? |
//! | [`answers`] | how alike are the two records of each pair? |
//! | [`records`] | the same from record filters that are here already |
//! | [`weights`] | how much evidence is that? |
//!
//! Invariant: what is asked, and what follows from the answers, is a function of the run alone.
//! Specification: protocol/SPEC.md, "Refinement"; design §5.

pub mod answers;
pub mod chart;
pub mod one_to_one;
pub mod records;
pub mod request;
pub mod weights;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use hedui_edge::clock::Clock;
use hedui_edge::exchange::{self, Draft};
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::{KeyClass, RefineBy};
use hedui_protocol::field::Form;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{Handle, Name};
use hedui_protocol::limits::PAIRS_SHARE;
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::message::manifest_bytes;
use hedui_protocol::message::refine::{Answering, Request, refine_of};
use hedui_protocol::message::result::{Outcome, Pair};
use hedui_protocol::primitive::sha256;

use crate::intake::State;
use crate::kept;
use crate::log::Log;
use crate::merge::Compared;
use crate::plan::{Pairing, Plan};
use one_to_one::{Choice, Taken, Weighed};
use request::Asked;
use weights::{Evidence, Identifier, Model, Seen};

/// A pair that the keys leave undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Record of the roll.
    pub roll: Handle,
    /// Record of the register.
    pub register: Handle,
    /// Match keys that agree.
    pub agree: u16,
    /// Match keys that both have and that differ.
    pub differ: u16,
    /// Other pairs in which either record shares the value of the rarest agreeing key.
    pub rivals: u32,
}

/// What the round found about a register's candidates.
#[derive(Default)]
pub struct Weights {
    /// Match weights in bits, prior included.
    pub bits: BTreeMap<(Handle, Handle), f64>,
    /// Of a one-to-one register, the pairs that were chosen; the others are none.
    pub choice: Option<Choice>,
}

/// Where the round stands for one register.
pub enum Round {
    /// Weights of the candidates that were asked about.
    Done(Weights),
    /// Sides whose answer is not there.
    Waiting(Vec<Name>),
}

/// What a round needs of the matcher.
pub struct Desk<'a> {
    /// Agreement.
    pub agreement: &'a InForce,
    /// The matcher's key.
    pub identity: &'a Identity,
    /// The matcher's state.
    pub state: &'a State,
    /// Folder where sealed files are exchanged.
    pub exchange: &'a Path,
    /// Clock.
    pub clock: &'a Clock,
    /// Terminal.
    pub console: &'a Console,
}

impl Desk<'_> {
    /// One register's round: asks both sides, and weighs their answers if they are there.
    pub fn round(
        &self,
        plan: &Plan,
        pairing: &Pairing,
        compared: &Compared,
    ) -> Result<Round, Problem> {
        if compared.candidates.is_empty() {
            return Ok(Round::Done(Weights::default()));
        }
        let refine = refine_of(self.agreement)?;
        let by_records = refine.by == RefineBy::Records;
        let most = (!by_records).then_some(refine.pairs_max / PAIRS_SHARE);
        let secret = self.identity.local_key(&[
            b"decoys",
            &[0],
            &self.agreement.digest().0,
            &self.agreement.epoch().0.to_be_bytes(),
            pairing.register.as_bytes(),
        ]);
        let asked = Asked::choose(self.state, &secret, pairing, compared, most)?;
        if by_records {
            let vectors = records::vectors(self.state, self.agreement, pairing, &asked)?;
            return self
                .weigh(plan, pairing, &asked, &vectors, compared)
                .map(Round::Done);
        }
        if asked.left_out > 0 {
            self.console.note(&format!(
                "{}: {} 个候选对超出协议上限，未细化 candidates beyond the agreement's bound are not refined (`pairs_max`)",
                pairing.register, asked.left_out
            ));
        }
        let register = self.agreement.dataset_or_nearest(&pairing.register)?;
        let sides = [
            (
                Answering::Roll,
                &self.agreement.roll().owner,
                &pairing.snapshot,
            ),
            (
                Answering::Register,
                &register.owner,
                &pairing.register_snapshot,
            ),
        ];
        let mut rows = Vec::new();
        let mut waiting = Vec::new();
        for (side, owner, snapshot) in sides {
            self.ask(&asked, &register.name, side, owner, snapshot)?;
            match answers::find(self, &asked, &register.name, side, owner)? {
                Some(table) => rows.push(table),
                None => waiting.push(owner.clone()),
            }
        }
        let [left, right] = &rows[..] else {
            return Ok(Round::Waiting(waiting));
        };
        let vectors = answers::vectors(self.agreement, left, right)?;
        self.weigh(plan, pairing, &asked, &vectors, compared)
            .map(Round::Done)
    }

    fn ask(
        &self,
        asked: &Asked,
        register: &Name,
        side: Answering,
        owner: &Name,
        snapshot: &str,
    ) -> Result<(), Problem> {
        if self.state.is_replay() {
            return Ok(());
        }
        let head = Request::new(
            register,
            side,
            snapshot,
            &asked.data,
            asked.pairs.len() as u64,
        );
        let body = [&manifest_bytes(&head)?[..], &asked.table()].concat();
        let word = match side {
            Answering::Roll => "roll",
            Answering::Register => "register",
        };
        let to = self.agreement.card(owner).ok_or_else(|| {
            Problem::data(
                "the owner is no party of the agreement",
                "see `agreement show`",
            )
        })?;
        let draft = Draft {
            kind: MessageType::RefineRequest,
            to,
            about: &format!("{register}-{word}"),
            content: sha256(&[&body]),
            in_reply_to: None,
        };
        let folders = (self.state.folder.as_path(), self.exchange);
        let len = body.len() as u64;
        let mut body = std::io::Cursor::new(&body[..]);
        let (identity, agreement) = (self.identity, self.agreement);
        let sent = exchange::send(
            identity, agreement, folders, self.clock, &draft, &mut body, len,
        )?;
        self.note(Event::Sent, sent.header_sha256)
    }

    /// Logs what was sent or accepted, before anything comes of it.
    fn note(&self, event: Event, header_sha256: [u8; 32]) -> Result<(), Problem> {
        if self.state.is_replay() {
            return Ok(());
        }
        let ledger = self.state.ledger()?;
        ledger.note(
            self.agreement,
            &Entry {
                event,
                header_sha256,
            },
        )?;
        let log = Log {
            identity: self.identity,
            agreement: self.agreement,
            state: self.state,
            exchange: self.exchange,
            ledger,
            now: &self.clock.now(),
        };
        log.publish()
    }

    /// Fits the model, keeps it with the run, and weighs the candidates.
    fn weigh(
        &self,
        plan: &Plan,
        pairing: &Pairing,
        asked: &Asked,
        vectors: &[answers::Vector],
        compared: &Compared,
    ) -> Result<Weights, Problem> {
        let matches = |pair: &&Pair| pair.outcome == Outcome::Match;
        let decided = compared.pairs.iter().filter(matches);
        let agreement = self.agreement;
        let class_a = agreement
            .match_keys()
            .iter()
            .filter(|key| key.class == KeyClass::A)
            .fold(0, |bits: u16, key| bits | 1 << (key.number - 1));
        let mut evidence = Evidence {
            decided: decided.clone().count() as u64,
            sizes: asked.sizes,
            alone: alone(agreement, compared),
            ..Evidence::default()
        };
        let by_records = refine_of(agreement)?.by == RefineBy::Records;
        let mut groups = BTreeMap::new();
        let mut own = Vec::new();
        for (pair, vector) in asked.pairs.iter().zip(vectors) {
            let mut vector = vector.clone();
            let Some(candidate) = asked.candidates.get(&(pair.roll, pair.register)) else {
                let same = asked.certain.contains(&(pair.roll, pair.register));
                let list = if same {
                    &mut evidence.certain
                } else {
                    &mut evidence.decoys
                };
                list.push(vector);
                continue;
            };
            vector.push(Some(weights::rivals_level(candidate.rivals)));
            // Records that are alike as a whole are many for each person, and strangers but for one.
            let rival_group = by_records.then(|| {
                let next = groups.len();
                *groups.entry(candidate.roll).or_insert(next)
            });
            let identifier = if candidate.agree & class_a != 0 {
                Identifier::Agrees
            } else if candidate.differ & class_a != 0 {
                Identifier::Differs
            } else {
                Identifier::Absent
            };
            evidence.candidates.push(Seen {
                agree: candidate.agree,
                vector: vector.clone(),
                identifier,
                rival_group,
            });
            own.push((candidate, vector, identifier));
        }
        let derived = |name: &Name| {
            let field = agreement.fields().iter().find(|field| field.name == *name);
            field.is_some_and(|field| !field.derive.is_empty())
        };
        let compared = agreement.compared();
        let names = compared
            .iter()
            .map(|name| (name.to_string(), derived(name)));
        let fields = weights::key_comparisons(agreement);
        let model = Model::fit(names.collect(), &fields, &evidence);
        let path = kept::refine_path(&plan.folder, &pairing.register, "json");
        let json = serde_json::to_vec_pretty(&model)
            .map_err(|error| Problem::data(error.to_string(), "report this"))?;
        files::write_bytes(&path, &json)?;
        let register = agreement.dataset_or_nearest(&pairing.register)?;
        let choice = register.one_to_one.then(|| {
            let mut taken = Taken::default();
            decided.for_each(|pair| taken.take(pair.roll, pair.register));
            let review = refine_of(agreement).map_or(0.0, |refine| refine.review_bits);
            one_to_one::choose(&model, &own, taken, asked.sizes, review)
        });
        let explained = kept::refine_path(&plan.folder, &pairing.register, "csv");
        explain(&explained, &model, &own, choice.as_ref())?;
        let weight = |(candidate, vector, identifier): &Weighed<'_>| {
            let pair = (candidate.roll, candidate.register);
            (pair, model.weight(vector, *identifier))
        };
        let mut bits: BTreeMap<_, _> = own.iter().map(weight).collect();
        let chosen = choice.iter().flatten();
        bits.extend(chosen.map(|(pair, chosen)| (*pair, chosen.bits)));
        let refine = refine_of(agreement)?;
        let weights: Vec<f64> = bits.values().copied().collect();
        let picture = chart::svg(&model, &weights, (refine.review_bits, refine.match_bits));
        let path = kept::refine_path(&plan.folder, &pairing.register, "svg");
        files::write_bytes(&path, picture.as_bytes())?;
        Ok(Weights { bits, choice })
    }
}

/// For each comparison the match key that is its whole field and nothing else, with what the join counted.
fn alone(agreement: &InForce, compared: &Compared) -> Vec<Option<(u16, u64)>> {
    let of = |field: &Name| {
        let keys = agreement.match_keys().iter();
        let mut keys = keys.filter(|key| match &key.parts[..] {
            [part] => {
                let name = agreement.fields().get(part.field).map(|field| &field.name);
                name == Some(field) && part.form == Form::Whole
            }
            _ => false,
        });
        let bit = u32::from(keys.next()?.number) - 1;
        Some((1 << bit, compared.undecided.get(bit as usize).copied()?))
    };
    agreement.compared().into_iter().map(of).collect()
}

/// Keeps what each candidate's weight is made of: levels, not values, so that any decision can be explained.
fn explain(
    path: &Path,
    model: &Model,
    candidates: &[Weighed<'_>],
    choice: Option<&Choice>,
) -> Result<(), Problem> {
    files::write_whole(path, |out| {
        let wrap = |error| Problem::io(path, error);
        let names = model.comparisons.join(",");
        let head = "chosen,chosen_bits";
        writeln!(out, "roll,register,agree,differ,{names},weight_bits,{head}").map_err(wrap)?;
        for (candidate, vector, identifier) in candidates {
            let word =
                |level: &Option<u8>| level.map_or_else(String::new, |level| level.to_string());
            let levels: Vec<String> = vector.iter().map(word).collect();
            let pair = (candidate.roll, candidate.register);
            let chosen = match choice.map(|choice| choice.get(&pair)) {
                None => ",".to_owned(),
                Some(None) => "no,".to_owned(),
                Some(Some(chosen)) => {
                    let word = if chosen.clear { "yes" } else { "doubtful" };
                    format!("{word},{:.2}", chosen.bits)
                }
            };
            writeln!(
                out,
                "{},{},{:016b},{:016b},{},{:.2},{chosen}",
                candidate.roll.to_hex(),
                candidate.register.to_hex(),
                candidate.agree,
                candidate.differ,
                levels.join(","),
                model.weight(vector, *identifier)
            )
            .map_err(wrap)?;
        }
        Ok(())
    })
}
