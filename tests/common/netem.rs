//! Delay, jitter and loss for kernels without `sch_netem`: a thread takes packets from an NFQUEUE and gives the
//! verdict later. Packets are not copied to us and back, so checksums, segmentation and connection tracking stay the
//! kernel's. The netlink messages are those of linux/netfilter/nfnetlink_queue.h.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt,
};

use super::netlab::Netns;

/// What happens to the packets of one direction. The default: nothing.
#[derive(Debug, Clone, Default)]
pub struct Impairment {
    pub delay: Duration,
    /// Uniform, ± this much around `delay`.
    pub jitter: Duration,
    /// True: jitter never reorders, as in a queue.
    pub keep_order: bool,
    pub loss: Loss,
    pub seed: u64,
}

impl Impairment {
    pub fn delay_ms(ms: u64) -> Self {
        Self { delay: Duration::from_millis(ms), ..Self::default() }
    }

    pub fn with_loss(self, loss: Loss) -> Self {
        Self { loss, ..self }
    }

    pub fn with_jitter_ms(self, ms: u64) -> Self {
        Self { jitter: Duration::from_millis(ms), ..self }
    }

    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Loss {
    #[default]
    None,
    /// Each packet with this probability.
    Random(f64),
    /// Gilbert-Elliott: two states with the given probabilities of changing and of losing a packet.
    GilbertElliott { to_bad: f64, to_good: f64, loss_in_good: f64, loss_in_bad: f64 },
}

/// What an impairment did.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetemStats {
    pub packets: u64,
    pub dropped: u64,
    /// Verdicts given later than due: the mean, ms.
    pub mean_late_ms: f64,
    pub max_late_ms: f64,
}

/// A running impairment. Dropping it releases what it holds; from then on packets pass at once.
pub struct Netem {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<NetemStats>>,
}

impl Netem {
    /// Serves queue `queue` of the namespace; returns once the kernel has accepted us.
    pub fn start(inside: &Netns, queue: u16, impairment: Impairment) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = mpsc::channel();
        let thread = inside.thread({
            let stop = stop.clone();
            move || {
                ask_for_real_time();
                let socket = bind(queue).expect("the kernel has NFQUEUE");
                ready.send(()).expect("the starter waits");
                serve(&socket, queue, impairment, &stop).expect("the queue works")
            }
        });
        is_ready.recv().expect("the queue could be bound");
        Self { stop, thread: Some(thread) }
    }

    /// Ends it and says what it did.
    pub fn stop(mut self) -> NetemStats {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(|thread| thread.join().expect("the impairment worked")).unwrap_or_default()
    }
}

impl Drop for Netem {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Timing survives a busy machine under SCHED_FIFO; where that is not allowed, timing is what it is.
fn ask_for_real_time() {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let _ = Command::new("chrt").args(["-f", "-p", "10", &thread]).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn serve(socket: &OwnedFd, queue: u16, impairment: Impairment, stop: &AtomicBool) -> io::Result<NetemStats> {
    let mut line = Line::new(impairment);
    let mut buffer = vec![0u8; 65536];
    while !stop.load(Ordering::Relaxed) {
        let idle = Duration::from_millis(50);
        let wait = line.next_due().map_or(idle, |due| due.saturating_duration_since(Instant::now()).min(idle));
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut interest = [PollFd::new(socket, PollFlags::IN)];
        if poll(&mut interest, Some(&timeout))? > 0 {
            // ENOBUFS says that the queue overran: those packets are lost, the line goes on.
            if let Ok((length, _)) = recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                for id in packet_ids(&buffer[..length]) {
                    if line.admit(id, Instant::now()) == Fate::Dropped {
                        send(socket, &verdict(queue, id, NF_DROP), SendFlags::empty())?;
                    }
                }
            }
        }
        for id in line.released(Instant::now()) {
            send(socket, &verdict(queue, id, NF_ACCEPT), SendFlags::empty())?;
        }
    }
    for id in line.rest() {
        send(socket, &verdict(queue, id, NF_ACCEPT), SendFlags::empty())?;
    }
    Ok(line.stats())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    Dropped,
}

/// The impaired line itself: which packet leaves when.
struct Line {
    impairment: Impairment,
    random: Random,
    in_bad_state: bool,
    last_due: Option<Instant>,
    /// Due time, order of arrival, packet.
    held: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    stats: NetemStats,
    late_sum_ms: f64,
    released: u64,
}

impl Line {
    fn new(impairment: Impairment) -> Self {
        let random = Random::new(impairment.seed);
        Self {
            impairment,
            random,
            in_bad_state: false,
            last_due: None,
            held: BinaryHeap::new(),
            stats: NetemStats::default(),
            late_sum_ms: 0.0,
            released: 0,
        }
    }

    fn admit(&mut self, id: u32, now: Instant) -> Fate {
        self.stats.packets += 1;
        if self.loses() {
            self.stats.dropped += 1;
            return Fate::Dropped;
        }
        let swing = self.impairment.jitter.as_secs_f64() * (2.0 * self.random.share() - 1.0);
        let delay = (self.impairment.delay.as_secs_f64() + swing).max(0.0);
        let mut due = now + Duration::from_secs_f64(delay);
        if self.impairment.keep_order {
            due = due.max(self.last_due.unwrap_or(due));
            self.last_due = Some(due);
        }
        self.held.push(Reverse((due, self.stats.packets, id)));
        Fate::Held
    }

