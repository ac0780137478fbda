//! The function that is called before each switch, and what it is for.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use kfiber::scheduler::{FiberInfo, yield_now};
use tests_qemu::{
    kernel_test,
    paging::{self, FramePool},
};
use x86_64::{
    PhysAddr,
    registers::control::Cr3,
    structures::paging::{FrameAllocator, PageTable, PhysFrame, Size4KiB},
};

use super::{Log, SCHEDULER, in_a_fiber, run, spawn};

static LOG: Log = Log::new();
static STACKS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static COPY: AtomicU64 = AtomicU64::new(0);
static ORIGINAL: AtomicU64 = AtomicU64::new(0);
static STRAY: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

/// The fiber on whose stack, or at the top of it, where its control block lies, the address is; 0 if it is null.
fn number(address: *const u8) -> u64 {
    if address.is_null() {
        return 0;
    }
    let index = STACKS.iter().position(|top| {
        let top = usize::try_from(top.load(Ordering::Relaxed)).expect("64 bits");
        (top - super::STACK..top + 1).contains(&address.addr())
    });
    index.map_or_else(
        || {
            STRAY.store(address.cast_mut(), Ordering::Relaxed);
            9
        },
        |index| index as u64 + 1,
    )
}

fn remember_stacks() {
    // The latest is listed first.
    for (place, fiber) in STACKS.iter().rev().zip(SCHEDULER.fibers()) {
        let fiber: FiberInfo = fiber;
        place.store(fiber.stack.top().addr() as u64, Ordering::Relaxed);
    }
}

fn frame(address: &AtomicU64) -> PhysFrame {
    PhysFrame::containing_address(PhysAddr::new(address.load(Ordering::Relaxed)))
}

kernel_test! {
    fn the_hook_is_told_the_stacks_that_are_left_and_entered_before_each_switch() {
        SCHEDULER.platform().set_hook(|prev, next| LOG.note(number(prev) * 10 + number(next)));
        for number in [100, 200] {
            spawn(move || {
                LOG.note(number);
                yield_now();
                LOG.note(number + 1);
            })
            .detach();
        }
        remember_stacks();
        run();
        LOG.assert_is(&[1, 100, 12, 200, 21, 101, 12, 201, 20]);
        assert!(STRAY.load(Ordering::Relaxed).is_null());
    }

    /// One of two fibers runs in an address space of its own: a page is there that is not there for the other.
    fn the_hook_gives_a_fiber_an_address_space_of_its_own() {
        /// Far above all memory, in the upper half, which the harness leaves empty.
        const PRIVATE: *mut u64 = 0xffff_8000_0000_0000_usize as *mut u64;
        let original = Cr3::read().0.start_address().as_u64();
        let copy: PhysFrame<Size4KiB> = FramePool.allocate_frame().expect("frames are left");
        let (from, to) = (original as *const PageTable, copy.start_address().as_u64() as *mut PageTable);
        // SAFETY: both are tables, mapped one to one; the copy is ours alone.
        unsafe { to.copy_from_nonoverlapping(from, 1) };
        // SAFETY: as above. The upper half begins with the memory that the lower half begins with.
        let entries = unsafe { &mut *to };
        entries[256] = entries[0].clone();
        ORIGINAL.store(original, Ordering::Relaxed);
        COPY.store(copy.start_address().as_u64(), Ordering::Relaxed);
        SCHEDULER.platform().set_hook(|_, next| {
            let space = if number(next) == 1 { &COPY } else { &ORIGINAL };
            // SAFETY: both map everything that is in use, one to one.
            unsafe { Cr3::write(frame(space), Cr3::read().1) };
        });
        let data = &raw const COPY as usize;
        let with_page = spawn(move || {
            for _ in 0..100 {
                assert_eq!(Cr3::read().0, frame(&COPY));
                // SAFETY: that memory is mapped a second time in this address space.
                let word = unsafe { PRIVATE.wrapping_byte_add(data).read_volatile() };
                assert_eq!(word, COPY.load(Ordering::Relaxed));
                yield_now();
            }
        });
        let without = spawn(|| {
            for _ in 0..100 {
                assert_eq!(Cr3::read().0, frame(&ORIGINAL));
                assert!(!paging::is_mapped(PRIVATE as u64));
                yield_now();
            }
        });
        remember_stacks();
        run();
        with_page.try_join().expect("it has ended");
        without.try_join().expect("it has ended");
        assert_eq!(Cr3::read().0, frame(&ORIGINAL), "the loop's own context is in the original");
    }

    fn a_hook_does_not_change_who_runs_when() {
        SCHEDULER.platform().set_hook(|_, _| ());
        static ORDER: Log = Log::new();
        for number in 1..=3 {
            spawn(move || (0..3).for_each(|round| {
                ORDER.note(round * 10 + number);
                yield_now();
            })).detach();
        }
        run();
        ORDER.assert_is(&[1, 2, 3, 11, 12, 13, 21, 22, 23]);
        assert_eq!(in_a_fiber(|| 4), 4);
    }
}
