//! Hundreds of uploads while our programs and the servers are killed in a random order, determined by a seed.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use e2e::pipeline::{Pipeline, Setup, TIME_LIMIT, TestServers, references};
use test_support::Behaviour;
use tokio::time::{Instant, sleep};

use crate::NO_FAILURES;

const PHOTOS: usize = 300;
const CAMERAS: usize = 6;
/// How long a camera retries. No camera may exceed it.
const CAMERA_TIME_LIMIT: Duration = Duration::from_secs(300);

/// SplitMix64, a small and portable random generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    fn millis(&mut self, min: usize, max: usize) -> Duration {
        Duration::from_millis((min + self.below(max - min)) as u64)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_photos_survive_random_kills() {
    let seed = env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.as_secs() ^ u64::from(now.subsec_nanos())
        });
    println!("SEED={seed}");
    let setup = Setup {
        irmgards: 2,
        workers: 2,
        ..Setup::default()
    }
    .with("CONCURRENCY", "1");
    let (bases, _) = references().await.unwrap();
    let mut pipeline = Pipeline::start_on_dedicated_servers(setup).await.unwrap();
    let start = Instant::now();

    let uploads = std::sync::Arc::new(AtomicUsize::new(0));
    let cameras: Vec<_> = (0..CAMERAS)
        .map(|_| {
            let (camera, uploads) = (pipeline.camera(), uploads.clone());
            tokio::spawn(async move {
                while uploads.fetch_add(1, Ordering::Relaxed) < PHOTOS {
                    camera.deliver(&camera.shoot(bases), CAMERA_TIME_LIMIT).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();

    let mut random = Random(seed);
    let mut events = Vec::new();
    // At least 14 events, even if all photos are uploaded before.
    while events.len() < 14 || cameras.iter().any(|camera| !camera.is_finished()) {
        sleep(random.millis(100, 1200)).await;
        let event = inject_failure(&mut pipeline, &mut random).await;
        println!("SEED={seed} {:6.1} s: {event}", start.elapsed().as_secs_f64());
        events.push(event);
        assert!(
            start.elapsed() < CAMERA_TIME_LIMIT,
            "the photos were not accepted in time"
        );
    }
    for camera in cameras {
        camera.await.unwrap().unwrap();
    }
    pipeline.proxies.restore().await;
    println!(
        "SEED={seed} {:6.1} s: all accepted",
        start.elapsed().as_secs_f64()
    );
    pipeline.wait_until_idle(TIME_LIMIT).await.unwrap();
    println!("SEED={seed} {:6.1} s: all done", start.elapsed().as_secs_f64());
    pipeline.check(&NO_FAILURES).await.unwrap_or_else(|error| {
        panic!(
            "SEED={seed}: {error:#}\nafter {events:#?}\n{}",
            pipeline.recent_warnings()
        )
    });
    assert!(pipeline.ledger().accepted().len() >= PHOTOS);
}

/// Injects a random failure, ends it, and describes it.
async fn inject_failure(pipeline: &mut Pipeline, random: &mut Random) -> String {
    let index = random.below(2);
    let pause = random.millis(0, 1500);
    match random.below(12) {
        0..2 => {
            pipeline.irmgards[index].kill().unwrap();
            sleep(pause).await;
            pipeline.irmgards[index].start().await.unwrap();
            format!("irmgard {index} killed, restarted after {pause:?}")
        }
        2..4 => {
            pipeline.workers[index].kill().unwrap();
            sleep(pause).await;
            pipeline.workers[index].start().await.unwrap();
            format!("worker {index} killed, restarted after {pause:?}")
        }
        4 => {
            pipeline.workers[index].terminate();
            pipeline.workers[index].ended(TIME_LIMIT).await.unwrap();
            pipeline.workers[index].start().await.unwrap();
            format!("worker {index} terminated")
        }
        5 => {
            pipeline.irmgards[index].terminate();
            pipeline.irmgards[index].ended(TIME_LIMIT).await.unwrap();
            pipeline.irmgards[index].start().await.unwrap();
            format!("irmgard {index} terminated")
        }
        6 => kill_server(pipeline, 0, pause).await,
        7 => kill_server(pipeline, 1, pause).await,
        8 => kill_server(pipeline, 2, pause).await,
        other => {
            let (name, proxy) = pipeline.proxies.all()[random.below(3)];
            let behaviour = match other {
                9 => Behaviour::Stall,
                10 => Behaviour::Refuse,
                _ => {
                    proxy.cut();
                    return format!("{name} cut");
                }
            };
            proxy.behave(behaviour).await;
            sleep(pause * 2).await;
            proxy.restore().await;
            format!("{name}: {behaviour:?} for {:?}", pause * 2)
        }
    }
}

/// Kills and restarts a server. An external server becomes unreachable instead.
async fn kill_server(pipeline: &Pipeline, server: usize, pause: Duration) -> String {
    let (name, proxy) = pipeline.proxies.all()[server];
    let TestServers::Dedicated(stack) = &pipeline.servers else {
        proxy.behave(Behaviour::Refuse).await;
        sleep(pause).await;
        proxy.restore().await;
        return format!("{name} unreachable for {pause:?}");
    };
    macro_rules! kill {
        ($server:expr) => {{
            $server.kill().await.unwrap();
            sleep(pause).await;
            $server.restart().await.unwrap();
        }};
    }
    match name {
        "postgres" => kill!(stack.postgres()),
        "rabbitmq" => kill!(stack.rabbitmq()),
        _ => kill!(stack.object_store()),
    }
    format!("{name} killed, restarted after {pause:?}")
}
