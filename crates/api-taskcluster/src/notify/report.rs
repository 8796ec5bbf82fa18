//! What is said of a task.

use serde_json::{Map, Value, json};

use super::notifier::{Kind, Notice};
use super::route::Wish;

/// What the longest subject of a mail has, in characters, and the longest text of its button.
const LONGEST_SUBJECT: usize = 255;
const LONGEST_CONTENT: usize = 100 * 1024;

/// A task that something happened to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report<'a> {
    /// Where clients reach the server.
    pub(super) root_url: &'a str,
    /// Its status.
    pub(super) status: &'a Value,
    /// Its definition.
    pub(super) task: &'a Value,
}

impl Report<'_> {
    fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn task_id(&self) -> &str {
        Self::text(self.status, "/taskId")
    }

    fn state(&self) -> &str {
        Self::text(self.status, "/state")
    }

    fn name(&self) -> &str {
        Self::text(self.task, "/metadata/name")
    }

    fn link(&self) -> String {
        format!("{}/tasks/{}", self.root_url, self.task_id())
    }

    fn group_link(&self) -> String {
        let group = Self::text(self.status, "/taskGroupId");
        format!("{}/tasks/groups/{group}/tasks", self.root_url)
    }

    /// What its definition says about notifications.
    fn wanted(&self, pointer: &str) -> Option<&Value> {
        let notify = self.task.pointer("/extra/notify")?;
        notify.pointer(pointer).filter(|value| !value.is_null())
    }

    fn context(&self, names: &[&str]) -> Map<String, Value> {
        let all = [
            ("task", self.task.clone()),
            ("status", self.status.clone()),
            ("taskId", self.task_id().into()),
            ("rootUrl", self.root_url.into()),
        ];
        let named = all.into_iter().filter(|(name, _)| names.contains(name));
        named
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// A template of the definition's, rendered; what stands for it if it cannot be, or, where it is
    /// missing, `otherwise`.
    fn said(&self, pointer: &str, otherwise: impl FnOnce() -> Value) -> Value {
        let Some(template) = self.wanted(pointer) else {
            return otherwise();
        };
        let context = self.context(&["task", "status", "taskId", "rootUrl"]);
        taskyard_json_e::render(template, &context)
            .unwrap_or_else(|error| format!("Error parsing custom message: {error}").into())
    }

    /// A template that nothing can stand for.
    fn exactly(&self, pointer: &str, names: &[&str], otherwise: Value) -> Option<Value> {
        match self.wanted(pointer) {
            None => Some(otherwise),
            Some(template) => taskyard_json_e::render(template, &self.context(names)).ok(),
        }
    }

    /// What a wish is granted with; `None` if the definition makes no sense there.
    pub(super) fn notice(&self, wish: &Wish<'_>) -> Option<Notice> {
        let body = match wish.kind {
            Kind::Email => self.mail(wish.address)?,
            Kind::Pulse => json!({"routingKey": wish.address, "message": self.status}),
            Kind::MatrixRoom => self.on_matrix(wish.address),
            Kind::SlackChannel => self.on_slack(wish.address),
            Kind::IrcUser => self.on_irc("user", wish.address, "/ircUserMessage"),
            Kind::IrcChannel => self.on_irc("channel", wish.address, "/ircChannelMessage"),
        };
        Some(Notice {
            kind: wish.kind,
            address: wish.address.to_owned(),
            body,
        })
    }

    fn mail(&self, address: &str) -> Option<Value> {
        let link = self.exactly(
            "/email/link",
            &["task", "status", "rootUrl"],
            json!({"text": "Inspect Task", "href": self.link()}),
        )?;
        let template = self.exactly("/email/template", &["task", "status"], "simple".into())?;
        let (state, name, id) = (self.state(), self.name(), self.task_id());
        let subject = self.said("/email/subject", || {
            format!("Task {state}: {name} - {id}").into()
        });
        let content = self.said("/email/content", || self.content().into());
        Some(json!({
            "address": address,
            "subject": shortened(&subject, LONGEST_SUBJECT),
            "content": shortened(&content, LONGEST_CONTENT),
            "link": link,
            "template": template,
        }))
    }

    /// What a mail says unless the task wants it to say something else.
    fn content(&self) -> String {
        let of_task = |pointer| Self::text(self.task, pointer);
        let runs = self.status.get("runs").and_then(Value::as_array);
        let runs = runs.map_or(0, Vec::len);
        format!(
            "[{name}]({link}) of the [task group {group}]({group_link}) is **{state}** after {runs} \
             run{s}.\n\n{description}\n\n* Owner: {owner}\n* Source: {source}\n",
            name = self.name(),
            link = self.link(),
            group = Self::text(self.status, "/taskGroupId"),
            group_link = self.group_link(),
            state = self.state(),
            s = if runs == 1 { "" } else { "s" },
            description = of_task("/metadata/description"),
            owner = of_task("/metadata/owner"),
            source = of_task("/metadata/source"),
        )
    }

    fn on_matrix(&self, room: &str) -> Value {
        let (state, name, link) = (self.state(), self.name(), self.link());
        let mut body = json!({
            "roomId": room,
            "body": self.said("/matrixBody", || {
                format!("'{name}' resolved as '{state}': {link}").into()
            }),
            "msgtype": self.wanted("/matrixMsgtype").cloned().unwrap_or("m.notice".into()),
        });
        if let Some(body) = body.as_object_mut() {
            if let Some(format) = self.wanted("/matrixFormat") {
                body.insert("format".to_owned(), format.clone());
            }
            if self.wanted("/matrixFormattedBody").is_some() {
                let formatted = self.said("/matrixFormattedBody", || Value::Null);
                body.insert("formattedBody".to_owned(), formatted);
            }
        }
        body
    }

    fn on_slack(&self, channel: &str) -> Value {
        let emoji = match self.state() {
            "pending" => ":hourglass:",
            "running" => ":hammer_and_wrench:",
            "completed" => ":heavy_check_mark:",
            "failed" => ":x:",
            "exception" => ":heavy_exclamation_mark:",
            _ => ":question:",
        };
        let (state, name, link) = (self.state(), self.name(), self.link());
        let text = format!("{emoji} *<{link}|{name}>* transitioned to _{state}_");
        let group = Self::text(self.status, "/taskGroupId");
        let group = format!("Part of task group *<{}|{group}>*", self.group_link());
        let marked = |text: &str| json!({"type": "mrkdwn", "text": text});
        let blocks = json!([
            {"type": "section", "text": marked(&text)},
            {"type": "context", "elements": [marked(&group)]},
        ]);
        let is_wanted = |pointer| self.wanted(pointer) == Some(&Value::Bool(true));
        json!({
            "channelId": channel,
            "text": self.said("/slackText", || text.into()),
            "blocks": self.said("/slackBlocks", || blocks),
            "attachments": self.said("/slackAttachments", || json!([])),
            "unfurlLinks": is_wanted("/slackUnfurlLinks"),
            "unfurlMedia": is_wanted("/slackUnfurlMedia"),
        })
    }

    fn on_irc(&self, field: &str, address: &str, pointer: &str) -> Value {
        let (state, name, link) = (self.state(), self.name(), self.link());
        json!({
            field: address,
            "message": self.said(pointer, || {
                format!("Task \"{name}\" complete with status '{state}'. Inspect: {link}").into()
            }),
        })
    }
}

