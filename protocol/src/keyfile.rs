//! A party's seed at rest. In: seed and passphrase. Out: the text of a key file, and back.
//! Invariant: Argon2id (RFC 9106) with at least 19 MiB, ChaCha20-Poly1305 over the seed with every
//! other line as associated data; the cost of a received file is bounded before any work is done.
//! Specification: protocol/SPEC.md, "Key files".

use argon2::Block;
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::ids::Name;
use crate::label::Label;
use crate::primitive::{AEAD_TAG_BYTES, Aead, hex, unhex};
use crate::refusal::Refusal;
use crate::secret::Secret;

/// Memory of new key files in KiB, passes and lanes (security.md §3.7: 64 MiB, t=3, p=4).
pub const COST: Cost = Cost {
    memory_kib: 64 << 10,
    passes: 3,
    lanes: 4,
};
/// Shortest passphrase that is accepted for a new key file, in characters.
pub const PASSPHRASE_CHARS_MIN: usize = 10;
const MAGIC: &str = "hedui-key/1";
const MEMORY_KIB_MIN: u32 = 19 << 10;
const MEMORY_KIB_MAX: u32 = 1 << 20;

/// Cost of Argon2id.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Writes the text of a key file. `salt` and `nonce` are fresh random bytes of the caller.
pub fn seal_seed(
    name: &Name,
    seed: &Secret<64>,
    passphrase: &str,
    salt: [u8; 16],
    nonce: [u8; 12],
) -> Result<String, Refusal> {
    let head = head(name, COST, &salt, &nonce);
    let key = stretch(passphrase, &salt, COST)?;
    let mut sealed = seed.expose().to_vec();
    Aead::new(key.expose()).seal(nonce, &associated(&head), &mut sealed);
    let text = format!("{head}sealed {}\n", hex(&sealed));
    sealed.zeroize();
    Ok(text)
}

/// Opens the text of a key file.
pub fn open_seed(text: &str, passphrase: &str) -> Result<(Name, Secret<64>), Refusal> {
    let parsed = Parsed::read(text)?;
    let key = stretch(passphrase, &parsed.salt, parsed.cost)?;
    let head = head(&parsed.name, parsed.cost, &parsed.salt, &parsed.nonce);
    let mut sealed = Zeroizing::new(parsed.sealed);
    let plain = Aead::new(key.expose())
        .open(parsed.nonce, &associated(&head), &mut sealed[..])
        .ok_or(Refusal::WrongPassphrase)?;
    let mut seed = [0; 64];
    seed.copy_from_slice(plain);
    let secret = Secret::new(seed);
    seed.zeroize();
    Ok((parsed.name, secret))
}

/// The party that a key file belongs to; needs no passphrase and is not authenticated.
pub fn claimed_name(text: &str) -> Result<Name, Refusal> {
    Ok(Parsed::read(text)?.name)
}

struct Parsed {
    name: Name,
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 12],
    sealed: [u8; 64 + AEAD_TAG_BYTES],
}

impl Parsed {
    fn read(text: &str) -> Result<Self, Refusal> {
        let bad = |line: &str| Refusal::malformed("key file", format!("line `{line}` is wrong"));
        let mut lines = text.lines();
        if lines.next() != Some(MAGIC) {
            return Err(Refusal::malformed(
                "key file",
                "it does not begin with `hedui-key/1`",
            ));
        }
        let mut field = |name: &'static str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(' '))
                .ok_or_else(|| bad(name))
        };
        let name = Name::new(field("party")?).ok_or_else(|| bad("party"))?;
        let cost = field("argon2id")?;
        let numbers: Vec<u32> = cost
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let &[memory_kib, passes, lanes] = &numbers[..] else {
            return Err(bad("argon2id"));
        };
        let in_range = (MEMORY_KIB_MIN..=MEMORY_KIB_MAX).contains(&memory_kib)
            && (1..=16).contains(&passes)
            && (1..=16).contains(&lanes);
        if !in_range {
            return Err(bad("argon2id"));
        }
        Ok(Self {
            name,
            cost: Cost {
                memory_kib,
                passes,
                lanes,
            },
            salt: unhex(field("salt")?).ok_or_else(|| bad("salt"))?,
            nonce: unhex(field("nonce")?).ok_or_else(|| bad("nonce"))?,
            sealed: unhex(field("sealed")?).ok_or_else(|| bad("sealed"))?,
        })
    }
}

