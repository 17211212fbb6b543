//! What a custodian's commands hold, in one process. In: two custodians, a department's requests, sheets. Out: what was
//! answered, restored and written into the log, or why not.
//! Invariant under test: a command does all that it says or says what is missing; docs/OPERATIONS.md, "Custodians".

use std::fs;

use hedui_protocol::limits::PAD_ELEMENTS;
use hedui_protocol::refusal::Refusal;

use super::*;
use crate::custodian::ledger::DESTROYED;
use crate::custodian::test_site::{Elements, Site, header_of, printed, request_body, sealed, told};
use crate::oprf::client::BlindKey;
use crate::oprf::suite::ELEMENT_BYTES;
use crate::store_tests::agreed;

/// A whole request of one element again and again.
fn elements(seed: u8) -> Elements {
    let key = BlindKey::new(&hedui_protocol::secret::Secret::new([seed; 32]));
    vec![key.padding(0); usize::try_from(PAD_ELEMENTS).unwrap()]
}

fn failed(done: Result<(), Problem>) -> (u8, String) {
    done.err()
        .map_or((0, String::new()), |p| (p.exit_code(), p.to_string()))
}

/// What the log says of shares, in order.
fn states(site: &Site, at: usize) -> Vec<String> {
    site.at(at, |desk| {
        let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
        let state = |entry: &crate::custodian::ledger::Entry| match &entry.event {
            Event::Share { state } => Some(state.clone()),
            Event::Request { .. } => None,
        };
        ledger.entries().iter().filter_map(state).collect()
    })
}

fn used(site: &Site, dataset: &str) -> u64 {
    site.at(0, |desk| {
        Ledger::read(desk.state, desk.agreement)
            .unwrap()
            .used(dataset)
    })
}

fn step(site: &Site, at: usize) -> (u8, String) {
    failed(site.at(at, ceremony_step))
}

fn answer_all(site: &Site, given: &[PathBuf]) -> (u8, String) {
    failed(site.at(0, |desk| answers(desk, given)))
}

fn open_ones(site: &Site) -> Vec<PathBuf> {
    site.at(0, open_requests).unwrap()
}

/// A site whose custodians hold their shares and have said so in their logs.
fn ready() -> Site {
    ready_under(agreed(1, 0, ""))
}

fn ready_under(agreement: hedui_protocol::agreement::InForce) -> Site {
    let site = Site::under(agreement);
    for (at, code) in [(0, 75), (1, 75), (0, 0), (1, 0)] {
        let (found, said) = step(&site, at);
        assert_eq!(found, code, "{said}");
    }
    site
}

#[test]
fn a_ceremony_says_whom_it_waits_for_and_notes_its_share_once() {
    let site = Site::new();
    let (code, said) = step(&site, 0);
    assert!(
        code == 75 && said.contains("step 1 of the ceremony waits for c2"),
        "{said}"
    );
    assert!(states(&site, 0).is_empty());
    let (code, said) = step(&site, 1);
    assert!(
        code == 75 && said.contains("step 2") && said.contains("c1"),
        "{said}"
    );
    for _ in 0..2 {
        assert_eq!(step(&site, 0), (0, String::new()));
        assert_eq!(step(&site, 1), (0, String::new()));
        assert_eq!([0, 1].map(|at| states(&site, at)), [[MADE], [MADE]]);
    }
}

/// The dealer takes its own share of what it deals, the others theirs.
#[test]
fn a_dealer_deals_every_custodian_its_own_share() {
    let site = Site::under(agreed(1, 0, "[oprf]\ndealer = 'c1'\n"));
    let (code, said) = step(&site, 1);
    assert!(
        code == 75 && said.contains("step 3") && said.contains("c1"),
        "{said}"
    );
    assert_eq!([0, 1].map(|at| step(&site, at).0), [0, 0]);
    let record = site.at(0, agreed_record).unwrap();
    for at in 0..2 {
        let own = site.at(at, |desk| *share(desk).unwrap().public());
        assert!(own == record.shares[at].1, "{at}");
        assert!(!site.at(at, |desk| desk.vault().holds("ceremony-dealt").unwrap()));
    }
    assert!(record.shares[0].1 != record.shares[1].1);
}

