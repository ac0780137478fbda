//! Every error says the same by `Debug`, which `expect` prints, as by `Display`: a sentence, with addresses in hexadecimal.
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]

use core::error::Error;
use core::fmt::Debug;
use core::ptr::without_provenance_mut;
use core::time::Duration;
use kfiber::fiber::{Fiber, FiberFinished, NewFiberErrorKind, Yielder};
use kfiber::platform::Host;
use kfiber::scheduler::{
    self, Failure, FatalReason, Fault, FiberCell, FiberPool, Hooks, HooksAlreadySet, JoinErrorKind,
    Registers, Report, Scheduler, SpawnErrorKind, WaitError,
};
#[cfg(feature = "x86_64")]
use kfiber::stack::guard::GuardError;
use kfiber::stack::{
    ForeignStack, PoolExhausted, Stack, StackBounds, StackError, StackPool, Storage,
};
use kfiber::sync::{Channel, LockError, Once, RecvError, Semaphore, SendErrorKind, TooManyPermits};

/// An address, as all of them are here: in decimal it has these digits.
const ADDRESS: usize = 0x7654_3210;
const IN_DECIMAL: &str = "1985229328";

/// Checks what is said, and returns it.
#[track_caller]
fn check(error: &(impl core::fmt::Display + Debug)) -> String {
    let text = error.to_string();
    assert_eq!(format!("{error:?}"), text);
    assert!(text.contains(' ') && text.len() > 10, "no sentence: {text}");
    assert!(!text.contains(IN_DECIMAL), "in decimal: {text}");
    text
}

#[track_caller]
fn check_error(error: &impl Error) {
    check(error);
}

#[test]
fn errors_of_stacks_say_the_same_by_debug() {
    for error in [
        StackError::Null,
        StackError::TooSmall { size_bytes: 8 },
        StackError::BottomMisaligned { bottom: ADDRESS },
        StackError::TopMisaligned { top: ADDRESS },
        StackError::Wraps,
        StackError::NonCanonical,
        StackError::Overlap {
            first: 1,
            second: 2,
        },
    ] {
        check_error(&error);
    }
    let real = StackBounds::new(without_provenance_mut(ADDRESS + 1), 4096, 0).unwrap_err();
    assert!(check(&real).contains("0x76543211"));
    #[cfg(feature = "x86_64")]
    for error in [
        GuardError::NoRoom,
        GuardError::Misaligned { start: ADDRESS },
        GuardError::OutOfFrames { page: ADDRESS },
        GuardError::StillMapped { page: ADDRESS },
        GuardError::StackNotMapped { page: ADDRESS },
    ] {
        check_error(&error);
    }
    static STACK: Stack<4096> = Stack::new();
    static POOL: StackPool<4096, 1> = StackPool::new();
    let _taken = (STACK.take().unwrap(), POOL.take().unwrap());
    check_error(&STACK.take().unwrap_err());
    check_error(&POOL.take().unwrap_err());
    check_error(&PoolExhausted { count: 3 });
}

#[test]
fn errors_of_fibers_say_the_same_by_debug() {
    struct NotDebug;
    check_error(&FiberFinished(NotDebug));
    check(&NewFiberErrorKind::StackTooSmall {
        needed_bytes: 2,
        size_bytes: 1,
    });
    let memory = Box::leak(Box::new(Stack::<1024>::new()));
    // SAFETY: it was leaked, so it is ours for good, and nobody else has it.
    let stack = unsafe { ForeignStack::new(core::ptr::from_mut(memory).cast(), 1024, 0) };
    let large = [7_u8; 4096];
    let body = move |_: &Yielder<(), ()>, ()| large[0];
    check_error(&Fiber::new(stack.unwrap(), body).unwrap_err());
}

