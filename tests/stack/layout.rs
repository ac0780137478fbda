//! Where static stacks lie: alignment, size, and which sets of the first-level cache their control blocks use.

use kfiber::context::ControlBlock;
use kfiber::stack::{
    GuardedStack, GuardedStackPool, MIN_SIZE_BYTES, PAGE_SIZE, STACK_ALIGN, Stack, StackBounds,
    StackPool, Storage, TOP_ALIGN,
};
use std::collections::BTreeSet;

/// Neighbours whose hot lines are compared: as many as a first-level cache has sets.
const NEIGHBOURS: usize = 64;

/// How many sets of a first-level cache of 64 sets the control blocks on tops of these bounds begin in.
fn sets_in_use(stacks: &[StackBounds]) -> usize {
    let set = |bounds: &StackBounds| {
        (bounds.top().addr() - size_of::<ControlBlock>()) / TOP_ALIGN % NEIGHBOURS
    };
    stacks.iter().map(set).collect::<BTreeSet<_>>().len()
}

/// The bounds of all stacks of a pool.
fn all<T: Storage>(stacks: &[T]) -> Vec<StackBounds> {
    stacks.iter().map(T::storage_bounds).collect()
}

fn assert_well_placed(bounds: &StackBounds, holder: core::ops::Range<usize>) {
    let (bottom, top) = (bounds.bottom().addr(), bounds.top().addr());
    assert_eq!(top - bottom, bounds.size_bytes());
    assert!(bottom.is_multiple_of(STACK_ALIGN), "{bounds:?}");
    assert!(top.is_multiple_of(TOP_ALIGN), "{bounds:?}");
    assert!(bounds.size_bytes() >= MIN_SIZE_BYTES, "{bounds:?}");
    assert!(
        holder.start <= bounds.guard().start && top <= holder.end,
        "{bounds:?} in {holder:?}"
    );
    assert_eq!(bounds.guard().end, bottom);
    // What the checks for foreign memory say of it.
    let again = StackBounds::new(bounds.bottom(), bounds.size_bytes(), bounds.guard().len());
    assert_eq!(again, Ok(*bounds));
}

/// The addresses of a value.
fn range_of<T>(value: &T) -> core::ops::Range<usize> {
    let start = core::ptr::from_ref(value).addr();
    start..start + size_of::<T>()
}

#[test]
fn dense_stacks_are_aligned_and_lie_inside_their_static() {
    fn check<const N: usize>() {
        let stack = Box::new(Stack::<N>::new());
        let bounds = stack.storage_bounds();
        assert_well_placed(&bounds, range_of(&*stack));
        assert_eq!(bounds.size_bytes(), N + TOP_ALIGN);
        assert_eq!(<Stack<N> as Storage>::SIZE_BYTES, N + TOP_ALIGN);
        assert!(bounds.guard().is_empty());
        assert_eq!(size_of::<Stack<N>>(), N + TOP_ALIGN);
        assert_eq!(align_of::<Stack<N>>(), TOP_ALIGN);
    }
    check::<1024>();
    check::<1152>();
    check::<4096>();
    check::<{ 16 * 1024 }>();
    check::<{ 128 * 1001 }>();
}

#[test]
fn guarded_stacks_are_page_aligned_and_have_a_page_below() {
    fn check<const N: usize>() {
        let stack = Box::new(GuardedStack::<N>::new());
        let bounds = stack.storage_bounds();
        assert_well_placed(&bounds, range_of(&*stack));
        assert!(bounds.bottom().addr().is_multiple_of(PAGE_SIZE));
        assert_eq!(bounds.guard().len(), PAGE_SIZE);
        assert!(bounds.size_bytes() >= <GuardedStack<N> as Storage>::SIZE_BYTES);
        assert!(bounds.size_bytes() <= N);
        assert_eq!(size_of::<GuardedStack<N>>(), N + PAGE_SIZE);
    }
    check::<8192>();
    check::<{ 16 * 1024 }>();
    check::<{ 17 * 4096 }>();
}

