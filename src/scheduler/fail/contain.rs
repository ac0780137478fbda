//! The functions that a kernel's panic handler and exception handlers call, so that a panic or a
//! fault ends only one fiber.

use super::failing;
use super::overflow::{landing, remember};
use super::trap::{DOUBLE_FAULT, PAGE_FAULT};
use crate::context;
use crate::instructions::{INTERRUPT_FLAG, code_segment};
use crate::platform::interrupts;
use crate::scheduler::cpu::current;
use crate::scheduler::report::failure::{Failure, Fault, Panic};
use crate::scheduler::report::fatal_reason::FatalReason;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::report::overflow::Overflow;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::prefix::prefix_bytes;
use crate::trap::TrapFrame;
use core::convert::Infallible;
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::panic::{Location, PanicInfo};
use core::ptr;
#[cfg(not(feature = "smp"))]
use core::sync::atomic::Ordering;

/// RFLAGS with all flags clear except the one that is always set.
const NO_FLAGS: u64 = 1 << 1;

/// Vectors that no instruction of a fiber raises (Intel SDM, volume 3, table 6-1).
const NON_MASKABLE: u8 = 2;
const MACHINE_CHECK: u8 = 18;
/// Vectors from here on are those of devices.
const FIRST_INTERRUPT: u8 = 32;

/// Ends the running fiber if the panic is its own; otherwise returns the reason why the panic is
/// fatal. A kernel's `#[panic_handler]` calls this first. If the fiber is ended, the failure is
/// reported and the function does not return.
///
/// ```no_run
/// # use core::panic::PanicInfo;
/// // #[panic_handler]
/// fn on_panic(info: &PanicInfo<'_>) -> ! {
///     let why = kfiber::scheduler::fiber_panicked(info);
///     // print `info` and `why`, and stop
///     # loop {}
/// }
/// ```
///
/// Nothing is unwound and no destructor runs: see [the chapter on
/// failures](crate::scheduler::failures). If the handler turns interrupts off before this call,
/// every panic is fatal. If it yields, the panic waits for its turn.
///
/// # Context
///
/// Callable from: a panic handler. Blocks: nothing.
#[must_use = "it says why the panic is fatal: print it, and stop"]
pub fn fiber_panicked(info: &PanicInfo<'_>) -> FatalReason {
    match try_end(info) {
        Ok(never) => match never {},
        Err(why) => why,
    }
}

