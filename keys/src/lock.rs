//! The first lock: match-key input → token. In: an input of the protocol. Out: 64 pseudo-random bytes.
//! Invariant: nothing but a [`Lock`] makes tokens, and a token is a secret.
//! [`Keyed`] is one; the agent's evaluated tokens of the threshold OPRF are the other.
//! Specification: protocol/SPEC.md, "Locks"; design §5.

use hedui_protocol::label::Label;
use hedui_protocol::lock::Token;
use hedui_protocol::match_key::KeyInput;
use hedui_protocol::primitive::{hmac_sha512, hmac_sha512_key};
use hedui_protocol::secret::Secret;

/// Makes tokens. Implementations hold their secrets and are shared between threads.
pub trait Lock: Sync {
    /// The token of one input, or `None` if it is not available here (not evaluated yet).
    fn token(&self, input: &KeyInput) -> Option<Token>;
}

/// `y = HMAC-SHA512(K, "HEDUI1/keyed" ‖ 0 ‖ input)` under a secret that all departments share.
///
/// What it does not stop: a department that holds K and colludes with the matcher tries every identity
/// number of a county (3.65e7 per area code) in seconds. The tools say so wherever it is used.
pub struct Keyed {
    shared: Secret<32>,
}

impl Keyed {
    /// The lock under the shared secret of a kit.
    pub fn new(shared: &Secret<32>) -> Self {
        Self {
            shared: shared.duplicate(),
        }
    }
}

impl Lock for Keyed {
    fn token(&self, input: &KeyInput) -> Option<Token> {
        // Made for each value: the library does not wipe its keys.
        Some(Secret::new(hmac_sha512(
            &hmac_sha512_key(self.shared.expose()),
            Label::Keyed,
            &[input.bytes()],
        )))
    }
}

/// The sentence that every tool shows with the keyed lock.
pub const KEYED_WARNING: &str = "注意: 本协议使用共享密钥锁 (keyed)，任一部门与核对中心串通即可猜出全部身份证号，仅供试用。\n\
     Note: this agreement uses the keyed lock. A department that colludes with the matcher can guess every identity number; use it for trials only.";
