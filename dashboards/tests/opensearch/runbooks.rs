//! logq accepts every `logq` line of the runbooks, and OpenSearch answers it.

use std::{fs, path::Path};

use clap::Parser;
use logq::{
    cli::{Cli, LogqCommand, expand_view},
    config::Config,
    entry::Order,
    opensearch::Client,
    query::ResolvedContext,
    search::explain,
    source::{LineSource, opensearch::OpenSearchSource},
};

use super::log_store::LogStore;

/// The commands of logq in all pages, without `logq admin`.
fn commands() -> Vec<(String, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
    let mut all = Vec::new();
    for page in fs::read_dir(folder).unwrap() {
        let page = page.unwrap();
        let name = page.file_name().into_string().unwrap();
        let text = fs::read_to_string(page.path()).unwrap();
        let indented = text.lines().filter_map(|line| line.strip_prefix("    logq "));
        let within = text.split('`').skip(1).step_by(2);
        let within = within.filter_map(|code| code.strip_prefix("logq "));
        let lines = indented.chain(within).filter(|line| !line.starts_with("admin"));
        let found: Vec<_> = lines.map(|line| (name.clone(), words(line))).collect();
        assert!(
            name == "README.md" || !found.is_empty(),
            "{name} has no line of logq"
        );
        all.extend(found);
    }
    all
}

/// Splits a line like a shell, with `'…'` as the only quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[tokio::test]
async fn every_line_of_logq_in_the_runbooks_works() {
    let Some(store) = LogStore::empty("the lines of logq in the runbooks").await else {
        return;
    };
    for (page, words) in commands() {
        let (client, said) = (store.client.clone(), words.clone());
        let ran = tokio::task::spawn_blocking(move || run(client, &said))
            .await
            .unwrap();
        if let Err(error) = ran {
            panic!("{page}: logq {}: {error}", words.join(" "));
        }
    }
}

fn run(client: Client, words: &[String]) -> Result<(), String> {
    let arguments = ["logq"].into_iter().chain(words.iter().map(String::as_str));
    let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
    let search = match cli.command {
        None => cli.search,
        Some(LogqCommand::View { arguments }) => {
            let config = Config::without_file(Box::new(|_| None));
            expand_view(&arguments, &config).map_err(|error| error.to_string())?
        }
        // Other tests check the result.
        Some(LogqCommand::Doctor(_)) => return Ok(()),
        Some(_) => return Err("is no search".to_owned()),
    };
    let query = search.query().map_err(|error| error.to_string())?;
    let source: Box<dyn LineSource> =
        Box::new(OpenSearchSource::new(client).map_err(|error| error.to_string())?);
    let mut text = Vec::new();
    explain(&search, &query, &*source, &mut text).map_err(|error| error.to_string())?;
    let context = if query.needs_context() {
        source.resolve(&query).map_err(|error| error.to_string())?
    } else {
        ResolvedContext::default()
    };
    let lines = source.lines(&query.filter(&context), Order::Forward);
    match lines.map_err(|error| error.to_string())?.next() {
        Some(Err(error)) => Err(error.to_string()),
        _ => Ok(()),
    }
}
