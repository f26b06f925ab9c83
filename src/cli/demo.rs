//! `countersign demo`: everything on one machine, with real requests.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

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

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    log::start_quiet(LogFormat::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(arguments))
}

/// A token of the lines to paste lives as long.
const TOKEN_SECONDS: i64 = 3600;

async fn play(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let stage = Arc::new(Stage::start(arguments.port).await?);
    for scenario in scenarios() {
        let outcome = stage.send(&scenario.request).await?;
        table::print(scenario.story, &outcome)?;
    }
    if !arguments.once {
        let sender = {
            let stage = Arc::clone(&stage);
            Arc::new(move |request| {
                let stage = Arc::clone(&stage);
                Box::pin(async move { stage.send(&request).await }) as _
            })
        };
        let page = DemoPage::start(arguments.page_port, stage.facts(), sender).await?;
        anstream::println!("{}", paste(&stage, page.address));
        tokio::signal::ctrl_c().await?;
        page.stop().await;
    }
    if let Ok(stage) = Arc::try_unwrap(stage).map_err(drop) {
        stage.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines to paste into another terminal.
fn paste(stage: &Stage, page: std::net::SocketAddr) -> String {
    let port = stage.gateway().port();
    let ca = stage.ca();
    let expiry = clock::now_seconds().0.saturating_add(TOKEN_SECONDS);
    let token = stage.token(&json!({ "user_id": USER_ID, "exp": expiry, "plan": "pro" }));
    let curl = |data: &str| {
        format!(
            "  curl -sS -i --cacert {} https://localhost:{port}/messenger/web/ping \\\n    -H 'Origin: {TRUSTED_ORIGIN}' --data-urlencode app_id={APP_ID} \\\n    --data-urlencode 'user_data={data}'\n",
            ca.display()
        )
    };
    format!(
        "The page, to try it by hand:\n  http://{page}/\n\nLocked and unsigned, left out:\n{}\nSigned, kept:\n{}\nWhat was decided, and why:\n  tail -f {}\n\nIts policy files (edit them: it reloads):\n  {}\n\nMetrics:\n  curl -s http://{}/metrics\n\nCtrl-C ends it.",
        curl(&json!({ "user_id": USER_ID, "plan": "enterprise", "nickname": "Ada" }).to_string()),
        curl(&json!({ "user_id": USER_ID, "plan": "pro", "intercom_user_jwt": token }).to_string()),
        stage.policies().with_file_name("audit.jsonl").display(),
        stage.policies().display(),
        stage.admin(),
    )
}
