//! What a kernel's panic handler and exception handlers call, so that a panic or a fault ends one fiber.

use super::failing;
use crate::context;
use crate::platform::interrupts;
use crate::scheduler::cpu::current;
use crate::scheduler::report::failure::{Failure, Fault, Panic};
use crate::scheduler::report::not_contained::NotContained;
use crate::scheduler::run_loop::RunLoop;
use crate::scheduler::task::header::Header;
use core::convert::Infallible;
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::panic::{Location, PanicInfo};
use core::ptr;
use core::sync::atomic::Ordering;

/// What the processor pushes at an exception, in its order, from the lowest address up, without the error code.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionFrame {
    /// Where the code goes on.
    pub instruction_pointer: u64,
    /// The segment of the code; the low two bits are its privilege level.
    pub code_segment: u64,
    /// RFLAGS.
    pub flags: u64,
    /// Where the stack is.
    pub stack_pointer: u64,
    /// The segment of the stack.
    pub stack_segment: u64,
}

/// The interrupt flag.
const INTERRUPTS_ON: u64 = 1 << 9;
/// All flags clear, but the one that is always set.
const NO_FLAGS: u64 = 1 << 1;

/// To be called first in a kernel's `#[panic_handler]`. If the panic is a fiber's own, it reports it, ends the fiber and does
/// not return; otherwise it says why the panic is fatal.
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
/// Nothing is unwound and no destructor runs: see [the chapter on failures](crate::scheduler::failures). A handler that turned
/// interrupts off before would make every panic fatal; so would a handler that yields make the panic wait for its turn.
///
/// # Context
///
/// Callable from: a panic handler. Blocks: nothing.
#[must_use = "it says why the panic is fatal: print it, and stop"]
pub fn fiber_panicked(info: &PanicInfo<'_>) -> NotContained {
    match try_end(info) {
        Ok(never) => match never {},
        Err(why) => why,
    }
}

