//! What is written beside the source, in the folder `docs`, as chapters of the documentation: nothing but text.
//!
//! These modules are empty. They exist where the documentation is built, and nowhere else.
//!
//! The files link to each other by labels. In the repository the end of each file says where a label leads. Here `src/links.md`
//! comes first, and the first meaning of a label holds.

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/promises.md")]
pub mod promises {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/backtraces.md")]
pub mod backtraces {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/failures.md")]
pub mod failures {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/instructions.md")]
pub mod instructions {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/stacks.md")]
pub mod stacks {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/peers/amd-epyc-25-1.md")]
///
#[doc = include_str!("../docs/peers/amd-epyc-25-1.svg")]
pub mod amd {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/peers/intel-xeon-processor.md")]
///
#[doc = include_str!("../docs/peers/intel-xeon-processor.svg")]
pub mod intel {}
