//! `id`: who am I?

use std::path::Path;

use crate::cli::exit::Exit;
use crate::cli::output::{Output, Report};
use crate::engine::{self, Failure};

/// Needs neither network nor the profile's lock.
pub fn run(home: &Path, out: &mut dyn Output) -> Result<Exit, Failure> {
    let link = engine::my_link(home)?;
    out.report(&Report::Identity { link });
    Ok(Exit::Fine)
}
