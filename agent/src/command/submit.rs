//! Delivering a dataset: prepare, finish, submit. In: a mapped file, the agreement, custodians' answers. Out:
//! requests to custodians; then sealed submissions, kits, the local handle map.
//! Invariant: nothing leaves before the mapping fits the agreement and the agreement is in force; each command
//! does what can be done now and can be repeated. Specification: README, "Ten minutes"; docs/OPERATIONS.md.

use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::exchange::{self, Draft, Sent};
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_keys::kit_store::KitStore;
use hedui_keys::lock::{KEYED_WARNING, Keyed, Lock};
use hedui_protocol::agreement::InForce;
use hedui_protocol::agreement::text::{Dataset, DatasetKind, LockKind, RefineBy};
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::lock::TagContext;
use hedui_protocol::match_key::Side;
use hedui_protocol::message::kit::Kit;

use super::data::{DataOptions, prepare as read_dataset, rejects, report};
use super::post::{HANDLE_MAP, about, handle_map_path, submit_anew};
use crate::canary;
use crate::changes::kept::Kept;
use crate::disclosure::delivered;
use crate::encode::{Encoder, TooCommon};
use crate::evaluation::Workshop;
use crate::evaluation::absorb::{Answers, absorb};
use crate::evaluation::batch::Batch;
use crate::evaluation::tokens::{Evaluated, Tokens};
use crate::evaluation::values::Values;
use crate::evaluation::{cost, request};
use crate::intake::Prepared;
use crate::record::{Grouped, Pseudonyms, Spooled, group};
use crate::spool::Spool;
use crate::usual::Usual;
use crate::{commitment, refine, roll, sealed_file, submit};

/// Options of `submit`, `prepare` and `finish`.
#[derive(Args)]
pub struct SubmitOptions {
    #[command(flatten)]
    pub(super) data: DataOptions,
    /// Folder where sealed files are exchanged
    #[arg(long, value_name = "DIR", default_value = "exchange")]
    exchange: PathBuf,
    /// Custodian to ask (repeat; default: the first ones of the agreement)
    #[arg(long = "custodian", value_name = "NAME")]
    custodians: Vec<String>,
    /// Say what the evaluations will cost, and stop: nothing is asked or sent
    #[arg(long)]
    estimate: bool,
    /// Drop an earlier request whose answers will never come (custodians may have counted it)
    #[arg(long)]
    anew: bool,
    /// Deliver what was delivered before as a new delivery (the matcher has deleted it); say it once
    #[arg(long, conflicts_with_all = ["changes", "estimate"])]
    again: bool,
}

impl SubmitOptions {
    /// Whether only the cost is asked for.
    pub(super) fn is_estimate(&self) -> bool {
        self.estimate
    }

    /// Folder where sealed files are exchanged.
    pub(super) fn exchange(&self) -> &Path {
        &self.exchange
    }
}

/// How far a command goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Ask custodians, no more.
    Prepare,
    /// Take their answers and submit; ask nothing.
    Finish,
    /// Whatever can be done now.
    Submit,
}

/// `prepare`, `finish`, `submit`: check, ask, encode, seal.
pub fn deliver(
    home: &HomeOptions,
    console: &Console,
    options: &SubmitOptions,
    reach: Reach,
) -> Result<(), Problem> {
    let agreement = home.in_force()?;
    let identity = home.identity()?;
    let state = home.state();
    let _guard = files::guard(&state)?;
    std::fs::create_dir_all(&options.exchange).map_err(|e| Problem::io(&options.exchange, e))?;
    let mut prepared = read_dataset(home, &agreement, &identity, &options.data, &state, console)?;
    let dataset = prepared.dataset.clone();
    if dataset.owner != identity.card().name {
        return Err(Problem::data(
            format!("dataset `{}` belongs to `{}`", dataset.name, dataset.owner),
            "submit with the owner's key",
        ));
    }
    // What costs nothing says nothing else.
    if reach != Reach::Finish && !options.estimate {
        report(&agreement, &mut prepared, &options.data, false, console)?;
    }
    let run = Run {
        home,
        console,
        agreement: &agreement,
        identity: &identity,
        options,
        state: &state,
    };
    if let Some(file) = &options.data.changes {
        run.changes(&mut prepared, file, reach)?;
        return rejects(&prepared);
    }
    if options.estimate {
        run.estimate(&mut prepared)?;
        return rejects(&prepared);
    }
    if options.again {
        submit_anew(&state, &agreement, &dataset)?;
    }
    if dataset.kind == DatasetKind::Roll {
        run.kits()?;
    }
    if let Some((likeness, _)) = agreement.likeness() {
        console.note(likeness.notice());
    }
    let tokens = match agreement.text().lock {
        LockKind::Keyed if reach == Reach::Prepare => {
            console.say("本协议不使用密钥保管方 this agreement has no custodians: submit at once");
            return rejects(&prepared);
        }
        LockKind::Keyed => {
            console.note(KEYED_WARNING);
            None
        }
        LockKind::Oprf => {
            let folders = (state.as_path(), options.exchange.as_path());
            let workshop = Workshop::new(&agreement, &identity, folders, console)?;
            match run.evaluated(&workshop, &mut prepared, reach)? {
                Some(mut values) => {
                    run.encode(&mut prepared, Some((&workshop, &mut values)))?;
                    return rejects(&prepared);
                }
                None => return rejects(&prepared),
            }
        }
    };
    run.encode(&mut prepared, tokens)?;
    rejects(&prepared)
}

