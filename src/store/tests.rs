use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{
    Contact, HistoryEntry, Opening, PersonSettings, Restored, Route, Store, StoreError, Volume, contacts, history,
    limits, people, schema, settings,
};
use crate::base::{CallId, EndReason, Person};
use crate::identity::Link;

fn person(n: u32) -> Person {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Person::from_bytes(bytes)
}

fn link(n: u32) -> Link {
    Link { person: person(n), name: None, hints: Vec::new() }
}

fn entry(n: u32) -> HistoryEntry {
    let mut call = [0; 16];
    call[..4].copy_from_slice(&n.to_be_bytes());
    HistoryEntry {
        call: CallId::from_bytes(call),
        person: person(n % 7),
        name: Some(format!("caller {n}")),
        outgoing: n.is_multiple_of(2),
        started_unix_s: 1_763_800_000 + i64::from(n),
        talked: Duration::from_millis(u64::from(n) * 10),
        reason: history::REASONS[n as usize % history::REASONS.len()],
        members: Vec::new(),
    }
}

/// A folder with a database in it, and the store on top.
fn fresh() -> (TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twocans.db");
    let (store, opening) = Store::open(&path).unwrap();
    assert_eq!(opening, Opening::Fresh);
    (folder, path, store)
}

fn in_memory() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrate(&mut db, schema::MIGRATIONS).unwrap();
    db
}

#[tokio::test]
async fn the_address_book_survives_a_restart() {
    let (_folder, path, store) = fresh();
    let anna = Link {
        person: person(1),
        name: Some("Anna".into()),
        hints: vec!["/ip4/192.0.2.1/udp/4001/quic-v1".into(), "/dns4/example.org/tcp/4001".into()],
    };
    store.add_contact(anna.clone(), None).await.unwrap();
    store.add_contact(link(2), Some("  bert ".into())).await.unwrap();
    store.add_contact(link(3), None).await.unwrap();
    store.rename(person(3), "Ärmel".into()).await.unwrap();
    store.add_contact(link(4), None).await.unwrap();
    store.set_blocked(person(2), true).await.unwrap();
    store.close().await;

    let (store, opening) = Store::open(&path).unwrap();
    assert_eq!(opening, Opening::Existing);
    let book = store.contacts().await.unwrap();
    let expected = |n, name: Option<&str>| Contact {
        person: person(n),
        name: name.map(str::to_owned),
        link: if n == 1 { anna.clone() } else { link(n) },
    };
    assert_eq!(book, [expected(1, None), expected(2, Some("bert")), expected(3, Some("Ärmel")), expected(4, None)]);
    assert_eq!(store.contact(person(2)).await.unwrap(), Some(book[1].clone()));
    assert_eq!(store.blocked().await.unwrap(), [person(2)].into());
    store.remove(person(4)).await.unwrap();
    assert_eq!(store.contact(person(4)).await.unwrap(), None);
}

