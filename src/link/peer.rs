//! The WebRTC core, set up for one voice link: what is negotiated, and how the answers are read back.

use std::time::{Duration, Instant};

use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::configure_rtcp_reports;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::{SctpMaxMessageSize, SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::transport::{RTCDtlsRole, RTCDtlsTransportState, RTCIceCandidateType};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::shared::error::Error;
use rtc::statistics::StatsSelector;
use sha2::{Digest, Sha256};

use crate::base::{OutgoingPacket, PayloadKind, SAMPLE_RATE_HZ};

use super::api::{CandidateKind, LinkError};
use super::config::LinkConfig;

/// Longest message on the data channel, bytes.
pub const MAX_MESSAGE_LEN: usize = 16 * 1024;
/// Bytes of messages under way before [`LinkError::Congested`].
const MAX_BUFFERED: usize = 16 * MAX_MESSAGE_LEN;
/// SCTP receive window, bytes: a few messages; the control channel is no file transfer.
const SCTP_WINDOW: u32 = 8 * MAX_MESSAGE_LEN as u32;
/// Payload types we offer; an answerer takes over the offerer's.
pub(super) const OPUS_PAYLOAD_TYPE: u8 = 111;
pub(super) const RED_PAYLOAD_TYPE: u8 = 63;
/// RFC 7587 §6.1.
pub(super) const OPUS_FMTP: &str = "minptime=10;useinbandfec=1;usedtx=1";
/// RFC 7587 §7 wants 2 channels in the SDP, whatever is sent.
const OPUS_SDP_CHANNELS: u16 = 2;
/// Agreed beforehand rather than announced in-band (RFC 8832 §1): one round trip less before the first message.
const CONTROL_CHANNEL_STREAM: u16 = 0;
const CONTROL_CHANNEL_LABEL: &str = "control";
/// Our voice, and other people's packets that we pass on: a stream of its own, for the numbers of ours are not its.
const VOICE_TRACK: &str = "voice";
const CARRIER_TRACK: &str = "carrier";
/// Connectivity checks go on as long as the link may still come up; the core counts them instead of timing them.
const CHECK_ATTEMPTS: fn(Duration, Duration) -> u16 = |total, interval| {
    let attempts = total.as_millis() / interval.as_millis().max(1);
    u16::try_from(attempts).unwrap_or(u16::MAX)
};

/// A peer connection with one audio track and, if wanted, the control channel and the track of what we pass on.
pub(super) struct Peer {
    pub connection: RTCPeerConnection,
    sender: RTCRtpSenderId,
    channel: Option<RTCDataChannelId>,
    carrier: Option<Carrier>,
    ssrc: u32,
    payload_types: PayloadTypes,
}

/// The stream of packets that we pass on.
struct Carrier {
    sender: RTCRtpSenderId,
    ssrc: u32,
    next_seq: u16,
}

/// What the numbers in RTP headers mean on this link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PayloadTypes {
    opus: Option<u8>,
    red: Option<u8>,
}

impl PayloadTypes {
    pub fn number(self, kind: PayloadKind) -> Option<u8> {
        match kind {
            PayloadKind::Opus => self.opus,
            PayloadKind::Red => self.red,
            // Whatever it is, the other side knows it by its track.
            PayloadKind::Carried => self.opus,
        }
    }

    pub fn kind(self, number: u8) -> Option<PayloadKind> {
        [PayloadKind::Opus, PayloadKind::Red].into_iter().find(|kind| self.number(*kind) == Some(number))
    }
}

impl Peer {
    pub fn new(config: &LinkConfig, ssrc: u32, now: Instant) -> Result<Self, LinkError> {
        let mut media = MediaEngine::default();
        for codec in codecs() {
            media.register_codec(codec, RtpCodecKind::Audio).map_err(core_error)?;
        }
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_setting_engine(settings(config))
            .with_interceptor_registry(configure_rtcp_reports(Registry::new()))
            .build(now)
            .map_err(core_error)?;
        let sender = connection.add_track(track(VOICE_TRACK, ssrc)).map_err(core_error)?;
        let (mut channel, mut carrier) = (None, None);
        if config.channel {
            let control = RTCDataChannelInit { negotiated: Some(CONTROL_CHANNEL_STREAM), ..Default::default() };
            let made = connection.create_data_channel(CONTROL_CHANNEL_LABEL, Some(control)).map_err(core_error)?;
            channel = Some(made.id());
            // RFC 3550 §8.1 wants a random number; any other than the voice's is one.
            let ssrc = ssrc.wrapping_add(1);
            let sender = connection.add_track(track(CARRIER_TRACK, ssrc)).map_err(core_error)?;
            carrier = Some(Carrier { sender, ssrc, next_seq: 0 });
        }
        Ok(Self { connection, sender, channel, carrier, ssrc, payload_types: PayloadTypes::default() })
    }

