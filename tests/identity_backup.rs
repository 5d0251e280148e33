//! `identity export` and `identity import`, with real processes.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::machine::sharing;
use common::process::Launch;
use common::world::{AUTO, SILENT, World, finish};
use serde_json::Value;

/// scrypt takes about a second on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSPHRASE: &str = "correct horse battery\n";

/// Runs a verb to its end; its exit code and the last object it said.
fn run(home: &Path, words: &[&str], input: &str) -> (i32, Value) {
    let (code, said) = Launch::new(words[0], home).args(words).input(input).start_and_wait(PATIENCE);
    (code.expect("it ends by itself"), said.last().cloned().unwrap_or_default())
}

fn succeeds(home: &Path, words: &[&str], input: &str) -> Value {
    let (code, said) = run(home, words, input);
    assert_eq!(code, 0, "{words:?}: {said}");
    said
}

/// The sentence with which a verb refuses to do what was asked.
fn refused(home: &Path, words: &[&str], input: &str, code: i32) -> String {
    let (exit, said) = run(home, words, input);
    assert_eq!((exit, said["event"].as_str()), (code, Some("failure")), "{words:?}: {said}");
    said["message"].as_str().expect("a sentence").to_owned()
}

fn files(home: &Path) -> Vec<String> {
    let Ok(folder) = fs::read_dir(home) else { return Vec::new() };
    folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_identity_moves_to_another_machine_with_its_people() {
    let folder = tempfile::tempdir().unwrap();
    let home = |name: &str| folder.path().join(name);
    let (old, new, other) = (home("old"), home("new"), home("other"));
    let file = folder.path().join("me.twocans");
    let path = file.to_str().unwrap();
    let export = ["identity", "export", path];
    let import = ["identity", "import", path];

    assert!(refused(&old, &export, PASSPHRASE, 2).contains("no identity"), "nobody means to keep a new one");
    assert_eq!(files(&old), [""; 0], "and none is made");
    let me = succeeds(&old, &["id"], "")["link"].clone();
    let friend = succeeds(&other, &["id"], "")["link"].as_str().unwrap().to_owned();
    succeeds(&old, &["contacts", "add", &friend, "--name", "Ärmel"], "");
    succeeds(&old, &["contacts", "block", "Ärmel"], "");

    assert!(refused(&old, &export, "short\n", 2).contains("at least 8"));
    assert!(refused(&old, &export, "", 2).contains("at least 8"), "nothing was said at all");
    assert!(!file.exists());
    let said = succeeds(&old, &export, PASSPHRASE);
    assert_eq!((&said["event"], &said["link"]), (&"identity_exported".into(), &me));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = fs::read(&file).unwrap();
    assert!(refused(&old, &export, PASSPHRASE, 2).contains("there already"));
    assert_eq!(fs::read(&file).unwrap(), before, "nothing is overwritten");

    assert!(refused(&new, &import, "another passphrase\n", 2).contains("not the passphrase"));
    let said = succeeds(&new, &import, PASSPHRASE);
    assert_eq!((&said["event"], &said["link"]), (&"identity_imported".into(), &me));
    assert_eq!((&said["contacts"], &said["blocked"], &said["set_aside"]), (&1.into(), &1.into(), &Value::Null));
    assert_eq!(succeeds(&new, &["id"], "")["link"], me);
    let contacts = succeeds(&new, &["contacts", "list"], "")["contacts"].clone();
    assert_eq!(contacts, succeeds(&old, &["contacts", "list"], "")["contacts"]);
    assert_eq!((&contacts[0]["name"], &contacts[0]["blocked"]), (&"Ärmel".into(), &true.into()));

    assert!(refused(&new, &import, PASSPHRASE, 2).contains("identity already"), "once is enough");
    assert!(refused(&other, &import, PASSPHRASE, 2).contains("identity already"));
    assert_eq!(succeeds(&other, &["id"], "")["link"], friend.as_str(), "and nothing has changed");
    let said = succeeds(&other, &[&import[..], &["--force"]].concat(), PASSPHRASE);
    assert_eq!(succeeds(&other, &["id"], "")["link"], me);
    let aside = said["set_aside"].as_str().expect("the key that was there").to_owned();
    let person = friend.strip_prefix("twocans:").unwrap();
    assert!(fs::read_to_string(aside).unwrap().contains(person), "it is kept");
}

#[test]
fn a_file_that_is_no_backup_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (home, file) = (folder.path().join("home"), folder.path().join("file"));
    let import = ["identity", "import", file.to_str().unwrap()];
    assert!(refused(&home, &import, PASSPHRASE, 2).contains("cannot be read"));
    let scrypt = "age-encryption.org/v1\n-> scrypt YWFhYWFhYWFhYWFhYWFhYQ 40\n\
                  YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE\n\
                  --- YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE\nsixteen bytes or more";
    for content in [&b""[..], b"RIFF....WAVE", &[0xff; 100_000], scrypt.as_bytes()] {
        fs::write(&file, content).unwrap();
        let sentence = refused(&home, &import, PASSPHRASE, 2);
        assert!(sentence.contains("backup"), "{sentence}");
        assert!(!files(&home).contains(&"identity.key".to_owned()), "no identity came of it");
    }
}

#[test]
fn a_profile_that_is_running_is_left_alone() {
    let _sharing = sharing();
    let world = World::on_loopback();
    let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), None);
    let file = world.file("bob.twocans");
    let home = world.home("bob");
    let export = ["identity", "export", file.to_str().unwrap()];
    assert!(refused(&home, &export, PASSPHRASE, 9).contains("in use"));
    finish(&mut bob.process, 0);
    succeeds(&home, &export, PASSPHRASE);
    let mut bob = world.answering("bob", &[&AUTO[..], &SILENT].concat(), None);
    let import = ["identity", "import", file.to_str().unwrap(), "--force"];
    assert!(refused(&home, &import, PASSPHRASE, 9).contains("in use"));
    finish(&mut bob.process, 0);
    world.finish();
}
