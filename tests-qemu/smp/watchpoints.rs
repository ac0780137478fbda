//! A debug register belongs to a core, and the fiber that it watches may run on another one next.

use core::{
    arch::asm,
    sync::atomic::{AtomicUsize, Ordering},
};

use kfiber::{
    exceptions::handle,
    platform::{Core, Nanoseconds, Platform, SwitchHook},
    scheduler::{
        Failure, FiberPool, Hooks, JoinErrorKind, JoinHandle, Report, Scheduler, move_to,
        overflow::{Detector, watch},
        yield_now,
    },
};
use tests_qemu::{
    cores,
    exceptions::{self, TrapFrame},
    interrupts::on_tick,
    kernel_test,
    platform::Cores,
    println,
};
use x86_64::{
    instructions::interrupts,
    registers::debug::{DebugAddressRegister, Dr1, Dr7, Dr7Flags},
};

use crate::{machine::start_cores, team::STACK};

static SCHEDULER: Scheduler<Watched, 4> = Scheduler::new(Watched(Cores::new()));
static CELLS: FiberPool<STACK, 12> = FiberPool::new();
static NOTICED: AtomicUsize = AtomicUsize::new(0);
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Cores whose hook watches the running fiber.
struct Watched(Cores);

// SAFETY: as that of `Cores`, which does the work.
unsafe impl Platform for Watched {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.set_timer(deadline);
    }

    fn idle(&self) {
        self.0.idle();
    }

    fn core(&self) -> Core {
        self.0.core()
    }

    fn kick(&self, core: Core) {
        self.0.kick(core);
    }

    fn switch_hook(&self) -> Option<SwitchHook> {
        Some(watch::on_switch::<1>)
    }
}

struct Told;

impl Hooks for Told {
    fn report(&self, report: &Report<'_>) {
        println!("{report}");
        if let Report::Overflow(overflow) = report {
            assert_eq!(overflow.name, "overflows");
            assert_eq!(overflow.detector, Detector::Watchpoint);
            assert!(overflow.damaged.is_none(), "it was stopped in time");
            NOTICED.fetch_add(1, Ordering::AcqRel);
        }
    }
}

kernel_test! {
    fn a_watchpoint_is_on_where_a_fiber_has_moved_to() cores(4) timeout(60) {
        start();
        let fiber = spawn("watched", 0, || {
            for core in [1, 3, 0, 2, 1] {
                assert_watched();
                move_to(Core(core)).expect("there is such a core");
                assert_watched();
            }
        });
        run();
        fiber.try_join().expect("it has ended");
        cores::on_all(|_| assert!(!is_on(), "it is off outside of fibers"));
    }

    /// It is stopped where it writes the first word too far. Others run on the cores that it left.
    fn an_overflow_after_a_move_is_noticed_on_the_new_core() cores(4) timeout(60) {
        start();
        for core in 0..4 {
            spawn("other", core, || {
                while ENDED.load(Ordering::Acquire) == 0 {
                    assert_watched();
                    yield_now();
                }
            })
            .detach();
        }
        let fiber = spawn("overflows", 0, || {
            for core in [1, 2, 3] {
                yield_now();
                move_to(Core(core)).expect("there is such a core");
            }
            push_for_ever();
        });
        spawn("joins", 1, move || {
            check(fiber.join().err().map(|error| error.kind));
            ENDED.store(1, Ordering::Release);
        })
        .detach();
        run();
        assert_eq!(NOTICED.load(Ordering::Acquire), 1);
    }

    fn overflows_on_all_cores_are_noticed_by_the_watchpoint_of_each() cores(4) timeout(60) {
        start();
        let fibers = [0, 1, 2, 3].map(|core| spawn("overflows", core, || {
            ENDED.fetch_add(1, Ordering::AcqRel);
            while ENDED.load(Ordering::Acquire) < 4 {
                yield_now();
            }
            push_for_ever();
        }));
        run();
        assert_eq!(NOTICED.load(Ordering::Acquire), 4);
        for fiber in fibers {
            check(fiber.try_join().err().map(|error| error.kind));
        }
    }
}

fn start() {
    start_cores();
    on_tick(|_| SCHEDULER.timer_interrupt());
    SCHEDULER.set_hooks(&Told).expect("the first");
    for vector in [1, 8, 12, 13, 14] {
        exceptions::hook(vector, on_exception);
    }
}

fn spawn<T: Send + 'static>(
    name: &'static str,
    core: usize,
    closure: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let builder = SCHEDULER.builder().name(name).on(Core(core));
    builder.spawn(&CELLS, closure).expect("a cell is free")
}

fn run() {
    cores::on_all(|_| {
        interrupts::enable();
        SCHEDULER.run();
    });
}

fn on_exception(frame: &mut TrapFrame) {
    // SAFETY: the exception has just come, and what the frame says is what is returned to.
    if let Err(why) = unsafe { handle(frame) } {
        println!("fatal: {why}");
        exceptions::report(frame);
    }
}

/// Asserts that this core's debug register watches the end of the running fiber's stack.
fn assert_watched() {
    let here = 0_u8;
    let below = ((&raw const here).addr() as u64).wrapping_sub(Dr1::read());
    assert!(is_on() && below < STACK as u64, "the fiber is watched");
}

fn is_on() -> bool {
    Dr7::read()
        .flags()
        .contains(Dr7Flags::GLOBAL_BREAKPOINT_1_ENABLE)
}

#[track_caller]
fn check(kind: Option<JoinErrorKind>) {
    let is_right = matches!(kind, Some(JoinErrorKind::Failed(Failure::Overflowed(_))));
    assert!(is_right, "{kind:?}");
}

/// Pushes word by word, so that nothing below the end of the stack is written before the end is.
fn push_for_ever() -> ! {
    // SAFETY: the callers overflow a stack on purpose.
    unsafe { asm!("2: push rsp", "jmp 2b", options(noreturn)) }
}
