//! The folder through which two endpoints exchange their descriptions.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cli::exit::usage;
use crate::cli::output::{Report, SdpStep};
use crate::engine::Failure;

/// Longest file that is read, bytes; the engine looks at half as much SDP.
const MAX_FILE: u64 = 128 * 1024;
/// A file that breaks off may be in the middle of being written, by somebody who does not rename it into its place.
const MAY_BE_HALF: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Offer,
    Answer,
}

impl Kind {
    /// As in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
        }
    }
}

/// `RTCSessionDescriptionInit` of WebRTC.
#[derive(Serialize, Deserialize)]
struct Description {
    #[serde(rename = "type")]
    kind: String,
    sdp: String,
}

pub struct Exchange {
    dir: PathBuf,
    /// An answer that was there before our offer is none to it.
    stale: Option<Vec<u8>>,
    half_since: Option<Instant>,
}

impl Exchange {
    /// Makes the folder if there is none.
    ///
    /// # Errors
    /// A usage failure when it cannot be.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(|why| usage(format!("{}: {why}", dir.display())))?;
        Ok(Self { dir: dir.to_path_buf(), stale: None, half_since: None })
    }

    pub fn path(&self, kind: Kind) -> PathBuf {
        self.dir.join(kind.name()).with_extension("json")
    }

    /// What has become of it, to be told.
    pub fn report(&self, kind: Kind, step: SdpStep) -> Report {
        Report::Sdp { step, kind: kind.name(), file: self.path(kind) }
    }

    /// Puts our description into its file, which is never seen half.
    ///
    /// # Errors
    /// A usage failure when the folder does not take it.
    pub fn write(&mut self, kind: Kind, sdp: &str) -> Result<(), Failure> {
        let path = self.path(kind);
        if kind == Kind::Offer {
            self.stale = read_bounded(&self.path(Kind::Answer)).ok().flatten();
        }
        let description = Description { kind: kind.name().to_owned(), sdp: sdp.to_owned() };
        let written = serde_json::to_vec(&description).map_err(io::Error::from).and_then(|bytes| {
            let half = self.dir.join(format!(".{}.json.{}", kind.name(), std::process::id()));
            let whole =
                File::create(&half).and_then(|mut file| file.write_all(&bytes)).and_then(|()| fs::rename(&half, &path));
            if whole.is_err() {
                let _ = fs::remove_file(&half);
            }
            whole
        });
        written.map_err(|why| usage(format!("{}: {why}", path.display())))
    }

    /// The other side's description; `None` while it is not there.
    ///
    /// # Errors
    /// A usage failure that says what is wrong with the file.
    pub fn read(&mut self, kind: Kind, now: Instant) -> Result<Option<String>, Failure> {
        let path = self.path(kind);
        let refuse = |why: &str| usage(format!("{}: {why}", path.display()));
        let bytes = match read_bounded(&path) {
            Ok(Some(bytes)) if self.stale.as_ref() != Some(&bytes) => bytes,
            Ok(_) => return Ok(None),
            Err(why) => return Err(refuse(&why.to_string())),
        };
        let description: Description = match serde_json::from_slice(&bytes) {
            Ok(description) => description,
            Err(why) if why.is_eof() => {
                let since = *self.half_since.get_or_insert(now);
                if now.saturating_duration_since(since) < MAY_BE_HALF {
                    return Ok(None);
                }
                return Err(refuse("it breaks off"));
            }
            Err(why) => return Err(refuse(&format!("it is not {{\"type\", \"sdp\"}} in JSON ({why})"))),
        };
        if description.kind != kind.name() {
            return Err(refuse(&format!("its type is not \"{}\"", kind.name())));
        }
        Ok(Some(description.sdp))
    }
}

/// `None` when there is no such file.
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::metadata(path) {
        // Reading from a pipe or a device might never end.
        Ok(about) if about.is_file() => File::open(path)?,
        Ok(_) => return Err(io::Error::other("it is no file")),
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is too long"));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Exchange) {
        let folder = tempfile::TempDir::with_prefix("twocans-sdp-").unwrap();
        let exchange = Exchange::open(&folder.path().join("new")).unwrap();
        (folder, exchange)
    }

    #[test]
    fn what_one_writes_the_other_reads() {
        let (_folder, mut exchange) = folder();
        let now = Instant::now();
        assert_eq!(exchange.read(Kind::Offer, now), Ok(None));
        exchange.write(Kind::Offer, "v=0\r\n").unwrap();
        assert_eq!(exchange.read(Kind::Offer, now).unwrap().as_deref(), Some("v=0\r\n"));
        let names: Vec<_> = fs::read_dir(&exchange.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["offer.json"], "no half file is left");
    }

    #[test]
    fn an_answer_from_before_the_offer_is_passed_over() {
        let (_folder, mut exchange) = folder();
        let now = Instant::now();
        exchange.write(Kind::Answer, "old").unwrap();
        exchange.write(Kind::Offer, "v=0\r\n").unwrap();
        assert_eq!(exchange.read(Kind::Answer, now), Ok(None));
        exchange.write(Kind::Answer, "new").unwrap();
        assert_eq!(exchange.read(Kind::Answer, now).unwrap().as_deref(), Some("new"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let (_folder, mut exchange) = folder();
        let now = Instant::now();
        let mut refusal = |text: &[u8], at| {
            fs::write(exchange.path(Kind::Offer), text).unwrap();
            exchange.read(Kind::Offer, at).map_err(|failure| failure.detail)
        };
        let long = vec![b' '; MAX_FILE as usize + 1];
        for (text, why) in [
            (&b"{\"type\":\"answer\",\"sdp\":\"\"}"[..], "its type is not \"offer\""),
            (b"{\"type\":\"offer\"}", "missing field"),
            (b"[1]", "is not {\"type\", \"sdp\"}"),
            (b"\xff\xfe", "is not {\"type\", \"sdp\"}"),
            (&long, "too long"),
        ] {
            assert!(refusal(text, now).unwrap_err().contains(why), "{why}");
        }
        assert_eq!(refusal(b"{\"type\":\"off", now), Ok(None), "it may be written just now");
        assert!(refusal(b"{\"type\":\"off", now + MAY_BE_HALF).unwrap_err().contains("breaks off"));
    }
}
