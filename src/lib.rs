//! Fibers for `x86_64` kernels, with `no_std` and without a heap.
//!
#![cfg_attr(doc, doc = include_str!("links.md"))]
#![cfg_attr(doc, doc = include_str!("../README.md"))]
//! # The pictures
//!
#![cfg_attr(doc, doc = include_str!("../docs/demo.svg"))]
//!
#![cfg_attr(doc, doc = include_str!("../docs/peers/amd-epyc-25-1.svg"))]
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
    "kfiber needs 64-bit pointers, which the x32 ABI does not have: build for `x86_64-unknown-none` or `x86_64-unknown-linux-gnu`"
);

// `target_os = "linux"` is the host throughout this crate, because tests of the host run there. Every
// other target has no std and is the bare machine, whatever its `os` is called.
#[cfg(any(windows, all(unix, not(target_os = "linux"))))]
compile_error!(
    "kfiber knows no host but Linux, and this target belongs to another family that has std: run host tests on Linux, \
     and build a kernel for a target without `target-family`, for instance `x86_64-unknown-none` or `x86_64-unknown-uefi`"
);

/// The crate whose types of addresses and page tables this crate's functions take.
#[cfg(feature = "x86_64")]
pub use x86_64;

#[cfg(doc)]
pub mod chapters;

#[cfg(not(loom))]
#[macro_use]
mod readable;

// The script lies in a section of ELF files.
#[cfg(all(feature = "gdb-script", not(any(loom, target_os = "uefi"))))]
mod debugger;

#[cfg(not(loom))]
pub mod model;

#[cfg(not(loom))]
pub mod stack;

#[cfg(not(loom))]
mod instructions;

#[cfg(not(loom))]
pub mod context;

mod atomic;
/// What an exploration of the scheduler's schedules sees and plants.
#[cfg(kfiber_steps)]
#[doc(hidden)]
pub use atomic::steps;

#[cfg(not(loom))]
pub mod platform;

#[cfg(not(loom))]
pub mod trace;

#[cfg(all(feature = "smp", not(target_os = "linux")))]
mod core_local;

#[cfg(all(not(loom), feature = "x86_64", any(test, not(target_os = "linux"))))]
pub mod hardware;

#[cfg(not(target_os = "linux"))]
mod trap;

#[cfg(not(loom))]
pub mod scheduler;
#[cfg(all(loom, test))]
mod scheduler {
    mod lock_free;
}

#[cfg(all(feature = "trace", not(loom)))]
mod recorder;

#[cfg(not(target_os = "linux"))]
pub mod exceptions;

#[cfg(not(loom))]
pub mod switch_state;

#[cfg(not(loom))]
pub mod fiber;

#[cfg(not(loom))]
pub mod sync;
