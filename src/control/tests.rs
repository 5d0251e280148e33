use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::server::{PATIENCE, Patience};
use super::wire::MAX_REQUEST;
use super::{Ask, ControlClient, ControlError, ControlServer, ProfileLock, Request, Response, address, lock};

fn request(verb: &str) -> Request {
    Request { verb: verb.into(), args: json!({ "text": "ä\n\"" }) }
}

/// A running process: lock, socket, and an engine that answers with what it was asked.
struct Running {
    folder: TempDir,
    server: ControlServer,
    lock: ProfileLock,
}

fn run() -> Running {
    let (running, asks) = run_without_engine();
    tokio::spawn(echo(asks));
    running
}

fn run_without_engine() -> (Running, mpsc::Receiver<Ask>) {
    run_with(PATIENCE)
}

fn run_with(patience: Patience) -> (Running, mpsc::Receiver<Ask>) {
    let folder = tempfile::tempdir().unwrap();
    let lock = ProfileLock::acquire(folder.path(), "twocans test").unwrap();
    let (server, asks) = ControlServer::start_with(&lock, patience).unwrap();
    (Running { folder, server, lock }, asks)
}

async fn echo(mut asks: mpsc::Receiver<Ask>) {
    while let Some(ask) = asks.recv().await {
        let seen = serde_json::to_value(&ask.request).unwrap();
        ask.answer(Response::Done(seen));
    }
}

/// What a stranger to the protocol sends, and gets back until the server closes.
async fn raw(home: &Path, bytes: &[u8]) -> String {
    let socket = lock::owner(home).unwrap().socket.unwrap();
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

// ---- The lock ----

#[test]
fn a_profile_is_held_by_one_process_and_says_by_which() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("deep/profile");
    let lock = ProfileLock::acquire(&home, "twocans answer").unwrap();
    let error = ProfileLock::acquire(&home, "twocans call").unwrap_err();
    let ControlError::InUse { pid, what } = &error else { panic!("{error}") };
    assert_eq!((*pid, what.as_str()), (Some(std::process::id()), "twocans answer"));
    assert!(error.to_string().contains("(twocans answer)"), "{error}");

    let clone = lock.clone();
    drop(lock);
    assert!(ProfileLock::acquire(&home, "").is_err(), "a clone still holds it");
    drop(clone);
    ProfileLock::acquire(&home, "").unwrap();
}

#[test]
fn two_profiles_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let _a = ProfileLock::acquire(&folder.path().join("a"), "").unwrap();
    let _b = ProfileLock::acquire(&folder.path().join("b"), "").unwrap();
}

#[cfg(unix)]
#[test]
fn folder_and_files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("profile");
    let _lock = ProfileLock::acquire(&home, "").unwrap();
    assert_eq!(mode(&home), 0o700);
    for file in std::fs::read_dir(&home).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_home_that_is_a_file_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(ProfileLock::acquire(file.path(), ""), Err(ControlError::Unreachable { .. })));
}

#[test]
fn a_damaged_owner_note_only_costs_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let _lock = ProfileLock::acquire(folder.path(), "").unwrap();
    for note in [&b""[..], b"{", b"\xff\xfe", br#"{"pid":4294967295,"what":"x","socket":null}"#] {
        std::fs::write(folder.path().join("profile.owner"), note).unwrap();
        let error = ProfileLock::acquire(folder.path(), "").unwrap_err();
        assert_eq!(error.to_string(), "the profile is in use by another process");
    }
}

// ---- Questions and answers ----

#[tokio::test]
async fn a_verb_reaches_the_running_process_and_its_answer_returns() {
    let running = run();
    let answer = ControlClient::send(running.folder.path(), &request("mute")).await.unwrap();
    assert_eq!(answer, Response::Done(json!({ "verb": "mute", "args": { "text": "ä\n\"" } })));
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(ControlClient::send(folder.path(), &request("mute")).await, Err(ControlError::NobodyThere)));
    let missing = folder.path().join("missing");
    assert!(matches!(ControlClient::send(&missing, &request("mute")).await, Err(ControlError::NobodyThere)));

    let Running { folder, server, lock } = run();
    drop((server, lock));
    assert!(matches!(ControlClient::send(folder.path(), &request("mute")).await, Err(ControlError::NobodyThere)));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["profile.lock"], "the socket and the note are gone");
}

