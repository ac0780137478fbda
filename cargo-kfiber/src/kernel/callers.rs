//! Finds who called the function at an address, from the unwind tables and the words on the stack.

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, LittleEndian, UnwindContext, UnwindSection as _, X86_64,
};

/// The return address of the function at `rip`, and the words of the stack above it. `None` if the tables do not say where it is.
pub fn step<'words>(tables: &[u8], rip: u64, words: &'words [u64]) -> Option<(u64, &'words [u64])> {
    let mut tables = DebugFrame::new(tables, LittleEndian);
    tables.set_address_size(8);
    let mut context = UnwindContext::new();
    let bases = BaseAddresses::default();
    let row = tables
        .unwind_info_for_address(&bases, &mut context, rip, DebugFrame::cie_from_offset)
        .ok()?;
    let CfaRule::RegisterAndOffset {
        register: X86_64::RSP,
        offset,
    } = *row.cfa()
    else {
        return None;
    };
    let count = usize::try_from(offset).ok()? / 8;
    let address = *words.get(count.checked_sub(1)?)?;
    Some((address, &words[count..]))
}
