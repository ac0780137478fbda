//! Mistakes that an exploration plants into the code for several cores, to see that it finds them.

/// A mistake, which a build with `--cfg kfiber_steps` can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(
    not(kfiber_steps),
    expect(unreachable_pub, dead_code, reason = "an exploration names it")
)]
pub enum Mistake {
    /// A core that is about to sleep looks at its inbox before the others can see that it sleeps:
    /// the order in which a processor may do the two without the full barrier.
    NoBarrier,
    /// A core that sleeps is not kicked.
    NoKick,
    /// Whoever wakes a fiber asks for its loop before the state says that the fiber waits.
    LoopReadFirst,
    /// The running fiber is given to another core.
    RunningGivenAway,
    /// A fiber that is pinned is given to another core.
    PinnedMoved,
    /// A loop that leaves `run` is still recorded as one that sleeps and wants work.
    NotWithdrawn,
}
