//! A fiber is to its program what a thread is: nothing of it reaches another one by surprise.
//!
//! A file for each kind of surprise. Each test plays in a process of its own, as what it forbids could crash, hang, or end
//! the process on purpose.
#![cfg(not(any(miri, kfiber_threads)))]
#![expect(clippy::unwrap_used, reason = "a test says what failed by its line")]
#![expect(clippy::mem_forget, reason = "what is left behind is what is tested")]

mod child;
mod fairness;
mod fibers;
mod guards;
mod hooks;
mod left_behind;
mod left_off;
#[cfg(feature = "smp")]
mod lent;
mod overflow;
mod readers;
mod scopes;
mod unwinding;
mod used_again;

use core::cell::RefCell;
use core::mem::ManuallyDrop;
use core::panic::AssertUnwindSafe;
use kfiber::fiber::{Fiber, Yielder};
use kfiber::platform::Host;
use kfiber::scheduler::{
    AfterDeadlock, AfterStall, Deadlock, FiberCell, FiberPool, Hooks, JoinErrorKind, JoinHandle,
    Report, Scheduler, Stall, yield_now,
};
use kfiber::stack::{Stack, StackHandle};
use std::panic::catch_unwind;
use std::sync::Mutex;

/// Each test is alone in its process, so these are its own.
static S: Scheduler<Host> = Scheduler::new(Host::new());
static CELLS: FiberPool<131072, 8> = FiberPool::new();
/// For a fiber that is to follow another one in its cell.
static ONE: FiberCell<131072> = FiberCell::new();
static STACK: Stack<131072> = Stack::new();
static LOG: Log = Log(Mutex::new(Vec::new()));

/// A fiber inside another, which suspends without a value.
type Inner = Fiber<(), (), (), StackHandle<Stack<131072>>>;
type Pause = Yielder<(), ()>;

/// What the hooks were told, and what tests note.
struct Log(Mutex<Vec<String>>);

impl Log {
    fn say(&self, word: impl ToString) {
        self.0.lock().unwrap().push(word.to_string());
    }

    fn take(&self) -> Vec<String> {
        core::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Hooks for Log {
    fn report(&self, report: &Report<'_>) {
        self.say(report);
    }

    fn stalled(&self, stall: &Stall<'_>) -> AfterStall {
        self.say(stall);
        AfterStall::Return
    }

    fn deadlocked(&self, deadlock: &Deadlock<'_>) -> AfterDeadlock {
        self.say(deadlock);
        AfterDeadlock::Panic
    }
}

/// Has the failure of a fiber end that one only.
fn contain() {
    S.set_hooks(&LOG).unwrap();
}

fn spawn<T: Send + 'static>(
    name: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    S.builder().name(name).spawn(&CELLS, body).unwrap()
}

/// What became of a fiber: its result, or why it has none.
fn end_of<T: core::fmt::Debug>(fiber: JoinHandle<T>) -> Result<T, String> {
    fiber.try_join().map_err(|error| match error.kind {
        JoinErrorKind::Failed(failure) => failure.to_string(),
        other => format!("{other:?}"),
    })
}

/// The message of the panic in `f`.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        return "no panic".to_owned();
    };
    payload.downcast_ref::<String>().map_or_else(
        || (*payload.downcast_ref::<&str>().unwrap()).to_owned(),
        Clone::clone,
    )
}

/// Asserts that a message has all of these in it.
#[track_caller]
fn assert_names(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "not a word of {word:?}: {message}");
    }
}

/// Lets everybody run who is ready, several times.
fn settle() {
    for _ in 0..10 {
        yield_now();
    }
}

/// A place of the thread, which all its fibers reach, whatever the type: what `Send` does not see. What is left in there is not
/// dropped at the end.
struct Smuggled<T>(RefCell<Option<ManuallyDrop<T>>>);

impl<T> Smuggled<T> {
    const fn new() -> Self {
        Self(RefCell::new(None))
    }

    fn put(&self, it: T) {
        let before = self.0.borrow_mut().replace(ManuallyDrop::new(it));
        assert!(before.is_none());
    }

    fn take(&self) -> T {
        let it = self.0.borrow_mut().take();
        ManuallyDrop::into_inner(it.expect("put there before"))
    }
}
