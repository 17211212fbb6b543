//! What the end of a share holds. In: a custodian's folder in every state in which `destroy` can find it. Out: a signed
//! statement, a log that says so, and no share.
//! Invariant under test: whatever was held is gone and the statement says truly whether; docs/OPERATIONS.md, "Custodians".

use std::fs;
use std::path::PathBuf;

use hedui_protocol::header::Header;
use hedui_protocol::identity::Identity;
use hedui_protocol::primitive::unhex;

use super::*;
use crate::custodian::ceremony::{FILES, SHARE};
use crate::custodian::ledger::{Entry, MADE};
use crate::custodian::test_site::{Site, printed, sealed, told};
use crate::store_tests::agreed;

/// The first custodian's commands.
struct End {
    site: Site,
    home: HomeOptions,
}

impl End {
    fn of(site: Site) -> Self {
        let home = site.home(0);
        Self { site, home }
    }

    /// A share that the log knows of.
    fn held() -> Self {
        let site = Site::made();
        site.at(0, |desk| note(desk.state, &site, MADE));
        Self::of(site)
    }

    fn destroy(&self) -> Result<(), Problem> {
        let name = place(&self.site.agreement);
        let confirm = Some(name.as_str());
        destroy(
            &self.home,
            &self.site.console,
            confirm,
            &self.site.exchange(),
        )
    }

