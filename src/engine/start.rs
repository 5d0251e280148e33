//! Start-up: profile, threads, runtimes; then the desk takes over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::desk::{self, Furniture};
use super::handle::{Backstage, handle_pair};
use super::profile::{DISPLAY_NAME, Profile};
use super::{
    AudioChoice, Engine, Events, Failure, FailureKind, NetworkChoice, NetworkOptions, Options, Retry, Snapshot,
    SuperPeerMode, sound,
};
use crate::control::{ControlError, ControlServer, ProfileLock};
use crate::identity::PersonKey;
use crate::rendezvous::{Limits, NodeKey, Rendezvous, RendezvousConfig, RendezvousError};
use crate::store::{Opening, Store, StoreError};

impl Engine {
    /// Opens the profile and starts the engine's threads. What is wrong with the profile, the options or the devices
    /// is said here; the network follows as events, first of all [`super::Event::Ready`].
    ///
    /// `wake` is called after each event, from the engine's thread: it must not block.
    pub fn start(options: Options, wake: Arc<dyn Fn() + Send + Sync>) -> Result<(Self, Events), Failure> {
        crate::audio::launched_at();
        let profile = Profile::open(&options.home)?;
        let lock = ProfileLock::acquire(&options.home, "twocans").map_err(|why| profile_in_use(&why))?;
        let me = profile.person_key()?;
        if options.online {
            sound::preflight(&options.audio)?;
        }
        let (store, opening) = Store::open(&profile.database()).map_err(|why| damaged(&why))?;
        let (engine, events, backstage) = handle_pair(Snapshot { home: options.home.clone(), ..Snapshot::default() });
        let preparation = Preparation { options, profile, lock, me, store, opening, backstage, wake };
        let (started, outcome) = std_mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("net".into())
            .spawn(move || net_thread(preparation, &started))
            .map_err(|why| internal(&why))?;
        match outcome.recv() {
            Ok(Ok(())) => Ok((engine, events)),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(internal(&"the engine's thread died at its start")),
        }
    }
}

struct Preparation {
    options: Options,
    profile: Profile,
    lock: ProfileLock,
    me: PersonKey,
    store: Store,
    opening: Opening,
    backstage: Backstage,
    wake: Arc<dyn Fn() + Send + Sync>,
}

fn net_thread(preparation: Preparation, started: &std_mpsc::SyncSender<Result<(), Failure>>) {
    // The waiting side is gone only if its thread died.
    let report = |outcome| drop(started.send(outcome));
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return report(Err(internal(&why))),
    };
    let (media, _media_thread) = match media_thread() {
        Ok(media) => media,
        Err(why) => return report(Err(internal(&why))),
    };
    runtime.block_on(async {
        match furnish(preparation, media).await {
            Ok(furniture) => {
                report(Ok(()));
                desk::run(furniture).await;
            }
            Err(failure) => report(Err(failure)),
        }
    });
    // Tasks of the network that are left have said their goodbyes or had two seconds to do so.
    runtime.shutdown_background();
}

async fn furnish(preparation: Preparation, media: Handle) -> Result<Furniture, Failure> {
    let Preparation { mut options, profile, lock, me, store, opening, backstage, wake } = preparation;
    let (control, asks) = ControlServer::start(&lock).map_err(|why| internal(&why))?;
    let preferences = store.settings().await.unwrap_or_default();
    if options.remember {
        recall(&mut options, &preferences);
    }
    let online = if options.online {
        let config = rendezvous_config(&options, &profile, &me);
        Some(Rendezvous::start(config).await.map_err(|why| network_failure(&why))?)
    } else {
        None
    };
    let first_failures = database_replaced(&opening).into_iter().collect();
    Ok(Furniture { options, preferences, me, store, control, asks, online, media, backstage, wake, first_failures })
}

/// What was chosen last holds where the options say nothing else.
fn recall(options: &mut Options, preferences: &BTreeMap<String, String>) {
    for (key, value) in preferences {
        if let Some(choice) = AudioChoice::from_preference(key, value) {
            choice.apply_where_unsaid(&mut options.audio);
        } else if let Some(choice) = NetworkChoice::from_preference(key, value) {
            choice.apply_where_unsaid(&mut options.network);
        }
    }
    if options.display_name.is_none() {
        options.display_name = preferences.get(DISPLAY_NAME).cloned();
    }
}

