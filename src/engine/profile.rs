//! The profile's folder: one person on one machine.

use std::path::{Path, PathBuf};

use super::{Failure, FailureKind, Retry};
use crate::identity::{self, IdentityError, Link, PersonKey};
use crate::store::StoreError;

/// The preference that keeps what its person is called.
pub(super) const DISPLAY_NAME: &str = "name";

/// Where each thing lies inside a profile.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    home: PathBuf,
}

impl Profile {
    /// Where the person's key is.
    pub const KEY_FILE: &str = "identity.key";

    /// Creates the folder when it is not there, readable by its owner only.
    pub fn open(home: &Path) -> Result<Self, Failure> {
        create_private_dir(home).map_err(|why| Failure {
            kind: FailureKind::ProfileDamaged,
            retry: Retry::AfterUserAction,
            detail: format!("cannot use the folder {}: {why}; choose another with --home", home.display()),
        })?;
        Ok(Self { home: home.to_path_buf() })
    }

    pub fn person_key(&self) -> Result<PersonKey, Failure> {
        identity::load_or_create(&self.key()).map_err(|why: IdentityError| Failure {
            kind: FailureKind::ProfileDamaged,
            retry: Retry::AfterUserAction,
            detail: why.to_string(),
        })
    }

    pub fn key(&self) -> PathBuf {
        self.home.join(Self::KEY_FILE)
    }

    /// Where a key stays that is replaced at this Unix time.
    pub fn key_aside(&self, unix_s: i64) -> PathBuf {
        self.home.join(format!("{}.replaced-{unix_s}", Self::KEY_FILE))
    }

    pub fn node_key(&self) -> PathBuf {
        self.home.join("node.key")
    }

    pub fn peer_cache(&self) -> PathBuf {
        self.home.join("peers.json")
    }

    pub fn database(&self) -> PathBuf {
        self.home.join("twocans.db")
    }
}

/// The link of the person to whom the profile belongs; a new person when the profile is new.
pub fn my_link(home: &Path) -> Result<Link, Failure> {
    let key = Profile::open(home)?.person_key()?;
    Ok(Link { person: key.person(), name: None, hints: Vec::new() })
}

/// What the store refused, as people read it.
pub(super) fn stored(why: StoreError) -> Failure {
    let kind = match why {
        StoreError::UnknownContact | StoreError::BadName | StoreError::TooLong { .. } | StoreError::TooMany { .. } => {
            FailureKind::Usage
        }
        StoreError::Damaged { .. } | StoreError::TooNew { .. } | StoreError::Foreign { .. } => {
            FailureKind::ProfileDamaged
        }
        _ => FailureKind::Internal,
    };
    Failure { kind, retry: Retry::AfterUserAction, detail: why.to_string() }
}

#[cfg(unix)]
fn create_private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_dir(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}