/// A ceremony's message of another agreement or epoch keeps nobody waiting and nobody from the key.
#[test]
fn messages_of_another_agreement_or_epoch_disturb_no_ceremony() {
    let site = Site::new();
    assert_eq!(step(&site, 1).0, 75);
    let mine = &site.custodians[0].card().name;
    let true_one = exchange::addressed_to(&site.exchange(), mine)
        .unwrap()
        .remove(0);
    let [me, other] = &site.custodians;
    for (number, change) in [0, 1, 2].into_iter().zip([
        (|header: &mut Header| header.agreement = agreed(2, 0, "").digest()) as fn(&mut Header),
        |header| header.epoch.0 = 2,
        |header| header.kind = MessageType::EvalRequest,
    ]) {
        let mut header = true_one.header.clone();
        change(&mut header);
        header.body_bytes = 7;
        let path = site.exchange().join(format!("foreign-{number}.hedui"));
        sealed(&path, &header, other, me, b"foreign");
    }
    let codes = [0, 1, 0, 1].map(|at| step(&site, at).0);
    assert_eq!(codes, [75, 0, 0, 0]);
}

#[test]
fn either_the_mark_or_the_log_says_that_a_share_was_destroyed() {
    let of = |mark: bool, line: Option<&str>| {
        let site = Site::new();
        site.at(0, |desk| {
            let vault = desk.vault();
            let mut ledger = Ledger::open(desk.state, desk.agreement, &vault).unwrap();
            if let Some(state) = line {
                ledger
                    .append(Event::share(state), &desk.clock.now())
                    .unwrap();
            }
            if mark {
                vault.write(GONE, b"").unwrap();
            }
            let without = not_destroyed(desk, None).is_err();
            (without, not_destroyed(desk, Some(&ledger)).is_err())
        })
    };
    assert_eq!(of(false, None), (false, false));
    assert_eq!(of(false, Some(MADE)), (false, false));
    assert_eq!(of(true, Some(MADE)), (true, true));
    assert_eq!(of(false, Some(DESTROYED)), (false, true));
    assert_eq!(of(true, Some(DESTROYED)), (true, true));
}

#[test]
fn open_requests_are_answered_in_their_order_and_each_once() {
    let site = ready();
    assert_eq!(
        answer_all(&site, &[]),
        (0, String::new()),
        "none is no failure"
    );
    let asked = [("roll", 1), ("cars", 2), ("homes", 3)]
        .map(|(dataset, seed)| site.ask(0, dataset, &elements(seed)));
    let for_another = site.ask(1, "cars", &elements(4));
    // A name that would be first says nothing of the order.
    let first = site.exchange().join("a.hedui");
    fs::rename(&asked[2], &first).unwrap();
    let expected = [asked[0].clone(), asked[1].clone(), first];
    assert_eq!(open_ones(&site), expected);
    assert_eq!(answer_all(&site, &expected[1..2]), (0, String::new()));
    assert_eq!(open_ones(&site), [expected[0].clone(), expected[2].clone()]);
    assert_eq!(answer_all(&site, &[]), (0, String::new()));
    assert!(open_ones(&site).is_empty());
    site.at(0, |desk| {
        let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
        let order = ledger
            .entries()
            .iter()
            .filter_map(|entry| match &entry.event {
                Event::Request { dataset, .. } => Some(dataset.as_str()),
                Event::Share { .. } => None,
            });
        assert_eq!(order.collect::<Vec<_>>(), ["cars", "roll", "homes"]);
    });
    // Neither one by name nor all together charges any of them again.
    assert_eq!(answer_all(&site, &expected), (0, String::new()));
    assert_eq!(used(&site, "cars"), 4096);
    assert_eq!(site.at(1, open_requests).unwrap(), [for_another]);
}

/// Only this custodian's own answer takes a request off the list; nobody else's word, and no other request's answer.
#[test]
fn an_answer_that_was_not_made_here_leaves_its_request_open() {
    let site = ready();
    let request = site.ask(0, "cars", &elements(1));
    assert_eq!(answer_all(&site, &[]), (0, String::new()));
    let mine = site.custodians[0].card().name.clone();
    let is_answer = |file: &exchange::Found| file.header.kind == MessageType::EvalAnswer;
    let mut found = exchange::sent_by(&site.exchange(), &mine).unwrap();
    found.retain(is_answer);
    let [answer] = &found[..] else {
        panic!("one answer")
    };
    let header = header_of(&answer.path);
    let path = answer.path.clone();
    let forged = |change: fn(&mut Header), by: usize| {
        let mut changed = header.clone();
        change(&mut changed);
        changed.body_bytes = 1;
        sealed(&path, &changed, &site.custodians[by], &site.office, b"x");
        open_ones(&site)
    };
    let open = std::slice::from_ref(&request);
    assert_eq!(forged(|_| (), 1), open, "signed by another");
    let to_no_request = forged(|header| header.in_reply_to = None, 0);
    assert_eq!(to_no_request, open);
    let of_another_kind = forged(|header| header.kind = MessageType::Ceremony, 0);
    assert_eq!(of_another_kind, open);
    let in_another_epoch = forged(|header| header.epoch.0 = 2, 0);
    assert_eq!(in_another_epoch, open);
    assert!(forged(|_| (), 0).is_empty(), "its own word");
}

