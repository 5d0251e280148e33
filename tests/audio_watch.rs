//! Devices that come and go during a call, with a real PulseAudio: unplugging is unloading the virtual device.

mod common;

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::device_lab::{Lab, in_lab};
use twocans::audio::{
    AudioRole, Change, SinkSpec, Sound, SourceSpec, Wake, Watch, WatchNews, WatchOptions, open_input, open_output,
};

const MS: Duration = Duration::from_millis(1);

/// Two speakers and two microphones; the first of each is the default. What they play and hear does not matter.
const TWO_HEADSETS: &str = "
load-module module-null-sink sink_name=b rate=48000 channels=1 norewinds=1
load-module module-null-sink sink_name=a rate=48000 channels=1 norewinds=1
load-module module-null-sink sink_name=hall_b rate=44100 channels=1 norewinds=1
load-module module-null-sink sink_name=hall_a rate=48000 channels=1 norewinds=1
load-module module-remap-source source_name=mic_b master=hall_b.monitor
load-module module-remap-source source_name=mic_a master=hall_a.monitor
set-default-sink a
set-default-source mic_a";

struct Call {
    watch: Watch,
    news: Receiver<(Instant, WatchNews)>,
}

impl Call {
    fn start(microphone: SourceSpec, speaker: SinkSpec) -> Self {
        let input = open_input(&microphone, 480, Wake::nobody()).unwrap();
        let output = open_output(&speaker, 480, Wake::nobody()).unwrap();
        let options = WatchOptions {
            microphone: (microphone, input.stream),
            speaker: (speaker, output.stream),
            frames: 480,
            wake: Wake::nobody(),
        };
        let (sender, news) = channel();
        let watch = Watch::start(options, move |news| sender.send((Instant::now(), news)).unwrap()).unwrap();
        thread::sleep(700 * MS);
        let call = Self { watch, news };
        call.nothing_new();
        call
    }

    fn default() -> Self {
        Self::start(SourceSpec::Default, SinkSpec::Default)
    }

    /// The next change, which must come within a time.
    fn change(&self, within: Duration) -> (Instant, Change) {
        match self.news.recv_timeout(within) {
            Ok((at, WatchNews::Changed(change))) => (at, change),
            other => panic!("{other:?}"),
        }
    }

    /// The next change of a role that ends on a device; others (the stand-in) are let pass.
    fn device(&self, role: AudioRole, within: Duration) -> (Instant, Change) {
        let deadline = Instant::now() + within;
        loop {
            let (at, change) = self.change(deadline.saturating_duration_since(Instant::now()));
            if change.role == role && change.to.is_some() {
                return (at, change);
            }
        }
    }

    fn nothing_new(&self) {
        assert!(self.news.try_recv().is_err(), "news without reason");
    }
}

fn is_alive(sound: &Sound) -> bool {
    let (Sound::Captured { health, .. } | Sound::Played { health, .. }) = sound;
    thread::sleep(150 * MS);
    health.callbacks() > 5 && health.silent_for(Instant::now()) < 60 * MS && health.fault().is_none()
}

fn unload(lab: &Lab, argument: &str) {
    let modules = lab.pactl(&["list", "short", "modules"]);
    let line = modules.lines().find(|line| line.split('\t').nth(2).is_some_and(|a| a.contains(argument))).unwrap();
    lab.pactl(&["unload-module", line.split('\t').next().unwrap()]);
}

