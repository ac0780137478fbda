//! The control words of the floating-point units, MXCSR and the x87 control word, belong to the fiber that set them.
#![cfg(not(miri))]

use core::arch::asm;
use core::hint::black_box;
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::stack::{Stack, StackHandle, Storage};

/// What the ABI has a program start with: exceptions masked, round to nearest.
const INITIAL: Control = Control {
    mxcsr: 0x1f80,
    x87: 0x037f,
};

/// Flags of what happened: the one part of MXCSR that is not control, and not preserved by calls.
const STATUS: u32 = 0x3f;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Control {
    mxcsr: u32,
    x87: u16,
}

impl Control {
    /// The words in effect.
    fn now() -> Self {
        let (mut mxcsr, mut x87) = (0_u32, 0_u16);
        // SAFETY: stores two words in locals.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack)) };
        // SAFETY: as above.
        unsafe { asm!("fnstcw [{}]", in(reg) &raw mut x87, options(nostack)) };
        Self {
            mxcsr: mxcsr & !STATUS,
            x87,
        }
    }

    /// Has them take effect.
    fn set(self) {
        // SAFETY: all exceptions stay masked, and these tests do not rely on how the compiler rounds.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const self.mxcsr, options(nostack)) };
        // SAFETY: as above.
        unsafe { asm!("fldcw [{}]", in(reg) &raw const self.x87, options(nostack)) };
    }

    /// The initial words with another rounding mode, 0 to 3, in both units.
    const fn rounding(mode: u8) -> Self {
        Self {
            mxcsr: INITIAL.mxcsr | (mode as u32) << 13,
            x87: INITIAL.x87 | (mode as u16) << 10,
        }
    }
}

fn stack() -> StackHandle<Stack<{ 64 * 1024 }>> {
    Box::leak(Box::new(Stack::new()))
        .take()
        .expect("nobody else has it")
}

/// A fiber that sets the words it is given and yields those that it finds when it begins, and after each resume.
fn setter() -> Fiber<Option<Control>, Control, Control, StackHandle<Stack<{ 64 * 1024 }>>> {
    Fiber::new(
        stack(),
        |yielder: &Yielder<Option<Control>, Control>, mut order| {
            while let Some(control) = order {
                let found = Control::now();
                control.set();
                order = yielder.suspend(found);
            }
            Control::now()
        },
    )
    .expect("fits")
}

/// One third in the rounding mode that is in effect, as the two units see it.
fn thirds() -> (u64, u64) {
    let (one, three) = (black_box(1.0_f64), black_box(3.0_f64));
    let mut sse = one;
    // SAFETY: divides two registers.
    unsafe { asm!("divsd {}, {}", inout(xmm_reg) sse, in(xmm_reg) three, options(nomem, nostack)) };
    let mut x87 = 0.0_f64;
    // SAFETY: leaves the x87 stack as it was, and stores in a local.
    unsafe {
        asm!("fld qword ptr [{}]", "fdiv qword ptr [{}]", "fstp qword ptr [{}]",
            in(reg) &raw const one, in(reg) &raw const three, in(reg) &raw mut x87,
            out("st(0)") _, out("st(7)") _, options(nostack));
    }
    (sse.to_bits(), x87.to_bits())
}

#[test]
fn the_rounding_modes_can_be_told_apart() {
    // Else the tests below could not fail.
    let results = [0, 2].map(|mode| {
        Control::rounding(mode).set();
        let found = (Control::now(), thirds());
        INITIAL.set();
        found
    });
    assert_eq!(results[0].0, Control::rounding(0));
    assert_eq!(results[1].0, Control::rounding(2));
    assert!(results[0].1.0 < results[1].1.0, "SSE");
    assert!(results[0].1.1 < results[1].1.1, "x87");
}

#[cfg(feature = "fp-control")]
mod kept {
    use super::{Control, Fiber, INITIAL, Resumed, Yielder, black_box, setter, stack, thirds};

    #[test]
    #[cfg_attr(kfiber_threads, ignore = "a new thread begins as its maker is")]
    fn a_new_fiber_starts_with_what_the_abi_says_whatever_its_resumer_uses() {
        let mut fiber = setter();
        Control::rounding(3).set();
        let resumed = fiber.resume(Some(INITIAL));
        INITIAL.set();
        assert_eq!(resumed, Resumed::Yielded(INITIAL));
    }

