//! Switches from hand-written assembly that knows what is in each register before, and looks at each after.
//!
//! Every form of the switch is called through one signature, that of the out-of-line form. For the inline forms that
//! is a function around them: what the compiler saves because the form says it is clobbered, and what the form itself
//! must keep, both show in the registers that the function must preserve.

use core::{arch::global_asm, hint::black_box, mem::offset_of, ptr};

use kfiber::context::{self, Context, ControlBlock, Payload, Transfer};

global_asm!(
    include_str!("checked/switch.s"),
    rbx = const offset_of!(Check, registers),
    rbp = const offset_of!(Check, registers) + 8,
    r12 = const offset_of!(Check, registers) + 16,
    r13 = const offset_of!(Check, registers) + 24,
    r14 = const offset_of!(Check, registers) + 32,
    r15 = const offset_of!(Check, registers) + 40,
    rsp = const offset_of!(Check, rsp),
    tag = const offset_of!(Check, tag),
    tag_mask = const offset_of!(Check, tag_mask),
    function = const offset_of!(Check, function),
    difference = const offset_of!(Check, difference),
);

unsafe extern "sysv64" {
    /// Switches by `check.function` with the words in `check.registers`. See `switch.s`.
    ///
    /// # Safety
    ///
    /// As for [`context::switch_out_of_line`]; what comes back as payload is `check`.
    #[link_name = "kfiber_test_checked_switch"]
    pub(crate) fn checked_switch(
        payload: *mut Check,
        tag: *mut ControlBlock,
        prev: *mut Context,
        next: *mut Context,
        check: *mut Check,
        garbage: u64,
    ) -> u64;

    /// As [`checked_switch`], with words made from `random`.
    ///
    /// # Safety
    ///
    /// As for [`checked_switch`].
    #[link_name = "kfiber_test_random_switch"]
    pub(crate) fn random_switch(
        payload: *mut Check,
        tag: *mut ControlBlock,
        prev: *mut Context,
        next: *mut Context,
        check: *mut Check,
        random: u64,
    ) -> u64;
}

/// The signature of the out-of-line switch.
pub(crate) type Form =
    unsafe extern "sysv64" fn(Payload, *mut ControlBlock, *mut Context, *const Context) -> Transfer;

/// What one side of a switch put into the registers, and what it must find when it is back.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Check {
    /// rbx, rbp, r12, r13, r14, r15.
    pub(crate) registers: [u64; 6],
    rsp: u64,
    /// The tag that must come with the payload; set by whoever switches to this side.
    pub(crate) tag: *mut ControlBlock,
    /// All ones, or zero if the form that this side uses brings no tag.
    pub(crate) tag_mask: u64,
    /// The form of the switch.
    pub(crate) function: Form,
    /// Wrong bits in: the six registers, rsp, payload, tag.
    pub(crate) difference: [u64; 9],
}

impl Check {
    pub(crate) const fn new() -> Self {
        Self {
            registers: [0; 6],
            rsp: 0,
            tag: ptr::null_mut(),
            tag_mask: 0,
            function: context::switch_out_of_line,
            difference: [0; 9],
        }
    }

    /// Uses this form from now on.
    pub(crate) fn set_form(&mut self, form: Form) {
        self.function = form;
        let is_suspend = ptr::fn_addr_eq(form, inline_suspend as Form);
        self.tag_mask = if is_suspend { 0 } else { u64::MAX };
    }
}

/// The context of a resumer that waits for the fiber of `block`.
pub(crate) const fn parent(block: *mut ControlBlock) -> *mut Context {
    block.cast()
}

/// The fiber's own context.
pub(crate) const fn own(block: *mut ControlBlock) -> *mut Context {
    parent(block).wrapping_add(1)
}

/// The block whose own context this is.
const fn block_of(own: *const Context) -> *mut ControlBlock {
    own.wrapping_sub(1).cast_mut().cast()
}

/// [`context::resume`], as a function.
#[inline(never)]
pub(crate) unsafe extern "sysv64" fn inline_resume(
    payload: Payload,
    _tag: *mut ControlBlock,
    _prev: *mut Context,
    next: *const Context,
) -> Transfer {
    // SAFETY: The caller's promise.
    unsafe { context::resume(block_of(next), payload) }
}

/// [`context::suspend`], as a function.
#[inline(never)]
pub(crate) unsafe extern "sysv64" fn inline_suspend(
    payload: Payload,
    tag: *mut ControlBlock,
    _prev: *mut Context,
    _next: *const Context,
) -> Transfer {
    // SAFETY: The caller's promise.
    let payload = unsafe { context::suspend(tag, payload) };
    Transfer {
        payload,
        tag: ptr::null_mut(),
    }
}

/// [`context::switch`], as a function.
#[inline(never)]
pub(crate) unsafe extern "sysv64" fn inline_switch(
    payload: Payload,
    tag: *mut ControlBlock,
    _prev: *mut Context,
    next: *const Context,
) -> Transfer {
    // SAFETY: The caller's promise.
    unsafe { context::switch(tag, block_of(next), payload) }
}

/// As [`inline_switch`], in a function with a realigned frame and more live values than there are registers.
#[inline(never)]
pub(crate) unsafe extern "sysv64" fn inline_switch_among_locals(
    payload: Payload,
    tag: *mut ControlBlock,
    prev: *mut Context,
    next: *const Context,
) -> Transfer {
    #[repr(align(64))]
    struct Aligned([u64; 4]);
    let seed = tag.addr() as u64 ^ next.addr() as u64;
    let mut aligned = Aligned([seed, !seed, seed ^ 1, seed ^ 2]);
    black_box(&mut aligned);
    let [a, b, c, d, e, f] =
        black_box([seed ^ 3, seed ^ 4, seed ^ 5, seed ^ 6, seed ^ 7, seed ^ 8]);
    // SAFETY: The caller's promise.
    let mut transfer = unsafe { context::switch(tag, block_of(next), payload) };
    let seed_again = tag.addr() as u64 ^ next.addr() as u64;
    let are_kept = [a, b, c, d, e, f]
        == [seed ^ 3, seed ^ 4, seed ^ 5, seed ^ 6, seed ^ 7, seed ^ 8]
        && aligned.0 == [seed, !seed, seed ^ 1, seed ^ 2]
        && (&raw const aligned).addr().is_multiple_of(64)
        && seed == seed_again
        && !prev.is_null();
    if !are_kept {
        transfer.tag = ptr::dangling_mut(); // seen by the one who compares
    }
    transfer
}
