//! What the debug information of a program says about its structures and statics, as far as fibers
//! are concerned.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, Unit};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _};

pub(super) type Elf<'data> = ElfFile64<'data, object::LittleEndian>;
type Bytes<'data> = EndianSlice<'data, LittleEndian>;

/// A type, by its place in `.debug_info`.
pub(super) type TypeAt = usize;

/// The offsets of the members of a structure.
pub(super) type Members = HashMap<String, u64>;

/// How a type is made up of others.
#[derive(Debug)]
pub(super) enum Shape {
    /// A structure: the offset and type of each member.
    Structure(Vec<(u64, TypeAt)>),
    /// An array: what it consists of, and how many.
    Array(TypeAt, u64),
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The wanted structures and enumerations by their path.
    pub(super) structures: HashMap<String, Members>,
    /// The names of the wanted enumerations' values.
    pub(super) values: HashMap<String, BTreeMap<u64, String>>,
    /// The types whose path begins with the wanted one.
    pub(super) generic: HashMap<TypeAt, Members>,
    /// All structures and arrays.
    pub(super) shapes: HashMap<TypeAt, Shape>,
    /// The size of each structure.
    pub(super) sizes: HashMap<TypeAt, u64>,
    /// The address and type of each static.
    pub(super) statics: Vec<(u64, TypeAt)>,
}

/// Which types are looked for.
pub(super) struct Wanted<'a> {
    pub(super) paths: &'a [&'a str],
    /// The path of a type with parameters, up to the `<`.
    pub(super) generic: &'a str,
}

/// A namespace, structure, enumeration or array that is being read.
struct Scope {
    depth: isize,
    name: String,
    at: TypeAt,
    path: Option<String>,
    is_generic: bool,
}

/// Reads the debug information of a program.
pub(super) fn read(elf: &Elf<'_>, wanted: &Wanted<'_>) -> Result<Found> {
    let load = |id: gimli::SectionId| -> Result<Bytes<'_>> {
        let data = match elf.section_by_name(id.name()) {
            Some(section) => section.data().context(id.name())?,
            None => &[],
        };
        Ok(EndianSlice::new(data, LittleEndian))
    };
    let dwarf = Dwarf::load(load)?;
    let mut search = Search {
        wanted,
        found: Found::default(),
        scopes: Vec::new(),
    };
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        search.scopes.clear();
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            search.entry(&dwarf, &unit, entry)?;
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    wanted: &'a Wanted<'a>,
    found: Found,
    scopes: Vec<Scope>,
}

