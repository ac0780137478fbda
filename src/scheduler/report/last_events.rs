//! The last events of a fiber, or of all, as text for a report.

use crate::scheduler::queue::all::AllFibers;
use crate::scheduler::task::header::Header;
use crate::scheduler::task::id::FiberId;
use crate::scheduler::task::wait::WaitReason;
use crate::trace::event::{Detail, Event, Kind};
use crate::trace::here;
use crate::trace::merge::{Rings, Step};
use core::fmt;
use core::ptr;
use core::sync::atomic::Ordering;

/// The number of events that the report of a failure shows.
const IN_REPORTS: usize = 8;

/// The last events of a fiber, or of all cores. What displays it gets one line for each, the newest
/// last.
///
/// A time is in ticks of the time-stamp counter before the newest event of all.
#[derive(Clone, Copy)]
pub struct LastEvents {
    rings: Rings,
    fiber: Option<FiberId>,
    count: usize,
}

// SAFETY: the rings are statics (TR2), and are made to be read from anywhere.
unsafe impl Send for LastEvents {}
// SAFETY: as above.
unsafe impl Sync for LastEvents {}

/// Returns the list of all fibers of the scheduler of a recorder.
pub(crate) fn fibers_of(rings: Rings) -> Option<&'static AllFibers> {
    (0..rings.count()).find_map(|core| {
        // SAFETY: TR2.
        let ring = unsafe { &*rings.ring(core) };
        let fibers: *const AllFibers = ring.fibers.load(Ordering::Acquire).cast();
        // SAFETY: null, or the list of a scheduler, which is a static: `Recorder::start` put it
        // there.
        unsafe { fibers.as_ref() }
    })
}

/// Writes the last events of a fiber that has failed on this core, if there are any.
pub(crate) fn write_for_report(f: &mut fmt::Formatter<'_>, fiber: FiberId) -> fmt::Result {
    let last = LastEvents::new(Rings::of(here::ring()), Some(fiber), IN_REPORTS);
    if last.steps().next().is_none() {
        return Ok(());
    }
    write!(f, "\n  its last events:\n{last}")
}

impl LastEvents {
    pub(crate) const fn new(rings: Rings, fiber: Option<FiberId>, count: usize) -> Self {
        Self {
            rings,
            fiber,
            count,
        }
    }

    /// Returns the events that concern the fiber, the oldest first.
    fn steps(self) -> impl Iterator<Item = Step> {
        let earlier = self.events_of_earlier_fibers();
        let steps = self.rings.steps().skip(earlier);
        steps.filter(move |step| self.concerns(step))
    }

    /// Returns the number of events before the fiber was spawned, if that is still known: they
    /// concern an earlier fiber of its cell.
    fn events_of_earlier_fibers(&self) -> usize {
        let Some(fiber) = self.fiber else { return 0 };
        let is_spawn = |step: &Step| {
            step.event.kind == Kind::Spawn
                && step.event.subject == fiber.address().get() as u64
                && matches!(step.event.detail, Detail::Number(number) if number == u64::from(fiber.generation))
        };
        let spawn = self.rings.steps().position(|step| is_spawn(&step));
        spawn.unwrap_or(0)
    }

    fn concerns(&self, step: &Step) -> bool {
        let Some(fiber) = self.fiber else {
            return step.event.kind != Kind::Name;
        };
        let fiber = fiber.address().get() as u64;
        let is_subject = step.event.subject == fiber;
        let runs = step.running == fiber && step.interrupts == 0;
        match step.event.kind {
            Kind::Switch => is_subject || step.running == fiber,
            Kind::Ready | Kind::Posted | Kind::Spawn => is_subject || runs,
            Kind::Move | Kind::End | Kind::Failure => is_subject,
            Kind::Wait | Kind::Sleep | Kind::Mark | Kind::SpanBegin | Kind::SpanEnd => runs,
            Kind::InterruptIn | Kind::InterruptOut | Kind::Name | Kind::Timer => false,
        }
    }
}

