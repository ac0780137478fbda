//! A DWARF unwinder for a kernel without a heap: what a profiler or a fault handler of a real kernel would do.
//!
//! The stock bare target puts the tables of compiled functions into `.debug_frame`, which stays in the
//! ELF file. The runner passes a copy of that section as a boot module (`FLAG_DEBUG_FRAME` of the
//! protocol). Those of functions in assembly may come to lie there too, or in `.eh_frame`, depending on
//! what else is in their codegen unit. So both are read, as debuggers do. Of DWARF expressions, only
//! "the word at a register plus an offset" is evaluated: the ends of switches need no other.
//!
//! It is a crate of its own so that it can be optimised in debug kernels too, whose tests walk at every instruction.
//! On the host it is empty, as the whole harness is.
#![no_std]
#![cfg(target_os = "none")]

mod expression;

use core::{fmt, slice};

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, CommonInformationEntry, DebugFrame, EhFrame, EndianSlice,
    FrameDescriptionEntry, LittleEndian, Register, RegisterRule, UnwindContext,
    UnwindContextStorage, UnwindSection, UnwindTableRow, X86_64,
};

use expression::address_of;

type Bytes = EndianSlice<'static, LittleEndian>;

/// DWARF numbers of the general registers, and of the return address.
pub const REGISTERS: usize = 17;

/// The registers of one frame, by their DWARF numbers. Those that a callee may change are unknown in its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers([Option<u64>; REGISTERS]);

impl Registers {
    /// All registers, as an interrupted instruction has them: in DWARF's order, which begins with rax, rdx, rcx, rbx,
    /// rsi, rdi, rbp, rsp, and ends with rip.
    #[must_use]
    pub fn interrupted(registers: [u64; REGISTERS]) -> Self {
        Self(registers.map(Some))
    }

    /// A context that is not running.
    #[must_use]
    pub fn suspended(ip: u64, sp: u64, rbp: u64, rbx: u64) -> Self {
        let mut registers = Self::default();
        for (register, value) in [
            (X86_64::RA, ip),
            (X86_64::RSP, sp),
            (X86_64::RBP, rbp),
            (X86_64::RBX, rbx),
        ] {
            registers.0[usize::from(register.0)] = Some(value);
        }
        registers
    }

    /// Returns the value of a register, if the frame's callees have left it recoverable.
    #[must_use]
    pub fn get(&self, register: Register) -> Option<u64> {
        self.0.get(usize::from(register.0)).copied().flatten()
    }

    /// Returns where the frame goes on.
    #[must_use]
    pub fn ip(&self) -> u64 {
        self.get(X86_64::RA).unwrap_or(0)
    }
}

/// Why a walk cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// No function is known at this address.
    NoEntry(u64),
    /// The tables of the function at this address cannot be read.
    Table(u64, gimli::Error),
    /// The function at this address has a rule that needs more than registers and memory.
    Rule(u64),
    /// A rule of the function at this address needs a register that is not known, or memory that is no stack.
    Value(u64),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEntry(ip) => write!(f, "no unwind entry for {ip:#x}"),
            Self::Table(ip, error) => write!(f, "bad unwind entry for {ip:#x}: {error:?}"),
            Self::Rule(ip) => write!(f, "a rule for {ip:#x} needs an expression"),
            Self::Value(ip) => write!(f, "a rule for {ip:#x} leads to nothing"),
        }
    }
}

/// Where the rules of one function are.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    start: u64,
    end: u64,
    offset: usize,
    section: Section,
}

#[derive(Clone, Copy, Debug)]
enum Section {
    DebugFrame,
    EhFrame,
}

impl Entry {
    /// Room for an entry.
    pub const NONE: Self = Self {
        start: 0,
        end: 0,
        offset: 0,
        section: Section::DebugFrame,
    };
}

/// Storage of fixed size: as many rules and as deep a stack as compiled code has.
#[derive(Debug)]
struct Fixed;

impl UnwindContextStorage<usize> for Fixed {
    type Rules = [(Register, RegisterRule<usize>); REGISTERS];
    type Stack = [UnwindTableRow<usize, Self>; 3];
}

/// The unwinder.
pub struct Unwinder {
    debug_frame: DebugFrame<Bytes>,
    eh_frame: EhFrame<Bytes>,
    bases: BaseAddresses,
    /// In the order of their addresses.
    entries: &'static [Entry],
    context: UnwindContext<usize, Fixed>,
}

