//! A real browser: headless Chromium, driven over WebDriver.
//!
//! It can reach loopback and nothing else, so no test depends on, or tells, anybody outside.

use crate::Result;
use crate::wait::eventually;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use url::{ParseError, Url};
use xtask::stack::{ChromeDriver, StackFolder};

/// Set to 1 to renew the pictures in `docs/screenshots`. All pictures go to `target/screenshots`.
const SCREENSHOTS_VARIABLE: &str = "APOLLO_SCREENSHOTS";

/// The pictures that pages of docs show.
const DOCUMENTED: [&str; 13] = [
    "form-desktop",
    "form-phone",
    "linking-phone",
    "linked-phone",
    "declined-phone",
    "subject-taken-phone",
    "account-taken-phone",
    "failed-phone",
    "no-invitation-phone",
    "status-desktop",
    "status-desktop-dark",
    "status-phone",
    "status-phone-dark",
];

const ARGUMENTS: [&str; 13] = [
    "--headless=new",
    // Chromium's own sandbox does not work for root; the pages are ours.
    "--no-sandbox",
    // It ends with ChromeDriver, however that ends.
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
];

/// What is looked at in every page: see the file.
const AUDIT: &str = include_str!("audit.js");

/// How a browser is made up.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    width: u32,
    height: u32,
    is_phone: bool,
    runs_scripts: bool,
}

impl Device {
    /// A window on a desk.
    pub const DESKTOP: Self = Self { width: 1100, height: 800, is_phone: false, runs_scripts: true };
    /// A phone held upright.
    pub const PHONE: Self = Self { width: 390, height: 844, is_phone: true, runs_scripts: true };
    /// A window on a desk, with JavaScript turned off. (On a phone ChromeDriver cannot click without it.)
    pub const WITHOUT_SCRIPTS: Self = Self { runs_scripts: false, ..Self::DESKTOP };

    fn capabilities(self, home: &Path) -> Capabilities {
        let own = [
            format!("--user-data-dir={}", home.join("profile").display()),
            format!("--window-size={},{}", self.width, self.height),
        ];
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain(own.iter().map(String::as_str)).collect();
        let mut options = json!({"args": arguments, "prefs": {"homepage": "about:blank"}});
        if !self.runs_scripts {
            options["prefs"]["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        if self.is_phone {
            options["mobileEmulation"] = json!({"deviceMetrics": {
                "width": self.width, "height": self.height, "pixelRatio": 1, "mobile": true, "touch": true
            }});
        }
        let capabilities = [
            // nginx has a certificate of an authority that the stack has made for itself.
            ("acceptInsecureCerts", json!(true)),
            ("goog:loggingPrefs", json!({"browser": "ALL", "performance": "ALL"})),
            ("goog:chromeOptions", options),
        ];
        capabilities.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// How bright a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// A browser with a fresh profile. It ends when this is dropped.
pub struct Browser {
    client: Client,
    // In this order: the folder is removed when nothing uses it any more.
    _driver: ChromeDriver,
    _folder: StackFolder,
}

impl Browser {
    /// Starts one.
    ///
    /// # Errors
    /// Chromium or its driver does not start.
    pub async fn open(device: Device) -> Result<Self> {
        let folder = StackFolder::create("browser")?;
        let driver = tokio::task::block_in_place(|| ChromeDriver::start(&folder))?;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(device.capabilities(driver.home()))
            .connect(driver.url())
            .await?;
        Ok(Self { client, _driver: driver, _folder: folder })
    }

    /// Opens a page.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub async fn goto(&self, url: &str) -> Result<()> {
        Ok(self.client.goto(url).await?)
    }

    /// The page's address.
    ///
    /// # Errors
    /// The browser does not say.
    pub async fn url(&self) -> Result<Url> {
        Ok(self.client.current_url().await?)
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub async fn reload(&self) -> Result<()> {
        Ok(self.client.refresh().await?)
    }

    /// Goes back to the page before.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub async fn back(&self) -> Result<()> {
        Ok(self.client.back().await?)
    }

    /// The page's title.
    ///
    /// # Errors
    /// The browser does not say.
    pub async fn title(&self) -> Result<String> {
        Ok(self.client.title().await?)
    }

    /// What a person can read in the page.
    ///
    /// # Errors
    /// There is no page.
    pub async fn text(&self) -> Result<String> {
        self.text_of("body").await
    }

    /// What a person can read in an element.
    ///
    /// # Errors
    /// There is none.
    pub async fn text_of(&self, css: &str) -> Result<String> {
        Ok(self.client.find(Locator::Css(css)).await?.text().await?)
    }

    /// What an input holds.
    ///
    /// # Errors
    /// There is none.
    pub async fn value_of(&self, css: &str) -> Result<String> {
        let element = self.client.find(Locator::Css(css)).await?;
        Ok(element.prop("value").await?.unwrap_or_default())
    }

    /// How many such elements there are.
    ///
    /// # Errors
    /// The browser does not say.
    pub async fn count(&self, css: &str) -> Result<usize> {
        Ok(self.client.find_all(Locator::Css(css)).await?.len())
    }

    /// Types into an input, in the place of what it holds.
    ///
    /// # Errors
    /// There is none.
    pub async fn type_into(&self, css: &str, text: &str) -> Result<()> {
        let element = self.client.find(Locator::Css(css)).await?;
        element.clear().await?;
        Ok(element.send_keys(text).await?)
    }

    /// Chooses an option by its value.
    ///
    /// # Errors
    /// There is none.
    pub async fn choose(&self, css: &str, value: &str) -> Result<()> {
        Ok(self.client.find(Locator::Css(css)).await?.select_by_value(value).await?)
    }

    /// Clicks, and waits for the page that this leads to, if it does.
    ///
    /// # Errors
    /// There is nothing to click.
    pub async fn click(&self, css: &str) -> Result<()> {
        Ok(self.client.find(Locator::Css(css)).await?.click().await?)
    }

    /// Waits until the page's heading is this.
    ///
    /// # Errors
    /// It does not become so; what is shown instead is in the error.
    pub async fn shows(&self, heading: &str) -> Result<()> {
        let is_shown = async || (self.text_of("h1").await.ok()? == heading).then_some(());
        match eventually(&format!("a page with the heading {heading:?}"), is_shown).await {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(format!("{error}; there is:\n{}", self.text().await.unwrap_or_default()).into())
            }
        }
    }

    /// What a function body returns when it runs in the page.
    ///
    /// # Errors
    /// It throws.
    pub async fn evaluate(&self, script: &str) -> Result<Value> {
        Ok(self.client.execute(script, vec![]).await?)
    }

    /// Has the page look as it does for a person who prefers this.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn prefer(&self, scheme: Scheme) -> Result<()> {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Writes a picture of the whole page, `name`.png.
    ///
    /// # Errors
    /// The browser refuses, or the file cannot be written.
    pub async fn screenshot(&self, name: &str) -> Result<()> {
        self.evaluate("document.activeElement.blur()").await?;
        let size = self.evaluate("return [innerWidth, document.body.getBoundingClientRect().bottom]").await?;
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let options = json!({"captureBeyondViewport": true, "clip": clip});
        let picture = self.devtools("Page.captureScreenshot", options).await?;
        let bytes = STANDARD.decode(picture["data"].as_str().ok_or("a screenshot without a picture")?)?;
        for folder in screenshot_folders(name) {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{name}.png")), &bytes)?;
        }
        Ok(())
    }

    /// Sees that the page is usable by everybody, in both colour schemes and by keyboard.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn is_accessible(&self) -> Result<()> {
        for scheme in [Scheme::Light, Scheme::Dark] {
            self.prefer(scheme).await?;
            let faults = self.evaluate(AUDIT).await?;
            if faults != json!([]) {
                return Err(format!("{}, {scheme:?}: {faults:#}", self.title().await?).into());
            }
            self.shows_its_focus(scheme).await?;
        }
        self.prefer(Scheme::Light).await
    }

