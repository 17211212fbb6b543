//! A custodian or department that has its own key and no scruples. In: a site. Out: messages that are signed
//! rightly and say something wrong. Invariant: every forgery is sealed by the real envelope code, so that only
//! the check under test can stop it. Specification: SPEC.md, "Evaluation".

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use hedui_keys::oprf::evaluate::Share;
use hedui_protocol::envelope;
use hedui_protocol::epoch::EpochRecord;
use hedui_protocol::header::Header;
use hedui_protocol::message::result;
use hedui_protocol::message::submission::Manifest;
use hedui_tests::bench::oprf::scalar;
use hedui_tests::opened::{agreement, identity, open, tables};
use hedui_tests::run::Site;
use zeroize::Zeroizing;

use super::site::sealed;

/// Handles of every table of a submission.
pub(crate) fn handles_by_table(
    site: &Site,
    path: &Path,
    recipient: &str,
) -> BTreeMap<String, BTreeSet<[u8; 16]>> {
    let (_, body) = open(site, path, recipient);
    let mut at = tables(&body);
    let manifest: Manifest = serde_json::from_slice(&body[4..at]).expect("manifest");
    let mut out = BTreeMap::new();
    for table in manifest.tables {
        let (width, rows) = (
            table.width as usize,
            usize::try_from(table.rows).expect("small"),
        );
        // In a tag table the handle follows the tag, elsewhere it comes first.
        let place = if table.name.starts_with("tag-") {
            16
        } else {
            0
        };
        let handles = body[at..at + width * rows].chunks(width);
        let handles = handles.map(|row| row[place..place + 16].try_into().expect("16 bytes"));
        out.insert(table.name, handles.collect());
        at += width * rows;
    }
    out
}

/// Results that a dishonest matcher signs, one after the other in place of the true one: words of the alarm.
pub(crate) fn results<'a>(
    site: &'a Site,
    path: &'a Path,
) -> impl Iterator<Item = &'static str> + 'a {
    let (header, body) = open(site, path, "office");
    let start = tables(&body);
    let manifest: result::Manifest = serde_json::from_slice(&body[4..start]).expect("manifest");
    let rows_of = |table: &str| {
        let mut at = start;
        for held in &manifest.tables {
            let len = usize::try_from(held.bytes()).expect("small");
            if held.name == table {
                return at..at + len;
            }
            at += len;
        }
        panic!("no table {table}");
    };
    let pairs = rows_of("police/pairs");
    let with = |manifest: &result::Manifest, tables: Vec<u8>| {
        let json = serde_json::to_vec(manifest).expect("JSON");
        let len = u32::try_from(json.len()).expect("small").to_be_bytes();
        [&len[..], &json, &tables].concat()
    };
    let without = |name: &str, rows: u64, bytes: std::ops::Range<usize>| {
        let mut less = manifest.clone();
        let table = less
            .tables
            .iter_mut()
            .find(|t| t.name == name)
            .expect("table");
        table.rows -= rows;
        let mut tables = body[start..].to_vec();
        tables.drain(bytes.start - start..bytes.end - start);
        with(&less, tables)
    };
    let mut forged = Vec::new();
    // Six of ten pairs dropped: at least four of them canaries. Or all.
    let dropped = pairs.start..pairs.start + 6 * result::PAIR_BYTES;
    forged.push((without("police/pairs", 6, dropped), "canaries"));
    let all = (pairs.len() / result::PAIR_BYTES) as u64;
    forged.push((without("police/pairs", all, pairs.clone()), "canaries"));
    // Every match called a case for review, which the rule would allow; canaries cannot be.
    let mut lowered = body.clone();
    for row in lowered[pairs.clone()].chunks_mut(result::PAIR_BYTES) {
        row[36] = 2;
    }
    forged.push((lowered, "canaries"));
    // The register's word on its canaries changed: none of them has a key.
    let mut other = manifest.clone();
    other.registers[0].canaries[1].replace_range(..4, "0000");
    forged.push((with(&other, body[start..].to_vec()), "canaries"));
    // The register left out altogether.
    let mut none = manifest.clone();
    (none.registers, none.tables) = (Vec::new(), Vec::new());
    forged.push((with(&none, Vec::new()), "an earlier result held"));
    // Every payload held back.
    let payloads = rows_of("police/payload-96");
    let rows = manifest
        .tables
        .iter()
        .find(|t| t.name == "police/payload-96")
        .expect("table")
        .rows;
    forged.push((
        without("police/payload-96", rows, payloads),
        "missing or do not open",
    ));
    // Agreement on every key claimed, then an outcome that does not follow from the keys.
    for (at, value) in [(33, 0xff), (36, 3)] {
        let mut changed = body.clone();
        for row in changed[pairs.clone()].chunks_mut(result::PAIR_BYTES) {
            row[at] = value;
        }
        forged.push((changed, "that the rule cannot give"));
    }
    forged.into_iter().map(move |(body, words)| {
        reseal(site, path, header.clone(), body);
        words
    })
}

