#!/bin/sh
# Boots the kernel in QEMU, with the terminal as its serial port. Ctrl-A X ends QEMU.
# The first word is the kernel's file; the others are more options for QEMU.
kernel=$1
shift
exec qemu-system-x86_64 -machine q35 -nodefaults -display none -serial mon:stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=0x04 -kernel "$kernel" "$@"
