//! Ranges of foreign memory: what is accepted, and which error says why not, at the exact boundaries.

use core::ptr;
use kfiber::stack::{ForeignStack, StackBounds, StackError};

const LOW_END: usize = 1 << 47;
const HIGH_START: usize = usize::MAX << 47;

/// The bounds at an address that need not exist: nothing is read or written.
fn bounds(bottom: usize, size: usize, guard: usize) -> Result<StackBounds, StackError> {
    StackBounds::new(ptr::without_provenance_mut(bottom), size, guard)
}

fn error(bottom: usize, size: usize, guard: usize) -> StackError {
    let error = bounds(bottom, size, guard).expect_err("refused");
    // SAFETY: it is refused, and then the memory is not touched.
    let foreign = unsafe { ForeignStack::new(ptr::without_provenance_mut(bottom), size, guard) };
    assert_eq!(foreign.err(), Some(error), "ForeignStack says the same");
    error
}

#[test]
fn a_null_bottom_is_refused() {
    assert_eq!(error(0, 4096, 0), StackError::Null);
    assert_eq!(error(0, 0, 0), StackError::Null);
    assert_eq!(error(0, usize::MAX, 1), StackError::Null);
}

#[test]
fn sizes_below_the_minimum_are_refused() {
    for size_bytes in [0, 1, 16, 64, 512, 1008, 1023] {
        assert_eq!(
            error(0x10000, size_bytes, 0),
            StackError::TooSmall { size_bytes }
        );
    }
    assert!(bounds(0x10000, 1024, 0).is_ok());
}

#[test]
fn a_bottom_must_be_a_multiple_of_16() {
    for offset in [1, 2, 8, 15, 17] {
        let bottom = 0x10000 + offset;
        assert_eq!(
            error(bottom, 4096, 0),
            StackError::BottomMisaligned { bottom }
        );
    }
    assert!(bounds(0x10010, 4096 - 16, 0).is_ok());
}

#[test]
fn a_top_must_be_a_multiple_of_64() {
    for offset in [1, 16, 32, 48, 63, 65] {
        let top = 0x12000 + offset;
        assert_eq!(
            error(0x10000, 0x2000 + offset, 0),
            StackError::TopMisaligned { top }
        );
    }
    assert!(bounds(0x10000, 0x2040, 0).is_ok());
}

#[test]
fn a_range_that_wraps_around_the_address_space_is_refused() {
    let last_page = usize::MAX - 4095;
    assert_eq!(error(last_page, 8192, 0), StackError::Wraps);
    assert_eq!(error(last_page, usize::MAX & !63, 0), StackError::Wraps);
    assert_eq!(error(0x10000, usize::MAX, 0), StackError::Wraps);
    assert_eq!(error(0x10000, usize::MAX - 0xffff, 0), StackError::Wraps);
}

#[test]
fn the_very_last_line_of_the_address_space_cannot_be_in_a_stack() {
    // Its end is not an address.
    let last_page = usize::MAX - 4095;
    assert_eq!(error(last_page, 4096, 0), StackError::Wraps);
    assert!(bounds(last_page, 4096 - 64, 0).is_ok());
}

#[test]
fn a_guard_that_wraps_below_zero_is_refused() {
    assert_eq!(error(0x1000, 4096, 0x1001), StackError::Wraps);
    assert_eq!(error(0x1000, 4096, usize::MAX), StackError::Wraps);
    let fits = bounds(0x1000, 4096, 0x1000).expect("from address zero on");
    assert_eq!(fits.guard(), 0..0x1000);
}

#[test]
fn a_stack_may_end_at_the_last_canonical_byte_of_the_lower_half() {
    assert!(bounds(LOW_END - 4096, 4096, 4096).is_ok());
    assert_eq!(
        error(LOW_END - 4096, 4096 + 64, 0),
        StackError::NonCanonical
    );
}

#[test]
fn a_stack_may_begin_at_the_first_canonical_byte_of_the_upper_half() {
    assert!(bounds(HIGH_START, 4096, 0).is_ok());
    assert!(bounds(HIGH_START + 4096, 4096, 4096).is_ok());
    assert_eq!(
        error(HIGH_START, 4096, 4096),
        StackError::NonCanonical,
        "the guard is in the hole"
    );
    assert_eq!(error(HIGH_START - 64, 4096, 0), StackError::NonCanonical);
}