/// Seals a body in place of a file, under its header, by the sender's own key.
fn reseal(site: &Site, path: &Path, mut header: Header, body: Vec<u8>) {
    let sender = identity(site, header.from.0.as_str());
    let agreement = agreement(site);
    let recipient = agreement.card(&header.to.0).expect("party");
    header.body_bytes = body.len() as u64;
    let mut out = Vec::new();
    envelope::seal(
        &header,
        &sender,
        recipient,
        &mut Cursor::new(body),
        &mut out,
    )
    .expect("sealed");
    fs::write(path, out).expect("written");
}

fn answer_of(site: &Site, custodian: &str) -> PathBuf {
    let found = sealed(site, "eval-answer").into_iter().find(|path| {
        path.to_string_lossy()
            .contains(&format!("-{custodian}-to-"))
    });
    found.expect("the custodian's answer")
}

fn kept(path: &Path) -> PathBuf {
    path.with_extension("kept")
}

/// Wrong answers, one after the other in place of the true one: words of the file's name, exit code, words of
/// the message.
pub(crate) fn answers<'a>(
    site: &'a Site,
    department: &'a str,
    custodian: &'a str,
) -> impl Iterator<Item = (String, i32, &'static str)> + 'a {
    let path = answer_of(site, custodian);
    fs::copy(&path, kept(&path)).expect("kept");
    let (header, body) = open(site, &path, department);
    let start = tables(&body);
    let proof = body.len() - 64;
    let request = sealed(site, "eval-request").into_iter().find(|path| {
        path.to_string_lossy()
            .contains(&format!("-to-{custodian}-"))
    });
    let (_, asked) = open(site, &request.expect("request"), custodian);
    let blinded: Vec<[u8; 32]> = asked[tables(&asked)..]
        .chunks(32)
        .map(|chunk| chunk.try_into().expect("32 bytes"))
        .collect();
    let mut forged: Vec<(Vec<u8>, i32, &'static str)> = Vec::new();
    let mut case = |change: &dyn Fn(&mut Vec<u8>), code, words| {
        let mut copy = body.clone();
        change(&mut copy);
        forged.push((copy, code, words));
    };
    case(&|body| body[proof] ^= 1, 25, "proof");
    case(
        &|body| body[start..start + 32].fill(255),
        25,
        "element 0 is not",
    );
    case(
        &|body| body[start..start + 32].fill(0),
        25,
        "element 0 is not",
    );
    case(
        &|body| {
            let (left, right) = body[start..].split_at_mut(32);
            left.swap_with_slice(&mut right[..32]);
        },
        25,
        "proof",
    );
    case(&|body| body.truncate(proof), 10, "another length");
    // What another custodian answered to the same elements, under this one's name.
    if let Some(path) = sealed(site, "eval-answer")
        .into_iter()
        .find(|path| path.to_string_lossy().contains("-c2-to-") && custodian != "c2")
    {
        let (_, theirs) = open(site, &path, department);
        case(
            &|body| *body = theirs.clone(),
            25,
            "made with the share of custodian `c2`",
        );
    }
    // Another key, with a proof that is right for that key.
    let other = Share::new(Zeroizing::new(scalar(b"another key")));
    let (elements, other_proof) = other.evaluate(&blinded).expect("evaluated");
    case(
        &|body| {
            for (at, element) in elements.iter().enumerate() {
                body[start + 32 * at..start + 32 * at + 32].copy_from_slice(element);
            }
            body[proof..].copy_from_slice(&other_proof);
        },
        25,
        "not of this epoch's key",
    );
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    forged.into_iter().map(move |(body, code, words)| {
        reseal(site, &path, header.clone(), body);
        (name.clone(), code, words)
    })
}

/// Words of the message that a forgery gets, and what puts it in place.
type Forgery<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// Answers of several chunks with two of them exchanged, and with the last one changed: words of the message, and what
/// puts the forgery in place.
pub(crate) fn chunks<'a>(site: &'a Site, department: &str, custodian: &str) -> Vec<Forgery<'a>> {
    const CHUNK: usize = 8192 * 32;
    let path = answer_of(site, custodian);
    fs::copy(&path, kept(&path)).expect("kept");
    let (header, body) = open(site, &path, department);
    let (start, end) = (tables(&body), body.len());
    let count = (1..100).find(|n| (end - start - n * 64).div_ceil(CHUNK) == *n);
    let count = count.expect("whole chunks");
    assert!(count > 2, "{count} chunks");
    let proofs = end - 64 * count;
    let mut swapped = body.clone();
    let (first, rest) = swapped[start..].split_at_mut(CHUNK);
    first.swap_with_slice(&mut rest[..CHUNK]);
    for at in 0..64 {
        swapped.swap(proofs + at, proofs + 64 + at);
    }
    let mut last = body.clone();
    last[end - 1] ^= 1;
    let forgeries = [
        (
            "the answer to chunk 2 stands in the place of chunk 1",
            swapped,
        ),
        ("does not hold: an element", last),
    ];
    let mut out: Vec<Forgery<'a>> = Vec::new();
    for (words, body) in forgeries {
        let (path, header) = (path.clone(), header.clone());
        let put = move || reseal(site, &path, header.clone(), body.clone());
        out.push((words, Box::new(put)));
    }
    out
}

