//! What an interrupt-safe lock guards goes from core to core.
//@ code: E0277
//@ says: cannot be sent between threads safely
#![allow(unused, non_upper_case_globals, clippy::all)]

use kfiber::sync::IrqMutex;

#[cfg(not(feature = "fixed"))]
type Value = Option<std::rc::Rc<u32>>;
#[cfg(feature = "fixed")]
type Value = Option<std::sync::Arc<u32>>;

static SHARED: IrqMutex<Value> = IrqMutex::new(None);

fn main() {}
