//! Puts templates, pipeline and streams where they are missing or older than
//! this release's.

use opensearch::http::Method;
use serde_json::Value;

use super::desired::{Piece, data_streams, pieces};
use super::difference::holds;
use super::outcome::{Outcome, State};
use super::{Result, extras, streams};
use crate::opensearch::Client;

/// What is wanted beside templates and streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The security plugin's roles.
    pub roles: bool,
    /// The policy of index state management, in place of `retain`.
    pub ism: bool,
    /// Nothing is done; it is only told.
    pub dry_run: bool,
}

/// How often a piece is put again that an older release overwrote meanwhile.
const TRIES: usize = 5;

/// Does what is missing, tells `say` of each thing what became of it, and
/// deletes nothing. Any number may run at once, of several releases: each
/// looks again after it has put something, so the newest one's stay.
///
/// # Errors
/// [`super::Error`]; what was done until then stays, and the next run goes on.
pub async fn bootstrap(
    client: &Client,
    options: Options,
    say: &mut (dyn FnMut(Outcome) -> Result<()> + Send),
) -> Result<()> {
    let dry_run = options.dry_run;
    let mut whole = true;
    for piece in pieces()? {
        let state = put(client, &piece, dry_run).await?;
        whole &= !matches!(state, State::Would(_));
        say(Outcome::new(piece.title(), state))?;
    }
    if options.roles && !dry_run {
        extras::roles(client, say).await?;
    }
    if options.ism && !dry_run {
        extras::policy(client, say).await?;
    }
    // What streams are compared with is what the templates there come to: with others, only whether they are there counts.
    let template = if whole {
        Some(streams::template(client).await?)
    } else {
        None
    };
    for stream in data_streams() {
        streams::prepare(client, &stream, template.as_ref(), dry_run, say).await?;
    }
    if options.ism && !dry_run {
        extras::manage_streams(client, say).await?;
    }
    Ok(())
}

async fn put(client: &Client, piece: &Piece, dry_run: bool) -> Result<State> {
    let ours = piece.body.get("version").and_then(Value::as_u64);
    let mut done = None;
    for _ in 0..TRIES {
        let what = format!("show the {}", piece.title());
        let answer = client.find(&what, &piece.path()).await?;
        let there = answer.as_ref().and_then(|answer| piece.body_in(answer));
        let state = match there {
            Some(_) if piece.theirs => return Ok(done.unwrap_or(State::Same)),
            None => State::Created,
            Some(there) => {
                let theirs = there.get("version").and_then(Value::as_u64);
                if theirs > ours {
                    return Ok(State::Left(format!(
                        "version {} is of a newer release (this one's: {})",
                        number(theirs),
                        number(ours)
                    )));
                }
                if holds(there, &piece.body) {
                    return Ok(done.unwrap_or(State::Same));
                }
                State::Changed(if theirs == ours {
                    format!("somebody had changed it; it is version {} again", number(ours))
                } else {
                    format!("version {} is now {}", number(theirs), number(ours))
                })
            }
        };
        if dry_run {
            return Ok(state.would());
        }
        let what = format!("take the {}", piece.title());
        client
            .ask(&what, Method::Put, &piece.path(), &[], Some(&piece.body))
            .await?;
        done.get_or_insert(state);
    }
    Ok(State::Left("others keep changing it; run this again".into()))
}

fn number(version: Option<u64>) -> String {
    version.map_or_else(|| "none".into(), |version| version.to_string())
}
