//! Breaks every rule once, in memory: a rule that catches nothing protects nothing.

use super::source::{self, File};
use super::{MAX_LINES, check, cycle, documented_table};

/// Where, what is written there, and what must be said about it.
const VIOLATIONS: &[(&str, &str, &str)] = &[
    // imports
    ("voice/mixer.rs", "use crate::link::Link;", "voice may not import link"),
    ("voice/mixer.rs", "fn f() { crate::audio::open(); }", "voice may not import audio"),
    ("voice/mixer.rs", "use crate::{base::Frame, audio::Input};", "voice may not import audio"),
    ("voice/mixer.rs", "use crate::{base::{Frame}, call::{self as c}};", "voice may not import call"),
    ("voice/mixer.rs", "pub(in crate::engine) fn f() {}", "voice may not import engine"),
    ("voice/jitter/mod.rs", "use super::super::engine::Engine;", "voice may not import engine"),
    ("voice/jitter/delay.rs", "use super::super::super::{engine::Engine};", "voice may not import engine"),
    ("voice/mod.rs", "mod inner { use super::super::engine; }", "voice may not import engine"),
    ("voice/mod.rs", "use self::super::engine::Engine;", "voice may not import engine"),
    ("voice/mod.rs", "impl From<crate::engine::Failure> for X {}", "voice may not import engine"),
    ("voice/mod.rs", "macro_rules! m { () => { $crate::engine::go() } }", "voice may not import engine"),
    ("voice/mod.rs", "use twocans::engine::Engine;", "voice may not import engine"),
    ("voice/mod.rs", "#[derive(crate::engine::Derive)] struct X;", "voice may not import engine"),
    ("voice/mod.rs", "#[cfg(test)] mod tests { use crate::engine::Engine; }", "voice may not import engine"),
    ("base/ids.rs", "use crate::identity::Link;", "base may not import identity"),
    ("identity/link.rs", "use crate::call::Message;", "identity may not import call"),
    ("call/mod.rs", "use crate::rendezvous::Ring;", "call may not import rendezvous"),
    ("rendezvous/mod.rs", "use crate::store::Store;", "rendezvous may not import store"),
    ("link/shell.rs", "use crate::rendezvous::Ring;", "link may not import rendezvous"),
    ("store/mod.rs", "use crate::engine::Event;", "store may not import engine"),
    ("engine/mod.rs", "use crate::cli::run;", "engine may not import cli"),
    ("cli/mod.rs", "use crate::store::Store;", "cli may not import store"),
    ("ui/mod.rs", "use crate::cli::run;", "ui may not import cli"),
    ("main.rs", "fn main() { twocans::engine::start() }", "main may not import engine"),
    ("attic/mod.rs", "fn f() {}", "no such room"),
    // ways round
    ("voice/mod.rs", "use crate as everything;", "name a room"),
    ("voice/mod.rs", "use crate::{self as everything};", "name a room"),
    ("voice/mod.rs", "use crate::*;", "name a room"),
    ("voice/mod.rs", "use super::*;", "name a room"),
    ("voice/mod.rs", "extern crate self as everything;", "hide code"),
    ("voice/mod.rs", "#[path = \"../engine/api.rs\"] mod api;", "hide code"),
    ("voice/mod.rs", "include!(\"../engine/api.rs\");", "hide code"),
    // external engines
    ("engine/mod.rs", "use rtc::peer_connection::X;", "only link/ names"),
    ("nat/mod.rs", "use rtc::turn::Client;", "only link/ names"),
    ("engine/mod.rs", "fn f() -> libp2p::PeerId { todo!() }", "only rendezvous/ names"),
    ("engine/mod.rs", "use ::libp2p_stream as s;", "only rendezvous/ names"),
    ("engine/mod.rs", "use rusqlite;", "only store/ names"),
    ("engine/mod.rs", "use {std::fmt, rusqlite::Connection};", "only store/ names"),
    ("cli/mod.rs", "use egui_extras::X;", "only ui/ names"),
    ("cli/mod.rs", "use eframe::App;", "only ui/ names"),
    ("engine/mod.rs", "type D = cpal::Device;", "only audio/ names"),
    ("voice/encoder.rs", "use opusic_sys as sys;", "only voice/opus.rs names"),
    // unsafe
    ("voice/encoder.rs", "fn f() { unsafe { g() } }", "`unsafe` belongs into ui/canvas/cache.rs or voice/opus.rs"),
    ("audio/mod.rs", "unsafe impl Send for X {}", "`unsafe` belongs into ui/canvas/cache.rs or voice/opus.rs"),
    // queues
    ("engine/mod.rs", "fn f() { tokio::sync::mpsc::unbounded_channel(); }", "every queue has a bound"),
    ("link/shell.rs", "use tokio::sync::mpsc::unbounded_channel;", "every queue has a bound"),
    ("store/mod.rs", "use std::sync::mpsc::channel;", "every queue has a bound"),
    // purity
    ("voice/mod.rs", "fn f() { let t = std::time::Instant::now(); }", "reads a clock"),
    ("voice/mod.rs", "use std::time::Instant; fn f() { g(Instant::now) }", "reads a clock"),
    ("voice/mod.rs", "fn f() { 0..Instant::now() }", "reads a clock"),
    ("voice/mod.rs", "use std::time::Instant as Moment;", "keeps its name"),
    ("call/mod.rs", "fn f(t: Instant) { t.elapsed(); }", "reads a clock"),
    ("call/mod.rs", "use std::time::{Duration, SystemTime};", "reads a clock"),
    ("call/mod.rs", "use std::net::{IpAddr, UdpSocket};", "opens a socket"),
    ("call/mod.rs", "use tokio::sync::mpsc;", "does I/O"),
    ("call/mod.rs", "fn f() { std::thread::sleep(d); }", "starts or stops threads"),
    ("call/mod.rs", "use std::{fmt, thread};", "starts or stops threads"),
    ("call/mod.rs", "use std::collections::HashMap;", "BTreeMap"),
    ("call/mod.rs", "fn f() { println!(\"x\"); }", "does I/O"),
    ("call/mod.rs", "static COUNT: AtomicU64 = AtomicU64::new(0);", "global variable"),
    ("call/mod.rs", "static mut COUNT: u64 = 0;", "global variable"),
    ("call/mod.rs", "static S: LazyLock<Mutex<u8>> = LazyLock::new(f);", "global variable"),
    ("call/mod.rs", "thread_local! { static X: u8 = 0; }", "global"),
    ("identity/link.rs", "use std::fs;", "does I/O"),
    ("identity/link.rs", "fn f() { getrandom::fill(b); }", "is random"),
    ("base/ids.rs", "fn f() { rand::random(); }", "is random"),
    ("rendezvous/search.rs", "fn f() { Instant::now(); }", "reads a clock"),
    ("link/filter.rs", "use tokio::net::UdpSocket;", "opens a socket"),
    ("call/mod.rs", "#[cfg(not(test))] fn f() { Instant::now(); }", "reads a clock"),
    ("call/mod.rs", "#[cfg(any(test, unix))] fn f() { Instant::now(); }", "reads a clock"),
    ("call/mod.rs", "#[cfg(test)] fn g() {} fn f() { Instant::now(); }", "reads a clock"),
    ("call/mod.rs", "#[cfg(test)] use x::{y}; fn f() { Instant::now(); }", "reads a clock"),
    ("call/mod.rs", "#[cfg(test)] mod tests; fn f() { Instant::now(); }", "reads a clock"),
    // lexing: what looks like the end of code, but is not
    ("call/mod.rs", "const C: char = '\"'; fn f() { Instant::now(); } const D: char = '\"';", "reads a clock"),
    ("call/mod.rs", "fn f<'a>(x: &'a str) { Instant::now(); }", "reads a clock"),
    ("call/mod.rs", "const S: &str = r#\"a \" b\"#; fn f() { Instant::now(); }", "reads a clock"),
    ("call/mod.rs", "/* a /* b */ c */ fn f() { Instant::now(); }", "reads a clock"),
    ("call/mod.rs", "const S: &str = \"\\\\\"; fn f() { Instant::now(); } // \"", "reads a clock"),
    ("call/mod.rs", "fn f() { Instant\n    ::now(); }", "reads a clock"),
];