/// Returns only if the panic is fatal. A frame of its own, so that the buffer is not on the stack before.
#[inline(never)]
fn try_end(info: &PanicInfo<'_>) -> Result<Infallible, NotContained> {
    if current::get().is_null() {
        return Err(NotContained::NotInFiber);
    }
    if !interrupts::are_enabled() {
        return Err(NotContained::InterruptsOff);
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
    // SAFETY: we do not return, and X1: so what lies on this stack, as this text may, and what `info` borrows, stays for good.
    let message = unsafe { core::mem::transmute::<&str, &'static str>(message) };
    // SAFETY: as above.
    let place =
        unsafe { core::mem::transmute::<Option<Location<'_>>, Option<Location<'static>>>(place) };
    let failure = Failure::Panicked(Panic { message, place });
    // SAFETY: `begin` returned it; a fiber with interrupts on is the owner.
    unsafe { failing::end(fiber, failure) };
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: as above; of what is on the stack nothing is used any more by those who clean up, for nobody does.
    let _payload = unsafe { run_loop.exit(fiber) };
    unreachable!("a fiber that failed was switched to");
}

/// To be called by a kernel's exception handlers. If the exception is the running fiber's own doing, it reports it, ends the
/// fiber, and changes `frame` so that returning from the exception leads into the next fiber; otherwise the exception is fatal,
/// and it says why.
///
/// `vector` is the number of the exception, `error_code` what the processor pushed, or 0, and `address` for a page fault what
/// CR2 holds, otherwise 0. All work is done here, none on the fiber's stack: so it may be used up. The other registers may be
/// restored or not before the `iretq`.
///
/// # Errors
///
/// Says why the exception is fatal. The frame is unchanged.
///
/// # Safety
///
/// The exception has just come, at level 0, on this core. `frame` is what the processor pushed for it, and returning from
/// the exception uses it. The handler runs with interrupts off, was not called by another handler of interrupts or exceptions
/// that the same fiber's code was interrupted by, and holds no lock.
///
/// # Context
///
/// Callable from: an exception handler, on any stack. Blocks: nothing.
pub unsafe fn fiber_faulted(
    frame: &mut ExceptionFrame,
    vector: u8,
    error_code: u64,
    address: u64,
) -> Result<(), NotContained> {
    const NON_MASKABLE: u8 = 2;
    const MACHINE_CHECK: u8 = 18;
    if matches!(vector, NON_MASKABLE | MACHINE_CHECK) {
        return Err(NotContained::NotByTheFiber);
    }
    let failure = Failure::Faulted(Fault {
        vector,
        error_code,
        address,
        instruction: frame.instruction_pointer,
        stack_pointer: frame.stack_pointer,
    });
    // SAFETY: the caller's promise.
    unsafe { fail_interrupted(frame, failure) }
}

/// As [`fiber_faulted`], for any failure of the code that the frame is of.
///
/// # Errors
///
/// As there.
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn fail_interrupted(
    frame: &mut ExceptionFrame,
    failure: Failure,
) -> Result<(), NotContained> {
    if current::get().is_null() || frame.code_segment & 3 != 0 {
        return Err(NotContained::NotInFiber);
    }
    if frame.flags & INTERRUPTS_ON == 0 {
        return Err(NotContained::InterruptsOff);
    }
    check(frame)?;
    let fiber = failing::begin()?;
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: `begin` returned it; it is interrupted, where its loop's state is as it should be.
    unsafe { failing::end(fiber, failure) };
    run_loop.live.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: as above; it does not go on.
    let next = unsafe { run_loop.next_for_good(fiber) };
    // SAFETY: C1 and C2: it is to run next, and nobody else continues it.
    let (instruction, stack) = unsafe { context::prepare_arrival(Header::block(next)) };
    frame.instruction_pointer = instruction.addr() as u64;
    frame.stack_pointer = stack.addr() as u64;
    frame.flags = NO_FLAGS;
    Ok(())
}

/// Looks whether the interrupted fiber was in the middle of changing the queues: then a call into the scheduler did not fit
/// on the stack, and fibers would be lost.
fn check(frame: &ExceptionFrame) -> Result<(), NotContained> {
    let fiber = current::get();
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: it runs.
    if unsafe { (*fiber).state.is_failed() } {
        return Err(NotContained::FailedTwice);
    }
    let is_in_stack_of = |other: *const Header| {
        // SAFETY: headers stay readable for good.
        let header = unsafe { &*other };
        let stack = header.stack_bottom.get().addr() as u64..other.addr() as u64;
        !header.state.is_finished() && stack.contains(&frame.stack_pointer)
    };
    let mut others = run_loop.all.iter().filter(|other| !ptr::eq(*other, fiber));
    if others.any(is_in_stack_of) {
        return Err(NotContained::StackOfAnother);
    }
    if run_loop.is_consistent() {
        Ok(())
    } else {
        Err(NotContained::InsideScheduler)
    }
}

impl RunLoop {
    /// Whether every fiber that is ready is in a ring, and every one that was woken from elsewhere in the inbox. Takes time.
    pub(crate) fn is_consistent(&self) -> bool {
        let (mut live, mut ready, mut posted) = (0, 0, 0);
        for fiber in self.all.iter() {
            // SAFETY: headers stay readable for good.
            let state = unsafe { &(*fiber).state };
            live += usize::from(!state.is_finished());
            ready += usize::from(!state.is_finished() && !state.is_waiting());
            posted += usize::from(!state.is_finished() && state.is_waiting() && !state.is_parked());
        }
        posted += usize::from(self.root.state.has_requests());
        live == self.live.load(Ordering::Relaxed)
            && self.ready.count(live) == Some(ready)
            && self.inbox.count() == posted
    }
}

/// Text of a bounded length.
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
    /// Takes what fits, in whole characters; says no to the rest, and to all that follows.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(Panic::LENGTH - self.length);
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
