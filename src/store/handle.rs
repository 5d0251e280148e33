//! The handle and the thread behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    Contact, HistoryEntry, Opening, PersonSettings, Restored, StoreError, Unfinished, contacts, file, group, history,
    people, restore, settings,
};
use crate::base::Person;
use crate::identity::Link;

/// Requests that wait for the store's thread; who comes later waits for a place, nothing is dropped.
const QUEUE: usize = 64;

/// A cheap handle to the store's thread. The thread ends, and the file is closed, with the last handle or with
/// [`Store::close`].
///
/// Requests are carried out one after another in the order in which they were made. Dropping the future of a request
/// that is already queued does not undo it.
#[derive(Debug, Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Work(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(oneshot::Sender<()>),
}

impl Store {
    /// Opens or creates the database and starts its thread. Blocks for the time of a file check (milliseconds).
    pub fn open(path: &Path) -> Result<(Self, Opening), StoreError> {
        let (db, opening) = file::open(path)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("store".into())
            .spawn(move || serve(db, queue))
            .map_err(|error| StoreError::Unreachable { path: path.into(), why: error.to_string() })?;
        Ok((Self { jobs }, opening))
    }

    /// The address book, by name.
    pub async fn contacts(&self) -> Result<Vec<Contact>, StoreError> {
        self.run(|db| contacts::list(db)).await
    }

    /// One person's entry in the address book.
    pub async fn contact(&self, person: Person) -> Result<Option<Contact>, StoreError> {
        self.run(move |db| contacts::find(db, person)).await
    }

    /// Adds a person, or refreshes the link of one who is already there; a `name` replaces the earlier one.
    pub async fn add_contact(&self, link: Link, name: Option<String>) -> Result<Contact, StoreError> {
        self.run(move |db| contacts::add(db, &link, name.as_deref())).await
    }

    pub async fn rename(&self, person: Person, name: String) -> Result<(), StoreError> {
        self.run(move |db| contacts::rename(db, person, &name)).await
    }

    /// Takes a person out of the address book. Whoever was blocked stays blocked.
    pub async fn remove(&self, person: Person) -> Result<(), StoreError> {
        self.run(move |db| contacts::remove(db, person)).await
    }

    /// Blocks or unblocks a person, who need not be a contact and does not become one by it.
    pub async fn set_blocked(&self, person: Person, blocked: bool) -> Result<(), StoreError> {
        self.run(move |db| contacts::set_blocked(db, person, blocked)).await
    }

    pub async fn is_blocked(&self, person: Person) -> Result<bool, StoreError> {
        self.run(move |db| contacts::is_blocked(db, person)).await
    }

    /// Everybody who is blocked, in the address book or not.
    pub async fn blocked(&self) -> Result<BTreeSet<Person>, StoreError> {
        self.run(|db| contacts::blocked(db)).await
    }

    /// Everybody for whom something is set; the others have the defaults.
    pub async fn people(&self) -> Result<BTreeMap<Person, PersonSettings>, StoreError> {
        self.run(|db| people::all(db)).await
    }

    /// Keeps what is set for a person, who need not be a contact and does not become one by it.
    pub async fn set_person(&self, person: Person, settings: PersonSettings) -> Result<(), StoreError> {
        self.run(move |db| people::set(db, person, &settings)).await
    }

    /// Notes a past call; one that is already there (same call, same person) is replaced.
    pub async fn add_history(&self, entry: HistoryEntry) -> Result<(), StoreError> {
        self.run(move |db| history::add(db, &entry)).await
    }

    /// Past calls, newest first, at most `limit`.
    pub async fn history(&self, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
        self.run(move |db| history::list(db, limit)).await
    }

    pub async fn clear_history(&self) -> Result<(), StoreError> {
        self.run(|db| history::clear(db)).await
    }

    /// The group call that was not left, if any.
    pub async fn unfinished_group(&self) -> Result<Option<Unfinished>, StoreError> {
        self.run(|db| group::get(db)).await
    }

    /// Keeps the group call in which we are, in case the program ends without leaving it; `None` once it is over.
    pub async fn set_unfinished_group(&self, unfinished: Option<Unfinished>) -> Result<(), StoreError> {
        self.run(move |db| group::set(db, unfinished.as_ref())).await
    }

    pub async fn setting(&self, key: impl Into<String>) -> Result<Option<String>, StoreError> {
        let key = key.into();
        self.run(move |db| settings::get(db, &key)).await
    }

    /// Every setting, by key.
    pub async fn settings(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.run(|db| settings::all(db)).await
    }

    /// Keeps a value under a key; `None` removes it.
    pub async fn set_setting(&self, key: impl Into<String>, value: Option<String>) -> Result<(), StoreError> {
        let key = key.into();
        self.run(move |db| settings::set(db, &key, value.as_deref())).await
    }

    /// Adds what was kept elsewhere, all of it or, when something is refused, nothing.
    pub async fn restore(&self, restored: Restored) -> Result<(), StoreError> {
        self.run(move |db| restore::all(db, &restored)).await
    }

    /// Finishes all requests that are already queued, folds the log into the file and closes it. Every later request,
    /// from any handle, fails with [`StoreError::Closed`].
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            // An error means that the thread is gone, which is what was asked for.
            let _ = closed.await;
        }
    }

    async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |db: &mut Connection| {
            // Nobody listens when the future was dropped; the work is done all the same.
            let _ = reply.send(work(db));
        });
        self.jobs.send(Job::Work(job)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// The store's thread.
fn serve(mut db: Connection, mut queue: mpsc::Receiver<Job>) {
    let mut asked_to_close = None;
    while let Some(job) = queue.blocking_recv() {
        match job {
            Job::Work(work) => work(&mut db),
            Job::Close(done) => {
                queue.close();
                asked_to_close = Some(done);
            }
        }
    }
    // SQLite folds the write-ahead log into the file when its last connection closes.
    if let Err((_, error)) = db.close() {
        tracing::warn!(%error, "the database was not closed cleanly");
    }
    if let Some(done) = asked_to_close {
        let _ = done.send(());
    }
}
