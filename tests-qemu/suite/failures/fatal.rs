//! Panics and faults that end the kernel, and say why.

use core::sync::atomic::{AtomicPtr, Ordering};

use kfiber::{
    platform::SwitchHook,
    scheduler::{FatalReason, FiberCell, Hooks, Report, Scheduler, without_waiting, yield_now},
    sync::IrqMutex,
};
use tests_qemu::{
    interrupts::{on_tick, start_one_shot, ticks},
    kernel_test,
    platform::{self, Bare},
};
use x86_64::instructions::interrupts;

use super::{STACK, contain, expect_fatal, handle, kinds::Kind, run_all, spawn};

/// Runs it as a fiber, which is to end the kernel.
fn ends(why: FatalReason, body: impl FnOnce() + Send + 'static) {
    contain();
    expect_fatal(why);
    spawn(body).detach();
    run_all();
    panic!("survived");
}

static LOCK: IrqMutex<()> = IrqMutex::new(());

fn in_a_handler(kind: fn()) {
    contain();
    expect_fatal(FatalReason::InterruptsOff);
    on_tick(match kind {
        _ if kind as usize == (panics as fn()) as usize => |_| panics(),
        _ => |_| faults(),
    });
    spawn(|| {
        start_one_shot(1_000);
        while ticks() == 0 {
            core::hint::spin_loop();
        }
    })
    .detach();
    interrupts::enable();
    super::SCHEDULER.run();
    panic!("survived");
}

fn panics() {
    Kind::Panic.fail();
}

fn faults() {
    Kind::InvalidInstruction.fail();
}

/// A platform with a hook that panics.
struct Hooked(Bare, AtomicPtr<()>);

// SAFETY: as that of `Bare`, which does the work.
unsafe impl kfiber::platform::Platform for Hooked {
    fn now(&self) -> u64 {
        self.0.now()
    }
    fn set_timer(&self, deadline: u64) {
        self.0.set_timer(deadline);
    }
    fn idle(&self) {
        self.0.idle();
    }
    fn switch_hook(&self) -> Option<SwitchHook> {
        Some(|prev, _next| assert!(prev.is_null(), "a hook that fails"))
    }
}

struct Silent;

impl Hooks for Silent {
    fn report(&self, _report: &Report<'_>) {}
}

/// Hooks that fail.
struct Failing(fn());

impl Hooks for Failing {
    fn report(&self, _report: &Report<'_>) {
        (self.0)();
    }
}

static OTHER: Scheduler<Bare> = Scheduler::new(platform::bare());
static CELL: FiberCell<STACK> = FiberCell::new();

/// A scheduler whose hooks do this when a fiber fails.
fn with_hooks(hooks: &'static Failing, kind: Kind) {
    handle();
    expect_fatal(FatalReason::FailedTwice);
    OTHER.set_hooks(hooks).expect("the first");
    OTHER
        .spawn(&CELL, move || kind.fail())
        .expect("free")
        .detach();
    OTHER.run();
    panic!("survived");
}

kernel_test! {
    fn a_panic_outside_of_fibers() {
        contain();
        expect_fatal(FatalReason::NotInFiber);
        Kind::Panic.fail()
    }

    fn a_fault_outside_of_fibers() {
        contain();
        expect_fatal(FatalReason::NotInFiber);
        Kind::PageFault.fail()
    }

    fn a_panic_with_interrupts_off() {
        ends(FatalReason::InterruptsOff, || { interrupts::disable(); Kind::Panic.fail() });
    }

    fn a_fault_with_interrupts_off() {
        ends(FatalReason::InterruptsOff, || { interrupts::disable(); Kind::Division.fail() });
    }

    fn a_panic_under_a_lock_of_interrupts() {
        ends(FatalReason::InterruptsOff, || { let _guard = LOCK.lock(); Kind::Panic.fail() });
    }

    fn a_fault_under_a_lock_of_interrupts() {
        ends(FatalReason::InterruptsOff, || { let _guard = LOCK.lock(); Kind::PageFault.fail() });
    }

    fn a_panic_in_an_interrupt_handler() { in_a_handler(panics); }

    fn a_fault_in_an_interrupt_handler() { in_a_handler(faults); }

    fn a_panic_where_waiting_is_forbidden() {
        ends(FatalReason::WaitingForbidden, || without_waiting(|| Kind::Panic.fail()));
    }

    fn a_fault_where_waiting_is_forbidden() {
        ends(FatalReason::WaitingForbidden, || without_waiting(|| Kind::PageFault.fail()));
    }

    fn a_yield_where_waiting_is_forbidden_is_such_a_panic() {
        ends(FatalReason::WaitingForbidden, || without_waiting(yield_now));
    }

    fn a_panic_without_hooks() {
        handle();
        expect_fatal(FatalReason::NoHooks);
        spawn(|| Kind::Panic.fail()).detach();
        run_all();
        panic!("survived");
    }

    fn a_fault_without_hooks() {
        handle();
        expect_fatal(FatalReason::NoHooks);
        spawn(|| Kind::PageFault.fail()).detach();
        run_all();
        panic!("survived");
    }

    fn a_panic_while_a_panic_is_reported() {
        with_hooks(&Failing(panics), Kind::Panic);
    }

    fn a_fault_while_a_panic_is_reported() {
        with_hooks(&Failing(faults), Kind::Panic);
    }

    fn a_fault_while_a_message_is_formatted() {
        struct Fails;
        impl core::fmt::Display for Fails {
            fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                Kind::InvalidInstruction.fail()
            }
        }
        ends(FatalReason::FailedTwice, || panic!("{Fails}"));
    }

