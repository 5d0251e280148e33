//! `node`: a peer without a person in front of it, there for others.

use crate::cli::driver::Stay;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, Report};
use crate::cli::session::Session;
use crate::engine::{Failure, Options};

pub async fn run(options: Options, out: &mut dyn Output) -> Result<Exit, Failure> {
    out.report(&Report::Note("A node of the twocans network; Ctrl-C stops it.".into()));
    Session::start(options, out)?.run(&mut Stay).await
}
