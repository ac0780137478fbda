//! Ready-made parts for hardware that almost every kernel drives: clocks, timers, interrupt
//! controllers, and the serial port.
//!
//! They use nothing but the [`x86_64`] crate, and are there with the feature of that name. A kernel
//! that has drivers of its own uses those, and implements [`Timer`](crate::platform::Timer) for
//! them.
//!
//! | part | what it is for |
//! |---|---|
//! | [`LocalApicTimer`] | the usual timer of one core: the time-stamp counter as clock, the core's own timer |
//! | [`ApicCores`] | the platform of several cores: their numbers, a timer for each, the interrupts that wake them |
//! | [`PitTimer`] | the same clock with the timer of the first PCs, once or as a tick, for kernels that use the PIC |
//! | [`TscClock`] | the clock alone, for kernels with a timer of their own |
//! | [`LocalApic`] | end of interrupt, the number of this core, interrupts to other cores |
//! | [`pic`] | the interrupt controller of the first PCs: remap, mask, end of interrupt |
//! | [`Hpet`] | a reference for the clock on machines without a PIT |
//! | [`SerialPort`] | bytes out, and bytes in from an interrupt handler to a fiber |
//!
//! # A platform
//!
//! The scheduler is a static, so the timer in it is made at compile time and started at boot. A
//! timer that is asked for the time before that panics, and names the function to call.
//!
//! ```no_run
//! use kfiber::hardware::{HardwareError, LocalApic, LocalApicTimer, pic};
//! use kfiber::platform::BareX86_64;
//! use kfiber::scheduler::Scheduler;
//! use kfiber::x86_64::VirtAddr;
//!
//! const SPURIOUS: u8 = 0xff;
//! const TIMER: u8 = 0x40;
//!
//! // SAFETY: no interrupt handler turns interrupts on again.
//! static SCHEDULER: Scheduler<BareX86_64<LocalApicTimer>> =
//!     Scheduler::new(unsafe { BareX86_64::new(LocalApicTimer::new()) });
//!
//! /// Called with interrupts off, when the IDT has handlers for both vectors.
//! fn start_timer() -> Result<(), HardwareError> {
//!     pic::mask_all();
//!     let physical_memory_at = VirtAddr::new(0); // identity-mapped here
//!     // SAFETY: physical memory is mapped there, and the vector has a handler.
//!     let apic = unsafe { LocalApic::enable(physical_memory_at, SPURIOUS) }?;
//!     // SAFETY: the vector's handler is `on_timer`, and nobody else uses this timer or the PIT.
//!     unsafe { SCHEDULER.platform().timer().start(apic, TIMER) }
//! }
//!
//! /// What the handler of the vector `TIMER` calls.
//! fn on_timer() {
//!     SCHEDULER.timer_interrupt();
//!     SCHEDULER.platform().timer().end_of_interrupt();
//! }
//! ```
//!
//! `on_timer` is not an interrupt handler by itself: on stable Rust, `interrupt_entry!` makes one that
//! calls it, and `exceptions::Tables` has a place for it.
//!
//! # Several cores
//!
//! [`ApicCores`] is the platform of a scheduler with the feature `smp`. Each core starts its part of
//! it at boot, and then calls [`run`](crate::scheduler::Scheduler::run):
//!
//! ```no_run
//! # #[cfg(feature = "smp")] {
//! use kfiber::hardware::{ApicCores, ApicVectors, HardwareError, LocalApic, pic};
//! use kfiber::platform::Core;
//! use kfiber::scheduler::{CoreLocal, Scheduler};
//! use kfiber::x86_64::VirtAddr;
//!
//! const SPURIOUS: u8 = 0xff;
//! const VECTORS: ApicVectors = ApicVectors { timer: 0x40, kick: 0x41 };
//!
//! // SAFETY: no interrupt handler turns interrupts on again.
//! static SCHEDULER: Scheduler<ApicCores<4>, 4> = Scheduler::new(unsafe { ApicCores::new() });
//! static LOCALS: [CoreLocal; 4] = [const { CoreLocal::new() }; 4];
//!
//! /// Called on each core, with interrupts off, when its IDT has handlers for all three vectors; on
//! /// the others after this has returned on core 0.
//! fn start_core(number: usize) -> Result<(), HardwareError> {
//!     // SAFETY: each core has its own words, and nobody else uses GS.
//!     unsafe { LOCALS[number].install(Core(number)) };
//!     // SAFETY: physical memory is mapped there, and the vector has a handler.
//!     let apic = unsafe { LocalApic::enable(VirtAddr::new(0), SPURIOUS) }?;
//!     let platform = SCHEDULER.platform();
//!     if number == 0 {
//!         pic::mask_all();
//!         // SAFETY: the vectors have the handlers below, and nobody else uses the timer or the PIT.
//!         unsafe { platform.start(apic, VECTORS) }
//!     } else {
//!         // SAFETY: as above, and the time-stamp counters of this machine agree.
//!         unsafe { platform.start_on_this_core(apic) }
//!     }
//! }
//!
//! /// What the handler of the timer's vector calls.
//! fn on_timer() {
//!     SCHEDULER.timer_interrupt();
//!     SCHEDULER.platform().end_of_timer_interrupt();
//! }
//!
//! /// What the handler of the kicks calls.
//! fn on_kick() {
//!     SCHEDULER.platform().end_of_interrupt();
//! }
//! # }
//! ```
//!
//! # Timers that never interrupt
//!
//! A masked line, or a handler of another vector, would let a kernel sleep for ever. Until its
//! first interrupt, each timer here therefore asks for one within 10 ms, and the processor does not
//! sleep. If none has come when a deadline has passed by 100 ms, the scheduler reports a
//! [`LateTimer`](crate::scheduler::LateTimer), if it has hooks. Its fibers go on, but at the cost
//! of a processor that never sleeps.
//!
//! # From an interrupt to a fiber
//!
//! A [`Channel`](crate::sync::Channel) leads from an interrupt handler to a fiber, since
//! `try_send` may be called from both. This is the whole of a serial port's input, and a keyboard's
//! is the same:
//!
//! ```no_run
//! use kfiber::hardware::{SerialPort, pic};
//! use kfiber::sync::Channel;
//!
//! static PORT: SerialPort = SerialPort::FIRST;
//! static INPUT: Channel<u8, 64> = Channel::new();
//!
//! /// What the handler of the port's vector calls.
//! fn on_serial() {
//!     while let Some(byte) = PORT.receive() {
//!         let _is_full = INPUT.try_send(byte); // nobody reads: the byte is lost
//!     }
//!     pic::end_of_interrupt(SerialPort::FIRST_LINE);
//! }
//!
//! /// The body of a fiber.
//! fn reader() {
//!     while let Ok(byte) = INPUT.recv() {
//!         PORT.send(byte); // an echo
//!     }
//! }
//! ```
//!
//! At boot, the kernel calls `PORT.init()?`, then `PORT.interrupt_on_input()`, and lets the line
//! through with [`pic::unmask`], or with its I/O APIC.
//!
//! # How exact they are
//!
//! All timers here have one clock, the time-stamp counter. Its frequency comes from CPUID where the
//! processor or the hypervisor states it exactly. Otherwise it is measured, for 25 ms, against the
//! PIT or an HPET, and is then right to about 0.01 %. On a virtual machine that is stopped again and
//! again, that takes longer, and may be right to 0.1 % only. Conversions round such that no deadline
//! ends early by this clock. The timers themselves may interrupt early, since they count with their
//! own frequency, or because a deadline is further away than they can count. The scheduler then
//! looks at the clock and asks again.

