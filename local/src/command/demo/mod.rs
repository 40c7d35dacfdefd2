//! `local demo`: every photo of a folder through the whole system, and what came of it.

mod found;
mod journey;
mod lines;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use local::{Environment, Lasting};

use super::lasting::{search, searchable, write_environment};
use super::{complain, say};
use journey::{Client, Journey};

/// Two cameras on two sites: each photo is posted to both.
const PROJECTS: [&str; 2] = ["site-north", "site-south"];

/// Photos under way at the same time. Enough to keep the worker busy, few enough that the times tell about one photo.
const AT_ONCE: usize = 4;

/// Starts what is needed, posts, waits, reports, and leaves everything running. The exit code is 1 when a photo was refused or
/// failed.
pub async fn run(folder: &Path) -> anyhow::Result<ExitCode> {
    let files = files(folder)?;
    let start = Instant::now();
    let mut lasting = Lasting::start().await?;
    let outcome = tokio::select! {
        outcome = on(&mut lasting, &files, start) => outcome,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(anyhow!("interrupted; what was started goes on: `make down` ends it"))
        }
    };
    // Whatever happened: what runs is written down, to be looked at and to be ended by `make down`.
    lasting.keep().await?;
    outcome
}

async fn on(lasting: &mut Lasting, files: &[PathBuf], start: Instant) -> anyhow::Result<ExitCode> {
    // It takes half a minute, and no photo waits for it.
    let searched = search(lasting).unwrap_or_else(|error| {
        complain(&error);
        false
    });
    migrate(&lasting.stack().environment())?;
    lasting.serve("irmgard").await?;
    lasting.serve("anonymizer").await?;
    let address = lasting
        .service("irmgard")
        .context("irmgard was not started")?
        .address()
        .to_owned();
    say(&format!(
        "the stack is ready after {:.1} s",
        start.elapsed().as_secs_f64()
    ));

    let lasting = &*lasting;
    let searchable = async {
        match searched {
            true => searchable(lasting).await.map(Some),
            false => Ok(None),
        }
    };
    let photos = async {
        let journeys = journeys(&address, files).await?;
        let environment = write_environment(lasting)?;
        report::print(&journeys, lasting, &address, &environment);
        Ok::<_, anyhow::Error>((journeys, environment))
    };
    let (carrier, photos) = tokio::join!(searchable, photos);
    let (journeys, environment) = photos?;
    lines::tell(lasting, carrier?, &journeys, &environment).await;
    say(&"end it           make down");
    Ok(if journeys.iter().all(Journey::succeeded) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Posts every photo to both projects, and waits for the results.
async fn journeys(address: &str, files: &[PathBuf]) -> anyhow::Result<Vec<Journey>> {
    let client = Client::new(&format!("http://{address}"))?;
    let bar = ProgressBar::new((files.len() * PROJECTS.len()) as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} photos, {elapsed}")?,
    );
    let journeys: Vec<Journey> = stream::iter(
        PROJECTS
            .iter()
            .flat_map(|project| files.iter().map(move |file| (*project, file))),
    )
    .map(|(project, file)| {
        let (client, bar) = (&client, &bar);
        async move {
            let journey = client.journey(project, file).await;
            bar.inc(1);
            journey
        }
    })
    .buffered(AT_ONCE)
    .collect()
    .await;
    bar.finish_and_clear();
    Ok(journeys)
}

/// The files of a folder by name; what is hidden and what lies in folders below is none of them.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?
    {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_file() && !hidden {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("there is no file in {}", folder.display());
    }
    files.sort();
    Ok(files)
}

fn migrate(environment: &Environment) -> anyhow::Result<()> {
    let program = local::program("irmgard")?;
    let output = Command::new(&program)
        .arg("migrate")
        .envs(environment)
        .output()
        .context("cannot run irmgard migrate")?;
    if !output.status.success() {
        bail!(
            "irmgard migrate failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    Ok(())
}
