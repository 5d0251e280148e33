//! Links in pictures: a photograph or screenshot of a QR code that is dropped onto the window or pasted into it.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};

use arboard::Clipboard;
use eframe::egui::{Context, Event, Key};
use image::{DynamicImage, ImageReader, Limits, RgbaImage};
use rqrr::PreparedImage;

use super::words::{self, Word};

/// What a camera makes is smaller; a picture that claims more was made to exhaust the machine.
const LARGEST_SIDE: u32 = 12_000;
const MOST_MEMORY: u64 = 512 << 20;
/// More detail finds no code that less does not, and takes longer.
const USEFUL_SIDE: u32 = 2_000;

/// Where a picture is.
#[derive(Debug)]
pub enum Source {
    File(PathBuf),
    Clipboard,
}

/// Notices when somebody pastes what is no text, of which the window's toolkit says nothing: the key that pastes comes up
/// again, and neither was it typed nor came text of it.
#[derive(Debug, Default)]
pub struct PasteWatch {
    accounted_for: bool,
}

impl PasteWatch {
    /// To be told all events; true when something else than text is to be pasted.
    pub fn is_pasted<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>) -> bool {
        let mut pasted = false;
        for event in events {
            match event {
                Event::Key { key: Key::V, pressed: true, .. } | Event::Paste(_) => self.accounted_for = true,
                Event::Key { key: Key::V, pressed: false, .. } => {
                    pasted |= !std::mem::take(&mut self.accounted_for);
                }
                _ => {}
            }
        }
        pasted
    }
}

/// A picture that is looked at on a thread of its own.
pub struct Reading {
    outcome: Receiver<Result<String, Word>>,
}

impl Reading {
    /// `ctx` is woken when the outcome is known.
    pub fn start(ctx: Context, source: Source) -> Self {
        let (tell, outcome) = mpsc::sync_channel(1);
        let read = move || {
            let picture = match &source {
                Source::File(file) => in_file(file),
                Source::Clipboard => in_clipboard(),
            };
            let _ = tell.send(picture.and_then(link_in));
            ctx.request_repaint();
        };
        // Without a thread the sender is dropped, and the outcome is that nothing was found.
        let _ = std::thread::Builder::new().name("picture".into()).spawn(read);
        Self { outcome }
    }

    /// The text of the code, or why there is none; `None` while it is not known.
    pub fn outcome(&self) -> Option<Result<String, Word>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => Some(Err(words::NO_PICTURE)),
        }
    }
}

fn in_file(file: &PathBuf) -> Result<DynamicImage, Word> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST_SIDE), Some(LARGEST_SIDE));
    limits.max_alloc = Some(MOST_MEMORY);
    let reader = ImageReader::open(file).and_then(ImageReader::with_guessed_format);
    let mut reader = reader.map_err(|_| words::NO_PICTURE)?;
    reader.limits(limits);
    reader.decode().map_err(|_| words::NO_PICTURE)
}

/// Programs of the same user put it there; one that takes more than half a gigabyte is refused when it is read.
fn in_clipboard() -> Result<DynamicImage, Word> {
    let taken = Clipboard::new().and_then(|mut clipboard| clipboard.get_image());
    let taken = taken.map_err(|why| match why {
        arboard::Error::ContentNotAvailable => words::NOTHING_TO_PASTE,
        arboard::Error::ConversionFailure => words::NO_PICTURE_PASTED,
        _ => words::NO_CLIPBOARD,
    })?;
    let side = |length: usize| u32::try_from(length).ok().filter(|length| *length <= LARGEST_SIDE);
    let (width, height) = side(taken.width).zip(side(taken.height)).ok_or(words::NO_PICTURE_PASTED)?;
    let picture = RgbaImage::from_raw(width, height, taken.bytes.into_owned()).ok_or(words::NO_PICTURE_PASTED)?;
    Ok(picture.into())
}

/// The first code in a picture that is a link of ours, or else the first that can be read.
fn link_in(picture: DynamicImage) -> Result<String, Word> {
    let picture = if picture.width().max(picture.height()) > USEFUL_SIDE {
        picture.thumbnail(USEFUL_SIDE, USEFUL_SIDE)
    } else {
        picture
    };
    let grey = picture.to_luma8();
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let shade = |x: usize, y: usize| grey.as_raw().get(y * width + x).copied().unwrap_or(255);
    let mut prepared = PreparedImage::prepare_from_greyscale(width, height, shade);
    let mut texts = prepared.detect_grids().into_iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text);
    let first = texts.next().ok_or(words::NO_CODE)?;
    let is_link = |text: &String| text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("twocans:"));
    if is_link(&first) { Ok(first) } else { texts.find(is_link).ok_or(words::NO_LINK_IN_CODE) }
}

#[cfg(test)]
mod tests {
    use eframe::egui::Modifiers;
    use image::{GrayImage, Luma};
    use qrcode::{Color, QrCode};

    use super::*;

    /// A code of `text` on white, each module so many pixels wide.
    fn picture_of(text: &str, module: u32) -> GrayImage {
        let code = QrCode::new(text).unwrap();
        let side = code.width() as u32;
        GrayImage::from_fn((side + 8) * module, (side + 8) * module, |x, y| {
            let at = |pixel: u32| (pixel / module).checked_sub(4).filter(|at| *at < side);
            let dark = at(x).zip(at(y)).is_some_and(|(x, y)| code[(x as usize, y as usize)] == Color::Dark);
            Luma([if dark { 20 } else { 250 }])
        })
    }

    fn read_of(picture: &GrayImage) -> Result<String, Word> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("picture.png");
        picture.save(&file).unwrap();
        in_file(&file).and_then(link_in)
    }

    #[test]
    fn a_link_is_read_from_a_picture_of_its_code() {
        let link = "TWOCANS:118HCOONDTBMGBYBOF9N8A5PRUBJ7U38IORCNU86E5XQZBZF4D1Y";
        for module in [4, 9, 60] {
            assert_eq!(read_of(&picture_of(link, module)), Ok(link.to_owned()), "{module} pixels");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        assert_eq!(read_of(&picture_of("https://example.org", 6)), Err(words::NO_LINK_IN_CODE));
        assert_eq!(read_of(&GrayImage::from_pixel(200, 200, Luma([128]))), Err(words::NO_CODE));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("picture.png");
        std::fs::write(&file, b"\x89PNG\r\n\x1a\nnothing").unwrap();
        assert_eq!(in_file(&file), Err(words::NO_PICTURE));
        assert_eq!(in_file(&folder.path().join("missing")), Err(words::NO_PICTURE));
    }

    #[test]
    fn a_picture_is_pasted_when_the_key_comes_up_that_brought_no_text() {
        let key = |pressed| {
            let modifiers = if pressed { Modifiers::NONE } else { Modifiers::COMMAND };
            Event::Key { key: Key::V, physical_key: None, pressed, repeat: false, modifiers }
        };
        let mut watch = PasteWatch::default();
        assert!(!watch.is_pasted(&[key(true), Event::Text("v".into())]), "it is typed");
        assert!(!watch.is_pasted(&[key(false)]));
        assert!(!watch.is_pasted(&[Event::Paste("text".into())]));
        assert!(!watch.is_pasted(&[key(false)]), "it was text");
        assert!(watch.is_pasted(&[key(false)]), "the key came up without anything before");
        assert!(!watch.is_pasted(&[Event::Copy]));
    }
}
