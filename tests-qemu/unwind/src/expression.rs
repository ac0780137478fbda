//! The expressions that an unwinder for kfiber must know: the word at a register plus an offset.

use gimli::{Operation, UnwindExpression, UnwindSection};

use super::{Bytes, Registers};

/// The address that an expression computes or, if `is_loaded`, loads from, if that is one register plus an offset.
pub(super) fn address_of<S: UnwindSection<Bytes>>(
    expression: &UnwindExpression<usize>,
    section: &S,
    registers: &Registers,
    is_loaded: bool,
) -> Option<u64> {
    /// Of all tables on this machine.
    const ENCODING: gimli::Encoding = gimli::Encoding {
        address_size: 8,
        format: gimli::Format::Dwarf32,
        version: 4,
    };
    let mut operations = expression.get(section).ok()?.operations(ENCODING);
    let first = operations.next().ok()??;
    let is_as_said = match operations.next().ok()? {
        None => !is_loaded,
        Some(Operation::Deref { .. }) => is_loaded && operations.next().ok()?.is_none(),
        Some(_) => false,
    };
    match first {
        Operation::RegisterOffset {
            register, offset, ..
        } if is_as_said => Some(registers.get(register)?.wrapping_add_signed(offset)),
        _ => None,
    }
}
