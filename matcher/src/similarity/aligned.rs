//! Bytes that begin at a cache line. In: a length. Out: zeros to fill. Invariant: vectors that lie at multiples of their
//! size within the buffer never cross a cache line, which would halve the rate at which they are read.
//! Plain Rust: some bytes more are allocated, and the first ones left out.
//! Specification: docs/PERFORMANCE.md, "Similarity".

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A buffer that begins at a cache line.
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    from: usize,
    len: usize,
}

impl Aligned {
    /// A buffer of zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let bytes = vec![0; len + LINE];
        let from = bytes.as_ptr().align_offset(LINE).min(LINE);
        Self { bytes, from, len }
    }

    /// A copy of some bytes.
    pub(crate) fn copy(bytes: &[u8]) -> Self {
        let mut out = Self::zeros(bytes.len());
        out.copy_from_slice(bytes);
        out
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.from..self.from + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.from..self.from + self.len]
    }
}
