//! What rests in a custodian's and a department's state folder. In: a small agreement, a folder of its own per test. Out:
//! passes, or what was read that should not have been.
//! Invariant under test: sealed things open where they were sealed only, and a log that was touched charges nothing; SPEC.md, "Custodians".

use std::fs;
use std::path::Path;

use hedui_edge::Problem;
use hedui_protocol::agreement::{Agreement, InForce};
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::{DatasetNumber, Name};
use hedui_protocol::message::kit::Kit;
use hedui_protocol::primitive::hex;
use hedui_protocol::refusal::Refusal;
use hedui_protocol::secret::Secret;

use crate::custodian::ceremony::SHARE;
use crate::custodian::ledger::{DESTROYED, DESTROYED_UNHELD, Event, Ledger, MADE};
use crate::kit_store::KitStore;
use crate::vault::{Vault, place};

pub(crate) fn identity(name: &str, seed: u8) -> Identity {
    Identity::from_seed(Name::new(name).unwrap(), &Secret::new([seed; 64]))
}

/// Everybody who signs the agreement.
pub(crate) fn parties() -> [Identity; 4] {
    [("office", 1), ("centre", 2), ("c1", 3), ("c2", 4)].map(|(n, s)| identity(n, s))
}

pub(crate) fn in_force(epoch: u32) -> InForce {
    agreed(epoch, 0, "")
}

/// The same with a number of evaluations for each dataset (0: none stated) and with more lines.
pub(crate) fn agreed(epoch: u32, evaluations: u64, more: &str) -> InForce {
    let mut toml = format!(
        "version = 1\nname = 'demo'\npurpose = 'test'\nlegal_basis = 'test'\nepoch = {epoch}\n\
         valid_from = '2016-01-01'\nvalid_until = '2016-12-31'\n"
    );
    let parties = parties();
    let roles = ["department", "matcher", "custodian", "custodian"];
    for (party, role) in parties.iter().zip(roles) {
        let card = party.card();
        let (name, sign, seal) = (&card.name, hex(&card.sign), hex(&card.seal));
        toml += &format!(
            "[[party]]\nname = '{name}'\nrole = '{role}'\nsign = '{sign}'\nseal = '{seal}'\n"
        );
    }
    toml += "[[field]]\nname = 'id'\nkind = 'cn-resident-id'\n\
             [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n";
    for (number, (name, kind)) in (1..).zip([
        ("roll", "roll"),
        ("cars", "register"),
        ("homes", "register"),
    ]) {
        toml += &format!(
            "[[dataset]]\nname = '{name}'\nnumber = {number}\nowner = 'office'\nkind = '{kind}'\nrows_max = 9\n\
             evaluations_max = {evaluations}\n"
        );
    }
    toml += more;
    let agreement = Agreement::parse(&toml).unwrap();
    let signatures: String = parties.iter().map(|p| agreement.sign(p).unwrap()).collect();
    agreement.in_force(&signatures, "2016-06-30").unwrap()
}

fn code<T>(found: Result<T, Problem>) -> u8 {
    found.err().map_or(0, |problem| problem.exit_code())
}

fn said<T>(found: Result<T, Problem>) -> String {
    found
        .err()
        .map_or_else(String::new, |problem| problem.to_string())
}

#[test]
fn a_sealed_thing_opens_where_it_was_sealed_only() {
    let folder = tempfile::tempdir().unwrap();
    let (me, other) = (identity("c1", 3), identity("c2", 4));
    let (first, second) = (in_force(1), in_force(2));
    let vault = Vault::new(folder.path(), "custodian", &me, &first);
    assert!(!vault.holds("a").unwrap() && vault.read("a").unwrap().is_none());
    assert!(!vault.destroy("a").unwrap());
    vault.write("a", b"secret").unwrap();
    assert_eq!(&**vault.read("a").unwrap().unwrap(), b"secret");
    vault.write("a", b"another").unwrap();
    assert_eq!(&**vault.read("a").unwrap().unwrap(), b"another");
    let at = |room: &str, agreement: &Agreement| folder.path().join(room).join(place(agreement));
    let file = at("custodian", &first).join("a");
    let sealed = fs::read(&file).unwrap();
    assert!(sealed.len() == 12 + 7 + 16 && !sealed.windows(7).any(|part| part == b"another"));
    // Under another name, in another room or epoch, with another key, changed or cut off.
    fs::copy(&file, at("custodian", &first).join("b")).unwrap();
    assert_eq!(code(vault.read("b")), 10);
    for (room, identity, agreement) in [
        ("kits", &me, &first),
        ("custodian", &me, &second),
        ("custodian", &other, &first),
    ] {
        let vault = Vault::new(folder.path(), room, identity, agreement);
        fs::create_dir_all(at(room, agreement)).unwrap();
        fs::write(at(room, agreement).join("a"), &sealed).unwrap();
        assert_eq!(code(vault.read("a")), 10, "{room}");
    }
    for cut in [&sealed[..11], &sealed[..20], &[]] {
        fs::write(&file, cut).unwrap();
        assert_eq!(code(vault.read("a")), 10);
    }
    assert!(vault.destroy("a").unwrap() && !vault.holds("a").unwrap());
}

