//! The soundness model: a fiber is to Rust what a thread is. Ten rules follow from this, and this
//! chapter lists them.
//!
//! In this chapter, a *fiber* is a scheduled fiber, which
//! [`Scheduler::spawn`](crate::scheduler::Scheduler::spawn) or a
//! [`scope`](crate::scheduler::scope()) made. Comments on `unsafe` code cite the rules by their
//! names.
//!
//! - **M1, crossing**: a value that moves from one fiber to another is `Send`, and a value that two
//!   fibers share is `Sync`. This holds for the closures and results of `spawn` and `scope`, for
//!   messages, and for everything that is reachable from a fiber local or a hook. Two fibers that
//!   share a core are still two fibers.
//! - **M2, guards**: the guard of a lock belongs to the fiber that locked it. Guards are not
//!   `Send`. A reference to a guard may be shared if the value is `Sync`, but it can neither unlock
//!   nor wait.
//! - **M3, inner fibers**: an asymmetric [`Fiber`](crate::fiber::Fiber) belongs to the fiber that
//!   made it, or to the thread or core if it was made outside of all fibers. It is not `Send`, and
//!   can only be resumed by its owner. Code inside it that asks for the current fiber gets the
//!   scheduled fiber around it. This answer does not change while the inner fiber is suspended.
//! - **M4, asking again**: the library keeps no knowledge of the running fiber across user code
//!   that could suspend, wait, unwind or end: closures, conditions, futures, wakers, destructors
//!   and hooks. Either M3 says that the answer cannot change, or the library asks again.
//! - **M5, thread locals**: on a host, safe code can carry a guard or a `Fiber` to another fiber of
//!   the same thread in a `std::thread_local`. Each use by the wrong fiber therefore panics on a
//!   host, with a message that names both fibers. Stable Rust has no thread locals on the bare
//!   machine, so nothing is checked there, and there is no cost.
//! - **M6, borrows**: a borrow ends only when nobody can use it any more. A `scope` does not end
//!   before its fibers have ended, whether it returns, unwinds or fails. If all else fails, the
//!   program ends.
//! - **M7, failure**: a fiber that fails is removed from every list of waiters and from the sleep
//!   queue, and all priorities that it lent or borrowed are given back, on whatever cores. Anything
//!   that it was given while it waited goes to the next waiter. The locks that it held are poisoned.
//!   This includes a fiber whose clock fails while it begins to wait.
//! - **M8, reuse**: a fiber finds no state of the fiber that used its cell before: no shield, no
//!   name, no priority and no lock. Ids and owner words contain a generation.
//! - **M9, the end**: a fiber fails if its closure returns with interrupts off, or where waiting is
//!   forbidden. The next fiber finds both in their normal state.
//! - **M10, the switch**: no user code runs inside a switch, except for the switch hook, in which
//!   waiting is refused. Wakers, destructors of results, and hooks run in the contexts of the table
//!   below.
//!
//! These rules would allow a fiber that has started to move to another core, as a thread can. The
//! exception is a host, where compilers keep addresses of thread locals across calls.
//!
//! # Code of yours that the library calls
//!
//! | code | runs in | if it waits | if it panics | if it ends with interrupts off |
//! |---|---|---|---|---|
//! | closure of `spawn`, `Scope::spawn` | the new fiber | fine | the fiber fails | the fiber fails |
//! | result's destructor, handle dropped before the fiber returned | the fiber, after its closure | fine | the fiber fails, its cell is lost | the fiber fails |
//! | result's destructor, handle dropped later | where the handle is dropped | fine in a fiber | the panic propagates to that code; the cell is given back on a host, and lost on the bare machine | as in that code |
//! | closure of `scope` | the fiber that calls `scope` | fine | the scope waits for its fibers first | the end of the scope aborts a host's process if fibers of the scope still run; on the bare machine it panics |
//! | closure of [`Fiber::new`](crate::fiber::Fiber::new) | on its own stack, in the fiber that resumes it | fine: the fiber around it waits | the process aborts, or the kernel panics: nothing unwinds out of a stack | as in the code around it |
//! | future of `block_on`, its `poll` and destructor | the fiber | fine | the fiber's panic | if it is pending then, the fiber fails; else as in the code around it |
//! | waker given to a `JoinHandle` | the fiber that ends, before it leaves its stack | fine: the fiber has not ended yet, and may be joined; a waker that polls again meanwhile is called too, and after that one a poll is told to ask again at once | the fiber fails and its result is forgotten | the fiber fails |
//! | waker given to a `JoinHandle` of a fiber that fails | the end of the failing fiber, perhaps an exception handler | refused | fatal: the fiber has failed already | as in the handler |
//! | waker's destructor, clone | where the handle is polled or dropped | fine in a fiber | the panic propagates to that code | as in that code |
//! | waker of `block_on`, called by you | anywhere | it never waits | it never panics | – |
//! | condition of `WaitQueue`, `Condvar::wait_while` | the waiting fiber, outside of the list of waiters | fine | the fiber's panic; a wake-up that it was given goes to the next waiter | as in the code around it |
//! | closure of `Once::call_once` | the first fiber that calls it | fine: the others wait | the next fiber makes the value | as in the code around it |
//! | closure of `without_waiting` | the caller | refused | the panic is the caller's, and is not contained | as in the code around it |
//! | closure of `shield`, `FiberLocal::bind`, `FiberLocal::with` | the caller | fine | the caller's panic; shield and binding end | as in the code around it |
//! | closure of `map`, `try_map` of a guard | the caller | fine | the caller's panic; the lock is unlocked | as in the code around it |
//! | closure of `Scheduler::wait_graph` | the caller | refused: the graph describes this moment only | the caller's panic; with several cores it is fatal if a `Fiber` that suspended in the closure lets what was begun earlier end first | as in the code around it |
//! | [`Hooks::report`](crate::scheduler::Hooks::report) | where it happened: a fiber, a handler, the scheduler | refused | fatal | must not |
//! | writer of `PrintReports` | as `Hooks::report` | refused | fatal | must not |
//! | [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) | the fiber that would wait | must not | the fiber's panic; at the end of a scope, or where a condition variable locks again, a host's process aborts | must not |
//! | [`Hooks::stalled`](crate::scheduler::Hooks::stalled) | the scheduler | refused | `run` panics | must not |
//! | [`on_leak`](crate::fiber::on_leak) | where the `Fiber` is dropped | fine in a fiber | the panic propagates to that code | as in that code |
//! | [`SwitchHook`](crate::platform::SwitchHook) | during a switch | refused, and fatal | fatal | must not |
//! | `switch_state`: saving and loading of a state | during a switch, and in `PerFiber::with` | refused in a switch | fatal in a switch | must not |
//! | `Platform` and `Timer` functions | a fiber or the scheduler, interrupts on or off | refused | fatal on a host; a bare fiber fails, if the scheduler's state is whole | must leave interrupts as they were |
//!
//! *Refused* means a panic that says where waiting was forbidden. *Fatal* means that the process of
//! a host aborts. On the bare machine it means that the kernel's panic handler gets the panic, with
//! the reason why it is not contained. [`scheduler::failures`](crate::scheduler::failures) explains
//! *fails*.
//!
//! # Contexts
//!
//! The documentation of each function says under *Context* from where it may be called:
//!
//! - *fiber*: code of a scheduled fiber, also inside a [`Fiber`](crate::fiber::Fiber) that it resumed;
//! - *interrupt*: an interrupt handler, whatever it interrupted;
//! - *scheduler*: code outside of fibers on the core that runs the scheduler: boot code before and
//!   after [`run`](crate::scheduler::Scheduler::run), and the hooks that the run loop calls;
//! - *any core*: the above, also on a core that runs another scheduler or none. On the bare machine
//!   this needs the feature `smp`. Without it, the words that say who runs are those of one core, and
//!   what interrupt handlers share with fibers is changed by instructions that are atomic on one core
//!   only (**P2** of [`Platform`](crate::platform::Platform)).
//!
//! *Blocks* says what waits meanwhile: the fiber, so that others run; the core; or nothing. A yield
//! blocks nothing, since its fiber stays ready.
//!
//! # What is forgotten
//!
//! `mem::forget` or a reference cycle may keep any value from being dropped. The table shows what
//! happens then:
//!
//! | forgotten | effect |
//! |---|---|
//! | a `JoinHandle` | its cell is never given back |
//! | the guard of a `Mutex` or `RwLock` | it stays locked; once the owner has ended, a fiber that waits for it is told so |
//! | the guard of an `IrqMutex` | interrupts stay off, and the fiber fails at its end |
//! | a suspended `Fiber` (also if it is dropped) | its stack is never used again; a guard or a shield on it stays until the fiber around it ends |
//! | a `ScopedJoinHandle` | the scope still waits for the fiber |
//!
//! # Threads of the host
//!
//! Fibers of one scheduler share a thread, and with it the state that `std` keeps for the thread.
//! While one of them unwinds and its destructors let others run, `std::thread::panicking()` is true
//! for all of them. If another fiber unlocks a `std::sync::Mutex` during that time, it is poisoned.
//! In fibers, use the primitives of this crate, and do not wait in destructors.
