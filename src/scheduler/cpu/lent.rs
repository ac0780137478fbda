//! The graphs of waits that the running fiber was lent, where there are other cores: how many there are.
//!
//! A graph shows fibers that do not run, and what they have on their stacks. With several cores this
//! holds only while its fiber is on the core where it was lent the graph, and lets nobody else run there.
//! So waiting is forbidden, and not allowed again as long as there is a graph.

/// One graph, in the word that says who runs.
#[cfg(feature = "smp")]
pub(super) const LENT: usize = 8;
/// The bits that count them.
pub(super) const ALL_LENT: usize = if cfg!(feature = "smp") { 7 * 8 } else { 0 };

/// Panics, where waiting is forbidden, if the word does not say that so many graphs are lent.
#[cfg(feature = "smp")]
pub(super) fn check<T>(word: *const T, expected: usize) {
    assert!(
        word.addr() & ALL_LENT == expected,
        "a graph of waits is still lent, to a `Fiber` that suspended in the closure of `wait_graph`: resume it to the end of that closure \
         before what was begun earlier ends"
    );
}
