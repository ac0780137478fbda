//! An interrupt that wakes, at every instruction of a wake-up by a fiber, of a release, and of a wait;
//! and one that polls for the end of a fiber, at every instruction of that end.

use core::future::Future as _;
use core::pin::Pin;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::{Context, RawWaker, RawWakerVTable, Waker};

use kfiber::{
    scheduler::{JoinHandle, Unparker, park, yield_now},
    sync::{IrqMutex, Semaphore},
};
use tests_qemu::{
    cpu,
    exceptions::{self, TrapFrame},
    kernel_test,
};
use x86_64::registers::rflags::RFlags;

use super::{Place, run_with_interrupts, spawn};

const DEBUG: u8 = 1;
/// More instructions than a wait has, with the first turns of others that follow it.
const OFFSETS: u64 = if cfg!(debug_assertions) { 1_500 } else { 400 };

static PERMITS: Semaphore = Semaphore::new(0);
static WAITER: Place<Unparker> = Place::new();
/// The instruction after which the interrupt comes, or a later one at which interrupts are on.
static AT: AtomicU64 = AtomicU64::new(0);
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);
static HAS_COME: AtomicBool = AtomicBool::new(false);
/// The rounds that the waiter has completed.
static DONE: AtomicU64 = AtomicU64::new(0);
static IS_LAST_ROUND: AtomicBool = AtomicBool::new(false);

/// Returns whether the interrupt comes now, and is the only one.
fn comes_now(frame: &mut TrapFrame) -> bool {
    let is_late = INSTRUCTIONS.fetch_add(1, Ordering::Relaxed) >= AT.load(Ordering::Relaxed);
    if !is_late || frame.rflags & RFlags::INTERRUPT_FLAG.bits() == 0 {
        return false;
    }
    frame.rflags &= !RFlags::TRAP_FLAG.bits();
    HAS_COME.store(true, Ordering::Relaxed);
    true
}

fn strike_and_unpark(frame: &mut TrapFrame) {
    if comes_now(frame) {
        assert!(WAITER.get().unpark());
    }
}

fn strike_and_release(frame: &mut TrapFrame) {
    if comes_now(frame) {
        PERMITS.release(1).expect("there is room");
    }
}

/// The handle that the interrupt polls.
static HANDLE: IrqMutex<Option<JoinHandle<()>>> = IrqMutex::new(None);
/// Whether the fiber had not ended when the interrupt polled.
static IS_PENDING: AtomicBool = AtomicBool::new(false);
static WAKES: AtomicU64 = AtomicU64::new(0);

/// A waker that counts.
const COUNTING: RawWaker = {
    const fn raw(_: *const ()) -> RawWaker {
        COUNTING
    }
    fn count(_: *const ()) {
        WAKES.fetch_add(1, Ordering::Relaxed);
    }
    const VTABLE: RawWakerVTable = RawWakerVTable::new(raw, count, count, |_| ());
    RawWaker::new(ptr::null(), &VTABLE)
};

fn strike_and_poll(frame: &mut TrapFrame) {
    if comes_now(frame) {
        let mut handle = HANDLE.lock();
        let handle = handle.as_mut().expect("it is there while the fiber runs");
        // SAFETY: its functions use no data.
        let waker = unsafe { Waker::from_raw(COUNTING) };
        let poll = Pin::new(handle).poll(&mut Context::from_waker(&waker));
        IS_PENDING.store(poll.is_pending(), Ordering::Relaxed);
    }
}

/// Calls `f` in single steps, so that the interrupt comes after the instruction of this number.
fn with_steps(at: u64, f: impl FnOnce()) {
    AT.store(at, Ordering::Relaxed);
    INSTRUCTIONS.store(0, Ordering::Relaxed);
    HAS_COME.store(false, Ordering::Relaxed);
    // SAFETY: the direction flag stays clear, and the handler is in its place.
    unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
    f();
    // SAFETY: nobody relies on single steps from here on.
    unsafe { cpu::clear_flags(RFlags::TRAP_FLAG) };
}

/// Lets others run until the waiter has completed this many rounds.
fn await_rounds(rounds: u64) {
    for _ in 0..100 {
        if DONE.load(Ordering::Relaxed) == rounds {
            return;
        }
        yield_now();
    }
    panic!("the waiter waits on: a wake-up is lost");
}

