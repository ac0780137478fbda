//! Links of packaged texts that lead to no packaged file.

use std::collections::BTreeSet;

use pulldown_cmark::{BrokenLink, Event, Options, Parser, Tag};

/// The dead links of a text at `file` in a package of these files.
pub(super) fn dead_links(file: &str, text: &str, files: &BTreeSet<&str>) -> Vec<String> {
    let mut undefined = Vec::new();
    let note = |link: BrokenLink<'_>| {
        // `[x]` alone may be code of Rust; two brackets are meant as a link.
        if text[link.span.clone()].contains("][") {
            undefined.push(format!("{file}: `[{}]` is not defined", link.reference));
        }
        None
    };
    let parser = Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(note));
    let mut dead: Vec<_> = parser
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url)
            }
            _ => None,
        })
        .filter(|link| !is_alive(file, link, files))
        .map(|link| format!("{file}: `{link}` leads to no packaged file"))
        .collect();
    dead.extend(undefined);
    dead
}

fn is_alive(file: &str, link: &str, files: &BTreeSet<&str>) -> bool {
    let path = link.split('#').next().unwrap_or("");
    // `::` is an item, which rustdoc follows.
    if path.is_empty() || path.contains(':') {
        return true;
    }
    let mut parts: Vec<_> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            name => parts.push(name),
        }
    }
    files.contains(&*parts.join("/"))
}
