//! The assembly that exchanges the control words of the floating-point units at a switch.
//!
//! Both words are stored. The x87 control word is loaded only if it differs, because loading it is
//! slow. For MXCSR it depends on the processor which of two ways is faster:
//!
//! - *Compare, and load only if the word differs.* On processors of Intel, a load of MXCSR takes
//!   some fifty nanoseconds if the processor holds another value. The comparison ignores the lowest
//!   six bits. Those are exception flags: no call preserves them, and they differ most often,
//!   because they record that a number was once rounded.
//! - *Always load.* On processors of AMD, a load costs nearly nothing. But the next `stmxcsr` waits
//!   until every instruction before it is complete, and a comparison is complete only after the
//!   stored word has come back from memory.
//!
//! The word `always_load` of the context that continues says which way is taken; see
//! [`mxcsr`](super::mxcsr). Both ways are right on every processor.
//!
//! The words are stored before the other registers, and loaded after them, so that nothing waits
//! for `stmxcsr` longer than it must.
//!
//! Where a context has no control words, the macros expand to nothing. In a context that has them,
//! MXCSR lies at offset 32, the x87 control word at offset 36, and `always_load` at offset 40.

#[cfg(all(feature = "fp-control", target_feature = "sse"))]
const _: () = {
    use super::block::{Context, FpControl};
    use core::mem::offset_of;

    // The macros below depend on these offsets.
    assert!(offset_of!(Context, fp) + offset_of!(FpControl, mxcsr) == 32);
    assert!(offset_of!(Context, fp) + offset_of!(FpControl, x87) == 36);
    assert!(offset_of!(Context, fp) + offset_of!(FpControl, always_load) == 40);
};

/// Stores the current words in the context at `$prev`, an address in assembly syntax.
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
macro_rules! store_control_words {
    ($prev:expr) => {
        concat!("stmxcsr [", $prev, " + 32]; fnstcw [", $prev, " + 36]")
    };
}

/// Loads the words of the context at `$next`, after the current ones were stored in the context at
/// `$prev`. A word that is found to be the same is not loaded.
///
/// Both arguments are addresses in assembly syntax. The code changes rax.
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
macro_rules! exchange_control_words {
    ($prev:expr, $next:expr) => {
        concat!(
            "cmp rsp, [",
            $next,
            " + 40]; jb 5f;",
            "mov eax, [",
            $prev,
            " + 32]; xor eax, [",
            $next,
            " + 32];",
            "and eax, ~0x3f; je 3f; 5: ldmxcsr [",
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

/// There are no control words to store.
#[cfg(not(all(feature = "fp-control", target_feature = "sse")))]
macro_rules! store_control_words {
    ($prev:expr) => {
        ""
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

pub(super) use {exchange_control_words, load_control_words, store_control_words};
