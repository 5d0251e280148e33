//! A person's key and what belongs to it in one encrypted file.
//!
//! The file is in the age format (c2sp.org/age) for a passphrase, so that any age program opens it, too. What it holds
//! is JSON:
//!
//! ```text
//! {"twocans_backup": 1, "seed": "64 hexadecimal digits", "person": "52 characters", "content": {…}}
//! ```
//!
//! `content` is the engine's: contacts and the like. As in the key file, `person` doubles as a checksum of the seed.

use std::fmt;

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, scrypt};
use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::PersonKey;

/// Fewest characters of a passphrase.
pub const MIN_PASSPHRASE_CHARS: usize = 8;
/// Longest passphrase, bytes.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;
/// Largest backup file. An address book of thousands of people stays below it.
pub const MAX_BACKUP_BYTES: usize = 16 * 1024 * 1024;

/// Exponent of scrypt's cost: 2¹⁸ takes 256 MiB and about a second, as age's own default does.
const WORK_FACTOR: u8 = 18;
/// A file that asks for more was made to exhaust the machine.
const MAX_WORK_FACTOR: u8 = WORK_FACTOR;
const FORMAT: u32 = 1;

/// Protects a backup. Wiped from memory when dropped; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

/// The passphrase cannot be used; choose another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Too easy to guess.
    #[error("a passphrase has at least {MIN_PASSPHRASE_CHARS} characters: several words are easy to remember")]
    TooShort,
    /// Something else was pasted.
    #[error("a passphrase has at most {MAX_PASSPHRASE_BYTES} bytes")]
    TooLong,
}

impl Passphrase {
    /// Takes the text as it is: spaces count.
    pub fn new(text: String) -> Result<Self, PassphraseError> {
        let text = Zeroizing::new(text);
        if text.len() > MAX_PASSPHRASE_BYTES {
            return Err(PassphraseError::TooLong);
        }
        if text.chars().count() < MIN_PASSPHRASE_CHARS {
            return Err(PassphraseError::TooShort);
        }
        Ok(Self(text))
    }

    fn secret(&self) -> SecretString {
        SecretString::from(self.0.to_string())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(‹redacted›)")
    }
}

/// A backup could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Another file was chosen.
    #[error("this is no backup of twocans")]
    NoBackup,
    /// Type it again. The file cannot be opened without it, by nobody.
    #[error("this is not the passphrase of the backup")]
    WrongPassphrase,
    /// Take another copy of the file.
    #[error("the backup is damaged ({0})")]
    Damaged(&'static str),
    /// No backup of ours asks for so much; do not open it.
    #[error("the backup would take this machine's memory for itself; it was not made by twocans")]
    TooMuchWork,
    /// Update twocans.
    #[error("the backup was made by a newer twocans; please update this one")]
    TooNew,
    /// Remove contacts that are not needed.
    #[error("there is more to keep than fits into a backup ({MAX_BACKUP_BYTES} bytes)")]
    TooLarge,
}

#[derive(Deserialize)]
struct Format {
    twocans_backup: u32,
}

#[derive(Serialize, Deserialize)]
struct Document<T> {
    twocans_backup: u32,
    seed: String,
    person: String,
    content: T,
}

/// The content of a backup file. Takes about a second and 256 MiB. age draws the random numbers that it needs.
pub fn seal(key: &PersonKey, content: &impl Serialize, passphrase: &Passphrase) -> Result<Vec<u8>, BackupError> {
    seal_with(key, content, passphrase, WORK_FACTOR)
}

