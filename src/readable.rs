//! Errors and reports print the same sentence either way: kernels use `expect`, which prints `Debug`.

/// Gives a type a `Debug` that prints what its `Display` does: `debug_is_display!(Type)`, `debug_is_display!(<T> Type<T>)`.
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
