//! Where the person key and its backups are kept. The only file of this room that reads, writes or draws random numbers.
//!
//! ```text
//! twocans person key 1
//! seed 64 hexadecimal digits
//! person 52 letters and digits of z-base-32
//! ```
//!
//! The second line is the secret, the third its public key, which doubles as a checksum: a file in which a single bit
//! has flipped is reported, never used as somebody else's identity.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use zeroize::{Zeroize, Zeroizing};

use super::PersonKey;

const FIRST_LINE: &str = "twocans person key 1";
/// Far more than a key file has; what is larger is none.
const MAX_FILE_BYTES: u64 = 4096;

/// The person key could not be read or made. The file that is there, whatever it holds, was left as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Restore the file from a backup. To start anew under another identity, move it away.
    #[error(
        "the key file {} is damaged ({what}); restore it from a backup, or move it away to start with a new identity",
        path.display()
    )]
    Damaged { path: PathBuf, what: &'static str },
    /// Check who owns the file and its folder, and the free space.
    #[error("the key file {} cannot be {verb}: {source}", path.display())]
    Io { path: PathBuf, verb: &'static str, source: io::Error },
    /// The operating system gives no random numbers; no key can be made on this machine.
    #[error("this machine gives no random numbers: {0}")]
    NoRandomness(getrandom::Error),
}

/// Reads the person key, or makes one if there is no file. A damaged file is an error and is never replaced.
///
/// The file is readable by its owner only (an older file of a laxer mode is tightened) and appears at once as a whole:
/// a crash or a full disk leaves either no file or a complete one.
pub fn load_or_create(path: &Path) -> Result<PersonKey, IdentityError> {
    if let Some(key) = load(path)? {
        return Ok(key);
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(IdentityError::NoRandomness)?;
    let key = PersonKey::from_seed(&seed);
    match create(path, &key) {
        Ok(()) => Ok(key),
        // Another process made one in the meantime: that one counts.
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            load(path)?.ok_or_else(|| IdentityError::Io { path: path.to_owned(), verb: "written", source })
        }
        Err(source) => Err(IdentityError::Io { path: path.to_owned(), verb: "written", source }),
    }
}

/// Keeps a key that was made elsewhere, where there is none yet.
pub fn keep(path: &Path, key: &PersonKey) -> Result<(), IdentityError> {
    create(path, key).map_err(|source| IdentityError::Io { path: path.to_owned(), verb: "written", source })
}

/// Keeps `key` instead of the one at `path`, which stays as the file `aside`; that must not exist yet. At any moment one of
/// the two is in its place.
pub fn replace(path: &Path, key: &PersonKey, aside: &Path) -> Result<(), IdentityError> {
    let unwritten = |source| IdentityError::Io { path: path.to_owned(), verb: "replaced", source };
    let (folder, temporary) = beside(path).map_err(unwritten)?;
    let result = write_new(&temporary, key_text(key).as_bytes())
        .and_then(|()| fs::read(path).map(Zeroizing::new))
        .and_then(|old| write_private(aside, &old))
        .and_then(|()| fs::rename(&temporary, path));
    // After success there is nothing left to remove.
    let _ = fs::remove_file(&temporary);
    result.and_then(|()| sync_folder(&folder)).map_err(unwritten)
}

/// Writes a file that only its owner can read, at once as a whole, where there is none; one that is there already is an
/// error of the kind [`io::ErrorKind::AlreadyExists`] and is left alone.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let (folder, temporary) = beside(path)?;
    let result = write_new(&temporary, content).and_then(|()| put_in_place(&temporary, path));
    // After success, or if the temporary file was never made, there is nothing left to remove.
    let _ = fs::remove_file(&temporary);
    result?;
    sync_folder(&folder)
}

/// `None` when there is no file.
fn load(path: &Path) -> Result<Option<PersonKey>, IdentityError> {
    let unreadable = |source| IdentityError::Io { path: path.to_owned(), verb: "read", source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize + 1));
    (&file).take(MAX_FILE_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    let key = parse(&content).map_err(|what| IdentityError::Damaged { path: path.to_owned(), what })?;
    restrict_to_owner(&file).map_err(unreadable)?;
    Ok(Some(key))
}