#[test]
fn an_unplugged_speaker_is_replaced_within_a_second_and_taken_back_when_it_returns() {
    let test = "an_unplugged_speaker_is_replaced_within_a_second_and_taken_back_when_it_returns";
    in_lab(test, TWO_HEADSETS, |lab| {
        let call = Call::start(SourceSpec::Default, SinkSpec::Device("pulseaudio:a".into()));
        let unplugged = Instant::now();
        unload(lab, "sink_name=a ");
        let (at, change) = call.device(AudioRole::Speaker, 2_000 * MS);
        let gap = change.gap;
        eprintln!("measured: speaker unplugged: gap {gap:?}, {:?} after the command", at - unplugged);
        assert_eq!(change.to.as_deref(), Some("pulseaudio:b"));
        assert!(gap < 1_000 * MS, "{gap:?}");
        let Sound::Played { mut samples, rate_hz, health, .. } = change.sound else { panic!("no speaker") };

        // It is heard there.
        let playing = thread::spawn(move || {
            let until = Instant::now() + 1_500 * MS;
            while Instant::now() < until {
                while samples.push(0.5).is_ok() {}
                thread::sleep(20 * MS);
            }
            samples
        });
        let heard = lab.record("b.monitor", rate_hz, 1_000 * MS);
        assert!(heard.iter().any(|sample| (sample - 0.5).abs() < 0.01), "nothing is heard on the other speaker");
        assert_eq!(health.fault(), None);
        let _still_open = playing.join().unwrap();

        let returned = Instant::now();
        lab.pactl(&["load-module", "module-null-sink", "sink_name=a", "rate=48000", "norewinds=1"]);
        let (at, change) = call.device(AudioRole::Speaker, 2_000 * MS);
        eprintln!("measured: preferred speaker back: taken after {:?}, gap {:?}", at - returned, change.gap);
        assert_eq!((change.from.as_deref(), change.to.as_deref()), (Some("pulseaudio:b"), Some("pulseaudio:a")));
        assert_eq!(change.gap, Duration::ZERO);
        assert!(at - returned < 1_500 * MS);
        assert!(is_alive(&change.sound));
        call.nothing_new();
    });
}

#[test]
fn an_unplugged_microphone_is_replaced_even_by_one_of_another_rate() {
    in_lab("an_unplugged_microphone_is_replaced_even_by_one_of_another_rate", TWO_HEADSETS, |lab| {
        let call = Call::default();
        let unplugged = Instant::now();
        unload(lab, "source_name=mic_a ");
        let (at, change) = call.device(AudioRole::Microphone, 2_000 * MS);
        eprintln!("measured: microphone unplugged: gap {:?}, {:?} after the command", change.gap, at - unplugged);
        assert!(change.gap < 1_000 * MS, "{:?}", change.gap);
        assert_eq!(change.from.as_deref(), Some("pulseaudio:mic_a"));
        assert!(is_alive(&change.sound));
        // The server chooses the next default.
        let to = change.to.unwrap();
        let rate = if to.contains("_b") { 44_100 } else { 48_000 };
        assert!(matches!(change.sound, Sound::Captured { rate_hz, .. } if rate_hz == rate), "{to}");
    });
}

#[test]
fn a_changed_default_is_followed_without_a_gap() {
    in_lab("a_changed_default_is_followed_without_a_gap", TWO_HEADSETS, |lab| {
        let call = Call::default();
        lab.pactl(&["set-default-sink", "b"]);
        let (_, change) = call.change(1_500 * MS);
        assert_eq!((change.role, change.to.as_deref()), (AudioRole::Speaker, Some("pulseaudio:b")));
        assert_eq!(change.gap, Duration::ZERO);
        assert!(is_alive(&change.sound));
        lab.pactl(&["set-default-source", "mic_b"]);
        let (_, change) = call.change(1_500 * MS);
        assert_eq!((change.role, change.to.as_deref()), (AudioRole::Microphone, Some("pulseaudio:mic_b")));
        assert!(matches!(change.sound, Sound::Captured { rate_hz: 44_100, .. }));
        thread::sleep(700 * MS);
        call.nothing_new();
    });
}

#[test]
fn a_chosen_device_stays_when_the_default_changes() {
    in_lab("a_chosen_device_stays_when_the_default_changes", TWO_HEADSETS, |lab| {
        // Chosen by its bare name, as people type it.
        let call = Call::start(SourceSpec::Default, SinkSpec::Device("a".into()));
        lab.pactl(&["set-default-sink", "b"]);
        thread::sleep(1_200 * MS);
        call.nothing_new();
    });
}

#[test]
fn a_server_that_moves_streams_by_itself_is_no_obstacle() {
    let modules = format!("{TWO_HEADSETS}\nload-module module-rescue-streams");
    in_lab("a_server_that_moves_streams_by_itself_is_no_obstacle", &modules, |lab| {
        let call = Call::start(SourceSpec::Default, SinkSpec::Device("pulseaudio:a".into()));
        unload(lab, "sink_name=a ");
        let (_, change) = call.device(AudioRole::Speaker, 2_000 * MS);
        assert_eq!(change.to.as_deref(), Some("pulseaudio:b"));
        assert!(change.gap < 1_000 * MS);
        assert!(is_alive(&change.sound));
    });
}

