//! A real browser, Chromium or a kin of it, told what to do through its DevTools protocol: JSON with a
//! NUL after each message, on its file descriptors 3 and 4.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Process, Running};

use crate::SOON;

/// Set: the path of the browser.
const BROWSER_VARIABLE: &str = "MAILROOM_TEST_BROWSER";
/// Set: the folder that pictures of the pages are put in.
const PICTURES_VARIABLE: &str = "MAILROOM_TEST_PICTURES";
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
];

/// A window with one page.
pub(crate) struct Chrome {
    process: Running,
    to: ChildStdin,
    from: Receiver<Value>,
    asked: u64,
    session: Option<String>,
    /// How many pages have been loaded.
    loads: usize,
    /// How many of them have been waited for.
    seen: usize,
    _profile: TempDir,
}

/// The browser of this machine, if there is one.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(BROWSER_VARIABLE) {
        return Some(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    std::env::split_paths(&path)
        .flat_map(|dir| NAMES.map(|name| dir.join(name)))
        .chain([mac])
        .find(|path| path.is_file())
}

impl Chrome {
    pub(crate) fn start(path: &Path) -> Chrome {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Process::at("/bin/sh")
            .args(["-c", r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2"#, "browser"])
            .arg(path)
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"])
            .args(["--disable-background-networking", "--disable-dev-shm-usage"])
            .args(["--disable-extensions", "--window-size=480,800", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdin_held()
            .stdout_held();
        if rustix::process::geteuid().is_root() {
            // Root's Chromium runs in no other way.
            process = process.arg("--no-sandbox");
        }
        let process = process.arg("about:blank").spawn().unwrap();
        let (told, from) = channel();
        let mut stdout = BufReader::new(process.take_stdout().unwrap());
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while stdout.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                bytes.pop();
                if told.send(serde_json::from_slice(&bytes).unwrap_or_default()).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
        let to = process.take_stdin().unwrap();
        let mut chrome = Chrome {
            process,
            to,
            from,
            asked: 0,
            session: None,
            loads: 0,
            seen: 0,
            _profile: profile,
        };
        let target = chrome.ask("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = chrome.ask("Target.attachToTarget", target);
        chrome.session = session["sessionId"].as_str().map(str::to_owned);
        chrome.ask("Page.enable", json!({}));
        chrome
    }

    /// Goes to an address, as if it had been typed.
    pub(crate) fn open(&mut self, url: &str) {
        self.ask("Page.navigate", json!({"url": url}));
        self.loaded();
    }

    /// Waits until the next page is there.
    pub(crate) fn loaded(&mut self) {
        while self.loads == self.seen {
            self.receive();
        }
        self.seen += 1;
    }

    /// Puts the mouse on what this selector finds, and presses.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{block: 'center'}});
                const r = e.getBoundingClientRect();
                return {{x: r.x + r.width / 2, y: r.y + r.height / 2}}; }})()",
            json!(selector)
        ));
        self.seen = self.loads;
        for kind in ["mousePressed", "mouseReleased"] {
            let (x, y) = (&place["x"], &place["y"]);
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses it, and waits until the page that it leads to is there.
    pub(crate) fn follow(&mut self, selector: &str) {
        self.click(selector);
        self.loaded();
    }

    /// Types into a field.
    pub(crate) fn type_into(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.ask("Input.insertText", json!({"text": text}));
    }

    /// Whether there is such a thing on the page.
    pub(crate) fn has(&mut self, selector: &str) -> bool {
        self.evaluate(&format!("document.querySelector({}) !== null", json!(selector))) == true
    }

    /// What is read there.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({}).innerText", json!(selector)));
        text.as_str().unwrap().to_owned()
    }

    /// Keeps a picture of the page, if somebody wants to look.
    pub(crate) fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os(PICTURES_VARIABLE) else { return };
        let picture = self.ask("Page.captureScreenshot", json!({"format": "png"}));
        let picture = base64_of(picture["data"].as_str().unwrap());
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }

    /// Closes it.
    pub(crate) fn close(mut self) {
        self.session = None;
        self.ask("Browser.close", json!({}));
        self.process.wait(SOON).unwrap();
    }

    fn evaluate(&mut self, script: &str) -> Value {
        let asked = json!({"expression": script, "returnByValue": true});
        let mut answer = self.ask("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].take()
    }

    /// The result of a command.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = self.receive();
            if answer["id"] == id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn receive(&mut self) -> Value {
        let Ok(message) = self.from.recv_timeout(SOON) else {
            panic!("the browser says nothing more; its log:\n{}", self.process.stderr())
        };
        if message["method"] == "Page.loadEventFired" {
            self.loads += 1;
        }
        message
    }
}

fn base64_of(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
