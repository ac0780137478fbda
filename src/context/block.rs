//! The control block, which holds two contexts, and the types of the values that a switch carries.

use core::mem::{MaybeUninit, offset_of};
use core::ptr;

/// A word that a switch carries from one side to the other. Its bytes may be uninitialised, like
/// those of any value.
pub type Payload = MaybeUninit<usize>;

/// The function that a fiber runs.
///
/// It is called on the fiber's own stack, with the first payload and the fiber's own block. Its
/// return value is the payload of the fiber's last switch. It must not unwind.
pub type Body = unsafe extern "sysv64" fn(Payload, *mut ControlBlock) -> Payload;

/// A function that is called after a fiber that [`leave`](super::leave)s has left its stack for
/// good. It must not unwind.
pub type After = unsafe extern "sysv64" fn(*mut ControlBlock);

/// The values that a switch returns when control comes back to the caller.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// The word that the other side sent.
    pub payload: Payload,
    /// The block in which the other side stored its registers, or null if that fiber has ended.
    pub tag: *mut ControlBlock,
}

/// The control words of the floating-point units, which the ABI preserves across calls.
///
/// This type exists only where the compiler may use SSE and the feature `fp-control` is on.
#[cfg(all(feature = "fp-control", target_feature = "sse"))]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FpControl {
    /// The rounding mode, exception masks and flush modes of SSE. The exception flags are saved
    /// with them but have no meaning.
    pub(super) mxcsr: u32,
    /// The precision, rounding mode and exception masks of the x87 unit.
    pub(super) x87: u16,
    /// Whether MXCSR is loaded without a comparison: a word of the module `mxcsr`. A switch never
    /// writes it.
    pub(super) always_load: usize,
}

#[cfg(all(feature = "fp-control", target_feature = "sse"))]
impl FpControl {
    /// The control words at the start of a program according to the ABI (x86-64 psABI, table 3.3):
    /// all exceptions are masked, and results are rounded to nearest.
    pub(super) const INITIAL: Self = Self {
        mxcsr: 0x1f80,
        x87: 0x037f,
        always_load: super::mxcsr::COMPARE,
    };
}

/// The two words that an unwinder expects at the address in `rbp`: the caller's `rbp`, and the
/// address at which the caller continues.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameRecord {
    pub(super) rbp: *mut (),
    pub(super) ip: *const (),
}

/// The saved registers of a context that is not running.
#[cfg_attr(not(all(feature = "fp-control", target_feature = "sse")), repr(C))]
// With the control words a context takes a cache line of its own.
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
    /// The offsets of the saved registers, for assembly.
    pub(crate) const SP_AT: usize = offset_of!(Self, sp);
    pub(crate) const IP_AT: usize = offset_of!(Self, record.ip);
    pub(crate) const RBP_AT: usize = offset_of!(Self, record.rbp);
    pub(crate) const RBX_AT: usize = offset_of!(Self, rbx);

    /// A context that cannot be continued. An unwinder that reaches it stops there.
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

    /// Returns the stack pointer that was stored when this context last ran, or null if it never
    /// ran.
    #[must_use]
    pub const fn stack_pointer(&self) -> *mut u8 {
        self.sp
    }

    /// Returns the address at which this context continues. A debugger or an unwinder needs only
    /// this and the three other registers to begin a backtrace.
    #[must_use]
    pub const fn instruction_pointer(&self) -> *const () {
        self.record.ip
    }

    /// Returns the value of `rbp` with which this context continues. In code without frame pointers
    /// it may be any value.
    #[must_use]
    pub const fn frame_pointer(&self) -> *mut () {
        self.record.rbp
    }

    /// Returns the value of `rbx` with which this context continues. The compiler may keep any
    /// value there.
    #[must_use]
    pub const fn rbx(&self) -> *const () {
        self.rbx
    }
}

/// The two contexts of a fiber: its own, and that of the code that resumed it. See the [module
/// documentation](super).
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

const _: () = assert!(Context::RBX_AT == Context::SP_AT + size_of::<usize>());

impl ControlBlock {
    /// The offset, in a block, of the context that [`switch`](super::switch) stores.
    pub(crate) const OWN_AT: usize = offset_of!(Self, own);

    /// The offset, in a block, of two words that are unused in a fiber that is entered only by
    /// [`switch`](super::switch). A scheduler keeps its own in them, since a switch reads their cache
    /// line anyway. They are `sp` and `rbx` of `parent`.
    pub(crate) const SPARE_AT: usize = offset_of!(Self, parent) + Context::SP_AT;

    /// Returns a block that belongs to no fiber. Code that is not a fiber stores its registers
    /// there when it [`switch`](super::switch)es to one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            parent: Context::NOWHERE,
            own: Context::NOWHERE,
        }
    }

    /// Returns the registers of the code that resumed the fiber. They are valid while the fiber
    /// runs.
    #[must_use]
    pub(crate) const fn parent(&self) -> &Context {
        &self.parent
    }

    /// Returns the fiber's own registers. While the fiber runs, they are those of its last
    /// suspension.
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
