//! The house rules: who may import whom, and what stays out of the pure rooms.
//!
//! Reads the source as text (`architecture/source.rs`) and needs nothing of the crate, so that a broken rule is
//! reported even while the crate does not compile. `architecture/planted.rs` breaks every rule once and expects to be
//! caught.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::{File, Mention};

#[path = "architecture/planted.rs"]
mod planted;
#[path = "architecture/source.rs"]
mod source;

/// One folder (or file) under `src/`.
struct Room {
    name: &'static str,
    may_import: &'static [&'static str],
    purity: Purity,
}

/// Whether a room must do without clocks, sockets, files, threads, randomness and globals.
enum Purity {
    Impure,
    /// All of it, but for these files and folders.
    PureBut(&'static [&'static str]),
}

use Purity::{Impure, PureBut};

const EVERYTHING_BELOW_ENGINE: &[&str] =
    &["base", "identity", "voice", "audio", "nat", "link", "superpeer", "rendezvous", "call", "store", "control"];

/// The table of the crate's documentation, which must say the same. A room may only import rooms above it.
const ROOMS: &[Room] = &[
    Room { name: "base", may_import: &[], purity: PureBut(&[]) },
    Room { name: "identity", may_import: &["base"], purity: PureBut(&["identity/key_file.rs"]) },
    Room { name: "voice", may_import: &["base"], purity: PureBut(&[]) },
    Room { name: "audio", may_import: &["base", "identity"], purity: Impure },
    Room { name: "nat", may_import: &["base", "identity"], purity: PureBut(&["nat/shell.rs", "nat/shell/"]) },
    Room { name: "link", may_import: &["base", "identity", "nat"], purity: PureBut(&["link/shell.rs", "link/shell/"]) },
    Room {
        name: "superpeer",
        may_import: &["base", "identity", "nat"],
        purity: PureBut(&["superpeer/shell.rs", "superpeer/shell/"]),
    },
    Room {
        name: "rendezvous",
        may_import: &["base", "identity"],
        purity: PureBut(&["rendezvous/shell.rs", "rendezvous/shell/"]),
    },
    Room { name: "call", may_import: &["base", "identity"], purity: PureBut(&[]) },
    Room { name: "store", may_import: &["base", "identity"], purity: Impure },
    Room { name: "control", may_import: &["base", "identity"], purity: Impure },
    Room { name: "engine", may_import: EVERYTHING_BELOW_ENGINE, purity: Impure },
    Room { name: "ui", may_import: &["base", "identity", "engine"], purity: Impure },
    Room { name: "cli", may_import: &["base", "identity", "engine"], purity: Impure },
    Room { name: "main", may_import: &["ui", "cli"], purity: Impure },
];

/// External engines and the only places that name them.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    // `nat` shares the STUN codec, see `SHARED_PARTS`.
    ("rtc", &["link/"]),
    ("crab_nat", &["nat/shell/mapping.rs"]),
    ("igd_next", &["nat/shell/mapping.rs"]),
    ("turn_server_proto", &["superpeer/"]),
    ("libp2p", &["rendezvous/"]),
    ("libp2p_stream", &["rendezvous/"]),
    ("mainline", &["rendezvous/shell/bittorrent.rs"]),
    ("rusqlite", &["store/"]),
    ("interprocess", &["control/"]),
    ("eframe", &["ui/"]),
    ("egui", &["ui/"]),
    ("winit", &["ui/"]),
    ("zbus", &["ui/desktop/"]),
    ("ksni", &["ui/desktop/"]),
    ("ashpd", &["ui/desktop/"]),
    ("x11rb", &["ui/desktop/"]),
    ("arboard", &["ui/picture.rs"]),
    ("cpal", &["audio/"]),
    ("opus", &["voice/"]),
    ("opusic_sys", &["voice/opus.rs"]),
    ("sonora", &["voice/apm/"]),
    ("sonora_aec3", &["voice/apm/"]),
    ("sonora_agc2", &["voice/apm/"]),
    ("sonora_ns", &["voice/apm/"]),
    ("sonora_simd", &["voice/apm/"]),
    ("nnnoiseless", &["voice/apm/"]),
    ("snow", &["identity/"]),
    ("age", &["identity/"]),
    ("clap", &["cli/"]),
    ("crossterm", &["cli/"]),
];

/// What a room may name of a crate that belongs to another one.
const SHARED_PARTS: &[(&str, &str)] = &[("nat/", "^rtc::stun"), ("nat/", "^rtc::crypto")];

/// The files with a foreign function interface.
const UNSAFE_FILES: [&str; 2] = ["ui/canvas/cache.rs", "voice/opus.rs"];

/// Queues without a bound, which no room may have.
const UNBOUNDED: &[&str] = &["unbounded_channel", "^std::sync::mpsc::channel", "^futures::channel::mpsc::unbounded"];