    /// Walks through the page by the Tab key: everything that can be operated is reached, and can be seen to be.
    async fn shows_its_focus(&self, scheme: Scheme) -> Result<()> {
        const BEGIN: &str = "window.reached = new Set();
            return document.querySelectorAll('a[href], button, input:not([type=hidden]), select').length";
        const STEP: &str = "const at = document.activeElement, style = getComputedStyle(at);
            if (at === document.body) return [window.reached.size];
            const marked = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
            return [window.reached.add(at).size, marked, at.outerHTML.slice(0, 200)]";
        let operable = self.evaluate(BEGIN).await?.as_u64().unwrap_or_default();
        // Around once from wherever the focus is, the page itself included.
        for _ in 0..=operable + 1 {
            self.client.active_element().await?.send_keys(&Key::Tab.to_string()).await?;
            let step = self.evaluate(STEP).await?;
            if step[1] == false {
                return Err(
                    format!("{}, {scheme:?}: no focus to be seen on {step}", self.title().await?).into()
                );
            }
            if step[0] == operable {
                return Ok(());
            }
        }
        Err(format!("{}: not everything is reached by keyboard", self.title().await?).into())
    }

    /// What the browser has complained of since this was asked last, a violated policy among it.
    ///
    /// # Errors
    /// The browser does not say.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.log("browser").await?;
        Ok(entries.iter().filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect())
    }

    /// The origins that pages, and what is in them, were asked of since this was asked last.
    ///
    /// # Errors
    /// The browser does not say.
    pub async fn origins_asked(&self) -> Result<BTreeSet<String>> {
        let mut origins = BTreeSet::new();
        for entry in self.log("performance").await? {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap_or("{}"))?;
            let event = &event["message"];
            if event["method"] == "Network.requestWillBeSent"
                && let Some(url) = event["params"]["request"]["url"].as_str()
                && url.starts_with("http")
            {
                origins.insert(url.parse::<Url>()?.origin().ascii_serialization());
            }
        }
        Ok(origins)
    }

    async fn log(&self, kind: &'static str) -> Result<Vec<Value>> {
        let command = Command { path: "se/log", body: json!({"type": kind}) };
        Ok(serde_json::from_value(self.client.issue_cmd(command).await?)?)
    }

    /// A command of the Chrome DevTools Protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({"cmd": command, "params": parameters});
        Ok(self.client.issue_cmd(Command { path: "goog/cdp/execute", body }).await?)
    }
}

fn screenshot_folders(name: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let renews = std::env::var(SCREENSHOTS_VARIABLE).is_ok_and(|value| value == "1");
    let documentation = (renews && DOCUMENTED.contains(&name)).then(|| root.join("docs/screenshots"));
    [root.join("target/screenshots")].into_iter().chain(documentation).collect()
}

/// A command that only ChromeDriver knows.
#[derive(Debug)]
struct Command {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
