//! The inbox of a run loop, into which interrupt handlers and other cores put the fibers that they
//! have woken.
//!
//! The inbox is a stack that is emptied all at once. A push is one exchange and two stores, whatever
//! other code does at the same time. It is therefore wait-free, and allowed in any interrupt
//! handler. Only the owner takes nodes out.
//!
//! Where only [one core](crate::atomic::IS_ONE_CORE) uses the inbox, a push is a store and a
//! compare-exchange. It is repeated only if an interrupt handler came in between and pushed a node.
//! The owner takes none out meanwhile, so it is repeated once for each node at most. Nothing is
//! PENDING there.
//!
//! ```text
//!   head ─► newest ─► older ─► oldest ─► END          push: next = PENDING; old = swap(head, me); next = old
//! ```
//!
//! Between the exchange and the store, the `next` of the node is PENDING, and the owner waits for
//! the store. The store can be missing only while another core is between the two instructions,
//! because an interrupt on the owner's own core ends before the owner continues.

use crate::atomic::{AtomicPtr, Change as _, IS_ONE_CORE, Ordering, spin_loop};
use core::ptr;

/// Where the inbox of a run loop lies in the loop on one core. The address of the loop is at hand
/// wherever the inbox is changed. An inbox that lies elsewhere works too.
pub(crate) const PLACE_IN_LOOP: usize = 0x108;

/// The link between the nodes of an inbox.
#[repr(transparent)]
pub(crate) struct Link<T>(AtomicPtr<T>);

/// A node that can be in one inbox at a time.
///
/// # Safety
///
/// `link` must always return the same link, and nothing but the inbox may use the link while the
/// node is in an inbox.
pub(crate) unsafe trait Node: Sized {
    fn link(&self) -> &Link<Self>;
}

impl<T> Link<T> {
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Returns the target of the link, for code that uses the link while the node is in no inbox.
    #[inline(always)]
    pub(crate) fn get(&self) -> *const T {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the target of the link, for the same code.
    #[inline(always)]
    pub(crate) fn set(&self, to: *const T) {
        self.0.store(to.cast_mut(), Ordering::Relaxed);
    }
}

/// An inbox; see the [module](self).
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

    /// Returns the value of a link between the two steps of a push. No node has this address.
    const fn pending() -> *mut T {
        ptr::without_provenance_mut(1)
    }

    /// Adds a node.
    ///
    /// # Safety
    ///
    /// The node must be in no inbox, and must live until it has been taken out.
    pub(crate) unsafe fn push(&self, node: *const T) {
        // SAFETY: the caller vouches for the node.
        let link = unsafe { &(*node).link().0 };
        if IS_ONE_CORE {
            // Only an interrupt handler that comes in between can have this repeated.
            loop {
                let older = self.head.load(Ordering::Relaxed);
                link.store(older, Ordering::Relaxed);
                let node = node.cast_mut();
                if self
                    .head
                    .change_in::<PLACE_IN_LOOP>(older, node, Ordering::SeqCst)
                {
                    return;
                }
            }
        }
        link.store(Self::pending(), Ordering::Relaxed);
        let older = self.head.swap(node.cast_mut(), Ordering::SeqCst);
        link.store(older, Ordering::Release);
    }

    /// Returns whether the inbox is empty.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Behaves like [`is_empty`](Self::is_empty), after a full barrier: see
    /// [`roster`](super::roster).
    #[cfg(any(feature = "smp", loom))]
    pub(crate) fn is_empty_now(&self) -> bool {
        self.head.load(Ordering::SeqCst).is_null()
    }

    /// Returns the number of nodes. If a push is in progress, the number is too large. Only the
    /// owner may call this, while nobody else pushes.
    #[cfg(all(not(target_os = "linux"), not(feature = "smp")))]
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

    /// Takes all nodes out and calls `take` with each, the oldest first. `take` may push the node
    /// again.
    ///
    /// # Safety
    ///
    /// Only the owner of the inbox may call this.
    #[inline(always)]
    pub(crate) unsafe fn drain(&self, mut take: impl FnMut(*const T)) {
        let newest = self.take_all();
        if newest.is_null() {
            return;
        }
        // SAFETY: nodes in the inbox are alive.
        let older = unsafe { Self::older(newest) };
        if older.is_null() {
            return take(newest);
        }
        // SAFETY: both come from the list that was taken.
        unsafe { Self::take_in_order(newest, older, take) };
    }

    /// Calls `take` with each node of a list of several, the oldest first.
    ///
    /// # Safety
    ///
    /// The requirements of [`turn_round`](Self::turn_round) apply.
    #[inline(never)]
    unsafe fn take_in_order(newest: *mut T, next: *mut T, mut take: impl FnMut(*const T)) {
        // SAFETY: the caller's promise.
        let mut oldest = unsafe { Self::turn_round(newest, next) };
        while !oldest.is_null() {
            // SAFETY: nodes that were taken out and not yet given to `take` are alive.
            let newer = unsafe { (*oldest).link().0.load(Ordering::Relaxed) };
            take(oldest);
            oldest = newer;
        }
    }

    /// Returns the node that arrived last, or null. It stays in the inbox.
    #[inline(always)]
    pub(crate) fn newest(&self) -> *mut T {
        self.head.load(Ordering::Acquire)
    }

    /// Takes all nodes out, if this one is still the newest. Returns whether it was.
    ///
    /// # Safety
    ///
    /// Only the owner of the inbox may call this. `newest` is a node in the inbox.
    #[inline(always)]
    #[must_use]
    pub(crate) unsafe fn take_from(&self, newest: *mut T) -> bool {
        let nobody = ptr::null_mut();
        self.head
            .change_in::<PLACE_IN_LOOP>(newest, nobody, Ordering::Acquire)
    }

    /// Takes the list out of the head, which may be empty.
    #[inline(always)]
    fn take_all(&self) -> *mut T {
        if !IS_ONE_CORE {
            return self.head.swap(ptr::null_mut(), Ordering::Acquire);
        }
        let newest = self.newest();
        // SAFETY: the caller is the owner, and the node was in the inbox just now.
        if newest.is_null() || unsafe { self.take_from(newest) } {
            return newest;
        }
        self.take_all_again()
    }

    #[cold]
    #[inline(never)]
    fn take_all_again(&self) -> *mut T {
        self.head.swap(ptr::null_mut(), Ordering::Acquire)
    }

    /// Returns the node that arrived before this one, or null.
    ///
    /// # Safety
    ///
    /// Only the owner of the inbox may call this. The node must be alive, and in the inbox or just
    /// taken out.
    #[inline(always)]
    pub(crate) unsafe fn older(node: *mut T) -> *mut T {
        // SAFETY: the caller's promise.
        let link = unsafe { &(*node).link().0 };
        loop {
            let older = link.load(Ordering::Acquire);
            if IS_ONE_CORE || older != Self::pending() {
                return older;
            }
            spin_loop();
        }
    }

    /// Reverses the list, so that it is in the order of arrival, and returns the oldest node.
    ///
    /// # Safety
    ///
    /// All nodes must be alive, and `next` must come after `newest`.
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
