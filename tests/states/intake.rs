//! The matcher's intake: which messages are accepted in which order. In: deliveries of two senders, some of which contradict each other.
//! Out: passes, or the path on which the ledger says something else than the specification. Invariant under test: one message per
//! number and per request, one in force per dataset, a log that says exactly what happened. SPEC.md, "Matcher", "Log".

use std::path::Path;

use hedui_edge::Problem;
use hedui_matcher::ledger::Ledger;
use hedui_protocol::agreement::Agreement;
use hedui_protocol::header::{Header, MessageType};
use hedui_protocol::ids::RequestId;
use hedui_protocol::log::{Entry, Event};
use hedui_protocol::message::submission::Manifest;
use hedui_protocol::primitive::{hex, sha256};
use hedui_tests::parties::{FIELDS, agreement, identity, name};

use super::explore;

/// A delivery: sender, number, request, dataset, content.
#[derive(Clone, Copy, Debug)]
struct Delivery(&'static str, u64, u8, &'static str, u8);

const DELIVERIES: [Delivery; 7] = [
    Delivery("police", 1, 1, "cars", 1),
    Delivery("police", 2, 2, "cars", 2),
    Delivery("police", 3, 3, "plots", 3),
    // A number that another request may have used.
    Delivery("police", 2, 9, "plots", 4),
    // A request that another content may have used.
    Delivery("police", 4, 1, "cars", 5),
    // Another sender's numbers and requests are its own.
    Delivery("office", 1, 1, "roll", 6),
    Delivery("office", 2, 2, "roll", 7),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Deliver(usize),
    /// The receipts that are owed are sent; a crash before it is any path without it.
    Receipts,
    /// The process ends and opens the same ledger again.
    Restart,
}

/// What the specification says that has happened.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Expected {
    accepted: Vec<usize>,
    receipted: Vec<usize>,
    log: Vec<(bool, usize)>,
}

impl Expected {
    /// The code of the refusal, or 0; changes nothing if it is refused.
    fn deliver(&mut self, at: usize) -> u8 {
        let Delivery(sender, number, request, dataset, _) = DELIVERIES[at];
        let own = self.accepted.iter().map(|at| DELIVERIES[*at]);
        let own: Vec<Delivery> = own.filter(|d| d.0 == sender).collect();
        if self.accepted.contains(&at) {
            19
        } else if own.iter().any(|d| d.2 == request) {
            18
        } else if own.iter().any(|d| d.1 == number)
            || own.iter().any(|d| d.3 == dataset && d.1 >= number)
        {
            17
        } else {
            self.accepted.push(at);
            self.log.push((true, at));
            0
        }
    }

    fn receipts(&mut self) {
        for at in self.accepted.clone() {
            if !self.receipted.contains(&at) {
                self.receipted.push(at);
                self.log.push((false, at));
            }
        }
    }

    fn in_force(&self) -> Vec<usize> {
        let latest = |at: &&usize| {
            let others = self.accepted.iter().map(|other| DELIVERIES[*other]);
            let d = DELIVERIES[**at];
            !others
                .into_iter()
                .any(|o| o.0 == d.0 && o.3 == d.3 && o.1 > d.1)
        };
        let mut all: Vec<usize> = self.accepted.iter().filter(latest).copied().collect();
        all.sort_by_key(|at| DELIVERIES[*at].3);
        all
    }
}

/// The deliveries' headers with their digests, and the agreement: made once.
struct World {
    agreement: Agreement,
    headers: Vec<(Header, [u8; 32])>,
}

impl World {
    fn new() -> Self {
        let agreement = agreement(FIELDS);
        let headers = DELIVERIES
            .iter()
            .map(|delivery| header(&agreement, *delivery));
        Self {
            headers: headers.collect(),
            agreement,
        }
    }