/// Where, and what may stand there.
const INNOCENT: &[(&str, &str)] = &[
    ("voice/mixer.rs", "use crate::base::{Frame, SeqNo}; use super::level; pub(crate) fn f() {} pub(super) fn g() {}"),
    ("voice/jitter/delay.rs", "use super::super::Level; use crate::voice::red;"),
    ("voice/mixer.rs", "// use crate::engine::Engine;\n/// [`crate::engine`]\n/* crate::link */ fn f() {}"),
    ("voice/mixer.rs", "const S: &str = \"crate::engine::Engine\"; const R: &str = r##\"unsafe \"# { }\"##;"),
    ("voice/opus.rs", "use opusic_sys as sys; fn f() { unsafe { sys::go() } }"),
    ("ui/canvas/cache.rs", "fn f() { unsafe { clear() } }"),
    ("voice/mod.rs", "#![deny(unsafe_code)] mod opus; use opus::Encoder;"),
    ("nat/stun.rs", "use rtc::stun::message::Message;"),
    ("link/driver.rs", "use rtc::sansio::Protocol; use crate::nat::Stun;"),
    ("call/mod.rs", "use std::time::{Duration, Instant}; fn f(now: Instant) -> Duration { now - then }"),
    ("call/mod.rs", "use std::net::SocketAddr; static NAME: &str = \"x\"; fn f(x: &'static str) {}"),
    ("call/mod.rs", "#[cfg(test)] mod tests { use super::*; use std::thread; fn f() { Instant::now(); } }"),
    ("call/mod.rs", "#[test] #[should_panic] fn f() { Instant::now(); }"),
    ("call/mod.rs", "#[cfg(test)] use std::{fs, thread};"),
    ("identity/key_file.rs", "use std::fs; fn f() { getrandom::fill(b); }"),
    ("rendezvous/shell/mod.rs", "use tokio::sync::mpsc; use crate::rendezvous::record; fn f() { Instant::now(); }"),
    ("engine/mod.rs", "use crate::store::Store; fn f(rtc: u8) -> u8 { rtc }"),
    ("store/mod.rs", "use std::sync::mpsc::sync_channel; use tokio::sync::mpsc::channel;"),
    ("main.rs", "fn main() -> std::process::ExitCode { twocans::cli::main() }"),
];

