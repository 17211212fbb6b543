//! The matcher at work: agreement, key, state and exchange folder, all open. In: a party's folder. Out: what is accepted, what a
//! run would do. Invariant: only the matcher of the agreement sits here; the log is brought up to date before anything else
//! happens. Specification: protocol/SPEC.md, "Matcher", "Log".

use std::path::PathBuf;

use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, exchange};
use hedui_protocol::agreement::InForce;
use hedui_protocol::header::MessageType;
use hedui_protocol::identity::Identity;
use hedui_protocol::primitive::sha256;

use crate::intake::{Intake, State};
use crate::ledger::Ledger;
use crate::log::Log;
use crate::plan::{Plan, plan};

/// The matcher with its agreement, key and state open.
pub struct Desk {
    /// Agreement in force.
    pub agreement: InForce,
    /// The matcher's key.
    pub identity: Identity,
    /// Its state.
    pub state: State,
    /// Folder where sealed files are exchanged.
    pub exchange: PathBuf,
}

impl Desk {
    /// Opens everything to work in, for one process.
    pub fn open(home: &HomeOptions, exchange: PathBuf) -> Result<Self, Problem> {
        let desk = Self::with(home, exchange, State::open(home.state())?)?;
        let now = home.clock()?.now();
        desk.log(desk.state.ledger()?, &now).recover()?;
        Ok(desk)
    }

    /// The matcher's log.
    pub fn log<'a>(&'a self, ledger: &'a Ledger, now: &'a str) -> Log<'a> {
        Log {
            identity: &self.identity,
            agreement: &self.agreement,
            state: &self.state,
            exchange: &self.exchange,
            ledger,
            now,
        }
    }

    /// The same with a state of the caller's, which is not written to.
    pub fn with(home: &HomeOptions, exchange: PathBuf, state: State) -> Result<Self, Problem> {
        let agreement = home.in_force()?;
        let identity = home.identity()?;
        if identity.card() != agreement.matcher() {
            return Err(Problem::data(
                format!(
                    "`{}` is not the matcher of this agreement",
                    identity.card().name
                ),
                "run with the matcher's --home",
            ));
        }
        if !exchange.is_dir() {
            return Err(Problem::not_yet(
                format!("there is no folder {}", exchange.display()),
                "name the folder in which the departments' sealed files lie: --exchange DIR",
            ));
        }
        Ok(Self {
            agreement,
            identity,
            state,
            exchange,
        })
    }

    /// Takes in stated files; each refusal has its own exit code, so the first one ends the command.
    pub fn intake_files(
        &self,
        home: &HomeOptions,
        console: &Console,
        files: &[PathBuf],
    ) -> Result<usize, Problem> {
        let (ledger, clock) = (self.state.ledger()?, home.clock()?);
        let intake = self.intake(ledger, &clock);
        let mut accepted = 0;
        let done = files.iter().try_for_each(|path| {
            let manifest = intake.accept(path)?;
            accepted += 1;
            console.say(&format!(
                "已接收 accepted: {} → {}",
                manifest.dataset, manifest.register
            ));
            Ok(())
        });
        // Also where a later file was refused: receipts have gone out.
        let published = match accepted {
            0 => Ok(()),
            _ => intake.log().publish(),
        };
        done.and(published).map(|()| 0)
    }

    /// Takes in everything new in the exchange folder; refused files are listed and left where they are.
    pub fn intake_all(&self, home: &HomeOptions, console: &Console) -> Result<usize, Problem> {
        let (ledger, clock) = (self.state.ledger()?, home.clock()?);
        let intake = self.intake(ledger, &clock);
        let done = self.intake_found(&intake, console);
        let published = intake.log().publish();
        done.and_then(|rejected| published.map(|()| rejected))
    }

    fn intake_found(&self, intake: &Intake<'_>, console: &Console) -> Result<usize, Problem> {
        let (ledger, clock) = (intake.ledger, intake.clock);
        let found = exchange::addressed_to(&self.exchange, &self.identity.card().name)?;
        let bar = console.progress("接收 intake", found.len() as u64);
        let mut rejected = 0;
        intake.send_receipts()?;
        for file in found {
            // Answers to refinement requests are read where they are used.
            if file.header.kind == MessageType::RefineAnswer {
                bar.inc(1);
                continue;
            }
            // Seen before: the ordinary case of a second command on the same folder.
            let digest = sha256(&[file.header.render().as_bytes()]);
            if ledger.knows(&digest)? || ledger.deleted(&digest)? {
                bar.inc(1);
                continue;
            }
            match intake.accept(&file.path) {
                Ok(manifest) => console.say(&format!(
                    "已接收 accepted: {} → {}",
                    manifest.dataset, manifest.register
                )),
                Err(Problem::Refused { place, refusal }) => {
                    rejected += 1;
                    ledger.refuse(&digest, file.header.from.0.as_str(), &clock.now(), &refusal)?;
                    let problem = Problem::Refused { place, refusal };
                    console.note(&format!("{problem} (exit code {})", problem.exit_code()));
                }
                Err(other) => return Err(other),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(rejected)
    }

    fn intake<'a>(&'a self, ledger: &'a Ledger, clock: &'a hedui_edge::clock::Clock) -> Intake<'a> {
        Intake {
            identity: &self.identity,
            agreement: &self.agreement,
            state: &self.state,
            ledger,
            exchange: &self.exchange,
            clock,
            now: clock.now(),
        }
    }

    /// What a run of what is in force would do.
    pub fn plan(&self) -> Result<Plan, Problem> {
        let accepted = self.state.ledger()?.in_force(&self.agreement)?;
        plan(&self.state, &self.agreement, &accepted)
    }
}