/// Returns only if the panic is fatal. It has a frame of its own, so that the buffer is not on the
/// stack earlier.
#[inline(never)]
fn try_end(info: &PanicInfo<'_>) -> Result<Infallible, FatalReason> {
    if current::get_warily().is_null() {
        return Err(FatalReason::NotInFiber);
    }
    if !interrupts::are_enabled() {
        return Err(FatalReason::InterruptsOff);
    }
    let fiber = failing::begin()?;
    let mut text = Text {
        bytes: [MaybeUninit::uninit(); Panic::LENGTH],
        length: 0,
    };
    let message = info.message();
    let message: &str = message.as_str().unwrap_or_else(|| {
        let _is_cut = write!(text, "{message}");
        text.written()
    });
    let place = info.location().copied();
    // SAFETY: we do not return. By X1, what lies on this stack stays permanently: this text, if it
    // is there, and what `info` borrows.
    let message = unsafe { core::mem::transmute::<&str, &'static str>(message) };
    // SAFETY: as above.
    let place =
        unsafe { core::mem::transmute::<Option<Location<'_>>, Option<Location<'static>>>(place) };
    let failure = Failure::Panicked(Panic { message, place });
    // SAFETY: `begin` returned it; a fiber with interrupts on is the owner.
    unsafe { failing::end(fiber, failure) };
    // What displays the message, a waker or a hook may have left them off.
    interrupts::enable();
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: as above. Nothing on the stack is used any more, since no destructor runs.
    let _payload = unsafe { run_loop.exit(fiber, failing::stay) };
    unreachable!("a fiber that failed was switched to");
}

/// Decides what an exception means, and ends the running fiber if the exception is its own. See
/// [`handle`](crate::exceptions::handle).
///
/// # Errors
///
/// Returns the reason why the exception is fatal. The frame is then unchanged.
///
/// # Safety
///
/// As for [`handle`](crate::exceptions::handle).
pub(crate) unsafe fn contain(frame: &mut TrapFrame, address: u64) -> Result<(), FatalReason> {
    let vector = match u8::try_from(frame.vector) {
        Ok(NON_MASKABLE | MACHINE_CHECK | FIRST_INTERRUPT..) | Err(_) => {
            return Err(FatalReason::NotByTheFiber);
        }
        Ok(vector) => vector,
    };
    let fiber = current::get_warily();
    if fiber.is_null() {
        return Err(FatalReason::NotInFiber);
    }
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    if let Some(overflow) = run_loop.classify(frame, address) {
        run_loop.report_trapped(overflow);
        return match () {
            () if overflow.with_interrupts_off => Err(FatalReason::InterruptsOff),
            () if !run_loop.has_hooks() => Err(FatalReason::NoHooks),
            () => {
                // SAFETY: the caller's promise.
                unsafe { end_overflowed(frame) };
                Ok(())
            }
        };
    }
    if frame.vector == DOUBLE_FAULT {
        // What was being done when the second fault came is unknown.
        return Err(FatalReason::NotByTheFiber);
    }
    let failure = Failure::Faulted(Fault {
        vector,
        error_code: frame.error_code,
        address: if frame.vector == PAGE_FAULT {
            address
        } else {
            0
        },
        instruction: frame.rip,
        stack_pointer: frame.rsp,
        is_in_user_mode: frame.is_from_user_mode(),
    });
    // SAFETY: the caller's promise.
    unsafe { fail_interrupted(frame, failure) }
}

/// Changes the frame so that returning from the exception ends the running fiber, which has overflowed
/// its stack. Nothing on that stack is used any more.
///
/// # Safety
///
/// As for [`end_overflowed`](crate::exceptions::end_overflowed). A fiber runs.
pub(crate) unsafe fn end_overflowed(frame: &mut TrapFrame) {
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(current::get()) };
    frame.rip = landing as *const () as u64;
    // The alignment is that after a call.
    frame.rsp = run_loop.below_root().addr() as u64 - 8;
    frame.rflags = frame.rflags & INTERRUPT_FLAG | NO_FLAGS;
}

/// Ends the running fiber, for any failure of the code that `frame` belongs to.
///
/// # Errors
///
/// As for [`contain`].
///
/// # Safety
///
/// As for [`contain`].
pub(crate) unsafe fn fail_interrupted(
    frame: &mut TrapFrame,
    failure: Failure,
) -> Result<(), FatalReason> {
    if current::get().is_null() {
        return Err(FatalReason::NotInFiber);
    }
    let is_from_user_mode = frame.is_from_user_mode();
    // User code holds nothing of the kernel's, whatever its flags are.
    if !is_from_user_mode && frame.rflags & INTERRUPT_FLAG == 0 {
        return Err(FatalReason::InterruptsOff);
    }
    check(frame)?;
    let fiber = failing::begin()?;
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: `begin` returned it; it is interrupted, where its loop's state is as it should be.
    unsafe { failing::end(fiber, failure) };
    #[cfg(not(feature = "smp"))]
    run_loop.count_end();
    // SAFETY: as above; it does not go on.
    let next = unsafe { run_loop.next_for_good(fiber) };
    // It has left its stack, since this is another.
    #[cfg(feature = "smp")]
    run_loop.team().one_has_ended();
    // SAFETY: C1 and C2: it is to run next, and nobody else continues it.
    let (instruction, stack) = unsafe { context::prepare_arrival(Header::block(next)) };
    frame.rip = instruction.addr() as u64;
    frame.rsp = stack.addr() as u64;
    frame.rflags = NO_FLAGS;
    if is_from_user_mode {
        frame.cs = code_segment().into();
        // The processor itself loads null when it enters the kernel (Intel SDM, volume 3, 6.14.2).
        frame.ss = 0;
    }
    Ok(())
}

