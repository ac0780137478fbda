//! The record of a wait, which lies on the stack of the waiting fiber. The sleep queue, reports and
//! debuggers use it.

use super::header::Header;
use super::held_by::HeldBy;
use crate::platform::{NEVER, Nanoseconds};
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::panic::Location;
use core::ptr;

/// The kind of thing that a fiber waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// A call of an [`Unparker`](crate::scheduler::Unparker).
    Park,
    /// A point in time.
    Sleep,
    /// The end of another fiber.
    Join,
    /// The end of all fibers of a scope.
    Scope,
    /// The waker of a future.
    Future,
    /// A [`WaitQueue`](crate::sync::WaitQueue) of the kernel.
    WaitQueue,
    /// A mutex.
    Mutex,
    /// Read access to a reader-writer lock.
    Read,
    /// Write access to a reader-writer lock.
    Write,
    /// A permit of a semaphore.
    Semaphore,
    /// A notification of a condition variable.
    Condvar,
    /// Flags of an event group.
    Event,
    /// The other fibers at a barrier.
    Barrier,
    /// The end of an initialization by another fiber.
    Once,
    /// A message.
    Receive,
    /// Room for a message in a channel.
    Send,
    /// The arrival on another core.
    #[cfg(feature = "smp")]
    Move,
}

#[cfg(feature = "trace")]
impl WaitReason {
    /// All reasons, in the order of their numbers.
    pub(crate) const ALL: &[Self] = &[
        Self::Park,
        Self::Sleep,
        Self::Join,
        Self::Scope,
        Self::Future,
        Self::WaitQueue,
        Self::Mutex,
        Self::Read,
        Self::Write,
        Self::Semaphore,
        Self::Condvar,
        Self::Event,
        Self::Barrier,
        Self::Once,
        Self::Receive,
        Self::Send,
        #[cfg(feature = "smp")]
        Self::Move,
    ];

    /// Returns the name, as `Debug` writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Park => "Park",
            Self::Sleep => "Sleep",
            Self::Join => "Join",
            Self::Scope => "Scope",
            Self::Future => "Future",
            Self::WaitQueue => "WaitQueue",
            Self::Mutex => "Mutex",
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Semaphore => "Semaphore",
            Self::Condvar => "Condvar",
            Self::Event => "Event",
            Self::Barrier => "Barrier",
            Self::Once => "Once",
            Self::Receive => "Receive",
            Self::Send => "Send",
            #[cfg(feature = "smp")]
            Self::Move => "Move",
        }
    }
}

// A number that is recorded leads back to its reason.
#[cfg(feature = "trace")]
const _: () = {
    let mut index = 0;
    while index < WaitReason::ALL.len() {
        assert!(WaitReason::ALL[index] as usize == index);
        index += 1;
    }
};

/// The properties that all waits of one kind share. Each primitive has a static of this type. The
/// scheduler calls back into the primitive through it, without depending on it.
pub(crate) struct Kind {
    pub(crate) reason: WaitReason,
    pub(crate) giver: Giver,
    /// Called if a fiber fails while it waits in a line of this kind.
    pub(crate) leave: Option<Leave>,
}

/// Takes a fiber that fails while it waits out of its line, and passes on to the next fiber what it
/// was given. The arguments are the [object](Wait::object) of its wait and its place in the line,
/// which begins with the [record](Record) of the wait.
///
/// # Safety
///
/// The arguments must be those of a wait of this kind. The fiber of the wait runs and never resumes
/// its wait. The caller is the owner of its loop and holds no lock.
pub(crate) type Leave = unsafe fn(object: *const (), waiter: *const ());

/// Who can end a wait.
#[derive(Clone, Copy)]
pub(crate) enum Giver {
    /// Interrupt handlers, and anyone else.
    Anybody,
    /// Only fibers, but it is not known which ones.
    Fibers,
    /// A fiber, by ending. The object is its header.
    Joined,
    /// The fibers of a scope, by ending. The object is a
    /// [`ScopeCount`](crate::scheduler::task::scope_count::ScopeCount).
    Scope,
    /// The holder of the object, which the function returns.
    Holder(HolderOf),
}