#[test]
fn when_the_last_device_goes_silence_stands_in_until_one_returns() {
    let one = "
load-module module-null-sink sink_name=only rate=48000 channels=1 norewinds=1
load-module module-null-sink sink_name=hall rate=48000 channels=1 norewinds=1
load-module module-remap-source source_name=mic master=hall.monitor
set-default-sink only
set-default-source mic";
    in_lab("when_the_last_device_goes_silence_stands_in_until_one_returns", one, |lab| {
        let call = Call::default();
        unload(lab, "sink_name=only ");
        unload(lab, "sink_name=hall ");
        let mut stood_in = Vec::new();
        while stood_in.len() < 2 {
            let (_, change) = call.change(2_500 * MS);
            if change.to.is_none() {
                assert!(change.gap < 1_000 * MS, "{:?}", change.gap);
                assert!(is_alive(&change.sound), "the stand-in keeps the clock going");
                stood_in.push(change.role);
            }
        }
        lab.pactl(&["load-module", "module-null-sink", "sink_name=new", "rate=48000", "norewinds=1"]);
        let (_, change) = call.device(AudioRole::Speaker, 2_000 * MS);
        assert_eq!((change.from, change.to.as_deref()), (None, Some("pulseaudio:new")));
        assert!(change.gap > Duration::ZERO, "the stand-in is no sound");
        assert!(is_alive(&change.sound));
    });
}

#[test]
fn a_restarted_server_is_survived() {
    in_lab("a_restarted_server_is_survived", TWO_HEADSETS, |lab| {
        let call = Call::default();
        lab.signal_server("KILL");
        thread::sleep(1_000 * MS);
        let _server = lab.restart_server();
        let back = Instant::now();
        let (first, one) = call.device_of_any_role(3_000 * MS);
        let (second, other) = call.device_of_any_role(3_000 * MS);
        eprintln!("measured: server restarted: sound {:?} and {:?} later", first - back, second - back);
        assert_ne!(one.role, other.role);
        assert!(second.saturating_duration_since(back) < 1_500 * MS);
        for change in [one, other] {
            assert!(change.to.as_deref().is_some_and(|id| id.starts_with("pulseaudio:")), "{:?}", change.to);
            assert!(is_alive(&change.sound));
        }
    });
}

impl Call {
    fn device_of_any_role(&self, within: Duration) -> (Instant, Change) {
        loop {
            let (at, change) = self.change(within);
            if change.to.is_some() {
                return (at, change);
            }
        }
    }
}

#[test]
fn a_frozen_server_leaves_the_voice_thread_with_a_clock() {
    in_lab("a_frozen_server_leaves_the_voice_thread_with_a_clock", TWO_HEADSETS, |lab| {
        let call = Call::default();
        lab.signal_server("STOP");
        for _ in 0..2 {
            let (_, change) = call.change(2_000 * MS);
            assert_eq!(change.to, None);
            assert!(change.gap < 1_200 * MS, "{:?}", change.gap);
            assert!(is_alive(&change.sound));
        }
        lab.signal_server("CONT");
        assert!(call.device_of_any_role(4_000 * MS).1.to.is_some());
        drop(call.watch);
    });
}

#[test]
fn microphone_and_speaker_can_be_switched_in_a_call() {
    in_lab("microphone_and_speaker_can_be_switched_in_a_call", TWO_HEADSETS, |_| {
        let call = Call::default();
        call.watch.switch_speaker(SinkSpec::Device("pulseaudio:b".into()));
        let (_, change) = call.change(1_500 * MS);
        assert_eq!(
            (change.role, change.to.as_deref(), change.gap),
            (AudioRole::Speaker, Some("pulseaudio:b"), Duration::ZERO)
        );
        call.watch.switch_microphone(SourceSpec::Silence);
        let (_, change) = call.change(1_500 * MS);
        assert_eq!((change.role, change.to), (AudioRole::Microphone, None));
        call.watch.switch_speaker(SinkSpec::Device("pulseaudio:nosuch".into()));
        match call.news.recv_timeout(1_500 * MS).unwrap().1 {
            WatchNews::Refused { role, error } => {
                assert_eq!(role, AudioRole::Speaker);
                assert!(error.to_string().contains("nosuch"), "{error}");
            }
            news @ WatchNews::Changed(_) => panic!("{news:?}"),
        }
        thread::sleep(1_200 * MS);
        call.nothing_new();
        call.watch.switch_microphone(SourceSpec::Default);
        assert_eq!(call.change(1_500 * MS).1.to.as_deref(), Some("pulseaudio:mic_a"));
    });
}
