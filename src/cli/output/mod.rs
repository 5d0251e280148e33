//! What a verb says: the same things for programs ([`Json`]) and for people ([`Human`]).

mod groups;
mod human;
mod json;
mod line;
mod names;
mod sentences;
mod style;
mod tables;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::Person;
use crate::engine::{
    Contact, DeviceInfo, Diagnosis, Failure, HistoryEntry, Imported, LookupReport, MonotonicClock, Stamped,
};
use crate::identity::Link;

pub use human::{Human, Show};
pub use json::Json;
pub use sentences::path as path_sentence;
pub use style::Style;

/// Which of the two peers in `demo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    A,
    B,
}

/// What a verb says of its own accord; what the engine tells comes as [`Stamped`] events.
#[derive(Debug, Clone)]
pub enum Report {
    Identity {
        link: Link,
    },
    /// The identity is in an encrypted file.
    Exported {
        link: Link,
        file: PathBuf,
    },
    /// And was taken from one.
    Imported(Imported),
    Lookup {
        link: Link,
        found: LookupReport,
    },
    /// What becomes of a description that is a file.
    Sdp {
        step: SdpStep,
        /// "offer" or "answer".
        kind: &'static str,
        file: PathBuf,
    },
    Devices(Vec<DeviceInfo>),
    /// Can I be called? The checks have been told one by one.
    Diagnosis(Box<Diagnosis>),
    Contacts {
        contacts: Vec<Contact>,
        blocked: Arc<BTreeSet<Person>>,
    },
    /// One change of the address book.
    ContactChanged {
        what: Change,
        person: Person,
        name: Option<String>,
    },
    History {
        calls: Vec<HistoryEntry>,
        now_unix_s: i64,
    },
    /// The answer of the process that holds the profile.
    Running {
        verb: &'static str,
        answer: serde_json::Value,
    },
    Demo(DemoResult),
    /// For people only: a step, a question, a hint.
    Note(String),
    /// Why the verb did not do what was asked.
    Failure(Failure),
    /// Why our call came to nothing; people have read it in the sentence about its end.
    CallFailure(Failure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdpStep {
    /// We have put it there.
    Written,
    /// It is to be put there.
    Awaited,
    /// It was there.
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Renamed,
    Removed,
    Blocked,
    Unblocked,
}

/// What `demo` found.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoResult {
    /// Dial to RING.
    pub ring: Duration,
    /// ANSWER at the caller to the first remote sound there.
    pub answer_to_media: Duration,
    pub relayed: bool,
    /// One line on the nominated pair, such as "direct, host to host over udp".
    pub path: String,
    /// What A heard of B, and B of A.
    pub a: Heard,
    pub b: Heard,
    pub took: Duration,
}

/// What one side heard of the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Whether the other side's speech is in the recording.
    pub arrived: bool,
    /// Likeness of the two envelopes, −1..1.
    pub likeness: f32,
    pub loss: Option<f32>,
    /// Capture to playout, median.
    pub delay_ms: Option<f32>,
    /// PESQ-WB (ITU-T P.862.2), MOS-LQO 1..4.64.
    pub quality: Option<f32>,
    pub file: PathBuf,
}

/// A way to say it.
pub trait Output {
    fn event(&mut self, stamped: &Stamped, side: Option<Side>);
    fn report(&mut self, report: &Report);
    /// How people call this person.
    fn introduce(&mut self, person: Person, name: &str);
    /// Whether something on screen changes with time alone, so that [`Output::tick`] should come each second.
    fn ticks(&self) -> bool;
    fn tick(&mut self, now: Instant);
}

/// A sink of its own for tests, standard output otherwise.
pub type Out = Box<dyn Write + Send>;

/// The renderer for standard output.
pub fn for_stdout(json: bool, clock: MonotonicClock, show: Show) -> Box<dyn Output> {
    let out: Out = Box::new(std::io::stdout());
    if json {
        return Box::new(Json::new(out, clock));
    }
    Box::new(Human::new(out, Box::new(std::io::stderr()), Style::of_stdout(), show))
}

#[cfg(test)]
pub(super) mod testing {
    //! A sink whose text can be read back.

    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    pub struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        /// Everything written since the last call.
        pub fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
