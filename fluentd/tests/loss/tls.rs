//! OpenSearch behind TLS and a password: while the certificate or the password is wrong, nothing is lost and Fluentd logs
//! the reason. It continues when that is corrected.

use std::fs;

use anyhow::Result;
use fluentd::tls_proxy::TlsProxy;
use test_support::tls::Authority;

use super::FluentdFixture;
use super::load::LogLoad;

const USER: &str = "fluentd";
const PASSWORD: &str = "correct horse battery staple";
const WRONG: &str = "wrong horse";

fn new_authority() -> Authority {
    Authority::new("the tests")
}

/// Starts a proxy, and configures Fluentd to use it, with the authority's certificate and the password in files.
async fn start_proxy(
    fixture: &mut FluentdFixture,
    authority: &Authority,
    password: &str,
) -> Result<TlsProxy> {
    let proxy = TlsProxy::start(authority, fixture.servers.address(), USER, PASSWORD).await?;
    let state = fixture.fluentd.state().to_owned();
    let (ca, secret) = (state.join("ca.pem"), state.join("password"));
    fs::write(&ca, authority.pem())?;
    fs::write(&secret, format!("{password}\n"))?;
    for (name, value) in [
        ("SCHEME", "https".to_owned()),
        ("HOSTS", format!("https://{}", proxy.address())),
        ("CA_PATH", ca.display().to_string()),
        ("USER", USER.to_owned()),
        ("PASSWORD_FILE", secret.display().to_string()),
    ] {
        fixture.fluentd.set(&format!("FLUENT_OPENSEARCH_{name}"), &value);
    }
    Ok(proxy)
}

async fn wait_for_failure(fixture: &FluentdFixture, reason: &str) -> Result<()> {
    let is_failing = async || {
        let retries = fixture.fluentd.metric("fluentd_output_status_retry_count").await;
        retries.unwrap_or(0.0) > 1.0 && fixture.fluentd.output().contains(reason)
    };
    fixture
        .fluentd
        .wait(&format!("Fluentd to log {reason:?}"), is_failing)
        .await
}

#[tokio::test]
async fn a_private_authority_and_a_password() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("TLS and a password towards OpenSearch").await? else {
        return Ok(());
    };
    let proxy = start_proxy(&mut fixture, &new_authority(), PASSWORD).await?;
    let mut load = LogLoad::new(&fixture)?;
    fixture.fluentd.start().await?;
    load.write(1_000, &fixture).await?;

    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    assert!(proxy.forwarded() > 0);
    assert_eq!([proxy.unauthorized(), proxy.failed_handshakes()], [0, 0]);
    let output = fixture.fluentd.output();
    assert!(
        !output.contains(PASSWORD),
        "the password is in Fluentd's output:\n{output}"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_and_then_the_right_one() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("a wrong password towards OpenSearch").await? else {
        return Ok(());
    };
    let proxy = start_proxy(&mut fixture, &new_authority(), WRONG).await?;
    let mut load = LogLoad::new(&fixture)?;
    fixture.fluentd.start().await?;
    load.write_at_once(1_000)?;
    wait_for_failure(&fixture, "401").await?;
    assert!(proxy.unauthorized() > 0);
    assert_eq!(fixture.servers.count(), 0);

    // Fluentd reads the secret when it starts.
    fs::write(fixture.fluentd.state().join("password"), PASSWORD)?;
    fixture.fluentd.kill()?;
    fixture.fluentd.start().await?;
    load.write(500, &fixture).await?;
    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    assert_eq!(fixture.fluentd.metric("fluentd_dead_letters_total").await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn the_password_is_changed_in_opensearch_and_back() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("a password that is changed in OpenSearch").await? else {
        return Ok(());
    };
    let proxy = start_proxy(&mut fixture, &new_authority(), PASSWORD).await?;
    let mut load = LogLoad::new(&fixture)?;
    fixture.fluentd.start().await?;
    load.write(500, &fixture).await?;
    fixture.wait_until_stored(load.len()).await?;
    proxy.expect(USER, WRONG)?;
    load.write_at_once(500)?;
    wait_for_failure(&fixture, "401").await?;
    proxy.expect(USER, PASSWORD)?;

    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    Ok(())
}

#[tokio::test]
async fn an_unknown_authority_and_then_the_right_one() -> Result<()> {
    let Some(mut fixture) = FluentdFixture::new("a wrong certificate of OpenSearch").await? else {
        return Ok(());
    };
    let authority = new_authority();
    let proxy = start_proxy(&mut fixture, &authority, PASSWORD).await?;
    let ca = fixture.fluentd.state().join("ca.pem");
    fs::write(&ca, new_authority().pem())?;
    let mut load = LogLoad::new(&fixture)?;
    fixture.fluentd.start().await?;
    load.write_at_once(1_000)?;
    wait_for_failure(&fixture, "certificate verify failed").await?;
    assert!(proxy.failed_handshakes() > 0);
    assert_eq!([proxy.unauthorized(), fixture.servers.count()], [0, 0]);

    fs::write(&ca, authority.pem())?;
    fixture.fluentd.kill()?;
    fixture.fluentd.start().await?;
    fixture.wait_until_stored(load.len()).await?;
    load.assert_each_once(&fixture.servers.documents());
    Ok(())
}