#[tokio::test]
async fn a_second_link_refreshes_hints_and_keeps_the_chosen_name() {
    let (_folder, _, store) = fresh();
    let with_hint = |hint: &str| Link { person: person(1), name: None, hints: vec![hint.into()] };
    store.add_contact(with_hint("/old"), Some("Anna".into())).await.unwrap();
    let contact = store.add_contact(with_hint("/new"), None).await.unwrap();
    assert_eq!((contact.name.as_deref(), &contact.link.hints[..]), (Some("Anna"), &["/new".to_owned()][..]));
    let contact = store.add_contact(link(1), Some("Anna B.".into())).await.unwrap();
    assert_eq!((contact.name.as_deref(), &contact.link.hints[..]), (Some("Anna B."), &["/new".to_owned()][..]));
    assert_eq!(store.contacts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn blocking_a_stranger_makes_no_contact_of_them() {
    let (_folder, _, store) = fresh();
    store.set_blocked(person(9), true).await.unwrap();
    store.set_blocked(person(9), true).await.unwrap();
    assert!(store.is_blocked(person(9)).await.unwrap());
    assert!(store.contacts().await.unwrap().is_empty());
    assert_eq!(store.blocked().await.unwrap(), [person(9)].into());

    store.add_contact(link(9), None).await.unwrap();
    assert!(store.is_blocked(person(9)).await.unwrap());
    store.remove(person(9)).await.unwrap();
    assert!(store.is_blocked(person(9)).await.unwrap(), "removing a contact does not let them ring again");
    store.set_blocked(person(9), false).await.unwrap();
    assert!(!store.is_blocked(person(9)).await.unwrap());
}

#[tokio::test]
async fn what_is_set_for_a_person_survives_and_defaults_leave_no_trace() {
    let (_folder, path, store) = fresh();
    let settings = |percent, route, verified_unix_s| PersonSettings {
        volume: Volume::from_percent(percent),
        route,
        verified_unix_s,
    };
    let anna = settings(65, Route::RelayOnly, Some(1_763_800_000));
    store.set_person(person(1), settings(0, Route::Any, None)).await.unwrap();
    store.set_person(person(1), anna).await.unwrap();
    store.set_person(person(2), settings(1000, Route::Any, None)).await.unwrap();
    store.set_person(person(3), settings(100, Route::RelayOnly, None)).await.unwrap();
    store.set_person(person(3), PersonSettings::default()).await.unwrap();
    assert!(store.contacts().await.unwrap().is_empty(), "nobody becomes a contact by it");
    store.close().await;
    let (store, _) = Store::open(&path).unwrap();
    assert_eq!(store.people().await.unwrap(), [(person(1), anna), (person(2), settings(200, Route::Any, None))].into());
}

#[tokio::test]
async fn what_was_kept_elsewhere_is_added_as_a_whole_or_not_at_all() {
    let (_folder, _, store) = fresh();
    let verified = |at| PersonSettings { verified_unix_s: Some(at), ..PersonSettings::default() };
    store.add_contact(link(1), Some("Anna".into())).await.unwrap();
    store.set_blocked(person(8), true).await.unwrap();
    store.set_person(person(1), verified(1)).await.unwrap();
    store.set_setting("ui.theme", Some("dark".into())).await.unwrap();
    let restored = Restored {
        contacts: vec![(link(1), Some("Anna B.".into())), (link(2), None)],
        blocked: [person(9)].into(),
        people: [(person(2), verified(2))].into(),
        settings: [("ui.theme".into(), "light".into())].into(),
        forget_verified: false,
    };
    let broken = Restored { settings: [("k".repeat(limits::KEY_BYTES + 1), "v".into())].into(), ..restored.clone() };
    assert!(matches!(store.restore(broken).await, Err(StoreError::TooLong { .. })));
    assert_eq!(store.contacts().await.unwrap().len(), 1, "nothing of what was refused is kept");

    store.restore(restored.clone()).await.unwrap();
    let names: Vec<_> = store.contacts().await.unwrap().into_iter().map(|contact| contact.name).collect();
    assert_eq!(names, [Some("Anna B.".into()), None]);
    assert_eq!(store.blocked().await.unwrap(), [person(8), person(9)].into());
    assert_eq!(store.people().await.unwrap(), [(person(1), verified(1)), (person(2), verified(2))].into());
    assert_eq!(store.setting("ui.theme").await.unwrap().as_deref(), Some("light"));

    store.restore(Restored { forget_verified: true, ..restored }).await.unwrap();
    assert_eq!(store.people().await.unwrap(), [(person(2), verified(2))].into(), "theirs are those of the new key");
}

#[test]
fn volumes_go_from_silence_to_twelve_decibels_more() {
    let gains = [0, 50, 100, 200, 999].map(|percent| Volume::from_percent(percent).gain());
    assert_eq!(gains, [0.0, 0.25, 1.0, 4.0, 4.0]);
    assert_eq!(Volume::default().gain(), 1.0);
}

#[tokio::test]
async fn past_calls_come_back_newest_first() {
    let (_folder, _, store) = fresh();
    for n in [2, 0, 3, 1] {
        store.add_history(entry(n)).await.unwrap();
    }
    assert_eq!(store.history(3).await.unwrap(), [entry(3), entry(2), entry(1)]);
    store.add_history(HistoryEntry { reason: EndReason::Busy, ..entry(3) }).await.unwrap();
    assert_eq!(store.history(100).await.unwrap().len(), 4, "one call is one entry");
    assert_eq!(store.history(1).await.unwrap()[0].reason, EndReason::Busy);
    store.clear_history().await.unwrap();
    assert!(store.history(100).await.unwrap().is_empty());
}

#[tokio::test]
async fn settings_are_kept_replaced_and_removed() {
    let (_folder, _, store) = fresh();
    assert_eq!(store.setting("theme").await.unwrap(), None);
    store.set_setting("theme", Some("dark".into())).await.unwrap();
    store.set_setting("theme", Some("light".into())).await.unwrap();
    assert_eq!(store.setting("theme").await.unwrap().as_deref(), Some("light"));
    assert_eq!(store.settings().await.unwrap().into_iter().collect::<Vec<_>>(), [("theme".into(), "light".into())]);
    store.set_setting("theme", None).await.unwrap();
    assert_eq!(store.setting("theme").await.unwrap(), None);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_or_cut() {
    let (_folder, _, store) = fresh();
    let long = "é".repeat(limits::NAME_BYTES);
    for (name, refused) in [("", "visible"), (" \t", "visible"), ("a\nb", "visible"), (&long, "too long")] {
        let error = store.add_contact(link(1), Some(name.into())).await.unwrap_err();
        assert!(error.to_string().contains(refused), "{error}");
    }
    assert!(store.contacts().await.unwrap().is_empty());
    assert!(matches!(store.rename(person(1), "Anna".into()).await, Err(StoreError::UnknownContact)));
    assert!(matches!(store.remove(person(1)).await, Err(StoreError::UnknownContact)));
    let value = "x".repeat(limits::VALUE_BYTES + 1);
    assert!(matches!(store.set_setting("k", Some(value)).await, Err(StoreError::TooLong { .. })));
    let key = "k".repeat(limits::KEY_BYTES + 1);
    assert!(matches!(store.set_setting(key, Some("v".into())).await, Err(StoreError::TooLong { .. })));

    let greedy = Link {
        person: person(1),
        name: Some(format!("\u{7}{long}")),
        hints: vec!["h".repeat(limits::HINT_BYTES + 1), "/ok".into()]
            .into_iter()
            .chain((0..100).map(|n| format!("/{n}")))
            .collect(),
    };
    let contact = store.add_contact(greedy, None).await.unwrap();
    assert_eq!(contact.link.name.unwrap().len(), limits::NAME_BYTES);
    assert_eq!(contact.link.hints.len(), limits::HINTS);
    assert_eq!(contact.link.hints[0], "/ok");
}

#[test]
fn counts_are_bounded() {
    let mut db = in_memory();
    // Rows 1 to ?1, with their number as key.
    let fill = |db: &Connection, table: &str, row: &str, rows: u32| {
        let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)";
        db.execute(&format!("INSERT INTO {table} {numbers} SELECT {row} FROM n"), [rows]).unwrap();
    };
    let somebody = "CAST(printf('%032d', i) AS BLOB)";
    fill(&db, "contact (person, hints)", &format!("{somebody}, '[]'"), limits::CONTACTS);
    assert!(matches!(contacts::add(&mut db, &link(1), None), Err(StoreError::TooMany { .. })));
    fill(&db, "person (person, volume_percent, route)", &format!("{somebody}, 50, 'any'"), limits::PEOPLE);
    let quiet = PersonSettings { volume: Volume::SILENT, ..PersonSettings::default() };
    assert!(matches!(people::set(&mut db, person(1), &quiet), Err(StoreError::TooMany { .. })));
    people::set(&mut db, person(1), &PersonSettings::default()).unwrap();
    fill(&db, "blocked (person)", somebody, limits::BLOCKED);
    assert!(matches!(contacts::set_blocked(&mut db, person(1), true), Err(StoreError::TooMany { .. })));
    assert!(!contacts::is_blocked(&db, person(1)).unwrap());
    let row = format!("CAST(printf('%016d', i) AS BLOB), {somebody}, 0, i, 0, 'busy'");
    fill(&db, "history (call, person, outgoing, started_unix_s, talked_ms, reason)", &row, limits::HISTORY);
    history::add(&mut db, &entry(1)).unwrap();
    let all = history::list(&db, u32::MAX).unwrap();
    assert_eq!((all.len(), &all[0]), (limits::HISTORY as usize, &entry(1)));
    assert_eq!(all.last().unwrap().started_unix_s, 2, "the oldest one went");
}

#[test]
fn every_end_reason_survives_the_file() {
    let mut db = in_memory();
    for (n, reason) in (0..).zip(history::REASONS) {
        history::add(&mut db, &HistoryEntry { reason, ..entry(n) }).unwrap();
    }
    let read: Vec<_> = history::list(&db, 100).unwrap().into_iter().rev().map(|entry| entry.reason).collect();
    assert_eq!(read, history::REASONS);
}

proptest! {
    #[test]
    fn names_from_strangers_never_break_anything(name: String) {
        if let Some(kept) = contacts::suggested_name(&name) {
            prop_assert!(!kept.is_empty() && kept.len() <= limits::NAME_BYTES);
            prop_assert!(!kept.chars().any(char::is_control));
        }
    }
}

// ---- The file ----

#[tokio::test]
async fn requests_after_close_are_refused() {
    let (_folder, path, store) = fresh();
    let other = store.clone();
    store.add_contact(link(1), None).await.unwrap();
    store.close().await;
    assert!(matches!(other.contacts().await, Err(StoreError::Closed)));
    assert!(!path.with_extension("db-wal").exists(), "the log was folded into the file");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _, store) = fresh();
    store.add_contact(link(1), None).await.unwrap();
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 2, "the database and its log");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

/// Breaks a database of some size in the way `damage` does; the program must start, say so, and keep the broken file.
async fn set_aside_after(damage: impl FnOnce(&mut Vec<u8>)) {
    let (folder, path, store) = fresh();
    for n in 0..50 {
        store.add_history(HistoryEntry { name: Some("x".repeat(200)), ..entry(n) }).await.unwrap();
    }
    store.close().await;
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();

    let (store, opening) = Store::open(&path).unwrap();
    let Opening::Replaced { set_aside, why } = opening else { panic!("{opening:?}") };
    assert!(!why.is_empty());
    assert_eq!(fs::read(&set_aside).unwrap(), bytes, "the broken file is kept as it was");
    let name = set_aside.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("twocans.db.damaged-20") && name.ends_with('Z'), "{name}");
    assert!(store.history(100).await.unwrap().is_empty());
    store.add_contact(link(1), None).await.unwrap();
    store.close().await;
    assert_eq!(Store::open(&path).unwrap().1, Opening::Existing);
    assert_eq!(fs::read_dir(folder.path()).unwrap().filter(|f| is_damaged(f.as_ref().unwrap())).count(), 1);
}