#[test]
fn a_range_inside_the_hole_is_refused() {
    assert_eq!(error(LOW_END, 4096, 0), StackError::NonCanonical);
    assert_eq!(error(1 << 62, 4096, 0), StackError::NonCanonical);
    assert_eq!(error(HIGH_START - 8192, 4096, 0), StackError::NonCanonical);
}

#[test]
fn a_range_across_the_whole_hole_is_refused_though_both_ends_are_canonical() {
    let bottom = LOW_END - 4096;
    assert_eq!(
        error(bottom, HIGH_START + 4096 - bottom, 0),
        StackError::NonCanonical
    );
    let bottom = HIGH_START + 4096;
    assert_eq!(
        error(bottom, 4096, bottom - 4096),
        StackError::NonCanonical,
        "by its guard"
    );
}

#[test]
fn a_huge_stack_within_one_half_is_accepted() {
    let all = bounds(4096, LOW_END - 4096, 4096).expect("the whole lower half");
    assert_eq!(all.top().addr(), LOW_END);
}

#[test]
fn bounds_tell_what_they_were_made_from() {
    let made = bounds(0x2_0000, 0x3000, 0x1000).expect("well formed");
    assert_eq!(made.bottom().addr(), 0x2_0000);
    assert_eq!(made.top().addr(), 0x2_3000);
    assert_eq!(made.size_bytes(), 0x3000);
    assert_eq!(made.guard(), 0x1_f000..0x2_0000);
    let bare = bounds(0x2_0000, 0x3000, 0).expect("well formed");
    assert!(bare.guard().is_empty());
}

/// Checks two stacks of a page with a guard of `guard` bytes, the second `distance` bytes above the first.
fn are_disjoint(distance: usize, guard: usize) -> bool {
    let low = bounds(0x10_0000, 4096, guard).expect("well formed");
    let high = bounds(0x10_0000 + distance, 4096, guard).expect("well formed");
    let one_way = StackBounds::check_disjoint(&[low, high]);
    assert_eq!(
        one_way,
        StackBounds::check_disjoint(&[high, low]),
        "whatever the order"
    );
    if let Err(error) = one_way {
        assert_eq!(
            error,
            StackError::Overlap {
                first: 0,
                second: 1
            }
        );
    }
    one_way.is_ok()
}

#[test]
fn stacks_that_touch_are_disjoint_and_stacks_that_share_a_line_are_not() {
    assert!(are_disjoint(4096, 0));
    assert!(!are_disjoint(4096 - 64, 0));
    assert!(!are_disjoint(64, 0));
    assert!(!are_disjoint(0, 0));
}

#[test]
fn a_guard_belongs_to_its_stack_when_overlap_is_checked() {
    assert!(
        are_disjoint(4096 + 128, 128),
        "the guard touches the stack below"
    );
    assert!(
        !are_disjoint(4096 + 64, 128),
        "the guard reaches into the stack below"
    );
    assert!(!are_disjoint(4096, 1));
}

#[test]
fn overlap_names_the_first_pair_of_many() {
    let at = |bottom| bounds(bottom, 4096, 0).expect("well formed");
    let stacks = [at(0x1000), at(0x3000), at(0x5000), at(0x3fc0), at(0x1000)];
    let expected = StackError::Overlap {
        first: 1,
        second: 3,
    };
    assert_eq!(StackBounds::check_disjoint(&stacks), Err(expected));
    assert_eq!(StackBounds::check_disjoint(&stacks[..3]), Ok(()));
    assert_eq!(StackBounds::check_disjoint(&[]), Ok(()));
}

#[test]
fn every_error_says_what_to_do_in_one_line() {
    let cases = [
        (error(0, 4096, 0), "pass the lowest byte of mapped memory"),
        (
            error(0x1000, 7, 0),
            "stack of 7 bytes is too small: at least 1024",
        ),
        (
            error(0x1001, 4096, 0),
            "0x1001 is misaligned: make it a multiple of 16",
        ),
        (
            error(0x1000, 4097, 0),
            "0x2001 is misaligned: make it a multiple of 64",
        ),
        (
            error(0x1000, usize::MAX, 0),
            "wraps around the end of the address space",
        ),
        (error(LOW_END, 4096, 0), "must equal bit 47"),
        (
            StackError::Overlap {
                first: 3,
                second: 4,
            },
            "stacks 3 and 4 overlap",
        ),
    ];
    for (error, phrase) in cases {
        let message = error.to_string();
        assert!(message.contains(phrase), "{message}");
        assert!(
            !message.contains('\n') && !message.ends_with('.'),
            "{message}"
        );
    }
}
