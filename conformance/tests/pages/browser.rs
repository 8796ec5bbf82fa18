//! A browser of its own for each test.

use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use taskyard_conformance::surrounding;

/// How long anything may take to show up.
const SOON: Duration = Duration::from_secs(30);

/// A window on one server.
pub(crate) struct Browser {
    client: Client,
    root_url: String,
}

impl Browser {
    pub(crate) async fn open(root_url: &str) -> Self {
        let driver = surrounding("TASKYARD_TEST_WEBDRIVER").unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
        ];
        let options = json!({"goog:chromeOptions": {"args": arguments}});
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(options.as_object().unwrap().clone())
            .connect(&driver)
            .await
            .unwrap();
        Browser {
            client,
            root_url: root_url.to_owned(),
        }
    }

    /// Goes to a path of the server.
    pub(crate) async fn goes_to(&self, path: &str) {
        let url = format!("{}{path}", self.root_url);
        self.client.goto(&url).await.unwrap();
    }

    /// Waits until an element is there; its text.
    pub(crate) async fn sees(&self, css: &str) -> String {
        let found = self
            .client
            .wait()
            .at_most(SOON)
            .for_element(Locator::Css(css))
            .await;
        let Ok(element) = found else {
            panic!("{css} is not on {}", self.page().await);
        };
        // A page that is exchanged meanwhile takes its elements along.
        element.text().await.unwrap_or_default()
    }

    /// Waits until an element has a text.
    pub(crate) async fn reads(&self, css: &str, wanted: &str) {
        let looking = async {
            while !self.text(css).await.contains(wanted) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(SOON, looking).await.is_err() {
            let seen = self.text(css).await;
            panic!(
                "{css} reads {seen:?}, not {wanted:?}, on {}",
                self.page().await
            );
        }
    }

    /// What an element says, as it is; empty if there is none.
    pub(crate) async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// How many elements there are.
    pub(crate) async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    /// Presses a button or a link that says this, the first there is.
    pub(crate) async fn presses(&self, label: &str) {
        self.clicks(&format!(
            "//*[self::button or self::a][normalize-space()='{label}']"
        ))
        .await;
    }

    /// Presses a button of the page's form.
    pub(crate) async fn presses_in_form(&self, label: &str) {
        self.clicks(&format!(
            "//main//form//button[normalize-space()='{label}']"
        ))
        .await;
    }

    /// Opens what is summed up like this.
    pub(crate) async fn presses_summary(&self, label: &str) {
        self.clicks(&format!("//main//summary[normalize-space()='{label}']"))
            .await;
    }

    async fn clicks(&self, path: &str) {
        let locator = Locator::XPath(path);
        let looking = async {
            loop {
                // A page may be exchanged under the finger, and takes its buttons along.
                if let Ok(element) = self.client.find(locator).await
                    && element.click().await.is_ok()
                {
                    return;
                }
            }
        };
        let clicked = tokio::time::timeout(SOON, looking).await;
        assert!(clicked.is_ok(), "{path} is not on {}", self.page().await);
    }

    /// Writes into a field.
    pub(crate) async fn writes(&self, name: &str, text: &str) {
        let css = format!("main [name='{name}']");
        self.sees(&css).await;
        let field = self.client.find(Locator::Css(&css)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Where it is, below the server's address.
    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Whether a script of this text would run if it stood in the page.
    pub(crate) async fn runs(&self, script: &str) -> bool {
        let inserted = format!(
            "const it = document.createElement('script'); it.textContent = {}; \
             document.body.append(it); return window.ran === true;",
            json!(script)
        );
        let ran = self.client.execute(&inserted, Vec::new()).await.unwrap();
        ran == json!(true)
    }

    async fn page(&self) -> String {
        let (path, source) = (self.path().await, self.client.source().await);
        format!("{path}:\n{}", source.unwrap_or_default())
    }

    /// Ends the browser.
    pub(crate) async fn closes(self) {
        self.client.close().await.unwrap();
    }
}
