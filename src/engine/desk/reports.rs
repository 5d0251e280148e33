//! Figures: what the voice thread and the links measured, as the contract wants it.

use std::time::Instant;

use super::calls::LiveCall;
use super::{Desk, DeskInput};
use crate::base::{CallId, FRAME_MS};
use crate::call::{LinkNews as CallNews, Quality};
use crate::engine::usage::Usage;
use crate::engine::voice_thread::{PeerKey, VoiceNews, VoiceReport};
use crate::engine::{CallPhase, Event, NetTotals, NodeTotals, PeerStats};
use crate::link::LinkStats;
use crate::rendezvous::Totals;
use crate::voice::ReceiverStats;

/// IPv4 and UDP.
const HEADERS_BITS: f32 = 28.0 * 8.0;

/// Cumulative counters as of the last report; the contract's figures are differences.
#[derive(Debug, Default)]
pub(super) struct LastCounters {
    heard: ReceiverStats,
    bytes_sent: u64,
    bytes_received: u64,
    audio_sent: u64,
    at: Option<Instant>,
}

#[derive(Debug, Default)]
struct SinceLast {
    loss: Option<f32>,
    concealed: Option<f32>,
    /// Packets; 0 when none was lost.
    mean_burst: f32,
    /// Packets.
    audio_sent: u64,
    tx_bps: Option<u32>,
    rx_bps: Option<u32>,
}

impl LastCounters {
    fn advance(&mut self, heard: ReceiverStats, link: &LinkStats, now: Instant) -> SinceLast {
        let LinkStats { bytes_sent, bytes_received, audio_sent, .. } = *link;
        let lost = heard.lost.saturating_sub(self.heard.lost);
        let gaps = heard.gaps.saturating_sub(self.heard.gaps);
        let packets = heard.packets.saturating_sub(self.heard.packets);
        let concealed = heard.concealed_samples.saturating_sub(self.heard.concealed_samples);
        let played = heard.total_samples.saturating_sub(self.heard.total_samples);
        let seconds = self.at.map(|then| now.duration_since(then).as_secs_f64());
        let rate = |now: u64, then: u64| seconds.map(|s| (now.saturating_sub(then) as f64 * 8.0 / s) as u32);
        let since = SinceLast {
            loss: share(lost, lost + packets),
            // What is concealed may be made a little before it is played, and be counted a second early.
            concealed: share(concealed.min(played), played),
            mean_burst: lost as f32 / gaps.max(1) as f32,
            audio_sent: audio_sent.saturating_sub(self.audio_sent),
            tx_bps: rate(bytes_sent, self.bytes_sent),
            rx_bps: rate(bytes_received, self.bytes_received),
        };
        *self = Self { heard, bytes_sent, bytes_received, audio_sent, at: Some(now) };
        since
    }
}

/// 0..1; `None` of nothing.
fn share(part: u64, whole: u64) -> Option<f32> {
    (whole > 0).then(|| part as f32 / whole as f32)
}

impl Desk {
    pub(super) fn handle_voice(&mut self, news: VoiceNews) {
        match news {
            VoiceNews::FirstAudio { key, at } => {
                if let Some(call) = self.call_of(key) {
                    if let Some(live) = self.calls.get_mut(&call) {
                        live.connected_at = Some(at);
                    }
                    self.tell_machine(call, CallNews::FirstAudio, at);
                }
            }
            VoiceNews::Report { key, report } => {
                if let Some(call) = self.call_of(key) {
                    self.report_peer(call, &report);
                }
            }
            VoiceNews::TalkingWhileMuted => {
                for call in self.calls.keys() {
                    self.emit(Event::TalkingWhileMuted { call: *call });
                }
            }
            VoiceNews::Retired(_) => {}
        }
    }

    fn call_of(&self, key: PeerKey) -> Option<CallId> {
        // Of several with one person, the one that was made last; while one rings nothing is heard over it.
        let rings = |live: &LiveCall| matches!(live.phase, CallPhase::Dialing | CallPhase::Ringing);
        let theirs = self.calls.iter().filter(|(_, live)| live.key == key && !rings(live));
        theirs.max_by_key(|(_, live)| live.started).map(|(call, _)| *call)
    }

    fn report_peer(&mut self, call: CallId, report: &VoiceReport) {
        let usage = self.usage.sample(Instant::now());
        let Some(live) = self.calls.get_mut(&call) else { return };
        if live.connected_at.is_none() {
            return;
        }
        let heard = report.stats;
        let since = live.last.advance(heard, &live.link_stats, Instant::now());
        let rtt_ms = live.link_stats.rtt.map(|rtt| rtt.as_secs_f32() * 1e3);
        let stats = PeerStats {
            call,
            peer: live.peer,
            rtt_ms,
            jitter_ms: Some(heard.jitter_ms),
            loss: since.loss,
            concealed: since.concealed,
            target_delay_ms: Some(heard.target_delay_ms),
            buffer_ms: Some(heard.buffer_ms),
            delay_ms: rtt_ms.map(|rtt| {
                let capture = FRAME_MS as f32 + report.ptime_ms as f32 + report.lookahead_ms;
                capture + rtt / 2.0 + heard.buffer_ms + report.speaker_delay_ms
            }),
            tx_bps: since.tx_bps,
            rx_bps: since.rx_bps,
            red: report.red,
            fec: report.fec,
            dred_ms: report.dred_ms,
            mic_dbfs: Some(report.mic_dbfs),
            speaker_dbfs: Some(report.speaker_dbfs),
            cpu: usage.cpu,
            rss_mb: usage.rss_mb,
        };
        let quality = Quality {
            fraction_lost: since.loss.unwrap_or(0.0),
            mean_burst: since.mean_burst,
            concealed: since.concealed.unwrap_or(0.0),
            jitter_ms: heard.jitter_ms,
            target_delay_ms: heard.target_delay_ms,
            queue_ms: heard.queue_ms,
        };
        live.sent_packets = since.audio_sent.try_into().unwrap_or(u32::MAX);
        live.sent_bps = since.tx_bps.unwrap_or(0) as f32 + HEADERS_BITS * 1000.0 / report.ptime_ms as f32;
        let ptime_before = live.ptime_ms.replace(report.ptime_ms);
        live.tally.add(&stats);
        live.stats = Some(stats.clone());
        self.emit(Event::Stats(stats));
        if ptime_before != Some(report.ptime_ms) {
            self.emit(Event::FrameLengthChanged { call, frame_ms: report.ptime_ms });
        }
        // The peer decides by it what to do about loss.
        self.switchboard.report_quality(call, quality, Instant::now());
    }

    /// Asks the network what it did; the answer comes as an input.
    pub(super) fn ask_totals(&self) {
        let Some(rendezvous) = self.rendezvous.clone() else { return };
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            if let Ok(totals) = rendezvous.totals().await {
                let _ = inbox.send(DeskInput::Totals(totals)).await;
            }
        });
    }

    /// What an idle process costs, and what a super-peer does for others.
    pub(super) fn report_totals(&mut self, totals: Totals) {
        self.relay_service.look_after(Instant::now());
        let Totals { tx_bytes, rx_bytes, connections, reservations, records, .. } = totals;
        if self.super_peer {
            let relayed_calls = self.relay_service.calls();
            self.emit(Event::NodeStats(NodeTotals { relayed_calls, reservations, records, tx_bytes, rx_bytes }));
        }
        if self.calls.is_empty() {
            let Usage { cpu, rss_mb } = self.usage.sample(Instant::now());
            self.emit(Event::Net(NetTotals { tx_bytes, rx_bytes, connections, cpu, rss_mb }));
        }
    }
}
