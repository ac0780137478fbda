//! Executes a scene instruction by instruction, and unwinds at each one of them.
//!
//! Before each instruction: the running chain is walked to its end, and so is every fiber that is suspended or new, from
//! the registers in its block. Each caller's address and its rsp, rbp and rbx must be those that the shadow knows.

use tests_qemu::exceptions::{self, TrapFrame};
use tests_qemu::{cpu, println};
use tests_unwind::{Broken, Registers, Unwinder};
use x86_64::registers::rflags::RFlags;

use super::rbp;
use super::scene::{self, kfiber_test_scene_stop};
use super::shadow::{CONTEXTS, Link, Place, Shadow};
use super::walk::{Counts, Expected, MAX_CALLERS, place};
use crate::unwinding::{DEBUG, Kept, interrupted, is_at_pushfq, unwinder};

/// Walks that are shown in full when they are wrong.
const SHOWN: u64 = 3;

struct Watch {
    unwinder: Unwinder,
    shadow: Shadow,
    expected: Expected,
    counts: Counts,
    /// Where the marker function of suspended fibers is.
    marker: u64,
    is_after_pushfq: bool,
    /// The fibers whose links were seen to be cut since they last ran.
    is_cut: [bool; CONTEXTS],
    rbp: rbp::Counts,
}

static WATCH: Kept<Watch> = Kept::nothing();

/// Ends the stepping: the hook clears the flag at its first instruction.
#[unsafe(no_mangle)]
#[inline(never)]
const extern "C" fn kfiber_test_scene_end() {
    core::hint::black_box(());
}

/// Reads the unwind tables; once, before all scenes.
pub(super) fn load() {
    let unwinder = unwinder();
    println!("unwind entries of {} functions", unwinder.functions());
    WATCH.fill(Watch {
        unwinder,
        shadow: Shadow::new(),
        expected: Expected::NONE,
        counts: Counts::default(),
        marker: 0,
        is_after_pushfq: false,
        is_cut: [false; CONTEXTS],
        rbp: rbp::Counts::default(),
    });
}

/// Plays a scene step by step.
#[inline(never)]
pub(super) fn watch(is_symmetric: bool, play: impl FnOnce()) -> (Counts, rbp::Counts) {
    let watch = WATCH.get();
    watch.counts = Counts::default();
    watch.rbp = rbp::Counts::default();
    watch.shadow.begin(is_symmetric);
    exceptions::hook(DEBUG, on_step);
    // SAFETY: The hook handles the trap, and ends it.
    unsafe { cpu::set_flags(RFlags::TRAP_FLAG) };
    play();
    kfiber_test_scene_end();
    exceptions::unhook(DEBUG);
    (WATCH.get().counts, WATCH.get().rbp)
}

fn on_step(frame: &mut TrapFrame) {
    let watch = WATCH.get();
    if frame.rip == kfiber_test_scene_end as *const () as u64 {
        frame.rflags &= !RFlags::TRAP_FLAG.bits();
        return;
    }
    for index in 0..CONTEXTS {
        if let Some(block) = scene::announced(index) {
            watch.add(index, block.cast());
        }
    }
    if watch.counts.steps == 0 {
        watch.begin(frame);
    }
    watch.counts.steps += 1;
    watch.shadow.step(frame);
    if watch.shadow.is_switching() {
        watch.counts.in_switch += 1;
    }
    watch.check_running(frame);
    for index in 1..CONTEXTS {
        if watch.shadow.is_suspended(index) {
            watch.check_suspended(index, frame);
        } else {
            watch.is_cut[index] = false;
        }
    }
    if frame.rip == kfiber_test_scene_stop as *const () as u64 {
        watch.check_stop(frame);
    }
    watch.is_after_pushfq = is_at_pushfq(frame);
}

impl Watch {
    fn add(&mut self, index: usize, block: *const u64) {
        // SAFETY: Offset 8 of a block is the address behind its fiber: of the marker, as it is new.
        self.marker = unsafe { block.wrapping_add(1).read_volatile() };
        self.shadow.add(index, own_registers(index));
    }

    /// Takes the callers of the scene's first function from a walk. The scene itself is checked against calls.
    fn begin(&mut self, frame: &TrapFrame) {
        self.expected.count = 0;
        let (expected, start) = (&mut self.expected, interrupted(frame));
        let walked = self.unwinder.walk(start, |caller| {
            expected.push(place(caller));
            true
        });
        walked.expect("the walk before the scene ends at the kernel's entry");
        let outermost = self
            .expected
            .callers()
            .last()
            .expect("the scene has callers");
        assert_eq!(
            self.unwinder.function(outermost.ip - 1),
            Some(kfiber_test_start as *const () as u64),
            "the outermost caller is the kernel's entry"
        );
        self.shadow.set_callers(self.expected.callers());
    }

    fn check_running(&mut self, frame: &TrapFrame) {
        let expected = &mut self.expected;
        expected.count = 0;
        let has_outermost = self.shadow.callers(|place| expected.push(place));
        self.counts.deepest = self.counts.deepest.max(expected.count);
        if self.is_after_pushfq {
            self.counts.reading_flags += 1;
            return;
        }
        if cfg!(kfiber_frame_pointers) {
            let (shadow, expected) = (&self.shadow, &self.expected);
            let frameless = rbp::Frameless {
                functions: &frameless_functions(),
                function_at: &|ip| self.unwinder.function(ip),
            };
            self.rbp
                .check(frame, shadow, expected, self.marker, &frameless);
        }
        let is_without_entry = self.unwinder.function(frame.rip).is_none();
        if is_without_entry && is_in_memory_function(&self.shadow) {
            self.counts.in_memory_functions += 1;
            return;
        }
        self.compare(interrupted(frame), !has_outermost);
    }

