//! The binding of a fiber local: a link of the list on the stack of its fiber.

/// One bound value, which lies on the stack of the fiber that bound it.
pub(crate) struct Binding {
    pub(crate) key: *const (),
    pub(crate) value: *const (),
    pub(crate) outer: *const Self,
}
