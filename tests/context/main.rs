//! The raw switch in a Linux process: the same assembly as on the bare machine.

mod control_words;
mod entry;
mod forms;
#[cfg(not(any(miri, kfiber_threads)))]
mod leaving;
mod registers;

use core::mem::MaybeUninit;
use kfiber::context::{
    Body, Context, ControlBlock, Payload, Transfer, resume, suspend, switch, switch_out_of_line,
};

const STACK_BYTES: usize = 64 * 1024;

#[repr(align(64))]
struct Memory {
    _bytes: [MaybeUninit<u8>; STACK_BYTES],
}

/// Makes a fiber by hand: leaked memory, the block at its top, the stack below.
fn spawn(body: Body) -> *mut ControlBlock {
    let memory = Box::leak(Box::<Memory>::new_uninit()).as_mut_ptr();
    let block: *mut ControlBlock = memory
        .wrapping_add(1)
        .cast::<ControlBlock>()
        .wrapping_sub(1);
    // SAFETY: the memory is leaked and ours; the block is aligned, and so is its lower end. The bodies do not unwind.
    unsafe { ControlBlock::init(block, block.cast(), body) };
    block
}

/// A block for code that is no fiber, to leave its registers in.
fn root() -> *mut ControlBlock {
    Box::into_raw(Box::new(ControlBlock::new()))
}

/// The two contexts of a block, as C sees them.
const fn contexts(block: *mut ControlBlock) -> (*mut Context, *mut Context) {
    let parent: *mut Context = block.cast();
    (parent, parent.wrapping_add(1))
}

const fn word(payload: Payload) -> usize {
    // SAFETY: all payloads of these tests are whole words.
    unsafe { payload.assume_init() }
}

const fn payload(word: usize) -> Payload {
    Payload::new(word)
}

/// A payload that is an address, with its provenance.
const fn address<T>(value: *const T) -> Payload {
    let mut word = Payload::uninit();
    // SAFETY: a thin pointer is as large as the word.
    unsafe { word.as_mut_ptr().cast::<*const T>().write(value) };
    word
}

/// The address that [`address`] packed.
const fn pointer<T>(word: Payload) -> *const T {
    // SAFETY: the other side packed a pointer.
    unsafe { word.as_ptr().cast::<*const T>().read() }
}
