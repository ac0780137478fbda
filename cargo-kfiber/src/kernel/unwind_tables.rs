//! Takes a kernel's unwind tables out of its ELF file, where the bare target leaves them, not to be loaded.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectSection as _};

/// The section that holds them.
pub const SECTION: &str = ".debug_frame";

/// The bytes of the tables, and where in the ELF file they begin.
///
/// # Errors
///
/// Fails if the file has no such section: it was built without debug information.
pub fn read(kernel: &Path) -> Result<(Vec<u8>, usize)> {
    let data = fs::read(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
    let elf = ElfFile64::<LittleEndian>::parse(&*data).context("not an ELF file of 64 bits")?;
    let section = elf.section_by_name(SECTION).with_context(|| {
        format!(
            "{} has no {SECTION}: it must be built with debug information",
            kernel.display()
        )
    })?;
    let range = section.compressed_file_range()?;
    ensure!(
        range.format == object::CompressionFormat::None,
        "{SECTION} is compressed"
    );
    Ok((section.data()?.to_vec(), usize::try_from(range.offset)?))
}

/// A file with the tables, beside the kernel, where it is made when the kernel is newer.
///
/// # Errors
///
/// Fails as [`read`] does, and if the file cannot be written.
pub fn beside(kernel: &Path) -> Result<PathBuf> {
    let file = kernel.with_extension("debug_frame");
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if time(&file).is_ok_and(|made| time(kernel).is_ok_and(|built| made > built)) {
        return Ok(file);
    }
    let (tables, _) = read(kernel)?;
    write(&file, &tables)?;
    Ok(file)
}

/// Writes a file at once, so that another process that runs the same test never sees half of it.
///
/// # Errors
///
/// Fails if the file cannot be written.
pub fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let new = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(new.path(), bytes)?;
    new.persist(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}
