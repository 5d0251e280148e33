//! The address book, who is blocked, and what is set for one person.

use std::sync::Arc;

use super::Desk;
use crate::base::Person;
use crate::engine::clock::unix_now_s;
use crate::engine::profile::stored;
use crate::engine::{CommandResult, Failure, PersonSettings, Reply, Route, Volume};
use crate::identity::Link;
use crate::store::StoreError;

impl Desk {
    pub(super) async fn add_contact(&mut self, link: Link, name: Option<String>) -> CommandResult {
        if link.person == self.me.person() {
            return Err(Failure::usage("that is your own link"));
        }
        let person = link.person;
        let changed = self.store.add_contact(link, name).await.map(drop);
        if changed.is_ok() {
            self.switchboard.set_known(person, true);
        }
        self.after_change(changed).await
    }

    pub(super) async fn rename_contact(&mut self, person: Person, name: String) -> CommandResult {
        let changed = self.store.rename(person, name).await;
        self.after_change(changed).await
    }

    pub(super) async fn remove_contact(&mut self, person: Person) -> CommandResult {
        let changed = self.store.remove(person).await;
        if changed.is_ok() {
            self.switchboard.set_known(person, false);
        }
        self.after_change(changed).await
    }

    async fn after_change(&mut self, changed: Result<(), StoreError>) -> CommandResult {
        changed.map_err(stored)?;
        self.contacts = Arc::new(self.store.contacts().await.map_err(stored)?);
        Ok(Reply::Done)
    }

    pub(super) async fn set_blocked(&mut self, person: Person, blocked: bool) -> CommandResult {
        self.store.set_blocked(person, blocked).await.map_err(stored)?;
        self.switchboard.set_blocked(person, blocked);
        let all = Arc::make_mut(&mut self.blocked);
        if blocked {
            all.insert(person)
        } else {
            all.remove(&person)
        };
        Ok(Reply::Done)
    }

    /// What is set for a person.
    pub(super) fn person(&self, person: Person) -> PersonSettings {
        self.people.get(&person).copied().unwrap_or_default()
    }

    pub(super) async fn set_volume(&mut self, person: Person, volume: Volume) -> CommandResult {
        // Heard at once; where it cannot be kept, it holds as long as the program runs.
        if let Some(sound) = &self.sound {
            let theirs = self.calls.values().filter(|live| live.peer == Some(person));
            theirs.for_each(|live| sound.set_volume(live.key, volume));
        }
        self.change_person(person, |settings| settings.volume = volume).await
    }

    pub(super) async fn set_route(&mut self, person: Person, route: Route) -> CommandResult {
        self.change_person(person, |settings| settings.route = route).await
    }

    pub(super) async fn set_verified(&mut self, person: Person, verified: bool) -> CommandResult {
        let at = verified.then(unix_now_s);
        self.change_person(person, |settings| settings.verified_unix_s = at).await
    }

    async fn change_person(&mut self, person: Person, change: impl FnOnce(&mut PersonSettings)) -> CommandResult {
        let mut settings = self.person(person);
        change(&mut settings);
        self.store.set_person(person, settings).await.map_err(stored)?;
        let all = Arc::make_mut(&mut self.people);
        if settings == PersonSettings::default() {
            all.remove(&person);
        } else {
            all.insert(person, settings);
        }
        Ok(Reply::Done)
    }
}
