//! What holds for all ranges of memory and all orders of events, tried with random ones.
#![cfg(not(kfiber_steps))]

use kfiber::fiber::{Fiber, Resumed, Yielder};
use kfiber::stack::{
    MIN_SIZE_BYTES, Pool, STACK_ALIGN, Stack, StackBounds, StackError, StackHandle, StackMemory,
    TOP_ALIGN,
};
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use std::collections::VecDeque;

/// Numbers of all magnitudes, most of them next to a place where something changes.
fn number() -> impl Strategy<Value = usize> {
    let edges = vec![
        0,
        16,
        64,
        1024,
        4096,
        1 << 20,
        1 << 46,
        1 << 47,
        usize::MAX << 47,
        1 << 63,
        usize::MAX,
    ];
    prop_oneof![
        any::<usize>(),
        (
            proptest::sample::select(edges),
            0..5000_usize,
            any::<bool>()
        )
            .prop_map(|(edge, by, up)| {
                if up {
                    edge.wrapping_add(by)
                } else {
                    edge.wrapping_sub(by)
                }
            }),
        (0..64_u32, any::<usize>()).prop_map(|(shift, n)| n >> shift),
        (0..64_u32, any::<usize>()).prop_map(|(shift, n)| (n >> shift) & !63),
    ]
}

/// What the documentation says of a range, in 128 bits, where nothing wraps.
fn is_good(bottom: usize, size: usize, guard: usize) -> bool {
    let (bottom, size, guard) = (bottom as u128, size as u128, guard as u128);
    let (lowest, top) = (bottom.checked_sub(guard), bottom + size);
    let Some(lowest) = lowest else { return false };
    let low_half = 0..=1_u128 << 47;
    let high_half = ((1_u128 << 64) - (1 << 47))..=(1_u128 << 64) - 1;
    bottom != 0
        && size >= MIN_SIZE_BYTES as u128
        && bottom.is_multiple_of(STACK_ALIGN as u128)
        && top.is_multiple_of(TOP_ALIGN as u128)
        && (low_half.contains(&lowest) && low_half.contains(&top)
            || high_half.contains(&lowest) && high_half.contains(&top))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 5 } else { 20_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_range_is_accepted_exactly_if_it_is_good(bottom in number(), size in number(), guard in number()) {
        let made = StackBounds::new(core::ptr::without_provenance_mut(bottom), size, guard);
        prop_assert_eq!(made.is_ok(), is_good(bottom, size, guard), "{:?}", made);
        if let Ok(bounds) = made {
            prop_assert_eq!(bounds.bottom().addr(), bottom);
            prop_assert_eq!(bounds.top().addr(), bottom + size);
            prop_assert_eq!(bounds.guard(), bottom - guard..bottom);
            prop_assert!(bounds.contains(bottom) && bounds.contains(bottom + size - 1));
            prop_assert!(!bounds.contains(bottom - 1) && !bounds.contains(bottom + size));
        }
    }

    #[test]
    fn an_aligned_range_is_accepted_exactly_if_it_is_good(
        bottom in number(), size in number(), guard in number()
    ) {
        let (bottom, size) = (bottom & !63, size & !63);
        let made = StackBounds::new(core::ptr::without_provenance_mut(bottom), size, guard);
        prop_assert_eq!(made.is_ok(), is_good(bottom, size, guard), "{:?}", made);
    }

    #[test]
    fn overlap_is_found_exactly_if_two_stacks_share_a_byte(
        stacks in proptest::collection::vec((1..40_usize, 16..40_usize, 0..3_usize), 0..5)
    ) {
        let bounds: Vec<StackBounds> = stacks
            .iter()
            .map(|&(bottom, size, guard)| {
                let bottom = core::ptr::without_provenance_mut(bottom * 256);
                StackBounds::new(bottom, size * 64, guard * 64).expect("well formed")
            })
            .collect();
        let touches = |a: &StackBounds, b: &StackBounds| {
            (a.guard().start..a.top().addr()).step_by(64).any(|byte| b.contains(byte) || b.guard().contains(&byte))
        };
        let mut pairs = (0..bounds.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let expected = pairs.find(|&(a, b)| touches(&bounds[a], &bounds[b]));
        let expected = expected.map_or(Ok(()), |(first, second)| Err(StackError::Overlap { first, second }));
        prop_assert_eq!(StackBounds::check_disjoint(&bounds), expected);
    }
}

/// What is done to fibers that share a pool.
#[derive(Clone, Debug)]
enum Event {
    Make,
    Resume(usize, u64),
    End(usize),
    Reclaim(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Make),
        (any::<usize>(), 1..1000_u64).prop_map(|(which, number)| Event::Resume(which, number)),
        (any::<usize>(), 1..1000_u64).prop_map(|(which, number)| Event::Resume(which, number)),
        any::<usize>().prop_map(Event::End),
        any::<usize>().prop_map(Event::Reclaim),
    ]
}

