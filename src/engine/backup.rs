//! The encrypted backup of a profile: a person's key, and what they would miss on another machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::clock::unix_now_s;
use super::profile::{Profile, stored};
use super::start::{damaged, profile_in_use};
use super::{Failure, FailureKind, PersonSettings, Retry, Route, Volume};
use crate::base::Person;
use crate::control::ProfileLock;
use crate::identity::backup::{self, MAX_BACKUP_BYTES};
use crate::identity::{self, BackupError, IdentityError, Link, Passphrase, PersonKey, check_person};
use crate::store::{Contact, Restored, Store};

/// When this profile was last kept in a backup, Unix time in seconds: a preference, for front ends that remind.
pub const BACKUP_EXPORTED: &str = "backup.exported";

/// Preferences that are about this machine alone.
const OF_THIS_MACHINE: [&str; 4] = ["audio.microphone", "audio.speaker", "audio.ring", BACKUP_EXPORTED];

/// What an import brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Whose profile it is now.
    pub link: Link,
    pub contacts: usize,
    pub blocked: usize,
    /// Where the key is now that the profile had before, if it had another one.
    pub set_aside: Option<PathBuf>,
}

/// Whether the folder holds an identity already. A first start makes one.
pub fn has_identity(home: &Path) -> bool {
    home.join(Profile::KEY_FILE).exists()
}

/// Takes a backup into a profile that has no identity yet, before [`Engine::start`](super::Engine::start). Blocks for
/// about a second; not to be called by an asynchronous task.
pub fn import_identity(home: &Path, file: &Path, passphrase: &Passphrase) -> Result<Imported, Failure> {
    import(home, file, passphrase, false)
}

/// As [`import_identity`], whatever identity the profile has; its key stays beside the new one as a file.
pub fn replace_identity(home: &Path, file: &Path, passphrase: &Passphrase) -> Result<Imported, Failure> {
    import(home, file, passphrase, true)
}

/// What goes into a backup beside the key.
pub(super) struct Belongings<'a> {
    pub contacts: &'a [Contact],
    pub blocked: &'a BTreeSet<Person>,
    pub people: &'a BTreeMap<Person, PersonSettings>,
    pub preferences: &'a BTreeMap<String, String>,
}

