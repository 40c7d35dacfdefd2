//! Hundreds of photos while our programs and the servers are killed, in an
//! order that a seed determines.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use e2e::pipeline::{PATIENCE, Pipeline, Place, Setup, references};
use local::proxy::Behaviour;
use tokio::time::{Instant, sleep};

use crate::NONE;

const PHOTOS: usize = 300;
const CAMERAS: usize = 6;
/// A camera gives up after this; none may have to.
const CAMERA_PATIENCE: Duration = Duration::from_secs(300);

/// SplitMix64: small, and the same everywhere.
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

    fn millis(&mut self, least: usize, most: usize) -> Duration {
        Duration::from_millis((least + self.below(most - least)) as u64)
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
    let mut pipeline = Pipeline::start_on_own_servers(setup).await.unwrap();
    let began = Instant::now();

    let posted = std::sync::Arc::new(AtomicUsize::new(0));
    let cameras: Vec<_> = (0..CAMERAS)
        .map(|_| {
            let (camera, posted) = (pipeline.camera(), posted.clone());
            tokio::spawn(async move {
                while posted.fetch_add(1, Ordering::Relaxed) < PHOTOS {
                    camera.deliver(&camera.shoot(bases), CAMERA_PATIENCE).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();

    let mut random = Random(seed);
    let mut events = Vec::new();
    // Photos are quick and outages slow: there must be enough of both.
    while events.len() < 14 || cameras.iter().any(|camera| !camera.is_finished()) {
        sleep(random.millis(100, 1200)).await;
        let event = disturb(&mut pipeline, &mut random).await;
        println!("SEED={seed} {:6.1} s: {event}", began.elapsed().as_secs_f64());
        events.push(event);
        assert!(began.elapsed() < CAMERA_PATIENCE, "the photos are not accepted");
    }
    for camera in cameras {
        camera.await.unwrap().unwrap();
    }
    pipeline.proxies.restore().await;
    println!(
        "SEED={seed} {:6.1} s: all are accepted",
        began.elapsed().as_secs_f64()
    );
    pipeline.settled(PATIENCE * 2).await.unwrap();
    println!(
        "SEED={seed} {:6.1} s: all are done",
        began.elapsed().as_secs_f64()
    );
    pipeline
        .check(&NONE)
        .await
        .unwrap_or_else(|error| panic!("SEED={seed}: {error:#}\nafter {events:#?}\n{}", pipeline.tails()));
    assert!(pipeline.ledger().all().len() >= PHOTOS);
}

/// One thing that goes wrong, and its end.
async fn disturb(pipeline: &mut Pipeline, random: &mut Random) -> String {
    let which = random.below(2);
    let pause = random.millis(0, 1500);
    match random.below(12) {
        0..2 => {
            pipeline.irmgards[which].kill().unwrap();
            sleep(pause).await;
            pipeline.irmgards[which].start().await.unwrap();
            format!("irmgard {which} killed, back after {pause:?}")
        }
        2..4 => {
            pipeline.workers[which].kill().unwrap();
            sleep(pause).await;
            pipeline.workers[which].start().await.unwrap();
            format!("worker {which} killed, back after {pause:?}")
        }
        4 => {
            pipeline.workers[which].terminate();
            pipeline.workers[which].ended(PATIENCE).await.unwrap();
            pipeline.workers[which].start().await.unwrap();
            format!("worker {which} asked to end")
        }
        5 => {
            pipeline.irmgards[which].terminate();
            pipeline.irmgards[which].ended(PATIENCE).await.unwrap();
            pipeline.irmgards[which].start().await.unwrap();
            format!("irmgard {which} asked to end")
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

/// Kills a server; one that is not ours is out of reach for a while instead.
async fn kill_server(pipeline: &Pipeline, server: usize, pause: Duration) -> String {
    let (name, proxy) = pipeline.proxies.all()[server];
    let Place::Own(stack) = &pipeline.place else {
        proxy.behave(Behaviour::Refuse).await;
        sleep(pause).await;
        proxy.restore().await;
        return format!("{name} out of reach for {pause:?}");
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
    format!("{name} killed, back after {pause:?}")
}