type Summing = Fiber<u64, u64, u64, StackHandle<Stack<{ 32 * 1024 }>>>;

fn summing(stack: StackHandle<Stack<{ 32 * 1024 }>>) -> Summing {
    Fiber::new(stack, |yielder: &Yielder<u64, u64>, mut number| {
        let (mut sum, mut count) = (0, 0);
        while number != 0 {
            (sum, count) = (sum + number, count + 1);
            number = yielder.suspend(sum);
        }
        count
    })
    .expect("fits")
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(any(miri, kfiber_threads)) { 3 } else { 500 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Against a model that is two numbers a fiber.
    #[test]
    fn fibers_of_a_pool_do_what_their_model_does_in_any_order(
        events in proptest::collection::vec(event(), 1..if cfg!(miri) { 15 } else { 100 })
    ) {
        const COUNT: usize = 4;
        let pool: &'static Pool<Stack<{ 32 * 1024 }>, COUNT> = {
            let memory = Box::<Pool<_, COUNT>>::new_zeroed();
            // SAFETY: an unused pool is all zero bytes: unused stacks, and the number zero.
            Box::leak(unsafe { memory.assume_init() })
        };
        let mut fibers: VecDeque<(Summing, u64, u64)> = VecDeque::new();
        for event in events {
            let count = fibers.len();
            match event {
                Event::Make => match pool.take() {
                    Ok(stack) => fibers.push_back((summing(stack), 0, 0)),
                    Err(_) => prop_assert_eq!(count, COUNT, "exhausted only when all are in use"),
                },
                Event::Resume(which, number) if count > 0 => {
                    let (fiber, sum, resumes) = &mut fibers[which % count];
                    (*sum, *resumes) = (*sum + number, *resumes + 1);
                    prop_assert_eq!(fiber.resume(number), Resumed::Yielded(*sum));
                }
                Event::End(which) if count > 0 => {
                    let (mut fiber, _, resumes) = fibers.remove(which % count).expect("in range");
                    prop_assert_eq!(fiber.resume(0), Resumed::Returned(resumes));
                    prop_assert!(fiber.is_canary_intact());
                }
                Event::Reclaim(which) if count > 0 => {
                    let (fiber, sum, resumes) = fibers.remove(which % count).expect("in range");
                    match fiber.into_stack() {
                        Ok(stack) => {
                            prop_assert_eq!(resumes, 0, "only one that never ran");
                            prop_assert!(stack.is_canary_intact());
                        }
                        Err(fiber) => {
                            prop_assert!(resumes > 0);
                            fibers.push_back((fiber, sum, resumes));
                        }
                    }
                }
                _ => {}
            }
        }
        for (mut fiber, _, resumes) in fibers {
            prop_assert_eq!(fiber.resume(0), Resumed::Returned(resumes));
        }
        let all: Result<Vec<_>, _> = (0..COUNT).map(|_| pool.take()).collect();
        prop_assert!(all.is_ok(), "every stack came back");
    }
}
