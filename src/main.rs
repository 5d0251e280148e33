//! The binary: reads the command line, runs what it asks for, gives the exit code.

use std::process::ExitCode;

use twocans::cli;

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        cli::Next::Exit(code) => code,
        #[cfg(feature = "gui")]
        cli::Next::Client(client) => {
            let result = twocans::ui::run(client.options.clone(), client.link.clone());
            client.finish(result)
        }
    }
}
