//! `identity`: an encrypted backup, and back.

use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, internal, usage};
use crate::cli::output::{Output, Report};
use crate::cli::passphrase::{self, Asked};
use crate::cli::session::Session;
use crate::engine::{self, CommandKind, Failure, Options};

/// Writes the backup. Nobody means to keep an identity that was made a moment ago, by a mistyped `--home`.
pub async fn export(options: Options, file: PathBuf, out: &mut dyn Output) -> Result<Exit, Failure> {
    if !engine::has_identity(&options.home) {
        return Err(usage(format!(
            "there is no identity in {} yet; name its profile with --home",
            options.home.display()
        )));
    }
    // Where the shell is does not matter to the engine.
    let file = std::path::absolute(&file).map_err(|why| usage(format!("{}: {why}", file.display())))?;
    if file.exists() {
        return Err(usage(format!("{} is there already; choose another name", file.display())));
    }
    let passphrase = passphrase::ask(Asked::Twice)?;
    let mut session = Session::start(options, out)?;
    let result = match session.command(CommandKind::ExportIdentity { file: file.clone(), passphrase }).await {
        Ok(_) => session.snapshot().link.clone().ok_or_else(|| internal("the engine does not say who we are")),
        Err(failure) => Err(failure),
    };
    if let Ok(link) = &result {
        session.say(&Report::Exported { link: link.clone(), file });
    }
    session.close_quietly().await;
    result.map(|_| Exit::Fine)
}

/// Takes the backup over, with `force` in place of an identity that is there.
pub fn import(home: &Path, file: &Path, force: bool, out: &mut dyn Output) -> Result<Exit, Failure> {
    if !force && engine::has_identity(home) {
        return Err(usage(format!(
            "{} has an identity already; import into another profile with --home, or replace it with --force",
            home.display()
        )));
    }
    let passphrase = passphrase::ask(Asked::Once)?;
    let import = if force { engine::replace_identity } else { engine::import_identity };
    out.report(&Report::Imported(import(home, file, &passphrase)?));
    Ok(Exit::Fine)
}