    /// What the block of a fiber that does not run says about its resumer.
    fn link(&mut self, index: usize, frame: &TrapFrame) -> Link {
        let link = scene::block(index).cast::<u64>().wrapping_add(1);
        // SAFETY: The block is alive, for its fiber has not ended.
        let ip = unsafe { link.read_volatile() };
        if ip == self.marker {
            self.is_cut[index] = true;
            return Link::Cut;
        }
        self.counts.linked += 1;
        if !self.is_cut[index] {
            return Link::Left;
        }
        assert!(
            (frame.rip..frame.rip + 64).contains(&ip),
            "the link to a resumer is made by the resumer"
        );
        Link::Made(Place {
            ip,
            sp: frame.rsp,
            rbp: frame.rbp,
            rbx: frame.rbx,
        })
    }

    fn check_suspended(&mut self, index: usize, frame: &TrapFrame) {
        self.expected.count = 0;
        let link = self.link(index, frame);
        if matches!(link, Link::Left) && self.shadow.has_resumer_returned(index) {
            self.counts.stale += 1;
            return;
        }
        let has_outermost = self
            .shadow
            .frames_of(index, link, |place| self.expected.push(place));
        if cfg!(kfiber_frame_pointers) {
            let frameless = rbp::Frameless {
                functions: &frameless_functions(),
                function_at: &|ip| self.unwinder.function(ip),
            };
            let is_cut = matches!(link, Link::Cut);
            // SAFETY: The block is alive, and begins with the saved rbp of the fiber's resumer.
            let link_rbp = unsafe { scene::block(index).cast::<u64>().read_volatile() };
            let marker = (!has_outermost).then_some(self.marker);
            self.rbp
                .check_suspended(&self.expected, marker, is_cut && link_rbp != 0, &frameless);
        }
        let expected = &mut self.expected;
        let own = own_registers(index);
        assert_eq!(
            expected.places[0], own,
            "the block holds what the fiber goes on with"
        );
        expected.places.copy_within(1..expected.count, 0);
        expected.count -= 1;
        let start = Registers::suspended(own.ip, own.sp, own.rbp, own.rbx);
        self.compare_from(start, !has_outermost, own.ip);
    }

    fn compare(&mut self, start: Registers, ends_in_marker: bool) {
        self.compare_from(start, ends_in_marker, start.ip());
    }

    /// Walks and compares. The context of a fiber that does not run goes on at a return address, which is looked up
    /// like an interrupted instruction: a debugger does so too.
    fn compare_from(&mut self, start: Registers, ends_in_marker: bool, ip: u64) {
        self.counts.walks += 1;
        let (expected, marker) = (&self.expected, self.marker);
        let mut found = 0;
        let mut is_right = true;
        let walked = self.unwinder.walk(start, |caller| {
            is_right &= match expected.callers().get(found) {
                Some(expected) => *expected == place(caller),
                None => ends_in_marker && found == expected.count && caller.ip() == marker,
            };
            found += 1;
            is_right
        });
        is_right &= walked.is_ok() && found == expected.count + usize::from(ends_in_marker);
        if !is_right {
            self.counts.wrong += 1;
            if self.counts.wrong <= SHOWN {
                println!("wrong at rip={ip:#x}, in frame {found}");
                self.show(start, walked);
            }
        }
    }

    fn show(&mut self, start: Registers, walked: Result<(), Broken>) {
        for place in self.expected.callers() {
            println!("  expected {place:x?}");
        }
        // The result was seen already.
        let _again = self.unwinder.walk(start, |caller| {
            println!("  found    {:x?}", place(caller));
            true
        });
        println!("  {walked:?}");
    }

    /// The functions of the scene, by the addresses that the compiler gives for them, are on the chain in their order.
    fn check_stop(&mut self, frame: &TrapFrame) {
        let mut wanted = super::functions_at_stop(frame.rdi);
        let mut found = 0;
        let mut addresses = [0; MAX_CALLERS];
        let walked = self.unwinder.walk(interrupted(frame), |caller| {
            addresses[found] = caller.ip() - 1;
            found += 1;
            true
        });
        let mut next = wanted.next();
        for address in &addresses[..found] {
            if next.is_some_and(|function| self.unwinder.function(*address) == Some(function)) {
                next = wanted.next();
            }
        }
        if walked.is_ok() && next.is_none() {
            self.counts.stops += 1;
        } else {
            println!(
                "wrong at stop {}: {walked:?}, missing {next:x?} in {:x?}",
                frame.rdi,
                &addresses[..found]
            );
        }
    }
}

unsafe extern "C" {
    fn kfiber_test_start();
    fn memcpy();
    fn memmove();
    fn memset();
    fn memcmp();
}

/// The compiler's own functions, which come without unwind entries.
fn memory_functions() -> [u64; 4] {
    [memcpy, memmove, memset, memcmp].map(|function| function as *const () as u64)
}

/// All functions that have no frame of their own, even where the others have.
fn frameless_functions() -> [u64; 5] {
    let switch = kfiber::context::switch_out_of_line as *const () as u64;
    let [copy, shift, set, compare] = memory_functions();
    [switch, copy, shift, set, compare]
}

fn is_in_memory_function(shadow: &Shadow) -> bool {
    shadow
        .innermost_call()
        .is_some_and(|(callee, _)| memory_functions().contains(&callee))
}

fn own_registers(index: usize) -> Place {
    // SAFETY: The block is alive, for its fiber has not ended.
    let own = unsafe { (*scene::block(index)).own() };
    Place {
        ip: own.instruction_pointer() as u64,
        sp: own.stack_pointer() as u64,
        rbp: own.frame_pointer() as u64,
        rbx: own.rbx() as u64,
    }
}
