//! Turns addresses of a kernel into functions and lines of source.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use addr2line::Context;
use anyhow::Result;
use gimli::{Dwarf, EndianArcSlice, LittleEndian};
use object::{Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _, SymbolKind};

/// Begins a line in which a kernel says where it was loaded.
const SLIDE: &str = kfiber_test::protocol::LOADED;

type Reader = EndianArcSlice<LittleEndian>;

/// The debug information and the symbols of one kernel.
#[expect(
    missing_debug_implementations,
    reason = "millions of entries, and the reader of the debug information shows none"
)]
pub struct Symbols {
    context: Context<Reader>,
    /// Address, size and demangled name of each function, in the order of their addresses.
    functions: Vec<(u64, u64, String)>,
    /// The same of each static.
    objects: Vec<(u64, u64, String)>,
    /// The same of each symbol of which only the linker knows.
    others: Vec<(u64, u64, String)>,
    is_position_independent: bool,
    /// Folder of the sources, to which their paths are shown relative.
    root: PathBuf,
}

impl Symbols {
    /// Reads them from the kernel's ELF file. The paths of sources below `root` are shown relative to it.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, or is no file with symbols.
    pub fn load(kernel: &Path, root: &Path) -> Result<Self> {
        let data = fs::read(kernel)?;
        let elf = object::File::parse(&*data)?;
        let dwarf = Dwarf::load(|id| -> Result<Reader> {
            let section = elf.section_by_name(id.name());
            let bytes = section.map_or(Ok(&[][..]), |section| section.data())?;
            Ok(Reader::new(bytes.into(), LittleEndian))
        })?;
        let of_kinds = |kinds: [SymbolKind; 2]| {
            let mut symbols: Vec<_> = elf
                .symbols()
                .filter(|symbol| symbol.is_definition() && kinds.contains(&symbol.kind()))
                .filter_map(|symbol| {
                    let name = demangle(symbol.name().ok()?);
                    Some((symbol.address(), symbol.size(), name))
                })
                .collect();
            symbols.sort();
            symbols
        };
        Ok(Self {
            context: Context::from_dwarf(dwarf)?,
            functions: of_kinds([SymbolKind::Text, SymbolKind::Label]),
            objects: of_kinds([SymbolKind::Data, SymbolKind::Tls]),
            others: of_kinds([SymbolKind::Unknown, SymbolKind::Section]),
            is_position_independent: elf.kind() == ObjectKind::Dynamic,
            root: root.to_owned(),
        })
    }

    /// `function+0x1a at file:line`, then the functions it was inlined into, innermost first.
    #[must_use]
    pub fn describe(&self, address: u64) -> String {
        // The linker leaves behind debug information of functions that it removed, all at address 0.
        let Some(mut text) = self.function(address) else {
            return "no function of the kernel".to_owned();
        };
        let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() else {
            return text;
        };
        let mut is_first = true;
        while let Ok(Some(frame)) = frames.next() {
            let place = frame.location.as_ref().and_then(|location| {
                Some(format!(
                    "{}:{}",
                    self.shorten(location.file?),
                    location.line.unwrap_or(0)
                ))
            });
            let name = frame
                .function
                .as_ref()
                .and_then(|name| Some(name.demangle().ok()?.into_owned()));
            let place = place.unwrap_or_else(|| "an unknown place".to_owned());
            let _ = match (is_first, name) {
                (true, Some(name)) if !text.starts_with(&name) => {
                    write!(text, ", in `{name}` at {place}")
                }
                (true, _) => write!(text, " at {place}"),
                (false, Some(name)) => write!(text, ", inlined into `{name}` at {place}"),
                (false, None) => write!(text, ", inlined at {place}"),
            };
            is_first = false;
        }
        text
    }

    /// As [`describe`](Self::describe), for the addresses of statics too; `None` if the address is the kernel's in no way.
    #[must_use]
    pub fn explain(&self, address: u64) -> Option<String> {
        if self.function(address).is_some() {
            return Some(self.describe(address));
        }
        let after = self
            .objects
            .partition_point(|(start, ..)| *start <= address);
        let (start, size, name) = self.objects[..after].last()?;
        let is_inside = address - start < *size;
        is_inside.then(|| format!("in the static `{name}`+{:#x}", address - start))
    }

    /// Whether the kernel may be loaded at other addresses than those in its file.
    #[must_use]
    pub const fn is_position_independent(&self) -> bool {
        self.is_position_independent
    }