fn is_damaged(file: &fs::DirEntry) -> bool {
    file.file_name().to_string_lossy().contains("damaged")
}

#[tokio::test]
async fn a_file_of_garbage_is_set_aside() {
    set_aside_after(|bytes| bytes.fill(0x42)).await;
}

#[tokio::test]
async fn a_page_of_garbage_is_set_aside() {
    set_aside_after(|bytes| {
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xff);
    })
    .await;
}

#[tokio::test]
async fn a_truncated_file_is_set_aside() {
    set_aside_after(|bytes| bytes.truncate(bytes.len() / 2)).await;
}

#[tokio::test]
async fn a_second_damaged_file_of_the_same_second_has_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twocans.db");
    for _ in 0..5 {
        fs::write(&path, [7; 5000]).unwrap();
        let (store, opening) = Store::open(&path).unwrap();
        assert!(matches!(opening, Opening::Replaced { .. }));
        store.close().await;
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().filter(|f| is_damaged(f.as_ref().unwrap())).count(), 5);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let (_folder, path, store) = fresh();
    store.add_contact(link(1), None).await.unwrap();
    store.close().await;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 999, known: 3 }), "{error}");
    assert!(error.to_string().contains("update twocans"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE recipe (id INTEGER)").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign { .. })));
    let tables: i64 =
        Connection::open(&path).unwrap().query_row("SELECT count(*) FROM recipe", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 0);
}

#[test]
fn an_unreachable_path_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder/twocans.db");
    assert!(matches!(Store::open(&missing), Err(StoreError::Unreachable { .. })));
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Unreachable { .. })));
}

