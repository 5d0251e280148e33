//! Group calls over bad networks: mixed NATs, a way that is blocked, a narrow uplink, a network that falls in two.

mod common;
mod group_lab;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::figures::{mono_ms, quantile};
use common::machine::measuring;
use common::netem::Impairment;
use common::netlab::{Lab, NatKind, Netns, Severed, laboratory};
use common::staircase::{climb, write_staircase};
use common::world::{REACTION, World};
use group_lab::{Member, judged, mono_of, write_tape};

const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const PATIENCE: Duration = Duration::from_secs(30);

fn home(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, 100 + number)
}

/// A super-peer without a relay for media, so that members have only each other; and a town of houses.
fn town(lab: &Lab) -> World {
    World::in_laboratory(&lab.public_host("node", &[NODE]), NODE, &[])
}

/// Each in a house of their own, behind NATs of these kinds.
fn houses(lab: &Lab, kinds: &[NatKind]) -> Vec<Netns> {
    let house = |(number, kind): (usize, &NatKind)| {
        let number = number as u8 + 1;
        let site = lab.site(&format!("r{number}"), home(number), [192, 168, number], *kind);
        lab.lan_host(&site, &format!("h{number}"), 10)
    };
    kinds.iter().enumerate().map(house).collect()
}

/// A call of all; the first begins it. Everybody hears everybody when it returns.
fn gather(world: &World, hosts: &[Netns], tapes: &[std::path::PathBuf]) -> Vec<Member> {
    let waiting = (1..hosts.len()).map(|n| Member::waiting(world, &format!("m{n}"), &tapes[n], Some(&hosts[n])));
    let mut people: Vec<Member> = waiting.collect();
    let others: Vec<&Member> = people.iter().collect();
    let starter = Member::starting(world, "m0", &tapes[0], &others, Some(&hosts[0]));
    people.insert(0, starter);
    let all = everybody(&people);
    let complete: Vec<f64> = people
        .iter_mut()
        .map(|member| {
            let complete = member.hears_all(&all, PATIENCE);
            complete - member.process.all("answered").first().map(mono_of).expect("it has answered")
        })
        .collect();
    println!(
        "hears everybody after answering: p50 {:.0}, max {:.0} ms",
        quantile(&complete, 0.5),
        quantile(&complete, 1.0)
    );
    people
}

fn everybody(people: &[Member]) -> Vec<String> {
    people.iter().map(|member| member.person.clone()).collect()
}

