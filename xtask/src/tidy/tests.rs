//! Each rule about single files broken once.

use super::*;

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
