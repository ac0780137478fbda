//! `linker/kfiber.ld` with the scripts that kernels usually have, under both linkers: where the stacks end up.
//!
//! The stacks must lie within the kernel's image, in a segment that is loaded, and in what the kernel clears. Where that
//! cannot be, the link fails, with a sentence that says what to do.
#![cfg(unix)]

mod image;
mod scripts;
mod workplace;

use std::fs;

use image::Image;
use scripts::{
    CLEARS_BSS, CLEARS_INSIDE_OF_BSS, HIGHER_HALF, INDEPENDENT_OF_POSITION, PLAIN, WITH_PHDRS,
};
use workplace::{Linker, Workplace, fragment};

/// A kernel with one stack in the section for stacks, and something else in `.bss`, `.data` and `.rodata`.
const KERNEL: &str = r#"
#![no_std]
use core::sync::atomic::{AtomicU64, Ordering};
#[repr(align(4096))]
pub struct Stack(pub [AtomicU64; 2048]);
#[used]
#[unsafe(link_section = ".bss.kfiber_stacks")]
#[unsafe(no_mangle)]
static STACK: Stack = Stack([const { AtomicU64::new(0) }; 2048]);
static ZERO: AtomicU64 = AtomicU64::new(0);
static SEVEN: AtomicU64 = AtomicU64::new(7);
static TEXT: &[&str] = &["read", "only"];
#[unsafe(no_mangle)]
extern "C" fn _start() -> usize {
    let index = ZERO.fetch_add(SEVEN.swap(8, Ordering::Relaxed), Ordering::Relaxed) as usize;
    TEXT.get(index).map_or(0, |text| text.len())
}
"#;

/// The bytes of [`KERNEL`]'s stack.
const STACK_BYTES: u64 = 16 * 1024;

#[test]
fn usual_scripts_get_the_stacks_into_the_image() {
    let workplace = Workplace::new(KERNEL);
    for linker in Linker::all() {
        for (name, script, words, offset) in [
            ("plain", PLAIN, &[][..], 0),
            ("with PHDRS", WITH_PHDRS, &[], 0),
            ("clears .bss", CLEARS_BSS, &[], 0),
            ("higher half", HIGHER_HALF, &[], 0xffff_ffff_8000_0000),
            (
                "-pie",
                INDEPENDENT_OF_POSITION,
                &["-pie", "--no-dynamic-linker"],
                0,
            ),
        ] {
            let case = format!("{}, {name}", linker.name);
            let bytes = workplace.link_with(&linker, words, script);
            let bytes = bytes.unwrap_or_else(|why| panic!("{case}: {why}"));
            assert_eq!(
                Image::new(&bytes).check(&case),
                offset,
                "{case}: physical addresses"
            );
        }
    }
}

#[test]
fn what_the_kernel_clears_contains_the_stacks() {
    let workplace = Workplace::new(KERNEL);
    for linker in Linker::all() {
        let bytes = workplace
            .link_with(&linker, &[], CLEARS_BSS)
            .expect("a good script");
        let image = Image::new(&bytes);
        let cleared = image.symbol("__bss_start")..image.symbol("__bss_end");
        let (start, end) = (
            image.symbol("__kfiber_stacks_start"),
            image.symbol("__kfiber_stacks_end"),
        );
        assert!(
            cleared.start <= start && end <= cleared.end,
            "{}: {start:#x} {cleared:x?}",
            linker.name
        );
        assert_eq!(
            cleared.start,
            image.symbol("same"),
            "{}: what the script says of its symbol counts",
            linker.name
        );
    }
}

#[test]
fn a_script_that_clears_too_little_is_refused() {
    let workplace = Workplace::new(KERNEL);
    for linker in Linker::all() {
        for symbol in ["__bss_start", "_bss_start", "bss_start", "_sbss"] {
            let script = CLEARS_INSIDE_OF_BSS.replace("NAME", symbol);
            let why = workplace
                .link_with(&linker, &[], &script)
                .map(drop)
                .expect_err(linker.name);
            let sentence = format!(
                "the stacks lie before {symbol}, so a kernel that clears .bss leaves them out; define"
            );
            assert!(why.contains(&sentence), "{}, {symbol}: {why}", linker.name);
            let vouched = ["--defsym=kfiber_loader_clears_bss=1"];
            let bytes = workplace
                .link_with(&linker, &vouched, &script)
                .expect(linker.name);
            Image::new(&bytes).check(linker.name);
        }
    }
}

#[test]
fn the_wrong_order_of_the_scripts_is_refused() {
    let workplace = Workplace::new(KERNEL);
    let script = workplace.path("plain.ld");
    fs::write(&script, PLAIN).expect("our own folder");
    for linker in Linker::all() {
        let why = workplace
            .link(&linker, &[], [&script, &fragment()])
            .map(drop)
            .expect_err(linker.name);
        // GNU ld has its own sentence, which the fragment explains in its first lines.
        let sentences = [
            "pass kfiber.ld before your own script",
            ".bss not found for insert",
        ];
        assert!(
            sentences.iter().any(|sentence| why.contains(sentence)),
            "{}: {why}",
            linker.name
        );
    }
    let text = fs::read_to_string(fragment()).expect("it exists");
    assert!(
        text.contains("\".bss not found for insert\""),
        "the fragment explains GNU ld's words"
    );
}

#[test]
fn a_kernel_without_stacks_is_refused() {
    let workplace = Workplace::new(&KERNEL.replace(".bss.kfiber_stacks", ".bss.elsewhere"));
    for linker in Linker::all() {
        let why = workplace
            .link_with(&linker, &[], PLAIN)
            .map(drop)
            .expect_err(linker.name);
        assert!(
            why.contains("put stacks into .bss.kfiber_stacks"),
            "{}: {why}",
            linker.name
        );
    }
}
