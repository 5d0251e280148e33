//! Opens a backup before the running profile is given up for it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};

use eframe::egui::Context;

use crate::engine::{Failure, Passphrase, import_identity};

/// Where the backup is unpacked for a look, inside the profile.
const TRIAL: &str = "restoring";

/// A backup that is being opened on a thread of its own: to make a key of its passphrase takes a second.
pub struct Opening {
    outcome: Receiver<Result<(PathBuf, Passphrase), Failure>>,
}

impl Opening {
    /// # Errors
    /// A passphrase that no backup can have: why.
    pub fn start(ctx: Context, home: &Path, file: PathBuf, passphrase: String) -> Result<Self, String> {
        let passphrase = Passphrase::new(passphrase).map_err(|why| why.to_string())?;
        let trial = home.join(TRIAL);
        let (tell, outcome) = mpsc::sync_channel(1);
        let open = move || {
            // What an earlier look may have left behind when the program was killed.
            let _ = std::fs::remove_dir_all(&trial);
            let opened = import_identity(&trial, &file, &passphrase);
            let _ = std::fs::remove_dir_all(&trial);
            let _ = tell.send(opened.map(|_| (file, passphrase)));
            ctx.request_repaint();
        };
        std::thread::Builder::new().name("restore".into()).spawn(open).map_err(|why| why.to_string())?;
        Ok(Self { outcome })
    }

    /// `None` while it is not known.
    pub fn outcome(&self) -> Option<Result<(PathBuf, Passphrase), Failure>> {
        self.outcome.try_recv().ok()
    }
}
