//! The bridge, running beside a test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::World;

/// How long nothing may happen for the bridge to have nothing more to do.
const QUIET: Duration = Duration::from_millis(400);

/// A running `oc quay run`. It is killed when dropped.
pub(crate) struct Bridge<'a> {
    world: &'a World,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl<'a> Bridge<'a> {
    /// Starts it and waits until it follows the cluster and has looked at everything there is.
    pub(crate) fn start(world: &'a World, arguments: &[&str]) -> Self {
        let bridge = Self::start_now(world, arguments);
        bridge.settles();
        bridge
    }

    /// Starts it and waits until it follows the cluster.
    pub(crate) fn start_now(world: &'a World, arguments: &[&str]) -> Self {
        let mut child = world.oc_quay(&[&["run"], arguments].concat()).spawn();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| written.lock().unwrap().push(line))
        });
        let bridge = Self { world, child, log };
        bridge.waits_until("it follows the cluster", || bridge.says("following "));
        bridge
    }

    /// Whether a line it wrote holds these words.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.contains(words))
    }

    /// The lines that it wrote.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Asks it for one of the pages that it serves beside its work: the status and the text.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let address = |line: &String| {
            Some(line.split_once("\"address\":\"")?.1.split_once('"')?.0.to_owned())
        };
        let address = self.lines().iter().find_map(address).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Tells it to end as Kubernetes tells a pod.
    #[cfg(unix)]
    pub(crate) fn told_to_end(&self) {
        let id = self.child.id().to_string();
        assert!(
            std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success()
        );
    }

    /// Waits until it has ended; its exit code.
    #[cfg(unix)]
    pub(crate) fn ends(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn waits_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(
                Instant::now() < deadline,
                "waited in vain until {what}: {:#?}",
                self.log.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has asked nobody for a while.
    pub(crate) fn settles(&self) {
        let (mut asked, mut since) = (self.requests(), Instant::now());
        while since.elapsed() < QUIET {
            std::thread::sleep(Duration::from_millis(20));
            if self.requests() != asked {
                (asked, since) = (self.requests(), Instant::now());
            }
        }
    }

    /// How many requests it sent to Quay since the traffic was forgotten.
    pub(crate) fn requests_to_quay(&self) -> usize {
        self.world.quay_traffic().entries().len()
    }

    fn requests(&self) -> usize {
        self.requests_to_quay() + self.world.cluster_traffic().entries().len()
    }
}

impl Drop for Bridge<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
