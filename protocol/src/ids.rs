//! Names and pseudonyms. In: text or bytes from outside. Out: checked identifiers.
//! Invariant: a value of these types has the right alphabet and length, whoever made it.
//! Handles and tags are pseudonyms, not secrets, yet `Debug` shows their type only: logs show counts.
//! Specification: protocol/SPEC.md, "Identifiers".

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::ID_BYTES_MAX;

/// A short name: `[a-z0-9][a-z0-9-]*`, at most 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Checks the alphabet and the length.
    pub fn new(text: &str) -> Option<Self> {
        let ok = !text.is_empty()
            && text.len() <= ID_BYTES_MAX
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ok.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text).ok_or_else(|| {
            format!(
                "a name has 1 to {ID_BYTES_MAX} characters a-z, 0-9 and '-', not starting with '-'"
            )
        })
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes as lower-case hexadecimal.
            pub fn to_hex(self) -> String {
                crate::primitive::hex(&self.0)
            }

            /// Reads lower-case hexadecimal.
            pub fn from_hex(text: &str) -> Option<Self> {
                crate::primitive::unhex(text).map(Self)
            }
        }
    };
}

bytes_id!(
    /// SHA-256 of the effective agreement (`AD`); enters every derived key.
    AgreementDigest, 32
);
bytes_id!(
    /// Names a party's pair of public keys.
    KeyId, 8
);
bytes_id!(
    /// Idempotency key of a message.
    RequestId, 16
);
bytes_id!(
    /// Pseudonym of one record of one register in one epoch; means nothing outside its owner.
    Handle, 16
);
bytes_id!(
    /// Tag of one match key of one record: what the matcher compares.
    Tag, 16
);

/// Number of a dataset within its agreement; enters tags, so that registers cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatasetNumber(pub u16);

/// Number of an epoch within an agreement, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_alphabet() {
        assert!(Name::new("jiao-tong1").is_some());
        for bad in ["", "-a", "A", "民政", "a b", &"a".repeat(65)] {
            assert!(Name::new(bad).is_none());
        }
    }
}