    fn holds(&self, name: &str) -> bool {
        self.site.at(0, |desk| desk.vault().holds(name).unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        self.site
            .at(0, |desk| desk.vault().write(name, bytes).unwrap());
    }

    /// What the log says of the share, in order.
    fn states(&self) -> Vec<String> {
        self.site.at(0, |desk| {
            let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
            let state = |entry: &Entry| match &entry.event {
                Event::Share { state } => state.clone(),
                Event::Request { dataset, .. } => dataset.clone(),
            };
            ledger.entries().iter().map(state).collect()
        })
    }

    fn statement_file(&self) -> PathBuf {
        let name = place(&self.site.agreement);
        let file = format!("destroyed-{name}-by-c1.statement");
        self.site.exchange().join(file)
    }

    /// The statement without its signature, which must be the custodian's.
    fn statement(&self) -> String {
        let text = fs::read_to_string(self.statement_file()).unwrap();
        let (said, last) = text.split_at(text.find("signature ").unwrap());
        let signature = last.trim_end().strip_prefix("signature c1 ").unwrap();
        let signature = unhex::<64>(signature).unwrap();
        let signed = |text: &str| {
            let digest = labelled_sha256(Label::DestroyedShare, &[text.as_bytes()]);
            let label = Label::DestroyedShare.bytes();
            let bytes = [label, &[0], &digest].concat();
            let card = self.site.custodians[0].card();
            card.verify(&bytes, &signature)
        };
        assert!(signed(said));
        assert!(!signed(&said.replace("held ", "hold ")));
        said.to_owned()
    }
}

fn note(state: &Path, site: &Site, what: &str) {
    let vault = Vault::new(state, "custodian", &site.custodians[0], &site.agreement);
    let mut ledger = Ledger::open(state, &site.agreement, &vault).unwrap();
    ledger
        .append(Event::share(what), &site.clock.now())
        .unwrap();
}

#[test]
fn a_destroyed_share_is_gone_with_all_that_made_it_and_the_statement_verifies() {
    let end = End::held();
    assert!(end.holds(SHARE));
    for name in FILES {
        end.put(name, b"whatever a ceremony left");
    }
    assert!(end.destroy().is_ok());
    for name in FILES {
        assert!(!end.holds(name), "{name}");
    }
    assert!(end.holds(GONE));
    assert_eq!(end.states(), [MADE, DESTROYED]);
    let head = end.site.at(0, |desk| {
        let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
        ledger.head().to_owned()
    });
    let expected = format!(
        "hedui-destroyed/1\nagreement {}\nepoch 1\ncustodian c1\nheld yes\ntime 2016-07-01T12:00:00Z\nlog {head}\n---\n",
        end.site.agreement.digest().to_hex()
    );
    assert_eq!(end.statement(), expected);
    assert!(end.site.run(0).contains("was destroyed"));
}

#[test]
fn nothing_is_destroyed_unless_its_epoch_is_named() {
    let end = End::held();
    for confirm in [None, Some(""), Some("yes"), Some("0000000000000000-1")] {
        let site = &end.site;
        let problem = destroy(&end.home, &site.console, confirm, &site.exchange()).err();
        assert_eq!(problem.unwrap().exit_code(), 64);
    }
    assert!(end.holds(SHARE) && !end.holds(GONE) && !end.statement_file().exists());
    assert_eq!(end.states(), [MADE]);
}

/// Repeated, it says the same, and the log says it once.
#[test]
fn a_share_is_destroyed_once_however_often_it_is_asked_for() {
    let end = End::held();
    assert!(end.destroy().is_ok());
    let first = end.statement();
    fs::remove_file(end.statement_file()).unwrap();
    assert!(end.destroy().is_ok());
    assert_eq!(end.statement(), first);
    assert_eq!(end.states(), [MADE, DESTROYED]);
}

/// A crash after the log's line: the share is still here, and the next run ends it without another line.
#[test]
fn what_a_crash_left_after_the_logs_line_is_removed() {
    let end = End::held();
    end.site
        .at(0, |desk| note(desk.state, &end.site, DESTROYED));
    assert!(end.destroy().is_ok());
    assert!(!end.holds(SHARE) && end.holds(GONE));
    assert_eq!(end.states(), [MADE, DESTROYED]);
    assert!(end.statement().contains("\nheld yes\n"));
}

#[test]
fn a_statement_says_where_nothing_was_held() {
    let end = End::of(Site::new());
    assert!(end.destroy().is_ok());
    assert_eq!(end.states(), [DESTROYED_UNHELD]);
    let first = end.statement();
    assert!(first.contains("\nheld no\n"));
    assert!(end.holds(GONE));
    assert!(end.destroy().is_ok());
    assert_eq!(end.states(), [DESTROYED_UNHELD], "once");
    assert_eq!(end.statement(), first);
    // A share that turns up afterwards, from a copy of the folder, is destroyed as what it is.
    end.put(SHARE, &[1; 32]);
    assert!(end.destroy().is_ok());
    assert!(!end.holds(SHARE));
    assert_eq!(end.states(), [DESTROYED_UNHELD, DESTROYED]);
    assert!(end.statement().contains("\nheld yes\n"));
}

/// A secret between two steps is what makes a share, and counts as one.
#[test]
fn half_a_ceremony_is_held_too() {
    let site = Site::new();
    assert_eq!(site.run(0), "1 c2");
    let end = End::of(site);
    assert!(end.destroy().is_ok());
    assert_eq!(end.states(), [DESTROYED]);
    assert!(end.statement().contains("\nheld yes\n"));
    assert!(end.site.run(0).contains("was destroyed"));
}

/// A log that is spoilt does not keep a share alive; it is kept, and a new one says what happened.
#[test]
fn a_share_beside_a_spoilt_log_dies_all_the_same() {
    let end = End::held();
    let log = end.site.at(0, |desk| {
        let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
        ledger.path().to_owned()
    });
    fs::write(&log, "nonsense\n").unwrap();
    assert!(end.destroy().is_ok());
    assert!(!end.holds(SHARE));
    assert_eq!(end.states(), [DESTROYED]);
    let aside = fs::read_to_string(log.with_extension("jsonl.spoilt-1")).unwrap();
    assert_eq!(aside, "nonsense\n");
    assert!(end.statement().contains("\nheld yes\n"));
}

/// What was dealt to this custodian goes; what is of others, of another agreement or epoch or no ceremony's stays.
#[test]
fn the_ceremonys_messages_to_this_custodian_go_and_no_others() {
    let end = End::held();
    let (site, exchange) = (&end.site, end.site.exchange());
    let [me, other] = &site.custodians;
    let dealt = || {
        let all = exchange::addressed_to(&exchange, &me.card().name).unwrap();
        let kind = |file: &exchange::Found| file.header.kind == MessageType::Ceremony;
        all.into_iter().filter(kind).collect::<Vec<_>>()
    };
    let messages = dealt();
    assert_eq!(messages.len(), 2, "of both steps");
    let of_others = exchange::addressed_to(&exchange, &other.card().name).unwrap();
    let put = |name: &str, by: &Identity, change: fn(&mut Header)| {
        let mut header = messages[0].header.clone();
        header.body_bytes = 1;
        change(&mut header);
        let path = exchange.join(format!("{name}.hedui"));
        sealed(&path, &header, by, me, b"x");
        path
    };
    let one_more = put("ceremony", other, |_| ());
    let kept = [
        put("request", other, |header| {
            header.kind = MessageType::EvalRequest
        }),
        put("agreement", other, |header| {
            header.agreement = agreed(2, 0, "").digest();
        }),
        put("epoch", other, |header| header.epoch.0 = 2),
        put("both", other, |header| {
            header.agreement = agreed(2, 0, "").digest();
            header.epoch.0 = 2;
        }),
    ];
    assert!(end.destroy().is_ok());
    assert!(!one_more.exists());
    for file in &messages {
        assert!(!file.path.exists());
    }
    for path in kept.iter().chain(of_others.iter().map(|file| &file.path)) {
        assert!(path.exists(), "{}", path.display());
    }
}

#[test]
fn whoever_destroys_nothing_is_asked_whether_this_is_the_right_folder() {
    const TEST: &str = "custodian::destroy::tests::whoever_destroys_nothing_is_asked_whether_this_is_the_right_folder";
    match told().as_deref() {
        Some("none") => return assert!(End::of(Site::new()).destroy().is_ok()),
        Some(_) => return assert!(End::held().destroy().is_ok()),
        None => (),
    }
    let question = "nothing was held here, and the statement says so";
    assert!(printed(TEST, "none").contains(question));
    assert!(!printed(TEST, "some").contains(question));
}