/// Releases a permit for the waiter in each round, with an interrupt at each instruction, until none
/// is left. `otherwise` does what the interrupt would have done, where it did not come.
fn release_at_each_offset(handler: fn(&mut TrapFrame), wait: fn(), otherwise: fn()) {
    exceptions::hook(DEBUG, handler);
    let waiter = spawn(move || {
        while !IS_LAST_ROUND.load(Ordering::Relaxed) {
            wait();
            DONE.fetch_add(1, Ordering::Relaxed);
        }
    });
    WAITER.put(waiter.unparker());
    let releaser = spawn(move || {
        for round in 0.. {
            yield_now(); // until the waiter waits
            with_steps(round, || PERMITS.release(1).expect("there is room"));
            let is_last = !HAS_COME.load(Ordering::Relaxed);
            if is_last {
                IS_LAST_ROUND.store(true, Ordering::Relaxed);
                otherwise();
            }
            await_rounds(round + 1);
            assert_eq!(PERMITS.available(), 0);
            if is_last {
                return round;
            }
        }
        0
    });
    run_with_interrupts();
    assert!(waiter.try_join().is_ok(), "it is woken in each round");
    let hits = releaser.try_join().expect("no wake-up is lost");
    assert!(hits > 30, "the interrupt came {hits} times only");
}

kernel_test! {
    /// Whoever polls gets the result, or is woken. The steps go on in the fiber that runs next.
    fn a_poll_at_any_instruction_of_an_end_is_answered_or_woken() timeout(60) {
        exceptions::hook(DEBUG, strike_and_poll);
        let watcher = spawn(|| {
            let mut kinds = [0_u32; 2];
            for round in 0.. {
                WAKES.store(0, Ordering::Relaxed);
                let ends = spawn(move || {
                    AT.store(round, Ordering::Relaxed);
                    INSTRUCTIONS.store(0, Ordering::Relaxed);
                    HAS_COME.store(false, Ordering::Relaxed);
                    // SAFETY: the direction flag stays clear, and the handler is in its place.
                    unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
                });
                *HANDLE.lock() = Some(ends);
                yield_now(); // until it has ended
                // SAFETY: nobody relies on single steps from here on.
                unsafe { cpu::clear_flags(RFlags::TRAP_FLAG) };
                let handle = HANDLE.lock().take().expect("nobody took it");
                if !HAS_COME.load(Ordering::Relaxed) {
                    break;
                }
                let is_pending = IS_PENDING.load(Ordering::Relaxed);
                kinds[usize::from(is_pending)] += 1;
                if is_pending {
                    assert!(handle.is_finished());
                    assert_eq!(WAKES.load(Ordering::Relaxed), 1, "after {round} instructions");
                }
            }
            kinds
        });
        run_with_interrupts();
        let kinds = watcher.try_join().expect("each poll is answered");
        assert!(kinds.iter().all(|times| *times > 3), "answered and pending: {kinds:?}");
    }

    fn an_unpark_at_any_instruction_of_a_wake_up_by_a_fiber_is_kept() timeout(60) {
        release_at_each_offset(
            strike_and_unpark,
            || {
                PERMITS.acquire().expect("nobody cancels it");
                park().expect("nobody cancels it");
            },
            || assert!(WAITER.get().unpark()),
        );
    }

    fn a_permit_at_any_instruction_of_a_release_is_kept() timeout(60) {
        release_at_each_offset(
            strike_and_release,
            || {
                PERMITS.acquire().expect("nobody cancels it");
                PERMITS.acquire().expect("nobody cancels it");
            },
            || PERMITS.release(1).expect("there is room"),
        );
    }

    /// The steps go on in the fiber that runs next, until the interrupt comes.
    fn a_permit_at_any_instruction_of_a_wait_is_kept() timeout(60) {
        exceptions::hook(DEBUG, strike_and_release);
        let waiter = spawn(|| {
            for round in 0..OFFSETS {
                with_steps(round, || PERMITS.acquire().expect("nobody cancels it"));
                assert!(HAS_COME.load(Ordering::Relaxed), "it has a permit");
                DONE.store(round + 1, Ordering::Relaxed);
            }
        });
        let other = spawn(|| {
            let mut turns = 0;
            while DONE.load(Ordering::Relaxed) < OFFSETS {
                turns += 1;
                assert!(turns < 1_000 * OFFSETS, "the waiter waits on: a wake-up is lost");
                yield_now();
            }
        });
        run_with_interrupts();
        assert!(waiter.try_join().is_ok() && other.try_join().is_ok());
        assert_eq!(PERMITS.available(), 0);
    }
}
