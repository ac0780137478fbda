//! The switch on the bare machine: what it keeps, what it passes on, and what it leaves alone.

mod below_rsp;
pub(crate) mod declared_for_c;
mod entry;

use core::ptr;

use kfiber::{
    context::{Body, ControlBlock, Payload, switch_out_of_line},
    stack::{StackBounds, StackHandle, StackMemory, StackPool},
};
use tests_qemu::kernel_test;

use crate::checked::{
    Check, Form, checked_switch, inline_resume, inline_suspend, inline_switch,
    inline_switch_among_locals, own, parent,
};

/// Words that a wrong move, a lost half or a swapped pair would show in.
const PATTERNS: [[u64; 6]; 8] = [
    [0; 6],
    [u64::MAX; 6],
    [0x5555_5555_5555_5555; 6],
    [0xaaaa_aaaa_aaaa_aaaa; 6],
    [1, 2, 3, 4, 5, 6],
    [1 << 63, 1 << 62, 1 << 61, 1 << 60, 1 << 59, 1 << 58],
    [
        0x8000_0000_0000,
        0x7fff_ffff_ffff,
        0xffff_8000_0000_0000,
        0xffff_ffff,
        1 << 32,
        0xdead_beef_0000_0001,
    ],
    [
        0x0123_4567_89ab_cdef,
        0xfedc_ba98_7654_3210,
        0x1122_3344_5566_7788,
        0x99aa_bbcc_ddee_ff00,
        7 << 45,
        0xff,
    ],
];

static STACKS: StackPool<{ 16 * 1024 }, 4> = StackPool::new();

type DenseStack = StackHandle<kfiber::stack::Stack<{ 16 * 1024 }>>;

/// Two sides that switch to each other: the code of the test, and a fiber.
struct Pair {
    test: ControlBlock,
    fiber: ControlBlock,
    check_test: Check,
    check_fiber: Check,
    /// What the fiber found wrong.
    fiber_differs: u64,
    /// The fiber leaves by its form and comes back so many times, then ends.
    rounds: usize,
    /// Switches between the two own contexts, not between own and parent.
    is_symmetric: bool,
}

impl Pair {
    fn new(rounds: usize, is_symmetric: bool, test: Form, fiber: Form) -> Self {
        let mut pair = Self {
            test: ControlBlock::new(),
            fiber: ControlBlock::new(),
            check_test: Check::new(),
            check_fiber: Check::new(),
            fiber_differs: 0,
            rounds,
            is_symmetric,
        };
        pair.check_test.set_form(test);
        pair.check_fiber.set_form(fiber);
        pair
    }

    /// Switches from the test to the fiber and waits for it to come back.
    ///
    /// # Safety
    ///
    /// The fiber is fresh or suspended.
    unsafe fn to_fiber(pair: *mut Self) -> u64 {
        // SAFETY: The caller passes a pair that lives; nobody else looks at it now.
        let this = unsafe { &mut *pair };
        let [test, fiber] = [&raw mut this.test, &raw mut this.fiber];
        let prev = if this.is_symmetric {
            own(test)
        } else {
            parent(fiber)
        };
        this.check_fiber.tag = if this.is_symmetric { test } else { fiber };
        this.check_test.difference = [0; 9];
        let [check, payload] = [&raw mut this.check_test, &raw mut this.check_fiber];
        let tag = this.check_fiber.tag;
        // SAFETY: C1 to C3: the fiber is fresh or suspended, and the pair stays in place.
        unsafe { checked_switch(payload, tag, prev, own(fiber), check, 0x5eed_5eed_5eed_5eed) }
    }

    /// Switches from the fiber to the test and waits to be continued.
    ///
    /// # Safety
    ///
    /// Runs on the fiber.
    unsafe fn to_test(pair: *mut Self) -> u64 {
        // SAFETY: The caller passes a pair that lives; nobody else looks at it now.
        let this = unsafe { &mut *pair };
        let [test, fiber] = [&raw mut this.test, &raw mut this.fiber];
        let next = if this.is_symmetric {
            own(test)
        } else {
            parent(fiber)
        };
        this.check_test.tag = fiber;
        let [check, payload] = [&raw mut this.check_fiber, &raw mut this.check_test];
        // SAFETY: C1 to C3: the test waits there, and the pair stays in place.
        unsafe {
            checked_switch(
                payload,
                fiber,
                own(fiber),
                next,
                check,
                0x0dd5_eed0_dd5e_ed00,
            )
        }
    }
}

/// The fiber of a pair: all patterns again and again.
unsafe extern "sysv64" fn fiber_of_pair(payload: Payload, block: *mut ControlBlock) -> Payload {
    let pair: *mut Pair = block
        .wrapping_byte_sub(core::mem::offset_of!(Pair, fiber))
        .cast();
    // SAFETY: The test passes the address of the fiber's check, and waits.
    let this = unsafe { &mut *pair };
    // SAFETY: Only addresses are sent.
    let payload = unsafe { payload.assume_init() };
    assert_eq!(payload, (&raw const this.check_fiber).addr());
    for round in 0..this.rounds {
        this.check_fiber.registers = PATTERNS[(round * 3 + 1) % PATTERNS.len()];
        // SAFETY: Runs on the fiber.
        let differs = unsafe { Pair::to_test(pair) };
        this.fiber_differs |= differs;
    }
    this.check_test.tag = ptr::null_mut();
    Payload::new((&raw mut this.check_test).addr())
}