#[test]
fn dense_neighbours_are_an_odd_number_of_lines_apart() {
    fn check<const N: usize>() {
        let pool = Box::new([const { Stack::<N>::new() }; 2]);
        let [one, next] = pool.each_ref().map(|s| s.storage_bounds().top().addr());
        assert_eq!((next - one) % TOP_ALIGN, 0, "N = {N}");
        assert_eq!((next - one) / TOP_ALIGN % 2, 1, "N = {N}");
    }
    check::<1024>();
    check::<1152>();
    check::<4096>();
    check::<8192>();
    check::<65536>();
}

#[test]
fn control_blocks_of_64_dense_neighbours_fall_into_64_cache_sets() {
    static SMALLEST: StackPool<1024, NEIGHBOURS> = StackPool::new();
    static PAGE: StackPool<4096, NEIGHBOURS> = StackPool::new();
    static PAGES: StackPool<16384, NEIGHBOURS> = StackPool::new();
    assert_eq!(sets_in_use(&all(SMALLEST.stacks())), NEIGHBOURS);
    assert_eq!(sets_in_use(&all(PAGE.stacks())), NEIGHBOURS);
    assert_eq!(sets_in_use(&all(PAGES.stacks())), NEIGHBOURS);
}

#[test]
fn control_blocks_of_64_guarded_neighbours_use_all_16_offsets_there_are() {
    // Wherever the linker puts the pool: for these sizes no gap between two of the 64 products is as wide as what
    // one offset covers (three-distance theorem).
    static TWO: GuardedStackPool<8192, NEIGHBOURS> = GuardedStackPool::new();
    static FOUR: GuardedStackPool<16384, NEIGHBOURS> = GuardedStackPool::new();
    static SEVEN: GuardedStackPool<28672, NEIGHBOURS> = GuardedStackPool::new();
    for stacks in [all(TWO.stacks()), all(FOUR.stacks()), all(SEVEN.stacks())] {
        assert_eq!(sets_in_use(&stacks), 16, "{stacks:?}");
    }
}

#[test]
fn stacks_of_a_pool_are_disjoint() {
    let dense = Box::new(StackPool::<1024, 33>::new());
    assert_eq!(StackBounds::check_disjoint(&all(dense.stacks())), Ok(()));
    let guarded = Box::new(GuardedStackPool::<8192, 9>::new());
    assert_eq!(StackBounds::check_disjoint(&all(guarded.stacks())), Ok(()));
}

#[test]
fn bounds_are_the_same_each_time_they_are_asked_for() {
    static DENSE: Stack<1024> = Stack::new();
    static GUARDED: GuardedStack<8192> = GuardedStack::new();
    assert_eq!(DENSE.storage_bounds(), DENSE.storage_bounds());
    assert_eq!(GUARDED.storage_bounds(), GUARDED.storage_bounds());
}

#[test]
fn static_stacks_of_all_kinds_are_made_of_zero_bytes() {
    // Else they would not be in `.bss`, and would cost their size in the image.
    static DENSE: StackPool<1024, 3> = StackPool::new();
    static GUARDED: GuardedStack<8192> = GuardedStack::new();
    let stacks = DENSE.stacks().each_ref().map(Storage::storage_bounds);
    for bounds in stacks.iter().chain([&GUARDED.storage_bounds()]) {
        for offset in 0..bounds.size_bytes() {
            // SAFETY: inside a static that nobody has taken.
            let byte = unsafe { bounds.bottom().wrapping_add(offset).read() };
            assert_eq!(byte, 0, "{bounds:?} + {offset}");
        }
    }
}

#[test]
fn contains_is_true_from_bottom_to_the_byte_below_top() {
    static STACK: Stack<1024> = Stack::new();
    let bounds = STACK.storage_bounds();
    assert!(!bounds.contains(bounds.bottom().addr() - 1));
    assert!(bounds.contains(bounds.bottom().addr()));
    assert!(bounds.contains(bounds.top().addr() - 1));
    assert!(!bounds.contains(bounds.top().addr()));
}
