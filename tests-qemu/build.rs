//! Links the test kernels as `ET_EXEC` with the script of their layout.
//!
//! Link arguments of the kernels only, and no `rustflags`: those in a config file vanish when somebody sets `RUSTFLAGS`.

use std::{env, path::Path};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    let script = Path::new(&here).join("../linker/qemu-test.ld");
    let fragment = Path::new(&here).join("../linker/kfiber.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rerun-if-changed={}", fragment.display());
    println!("cargo::rerun-if-changed=build.rs");

    // On the host the kernels are ordinary programs that say how to run them.
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        // The target's default, static-pie, would need its relocations applied before the first formatted line.
        println!("cargo::rustc-link-arg-bins=-no-pie");
        // The fragment for any kernel, before the kernel's own script: one test looks at what it collected.
        println!("cargo::rustc-link-arg-bin=suite=-T{}", fragment.display());
        // GNU ld puts the stacks before the symbol of the start of `.bss`. The kernel does not clear its `.bss`: QEMU does.
        println!("cargo::rustc-link-arg-bin=suite=--defsym=kfiber_loader_clears_bss=1");
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        // Where the words of a core are, from its GS base: see `src/core_local.rs`.
        if env::var_os("CARGO_FEATURE_SMP").is_some() {
            println!("cargo::rustc-link-arg-bins=--defsym=__kfiber_core_at=64");
        }
    }
}