/// A delivery under way.
pub(super) struct Run<'a> {
    pub(super) home: &'a HomeOptions,
    pub(super) console: &'a Console,
    pub(super) agreement: &'a InForce,
    pub(super) identity: &'a Identity,
    pub(super) options: &'a SubmitOptions,
    pub(super) state: &'a Path,
}

/// A submission that was sealed.
pub(super) struct Delivered {
    records: u64,
    /// Values that are too common.
    pub(super) too_common: TooCommon,
    /// Where it lies.
    pub(super) sent: Sent,
}

/// Values of a dataset whose tokens are all here, with the workshop that holds them.
type Evaluations<'a> = Option<(&'a Workshop<'a>, &'a mut Values)>;

impl Run<'_> {
    /// Says what the evaluations of a dataset will cost; nothing is made, asked or sent.
    pub(super) fn estimate(&self, prepared: &mut Prepared) -> Result<(), Problem> {
        if self.agreement.text().lock == LockKind::Keyed {
            self.console.say(
                "本协议不使用密钥保管方，无需计算 this agreement has no custodians: nothing is to be evaluated",
            );
            self.console.object(&serde_json::json!({
                "dataset": prepared.dataset.name.as_str(), "values": 0,
            }));
            return Ok(());
        }
        let folders = (self.state, self.options.exchange.as_path());
        let workshop = Workshop::new(self.agreement, self.identity, folders, self.console)?;
        let mut values = Values::collect(&workshop, prepared)?;
        let (missing, _) = Batch::of(&workshop, &prepared.dataset.name).missing(&mut values)?;
        let dataset = prepared.dataset.name.as_str();
        self.cost(missing, dataset);
        self.console
            .object(&serde_json::json!({ "dataset": dataset, "values": missing }));
        Ok(())
    }

    /// Says how many values are to be evaluated, how long that takes, and whether the quota has room.
    fn cost(&self, missing: u64, dataset: &str) {
        self.console.say(&format!(
            "需要计算 to be evaluated: {missing} 个取值 values, {}",
            cost::of_values(missing)
        ));
        if let Some(warning) = cost::quota_warning(self.agreement, missing, dataset) {
            self.console.note(&warning);
        }
    }

    /// Takes answers that have come and asks for what is missing, as far as the command reaches; the values
    /// once all of them have tokens, or `None` where the command ends with its requests.
    pub(super) fn evaluated(
        &self,
        workshop: &Workshop<'_>,
        prepared: &mut Prepared,
        reach: Reach,
    ) -> Result<Option<Values>, Problem> {
        let mut values = Values::collect(workshop, prepared)?;
        let batch = Batch::of(workshop, &prepared.dataset.name);
        let mut waiting = Vec::new();
        if let Some(card) = batch.card()? {
            let absorbed = match absorb(workshop, &batch, &card) {
                // Asking another custodian is the way out of a wrong answer.
                Err(problem @ Problem::Refused { .. }) if reach == Reach::Prepare => {
                    self.console.note(&problem.to_string());
                    Answers::Waiting(Vec::new())
                }
                other => other?,
            };
            // Also before more is asked: what was answered is paid for, whatever the data are by now.
            match absorbed {
                Answers::Absorbed(count) => self.console.say(&format!(
                    "已验证密钥保管方的答复 answers verified: {count} 个取值 values"
                )),
                Answers::Waiting(names) => waiting = names,
            }
        }
        let (missing, digest) = batch.missing(&mut values)?;
        if missing == 0 {
            if reach == Reach::Prepare {
                self.console.say(
                    "全部取值本期已计算 every value is evaluated already; next: hedui-agent finish",
                );
            }
            return Ok(Some(values).filter(|_| reach != Reach::Prepare));
        }
        let asked = batch.card()?.filter(|_| !self.options.anew);
        let (asked, earlier) = match asked {
            Some(card) if card.values_sha256 == digest => (Some(card), None),
            // What was asked may have been counted already: it is waited for before more is asked.
            earlier => (None, earlier.filter(|card| !card.requests.is_empty())),
        };
        if reach == Reach::Finish {
            let names: Vec<String> = waiting.iter().map(ToString::to_string).collect();
            return Err(match asked {
                Some(_) => waits_for(&names),
                None => Problem::not_yet(
                    format!("{missing} values were not asked for yet"),
                    "run `hedui-agent prepare` with the same mapping",
                ),
            });
        }
        self.cost(missing, prepared.dataset.name.as_str());
        let before = asked.as_ref().or(earlier.as_ref());
        let custodians = request::choose(workshop, &self.options.custodians, before)?;
        if let Some(card) = earlier {
            let count = card.values;
            request::send(workshop, &batch, card, &custodians, &self.home.clock()?)?;
            return Err(Problem::not_yet(
                format!("the answers to an earlier request of {count} values are still to come"),
                "run the same command when they are there: what is new since then is asked after that; if a \
                 custodian is down, name another with --custodian; if they refused, drop the request with --anew",
            ));
        }
        let card = match asked {
            Some(card) => card,
            None => batch.make(&mut values, missing, digest)?,
        };
        let mib = card.elements() as f64 * 32.0 / f64::from(1 << 20);
        let names: Vec<String> = custodians.iter().map(ToString::to_string).collect();
        self.console.say(&format!(
            "请求密钥保管方计算 asking {}: {missing} 个新取值 new values, {} 个元素 elements, {mib:.1} MiB",
            names.join(", "),
            card.elements(),
        ));
        request::send(workshop, &batch, card, &custodians, &self.home.clock()?)?;
        match reach {
            Reach::Prepare => {
                self.console
                    .say("下一步 next: 等保管方答复后 after their answers: hedui-agent finish");
                Ok(None)
            }
            _ => Err(waits_for(&names)),
        }
    }

    fn encode(&self, prepared: &mut Prepared, evaluations: Evaluations<'_>) -> Result<(), Problem> {
        match prepared.dataset.kind {
            DatasetKind::Roll => self.roll(prepared, evaluations),
            DatasetKind::Register => self.register(prepared, evaluations),
        }
    }

    /// The roll: one submission per register.
    fn roll(&self, prepared: &mut Prepared, evaluations: Evaluations<'_>) -> Result<(), Problem> {
        let store = KitStore::new(self.state, self.identity, self.agreement);
        let snapshot = roll::snapshot_path(self.state, self.agreement);
        roll::save(&snapshot, self.identity, prepared)?;
        let (exchange, owner) = (&self.options.exchange, self.identity);
        let mut persons = commitment::commit(self.agreement, owner, prepared, exchange)?;
        let evaluated = match evaluations {
            Some((workshop, _)) => Some(Evaluated::of_persons(workshop, &persons)?),
            None => None,
        };
        let registers: Vec<Dataset> = self.agreement.registers().cloned().collect();
        let bar = self
            .console
            .progress("编码 encoding", registers.len() as u64);
        for register in &registers {
            let kit = store.get_or_make(register)?;
            let keyed = Keyed::new(&kit.shared_secret);
            let lock: &dyn Lock = match &evaluated {
                Some(evaluated) => evaluated,
                None => &keyed,
            };
            let name = register.name.as_str();
            persons.sort_by_cached_key(|person| prepared.pseudonyms.handle(name, &person.id));
            self.submit_one(prepared, &register.name, &kit, &mut |take| {
                take(&persons, lock)
            })?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.console.say(&format!(
            "已报送名册 roll submitted: {} 条记录 records × {} 部门数据 registers",
            persons.len(),
            registers.len()
        ));
        Ok(())
    }

    /// A register: its kit, one submission, the local handle map.
    fn register(
        &self,
        prepared: &mut Prepared,
        evaluations: Evaluations<'_>,
    ) -> Result<(), Problem> {
        let store = KitStore::new(self.state, self.identity, self.agreement);
        let register = prepared.dataset.clone();
        let kit = match store.get(&register)? {
            Some(kit) => kit,
            None => self.receive_kit(&store, &register)?,
        };
        let mut spool = std::mem::replace(&mut prepared.spool, Spool::new(self.state)?);
        let prepared = &*prepared;
        let keyed = Keyed::new(&kit.shared_secret);
        let mut tokens = match evaluations {
            Some((workshop, values)) => Some(Tokens::gather(workshop, values)?),
            None => None,
        };
        let name = register.name.as_str();
        let mut grouped = |take: &mut submit::TakePart<'_>| {
            self.each_part(prepared, &mut spool, (tokens.as_mut(), &keyed), take)
        };
        delivered::forget(&delivered::path(self.state, self.agreement, name))?;
        Kept::of(self.state, self.identity, self.agreement, name).begin_whole()?;
        let map = handle_map_path(self.state, self.agreement, name);
        sealed_file::write(&map, self.identity, HANDLE_MAP, |put| {
            grouped(&mut |persons: &[_], _: &dyn Lock| {
                persons.iter().try_for_each(|person: &Grouped| {
                    let mut record = prepared.pseudonyms.handle(name, &person.id).0.to_vec();
                    person
                        .rows
                        .iter()
                        .for_each(|row| record.extend_from_slice(&row.to_be_bytes()));
                    put(&record)
                })
            })
        })?;
        let refine = self.agreement.text().refine.as_ref();
        if refine.is_some_and(|refine| refine.by == RefineBy::Pairs) {
            let path = refine::persons_path(self.state, self.agreement, name);
            refine::keep(&path, self.identity, &prepared.snapshot, |put| {
                grouped(&mut |persons: &[_], _: &dyn Lock| {
                    persons.iter().try_for_each(|person: &Grouped| {
                        put(prepared.pseudonyms.handle(name, &person.id), person)
                    })
                })
            })?;
        }
        let sent = self.submit_one(prepared, &register.name, &kit, &mut grouped)?;
        // Only what was delivered may be laid open: kept after it was sealed, and forgotten before another is begun.
        if delivered::is_kept(&register) {
            let path = delivered::path(self.state, self.agreement, name);
            delivered::keep(&path, self.identity, &prepared.snapshot, |put| {
                grouped(&mut |persons: &[_], _: &dyn Lock| {
                    persons.iter().try_for_each(|person: &Grouped| {
                        put(prepared.pseudonyms.handle(name, &person.id), person)
                    })
                })
            })?;
        }
        self.console.say(&format!(
            "已报送 submitted: {name}, {} 条记录 records",
            sent.records
        ));
        self.keep_for_changes(prepared, &mut spool, &kit, &sent)
    }

    /// Hands over the persons of a register's spool part by part, sorted by handle, with the lock that has their tokens.
    pub(super) fn each_part(
        &self,
        prepared: &Prepared,
        spool: &mut Spool,
        (mut tokens, keyed): (Option<&mut Tokens<'_>>, &Keyed),
        take: &mut submit::TakePart<'_>,
    ) -> Result<(), Problem> {
        let (facts, name) = (prepared.dataset.fact.len(), prepared.dataset.name.as_str());
        for part in 0..spool.partitions() {
            let records = spool
                .records(part)?
                .iter()
                .map(|bytes| Spooled::decode(bytes, self.agreement, facts))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Problem::data(error.to_string(), "report this"))?;
            let persons = group(records, |id| prepared.pseudonyms.handle(name, id));
            match &mut tokens {
                Some(tokens) => take(&persons, &tokens.part(part)?)?,
                None => take(&persons, keyed)?,
            }
        }
        Ok(())
    }

    /// Encoder of a dataset in a register's context.
    pub(super) fn encoder<'p>(
        &'p self,
        prepared: &'p Prepared,
        register: &'p Name,
        kit: &Kit,
    ) -> Encoder<'p> {
        let agreement = self.agreement;
        Encoder {
            agreement,
            register: register.as_str(),
            context: TagContext::new(
                agreement.digest(),
                agreement.epoch(),
                kit.register,
                kit.register_secret.duplicate(),
            ),
            side: Side::from(prepared.dataset.kind),
            pseudonyms: &prepared.pseudonyms,
            releases: agreement.releases(),
        }
    }

    /// Builds and seals one submission.
    fn submit_one(
        &self,
        prepared: &Prepared,
        register: &Name,
        kit: &Kit,
        parts: &mut submit::Parts<'_>,
    ) -> Result<Delivered, Problem> {
        let agreement = self.agreement;
        let encoder = self.encoder(prepared, register, kit);
        let dataset = &prepared.dataset.name;
        let side = (register.as_str(), dataset != register);
        let mut usual = Usual::of(&encoder, &TooCommon::new(), parts)?;
        let (built, count) = loop {
            let canaries = canary::records(agreement, &prepared.pseudonyms, side, &usual);
            let count = canaries.len() as u64;
            let mut with_canaries = canary_parts(&prepared.pseudonyms, register, canaries, parts);
            let built = submit::build(
                &encoder,
                dataset,
                (&prepared.mapping.as_of, &prepared.snapshot, &usual),
                self.state,
                &mut with_canaries,
            )?;
            drop(with_canaries);
            // Where most records lose a key to its too common values, canaries that kept it would stand out. What is too
            // common does not depend on them, so this happens once at most.
            let left = match built.too_common.is_empty() {
                true => break (built, count),
                false => Usual::of(&encoder, &built.too_common, parts)?,
            };
            if left.bitmap == usual.bitmap {
                break (built, count);
            }
            usual = left;
        };
        for (key, count) in agreement.match_keys().iter().zip(&built.too_common_counts) {
            if *count > 0 {
                self.console.note(&format!(
                    "  {register}: {count} 条记录的 `{}` 取值过于集中，不参与比对 records lost this key: its value is too common",
                    key.name
                ));
            }
        }
        let about = about(dataset, register);
        let sent = self.post(&about, &built)?;
        Ok(Delivered {
            records: built.persons_count - count,
            too_common: built.too_common,
            sent,
        })
    }

    /// Seals a body for the matcher.
    pub(super) fn post(&self, about: &str, built: &submit::Built) -> Result<Sent, Problem> {
        let agreement = self.agreement;
        let draft = Draft {
            kind: MessageType::Submission,
            to: agreement.matcher(),
            about,
            content: built.sha256,
            in_reply_to: None,
        };
        let mut body = built
            .file
            .reopen()
            .map_err(|e| Problem::io(built.file.path(), e))?;
        let folders = (self.state, self.options.exchange.as_path());
        let clock = self.home.clock()?;
        let sent = exchange::send(
            self.identity,
            agreement,
            folders,
            &clock,
            &draft,
            &mut body,
            built.body_bytes,
        )?;
        self.console.say(&format!("  → {}", sent.path.display()));
        if let Some(day) = sent.created.get(..10)
            && day != clock.today()
        {
            let kept_for = agreement.text().retention_days;
            self.console.say(&format!(
                "    内容与 {day} 所报相同，仍是那一次报送，自该日起保存 {kept_for} 天；核对中心已删除的，用 --again 重新报送 the same as on that day: still that delivery, kept {kept_for} days \
                 from then; --again delivers it anew"
            ));
        }
        Ok(sent)
    }
}