/// Goes to and fro with each pattern on both sides, to the fiber's end.
fn check_all_patterns(is_symmetric: bool, test: Form, fiber: Form) {
    let rounds = 3 * PATTERNS.len();
    let stack = STACKS.take().expect("not exhausted");
    let mut pair = Pair::new(rounds, is_symmetric, test, fiber);
    let pair = &raw mut pair;
    // A symmetric fiber cannot end: nobody resumed it. Its stack is given up with it, in a machine of its own.
    let switches = if is_symmetric { rounds } else { rounds + 1 };
    start(&stack, pair);
    for round in 0..switches {
        // SAFETY: The pair lives, and nobody else looks at it now.
        let this = unsafe { &mut *pair };
        this.check_test.registers = PATTERNS[round % PATTERNS.len()];
        // SAFETY: The fiber is fresh in the first round, suspended in the others.
        let differs = unsafe { Pair::to_fiber(pair) };
        assert_eq!(differs, 0, "switch {round}: {:x?}", this.check_test);
        assert_eq!(
            this.fiber_differs, 0,
            "fiber, switch {round}: {:x?}",
            this.check_fiber
        );
    }
    assert!(stack.is_canary_intact());
}

fn start(stack: &DenseStack, pair: *mut Pair) {
    // SAFETY: The pair lives, and nobody else looks at it now.
    let block = unsafe { &raw mut (*pair).fiber };
    // SAFETY: The stack is ours, its top is aligned, and the body does not unwind.
    unsafe { ControlBlock::init(block, stack.bounds().top(), fiber_of_pair as Body) };
}

kernel_test! {
    fn inline_resume_and_suspend_preserve_all_callee_saved_registers() {
        check_all_patterns(false, inline_resume, inline_suspend);
    }

    fn the_out_of_line_switch_preserves_all_callee_saved_registers() {
        check_all_patterns(false, switch_out_of_line, switch_out_of_line);
        check_all_patterns(true, switch_out_of_line, switch_out_of_line);
    }

    fn an_inline_resume_is_answered_by_an_out_of_line_suspension() {
        check_all_patterns(false, inline_resume, switch_out_of_line);
    }

    fn an_out_of_line_resume_is_answered_by_an_inline_suspension() {
        check_all_patterns(false, switch_out_of_line, inline_suspend);
    }

    fn the_symmetric_switch_preserves_all_callee_saved_registers() {
        check_all_patterns(true, inline_switch, inline_switch);
    }

    fn symmetric_switches_of_all_forms_meet() {
        for forms in [
            [inline_switch as Form, switch_out_of_line as Form],
            [switch_out_of_line, inline_switch_among_locals],
            [inline_switch_among_locals, inline_switch],
        ] {
            let [test, fiber] = forms;
            check_all_patterns(true, test, fiber);
        }
    }

    /// The checker sees a register that differs: each of the six, and the tag.
    fn the_checker_notices_every_register_that_is_changed() {
        for register in 0..7 {
            let stack = STACKS.take().expect("not exhausted");
            let mut pair = Pair::new(100, false, switch_out_of_line, switch_out_of_line);
            let pair = &raw mut pair;
            start(&stack, pair);
            // SAFETY: The fiber is fresh.
            assert_eq!(unsafe { Pair::to_fiber(pair) }, 0);
            // SAFETY: The pair lives, and nobody else looks at it now.
            let this = unsafe { &mut *pair };
            // The fiber compares with what it believes to have put there.
            match this.check_fiber.registers.get_mut(register) {
                Some(word) => *word ^= 1 << (9 * register),
                None => this.check_fiber.tag_mask = 0,
            }
            // SAFETY: The fiber is suspended.
            assert_eq!(unsafe { Pair::to_fiber(pair) }, 0);
            let expected = if register < 6 { 1 << (9 * register) } else { 0 };
            assert_eq!(this.fiber_differs, expected, "register {register}");
            assert_eq!(this.check_fiber.difference.get(register), Some(&expected));
        }
    }

    fn fibers_on_adjacent_stacks_do_not_touch_each_other() {
        let mut stacks: [DenseStack; 3] = core::array::from_fn(|_| STACKS.take().expect("not exhausted"));
        for stack in &mut stacks {
            stack.paint();
        }
        let bounds: [StackBounds; 3] = stacks.each_ref().map(StackMemory::bounds);
        assert_eq!(bounds[0].top(), bounds[1].bottom());
        assert_eq!(bounds[1].top(), bounds[2].bottom());
        let mut pair = Pair::new(100, false, inline_resume, inline_suspend);
        let pair = &raw mut pair;
        start(&stacks[1], pair);
        for _ in 0..100 {
            // SAFETY: The fiber is fresh or suspended.
            assert_eq!(unsafe { Pair::to_fiber(pair) }, 0);
        }
        assert!(stacks[1].usage().used_bytes > 0);
        for neighbour in [&stacks[0], &stacks[2]] {
            assert_eq!(neighbour.usage().used_bytes, 0);
            assert!(neighbour.is_canary_intact());
        }
    }
}
