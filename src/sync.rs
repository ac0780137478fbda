//! What fibers wait for: locks, permits, flags, messages. One primitive a file, each a `const fn new()` in a static.
//!
//! ```
//! use kfiber::{platform::Host, scheduler::{FiberPool, Scheduler}, sync::{Mutex, Semaphore}};
//!
//! static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
//! static CELLS: FiberPool<65536, 2> = FiberPool::new();
//! static TOTAL: Mutex<u32> = Mutex::new(0);
//! static ADDED: Semaphore = Semaphore::new(0);
//!
//! SCHEDULER.spawn(&CELLS, || {
//!     *TOTAL.lock() += 5;
//!     ADDED.release(1).unwrap();
//! })?.detach();
//! let reader = SCHEDULER.spawn(&CELLS, || {
//!     ADDED.acquire().unwrap();
//!     *TOTAL.lock()
//! })?;
//! SCHEDULER.run();
//! assert_eq!(reader.try_join().unwrap(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who may call what
//!
//! *Blocks* says what stands still meanwhile: the fiber, so that others run, or the core. What blocks the fiber panics
//! where waiting is not allowed, and says why. Whatever an interrupt handler may call, any core may call.
//!
//! | | blocks the fiber; from fibers | blocks nothing; from fibers | blocks nothing; also from interrupt handlers |
//! |---|---|---|---|
//! | [`WaitQueue`] | `wait`, `wait_until` | | `wake_one`, `wake_all` |
//! | [`Mutex`] | `lock` | `try_lock`, dropping the guard | `is_locked`, `owner` |
//! | [`RwLock`] | `read`, `write` | `try_read`, `try_write`, dropping the guards | |
//! | [`Semaphore`] | `acquire` | | `try_acquire`, `release`, `available` |
//! | [`Condvar`] | `wait`, `wait_while` | | `notify_one`, `notify_all` |
//! | [`Event`] | `wait` | | `try_wait`, `set`, `clear`, `get` |
//! | [`Barrier`] | `wait` | | |
//! | [`Once`] | `call_once` | | `get` |
//! | [`Channel`] | `send`, `recv` | | `try_send`, `try_recv`, `close`, `len` |
//!
//! [`IrqMutex`] blocks the core, with interrupts off, and may be locked anywhere; its guard forbids waiting.
//! [`relax::YieldFiber`] makes the locks of the crate `spin` let other fibers run while they spin.
//!
//! # Promises
//!
//! - **First come, first served.** What is given back goes straight to the fiber that has waited longest. Nobody who comes
//!   later can take it first, be it ever so urgent: there is no barging.
//! - **Every wait has a deadline form**, `…_until` a moment or `…_timeout` a duration. A deadline that has passed lets the
//!   fiber have what is there at once; [`NEVER`](crate::platform::NEVER) is no deadline. ([`WaitQueue::wait`], which waits for
//!   any wake, has none: give the others a condition.)
//! - **No wake is lost.** A fiber that was served while its deadline passed, or while it was asked to end, keeps what it was
//!   given and returns `Ok`. One that gives up leaves the line before it returns.
//! - Waits for a lock, or for a [`Once`], are not disturbed by cancellation; the others return
//!   [`WaitError::Cancelled`](crate::scheduler::WaitError::Cancelled).

mod barrier;
mod channel;
mod condvar;
mod event;
mod irq_mutex;
mod line;
mod lock_error;
mod locked;
mod mutex;
mod once;
pub mod relax;
mod rw_lock;
mod semaphore;
mod wait_queue;

pub use barrier::{Barrier, BarrierTurn};
pub use channel::{Channel, RecvError, SendError, SendErrorKind};
pub use condvar::Condvar;
pub use event::{Event, Wanted};
pub use irq_mutex::{IrqMutex, IrqMutexGuard};
pub use lock_error::LockError;
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceError};
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Semaphore, TooManyPermits};
pub use wait_queue::WaitQueue;
