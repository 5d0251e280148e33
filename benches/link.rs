//! Our link beside the async `webrtc` wrapper, another driver around the same core: how long an audio packet takes from
//! the sender's call to the receiver's hand, and how long a connection takes, over loopback, in one run.
//!
//! The two sides run on one single-thread runtime, as the links of a process do.

#[path = "../tests/link_peers/mod.rs"]
mod link_peers;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use link_peers::ours::{self, End, loopback};
use link_peers::wrapper::{self, Wrapper};
use link_peers::{packet, runtime};
use twocans::base::PayloadKind;
use twocans::link::Role;

fn audio(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("audio packet, write to application");
    group.bench_function("ours", |bencher| {
        let runtime = runtime();
        let (offerer, mut answerer) = runtime.block_on(async {
            let (mut offerer, mut answerer) = our_pair().await;
            ours::connect(&mut offerer, &mut answerer).await;
            (offerer, answerer)
        });
        let mut number = 0;
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let sent = packet(number, PayloadKind::Opus);
                    number = number.wrapping_add(1);
                    let began = Instant::now();
                    assert!(offerer.link.send(sent));
                    black_box(answerer.next_audio().await);
                    total += began.elapsed();
                }
                total
            })
        });
    });
    group.bench_function("wrapper", |bencher| {
        let runtime = runtime();
        let (offerer, _answerer, track) = runtime.block_on(async {
            let (mut offerer, mut answerer) = (Wrapper::open().await, Wrapper::open().await);
            wrapper::connect(&mut offerer, &mut answerer).await;
            offerer.send(packet(0, PayloadKind::Opus)).await;
            let track = answerer.remote_track().await;
            wrapper::next_packet(&*track).await;
            (offerer, answerer, track)
        });
        let mut number = 1;
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let sent = packet(number, PayloadKind::Opus);
                    number = number.wrapping_add(1);
                    let began = Instant::now();
                    offerer.send(sent).await;
                    black_box(wrapper::next_packet(&*track).await);
                    total += began.elapsed();
                }
                total
            })
        });
    });
    group.finish();
}

fn connect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("connect, offer to both connected");
    group.sample_size(10);
    group.bench_function("ours", |bencher| {
        let runtime = runtime();
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let (mut offerer, mut answerer) = our_pair().await;
                    total += ours::connect(&mut offerer, &mut answerer).await;
                    offerer.link.close().await;
                    answerer.link.close().await;
                }
                total
            })
        });
    });
    group.bench_function("wrapper", |bencher| {
        let runtime = runtime();
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..rounds {
                    let (mut offerer, mut answerer) = (Wrapper::open().await, Wrapper::open().await);
                    let began = Instant::now();
                    wrapper::connect(&mut offerer, &mut answerer).await;
                    total += began.elapsed();
                    offerer.connection.close().await.unwrap();
                    answerer.connection.close().await.unwrap();
                }
                total
            })
        });
    });
    group.finish();
}

async fn our_pair() -> (End, End) {
    (End::open(loopback(Role::Offerer)).await, End::open(loopback(Role::Answerer)).await)
}

criterion_group! {
    name = links;
    config = Criterion::default().measurement_time(Duration::from_secs(5)).warm_up_time(Duration::from_secs(1));
    targets = audio, connect
}
criterion_main!(links);