/// What pure code must not name. `^` ties a path to its first segment.
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "reads a clock; take `now` as a parameter"),
    (".elapsed", "reads a clock; take `now` as a parameter"),
    ("SystemTime", "reads a clock; take the time as a parameter"),
    ("UNIX_EPOCH", "reads a clock; take the time as a parameter"),
    ("UdpSocket", "opens a socket"),
    ("TcpStream", "opens a socket"),
    ("TcpListener", "opens a socket"),
    ("UnixStream", "opens a socket"),
    ("UnixListener", "opens a socket"),
    ("UnixDatagram", "opens a socket"),
    ("ToSocketAddrs", "asks the network for a name"),
    ("^socket2", "opens a socket"),
    ("^tokio", "does I/O"),
    ("std::thread", "starts or stops threads"),
    ("thread_local", "is a global"),
    ("std::fs", "does I/O"),
    ("std::env", "depends on the environment"),
    ("std::process", "starts or ends processes"),
    ("stdin", "does I/O"),
    ("stdout", "does I/O"),
    ("stderr", "does I/O"),
    ("print", "does I/O"),
    ("println", "does I/O"),
    ("eprint", "does I/O"),
    ("eprintln", "does I/O"),
    ("^rand", "is random; take randomness as bytes"),
    ("^getrandom", "is random; take randomness as bytes"),
    ("OsRng", "is random; take randomness as bytes"),
    ("SysRng", "is random; take randomness as bytes"),
    ("thread_rng", "is random; take randomness as bytes"),
    ("RandomState", "is random; use a BTreeMap"),
    ("HashMap", "iterates in random order; use a BTreeMap"),
    ("HashSet", "iterates in random order; use a BTreeSet"),
];

/// Names that make a `static` a variable.
const INTERIOR_MUTABILITY: &[&str] =
    &["mut", "Mutex", "RwLock", "OnceLock", "OnceCell", "Cell", "RefCell", "UnsafeCell"];

const MAX_LINES: usize = 800;

#[test]
fn the_source_keeps_the_house_rules() {
    let files = read(&["src", "tests", "benches"]);
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "no source found");
    let broken = check(&files);
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_table_has_no_cycle() {
    for (index, room) in ROOMS.iter().enumerate() {
        let above: BTreeSet<_> = ROOMS[..index].iter().map(|room| room.name).collect();
        for import in room.may_import {
            assert!(above.contains(import), "{} imports {import}, which does not stand above it", room.name);
        }
    }
}

#[test]
fn the_crate_documentation_shows_this_table() {
    let documentation = fs::read_to_string(top().join("src/lib.rs")).unwrap();
    let shown = documented_table(&documentation);
    for room in ROOMS.iter().filter(|room| room.name != "main") {
        let imports: BTreeSet<_> = room.may_import.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(shown.get(room.name), Some(&imports), "row of {} in the documentation of src/lib.rs", room.name);
    }
    assert_eq!(shown.len(), ROOMS.len() - 1, "src/lib.rs documents a room that does not exist");
}

/// Rows such as ``//! | [`call`] | … | base, identity |``.
fn documented_table(documentation: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut table = BTreeMap::<String, BTreeSet<String>>::new();
    for line in documentation.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, rooms, _, imports, ..] = cells[..] else { continue };
        if !rooms.starts_with("[`") {
            continue;
        }
        let imports = match imports {
            "–" => BTreeSet::new(),
            "all above" => table.keys().cloned().collect(),
            names => names.split(", ").map(str::to_owned).collect(),
        };
        for room in rooms.split(", ") {
            table.insert(room.trim_matches(['[', '`', ']']).to_owned(), imports.clone());
        }
    }
    table
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files in these folders, by their path from the top of the repository.
fn read(folders: &[&str]) -> Vec<File> {
    let mut files = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| top().join(folder)).filter(|folder| folder.exists()).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(top()).unwrap().components();
                let name = inside.map(|part| part.as_os_str().to_str().unwrap()).collect::<Vec<_>>().join("/");
                files.push(File { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Every broken rule, one sentence each.
fn check(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            broken.push(format!("{}: {lines} lines, the ceiling is {MAX_LINES}", file.path));
        }
    }

    let outlines: Vec<_> = files
        .iter()
        .filter_map(|file| Some((file, file.path.strip_prefix("src/")?, source::outline(&file.text))))
        .collect();
    let test_files: BTreeSet<_> = outlines
        .iter()
        .flat_map(|(_, path, outline)| {
            outline.test_modules.iter().map(|module| [module_of(path), vec![module.clone()]].concat())
        })
        .collect();
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    for (file, path, outline) in &outlines {
        let module = module_of(path);
        let is_test_file = (1..=module.len()).any(|length| test_files.contains(&module[..length]));
        let mut say = |line: usize, what: String| broken.push(format!("{}:{line}: {what}", file.path));

        for &line in &outline.detours {
            say(line, "`#[path]`, `include!` and `extern crate` hide code from this test".into());
        }
        let room = room_of(path);
        let Some(rules) = ROOMS.iter().find(|rules| rules.name == room) else {
            if *path != "lib.rs" {
                say(1, format!("no such room in tests/architecture.rs: {room}"));
            }
            continue;
        };
        for mention in &outline.mentions {
            match imported_room(mention, &module) {
                Import::Nothing => {}
                Import::Escape => {
                    say(mention.line, format!("`{}` reaches for the whole crate; name a room", mention.path()));
                }
                Import::Room(other) if other == room => {}
                Import::Room(other) => {
                    if !rules.may_import.contains(&other.as_str()) {
                        say(mention.line, format!("{room} may not import {other} (`{}`)", mention.path()));
                    }
                    imports.entry(room.clone()).or_default().insert(other);
                }
            }
            if let Some(owner) = foreign_crate(mention, path) {
                say(mention.line, format!("only {owner} names `{}`", mention.path()));
            }
            if mention.has("^unsafe") && !UNSAFE_FILES.contains(path) {
                say(mention.line, format!("`unsafe` belongs into {}", UNSAFE_FILES.join(" or ")));
            }
        }
        if is_test_file {
            continue;
        }
        for mention in outline.mentions.iter().filter(|mention| !mention.in_test) {
            if UNBOUNDED.iter().any(|pattern| mention.has(pattern)) {
                say(mention.line, format!("every queue has a bound, `{}` has none", mention.path()));
            }
        }
        let PureBut(shells) = rules.purity else { continue };
        let is_shell = shells.iter().any(|shell| path.starts_with(shell));
        if is_shell {
            continue;
        }
        for mention in outline.mentions.iter().filter(|mention| !mention.in_test) {
            if let Some((_, why)) = IMPURE.iter().find(|(pattern, _)| mention.has(pattern)) {
                say(mention.line, format!("{room} is pure here, `{}` {why}", mention.path()));
            }
            if mention.alias.is_some() && mention.segments.last().is_some_and(|last| last == "Instant") {
                say(mention.line, "`Instant` keeps its name, so that its clock can be seen".into());
            }
        }
        for item in outline.statics.iter().filter(|item| !item.in_test) {
            let is_variable =
                |name: &String| INTERIOR_MUTABILITY.contains(&name.as_str()) || name.starts_with("Atomic");
            if item.names.iter().any(is_variable) {
                say(item.line, format!("{room} is pure here, this `static` is a global variable"));
            }
        }
    }
    broken.extend(cycle(&imports).map(|rooms| format!("the rooms import each other: {}", rooms.join(" → "))));
    broken
}

