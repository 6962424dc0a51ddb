//! A controller that runs during a test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::TestEnv;

/// Without a request for this time, the controller is idle.
const IDLE_TIME: Duration = Duration::from_millis(400);

/// A running `oc quay run`, killed on drop.
pub(crate) struct Controller<'a> {
    env: &'a TestEnv,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl<'a> Controller<'a> {
    /// Starts it, and waits for the end of its first resync.
    pub(crate) fn start(env: &'a TestEnv, arguments: &[&str]) -> Self {
        let controller = Self::start_unsettled(env, arguments);
        controller.wait_until_idle();
        controller
    }

    /// Starts it, and waits for its caches.
    pub(crate) fn start_unsettled(env: &'a TestEnv, arguments: &[&str]) -> Self {
        let mut child = env.oc_quay(&[&["run"], arguments].concat()).spawn();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| written.lock().unwrap().push(line))
        });
        let controller = Self { env, child, log };
        controller.wait_until("its caches are synced", || controller.has_logged("following "));
        controller
    }

    /// Whether a log line contains the text.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.contains(text))
    }

    pub(crate) fn log_lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Status and body of a path on its metrics address, which needs `--log-format json`.
    pub(crate) fn http_get(&self, path: &str) -> (u16, String) {
        let address = |line: &String| {
            Some(line.split_once("\"address\":\"")?.1.split_once('"')?.0.to_owned())
        };
        let address = self.log_lines().iter().find_map(address).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: controller\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Sends SIGTERM.
    #[cfg(unix)]
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        assert!(
            std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success()
        );
    }

    /// Returns the exit code.
    #[cfg(unix)]
    pub(crate) fn wait_for_exit(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    #[track_caller]
    pub(crate) fn wait_until(&self, condition: &str, is_met: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_met() {
            assert!(
                Instant::now() < deadline,
                "timed out waiting until {condition}: {:#?}",
                self.log.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it sends no requests.
    pub(crate) fn wait_until_idle(&self) {
        let (mut asked, mut since) = (self.requests(), Instant::now());
        while since.elapsed() < IDLE_TIME {
            std::thread::sleep(Duration::from_millis(20));
            if self.requests() != asked {
                (asked, since) = (self.requests(), Instant::now());
            }
        }
    }

    /// Requests to Quay since [`TestEnv::forget_traffic`].
    pub(crate) fn requests_to_quay(&self) -> usize {
        self.env.quay_traffic().entries().len()
    }

    fn requests(&self) -> usize {
        self.requests_to_quay() + self.env.cluster_traffic().entries().len()
    }
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        // It might have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
