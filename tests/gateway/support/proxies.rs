//! Other proxies in front of the gateway: HAProxy and nginx, as operators run them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::place::Place;

/// A start takes less.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy of somebody else's, which ends with the test.
pub struct OtherProxy {
    pub address: SocketAddr,
    pub directory: tempfile::TempDir,
    child: Child,
}

impl OtherProxy {
    /// HAProxy with this configuration; `@ADDRESS@` is where it shall listen and `@DIRECTORY@` a folder of its own.
    pub fn haproxy(configuration: &str) -> Self {
        Self::start(configuration, |file| {
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f"]).arg(file);
            command
        })
    }

    /// nginx, likewise.
    pub fn nginx(configuration: &str) -> Self {
        Self::start(configuration, |file| {
            let mut command = Command::new("nginx");
            command.arg("-e").arg("stderr").arg("-c").arg(file);
            command
        })
    }

    fn start(configuration: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let address = Place::new().at(8443);
        let text = configuration
            .replace("@ADDRESS@", &address.to_string())
            .replace("@DIRECTORY@", directory.path().to_str().expect("text"));
        let file = directory.path().join("proxy.conf");
        std::fs::write(&file, text).expect("written");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let child = command(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let mut proxy = Self { address, directory, child };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(address).is_err() {
            let ended = proxy.child.try_wait().expect("a child").is_some();
            assert!(!ended && Instant::now() < deadline, "it does not listen: {}", proxy.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        proxy
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OtherProxy {
    fn drop(&mut self) {
        // By the signal at which it takes its workers along.
        drop(Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status());
        drop(self.child.wait());
    }
}
