//! What is known of one scheduled fiber: its control block, state, id, priority level, and the
//! record of what it waits for.

pub(crate) mod binding;
pub(crate) mod control;
pub(crate) mod header;
pub(crate) mod held_by;
pub(crate) mod id;
pub(crate) mod owner;
pub(crate) mod prefix;
pub(crate) mod priority;
pub(crate) mod scope_count;
pub(crate) mod wait;
