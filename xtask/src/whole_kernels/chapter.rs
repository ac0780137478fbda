//! The chapter that takes one of the kernels apart has no code but that kernel's own.

use std::fs;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use crate::cli::WholeKernel;
use crate::workspace;

const CHAPTER: &str = "docs/your-kernel.md";
/// The kernel that it takes apart.
const KERNEL: WholeKernel = WholeKernel::Pvh;
/// Its files that the chapter shows.
const FILES: [&str; 9] = [
    "src/main.rs",
    "src/cores.rs",
    "src/several_cores.rs",
    "src/start_cores.rs",
    "src/other_core.s",
    "src/kernel.rs",
    "src/machine.rs",
    "Cargo.toml",
    ".cargo/config.toml",
];
/// Blocks that are no code of a kernel's.
const OTHER_LANGUAGES: [&str; 2] = ["console", "text"];

/// The blocks of code of a text.
fn code(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut is_code = false;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                is_code = !OTHER_LANGUAGES.contains(&&*language);
                if is_code {
                    blocks.push(String::new());
                }
            }
            Event::Text(text) if is_code => {
                blocks.last_mut().expect("a block begins").push_str(&text);
            }
            Event::End(_) => is_code = false,
            _ => {}
        }
    }
    blocks
}

#[test]
fn all_code_of_the_chapter_is_the_kernels() {
    let read = |file: &str| fs::read_to_string(workspace::root().join(file)).expect(file);
    let folder = KERNEL.folder();
    let files = FILES.map(|file| fs::read_to_string(folder.join(file)).expect(file));
    let blocks = code(&read(CHAPTER));
    assert!(blocks.len() >= 10, "the chapter shows its code");
    for block in blocks {
        assert!(
            files.iter().any(|file| file.contains(&block)),
            "{CHAPTER} shows code that no file of {} has:\n{block}",
            folder.display()
        );
    }
}
