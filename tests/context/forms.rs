//! Every form of the switch, mixed with every other on the same block, in all orders.

use super::{
    ControlBlock, Payload, Transfer, address, contexts, payload, pointer, resume, root, spawn,
    suspend, switch, switch_out_of_line, word,
};

/// How control goes into a fiber and comes back. The first four meet in `parent`, the others in the two `own`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    ResumeSuspend,
    ResumeOutOfLine,
    OutOfLineSuspend,
    OutOfLineBoth,
    SwitchSwitch,
    SwitchOutOfLine,
    OutOfLineSwitch,
    OutOfLineBothOwn,
}

const FORMS: [Form; 8] = [
    Form::ResumeSuspend,
    Form::ResumeOutOfLine,
    Form::OutOfLineSuspend,
    Form::OutOfLineBoth,
    Form::SwitchSwitch,
    Form::SwitchOutOfLine,
    Form::OutOfLineSwitch,
    Form::OutOfLineBothOwn,
];

/// What the fiber is told: how to come back, a number, and where the root's block is.
#[derive(Clone, Copy)]
struct Order {
    form: Form,
    number: usize,
    root: *mut ControlBlock,
}

/// Goes from `order.root` into the fiber of `block`.
///
/// # Safety
///
/// The fiber is new or suspended.
#[inline(never)]
unsafe fn enter(block: *mut ControlBlock, order: &Order) -> Transfer {
    let root = order.root;
    let (parent, own) = contexts(block);
    let (_, root_own) = contexts(root);
    let word = address(order);
    match order.form {
        // SAFETY: the caller's promise.
        Form::ResumeSuspend | Form::ResumeOutOfLine => unsafe { resume(block, word) },
        Form::OutOfLineSuspend | Form::OutOfLineBoth => {
            // SAFETY: as above.
            unsafe { switch_out_of_line(word, block, parent, own) }
        }
        // SAFETY: as above; the root's block is used by the running code only.
        Form::SwitchSwitch | Form::SwitchOutOfLine => unsafe { switch(root, block, word) },
        Form::OutOfLineSwitch | Form::OutOfLineBothOwn => {
            // SAFETY: as above.
            unsafe { switch_out_of_line(word, root, root_own, own) }
        }
    }
}

/// Comes back from the fiber of `block` in the way that `order` says, and returns the next order.
///
/// # Safety
///
/// Runs on that fiber, which was entered in that way.
#[inline(never)]
unsafe fn leave(
    block: *mut ControlBlock,
    order: Order,
    number: usize,
) -> (Payload, Option<*mut ControlBlock>) {
    let root = order.root;
    let (parent, own) = contexts(block);
    let (_, root_own) = contexts(root);
    let answer = payload(number);
    let transfer = match order.form {
        Form::ResumeSuspend | Form::OutOfLineSuspend => {
            // SAFETY: the caller's promise.
            return (unsafe { suspend(block, answer) }, None);
        }
        Form::ResumeOutOfLine | Form::OutOfLineBoth => {
            // SAFETY: as above.
            unsafe { switch_out_of_line(answer, block, own, parent) }
        }
        // SAFETY: as above; the root waits in its own block.
        Form::SwitchSwitch | Form::OutOfLineSwitch => unsafe { switch(block, root, answer) },
        Form::SwitchOutOfLine | Form::OutOfLineBothOwn => {
            // SAFETY: as above.
            unsafe { switch_out_of_line(answer, block, own, root_own) }
        }
    };
    (transfer.payload, Some(transfer.tag))
}

/// Whether the fiber was entered by a switch between two `own`: the tag then names the root's block.
fn comes_from_root(form: Form) -> bool {
    FORMS[4..].contains(&form)
}

/// Doubles each number, and comes back as each order says. Never returns.
unsafe extern "sysv64" fn obey(first: Payload, block: *mut ControlBlock) -> Payload {
    let mut word = first;
    loop {
        // SAFETY: the root sends the address of an order that it keeps while we run.
        let order = unsafe { pointer::<Order>(word).read() };
        // SAFETY: the root entered us in the way of this order.
        let (next, tag) = unsafe { leave(block, order, order.number * 2) };
        // SAFETY: as above.
        let order = unsafe { pointer::<Order>(next).read() };
        if let Some(tag) = tag {
            let expected = if comes_from_root(order.form) {
                order.root
            } else {
                block // as every resume says
            };
            assert_eq!(tag, expected, "{:?}", order.form);
        }
        word = next;
    }
}

