//! Opening the file: new, known, damaged, too new or foreign.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, schema};

/// How long another connection (a backup tool) may hold the file before a request fails.
const BUSY: Duration = Duration::from_secs(5);

/// What was found at the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Nothing, so the address book starts empty.
    Fresh,
    /// A sound database.
    Existing,
    /// A damaged one; it now lies at `set_aside`, and the address book starts empty. To be told to the user.
    Replaced { set_aside: PathBuf, why: String },
}

/// Opens the database, setting a damaged one aside.
pub(super) fn open(path: &Path) -> Result<(Connection, Opening), StoreError> {
    let existed = path.exists();
    match open_sound(path) {
        Ok(db) => Ok((db, if existed { Opening::Existing } else { Opening::Fresh })),
        Err(StoreError::Damaged { why }) => {
            let set_aside = set_aside(path)?;
            Ok((open_sound(path)?, Opening::Replaced { set_aside, why }))
        }
        Err(error) => Err(error),
    }
}

fn open_sound(path: &Path) -> Result<Connection, StoreError> {
    create_private(path).map_err(|error| unreachable(path, &error))?;
    let mut db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| unreachable(path, &error))?;
    db.busy_timeout(BUSY)?;
    // FULL: a commit that was reported survives a power cut, not only a killed process.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")?;
    if !schema::is_ours(&db)? {
        return Err(StoreError::Foreign { path: path.into() });
    }
    check(&db)?;
    schema::migrate(&mut db, schema::MIGRATIONS)?;
    Ok(db)
}

/// SQLite's own look at every page of the file.
fn check(db: &Connection) -> Result<(), StoreError> {
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Damaged { why: verdict }) }
}

/// SQLite would create the file readable by everybody; its log and index files take over the mode of the main file.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Renames the damaged file to `NAME.damaged-DATE`, with its log and index.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let date: String =
        Connection::open_in_memory()?
            .query_row("SELECT strftime('.damaged-%Y%m%dT%H%M%SZ', 'now')", [], |row| row.get(0))?;
    let target = (0..)
        .map(|n| with_suffix(path, &if n == 0 { date.clone() } else { format!("{date}-{n}") }))
        .find(|target| !target.exists())
        .expect("one of endlessly many names is free");
    // The log goes first: if we are killed half-way, a log without its file would be replayed into the new file.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&target, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unreachable(path, &error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(target)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn unreachable(path: &Path, error: &dyn std::error::Error) -> StoreError {
    StoreError::Unreachable { path: path.into(), why: error.to_string() }
}