/// The text of a value, cut to so many characters.
fn shortened(value: &Value, most: usize) -> Value {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(most).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The method of a call, and the name that its address has there.
    fn called(kind: Kind) -> &'static str {
        match kind {
            Kind::Email => "email",
            Kind::Pulse => "pulse",
            Kind::MatrixRoom => "matrix",
            Kind::SlackChannel => "slack",
            Kind::IrcUser | Kind::IrcChannel => "irc",
        }
    }

    #[test]
    fn tasks_are_reported_as_another_implementation_does() {
        let known: Value =
            serde_json::from_str(include_str!("../../tests/vectors/notify.json")).expect("JSON");
        let cases = known["content"].as_array().expect("cases");
        assert_eq!(cases.len(), 17);
        for case in cases {
            let name = case["name"].as_str().expect("a name");
            let mut calls = case["calls"].as_array().expect("calls").clone();
            let state = case["status"]["state"].as_str().expect("a state");
            let exchange = match state {
                "unscheduled" => "task-defined".to_owned(),
                state => format!("task-{state}"),
            };
            let report = Report {
                root_url: "https://tc.example.com",
                status: &case["status"],
                task: &case["task"],
            };
            let mut made = Vec::new();
            for route in case["routes"].as_array().expect("routes") {
                let Some(wish) = Wish::parse(route.as_str().expect("a route")) else {
                    continue;
                };
                if wish.wants(&exchange, state) && super::super::observer::is_news(report.status) {
                    let notice = report.notice(&wish).expect("it makes sense");
                    let mut body = notice.body;
                    body["kind"] = called(notice.kind).into();
                    made.push(body);
                }
            }
            match name {
                // Here another prefix notifies nobody, and IRC still works.
                "prefix is not checked (quirk)" => calls.clear(),
                "irc routes are ignored at HEAD" => {
                    assert!(made.iter().all(|call| call["kind"] == "irc") && made.len() == 2);
                    continue;
                }
                _ => {}
            }
            assert_eq!(made.len(), calls.len(), "{name}: {made:?}");
            for (made, call) in made.iter_mut().zip(&mut calls) {
                if call["content"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("<default"))
                {
                    let content = made["content"].as_str().expect("text");
                    assert!(
                        content.contains("build it") && content.contains(state),
                        "{content}"
                    );
                    call["content"] = made["content"].clone();
                }
                if name == "email custom content with template error" {
                    let content = made["content"].as_str().expect("text");
                    assert!(
                        content.starts_with("Error parsing custom message: "),
                        "{content}"
                    );
                    call["content"] = made["content"].clone();
                }
                assert_eq!(made, call, "{name}");
            }
        }
    }
}
