//! Reads a trace back, and checks what Perfetto relies on.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;

use super::{SLICE_BEGIN, SLICE_END, Trace};

/// What a trace has.
pub(crate) struct Checked {
    pub(crate) tracks: usize,
    pub(crate) slices: usize,
    pub(crate) arrows: usize,
}

/// Checks that times ascend, that each event has a track, that slices nest and end, and that arrows have two ends.
pub(crate) fn check(bytes: &[u8]) -> Result<Checked> {
    let trace = Trace::decode(bytes)?;
    let mut tracks = BTreeSet::new();
    let mut open: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut last, mut slices) = (0, 0);
    let (mut begun, mut ended) = (BTreeSet::<u64>::new(), BTreeSet::<u64>::new());
    for packet in &trace.packet {
        ensure!(
            packet.trusted_packet_sequence_id.is_some(),
            "a packet without a sequence"
        );
        if let Some(track) = &packet.track_descriptor {
            let parent = track.parent_uuid;
            ensure!(
                parent.is_none_or(|parent| tracks.contains(&parent)),
                "a track before its parent"
            );
            tracks.insert(track.uuid.context("a track without a number")?);
        }
        let Some(event) = &packet.track_event else {
            continue;
        };
        let at = packet.timestamp.context("an event without a time")?;
        ensure!(at >= last, "an event out of order");
        last = at;
        let track = event.track_uuid.context("an event without a track")?;
        ensure!(tracks.contains(&track), "an event of no track");
        let open = open.entry(track).or_default();
        match event.r#type {
            Some(SLICE_BEGIN) => *open += 1,
            Some(SLICE_END) => {
                *open = open.checked_sub(1).context("an end without a beginning")?;
                slices += 1;
            }
            _ => {}
        }
        begun.extend(&event.flow_ids);
        ended.extend(&event.terminating_flow_ids);
    }
    ensure!(
        open.values().all(|&open| open == 0),
        "a beginning without an end"
    );
    ensure!(
        begun == ended,
        "an arrow with one end: {begun:?} and {ended:?}"
    );
    Ok(Checked {
        tracks: tracks.len(),
        slices,
        arrows: begun.len(),
    })
}
