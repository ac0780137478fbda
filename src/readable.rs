//! Errors and reports whose `Debug` and `Display` print the same sentence, since kernels use
//! `expect`, which prints `Debug`.

/// Implements `Debug` for a type by its `Display`: `debug_is_display!(Type)`,
/// `debug_is_display!(<T> Type<T>)`.
macro_rules! debug_is_display {
    (<$($parameter:ident),+> $type:ty) => {
        impl<$($parameter),+> core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
    ($type:ty) => {
        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
}