/// The first `hearing` of this direction that is such, after a moment; when that was told, ms later.
fn told(member: &Member, from: &str, to: &str, paths: &[&str], after: f64) -> (f64, serde_json::Value) {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let found = member.process.all("hearing").into_iter().find(|line| {
            let is_direction = line["from"] == from && line["to"] == to && mono_of(line) > after;
            is_direction && paths.iter().any(|path| line["path"] == *path)
        });
        if let Some(line) = found {
            return (mono_of(&line) - after, line);
        }
        assert!(
            std::time::Instant::now() < end,
            "{} is not told {paths:?}: {}",
            member.name,
            member.process.last_words()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_blocked_way_is_shown_to_all_and_mended_by_somebody_who_hears_both() {
    laboratory("a_blocked_way_is_shown_to_all_and_mended_by_somebody_who_hears_both", || {
        let _quiet = measuring();
        let mut lab = Lab::new();
        let world = town(&lab);
        let kinds = [NatKind::FullCone, NatKind::PortRestricted, NatKind::Symmetric, NatKind::AddressRestricted];
        let hosts = houses(&lab, &kinds);
        // A round trip between two houses takes 80 ms.
        let far: Vec<_> =
            (1..=4).map(|n| lab.impair_both(&format!("r{n}"), Impairment::delay_ms(20).with_seed(n))).collect();
        let stairs = world.file("stairs.wav");
        write_staircase(&stairs, 60);
        let silence = world.file("silence.wav");
        write_tape(&silence, 0, &[], 1.0, 1.0);
        let tapes = [stairs, silence.clone(), silence.clone(), silence];
        let mut people = gather(&world, &hosts, &tapes);
        std::thread::sleep(Duration::from_secs(2));

        // From m0's house to m1's, both ways, and to the relay that both could meet at.
        let began = mono_ms();
        let severed: Vec<Severed> =
            vec![lab.sever(home(1), home(2)), lab.sever(home(2), NODE), lab.sever(home(1), NODE)];
        let [from, to] = [people[0].person.clone(), people[1].person.clone()];
        for member in &people {
            let (missing, _) = told(member, &from, &to, &["missing", "via"], began);
            let (mended, line) = told(member, &from, &to, &["via", "direct"], began);
            println!(
                "{} is told after {missing:.0} ms, and that it is mended after {mended:.0} ms: {line}",
                member.name
            );
            assert!(missing <= 3000.0 && mended <= 4000.0, "{} {missing} {mended}", member.name);
        }
        std::thread::sleep(Duration::from_secs(4));
        let opened = mono_ms();
        drop(severed);
        let (direct, _) = told(&people[1], &from, &to, &["direct"], opened);
        println!("direct again {direct:.0} ms after the way is open");
        std::thread::sleep(Duration::from_secs(2));
        people.iter_mut().for_each(Member::leaves);
        let climb = climb(&people[1].hears);
        println!("m1 hears m0: {climb:?}");
        assert!(climb.longest_standstill_ms <= 4000 && climb.repeated == 0, "{climb:?}");
        drop(far);
        world.finish();
    });
}

#[test]
fn two_halves_talk_on_and_become_one_again() {
    laboratory("two_halves_talk_on_and_become_one_again", || {
        let _quiet = measuring();
        let lab = Lab::new();
        let world = town(&lab);
        let hosts = houses(&lab, &[NatKind::PortRestricted; 6]);
        let silence = world.file("silence.wav");
        write_tape(&silence, 0, &[], 1.0, 1.0);
        let mut people = gather(&world, &hosts, &std::array::from_fn::<_, 6, _>(|_| silence.clone()));
        std::thread::sleep(Duration::from_secs(2));
        let cut = mono_ms();
        // The second half has no node either.
        let mut severed: Vec<Severed> = (4..=6).map(|n| lab.sever(home(n), NODE)).collect();
        for one in 1..=3 {
            severed.extend((4..=6).map(|other| lab.sever(home(one), home(other))));
        }
        for (n, member) in people.iter_mut().enumerate() {
            let gone = member.process.next("member_gone", REACTION);
            println!("m{n} misses somebody after {:.0} ms", mono_of(&gone) - cut);
        }
        std::thread::sleep(Duration::from_secs(18));
        let sizes: Vec<_> =
            people.iter().map(|member| member.asks(&world, &["status"])["groups"][0]["size"].clone()).collect();
        assert!(sizes.iter().all(|size| *size == 3), "each half goes on: {sizes:?}");
        let healed = mono_ms();
        drop(severed);
        let all = everybody(&people);
        let mut last: f64 = 0.0;
        for member in &people {
            for from in all.iter().filter(|from| **from != member.person) {
                let far = people.iter().position(|it| it.person == *from).map(|n| n / 3);
                let near = people.iter().position(|it| it.person == member.person).map(|n| n / 3);
                if far != near {
                    last = last.max(told(member, from, &member.person, &["direct", "via"], healed).0);
                }
            }
        }
        println!("one call again after {last:.0} ms");
        assert!(last <= 5000.0, "{last}");
        let rosters: Vec<Vec<_>> = people
            .iter()
            .map(|member| {
                let status = member.asks(&world, &["status"]);
                let members = status["groups"][0]["members"].as_array().expect("an array").clone();
                let mut members: Vec<_> = members.iter().map(|it| it["peer"].as_str().map(str::to_owned)).collect();
                members.push(Some(member.person.clone()));
                members.sort();
                members
            })
            .collect();
        assert!(rosters.windows(2).all(|pair| pair[0] == pair[1]), "{rosters:?}");
        people.iter_mut().for_each(Member::leaves);
        world.finish();
    });
}

/// Seconds at which the narrow one and then somebody else speak, and how long.
const NARROW_SPEAKS: f64 = 34.0;
const OTHER_SPEAKS: f64 = 40.0;
const TURN: f64 = 4.0;

#[test]
fn who_has_a_narrow_uplink_is_carried_by_somebody_who_has_not() {
    laboratory("who_has_a_narrow_uplink_is_carried_by_somebody_who_has_not", || {
        let _quiet = measuring();
        let lab = Lab::new();
        let world = town(&lab);
        const PEOPLE: usize = 8;
        let rate = format!("{}kbit", std::env::var("TWOCANS_TEST_UPLINK_KBPS").as_deref().unwrap_or("64"));
        let hosts = houses(&lab, &[NatKind::PortRestricted; PEOPLE]);
        let shaped = hosts[1]
            .command(&[
                "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", "3000", "latency", "200ms",
            ])
            .output()
            .expect("tc is there");
        assert!(shaped.status.success(), "{}", String::from_utf8_lossy(&shaped.stderr));
        let tapes: Vec<_> = (0..PEOPLE)
            .map(|n| {
                let path = world.file(&format!("tape-{n}.wav"));
                // The narrow one talks from the beginning, as people do, so that its line is seen to be too narrow.
                let at: &[f64] = match n {
                    1 => &[1.0, 5.0, 9.0, NARROW_SPEAKS],
                    0 => &[OTHER_SPEAKS],
                    _ => &[],
                };
                let said = write_tape(&path, n, at, TURN, OTHER_SPEAKS + TURN + 1.0);
                (path, said)
            })
            .collect();
        let paths: Vec<_> = tapes.iter().map(|(path, _)| path.clone()).collect();
        let mut people = gather(&world, &hosts, &paths);
        let end = people[0].tape_began().max(people[1].tape_began()) + (OTHER_SPEAKS + TURN + 1.0) * 1e3;
        std::thread::sleep(Duration::from_secs_f64((end - mono_ms()).max(0.0) / 1e3));
        let narrow = people[1].person.clone();
        let via = |member: &Member| {
            let status = member.asks(&world, &["status"]);
            let members = status["groups"][0]["members"].as_array().expect("an array").clone();
            members.iter().any(|it| it["peer"] == narrow.as_str() && it["heard"] == "via")
        };
        let carried = people.iter().enumerate().filter(|(n, member)| *n != 1 && via(member)).count();
        people.iter_mut().for_each(Member::leaves);
        for (speaker, at, least) in [(1, NARROW_SPEAKS, 0.8), (0, OTHER_SPEAKS, 0.9)] {
            let said_at = people[speaker].tape_began() + at * 1e3;
            let listeners = people.iter().enumerate().filter(|(n, _)| *n != speaker && *n != 1);
            let scores: Vec<(f32, f32, f32)> =
                listeners.map(|(_, it)| judged(&tapes[speaker].1, &it.recorded(said_at - 300.0, TURN + 1.2))).collect();
            println!("m{speaker}, share heard, PESQ-WB, lag: {scores:.2?}");
            assert!(scores.iter().all(|(share, _, _)| *share >= least), "{scores:?}");
        }
        println!("{carried} of {} hear m1 through another", PEOPLE - 1);
        // All but the carrier itself.
        assert!(carried >= PEOPLE - 3, "{carried}");
        world.finish();
    });
}
