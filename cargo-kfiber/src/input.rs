//! What a kernel printed: a file, or the standard input, as a whole or as it comes.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

/// Where a kernel's output is read from.
#[derive(Debug, Clone, Args)]
pub struct Input {
    /// What the kernel printed: a file, or `-` for the standard input
    #[arg(value_name = "LOG", default_value = "-")]
    pub log: PathBuf,
}

impl Input {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened.
    pub fn open(&self) -> Result<Box<dyn Read>> {
        if self.log.as_os_str() == "-" {
            return Ok(Box::new(io::stdin().lock()));
        }
        let file = File::open(&self.log);
        let file = file.with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(Box::new(file))
    }

    /// Reads it to its end.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read.
    pub fn text(&self) -> Result<String> {
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
