//! A relax strategy for the locks of the crate `spin` that lets other fibers run.

use crate::atomic::spin_loop;
use crate::scheduler::cpu::current;
use crate::scheduler::yield_now;
use spin::RelaxStrategy;

/// A relax strategy that yields where the caller may wait, and spins elsewhere: outside of fibers,
/// in interrupt handlers, and with interrupts off.
///
/// If a fiber spins on a lock whose holder was switched out on the same core, it spins forever.
/// With this strategy the holder runs, provided that its priority is not lower than that of the
/// spinning fiber. If it may be lower, use a [`Mutex`](crate::sync::Mutex), which blocks and
/// implements priority inheritance.
///
/// ```
/// use kfiber::sync::relax::YieldFiber;
/// static LOCK: spin::mutex::SpinMutex<u32, YieldFiber> = spin::mutex::SpinMutex::new(0);
/// *LOCK.lock() += 1;
/// ```
#[derive(Debug)]
pub struct YieldFiber;

impl RelaxStrategy for YieldFiber {
    #[inline]
    fn relax() {
        if current::may_wait() {
            yield_now();
        } else {
            spin_loop();
        }
    }
}
