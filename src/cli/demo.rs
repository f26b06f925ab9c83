//! `countersign demo`: everything on one machine, with real requests.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use super::log::{self, LogFormat};
use crate::clock;
use crate::demo::page::DemoPage;
use crate::demo::scenario::{APP_ID, TRUSTED_ORIGIN, USER_ID, scenarios};
use crate::demo::stage::Stage;
use crate::demo::table;

#[derive(Args)]
#[command(after_help = "Example:\n  countersign demo --once")]
pub struct Arguments {
    /// End after the requests rather than staying up.
    #[arg(long)]
    once: bool,
    /// The gateway's port; any free one by default.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The page's port; any free one by default.
    #[arg(long, default_value_t = 0)]
    page_port: u16,
}

/// Why the demo ends before it should.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("the port {0} is already in use: give the page another with `--page-port`")]
    PagePortInUse(u16),
    #[error("the page cannot be served")]
    Page(#[source] io::Error),
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    log::start_quiet(LogFormat::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(arguments))
}

/// A token of the lines to paste lives as long.
const TOKEN_SECONDS: i64 = 3600;

async fn play(arguments: &Arguments) -> Result<ExitCode, Failure> {
    // Before anything is there to be cleaned up: a signal ends the demo, and does not leave its files behind.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stage = Arc::new(Stage::start(arguments.port).await?);
    let mut page = None;
    let played = tokio::select! {
        played = perform(&stage, arguments, &mut page) => played,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if let Some(page) = page {
        page.stop().await;
    }
    if let Some(stage) = Arc::into_inner(stage) {
        stage.stop().await;
    }
    played.map(|()| ExitCode::SUCCESS)
}

/// Sends every scenario; then serves the page, which is left in `page`, for ever.
async fn perform(stage: &Arc<Stage>, arguments: &Arguments, page: &mut Option<DemoPage>) -> Result<(), Failure> {
    for scenario in scenarios() {
        let outcome = stage.send(&scenario.request).await?;
        match table::print(scenario.story, &outcome) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            printed => printed?,
        }
    }
    if arguments.once {
        return Ok(());
    }
    let sender = {
        let stage = Arc::clone(stage);
        Arc::new(move |request| {
            let stage = Arc::clone(&stage);
            Box::pin(async move { stage.send(&request).await }) as _
        })
    };
    let started = DemoPage::start(arguments.page_port, stage.facts(), sender).await.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            DemoError::PagePortInUse(arguments.page_port)
        } else {
            DemoError::Page(error)
        }
    })?;
    anstream::println!("{}", paste(stage, page.insert(started).address));
    // Until a signal ends it.
    std::future::pending().await
}

/// Lines to paste into another terminal.
fn paste(stage: &Stage, page: std::net::SocketAddr) -> String {
    let port = stage.gateway().port();
    let ca = stage.ca();
    let expiry = clock::now_seconds().0.saturating_add(TOKEN_SECONDS);
    let token = stage.token(&json!({ "user_id": USER_ID, "exp": expiry, "plan": "free" }));
    let hash = stage.user_hash(USER_ID);
    let curl = |data: &serde_json::Value| {
        format!(
            "  curl -sS -i --cacert {} https://localhost:{port}/messenger/web/ping \\\n    -H 'Origin: {TRUSTED_ORIGIN}' --data-urlencode app_id={APP_ID} \\\n    --data-urlencode 'user_data={data}'\n",
            ca.display()
        )
    };
    format!(
        "The page, to try it by hand:\n  http://{page}/\n\nA plan that nobody signed (left out; the nickname is kept):\n{}\nA plan that the token signs (kept):\n{}\nWhat the API has of this user:\n  curl -sS {}\n\nWhat was decided, and why:\n  tail -f {}\n\nIts policy files (edit them: it reloads):\n  {}\n\nMetrics:\n  curl -sS http://{}/metrics\n\nCtrl-C ends it.",
        curl(&json!({ "user_id": USER_ID, "user_hash": hash, "plan": "enterprise", "nickname": "Grace" })),
        curl(&json!({ "user_id": USER_ID, "intercom_user_jwt": token, "plan": "free" })),
        stage.kept(USER_ID),
        stage.policies().with_file_name("audit.jsonl").display(),
        stage.policies().display(),
        stage.admin(),
    )
}
