//! Notifications: who calls, with Answer and Decline, and whose call was missed.
//!
//! They are shown while the window is not in front (org.freedesktop.Notifications, Desktop Notifications Specification
//! 1.2), and taken back as soon as they are out of date.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::timeout;
use zbus::zvariant::Value;

use super::scene::{Caller, Scene};
use super::services::{Outbox, Service, Window, Wish};
use crate::base::Person;
use crate::engine::{EndReason, Engine, Event, GroupEvent, LeftReason, Stamped, name_of_nameless};
use crate::ui::view::TalkId;
use crate::ui::words;

/// As long as the D-Bus libraries of others wait; a server may have to be started first.
const PATIENCE: Duration = Duration::from_secs(25);
/// Missed calls whose notification can be clicked; that of an older one does nothing any more.
const MISSED: usize = 8;

/// The keys of the actions; the words that people read are in [`words`].
const ANSWER: &str = "answer";
const DECLINE: &str = "decline";
const CALL_BACK: &str = "call-back";
/// A click on the notification itself.
const CLICK: &str = "default";

#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications",
    gen_blocking = false
)]
trait Notifications {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    #[allow(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Value<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;

    fn close_notification(&self, id: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: &str) -> zbus::Result<()>;
}

/// Runs until the client ends.
pub async fn serve(mut engine: Engine, mut window: watch::Receiver<Window>, outbox: Outbox, bus: zbus::Connection) {
    let say = |is| outbox.say("notifications", |status| &mut status.notifications, is);
    let (server, mut actions) = match connect(&bus).await {
        Ok(both) => both,
        Err(why) => return say(Service::Fails(words::no_notifications(&why.to_string()))),
    };
    let mut notices = Notices { server, ringing: None, missed: VecDeque::new(), rang: None };
    // Asks whether there is a server before anybody rings, and has the desktop start it.
    say(match notices.capabilities().await {
        Ok(_) => Service::Works,
        Err(why) => Service::Fails(why),
    });
    let mut events = engine.subscribe();
    loop {
        let focused = window.borrow_and_update().focused;
        let now = engine.snapshot();
        words::speak_as_chosen(&now.preferences);
        if let Some(is) = notices.follow(&Scene::of(&now), focused).await {
            say(is);
        }
        tokio::select! {
            alive = engine.changed() => if !alive { break },
            event = events.recv() => match event {
                Some(stamped) => if let Some(is) = notices.heard(&stamped, focused).await {
                    say(is);
                },
                None => break,
            },
            Some(action) = actions.next() => if let Ok(action) = action.args() {
                notices.act(action.id, action.action_key, &engine, &outbox);
            },
            changed = window.changed() => if changed.is_err() || window.borrow().leaving { break },
        }
    }
    notices.follow(&Scene::default(), false).await;
}

async fn connect(bus: &zbus::Connection) -> zbus::Result<(NotificationsProxy<'static>, ActionInvokedStream)> {
    let server = NotificationsProxy::builder(bus).cache_properties(zbus::proxy::CacheProperties::No).build().await?;
    let actions = server.receive_action_invoked().await?;
    Ok((server, actions))
}

struct Notices {
    server: NotificationsProxy<'static>,
    /// Which call's notification is shown; without a number where that did not work.
    ringing: Option<(TalkId, Option<u32>)>,
    /// Newest last.
    missed: VecDeque<(u32, Person)>,
    /// Who rang last, until that call is over.
    rang: Option<(TalkId, Person, String)>,
}

impl Notices {
    /// Shows who rings while the window is not in front, and nobody else. What became of it, if something was shown.
    async fn follow(&mut self, scene: &Scene, focused: bool) -> Option<Service> {
        let wanted = scene.rings.as_ref().filter(|_| !focused);
        if self.ringing.map(|(talk, _)| talk) == wanted.map(|caller| caller.talk) {
            return None;
        }
        if let Some((_, Some(id))) = self.ringing.take() {
            self.withdraw(id).await;
        }
        let caller = wanted?;
        let (id, is) = told(self.ring(caller).await);
        self.ringing = Some((caller.talk, id));
        Some(is)
    }

    /// Notices who rings and that it was in vain.
    async fn heard(&mut self, stamped: &Stamped, focused: bool) -> Option<Service> {
        match (&stamped.event, stamped.group) {
            (Event::Group { group, event: GroupEvent::Invited { by, name, .. } }, _) => {
                self.rings(TalkId::Group(*group), *by, name.as_deref());
                None
            }
            (Event::Group { group, event: GroupEvent::Ended { reason, .. } }, _) => {
                self.is_over(TalkId::Group(*group), *reason == LeftReason::NoAnswer, focused).await
            }
            // The calls of a group ring and end by themselves, and nobody is to be told.
            (_, Some(_)) => None,
            (Event::Incoming { call, from, name, .. }, None) => {
                self.rings(TalkId::Call(*call), *from, name.as_deref());
                None
            }
            (Event::Ended { call, reason, .. }, None) => {
                let in_vain = matches!(reason, EndReason::NoAnswer | EndReason::Cancelled);
                self.is_over(TalkId::Call(*call), in_vain, focused).await
            }
            _ => None,
        }
    }

