//! OpenSearch behind TLS and a password: nothing is lost while the certificate
//! or the password is wrong, it is told, and it goes on when that is put right.

use std::fs;

use anyhow::Result;
use fluentd::gate::{Authority, Gate};

use super::Stand;
use super::load::Load;

const USER: &str = "fluentd";
const PASSWORD: &str = "correct horse battery staple";
const WRONG: &str = "wrong horse";

/// Sets up Fluentd to go through a gate, with an authority's certificate and a password in files.
async fn behind_a_gate(stand: &mut Stand, authority: &Authority, password: &str) -> Result<Gate> {
    let gate = Gate::open(authority, stand.servers.address(), USER, PASSWORD).await?;
    let state = stand.fluentd.state().to_owned();
    let (ca, secret) = (state.join("ca.pem"), state.join("password"));
    authority.write(&ca)?;
    fs::write(&secret, format!("{password}\n"))?;
    for (name, value) in [
        ("SCHEME", "https".to_owned()),
        ("HOSTS", format!("https://{}", gate.address())),
        ("CA_PATH", ca.display().to_string()),
        ("USER", USER.to_owned()),
        ("PASSWORD_FILE", secret.display().to_string()),
    ] {
        stand.fluentd.set(&format!("FLUENT_OPENSEARCH_{name}"), &value);
    }
    Ok(gate)
}

async fn failing(stand: &Stand, said: &str) -> Result<()> {
    let told = async || {
        let retries = stand.fluentd.metric("fluentd_output_status_retry_count").await;
        retries.unwrap_or(0.0) > 1.0 && stand.fluentd.output().contains(said)
    };
    stand
        .fluentd
        .wait(&format!("Fluentd to say {said:?}"), told)
        .await
}

#[tokio::test]
async fn an_authority_of_one_s_own_and_a_password() -> Result<()> {
    let Some(mut stand) = Stand::new("TLS and a password towards OpenSearch").await? else {
        return Ok(());
    };
    let gate = behind_a_gate(&mut stand, &Authority::new()?, PASSWORD).await?;
    let mut load = Load::new(&stand)?;
    stand.fluentd.start().await?;
    load.write(1_000, &stand).await?;

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    assert!(gate.let_in() > 0);
    assert_eq!([gate.refused(), gate.broken_off()], [0, 0]);
    let said = stand.fluentd.output();
    assert!(
        !said.contains(PASSWORD),
        "the password is in Fluentd's output:\n{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_and_then_the_right_one() -> Result<()> {
    let Some(mut stand) = Stand::new("a wrong password towards OpenSearch").await? else {
        return Ok(());
    };
    let gate = behind_a_gate(&mut stand, &Authority::new()?, WRONG).await?;
    let mut load = Load::new(&stand)?;
    stand.fluentd.start().await?;
    load.write_at_once(1_000)?;
    failing(&stand, "401").await?;
    assert!(gate.refused() > 0);
    assert_eq!(stand.servers.count(), 0);

    // The secret is put right; Fluentd reads it when it starts.
    fs::write(stand.fluentd.state().join("password"), PASSWORD)?;
    stand.fluentd.kill()?;
    stand.fluentd.start().await?;
    load.write(500, &stand).await?;
    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    assert_eq!(stand.fluentd.metric("fluentd_dead_letters_total").await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn the_password_is_changed_in_opensearch_and_back() -> Result<()> {
    let Some(mut stand) = Stand::new("a password that is changed in OpenSearch").await? else {
        return Ok(());
    };
    let gate = behind_a_gate(&mut stand, &Authority::new()?, PASSWORD).await?;
    let mut load = Load::new(&stand)?;
    stand.fluentd.start().await?;
    load.write(500, &stand).await?;
    stand.stored(load.len()).await?;
    gate.expect(USER, WRONG)?;
    load.write_at_once(500)?;
    failing(&stand, "401").await?;
    gate.expect(USER, PASSWORD)?;

    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_somebody_else_and_then_the_right_authority() -> Result<()> {
    let Some(mut stand) = Stand::new("a wrong certificate of OpenSearch").await? else {
        return Ok(());
    };
    let authority = Authority::new()?;
    let gate = behind_a_gate(&mut stand, &authority, PASSWORD).await?;
    let ca = stand.fluentd.state().join("ca.pem");
    Authority::new()?.write(&ca)?;
    let mut load = Load::new(&stand)?;
    stand.fluentd.start().await?;
    load.write_at_once(1_000)?;
    failing(&stand, "certificate verify failed").await?;
    assert!(gate.broken_off() > 0);
    assert_eq!([gate.refused(), stand.servers.count()], [0, 0]);

    authority.write(&ca)?;
    stand.fluentd.kill()?;
    stand.fluentd.start().await?;
    stand.stored(load.len()).await?;
    load.assert_each_once(&stand.servers.documents());
    Ok(())
}