    /// The address of the function or the static of this name, which may be the end of a path.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<u64> {
        let is_named = |own: &str| {
            own.strip_suffix(name)
                .is_some_and(|before| before.is_empty() || before.ends_with("::"))
        };
        let all = self.functions.iter().chain(&self.objects);
        let all = all.chain(&self.others);
        let mut named = all.filter(|(_, _, own)| is_named(own));
        named.next().map(|(start, ..)| *start)
    }

    /// How far above the addresses in its file the kernel was loaded, if it says so in a line `kfiber: SYMBOL is at 0x…`.
    #[must_use]
    pub fn slide_said_in(&self, line: &str) -> Option<u64> {
        let (name, address) = line.trim().strip_prefix(SLIDE)?.split_once(" is at 0x")?;
        let address = u64::from_str_radix(address, 16).ok()?;
        Some(address.wrapping_sub(self.address_of(name)?))
    }

    /// The innermost function of the workspace, inlined or not, and its line: `function at file:line`.
    #[must_use]
    pub fn innermost(&self, address: u64) -> String {
        let mut place = None;
        if let Ok(mut frames) = self.context.find_frames(address).skip_all_loads() {
            while let (None, Ok(Some(frame))) = (&place, frames.next()) {
                place = self.of_the_workspace(&frame);
            }
        }
        place.or_else(|| self.function(address)).unwrap_or_default()
    }

    /// Whether the innermost function at an address was written in this workspace.
    #[must_use]
    pub fn is_of_the_workspace(&self, address: u64) -> bool {
        let frames = self.context.find_frames(address).skip_all_loads();
        frames.is_ok_and(|mut frames| {
            let frame = frames.next().ok().flatten();
            frame.is_some_and(|frame| self.of_the_workspace(&frame).is_some())
        })
    }

    fn function(&self, address: u64) -> Option<String> {
        let after = self
            .functions
            .partition_point(|(start, ..)| *start <= address);
        let nearest = self.functions[..after]
            .iter()
            .rev()
            .find(|(start, size, _)| {
                // Symbols of assembly often have no size; they reach to the next symbol.
                *size == 0 || address < start + size
            });
        nearest.map(|(start, _, name)| format!("{name}+{:#x}", address - start))
    }

    fn of_the_workspace(&self, frame: &addr2line::Frame<'_, Reader>) -> Option<String> {
        let location = frame.location.as_ref()?;
        let file = location.file?;
        let name = frame.function.as_ref()?.demangle().ok()?;
        let line = location.line.unwrap_or(0);
        let short = self.shorten(file);
        (short != file).then(|| format!("{name} at {short}:{line}"))
    }

    /// Paths below the root are shown relative to it, those of a toolchain as they are.
    fn shorten<'file>(&self, file: &'file str) -> &'file str {
        let relative = file.strip_prefix(&*self.root.to_string_lossy());
        relative.map_or(file, |rest| rest.trim_start_matches('/'))
    }
}

fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_this_program() -> Symbols {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let program = std::env::current_exe().expect("a path");
        Symbols::load(&program, root.expect("a workspace")).expect("debug information")
    }

    #[inline(never)]
    fn landmark() -> u32 {
        core::hint::black_box(line!())
    }

    #[test]
    fn a_function_of_this_program_is_found_by_its_address() {
        let symbols = of_this_program();
        let line = landmark() - 1;
        let (start, ..) = symbols
            .functions
            .iter()
            .find(|(_, _, name)| name.ends_with("::landmark"))
            .expect("the function is in the symbol table");
        let text = symbols.describe(*start);
        assert!(
            text.starts_with(
                "cargo_kfiber::kernel::symbolize::tests::landmark+0x0 at cargo-kfiber/src/kernel/symbolize.rs:"
            ),
            "{text}"
        );
        assert!(text.contains(&format!(":{line}")), "line {line} in {text}");
    }

    #[test]
    fn a_line_with_the_address_of_a_symbol_says_where_the_program_was_loaded() {
        let symbols = of_this_program();
        let own = symbols
            .address_of("symbolize::tests::landmark")
            .expect("the function is in the symbol table");
        let line = format!("kfiber: tests::landmark is at {:#x}\r", own + 0x1000);
        assert_eq!(symbols.slide_said_in(&line), Some(0x1000));
        assert_eq!(symbols.slide_said_in("kfiber: nothing is at 0x1000"), None);
        assert_eq!(symbols.slide_said_in("landmark is at 0x1000"), None);
    }

    #[test]
    fn an_address_outside_is_said_to_be_outside() {
        let symbols = of_this_program();
        assert_eq!(symbols.describe(1), "no function of the kernel");
    }
}
