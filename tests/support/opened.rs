//! Sealed files opened in a test, with the key of the party to which they were sent. In: a site, a file. Out: header, body,
//! tables. Invariant: the real envelope code opens them, so that what a test reads is what the party would read.
//! Specification: protocol/SPEC.md, "Envelope", "Encoding of bodies".

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use hedui_protocol::agreement::Agreement;
use hedui_protocol::envelope::{Checked, Expectation};
use hedui_protocol::header::Header;
use hedui_protocol::identity::Identity;
use hedui_protocol::keyfile;
use hedui_protocol::message::submission::Manifest;

use crate::run::Site;

/// A party's key.
pub fn identity(site: &Site, party: &str) -> Identity {
    let text = fs::read_to_string(site.home(party).join("identity.key")).expect("key file");
    let passphrase = fs::read_to_string(&site.passphrase).expect("passphrase");
    let opened = keyfile::open_seed(&text, passphrase.trim());
    let (name, seed) = opened.expect("the passphrase opens it");
    Identity::from_seed(name, &seed)
}

/// The site's agreement.
pub fn agreement(site: &Site) -> Agreement {
    let text = fs::read_to_string(site.agreement()).expect("agreement");
    Agreement::parse(&text).expect("agreement")
}

/// Opens a sealed file as its recipient.
pub fn open(site: &Site, path: &Path, recipient: &str) -> (Header, Vec<u8>) {
    let (agreement, me) = (agreement(site), identity(site, recipient));
    let expected = Expectation {
        me: me.card(),
        agreement: agreement.digest(),
        epoch: agreement.epoch(),
        kinds: &[],
        party: &|name| agreement.card(name).cloned(),
        matcher: agreement.matcher(),
    };
    let file = BufReader::new(File::open(path).expect("file"));
    let mut verified = Checked::read(file, &expected)
        .and_then(Checked::verify)
        .expect("it verifies");
    let mut body = Vec::new();
    verified.open(&me, &mut body).expect("it opens");
    (verified.header().clone(), body)
}

/// Where the tables of a body begin.
pub fn tables(body: &[u8]) -> usize {
    let len = body.first_chunk::<4>().expect("length");
    4 + u32::from_be_bytes(*len) as usize
}

/// Manifest of a submission and the rows of its tables.
pub fn submission(
    site: &Site,
    path: &Path,
    recipient: &str,
) -> (Header, Manifest, BTreeMap<String, Vec<Vec<u8>>>) {
    let (header, body) = open(site, path, recipient);
    let mut at = tables(&body);
    let manifest: Manifest = serde_json::from_slice(&body[4..at]).expect("manifest");
    let mut out = BTreeMap::new();
    for table in &manifest.tables {
        let width = table.width as usize;
        let len = width * usize::try_from(table.rows).expect("small");
        let rows = body[at..at + len].chunks(width).map(<[u8]>::to_vec);
        out.insert(table.name.clone(), rows.collect());
        at += len;
    }
    assert_eq!(at, body.len(), "nothing behind the tables");
    (header, manifest, out)
}