    fn loses(&mut self) -> bool {
        let probability = match self.impairment.loss {
            Loss::None => return false,
            Loss::Random(probability) => probability,
            Loss::GilbertElliott { to_bad, to_good, loss_in_good, loss_in_bad } => {
                let change = if self.in_bad_state { to_good } else { to_bad };
                self.in_bad_state ^= self.random.share() < change;
                if self.in_bad_state { loss_in_bad } else { loss_in_good }
            }
        };
        self.random.share() < probability
    }

    fn next_due(&self) -> Option<Instant> {
        self.held.peek().map(|Reverse((due, ..))| *due)
    }

    fn released(&mut self, now: Instant) -> Vec<u32> {
        let mut ids = Vec::new();
        while let Some(&Reverse((due, _, id))) = self.held.peek()
            && due <= now
        {
            self.held.pop();
            let late_ms = (now - due).as_secs_f64() * 1e3;
            self.late_sum_ms += late_ms;
            self.stats.max_late_ms = self.stats.max_late_ms.max(late_ms);
            self.released += 1;
            ids.push(id);
        }
        ids
    }

    fn rest(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.held).into_sorted_vec().into_iter().rev().map(|Reverse((.., id))| id).collect()
    }

    fn stats(&self) -> NetemStats {
        NetemStats { mean_late_ms: self.late_sum_ms / self.released.max(1) as f64, ..self.stats }
    }
}

/// xorshift64* (Vigna 2016): the same seed loses the same packets.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(88_172_645_463_325_252 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..20 {
            random.share();
        }
        random
    }

    /// 0..1.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }
}

const NFNL_SUBSYS_QUEUE: u16 = 3;
const NFQNL_MSG_PACKET: u16 = NFNL_SUBSYS_QUEUE << 8;
const NFQNL_MSG_VERDICT: u16 = NFNL_SUBSYS_QUEUE << 8 | 1;
const NFQNL_MSG_CONFIG: u16 = NFNL_SUBSYS_QUEUE << 8 | 2;
const NFQA_PACKET_HDR: u16 = 1;
const NFQA_VERDICT_HDR: u16 = 2;
const NFQA_CFG_CMD: u16 = 1;
const NFQA_CFG_PARAMS: u16 = 2;
const NFQA_CFG_QUEUE_MAXLEN: u16 = 3;
const NFQNL_CFG_CMD_BIND: u8 = 1;
const NFQNL_COPY_META: u8 = 1;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
/// Netlink header and nfgenmsg in front of the attributes.
const HEADERS: usize = 20;

fn bind(queue: u16) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
    // Room for bursts; without the privilege the kernel's default has to do.
    let _ = sockopt::set_socket_recv_buffer_size_force(&socket, 4 << 20);
    let ip_v4: u16 = 2;
    let [high, low] = ip_v4.to_be_bytes();
    configure(&socket, queue, NFQA_CFG_CMD, &[NFQNL_CFG_CMD_BIND, 0, high, low])?;
    configure(&socket, queue, NFQA_CFG_PARAMS, &[0, 0, 0, 0, NFQNL_COPY_META])?;
    configure(&socket, queue, NFQA_CFG_QUEUE_MAXLEN, &16_384u32.to_be_bytes())?;
    Ok(socket)
}

/// Sends one setting and waits for the kernel's acknowledgement.
fn configure(socket: &OwnedFd, queue: u16, attribute: u16, value: &[u8]) -> io::Result<()> {
    let request = message(NFQNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, queue, attribute, value);
    send(socket, &request, SendFlags::empty())?;
    let mut reply = [MaybeUninit::uninit(); 4096];
    let ((reply, _), _) = recv(socket, &mut reply, RecvFlags::empty())?;
    let is_error = read_u16(reply, 4) == Some(NLMSG_ERROR);
    match reply.get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes) {
        Some(code) if is_error && code != 0 => Err(io::Error::from_raw_os_error(-code)),
        _ => Ok(()),
    }
}

fn verdict(queue: u16, id: u32, verdict: u32) -> Vec<u8> {
    let value = [verdict.to_be_bytes(), id.to_be_bytes()].concat();
    message(NFQNL_MSG_VERDICT, NLM_F_REQUEST, queue, NFQA_VERDICT_HDR, &value)
}

/// One netlink message with one attribute.
fn message(kind: u16, flags: u16, queue: u16, attribute: u16, value: &[u8]) -> Vec<u8> {
    let padded = value.len().next_multiple_of(4);
    let mut bytes = Vec::with_capacity(HEADERS + 4 + padded);
    bytes.extend(((HEADERS + 4 + padded) as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]); // sequence number and port id: the kernel fills in ours
    bytes.extend([0, 0]); // nfgenmsg: family, version
    bytes.extend(queue.to_be_bytes());
    bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend(attribute.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(HEADERS + 4 + padded, 0);
    bytes
}

/// The ids of the packets announced in a datagram of netlink messages.
fn packet_ids(mut bytes: &[u8]) -> Vec<u32> {
    let mut ids = Vec::new();
    while let Some(length) = read_u32(bytes, 0).map(|length| length as usize)
        && (HEADERS..=bytes.len()).contains(&length)
    {
        if read_u16(bytes, 4) == Some(NFQNL_MSG_PACKET) {
            ids.extend(packet_id(&bytes[HEADERS..length]));
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    ids
}

fn packet_id(mut attributes: &[u8]) -> Option<u32> {
    loop {
        let length = usize::from(read_u16(attributes, 0)?);
        let kind = read_u16(attributes, 2)? & 0x3fff;
        if kind == NFQA_PACKET_HDR {
            return attributes.get(4..8)?.try_into().ok().map(u32::from_be_bytes);
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}