#[test]
fn errors_of_the_scheduler_say_the_same_by_debug() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELL: FiberCell<65536> = FiberCell::new();
    for kind in [
        SpawnErrorKind::CellInUse,
        SpawnErrorKind::PoolExhausted { count: 3 },
        SpawnErrorKind::CellLost,
        SpawnErrorKind::PoolDiminished { count: 3, lost: 1 },
        SpawnErrorKind::OtherScheduler,
    ] {
        check(&kind);
    }
    let fiber = S.spawn(&CELL, || ()).unwrap();
    check_error(&S.spawn(&CELL, || ()).unwrap_err());
    check_error(&fiber.try_join().unwrap_err());
    static FAILURE: Failure = Failure::Overflowed(Registers {
        rip: ADDRESS as u64,
        rsp: ADDRESS as u64,
        rbp: 0,
    });
    for kind in [
        JoinErrorKind::NotFinished,
        JoinErrorKind::TimedOut,
        JoinErrorKind::Cancelled,
        JoinErrorKind::Deadlock,
        JoinErrorKind::Failed(&FAILURE),
    ] {
        check(&kind);
    }
    let fault = Fault {
        vector: 14,
        error_code: 2,
        address: ADDRESS as u64,
        instruction: ADDRESS as u64,
        stack_pointer: ADDRESS as u64,
        is_in_user_mode: true,
    };
    for failure in [FAILURE, Failure::Faulted(fault)] {
        check(&failure);
    }
    check(&fault);
    check_error(&WaitError::TimedOut);
    check_error(&WaitError::Cancelled);
    check_error(&HooksAlreadySet);
    for why in [
        FatalReason::NotInFiber,
        FatalReason::InsideScheduler,
        FatalReason::InterruptsOff,
        FatalReason::WaitingForbidden,
        FatalReason::FailedTwice,
        FatalReason::StackOfAnother,
        FatalReason::NotByTheFiber,
        FatalReason::NoHooks,
    ] {
        check_error(&why);
    }
    let registers = Registers {
        rip: ADDRESS as u64,
        rsp: 1,
        rbp: 2,
    };
    assert_eq!(check(&registers), "rip=0x76543210 rsp=0x1 rbp=0x2");
}

#[test]
fn errors_of_locks_and_channels_say_the_same_by_debug() {
    static CELLS: FiberPool<65536, 2> = FiberPool::new();
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    check_error(&LockError::TimedOut);
    check_error(&LockError::Poisoned);
    check_error(&TooManyPermits { count: 3 });
    check_error(&Semaphore::with_limit(0, 1).release(2).unwrap_err());
    for kind in [
        SendErrorKind::Full,
        SendErrorKind::Closed,
        SendErrorKind::TimedOut,
        SendErrorKind::Cancelled,
    ] {
        check(&kind);
    }
    for error in [
        RecvError::Empty,
        RecvError::Closed,
        RecvError::TimedOut,
        RecvError::Cancelled,
    ] {
        check_error(&error);
    }
    static CHANNEL: Channel<u8, 1> = Channel::new();
    CHANNEL.try_send(1).unwrap();
    check_error(&CHANNEL.try_send(2).unwrap_err());
    static ONCE: Once<u8> = Once::new();
    let maker = S.spawn(&CELLS, || {
        ONCE.call_once(|| {
            scheduler::sleep(Duration::from_secs(9)).unwrap();
            7
        });
    });
    let impatient = S.spawn(&CELLS, || {
        let error = ONCE
            .call_once_timeout(Duration::from_secs(1), || 8)
            .unwrap_err();
        check_error(&error);
    });
    S.run();
    maker.unwrap().try_join().unwrap();
    impatient.unwrap().try_join().unwrap();
}

#[test]
fn reports_say_the_same_by_debug() {
    struct Checks;
    impl Hooks for Checks {
        fn report(&self, report: &Report<'_>) {
            check(report);
            if let Report::FiberFailed(failed) = report {
                check(*failed);
                let Failure::Panicked(panic) = failed.failure else {
                    unreachable!("it panics");
                };
                check(&panic);
            }
        }
    }
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    static CELL: FiberCell<65536> = FiberCell::new();
    S.set_hooks(&Checks).unwrap();
    let fails = S.spawn(&CELL, || panic!("on purpose")).unwrap();
    S.run();
    check_error(&fails.try_join().unwrap_err());
}
