//! The stub through which an interrupt or an exception enters on stable Rust.

/// Makes the entry of an interrupt or an exception from the handler's code.
///
/// ```ignore
/// use kfiber::exceptions::TrapFrame;
///
/// kfiber::interrupt_entry! {
///     /// The timer's interrupt.
///     pub fn timer(frame: &mut TrapFrame) vector(32) {
///         SCHEDULER.timer_interrupt();
///         end_of_interrupt();
///     }
/// }
///
/// // SAFETY: the entry was made for this vector.
/// unsafe { idt[32].set_handler_addr(VirtAddr::new(timer as *const () as u64)) };
/// ```
///
/// The result is a function of type `unsafe extern "sysv64" fn()`, whose address goes into the gate
/// of that vector. It cannot be called. The entry
///
/// - pushes 0 where the processor pushes no error code, and the vector;
/// - executes `swapgs` if it comes from user mode, and again if it returns there, so that the
///   handler has the kernel's GS base;
/// - saves the general registers as a [`TrapFrame`](crate::exceptions::TrapFrame), and clears the
///   direction flag;
/// - calls the handler with the frame, on a stack that is aligned as the ABI wants it;
/// - returns with what is in the frame then.
///
/// It uses no memory but the stack that the processor has chosen, so it also works with an entry of
/// the interrupt stack table (IST). Its unwind rules are right at each instruction: a backtrace
/// goes through the interrupt into the code that was interrupted.
///
/// The vector decides whether the processor pushes an error code, so the gate must be that of the
/// vector that was given. Without `vector(…)` the entry is for any vector that has none, and the
/// frame's `vector` is [`NO_VECTOR`](crate::exceptions::TrapFrame::NO_VECTOR).
///
/// A handler that needs no frame takes no argument. Its entry saves only the registers that a function
/// may change, so it is shorter by sixteen instructions. Its vector must be one without an error code.
///
/// ```ignore
/// kfiber::interrupt_entry! {
///     fn keyboard() vector(33) { RECEIVED.release(1); end_of_interrupt(); }
/// }
/// ```
///
/// In kernels whose compiled code uses SSE, the entry also saves the x87 and SSE registers, in 512
/// bytes of stack. Kernels compiled for AVX cannot use it, since the handler could change what is
/// not saved there; this is an error when the kernel is compiled.
///
/// # Safety
///
/// Putting an entry into a gate is `unsafe`. These are the conditions:
///
/// - The gate is that of the vector, or of one without an error code if none was given. It is an
///   interrupt gate, which turns interrupts off, and its code segment is the kernel's.
/// - The frame, when the handler returns, is one with which code can continue.
/// - With the features `smp` and `trace`, the core has its
///   `CoreLocal` before the first interrupt.
/// - In kernels that use GS bases, an exception that can come between a change of the privilege
///   level and its `swapgs` finds the user's GS base in kernel mode. These are NMI, `#MC`, `#DB` and
///   `#DF`. Their handlers must not access memory through GS.
///
/// # Context
///
/// The handler is called from: interrupt, with interrupts off. It must not wait.
#[macro_export]
macro_rules! interrupt_entry {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident($($frame:ident: $type:ty)?)
        $(vector($vector:expr))? $body:block)*) => {$(
        $(#[$attribute])*
        #[unsafe(naked)]
        $visibility unsafe extern "sysv64" fn $name() {
            $crate::__trap_handler!(($($frame: $type)?) $body, $crate::__trap_vector!($($vector)?));
            $crate::__trap_entry!(($($frame)?) handler, $crate::__trap_vector!($($vector)?))
        }
    )*};
}

/// The code of an entry, whose handler has a frame or has none.
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_entry {
    (() $($all:tt)*) => {
        $crate::__interrupt_entry_short!($($all)*)
    };
    (($frame:ident) $($all:tt)*) => {
        $crate::__interrupt_entry!($($all)*)
    };
}

/// The handler that an entry calls.
#[cfg(not(feature = "trace"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_handler {
    (($($frame:ident: $type:ty)?) $body:block, $vector:expr) => {
        extern "sysv64" fn handler($($frame: $type)?) $body
    };
}

