//! The node key and the peer cache on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use libp2p::identity::Keypair;

use super::super::address::AddressRules;
use super::super::cache::{MAX_FILE_BYTES, PeerCache};
use super::super::{NodeKey, RendezvousError};

/// The node key as the configuration wants it.
pub(super) fn node_key(policy: &NodeKey) -> Result<Keypair, RendezvousError> {
    match policy {
        NodeKey::Fresh => Ok(Keypair::generate_ed25519()),
        NodeKey::Seed(seed) => Ok(from_seed(*seed)),
        NodeKey::Kept(path) => kept_node_key(path),
    }
}

fn kept_node_key(path: &Path) -> Result<Keypair, RendezvousError> {
    let trouble = |source| RendezvousError::NodeKeyFile { path: path.to_owned(), source };
    match read_at_most(path, 1024) {
        Ok(bytes) => {
            let seed = data_encoding::HEXLOWER.decode(bytes.trim_ascii_end()).ok();
            let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
            seed.map(from_seed).ok_or_else(|| RendezvousError::NodeKeyDamaged(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| RendezvousError::System(error.to_string()))?;
            let text = data_encoding::HEXLOWER.encode(&seed) + "\n";
            replace(path, text.as_bytes()).map_err(trouble)?;
            Ok(from_seed(seed))
        }
        Err(error) => Err(trouble(error)),
    }
}

fn from_seed(mut seed: [u8; 32]) -> Keypair {
    Keypair::ed25519_from_bytes(&mut seed).expect("any 32 bytes are an Ed25519 seed")
}

/// The nodes remembered in a file; none if it is missing, unreadable or not ours.
pub(super) fn read_cache(path: &Path, rules: &AddressRules) -> PeerCache {
    match read_at_most(path, MAX_FILE_BYTES) {
        Ok(bytes) => PeerCache::parse(&String::from_utf8_lossy(&bytes), rules),
        Err(error) if error.kind() == io::ErrorKind::NotFound => PeerCache::default(),
        Err(error) => {
            tracing::warn!(%error, "the peer cache cannot be read; starting without it");
            PeerCache::default()
        }
    }
}

pub(super) fn write_cache(path: &Path, cache: &PeerCache) {
    if let Err(error) = replace(path, cache.to_text().as_bytes()) {
        tracing::warn!(%error, "the peer cache cannot be written");
    }
}

fn read_at_most(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Puts `bytes` in the file's place, whole or not at all; only its owner may read it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_node_key_stays_and_a_damaged_one_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/node.key");
        let first = node_key(&NodeKey::Kept(path.clone())).unwrap();
        let second = node_key(&NodeKey::Kept(path.clone())).unwrap();
        assert_eq!(first.public(), second.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(node_key(&NodeKey::Kept(path.clone())), Err(RendezvousError::NodeKeyDamaged(_))));
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
        assert!(matches!(node_key(&NodeKey::Kept(folder.path().to_owned())), Err(RendezvousError::NodeKeyFile { .. })));
    }

    #[test]
    fn a_cache_file_of_any_kind_is_survived() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers");
        let rules = AddressRules::new(true, vec![]);
        assert_eq!(read_cache(&path, &rules), PeerCache::default());
        fs::write(&path, vec![0xff; 10_000]).unwrap();
        assert_eq!(read_cache(&path, &rules), PeerCache::default());
        fs::write(&path, vec![b'\n'; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert_eq!(read_cache(&path, &rules), PeerCache::default());
        let mut cache = PeerCache::default();
        cache.good(libp2p::PeerId::random(), "/ip4/127.0.0.1/tcp/1".parse().unwrap(), 7);
        write_cache(&path, &cache);
        assert_eq!(read_cache(&path, &rules), cache);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