    fn a_panic_while_a_message_is_formatted() {
        struct Fails;
        impl core::fmt::Display for Fails {
            fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                panic!("in the middle of a message")
            }
        }
        ends(FatalReason::FailedTwice, || panic!("{Fails}"));
    }

    fn a_yield_while_a_panic_is_reported() {
        with_hooks(&Failing(yield_now), Kind::Panic);
    }

    fn a_panic_of_the_platform_inside_the_scheduler() {
        static HOOKED: Scheduler<Hooked> =
            Scheduler::new(Hooked(platform::bare(), AtomicPtr::new(core::ptr::null_mut())));
        static CELLS: kfiber::scheduler::FiberPool<STACK, 2> = kfiber::scheduler::FiberPool::new();
        handle();
        let _unused = HOOKED.platform().1.load(Ordering::Relaxed);
        HOOKED.set_hooks(&Silent).expect("the first");
        expect_fatal(FatalReason::InsideScheduler);
        for _ in 0..2 {
            HOOKED.spawn(&CELLS, yield_now).expect("free").detach();
        }
        HOOKED.run();
        panic!("survived");
    }

    fn a_fault_with_the_stack_pointer_in_another_fibers_stack() {
        static CELLS: kfiber::scheduler::FiberPool<STACK, 2> = kfiber::scheduler::FiberPool::new();
        contain();
        expect_fatal(FatalReason::StackOfAnother);
        let other = super::SCHEDULER.spawn(&CELLS, || loop { yield_now() }).expect("free");
        // A little below where that one's stack ends.
        let elsewhere = format_id(other.id()) - 4096;
        super::SCHEDULER.spawn(&CELLS, move || {
            // SAFETY: an exception comes at once, on a stack of its own, and nobody comes back.
            unsafe { core::arch::asm!("mov rsp, {}", "ud2", in(reg) elsewhere, options(noreturn)) }
        })
        .expect("free")
        .detach();
        run_all();
        panic!("survived");
    }
}

/// The address in a fiber's id, which is where its stack ends.
fn format_id(id: kfiber::scheduler::FiberId) -> u64 {
    struct Hex(u64, bool);
    impl core::fmt::Write for Hex {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            for digit in text.chars() {
                self.1 |= digit == '.';
                if let Some(digit) = digit.to_digit(16).filter(|_| !self.1) {
                    self.0 = self.0 << 4 | u64::from(digit);
                }
            }
            Ok(())
        }
    }
    let mut hex = Hex(0, false);
    core::fmt::Write::write_fmt(&mut hex, format_args!("{id:?}")).expect("takes all");
    hex.0
}