    /// What intake does with the ledger, in its order.
    fn deliver(&self, ledger: &Ledger, at: usize) -> Result<(), Problem> {
        let ((header, digest), manifest) = (&self.headers[at], manifest(at));
        ledger.check_new(header, digest)?;
        ledger.check_order(header, &manifest)?;
        ledger.accept(
            &self.agreement,
            header,
            digest,
            &manifest,
            "2016-07-01T09:00:00Z",
        )
    }

    fn receipt_digest(&self, at: usize) -> [u8; 32] {
        sha256(&[b"receipt", &self.headers[at].1])
    }
}

fn header(agreement: &Agreement, delivery: Delivery) -> (Header, [u8; 32]) {
    let Delivery(sender, seq, request, _, content) = delivery;
    let from = identity(sender, if sender == "office" { 1 } else { 2 });
    let header = Header {
        kind: MessageType::Submission,
        agreement: agreement.digest(),
        epoch: agreement.epoch(),
        from: (name(sender), from.card().key_id()),
        to: (name("centre"), agreement.matcher().key_id()),
        seq,
        request: RequestId([request; 16]),
        in_reply_to: None,
        created: "2016-07-01T08:00:00Z".to_owned(),
        body_bytes: u64::from(content),
        log: None,
    };
    let digest = sha256(&[header.render().as_bytes()]);
    (header, digest)
}

fn manifest(at: usize) -> Manifest {
    let Delivery(_, _, _, dataset, content) = DELIVERIES[at];
    Manifest {
        dataset: name(dataset),
        register: name("cars"),
        field_version: 1,
        as_of: "2016-06-30".to_owned(),
        snapshot: content.to_string(),
        kit_check: String::new(),
        canary: String::new(),
        base: None,
        tables: Vec::new(),
    }
}

fn replay(world: &World, folder: &Path, path: &[Action]) -> Expected {
    let file = folder.join("ledger.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("ledger.sqlite{suffix}")));
    }
    let agreement = &world.agreement;
    let mut ledger = Ledger::open(&file).expect("ledger");
    let mut expected = Expected::default();
    for action in path {
        match *action {
            Action::Deliver(at) => {
                let said = match world.deliver(&ledger, at) {
                    Ok(()) => 0,
                    Err(problem) => problem.exit_code(),
                };
                assert_eq!(said, expected.deliver(at), "{path:?}");
            }
            Action::Receipts => {
                for digest in ledger.without_receipt(agreement).expect("owed") {
                    let at = (0..DELIVERIES.len()).find(|at| hex(&world.headers[*at].1) == digest);
                    let sent = world.receipt_digest(at.expect("a delivery"));
                    ledger.receipted(agreement, &digest, &sent).expect("noted");
                }
                expected.receipts();
            }
            Action::Restart => {
                drop(ledger);
                ledger = Ledger::open(&file).expect("ledger");
            }
        }
    }
    let log: Vec<Entry> = expected
        .log
        .iter()
        .map(|(accepted, at)| match accepted {
            true => Entry {
                event: Event::Accepted,
                header_sha256: world.headers[*at].1,
            },
            false => Entry {
                event: Event::Sent,
                header_sha256: world.receipt_digest(*at),
            },
        })
        .collect();
    assert!(ledger.log(agreement).expect("log") == log, "{path:?}");
    let in_force = ledger.in_force(agreement).expect("in force");
    let snapshots: Vec<String> = in_force.into_iter().map(|a| a.snapshot).collect();
    let due: Vec<String> = expected
        .in_force()
        .iter()
        .map(|at| DELIVERIES[*at].4.to_string())
        .collect();
    assert_eq!(snapshots, due, "{path:?}");
    expected
}

#[test]
fn intake_is_its_specification_in_every_state() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("folder"));
    let mut actions: Vec<Action> = (0..DELIVERIES.len()).map(Action::Deliver).collect();
    actions.extend([Action::Receipts, Action::Restart]);
    let states = explore(&actions, 4, |path| replay(&world, folder.path(), path));
    println!("{states} states");
    assert!(states > 200, "{states}");
}