/// Checks whether the interrupted fiber was in the middle of changing the queues. If so, a call
/// into the scheduler did not fit on the stack, and fibers would be lost.
fn check(frame: &TrapFrame) -> Result<(), FatalReason> {
    let fiber = current::get();
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: it runs.
    if unsafe { (*fiber).state.is_failed() } {
        return Err(FatalReason::FailedTwice);
    }
    let is_in_stack_of = |other: *const Header| {
        // SAFETY: headers stay readable for good.
        let header = unsafe { &*other };
        let stack = header.stack_bottom.get().addr() as u64..other.addr() as u64;
        !header.state.is_finished() && stack.contains(&frame.rsp)
    };
    let mut others = run_loop
        .team()
        .all
        .iter()
        .filter(|other| !ptr::eq(*other, fiber));
    // A stack pointer of user code says nothing about stacks of the kernel.
    if !frame.is_from_user_mode() && others.any(is_in_stack_of) {
        return Err(FatalReason::StackOfAnother);
    }
    if run_loop.is_consistent() {
        Ok(())
    } else {
        Err(FatalReason::InsideScheduler)
    }
}

impl RunLoop {
    /// Reports an overflow that an exception has shown, unless the same was reported twice.
    fn report_trapped(&self, mut overflow: Overflow) {
        let times_before = remember(current::get(), overflow.registers);
        overflow.is_repeated = times_before > 0;
        // The second report says what is wrong. More of them, in an endless loop, would hide it.
        if times_before < 2 {
            self.report(&Report::Overflow(&overflow));
        }
    }

    /// Returns whether every fiber that is ready is in a ring, and every fiber that was woken from
    /// elsewhere is in the inbox. This is slow.
    #[cfg(not(feature = "smp"))]
    pub(crate) fn is_consistent(&self) -> bool {
        let (mut live, mut ready, mut posted) = (0, 0, 0);
        for fiber in self.team().all.iter() {
            // SAFETY: headers stay readable for good.
            let state = unsafe { &(*fiber).state };
            live += usize::from(!state.is_finished());
            ready += usize::from(!state.is_finished() && !state.is_waiting());
            posted += usize::from(!state.is_finished() && state.is_waiting() && !state.is_parked());
        }
        posted += usize::from(self.root.state.has_requests());
        live == self.team().live.load(Ordering::Relaxed)
            && self.ready.count(live) == Some(ready)
            && self.inbox.count() == posted
    }

    /// Returns whether every ready fiber of this loop is in a ring. This is slow. (Other cores change
    /// the rest meanwhile.)
    #[cfg(feature = "smp")]
    pub(crate) fn is_consistent(&self) -> bool {
        let (mut all, mut ready) = (0, 0);
        for fiber in self.team().all.iter() {
            // SAFETY: headers stay readable for good.
            let state = unsafe { &(*fiber).state };
            // SAFETY: as above.
            let is_ours = ptr::eq(unsafe { Self::of(fiber) }, self);
            all += 1;
            ready += usize::from(is_ours && !state.is_finished() && !state.is_waiting());
        }
        self.ready.count(all) == Some(ready)
    }
}

/// A text of bounded length.
struct Text {
    bytes: [MaybeUninit<u8>; Panic::LENGTH],
    length: usize,
}

impl Text {
    fn written(&self) -> &str {
        let bytes = &raw const self.bytes[..self.length];
        // SAFETY: so many were written.
        let bytes = unsafe { &*(bytes as *const [u8]) };
        // SAFETY: whole characters were written.
        unsafe { str::from_utf8_unchecked(bytes) }
    }
}

impl Write for Text {
    /// Takes what fits, in whole characters. Returns an error for the rest, and for everything that
    /// follows.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = prefix_bytes(text, Panic::LENGTH - self.length);
        for byte in text.bytes().take(end) {
            self.bytes[self.length].write(byte);
            self.length += 1;
        }
        if end == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}
