//! Fibers for `x86_64` kernels, with `no_std` and without a heap.
//!
#![doc = include_str!("links.md")]
#![doc = include_str!("../README.md")]
//! # The pictures
//!
#![doc = include_str!("../docs/demo.svg")]
//!
#![doc = include_str!("../docs/peers/amd-epyc-25-1.svg")]
#![cfg_attr(
    not(all(feature = "stack-check", not(any(miri, kfiber_threads)))),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "without the check at each switch some of its parts are of no use"
    )
)]
#![no_std]

#[cfg(not(target_arch = "x86_64"))]
compile_error!(
    "kfiber is for x86_64 processors only, since its context switch is written for them: build for such a target, \
     for instance `--target x86_64-unknown-none`"
);

#[cfg(all(target_arch = "x86_64", not(target_pointer_width = "64")))]
compile_error!(
    "kfiber needs 64-bit pointers, which the x32 ABI has not: build for `x86_64-unknown-none` or `x86_64-unknown-linux-gnu`"
);

#[cfg(any(windows, target_os = "uefi", target_vendor = "apple"))]
compile_error!(
    "kfiber needs a target with ELF object files, since its unwind tables and stacks lie in sections of that format: build a \
     kernel for `x86_64-unknown-none`, also if a UEFI loader starts it, and run host tests on Linux"
);

#[cfg(doc)]
pub mod chapters;

#[macro_use]
mod readable;

#[cfg(not(loom))]
pub mod model;

#[cfg(not(loom))]
pub mod stack;

#[cfg(not(loom))]
pub mod context;

mod atomic;

#[cfg(not(loom))]
pub mod platform;

#[cfg(target_os = "none")]
mod trap;

#[cfg(not(loom))]
pub mod scheduler;
#[cfg(all(loom, test))]
mod scheduler {
    mod lock_free;
}

#[cfg(target_os = "none")]
pub mod exceptions;

#[cfg(not(loom))]
pub mod switch_state;

#[cfg(not(loom))]
pub mod fiber;

#[cfg(not(loom))]
pub mod sync;
