//! Backtraces are exact at every instruction, across stacks, on the stock target without any flag.
//!
//! The scenes are executed step by step (`stepping.rs`), and a DWARF unwinder's answer at each instruction is compared
//! with the calls that were really made (`shadow.rs`). `cargo xtask backtraces` runs the same scenes under gdb, the walk
//! along rbp in kernels with frame pointers, and both with unwind tables that are wrong on purpose.

mod primitives;
mod rbp;
mod scene;
mod shadow;
mod stepping;
mod walk;

use scene::{GEOMETRIES, Geometry, Stop, play};
use stepping::watch;
use tests_qemu::{kernel_test, println};

kernel_test! {
    fn child_above_parent_is_exact_at_every_instruction() debug_frame timeout(120) {
        fibers(GEOMETRIES[0]);
    }

    fn child_below_parent_is_exact_at_every_instruction() debug_frame timeout(120) {
        fibers(GEOMETRIES[1]);
    }

    fn child_above_root_above_parent_is_exact_at_every_instruction() debug_frame timeout(120) {
        fibers(GEOMETRIES[2]);
    }

    fn child_below_root_below_parent_is_exact_at_every_instruction() debug_frame timeout(120) {
        fibers(GEOMETRIES[3]);
    }

    fn the_switch_out_of_line_is_exact_at_every_instruction() debug_frame timeout(120) {
        primitives(&[false, true], false, primitives::play_out_of_line);
    }

    fn the_symmetric_switch_is_exact_at_every_instruction() debug_frame timeout(120) {
        primitives(&[false, true], true, primitives::play_symmetric);
    }

    /// Plays all scenes at full speed, for a debugger that stops at `kfiber_test_scene_stop`.
    fn scenes_for_a_debugger() {
        for geometry in GEOMETRIES {
            println!("{geometry:?}");
            play(geometry);
        }
        for is_above in [false, true] {
            primitives::play_out_of_line(is_above);
            primitives::play_symmetric(is_above);
        }
    }
}

#[cfg(kfiber_frame_pointers)]
kernel_test! {
    /// The runner asks for this test by name, so that no other kernel is taken for one with frame pointers.
    fn this_kernel_has_frame_pointers() {
        let rbp: u64;
        // SAFETY: It reads a register.
        unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
        assert!(tests_unwind::read(rbp).is_some(), "rbp leads to a frame");
    }
}

fn fibers(geometry: Geometry) {
    stepping::load();
    let mut sum = 0;
    let (counts, rbp) = watch(false, || sum = play(geometry));
    assert_eq!(sum, play(geometry), "watching changes nothing");
    judge(&counts, &rbp);
    let stops = [
        Stop::New,
        Stop::Suspended,
        Stop::Deep,
        Stop::ChildEnded,
        Stop::Ended,
    ];
    assert_eq!(counts.stale, 0, "a fiber's link never dangles");
    assert_eq!(
        rbp.across_frameless, 0,
        "the inline switch has its caller's frame"
    );
    assert_eq!(counts.stops, stops.len() as u64, "each stop was right");
    assert!(
        counts.deepest >= 13,
        "from the child's leaf to the kernel's entry"
    );
}

fn primitives(geometries: &[bool], is_symmetric: bool, play: fn(bool)) {
    stepping::load();
    for &geometry in geometries {
        let (counts, rbp) = watch(is_symmetric, || play(geometry));
        judge(&counts, &rbp);
    }
}

/// Fails the test if anything was wrong, or if too little was seen to say so.
fn judge(counts: &walk::Counts, rbp: &rbp::Counts) {
    println!("{counts:?}");
    println!(
        "steps={} walks={} wrong={}",
        counts.steps, counts.walks, counts.wrong
    );
    assert_eq!(counts.wrong, 0, "wrong walks");
    assert!(
        counts.steps >= 100 && counts.walks > counts.steps,
        "too few walks"
    );
    assert!(
        counts.in_switch >= 12,
        "too few instructions within switches"
    );
    if cfg!(kfiber_frame_pointers) {
        println!("{rbp:?}");
        assert_eq!(rbp.wrong, 0, "wrong walks along rbp");
        assert!(
            rbp.complete > counts.steps / 2,
            "too few complete walks along rbp"
        );
        assert!(
            rbp.suspended > rbp.half_cut,
            "too few walks along the rbp of suspended fibers"
        );
        // Of the four instructions at the shared end of a switch three come before rbp is set, and one behind it.
        assert_eq!(rbp.before_rbp, 3 * rbp.behind_rbp);
    }
}

/// The functions that must be on the chain at a stop, from the innermost to the outermost.
fn functions_at_stop(stop: u64) -> impl Iterator<Item = u64> {
    let functions = [
        scene::child_leaf as *const (),
        scene::child_mid as *const (),
        scene::child_entry as *const (),
        scene::parent_mid as *const (),
        scene::parent_entry as *const (),
        scene::root_entry as *const (),
    ];
    let first = match stop {
        _ if stop == Stop::Deep as u64 => 0,
        _ if stop == Stop::ChildEnded as u64 => 4,
        _ => 5,
    };
    functions
        .into_iter()
        .skip(first)
        .map(|function| function as u64)
}