impl fmt::Debug for Unwinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unwinder")
            .field("functions", &self.entries.len())
            .finish_non_exhaustive()
    }
}

unsafe extern "C" {
    static __executable_start: u8;
    static __etext: u8;
    static __eh_frame: u8;
    static __eh_frame_end: u8;
    static __bss_start: u8;
    static __bss_stop: u8;
}

impl Unwinder {
    /// Reads the tables once, to find the functions in them: `debug_frame`, and the `.eh_frame` that is part of the image.
    /// There must be room for all of them.
    ///
    /// # Panics
    ///
    /// Panics if a section is damaged or has too many entries.
    pub fn new(debug_frame: &'static [u8], room: &'static mut [Entry]) -> Self {
        let mut debug_frame = DebugFrame::new(debug_frame, LittleEndian);
        debug_frame.set_address_size(8);
        let start = &raw const __eh_frame;
        let size = &raw const __eh_frame_end as usize - start as usize;
        // SAFETY: The linker script puts these symbols around the section, which nobody writes to.
        let bytes = unsafe { slice::from_raw_parts(start, size) };
        let mut eh_frame = EhFrame::new(bytes, LittleEndian);
        eh_frame.set_address_size(8);
        let bases = BaseAddresses::default().set_eh_frame(start as u64);
        let mut count = 0;
        collect(
            &debug_frame,
            &bases,
            Section::DebugFrame,
            room,
            &mut count,
            DebugFrame::cie_from_offset,
        );
        collect(
            &eh_frame,
            &bases,
            Section::EhFrame,
            room,
            &mut count,
            EhFrame::cie_from_offset,
        );
        let (entries, _) = room.split_at_mut(count);
        entries.sort_unstable_by_key(|entry| (entry.start, entry.section as u8));
        Self {
            debug_frame,
            eh_frame,
            bases,
            entries,
            context: UnwindContext::new_in(),
        }
    }

    /// Returns the number of functions that it knows.
    #[must_use]
    pub const fn functions(&self) -> usize {
        self.entries.len()
    }

    /// Returns the first address of the function around `address`.
    #[must_use]
    pub fn function(&self, address: u64) -> Option<u64> {
        self.entry(address).map(|entry| entry.start)
    }

    fn entry(&self, address: u64) -> Option<Entry> {
        let behind = self.entries.partition_point(|entry| entry.start <= address);
        let entry = self.entries[behind.checked_sub(1)?];
        (address < entry.end).then_some(entry)
    }

    /// Calls `visit` with the registers of each caller, from the innermost to the outermost, until it answers false.
    ///
    /// # Errors
    ///
    /// Says why the walk could not go on. A walk to the outermost frame is no error.
    pub fn walk(
        &mut self,
        innermost: Registers,
        mut visit: impl FnMut(&Registers) -> bool,
    ) -> Result<(), Broken> {
        let mut registers = innermost;
        let mut is_exact = true;
        while let Some((caller, is_signal_frame)) = self.caller(&registers, is_exact)? {
            if !visit(&caller) {
                break;
            }
            registers = caller;
            // A return address may be the first byte of another function; where a signal came is exactly there.
            is_exact = is_signal_frame;
        }
        Ok(())
    }

