//! `demo`: a whole call on this machine, with nobody outside taking part.
//!
//! Three nodes form a DHT; Alice looks Bob up in it, rings him, and each plays recorded speech to the other. What
//! arrives is written to files and compared with what was spoken.

mod stage;
mod verdict;

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::base::CallId;
use crate::cli::clock;
use crate::cli::exit::{Exit, failure_of, internal};
use crate::cli::interrupt::Interrupts;
use crate::cli::output::{DemoResult, Heard, Output, Report, Side};
use crate::engine::{CommandKind, EndReason, Event, Failure, FailureKind, MediaPath, Retry, Stamped, Summary};

use stage::Stage;

/// A step that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// Talk goes on for so long after the longer speech has been spoken, so that its end arrives.
const TAIL: Duration = Duration::from_millis(500);

pub async fn run(folder: &Path, out: &mut dyn Output) -> Result<Exit, Failure> {
    let began = clock::now();
    let mut interrupts = Interrupts::listen()?;
    out.report(&Report::Note("A real call on this machine: three nodes, Alice and Bob. Nothing leaves it.".into()));
    let mut stage = Stage::build(folder)?;
    let played = tokio::select! {
        played = play(&mut stage, out) => Some(played),
        () = interrupts.next() => None,
    };
    stage.close(out).await;
    let Some(call) = played.transpose()? else { return Ok(Exit::Fine) };

    out.report(&Report::Note("Comparing what was heard with what was spoken.".into()));
    let (alice, bob) = (stage.alice.clone(), stage.bob.clone());
    let (a, b) = tokio::try_join!(verdict::judge(bob.speech, alice.heard), verdict::judge(alice.speech, bob.heard))?;
    let result = DemoResult {
        ring: call.ring,
        answer_to_media: call.answer_to_media,
        relayed: call.path.is_relayed(),
        path: crate::cli::output::path_sentence(&call.path),
        a: Heard { loss: call.a.loss, delay_ms: call.a.delay_ms_p50, ..a },
        b: Heard { loss: call.b.loss, delay_ms: call.b.delay_ms_p50, ..b },
        took: clock::now().saturating_duration_since(began),
    };
    let arrived = result.a.arrived && result.b.arrived;
    out.report(&Report::Demo(result));
    Ok(if arrived { Exit::Fine } else { Exit::Other })
}

/// What the two engines said of the call.
struct Played {
    ring: Duration,
    answer_to_media: Duration,
    path: MediaPath,
    a: Summary,
    b: Summary,
}

async fn play(stage: &mut Stage, out: &mut dyn Output) -> Result<Played, Failure> {
    stage.open(out).await?;
    let ring_timeout = PATIENCE;
    let to = stage.bob.link.clone();
    stage.send(Side::A, CommandKind::Dial { to, ring_timeout })?;

    let (mut ring, mut connected) = (None, [None, None]);
    let mut due = clock::now() + PATIENCE;
    while connected.iter().any(Option::is_none) {
        let (side, stamped) = stage.next_before(due, out, "the call was not connected in time").await?;
        match stamped.event {
            Event::Ringing { took, .. } => ring = Some(took),
            Event::Incoming { call, .. } => {
                stage.send(Side::B, CommandKind::Answer { call })?;
                due = clock::now() + PATIENCE;
            }
            Event::Connected { call, answer_to_media, path, .. } => {
                connected[side as usize] = Some((call, answer_to_media, path));
            }
            other => give_up_on(&other)?,
        }
    }
    let [Some((call, answer_to_media, path)), Some(_)] = connected else {
        return Err(internal("the call was not connected"));
    };

    listen(stage, out, stage.speech_length() + TAIL).await?;
    stage.send(Side::A, CommandKind::HangUp { call, reason: EndReason::HangUp })?;
    let (a, b) = summaries(stage, out, call).await?;
    Ok(Played { ring: ring.unwrap_or_default(), answer_to_media, path, a, b })
}

async fn listen(stage: &mut Stage, out: &mut dyn Output, length: Duration) -> Result<(), Failure> {
    let seconds = length.as_secs_f32();
    out.report(&Report::Note(format!("Alice and Bob speak to each other for {seconds:.0} s.")));
    let end = clock::now() + length;
    while let Some((_, stamped)) = stage.next_until(end, out).await? {
        give_up_on(&stamped.event)?;
    }
    Ok(())
}

async fn summaries(stage: &mut Stage, out: &mut dyn Output, of: CallId) -> Result<(Summary, Summary), Failure> {
    let due = clock::now() + PATIENCE;
    let mut ended: [Option<Summary>; 2] = [None, None];
    loop {
        if let [Some(a), Some(b)] = ended {
            return Ok((a, b));
        }
        let (side, stamped) = stage.next_before(due, out, "the call did not end in time").await?;
        if let Event::Ended { call, summary, .. } = stamped.event
            && call == of
        {
            ended[side as usize] = Some(summary);
        }
    }
}

/// Ends the demo when the call cannot go on.
fn give_up_on(event: &Event) -> Result<(), Failure> {
    match event {
        Event::Ended { reason, .. } => {
            let surprise = || internal(format!("the call ended too early ({reason:?})"));
            Err(match reason {
                EndReason::HangUp | EndReason::RemoteHangUp => surprise(),
                reason => failure_of(*reason, "Bob", None).unwrap_or_else(surprise),
            })
        }
        Event::CommandFinished { result: Err(failure), .. } | Event::Failed(failure) => Err(failure.clone()),
        _ => Ok(()),
    }
}

/// A step of the demo that took too long.
fn too_slow(step: &str) -> Failure {
    Failure {
        kind: FailureKind::Unreachable,
        retry: Retry::Later,
        detail: format!("{step}; run again with --log debug to see why"),
    }
}

/// Sleeps until `at`.
async fn until(at: Instant) {
    sleep(at.saturating_duration_since(clock::now())).await;
}

/// One side's event.
type Told = (Side, Stamped);