fn parse(content: &[u8]) -> Result<PersonKey, &'static str> {
    if content.is_empty() {
        return Err("it is empty");
    }
    let text = std::str::from_utf8(content).map_err(|_| "it is not text")?;
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some(FIRST_LINE) {
        return Err("it does not start as a key file of this version does");
    }
    let seed_text =
        lines.next().and_then(|line| line.strip_prefix("seed ")).ok_or("the line with the seed is missing")?;
    let mut bytes = HEXLOWER.decode(seed_text.as_bytes()).map_err(|_| "the seed is not hexadecimal")?;
    let seed = <&[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| "the seed has the wrong length");
    let key = seed.map(PersonKey::from_seed);
    bytes.zeroize();
    let key = key?;
    let person =
        lines.next().and_then(|line| line.strip_prefix("person ")).ok_or("the line with the person is missing")?;
    if person != key.person().to_string() {
        return Err("seed and person do not belong together");
    }
    if lines.any(|line| !line.is_empty()) {
        return Err("there is something behind its end");
    }
    Ok(key)
}

/// Writes a temporary file beside the target, flushes it to the disk, and gives it its name only if that is still free.
fn create(path: &Path, key: &PersonKey) -> io::Result<()> {
    fs::create_dir_all(beside(path)?.0)?;
    write_private(path, key_text(key).as_bytes())
}

fn key_text(key: &PersonKey) -> Zeroizing<String> {
    let seed = Zeroizing::new(HEXLOWER.encode(key.seed().as_ref()));
    Zeroizing::new(format!("{FIRST_LINE}\nseed {}\nperson {}\n", *seed, key.person()))
}

/// The folder of a file, and a name there for a draft of it.
fn beside(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Ok((folder.to_owned(), folder.join(name)))
}

fn write_new(temporary: &Path, content: &[u8]) -> io::Result<()> {
    // A leftover of a crashed process that had our process id; `create_new` below never follows what stands there.
    let _ = fs::remove_file(temporary);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(temporary)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A hard link, unlike a rename, fails if the name is taken. File systems without hard links (FAT) get the rename.
fn put_in_place(temporary: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => fs::rename(temporary, path),
        result => result,
    }
}

#[cfg(unix)]
fn restrict_to_owner(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { file.set_permissions(fs::Permissions::from_mode(0o600)) }
}

/// Elsewhere the profile's folder carries the access rights.
#[cfg(not(unix))]
fn restrict_to_owner(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened for this, and the file system orders it itself.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("profile/person.key");
        let key = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap().person(), key.person());
        assert_ne!(load_or_create(&home.path().join("other.key")).unwrap().person(), key.person());
        let files: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["person.key"], "no temporary file stays");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("person.key");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        load_or_create(&path).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        load_or_create(&path).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("person.key");
        load_or_create(&path).unwrap();
        let good = fs::read(&path).unwrap();
        let mut damaged = vec![vec![], b"\xff\xfe".to_vec(), vec![b'y'; 10_000], [&good[..], b"more\n"].concat()];
        damaged.extend((0..good.len() - 1).map(|length| good[..length].to_vec()));
        for at in 0..good.len() - 1 {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            damaged.push(flipped);
        }
        for content in damaged {
            fs::write(&path, &content).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn unreadable_places_are_reported() {
        let home = tempfile::tempdir().unwrap();
        let error = load_or_create(home.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Io { .. }), "{error}");
        let file = home.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(load_or_create(&file.join("person.key")), Err(IdentityError::Io { .. })));
    }

    #[test]
    fn two_processes_that_start_together_agree() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("person.key");
        let (first, second) = (PersonKey::from_seed(&[1; 32]), PersonKey::from_seed(&[2; 32]));
        create(&path, &first).unwrap();
        assert_eq!(create(&path, &second).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(load_or_create(&path).unwrap().person(), first.person());
    }

    #[test]
    fn a_key_that_is_replaced_is_set_aside() {
        let home = tempfile::tempdir().unwrap();
        let (path, aside) = (home.path().join("person.key"), home.path().join("person.key.old"));
        let [first, second, third] = [1, 2, 3].map(|seed| PersonKey::from_seed(&[seed; 32]));
        keep(&path, &first).unwrap();
        assert!(matches!(keep(&path, &second), Err(IdentityError::Io { .. })), "nothing is overwritten");
        replace(&path, &second, &aside).unwrap();
        assert_eq!(load_or_create(&path).unwrap().person(), second.person());
        assert_eq!(load_or_create(&aside).unwrap().person(), first.person());
        assert!(replace(&path, &third, &aside).is_err(), "nor what was set aside before");
        assert_eq!(load_or_create(&path).unwrap().person(), second.person());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "no draft stays");
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>, text in "twocans person key 1\nseed [0-9a-f]{60,64}\n.{0,80}") {
            prop_assert!(parse(&content).is_err());
            prop_assert!(parse(text.as_bytes()).is_err());
        }
    }
}
