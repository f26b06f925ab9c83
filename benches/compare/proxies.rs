//! The proxies: their files, their processes, and the proof that each does the job that its column claims.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep};

use super::backend::Backend;
use super::load::{self, Dialer};
use super::process::Placement;
use super::sample;

/// A start takes less.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A stop takes less; then it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Countersign,
    /// Another build of the gateway.
    Beside,
    Nginx,
    NginxLua,
    Haproxy,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Countersign, Self::Beside, Self::Nginx, Self::NginxLua, Self::Haproxy];

    pub fn title(self) -> &'static str {
        match self {
            Self::Countersign => "Countersign",
            Self::Beside => "the other build",
            Self::Nginx => "nginx",
            Self::NginxLua => "nginx+Lua",
            Self::Haproxy => "HAProxy",
        }
    }

    /// Whether it verifies, judges and rewrites, or only ends TLS.
    pub fn does_the_whole_job(self) -> bool {
        match self {
            Self::Countersign | Self::Beside | Self::NginxLua => true,
            Self::Nginx | Self::Haproxy => false,
        }
    }
}

/// What all proxies share: a directory with their files, one certificate, one backend.
pub struct Site {
    directory: tempfile::TempDir,
    placement: Placement,
    backend: Backend,
    /// The binary of the other build, where there is one.
    beside: Option<PathBuf>,
    pub tls: Arc<ClientConfig>,
}

/// A running proxy; stopped when dropped.
pub struct Proxy {
    pub kind: Kind,
    child: Child,
    port: u16,
}

impl Site {
    pub fn prepare(beside: Option<PathBuf>) -> anyhow::Result<Self> {
        require_packages()?;
        let directory = tempfile::Builder::new().prefix("countersign-compare-").tempdir()?;
        // The workers of a proxy that was started by root are somebody else.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let ca = write_certificates(directory.path())?;
        let placement = Placement::take()?;
        let backend = Backend::start()?;
        Ok(Self { directory, placement, backend, beside, tls: load::tls(ca)? })
    }

    /// Who takes part.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Beside || self.beside.is_some())
    }

    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Starts a proxy on a port of its own and waits until it serves.
    pub async fn start(&self, kind: Kind) -> anyhow::Result<Proxy> {
        let port = free_port()?;
        let mut command = self.command(kind, port)?;
        let stderr = self.directory.path().join(format!("{kind:?}.stderr"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr)?).spawn()?;
        let mut proxy = Proxy { kind, child, port };
        let dialer = Dialer::new(Arc::clone(&self.tls), port);
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let Err(problem) = dialer.connect().await else { return Ok(proxy) };
            let ended = proxy.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let status = ended.map_or("does not serve".into(), |status| format!("ended with {status}"));
                let log = fs::read_to_string(&stderr)?;
                bail!("{} {status} ({problem}); it said: {}", kind.title(), log.trim());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn command(&self, kind: Kind, port: u16) -> anyhow::Result<Command> {
        let directory = self.directory.path();
        let write = |name: &str, template: &str| -> anyhow::Result<_> {
            let text = template
                .replace("@PORT@", &port.to_string())
                .replace("@BACKEND@", &self.backend.address.to_string())
                .replace("@DIRECTORY@", &directory.display().to_string())
                .replace("@ORIGIN@", sample::ORIGIN)
                .replace("@SECRET@", sample::SECRET)
                .replace("@LISTED@", &sample::LISTED.to_string())
                .replace("@LOCKED_EVERY@", &sample::LOCKED_EVERY.to_string());
            let path = directory.join(name);
            fs::create_dir_all(path.parent().context("a file has a directory")?)?;
            fs::write(&path, text)?;
            Ok(path)
        };
        let mut command;
        match kind {
            Kind::Countersign | Kind::Beside => {
                // Files of its own, so that one's record is not the other's.
                let own = format!("{kind:?}");
                let policies = directory.join(&own).join("policies");
                // Another build may know no rates.
                let rates = if kind == Kind::Countersign { include_str!("rates.toml") } else { "" };
                let gateway = [include_str!("gateway.toml"), rates].concat();
                write(&format!("{own}/policies/gateway.toml"), &gateway)?;
                write(&format!("{own}/policies/workspaces/acme.toml"), &sample::workspace())?;
                let built = || Path::new(env!("CARGO_BIN_EXE_countersign"));
                let binary = self.beside.as_deref().filter(|_| kind == Kind::Beside).unwrap_or_else(built);
                command = self.placement.command(binary.to_str().context("a path in UTF-8")?);
                command.args(["serve", "--workers", "1", "--policies"]).arg(policies);
                command.env(sample::SECRET_VARIABLE, sample::SECRET);
            }
            Kind::Nginx => {
                write("nginx-http.conf", include_str!("nginx-http.conf"))?;
                command = self.placement.command("nginx");
                command.arg("-c").arg(write("nginx.conf", include_str!("nginx.conf"))?);
            }
            Kind::NginxLua => {
                write("nginx-http.conf", include_str!("nginx-http.conf"))?;
                write("judge.lua", include_str!("judge.lua"))?;
                command = self.placement.command("nginx");
                command.arg("-c").arg(write("nginx-lua.conf", include_str!("nginx-lua.conf"))?);
            }
            Kind::Haproxy => {
                command = self.placement.command("haproxy");
                command.arg("-db").arg("-f").arg(write("haproxy.cfg", include_str!("haproxy.cfg"))?);
            }
        }
        Ok(command)
    }

    /// Posts one request and looks at what arrived: a proxy that does less than its column says is not measured.
    pub async fn prove(&self, proxy: &Proxy, form: &str, request: &[u8]) -> anyhow::Result<()> {
        let answered = self.backend.answered();
        self.dialer(proxy).connect().await?.exchange(request).await?;
        ensure!(self.backend.answered() == answered + 1, "{}: the request did not arrive", proxy.kind.title());
        let arrived = self.backend.last_body();
        if proxy.kind.does_the_whole_job() {
            prove_judged(&arrived).with_context(|| format!("what {} sent on", proxy.kind.title()))
        } else {
            ensure!(arrived == form.as_bytes(), "{} changed the body", proxy.kind.title());
            Ok(())
        }
    }

    pub fn dialer(&self, proxy: &Proxy) -> Dialer {
        Dialer::new(Arc::clone(&self.tls), proxy.port)
    }
}

