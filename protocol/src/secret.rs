//! Fixed-length secrets. In: bytes from a KDF, a key file or the system's randomness. Out: the same
//! bytes to the primitive that needs them. Invariant: wiped on drop, compared in constant time,
//! and without `Debug`, `Clone` or `Serialize`, so that a structure that holds one cannot be printed.
//! Specification: protocol/SPEC.md, "Secrets".

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `N` secret bytes, wiped when dropped.
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes ownership of secret bytes.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the primitive that needs them. Every caller is a place to review.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, made on purpose and wiped like the first.
    pub fn duplicate(&self) -> Self {
        Self(self.0)
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    /// Constant time in the content; the length is public.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
