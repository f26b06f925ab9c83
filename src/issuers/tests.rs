use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::identity::key_set_testing::document;

/// An issuer on a port of its own that answers each question with the next text, and the last one over and over.
struct Stand {
    url: String,
    asked: Arc<AtomicUsize>,
}

async fn stand(answers: Vec<String>) -> io::Result<Stand> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/jwks.json?key=x", listener.local_addr()?);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let index = counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let mut head = [0; 1024];
            drop(stream.read(&mut head).await);
            drop(stream.write_all(answers[index].as_bytes()).await);
        }
    });
    Ok(Stand { url, asked })
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn policy(url: &str) -> IssuerPolicy {
    IssuerPolicy {
        url: url.parse().expect("a url"),
        ca: None,
        refresh: Duration::from_secs(3600),
        stale_after: Duration::from_secs(7200),
    }
}

fn keys_of(issuers: &Issuers, policy: &IssuerPolicy, algorithms: &[Algorithm]) -> Arc<PublishedKeys> {
    issuers.keys_of(policy, algorithms, None, &SystemRoots::default()).unwrap_or_else(|error| panic!("{error}"))
}

const ES256: [Algorithm; 1] = [Algorithm::Es256];

#[tokio::test]
async fn who_asks_for_the_same_shares_it_and_who_asks_otherwise_does_not() {
    let issuers = Issuers::new(&Metrics::new());
    let policy = policy("http://127.0.0.1:9/jwks.json");
    let both = [Algorithm::Es256, Algorithm::EdDsa];
    let one = keys_of(&issuers, &policy, &both);
    let reversed = [Algorithm::EdDsa, Algorithm::Es256];
    assert!(Arc::ptr_eq(&one, &keys_of(&issuers, &policy, &reversed)), "their order says nothing");
    let stricter = IssuerPolicy { stale_after: Duration::from_secs(9000), ..policy.clone() };
    assert!(Arc::ptr_eq(&one, &keys_of(&issuers, &stricter, &both)), "each trusts it for as long as it likes");
    assert!(!Arc::ptr_eq(&one, &keys_of(&issuers, &policy, &ES256)));
    let other_ca = IssuerPolicy { ca: Some("ca.pem".into()), ..policy.clone() };
    assert!(!Arc::ptr_eq(&one, &keys_of(&issuers, &other_ca, &both)));
    drop(one);
    assert!(issuers.live().is_empty(), "nobody needs them any more");
}

#[tokio::test]
async fn what_is_known_stays_known_when_only_the_way_of_asking_changes() {
    let stand = stand(vec![answer(&document(&["a", "b"]))]).await.expect("an issuer");
    let issuers = Issuers::new(&Metrics::new());
    let before = keys_of(&issuers, &policy(&stand.url), &ES256);
    let task = tokio::spawn(Arc::clone(&issuers).run());
    issuers.first_asked().await;
    assert_eq!(before.current().keys().expect("known").len(), 2);
    assert_eq!(stand.asked.load(Ordering::SeqCst), 1);
    task.abort();
    drop(task.await);
    let oftener = IssuerPolicy { refresh: Duration::from_secs(60), ..policy(&stand.url) };
    let after = keys_of(&issuers, &oftener, &ES256);
    assert!(!Arc::ptr_eq(&before, &after));
    assert_eq!(after.current().keys().expect("inherited").len(), 2);
    let another = keys_of(&issuers, &policy(&stand.url), &[Algorithm::EdDsa]);
    assert!(another.current().keys().is_none(), "who takes other keys inherits nothing");
}

#[tokio::test]
async fn a_bad_answer_changes_nothing_but_that_it_is_known() {
    let good = answer(&document(&["a"]));
    let stand = stand(vec![good, answer("<html></html>")]).await.expect("an issuer");
    let metrics = Metrics::new();
    let issuers = Issuers::new(&metrics);
    let oftener = IssuerPolicy { refresh: Duration::from_millis(50), ..policy(&stand.url) };
    let keys = keys_of(&issuers, &oftener, &ES256);
    let task = tokio::spawn(Arc::clone(&issuers).run());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while keys.failure().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "no failure");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    assert_eq!(keys.failure(), Some("not_json"));
    assert_eq!(keys.current().keys().expect("the last good one").len(), 1);
    assert!(metrics.encode().contains("countersign_key_set_fetches_total{result=\"ok\"} 1"));
}

#[tokio::test]
async fn a_start_finds_the_last_good_set_and_its_age() {
    let stand = stand(vec![answer(&document(&["a"]))]).await.expect("an issuer");
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).expect("mode set");
    let cache = directory.path().join("keys");
    let issuers = Issuers::new(&Metrics::new());
    issuers.keep_in(Some(&cache));
    let keys = keys_of(&issuers, &policy(&stand.url), &ES256);
    let task = tokio::spawn(Arc::clone(&issuers).run());
    issuers.first_asked().await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while last_good_of(&cache, &policy(&stand.url), &ES256).expect("good").is_none() {
        assert!(tokio::time::Instant::now() < deadline, "nothing was kept");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    let restarted = Issuers::new(&Metrics::new());
    restarted.keep_in(Some(&cache));
    let found = keys_of(&restarted, &policy(&stand.url), &ES256);
    let now = clock::now_seconds();
    assert_eq!(found.current().keys().expect("kept").len(), 1);
    assert_eq!(found.current().age_seconds(now), keys.current().age_seconds(now));
}

#[tokio::test]
async fn tokens_that_name_missing_keys_make_one_fetch_however_many_they_are() {
    let stand = stand(vec![answer(&document(&["a"]))]).await.expect("an issuer");
    let issuers = Issuers::new(&Metrics::new());
    let keys = keys_of(&issuers, &policy(&stand.url), &ES256);
    let task = tokio::spawn(Arc::clone(&issuers).run());
    issuers.first_asked().await;
    for _ in 0..20 {
        for _ in 0..100 {
            keys.miss_one();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    task.abort();
    assert_eq!(stand.asked.load(Ordering::SeqCst), 2, "the first, and one for all of them");
}
