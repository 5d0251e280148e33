//! The talk key on Wayland: the desktop's GlobalShortcuts portal, which asks the user and tells press and release.

use ashpd::desktop::global_shortcuts::{BindShortcutsOptions, GlobalShortcuts, NewShortcut};
use ashpd::desktop::{CreateSessionOptions, Session};
use futures::StreamExt;
use tokio::sync::watch;

use super::services::{Outbox, Service};
use super::talk_key::{Combination, tell};
use crate::engine::Engine;
use crate::ui::words;

/// Our one shortcut.
const TALK: &str = "talk";

/// Until `stopped`, or until the desktop ends it.
pub async fn serve(
    bus: zbus::Connection,
    wanted: Combination,
    engine: Engine,
    outbox: Outbox,
    mut stopped: watch::Receiver<bool>,
) {
    let served = match open(&bus).await {
        Ok((portal, session)) => {
            let served = tokio::select! {
                served = listen(&portal, &session, &wanted, &engine, &outbox) => served,
                _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
            };
            // The key is free again at once, unless the desktop has closed the session itself.
            let _ = session.close().await;
            served
        }
        Err(why) => Err(why),
    };
    tell(&engine, false);
    if let Err(why) = served {
        let why = Service::Fails(words::no_talk_key(&why.to_string()));
        outbox.say("talk key", |status| &mut status.talk_key, why);
    }
}

async fn open(bus: &zbus::Connection) -> Result<(GlobalShortcuts, Session<GlobalShortcuts>), ashpd::Error> {
    let portal = GlobalShortcuts::with_connection(bus.clone()).await?;
    let session = portal.create_session(CreateSessionOptions::default()).await?;
    Ok((portal, session))
}

/// Returns when the desktop refuses or ends it. It may ask the user first, who answers when they like.
async fn listen(
    portal: &GlobalShortcuts,
    session: &Session<GlobalShortcuts>,
    wanted: &Combination,
    engine: &Engine,
    outbox: &Outbox,
) -> Result<(), ashpd::Error> {
    let (mut pressed, mut released) = (portal.receive_activated().await?, portal.receive_deactivated().await?);
    let trigger = wanted.trigger();
    let talk = NewShortcut::new(TALK, words::TALK_KEY_SHORTCUT.text()).preferred_trigger(trigger.as_str());
    let bound = portal.bind_shortcuts(session, &[talk], None, BindShortcutsOptions::default()).await?;
    bound.response()?;
    outbox.say("talk key", |status| &mut status.talk_key, Service::Works);
    loop {
        tokio::select! {
            Some(press) = pressed.next() => if press.shortcut_id() == TALK { tell(engine, true) },
            Some(release) = released.next() => if release.shortcut_id() == TALK { tell(engine, false) },
            else => return Ok(()),
        }
    }
}