#[test]
fn a_register_has_one_kit_in_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (me, agreement) = (identity("office", 1), in_force(1));
    let store = KitStore::new(folder.path(), &me, &agreement);
    let (cars, homes) = (&agreement.text().dataset[1], &agreement.text().dataset[2]);
    assert!(store.get(cars).unwrap().is_none());
    let (one, two) = (
        store.get_or_make(cars).unwrap(),
        store.get_or_make(homes).unwrap(),
    );
    let again = store.get_or_make(cars).unwrap();
    assert!(again.encode() == one.encode() && one.register == DatasetNumber(2));
    assert!(one.shared_secret == two.shared_secret && one.register_secret != two.register_secret);
    let kit = |register: u16, own: u8, shared: &Secret<32>| Kit {
        register: DatasetNumber(register),
        register_secret: Secret::new([own; 32]),
        shared_secret: shared.duplicate(),
    };
    assert_eq!(code(store.put(cars, &one)), 0);
    assert_eq!(code(store.put(cars, &two)), 10, "for another register");
    assert_eq!(code(store.put(cars, &kit(2, 9, &one.shared_secret))), 18);
    let mut other = kit(2, 0, &Secret::new([9; 32]));
    other.register_secret = one.register_secret.duplicate();
    assert_eq!(code(store.put(cars, &other)), 18);
    let elsewhere = tempfile::tempdir().unwrap();
    let store = KitStore::new(elsewhere.path(), &me, &agreement);
    assert_eq!(code(store.put(cars, &one)), 0);
    assert!(store.get(cars).unwrap().unwrap().encode() == one.encode());
    assert!(store.get(homes).unwrap().is_none());
}

const TIME: &str = "2016-07-01T08:00:00Z";

fn request(from: &str, dataset: &str, request: &str, content: &str, elements: u64) -> Event {
    Event::Request {
        from: from.to_owned(),
        dataset: dataset.to_owned(),
        request: request.to_owned(),
        content_sha256: content.to_owned(),
        elements,
    }
}

#[test]
fn a_request_is_charged_once_and_within_its_quota() {
    let folder = tempfile::tempdir().unwrap();
    let (me, agreement) = (identity("c1", 3), in_force(1));
    let vault = Vault::new(folder.path(), "custodian", &me, &agreement);
    let mut ledger = Ledger::open(folder.path(), &agreement, &vault).unwrap();
    let mut charge = |event: Event| ledger.charge(event, 10, TIME);
    assert!(charge(request("a", "cars", "1", "x", 6)).unwrap());
    assert!(!charge(request("a", "cars", "1", "x", 6)).unwrap());
    for other in [
        request("a", "cars", "1", "y", 6),
        request("a", "homes", "1", "x", 6),
        request("a", "cars", "1", "x", 7),
    ] {
        assert_eq!(code(charge(other)), 18);
    }
    assert!(
        charge(request("b", "homes", "1", "x", 10)).unwrap(),
        "another sender's"
    );
    let over = charge(request("a", "cars", "2", "x", 5)).err();
    let found = over.and_then(|problem| match problem {
        Problem::Refused { refusal, .. } => Some(refusal),
        _ => None,
    });
    let expected = Refusal::OverQuota {
        dataset: "cars".to_owned(),
        found: 5,
        left: 4,
    };
    assert_eq!(found, Some(expected));
    assert!(
        charge(request("a", "cars", "2", "x", 4)).unwrap(),
        "to the last"
    );
    assert_eq!(code(charge(request("a", "cars", "3", "x", 1))), 26);
    assert!(!charge(Event::share(MADE)).unwrap());
    assert_eq!(
        (
            ledger.used("cars"),
            ledger.used("homes"),
            ledger.used("roll")
        ),
        (10, 10, 0)
    );
    let again = Ledger::open(folder.path(), &agreement, &vault).unwrap();
    assert_eq!((again.entries().len(), again.used("cars")), (3, 10));
    assert!(again.head() == ledger.head() && again.head().len() == 64);
}

/// A log of three lines, and where it lies.
fn three<'a>(state: &Path, agreement: &Agreement, vault: &'a Vault<'a>) -> Ledger<'a> {
    let mut ledger = Ledger::open(state, agreement, vault).unwrap();
    ledger.append(Event::share(MADE), TIME).unwrap();
    ledger.append(Event::backed_up(), TIME).unwrap();
    ledger
        .append(request("a", "cars", "1", "x", 6), TIME)
        .unwrap();
    ledger
}

