//! From what was said to what is meant: settings over defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::usage;
use super::settings::{AudioSettings, NetworkSettings};
use crate::engine::{AudioOptions, Failure, FailureKind, NetworkOptions, Options, Retry};

/// How long we let it ring at the other side unless told otherwise.
pub const RING_TIMEOUT: Duration = Duration::from_secs(45);

/// The profile's folder: `--home`, `TWOCANS_HOME`, or the platform's data folder.
///
/// # Errors
/// When the platform has none; then `--home` must be given.
pub fn home(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    given
        .or_else(|| directories::ProjectDirs::from("", "", "twocans").map(|dirs| dirs.data_dir().to_path_buf()))
        .ok_or_else(|| usage("this system names no folder for data; choose one with --home DIR"))
}

/// Options of a process that goes online; `callable`: others can find it and ring.
///
/// # Errors
/// A name that cannot be resolved, or a `--turn @FILE` that cannot be read.
pub fn online(home: &Path, callable: bool, network: NetworkSettings, audio: AudioSettings) -> Result<Options, Failure> {
    Ok(Options {
        home: home.to_path_buf(),
        display_name: audio.name.clone(),
        online: true,
        callable,
        windowed: false,
        serves: false,
        network: network_options(network)?,
        audio: audio_options(audio),
        remember: false,
        group_limit: crate::engine::DEFAULT_GROUP_LIMIT,
    })
}

/// Run for everybody by two who do not depend on each other. Nothing is asked of them while a super-peer is there.
const PUBLIC_STUN: [&str; 2] = ["stun.cloudflare.com:3478", "stun.l.google.com:19302"];

fn network_options(said: NetworkSettings) -> Result<NetworkOptions, Failure> {
    let isolated = said.isolated.unwrap_or(false);
    let stun = said.stun.iter().map(|server| server.resolve(isolated)).collect::<Result<_, _>>();
    let turn = said.turn.iter().map(|server| server.resolve(isolated)).collect::<Result<Vec<_>, _>>();
    let public_stun: Vec<String> = if isolated {
        Vec::new()
    } else if said.public_stun.is_empty() {
        PUBLIC_STUN.map(str::to_owned).to_vec()
    } else {
        said.public_stun.iter().map(ToString::to_string).collect()
    };
    Ok(NetworkOptions {
        listen: said.listen,
        bootstrap: said.bootstrap,
        mdns: !said.no_mdns.unwrap_or(false),
        mainline: !isolated && !said.no_mainline.unwrap_or(false),
        mainline_bootstrap: said.mainline_bootstrap.iter().map(ToString::to_string).collect(),
        stun: stun.map_err(|why| unresolved("--stun", &why))?,
        public_stun,
        no_public_stun: said.no_public_stun.unwrap_or(false),
        turn: turn.map_err(|why| unresolved("--turn", &why))?.into_iter().flatten().collect(),
        relay_only: said.relay_only.unwrap_or(false),
        port_mapping: !isolated && !said.no_port_mapping.unwrap_or(false),
        super_peer: said.super_peer.map(|mode| mode.0).unwrap_or_default(),
        volunteer_after: said.volunteer_after.map(|after| after.0),
        presence_refresh: said.presence_refresh.map(|refresh| refresh.0),
        media_ports: said.media_port.map(|range| range.0),
        isolated,
        treat_as_public: said.treat_as_public,
    })
}

fn unresolved(option: &str, why: &str) -> Failure {
    Failure { kind: FailureKind::Usage, retry: Retry::AfterUserAction, detail: format!("{option}: {why}") }
}

fn audio_options(said: AudioSettings) -> AudioOptions {
    let default = AudioOptions::default();
    AudioOptions {
        mic: said.mic.unwrap_or(default.mic),
        speaker: said.speaker.unwrap_or(default.speaker),
        ring_device: said.ring_device.unwrap_or(default.ring_device),
        device_frames: said.device_frames.map_or(default.device_frames, |frames| frames.0),
        frame: said.frame_ms.map_or(default.frame, |frame| frame.0),
        bitrate_bps: said.bitrate.map_or(default.bitrate_bps, |rate| rate.0),
        echo_cancellation: !said.no_aec.unwrap_or(!default.echo_cancellation),
        noise_suppression: said.ns.map_or(default.noise_suppression, |ns| ns.0),
        gain_control: !said.no_agc.unwrap_or(!default.gain_control),
        fec: said.fec.map_or(default.fec, |fec| fec.0),
        redundancy: said.red.map_or(default.redundancy, |red| red.0),
        dred_ms: said.dred.map_or(default.dred_ms, |dred| dred.0),
        transmit: said.transmit.map_or(default.transmit, |when| when.0),
        echo: default.echo,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NoiseSuppression, SuperPeerMode};

    #[test]
    fn nothing_said_gives_the_defaults_of_help() {
        let options = online(Path::new("/p"), true, NetworkSettings::default(), AudioSettings::default()).unwrap();
        assert!(options.network.mdns && !options.network.isolated && !options.network.relay_only);
        assert_eq!(options.network.super_peer, SuperPeerMode::Auto);
        assert_eq!(options.audio.bitrate_bps, 32_000);
        assert_eq!(options.audio.device_frames, 240);
        assert!(options.audio.echo_cancellation && !options.audio.gain_control);
        assert_eq!(options.audio.noise_suppression, NoiseSuppression::Standard);
    }

    #[test]
    fn public_stun_servers_are_a_short_list_with_a_switch() {
        let of = |said: NetworkSettings| network_options(said).unwrap().public_stun;
        assert_eq!(of(NetworkSettings::default()), PUBLIC_STUN);
        let own = || vec!["stun.example.org:3478".parse().unwrap()];
        assert_eq!(of(NetworkSettings { public_stun: own(), ..NetworkSettings::default() }), ["stun.example.org:3478"]);
        let off = NetworkSettings { no_public_stun: Some(true), public_stun: own(), ..NetworkSettings::default() };
        assert!(network_options(off).unwrap().no_public_stun);
        assert!(of(NetworkSettings { isolated: Some(true), ..NetworkSettings::default() }).is_empty());
    }

    #[test]
    fn processing_can_be_turned_off_piece_by_piece() {
        let off = AudioSettings {
            no_aec: Some(true),
            ns: Some("off".parse().unwrap()),
            no_agc: Some(true),
            ..AudioSettings::default()
        };
        let options = audio_options(off);
        assert!(!options.echo_cancellation && !options.gain_control);
        assert_eq!(options.noise_suppression, NoiseSuppression::Off);
        let back = AudioSettings { no_aec: Some(false), no_agc: Some(false), ..AudioSettings::default() };
        let back = audio_options(back);
        assert!(back.echo_cancellation && back.gain_control);
    }

    #[test]
    fn an_isolated_process_asks_no_name_server() {
        let network = NetworkSettings {
            isolated: Some(true),
            stun: vec!["stun.invalid:3478".parse().unwrap()],
            ..NetworkSettings::default()
        };
        let failure = online(Path::new("/p"), true, network, AudioSettings::default()).unwrap_err();
        assert!(failure.detail.starts_with("--stun: stun.invalid:3478"), "{}", failure.detail);
    }
}
