//! What a register or a word of memory holds in the proof: a symbol and a number that was added to it.
//!
//! "The rbx that the caller had" is a symbol, "24 bytes below the caller's stack pointer" a symbol and -24. Two values
//! are known to be equal only if both parts are: the proof then holds for whatever the symbol stands for.

use core::fmt;

use iced_x86::Register;

/// A thing whose number nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Symbol {
    /// No unknown part: the offset is the whole value.
    Number,
    /// Where the program was loaded: the offset is an address as in the ELF file.
    Code,
    /// What the register held at a named moment. (No register is the direction flag, and the first register of a
    /// floating-point unit stands for the unit's control word. Of MXCSR only the control bits are meant, wherever it is:
    /// two words that differ in flags of exceptions count as the same.)
    Held(&'static str, Register),
    /// In which bits the MXCSR of one moment differs from that of another.
    Difference(&'static str, &'static str),
    /// The same without the flags of exceptions.
    ControlDifference(&'static str, &'static str),
    /// A thing with a name of its own.
    Named(&'static str),
}

/// A symbol and an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Value {
    pub(super) symbol: Symbol,
    pub(super) offset: i64,
}

impl Value {
    /// The word of a context that says which of two right ways a switch takes.
    pub(super) const ALWAYS_LOAD: Self = Self::named("the word `always_load`");

    pub(super) const fn named(name: &'static str) -> Self {
        Self {
            symbol: Symbol::Named(name),
            offset: 0,
        }
    }

    pub(super) const fn held(moment: &'static str, register: Register) -> Self {
        Self {
            symbol: Symbol::Held(moment, register),
            offset: 0,
        }
    }

    pub(super) const fn of(symbol: Symbol) -> Self {
        Self { symbol, offset: 0 }
    }

    pub(super) const fn number(offset: i64) -> Self {
        Self {
            symbol: Symbol::Number,
            offset,
        }
    }

    pub(super) const fn code(address: u64) -> Self {
        Self {
            symbol: Symbol::Code,
            offset: address.cast_signed(),
        }
    }

    /// The address in the ELF file, if it is one.
    pub(super) fn as_code(self) -> Option<u64> {
        (self.symbol == Symbol::Code).then_some(self.offset.cast_unsigned())
    }

    /// The moment at which this register held the value, if it did.
    pub(super) fn moment_of(self, register: Register) -> Option<&'static str> {
        match self.symbol {
            Symbol::Held(moment, of) if of == register && self.offset == 0 => Some(moment),
            _ => None,
        }
    }

    pub(super) const fn plus(self, bytes: i64) -> Self {
        Self {
            symbol: self.symbol,
            offset: self.offset.wrapping_add(bytes),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.symbol {
            Symbol::Number => return write!(f, "{:#x}", self.offset),
            Symbol::Code => return write!(f, "code address {:#x}", self.offset),
            Symbol::Held(moment, Register::None) => write!(f, "`DF {moment}`")?,
            Symbol::Held(moment, Register::XMM0) => write!(f, "`MXCSR {moment}`")?,
            Symbol::Held(moment, Register::ST0) => write!(f, "`x87 control word {moment}`")?,
            Symbol::Held(moment, register) => write!(f, "`{register:?} {moment}`")?,
            Symbol::Difference(one, other) => write!(f, "`MXCSR {one} xor {other}`")?,
            Symbol::ControlDifference(one, other) => {
                write!(f, "`control bits of MXCSR {one} xor {other}`")?;
            }
            Symbol::Named(name) => write!(f, "`{name}`")?,
        }
        match self.offset {
            0 => Ok(()),
            offset => write!(f, "{offset:+}"),
        }
    }
}

/// The general registers in the order of their encoding.
pub(super) const REGISTERS: [Register; 16] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RBX,
    Register::RSP,
    Register::RBP,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];
