//! Links the kernel with its linker script, at a fixed address.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rustc-link-arg-bins=-T{folder}/link.ld");
    // The target's default is a position-independent program, which somebody would have to relocate.
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
