//! An end made of the async `webrtc` wrapper: another driver, written by others, around the same core.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rtc::data_channel::RTCDataChannelInit;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::{SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use twocans::base::{OutgoingPacket, PayloadKind};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState,
};
use webrtc::runtime::default_runtime;

use super::PATIENCE;

const SSRC: u32 = 0x2222_0002;

pub struct Wrapper {
    pub connection: Arc<dyn PeerConnection>,
    pub channel: Arc<dyn DataChannel>,
    track: Arc<TrackLocalStaticRTP>,
    /// Candidate lines.
    pub candidates: mpsc::Receiver<String>,
    pub states: mpsc::Receiver<RTCPeerConnectionState>,
    tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
}

impl Wrapper {
    pub async fn open() -> Self {
        let mut media = MediaEngine::default();
        for (codec, payload_type) in [(opus(), 111), (red(), 63)] {
            let parameters = RTCRtpCodecParameters { rtp_codec: codec, payload_type };
            media.register_codec(parameters, RtpCodecKind::Audio).unwrap();
        }
        let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
        let (candidate_tx, candidates) = mpsc::channel(64);
        let (state_tx, states) = mpsc::channel(64);
        let (track_tx, tracks) = mpsc::channel(4);
        let handler = Arc::new(Handler { candidates: candidate_tx, states: state_tx, tracks: track_tx });
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_media_engine(media)
                .with_setting_engine(settings())
                .with_interceptor_registry(registry)
                .with_runtime(default_runtime().unwrap())
                .with_handler(handler)
                .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
                .build()
                .await
                .unwrap(),
        );
        let track = Arc::new(TrackLocalStaticRTP::new(local_track()));
        connection.add_track(track.clone() as Arc<dyn TrackLocal>).await.unwrap();
        let init = RTCDataChannelInit { negotiated: Some(0), ..RTCDataChannelInit::default() };
        let channel = connection.create_data_channel("control", Some(init)).await.unwrap();
        Self { connection, channel, track, candidates, states, tracks }
    }

    pub async fn create_offer(&self) -> String {
        let offer = self.connection.create_offer(None).await.unwrap();
        self.connection.set_local_description(offer.clone()).await.unwrap();
        offer.sdp
    }

    pub async fn accept_offer(&self, sdp: String) -> String {
        self.connection.set_remote_description(RTCSessionDescription::offer(sdp).unwrap()).await.unwrap();
        let answer = self.connection.create_answer(None).await.unwrap();
        self.connection.set_local_description(answer.clone()).await.unwrap();
        answer.sdp
    }

    pub async fn accept_answer(&self, sdp: String) {
        self.connection.set_remote_description(RTCSessionDescription::answer(sdp).unwrap()).await.unwrap();
    }

    pub async fn add_candidate(&self, candidate: String) {
        let init = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
        self.connection.add_ice_candidate(init).await.unwrap();
    }

    pub async fn send(&self, packet: OutgoingPacket) {
        let mut rtp = rtc::rtp::Packet::default();
        rtp.header.version = 2;
        rtp.header.payload_type = if packet.kind == PayloadKind::Red { 63 } else { 111 };
        rtp.header.ssrc = SSRC;
        rtp.header.sequence_number = packet.seq.0;
        rtp.header.timestamp = packet.media_time.0;
        rtp.header.marker = packet.marker;
        rtp.payload = packet.payload;
        self.track.write_rtp(rtp).await.unwrap();
    }

    /// The peer's track; it exists once its first packet came.
    pub async fn remote_track(&mut self) -> Arc<dyn TrackRemote> {
        timeout(PATIENCE, self.tracks.recv()).await.expect("a track within the test's patience").unwrap()
    }

    pub async fn message(&self) -> Vec<u8> {
        let wait = async {
            while let Some(event) = self.channel.poll().await {
                if let DataChannelEvent::OnMessage(message) = event {
                    return message.data.to_vec();
                }
            }
            panic!("the channel closed")
        };
        timeout(PATIENCE, wait).await.expect("a message within the test's patience")
    }

    pub async fn send_message(&self, message: &[u8]) {
        // The wrapper refuses to send before its channel is open and says nothing when it is.
        let sent = async {
            while self.channel.send(BytesMut::from(message)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, sent).await.expect("an open channel within the test's patience");
    }
}

pub async fn next_packet(track: &dyn TrackRemote) -> rtc::rtp::Packet {
    let wait = async {
        loop {
            match track.poll().await {
                Some(TrackRemoteEvent::OnRtpPacket(packet)) => return packet,
                Some(_) => {}
                None => panic!("the track ended"),
            }
        }
    };
    timeout(PATIENCE, wait).await.expect("a packet within the test's patience")
}

/// Connects two wrappers, trickling both ways.
pub async fn connect(offerer: &mut Wrapper, answerer: &mut Wrapper) {
    let offer = offerer.create_offer().await;
    let answer = answerer.accept_offer(offer).await;
    offerer.accept_answer(answer).await;
    let (mut left, mut right) = (false, false);
    let both = async {
        while !(left && right) {
            tokio::select! {
                Some(line) = offerer.candidates.recv() => answerer.add_candidate(line).await,
                Some(line) = answerer.candidates.recv() => offerer.add_candidate(line).await,
                Some(state) = offerer.states.recv() => left |= state == RTCPeerConnectionState::Connected,
                Some(state) = answerer.states.recv() => right |= state == RTCPeerConnectionState::Connected,
            }
        }
    };
    timeout(PATIENCE, both).await.expect("a connection within the test's patience");
}

fn opus() -> RTCRtpCodec {
    codec("audio/opus", "minptime=10;useinbandfec=1;usedtx=1")
}

fn red() -> RTCRtpCodec {
    codec("audio/red", "111/111")
}

fn codec(mime_type: &str, fmtp: &str) -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: vec![],
    }
}

fn local_track() -> MediaStreamTrack {
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() },
        codec: opus(),
        ..Default::default()
    };
    MediaStreamTrack::new("s".into(), "t".into(), "mic".into(), RtpCodecKind::Audio, vec![coding])
}

fn settings() -> SettingEngine {
    SettingEngineBuilder::new().with_include_loopback_candidate(true).build()
}

struct Handler {
    candidates: mpsc::Sender<String>,
    states: mpsc::Sender<RTCPeerConnectionState>,
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
}

type Done<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

// Written out instead of with the `async_trait` macro, which would be a dependency for three functions.
impl PeerConnectionEventHandler for Handler {
    fn on_ice_candidate<'a, 'b>(&'a self, event: RTCPeerConnectionIceEvent) -> Done<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        if let Ok(init) = event.candidate.to_json() {
            let _ = self.candidates.try_send(init.candidate);
        }
        Box::pin(async {})
    }

    fn on_connection_state_change<'a, 'b>(&'a self, state: RTCPeerConnectionState) -> Done<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let _ = self.states.try_send(state);
        Box::pin(async {})
    }

    fn on_track<'a, 'b>(&'a self, track: Arc<dyn TrackRemote>) -> Done<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let _ = self.tracks.try_send(track);
        Box::pin(async {})
    }
}