    pub fn is_channel(&self, channel: RTCDataChannelId) -> bool {
        self.channel == Some(channel)
    }

    /// What a packet of this track and payload type is.
    pub fn kind(&self, track: &str, payload_type: u8) -> Option<PayloadKind> {
        let kind = self.payload_types.kind(payload_type)?;
        Some(if self.carrier.is_some() && track == CARRIER_TRACK { PayloadKind::Carried } else { kind })
    }

    pub fn payload_types(&self) -> PayloadTypes {
        self.payload_types
    }

    /// Both descriptions are in place: reads what was agreed.
    pub fn negotiated(&mut self) {
        let Some(mut sender) = self.connection.rtp_sender(self.sender) else { return };
        let codecs = &sender.get_parameters().rtp_parameters.codecs;
        let number_of = |mime: &str| {
            codecs.iter().find(|c| c.rtp_codec.mime_type.eq_ignore_ascii_case(mime)).map(|c| c.payload_type)
        };
        self.payload_types = PayloadTypes { opus: number_of("audio/opus"), red: number_of("audio/red") };
    }

    /// False when the packet cannot go: its kind was not negotiated or there is no connection yet.
    pub fn send_audio(&mut self, packet: OutgoingPacket, now: Instant) -> bool {
        let Some(payload_type) = self.payload_types.number(packet.kind) else { return false };
        let (sender, ssrc, seq) = match (packet.kind, &mut self.carrier) {
            (PayloadKind::Opus | PayloadKind::Red, _) => (self.sender, self.ssrc, packet.seq.0),
            (PayloadKind::Carried, Some(carrier)) => {
                carrier.next_seq = carrier.next_seq.wrapping_add(1);
                (carrier.sender, carrier.ssrc, carrier.next_seq)
            }
            (PayloadKind::Carried, None) => return false,
        };
        let mut rtp = rtc::rtp::Packet::default();
        rtp.header.version = 2;
        rtp.header.payload_type = payload_type;
        rtp.header.ssrc = ssrc;
        rtp.header.sequence_number = seq;
        rtp.header.timestamp = packet.media_time.0;
        rtp.header.marker = packet.marker;
        rtp.payload = packet.payload;
        self.connection.rtp_sender(sender).is_some_and(|mut sender| sender.write_rtp(now, rtp).is_ok())
    }

    /// Queues a message on the open channel.
    pub fn send_message(&mut self, message: &[u8], now: Instant) -> Result<(), LinkError> {
        let channel = self.channel.ok_or(LinkError::NoChannel)?;
        let mut channel = self.connection.data_channel(channel).ok_or(LinkError::Closed)?;
        if channel.outstanding_bytes() + message.len() > MAX_BUFFERED {
            return Err(LinkError::Congested);
        }
        channel.send(now, message.into()).map_err(core_error)
    }

    /// Round trip of the newest consent check on the selected pair (RFC 7675 §5.1).
    pub fn round_trip(&mut self, now: Instant) -> Option<Duration> {
        let report = self.connection.get_stats(now, StatsSelector::None);
        let seconds = report.candidate_pairs().find(|pair| pair.nominated)?.current_round_trip_time;
        // Zero is the core's word for "not measured".
        Duration::try_from_secs_f64(seconds).ok().filter(|rtt| !rtt.is_zero())
    }

    pub fn dtls_state(&mut self) -> Option<RTCDtlsTransportState> {
        let sender = self.connection.rtp_sender(self.sender)?;
        sender.transport().map(|dtls| dtls.state())
    }