/// Media has a thread and a runtime of its own, so that a flood of DHT messages cannot delay audio. It ends when the
/// returned sender is dropped.
fn media_thread() -> std::io::Result<(Handle, oneshot::Sender<()>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::Builder::new().name("media".into()).spawn(move || {
        let _ = runtime.block_on(stopped);
        runtime.shutdown_background();
    })?;
    Ok((handle, stop))
}

fn rendezvous_config(options: &Options, profile: &Profile, me: &PersonKey) -> RendezvousConfig {
    let network = &options.network;
    let server = network.super_peer == SuperPeerMode::Always;
    let volunteer =
        may_volunteer(options).then(|| network.volunteer_after.unwrap_or(RendezvousConfig::VOLUNTEER_AFTER));
    // A client's node is another one each time it starts, so that it cannot be followed; a bare one has nobody to hide.
    let keeps_key = server || (volunteer.is_some() && !options.callable);
    RendezvousConfig {
        person: options.callable.then(|| me.clone()),
        node_key: if keeps_key { NodeKey::Kept(profile.node_key()) } else { NodeKey::Fresh },
        listen: network.listen.clone(),
        bootstrap: network.bootstrap.clone(),
        mdns: network.mdns,
        mainline: network.mainline.then(|| network.mainline_bootstrap.clone()),
        isolated: network.isolated,
        server,
        volunteer,
        treat_as_public: network.treat_as_public.clone(),
        presence_refresh: network.presence_refresh.unwrap_or(RendezvousConfig::PRESENCE_REFRESH),
        peer_cache: Some(profile.peer_cache()),
        limits: if volunteer.is_some() { Limits::volunteer() } else { Limits::default() },
    }
}

/// Only who stays for others to find, and has not asked that their address be kept from everybody.
fn may_volunteer(options: &Options) -> bool {
    let NetworkOptions { super_peer, relay_only, .. } = options.network;
    super_peer == SuperPeerMode::Auto && !relay_only && (options.callable || options.serves)
}

pub(super) fn profile_in_use(why: &ControlError) -> Failure {
    let kind = match why {
        ControlError::InUse { .. } => FailureKind::ProfileInUse,
        _ => FailureKind::ProfileDamaged,
    };
    Failure { kind, retry: Retry::AfterUserAction, detail: why.to_string() }
}

pub(super) fn damaged(why: &StoreError) -> Failure {
    Failure { kind: FailureKind::ProfileDamaged, retry: Retry::AfterUserAction, detail: why.to_string() }
}

fn database_replaced(opening: &Opening) -> Option<Failure> {
    match opening {
        Opening::Fresh | Opening::Existing => None,
        Opening::Replaced { set_aside, why } => Some(Failure {
            kind: FailureKind::ProfileDamaged,
            retry: Retry::Never,
            detail: format!(
                "the address book and history were damaged ({why}); they were set aside as {} and begin anew",
                set_aside.display()
            ),
        }),
    }
}

fn network_failure(why: &RendezvousError) -> Failure {
    let kind = match why {
        RendezvousError::BadListenAddress(_)
        | RendezvousError::BadNodeAddress(_)
        | RendezvousError::BadRange(..)
        | RendezvousError::NotIsolated(_) => FailureKind::Usage,
        RendezvousError::NodeKeyFile { .. } | RendezvousError::NodeKeyDamaged(_) => FailureKind::ProfileDamaged,
        _ => FailureKind::Unreachable,
    };
    Failure { kind, retry: Retry::AfterUserAction, detail: why.to_string() }
}

fn internal(why: &impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Internal, retry: Retry::Later, detail: why.to_string() }
}

/// All sound devices of this machine.
pub fn devices() -> Result<Vec<super::DeviceInfo>, Failure> {
    crate::audio::devices().map_err(|why| sound::device_failure(&why))
}
