#!/bin/sh
# Makes a disk with the loader and the kernel, and boots it in QEMU, with the terminal as its serial port.
# Ctrl-A X ends QEMU. The first word is the kernel's file; the others are more options for QEMU.
set -e
kernel=$1
shift
image=$(cd "$(dirname "$0")" && pwd)/image
# From another folder, because cargo would take the kernel's target from the configuration in this one.
(cd / && env -u RUSTUP_TOOLCHAIN cargo +nightly run --quiet --manifest-path "$image/Cargo.toml" \
    --target-dir "${CARGO_TARGET_DIR:-$image/../target}/image" -- "$kernel" "$kernel.disk") >&2
exec qemu-system-x86_64 -machine q35 -nodefaults -display none -serial mon:stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=0x04 -bios "${OVMF:-/usr/share/ovmf/OVMF.fd}" \
    -drive "format=raw,file=$kernel.disk" "$@"
