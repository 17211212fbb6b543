//! Dense codes compared by tile registers (AMX): 16 × 16 dot products of 64 bytes per instruction. In: codes of rows, tiles of records,
//! limits. Out: pairs that are not ruled out. Invariant: a pair is passed on exactly if dot + u + v is not negative, u of the row, v
//! of the record; tests compare with plain multiplication. Only Linux grants tiles, to a process that asks.
//! Specification: docs/ARCHITECTURE.md, "Similarity"; Intel 64 SDM, vol. 2, TDPBSSD.
#![allow(
    unsafe_code,
    reason = "tile registers; the kernel is checked against plain multiplication"
)]

use super::dense::STEP;

/// Rows and records of one step.
pub(crate) const SIDE: usize = 32;
/// Records of a tile.
pub(crate) const TILE: usize = 64;
/// A limit that nothing reaches.
pub(crate) const NEVER: i32 = i32::MIN / 4;

/// Columns of `depth` numbers each, one after the other, laid out as the second factor: per 16 of them and 64 numbers four by four,
/// `[16][16 columns][4]`.
pub(crate) fn lay_out(columns: &[i8], depth: usize, out: &mut [i8]) {
    let group = 16 * depth;
    for (at, column) in columns.chunks_exact(depth).enumerate() {
        let base = at / 16 * group + at % 16 * 4;
        for (at, four) in column.chunks_exact(4).enumerate() {
            out[base + at * 64..base + at * 64 + 4].copy_from_slice(four);
        }
    }
}

/// Whether this machine multiplies by tiles.
pub(crate) fn has_tiles() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return amx::available();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

/// Products of rows and of columns that were laid out, row by row; only where [`has_tiles`].
pub(crate) fn multiply(rows: &[i8], depth: usize, columns: &[i8], out: &mut Vec<i32>) {
    let (height, width) = (rows.len() / depth, columns.len() / depth);
    assert!(height.is_multiple_of(SIDE) && width.is_multiple_of(SIDE));
    assert!(depth.is_multiple_of(STEP) && depth > 0);
    assert_eq!((rows.len(), columns.len()), (height * depth, width * depth));
    assert!(has_tiles());
    out.clear();
    out.resize(height * width, 0);
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    // SAFETY: sizes and tiles were checked.
    unsafe {
        amx::products(rows, depth, columns, out);
    }
}

/// Rows and records to compare.
pub(crate) struct Task<'a> {
    /// Whole numbers of a code.
    pub(crate) dimensions: usize,
    /// Codes of the rows, a multiple of [`SIDE`].
    pub(crate) rows: &'a [i8],
    /// Limit of each row.
    pub(crate) u: &'a [i32],
    /// A tile of records, as [`lay_out`] makes it.
    pub(crate) tile: &'a [i8],
    /// Limit of each record of the tile.
    pub(crate) v: &'a [i32],
}

