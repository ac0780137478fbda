//! The model: a fiber is to Rust what a thread is. Ten rules that follow from this, and where each is enforced.
//!
//! A *fiber* here is a scheduled fiber, one that [`Scheduler::spawn`](crate::scheduler::Scheduler::spawn) or a
//! [`scope`](crate::scheduler::scope()) made. Comments on `unsafe` code cite the rules by these names.
//!
//! - **M1, crossing**: what moves from one fiber to another is `Send`, and what two fibers share is `Sync`. This holds for
//!   closures and results of `spawn` and `scope`, for messages, and for whatever a fiber local or a hook can reach. Two
//!   fibers that share a core are still two fibers.
//! - **M2, guards**: the guard of a lock belongs to the fiber that locked. Guards are not `Send`. A reference to a guard may be
//!   shared if the value is `Sync`; it can neither unlock nor wait.
//! - **M3, inner fibers**: an asymmetric [`Fiber`](crate::fiber::Fiber) is a part of the fiber that made it, or of the thread or
//!   core outside of all fibers. It is not `Send`, and goes on only there. Code inside it that asks who runs gets the scheduled
//!   fiber around it, and while it is suspended that never changes.
//! - **M4, asking again**: nothing that was learnt about the running fiber is kept across code of the kernel that could
//!   suspend, wait, unwind or end: closures, conditions, futures, wakers, destructors, hooks. Either it cannot change, by
//!   M3, or it is asked again.
//! - **M5, thread locals**: on a host, safe code can carry a guard or a `Fiber` to another fiber of the same thread in a
//!   `std::thread_local`. There each use by the wrong fiber panics with a message that names both. Stable Rust has no thread
//!   locals on the bare machine, so there nothing is checked and nothing is paid.
//! - **M6, borrows**: a borrow ends only when nobody can use it any more. A `scope` is left neither by returning nor by unwinding
//!   nor by failing before its fibers have ended; if all else fails, the program ends.
//! - **M7, failure**: a fiber that fails leaves everything that it stood in: lines of waiters, the sleep queue, priorities that it
//!   lent or was lent. What it was given while it waited goes to the next. What it held is poisoned.
//! - **M8, reuse**: a fiber finds nothing of the one that lived in its cell before: no shield, no name, no priority, no lock. Ids and
//!   owner words carry a generation.
//! - **M9, the end**: a fiber whose closure returns with interrupts off, or where waiting is forbidden, fails. The next one finds both
//!   as it should.
//! - **M10, the switch**: no code of the kernel's runs inside a switch, except the switch hook, in which waiting is refused. Wakers,
//!   destructors of results, and hooks run where the table below says.
//!
//! By these rules a fiber that has started could move to another core, as a thread can. (Not on a host: compilers keep addresses of
//! thread locals across calls.)
//!
//! # Code of yours that the library calls
//!
//! | code | runs in | if it waits | if it panics | if it ends with interrupts off |
//! |---|---|---|---|---|
//! | closure of `spawn`, `Scope::spawn` | the new fiber | fine | the fiber fails | the fiber fails |
//! | result's destructor, handle dropped before the fiber returned | the fiber, after its closure | fine | the fiber fails, its cell is lost | the fiber fails |
//! | result's destructor, handle dropped later | where the handle is dropped | fine in a fiber | the panic is that code's; the cell is given back on a host, and lost on the bare machine | that code's |
//! | closure of `scope` | the fiber that calls `scope` | fine | the scope waits for its fibers first | the end of the scope aborts a host's process if fibers of it run; on the bare machine it panics |
//! | closure of [`Fiber::new`](crate::fiber::Fiber::new) | on its stack, in the fiber that resumes it | fine: the fiber around it waits | the process aborts, or the kernel panics: nothing unwinds out of a stack | as in the code around it |
//! | future of `block_on`, its `poll` and destructor | the fiber | fine | the fiber's panic | as in the code around it |
//! | waker given to a `JoinHandle` | the fiber that ends, before it leaves its stack | fine: the fiber has not ended yet | the fiber fails, its result is forgotten | the fiber fails |
//! | waker given to a `JoinHandle` of a fiber that fails | the end of the failing fiber, perhaps an exception handler | refused | fatal: the fiber fails already | the handler's |
//! | waker's destructor, clone | where the handle is polled or dropped | fine in a fiber | that code's panic | that code's |
//! | waker of `block_on`, called by you | anywhere | it never waits | it never panics | – |
//! | condition of `WaitQueue`, `Condvar::wait_while` | the waiting fiber, in no line | fine | the fiber's panic; a wake that it was given goes to the next | as in the code around it |
//! | closure of `Once::call_once` | the first fiber that calls it | fine: the others wait | the next fiber makes the value | as in the code around it |
//! | closure of `without_waiting` | the caller | refused | the panic is the caller's, and is not contained | as in the code around it |
//! | closure of `shield`, `FiberLocal::bind`, `FiberLocal::with` | the caller | fine | the caller's panic; shield and binding end | as in the code around it |
//! | closure of `Scheduler::wait_graph` | the caller | refused: the graph is of this moment | the caller's panic | as in the code around it |
//! | [`Hooks::report`](crate::scheduler::Hooks::report) | where it happened: a fiber, a handler, the scheduler | refused | fatal | must not |
//! | [`Hooks::deadlocked`](crate::scheduler::Hooks::deadlocked) | the fiber that would wait | it must not | the fiber's panic; at the end of a scope, or where a condition variable locks again, a host's process aborts | must not |
//! | [`Hooks::stalled`](crate::scheduler::Hooks::stalled) | the scheduler | refused | `run` panics | must not |
//! | [`on_leak`](crate::fiber::on_leak) | where the `Fiber` is dropped | fine in a fiber | that code's panic | that code's |
//! | [`SwitchHook`](crate::platform::SwitchHook) | in the middle of a switch | refused, and fatal | fatal | must not |
//! | `Platform` and `Timer` functions | a fiber or the scheduler, interrupts on or off | must not | fatal | must leave them as they were |
//!
//! *Refused* is a panic that says where waiting was forbidden. *Fatal* means that a host's process aborts and that the bare kernel's
//! panic handler gets the panic, with the reason why it is not contained. *Fails* is explained in
//! [`scheduler::failures`](crate::scheduler::failures).
//!
//! # What is forgotten
//!
//! `mem::forget`, or a reference cycle, may keep any value from being dropped. Then:
//!
//! | forgotten | what follows |
//! |---|---|
//! | a `JoinHandle` | its cell is never given back |
//! | the guard of a `Mutex` or `RwLock` | it stays locked; who waits for it is told that the owner has ended, once that is so |
//! | the guard of an `IrqMutex` | interrupts stay off, and the fiber fails at its end |
//! | a suspended `Fiber` (also if it is dropped) | its stack is never used again; a guard or a shield on it stays, until the fiber around it ends |
//! | a `ScopedJoinHandle` | the scope still waits for the fiber |
//!
//! # Threads of the host
//!
//! Fibers of one scheduler share a thread, and with it what `std` keeps for a thread. While one of them unwinds and its destructors
//! let others run, `std::thread::panicking()` is true for all of them: a `std::sync::Mutex` that another one unlocks meanwhile is
//! poisoned. Use this crate's primitives in fibers, and do not wait in destructors.
