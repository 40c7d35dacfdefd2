//! `local demo`: anonymises every photo of a folder with the whole system, and reports the results.

mod log_hints;
mod photo;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use local::PersistentStack;

use super::output::{print_error, print_line, run_program};
use super::stack::{ship_logs, start_opensearch, write_environment};
use photo::{DemoClient, PhotoResult};

/// Each photo is posted to both projects.
const PROJECTS: [&str; 2] = ["site-north", "site-south"];

/// Concurrent photos: enough to keep the worker busy, few enough that the times are those of one photo.
const CONCURRENCY: usize = 4;

/// Starts the system, posts the photos, waits, reports, and leaves everything running. The exit code is 1 when a photo was
/// refused or failed.
pub async fn run(folder: &Path) -> anyhow::Result<ExitCode> {
    let files = photo_files(folder)?;
    let start = Instant::now();
    let mut stack = PersistentStack::start().await?;
    let result = tokio::select! {
        result = run_on(&mut stack, &files, start) => result,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(anyhow!("interrupted; the stack still runs: `make down` ends it"))
        }
    };
    // Also after an error: the record lets `make down` end the processes.
    stack.detach().await?;
    result
}

async fn run_on(stack: &mut PersistentStack, files: &[PathBuf], start: Instant) -> anyhow::Result<ExitCode> {
    // OpenSearch needs half a minute. No photo waits for it.
    let with_opensearch = start_opensearch(stack).unwrap_or_else(|error| {
        print_error(&error);
        false
    });
    run_program("irmgard", &["migrate"], stack.stack().environment()).await?;
    stack.ensure_service("irmgard").await?;
    stack.ensure_service("anonymizer").await?;
    let address = stack
        .service("irmgard")
        .context("irmgard was not started")?
        .address()
        .to_owned();
    print_line(&format!(
        "the stack is ready after {:.1} s",
        start.elapsed().as_secs_f64()
    ));

    let stack = &*stack;
    let shipping = async {
        match with_opensearch {
            true => ship_logs(stack).await.map(Some),
            false => Ok(None),
        }
    };
    let photos = async {
        let results = anonymize_all(&address, files).await?;
        let environment_file = write_environment(stack)?;
        report::print(&results, stack, &address, &environment_file);
        Ok::<_, anyhow::Error>((results, environment_file))
    };
    let (shipper, photos) = tokio::join!(shipping, photos);
    let (results, environment_file) = photos?;
    log_hints::print_log_hints(stack, shipper?, &results, &environment_file).await;
    print_line(&"end it           make down");
    Ok(if results.iter().all(PhotoResult::is_anonymized) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Posts every photo to both projects, and waits for the results.
async fn anonymize_all(address: &str, files: &[PathBuf]) -> anyhow::Result<Vec<PhotoResult>> {
    let client = DemoClient::new(&format!("http://{address}"))?;
    let bar = ProgressBar::new((files.len() * PROJECTS.len()) as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} photos, {elapsed}")?,
    );
    let results: Vec<PhotoResult> = stream::iter(
        PROJECTS
            .iter()
            .flat_map(|project| files.iter().map(move |file| (*project, file))),
    )
    .map(|(project, file)| {
        let (client, bar) = (&client, &bar);
        async move {
            let result = client.anonymize(project, file).await;
            bar.inc(1);
            result
        }
    })
    .buffered(CONCURRENCY)
    .collect()
    .await;
    bar.finish_and_clear();
    Ok(results)
}

/// The files of a folder in order of their names, without hidden files and subfolders.
fn photo_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
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
        bail!("no photos in {}", folder.display());
    }
    files.sort();
    Ok(files)
}
