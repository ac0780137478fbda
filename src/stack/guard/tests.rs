//! Tests of guards in page tables that lie in the memory of a test.

extern crate std;

mod tables;

use super::GuardError;
use crate::stack::StackBounds;
use core::ptr;
use tables::{
    BIT_7, Frames, GIB, GLOBAL, HUGE_PAT, MIB_2, NO_EXECUTE, PAGE, PRESENT, Tables, USER, WRITABLE,
};

/// An address whose indices differ at all levels. It is a multiple of 1 GiB.
const BASE: usize = 0x1234_c000_0000;
/// The guard's page, in the middle of the huge page at `BASE`.
const GUARD: usize = BASE + 3 * MIB_2 + 5 * PAGE;

/// Returns a stack directly above [`GUARD`], with a guard of the given number of pages that ends
/// there.
fn stack(guard_pages: usize) -> StackBounds {
    let bottom = ptr::without_provenance_mut(GUARD + PAGE);
    StackBounds::new(bottom, 4 * PAGE, guard_pages * PAGE).expect("well formed")
}

/// Unmaps the guard in a mapping of `size` bytes at `BASE`, and checks that nothing else changed.
fn check_only_the_guard_goes(tables: &Tables, size: usize, frames: usize) {
    let mut before = tables.snapshot(BASE, size);
    assert!(before.iter().all(Option::is_some));
    let mut left = Frames(frames);
    assert_eq!(tables.clear(GUARD, &mut left), Ok(()));
    assert_eq!(left.0, 0, "frames used");
    before[(GUARD - BASE) / PAGE] = None;
    let after = tables.snapshot(BASE, size);
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before, after, "page {number}");
    }
    assert_eq!(tables.verify(stack(1)), Ok(()));
    // And once more, without a frame.
    assert_eq!(tables.clear(GUARD, &mut Frames(0)), Ok(()));
    assert_eq!(tables.snapshot(BASE, size), after);
}

const FLAGS: [u64; 5] = [
    PRESENT | WRITABLE,
    PRESENT | WRITABLE | USER | NO_EXECUTE,
    PRESENT | WRITABLE | GLOBAL | 1 << 3 | 1 << 4, // write-through, uncached
    PRESENT | WRITABLE | 1 << 5 | 1 << 6,          // accessed, dirty
    PRESENT | WRITABLE | 7 << 9 | 0x7f << 52,      // the bits that are the system's own
];

#[test]
fn a_small_page_is_taken_out_and_its_neighbours_stay() {
    for flags in FLAGS {
        let tables = Tables::new();
        for page in (BASE..BASE + 4 * MIB_2).step_by(PAGE) {
            tables.map(
                page,
                1,
                (page as u64 & 0xffff_ffff) | flags | (page as u64 >> 12 & 1) << 7,
            );
        }
        check_only_the_guard_goes(&tables, 4 * MIB_2, 0);
    }
}

#[test]
fn a_page_of_2_mib_is_split_and_all_but_the_guard_stays_as_it_was() {
    for flags in FLAGS {
        for pat in [0, HUGE_PAT] {
            let tables = Tables::new();
            for (number, page) in (BASE..BASE + 4 * MIB_2).step_by(MIB_2).enumerate() {
                let address = 0x4_0000_0000 + (number as u64 * 7) * MIB_2 as u64;
                tables.map(page, 2, address | flags | BIT_7 | pat);
            }
            check_only_the_guard_goes(&tables, 4 * MIB_2, 1);
        }
    }
}

#[test]
fn a_page_of_1_gib_is_split_twice_and_all_but_the_guard_stays_as_it_was() {
    for (flags, pat) in [(FLAGS[0], 0), (FLAGS[1], HUGE_PAT), (FLAGS[4], HUGE_PAT)] {
        let tables = Tables::new();
        tables.map(BASE, 3, 0x7_c000_0000 | flags | BIT_7 | pat);
        check_only_the_guard_goes(&tables, GIB, 2);
    }
}

#[test]
fn without_a_frame_for_a_split_nothing_changes() {
    for (level, entry) in [(2, 0x20_0000), (3, 0x4000_0000)] {
        let tables = Tables::new();
        tables.map(GUARD, level, entry | PRESENT | WRITABLE | BIT_7 | HUGE_PAT);
        let before = tables.snapshot(GUARD, 16 * PAGE);
        let result = tables.clear(GUARD, &mut Frames(0));
        assert_eq!(result, Err(GuardError::OutOfFrames { page: GUARD }));
        assert_eq!(tables.snapshot(GUARD, 16 * PAGE), before);
        assert_eq!(
            tables.verify(stack(1)),
            Err(GuardError::StillMapped { page: GUARD })
        );
    }
}

