//! The inbox of a run loop: where interrupt handlers and other cores put the fibers that they woke.
//!
//! A stack that is taken all at once. Pushing is one exchange and one store, whatever others do at the same time, so it is
//! wait-free and may be done in any interrupt handler. The owner alone takes.
//!
//! ```text
//!   head ─► newest ─► older ─► oldest ─► END          push: next = PENDING; old = swap(head, me); next = old
//! ```
//!
//! Between the exchange and the store a node's `next` is PENDING. The owner waits for that store; it can be missing only
//! while another core is between the two instructions, for an interrupt on the owner's own core ends before the owner
//! goes on.

use crate::atomic::{AtomicPtr, Ordering, spin_loop};
use core::ptr;

/// What links the nodes of an inbox.
#[repr(transparent)]
pub(crate) struct Link<T>(AtomicPtr<T>);

/// A node that can be in an inbox, one at a time.
///
/// # Safety
///
/// `link` always returns the same link, which nothing but the inbox uses while the node is in one.
pub(crate) unsafe trait Node: Sized {
    fn link(&self) -> &Link<Self>;
}

impl<T> Link<T> {
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The other end, for whoever uses the link while the node is in no inbox.
    #[inline(always)]
    pub(crate) fn get(&self) -> *const T {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the other end, likewise.
    #[inline(always)]
    pub(crate) fn set(&self, to: *const T) {
        self.0.store(to.cast_mut(), Ordering::Relaxed);
    }
}

/// See the [module](self).
pub(crate) struct Inbox<T> {
    head: AtomicPtr<T>,
}

impl<T: Node> Inbox<T> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// A link's value between the two steps of a push. No node has this address.
    const fn pending() -> *mut T {
        ptr::without_provenance_mut(1)
    }

    /// Adds a node. Wait-free.
    ///
    /// # Safety
    ///
    /// The node is in no inbox, and lives until it was taken out.
    pub(crate) unsafe fn push(&self, node: *const T) {
        // SAFETY: the caller vouches for the node.
        let link = unsafe { &(*node).link().0 };
        link.store(Self::pending(), Ordering::Relaxed);
        let older = self.head.swap(node.cast_mut(), Ordering::AcqRel);
        link.store(older, Ordering::Release);
    }

    /// Says whether there is nothing to take.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// How many nodes there are; with one that is half-way in, too many. For the owner, while nobody else pushes.
    #[cfg(target_os = "none")]
    pub(crate) fn count(&self) -> usize {
        let mut count = 0;
        let mut at = self.head.load(Ordering::Acquire);
        while !at.is_null() {
            if at == Self::pending() {
                return usize::MAX;
            }
            count += 1;
            // SAFETY: nodes in the inbox are alive.
            at = unsafe { (*at).link().0.load(Ordering::Acquire) };
        }
        count
    }

    /// Takes all nodes and calls `take` with each, the oldest first. A node may be pushed again by `take`.
    ///
    /// # Safety
    ///
    /// Only the owner of the inbox calls this.
    #[inline(always)]
    pub(crate) unsafe fn drain(&self, mut take: impl FnMut(*const T)) {
        let newest = self.head.swap(ptr::null_mut(), Ordering::Acquire);
        if newest.is_null() {
            return;
        }
        // SAFETY: nodes in the inbox are alive.
        let older = unsafe { Self::older(newest) };
        if older.is_null() {
            return take(newest);
        }
        // SAFETY: both come from the list that was taken.
        let mut oldest = unsafe { Self::turn_round(newest, older) };
        while !oldest.is_null() {
            // SAFETY: nodes that were taken out and not yet given to `take` are alive.
            let newer = unsafe { (*oldest).link().0.load(Ordering::Relaxed) };
            take(oldest);
            oldest = newer;
        }
    }

    /// The one that arrived before this one.
    ///
    /// # Safety
    ///
    /// It is alive, and was taken out by the owner.
    #[inline(always)]
    unsafe fn older(node: *mut T) -> *mut T {
        // SAFETY: the caller's promise.
        let link = unsafe { &(*node).link().0 };
        loop {
            let older = link.load(Ordering::Acquire);
            if older != Self::pending() {
                return older;
            }
            spin_loop();
        }
    }

    /// Turns the list round, for the order of arrival is what is promised, and returns the oldest.
    ///
    /// # Safety
    ///
    /// All nodes are alive; `next` comes after `newest`.
    #[inline(never)]
    unsafe fn turn_round(newest: *mut T, next: *mut T) -> *mut T {
        let (mut newer, mut node) = (newest, next);
        // SAFETY: the caller's promise.
        unsafe { (*newest).link().0.store(ptr::null_mut(), Ordering::Relaxed) };
        while !node.is_null() {
            // SAFETY: as above.
            let older = unsafe { Self::older(node) };
            // SAFETY: as above.
            unsafe { (*node).link().0.store(newer, Ordering::Relaxed) };
            (newer, node) = (node, older);
        }
        newer
    }
}
