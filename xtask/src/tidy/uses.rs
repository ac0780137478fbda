//! Which file of a crate uses which: the paths of its modules, followed to the files that define what they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::modules::{Module, Modules};

/// Aliases and re-exports are followed through so many steps; there are not that many in a chain.
const MOST_STEPS: usize = 16;

/// The files that each file uses, with the first line that does so and the path that it names.
pub(super) type Uses = BTreeMap<PathBuf, BTreeMap<PathBuf, (usize, String)>>;

/// All uses between the files of a crate.
pub(super) fn between_files(modules: &Modules) -> Uses {
    let mut uses = Uses::new();
    for (path, module) in modules {
        let of_file = uses.entry(module.file.clone()).or_default();
        let words = module.words.iter();
        let words = words.filter(|(word, _)| module.doors.contains(word));
        let words = words.map(|(word, line)| (vec![word.clone()], *line));
        for (named, line) in module.mentions.iter().cloned().chain(words) {
            let Some(file) = file_of(modules, path, &named) else {
                continue; // another crate, or a generic parameter
            };
            if file != module.file {
                let here = || (line, named.join("::"));
                let first = of_file.entry(file.to_owned()).or_insert_with(here);
                if line < first.0 {
                    *first = here();
                }
            }
        }
    }
    uses
}

/// What a path leads to.
enum Target<'a> {
    Module(&'a [String], &'a Module),
    Item(&'a Path),
}

impl<'a> Target<'a> {
    fn file(&self) -> &'a Path {
        match self {
            Self::Module(_, module) => &module.file,
            Self::Item(file) => file,
        }
    }
}

/// The file that defines what `named` leads to from the module at `from`.
fn file_of<'a>(modules: &'a Modules, from: &[String], named: &[String]) -> Option<&'a Path> {
    follow(modules, from, named, MOST_STEPS).map(|target| target.file())
}

fn follow<'a>(
    modules: &'a Modules,
    from: &[String],
    named: &[String],
    steps: usize,
) -> Option<Target<'a>> {
    let steps = steps.checked_sub(1)?;
    let mut target: Option<Target<'a>> = None;
    for word in named {
        target = Some(match (&target, &**word) {
            (None, "crate") => at(modules, &[])?,
            (None, "self") => at(modules, from)?,
            (None, "super") => at(modules, from.split_last()?.1)?,
            (None, _) => inside(modules, from, word, steps)?,
            (Some(Target::Module(path, _)), "super") => at(modules, path.split_last()?.1)?,
            // What a macro makes has a name that the source does not show: the module stands for it.
            (Some(Target::Module(path, module)), _) => {
                inside(modules, path, word, steps).unwrap_or(Target::Item(&module.file))
            }
            // A variant, a constant of a type, and so on.
            (Some(Target::Item(file)), _) => Target::Item(file),
        });
    }
    target
}

fn at<'a>(modules: &'a Modules, path: &[String]) -> Option<Target<'a>> {
    let (path, module) = modules.get_key_value(path)?;
    Some(Target::Module(path, module))
}

/// What a name stands for in the module at `path`.
fn inside<'a>(
    modules: &'a Modules,
    path: &[String],
    name: &str,
    steps: usize,
) -> Option<Target<'a>> {
    let module = modules.get(path)?;
    let child = [path, &[name.to_owned()]].concat();
    if let Some(child) = at(modules, &child) {
        return Some(child);
    }
    if module.items.contains(name) {
        return Some(Target::Item(&module.file));
    }
    if let Some(binding) = module.bindings.get(name) {
        // `use name::name` of another crate would lead to itself.
        return (binding.first().map(|first| &**first) != Some(name))
            .then(|| follow(modules, path, binding, steps))?;
    }
    let named_by = |glob: &Vec<String>| match follow(modules, path, glob, steps)? {
        Target::Module(path, _) => inside(modules, path, name, steps.checked_sub(1)?),
        Target::Item(_) => None,
    };
    module.globs.iter().find_map(named_by)
}

/// The groups of files that use each other, directly or through others, each sorted.
pub(super) fn cycles(uses: &Uses) -> Vec<Vec<PathBuf>> {
    let reach: BTreeMap<_, _> = uses
        .keys()
        .map(|file| (file, reached(uses, file)))
        .collect();
    let mut cycles = Vec::new();
    for (file, reached) in &reach {
        let cycle: Vec<_> = reached
            .iter()
            .filter(|other| reach.get(*other).is_some_and(|back| back.contains(*file)))
            .map(|other| (*other).clone())
            .collect();
        if cycle.len() > 1 && cycle.first() == Some(*file) {
            cycles.push(cycle);
        }
    }
    cycles
}

/// The files that one uses, directly or through others; itself only if it stands in a cycle.
fn reached<'a>(uses: &'a Uses, file: &'a PathBuf) -> BTreeSet<&'a PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        let used = uses.get(file).into_iter().flat_map(BTreeMap::keys);
        open.extend(used.filter(|used| reached.insert(*used)));
    }
    reached
}
