//! What lives across a suspension: the compiler keeps all that the switch declares as clobbered.

use super::{fresh, stack};
use core::hint::black_box;
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::stack::Stack;

const ROUNDS: u32 = if cfg!(any(miri, kfiber_threads)) {
    5
} else {
    1000
};

#[repr(align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line([u64; 8]);

/// Thirteen integers, more than there are registers left, doubles, singles, 128 bits and a whole line, all live across
/// `interrupt`; returns a digest of them.
#[inline(always)]
fn many_locals(seed: u64, mut interrupt: impl FnMut(u64) -> u64) -> (u64, f64, f32, u128, Line) {
    let s = black_box(seed);
    let (mut a, mut b, mut c, mut d, mut e, mut f, mut g) =
        (s, s ^ 1, s + 2, s * 3, !s, s << 1, s >> 1);
    let (mut h, mut i, mut j, mut k, mut l, mut m) = (s + 8, s + 9, s * 10, s ^ 11, s + 12, s * 13);
    let (mut x, mut y) = (black_box(s as f64 * 0.5), black_box(1.5_f64));
    let (mut u, mut v) = (black_box(s as f32), black_box(0.25_f32));
    let mut wide = black_box(u128::from(s) << 64 | 7);
    let mut line = Line([s; 8]);
    for round in 0..u64::from(ROUNDS) {
        let n = interrupt(round);
        (a, b, c, d) = (
            b ^ n,
            c.wrapping_add(a),
            d.rotate_left(3),
            a.wrapping_mul(5),
        );
        (e, f, g, h) = (
            f ^ a,
            g.wrapping_add(e),
            h.rotate_left(5),
            e.wrapping_mul(7),
        );
        (i, j, k, l, m) = (
            j ^ m,
            k.wrapping_add(i),
            l.rotate_left(7),
            m ^ c,
            i.wrapping_mul(11),
        );
        (x, y) = (y + 0.5, x * 0.75);
        (u, v) = (v + 1.0, u * 0.5);
        wide = wide.rotate_left(13) ^ u128::from(n);
        line.0.rotate_left(1);
        line.0[0] = line.0[0].wrapping_add(n);
        assert!((&raw const line).addr().is_multiple_of(64));
    }
    let sum = [a, b, c, d, e, f, g, h, i, j, k, l, m];
    let digest = sum
        .into_iter()
        .fold(0_u64, |digest, n| digest.rotate_left(9) ^ n);
    (digest, x + y, u + v, wide, line)
}

#[test]
fn many_live_locals_survive_on_both_sides() {
    let expected = many_locals(0x1234_5678, |round| round * 3);
    let other = many_locals(0x8765, |round| round * 2);
    let mut fiber =
        Fiber::<u64, u64, _, _>::new(stack(), move |yielder: &Yielder<u64, u64>, first| {
            assert_eq!(first, 0);
            let found = many_locals(0x8765, |round| yielder.suspend(round * 3));
            assert_eq!(found, other, "in the fiber");
            true
        })
        .expect("fits");
    // The fiber's order of events: each resume brings round * 2 to the suspension before it.
    assert_eq!(fiber.resume(0), Resumed::Yielded(0));
    let mut last = 0;
    let found = many_locals(0x1234_5678, |round| {
        let answer = last;
        match fiber.resume(round * 2) {
            Resumed::Yielded(next) => last = next,
            Resumed::Returned(is_done) => assert!(is_done && round == u64::from(ROUNDS) - 1),
        }
        answer
    });
    assert_eq!(found, expected, "in the resumer");
    assert!(fiber.is_finished());
}

#[test]
fn floating_point_locals_survive_a_fiber_that_computes_with_others() {
    let mut fiber = Fiber::<f64, f64, f64, _>::new(stack(), |yielder, mut x| {
        let mut values = [1.0_f64; 16];
        for round in 0..ROUNDS {
            for (index, value) in values.iter_mut().enumerate() {
                *value += x * index as f64;
            }
            x = yielder.suspend(values[round as usize % 16]);
        }
        values.iter().sum()
    })
    .expect("fits");
    let mut values = [2.0_f64; 16];
    let mut expected = [1.0_f64; 16];
    for round in 0..ROUNDS {
        let x = f64::from(round) * 0.125;
        for (index, value) in expected.iter_mut().enumerate() {
            *value += x * index as f64;
        }
        values.iter_mut().for_each(|value| *value *= 1.0 + x / 1e6);
        let before = values;
        assert_eq!(
            fiber.resume(x),
            Resumed::Yielded(expected[round as usize % 16])
        );
        assert_eq!(values, before);
    }
    assert_eq!(fiber.resume(0.0), Resumed::Returned(expected.iter().sum()));
}

#[test]
fn a_fiber_may_suspend_from_deep_recursion() {
    fn visit(yielder: &Yielder<u32, u64>, low: u64, high: u64, depth: u32) -> u64 {
        if depth == 0 {
            return u64::from(yielder.suspend(low)) + high - low;
        }
        let middle = low.midpoint(high);
        visit(yielder, low, middle, depth - 1) + visit(yielder, middle, high, depth - 1)
    }
    const DEPTH: u32 = if cfg!(any(miri, kfiber_threads)) {
        3
    } else {
        10
    };
    let mut fiber = Fiber::new(fresh::<Stack<{ 256 * 1024 }>>(), |yielder, _: u32| {
        visit(yielder, 0, 1 << DEPTH, DEPTH)
    })
    .expect("fits");
    for leaf in 0..1_u64 << DEPTH {
        assert_eq!(fiber.resume(1), Resumed::Yielded(leaf));
    }
    assert_eq!(fiber.resume(1), Resumed::Returned(2 << DEPTH));
}

#[test]
fn a_fiber_may_suspend_in_a_destructor() {
    struct Last<'a>(&'a Yielder<(), &'static str>);
    impl Drop for Last<'_> {
        fn drop(&mut self) {
            self.0.suspend("dropping");
        }
    }
    let mut fiber = Fiber::<(), &str, &str, _>::new(stack(), |yielder, ()| {
        let _last = Last(yielder);
        yielder.suspend("running");
        "done"
    })
    .expect("fits");
    assert_eq!(fiber.resume(()), Resumed::Yielded("running"));
    assert_eq!(fiber.resume(()), Resumed::Yielded("dropping"));
    assert_eq!(fiber.resume(()), Resumed::Returned("done"));
}

#[test]
fn an_iterator_inside_a_fiber_borrows_its_locals_across_suspensions() {
    let mut fiber = Fiber::<(), char, usize, _>::new(stack(), |yielder, ()| {
        let words = ["alpha", "beta"].map(String::from);
        for letter in words.iter().flat_map(|word| word.chars()) {
            yielder.suspend(letter);
        }
        words.len()
    })
    .expect("fits");
    let mut text = String::new();
    while let Resumed::Yielded(letter) = fiber.resume(()) {
        text.push(letter);
    }
    assert_eq!(text, "alphabeta");
}
