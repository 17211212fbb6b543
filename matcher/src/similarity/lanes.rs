//! What a processor must do for a scan: find, add and compare many small distances at once. In: vectors of bytes. Out:
//! the same. Invariant: every implementation computes what [`Portable`] computes, lane by lane; tests compare them.
//! Unsafe only here and in [`super::scan`], [`super::kernel`]: loads through pointers, processor features.
//! Specification: docs/ARCHITECTURE.md, "Similarity".
#![allow(
    unsafe_code,
    reason = "SIMD; each implementation is checked against the portable one"
)]

/// A vector of bytes, one per record.
///
/// # Safety
/// Every method may only be called on a processor with the features of the implementation, and pointers must be
/// valid for [`Lanes::COUNT`] bytes.
pub(crate) trait Lanes: Copy {
    /// Bytes, that is, records.
    const COUNT: usize;
    /// Bits of a symbol.
    const SYMBOL_BITS: usize;
    /// Byte of lane `lane` in the table of `symbol`: what [`Lanes::distances`] takes for that symbol.
    fn entry(symbol: u8, lane: usize) -> u8;
    /// All zero.
    unsafe fn zero() -> Self;
    /// Reads bytes.
    unsafe fn load(from: *const u8) -> Self;
    /// Bits in which each lane's symbol differs from the one that `table` was made for.
    unsafe fn distances(table: Self, symbols: Self) -> Self;
    /// Sum, 255 at most.
    unsafe fn add(self, other: Self) -> Self;
    /// (a + b + 1) / 2, rounded down.
    unsafe fn average(self, other: Self) -> Self;
    /// Lesser of two.
    unsafe fn least(self, other: Self) -> Self;
    /// One bit per lane that is at most `limit`; lane 0 is bit 0.
    unsafe fn at_most(self, limit: u8) -> u64;
}

/// Distance table of a symbol, as often as it fits: the entry for the lane's number.
const fn distance_entry(symbol: u8, lane: usize, symbol_bits: usize) -> u8 {
    let other = lane % (1 << symbol_bits);
    (symbol as usize ^ other).count_ones().to_le_bytes()[0]
}

/// The truth in plain Rust: symbols are bytes, distances are counted.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const N: usize>([u8; N]);

impl<const N: usize> Lanes for Portable<N> {
    const COUNT: usize = N;
    const SYMBOL_BITS: usize = 8;
    fn entry(symbol: u8, _: usize) -> u8 {
        symbol
    }
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0; N])
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's pointer is valid for N bytes.
        Self(unsafe { from.cast::<[u8; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn distances(table: Self, symbols: Self) -> Self {
        let mut out = [0; N];
        let (left, _) = table.0.as_chunks::<8>();
        let (right, _) = symbols.0.as_chunks::<8>();
        for (out, (x, y)) in out
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(left.iter().zip(right))
        {
            // Set bits of eight bytes at once (Knuth, TAOCP 7.1.3).
            let mut bits = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
            bits -= bits >> 1 & 0x5555_5555_5555_5555;
            bits = (bits & 0x3333_3333_3333_3333) + (bits >> 2 & 0x3333_3333_3333_3333);
            *out = ((bits + (bits >> 4)) & 0x0f0f_0f0f_0f0f_0f0f).to_le_bytes();
        }
        Self(out)
    }
    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for (sum, byte) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(byte);
        }
        self
    }
    #[inline(always)]
    unsafe fn average(mut self, other: Self) -> Self {
        for (sum, byte) in self.0.iter_mut().zip(other.0) {
            *sum = (u16::from(*sum) + u16::from(byte))
                .div_ceil(2)
                .to_le_bytes()[0];
        }
        self
    }
    #[inline(always)]
    unsafe fn least(mut self, other: Self) -> Self {
        for (least, byte) in self.0.iter_mut().zip(other.0) {
            *least = (*least).min(byte);
        }
        self
    }
    #[inline(always)]
    unsafe fn at_most(self, limit: u8) -> u64 {
        let bits = self.0.iter().enumerate();
        bits.fold(0, |mask, (lane, byte)| {
            mask | u64::from(*byte <= limit) << lane
        })
    }
}

/// What the widest machine does, in plain Rust: 64 lanes, symbols of six bits, tables. Tests compare the scan on it
/// with the scan on [`Portable`], so that the code around the instructions is tried where they do not exist.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(crate) struct Emulated<const N: usize, const BITS: usize>([u8; N]);

