//! Debian's Chromium without a screen, driven through its DevTools protocol over a pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::netlab::Netns;

/// The browser reads commands from file descriptor 3 and answers on 4.
const PIPES: &str = "exec 3<&0 4>&1 </dev/null >/dev/null 2>&1; exec \"$@\"";
/// No window, no sandbox (it is not for root), no call to anybody's servers.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-features=Translate,MediaRouter,OptimizationHints",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
];
/// For the browser to answer anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page. It ends with this value, however the test ends.
pub struct Chromium {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    session: Option<String>,
    next_id: u64,
    _profile: TempDir,
}

impl Chromium {
    /// Opens the file `page`. `microphone`: what its microphone picks up, once; a person has permitted the page to use it,
    /// with which it may also know this machine's addresses.
    pub fn open(page: &Path, microphone: Option<&Path>, host: &Netns) -> Self {
        let profile = TempDir::with_prefix("twocans-chromium-").expect("a temporary folder can be made");
        let mut command = host.command(&["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", PIPES, "sh", "chromium"]);
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(microphone) = microphone {
            command
                .args(["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"])
                .arg(format!("--use-file-for-fake-audio-capture={}%noloop", microphone.display()));
        }
        let mut child = command.spawn().expect("setpriv is there");
        let commands = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let messages = stdout.split(0).map_while(Result::ok);
            messages
                .filter_map(|message| serde_json::from_slice(&message).ok())
                .try_for_each(|value| sender.send(value))
        });
        let mut browser = Self { child, commands, answers, session: None, next_id: 0, _profile: profile };
        let url = format!("file://{}", page.display());
        let target = browser.command("Target.createTarget", &json!({ "url": url }))["targetId"].clone();
        let attached = browser.command("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        let end = Instant::now() + PATIENCE;
        while browser.evaluate("document.readyState + typeof prepare") != "completefunction" {
            assert!(Instant::now() < end, "the page does not load");
            std::thread::sleep(Duration::from_millis(50));
        }
        browser
    }

    /// The value of a JavaScript expression in the page, awaited if it is a promise; panics with its exception.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.command("Runtime.evaluate", &parameters);
        assert!(result["exceptionDetails"].is_null(), "{:.200}: {}", expression, result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.next_id += 1;
        let mut command = json!({ "id": self.next_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser runs");
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let answer = self.answers.recv_timeout(left).unwrap_or_else(|why| panic!("{method}: the browser: {why}"));
            if answer["id"] == self.next_id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its own children end with it: they notice the closed pipes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
