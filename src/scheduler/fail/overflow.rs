//! What happens to a fiber that a check at a switch suspects: whether it is an overflow, the
//! report, and the end of the fiber.

use super::failing;
use crate::context::{ControlBlock, Payload};
use crate::platform::interrupts;
#[cfg(not(target_os = "linux"))]
use crate::scheduler::cpu::current;
use crate::scheduler::report::failure::Failure;
use crate::scheduler::report::hooks::Report;
use crate::scheduler::report::neighbour::Part;
use crate::scheduler::report::overflow::{Detector, Overflow};
use crate::scheduler::report::registers::Registers;
use crate::scheduler::run_loop::RunLoop;
#[cfg(doc)]
use crate::scheduler::run_loop::stack_check::{before_leaving, before_running};
#[cfg(not(target_os = "linux"))]
use crate::scheduler::run_loop::suspicion::finds_its_stack;
use crate::scheduler::run_loop::suspicion::{ON_SUSPICION, Suspicion, may_wait_elsewhere};
use crate::scheduler::task::header::Header;
use crate::stack::{StackBounds, canary_address, is_canary_intact};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// How far below its stack a stack pointer is taken for an overflow where no memory of a known
/// fiber is. Further away it belongs to a stack that we do not know.
const NEAR: usize = 64 * 1024;

/// Turns on the reporting of overflows. From now on they end their fibers.
pub(crate) fn report_from_here_on() {
    ON_SUSPICION.set(on_suspicion);
}

/// Decides whether there is an overflow. Returns if there is none.
///
/// # Safety
///
/// As for [`before_leaving`], but on the stack of the loop's own context; or as for
/// [`before_running`].
unsafe fn on_suspicion(fiber: *const Header, suspicion: Suspicion, registers: Registers) {
    // SAFETY: it is alive.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: it has a fiber.
    let stack = unsafe { Header::stack(fiber) };
    let sp = usize::try_from(registers.rsp).unwrap_or(0);
    // SAFETY: it has a fiber.
    if suspicion == Suspicion::Stored && unsafe { may_wait_elsewhere(fiber, sp) } {
        return;
    }
    let (detector, lowest) = if suspicion == Suspicion::Stored {
        (Detector::SavedStackPointer, sp)
    // SAFETY: the caller's promise: it has just made the call that brought us here.
    } else if unsafe { is_overflow(run_loop, fiber, sp) } {
        (Detector::StackPointer, sp)
    // SAFETY: S1, of a cell's stack.
    } else if !unsafe { is_canary_intact(stack) } {
        (Detector::Canary, canary_address(stack))
    } else {
        return;
    };
    // SAFETY: the caller's promise.
    unsafe { on_overflow(fiber, detector, lowest, registers) };
}

/// Reports the overflow of a fiber that runs, and ends the fiber. A fiber that is about to run ends
/// as soon as it runs.
///
/// # Safety
///
/// As for [`before_leaving`], on the stack of the loop's own context; or as for [`before_running`].
unsafe fn on_overflow(
    fiber: *const Header,
    detector: Detector,
    lowest: usize,
    registers: Registers,
) {
    // SAFETY: it is alive. Cells stay for good.
    let header = unsafe { &*fiber };
    // SAFETY: as above.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: it has a fiber.
    let mut overflow = unsafe { Overflow::new(header, detector, lowest, registers) };
    let bottom = overflow.stack.bottom().addr();
    overflow.damaged = match detector {
        Detector::StackPointer => run_loop.team().all.neighbour_below(lowest..bottom, fiber),
        // A fiber that goes down word by word reaches this neighbour next.
        Detector::Canary => run_loop
            .team()
            .all
            .neighbour_below(bottom - 1..bottom, fiber),
        _ => None,
    };
    run_loop.report(&Report::Overflow(&overflow));
    remember(fiber, registers);
    if detector == Detector::SavedStackPointer {
        let sp = run_loop.below_root();
        // SAFETY: root does not run, and what is below its stack pointer is used only for a moment.
        // The fiber never comes back from there. `condemned` does not unwind.
        unsafe { ControlBlock::init(Header::block(fiber), sp, condemned) };
    } else {
        // The fiber may have been about to wait, and may be in a queue of waiters.
        // SAFETY: it runs, and we are its owner, and do not come back.
        unsafe { failing::leave_wait(fiber) };
        // SAFETY: it runs, and we are on another stack.
        unsafe { end(run_loop, fiber) };
    }
}

/// The place of the last overflow whose fiber is about to end: rip, rsp, rbp, the fiber, its
/// generation, and how often the overflow was noticed there.
#[cfg(not(feature = "smp"))]
static LAST: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];

/// Returns the place of the last overflow in the loop of a fiber.
fn last(fiber: *const Header) -> &'static [AtomicU64; 6] {
    #[cfg(not(feature = "smp"))]
    {
        let _one_core = fiber;
        &LAST
    }
    #[cfg(feature = "smp")]
    // SAFETY: headers stay readable for good.
    &unsafe { RunLoop::of(fiber) }.last_overflow
}