/// Puts the true answer back.
pub(crate) fn restore(site: &Site, custodian: &str) {
    let path = answer_of(site, custodian);
    fs::rename(kept(&path), path).expect("restored");
}

/// A record with another key, rightly signed by one custodian alone.
pub(crate) fn lone_record(site: &Site, path: &Path, custodian: &str) {
    let text = fs::read_to_string(path).expect("record");
    let (mut record, _) = EpochRecord::parse(&text).expect("record");
    record.group = record.shares[0].1;
    let line = record.sign(&identity(site, custodian));
    fs::write(path, format!("{}{line}", record.render())).expect("written");
}

/// Requests that are signed rightly and ask wrongly.
pub(crate) fn requests<'a>(
    site: &'a Site,
    department: &'a str,
    custodian: &'a str,
    path: &'a Path,
) -> impl Iterator<Item = (i32, &'static str)> + 'a {
    // Made again, because the test before broke the file.
    let done = site.run(
        "hedui-agent",
        department,
        &["prepare", "police.csv", "--dataset", "police"],
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
    let (header, body) = open(site, path, custodian);
    let start = tables(&body);
    let mut forged: Vec<(Vec<u8>, i32, &'static str)> = Vec::new();
    let mut bad_element = body.clone();
    bad_element[start + 32..start + 64].fill(255);
    forged.push((bad_element, 10, "element 1 is no group element"));
    let head = String::from_utf8(body[4..start].to_vec()).expect("JSON");
    let with_head = |head: String, elements: usize| {
        let len = u32::try_from(head.len()).expect("small").to_be_bytes();
        [
            &len[..],
            head.as_bytes(),
            &body[start..start + 32 * elements],
        ]
        .concat()
    };
    let foreign = head.replace("\"police\"", "\"roll\"");
    forged.push((with_head(foreign, 4096), 10, "not the sender's"));
    let short = head.replace("4096", "4095");
    forged.push((with_head(short, 4095), 10, "not the one of a request"));
    let none = head.replace("4096", "0");
    forged.push((with_head(none, 0), 10, "not the one of a request"));
    forged.push((with_head("{}".to_owned(), 10), 10, "evaluation request"));
    // The first forgery was charged before its element was found wrong; the true body under the same header is
    // then another body for the same request.
    forged.push((body.clone(), 18, "replays"));
    forged.into_iter().map(move |(body, code, words)| {
        reseal(site, path, header.clone(), body);
        (code, words)
    })
}