/// Reads a backup file. Takes about a second and 256 MiB, at most.
pub fn open<T: DeserializeOwned>(file: &[u8], passphrase: &Passphrase) -> Result<(PersonKey, T), BackupError> {
    if file.len() > MAX_BACKUP_BYTES {
        return Err(BackupError::NoBackup);
    }
    let decryptor = Decryptor::new_buffered(file).map_err(|why| told(&why))?;
    if !decryptor.is_scrypt() {
        return Err(BackupError::NoBackup);
    }
    let mut identity = scrypt::Identity::new(passphrase.secret());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let mut plain = decryptor.decrypt(std::iter::once(&identity as _)).map_err(|why| told(&why))?;
    // Never longer than the file, so that nothing has to grow and leave a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(file.len()));
    std::io::Read::read_to_end(&mut plain, &mut text).map_err(|_| BackupError::Damaged("it is cut off or changed"))?;
    read(&text)
}

fn seal_with(
    key: &PersonKey,
    content: &impl Serialize,
    passphrase: &Passphrase,
    work_factor: u8,
) -> Result<Vec<u8>, BackupError> {
    let mut document = Document {
        twocans_backup: FORMAT,
        seed: HEXLOWER.encode(key.seed().as_ref()),
        person: key.person().to_string(),
        content,
    };
    let text = serde_json::to_vec(&document).map(Zeroizing::new);
    document.seed.zeroize();
    let text = text.map_err(|_| BackupError::Damaged("it cannot be written as JSON"))?;
    let mut recipient = scrypt::Recipient::new(passphrase.secret());
    recipient.set_work_factor(work_factor);
    let file = age::encrypt(&recipient, &text).map_err(|_| BackupError::Damaged("it cannot be encrypted"))?;
    if file.len() > MAX_BACKUP_BYTES { Err(BackupError::TooLarge) } else { Ok(file) }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<(PersonKey, T), BackupError> {
    let Format { twocans_backup } = serde_json::from_slice(text).map_err(|_| BackupError::NoBackup)?;
    if twocans_backup > FORMAT {
        return Err(BackupError::TooNew);
    }
    let mut document: Document<T> =
        serde_json::from_slice(text).map_err(|_| BackupError::Damaged("a part of it is missing"))?;
    let key = key_of(&document.seed, &document.person);
    document.seed.zeroize();
    Ok((key?, document.content))
}

fn key_of(seed: &str, person: &str) -> Result<PersonKey, BackupError> {
    let bytes = HEXLOWER.decode(seed.as_bytes()).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| BackupError::Damaged("the key is not hexadecimal"))?;
    let seed = <&[u8; 32]>::try_from(bytes.as_slice());
    let key = PersonKey::from_seed(seed.map_err(|_| BackupError::Damaged("the key has the wrong length"))?);
    if key.person().to_string() == person {
        Ok(key)
    } else {
        Err(BackupError::Damaged("seed and person do not belong together"))
    }
}

