//! The library for a kernel's own target, whose operating system has a name that no compiler knows.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::cli::CoreSource;
use crate::setup;
use crate::steps::Counts;
use crate::{console, workspace};

/// The name of the operating system.
const SYSTEM: &str = "a_kernel_of_your_own";

/// Builds the library and `core` for such a target. Only the distribution's toolchain has the source of `core`.
pub(crate) fn builds() -> Result<Counts> {
    let source = CoreSource::Distribution;
    if let Err(error) = setup::core::ensure(Some(source)) {
        console::loud(format!(
            "SKIPPED: this machine cannot have {}: {error:#}",
            source.describe()
        ));
        return Ok(Counts::SKIPPED);
    }
    let folder = workspace::target_directory()?.join("custom-target");
    fs::create_dir_all(&folder)?;
    let file = folder.join("x86_64-own.json");
    let description = with_system(&CoreSource::description_of_target()?)?;
    // The same text keeps its date, or everything would be built anew.
    if fs::read_to_string(&file).ok().as_ref() != Some(&description) {
        fs::write(&file, description).with_context(|| file.display().to_string())?;
    }
    let mut command = source.cargo_for(&file, "build", &folder);
    command.args(["-Zjson-target-spec", "--package", "kfiber"]);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", console::line(&command)))?;
    Ok(Counts::from_success(status.success()))
}

/// The description of a target, with the name of the system added. The bare target has none.
fn with_system(description: &str) -> Result<String> {
    ensure!(
        !description.contains("\"os\""),
        "the bare target has a system now: {description}"
    );
    let rest = description
        .strip_prefix('{')
        .context("the description of a target is no object")?;
    Ok(format!("{{\n  \"os\": \"{SYSTEM}\",{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_added_to_a_target_without_one() {
        let own = with_system("{\n  \"arch\": \"x86_64\"\n}").expect("a target");
        assert_eq!(
            own,
            "{\n  \"os\": \"a_kernel_of_your_own\",\n  \"arch\": \"x86_64\"\n}"
        );
        assert!(with_system("{ \"os\": \"linux\" }").is_err());
        assert!(with_system("error").is_err());
    }
}