/// Returns the holder of an object that a fiber waits for, or is about to wait for if the last
/// argument is true.
///
/// # Safety
///
/// The object must be that of a wait of this kind, and alive: either the fiber waits for it, or the
/// fiber runs and has a reference to it.
pub(crate) type HolderOf =
    unsafe fn(object: *const (), fiber: *const Header, is_about_to_wait: bool) -> HeldBy;

impl Kind {
    /// Returns a kind of wait that needs no clean-up when the fiber fails.
    pub(crate) const fn new(reason: WaitReason, giver: Giver) -> Self {
        Self {
            reason,
            giver,
            leave: None,
        }
    }

    /// Returns a kind of wait in which fibers stand in a line.
    pub(crate) const fn in_line(reason: WaitReason, giver: Giver, leave: Leave) -> Self {
        Self {
            reason,
            giver,
            leave: Some(leave),
        }
    }
}

/// The record of a wait; see the [module](self). The header of the fiber points to it while the
/// fiber waits. A place in a line begins with it, in a [`Record`].
pub(crate) struct Wait {
    /// The [`Kind`], with the [`Sleep`] in the low bits that its alignment leaves free. One store
    /// sets both.
    kind_and_sleep: KindAndSleep,
    /// The address of the object that is waited for, or null.
    pub(crate) object: *const (),
    pub(crate) location: &'static Location<'static>,
    /// The time at which the loop last read the clock before the wait began.
    pub(crate) since: Nanoseconds,
    pub(crate) node: UnsafeCell<MaybeUninit<Node>>,
}

/// Room for the record of a wait, which is written when the wait begins.
#[repr(transparent)]
pub(crate) struct Record(UnsafeCell<MaybeUninit<Wait>>);

impl Record {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Writes the record. The pointer to it may be used for whatever `record` may be used for.
    ///
    /// # Safety
    ///
    /// `record` must be valid, and nobody may use a wait that was in it before.
    #[inline(always)]
    pub(crate) const unsafe fn write(record: *const Self, wait: Wait) -> *const Wait {
        let place = record.cast::<Wait>().cast_mut();
        // SAFETY: the caller's promise; it is in a cell.
        unsafe { place.write(wait) };
        place
    }
}

/// A word of a wait. With several cores another core may read it, while it holds the fiber.
struct KindAndSleep(
    #[cfg(not(feature = "smp"))] Cell<*const Kind>,
    #[cfg(feature = "smp")] core::sync::atomic::AtomicPtr<Kind>,
);

#[cfg(not(feature = "smp"))]
impl KindAndSleep {
    #[inline(always)]
    const fn new(kind: *const Kind) -> Self {
        Self(Cell::new(kind))
    }

    #[inline(always)]
    const fn get(&self) -> *const Kind {
        self.0.get()
    }

    #[inline(always)]
    fn set(&self, kind: *const Kind) {
        self.0.set(kind);
    }
}

#[cfg(feature = "smp")]
impl KindAndSleep {
    #[inline(always)]
    const fn new(kind: *const Kind) -> Self {
        Self(core::sync::atomic::AtomicPtr::new(kind.cast_mut()))
    }

