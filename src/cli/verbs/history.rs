//! `history`: past calls.

use crate::cli::clock;
use crate::cli::exit::{Exit, internal};
use crate::cli::output::{Output, Report};
use crate::cli::session::Session;
use crate::engine::{CommandKind, Failure, Options, Reply};

pub async fn run(options: Options, limit: u32, out: &mut dyn Output) -> Result<Exit, Failure> {
    let mut session = Session::start(options, out)?;
    let reply = session.command(CommandKind::ListHistory { limit }).await;
    let result = match reply {
        Ok(Reply::History(calls)) => {
            session.say(&Report::History { calls, now_unix_s: clock::unix_now_s() });
            Ok(Exit::Fine)
        }
        Ok(_) => Err(internal("the engine answered something else than history")),
        Err(failure) => Err(failure),
    };
    session.close_quietly().await;
    result
}
