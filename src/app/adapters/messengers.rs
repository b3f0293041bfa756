//! Webhooks, mail and Teams from settings and secrets.

use super::{headers, messenger};
use crate::clients::http::Url;
use crate::clients::smtp::{Security, SmtpClient, SmtpOptions};
use crate::notify::email::{EmailNotifier, EmailOptions};
use crate::notify::teams::TeamsNotifier;
use crate::notify::webhook::{Address, Template, Webhook, WebhookNotifier};
use crate::secret::Keyring;
use crate::settings::{EmailSecurity, PlainOrSecret, Settings};
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;

fn address(url: &PlainOrSecret, keyring: &Keyring) -> anyhow::Result<Address> {
    Ok(match url {
        PlainOrSecret::Plain(text) => Address::Plain(Url::parse(text)?),
        PlainOrSecret::Secret(source) => Address::Secret(keyring.open(source)?),
    })
}

pub(super) fn webhooks(
    settings: &Settings,
    keyring: &Keyring,
    links: &str,
) -> anyhow::Result<Option<WebhookNotifier>> {
    let built = settings.webhooks.iter().map(|(name, webhook)| {
        let place = || format!("`webhooks.{name}`");
        let template = webhook.body.clone().map(Template::new).transpose();
        let hook = Webhook {
            url: address(&webhook.url, keyring).with_context(place)?,
            headers: headers(&webhook.headers, keyring).with_context(place)?,
            signing_secret: keyring.open_all(&webhook.signing_secret)?,
            body: template.map_err(|error| anyhow!(error)).with_context(place)?,
            http: messenger(webhook.timeout)?,
        };
        Ok((name.clone(), hook))
    });
    let built: BTreeMap<String, Webhook> = built.collect::<anyhow::Result<_>>()?;
    let notifier = |hooks| WebhookNotifier::new(hooks, Some(links.to_owned()), keyring.clone());
    Ok(Some(built).filter(|built| !built.is_empty()).map(notifier))
}

pub(super) fn teams(
    settings: &Settings,
    keyring: &Keyring,
    links: &str,
) -> anyhow::Result<Option<TeamsNotifier>> {
    let Some(teams) = &settings.teams else { return Ok(None) };
    let channels = teams.channels.iter().map(|(name, channel)| {
        let address = address(&channel.url, keyring).with_context(|| format!("`teams.channels.{name}`"))?;
        Ok((name.clone(), address))
    });
    let channels = channels.collect::<anyhow::Result<_>>()?;
    let http = messenger(teams.timeout)?;
    Ok(Some(TeamsNotifier::new(channels, http, Some(links.to_owned()), keyring.clone())))
}

pub(super) fn email(
    settings: &Settings,
    keyring: &Keyring,
    links: &str,
) -> anyhow::Result<Option<EmailNotifier>> {
    let Some(email) = &settings.email else { return Ok(None) };
    let authorities_pem = match &email.ca_file {
        None => None,
        Some(path) => {
            let place = || format!("`email.ca_file`: {} cannot be read", path.display());
            Some(std::fs::read(path).with_context(place)?)
        }
    };
    let client = SmtpClient::new(SmtpOptions {
        host: email.host.clone(),
        port: email.port,
        security: match email.security {
            EmailSecurity::Starttls => Security::StartTls,
            EmailSecurity::Tls => Security::Tls,
            EmailSecurity::Plain => Security::Plain,
        },
        authorities_pem,
        timeout: email.timeout.get(),
    });
    let passwords = keyring.open_all(&email.password)?;
    let options = EmailOptions {
        from: email.from.clone(),
        sign_in: email.username.clone().zip(passwords.first().cloned()),
        external_url: Some(links.to_owned()),
    };
    let client = client.map_err(|error| anyhow!(error)).context("the client for `email` cannot be built")?;
    Ok(Some(EmailNotifier::new(client, options, keyring.clone())))
}
