//! A running engine, its user and its output, joined in one loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until, timeout};

use super::clock;
use super::driver::{Action, Driver, Input};
use super::exit::{Exit, internal};
use super::interrupt::Interrupts;
use super::keys::{Key, Keyboard};
use super::output::{Output, Report};
use crate::engine::{CommandKind, CommandResult, Engine, Event, Events, Failure, Options, Reply, Snapshot, Stamped};

/// How long good-byes and the withdrawal of our presence may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often the live line moves.
const TICK: Duration = Duration::from_secs(1);

/// An engine with a front end that speaks and listens.
pub struct Session<'a> {
    engine: Engine,
    events: Events,
    out: &'a mut dyn Output,
    interrupts: Interrupts,
    keyboard: Option<Keyboard>,
    /// Events that passed while a command was awaited.
    passed: VecDeque<Stamped>,
}

enum Turn {
    Event(Box<Stamped>),
    Key(Key),
    Interrupt,
    Deadline,
    Tick,
    Stopped,
}

impl<'a> Session<'a> {
    /// Starts an engine. Needs a runtime.
    ///
    /// # Errors
    /// When the profile is in use or damaged, or the network cannot be opened.
    pub fn start(options: Options, out: &'a mut dyn Output) -> Result<Self, Failure> {
        let interrupts = Interrupts::listen()?;
        let (engine, events) = Engine::start(options, Arc::new(|| {}))?;
        Ok(Self { engine, events, out, interrupts, keyboard: None, passed: VecDeque::new() })
    }

    pub fn say(&mut self, report: &Report) {
        self.out.report(report);
    }

    pub fn out(&mut self) -> &mut dyn Output {
        self.out
    }

    /// The engine's current truth.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.engine.snapshot()
    }

    /// Sends a command and waits for its result; what else happens meanwhile is kept for [`Session::run`].
    ///
    /// # Errors
    /// As the command.
    pub async fn command(&mut self, kind: CommandKind) -> CommandResult {
        let id = self.engine.send(kind).map_err(|why| internal(why.to_string()))?;
        loop {
            let stamped = tokio::select! {
                stamped = self.events.recv() => stamped,
                () = self.interrupts.next() => return Err(internal("interrupted")),
            };
            match stamped {
                Some(Stamped { event: Event::CommandFinished { id: finished, result }, .. }) if finished == id => {
                    return result;
                }
                Some(stamped) => self.passed.push_back(stamped),
                None => return Err(internal("the engine stopped unexpectedly; the log says why")),
            }
        }
    }

    /// The address book, whose names the output uses from now on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn contacts(&mut self) -> Result<Vec<crate::engine::Contact>, Failure> {
        let Reply::Contacts(contacts) = self.command(CommandKind::ListContacts).await? else {
            return Err(internal("the engine answered something else than contacts"));
        };
        for contact in &contacts {
            if let Some(name) = &contact.name {
                self.out.introduce(contact.person, name);
            }
        }
        Ok(contacts)
    }

    /// Runs until the driver is done, then says good-bye to everybody.
    ///
    /// # Errors
    /// When the terminal gives no keys.
    pub async fn run(mut self, driver: &mut dyn Driver) -> Result<Exit, Failure> {
        let result = self.turns(driver).await;
        self.keyboard = None;
        self.close().await;
        result
    }

    /// As [`Session::close`], for verbs whose user does not care that there was an engine at all.
    pub async fn close_quietly(mut self) {
        if self.engine.send(CommandKind::Shutdown).is_ok() {
            let stopped = async { while self.events.recv().await.is_some_and(|last| last.event != Event::Stopped) {} };
            let _ = timeout(FAREWELL, stopped).await;
        }
    }

    /// Stops the engine and shows what it still says. A second Ctrl-C or [`FAREWELL`] ends the wait.
    pub async fn close(mut self) {
        if self.engine.send(CommandKind::Shutdown).is_err() {
            return;
        }
        let farewell = async {
            while let Some(stamped) = self.events.recv().await {
                self.out.event(&stamped, None);
                if stamped.event == Event::Stopped {
                    break;
                }
            }
        };
        tokio::select! {
            done = timeout(FAREWELL, farewell) => {
                if done.is_err() {
                    tracing::warn!("the engine did not stop in time");
                }
            }
            () = self.interrupts.next() => {}
        }
    }

    async fn turns(&mut self, driver: &mut dyn Driver) -> Result<Exit, Failure> {
        let mut impatient = false;
        loop {
            let turn = self.turn(driver.deadline()).await;
            let now = clock::now();
            let actions = match turn {
                Turn::Event(stamped) => {
                    self.out.event(&stamped, None);
                    // What happens to the calls between members of a group is the group's business, but for their end: one
                    // of them may be the call that became a group.
                    if stamped.group.is_some() && !matches!(stamped.event, Event::Ended { .. }) {
                        continue;
                    }
                    driver.handle(Input::Event(&stamped.event), now)
                }
                Turn::Key(Key::Quit) | Turn::Interrupt if impatient => return Ok(Exit::Fine),
                Turn::Key(key) => {
                    impatient |= key == Key::Quit;
                    driver.handle(Input::Key(key), now)
                }
                Turn::Interrupt => {
                    impatient = true;
                    driver.handle(Input::Interrupt, now)
                }
                Turn::Deadline => driver.handle(Input::Deadline, now),
                Turn::Tick => {
                    self.out.tick(now);
                    Vec::new()
                }
                Turn::Stopped => return Err(internal("the engine stopped unexpectedly; the log says why")),
            };
            for action in actions {
                if let Some(exit) = self.carry_out(action)? {
                    return Ok(exit);
                }
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Result<Option<Exit>, Failure> {
        match action {
            Action::Command(kind) => {
                self.engine.send(kind).map_err(|why| internal(why.to_string()))?;
            }
            Action::Say(report) => self.out.report(&report),
            Action::Keys(true) if self.keyboard.is_none() && Keyboard::is_there() => {
                self.keyboard = Some(Keyboard::open()?);
            }
            Action::Keys(true) => {}
            Action::Keys(false) => self.keyboard = None,
            Action::Exit(exit) => return Ok(Some(exit)),
        }
        Ok(None)
    }

    async fn turn(&mut self, deadline: Option<Instant>) -> Turn {
        if let Some(stamped) = self.passed.pop_front() {
            return Turn::Event(Box::new(stamped));
        }
        let ticks = self.out.ticks();
        let due = async {
            match deadline {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let key = async {
            match &mut self.keyboard {
                Some(keyboard) => keyboard.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.interrupts.next() => Turn::Interrupt,
            key = key => match key {
                Some(key) => Turn::Key(key),
                None => {
                    self.keyboard = None;
                    Turn::Interrupt
                }
            },
            stamped = self.events.recv() => match stamped {
                Some(Stamped { event: Event::Stopped, .. }) | None => Turn::Stopped,
                Some(stamped) => Turn::Event(Box::new(stamped)),
            },
            () = due => Turn::Deadline,
            () = sleep(TICK), if ticks => Turn::Tick,
        }
    }
}