    /// The caller's registers, and whether the frame was a signal frame. Nothing behind the outermost frame.
    fn caller(
        &mut self,
        registers: &Registers,
        is_exact: bool,
    ) -> Result<Option<(Registers, bool)>, Broken> {
        let ip = registers.ip();
        let address = ip.wrapping_sub(u64::from(!is_exact));
        let entry = self.entry(address).ok_or(Broken::NoEntry(ip))?;
        let table = |error| Broken::Table(ip, error);
        let (bases, context) = (&self.bases, &mut self.context);
        let (is_signal_frame, row) = match entry.section {
            Section::DebugFrame => rules(
                &self.debug_frame,
                bases,
                context,
                entry,
                address,
                DebugFrame::cie_from_offset,
            ),
            Section::EhFrame => rules(
                &self.eh_frame,
                bases,
                context,
                entry,
                address,
                EhFrame::cie_from_offset,
            ),
        }
        .map_err(table)?;
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => registers
                .get(*register)
                .ok_or(Broken::Value(ip))?
                .wrapping_add_signed(*offset),
            CfaRule::Expression(expression) => {
                let address = match entry.section {
                    Section::DebugFrame => {
                        address_of(expression, &self.debug_frame, registers, true)
                    }
                    Section::EhFrame => address_of(expression, &self.eh_frame, registers, true),
                };
                read(address.ok_or(Broken::Rule(ip))?).ok_or(Broken::Value(ip))?
            }
        };
        let mut caller = Registers::default();
        for number in 0..17 {
            let register = Register(number);
            let value = match row.register(register) {
                Some(RegisterRule::Undefined) => None,
                Some(RegisterRule::SameValue) => registers.get(register),
                Some(RegisterRule::Offset(offset)) => {
                    Some(read(cfa.wrapping_add_signed(offset)).ok_or(Broken::Value(ip))?)
                }
                Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
                Some(RegisterRule::Register(other)) => registers.get(other),
                Some(RegisterRule::Expression(expression)) => {
                    let address = match entry.section {
                        Section::DebugFrame => {
                            address_of(&expression, &self.debug_frame, registers, false)
                        }
                        Section::EhFrame => {
                            address_of(&expression, &self.eh_frame, registers, false)
                        }
                    };
                    Some(read(address.ok_or(Broken::Rule(ip))?).ok_or(Broken::Value(ip))?)
                }
                Some(_) => return Err(Broken::Rule(ip)),
                // The ABI's own rules, where the function says nothing.
                None if register == X86_64::RSP => Some(cfa),
                None if is_preserved(register) => registers.get(register),
                None => None,
            };
            caller.0[usize::from(number)] = value;
        }
        let has_caller = caller.get(X86_64::RA).is_some();
        Ok(has_caller.then_some((caller, is_signal_frame)))
    }
}

/// Adds the functions of one section.
fn collect<S: UnwindSection<Bytes>>(
    tables: &S,
    bases: &BaseAddresses,
    section: Section,
    room: &mut [Entry],
    count: &mut usize,
    cie: impl Fn(&S, &BaseAddresses, S::Offset) -> gimli::Result<CommonInformationEntry<Bytes>>,
) {
    let text = &raw const __executable_start as u64..&raw const __etext as u64;
    let mut all = tables.entries(bases);
    while let Some(entry) = all.next().expect("the section is whole") {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let offset = partial.offset();
        let function = partial.parse(&cie).expect("the entry is whole");
        // The linker leaves the entries of functions that it dropped, at address 0.
        if !text.contains(&function.initial_address()) {
            continue;
        }
        assert!(
            *count < room.len(),
            "more functions than there is room for: give more"
        );
        room[*count] = Entry {
            start: function.initial_address(),
            end: function.end_address(),
            offset,
            section,
        };
        *count += 1;
    }
}

/// The rules for one address, and whether the function is a signal frame.
fn rules<'context, S: UnwindSection<Bytes>>(
    tables: &S,
    bases: &BaseAddresses,
    context: &'context mut UnwindContext<usize, Fixed>,
    entry: Entry,
    address: u64,
    cie: impl Fn(&S, &BaseAddresses, S::Offset) -> gimli::Result<CommonInformationEntry<Bytes>>,
) -> gimli::Result<(bool, &'context UnwindTableRow<usize, Fixed>)> {
    let function: FrameDescriptionEntry<Bytes> =
        tables.fde_from_offset(bases, entry.offset.into(), cie)?;
    let row = function.unwind_info_for_address(tables, bases, context, address)?;
    Ok((function.is_signal_trampoline(), row))
}

const fn is_preserved(register: Register) -> bool {
    matches!(
        register,
        X86_64::RBX | X86_64::RBP | X86_64::R12 | X86_64::R13 | X86_64::R14 | X86_64::R15
    )
}

/// Reads a word of a stack. All stacks of a test kernel lie in `.bss`; what lies elsewhere is no stack.
#[must_use]
pub fn read(address: u64) -> Option<u64> {
    let bss = &raw const __bss_start as u64..&raw const __bss_stop as u64 - 7;
    let pointer = address as *const u64;
    // SAFETY: Within `.bss`, which is mapped, except for guard pages, which hold no frame. It is read as whoever uses the
    // stack left it; that one is interrupted.
    (bss.contains(&address) && pointer.is_aligned()).then(|| unsafe { pointer.read_volatile() })
}