/// What is of another agreement is no open request; it is refused where somebody names it.
#[test]
fn requests_of_another_agreement_are_passed_over() {
    let site = ready();
    let request = site.ask(0, "cars", &elements(1));
    let mut header = header_of(&request);
    header.agreement = agreed(2, 0, "").digest();
    let body = request_body("cars", PAD_ELEMENTS, &elements(1));
    sealed(&request, &header, &site.office, &site.custodians[0], &body);
    assert!(open_ones(&site).is_empty());
    assert_eq!(answer_all(&site, &[]), (0, String::new()));
    assert_eq!(answer_all(&site, &[request]).0, 15);
    assert_eq!(used(&site, "cars"), 0);
}

#[test]
fn a_refused_request_keeps_no_other_waiting() {
    let site = ready();
    let bad = site.ask(0, "cars", &vec![[0; ELEMENT_BYTES]; 4096]);
    let (code, said) = answer_all(&site, &[]);
    assert!(
        code == 10 && said.contains("element 0 is no group element"),
        "{said}"
    );
    let good = [("cars", 1), ("homes", 2)].map(|(name, seed)| site.ask(0, name, &elements(seed)));
    let (code, said) = answer_all(&site, &[]);
    assert!(
        code == 1 && said.contains("1 requests were refused"),
        "{said}"
    );
    assert_eq!(open_ones(&site), std::slice::from_ref(&bad));
    let (code, _) = answer_all(&site, &[bad, good[0].clone()]);
    assert_eq!((code, used(&site, "homes")), (1, 4096));
}

#[test]
fn nothing_is_answered_without_a_share_or_a_log_that_knows_of_it() {
    let site = Site::new();
    assert_eq!(answer_all(&site, &[]).0, 75, "before the ceremony");
    let site = Site::made();
    let request = site.ask(0, "cars", &elements(1));
    let (code, said) = answer_all(&site, &[]);
    assert!(
        code == 2 && said.contains("it says nothing of this share"),
        "{said}"
    );
    site.at(0, |desk| note_share(desk, DESTROYED)).unwrap();
    let (code, said) = answer_all(&site, &[request]);
    assert!(code == 2 && said.contains("was destroyed"), "{said}");
    let site = ready();
    let request = site.ask(0, "cars", &elements(1));
    site.at(0, |desk| desk.vault().write(GONE, b"").unwrap());
    let (code, said) = answer_all(&site, &[request]);
    assert!(code == 2 && said.contains("was destroyed"), "{said}");
    assert_eq!(used(&site, "cars"), 0);
}

/// Sheets of a custodian's, of which `needed` restore its share.
fn sheets(site: &Site, at: usize, out: &str, needed: u16) -> Vec<PathBuf> {
    let out = site.place(out);
    site.at(at, |desk| backup(desk, &out, 3, needed)).unwrap();
    (1..=3)
        .map(|n| out.join(format!("sheet-{n}.txt")))
        .collect()
}

fn restored(site: &Site, typed: &[PathBuf], how: (bool, Option<&str>)) -> (u8, String) {
    failed(site.at(0, |desk| restore(desk, typed, how)))
}

fn lose_share(site: &Site) {
    site.at(0, |desk| assert!(desk.vault().destroy(SHARE).unwrap()));
}

#[test]
fn a_lost_share_comes_back_from_any_two_sheets_beside_its_log() {
    let site = ready();
    let held = site.at(0, |desk| *share(desk).unwrap().public());
    let paper = sheets(&site, 0, "paper", 2);
    assert_eq!(states(&site, 0), [MADE, "backed up"]);
    lose_share(&site);
    let two = [paper[2].clone(), paper[0].clone()];
    assert_eq!(restored(&site, &two[..1], (false, None)).0, 2, "one sheet");
    assert_eq!(restored(&site, &two, (false, None)), (0, String::new()));
    assert!(site.at(0, |desk| *share(desk).unwrap().public()) == held);
    assert_eq!(states(&site, 0), [MADE, "backed up", RESTORED]);
    let request = site.ask(0, "cars", &elements(1));
    assert_eq!(answer_all(&site, &[request]), (0, String::new()));
}

