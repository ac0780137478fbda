//! The control block: two contexts, and the types of what a switch carries.

use core::mem::{MaybeUninit, offset_of};
use core::ptr;

/// A word on its way from one side of a switch to the other; its bytes may be uninitialised, as those of any value.
pub type Payload = MaybeUninit<usize>;

/// What a fiber runs: it is called with the first payload and the fiber's own block, on the fiber's own stack, and
/// what it returns is the payload of the last switch. It must not unwind.
pub type Body = unsafe extern "sysv64" fn(Payload, *mut ControlBlock) -> Payload;

/// What is called once a fiber that [`leave`](super::leave)s for good is off its stack. It must not unwind.
pub type After = unsafe extern "sysv64" fn(*mut ControlBlock);

/// What a switch brings back when control returns to the one who made it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Landed {
    /// The word that the other side sent.
    pub payload: Payload,
    /// The block that the other side left by its switch, or null if that fiber has ended.
    pub tag: *mut ControlBlock,
}

/// The control words of the floating-point units, which the ABI wants preserved.
///
/// Present only where the compiler may use SSE and the feature `fp-control` is on.
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FpControl {
    /// Rounding, exception masks and flush modes of SSE; and flags of exceptions, which are saved with them and mean nothing.
    pub(super) mxcsr: u32,
    /// Precision, rounding and exception masks of the x87 unit.
    pub(super) x87: u16,
}

#[cfg(all(feature = "fp-control", target_feature = "sse"))]
impl FpControl {
    /// What the ABI says a program starts with (x86-64 psABI, table 3.3): all exceptions masked, round to nearest.
    pub(super) const INITIAL: Self = Self {
        mxcsr: 0x1f80,
        x87: 0x037f,
    };
}

/// What an unwinder expects at the address in `rbp`: the caller's own `rbp`, and where the caller goes on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameRecord {
    pub(super) rbp: *mut (),
    pub(super) ip: *const (),
}

/// The registers of a context that is not running.
#[cfg_attr(not(all(feature = "fp-control", target_feature = "sse")), repr(C))]
// A second half line for the control words; a context then has a line of its own.
#[cfg_attr(
    all(feature = "fp-control", target_feature = "sse"),
    repr(C, align(64))
)]
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub(super) record: FrameRecord,
    pub(super) sp: *mut u8,
    pub(super) rbx: *const (),
    #[cfg(all(feature = "fp-control", target_feature = "sse"))]
    pub(super) fp: FpControl,
}

impl Context {
    /// A context that cannot be continued: an unwinder that follows it ends there.
    pub(super) const NOWHERE: Self = Self {
        record: FrameRecord {
            rbp: ptr::null_mut(),
            ip: ptr::null(),
        },
        sp: ptr::null_mut(),
        rbx: ptr::null(),
        #[cfg(all(feature = "fp-control", target_feature = "sse"))]
        fp: FpControl::INITIAL,
    };

    /// The stack pointer that was stored when this context last ran, null if it never did.
    #[must_use]
    pub const fn stack_pointer(&self) -> *mut u8 {
        self.sp
    }

    /// Where this context goes on: with the other three, all that a debugger or an unwinder needs to begin at.
    #[must_use]
    pub const fn instruction_pointer(&self) -> *const () {
        self.record.ip
    }

    /// The value of `rbp` when this context goes on. In code without frame pointers it may be anything.
    #[must_use]
    pub const fn frame_pointer(&self) -> *mut () {
        self.record.rbp
    }

    /// The value of `rbx` when this context goes on, which is whatever the compiler keeps there.
    #[must_use]
    pub const fn rbx(&self) -> *const () {
        self.rbx
    }
}

/// The two contexts of a fiber: its own, and that of the code that resumed it. See the [module](super).
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub struct ControlBlock {
    pub(super) parent: Context,
    pub(super) own: Context,
}

// One line on the bare machine; one line for each context where the control words of the FPU are kept.
#[cfg(not(all(feature = "fp-control", target_feature = "sse")))]
const _: () = assert!(size_of::<ControlBlock>() == 64, "one cache line");
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
const _: () = assert!(size_of::<ControlBlock>() == 128, "two cache lines");

impl ControlBlock {
    /// Where in a block the stack pointer of a context is that left by [`switch`](super::switch).
    pub(crate) const OWN_SP_AT: usize = offset_of!(Self, own) + offset_of!(Context, sp);

    /// Returns a block that belongs to no fiber: the place where code that is not a fiber stores its registers
    /// when it [`switch`](super::switch)es to one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            parent: Context::NOWHERE,
            own: Context::NOWHERE,
        }
    }

    /// Two words that are free in a fiber that nobody resumes: a scheduler keeps its links there, in the line that a switch
    /// reads anyway. (They are `sp` and `rbx` of `parent`.)
    ///
    /// # Safety
    ///
    /// `block` is valid, and its fiber is entered by [`switch`](super::switch) alone.
    #[inline(always)]
    pub(crate) const unsafe fn spare_words(block: *mut Self) -> *mut [*mut (); 2] {
        const { assert!(offset_of!(Context, rbx) == offset_of!(Context, sp) + size_of::<usize>()) };
        // SAFETY: the caller vouches for `block`.
        unsafe { (&raw mut (*block).parent.sp).cast() }
    }

    /// The registers of the code that resumed the fiber, while it runs.
    #[must_use]
    pub(crate) const fn parent(&self) -> &Context {
        &self.parent
    }

    /// The fiber's own registers. While the fiber runs they are those of its last suspension.
    #[must_use]
    pub const fn own(&self) -> &Context {
        &self.own
    }
}

impl Default for ControlBlock {
    fn default() -> Self {
        Self::new()
    }
}
