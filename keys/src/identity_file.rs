//! Key files of parties. In: a name and a new passphrase. Out: `identity.key` (sealed) and `card`.
//! Invariant: an existing key file is never overwritten; the seed exists in clear in memory only.
//! Randomness comes from the operating system (ring's `SystemRandom`) and its failure stops the command.
//! Specification: protocol/SPEC.md, "Key files".

use hedui_edge::home::HomeOptions;
use hedui_edge::{Problem, files};
use hedui_protocol::identity::{Identity, PartyCard};
use hedui_protocol::ids::Name;
use hedui_protocol::keyfile;
use hedui_protocol::secret::Secret;
use ring::rand::{SecureRandom, SystemRandom};

/// Random bytes of the operating system.
pub fn random<const N: usize>() -> Result<Secret<N>, Problem> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        Problem::data(
            "the operating system gave no random bytes",
            "run the command again later",
        )
    })?;
    Ok(Secret::new(bytes))
}

/// Creates a party's folder with a new key file and card.
pub fn create(options: &HomeOptions, name: &Name) -> Result<PartyCard, Problem> {
    let path = options.key_file();
    if path.exists() {
        return Err(Problem::data(
            format!("{} exists already", path.display()),
            "choose another --home; a key file is never overwritten",
        ));
    }
    let passphrase = options.passphrase.read_new(name.as_str())?;
    files::private_folder(&options.home)?;
    let seed = random::<64>()?;
    let identity = Identity::from_seed(name.clone(), &seed);
    write_key_file(options, name, &seed, &passphrase)?;
    files::write_bytes(&options.card_file(), identity.card().render().as_bytes())?;
    Ok(identity.card().clone())
}

/// Protects the seed of an existing key file with a new passphrase.
pub fn change_passphrase(
    options: &HomeOptions,
    new: &hedui_edge::passphrase::PassphraseSource,
) -> Result<(), Problem> {
    let path = options.key_file();
    let text = files::read_text(&path)?;
    let claimed = keyfile::claimed_name(&text).map_err(|r| Problem::refused(&path, r))?;
    let old = options.passphrase.read(claimed.as_str())?;
    let (name, seed) = keyfile::open_seed(&text, &old).map_err(|r| Problem::refused(&path, r))?;
    let new = new.read_new(name.as_str())?;
    write_key_file(options, &name, &seed, &new)
}

fn write_key_file(
    options: &HomeOptions,
    name: &Name,
    seed: &Secret<64>,
    passphrase: &str,
) -> Result<(), Problem> {
    let (salt, nonce) = (random::<16>()?, random::<12>()?);
    let text = keyfile::seal_seed(name, seed, passphrase, *salt.expose(), *nonce.expose())?;
    files::write_bytes(&options.key_file(), text.as_bytes())
}
