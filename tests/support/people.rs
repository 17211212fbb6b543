//! The people at the desk of a scripted year. In: a site with a desk, commands, events. Out: what the desk says. Invariant: a command is
//! used through the binary, as its user; where commands are killed, what the history held before is there afterwards; many events of
//! one day go through the desk's own history, each signed by its user.
//! Used by: tests/support/year.rs, `hedui-year`.

use std::fs;

use hedui_desk::event::Body;
use hedui_desk::history::{Actor, Desk};
use hedui_edge::home::HomeOptions;
use hedui_edge::passphrase::PassphraseSource;
use serde_json::Value;

use crate::county_run::files_below;
use crate::kills::{self, Attempt, Traces};
use crate::run::{Done, Site, Stop};

/// The people at the desk.
pub struct People<'a> {
    /// Site.
    pub site: &'a Site,
    lead: Actor,
    clerk: Actor,
}

impl<'a> People<'a> {
    /// Opens both users' keys.
    pub fn new(site: &'a Site) -> Self {
        let key = |name: &str| {
            let home = HomeOptions {
                home: site.root.join("desk/users").join(name),
                agreement: None,
                today: None,
                json: false,
                passphrase: PassphraseSource {
                    passphrase_file: Some(site.passphrase.clone()),
                    passphrase_fd: None,
                },
            };
            Actor {
                identity: home
                    .identity()
                    .unwrap_or_else(|problem| panic!("{problem}")),
                now: String::new(),
            }
        };
        Self {
            site,
            lead: key("lead"),
            clerk: key("clerk"),
        }
    }

    /// Runs a command of the desk; where commands are to be killed, perhaps for the second time.
    pub fn run(&self, user: &str, day: &str, args: &[&str]) -> Done {
        let what = kills::name("hedui-desk", args);
        for _ in 0..kills::TIMES {
            let Some(kills) = &self.site.kills else {
                break;
            };
            let mut before = (0, String::new());
            let run = |stop: &mut Stop<'_>| {
                before = self.history();
                self.site.desk_until(user, day, args, stop)
            };
            let died = match kills.attempt(&what, || self.traces(), run) {
                Attempt::Spared => break,
                Attempt::Ended(done) => return passed(args, done),
                Attempt::Died(done) => done,
            };
            // Everything before is there. What the command was to add may be, and then it is not given again.
            let after = self.history();
            self.alone(user, day, &["verify", "--head", &before.1]);
            if after.0 > before.0 && args[0] == "approve" {
                return died;
            }
        }
        let done = self.alone(user, day, args);
        if let Some(kills) = &self.site.kills {
            kills.took(&what, &done);
        }
        done
    }

    /// Files of the desk and of what it hands out.
    fn traces(&self) -> Traces {
        let folders = ["desk", "reports"].map(|name| self.site.root.join(name));
        let there = folders.iter().filter(|folder| folder.is_dir());
        let own: Vec<_> = there.flat_map(|folder| files_below(folder)).collect();
        let out = fs::read_dir(&self.site.root).expect("folder").flatten();
        kills::traces(own.into_iter().chain(out.map(|entry| entry.path())))
    }

    /// Runs a command of the desk that nobody kills.
    fn alone(&self, user: &str, day: &str, args: &[&str]) -> Done {
        passed(args, self.site.desk(user, day, args))
    }

    /// Entries of the history, and its head.
    pub fn history(&self) -> (u64, String) {
        let said = self.alone("clerk", "2017-05-01", &["verify", "--json"]);
        let said: Value = serde_json::from_str(&said.stdout).expect("JSON");
        let head = said["head"].as_str().expect("hash").to_owned();
        (said["entries"].as_u64().expect("number"), head)
    }

    /// Records many events on one day through the desk's own history, as so many commands would.
    pub(crate) fn record(&mut self, lead: bool, day: &str, bodies: Vec<Body>) {
        let folder = self.site.root.join("desk");
        let mut desk = Desk::open(&folder).unwrap_or_else(|problem| panic!("{problem}"));
        let actor = if lead {
            &mut self.lead
        } else {
            &mut self.clerk
        };
        actor.now = format!("{day}T12:00:00+00:00");
        desk.session(actor, |session| {
            for body in bodies {
                session.must(body)?;
            }
            Ok(())
        })
        .unwrap_or_else(|problem| panic!("{problem}"));
    }
}

fn passed(args: &[&str], done: Done) -> Done {
    assert!(
        done.code == 0,
        "hedui-desk {args:?}: {}\n{}\n{}",
        done.code,
        done.stdout,
        done.stderr
    );
    done
}