    /// SHA-256 of the certificate that the peer proved to hold, once DTLS is connected.
    pub fn remote_fingerprint(&mut self) -> Option<[u8; 32]> {
        let sender = self.connection.rtp_sender(self.sender)?;
        let dtls = sender.transport()?;
        dtls.get_remote_certificates().first().map(|der| Sha256::digest(der).into())
    }

    /// ICE username fragment that the peer's checks are verified against.
    pub fn remote_ufrag(&mut self) -> Option<String> {
        let sender = self.connection.rtp_sender(self.sender)?;
        sender.transport()?.ice_transport().get_remote_parameters().map(|ice| ice.username_fragment)
    }

    /// Kind and address of both ends of the selected pair.
    pub fn selected_pair(&mut self) -> Option<[(CandidateKind, std::net::SocketAddr); 2]> {
        let sender = self.connection.rtp_sender(self.sender)?;
        let pair = sender.transport()?.ice_transport().get_selected_candidate_pair()?;
        let end = |candidate: &rtc::peer_connection::transport::RTCIceCandidate| {
            let address = std::net::SocketAddr::new(candidate.address.parse().ok()?, candidate.port);
            Some((kind(candidate.typ)?, address))
        };
        Some([end(pair.local())?, end(pair.remote())?])
    }
}

fn codecs() -> [RTCRtpCodecParameters; 2] {
    [
        RTCRtpCodecParameters { rtp_codec: opus(), payload_type: OPUS_PAYLOAD_TYPE },
        RTCRtpCodecParameters {
            rtp_codec: RTCRtpCodec {
                mime_type: "audio/red".to_owned(),
                clock_rate: SAMPLE_RATE_HZ,
                channels: OPUS_SDP_CHANNELS,
                // RFC 2198 §5: what each block may hold.
                sdp_fmtp_line: format!("{OPUS_PAYLOAD_TYPE}/{OPUS_PAYLOAD_TYPE}"),
                rtcp_feedback: vec![],
            },
            payload_type: RED_PAYLOAD_TYPE,
        },
    ]
}

/// RFC 7587 §7.
fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/opus".to_owned(),
        clock_rate: SAMPLE_RATE_HZ,
        channels: OPUS_SDP_CHANNELS,
        sdp_fmtp_line: OPUS_FMTP.to_owned(),
        rtcp_feedback: vec![],
    }
}

fn track(name: &str, ssrc: u32) -> MediaStreamTrack {
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
        codec: opus(),
        ..Default::default()
    };
    MediaStreamTrack::new(name.into(), name.into(), name.into(), RtpCodecKind::Audio, vec![coding])
}

fn settings(config: &LinkConfig) -> SettingEngine {
    let timings = config.timings;
    let at_once = Some(Duration::ZERO);
    let relay_patience = if config.relay_only { Duration::ZERO } else { timings.relay_patience };
    SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        // They are found anew, perhaps on other sockets.
        .with_discard_local_candidates_during_ice_restart(true)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_answering_dtls_role(RTCDtlsRole::Client)
        .with_ice_timeouts(
            Some(timings.disconnected_after),
            // The core counts this one from the moment of disconnection.
            Some(timings.failed_after.saturating_sub(timings.disconnected_after).max(Duration::from_millis(1))),
            Some(timings.consent_interval),
        )
        .with_ice_connection_attempts(
            Some(timings.check_interval),
            Some(CHECK_ATTEMPTS(timings.failed_after, timings.check_interval)),
        )
        .with_host_acceptance_min_wait(at_once)
        .with_srflx_acceptance_min_wait(at_once)
        .with_prflx_acceptance_min_wait(at_once)
        .with_relay_acceptance_min_wait(Some(relay_patience))
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_MESSAGE_LEN as u32))
        .with_sctp_max_receive_buffer_size(SCTP_WINDOW)
        .build()
}

fn kind(kind: RTCIceCandidateType) -> Option<CandidateKind> {
    match kind {
        RTCIceCandidateType::Host => Some(CandidateKind::Host),
        RTCIceCandidateType::Srflx => Some(CandidateKind::ServerReflexive),
        RTCIceCandidateType::Prflx => Some(CandidateKind::PeerReflexive),
        RTCIceCandidateType::Relay => Some(CandidateKind::Relayed),
        _ => None,
    }
}

pub(super) fn core_error(error: Error) -> LinkError {
    LinkError::Core(error.to_string())
}
