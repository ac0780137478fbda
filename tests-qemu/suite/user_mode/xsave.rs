//! All registers of user code, by `xsave`: whole AVX registers, which `fxsave` would cut in half.

use core::arch::asm;

use kfiber::scheduler::{FiberPool, Scheduler, yield_now};
use kfiber::switch_state::{PerFiber, XsaveArea, XsaveUnusable};
use tests_qemu::{kernel_test, platform};
use x86_64::instructions::interrupts;
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};

use super::Hooked;

/// Room for the x87, SSE and AVX registers.
const BYTES: usize = 832;

// What is not so before the tests have enabled it is checked there, and one scheduler has the hook.
static AREAS: PerFiber<XsaveArea<BYTES>> = PerFiber::new(area());
static SCHEDULER: Scheduler<Hooked> = Scheduler::new(Hooked(platform::bare(), |prev, next| {
    // SAFETY: this is the hook.
    unsafe { AREAS.on_switch(prev, next) }
}));
static CELLS: FiberPool<{ 16 * 1024 }, 3> = FiberPool::new();

const fn area() -> XsaveArea<BYTES> {
    // SAFETY: the test enables the registers and checks the size before fibers run; no code of the kernel uses them.
    unsafe { XsaveArea::new() }
}

/// Exchanges both halves of an AVX register, as user code would do it.
fn exchange(words: &mut [u64; 4]) {
    let mut old = [0_u64; 4];
    // SAFETY: the test has enabled these registers, which no compiled code uses.
    unsafe {
        asm!("vmovdqu [{old}], ymm3", "vmovdqu ymm3, [{new}]", old = in(reg) &raw mut old, new = in(reg) &raw const *words);
    };
    *words = old;
}

kernel_test! {
    fn an_area_is_usable_if_it_is_enabled_and_large_enough() machine("-cpu max") {
        assert_eq!(XsaveArea::<BYTES>::check(), Err(XsaveUnusable::NotEnabled));
        enable();
        assert_eq!(XsaveArea::<BYTES>::check(), Ok(()));
        assert_eq!(XsaveArea::<576>::check(), Err(XsaveUnusable::TooSmall { needed: BYTES }));
    }

    fn fibers_keep_whole_avx_registers() machine("-cpu max") {
        enable();
        XsaveArea::<BYTES>::check().expect("large enough");
        let with_own = [1_u64, 2].map(|own| SCHEDULER.spawn(&CELLS, move || {
            AREAS.with(&mut area(), |_| {
                let mut before = [0; 4];
                for round in 0..20_u64 {
                    let mut words = [own, own + round, own << 40, u64::MAX - own - round];
                    let now = words;
                    exchange(&mut words);
                    assert_eq!(words, before);
                    before = now;
                    yield_now();
                }
            });
        }));
        SCHEDULER.spawn(&CELLS, || (0..20).for_each(|_| yield_now())).expect("a cell is free").detach();
        interrupts::enable();
        SCHEDULER.run();
        for fiber in with_own {
            fiber.expect("a cell is free").try_join().expect("it kept them");
        }
    }
}

/// Enables the x87, SSE and AVX registers.
fn enable() {
    // SAFETY: the processor has it: the tests ask for one that has everything.
    unsafe { Cr4::update(|flags| flags.insert(Cr4Flags::OSXSAVE)) };
    // SAFETY: as above.
    unsafe { XCr0::write(XCr0Flags::X87 | XCr0Flags::SSE | XCr0Flags::AVX) };
}
