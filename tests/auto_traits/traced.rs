//! The types that there are with the feature `trace` only.

/// Their names.
pub(crate) const ALL: &[&str] = &[
    "trace::LastEvents",
    "trace::Latency",
    "trace::Recorder",
    "trace::Statistics",
];

#[cfg(feature = "trace")]
use super::row::{If, Neither, Probe, Row, SendAndSync, SendOnly, SyncOnly, Variance, rows};
#[cfg(feature = "trace")]
use kfiber::trace;

#[cfg(feature = "trace")]
rows! {
    // type                                       Send,   Sync,   in T,   in 'a
    trace::LastEvents                          => Always, Always, Absent, Absent;
    trace::Latency                             => Always, Always, Absent, Absent;
    trace::Recorder<16>                        => Always, Always, Absent, Absent;
    trace::Statistics                          => Always, Always, Absent, Absent;
}

#[cfg(feature = "trace")]
#[test]
fn every_type_of_the_recorder_is_send_and_sync_as_its_row_says() {
    let mut complaints = Vec::new();
    for row in ROWS {
        row.check(|name, kind, has_it| {
            complaints.push(format!("{} {name} {kind} {has_it}", row.text));
        });
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}
