//! The handlers that see overflows need stacks of their own, and the library says whether they have.

use kfiber::stack::guard::{self, NoExceptionStack};
use tests_qemu::kernel_test;
use x86_64::{
    VirtAddr,
    instructions::tables::{lidt, sidt},
    structures::DescriptorTablePointer,
};

const GATES: usize = 16;
type Table = [[u64; 2]; GATES];

/// Loads a copy of the table in use, changed, and returns what the check says of it.
fn with_table(gates: usize, change: impl FnOnce(&mut Table)) -> Result<(), NoExceptionStack> {
    let loaded = sidt();
    let table: *const Table = loaded.base.as_ptr();
    // SAFETY: the harness' table, which has more gates.
    let mut table = unsafe { table.read_unaligned() };
    change(&mut table);
    let limit = u16::try_from(gates * 16 - 1).expect("few");
    let base = VirtAddr::from_ptr(&raw const table);
    // SAFETY: nothing faults meanwhile, and interrupts are off.
    unsafe { lidt(&DescriptorTablePointer { limit, base }) };
    // SAFETY: the copy is ours.
    let checked = unsafe { guard::check_exception_stacks(&guard::EXCEPTIONS) };
    // SAFETY: as it was.
    unsafe { lidt(&loaded) };
    checked
}

const fn take_the_stack_from(gate: &mut [u64; 2]) {
    gate[0] &= !(0b111 << 32);
}

kernel_test! {
    fn the_harness_has_a_stack_for_each_exception_that_an_overflow_raises() {
        // SAFETY: the harness' table is mapped, and stays as it is.
        assert_eq!(unsafe { guard::check_exception_stacks(&[1, 8, 14]) }, Ok(()));
        assert_eq!(with_table(GATES, |_| {}), Ok(()));
    }

    fn a_handler_without_a_stack_of_its_own_is_named() {
        let checked = with_table(GATES, |table| take_the_stack_from(&mut table[14]));
        assert_eq!(checked, Err(NoExceptionStack::SameStack { vector: 14 }));
        let checked = with_table(GATES, |table| take_the_stack_from(&mut table[8]));
        assert_eq!(checked, Err(NoExceptionStack::SameStack { vector: 8 }));
    }

    fn a_vector_without_a_handler_is_named() {
        let checked = with_table(GATES, |table| table[8] = [0; 2]);
        assert_eq!(checked, Err(NoExceptionStack::NoHandler { vector: 8 }));
        let checked = with_table(GATES - 2, |_| {});
        assert_eq!(checked, Err(NoExceptionStack::NoHandler { vector: 14 }));
    }
}
