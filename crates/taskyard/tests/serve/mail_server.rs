//! A mail server that takes its time to say that it has taken a mail.

use std::collections::{BTreeMap, BTreeSet};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::process::soon;

/// While the gate is closed, one of so many mails is not answered.
const HELD_OF: usize = 3;

/// What was sent to whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    /// How often each address was sent a mail, as a whole.
    pub(crate) mails: BTreeMap<String, usize>,
    /// Addresses whose last mail waits for an answer, or did when its sender was gone.
    pub(crate) held: BTreeSet<String>,
    /// All mails.
    count: usize,
}

/// Answers most mails at once, and holds back the answers to some until its gate is open.
pub(crate) struct MailServer {
    pub(crate) url: String,
    received: watch::Sender<Received>,
    gate: watch::Sender<bool>,
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (received, _) = watch::channel(Received::default());
        let (gate, _) = watch::channel(false);
        let (noting, opening) = (received.clone(), gate.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let conversation = Conversation::new(connection, noting.clone());
                let gate = opening.subscribe();
                // It fails when whoever it is with is killed.
                tokio::spawn(async move { conversation.hold(gate).await.ok() });
            }
        });
        Self {
            url,
            received,
            gate,
        }
    }

    /// From now on every mail is answered.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// What was received until now.
    pub(crate) fn received(&self) -> Received {
        self.received.borrow().clone()
    }

    /// Waits until so many mails wait for an answer.
    pub(crate) async fn holds(&self, count: usize) {
        let mut received = self.received.subscribe();
        soon(received.wait_for(|received| received.held.len() >= count))
            .await
            .unwrap();
    }

    /// Whose mails were held, by whom is gone now.
    pub(crate) fn give_up(&self) -> BTreeSet<String> {
        let mut held = BTreeSet::new();
        self.received
            .send_modify(|received| held = std::mem::take(&mut received.held));
        held
    }
}

/// A conversation with whoever has mails to send.
struct Conversation {
    lines: Lines<BufReader<OwnedReadHalf>>,
    answers: OwnedWriteHalf,
    received: watch::Sender<Received>,
}

impl Conversation {
    fn new(connection: TcpStream, received: watch::Sender<Received>) -> Self {
        let (reader, answers) = connection.into_split();
        Self {
            lines: BufReader::new(reader).lines(),
            answers,
            received,
        }
    }

    async fn answer(&mut self, text: &str) -> std::io::Result<()> {
        self.answers.write_all(text.as_bytes()).await?;
        self.answers.write_all(b"\r\n").await
    }

    async fn hold(mut self, mut gate: watch::Receiver<bool>) -> std::io::Result<()> {
        let mut address = String::new();
        self.answer("220 hello").await?;
        while let Some(line) = self.lines.next_line().await? {
            if let Some(recipient) = line.strip_prefix("RCPT TO:<") {
                address = recipient.trim_end_matches('>').to_owned();
            }
            if line != "DATA" {
                self.answer("250 ok").await?;
                continue;
            }
            self.answer("354 go on").await?;
            while self
                .lines
                .next_line()
                .await?
                .is_some_and(|line| line != ".")
            {}
            if self.take(&address, *gate.borrow()) {
                tokio::select! {
                    _ = gate.wait_for(|is_open| *is_open) => {}
                    // Nobody says anything before there is an answer.
                    _ = self.lines.next_line() => return Ok(()),
                }
            }
            self.answer("250 taken").await?;
        }
        Ok(())
    }

    /// Notes a mail; whether its answer is to be held back.
    fn take(&self, address: &str, is_open: bool) -> bool {
        let mut is_held = false;
        self.received.send_modify(|received| {
            *received.mails.entry(address.to_owned()).or_default() += 1;
            received.count += 1;
            is_held = !is_open && received.count % HELD_OF == 0;
            if is_held {
                received.held.insert(address.to_owned());
            }
        });
        is_held
    }
}
