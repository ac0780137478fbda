//! Each rule broken once, and this very workspace, which keeps them.

use super::*;

const LIB: &str = "//! A crate.\npub mod stack;\nmod context;\n#[cfg(x)]\npub(crate) mod fiber;\n";

fn order() -> Vec<String> {
    modules(LIB)
}

#[test]
fn the_order_is_that_of_the_mod_lines() {
    assert_eq!(order(), ["stack", "context", "fiber"]);
}

#[test]
fn a_module_may_use_those_before_it_and_itself() {
    let text = "//! x\nuse crate::stack::Stack;\nuse crate::{context, stack::{Bounds, fiber}};\n";
    assert_eq!(layers("src/context.rs", text, &order()), [""; 0]);
}

#[test]
fn a_module_that_uses_a_later_one_is_named_with_its_line() {
    for text in [
        "//! x\nuse crate::fiber::Fiber;",
        "//! x\nuse crate::{\nstack::{A, B},\nfiber::Fiber};",
        "//! x\nlet x = crate::fiber::f();",
    ] {
        let complaints = layers("src/context/x86_64.rs", text, &order());
        assert_eq!(
            complaints,
            [
                "src/context/x86_64.rs:2: `context` uses `crate::fiber`, which comes after it in `src/lib.rs`"
            ]
        );
    }
}

#[test]
fn comments_and_macros_may_name_anything() {
    let text = "//! See [`crate::fiber`].\nmacro_rules! m { () => { $crate::fiber::f() } } // crate::fiber\n";
    assert_eq!(layers("src/stack.rs", text, &order()), [""; 0]);
}

#[test]
fn a_file_outside_of_the_order_is_an_error() {
    assert_eq!(
        layers("src/attic.rs", "//! x\n", &order()),
        ["src/attic.rs: `src/lib.rs` has no `mod attic`"]
    );
}

#[test]
fn a_file_says_why_it_exists() {
    assert_eq!(first_line("src/a.rs", "//! Owns it.\n"), None);
    assert_eq!(first_line("linker/a.ld", "/* Places it. */\n"), None);
    assert_eq!(
        first_line(
            "scripts/a.py",
            "#!/usr/bin/env python3\n\"\"\"Shows it.\"\"\"\n"
        ),
        None
    );
    for (name, text) in [
        ("src/a.rs", "use core::mem;\n"),
        ("src/a.rs", "// Owns it.\n"),
        ("src/a.rs", ""),
        ("a.ld", "ENTRY(x)"),
    ] {
        assert!(first_line(name, text).is_some(), "{name}: {text}");
    }
}

#[test]
fn a_file_has_at_most_so_many_lines() {
    assert_eq!(length("src/a.rs", &"x\n".repeat(MOST_LINES)), None);
    assert!(length("src/a.rs", &"x\n".repeat(MOST_LINES + 1)).is_some());
}