#[test]
fn without_a_frame_for_the_second_split_everything_is_still_mapped_as_it_was() {
    let tables = Tables::new();
    tables.map(
        BASE,
        3,
        0x7_c000_0000 | PRESENT | WRITABLE | BIT_7 | HUGE_PAT | NO_EXECUTE,
    );
    let before = tables.snapshot(BASE, GIB);
    let result = tables.clear(GUARD, &mut Frames(1));
    assert_eq!(result, Err(GuardError::OutOfFrames { page: GUARD }));
    assert_eq!(tables.snapshot(BASE, GIB), before);
    // With a frame it goes on where it stopped.
    assert_eq!(tables.clear(GUARD, &mut Frames(1)), Ok(()));
    assert_eq!(tables.verify(stack(1)), Ok(()));
}

#[test]
fn a_guard_that_was_never_mapped_is_as_good_as_one_that_was_taken_out() {
    // Nothing at all, and then a mapping of the stack alone, which brings tables of every level.
    let tables = Tables::new();
    assert_eq!(tables.clear(GUARD, &mut Frames(0)), Ok(()));
    assert_eq!(tables.snapshot(BASE, 4 * MIB_2), [None; 4 * 512]);
    tables.map(GUARD + PAGE, 1, 0x5000 | PRESENT | WRITABLE);
    assert_eq!(tables.clear(GUARD, &mut Frames(0)), Ok(()));
    assert_eq!(tables.verify(stack(1)), Ok(()));
}

#[test]
fn tables_that_do_not_map_the_stack_are_the_wrong_tables() {
    let expected = Err(GuardError::StackNotMapped { page: GUARD + PAGE });
    assert_eq!(Tables::new().verify(stack(1)), expected);
    // Read-only, by its own entry or by a table above it.
    let tables = Tables::new();
    tables.map(GUARD + PAGE, 1, 0x5000 | PRESENT);
    assert_eq!(tables.verify(stack(1)), expected);
    let tables = Tables::new();
    tables.map_with(GUARD + PAGE, 1, 0x5000 | PRESENT | WRITABLE, PRESENT | USER);
    assert_eq!(tables.verify(stack(1)), expected);
}

#[test]
fn verify_names_the_lowest_page_of_a_guard_that_is_still_mapped() {
    let tables = Tables::new();
    for page in (GUARD - 2 * PAGE..=GUARD + PAGE).step_by(PAGE) {
        tables.map(page, 1, 0x5000 | PRESENT | WRITABLE | BIT_7);
    }
    for page in (GUARD - 2 * PAGE..=GUARD).step_by(PAGE) {
        assert_eq!(
            tables.verify(stack(3)),
            Err(GuardError::StillMapped { page })
        );
        assert_eq!(tables.clear(page, &mut Frames(0)), Ok(()));
    }
    assert_eq!(tables.verify(stack(3)), Ok(()));
}

#[test]
fn a_guard_of_no_or_of_broken_pages_is_refused() {
    let tables = Tables::new();
    assert_eq!(tables.verify(stack(0)), Err(GuardError::NoRoom));
    let broken = |bottom: usize, guard: usize| {
        let bottom = ptr::without_provenance_mut(bottom);
        tables.verify(StackBounds::new(bottom, 4 * PAGE, guard).expect("well formed"))
    };
    for (bottom, guard) in [
        (GUARD, 64),
        (GUARD, PAGE + 64),
        (GUARD + 64, PAGE),
        (GUARD + 64, 64),
    ] {
        assert_eq!(
            broken(bottom, guard),
            Err(GuardError::Misaligned {
                start: bottom - guard
            })
        );
    }
}

#[test]
fn a_guard_in_the_upper_half_is_found() {
    let tables = Tables::new();
    let stack = usize::MAX - 16 * PAGE + 1;
    for page in [stack - PAGE, stack] {
        tables.map(page, 1, 0x5000 | PRESENT | WRITABLE);
    }
    let bounds =
        StackBounds::new(ptr::without_provenance_mut(stack), 4 * PAGE, PAGE).expect("well formed");
    assert_eq!(
        tables.verify(bounds),
        Err(GuardError::StillMapped { page: stack - PAGE })
    );
    assert_eq!(tables.clear(stack - PAGE, &mut Frames(0)), Ok(()));
    assert_eq!(tables.verify(bounds), Ok(()));
}

#[test]
fn every_error_says_what_to_do() {
    use std::string::ToString;
    let cases = [
        (GuardError::NoRoom, "use a GuardedStack"),
        (
            GuardError::Misaligned { start: 0x1040 },
            "0x1040 is not made of whole pages",
        ),
        (GuardError::OutOfFrames { page: 0x1000 }, "no frame"),
        (
            GuardError::StillMapped { page: 0x1000 },
            "pass the page tables that are in use",
        ),
        (
            GuardError::StackNotMapped { page: 0x1000 },
            "not mapped writable",
        ),
    ];
    for (error, phrase) in cases {
        assert!(error.to_string().contains(phrase), "{error}");
    }
}
