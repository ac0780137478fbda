//! Fibers that enter user mode on their own stacks, and come back by `syscall`, by an interrupt, or by a fault that ends
//! them: processes. What belongs to each follows it by a switch hook.

mod enter;
mod faults;
mod processes;
mod programs;
mod xsave;

use kfiber::platform::{Nanoseconds, Platform, SwitchHook};
use kfiber::scheduler::{FiberPool, JoinHandle, PrintReports, Scheduler};
use kfiber::switch_state::{AddressSpace, FsGsBases, FxsaveArea, KernelStack, PerFiber};
use tests_qemu::{
    interrupts::on_tick,
    paging::FramePool,
    platform::{self, Bare},
};
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB,
};

/// Room for system calls, for a report in a debug build, and for what is below.
const STACK: usize = 32 * 1024;
/// Where each process has its program, and behind it a page of data. No other memory is there.
const PROGRAM: u64 = 0x80_0000_0000;
const DATA: u64 = PROGRAM + 0x1000;

/// What belongs to a process.
type Process = (AddressSpace, KernelStack, FsGsBases, FxsaveArea);

static SCHEDULER: Scheduler<Hooked> = Scheduler::new(Hooked(platform::bare(), |prev, next| {
    // SAFETY: this is the hook.
    unsafe { PROCESSES.on_switch(prev, next) }
}));
static CELLS: FiberPool<STACK, 8> = FiberPool::new();
static REPORTS: PrintReports<Serial> = PrintReports::new(Serial);
static PROCESSES: PerFiber<Process> = PerFiber::new(outside());

/// The state outside of processes.
const fn outside() -> Process {
    (
        AddressSpace::unset(),
        // SAFETY: the harness' task state segment is writable, and nobody else uses this word of it.
        unsafe { KernelStack::unset() },
        FsGsBases::unset(),
        // SAFETY: the harness enables these registers at boot, and no code of the kernel uses them.
        unsafe { FxsaveArea::new() },
    )
}

struct Serial;

impl core::fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        tests_qemu::print!("{text}");
        Ok(())
    }
}

/// The bare machine, with a hook.
struct Hooked(Bare, SwitchHook);

// SAFETY: as that of `Bare`, which does the work.
unsafe impl Platform for Hooked {
    fn now(&self) -> Nanoseconds {
        self.0.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.0.set_timer(deadline);
    }

    fn idle(&self) {
        self.0.idle();
    }

    fn switch_hook(&self) -> Option<SwitchHook> {
        Some(self.1)
    }
}

/// Makes an address space with this program, and returns its table and the physical address of its data.
fn address_space(program: &[u8]) -> (PhysFrame, *mut u64) {
    let frame = || FramePool.allocate_frame().expect("frames are left");
    let level_4: PhysFrame<Size4KiB> = frame();
    let own = level_4.start_address().as_u64() as *mut PageTable;
    let kernel = Cr3::read().0.start_address().as_u64() as *const PageTable;
    // SAFETY: both are tables, mapped one to one; the copy is ours alone.
    unsafe { own.copy_from_nonoverlapping(kernel, 1) };
    // SAFETY: as above.
    let own = unsafe { &mut *own };
    // SAFETY: all memory is mapped one to one.
    let mut table = unsafe { OffsetPageTable::new(own, VirtAddr::zero()) };
    let flags =
        PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::USER_ACCESSIBLE;
    let frames: [PhysFrame<Size4KiB>; 2] = [PROGRAM, DATA].map(|address| {
        let page = Page::containing_address(VirtAddr::new(address));
        let frame = frame();
        // SAFETY: nothing else is mapped there, and the frame is ours.
        let mapped =
            unsafe { table.map_to_with_table_flags(page, frame, flags, flags, &mut FramePool) };
        mapped.expect("nothing is there").ignore();
        frame
    });
    let [code, data] = frames.map(|frame| frame.start_address().as_u64() as *mut u8);
    assert!(program.len() <= 4096, "one page");
    // SAFETY: the frame is ours, and mapped one to one.
    unsafe { code.copy_from_nonoverlapping(program.as_ptr(), program.len()) };
    (level_4, data.cast())
}

/// How a process ended, and what it saw.
#[derive(Debug, PartialEq, Eq)]
struct Exit(u64);

/// Makes a process of a program, with its number, and the bases of FS and GS within its data.
fn spawn(name: &'static str, program: &'static [u8], number: u64) -> JoinHandle<Exit> {
    spawn_with(name, program, number, |_| ())
}

/// The same, and calls a function with the kernel's address of the data before the program begins.
fn spawn_with(
    name: &'static str,
    program: &'static [u8],
    number: u64,
    look: fn(*mut u64),
) -> JoinHandle<Exit> {
    let fiber = SCHEDULER.builder().name(name).spawn(&CELLS, move || {
        let (level_4, data) = address_space(program);
        look(data);
        for offset in [0, 0x100, 0x200] {
            let word = data.wrapping_byte_add(offset);
            // SAFETY: the page is ours. The words at the two bases say whose it is.
            unsafe { word.write_volatile(number + offset as u64) };
        }
        // SAFETY: it maps the kernel as the kernel's own does.
        let space = unsafe { AddressSpace::new(level_4, Cr3Flags::empty()) };
        // SAFETY: the task state segment is writable, and nobody else writes to this word of it.
        let stack = unsafe { KernelStack::unset() };
        let bases = FsGsBases::new(VirtAddr::new(DATA + 0x100), VirtAddr::new(DATA + 0x200));
        // SAFETY: the harness enables these registers at boot.
        let mut process = (space, stack, bases, unsafe { FxsaveArea::new() });
        PROCESSES.with(&mut process, |process| {
            Exit(enter::enter(&process.1, number))
        })
    });
    fiber.expect("a cell is free")
}

/// Makes everything ready for processes.
fn prepare() {
    SCHEDULER.set_hooks(&REPORTS).expect("they are the first");
    enter::init();
    on_tick(|_| SCHEDULER.timer_interrupt());
}

/// Runs all fibers to their end.
fn run() {
    let space = Cr3::read();
    x86_64::instructions::interrupts::enable();
    SCHEDULER.run();
    x86_64::instructions::interrupts::disable();
    assert_eq!(
        Cr3::read(),
        space,
        "the scheduler's own context is in the kernel's address space"
    );
}