#[test]
fn a_failing_migration_changes_nothing() {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrate(&mut db, &schema::MIGRATIONS[..1]).unwrap();
    contacts::add(&mut db, &link(1), Some("Anna")).unwrap();
    let version_3_is_broken =
        [schema::MIGRATIONS[0], "ALTER TABLE contact ADD COLUMN age INTEGER", "DROP TABLE nonsense"];
    assert!(schema::migrate(&mut db, &version_3_is_broken).is_err());
    assert!(db.prepare("SELECT age FROM contact").is_err(), "the step that worked was undone as well");

    schema::migrate(&mut db, &version_3_is_broken[..2]).unwrap();
    schema::migrate(&mut db, &version_3_is_broken[..2]).unwrap();
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
    assert_eq!(contacts::list(&db).unwrap()[0].name.as_deref(), Some("Anna"));
    assert!(matches!(
        schema::migrate(&mut db, &version_3_is_broken[..1]),
        Err(StoreError::TooNew { found: 2, known: 1 })
    ));
}

#[tokio::test]
async fn a_file_of_version_1_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twocans.db");
    let mut old = Connection::open(&path).unwrap();
    schema::migrate(&mut old, &schema::MIGRATIONS[..1]).unwrap();
    contacts::add(&mut old, &link(1), Some("Anna")).unwrap();
    contacts::set_blocked(&mut old, person(2), true).unwrap();
    let HistoryEntry { call, person: whom, name, outgoing, started_unix_s, talked, reason, .. } = entry(3);
    old.execute(
        "INSERT INTO history (call, person, name, outgoing, started_unix_s, talked_ms, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            call.as_bytes(),
            whom.as_bytes(),
            name,
            outgoing,
            started_unix_s,
            i64::try_from(talked.as_millis()).unwrap(),
            history::word_of(reason),
        ),
    )
    .unwrap();
    settings::set(&mut old, "ui.theme", Some("dark")).unwrap();
    old.close().unwrap();

    let (store, opening) = Store::open(&path).unwrap();
    assert_eq!(opening, Opening::Existing);
    assert_eq!(
        store.contacts().await.unwrap(),
        [Contact { person: person(1), name: Some("Anna".into()), link: link(1) }]
    );
    assert_eq!(store.blocked().await.unwrap(), [person(2)].into());
    assert_eq!(store.history(10).await.unwrap(), [entry(3)]);
    assert_eq!(store.setting("ui.theme").await.unwrap().as_deref(), Some("dark"));
    assert!(store.people().await.unwrap().is_empty());
    store.set_person(person(1), PersonSettings { volume: Volume::MAX, ..PersonSettings::default() }).await.unwrap();
}

