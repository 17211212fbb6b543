//! Kernels: which processor does the scan and the exact check, chosen at run time. In: a task. Out: the pairs that are
//! left. Invariant: a kernel is only run where its processor features are present; all give the same pairs in the end.
//! Portable builds: no compiler flag is needed, and none changes a result.
//! Specification: docs/ARCHITECTURE.md, "Similarity".
#![allow(
    unsafe_code,
    reason = "SIMD; each kernel is checked against the portable one"
)]

use super::filters::Filters;
use super::lanes::{Lanes, Portable};
use super::scan::{Shape, Task, scan, tables};
use super::threshold::Threshold;

/// Code for one family of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// Plain Rust: the truth.
    Portable,
    /// x86-64 with AVX2 and POPCNT: 32 records at once, four bits at a time.
    Avx2,
    /// x86-64 with AVX-512 VBMI: 64 records at once, six bits at a time.
    Avx512,
    /// x86-64 with AMX: 1,024 pairs at once, 64 bytes at a time, of dense codes.
    Amx,
    /// Arm 64: 16 records at once, eight bits at a time.
    Neon,
}

type PortableLanes = Portable<16>;

impl Kernel {
    /// Every kernel that this machine can run, the best last.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("popcnt") {
                all.push(Self::Avx2);
                if has!("avx512f") && has!("avx512bw") && has!("avx512vbmi") {
                    all.push(Self::Avx512);
                    #[cfg(target_os = "linux")]
                    if super::tiles::amx::available() {
                        all.push(Self::Amx);
                    }
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self::Neon);
        all
    }

    /// The best one that this machine can run.
    pub fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// Name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
            Self::Neon => "neon",
        }
    }

    /// Bits of a symbol of the kernel's sketches.
    pub fn symbol_bits(self) -> usize {
        match self {
            Self::Portable | Self::Neon => 8,
            Self::Avx2 => 4,
            Self::Avx512 | Self::Amx => 6,
        }
    }

    /// Shape of a sketch of `width` bits.
    pub(crate) fn shape(self, width: usize) -> Shape {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Shape::of::<super::lanes::x86::Avx2>(width),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Amx => Shape::of::<super::lanes::x86::Avx512>(width),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Shape::of::<super::lanes::arm::Neon>(width),
            _ => Shape::of::<PortableLanes>(width),
        }
    }

    /// Tables of the kernel.
    pub(crate) fn tables(self) -> Vec<u8> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => tables::<super::lanes::x86::Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Amx => tables::<super::lanes::x86::Avx512>(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => tables::<super::lanes::arm::Neon>(),
            _ => tables::<PortableLanes>(),
        }
    }

    /// Scans rows against a tile.
    pub(crate) fn scan(self, task: &Task<'_>, out: &mut Vec<(u32, u32)>) {
        // SAFETY: `Join::on`, the only caller, asks `available`, which looks at the processor.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => scan_avx2(task, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 | Self::Amx => scan_avx512(task, out),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => scan_by_vectors::<super::lanes::arm::Neon>(task, out),
                _ => scan_by_vectors::<PortableLanes>(task, out),
            }
        }
    }

    /// Scans dense codes; only the kernel with tiles makes any.
    pub(crate) fn scan_dense(self, task: &super::tiles::Task<'_>, out: &mut Vec<(u32, u32)>) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if self == Self::Amx {
            // SAFETY: `Join::on`, the only caller, asks `available`, which asks for tiles.
            unsafe { super::tiles::amx::scan(task, out) }
        }
        let _ = (task, out);
    }

    /// Checks pairs of places exactly and pushes those that reach the threshold, with their common bits.
    pub(crate) fn check(
        self,
        (a, b): (&Filters, &Filters),
        pairs: &[(u32, u32)],
        threshold: &Threshold,
        out: &mut Vec<(u32, u32, u32)>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if matches!(self, Self::Avx2 | Self::Avx512 | Self::Amx) {
            // SAFETY: these kernels are available only with POPCNT.
            return unsafe { check_popcnt((a, b), pairs, threshold, out) };
        }
        check((a, b), pairs, threshold, out);
    }
}

/// The scan with as many vectors as the shape says.
#[inline(always)]
unsafe fn scan_by_vectors<L: Lanes>(task: &Task<'_>, out: &mut Vec<(u32, u32)>) {
    // SAFETY: the caller's contract is passed on; V is the shape's.
    unsafe {
        match task.shape.vectors {
            8 => scan::<L, 8>(task, out),
            4 => scan::<L, 4>(task, out),
            2 => scan::<L, 2>(task, out),
            _ => scan::<L, 1>(task, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn scan_avx2(task: &Task<'_>, out: &mut Vec<(u32, u32)>) {
    // SAFETY: the features are enabled here and present by the caller's contract.
    unsafe { scan_by_vectors::<super::lanes::x86::Avx2>(task, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
unsafe fn scan_avx512(task: &Task<'_>, out: &mut Vec<(u32, u32)>) {
    // SAFETY: the features are enabled here and present by the caller's contract.
    unsafe { scan_by_vectors::<super::lanes::x86::Avx512>(task, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
unsafe fn check_popcnt(
    sides: (&Filters, &Filters),
    pairs: &[(u32, u32)],
    threshold: &Threshold,
    out: &mut Vec<(u32, u32, u32)>,
) {
    check(sides, pairs, threshold, out);
}

#[inline(always)]
fn check(
    (a, b): (&Filters, &Filters),
    pairs: &[(u32, u32)],
    threshold: &Threshold,
    out: &mut Vec<(u32, u32, u32)>,
) {
    for (i, j) in pairs {
        let (left, right) = (*i as usize, *j as usize);
        let common = a.common_bits(left, b, right);
        if threshold.reached(a.popcount(left) + b.popcount(right), common) {
            out.push((a.id(left), b.id(right), common));
        }
    }
}