impl Belongings<'_> {
    pub(super) fn pack(&self) -> Content {
        let kept = self.preferences.iter().filter(|(key, _)| !OF_THIS_MACHINE.contains(&key.as_str()));
        Content {
            made_unix_s: unix_now_s(),
            contacts: self.contacts.iter().map(KeptContact::of).collect(),
            blocked: self.blocked.iter().map(ToString::to_string).collect(),
            people: self.people.iter().map(|(person, settings)| KeptPerson::of(*person, settings)).collect(),
            preferences: kept.map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// Writes the backup; when it was made, Unix time in seconds. Blocks for about a second.
pub(super) fn export(key: &PersonKey, content: &Content, file: &Path, passphrase: &Passphrase) -> Result<i64, Failure> {
    let is_taken = || Failure::usage(format!("{} is there already; choose another name", file.display()));
    if file.exists() {
        return Err(is_taken());
    }
    let sealed = backup::seal(key, content, passphrase).map_err(|why| unusable(&why))?;
    match identity::write_private(file, &sealed) {
        Ok(()) => Ok(content.made_unix_s),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Err(is_taken()),
        Err(why) => Err(Failure::usage(format!("the backup cannot be written to {}: {why}", file.display()))),
    }
}

/// The part of a backup that is ours; the key's is [`backup`]'s. Fields of later versions are skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Content {
    made_unix_s: i64,
    contacts: Vec<KeptContact>,
    blocked: Vec<String>,
    people: Vec<KeptPerson>,
    preferences: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptContact {
    link: String,
    name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptPerson {
    person: String,
    volume_percent: u16,
    relay_only: bool,
    verified_unix_s: Option<i64>,
}

impl KeptContact {
    fn of(contact: &Contact) -> Self {
        Self { link: contact.link.to_string(), name: contact.name.clone() }
    }
}

impl KeptPerson {
    fn of(person: Person, settings: &PersonSettings) -> Self {
        let PersonSettings { volume, route, verified_unix_s } = *settings;
        let relay_only = match route {
            Route::Any => false,
            Route::RelayOnly => true,
        };
        Self { person: person.to_string(), volume_percent: volume.percent(), relay_only, verified_unix_s }
    }

    fn settings(&self) -> PersonSettings {
        PersonSettings {
            volume: Volume::from_percent(self.volume_percent),
            route: if self.relay_only { Route::RelayOnly } else { Route::Any },
            verified_unix_s: self.verified_unix_s,
        }
    }
}

impl Content {
    /// What it says, if all of it makes sense.
    fn unpack(&self) -> Result<Restored, Failure> {
        let person = |text: &str| text.parse().ok().filter(|person| check_person(*person).is_ok()).ok_or_else(nonsense);
        let contact = |kept: &KeptContact| Ok((kept.link.parse().map_err(|_| nonsense())?, kept.name.clone()));
        let kept = self.preferences.iter().filter(|(key, _)| !OF_THIS_MACHINE.contains(&key.as_str()));
        let mut settings: BTreeMap<_, _> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
        // Who has just read a backup needs no reminder to make one.
        settings.insert(BACKUP_EXPORTED.to_owned(), self.made_unix_s.to_string());
        Ok(Restored {
            contacts: self.contacts.iter().map(contact).collect::<Result<_, Failure>>()?,
            blocked: self.blocked.iter().map(|text| person(text)).collect::<Result<_, _>>()?,
            people: self
                .people
                .iter()
                .map(|kept| Ok((person(&kept.person)?, kept.settings())))
                .collect::<Result<_, Failure>>()?,
            settings,
            forget_verified: false,
        })
    }
}

fn import(home: &Path, file: &Path, passphrase: &Passphrase, replace: bool) -> Result<Imported, Failure> {
    let profile = Profile::open(home)?;
    let _lock = ProfileLock::acquire(home, "twocans identity import").map_err(|why| profile_in_use(&why))?;
    let own = has_identity(home);
    if own && !replace {
        return Err(Failure::usage(
            "this profile has an identity already; import into another one with --home, or replace it with --force",
        ));
    }
    let (key, content) = backup::open::<Content>(&read(file)?, passphrase).map_err(|why| unusable(&why))?;
    let mut restored = content.unpack()?;
    // A damaged key is set aside like any other.
    let is_another = own && profile.person_key().map_or(true, |before| before.person() != key.person());
    restored.forget_verified = is_another;
    let (contacts, blocked) = (restored.contacts.len(), restored.blocked.len());
    restore(&profile, restored)?;
    // The key comes last: until all the rest is there, nothing of the profile is another person's.
    let set_aside = is_another.then(|| profile.key_aside(unix_now_s()));
    match &set_aside {
        Some(aside) => identity::replace(&profile.key(), &key, aside),
        None if own => Ok(()),
        None => identity::keep(&profile.key(), &key),
    }
    .map_err(|why| unkept(&why))?;
    let link = Link { person: key.person(), name: None, hints: Vec::new() };
    Ok(Imported { link, contacts, blocked, set_aside })
}

fn restore(profile: &Profile, restored: Restored) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|why| Failure {
        kind: FailureKind::Internal,
        retry: Retry::Later,
        detail: format!("the system gives us no event loop: {why}"),
    })?;
    let (store, _) = Store::open(&profile.database()).map_err(|why| damaged(&why))?;
    runtime.block_on(async {
        let done = store.restore(restored).await.map_err(stored);
        store.close().await;
        done
    })
}

/// The file's bytes; no more than a backup has.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |why: io::Error| Failure::usage(format!("{} cannot be read: {why}", file.display()));
    let mut bytes = Vec::new();
    let open = File::open(file).map_err(unreadable)?;
    open.take(MAX_BACKUP_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn nonsense() -> Failure {
    Failure::usage("the backup holds something that no twocans has written; nothing of it was taken")
}

fn unusable(why: &BackupError) -> Failure {
    Failure::usage(why.to_string())
}

fn unkept(why: &IdentityError) -> Failure {
    Failure { kind: FailureKind::ProfileDamaged, retry: Retry::AfterUserAction, detail: why.to_string() }
}