/// Stores the place where the overflow was noticed, until the fiber ends. Returns how often it was
/// noticed there before.
pub(crate) fn remember(fiber: *const Header, registers: Registers) -> u64 {
    let Registers { rip, rsp, rbp } = registers;
    // SAFETY: headers stay readable for good.
    let generation = unsafe { (*fiber).state.generation() };
    let [place @ .., count] = last(fiber);
    let now = [rip, rsp, rbp, fiber.addr() as u64, generation.into()];
    let is_same = place
        .iter()
        .zip(now)
        // All words are stored, even after one that differs.
        .fold(true, |is_same, (word, now)| {
            word.swap(now, Ordering::Relaxed) == now && is_same
        });
    let before = if is_same {
        count.load(Ordering::Relaxed)
    } else {
        0
    };
    count.store(before + 1, Ordering::Relaxed);
    before
}

/// The body of a fiber that cannot continue where it was.
///
/// # Safety
///
/// The block is that of a fiber that runs.
unsafe extern "sysv64" fn condemned(_payload: Payload, block: *mut ControlBlock) -> Payload {
    let fiber: *const Header = block.cast_const().cast();
    // SAFETY: it runs.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // SAFETY: as above. What it waited for it does not any more.
    unsafe { failing::leave_wait(fiber) };
    // SAFETY: as above, and we are on the stack of root.
    unsafe { end(run_loop, fiber) }
}

/// Ends a fiber permanently. Nobody runs on its stack any more, and nobody ever will.
///
/// # Safety
///
/// The fiber runs in the loop, as its owner, and the caller is not on its stack.
unsafe fn end(run_loop: &'static RunLoop, fiber: *const Header) -> ! {
    let [rip, rsp, rbp, ..] = last(fiber)
        .each_ref()
        .map(|word| word.load(Ordering::Relaxed));
    if let Err(why) = failing::begin() {
        panic!("the fiber that overflowed its stack cannot be ended: {why}");
    }
    // SAFETY: it is the fiber that `begin` returned, and we are the owner.
    unsafe { failing::end(fiber, Failure::Overflowed(Registers { rip, rsp, rbp })) };
    interrupts::enable();
    // SAFETY: the caller's promise.
    unsafe { run_loop.leave_for_good(fiber, failing::stay) };
    unreachable!("a fiber that has ended was switched to");
}

/// The place where the running fiber continues after an exception that it does not survive. It runs
/// on the stack of root, the loop's own context.
#[cfg(not(target_os = "linux"))]
pub(crate) unsafe extern "sysv64" fn landing() -> ! {
    let fiber = current::get();
    // SAFETY: it runs: its exception brought us here.
    let run_loop = unsafe { RunLoop::of(fiber) };
    // A handler that wakes a fiber meanwhile would change what is compared. `end` turns them on again.
    interrupts::disable();
    assert!(
        run_loop.is_consistent(),
        "a fiber overflowed its stack in the middle of a switch, and others would be lost"
    );
    // SAFETY: as above.
    if !unsafe { finds_its_stack(fiber) } {
        // The fiber has not returned from the place where it waited.
        // SAFETY: as above, and it never comes back.
        unsafe { failing::leave_wait(fiber) };
    }
    // SAFETY: as above.
    unsafe { end(run_loop, fiber) }
}

/// Returns whether a fiber with this stack pointer has left its stack through the bottom, and not
/// because it runs a [`Fiber`](crate::fiber::Fiber) on another stack: it is in the memory of
/// another fiber, or near its own stack.
///
/// # Safety
///
/// The fiber runs, and `sp` is its stack pointer, below which code has just run. What lies between
/// there and its stack is therefore mapped, except for the guard.
unsafe fn is_overflow(run_loop: &RunLoop, fiber: *const Header, sp: usize) -> bool {
    // SAFETY: it runs.
    let stack = unsafe { Header::stack(fiber) };
    let bottom = stack.bottom().addr();
    if sp > bottom {
        return false;
    }
    let neighbour = run_loop.team().all.neighbour_at(sp, fiber);
    neighbour.is_some_and(|at| at.part != Part::Guard)
        // SAFETY: the caller's promise.
        || bottom - sp <= NEAR && !unsafe { is_below_a_fiber(stack, sp) }
}

/// Returns whether the control block of a fiber that was resumed by code on the stack lies between
/// this stack pointer and the bottom of the stack. There is one at the top of every
/// [`Fiber`](crate::fiber::Fiber)'s stack.
///
/// # Safety
///
/// As [`is_overflow`].
unsafe fn is_below_a_fiber(stack: StackBounds, sp: usize) -> bool {
    let first = sp.next_multiple_of(align_of::<ControlBlock>());
    let blocks = (first..stack.guard().start).step_by(align_of::<ControlBlock>());
    blocks.into_iter().any(|at| {
        let block: *const ControlBlock = ptr::with_exposed_provenance(at);
        // SAFETY: the caller's promise. Nothing is taken for what it says without being looked at.
        let block = unsafe { block.read_volatile() };
        let resumed_on = block.parent().stack_pointer().addr();
        // Frames also hold pointers into other stacks. Only a control block holds, in the right
        // places, a pointer into the resumer's stack, one into its own, and the address of a
        // landing.
        let own = block.own().stack_pointer().addr();
        stack.contains(resumed_on)
            && own <= at
            && at - own <= NEAR
            && is_landing(block.parent().instruction_pointer())
    })
}

/// Returns whether a switch lands at this address, which holds an `endbr64`.
fn is_landing(ip: *const ()) -> bool {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    // SAFETY: it stands where the address of an instruction stands in a control block.
    !ip.is_null() && unsafe { ip.cast::<[u8; 4]>().read_volatile() } == ENDBR64
}
