//! What a row of the table says of a type, and what the compiler says of it.

use core::cell::Cell;
use core::marker::PhantomData;

/// When a type has an auto trait, by what `T` has.
#[derive(Clone, Copy)]
#[cfg_attr(
    target_os = "none",
    expect(dead_code, reason = "some are for the types of the host")
)]
pub(crate) enum If {
    Always,
    Never,
    Send,
    Sync,
    Both,
}

impl If {
    const fn holds(self, is_send: bool, is_sync: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Send => is_send,
            Self::Sync => is_sync,
            Self::Both => is_send && is_sync,
        }
    }
}

/// How a type varies with one of its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    target_os = "none",
    expect(dead_code, reason = "for the types of the host")
)]
pub(crate) enum Variance {
    /// The row is not about such a parameter.
    Absent,
    Covariant,
    Contravariant,
    Invariant,
}

/// One type. Where it has two parameters that matter, it has a row for each.
pub(crate) struct Row {
    /// Its path after `kfiber::`, with `T` for the parameter and `'static` for the lifetime.
    pub(crate) text: &'static str,
    pub(crate) is_send: If,
    pub(crate) is_sync: If,
    /// Whether it is `Send`, and whether it is `Sync`, for each of the [`KINDS`].
    pub(crate) found: [[bool; 2]; 4],
    #[cfg_attr(
        target_os = "none",
        expect(dead_code, reason = "for the types of the host")
    )]
    pub(crate) in_type: Variance,
    #[cfg_attr(
        target_os = "none",
        expect(dead_code, reason = "for the types of the host")
    )]
    pub(crate) in_lifetime: Variance,
}

/// What `T` is `Send` and `Sync` in the four instances of a type, and how this is called.
const KINDS: [(bool, bool, &str); 4] = [
    (true, true, "Send and Sync"),
    (true, false, "Send"),
    (false, true, "Sync"),
    (false, false, "neither Send nor Sync"),
];

impl Row {
    /// Calls `complain` with the trait, with what `T` is, and with whether the type has the trait although it should not.
    pub(crate) fn check(&self, mut complain: impl FnMut(&str, &str, bool)) {
        for ((is_send, is_sync, kind), found) in KINDS.into_iter().zip(self.found) {
            let wanted = [self.is_send, self.is_sync].map(|when| when.holds(is_send, is_sync));
            for (name, (wanted, found)) in ["Send", "Sync"]
                .into_iter()
                .zip(wanted.into_iter().zip(found))
            {
                if wanted != found {
                    complain(name, kind, found);
                }
            }
        }
    }
}

/// Has the answer as an associated constant: its own if the type has the trait, that of the trait below if not.
pub(crate) struct Probe<T: ?Sized>(PhantomData<T>);

pub(crate) trait IsNot {
    const IS_SEND: bool = false;
    const IS_SYNC: bool = false;
}

impl<T: ?Sized> IsNot for Probe<T> {}

impl<T: ?Sized + Send> Probe<T> {
    pub(crate) const IS_SEND: bool = true;
}

impl<T: ?Sized + Sync> Probe<T> {
    pub(crate) const IS_SYNC: bool = true;
}

pub(crate) type SendAndSync = u32;
pub(crate) type SendOnly = Cell<u32>;
pub(crate) struct SyncOnly(#[expect(dead_code, reason = "makes it not Send")] *const ());
pub(crate) type Neither = *const ();

// SAFETY: there is nothing that could be done with the pointer.
unsafe impl Sync for SyncOnly {}

/// Rows of `type => Send, Sync, variance in T, variance in the lifetime;`.
macro_rules! rows {
    ($($type:ty => $is_send:ident, $is_sync:ident, $in_type:ident, $in_lifetime:ident;)*) => {
        pub(crate) const ROWS: &[Row] = &[$(Row {
            text: stringify!($type),
            is_send: If::$is_send,
            is_sync: If::$is_sync,
            found: [
                rows!(@with SendAndSync, $type),
                rows!(@with SendOnly, $type),
                rows!(@with SyncOnly, $type),
                rows!(@with Neither, $type),
            ],
            in_type: Variance::$in_type,
            in_lifetime: Variance::$in_lifetime,
        }),*];
    };
    (@with $kind:ident, $type:ty) => {{
        type T = $kind;
        const _: Option<T> = None; // not all types have a parameter
        [<Probe<$type>>::IS_SEND, <Probe<$type>>::IS_SYNC]
    }};
}
pub(crate) use rows;
