//! Two custodians and a department for tests, in one process. In: an agreement. Out: folders of their own and one between
//! them, requests, messages with headers of any kind.
//! Invariant: what is sealed here is sealed as the programs seal it; docs/OPERATIONS.md, "Custodians".

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use hedui_edge::Console;
use hedui_edge::clock::Clock;
use hedui_edge::exchange::{self, Draft};
use hedui_edge::home::HomeOptions;
use hedui_edge::passphrase::PassphraseSource;
use hedui_protocol::agreement::InForce;
use hedui_protocol::envelope;
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::keyfile;
use hedui_protocol::message::evaluation::RequestManifest;
use hedui_protocol::message::manifest_bytes;
use hedui_protocol::primitive::sha256;
use hedui_protocol::secret::Secret;

use super::ceremony::{Progress, index_of, run};
use super::desk::Desk;
use crate::oprf::suite::ELEMENT_BYTES;
use crate::store_tests::{identity, in_force, parties};

/// Blinded elements.
pub(crate) type Elements = Vec<[u8; ELEMENT_BYTES]>;

const DAY: &str = "2016-07-01";
const PASSPHRASE: &str = "seven blue herons";

/// Custodians `c1` and `c2`, department `office`.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) agreement: InForce,
    pub(crate) clock: Clock,
    pub(crate) console: Console,
    pub(crate) custodians: [Identity; 2],
    pub(crate) office: Identity,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::under(in_force(1))
    }

    pub(crate) fn under(agreement: InForce) -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            agreement,
            clock: Clock::new(Some(DAY)).unwrap(),
            console: Console { json: true },
            custodians: [identity("c1", 3), identity("c2", 4)],
            office: identity("office", 1),
        };
        fs::create_dir_all(site.exchange()).unwrap();
        site
    }

    /// With a key of the epoch.
    pub(crate) fn made() -> Self {
        Self::new().with_key()
    }

    pub(crate) fn with_key(self) -> Self {
        let said = [0, 1, 0, 1].map(|at| self.run(at));
        assert_eq!(said, ["1 c2", "2 c1", "ready", "ready"]);
        self
    }

    pub(crate) fn exchange(&self) -> PathBuf {
        self.folder.path().join("exchange")
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn at<T>(&self, at: usize, work: impl FnOnce(&Desk<'_>) -> T) -> T {
        let state = self.place(&format!("home-{at}/state"));
        fs::create_dir_all(&state).unwrap();
        work(&Desk {
            agreement: &self.agreement,
            identity: &self.custodians[at],
            index: index_of(&self.agreement, &self.custodians[at]).unwrap(),
            state: &state,
            exchange: &self.exchange(),
            clock: &self.clock,
            console: &self.console,
        })
    }

    /// What a step says: for whom it waits, that it is done, or why it cannot be.
    pub(crate) fn run(&self, at: usize) -> String {
        match self.at(at, run) {
            Ok(Progress::Ready) => "ready".to_owned(),
            Ok(Progress::Waiting(step, names)) => format!("{step} {}", names.join(" ")),
            Err(problem) => problem.to_string(),
        }
    }

    pub(crate) fn record(&self, at: usize) -> PathBuf {
        let name = &self.custodians[at].card().name;
        self.exchange()
            .join(crate::epoch_key::file_name(&self.agreement, name.as_str()))
    }

    /// A custodian's folder as its commands open it.
    pub(crate) fn home(&self, at: usize) -> HomeOptions {
        let home = self.place(&format!("home-{at}"));
        fs::create_dir_all(&home).unwrap();
        let passphrase_file = self.place("passphrase");
        fs::write(&passphrase_file, PASSPHRASE).unwrap();
        let options = HomeOptions {
            home,
            agreement: None,
            today: Some(DAY.to_owned()),
            json: true,
            passphrase: PassphraseSource {
                passphrase_file: Some(passphrase_file),
                passphrase_fd: None,
            },
        };
        let agreement = options.home.join("agreement.toml");
        fs::write(&agreement, self.agreement.effective()).unwrap();
        let signatures: String = parties()
            .iter()
            .map(|party| self.agreement.sign(party).unwrap())
            .collect();
        fs::write(agreement.with_extension("sig"), signatures).unwrap();
        let (name, seed) = (&self.custodians[at].card().name, [3, 4][at]);
        let seed = Secret::new([seed; 64]);
        let sealed = keyfile::seal_seed(name, &seed, PASSPHRASE, [1; 16], [2; 12]).unwrap();
        hedui_edge::files::write_bytes(&options.key_file(), sealed.as_bytes()).unwrap();
        options
    }

    /// A request of the office's to a custodian.
    pub(crate) fn ask(
        &self,
        to: usize,
        dataset: &str,
        elements: &[[u8; ELEMENT_BYTES]],
    ) -> PathBuf {
        let body = request_body(dataset, elements.len() as u64, elements);
        self.send(to, dataset, MessageType::EvalRequest, &body)
    }

    /// A message of the office's to a custodian.
    pub(crate) fn send(&self, to: usize, about: &str, kind: MessageType, body: &[u8]) -> PathBuf {
        let state = self.place("office");
        fs::create_dir_all(&state).unwrap();
        let draft = Draft {
            kind,
            to: self.custodians[to].card(),
            about,
            content: sha256(&[body]),
            in_reply_to: None,
        };
        let (exchange, mut reader) = (self.exchange(), Cursor::new(body));
        let folders = (state.as_path(), exchange.as_path());
        let bytes = body.len() as u64;
        let (office, agreement) = (&self.office, &self.agreement);
        exchange::send(
            office,
            agreement,
            folders,
            &self.clock,
            &draft,
            &mut reader,
            bytes,
        )
        .unwrap()
        .path
    }
}

/// The body of a request that says it has `count` elements.
pub(crate) fn request_body(dataset: &str, count: u64, elements: &[[u8; ELEMENT_BYTES]]) -> Vec<u8> {
    let dataset = Name::new(dataset).unwrap();
    let manifest = manifest_bytes(&RequestManifest::new(&dataset, count)).unwrap();
    [&manifest, elements.as_flattened()].concat()
}

/// The header of a sealed file.
pub(crate) fn header_of(path: &Path) -> Header {
    let mut file = fs::File::open(path).unwrap();
    envelope::peek(&mut file).unwrap().0
}

/// A sealed file with a header of any kind.
pub(crate) fn sealed(path: &Path, header: &Header, by: &Identity, to: &Identity, body: &[u8]) {
    let mut out = Vec::new();
    envelope::seal(header, by, to.card(), &mut Cursor::new(body), &mut out).unwrap();
    fs::write(path, out).unwrap();
}

/// What the test is told that [`printed`] runs.
const TOLD: &str = "HEDUI_TEST_IS_TOLD";

/// All that a test prints in a process of its own, where it is told `word`: what goes to the terminal cannot be read otherwise.
pub(crate) fn printed(test: &str, word: &str) -> String {
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(TOLD, word)
        .output()
        .unwrap();
    let text = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success() && text.contains("1 passed"), "{text}");
    text
}

/// The word, in that process.
pub(crate) fn told() -> Option<String> {
    std::env::var(TOLD).ok()
}
