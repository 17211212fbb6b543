//! A custodian's quota: what is charged, once, and never beyond it. In: requests of two departments, some the same again, some under a used
//! identifier. Out: passes, or the path on which the log says something else than the specification. Invariant under test: the log is
//! opened anew before every step, as every command does, so a crash between two is any of these paths. SPEC.md, "Custodians".

use std::collections::BTreeMap;

use hedui_keys::custodian::ledger::{Event, Ledger};
use hedui_keys::vault::Vault;
use hedui_protocol::primitive::hex;
use hedui_tests::parties::{FIELDS, agreement, identity};

use super::explore;

/// A request: sender, identifier, content, dataset, elements.
#[derive(Clone, Copy, Debug)]
struct Asked(&'static str, u8, u8, &'static str, u64);

const QUOTA: u64 = 6;
const REQUESTS: [Asked; 6] = [
    Asked("police", 1, 1, "cars", 3),
    Asked("police", 1, 2, "cars", 3),
    Asked("police", 2, 3, "cars", 2),
    Asked("police", 3, 4, "cars", 4),
    Asked("office", 1, 5, "roll", 6),
    Asked("office", 2, 6, "roll", 1),
];

#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Expected {
    charged: Vec<usize>,
}

impl Expected {
    /// 0: charged now; 1: charged before; else the code of the refusal.
    fn charge(&mut self, at: usize) -> u8 {
        let Asked(sender, id, content, dataset, elements) = REQUESTS[at];
        let before = self.charged.iter().map(|at| REQUESTS[*at]);
        let before: Vec<Asked> = before.collect();
        if let Some(held) = before.iter().find(|held| (held.0, held.1) == (sender, id)) {
            return if held.2 == content { 1 } else { 18 };
        }
        let used: u64 = before.iter().filter(|b| b.3 == dataset).map(|b| b.4).sum();
        if used + elements > QUOTA {
            return 26;
        }
        self.charged.push(at);
        0
    }
}

fn replay(path: &[usize]) -> Expected {
    let folder = tempfile::tempdir().expect("folder");
    let (agreement, me) = (agreement(FIELDS), identity("c1", 4));
    let vault = Vault::new(folder.path(), "custodian", &me, &agreement);
    let mut expected = Expected::default();
    for at in path {
        let Asked(sender, id, content, dataset, elements) = REQUESTS[*at];
        let event = Event::Request {
            from: sender.to_owned(),
            dataset: dataset.to_owned(),
            request: hex(&[id; 16]),
            content_sha256: hex(&[content; 32]),
            elements,
        };
        let mut ledger = Ledger::open(folder.path(), &agreement, &vault).expect("log");
        let said = match ledger.charge(event, QUOTA, "2016-07-01T08:00:00Z") {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(problem) => problem.exit_code(),
        };
        assert_eq!(said, expected.charge(*at), "{path:?}");
    }
    let ledger = Ledger::open(folder.path(), &agreement, &vault).expect("log");
    let mut used: BTreeMap<&str, u64> = BTreeMap::new();
    for at in &expected.charged {
        *used.entry(REQUESTS[*at].3).or_default() += REQUESTS[*at].4;
    }
    for dataset in ["cars", "roll"] {
        let due = used.get(dataset).copied().unwrap_or(0);
        assert!(due <= QUOTA && ledger.used(dataset) == due, "{path:?}");
    }
    assert_eq!(ledger.entries().len(), expected.charged.len(), "{path:?}");
    expected
}

#[test]
fn the_quota_is_its_specification_in_every_state() {
    let requests: Vec<usize> = (0..REQUESTS.len()).collect();
    let states = explore(&requests, 4, replay);
    println!("{states} states");
    assert!(states > 15, "{states}");
}