/// Parts with canaries among the persons, every handle in its place.
fn canary_parts<'p>(
    pseudonyms: &'p Pseudonyms,
    register: &'p Name,
    canaries: Vec<Grouped>,
    parts: &'p mut submit::Parts<'_>,
) -> impl FnMut(&mut submit::TakePart<'_>) -> Result<(), Problem> + 'p {
    let handle = |person: &Grouped| pseudonyms.handle(register.as_str(), &person.id);
    let mut sorted: Vec<_> = canaries.into_iter().map(|c| (handle(&c), c)).collect();
    sorted.sort_by_key(|(handle, _)| *handle);
    move |take| {
        // Those that come after the last person of every part wait for the end.
        let mut next = 0;
        let nobody = submit::Nobody;
        parts(&mut |persons, lock| {
            let mut from = 0;
            while let Some((canary_handle, canary)) = sorted.get(next) {
                let place = persons.partition_point(|p| handle(p) < *canary_handle);
                if place == persons.len() {
                    break;
                }
                take(&persons[from..place], lock)?;
                take(std::slice::from_ref(canary), &nobody)?;
                (from, next) = (place, next + 1);
            }
            take(&persons[from..], lock)
        })?;
        sorted[next..]
            .iter()
            .try_for_each(|(_, canary)| take(std::slice::from_ref(canary), &nobody))
    }
}

fn waits_for(names: &[String]) -> Problem {
    Problem::not_yet(
        format!("waiting for the answers of {}", names.join(", ")),
        "run this again when they are in the exchange folder, or ask another: hedui-agent prepare … --custodian NAME",
    )
}
