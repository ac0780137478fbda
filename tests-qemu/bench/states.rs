//! Switches that carry state of the processor along, and the way in and out of an interrupt.

use core::arch::asm;

use kfiber::exceptions::TrapFrame;
use kfiber::interrupt_entry;
use kfiber::scheduler::{FiberPool, Scheduler};
use kfiber::switch_state::{
    AddressSpace, FsGsBases, FxsaveArea, KernelStack, PerFiber, SwitchState,
};
use tests_qemu::{exceptions, paging::FramePool, platform};
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

use crate::counter::measure_here;
use crate::yields::{Hooked, with_hook};

/// Measures two fibers, each of which has a state that `$own` makes, or none.
macro_rules! measured {
    ($name:literal, $state:ty, $outside:expr, $around:expr) => {{
        static STATES: PerFiber<$state> = PerFiber::new($outside);
        static SCHEDULER: Scheduler<Hooked> =
            Scheduler::new(Hooked(platform::bare(), |prev, next| {
                // SAFETY: this is the hook.
                unsafe { STATES.on_switch(prev, next) }
            }));
        static CELLS: FiberPool<16384, 2> = FiberPool::new();
        with_hook(&SCHEDULER, &CELLS, $name, |f| $around(&STATES, f));
    }};
}

/// Runs `f` with this state.
fn with<S: SwitchState>(states: &'static PerFiber<S>, mut own: S, f: &mut dyn FnMut()) {
    states.with(&mut own, |_| f());
}

interrupt_entry! {
    fn does_nothing() {}
    fn does_nothing_with_a_frame(_frame: &mut TrapFrame) {}
}

/// A copy of the address space.
fn address_space() -> AddressSpace {
    let copy: PhysFrame<Size4KiB> = FramePool.allocate_frame().expect("frames are left");
    let (from, to) = (
        Cr3::read().0.start_address().as_u64(),
        copy.start_address().as_u64(),
    );
    // SAFETY: both are tables, mapped one to one; the copy is ours alone.
    unsafe { (to as *mut [u64; 512]).copy_from_nonoverlapping(from as *const [u64; 512], 1) };
    // SAFETY: it maps what the other does.
    unsafe { AddressSpace::new(copy, Cr3Flags::empty()) }
}

pub(crate) fn measure() {
    measured!(
        "yield_2_stateless",
        FsGsBases,
        FsGsBases::unset(),
        |_, f: &mut dyn FnMut()| f()
    );
    measured!(
        "yield_2_address_space",
        AddressSpace,
        AddressSpace::unset(),
        |states, f| {
            with(states, address_space(), f);
        }
    );
    // SAFETY: the harness' task state segment is writable, and nobody else uses this word of it.
    measured!(
        "yield_2_kernel_stack",
        KernelStack,
        // SAFETY: as above.
        unsafe { KernelStack::unset() },
        |states, f| {
            // SAFETY: as above.
            with(states, unsafe { KernelStack::unset() }, f);
        }
    );
    measured!(
        "yield_2_fs_gs",
        FsGsBases,
        FsGsBases::unset(),
        |states, f| {
            with(
                states,
                FsGsBases::new(VirtAddr::new(0x1000), VirtAddr::new(0x2000)),
                f,
            );
        }
    );
    // SAFETY: the harness enables these registers at boot, and the kernel's code does not use them.
    measured!(
        "yield_2_fxsave",
        FxsaveArea,
        // SAFETY: as above.
        unsafe { FxsaveArea::new() },
        |states, f| {
            // SAFETY: as above.
            with(states, unsafe { FxsaveArea::new() }, f);
        }
    );
    // SAFETY: the stub is for any vector without an error code.
    unsafe { exceptions::set_entry(3, does_nothing) };
    // SAFETY: the handler does nothing.
    measure_here("interrupt_entry", 1, || unsafe { asm!("int3") });
    // SAFETY: as above.
    unsafe { exceptions::set_entry(3, does_nothing_with_a_frame) };
    // SAFETY: as above.
    measure_here("interrupt_entry_frame", 1, || unsafe { asm!("int3") });
}
