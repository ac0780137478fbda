//! The assembly that exchanges the control words of the floating-point units at a switch.
//!
//! Both words are stored, but each is loaded only if it differs, because loading is slow. A load of
//! MXCSR takes some fifty nanoseconds if the processor holds another value. The comparison ignores
//! the lowest six bits of MXCSR. Those are exception flags: no call preserves them, and they differ
//! most often, because they record that a number was once rounded.
//!
//! Where a context has no control words, the macros expand to nothing. In a context that has them,
//! MXCSR lies at offset 32 and the x87 control word at offset 36.

#[cfg(all(feature = "fp-control", target_feature = "sse"))]
const _: () = {
    use super::block::{Context, FpControl};
    use core::mem::offset_of;

    // The macros below depend on these offsets.
    assert!(offset_of!(Context, fp) + offset_of!(FpControl, mxcsr) == 32);
    assert!(offset_of!(Context, fp) + offset_of!(FpControl, x87) == 36);
};

/// Stores the current words in the context at `$prev`, and loads those words of the context at
/// `$next` that differ.
///
/// Both arguments are addresses in assembly syntax. The code changes rax.
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
macro_rules! exchange_control_words {
    ($prev:expr, $next:expr) => {
        concat!(
            "stmxcsr [",
            $prev,
            " + 32]; fnstcw [",
            $prev,
            " + 36];",
            "mov eax, [",
            $prev,
            " + 32]; xor eax, [",
            $next,
            " + 32];",
            "and eax, ~0x3f; je 3f; ldmxcsr [",
            $next,
            " + 32];",
            "3: movzx eax, word ptr [",
            $prev,
            " + 36]; cmp ax, [",
            $next,
            " + 36];",
            "je 4f; fldcw [",
            $next,
            " + 36]; 4:",
        )
    };
}

/// Loads the words of the context at `$from`, an address in assembly syntax.
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
macro_rules! load_control_words {
    ($from:literal) => {
        concat!("ldmxcsr [", $from, " + 32]; fldcw [", $from, " + 36]")
    };
}

/// There are no control words to exchange.
#[cfg(not(all(feature = "fp-control", target_feature = "sse")))]
macro_rules! exchange_control_words {
    ($prev:expr, $next:expr) => {
        ""
    };
}

/// There are no control words to load.
#[cfg(not(all(feature = "fp-control", target_feature = "sse")))]
macro_rules! load_control_words {
    ($from:literal) => {
        ""
    };
}

pub(super) use {exchange_control_words, load_control_words};