#[cfg(not(target_os = "linux"))]
mod apic_core;
#[cfg(not(target_os = "linux"))]
mod apic_cores;
#[cfg(not(target_os = "linux"))]
mod apic_timers;
mod attempts;
#[cfg(not(target_os = "linux"))]
mod cpuid;
#[cfg(not(target_os = "linux"))]
mod error;
#[cfg(not(target_os = "linux"))]
mod first_interrupt;
#[cfg(not(target_os = "linux"))]
mod hpet;
#[cfg(not(target_os = "linux"))]
mod local_apic;
#[cfg(not(target_os = "linux"))]
mod local_apic_timer;
#[cfg(not(target_os = "linux"))]
mod measure;
#[cfg(not(target_os = "linux"))]
pub mod pic;
#[cfg(not(target_os = "linux"))]
mod pit;
#[cfg(not(target_os = "linux"))]
mod pit_timer;
mod scale;
#[cfg(not(target_os = "linux"))]
mod serial_port;
#[cfg(not(target_os = "linux"))]
mod tsc;

#[cfg(not(target_os = "linux"))]
pub use apic_cores::{ApicCores, ApicVectors};
#[cfg(not(target_os = "linux"))]
pub use apic_timers::ApicTimerMode;
#[cfg(not(target_os = "linux"))]
pub use error::HardwareError;
#[cfg(not(target_os = "linux"))]
pub use hpet::Hpet;
#[cfg(not(target_os = "linux"))]
pub use local_apic::{Destination, Ipi, LocalApic};
#[cfg(not(target_os = "linux"))]
pub use local_apic_timer::LocalApicTimer;
#[cfg(not(target_os = "linux"))]
pub use pit_timer::PitTimer;
#[cfg(not(target_os = "linux"))]
pub use serial_port::SerialPort;
#[cfg(not(target_os = "linux"))]
pub use tsc::{Reference, TscClock};