    #[test]
    fn a_fiber_does_not_change_the_words_of_its_resumer() {
        for mode in 0..4 {
            let mut fiber = setter();
            let resumed = fiber.resume(Some(Control::rounding(mode)));
            let found = Control::now();
            INITIAL.set();
            assert!(matches!(resumed, Resumed::Yielded(_)));
            assert_eq!(found, INITIAL, "fiber in mode {mode}, suspended");
            let resumed = fiber.resume(None);
            let found = Control::now();
            INITIAL.set();
            assert_eq!(
                resumed,
                Resumed::Returned(Control::rounding(mode)),
                "kept by the fiber"
            );
            assert_eq!(found, INITIAL, "fiber in mode {mode}, returned");
        }
    }

    #[test]
    fn fibers_and_resumer_each_keep_their_own_words_while_they_take_turns() {
        let mut fibers = [1, 2, 3].map(|mode| (Control::rounding(mode), setter()));
        for (control, fiber) in &mut fibers {
            assert!(matches!(fiber.resume(Some(*control)), Resumed::Yielded(_)));
        }
        for _ in 0..100 {
            for (control, fiber) in &mut fibers {
                assert_eq!(fiber.resume(Some(*control)), Resumed::Yielded(*control));
                assert_eq!(Control::now(), INITIAL);
            }
        }
    }

    #[test]
    fn a_resumer_may_change_its_own_words_between_resumes() {
        let mut fiber = setter();
        let _ = fiber.resume(Some(Control::rounding(1)));
        for mode in [2, 3, 0] {
            Control::rounding(mode).set();
            let resumed = fiber.resume(Some(Control::rounding(1)));
            let found = Control::now();
            INITIAL.set();
            assert_eq!(resumed, Resumed::Yielded(Control::rounding(1)));
            assert_eq!(found, Control::rounding(mode));
        }
    }

    /// The switch loads a word only if it differs in one of these bits. Nothing here computes with fractions.
    #[test]
    #[cfg_attr(kfiber_threads, ignore = "a new thread begins as its maker is")]
    fn each_control_bit_is_kept_even_if_no_other_differs() {
        let of_sse = (6..16).map(|bit| Control {
            mxcsr: INITIAL.mxcsr ^ 1 << bit,
            ..INITIAL
        });
        // Precision and rounding. Unmasked exceptions of the past would be raised.
        let of_x87 = [8, 10, 11].map(|bit| Control {
            x87: INITIAL.x87 ^ 1 << bit,
            ..INITIAL
        });
        for control in of_sse.chain(of_x87) {
            let mut fiber = setter();
            let resumed = [(); 3].map(|()| {
                let resumed = fiber.resume(Some(control));
                let found = Control::now();
                INITIAL.set();
                (resumed, found)
            });
            let words = [INITIAL, control, control].map(Resumed::Yielded);
            let expected = words.map(|word| (word, INITIAL));
            assert_eq!(resumed, expected, "the fiber has set {control:x?}");
        }
    }

    #[test]
    fn each_side_computes_in_its_own_rounding_mode() {
        let mut fiber =
            Fiber::<(), (u64, u64), (), _>::new(stack(), |yielder: &Yielder<_, _>, ()| {
                Control::rounding(2).set();
                loop {
                    yielder.suspend(thirds());
                }
            })
            .expect("fits");
        let nearest = thirds();
        for _ in 0..10 {
            let Resumed::Yielded(upwards) = fiber.resume(()) else {
                unreachable!("never returns")
            };
            assert!(nearest.0 < upwards.0 && nearest.1 < upwards.1);
            assert_eq!(thirds(), nearest);
        }
        black_box(&fiber);
    }
}

/// Without the feature the words are nobody's: this is what the documentation of the feature warns of.
#[cfg(not(feature = "fp-control"))]
#[test]
#[cfg_attr(kfiber_threads, ignore = "each thread has control words of its own")]
fn without_the_feature_a_fiber_leaks_its_words_into_its_resumer_and_back() {
    let mut fiber = setter();
    let first = fiber.resume(Some(Control::rounding(2)));
    let leaked = Control::now();
    Control::rounding(1).set();
    let second = fiber.resume(None);
    INITIAL.set();
    assert_eq!(first, Resumed::Yielded(INITIAL));
    assert_eq!(leaked, Control::rounding(2));
    assert_eq!(second, Resumed::Returned(Control::rounding(1)));
}