#[tokio::test]
async fn a_starting_process_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let lock = ProfileLock::acquire(folder.path(), "").unwrap();
    let home = folder.path().to_owned();
    let asking = tokio::spawn(async move { ControlClient::send(&home, &request("status")).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (_server, asks) = ControlServer::start(&lock).unwrap();
    tokio::spawn(echo(asks));
    assert!(matches!(asking.await.unwrap(), Ok(Response::Done(_))));
}

#[tokio::test]
async fn an_engine_that_stops_refuses_what_it_did_not_answer() {
    let (running, mut asks) = run_without_engine();
    let home = running.folder.path().to_owned();
    let asking = tokio::spawn(async move { ControlClient::send(&home, &request("status")).await });
    drop(asks.recv().await.unwrap());
    assert!(matches!(asking.await.unwrap(), Ok(Response::Refused { kind, .. }) if kind == "internal"));
    drop(asks);
    let answer = ControlClient::send(running.folder.path(), &request("status")).await;
    assert!(matches!(answer, Ok(Response::Refused { kind, .. }) if kind == "internal"));
}

#[tokio::test]
async fn an_engine_that_hangs_is_not_waited_for_forever() {
    let (running, _asks) = run_with(Patience { answer: Duration::from_millis(20), ..PATIENCE });
    let answer = ControlClient::send(running.folder.path(), &request("status")).await;
    assert!(matches!(answer, Ok(Response::Refused { message, .. }) if message.contains("in time")));
}

#[tokio::test]
async fn several_requests_share_one_connection() {
    let running = run();
    let answers = raw(running.folder.path(), b"{\"verb\":\"a\"}\n{\"verb\":\"b\",\"args\":7,\"new\":1}\n").await;
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        answers,
        [json!({"done": {"verb": "a", "args": null}}), json!({"done": {"verb": "b", "args": 7}})],
        "unknown fields are skipped"
    );
}

