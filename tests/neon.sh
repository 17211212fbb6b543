#!/usr/bin/env bash
# The similarity join's own tests on NEON, under qemu-user. In: matcher/src/similarity. Out: passes, or the kernel, width or
# pair that differs. By hand: it needs packages that `.ci/run` does not install (Debian, any other machine's processor):
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
# Linked statically: qemu-user 7.2 does not start threads of a dynamically linked program.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cp -r "$root/matcher/src/similarity" "$work/src/"
echo 'pub mod similarity;' > "$work/src/lib.rs"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "neon"
version = "0.1.0"
edition = "2024"
[dependencies]
rayon = "1"
serde = { version = "1", features = ["derive"] }
[dev-dependencies]
blake3 = "1"
TOML
cd "$work"
export RUSTC=${HEDUI_ARM_RUSTC:-/usr/bin/rustc} RUSTFLAGS="-C target-feature=+crt-static"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64
cargo test --release --target aarch64-unknown-linux-gnu
