#!/bin/sh
# Makes a folder with Limine and the kernel, and boots it in QEMU as a disk, with the terminal as its serial port.
# Ctrl-A X ends QEMU. The first word is the kernel's file; the others are more options for QEMU.
set -e
kernel=$1
shift
disk=$kernel.disk
mkdir -p "$disk/EFI/BOOT"
cp "${LIMINE:?must name a folder with the file BOOTX64.EFI of Limine}/BOOTX64.EFI" "$disk/EFI/BOOT"
cp "$kernel" "$disk/kernel"
cat >"$disk/limine.conf" <<END
timeout: 0
/kernel
    protocol: limine
    kernel_path: boot():/kernel
END
exec qemu-system-x86_64 -machine q35 -nodefaults -display none -serial mon:stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=0x04 -bios "${OVMF:-/usr/share/ovmf/OVMF.fd}" \
    -drive "format=raw,file=fat:rw:$disk" "$@"
