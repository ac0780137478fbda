//! The faults that are planted. The test kernels include this file.
//!
//! Each is planted into every primitive where it makes sense. Left out are:
//!
//! | | because |
//! |---|---|
//! | faults inside, for `Event` and `sleep` | no code of the user runs inside |
//! | faults that wait inside, for `IrqMutex` | waiting is forbidden there: that fails, and is tested as such elsewhere |
//! | faults of one who waits, for `scope`, `FiberLocal`, `IrqMutex`, `block_on` | these wait for no other fiber, or cannot be ended |
//! | a fiber left inside, for `FiberLocal` | in a fiber inside, `bind` is refused |
//! | `Barrier` | who does not come is missed by all: `tests/sync/barrier.rs` |
//! | `park` and joins | they have no state that others share: faults inside the others park, unpark and join |
//! | a use that is forgotten, where there is no guard | there is nothing to forget |

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// In the middle of a use: under the guard, in the closure, the condition, the future.
    Inside(Inside),
    /// While it waits for what another fiber has.
    Waiting(Waiting),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    Nothing,
    Yields,
    Sleeps,
    Shields,
    IsCancelled,
    JoinsAnother,
    IsUnparked,
    OthersComeAndGo,
    Fails,
    FailsAfterAWait,
    FailsInADestructor,
    FailsAfterwards,
    IsForgotten,
    LeavesAFiber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Nothing,
    IsCancelled,
    IsCancelledBefore,
    IsCancelledJustBeforeTheWake,
    IsCancelledJustAfterTheWake,
    TimesOut,
    TimesOutAtTheWake,
    TimesOutBefore,
    TimesOutTwice,
    IsUnparked,
    IsUnparkedOften,
    FailsWhenWoken,
    HolderFails,
    HolderIsCancelled,
    EndsAndIsFollowedInItsCell,
    OthersComeAndGo,
}

/// All of them, each with a sentence.
pub(crate) const FAULTS: &[(Fault, &str)] = &[
    (
        Fault::Inside(Inside::Nothing),
        "It is used as it should be.",
    ),
    (
        Fault::Inside(Inside::Yields),
        "Others run in the middle of a use.",
    ),
    (
        Fault::Inside(Inside::Sleeps),
        "Time passes in the middle of a use.",
    ),
    (
        Fault::Inside(Inside::Shields),
        "The use goes on under a shield.",
    ),
    (
        Fault::Inside(Inside::IsCancelled),
        "The fiber is asked to end in the middle of a use.",
    ),
    (
        Fault::Inside(Inside::JoinsAnother),
        "The fiber makes another one in the middle of a use, and joins it.",
    ),
    (
        Fault::Inside(Inside::IsUnparked),
        "A wake that nobody waits for comes in the middle of a use.",
    ),
    (
        Fault::Inside(Inside::OthersComeAndGo),
        "Fibers are made and end in the middle of a use.",
    ),
    (
        Fault::Inside(Inside::Fails),
        "The fiber fails in the middle of a use.",
    ),
    (
        Fault::Inside(Inside::FailsAfterAWait),
        "The fiber fails in the middle of a use, and others wait by then.",
    ),
    (
        Fault::Inside(Inside::FailsInADestructor),
        "A destructor fails in the middle of a use.",
    ),
    (
        Fault::Inside(Inside::FailsAfterwards),
        "The fiber fails after a use that was as it should be.",
    ),
    (
        Fault::Inside(Inside::IsForgotten),
        "The guard is forgotten.",
    ),
    (
        Fault::Inside(Inside::LeavesAFiber),
        "A fiber inside is suspended in the middle of a use, and left there.",
    ),
    (
        Fault::Waiting(Waiting::Nothing),
        "It is waited for as it should be.",
    ),
    (
        Fault::Waiting(Waiting::IsCancelled),
        "Who waits is asked to end.",
    ),
    (
        Fault::Waiting(Waiting::IsCancelledBefore),
        "Who will wait was asked to end before.",
    ),
    (
        Fault::Waiting(Waiting::IsCancelledJustBeforeTheWake),
        "Who waits is asked to end, and is woken before it runs.",
    ),
    (
        Fault::Waiting(Waiting::IsCancelledJustAfterTheWake),
        "Who waits is woken, and asked to end before it runs.",
    ),
    (Fault::Waiting(Waiting::TimesOut), "The deadline passes."),
    (
        Fault::Waiting(Waiting::TimesOutAtTheWake),
        "The deadline passes at the moment of the wake.",
    ),
    (
        Fault::Waiting(Waiting::TimesOutBefore),
        "The deadline has passed before the wait.",
    ),
    (
        Fault::Waiting(Waiting::TimesOutTwice),
        "The deadline passes, and the fiber waits again.",
    ),
    (
        Fault::Waiting(Waiting::IsUnparked),
        "A wake for something else comes during the wait.",
    ),
    (
        Fault::Waiting(Waiting::IsUnparkedOften),
        "Many wakes for something else come during the wait.",
    ),
    (
        Fault::Waiting(Waiting::FailsWhenWoken),
        "Who waited fails as soon as it has what it waited for.",
    ),
    (
        Fault::Waiting(Waiting::HolderFails),
        "Who has what is waited for fails.",
    ),
    (
        Fault::Waiting(Waiting::HolderIsCancelled),
        "Who has what is waited for is asked to end.",
    ),
    (
        Fault::Waiting(Waiting::EndsAndIsFollowedInItsCell),
        "Who waited ends, and the next fiber in its cell waits.",
    ),
    (
        Fault::Waiting(Waiting::OthersComeAndGo),
        "Fibers are made and end during the wait.",
    ),
];

impl Fault {
    /// Whether what was taken may never be given back, so that who comes later is refused, or told by its deadline.
    pub(crate) const fn keeps(self) -> bool {
        matches!(
            self,
            Self::Inside(
                Inside::Fails
                    | Inside::FailsAfterAWait
                    | Inside::FailsInADestructor
                    | Inside::IsForgotten
                    | Inside::LeavesAFiber
            ) | Self::Waiting(Waiting::FailsWhenWoken | Waiting::HolderFails)
        )
    }

    /// Whether the fiber in which it is planted fails by it.
    pub(crate) const fn fails(self) -> bool {
        matches!(
            self,
            Self::Inside(
                Inside::Fails
                    | Inside::FailsAfterAWait
                    | Inside::FailsInADestructor
                    | Inside::FailsAfterwards
            ) | Self::Waiting(Waiting::FailsWhenWoken)
        )
    }

    /// Whether code waits in the middle of a use.
    pub(crate) const fn waits_inside(self) -> bool {
        matches!(
            self,
            Self::Inside(
                Inside::Yields
                    | Inside::Sleeps
                    | Inside::IsCancelled
                    | Inside::JoinsAnother
                    | Inside::OthersComeAndGo
                    | Inside::FailsAfterAWait
                    | Inside::LeavesAFiber
            )
        )
    }
}