    fn rings(&mut self, talk: TalkId, person: Person, name: Option<&str>) {
        let name = name.map_or_else(|| name_of_nameless(Some(&person)), str::to_owned);
        self.rang = Some((talk, person, name));
    }

    async fn is_over(&mut self, talk: TalkId, in_vain: bool, focused: bool) -> Option<Service> {
        let (_, person, name) = self.rang.take_if(|(rang, ..)| *rang == talk)?;
        if !in_vain || focused {
            return None;
        }
        let (id, is) = told(self.missed(talk, &name).await);
        if let Some(id) = id {
            self.missed.push_back((id, person));
            if self.missed.len() > MISSED {
                self.missed.pop_front();
            }
        }
        Some(is)
    }

    fn act(&mut self, id: u32, action: &str, engine: &Engine, outbox: &Outbox) {
        let ringing = self.ringing.filter(|(_, shown)| *shown == Some(id)).map(|(talk, _)| talk);
        let missed = self.missed.iter().find(|(shown, _)| *shown == id).map(|(_, person)| *person);
        // Every program's actions are told to all.
        if ringing.is_none() && missed.is_none() {
            return;
        }
        match (action, ringing, missed) {
            (ANSWER, Some(talk), _) => {
                let rang = self.rang.as_ref().filter(|(rang, ..)| *rang == talk && matches!(talk, TalkId::Call(_)));
                let person = rang.map(|(_, person, _)| *person);
                // What is refused now has just ended by itself.
                let _ = engine.send(talk.take());
                outbox.wish(Wish::ShowCall(person));
            }
            (DECLINE, Some(talk), _) => drop(engine.send(talk.refuse())),
            (CALL_BACK, _, Some(person)) => outbox.wish(Wish::CallBack(person)),
            (CLICK, ..) => outbox.wish(Wish::Show),
            (..) => {}
        }
    }

    async fn ring(&self, caller: &Caller) -> Result<u32, String> {
        let (title, body, yes) = match (caller.talk, caller.known) {
            (TalkId::Call(_), true) => (words::INCOMING, words::calls_you as fn(&str) -> String, words::ANSWER),
            (TalkId::Call(_), false) => (words::INCOMING, words::stranger_calls_you as _, words::ANSWER),
            (TalkId::Group(_), true) => (words::GROUP_CALL, words::invites_you as _, words::JOIN),
            (TalkId::Group(_), false) => (words::GROUP_CALL, words::stranger_invites_you as _, words::JOIN),
        };
        let actions = [ANSWER, &yes, DECLINE, &words::DECLINE, CLICK, &words::OPEN];
        // Critical ones stay until they are taken back.
        let hints = hints("call.incoming", 2);
        self.show(&title, body, &caller.name, &actions, hints, 0).await
    }

    async fn missed(&self, talk: TalkId, name: &str) -> Result<u32, String> {
        let title = match talk {
            TalkId::Call(_) => words::MISSED,
            TalkId::Group(_) => words::PAST_GROUP_MISSED,
        };
        let actions = [CALL_BACK, &words::CALL_BACK, CLICK, &words::OPEN];
        let hints = hints("call.unanswered", 1);
        self.show(&title, words::from, name, &actions, hints, -1).await
    }

    /// The name belongs into the body: what a summary may look like differs between servers.
    async fn show(
        &self,
        summary: &str,
        body: fn(&str) -> String,
        name: &str,
        actions: &[&str],
        hints: HashMap<&str, Value<'_>>,
        expire_ms: i32,
    ) -> Result<u32, String> {
        let markup = self.capabilities().await?.iter().any(|capability| capability == "body-markup");
        let body = body(&if markup { escaped(name) } else { name.to_owned() });
        let shown = self.server.notify(&words::TITLE, 0, "twocans", summary, &body, actions, hints, expire_ms);
        within_patience(shown).await
    }

    async fn capabilities(&self) -> Result<Vec<String>, String> {
        within_patience(self.server.get_capabilities()).await
    }

    async fn withdraw(&self, id: u32) {
        // One that is closed already cannot be closed, and need not be.
        let _ = within_patience(self.server.close_notification(id)).await;
    }
}

fn told(shown: Result<u32, String>) -> (Option<u32>, Service) {
    match shown {
        Ok(id) => (Some(id), Service::Works),
        Err(why) => (None, Service::Fails(why)),
    }
}

fn hints(category: &'static str, urgency: u8) -> HashMap<&'static str, Value<'static>> {
    HashMap::from([
        ("category", Value::from(category)),
        ("urgency", Value::from(urgency)),
        ("desktop-entry", Value::from("twocans")),
    ])
}

async fn within_patience<T>(answer: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(why)) => Err(words::no_notifications(&why.to_string())),
        Err(_) => Err(words::no_notifications(&words::NO_ANSWER)),
    }
}

/// Names come from others and may look like markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_markup() {
        assert_eq!(escaped("<b>Ada</b> & 'Co'"), "&lt;b&gt;Ada&lt;/b&gt; &amp; &#39;Co&#39;");
    }
}
