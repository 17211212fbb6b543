#!/usr/bin/env bash
# The similarity join's own tests on AVX-512, on an emulated processor. In: matcher/src/similarity, BOCHS, KERNEL. Out:
# passes, or the kernel, width or pair that differs, or that the machine had no AVX-512 or did not come to the tests.
# By hand, on x86-64 Linux; some minutes. It needs what `.ci/run` does not install:
#   apt-get install xorriso isolinux syslinux-common cpio
#   BOCHS: `bochs` in its own source tree (its firmware is beside it); https://github.com/bochs-emu/Bochs at 783b58fd6
#     (Linux refuses the XSAVE layout of 2.7, and with it AVX). In its folder bochs:
#     ./configure --enable-x86-64 --enable-cpu-level=6 --enable-avx --enable-evex --enable-repeat-speedups \
#       --enable-handlers-chaining --with-nogui --disable-docbook && make
#   KERNEL: any Linux image with a serial console built in, such as boot/vmlinuz-* of Debian's linux-image-*-cloud-amd64
#     (apt-get download, dpkg-deb -x).
# Linked statically: the emulated machine has nothing but the tests.
set -euo pipefail
: "${BOCHS:?path of the emulator}" "${KERNEL:?path of the kernel image}"
root=$(cd "$(dirname "$0")/.." && pwd)
bochs=$(realpath "$BOCHS") kernel=$(realpath "$KERNEL")
firmware=$(dirname "$bochs")/bios
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{src,tree,disc/isolinux}
cp -r "$root/matcher/src/similarity" "$work/src/"
cat > "$work/src/lib.rs" <<'RUST'
pub mod similarity;
#[test]
fn avx512_is_among_the_kernels() {
    let all = similarity::kernel::Kernel::available();
    assert!(all.iter().any(|kernel| kernel.name() == "avx512"), "{all:?}");
}
RUST
# The machine's first process: runs the tests, lets the serial line empty itself, powers off.
cat > "$work/init.rs" <<'RUST'
unsafe extern "C" { fn reboot(how: i32) -> i32; }
fn main() {
    let status = std::process::Command::new("/join").arg("--test-threads=1").status();
    println!("end of tests: {status:?}");
    std::thread::sleep(std::time::Duration::from_secs(1));
    unsafe { reboot(0x4321_fedc) };
}
RUST
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "avx512"
version = "0.1.0"
edition = "2024"
[dependencies]
rayon = "1"
serde = { version = "1", features = ["derive"] }
[dev-dependencies]
blake3 = "1"
TOML
cd "$work"
export RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" CARGO_TARGET_DIR=$work/target
target=x86_64-unknown-linux-gnu
cargo test -q --release --no-run --target $target
cp "$(find "target/$target/release/deps" -name 'avx512-*' ! -name '*.d')" tree/join
# shellcheck disable=SC2086
rustc --edition 2024 -O $RUSTFLAGS --target $target -o tree/init init.rs
(cd tree && find . | cpio -o -H newc --quiet) > disc/initrd
cp "$kernel" disc/vmlinuz
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 disc/isolinux/
cat > disc/isolinux/isolinux.cfg <<'CFG'
DEFAULT tests
LABEL tests
 KERNEL /vmlinuz
 INITRD /initrd
 APPEND console=ttyS0 quiet mitigations=off nokaslr apparmor=0 lpj=400000 tsc=reliable no_timer_check
CFG
xorriso -as mkisofs -quiet -o disc.iso -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
    -boot-info-table disc 2> xorriso.txt || { cat xorriso.txt; exit 1; }
cat > bochsrc <<CFG
cpu: model=corei3_cnl, count=1, ips=100000000, reset_on_triple_fault=0
megs: 512
romimage: file=$firmware/BIOS-bochs-latest
vgaromimage: file=$firmware/VGABIOS-lgpl/VGABIOS-lgpl-latest.bin
ata0-master: type=cdrom, path=disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
display_library: nogui
clock: sync=none
log: bochs.log
info: action=ignore
error: action=ignore
panic: action=fatal
CFG
# Powering off is a "panic" to the emulator; what counts is on the serial line.
timeout 900 "$bochs" -q -f bochsrc < /dev/null > bochs.txt 2>&1 || true
grep -qs '^running' serial.txt || { tail bochs.txt serial.txt; exit 1; }
tr -d '\r' < serial.txt | sed -n '/^running/,$p'
grep -q '^test result: ok\. [1-9]' serial.txt
