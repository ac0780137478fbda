//! For the locks of the crate `spin`: a way to wait that lets other fibers run.

use crate::scheduler::cpu::current;
use crate::scheduler::yield_now;
use core::hint::spin_loop;
use spin::RelaxStrategy;

/// Yields where the caller may wait, and spins elsewhere: outside of fibers, in interrupt handlers, with interrupts off.
///
/// On one core a fiber that spins on a lock whose holder was switched away from spins for ever; with this it does not, as long
/// as the holder's priority is not lower than its own. Where it may be lower use [`Mutex`](crate::sync::Mutex), which blocks
/// and inherits.
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
