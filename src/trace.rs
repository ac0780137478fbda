//! The flight recorder: what each core did last, in a ring of events that survives a crash.
//!
//! With the feature `trace` the scheduler records each switch, wait, wake-up, interrupt, spawn and
//! end in the ring of the core on which it happens. The rings lie in a `Recorder`, which is a
//! static of the kernel:
//!
//! ```
//! # #[cfg(feature = "trace")] {
//! use kfiber::platform::Host;
//! use kfiber::scheduler::{self, FiberCell, Scheduler};
//! use kfiber::trace::{Label, Recorder};
//!
//! static SCHEDULER: Scheduler<Host> = Scheduler::new(Host::new());
//! static RECORDER: Recorder<1024> = Recorder::new(); // the last 1024 events, in 32 KiB
//! static WORKER: FiberCell<65536> = FiberCell::new();
//! static STEP: Label = Label::new("step");
//!
//! RECORDER.start(&SCHEDULER); // on each core
//! let builder = SCHEDULER.builder().name("worker");
//! let worker = builder.spawn(&WORKER, || {
//!     let _span = STEP.span();
//!     scheduler::yield_now();
//! });
//! let worker = worker.unwrap().id();
//! SCHEDULER.run();
//!
//! println!("{}", RECORDER.last_events(worker, 10));
//! let mut text = String::new();
//! RECORDER.export(&mut text).unwrap(); // for `cargo kfiber trace`
//! # }
//! ```
//!
//! The chapter *tracing* tells what to do with an export.
//!
//! # How an event is written
//!
//! ```text
//!   head ──xadd 32──► slot    time │ subject │ detail │ check        32 bytes
//!                              1.       2.       3.       4. = position + time + subject + detail + code
//! ```
//!
//! One instruction reserves the slot, so a handler that interrupts the writer at any place gets a
//! slot of its own. The core is the only writer of its ring, so the instruction needs no lock. The
//! check is stored last. A reader subtracts the position and the words from the check, and takes
//! the slot only if the code of a kind of event is left, and if the head has not come round
//! meanwhile. A slot that is half written, or in which two writers have met, is therefore never
//! taken for an event. (The sum would have to fit by chance: some hundred numbers among 2^64 are
//! codes.)
//!
//! - **TR1**: the detail of a slot is one word, which is null, the tagged address of a static, or a
//!   tagged number. It is stored in one piece, so whatever a reader finds there is one of these,
//!   even if the slot was being written.
//! - **TR2**: the ring of a core is a static, and is valid for all its slots.

#[cfg(feature = "trace")]
pub(crate) mod event;
#[cfg(feature = "trace")]
pub(crate) mod here;
mod label;
mod marks;
#[cfg(feature = "trace")]
pub(crate) mod merge;
pub(crate) mod points;
#[cfg(feature = "trace")]
mod record;
#[cfg(feature = "trace")]
pub(crate) mod ring;

#[cfg(feature = "trace")]
pub use crate::recorder::{LastEvents, Latency, Recorder, Statistics};
pub use label::Label;
pub use marks::Span;
pub use points::{interrupt_in, interrupt_out, is_traced};
