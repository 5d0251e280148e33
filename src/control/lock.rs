//! The lock on a profile, and the note that says who holds it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ControlError;

/// Locked by the operating system as long as the process lives. It stays when the lock is given back: removing a lock
/// file would let two processes each lock a file of that name.
const LOCK_FILE: &str = "profile.lock";
/// Who holds the lock. A file of its own, because some systems do not let others read a locked file.
const OWNER_FILE: &str = "profile.owner";

/// Proof that this process runs the profile. Given back when the last clone is dropped or the process ends.
#[derive(Debug, Clone)]
pub struct ProfileLock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    home: PathBuf,
    what: String,
    /// Closing it unlocks it.
    _file: File,
}

/// The content of the owner file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub pid: u32,
    pub what: String,
    /// Where its [`super::ControlServer`] listens; `None` until it does.
    pub socket: Option<String>,
}

impl ProfileLock {
    /// Takes the profile in folder `home`, which is created when missing. `what` tells other processes who holds it,
    /// such as `twocans answer`.
    pub fn acquire(home: &Path, what: &str) -> Result<Self, ControlError> {
        create_private_folder(home).map_err(|error| ControlError::unreachable(home, &error))?;
        let home = fs::canonicalize(home).map_err(|error| ControlError::unreachable(home, &error))?;
        let path = home.join(LOCK_FILE);
        let file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&path)
            .map_err(|error| ControlError::unreachable(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&home)),
            Err(TryLockError::Error(error)) => return Err(ControlError::unreachable(&path, &error)),
        }
        let lock = Self { held: Arc::new(Held { home, what: what.into(), _file: file }) };
        lock.announce(None)?;
        Ok(lock)
    }

    /// The profile's folder, absolute and without symbolic links.
    pub fn home(&self) -> &Path {
        &self.held.home
    }

    /// Tells other processes who we are and where we listen.
    pub(super) fn announce(&self, socket: Option<String>) -> Result<(), ControlError> {
        let owner = Owner { pid: std::process::id(), what: self.held.what.clone(), socket };
        let path = self.home().join(OWNER_FILE);
        write_owner(&path, &owner).map_err(|error| ControlError::unreachable(&path, &error))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Still locked, so the note is ours. Left behind, it only names a process that is gone.
        let _ = fs::remove_file(self.home.join(OWNER_FILE));
    }
}

/// The process that runs the profile; `None` when nobody does, or it does not say.
pub(super) fn owner(home: &Path) -> Option<Owner> {
    let note = fs::read(home.join(OWNER_FILE)).ok()?;
    serde_json::from_slice(&note).ok().filter(is_alive)
}

fn in_use(home: &Path) -> ControlError {
    match owner(home) {
        Some(owner) => ControlError::InUse { pid: Some(owner.pid), what: owner.what },
        None => ControlError::InUse { pid: None, what: String::new() },
    }
}

/// A killed process leaves its note behind.
#[cfg(unix)]
fn is_alive(owner: &Owner) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_alive(_: &Owner) -> bool {
    true
}

/// Readers see the old note or the new one, never half of one.
fn write_owner(path: &Path, owner: &Owner) -> std::io::Result<()> {
    let fresh = path.with_extension("owner.new");
    let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&fresh)?;
    serde_json::to_writer(&mut file, owner)?;
    fs::rename(fresh, path)
}

pub(super) fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