#[cfg(test)]
impl<const N: usize, const BITS: usize> Lanes for Emulated<N, BITS> {
    const COUNT: usize = N;
    const SYMBOL_BITS: usize = BITS;
    fn entry(symbol: u8, lane: usize) -> u8 {
        distance_entry(symbol, lane, BITS)
    }
    unsafe fn zero() -> Self {
        Self([0; N])
    }
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's pointer is valid for N bytes.
        Self(unsafe { from.cast::<[u8; N]>().read_unaligned() })
    }
    unsafe fn distances(table: Self, symbols: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            table.0[usize::from(symbols.0[lane])]
        }))
    }
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].saturating_add(other.0[lane])
        }))
    }
    unsafe fn average(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].midpoint(other.0[lane]) + ((self.0[lane] ^ other.0[lane]) & 1)
        }))
    }
    unsafe fn least(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].min(other.0[lane])))
    }
    unsafe fn at_most(self, limit: u8) -> u64 {
        (0..N).fold(0, |mask, lane| {
            mask | u64::from(self.0[lane] <= limit) << lane
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    //! AVX2: `vpshufb` looks up 4-bit symbols of 32 records. AVX-512 VBMI: `vpermb` looks up 6-bit symbols of 64.
    //! In and out as in the trait. Invariant: `vpshufb` works within halves of 16 bytes, so a table stands in both.
    use std::arch::x86_64::*;

    use super::{Lanes, distance_entry};

    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256i);

    // SAFETY of every block below: the trait's contract.
    impl Lanes for Avx2 {
        const COUNT: usize = 32;
        const SYMBOL_BITS: usize = 4;
        fn entry(symbol: u8, lane: usize) -> u8 {
            distance_entry(symbol, lane, 4)
        }
        #[inline(always)]
        unsafe fn zero() -> Self {
            unsafe { Self(_mm256_setzero_si256()) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { Self(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn distances(table: Self, symbols: Self) -> Self {
            unsafe { Self(_mm256_shuffle_epi8(table.0, symbols.0)) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_adds_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn average(self, other: Self) -> Self {
            unsafe { Self(_mm256_avg_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn least(self, other: Self) -> Self {
            unsafe { Self(_mm256_min_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn at_most(self, limit: u8) -> u64 {
            unsafe {
                let limit = _mm256_set1_epi8(i8::from_le_bytes([limit]));
                let within = _mm256_cmpeq_epi8(_mm256_min_epu8(self.0, limit), self.0);
                u64::from(_mm256_movemask_epi8(within).cast_unsigned())
            }
        }
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512i);

    impl Lanes for Avx512 {
        const COUNT: usize = 64;
        const SYMBOL_BITS: usize = 6;
        fn entry(symbol: u8, lane: usize) -> u8 {
            distance_entry(symbol, lane, 6)
        }
        #[inline(always)]
        unsafe fn zero() -> Self {
            unsafe { Self(_mm512_setzero_si512()) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { Self(_mm512_loadu_si512(from.cast())) }
        }
        #[inline(always)]
        unsafe fn distances(table: Self, symbols: Self) -> Self {
            unsafe { Self(_mm512_permutexvar_epi8(symbols.0, table.0)) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(_mm512_adds_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn average(self, other: Self) -> Self {
            unsafe { Self(_mm512_avg_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn least(self, other: Self) -> Self {
            unsafe { Self(_mm512_min_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn at_most(self, limit: u8) -> u64 {
            unsafe {
                let limit = _mm512_set1_epi8(i8::from_le_bytes([limit]));
                _mm512_cmple_epu8_mask(self.0, limit)
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) mod arm {
    //! NEON: `cnt` counts the bits of 16 records' bytes. In and out as in the trait.
    use std::arch::aarch64::*;

    use super::Lanes;

    #[derive(Clone, Copy)]
    pub(crate) struct Neon(uint8x16_t);

    // SAFETY of every block below: the trait's contract; NEON is part of the architecture.
    impl Lanes for Neon {
        const COUNT: usize = 16;
        const SYMBOL_BITS: usize = 8;
        fn entry(symbol: u8, _: usize) -> u8 {
            symbol
        }
        #[inline(always)]
        unsafe fn zero() -> Self {
            unsafe { Self(vdupq_n_u8(0)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { Self(vld1q_u8(from)) }
        }
        #[inline(always)]
        unsafe fn distances(table: Self, symbols: Self) -> Self {
            unsafe { Self(vcntq_u8(veorq_u8(table.0, symbols.0))) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(vqaddq_u8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn average(self, other: Self) -> Self {
            unsafe { Self(vrhaddq_u8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn least(self, other: Self) -> Self {
            unsafe { Self(vminq_u8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn at_most(self, limit: u8) -> u64 {
            unsafe {
                let within = vcleq_u8(self.0, vdupq_n_u8(limit));
                // Four bits per lane, then one.
                let nibbles = vget_lane_u64::<0>(vreinterpret_u64_u8(vshrn_n_u16::<4>(
                    vreinterpretq_u16_u8(within),
                )));
                (0..16).fold(0, |mask, lane| mask | (nibbles >> (4 * lane) & 1) << lane)
            }
        }
    }
}
