//! Where the control socket of a profile lies.

use std::io;
use std::path::{Path, PathBuf};

use interprocess::local_socket::{GenericFilePath, Name, ToFsName};
use sha2::{Digest, Sha256};

/// In the profile's folder, or in the user's runtime folder under a name made from the profile's path when that path is
/// too long for a socket address, or is not text.
#[cfg(unix)]
pub(super) fn of(home: &Path) -> io::Result<String> {
    /// `sun_path` takes 104 bytes on some systems, its closing zero included (unix(7), unix(4)).
    const LONGEST: usize = 103;
    let fits = |path: PathBuf| path.into_os_string().into_string().ok().filter(|path| path.len() <= LONGEST);
    if let Some(path) = fits(home.join("control.sock")) {
        return Ok(path);
    }
    let name = format!("twocans-{}.sock", short_hash(home));
    if let Some(path) = std::env::var_os("XDG_RUNTIME_DIR").and_then(|folder| fits(Path::new(&folder).join(&name))) {
        return Ok(path);
    }
    fits(shared_folder()?.join(name)).ok_or_else(|| io::Error::other("no folder with a path short enough for a socket"))
}

#[cfg(windows)]
pub(super) fn of(home: &Path) -> io::Result<String> {
    Ok(format!(r"\\.\pipe\twocans-{}", short_hash(home)))
}

pub(super) fn name(address: &str) -> io::Result<Name<'_>> {
    address.to_fs_name::<GenericFilePath>()
}

fn short_hash(home: &Path) -> String {
    let digest = Sha256::digest(home.as_os_str().as_encoded_bytes());
    data_encoding::HEXLOWER.encode(&digest[..16])
}

/// A folder of ours among everybody's temporary files. Somebody else may have made it first, as a trap: then it is not
/// used.
#[cfg(unix)]
fn shared_folder() -> io::Result<PathBuf> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let me = rustix::process::getuid().as_raw();
    let folder = Path::new("/tmp").join(format!("twocans-{me}"));
    super::lock::create_private_folder(&folder)?;
    let found = std::fs::symlink_metadata(&folder)?;
    if found.is_dir() && found.uid() == me && found.permissions().mode().trailing_zeros() >= 6 {
        Ok(folder)
    } else {
        Err(io::Error::other(format!("{} is not a private folder of ours", folder.display())))
    }
}