/// The room that a file belongs to: `voice` for `voice/jitter/delay.rs`, `main` for `main.rs`.
fn room_of(path: &str) -> String {
    module_of(path).first().cloned().unwrap_or_else(|| "main".into())
}

/// The module that a file is, from the crate's root: `[voice, jitter]` for `voice/jitter/mod.rs`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(path, "lib" | "main") { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

enum Import {
    Nothing,
    Room(String),
    /// The crate's root, from where every room is in reach.
    Escape,
}

/// Follows `crate`, `self`, `super` and our own crate's name to the room that a path ends in.
fn imported_room(mention: &Mention, module: &[String]) -> Import {
    let mut here = [module, &mention.inside].concat();
    let mut segments = mention.segments.iter().map(String::as_str);
    let is_visibility = !mention.from_use && mention.segments.len() == 1;
    let first = segments.next();
    match first {
        _ if is_visibility => return Import::Nothing,
        Some("crate" | "twocans") => here.clear(),
        Some("super") => drop(here.pop()),
        Some("self") => {}
        _ => return Import::Nothing,
    }
    let mut segments = segments.peekable();
    while segments.next_if_eq(&"super").is_some() {
        here.pop();
    }
    match (here.first(), segments.next()) {
        (Some(room), _) => Import::Room(room.clone()),
        (None, None | Some("self" | "*")) => Import::Escape,
        (None, Some(room)) => Import::Room(room.to_owned()),
    }
}

/// The owner of the external crate that a path begins with, when that is not this file.
fn foreign_crate(mention: &Mention, path: &str) -> Option<String> {
    let first = mention.segments.first()?;
    // A variable of that name is no crate.
    if !mention.from_use && mention.segments.len() == 1 {
        return None;
    }
    let family = if first.starts_with("egui") { "egui" } else { first };
    let (_, owners) = OWNED_CRATES.iter().find(|(name, _)| *name == family)?;
    let is_owner = owners.iter().any(|owner| path.starts_with(owner));
    let is_shared = SHARED_PARTS.iter().any(|(room, part)| path.starts_with(room) && mention.has(part));
    (!is_owner && !is_shared).then(|| owners.join(", "))
}

/// A ring of rooms that import each other, if there is one.
fn cycle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(imports: &BTreeMap<String, BTreeSet<String>>, way: &mut Vec<String>) -> Option<Vec<String>> {
        for next in imports.get(way.last()?).into_iter().flatten() {
            if let Some(start) = way.iter().position(|room| room == next) {
                return Some([&way[start..], std::slice::from_ref(next)].concat());
            }
            way.push(next.clone());
            if let Some(ring) = walk(imports, way) {
                return Some(ring);
            }
            way.pop();
        }
        None
    }
    imports.keys().find_map(|room| walk(imports, &mut vec![room.clone()]))
}
