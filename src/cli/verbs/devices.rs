//! `devices`: what can be heard and played here?

use crate::cli::exit::Exit;
use crate::cli::output::{Output, Report};
use crate::engine::{self, Failure};

pub fn run(out: &mut dyn Output) -> Result<Exit, Failure> {
    out.report(&Report::Devices(engine::devices()?));
    Ok(Exit::Fine)
}
