//! Bytes that begin at a cache line. In: a length. Out: zeros to fill. Invariant: vectors that lie at multiples of their
//! size within the buffer never cross a cache line, which would halve the rate at which they are read.
//! Plain Rust: some bytes more are allocated, and the first ones left out.
//! Specification: docs/PERFORMANCE.md, "Similarity".

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
const LINE: usize = 64;

/// A buffer of bytes, with a sign or without, that begins at a cache line.
pub(crate) struct Aligned<T = u8> {
    bytes: Vec<T>,
    from: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    /// A buffer of zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        const { assert!(size_of::<T>() == 1) };
        let bytes = vec![T::default(); len + LINE];
        let from = bytes.as_ptr().align_offset(LINE).min(LINE);
        Self { bytes, from, len }
    }

    /// A copy of some bytes.
    pub(crate) fn copy(bytes: &[T]) -> Self {
        let mut out = Self::zeros(bytes.len());
        out.copy_from_slice(bytes);
        out
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.bytes[self.from..self.from + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.bytes[self.from..self.from + self.len]
    }
}