impl fmt::Display for LastEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newest = self.rings.steps().last().map_or(0, |step| step.event.time);
        let count = self.steps().count();
        let names = Names {
            rings: self.rings,
            fibers: fibers_of(self.rings),
        };
        let shown = count.min(self.count);
        for (index, step) in self.steps().skip(count - shown).take(shown).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let ago = newest.saturating_sub(step.event.time);
            write!(f, "  {:>14} core {} ", Ago(ago), step.core)?;
            if step.interrupts > 0 {
                write!(f, "interrupt of ")?;
            }
            write!(f, "{}: ", names.of(step.running))?;
            names.describe(&step.event, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for LastEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastEvents")
            .field("fiber", &self.fiber)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// A number of ticks before now.
struct Ago(u64);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = f.width().unwrap_or(0).saturating_sub(1);
        write!(f, "-{:<width$}", self.0)
    }
}

/// How fibers are called.
struct Names {
    rings: Rings,
    fibers: Option<&'static AllFibers>,
}

impl Names {
    fn of(&self, address: u64) -> Name {
        let mut roots = (0..self.rings.count()).map(|core| {
            // SAFETY: TR2.
            unsafe { &*self.rings.ring(core) }
                .root
                .load(Ordering::Relaxed)
        });
        if address == 0 {
            return Name::Unknown;
        }
        if roots.any(|root| root == address) {
            return Name::Root;
        }
        let header = self.fibers.and_then(|fibers| {
            let mut all = fibers.iter_warily();
            all.find_map(|(header, is_damaged)| {
                let is_it = ptr::from_ref(header).addr() as u64 == address;
                (is_it && !is_damaged).then_some(header)
            })
        });
        header.map_or(
            Name::Address(address),
            |header: &'static Header| match header.name() {
                "" => Name::Address(address),
                name => Name::Text(name),
            },
        )
    }

    /// Writes what an event says.
    fn describe(&self, event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = event.subject;
        match event.kind {
            Kind::Switch => write!(f, "switches to {}", self.of(subject)),
            Kind::Ready | Kind::Posted => write!(f, "wakes {}", self.of(subject)),
            Kind::Wait => describe_wait(event, f),
            Kind::Sleep => write!(f, "sleeps until {subject} ns"),
            Kind::Move => write!(f, "sends {} to core {}", self.of(subject), event.extra),
            Kind::InterruptIn => write!(f, "interrupt {subject} begins"),
            Kind::InterruptOut => write!(f, "interrupt ends"),
            Kind::Spawn => write!(f, "spawns {}", self.of(subject)),
            Kind::Name => write!(f, "names {}", self.of(subject)),
            Kind::End => write!(f, "ends"),
            Kind::Failure => write!(f, "fails"),
            Kind::Mark => write!(f, "mark {} {subject}", label(event)),
            Kind::SpanBegin => write!(f, "begins {}", label(event)),
            Kind::SpanEnd => write!(f, "has done {}", label(event)),
            Kind::Timer => write!(f, "timer"),
        }
    }
}

fn describe_wait(event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match WaitReason::ALL.get(usize::from(event.extra)) {
        Some(reason) => write!(f, "waits: {reason:?}")?,
        None => write!(f, "waits")?,
    }
    if event.subject != 0 {
        write!(f, " {:#x}", event.subject)?;
    }
    match event.detail {
        Detail::Place(place) => write!(f, " at {place}"),
        _ => Ok(()),
    }
}

const fn label(event: &Event) -> &'static str {
    match event.detail {
        Detail::Label(label) => label.name(),
        _ => "",
    }
}

/// The name of what runs.
enum Name {
    Unknown,
    Root,
    Address(u64),
    Text(&'static str),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("?"),
            Self::Root => f.write_str("the scheduler"),
            Self::Address(address) => write!(f, "fiber {address:x}"),
            Self::Text(name) => write!(f, "\"{name}\""),
        }
    }
}
