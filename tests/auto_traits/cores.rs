//! The types that there are with the feature `smp` only.

/// Those of a bare machine. Their `Send` and `Sync` are written out in the library.
pub(crate) const BARE: &[&str] = &["scheduler::CoreLocal"];
/// Those of every machine.
pub(crate) const ALL: &[&str] = &["scheduler::DelayedFiber", "scheduler::MoveError"];

#[cfg(feature = "smp")]
use super::row::{If, Neither, Probe, Row, SendAndSync, SendOnly, SyncOnly, Variance, rows};
#[cfg(feature = "smp")]
use kfiber::scheduler;

#[cfg(feature = "smp")]
rows! {
    // type                                       Send,   Sync,   in T,   in 'a
    scheduler::DelayedFiber                    => Always, Always, Absent, Absent;
    scheduler::MoveError                       => Always, Always, Absent, Absent;
}

#[cfg(feature = "smp")]
#[test]
fn every_type_of_several_cores_is_send_and_sync_as_its_row_says() {
    let mut complaints = Vec::new();
    for row in ROWS {
        row.check(|name, kind, has_it| {
            complaints.push(format!("{} {name} {kind} {has_it}", row.text));
        });
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}
