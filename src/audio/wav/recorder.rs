//! Takes a recording from the pacing thread, which must not wait for a disk, to a file.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::super::{AudioError, StreamFault, StreamHealth};
use super::WavWriter;
use crate::base::SAMPLE_RATE_HZ;

/// Between two writes: what a kill can cost at most.
const WRITE_EVERY: Duration = Duration::from_millis(250);
/// A disk may stall this long before samples are lost (they become silence, in place).
const RING_SAMPLES: usize = 2 * SAMPLE_RATE_HZ as usize;

/// A WAV file and the thread that fills it. The thread sleeps while nothing is recorded.
#[derive(Debug)]
pub struct Recorder {
    tape: Mutex<Tape>,
    recording: AtomicBool,
    stop: AtomicBool,
    health: Arc<StreamHealth>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Tape {
    ring: Consumer<i16>,
    file: WavWriter,
    block: Vec<i16>,
}

impl Recorder {
    /// Creates the file and the ring into which the recording is pushed.
    pub fn create(path: &Path, health: Arc<StreamHealth>) -> Result<(Arc<Self>, Producer<i16>), AudioError> {
        let file =
            WavWriter::create(path).map_err(|source| AudioError::CannotRecord { path: path.to_owned(), source })?;
        let (producer, ring) = RingBuffer::new(RING_SAMPLES);
        let recorder = Arc::new(Self {
            tape: Mutex::new(Tape { ring, file, block: Vec::with_capacity(RING_SAMPLES) }),
            recording: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            health,
            thread: Mutex::new(None),
        });
        let thread = thread::Builder::new()
            .name("wav-writer".into())
            .spawn({
                let recorder = recorder.clone();
                move || recorder.run()
            })
            .map_err(AudioError::NoThread)?;
        *recorder.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok((recorder, producer))
    }

    /// Empties the file; what is pushed from now on goes into it.
    pub fn begin(&self) {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.discard();
        self.note(tape.file.restart());
        self.recording.store(true, Ordering::Release);
        self.unpark();
    }

    /// Writes what was pushed so far; the file is complete when this returns.
    pub fn finish(&self) {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        if self.recording.swap(false, Ordering::AcqRel) {
            self.note(tape.write());
        }
    }

    /// Finishes and ends the thread.
    pub fn shut_down(&self) {
        self.finish();
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }

    fn run(&self) {
        while !self.stop.load(Ordering::Acquire) {
            if self.recording.load(Ordering::Acquire) {
                thread::park_timeout(WRITE_EVERY);
                let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
                if self.recording.load(Ordering::Acquire) {
                    self.note(tape.write());
                }
            } else {
                thread::park();
            }
        }
    }

    fn unpark(&self) {
        if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.thread().unpark();
        }
    }

    /// A full disk ends the recording, not the call.
    fn note(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the recording cannot be written any more");
            self.recording.store(false, Ordering::Release);
            self.health.report_fault(StreamFault::Broken);
        }
    }
}

impl Tape {
    fn discard(&mut self) {
        let waiting = self.ring.slots();
        if let Ok(chunk) = self.ring.read_chunk(waiting) {
            chunk.commit_all();
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        let waiting = self.ring.slots();
        self.block.clear();
        if let Ok(chunk) = self.ring.read_chunk(waiting) {
            self.block.extend(chunk);
        }
        self.file.append(&self.block)
    }
}