#[test]
fn sheets_of_another_custodian_epoch_or_share_restore_nothing() {
    let site = ready();
    let own = sheets(&site, 0, "paper", 2);
    let another = sheets(&site, 1, "another", 2);
    let next = ready_under(agreed(2, 0, ""));
    let of_epoch = sheets(&next, 0, "paper", 2);
    lose_share(&site);
    let said = |typed: &[PathBuf]| {
        let (code, said) = restored(&site, typed, (false, None));
        assert_eq!(code, 2, "{said}");
        said
    };
    assert!(said(&another[..2]).contains("the sheets are of `c2`, epoch "));
    assert!(said(&of_epoch[..2]).contains("the sheets are of `c1`, epoch "));
    let mixed = [own[0].clone(), another[1].clone()];
    assert!(said(&mixed).contains("do not belong together"));
    assert!(!site.at(0, |desk| desk.vault().holds(SHARE).unwrap()));
    assert_eq!(states(&site, 0), [MADE, "backed up"]);
}

#[test]
fn sheets_of_another_key_of_the_same_epoch_restore_nothing() {
    let (site, twin) = (ready(), ready());
    let of_twin = sheets(&twin, 0, "paper", 2);
    lose_share(&site);
    let (code, said) = restored(&site, &of_twin[..2], (false, None));
    assert!(
        code == 2 && said.contains("another share than the epoch's record names"),
        "{said}"
    );
    assert_eq!(states(&site, 0), [MADE]);
}

#[test]
fn a_share_whose_log_is_missing_comes_back_only_where_that_is_meant() {
    let site = ready();
    let paper = sheets(&site, 0, "paper", 2);
    let state = site.place("home-0/state");
    let head = site.at(0, |desk| {
        let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
        ledger.head().to_owned()
    });
    let log = site.at(0, |desk| {
        let ledger = Ledger::read(desk.state, desk.agreement).unwrap();
        ledger.path().to_owned()
    });
    let kept = fs::read(&log).unwrap();
    fs::remove_dir_all(&state).unwrap();
    let (code, said) = restored(&site, &paper[..2], (false, None));
    assert!(
        code == 2 && said.contains("the log of this epoch is not here"),
        "{said}"
    );
    assert!(!site.at(0, |desk| desk.vault().holds(SHARE).unwrap()));
    // A copy of the log and the head on paper: the whole log is here.
    fs::write(&log, &kept).unwrap();
    let (code, said) = restored(&site, &paper[..2], (false, Some("00")));
    assert!(
        code == 2 && said.contains("no line of it has the head 00"),
        "{said}"
    );
    assert_eq!(
        restored(&site, &paper[..2], (false, Some(&head))),
        (0, String::new())
    );
    assert_eq!(states(&site, 0), [MADE, "backed up", RESTORED]);
    // The head of an earlier line: so many more are there.
    lose_share(&site);
    assert_eq!(
        restored(&site, &paper[..2], (false, Some(&head))),
        (0, String::new())
    );
    let last = states(&site, 0).pop().unwrap();
    assert_eq!(
        last,
        "restored beside a log with 1 lines after the head on paper"
    );
    // Nothing to compare it with.
    fs::remove_dir_all(&state).unwrap();
    site.at(0, |desk| assert!(!desk.vault().holds(SHARE).unwrap()));
    files::private_folder(log.parent().unwrap()).unwrap();
    fs::write(&log, &kept).unwrap();
    assert_eq!(
        restored(&site, &paper[..2], (false, None)),
        (0, String::new())
    );
    let last = states(&site, 0).pop().unwrap();
    assert_eq!(
        last,
        "restored beside a log of 2 lines that was compared with nothing"
    );
    // Lost for good.
    fs::remove_dir_all(&state).unwrap();
    assert_eq!(
        restored(&site, &paper[..2], (true, None)),
        (0, String::new())
    );
    assert_eq!(states(&site, 0), ["restored without its log"]);
    let request = site.ask(0, "cars", &elements(1));
    assert_eq!(answer_all(&site, &[request]), (0, String::new()));
}