fn told(why: &DecryptError) -> BackupError {
    match why {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => BackupError::WrongPassphrase,
        DecryptError::ExcessiveWork { .. } => BackupError::TooMuchWork,
        DecryptError::InvalidMac => BackupError::Damaged("its header was changed"),
        _ => BackupError::NoBackup,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cheap enough for tests.
    const LITTLE_WORK: u8 = 4;

    fn passphrase() -> Passphrase {
        Passphrase::new("correct horse".into()).unwrap()
    }

    fn key() -> PersonKey {
        PersonKey::from_seed(&[7; 32])
    }

    fn sealed(content: &str) -> Vec<u8> {
        seal_with(&key(), &content, &passphrase(), LITTLE_WORK).unwrap()
    }

    fn opened(file: &[u8]) -> Result<(PersonKey, String), BackupError> {
        open(file, &passphrase())
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let file = seal(&key(), &"people", &passphrase()).unwrap();
        let (read, content) = opened(&file).unwrap();
        assert_eq!((read.person(), read.seed(), content.as_str()), (key().person(), key().seed(), "people"));
        assert!(!file.windows(6).any(|part| part == b"people"), "nothing of it can be read");
        assert!(String::from_utf8_lossy(&file).contains(&format!(" {WORK_FACTOR}\n")), "the work of a second");
        assert_ne!(sealed("a"), sealed("a"), "each has a salt of its own");
    }

    #[test]
    fn another_passphrase_opens_nothing() {
        let wrong = Passphrase::new("correct horsf".into()).unwrap();
        assert_eq!(open::<String>(&sealed("a"), &wrong).unwrap_err(), BackupError::WrongPassphrase);
    }

    #[test]
    fn a_damaged_file_is_never_taken() {
        let good = sealed("some content that is kept");
        for length in 0..good.len() {
            assert!(opened(&good[..length]).is_err(), "cut after {length} bytes");
        }
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert!(opened(&flipped).is_err(), "byte {at}");
        }
        let at = good.len() - 1;
        let flipped = [&good[..at], &[good[at] ^ 1]].concat();
        assert!(matches!(opened(&flipped), Err(BackupError::Damaged(_))), "the passphrase is right, and that is said");
        assert!(opened(&[&good[..], b"more"].concat()).is_err());
        assert_eq!(opened(b"RIFF not a backup").unwrap_err(), BackupError::NoBackup);
    }

    #[test]
    fn a_file_that_asks_for_endless_work_is_refused_at_once() {
        let good = sealed("a");
        let header = good.windows(5).position(|part| part == b"age-e").unwrap();
        assert_eq!(header, 0);
        let text = String::from_utf8_lossy(&good).into_owned();
        let stanza = text.lines().nth(1).unwrap();
        assert!(stanza.ends_with(&format!(" {LITTLE_WORK}")), "{stanza}");
        for work in [WORK_FACTOR + 1, 30, 63] {
            let greedy = stanza.replace(&format!(" {LITTLE_WORK}"), &format!(" {work}"));
            let at = good.windows(stanza.len()).position(|part| part == stanza.as_bytes()).unwrap();
            let file = [&good[..at], greedy.as_bytes(), &good[at + stanza.len()..]].concat();
            assert_eq!(opened(&file).unwrap_err(), BackupError::TooMuchWork);
        }
    }

    #[test]
    fn what_is_inside_is_checked_too() {
        let document = |format: u32, seed: &str, person: &str| {
            let document = serde_json::json!({
                "twocans_backup": format, "seed": seed, "person": person, "content": "a", "later": [1],
            });
            read::<String>(document.to_string().as_bytes()).map(|(key, _)| key.person())
        };
        let (seed, person) = (HEXLOWER.encode(&[7; 32]), key().person().to_string());
        assert_eq!(document(1, &seed, &person), Ok(key().person()), "fields of later versions are skipped");
        assert_eq!(document(2, &seed, &person), Err(BackupError::TooNew));
        for (seed, person) in [(&seed, &seed), (&person, &person), (&seed[..62].to_owned(), &person)] {
            assert!(matches!(document(1, seed, person), Err(BackupError::Damaged(_))));
        }
        assert_eq!(read::<String>(b"{}").unwrap_err(), BackupError::NoBackup);
    }

    #[test]
    fn a_passphrase_has_eight_characters_and_is_never_printed() {
        assert_eq!(Passphrase::new("1234567".into()), Err(PassphraseError::TooShort));
        assert_eq!(Passphrase::new("äöüäöüä".into()), Err(PassphraseError::TooShort), "characters, not bytes");
        assert_eq!(Passphrase::new("x".repeat(1025)), Err(PassphraseError::TooLong));
        assert!(!format!("{:?}", passphrase()).contains("horse"));
    }

    proptest! {
        #[test]
        fn no_file_panics(noise: Vec<u8>, stanza in "age-encryption.org/v1\n-> scrypt [A-Za-z0-9+/]{20,24} [0-9]{1,3}\n.{0,60}\n--- .{0,50}\n") {
            prop_assert!(opened(&noise).is_err());
            prop_assert!(opened(stanza.as_bytes()).is_err());
            prop_assert!(read::<String>(&noise).is_err());
        }
    }
}