impl Search<'_> {
    fn entry(
        &mut self,
        dwarf: &Dwarf<Bytes<'_>>,
        unit: &Unit<Bytes<'_>>,
        entry: &DebuggingInformationEntry<Bytes<'_>>,
    ) -> Result<()> {
        let depth = entry.depth();
        while self.scopes.last().is_some_and(|scope| scope.depth >= depth) {
            self.scopes.pop();
        }
        match entry.tag() {
            gimli::DW_TAG_namespace | gimli::DW_TAG_enumeration_type => {
                self.begin(dwarf, unit, entry)?;
            }
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type => {
                self.begin(dwarf, unit, entry)?;
                let at = place(unit, entry);
                let size = entry.attr_value(gimli::DW_AT_byte_size);
                if let Some(size) = size.and_then(|size| size.udata_value()) {
                    self.found.sizes.insert(at, size);
                    self.found.shapes.insert(at, Shape::Structure(Vec::new()));
                }
            }
            gimli::DW_TAG_array_type => {
                self.begin(dwarf, unit, entry)?;
                if let Some(element) = type_of(unit, entry) {
                    let shape = Shape::Array(element, 0);
                    self.found.shapes.insert(place(unit, entry), shape);
                }
            }
            gimli::DW_TAG_subrange_type => self.range(entry),
            gimli::DW_TAG_member => self.member(dwarf, unit, entry)?,
            gimli::DW_TAG_enumerator => self.value(dwarf, unit, entry)?,
            gimli::DW_TAG_variable => self.variable(unit, entry),
            _ => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        dwarf: &Dwarf<Bytes<'_>>,
        unit: &Unit<Bytes<'_>>,
        entry: &DebuggingInformationEntry<Bytes<'_>>,
    ) -> Result<()> {
        let name = name_of(dwarf, unit, entry)?;
        let is_type = entry.tag() != gimli::DW_TAG_namespace;
        let path = if is_type { self.path(&name) } else { None };
        let at = place(unit, entry);
        let is_generic = path.as_deref() == Some(self.wanted.generic);
        self.scopes.push(Scope {
            depth: entry.depth(),
            name,
            at,
            path,
            is_generic,
        });
        Ok(())
    }

    /// The path of a type of this name in the present scope, if it is wanted.
    fn path(&self, name: &str) -> Option<String> {
        let name = name.split('<').next().unwrap_or(name);
        let is_wanted = |path: &str| path.rsplit("::").next() == Some(name);
        let mut all = self.wanted.paths.iter().copied();
        if !is_wanted(self.wanted.generic) && !all.any(is_wanted) {
            return None;
        }
        let names = self.scopes.iter().map(|scope| &*scope.name);
        let path = names.chain([name]).collect::<Vec<_>>().join("::");
        let is_wanted = path == self.wanted.generic || self.wanted.paths.contains(&&*path);
        is_wanted.then_some(path)
    }

    fn range(&mut self, entry: &DebuggingInformationEntry<Bytes<'_>>) {
        let Some(at) = parent(&self.scopes, entry).map(|scope| scope.at) else {
            return;
        };
        let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
        let last = || Some(number(gimli::DW_AT_upper_bound)? + 1);
        let count = number(gimli::DW_AT_count).or_else(last).unwrap_or(0);
        if let Some(Shape::Array(_, own)) = self.found.shapes.get_mut(&at) {
            *own = count;
        }
    }

    fn member(
        &mut self,
        dwarf: &Dwarf<Bytes<'_>>,
        unit: &Unit<Bytes<'_>>,
        entry: &DebuggingInformationEntry<Bytes<'_>>,
    ) -> Result<()> {
        let Some(scope) = parent(&self.scopes, entry) else {
            return Ok(());
        };
        let at = scope.at;
        let offset = entry.attr_value(gimli::DW_AT_data_member_location);
        let offset = offset.and_then(|offset| offset.udata_value()).unwrap_or(0);
        if let (Some(Shape::Structure(members)), Some(of)) =
            (self.found.shapes.get_mut(&at), type_of(unit, entry))
        {
            members.push((offset, of));
        }
        if let Some(path) = &scope.path {
            let name = name_of(dwarf, unit, entry)?;
            let members = if scope.is_generic {
                self.found.generic.entry(at).or_default()
            } else {
                self.found.structures.entry(path.clone()).or_default()
            };
            members.insert(name, offset);
        }
        Ok(())
    }

    fn value(
        &mut self,
        dwarf: &Dwarf<Bytes<'_>>,
        unit: &Unit<Bytes<'_>>,
        entry: &DebuggingInformationEntry<Bytes<'_>>,
    ) -> Result<()> {
        let scope = parent(&self.scopes, entry);
        let Some(path) = scope.and_then(|scope| scope.path.clone()) else {
            return Ok(());
        };
        let number = entry.attr_value(gimli::DW_AT_const_value);
        if let Some(number) = number.and_then(|number| number.udata_value()) {
            let name = name_of(dwarf, unit, entry)?;
            let values = self.found.values.entry(path).or_default();
            values.insert(number, name);
        }
        Ok(())
    }

    fn variable(&mut self, unit: &Unit<Bytes<'_>>, entry: &DebuggingInformationEntry<Bytes<'_>>) {
        let Some(AttributeValue::Exprloc(mut location)) = entry.attr_value(gimli::DW_AT_location)
        else {
            return;
        };
        let operation = gimli::Operation::parse(&mut location.0, unit.encoding());
        // The linker leaves 0 for what it has left out.
        if let Ok(gimli::Operation::Address { address: 1.. }) = operation
            && location.0.is_empty()
            && let Some(of) = type_of(unit, entry)
            && let Ok(gimli::Operation::Address { address }) = operation
        {
            self.found.statics.push((address, of));
        }
    }
}

/// The scope around an entry, if it is its parent.
fn parent<'a>(
    scopes: &'a [Scope],
    entry: &DebuggingInformationEntry<Bytes<'_>>,
) -> Option<&'a Scope> {
    let last = scopes.last();
    last.filter(|scope| scope.depth + 1 == entry.depth())
}

fn place(unit: &Unit<Bytes<'_>>, entry: &DebuggingInformationEntry<Bytes<'_>>) -> TypeAt {
    let offset = entry.offset().to_debug_info_offset(&unit.header);
    offset.map_or(0, |offset| offset.0)
}

fn type_of(unit: &Unit<Bytes<'_>>, entry: &DebuggingInformationEntry<Bytes<'_>>) -> Option<TypeAt> {
    match entry.attr_value(gimli::DW_AT_type)? {
        AttributeValue::UnitRef(offset) => Some(offset.to_debug_info_offset(&unit.header)?.0),
        AttributeValue::DebugInfoRef(offset) => Some(offset.0),
        _ => None,
    }
}

fn name_of(
    dwarf: &Dwarf<Bytes<'_>>,
    unit: &Unit<Bytes<'_>>,
    entry: &DebuggingInformationEntry<Bytes<'_>>,
) -> Result<String> {
    let Some(name) = entry.attr_value(gimli::DW_AT_name) else {
        return Ok(String::new());
    };
    let name = dwarf.attr_string(unit, name)?;
    Ok(name.to_string_lossy().into_owned())
}