/// The handler that an entry calls, which records when it begins and ends.
#[cfg(feature = "trace")]
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_handler {
    (($($frame:ident: $type:ty)?) $body:block, $vector:expr) => {
        extern "sysv64" fn handler($($frame: $type)?) {
            #[inline(always)]
            fn of_the_kernel($($frame: $type)?) $body
            const VECTOR: u64 = $vector;
            if const { $crate::trace::is_traced(VECTOR) } {
                $crate::trace::interrupt_in(VECTOR);
                of_the_kernel($($frame)?);
                $crate::trace::interrupt_out();
            } else {
                of_the_kernel($($frame)?);
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __trap_vector {
    () => {
        $crate::exceptions::TrapFrame::NO_VECTOR
    };
    ($vector:expr) => {{
        const VECTOR: u64 = $vector as u64;
        assert!(VECTOR < 256, "a vector is a number from 0 to 255");
        VECTOR
    }};
}

/// The code of an entry. `$enter` and `$leave` surround the call of the handler, and `$inner` are
/// the unwind rules between the last push and the first pop.
#[doc(hidden)]
#[macro_export]
macro_rules! __trap_code {
    ($handler:ident, $vector:expr, $enter:literal, $leave:literal, $inner:literal) => {
        ::core::arch::naked_asm!(
            "72:",
            ".if {has_error_code} == 0",
            "push 0", // in place of the error code
            ".endif",
            "73:",
            "push {vector}",
            "74:",
            "test byte ptr [rsp + 24], 3", // the privilege level in the saved cs
            "jz 75f",
            "swapgs",
            "75:",
            "push rax",
            "push rcx",
            "push rdx",
            "push rbx",
            "push rbp",
            "push rsi",
            "push rdi",
            "push r8",
            "push r9",
            "push r10",
            "push r11",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "70:",
            "cld",
            "mov rdi, rsp", // the frame; rsp is a multiple of 16 here
            $enter,
            "call {handler}",
            $leave,
            "76:",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop r11",
            "pop r10",
            "pop r9",
            "pop r8",
            "pop rdi",
            "pop rsi",
            "pop rbp",
            "pop rbx",
            "pop rdx",
            "pop rcx",
            "pop rax",
            "77:",
            "test byte ptr [rsp + 24], 3",
            "jz 69f",
            "swapgs",
            "69:",
            "add rsp, 16",
            "78:",
            "iretq",
            "79:",
            $crate::__trap_unwind!($crate::__trap_rules!($inner)),
            handler = sym $handler,
            vector = const $vector,
            has_error_code = const $crate::exceptions::has_error_code($vector) as u8,
        )
    };
}

/// The entry that saves the general registers only.
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry_general {
    ($handler:ident, $vector:expr) => {
        $crate::__trap_code!($handler, $vector, "", "", ".byte 0x02, 76b - 70b")
    };
}

/// The entry that also saves the x87 and SSE registers.
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry_sse {
    ($handler:ident, $vector:expr) => {
        $crate::__trap_code!(
            $handler,
            $vector,
            "sub rsp, 512; 71: fxsave64 [rsp]",
            "fxrstor64 [rsp]; add rsp, 512",
            ".byte 0x02, 71b - 70b, 0x0e, 0x88, 5, 0x02, 76b - 71b, 0x0e, 0x88, 1"
        )
    };
}

/// The entry for kernels whose compiled code has no other registers.
#[cfg(not(target_feature = "sse"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry {
    ($($all:tt)*) => {
        $crate::__interrupt_entry_general!($($all)*)
    };
}

/// The same, for a handler without a frame.
#[cfg(not(target_feature = "sse"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry_short {
    ($($all:tt)*) => {
        $crate::__interrupt_entry_short_general!($($all)*)
    };
}

/// The entry for kernels whose compiled code uses SSE.
#[cfg(all(target_feature = "sse", not(target_feature = "avx")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry {
    ($($all:tt)*) => {
        $crate::__interrupt_entry_sse!($($all)*)
    };
}

/// The same, for a handler without a frame.
#[cfg(all(target_feature = "sse", not(target_feature = "avx")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry_short {
    ($($all:tt)*) => {
        $crate::__interrupt_entry_short_sse!($($all)*)
    };
}

/// The refusal for kernels whose compiled code has more registers than that.
#[cfg(target_feature = "avx")]
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry {
    ($($all:tt)*) => {
        ::core::compile_error!(
            "`interrupt_entry!` does not save the registers of AVX: compile the kernel without it"
        )
    };
}

/// The same, for a handler without a frame.
#[cfg(target_feature = "avx")]
#[doc(hidden)]
#[macro_export]
macro_rules! __interrupt_entry_short {
    ($($all:tt)*) => {
        $crate::__interrupt_entry!($($all)*)
    };
}

#[cfg(feature = "x86_64")]
pub(crate) use interrupt_entry;
