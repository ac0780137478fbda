//! What a scheduler does for the kernel's exception handlers.

use crate::platform::Platform;
use crate::scheduler::Scheduler;
use crate::scheduler::cpu::current;
use crate::scheduler::fail;
#[cfg(not(target_os = "linux"))]
use crate::scheduler::overflow::RecoveryFrame;
use crate::scheduler::overflow::{Overflow, Trap};
use crate::scheduler::report::hooks::Report;

impl<P: Platform, const CORES: usize> Scheduler<P, CORES> {
    /// Checks whether an exception is a stack overflow of the running fiber, and if so reports it
    /// to the hooks. The kernel's handlers of `#DB`, `#DF` and `#PF` call this first, each on a
    /// stack of its own. A fiber that overflowed cannot continue: see `recovery_frame`.
    ///
    /// This function reads only control blocks and the running fiber's own stack. Wrong registers
    /// therefore lead to a wrong report, but do no harm.
    ///
    /// ```no_run
    /// # use kfiber::{platform::Host, scheduler::{Scheduler, overflow::Trap}};
    /// # static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
    /// # struct Frame { rip: u64, rsp: u64, rflags: u64 }
    /// # let (frame, error_code, rbp, address) = (Frame { rip: 0, rsp: 0, rflags: 0 }, 0, 0, 0);
    /// let trap = Trap {
    ///     vector: 14,
    ///     error_code,
    ///     rip: frame.rip,
    ///     rsp: frame.rsp,
    ///     rbp,
    ///     rflags: frame.rflags,
    ///     address, // or `..Default::default()`, and then `with_address()`
    /// };
    /// if let Some(overflow) = SCHEDULER.on_exception(&trap) {
    ///     panic!("no more {}", overflow.name);
    /// }
    /// ```
    ///
    /// # Context
    ///
    /// Callable from: exception handler, on the core that runs the scheduler. Takes no lock.
    /// Blocks: nothing.
    pub fn on_exception(&'static self, trap: &Trap) -> Option<Overflow> {
        let run_loop = self.loop_here();
        let mut overflow = run_loop.classify(trap)?;
        let times_before = fail::overflow::remember(current::get(), overflow.registers);
        overflow.is_repeated = times_before > 0;
        // The second report says what is wrong. More of them, in an endless loop, would hide it.
        if times_before < 2 {
            run_loop.report(&Report::Overflow(&overflow));
        }
        Some(overflow)
    }

    /// Returns the address and the stack pointer to which the handler returns after an exception
    /// that [`on_exception`](Self::on_exception) recognised. The running fiber then ends, without
    /// any use of its stack, and the other fibers go on. Whoever joins the fiber gets
    /// [`Failure::Overflowed`].
    ///
    /// Both values must reach the frame that the processor pushed. A handler of type
    /// `extern "x86-interrupt"` has that frame as a parameter by value, which it never reads again.
    /// In a release build the compiler removes plain assignments to it, and the same exception is
    /// raised again. (The second report says so: [`is_repeated`](Overflow::is_repeated).) Write
    /// through a volatile pointer instead:
    ///
    /// ```ignore
    /// extern "x86-interrupt" fn page_fault(mut frame: InterruptStackFrame, error: PageFaultErrorCode) {
    ///     // ...
    ///     if SCHEDULER.on_exception(&trap).is_some() {
    ///         let recovery_frame = SCHEDULER.recovery_frame();
    ///         // SAFETY: the fiber that was interrupted ends there, and nothing on its stack is used any more.
    ///         unsafe {
    ///             frame.as_mut().update(|frame| { // `Volatile`: the stores stay
    ///                 frame.instruction_pointer = VirtAddr::new(recovery_frame.rip);
    ///                 frame.stack_pointer = VirtAddr::new(recovery_frame.rsp);
    ///             });
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// With a frame type of your own, write
    /// `(&raw mut frame.rip).write_volatile(recovery_frame.rip)`, and the same for `rsp`.
    ///
    /// The `#DF` handler of the `x86_64` crate can only report, because its type says that it never
    /// returns. Give `#PF` a stack of the IST: an overflow then ends one fiber there, and does not
    /// cause a `#DF`.
    ///
    /// The exception must not have interrupted a handler that holds something that others need,
    /// such as a lock or an unacknowledged interrupt: see
    /// [`with_interrupts_off`](Overflow::with_interrupts_off).
    ///
    /// # Context
    ///
    /// As [`on_exception`](Self::on_exception).
    #[cfg(not(target_os = "linux"))]
    pub fn recovery_frame(&'static self) -> RecoveryFrame {
        RecoveryFrame {
            rip: fail::overflow::landing as *const () as u64,
            // The alignment is that after a call.
            rsp: self.loop_here().below_root().addr() as u64 - 8,
        }
    }
}