// ---- kill -9 ----

const CHILD: &str = "TWOCANS_TEST_STORE_CHILD";

/// Not a test of its own: the process that the next test kills. It writes for as long as it lives and names each entry
/// that the store reported as done.
#[tokio::test]
async fn child_that_writes_until_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let (store, _) = Store::open(Path::new(&path)).unwrap();
    for n in 0.. {
        store.add_history(entry(n)).await.unwrap();
        // Not `println!`: the test harness would keep it until the end.
        writeln!(std::io::stdout(), "done {n}").unwrap();
    }
}

#[tokio::test]
async fn nothing_reported_as_done_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twocans.db");
    let mut reported = 0;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::child_that_writes_until_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let enough = lines.by_ref().filter_map(|line| line.strip_prefix("done ")?.parse::<u32>().ok());
        reported = reported.max(1 + enough.take(20 * round).last().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();

        let (store, opening) = Store::open(&path).unwrap();
        assert_eq!(opening, Opening::Existing);
        let kept = store.history(u32::MAX).await.unwrap();
        assert!(kept.len() >= reported as usize, "{} of {reported} entries are left", kept.len());
        let expected: Vec<_> = (0..kept.len() as u32).rev().map(entry).collect();
        assert_eq!(kept, expected);
        store.close().await;
    }
}