fn head(name: &Name, cost: Cost, salt: &[u8; 16], nonce: &[u8; 12]) -> String {
    format!(
        "{MAGIC}\nparty {name}\nargon2id {} {} {}\nsalt {}\nnonce {}\n",
        cost.memory_kib,
        cost.passes,
        cost.lanes,
        hex(salt),
        hex(nonce)
    )
}

fn associated(head: &str) -> Vec<u8> {
    [Label::KeyFile.bytes(), &[0], head.as_bytes()].concat()
}

fn stretch(passphrase: &str, salt: &[u8; 16], cost: Cost) -> Result<Secret<32>, Refusal> {
    let wrong = || Refusal::malformed("key file", "its Argon2id cost is not usable");
    let params = argon2::Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .map_err(|_| wrong())?;
    let mut memory = Memory::new(params.block_count()).ok_or_else(wrong)?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut key = [0; 32];
    argon
        .hash_password_into_with_memory(passphrase.as_bytes(), salt, &mut key, &mut *memory.0)
        .map_err(|_| wrong())?;
    let secret = Secret::new(key);
    key.zeroize();
    Ok(secret)
}

/// The blocks of one derivation: its last ones give the key away, so all are wiped, which the crate leaves to the caller. A good
/// part of the time is the system's, handing out pages; all cores ask for them.
struct Memory(Vec<Block>);

impl Memory {
    /// `None` if there is not so much memory.
    fn new(blocks: usize) -> Option<Self> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).ok()?;
        let empty = (0..blocks).into_par_iter().map(|_| Block::new());
        empty.collect_into_vec(&mut memory);
        Some(Self(memory))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.par_iter_mut().for_each(Zeroize::zeroize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_with_its_passphrase_only_and_notices_every_change() {
        let name = Name::new("police").unwrap();
        let text = seal_seed(
            &name,
            &Secret::new([3; 64]),
            "correct horse",
            [1; 16],
            [2; 12],
        )
        .unwrap();
        let (opened, seed) = open_seed(&text, "correct horse").ok().unwrap();
        assert!(opened == name && seed == Secret::new([3; 64]));
        assert_eq!(
            open_seed(&text, "wrong horse").err(),
            Some(Refusal::WrongPassphrase)
        );
        let renamed = text.replace("party police", "party thief");
        assert_eq!(
            open_seed(&renamed, "correct horse").err(),
            Some(Refusal::WrongPassphrase)
        );
        let cheap = text.replace("argon2id 65536", "argon2id 8");
        assert!(matches!(
            open_seed(&cheap, "x").err(),
            Some(Refusal::Malformed { .. })
        ));
        let dear = text.replace("argon2id 65536", "argon2id 4000000000");
        assert!(matches!(
            open_seed(&dear, "x").err(),
            Some(Refusal::Malformed { .. })
        ));
    }

    /// The cost of a received file is bounded in each of its numbers before any work is done.
    #[test]
    fn the_cost_of_a_key_file_is_bounded() {
        let text = |cost: &str| {
            let (salt, nonce, sealed) = ("00".repeat(16), "00".repeat(12), "00".repeat(80));
            format!(
                "{MAGIC}\nparty a\nargon2id {cost}\nsalt {salt}\nnonce {nonce}\nsealed {sealed}\n"
            )
        };
        for good in ["19456 1 1", "1048576 16 16", "65536 3 4"] {
            assert!(claimed_name(&text(good)).is_ok(), "{good}");
        }
        for bad in [
            "19455 1 1",
            "1048577 1 1",
            "65536 0 4",
            "65536 17 4",
            "65536 3 0",
            "65536 3 17",
            "65536 3",
            "65536 3 4 5",
        ] {
            assert!(claimed_name(&text(bad)).is_err(), "{bad}");
        }
    }
}
