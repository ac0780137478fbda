//! The assembly that exchanges the control words of the floating-point units at a switch.
//!
//! Both words are stored, but each is loaded only if it differs, because loading is slow. A load of
//! MXCSR takes some fifty nanoseconds if the processor holds another value. The comparison ignores
//! the lowest six bits of MXCSR. Those are exception flags: no call preserves them, and they differ
//! most often, because they record that a number was once rounded.

use super::block::{Context, FpControl};
use core::mem::offset_of;

/// The offset of MXCSR in a context.
pub(super) const MXCSR: usize = offset_of!(Context, fp) + offset_of!(FpControl, mxcsr);
/// The offset of the x87 control word in a context.
pub(super) const X87: usize = offset_of!(Context, fp) + offset_of!(FpControl, x87);

/// Stores the current words in the context at `$prev`, and loads those words of the context at
/// `$next` that differ.
///
/// Both arguments are addresses in assembly syntax. [`MXCSR`] and [`X87`] must be passed as the
/// operands `mxcsr` and `x87`. The code changes rax.
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
