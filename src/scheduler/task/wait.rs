//! What a fiber waits for: a record on the waiter's own stack, for the sleep queue, for reports, and for debuggers.

use super::header::Header;
use super::held_by::HeldBy;
use crate::platform::{NEVER, Nanoseconds};
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::panic::Location;
use core::ptr;

/// What kind of thing a fiber waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// An [`Unparker`](crate::scheduler::Unparker).
    Park,
    /// A moment.
    Sleep,
    /// The end of another fiber.
    Join,
    /// The end of all fibers of a scope.
    Scope,
    /// A future's waker.
    Future,
    /// A [`WaitQueue`](crate::sync::WaitQueue) of the kernel's own.
    WaitQueue,
    /// A mutex.
    Mutex,
    /// A reader-writer lock, to read.
    Read,
    /// A reader-writer lock, to write.
    Write,
    /// A semaphore.
    Semaphore,
    /// A condition variable.
    Condvar,
    /// Flags of an event group.
    Event,
    /// The others at a barrier.
    Barrier,
    /// Another fiber's initialisation.
    Once,
    /// A message.
    Receive,
    /// Room for a message.
    Send,
}

/// What is the same for all waits of one kind: a static of the primitive that it belongs to. Through it the scheduler reaches up
/// to what it knows nothing of.
pub(crate) struct Kind {
    pub(crate) reason: WaitReason,
    pub(crate) giver: Giver,
    /// What is done if a fiber fails while it waits, if it stands in a line.
    pub(crate) leave: Option<Leave>,
}

/// Takes a fiber that fails while it waits out of the line of what it waits for, and gives what it was given to the next. The
/// arguments are the [object](Wait::object) and the [waiter](Wait::waiter) of its wait.
///
/// # Safety
///
/// They are those of a wait of this kind, whose fiber runs and does not go on; the caller is the owner of its loop, with nothing
/// locked.
pub(crate) type Leave = unsafe fn(object: *const (), waiter: *const ());

/// Who can give what a wait is for.
#[derive(Clone, Copy)]
pub(crate) enum Giver {
    /// Interrupt handlers, and anybody else.
    Anybody,
    /// Only fibers, but it is not known which.
    Fibers,
    /// The object is the header of a fiber, which must end.
    Joined,
    /// The object is a [`ScopeCount`](crate::scheduler::task::scope_count::ScopeCount), whose fibers must end.
    Scope,
    /// Who has the object, which the function finds out.
    Holder(HolderOf),
}

/// Finds out who has an object that a fiber waits for, or, if the last argument says so, is about to wait for.
///
/// # Safety
///
/// The object is that of a wait of the kind, and alive: the fiber waits for it, or runs and has a reference to it.
pub(crate) type HolderOf =
    unsafe fn(object: *const (), fiber: *const Header, is_about_to_wait: bool) -> HeldBy;

impl Kind {
    /// A kind of wait that a failing fiber leaves nothing behind in.
    pub(crate) const fn new(reason: WaitReason, giver: Giver) -> Self {
        Self {
            reason,
            giver,
            leave: None,
        }
    }

    /// A kind of wait of those that stand in a line.
    pub(crate) const fn in_line(reason: WaitReason, giver: Giver, leave: Leave) -> Self {
        Self {
            reason,
            giver,
            leave: Some(leave),
        }
    }
}

/// See the [module](self). While the fiber waits, its header points to it.
pub(crate) struct Wait {
    /// The [`Kind`], and in the low bits, which its alignment leaves free, the [`Sleep`]: one store for both.
    kind_and_sleep: Cell<*const Kind>,
    /// The address of what is waited for, or null.
    pub(crate) object: *const (),
    /// The fiber's place in a line, if it is a wait of such a [kind](Kind::leave).
    pub(crate) waiter: MaybeUninit<*const ()>,
    pub(crate) location: &'static Location<'static>,
    /// When the loop last looked at the clock before the wait began.
    pub(crate) since: Nanoseconds,
    pub(crate) node: UnsafeCell<MaybeUninit<Node>>,
}

/// The bits of a [`Sleep`].
const SLEEP: usize = 3;

const _: () = assert!(align_of::<Kind>() > SLEEP);

/// What a wait has to do with the sleep queue.
#[derive(Clone, Copy)]
pub(crate) enum Sleep {
    /// It has no deadline, and no node.
    Never = 0,
    /// It is in the queue.
    Now = 1,
    /// It was in the queue; the node is still there.
    Over = 2,
}

/// What the sleep queue keeps with a wait.
pub(crate) struct Node {
    pub(crate) fiber: *const Header,
    pub(crate) deadline: Nanoseconds,
    /// Breaks ties between equal deadlines: first come, first served.
    pub(crate) order: u64,
    pub(crate) child: Cell<*const Wait>,
    pub(crate) sibling: Cell<*const Wait>,
    /// The one whose `child` or `sibling` this is.
    pub(crate) back: Cell<*const Wait>,
}

impl Wait {
    /// A wait for `object`, in the code at `location`, from `since`, which is when the loop last looked at the clock.
    #[inline(always)]
    pub(crate) const fn new(
        kind: &'static Kind,
        object: *const (),
        location: &'static Location<'static>,
        since: Nanoseconds,
    ) -> Self {
        Self {
            kind_and_sleep: Cell::new(kind),
            waiter: MaybeUninit::uninit(),
            object,
            location,
            since,
            node: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

impl Wait {
    /// What it is for.
    #[inline(always)]
    pub(crate) fn reason(&self) -> WaitReason {
        self.kind().reason
    }

    #[inline(always)]
    pub(crate) fn kind(&self) -> &'static Kind {
        let kind = self.kind_and_sleep.get();
        // SAFETY: `new` put it there, and `set_sleep` changes only the low bits.
        unsafe { &*kind.map_addr(|address| address & !SLEEP) }
    }

    /// What it has to do with the sleep queue.
    fn sleep(&self) -> usize {
        self.kind_and_sleep.get().addr() & SLEEP
    }

    pub(crate) fn set_sleep(&self, sleep: Sleep) {
        let kind: *const Kind = self.kind();
        self.kind_and_sleep
            .set(kind.map_addr(|address| address | sleep as usize));
    }

    /// Whether it ends by itself.
    pub(crate) fn has_deadline(&self) -> bool {
        self.sleep() != Sleep::Never as usize
    }

    /// Whether it is in the sleep queue.
    pub(crate) fn is_sleeping(&self) -> bool {
        self.sleep() == Sleep::Now as usize
    }

    /// When it ends by itself.
    pub(crate) fn deadline(&self) -> Nanoseconds {
        if !self.has_deadline() {
            return NEVER;
        }
        // SAFETY: it is in the sleep queue, or was.
        unsafe { Node::of(self) }.deadline
    }
}

impl Node {
    /// The node of a wait.
    ///
    /// # Safety
    ///
    /// The wait is in the sleep queue, or was.
    pub(crate) const unsafe fn of(wait: &Wait) -> &Self {
        // SAFETY: a node is written when the wait enters the queue; from then on it is only read, and changed by its cells.
        let node = unsafe { &*wait.node.get() };
        // SAFETY: as above.
        unsafe { node.assume_init_ref() }
    }

    /// A node without neighbours.
    pub(crate) const fn new(fiber: *const Header, deadline: Nanoseconds, order: u64) -> Self {
        Self {
            fiber,
            deadline,
            order,
            child: Cell::new(ptr::null()),
            sibling: Cell::new(ptr::null()),
            back: Cell::new(ptr::null()),
        }
    }
}