fn check_one(path: &str, text: &str) -> Vec<String> {
    check(&[File { path: format!("src/{path}"), text: text.into() }])
}

#[test]
fn every_planted_violation_is_caught() {
    for (path, text, expected) in VIOLATIONS {
        let said = check_one(path, text);
        assert!(
            said.iter().any(|line| line.contains(expected)),
            "{path}: {text}\nexpected: {expected}\nsaid: {said:#?}"
        );
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    for (path, text) in INNOCENT {
        assert_eq!(check_one(path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn a_report_names_file_and_line() {
    let said = check_one("voice/mixer.rs", "//! Mixer.\n\nuse crate::{\n    base::Frame,\n    link::Link,\n};\n");
    assert_eq!(said, ["src/voice/mixer.rs:5: voice may not import link (`crate::link::Link`)"]);
}

#[test]
fn test_modules_in_files_of_their_own_may_read_clocks() {
    let room = File { path: "src/call/mod.rs".into(), text: "mod glare;\n#[cfg(test)]\nmod tests;".into() };
    let clock = |path: &str| File { path: path.into(), text: "fn f() { Instant::now(); }".into() };
    assert_eq!(check(&[room.clone(), clock("src/call/tests.rs"), clock("src/call/tests/net.rs")]), [""; 0]);
    assert_eq!(check(&[room, clock("src/call/glare.rs")]).len(), 1);
}

#[test]
fn a_long_file_is_caught_wherever_it_lies() {
    for path in ["src/voice/mixer.rs", "tests/nat_call.rs", "benches/call.rs"] {
        let file = |lines| [File { path: path.into(), text: "fn f() {}\n".repeat(lines) }];
        assert_eq!(check(&file(MAX_LINES)), [""; 0]);
        assert!(check(&file(MAX_LINES + 1))[0].contains("801 lines"));
    }
}

#[test]
fn rooms_that_import_each_other_are_caught() {
    let edge = |from: &str, to: &str| (from.to_owned(), [to.to_owned()].into());
    assert_eq!(cycle(&[edge("a", "b"), edge("b", "c")].into()), None);
    let ring = cycle(&[edge("x", "a"), edge("a", "b"), edge("b", "c"), edge("c", "a")].into());
    assert_eq!(ring.unwrap(), ["a", "b", "c", "a"]);

    let files = [("audio/mod.rs", "use crate::store::X;"), ("store/mod.rs", "use crate::audio::X;")]
        .map(|(path, text)| File { path: format!("src/{path}"), text: text.into() });
    assert!(check(&files).iter().any(|line| line.contains("audio → store → audio")));
}

#[test]
fn the_documented_table_is_read_row_by_row() {
    let table = documented_table(
        "//! | room | concern | may import |\n//! |---|---|---|\n//! | [`a`] | x | – |\n//! | [`b`], [`c`] | y | a |\n//! | [`d`] | z | all above |",
    );
    let rooms = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let expected = [("a", rooms(&[])), ("b", rooms(&["a"])), ("c", rooms(&["a"])), ("d", rooms(&["a", "b", "c"]))];
    assert_eq!(table, expected.map(|(name, imports)| (name.to_owned(), imports)).into());
}

#[test]
fn nested_use_trees_are_flattened() {
    let outline = source::outline("use a::{b, c::{self, d as e}, f::*}; pub use ::g::h;");
    let paths: Vec<_> = outline.mentions.iter().filter(|m| m.from_use).map(source::Mention::path).collect();
    assert_eq!(paths, ["a::b", "a::c::self", "a::c::d", "a::f::*", "g::h"]);
}
