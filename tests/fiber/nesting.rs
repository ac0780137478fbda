//! Fibers that resume fibers, to any depth, and fibers that change hands.

use super::{fresh, stack};
use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::stack::{Stack, StackHandle};

type Inner = Fiber<u64, u64, u64, StackHandle<Stack<{ 64 * 1024 }>>>;

/// Yields the sums of what it is given, and returns their count at a zero.
fn summing() -> Inner {
    Fiber::new(stack(), |yielder: &Yielder<u64, u64>, mut number| {
        let (mut sum, mut count) = (0, 0);
        while number != 0 {
            sum += number;
            count += 1;
            number = yielder.suspend(sum);
        }
        count
    })
    .expect("fits")
}

#[test]
fn fibers_nest_a_hundred_deep() {
    const DEPTH: u64 = if cfg!(miri) { 10 } else { 100 };
    /// Makes a fiber that resumes one a level deeper, and passes on both ways what comes, adding one each way.
    fn level(depth: u64) -> Inner {
        Fiber::new(stack(), move |yielder: &Yielder<u64, u64>, mut number| {
            if depth == 0 {
                while number < 1_000_000 {
                    number = yielder.suspend(number * 10);
                }
                return number;
            }
            let mut deeper = level(depth - 1);
            loop {
                match deeper.resume(number + 1) {
                    Resumed::Yielded(answer) => number = yielder.suspend(answer + 1),
                    Resumed::Returned(result) => return result + 1,
                }
            }
        })
        .expect("fits")
    }
    let mut outermost = level(DEPTH);
    for number in 1..4 {
        let answer = (number + DEPTH) * 10 + DEPTH;
        assert_eq!(outermost.resume(number), Resumed::Yielded(answer));
    }
    let result = 1_000_000 + 2 * DEPTH;
    assert_eq!(outermost.resume(1_000_000), Resumed::Returned(result));
}

#[test]
fn a_fiber_is_resumed_by_another_fiber_than_the_one_that_made_it() {
    let mut maker = Fiber::<(), Inner, Inner, _>::new(stack(), |yielder, ()| {
        let mut made = summing();
        assert_eq!(made.resume(1), Resumed::Yielded(1));
        yielder.suspend(made);
        summing()
    })
    .expect("fits");
    let mut user = Fiber::<Inner, Inner, u64, _>::new(stack(), |yielder, mut given| {
        assert_eq!(given.resume(2), Resumed::Yielded(3));
        let mut second = yielder.suspend(given);
        assert_eq!(second.resume(0), Resumed::Returned(0));
        99
    })
    .expect("fits");
    let Resumed::Yielded(made) = maker.resume(()) else {
        panic!("returned")
    };
    let Resumed::Yielded(mut back) = user.resume(made) else {
        panic!("returned")
    };
    assert_eq!(back.resume(3), Resumed::Yielded(6), "by the thread itself");
    assert_eq!(back.resume(0), Resumed::Returned(3));
    let Resumed::Returned(second) = maker.resume(()) else {
        panic!("yielded")
    };
    assert!(matches!(user.resume(second), Resumed::Returned(99)));
}

#[test]
fn a_fiber_that_is_suspended_inside_another_is_kept_while_the_other_is_suspended() {
    let mut outer = Fiber::<u64, u64, u64, _>::new(stack(), |yielder, mut number| {
        let mut inner = summing();
        while number != 0 {
            let Resumed::Yielded(sum) = inner.resume(number) else {
                panic!("returned")
            };
            number = yielder.suspend(sum);
        }
        let Resumed::Returned(count) = inner.resume(0) else {
            panic!("yielded")
        };
        count
    })
    .expect("fits");
    assert_eq!(outer.resume(5), Resumed::Yielded(5));
    assert_eq!(outer.resume(6), Resumed::Yielded(11));
    assert_eq!(outer.resume(0), Resumed::Returned(2));
}

#[test]
fn two_fibers_take_turns_without_disturbing_each_other() {
    const ROUNDS: u64 = if cfg!(any(miri, kfiber_threads)) {
        10
    } else {
        100_000
    };
    let (mut one, mut other) = (summing(), summing());
    for round in 1..=ROUNDS {
        assert_eq!(one.resume(1), Resumed::Yielded(round));
        assert_eq!(other.resume(2), Resumed::Yielded(2 * round));
    }
    assert_eq!(one.resume(0), Resumed::Returned(ROUNDS));
    assert_eq!(other.resume(0), Resumed::Returned(ROUNDS));
}

#[test]
fn many_fibers_are_suspended_at_once_and_end_in_any_order() {
    const COUNT: usize = if cfg!(miri) { 8 } else { 100 };
    let mut fibers: Vec<(usize, Inner)> = (0..COUNT).map(|index| (index, summing())).collect();
    for round in 1..4 {
        for (index, fiber) in &mut fibers {
            let number = *index as u64 + 1;
            assert_eq!(fiber.resume(number), Resumed::Yielded(number * round));
        }
    }
    // From the middle outwards.
    while !fibers.is_empty() {
        let (_, mut fiber) = fibers.swap_remove(fibers.len() / 2);
        assert_eq!(fiber.resume(0), Resumed::Returned(3));
    }
}

#[test]
fn a_recursive_walk_gives_each_level_a_fiber_of_its_own() {
    /// Yields the numbers of a tree in order; each subtree is a fiber.
    fn walk(low: u32, high: u32) -> Fiber<(), u32, (), StackHandle<Stack<{ 32 * 1024 }>>> {
        Fiber::new(fresh(), move |yielder: &Yielder<(), u32>, ()| {
            if low == high {
                return;
            }
            let middle = low.midpoint(high);
            let mut left = walk(low, middle);
            while let Resumed::Yielded(number) = left.resume(()) {
                yielder.suspend(number);
            }
            yielder.suspend(middle);
            let mut right = walk(middle + 1, high);
            while let Resumed::Yielded(number) = right.resume(()) {
                yielder.suspend(number);
            }
        })
        .expect("fits")
    }
    const END: u32 = if cfg!(any(miri, kfiber_threads)) {
        7
    } else {
        500
    };
    let (mut root, mut found) = (walk(0, END), Vec::new());
    while let Resumed::Yielded(number) = root.resume(()) {
        found.push(number);
    }
    assert_eq!(found, (0..END).collect::<Vec<_>>());
}

#[test]
fn each_thread_may_have_fibers_of_its_own() {
    const ROUNDS: u64 = if cfg!(any(miri, kfiber_threads)) {
        10
    } else {
        50_000
    };
    std::thread::scope(|scope| {
        for step in 1..4 {
            scope.spawn(move || {
                let mut fiber = summing();
                for round in 1..=ROUNDS {
                    assert_eq!(fiber.resume(step), Resumed::Yielded(step * round));
                }
                assert_eq!(fiber.resume(0), Resumed::Returned(ROUNDS));
            });
        }
    });
}
