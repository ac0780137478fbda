//! The contenders, one a file: the same contract in the words of each library.

#[cfg(feature = "c-compiler")]
pub(crate) mod boost;
pub(crate) mod corosensei;
#[cfg(feature = "c-compiler")]
pub(crate) mod generator;
pub(crate) mod kfiber;
pub(crate) mod ucontext;
pub(crate) mod wasmtime;
