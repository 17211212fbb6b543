//! Signed checkpoints: what a log was at one moment. In: its size and root, the matcher's key. Out: a note that anybody can
//! verify, and the short form that headers carry. Invariant: a checkpoint says for which agreement, epoch and matcher it
//! is, so one log's is never another's; what is read was signed, or stays a claim. Two checkpoints of one size with
//! two roots prove a fork. Specification: protocol/SPEC.md, "Log" (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

use base64ct::{Base64, Encoding};

use super::merkle::Hash;
use crate::agreement::Agreement;
use crate::identity::{Identity, PartyCard};
use crate::ids::{AgreementDigest, Epoch, Name};
use crate::limits::LOG_ENTRIES_MAX;
use crate::primitive::{hex, sha256};

/// Longest checkpoint file, in bytes: a note and one line per party.
pub const CHECKPOINT_BYTES_MAX: usize = 64 << 10;
/// Begins a signature's line in a note.
const SIGNATURE: &str = "\u{2014} ";
/// Kinds of signature in a key's identifier (signed-note).
const ED25519: u8 = 1;
const COSIGNATURE: u8 = 4;

/// Which log: every checkpoint begins with it. No other signed text begins so, because a label elsewhere is followed by a zero
/// byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The log of an agreement's matcher in an epoch.
    pub fn new(agreement: AgreementDigest, epoch: Epoch, matcher: &Name) -> Self {
        Self(format!(
            "HEDUI1/log/{}/{}/{matcher}",
            agreement.to_hex(),
            epoch.0
        ))
    }

    /// The same, of an agreement.
    pub fn of(agreement: &Agreement) -> Self {
        Self::new(
            agreement.digest(),
            agreement.epoch(),
            &agreement.matcher().name,
        )
    }
}

/// Size and root of a log, with a signature that was not looked at yet; what a header carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of entries.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// The matcher's signature under the note.
    pub signature: [u8; 64],
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checkpoint({} {})", self.size, hex(&self.root))
    }
}

impl Checkpoint {
    /// Signs a log as it stands.
    pub fn sign(matcher: &Identity, origin: &Origin, size: u64, root: Hash) -> Self {
        let signature = matcher.sign(text(origin, size, &root).as_bytes());
        Self {
            size,
            root,
            signature,
        }
    }

    /// Whether the matcher signed it, and it is of a log that is not larger than a log may be.
    pub fn holds(&self, matcher: &PartyCard, origin: &Origin) -> bool {
        if self.size > LOG_ENTRIES_MAX as u64 {
            return false;
        }
        let text = text(origin, self.size, &self.root);
        matcher.verify(text.as_bytes(), &self.signature)
    }

    /// The note: text, empty line, the matcher's signature.
    pub fn render(&self, matcher: &PartyCard, origin: &Origin) -> String {
        let text = text(origin, self.size, &self.root);
        let id = key_id(matcher, ED25519);
        format!("{text}\n{}", line(&matcher.name, &[&id, &self.signature]))
    }

    /// Reads a note of this log that the matcher signed. Lines of others are left for [`Checkpoint::cosigned`].
    pub fn parse(note: &str, matcher: &PartyCard, origin: &Origin) -> Option<Self> {
        let (body, signatures) = note.split_once("\n\n")?;
        let mut signed = signatures.strip_suffix('\n')?.split('\n');
        if !signed.all(is_signature_line) {
            return None;
        }
        let mut lines = body.split('\n');
        if lines.next()? != origin.0 {
            return None;
        }
        let size = lines.next()?;
        let found = Self {
            size: size.parse().ok()?,
            root: Base64::decode_vec(lines.next()?).ok()?.try_into().ok()?,
            signature: signature_of(signatures, &matcher.name, &key_id(matcher, ED25519))?,
        };
        // One spelling: leading zeros or further lines would differ here.
        let same = text(origin, found.size, &found.root) == format!("{body}\n");
        (same && found.holds(matcher, origin)).then_some(found)
    }

    /// A witness's signature under this checkpoint at a time, in seconds since 1970: it has seen that the log only grew.
    pub fn cosign(&self, witness: &Identity, origin: &Origin, time: u64) -> String {
        let signature = witness.sign(&self.cosigned_bytes(origin, time));
        let card = witness.card();
        let id = key_id(card, COSIGNATURE);
        line(&card.name, &[&id, &time.to_be_bytes(), &signature])
    }

    /// When a witness signed this checkpoint, if the note has its line and it holds. The matcher is no witness of its own log:
    /// that is for the caller to ask, who knows who the matcher is.
    pub fn cosigned(&self, note: &str, witness: &PartyCard, origin: &Origin) -> Option<u64> {
        let (_, signatures) = note.split_once("\n\n")?;
        let id = key_id(witness, COSIGNATURE);
        let found: [u8; 72] = signature_of(signatures, &witness.name, &id)?;
        let (time, signature) = found.split_first_chunk::<8>()?;
        // tlog-cosignature: a time fits a signed number.
        let time = u64::from_be_bytes(*time);
        if i64::try_from(time).is_err() {
            return None;
        }
        let bytes = self.cosigned_bytes(origin, time);
        witness
            .verify(&bytes, signature.first_chunk::<64>()?)
            .then_some(time)
    }

    fn cosigned_bytes(&self, origin: &Origin, time: u64) -> Vec<u8> {
        let text = text(origin, self.size, &self.root);
        format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
    }
}

/// The text that is signed: origin, size, root.
fn text(origin: &Origin, size: u64, root: &Hash) -> String {
    format!("{}\n{size}\n{}\n", origin.0, Base64::encode_string(root))
}