impl Task<'_> {
    fn check(&self) {
        let rows = self.u.len();
        assert!(rows.is_multiple_of(SIDE) && self.v.len() == TILE);
        assert!(self.dimensions.is_multiple_of(STEP) && self.dimensions > 0);
        assert_eq!(self.rows.len(), rows * self.dimensions);
        assert_eq!(self.tile.len(), TILE * self.dimensions);
    }

    /// The same by plain multiplication: the truth.
    #[cfg(test)]
    pub(crate) fn plain(&self, out: &mut Vec<(u32, u32)>) {
        self.check();
        for (row, (code, u)) in self
            .rows
            .chunks_exact(self.dimensions)
            .zip(self.u)
            .enumerate()
        {
            for record in 0..TILE {
                let number = |at: usize| {
                    self.tile[record / 16 * 16 * self.dimensions
                        + at / 4 * 64
                        + record % 16 * 4
                        + at % 4]
                };
                let dot: i32 = (0..self.dimensions)
                    .map(|at| i32::from(code[at]) * i32::from(number(at)))
                    .sum();
                if dot + u + self.v[record] >= 0 {
                    out.push((u32::try_from(row).unwrap(), u32::try_from(record).unwrap()));
                }
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) mod amx {
    //! In and out as above. Invariant: a thread's tiles are configured when a task begins and given back when it ends.
    use std::arch::asm;
    use std::arch::x86_64::*;
    use std::sync::OnceLock;

    use super::{SIDE, STEP, TILE, Task};

    /// Whether the processor has tiles and the system grants them to this process.
    pub(crate) fn available() -> bool {
        static GRANTED: OnceLock<bool> = OnceLock::new();
        *GRANTED.get_or_init(|| {
            let has = std::arch::is_x86_feature_detected!("avx512f")
                && __cpuid(0).eax >= 7
                && __cpuid_count(7, 0).edx >> 24 & 3 == 3;
            has && granted()
        })
    }

    /// arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): Linux, Documentation/arch/x86/xstate.rst.
    fn granted() -> bool {
        let answer: i64;
        // SAFETY: a system call that reads no memory of this process.
        unsafe {
            asm!("syscall", inlateout("rax") 158_i64 => answer, in("rdi") 0x1023_i64, in("rsi") 18_i64,
                 out("rcx") _, out("r11") _, options(nostack));
        }
        answer == 0
    }

    #[repr(C, align(64))]
    struct Configuration([u8; 64]);

    /// Products of a step, two by two tiles of 16 × 16.
    #[repr(C, align(64))]
    struct Products([[i32; 16]; 64]);

    macro_rules! load {
        ($tile:literal, $from:expr, $stride:expr) => {
            asm!(concat!("tileloadd ", $tile, ", [{from} + {stride}*1]"), from = in(reg) $from, stride = in(reg) $stride,
                 options(nostack, readonly))
        };
    }
    macro_rules! empty {
        () => {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack, nomem)
            )
        };
    }
    macro_rules! multiply {
        ($sum:literal, $a:literal, $b:literal) => {
            asm!(
                concat!("tdpbssd ", $sum, ", ", $a, ", ", $b),
                options(nostack, nomem)
            )
        };
    }
    macro_rules! store {
        ($tile:literal, $to:expr, $stride:expr) => {
            asm!(concat!("tilestored [{to} + {stride}*1], ", $tile), to = in(reg) $to, stride = in(reg) $stride, options(nostack))
        };
    }

    /// Makes eight tiles of 16 rows of 64 bytes.
    #[inline(always)]
    unsafe fn configure() {
        let mut configuration = Configuration([0; 64]);
        configuration.0[0] = 1;
        for tile in 0..8 {
            // 64 bytes in each of 16 rows.
            configuration.0[16 + 2 * tile] = 64;
            configuration.0[48 + tile] = 16;
        }
        // SAFETY: tiles are granted by the caller's contract; the 64 bytes are there.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) configuration.0.as_ptr(), options(nostack, readonly));
        }
    }

    /// Products of all rows and columns.
    ///
    /// # Safety
    /// [`available`] has said yes; rows and columns are multiples of [`SIDE`], `out` has a place for each product.
    pub(crate) unsafe fn products(rows: &[i8], depth: usize, columns: &[i8], out: &mut [i32]) {
        let (height, width) = (rows.len() / depth, columns.len() / depth);
        // SAFETY: the caller's contract.
        unsafe {
            configure();
            for row in (0..height).step_by(SIDE) {
                for column in (0..width).step_by(SIDE) {
                    multiply_step((rows, columns), depth, (row, column));
                    let to = out.as_mut_ptr().add(row * width + column);
                    let (below, stride) = (to.add(16 * width), 4 * width);
                    store!("tmm0", to, stride);
                    store!("tmm1", to.add(16), stride);
                    store!("tmm2", below, stride);
                    store!("tmm3", below.add(16), stride);
                }
            }
            asm!("tilerelease", options(nostack, nomem));
        }
    }

    /// Scans rows against a tile.
    ///
    /// # Safety
    /// [`available`] has said yes.
    #[target_feature(enable = "avx512f")]
    pub(crate) unsafe fn scan(task: &Task<'_>, out: &mut Vec<(u32, u32)>) {
        task.check();
        let mut products = [Products([[0; 16]; 64]), Products([[0; 16]; 64])];
        let mut before: Option<(usize, usize)> = None;
        let mut turn = 0;
        // SAFETY: sizes were checked, so every pointer is within its slice; tiles are granted.
        unsafe {
            configure();
            for row in (0..task.u.len()).step_by(SIDE) {
                for record in (0..TILE).step_by(SIDE) {
                    let held = &products[turn ^ 1];
                    let stride = task.dimensions;
                    let a = task.rows.as_ptr().add(row * stride);
                    let b = task.tile.as_ptr().add(record * stride);
                    let steps = stride / STEP;
                    let mut done = 0;
                    empty!();
                    for step in 0..steps {
                        multiply_once(a.add(step * STEP), b.add(step * 16 * STEP), stride);
                        // The last step's products are looked at while this one's are being made.
                        while let Some(at) = before.filter(|_| done * steps < 4 * (step + 1)) {
                            pick(task, held, done, at, out);
                            done += 1;
                        }
                    }
                    let to = products[turn].0.as_mut_ptr();
                    store!("tmm0", to, 64_usize);
                    store!("tmm1", to.add(16), 64_usize);
                    store!("tmm2", to.add(32), 64_usize);
                    store!("tmm3", to.add(48), 64_usize);
                    before = Some((row, record));
                    turn ^= 1;
                }
            }
            for quarter in 0..4 {
                if let Some(at) = before {
                    pick(task, &products[turn ^ 1], quarter, at, out);
                }
            }
            asm!("tilerelease", options(nostack, nomem));
        }
    }

    #[inline(always)]
    unsafe fn multiply_step(
        (rows, columns): (&[i8], &[i8]),
        stride: usize,
        (row, column): (usize, usize),
    ) {
        // SAFETY: the caller's contract is passed on: 32 rows and columns from these on are there.
        unsafe {
            let a = rows.as_ptr().add(row * stride);
            let b = columns.as_ptr().add(column * stride);
            empty!();
            for step in 0..stride / STEP {
                multiply_once(a.add(step * STEP), b.add(step * 16 * STEP), stride);
            }
        }
    }

    /// 64 numbers of 32 rows by those of 32 columns, added to what the first four tiles hold.
    #[inline(always)]
    unsafe fn multiply_once(a: *const i8, b: *const i8, stride: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            let (below, beside) = (a.add(16 * stride), b.add(16 * stride));
            load!("tmm4", a, stride);
            load!("tmm6", b, 64_usize);
            multiply!("tmm0", "tmm4", "tmm6");
            load!("tmm7", beside, 64_usize);
            multiply!("tmm1", "tmm4", "tmm7");
            load!("tmm5", below, stride);
            multiply!("tmm2", "tmm5", "tmm6");
            multiply!("tmm3", "tmm5", "tmm7");
        }
    }

    /// Pairs of a quarter of a step whose product reaches both limits.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn pick(
        task: &Task<'_>,
        products: &Products,
        quarter: usize,
        (row, record): (usize, usize),
        out: &mut Vec<(u32, u32)>,
    ) {
        let (first, column) = (row + quarter / 2 * 16, record + quarter % 2 * 16);
        // SAFETY: `products` has 64 lines of 16; limits are as many as rows and records, checked before.
        unsafe {
            let v = _mm512_loadu_si512(task.v.as_ptr().add(column).cast());
            let u = task.u.as_ptr().add(first);
            let from = products.0.as_ptr().add(quarter * 16);
            let line = |at: usize| {
                let product = _mm512_load_si512(from.add(at).cast());
                _mm512_add_epi32(product, _mm512_set1_epi32(*u.add(at)))
            };
            let (mut even, mut odd) = (line(0), line(1));
            for at in (2..16).step_by(2) {
                even = _mm512_max_epi32(even, line(at));
                odd = _mm512_max_epi32(odd, line(at + 1));
            }
            let most = _mm512_add_epi32(_mm512_max_epi32(even, odd), v);
            if _mm512_cmpge_epi32_mask(most, _mm512_setzero_si512()) != 0 {
                for at in 0..16 {
                    let whole = _mm512_add_epi32(line(at), v);
                    let mut mask = _mm512_cmpge_epi32_mask(whole, _mm512_setzero_si512());
                    while mask != 0 {
                        let place = column + mask.trailing_zeros() as usize;
                        out.push((narrow(first + at), narrow(place)));
                        mask &= mask - 1;
                    }
                }
            }
        }
    }

    fn narrow(place: usize) -> u32 {
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}