#[test]
fn a_destroyed_share_does_not_come_back_from_paper() {
    let site = ready();
    let paper = sheets(&site, 0, "paper", 2);
    lose_share(&site);
    site.at(0, |desk| desk.vault().write(GONE, b"").unwrap());
    for how in [(false, None), (true, None)] {
        let (code, said) = restored(&site, &paper[..2], how);
        assert!(code == 2 && said.contains("was destroyed"), "{said}");
    }
    assert!(!site.at(0, |desk| desk.vault().holds(SHARE).unwrap()));
}

#[test]
fn the_epochs_record_counts_with_as_many_signatures_as_answers_are_needed() {
    let (site, twin) = (ready(), ready());
    assert_eq!(site.at(0, agreed_record).unwrap().shares.len(), 2);
    let text = fs::read(site.record(1)).unwrap();
    fs::remove_file(site.record(1)).unwrap();
    let (code, said) = failed(site.at(0, |desk| agreed_record(desk).map(|_| ())));
    assert!(
        code == 75 && said.contains("signed by 1 custodians, 2 are needed"),
        "{said}"
    );
    // The other custodian signed another key.
    fs::copy(twin.record(1), site.record(1)).unwrap();
    let problem = site.at(0, agreed_record).err().unwrap();
    assert!(
        matches!(
            &problem,
            Problem::Refused {
                refusal: Refusal::BadProof(_),
                ..
            }
        ),
        "{problem}"
    );
    fs::write(site.record(1), text).unwrap();
    assert!(site.at(0, agreed_record).is_ok());
}

/// Sheets go into a folder of their own, and a share that was destroyed is not printed.
#[test]
fn sheets_of_two_backups_do_not_mix() {
    let site = ready();
    let out = site.place("paper");
    let made = |people, needed| failed(site.at(0, |desk| backup(desk, &out, people, needed))).0;
    assert_eq!([made(3, 1), made(2, 3), made(10, 2)], [64; 3]);
    assert_eq!((made(3, 2), made(3, 2)), (0, 2));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3);
    assert_eq!(states(&site, 0), [MADE, "backed up"]);
    fs::remove_dir_all(&out).unwrap();
    site.at(0, |desk| note_share(desk, DESTROYED)).unwrap();
    assert_eq!(made(3, 2), 2);
    assert!(!out.exists());
}

/// The commands as the program runs them, from a party's folder.
#[test]
fn a_command_works_for_the_custodian_of_its_folder() {
    let site = Site::new();
    let homes = [0, 1].map(|at| site.home(at));
    let exchange = site.exchange();
    let command =
        |at: usize, command: &CustodianCommand| failed(run(&homes[at], &site.console, command)).0;
    let ceremony = CustodianCommand::Ceremony {
        exchange: exchange.clone(),
    };
    let steps = [0, 1, 0, 1].map(|at| command(at, &ceremony));
    assert_eq!(steps, [75, 75, 0, 0]);
    let answer = |exchange: PathBuf| CustodianCommand::Answer {
        requests: Vec::new(),
        exchange,
    };
    assert_eq!(command(0, &answer(site.place("nowhere"))), 75);
    site.ask(0, "cars", &elements(1));
    assert_eq!(command(0, &answer(exchange)), 0);
    assert_eq!(used(&site, "cars"), 4096);
    assert!(open_ones(&site).is_empty());
    assert_eq!(command(0, &CustodianCommand::Log), 0);
}

/// A log is said to hold where there is one.
#[test]
fn the_log_is_shown_with_its_head_and_said_to_hold_only_where_it_is() {
    const TEST: &str = "custodian::command::tests::the_log_is_shown_with_its_head_and_said_to_hold_only_where_it_is";
    let show = |site: &Site| {
        let console = Console { json: false };
        let done = run(&site.home(0), &console, &CustodianCommand::Log);
        assert_eq!(failed(done).0, 0);
    };
    match told().as_deref() {
        Some("none") => return show(&Site::new()),
        Some(_) => return show(&ready()),
        None => (),
    }
    let (none, some) = (printed(TEST, "none"), printed(TEST, "some"));
    let (missing, holds) = ("there is no log", "the chain holds");
    assert!(none.contains(missing) && !none.contains(holds), "{none}");
    assert!(!some.contains(missing) && some.contains(holds), "{some}");
    assert!(
        some.contains("share made") && some.contains("2016-07-01T12:00:00Z"),
        "{some}"
    );
    assert!(none.contains("head: ") && some.contains("head: "));
}
