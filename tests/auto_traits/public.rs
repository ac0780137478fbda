//! The names of the library's public types, as its sources have them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Item, UseTree, Visibility};

/// A file of the library, and where its modules lie.
struct Module {
    file: PathBuf,
    children: PathBuf,
}

impl Module {
    fn child(&self, name: &str) -> Self {
        Self {
            file: self.children.join(name).with_extension("rs"),
            children: self.children.join(name),
        }
    }

    fn root() -> Self {
        let children = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        Self {
            file: children.join("lib.rs"),
            children,
        }
    }

    fn parent(&self) -> Self {
        let children = self.children.parent().expect("it is not the root");
        let root = Self::root();
        if children == root.children {
            return root;
        }
        Self {
            file: children.with_extension("rs"),
            children: children.to_owned(),
        }
    }

    fn items(&self) -> Vec<Item> {
        let text = fs::read_to_string(&self.file).expect("a module's file");
        syn::parse_file(&text).expect("Rust").items
    }

    /// Whether this name, which the module exports, is a type's.
    fn has_type(&self, wanted: &str) -> bool {
        for item in self.items() {
            let (name, is_type) = match &item {
                Item::Struct(item) => (&item.ident, true),
                Item::Enum(item) => (&item.ident, true),
                Item::Union(item) => (&item.ident, true),
                Item::Trait(item) => (&item.ident, false),
                // It is the type that it stands for.
                Item::Type(item) => (&item.ident, false),
                Item::Const(item) => (&item.ident, false),
                Item::Static(item) => (&item.ident, false),
                Item::Use(item) => match leaf(&item.tree, wanted) {
                    Some(path) => return self.leads_to_type(&path, wanted),
                    None => continue,
                },
                _ => continue,
            };
            if name == wanted {
                return is_type;
            }
        }
        panic!("{} does not have `{wanted}`", self.file.display());
    }

    /// The same, of what a `use` in the module names.
    fn leads_to_type(&self, path: &[String], name: &str) -> bool {
        let mut module = Self {
            file: self.file.clone(),
            children: self.children.clone(),
        };
        for step in path {
            module = match step.as_str() {
                "self" => module,
                "super" => module.parent(),
                "crate" => Self::root(),
                step => module.child(step),
            };
        }
        module.has_type(name)
    }

    /// Adds the module's public types and those of its public modules.
    fn list(&self, path: &str, found: &mut BTreeSet<String>) {
        for item in self.items() {
            match item {
                // A chapter is an empty module.
                Item::Mod(item)
                    if item
                        .content
                        .as_ref()
                        .is_some_and(|(_, items)| items.is_empty()) => {}
                Item::Mod(item) if is_public(&item.vis) => {
                    let name = item.ident.to_string();
                    self.child(&name).list(&format!("{path}{name}::"), found);
                }
                Item::Struct(item) if is_public(&item.vis) => {
                    found.insert(format!("{path}{}", item.ident));
                }
                Item::Enum(item) if is_public(&item.vis) => {
                    found.insert(format!("{path}{}", item.ident));
                }
                Item::Union(item) if is_public(&item.vis) => {
                    found.insert(format!("{path}{}", item.ident));
                }
                Item::Use(item) if is_public(&item.vis) => {
                    let mut names = Vec::new();
                    leaves(&item.tree, &mut Vec::new(), &mut names);
                    for (steps, name) in names {
                        // Functions and modules are in lower case.
                        if name.starts_with(char::is_uppercase) && self.leads_to_type(&steps, &name)
                        {
                            found.insert(format!("{path}{name}"));
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The path before this name, if the tree ends in it.
fn leaf(tree: &UseTree, wanted: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    leaves(tree, &mut Vec::new(), &mut found);
    let (path, _) = found.into_iter().find(|(_, name)| name == wanted)?;
    Some(path)
}

/// Each name in which the tree ends, with the path before it.
fn leaves(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            leaves(&step.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, path, found);
            }
        }
        UseTree::Name(name) => found.push((path.clone(), name.ident.to_string())),
        UseTree::Rename(_) | UseTree::Glob(_) => {
            panic!("public names are exported one by one, as they are: this test must find them")
        }
    }
}

/// All of them, as `sync::Mutex`.
pub(crate) fn types() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    Module::root().list("", &mut found);
    found
}