fn run(orders: impl IntoIterator<Item = Form>) {
    let (block, root) = (spawn(obey), root());
    for (number, form) in orders.into_iter().enumerate() {
        let order = Order { form, number, root };
        // SAFETY: `obey` always suspends, and never ends.
        let transfer = unsafe { enter(block, &order) };
        assert_eq!(word(transfer.payload), number * 2, "{form:?}");
        assert_eq!(transfer.tag, block, "{form:?}: the fiber that came back");
        // SAFETY: the fiber is suspended.
        assert!(!unsafe { (*block).is_fresh() });
    }
}

#[test]
fn each_form_enters_a_fresh_fiber_and_goes_on_with_itself() {
    for form in FORMS {
        run([form; 5]);
    }
}

#[test]
fn all_forms_mix_on_one_block_in_all_orders_of_three() {
    // An interpreter has time for one in eight of them; each still follows on each.
    let first = &FORMS[..if cfg!(miri) { 1 } else { FORMS.len() }];
    for &first in first {
        let rest = FORMS.into_iter().flat_map(|second| {
            FORMS
                .into_iter()
                .flat_map(move |third| [first, second, third])
        });
        run(rest);
    }
}

/// Adds up what it is sent, by resume and suspend, and returns the sum at a zero.
unsafe extern "sysv64" fn add_up(first: Payload, block: *mut ControlBlock) -> Payload {
    let (mut sum, mut number) = (0_usize, word(first));
    while number != 0 {
        sum = number.wrapping_add(sum);
        // SAFETY: runs on the fiber of `block`, which was entered by `resume`.
        number = word(unsafe { suspend(block, payload(sum)) });
    }
    payload(sum)
}

#[test]
fn resume_and_suspend_carry_a_word_both_ways() {
    let block = spawn(add_up);
    let mut sum = 0_usize;
    for number in [3, 1 << 63, usize::MAX, 1, 0x5555_5555_5555_5555] {
        sum = sum.wrapping_add(number);
        // SAFETY: the fiber is new or suspended.
        let transfer = unsafe { resume(block, payload(number)) };
        assert_eq!(word(transfer.payload), sum);
    }
}

#[test]
fn the_tag_is_the_block_at_each_suspension_and_null_at_the_end() {
    let block = spawn(add_up);
    for (number, is_end) in [(5, false), (6, false), (0, true)] {
        // SAFETY: the fiber is new or suspended.
        let transfer = unsafe { resume(block, payload(number)) };
        assert_eq!(transfer.tag.is_null(), is_end);
        if is_end {
            assert_eq!(word(transfer.payload), 11, "what the body returned");
        } else {
            assert_eq!(transfer.tag, block);
        }
    }
}

#[test]
fn a_body_that_returns_goes_to_whoever_resumed_it_last() {
    for out_of_line in [false, true] {
        let block = spawn(add_up);
        let (parent, own) = contexts(block);
        // SAFETY: the fiber is new.
        let _ = unsafe { resume(block, payload(5)) };
        let transfer = if out_of_line {
            // SAFETY: the fiber is suspended.
            unsafe { switch_out_of_line(payload(0), block, parent, own) }
        } else {
            // SAFETY: the fiber is suspended.
            unsafe { resume(block, payload(0)) }
        };
        assert!(transfer.tag.is_null());
        assert_eq!(word(transfer.payload), 5);
    }
}

/// The blocks of fibers that hand a number round.
struct Ring([*mut ControlBlock; 4]);

/// Adds one and switches to the next in the ring.
unsafe extern "sysv64" fn pass_on(first: Payload, block: *mut ControlBlock) -> Payload {
    // SAFETY: the first word is the address of the ring, which is leaked.
    let ring = unsafe { &*pointer::<Ring>(first) };
    let me = ring
        .0
        .iter()
        .position(|&b| b == block)
        .expect("in the ring");
    let (before, next) = (ring.0[(me + 3) % 4], ring.0[(me + 1) % 4]);
    let mut answer = first;
    loop {
        // SAFETY: the next in the ring is new or has switched away.
        let transfer = unsafe { switch(block, next, answer) };
        assert_eq!(transfer.tag, before);
        answer = payload(word(transfer.payload) + 1);
    }
}

#[test]
fn a_switch_from_fiber_to_fiber_names_the_one_that_was_left() {
    let (root, [a, b, c]) = (root(), [(); 3].map(|()| spawn(pass_on)));
    let ring = Box::leak(Box::new(Ring([root, a, b, c])));
    // The first round starts the three: each passes the ring on.
    let mut number = address::<Ring>(ring);
    for round in 0..5 {
        // SAFETY: the first fiber is new or has switched away.
        let transfer = unsafe { switch(root, a, number) };
        assert_eq!(transfer.tag, c);
        if round > 0 {
            assert_eq!(word(transfer.payload), word(number) + 3);
        }
        number = payload(round * 100);
    }
}
