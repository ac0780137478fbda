//! Who waits for whom, and who can never continue, as data and as text.

pub(crate) mod deadlock;
pub(crate) mod marks;
pub(crate) mod needs;
pub(crate) mod stall;
pub(crate) mod wait_graph;
pub(crate) mod wait_graph_text;