#[tokio::test]
async fn garbage_gets_one_refusal_and_the_server_lives() {
    let running = run();
    let home = running.folder.path();
    let endless = vec![b'x'; MAX_REQUEST + 1];
    let deep = [b"{\"verb\":\"a\",\"args\":".to_vec(), vec![b'['; 10_000], b"\n".to_vec()].concat();
    for bytes in [&b"\n"[..], b"hello\n", b"{}\n", b"\x00\xff\xfe\n", b"{\"verb\":1}\n", &endless, &deep] {
        let answer = raw(home, bytes).await;
        assert!(answer.starts_with(r#"{"refused":{"kind":"usage""#), "{answer}");
        assert_eq!(answer.lines().count(), 1);
    }
    assert_eq!(raw(home, b"{\"verb\":").await, "", "half a message, then silence");
    assert!(matches!(ControlClient::send(home, &request("status")).await, Ok(Response::Done(_))));
}

#[tokio::test]
async fn a_request_that_is_too_long_is_not_sent() {
    let running = run();
    let long = Request { verb: "x".repeat(MAX_REQUEST), args: Value::Null };
    assert!(matches!(ControlClient::send(running.folder.path(), &long).await, Err(ControlError::TooLong { .. })));
}

#[tokio::test]
async fn a_long_answer_arrives_whole() {
    let (running, mut asks) = run_without_engine();
    let book = Value::String("x".repeat(4 * 1024 * 1024));
    let answer = Response::Done(book);
    let expected = answer.clone();
    tokio::spawn(async move { asks.recv().await.unwrap().answer(answer) });
    assert_eq!(ControlClient::send(running.folder.path(), &request("contacts")).await.unwrap(), expected);
}

#[tokio::test]
async fn silent_connections_neither_block_others_nor_stay() {
    let (running, asks) = run_with(Patience { idle: Duration::from_millis(500), ..PATIENCE });
    tokio::spawn(echo(asks));
    let socket = lock::owner(running.folder.path()).unwrap().socket.unwrap();
    let mut silent = Vec::new();
    for _ in 0..15 {
        silent.push(UnixStream::connect(&socket).await.unwrap());
    }
    let answer = ControlClient::send(running.folder.path(), &request("status")).await;
    assert!(matches!(answer, Ok(Response::Done(_))), "the sixteenth place is free");
    for _ in 0..10 {
        silent.push(UnixStream::connect(&socket).await.unwrap());
    }
    let answer = ControlClient::send(running.folder.path(), &request("status")).await;
    assert!(matches!(answer, Ok(Response::Done(_))), "a place frees when a silent one is closed");
    let mut nothing = Vec::new();
    assert_eq!(silent[0].read_to_end(&mut nothing).await.unwrap(), 0, "closed by the server");
}

// ---- The socket ----

#[cfg(unix)]
#[tokio::test]
async fn the_socket_is_private() {
    let running = run();
    let socket = lock::owner(running.folder.path()).unwrap().socket.unwrap();
    assert_eq!(mode(Path::new(&socket)), 0o600);
}

#[cfg(unix)]
#[tokio::test]
async fn a_home_with_a_long_path_gets_a_short_socket() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("long".repeat(50)).join("profile");
    let lock = ProfileLock::acquire(&home, "").unwrap();
    let (server, asks) = ControlServer::start(&lock).unwrap();
    tokio::spawn(echo(asks));
    let socket = lock::owner(&home).unwrap().socket.unwrap();
    assert!(socket.len() < 104 && !Path::new(&socket).starts_with(folder.path()), "{socket}");
    assert_eq!(mode(Path::new(&socket)), 0o600);
    assert_eq!(mode(Path::new(&socket).parent().unwrap()) & 0o077, 0);
    assert!(matches!(ControlClient::send(&home, &request("status")).await, Ok(Response::Done(_))));
    drop(server);
    assert!(!Path::new(&socket).exists());

    let other = PathBuf::from(home.to_str().unwrap().replacen("long", "lung", 1));
    assert_ne!(address::of(&home).unwrap(), address::of(&other).unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_profile_is_that_profile() {
    let running = run();
    let folder = tempfile::tempdir().unwrap();
    let alias = folder.path().join("alias");
    std::os::unix::fs::symlink(running.folder.path(), &alias).unwrap();
    assert!(matches!(ProfileLock::acquire(&alias, ""), Err(ControlError::InUse { .. })));
    assert!(matches!(ControlClient::send(&alias, &request("status")).await, Ok(Response::Done(_))));
}

// ---- kill -9 ----

const CHILD: &str = "TWOCANS_TEST_CONTROL_CHILD";

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
async fn child_that_holds_a_profile_until_killed() {
    let Some(home) = std::env::var_os(CHILD) else { return };
    let lock = ProfileLock::acquire(Path::new(&home), "twocans child").unwrap();
    let (_server, asks) = ControlServer::start(&lock).unwrap();
    // Ends with the parent, whatever becomes of it: its death closes our standard input.
    tokio::select! {
        () = echo(asks) => {}
        _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())) => {}
    }
}

#[tokio::test]
async fn the_profile_of_a_killed_process_is_free_and_its_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "control::tests::child_that_holds_a_profile_until_killed", "--nocapture"])
        .env(CHILD, home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = async {
        while lock::owner(home).and_then(|owner| owner.socket).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), started).await.unwrap();
    let Err(ControlError::InUse { pid, what }) = ProfileLock::acquire(home, "") else { panic!("not held") };
    assert_eq!((pid, what.as_str()), (Some(child.id()), "twocans child"));
    assert!(matches!(ControlClient::send(home, &request("status")).await, Ok(Response::Done(_))));

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(home.join("control.sock").exists(), "a killed process cannot clean up");
    assert!(matches!(ControlClient::send(home, &request("status")).await, Err(ControlError::NobodyThere)));
    let lock = ProfileLock::acquire(home, "twocans next").unwrap();
    let (_server, asks) = ControlServer::start(&lock).unwrap();
    tokio::spawn(echo(asks));
    assert!(matches!(ControlClient::send(home, &request("status")).await, Ok(Response::Done(_))));
}