/// Whether a body is what the workspace's locks leave of [`sample::form`].
fn prove_judged(body: &[u8]) -> anyhow::Result<()> {
    let (_, text) =
        form_urlencoded::parse(body).find(|(name, _)| name == "user_data").context("`user_data` is gone")?;
    let user_data: serde_json::Value = serde_json::from_str(&text)?;
    for (name, value) in [("plan", "\"pro\""), ("seats", "5"), ("name", "\"Ada\"")] {
        let arrived = user_data.get(name).map(ToString::to_string);
        ensure!(arrived.as_deref() == Some(value), "`{name}` is {arrived:?} instead of {value}");
    }
    ensure!(user_data.get(sample::listed(1)).is_some(), "an open attribute is gone");
    for name in ["phone", "planet", &sample::listed(0)] {
        ensure!(user_data.get(name).is_none(), "`{name}` was let through");
    }
    Ok(())
}

impl Proxy {
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Not `Child::kill` at once: a killed master leaves its workers behind.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        let deadline = std::time::Instant::now() + STOP_PATIENCE;
        while std::time::Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the other proxies are, as Debian packages them.
const PACKAGES: [&str; 5] = ["nginx", "libnginx-mod-http-lua", "lua-cjson", "haproxy", "util-linux"];

fn require_packages() -> anyhow::Result<()> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(PACKAGES)
        .output()
        .context("the comparison runs on Debian: dpkg-query does not start")?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let is_installed = |package: &str| listed.lines().any(|line| line == format!("{package} installed"));
    let missing: Vec<_> = PACKAGES.into_iter().filter(|package| !is_installed(package)).collect();
    ensure!(missing.is_empty(), "the comparison needs Debian packages: apt-get install {}", missing.join(" "));
    Ok(())
}

/// A certificate for `localhost` with its CA's certificate, ECDSA P-256, in every form that the proxies read. Gives the CA.
fn write_certificates(directory: &Path) -> anyhow::Result<CertificateDer<'static>> {
    // rcgen's own validity, 1975 to 4096, is refused by some.
    let (begin, end) = (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 1, 1));
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (begin, end);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    (params.not_before, params.not_after) = (begin, end);
    let certificate = params.signed_by(&key, &ca)?;
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    for (name, text) in
        [("certificate.pem", &certificate), ("key.pem", &key), ("haproxy.pem", &format!("{certificate}{key}"))]
    {
        let path = directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(ca.der().clone())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