    #[inline(always)]
    fn get(&self) -> *const Kind {
        self.0.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Only the owner of the fiber's loop may call this.
    #[inline(always)]
    fn set(&self, kind: *const Kind) {
        self.0
            .store(kind.cast_mut(), core::sync::atomic::Ordering::Relaxed);
    }
}

/// The bits of a [`Sleep`].
const SLEEP: usize = 3;

/// The bit that says that the wait was reported as part of a cycle. Only a wait without a deadline has
/// it, so nobody changes the other bits meanwhile.
#[cfg(feature = "smp")]
const REPORTED: usize = 4;
#[cfg(feature = "smp")]
const FLAGS: usize = SLEEP | REPORTED;
#[cfg(not(feature = "smp"))]
const FLAGS: usize = SLEEP;

const _: () = assert!(align_of::<Kind>() > FLAGS);

/// The relation of a wait to the sleep queue.
#[derive(Clone, Copy)]
pub(crate) enum Sleep {
    /// The wait has no deadline and no node.
    Never = 0,
    /// The wait is in the queue.
    Now = 1,
    /// The wait was in the queue, and its node still exists.
    Over = 2,
}

/// The node of a wait in the sleep queue.
pub(crate) struct Node {
    pub(crate) fiber: *const Header,
    pub(crate) deadline: Nanoseconds,
    pub(crate) parent: Cell<*const Wait>,
    /// The child that is earlier, and the one that is later.
    pub(crate) children: [Cell<*const Wait>; 2],
    /// See [`sleepers`](crate::scheduler::queue::sleepers).
    pub(crate) rank: Cell<u8>,
}

impl Wait {
    /// Creates a wait for `object`, in the code at `location`. `since` is the time at which the
    /// loop last read the clock.
    #[inline(always)]
    pub(crate) const fn new(
        kind: &'static Kind,
        object: *const (),
        location: &'static Location<'static>,
        since: Nanoseconds,
    ) -> Self {
        Self {
            kind_and_sleep: KindAndSleep::new(kind),
            object,
            location,
            since,
            node: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

impl Wait {
    /// Returns the kind of thing that is waited for.
    #[inline(always)]
    pub(crate) fn reason(&self) -> WaitReason {
        self.kind().reason
    }

    #[inline(always)]
    pub(crate) fn kind(&self) -> &'static Kind {
        let kind = self.kind_and_sleep.get();
        // SAFETY: `new` put it there, and `set_sleep` changes only the low bits.
        unsafe { &*kind.map_addr(|address| address & !FLAGS) }
    }

    /// Records that a cycle which contains the wait is reported. Only a core that holds the fiber may
    /// call this, or its owner.
    #[cfg(feature = "smp")]
    pub(crate) fn note_report(&self) {
        let word = self.kind_and_sleep.get();
        self.kind_and_sleep
            .set(word.map_addr(|address| address | REPORTED));
    }

    #[cfg(feature = "smp")]
    pub(crate) fn is_reported(&self) -> bool {
        self.kind_and_sleep.get().addr() & REPORTED != 0
    }

    /// Returns the relation to the sleep queue, as the bits of a [`Sleep`].
    fn sleep(&self) -> usize {
        self.kind_and_sleep.get().addr() & SLEEP
    }

    pub(crate) fn set_sleep(&self, sleep: Sleep) {
        let kind: *const Kind = self.kind();
        self.kind_and_sleep
            .set(kind.map_addr(|address| address | sleep as usize));
    }

    /// Returns whether the wait has a deadline.
    pub(crate) fn has_deadline(&self) -> bool {
        self.sleep() != Sleep::Never as usize
    }

    /// Returns whether the wait is in the sleep queue.
    pub(crate) fn is_sleeping(&self) -> bool {
        self.sleep() == Sleep::Now as usize
    }

    /// Returns the deadline of the wait.
    pub(crate) fn deadline(&self) -> Nanoseconds {
        if !self.has_deadline() {
            return NEVER;
        }
        // SAFETY: it is in the sleep queue, or was.
        unsafe { Node::of(self) }.deadline
    }
}

impl Node {
    /// Returns the node of a wait.
    ///
    /// # Safety
    ///
    /// The wait must be in the sleep queue, or have been in it.
    pub(crate) const unsafe fn of(wait: &Wait) -> &Self {
        // SAFETY: a node is written when the wait enters the queue; from then on it is only read,
        // and changed by its cells.
        let node = unsafe { &*wait.node.get() };
        // SAFETY: as above.
        unsafe { node.assume_init_ref() }
    }

    /// Creates a node without neighbours.
    pub(crate) const fn new(fiber: *const Header, deadline: Nanoseconds) -> Self {
        Self {
            fiber,
            deadline,
            parent: Cell::new(ptr::null()),
            children: [const { Cell::new(ptr::null()) }; 2],
            rank: Cell::new(1),
        }
    }
}