/// Identifier of a key in notes: the first four bytes of `H(name ‖ LF ‖ kind ‖ key)`.
fn key_id(party: &PartyCard, kind: u8) -> [u8; 4] {
    let digest = sha256(&[party.name.as_str().as_bytes(), b"\n", &[kind], &party.sign]);
    let mut id = [0; 4];
    id.copy_from_slice(&digest[..4]);
    id
}

fn line(name: &Name, parts: &[&[u8]]) -> String {
    format!(
        "{SIGNATURE}{name} {}\n",
        Base64::encode_string(&parts.concat())
    )
}

/// Name, key's identifier and signature of a line of a note.
fn parts_of(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, text) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
    // Strict: padding, no stray bits, so one signature has one spelling.
    let bytes = Base64::decode_vec(text).ok()?;
    let (key, signature) = bytes.split_first_chunk::<4>()?;
    let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
    let usable = named && !signature.is_empty();
    usable.then(|| (name, *key, signature.to_vec()))
}

fn is_signature_line(line: &str) -> bool {
    parts_of(line).is_some()
}

/// What stands behind the key's identifier in the one line of a name and key; none if there are two.
fn signature_of<const N: usize>(lines: &str, name: &Name, id: &[u8; 4]) -> Option<[u8; N]> {
    let mut own = lines
        .lines()
        .filter_map(parts_of)
        .filter(|(found, key, _)| *found == name.as_str() && key == id);
    let (_, _, signature) = own.next()?;
    own.next().is_none().then(|| signature.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn party(name: &str, seed: u8) -> Identity {
        Identity::from_seed(Name::new(name).unwrap(), &Secret::new([seed; 64]))
    }

    #[test]
    fn notes_round_trip_and_are_bound_to_log_size_and_root() {
        let (matcher, witness) = (party("centre", 1), party("audit", 2));
        let origin = Origin::new(AgreementDigest([7; 32]), Epoch(3), &matcher.card().name);
        let checkpoint = Checkpoint::sign(&matcher, &origin, 5, [9; 32]);
        let mut note = checkpoint.render(matcher.card(), &origin);
        assert_eq!(
            Checkpoint::parse(&note, matcher.card(), &origin),
            Some(checkpoint)
        );
        note += &checkpoint.cosign(&witness, &origin, 1_467_360_000);
        let again = Checkpoint::parse(&note, matcher.card(), &origin).unwrap();
        assert_eq!(
            again.cosigned(&note, witness.card(), &origin),
            Some(1_467_360_000)
        );
        assert_eq!(again.cosigned(&note, matcher.card(), &origin), None);
        let epoch = Origin::new(AgreementDigest([7; 32]), Epoch(4), &matcher.card().name);
        for other in [
            note.replace("\n5\n", "\n6\n"),
            note.replace("\n5\n", "\n05\n"),
            note.replace("\n5\n", "\n5\nmore\n"),
            note.replace("centre ", "centra "),
            note.replace("\n\n", "\n"),
            note.clone() + "x",
            note.clone() + "\n",
            note.trim_end().to_owned(),
        ] {
            assert_ne!(other, note);
            let found = Checkpoint::parse(&other, matcher.card(), &origin);
            assert!(found.is_none(), "{other}");
        }
        assert!(Checkpoint::parse(&note, matcher.card(), &epoch).is_none());
        assert!(Checkpoint::parse(&note, party("centre", 2).card(), &origin).is_none());
        let later = Checkpoint::sign(&matcher, &origin, 6, [9; 32]);
        assert_eq!(later.cosigned(&note, witness.card(), &origin), None);
    }

    /// A log is as long as the limit at most, whoever signs for more.
    #[test]
    fn a_checkpoint_is_of_a_log_within_the_limit() {
        let matcher = party("centre", 1);
        let origin = Origin::new(AgreementDigest([7; 32]), Epoch(3), &matcher.card().name);
        let most = LOG_ENTRIES_MAX as u64;
        for (size, holds) in [(most, true), (most + 1, false)] {
            let checkpoint = Checkpoint::sign(&matcher, &origin, size, [9; 32]);
            let note = checkpoint.render(matcher.card(), &origin);
            assert_eq!(checkpoint.holds(matcher.card(), &origin), holds);
            let read = Checkpoint::parse(&note, matcher.card(), &origin);
            assert_eq!(read.is_some(), holds);
            assert!(format!("{checkpoint:?}").starts_with(&format!("Checkpoint({size} 0909")));
        }
    }

    /// Every line of a note is somebody's signature, with a name that can be one.
    #[test]
    fn every_line_of_a_note_is_a_signature() {
        let matcher = party("centre", 1);
        let origin = Origin::new(AgreementDigest([7; 32]), Epoch(3), &matcher.card().name);
        let note = Checkpoint::sign(&matcher, &origin, 5, [9; 32]).render(matcher.card(), &origin);
        let with = |name: &str, bytes: &[u8]| {
            let line = format!("{SIGNATURE}{name} {}\n", Base64::encode_string(bytes));
            Checkpoint::parse(&(note.clone() + &line), matcher.card(), &origin).is_some()
        };
        assert!(with("audit", &[1, 2, 3, 4, 5]));
        assert!(!with("audit", &[1, 2, 3, 4]), "a key without a signature");
        assert!(!with("audit", &[1, 2, 3]) && !with("", &[1; 68]) && !with("a+b", &[1; 68]));
        let twice = note.clone() + note.split_once("\n\n").unwrap().1;
        assert!(Checkpoint::parse(&twice, matcher.card(), &origin).is_none());
    }
}
