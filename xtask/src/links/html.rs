//! Links of rustdoc's pages that lead to no page, or to no place on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, ensure};
use walkdir::WalkDir;

/// A page: where it leads, and the places on it that can be led to.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) links: BTreeSet<String>,
    pub(super) places: BTreeSet<String>,
}

/// The dead links of a crate's pages, in a folder that rustdoc wrote.
pub(super) fn dead_links(folder: &Path, name: &str) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let file = entry?.into_path();
        if file
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            pages.insert(file.clone(), read(&fs::read_to_string(&file)?));
        }
    }
    ensure!(
        pages.contains_key(&folder.join(name).join("index.html")),
        "no documentation in {}",
        folder.display()
    );
    let mut dead = Vec::new();
    for (file, page) in &pages {
        let name_of_page = file.strip_prefix(folder).unwrap_or(file);
        // Pages that rustdoc adds for itself expect to stand below a crate's.
        if !name_of_page.starts_with(name) && !name_of_page.starts_with(Path::new("src").join(name))
        {
            continue;
        }
        for link in &page.links {
            if !is_alive(&pages, file, link) {
                dead.push(format!(
                    "{}: `{link}` leads nowhere",
                    name_of_page.display()
                ));
            }
        }
    }
    Ok(dead)
}

fn is_alive(pages: &BTreeMap<PathBuf, Page>, from: &Path, link: &str) -> bool {
    // What has a scheme leads out of the documentation, or is its own content.
    let scheme = link.split(['/', '#', '?']).next().unwrap_or("");
    // A list of implementors is a script that rustdoc names always, and writes if another crate has one.
    if scheme.contains(':') || link.contains("../trait.impl/") {
        return true;
    }
    let (path, place) = link.split_once('#').unwrap_or((link, ""));
    let path = path.split('?').next().unwrap_or("");
    let mut to = if path.is_empty() {
        from.to_owned()
    } else {
        normal(&from.with_file_name(path))
    };
    if to.is_dir() {
        to.push("index.html");
    }
    let Some(page) = pages.get(&to) else {
        return to.is_file() && place.is_empty();
    };
    // A page of source marks its lines by a script.
    let is_lines = place.starts_with(|first: char| first.is_ascii_digit());
    place.is_empty() || is_lines || page.places.contains(place)
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

/// Reads the attributes of a page's tags. In rustdoc's pages all values are quoted.
pub(super) fn read(html: &str) -> Page {
    let mut page = Page::default();
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or("");
        let value = |attribute| {
            let (_, rest) = tag.split_once(attribute)?;
            Some(rest.split('"').next()?.replace("&amp;", "&"))
        };
        page.links
            .extend([" href=\"", " src=\""].into_iter().filter_map(value));
        page.places.extend(value(" id=\""));
    }
    page
}
