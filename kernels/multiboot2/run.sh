#!/bin/sh
# Makes a disk with GRUB and the kernel, and boots it in QEMU, with the terminal as its serial port.
# Ctrl-A X ends QEMU. The first word is the kernel's file; the others are more options for QEMU.
set -e
kernel=$1
shift
disk=$kernel.disk
mkdir -p "$disk/boot/grub"
cp "$kernel" "$disk/boot/kernel"
cat >"$disk/boot/grub/grub.cfg" <<END
set timeout=0
menuentry "kernel" {
    multiboot2 /boot/kernel
}
END
grub-mkrescue -o "$kernel.iso" "$disk" 2>"$kernel.iso.log" || { cat "$kernel.iso.log" >&2; exit 1; }
exec qemu-system-x86_64 -machine q35 -nodefaults -display none -serial mon:stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=0x04 -cdrom "$kernel.iso" "$@"
