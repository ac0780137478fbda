//! The assembly that exchanges the control words of the floating-point units at a switch.
//!
//! Both are stored, and loaded only if they differ, for to load is slow: MXCSR with another value than the processor holds takes
//! some fifty nanoseconds. Of MXCSR only the control bits count, all but the lowest six. Those are flags of exceptions, no
//! call preserves them, and they are what differs most: they remember that a number was once rounded.

use super::block::{Context, FpControl};
use core::mem::offset_of;

/// Where MXCSR is in a context.
pub(super) const MXCSR: usize = offset_of!(Context, fp) + offset_of!(FpControl, mxcsr);
/// Where the x87 control word is in a context.
pub(super) const X87: usize = offset_of!(Context, fp) + offset_of!(FpControl, x87);

/// Stores the words that are in effect in the context at `$prev`, and loads those in the context at `$next` that differ.
/// Both are addresses as assembly writes them; [`MXCSR`] and [`X87`] are the operands `mxcsr` and `x87`. Changes rax.
macro_rules! exchange_control_words {
    ($prev:expr, $next:expr) => {
        concat!(
            "stmxcsr [",
            $prev,
            " + {mxcsr}]; fnstcw [",
            $prev,
            " + {x87}];",
            "mov eax, [",
            $prev,
            " + {mxcsr}]; xor eax, [",
            $next,
            " + {mxcsr}];",
            "and eax, ~0x3f; je 3f; ldmxcsr [",
            $next,
            " + {mxcsr}];",
            "3: movzx eax, word ptr [",
            $prev,
            " + {x87}]; cmp ax, [",
            $next,
            " + {x87}];",
            "je 4f; fldcw [",
            $next,
            " + {x87}]; 4:",
        )
    };
}
pub(super) use exchange_control_words;