#[test]
fn a_log_that_was_touched_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let (me, other, agreement) = (identity("c1", 3), identity("c2", 4), in_force(1));
    let vault = Vault::new(state, "custodian", &me, &agreement);
    let path = three(state, &agreement, &vault).path().to_owned();
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let open = || Ledger::open(state, &agreement, &vault);
    let written = |text: &str| {
        fs::write(&path, text).unwrap();
        said(open())
    };
    assert_eq!(written(&good), "");
    for (text, word) in [
        (good.replace("\"made\"", "\"mode\""), "line 2 was changed"),
        (good.replace("\"x\"", "\"y\""), "line 3 was changed"),
        (
            format!("{}\n{}\n", lines[1], lines[2]),
            "line 1 was changed",
        ),
        (
            format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]),
            "line 2 was changed",
        ),
        (
            format!("{}\n{}\n", lines[0], lines[1]),
            "it has 2 lines, and had 3",
        ),
        (String::new(), "it has 0 lines, and had 3"),
        (format!("{good}{}\n", lines[2]), "line 4 was changed"),
        (format!("{good}nonsense\n"), "line 4 was changed"),
    ] {
        let said = written(&text);
        assert!(said.contains(word), "{word}: {said}");
    }
    // A line that a crash cut off goes, one without its end stays; both are mended on the disk.
    for torn in [format!("{good}{{\"n\":4"), good.trim_end().to_owned()] {
        assert_eq!(written(&torn), "");
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
    }
    let stranger = Vault::new(state, "custodian", &other, &agreement);
    assert!(said(Ledger::own(state, &agreement, &stranger)).contains("line 1 was changed"));
    let read = Ledger::read(state, &agreement).unwrap();
    assert!(read.entries().len() == 3 && !read.is_anchored().unwrap());
    assert_eq!(
        code(
            Ledger::read(state, &agreement)
                .unwrap()
                .append(Event::backed_up(), TIME)
        ),
        2
    );
}

#[test]
fn the_anchor_says_how_long_the_log_is_at_least() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let (me, agreement) = (identity("c1", 3), in_force(1));
    let vault = Vault::new(state, "custodian", &me, &agreement);
    let mut ledger = Ledger::open(state, &agreement, &vault).unwrap();
    ledger.append(Event::share(MADE), TIME).unwrap();
    let anchor = vault.read("log-anchor").unwrap().unwrap();
    ledger.append(Event::backed_up(), TIME).unwrap();
    assert!(ledger.is_anchored().unwrap());
    // The crash between a line and its anchor: the log is longer than it must be.
    vault.write("log-anchor", &anchor).unwrap();
    assert_eq!(code(Ledger::open(state, &agreement, &vault)), 0);
    vault.write("log-anchor", br#"[1,"00"]"#).unwrap();
    assert_eq!(code(Ledger::open(state, &agreement, &vault)), 2);
    vault.write("log-anchor", b"nonsense").unwrap();
    assert_eq!(code(Ledger::open(state, &agreement, &vault)), 10);
    vault.destroy("log-anchor").unwrap();
    assert_eq!(code(Ledger::open(state, &agreement, &vault)), 0);
    vault.write(SHARE, &[1; 32]).unwrap();
    let refusal = said(Ledger::open(state, &agreement, &vault));
    assert!(
        refusal.contains("what was sealed about it is gone"),
        "{refusal}"
    );
    assert_eq!(code(Ledger::own(state, &agreement, &vault)), 0);
}

#[test]
fn a_log_says_what_became_of_the_share_and_what_followed() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let (me, agreement) = (identity("c1", 3), in_force(1));
    let vault = Vault::new(state, "custodian", &me, &agreement);
    let empty = Ledger::open(state, &agreement, &vault).unwrap();
    assert!(empty.share().is_none() && !empty.is_destroyed());
    assert_eq!(
        (empty.lines_after(empty.head()), empty.not_before("2015")),
        (Some(0), "2015".to_owned())
    );
    let start = empty.head().to_owned();
    let mut ledger = three(state, &agreement, &vault);
    assert!(ledger.share() == Some(MADE) && !ledger.is_destroyed());
    assert_eq!(ledger.lines_after(&start), None);
    let digests = ledger
        .entries()
        .iter()
        .skip(1)
        .map(|entry| entry.previous.clone());
    for (digest, after) in digests.zip([2, 1]) {
        assert_eq!(ledger.lines_after(&digest), Some(after));
    }
    let head = format!(" {} ", ledger.head().to_uppercase());
    assert_eq!(
        (ledger.lines_after(&head), ledger.lines_after("00")),
        (Some(0), None)
    );
    assert_eq!(ledger.not_before("2015-01-01T00:00:00Z"), TIME);
    assert_eq!(
        ledger.not_before("2017-01-01T00:00:00Z"),
        "2017-01-01T00:00:00Z"
    );
    assert_eq!(
        code(ledger.append(Event::backed_up(), "2016-07-01T07:59:59Z")),
        2
    );
    ledger.append(Event::share(DESTROYED), TIME).unwrap();
    assert!(ledger.is_destroyed() && ledger.share() == Some(DESTROYED));

    for number in 1..3 {
        let first = (Event::share(DESTROYED_UNHELD), TIME);
        let anew = Ledger::begin_anew(state, &agreement, &vault, first).unwrap();
        assert!(anew.entries().len() == 1 && anew.is_destroyed());
        let aside = anew.path().with_extension(format!("jsonl.spoilt-{number}"));
        assert!(aside.exists(), "{number}");
    }
    assert_eq!(code(Ledger::open(state, &agreement, &vault)), 0);
}
