//! Dead links that are planted must be found, and living ones must not.

use std::collections::BTreeSet;
use std::fs;

use super::{html, markdown};

#[test]
fn a_dead_link_of_a_page_is_found_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    };
    write("static.files/a.css", "");
    write(
        "k/index.html",
        r##"<link href="../static.files/a.css"><a href="https://example.org/x">x</a><h2 id="here"></h2>
        <a class="a" href="#here">x</a><a href="m/index.html#there">x</a><a href="m/">x</a><a href="m/index.html#12-14">x</a>
        <img alt="x" src="data:image/gif;base64,x"> text with href=&quot;nothing&quot;
        <a href="#nowhere">x</a><a href="docs/promises.md">x</a><img src="m/picture.svg"><a href="m/index.html#here">x</a>"##,
    );
    write(
        "k/m/index.html",
        r##"<h2 id="there"></h2><a href="../index.html#here">x</a><a href="../gone/index.html">x</a>"##,
    );
    let dead = html::dead_links(folder.path(), "k").expect("pages");
    assert_eq!(
        dead,
        [
            "k/index.html: `#nowhere` leads nowhere",
            "k/index.html: `docs/promises.md` leads nowhere",
            "k/index.html: `m/index.html#here` leads nowhere",
            "k/index.html: `m/picture.svg` leads nowhere",
            "k/m/index.html: `../gone/index.html` leads nowhere",
        ]
    );
    assert!(
        html::dead_links(folder.path(), "other").is_err(),
        "nothing was looked at"
    );
}

#[test]
fn a_dead_link_of_a_packaged_text_is_found_and_a_living_one_is_not() {
    let files = BTreeSet::from(["README.md", "docs/a.md", "docs/b/c.svg"]);
    let text = "[a](../docs/a.md#x) ![c][c] [out](https://example.org) [here](#here) [item] `[x]` [u8; 4]\n\n\
                [gone](gone.md) [too](../../README.md) [no][definition]\n\n[c]: b/c.svg\n[item]: crate::item\n";
    assert_eq!(
        markdown::dead_links("docs/a.md", text, &files),
        [
            "docs/a.md: `gone.md` leads to no packaged file",
            "docs/a.md: `[definition]` is not defined",
        ]
    );
    assert_eq!(
        markdown::dead_links("README.md", "[a](docs/gone.md)", &files),
        ["README.md: `docs/gone.md` leads to no packaged file"]
    );
}
