//! Mail: one for each thing that happens, in plain text, all of one incident in one thread.

use super::message::{Message, message, of_report};
use super::webhook::without;
use crate::clients::smtp::{Mail, SmtpClient};
use crate::domain::notification::Notice;
use crate::domain::scheduled::CheckReport;
use crate::engine::ports::{Delivered, IncidentView};
use crate::secret::{Keyring, Secret};

/// What the notifier needs to know.
#[derive(Debug)]
pub struct EmailOptions {
    /// From whom.
    pub from: String,
    /// User and password, where the server asks for them.
    pub sign_in: Option<(String, Secret)>,
    /// Where people reach our pages from outside.
    pub external_url: Option<String>,
}

/// Tells mailboxes.
#[derive(Debug)]
pub struct EmailNotifier {
    client: SmtpClient,
    options: EmailOptions,
    keyring: Keyring,
}

impl EmailNotifier {
    /// A notifier by one server.
    pub fn new(client: SmtpClient, options: EmailOptions, keyring: Keyring) -> Self {
        Self { client, options, keyring }
    }

    /// Delivers one notice.
    pub(super) async fn notify(
        &self,
        to: &str,
        key: &str,
        notice: &Notice,
        view: &IncidentView,
    ) -> Delivered {
        let redactor = self.keyring.redactor();
        let told = match message(notice, view, self.options.external_url.as_deref(), &redactor) {
            Ok(told) => told,
            Err(none) => return without(none),
        };
        self.send(to, key, &view.incident.id.0, &told).await
    }

    /// Delivers what a scheduled check found; all of one check in one thread.
    pub(super) async fn report(&self, to: &str, key: &str, report: &CheckReport) -> Delivered {
        let told = of_report(report, &self.keyring.redactor());
        // What stands before the sign in an identity of a mail takes few characters.
        let key = key.replace([':', '/'], ".");
        self.send(to, &key, &format!("check.{}", report.check), &told).await
    }

    async fn send(&self, to: &str, key: &str, thread: &str, told: &Message) -> Delivered {
        let redactor = self.keyring.redactor();
        let mail = Mail {
            from: self.options.from.clone(),
            to: to.to_owned(),
            subject: told.headline.clone(),
            text: text(told),
            message_id: format!("smokejumper.{key}"),
            thread_id: format!("smokejumper.{thread}"),
        };
        let sign_in = self.options.sign_in.as_ref().map(|(user, secret)| (user.as_str(), secret.current()));
        match self.client.send(&mail, sign_in).await {
            Ok(()) => Delivered::Yes { message: None },
            Err(error) => super::after(error, &redactor),
        }
    }
}

/// What people read.
pub(super) fn text(told: &Message) -> String {
    let mut lines = vec![told.headline.clone()];
    lines.extend(told.note.iter().map(|note| format!("Told because of: {note}")));
    lines.push(String::new());
    lines.extend(told.facts.iter().map(|(name, text)| format!("{name}: {text}")));
    if !told.findings.is_empty() {
        lines.push(String::new());
        lines.extend(told.findings.iter().map(|(name, text)| format!("{name}: {text}")));
    }
    if let Some(page) = &told.page {
        lines.push(String::new());
        lines.push(format!("Look and act: {page}"));
    }
    lines.push(String::new());
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::smtp::tests::{MailServer, Manner};
    use crate::clients::smtp::{Security, SmtpOptions};
    use crate::domain::notification::Destination;
    use crate::engine::ports::Notifier;
    use crate::notify::Notifiers;
    use crate::notify::stories::{self, minutes};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn mk_notifiers(server: &MailServer) -> Notifiers {
        let options = SmtpOptions {
            host: "localhost".to_owned(),
            port: server.port,
            security: Security::Plain,
            authorities_pem: None,
            timeout: Duration::from_secs(10),
        };
        let keyring = Keyring::new(BTreeMap::new());
        let email = EmailNotifier::new(
            SmtpClient::new(options).expect("a client"),
            EmailOptions {
                from: "Smokejumper <sj@example.com>".to_owned(),
                sign_in: None,
                external_url: Some("https://smokejumper.example.com".to_owned()),
            },
            keyring,
        );
        Notifiers { email: Some(email), ..Notifiers::default() }
    }

    async fn tell(notifiers: &Notifiers, view: &IncidentView) -> Delivered {
        let una = Destination::Email { to: "una@example.com".to_owned() };
        let notice = Notice::Trigger { note: "on-call".to_owned(), episode: 0 };
        notifiers.deliver(stories::sending("inc-e7"), &una, &notice, view, minutes(5)).await
    }

    #[tokio::test]
    async fn an_incident_is_a_mail_with_an_identity_of_its_own() {
        let server = MailServer::start(Manner::default()).await;
        let told = tell(&mk_notifiers(&server), &stories::opened()).await;
        assert!(matches!(told, Delivered::Yes { .. }), "{told:?}");
        let mail = &server.mails()[0];
        assert_eq!((mail.from.as_str(), mail.to.as_str()), ("sj@example.com", "una@example.com"));
        assert!(mail.data.contains("Message-ID: <smokejumper.inc-e7@example.com>"), "{}", mail.data);
        let thread = format!("In-Reply-To: <smokejumper.{}@example.com>", stories::opened().incident.id);
        assert!(mail.data.contains(&thread), "{}", mail.data);
        assert!(mail.data.contains("Auto-Submitted: auto-generated"), "{}", mail.data);
        assert!(mail.data.contains("Told because of: on-call"), "{}", mail.data);
    }

    #[tokio::test]
    async fn a_label_adds_no_header_and_no_second_mail() {
        let server = MailServer::start(Manner::default()).await;
        let mut view = stories::opened();
        view.incident.summary =
            "x\r\nBcc: all@example.com\r\n\r\n.\r\nMAIL FROM:<evil@example.com>\u{2028}y".to_owned();
        view.incident.rule = "x\r\n.\r\nQUIT".to_owned();
        tell(&mk_notifiers(&server), &view).await;
        let mails = server.mails();
        assert_eq!(mails.len(), 1);
        let (head, _) = mails[0].data.split_once("\r\n\r\n").expect("a head");
        assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc:")), "{head}");
        assert_eq!(server.commands().iter().filter(|command| command.starts_with("MAIL")).count(), 1);
    }

    #[tokio::test]
    async fn each_answer_of_the_server_has_its_own_end() {
        for (manner, permanent) in [
            (Manner { rcpt: "450 4.2.0 greylisted", ..Manner::default() }, false),
            (Manner { rcpt: "550 5.1.1 no such user", ..Manner::default() }, true),
            (Manner { data: "451 4.3.0 try again", ..Manner::default() }, false),
            (Manner { data: "554 5.7.1 refused", ..Manner::default() }, true),
        ] {
            let server = MailServer::start(manner).await;
            let told = tell(&mk_notifiers(&server), &stories::opened()).await;
            assert_eq!(matches!(told, Delivered::Never { .. }), permanent, "{told:?}");
            assert_eq!(matches!(told, Delivered::Later { .. }), !permanent, "{told:?}");
            assert!(server.mails().is_empty());
        }
    }
}
