//! Reads the modules of a crate: what each defines, what it binds by `use`, and which paths its code names.
//!
//! Only the product is read. Tests may use everything, so what stands behind `cfg(test)` is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, Meta, UseTree};

/// The segments of a path, as the source has them.
pub(super) type Segments = Vec<String>;

/// One module, which may share its file with others.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// The file that it stands in.
    pub(super) file: PathBuf,
    /// What it defines.
    pub(super) items: BTreeSet<String>,
    /// What it binds by `use`: each name, and the path that it stands for.
    pub(super) bindings: BTreeMap<String, Segments>,
    /// Those of them that are bound for others: a `pub use` is a door, and no use.
    pub(super) doors: BTreeSet<String>,
    /// The paths before `::*`.
    pub(super) globs: Vec<Segments>,
    /// The paths that it names anywhere, with their lines.
    pub(super) mentions: Vec<(Segments, usize)>,
    /// The single words that may be paths. Those matter that a door binds: each other binding is a mention by itself.
    pub(super) words: Vec<(String, usize)>,
}

/// The modules of a crate by their paths; that of its root is empty.
pub(super) type Modules = BTreeMap<Segments, Module>;

/// Reads a crate from its root file. `read` answers with the text of a file.
pub(super) fn of_crate(root: &Path, read: &dyn Fn(&Path) -> Result<String>) -> Result<Modules> {
    let mut modules = Modules::new();
    let folder = root.parent().unwrap_or_else(|| Path::new(""));
    add_file(root, folder, Vec::new(), read, &mut modules)?;
    Ok(modules)
}

/// Adds the module of a file, and then the modules that it declares, whose files lie in `folder`.
fn add_file(
    file: &Path,
    folder: &Path,
    path: Segments,
    read: &dyn Fn(&Path) -> Result<String>,
    modules: &mut Modules,
) -> Result<()> {
    let syntax =
        syn::parse_file(&read(file)?).with_context(|| format!("{} is not Rust", file.display()))?;
    let depth = path.len();
    let mut reader = Reader {
        file,
        path,
        modules,
        declared: Vec::new(),
    };
    reader.modules.entry(reader.path.clone()).or_default().file = file.to_owned();
    reader.visit_file(&syntax);
    for (child, place) in reader.declared {
        let below: PathBuf = child[depth..].iter().collect();
        let below = folder.join(below);
        let beside = file.parent().unwrap_or_else(|| Path::new(""));
        let child_file = place.map_or_else(
            || below.with_extension("rs"),
            |place| without_dots(&beside.join(place)),
        );
        add_file(&child_file, &below, child, read, modules)?;
    }
    Ok(())
}

/// The path without `..`, for files that are not links.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(component);
        }
    }
    plain
}

/// Walks through one file.
struct Reader<'a> {
    file: &'a Path,
    /// The module that it is in at present.
    path: Segments,
    modules: &'a mut Modules,
    /// The modules with files of their own, and where those are, if an attribute says so.
    declared: Vec<(Segments, Option<String>)>,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        self.modules
            .get_mut(&self.path)
            .expect("a module is added when it is entered")
    }

    fn mention(&mut self, path: Segments, line: usize) {
        self.module().mentions.push((path, line));
    }

    /// Finds the paths in tokens whose grammar only a macro knows.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Segments::new();
        let mut line = 0;
        // How many colons came since the last word, and whether the path began with a `$` or in the middle of nothing.
        let mut colons = 0;
        let mut is_foreign = false;
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    if colons != 2 || path.is_empty() {
                        self.end_of_path(&mut path, line);
                        line = word.span().start().line;
                    }
                    if !is_foreign || !path.is_empty() {
                        path.push(word.to_string());
                    }
                    is_foreign = false;
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.end_of_path(&mut path, line);
                    colons = 0;
                    // A macro's `$crate` names items for its user, who is outside of all layers.
                    is_foreign = matches!(&other, TokenTree::Punct(mark) if mark.as_char() == '$');
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end_of_path(&mut path, line);
    }

    fn end_of_path(&mut self, path: &mut Segments, line: usize) {
        if path.len() > 1 {
            self.mention(std::mem::take(path), line);
        }
        path.clear();
    }

    fn use_tree(&mut self, tree: &UseTree, before: &Segments, is_door: bool) {
        let with = |word: &dyn ToString| [&**before, &[word.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(path) => {
                return self.use_tree(&path.tree, &with(&path.ident), is_door);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, before, is_door);
                }
                return;
            }
            UseTree::Glob(_) => {
                self.module().globs.push(before.clone());
                if !is_door {
                    self.mention(before.clone(), tree.span().start().line);
                }
                return;
            }
            UseTree::Name(name) if name.ident == "self" => {
                (before.last().cloned().unwrap_or_default(), before.clone())
            }
            UseTree::Name(name) => (name.ident.to_string(), with(&name.ident)),
            UseTree::Rename(name) if name.ident == "self" => {
                (name.rename.to_string(), before.clone())
            }
            UseTree::Rename(name) => (name.rename.to_string(), with(&name.ident)),
        };
        if is_door {
            self.module().doors.insert(name.clone());
        } else {
            self.mention(path.clone(), tree.span().start().line);
        }
        self.module().bindings.insert(name, path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = attributes(item);
        if attributes.iter().any(is_for_tests) {
            return;
        }
        if let Some(name) = name(item) {
            self.module().items.insert(name);
        }
        let Item::Mod(module) = item else {
            return visit::visit_item(self, item);
        };
        let mut path = self.path.clone();
        path.push(module.ident.to_string());
        if module.content.is_none() {
            let place = attributes.iter().find_map(place);
            return self.declared.push((path, place));
        }
        let outside = std::mem::replace(&mut self.path, path);
        let entered = self.modules.entry(self.path.clone()).or_default();
        entered.file = self.file.to_owned();
        visit::visit_item(self, item);
        self.path = outside;
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !function.attrs.iter().any(is_for_tests) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_door = !matches!(item.vis, syn::Visibility::Inherited);
        self.use_tree(&item.tree, &Segments::new(), is_door);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path.span().start().line;
        if let Some(word) = path.get_ident() {
            self.module().words.push((word.to_string(), line));
        } else if path.leading_colon.is_none() {
            let words = path.segments.iter().map(|part| part.ident.to_string());
            self.mention(words.collect(), line);
        }
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {
        // `pub(in crate::above)` says who may look, and uses nothing.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item adds to its module. A module's own name is found by its path.
fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Whether an attribute keeps its item out of everything but tests.
fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    let words: Vec<_> = words(list.tokens.clone());
    list.path.is_ident("cfg")
        && words.iter().any(|word| word == "test")
        && !words.iter().any(|word| word == "any" || word == "not")
}

fn words(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Ident(word) => vec![word.to_string()],
        TokenTree::Group(group) => words(group.stream()),
        _ => Vec::new(),
    });
    words.collect()
}

/// Where `#[path = "…"]` says that the file of a module is.
fn place(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let syn::Expr::Lit(value) = &pair.value else {
        return None;
    };
    let syn::Lit::Str(place) = &value.lit else {
        return None;
    };
    attribute.path().is_ident("path").then(|| place.value())
}
