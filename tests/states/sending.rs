//! Sending: a command repeated after a crash makes the same bytes, another content another number. In: contents in any order, crashes
//! between claim and file. Out: passes, or the path that made one number for two contents. Invariant under test: numbers of a line are 1, 2,
//! 3 …; the content sent last keeps its number; nothing that lies in the folder is ever replaced. docs/ARCHITECTURE.md, "Files".

use std::fs;
use std::io::Cursor;

use hedui_edge::clock::Clock;
use hedui_edge::exchange::{self, Draft};
use hedui_protocol::agreement::InForce;
use hedui_protocol::header::MessageType;
use hedui_protocol::primitive::sha256;
use hedui_tests::parties::{FIELDS, agreement, identity};

use super::explore;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// Content and recipient.
    Send(u8, &'static str),
    /// The same, but the process dies after its number was claimed: the file is not there.
    Die(u8, &'static str),
}

fn in_force() -> InForce {
    let agreement = agreement(FIELDS);
    let parties = [
        ("office", 1),
        ("police", 2),
        ("centre", 3),
        ("c1", 4),
        ("c2", 5),
        ("c3", 6),
    ];
    let lines = parties.map(|(party, of)| agreement.sign(&identity(party, of)).expect("a party"));
    agreement
        .in_force(&lines.concat(), "2016-07-01")
        .expect("in force")
}

/// What lies there at the end, and the last content per recipient with its number.
type State = (Vec<(String, Vec<u8>)>, Vec<(&'static str, u8, u64)>);

fn replay(agreement: &InForce, path: &[Action]) -> State {
    let folder = tempfile::tempdir().expect("folder");
    let (state, exchange) = (folder.path().join("state"), folder.path().join("exchange"));
    for part in [&state, &exchange] {
        fs::create_dir(part).expect("folder");
    }
    let me = identity("centre", 3);
    let clock = Clock::new(Some("2016-07-01")).expect("clock");
    let mut latest: Vec<(&'static str, u8, u64)> = Vec::new();
    for action in path {
        let (Action::Send(content, to) | Action::Die(content, to)) = *action;
        let draft = Draft {
            kind: MessageType::Result,
            to: agreement
                .card(&hedui_tests::parties::name(to))
                .expect("card"),
            about: "x",
            content: sha256(&[&[content]]),
            in_reply_to: None,
        };
        let (last, kept) = match latest.iter().find(|(name, ..)| *name == to) {
            Some((_, held, number)) => (*number, *held == content),
            None => (0, false),
        };
        let number = if kept { last } else { last + 1 };
        let before = fs::read_dir(&exchange).expect("folder").count();
        let folders = (state.as_path(), exchange.as_path());
        let mut body = Cursor::new(vec![content; 5]);
        let sent = exchange::send(&me, agreement, folders, &clock, &draft, &mut body, 5);
        let sent = sent.expect("sent").path;
        assert!(
            sent.to_string_lossy()
                .ends_with(&format!("-to-{to}-{number:05}.hedui")),
            "{path:?}"
        );
        if matches!(action, Action::Die(..))
            && fs::read_dir(&exchange).expect("folder").count() > before
        {
            fs::remove_file(&sent).expect("removed");
        }
        latest.retain(|(name, ..)| *name != to);
        latest.push((to, content, number));
        latest.sort_unstable();
    }
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&exchange)
        .expect("folder")
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("file"))
        })
        .collect();
    files.sort();
    (files, latest)
}

#[test]
fn sending_is_its_specification_in_every_state() {
    let agreement = in_force();
    let mut actions = Vec::new();
    for content in [1, 2] {
        for to in ["office", "police"] {
            actions.extend([Action::Send(content, to), Action::Die(content, to)]);
        }
    }
    let states = explore(&actions, 3, |path| replay(&agreement, path));
    println!("{states} states");
    assert!(states > 50, "{states}");
    // The same content twice in a row is the same bytes, whatever died in between.
    let calm = replay(&agreement, &[Action::Send(1, "office")]);
    let troubled = [
        Action::Die(1, "office"),
        Action::Send(1, "office"),
        Action::Send(1, "office"),
    ];
    assert!(calm == replay(&agreement, &troubled));
}
