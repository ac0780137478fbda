//! What the steps need is installed before they begin: two that do it at the same time would get into each other's way.

use anyhow::Result;

use crate::cli::CoreSource;
use crate::host_tests::miri;
use crate::setup::{core, loaders, qemu, rustup};
use crate::targets::{oldest, uefi};

/// Everything that a step installs if it is missing.
const ALL: [fn() -> Result<()>; 8] = [
    || core::ensure(Some(CoreSource::Rustup)).map(drop),
    || core::ensure(Some(CoreSource::Distribution)).map(drop),
    || qemu::ensure().map(drop),
    || rustup::ensure(None, uefi::TARGET),
    oldest::ensure,
    miri::ensure,
    loaders::ensure_grub,
    || loaders::ensure_ovmf().map(drop),
];

/// Installs what is missing and can be installed. Of the rest the steps say themselves what it means for them.
pub(super) fn install() {
    for ensure in ALL {
        let _its_step_says_so = ensure();
    }
}
