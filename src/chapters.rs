//! The texts in the folder `docs`, as chapters of the documentation.
//!
//! These modules are empty, and exist only while the documentation is built.
//!
//! The files link to each other by labels. In the repository, the end of each file defines its
//! labels. In this module `src/links.md` comes first, and the first definition of a label applies.

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/glossary.md")]
pub mod glossary {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/stack-size.md")]
pub mod stack_size {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/your-kernel.md")]
pub mod your_kernel {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/promises.md")]
pub mod promises {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/backtraces.md")]
pub mod backtraces {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/diagnosis.md")]
pub mod diagnosis {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/debugging.md")]
pub mod debugging {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/tracing.md")]
///
#[doc = include_str!("../docs/trace.svg")]
pub mod tracing {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/costs.md")]
pub mod costs {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/experiments.md")]
pub mod experiments {}

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
#[doc = include_str!("../docs/peers/amd-epyc-25-17.md")]
///
#[doc = include_str!("../docs/peers/amd-epyc-25-17.svg")]
pub mod amd_17 {}

#[doc = include_str!("links.md")]
#[doc = include_str!("../docs/peers/intel-xeon-processor.md")]
///
#[doc = include_str!("../docs/peers/intel-xeon-processor.svg")]
pub mod intel {}
