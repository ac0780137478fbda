//! A linked kernel, and what must be right about its stack.

use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{
    LittleEndian, Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _,
};

use super::STACK_BYTES;

/// A linked kernel.
pub(crate) struct Image<'data>(ElfFile64<'data, LittleEndian>);

impl<'data> Image<'data> {
    pub(crate) fn new(bytes: &'data [u8]) -> Self {
        Self(ElfFile64::parse(bytes).expect("an ELF file"))
    }

    #[track_caller]
    pub(crate) fn symbol(&self, name: &str) -> u64 {
        let symbol = self
            .0
            .symbols()
            .find(|symbol| symbol.name() == Ok(name) && symbol.is_definition());
        symbol
            .unwrap_or_else(|| panic!("{name} is not defined"))
            .address()
    }

    /// Checks that the stack lies between the symbols of the fragment, in the image and in a segment, and takes no room in
    /// the file. Returns the distance of the segment's virtual address from its physical one.
    pub(crate) fn check(&self, case: &str) -> u64 {
        let stack = self.symbol("STACK")..self.symbol("STACK") + STACK_BYTES;
        let range = self.symbol("__kfiber_stacks_start")..self.symbol("__kfiber_stacks_end");
        assert_eq!(stack, range, "{case}: the stack lies between the symbols");
        assert!(range.start.is_multiple_of(4096), "{case}: {range:x?}");
        let image = self.symbol("kernel_start")..self.symbol("kernel_end");
        assert!(
            image.start <= range.start && range.end <= image.end,
            "{case}: {range:x?} is not in {image:x?}"
        );
        let mut holding = self.0.segments().filter(|segment| {
            segment.address() <= range.start && range.end <= segment.address() + segment.size()
        });
        let segment = holding
            .next()
            .unwrap_or_else(|| panic!("{case}: {range:x?} is in no segment"));
        let header = segment.elf_program_header();
        let flags = header.p_flags(LittleEndian).0;
        assert_eq!(flags & 2, 2, "{case}: the stack is writable");
        assert!(holding.next().is_none(), "{case}: in two segments");
        let section = self
            .0
            .section_by_name(".kfiber_stacks")
            .expect("the fragment names it");
        assert_eq!(
            section.file_range(),
            None,
            "{case}: zeros take no room in the file"
        );
        segment.address().wrapping_sub(header.p_paddr(LittleEndian))
    }
}
