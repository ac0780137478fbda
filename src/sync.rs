//! Synchronization primitives for fibers: locks, semaphores, events, channels.
//!
//! Each primitive has a `const fn new()`, so that it can be kept in a static.
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
//! The columns say what a call blocks: the calling fiber, so that other fibers run meanwhile, or
//! nothing. A call that blocks the fiber panics where waiting is not allowed, and the message says
//! why. A call that is allowed in interrupt handlers is also allowed on any core, which on the bare
//! machine needs the feature `smp`.
//!
//! | | blocks the fiber; from fibers | blocks nothing; from fibers | blocks nothing; also from interrupt handlers |
//! |---|---|---|---|
//! | [`WaitQueue`] | `wait`, `wait_while` | | `wake_one`, `wake_all` |
//! | [`Mutex`] | `lock` | `try_lock`, dropping the guard | `is_locked`, `owner` |
//! | [`RwLock`] | `read`, `write` | `try_read`, `try_write`, `downgrade`, dropping the guards | `is_locked` |
//! | [`Semaphore`] | `acquire` | | `try_acquire`, `release`, `available` |
//! | [`Condvar`] | `wait`, `wait_while` | | `notify_one`, `notify_all` |
//! | [`Event`] | `wait` | | `try_wait`, `set`, `clear`, `get` |
//! | [`Barrier`] | `wait` | | |
//! | [`Once`] | `call_once` | | `get` |
//! | [`Channel`] | `send`, `recv` | | `try_send`, `try_recv`, `close`, `len` |
//!
//! [`IrqMutex`] blocks the core, with interrupts off. It may be locked anywhere, and waiting is
//! forbidden while its guard lives. With [`relax::YieldFiber`], the locks of the crate `spin` yield
//! to other fibers instead of spinning.
//!
//! # Promises
//!
//! - **First come, first served.** Whatever is released is handed directly to the fiber that has
//!   waited longest. No later fiber can take it first, whatever its priority: there is no barging.
//! - **Every wait has a form with a deadline**: `…_until` takes a moment, and `…_timeout` takes a
//!   duration. A form with `…_while` takes a condition, which is true as long as the fiber has to
//!   wait. If the deadline has already passed, the fiber still takes what is available at once.
//!   [`NEVER`](crate::platform::NEVER) means that there is no deadline. The exception is
//!   [`WaitQueue::wait`], which waits for any wake-up; the waits of [`WaitQueue`] with a condition
//!   have these forms.
//! - **No wake-up is lost.** A fiber that was served while its deadline passed, or while it was
//!   cancelled, keeps what it was given and returns `Ok`. A fiber that gives up leaves the queue
//!   before it returns.
//! - Cancellation does not interrupt a wait for a lock or for a [`Once`]. All other waits return
//!   [`WaitError::Cancelled`](crate::scheduler::WaitError::Cancelled).

mod barrier;
mod channel;
mod condvar;
mod event;
mod guard;
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
pub use bitflags;
pub use channel::{Channel, RecvError, SendError, SendErrorKind};
pub use condvar::Condvar;
pub use event::{Event, Wanted};
pub use irq_mutex::{IrqMutex, IrqMutexGuard};
pub use lock_error::LockError;
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard};
pub use once::{Once, OnceError};
pub use rw_lock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub use semaphore::{Semaphore, TooManyPermits};
pub use wait_queue::WaitQueue;
