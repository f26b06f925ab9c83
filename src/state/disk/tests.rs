use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::*;
use crate::state::{Digest, Reason, Revoked, Space};

const NOW: UnixSeconds = UnixSeconds(1_000);
const PATIENCE: Duration = Duration::from_secs(10);
const LIMITS: MemoryLimits = MemoryLimits { kept_max: 1_000, cached_bytes_max: 100_000 };

fn key(text: &str) -> Key {
    Key::of(Space::TokenId, "acme", text.as_bytes())
}

fn revocation(revoked: Revoked, until: Option<i64>) -> Revocation {
    Revocation {
        id: RevocationId::draw(SystemTime::UNIX_EPOCH).unwrap(),
        workspace: "acme".into(),
        revoked,
        made: NOW,
        until: until.map(UnixSeconds),
        reason: Reason::try_from("ticket 4711".to_owned()).unwrap(),
    }
}

fn open(directory: &Path, now: i64) -> (OnDisk, DiskTask) {
    OnDisk::open(directory, LIMITS, UnixSeconds(now)).unwrap()
}

#[track_caller]
fn refused(directory: &Path, limits: MemoryLimits) -> DiskError {
    match OnDisk::open(directory, limits, NOW) {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_is_in_force_comes_back_and_what_is_over_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("a/state");
    let (store, task) = open(&state, 1_000);
    let all = [
        revocation(Revoked::TokenId(Digest::of_token_id("acme", "1")), Some(2_000)),
        revocation(Revoked::Subject(Digest::of_subject("acme", "1")), None),
        revocation(Revoked::Key("web".into()), Some(5_000)),
        revocation(Revoked::IssuedBefore { before: UnixSeconds(-5), subject: None }, None),
        revocation(Revoked::IssuedBefore { before: NOW, subject: Some(Digest::of_subject("acme", "1")) }, None),
    ];
    for revocation in &all {
        store.revoke(revocation.clone(), NOW).await.unwrap();
    }
    assert_eq!(store.unrevoke(all[1].id).await, Ok(true));
    assert_eq!(store.unrevoke(all[1].id).await, Ok(false));
    store.claim(key("short"), Bytes::from_static(b"s"), UnixSeconds(1_500), NOW).await.unwrap();
    store.claim(key("long"), Bytes::from_static(b"l"), UnixSeconds(3_000), NOW).await.unwrap();
    store.put(key("moved"), Bytes::from_static(b"m"), UnixSeconds(1_500), NOW).await.unwrap();
    store.put(key("moved"), Bytes::from_static(b"n"), UnixSeconds(3_000), NOW).await.unwrap();
    store.put(key("gone"), Bytes::new(), UnixSeconds(3_000), NOW).await.unwrap();
    store.remove(key("gone")).await.unwrap();
    let session = Key::of(Space::Session, "acme", b"1");
    store.put(session, Bytes::new(), UnixSeconds(3_000), NOW).await.unwrap();
    task.flush_and_stop(PATIENCE).unwrap();
    drop(store);

    let (store, task) = open(&state, 2_000);
    let kept: Vec<Revocation> = store.revocations().all().to_vec();
    let mut expected = [&all[2], &all[3], &all[4]].map(Clone::clone).to_vec();
    expected.sort_by_key(|revocation| revocation.id);
    assert_eq!(kept, expected);
    let now = UnixSeconds(2_000);
    assert_eq!(store.get(key("short"), now).await, Ok(None));
    assert_eq!(store.get(key("long"), now).await, Ok(Some(Bytes::from_static(b"l"))));
    assert_eq!(store.get(key("moved"), now).await, Ok(Some(Bytes::from_static(b"n"))));
    assert_eq!(store.get(key("gone"), now).await, Ok(None));
    assert_eq!(store.get(session, now).await, Ok(None), "what is kept while there is room is not written");
    let claimed = store.claim(key("long"), Bytes::new(), UnixSeconds(3_000), now).await;
    assert_eq!(claimed, Ok(Claimed::Already(Bytes::from_static(b"l"))));
    assert_eq!(store.numbers(), Numbers { entries: 2, revocations: 3, unwritten: 0, disk_errors: 0 });
    task.flush_and_stop(PATIENCE).unwrap();

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("state.redb"))), (0o700, 0o600));
    let bytes = fs::read(state.join("state.redb")).unwrap();
    assert!(bytes.windows(11).any(|window| window == b"ticket 4711"));
}

#[tokio::test]
async fn nobody_is_named_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (store, task) = open(directory.path(), 1_000);
    let subject = Digest::of_subject("acme", "canary-user");
    store.revoke(revocation(Revoked::Subject(subject), None), NOW).await.unwrap();
    store.claim(key("canary-token"), Bytes::new(), UnixSeconds(3_000), NOW).await.unwrap();
    task.flush_and_stop(PATIENCE).unwrap();
    let bytes = fs::read(directory.path().join("state.redb")).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"canary"));
}

#[tokio::test]
async fn what_is_kept_is_on_the_disk_soon_though_nobody_waits() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _task) = open(&directory.path().join("state"), 1_000);
    for number in 0..500 {
        store.claim(key(&number.to_string()), Bytes::new(), UnixSeconds(3_000), NOW).await.unwrap();
    }
    let began = std::time::Instant::now();
    while store.queue.waiting() > 0 {
        assert!(began.elapsed() < PATIENCE, "{} wait", store.queue.waiting());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_is_over_leaves_the_file_which_stays_small() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (store, task) = open(&state, 0);
    let mut sizes = Vec::new();
    for round in 0..30_i64 {
        for number in 0..300 {
            let key = key(&format!("{round} {number}"));
            store.claim(key, Bytes::from_static(&[7; 32]), UnixSeconds(round + 2), UnixSeconds(round)).await.unwrap();
        }
        while store.queue.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sizes.push(fs::metadata(state.join("state.redb")).unwrap().len());
    }
    task.flush_and_stop(PATIENCE).unwrap();
    assert_eq!(sizes[10], sizes[29], "{sizes:?}");
}

#[test]
fn a_second_process_does_not_get_it() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (_store, task) = open(&state, 1_000);
    let error = refused(&state, LIMITS);
    assert!(matches!(error, DiskError::InUse(_)) && error.to_string().contains("state.redb"), "{error}");
    task.flush_and_stop(PATIENCE).unwrap();
}

#[tokio::test]
async fn a_file_that_is_broken_or_somebody_elses_never_starts_empty() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let file = state.join("state.redb");
    let (store, task) = open(&state, 1_000);
    for number in 0..200 {
        store.claim(key(&number.to_string()), Bytes::from_static(b"v"), UnixSeconds(3_000), NOW).await.unwrap();
    }
    store.revoke(revocation(Revoked::Key("web".into()), None), NOW).await.unwrap();
    task.flush_and_stop(PATIENCE).unwrap();
    drop(store);
    let good = fs::read(&file).unwrap();
    let at = good.windows(11).position(|window| window == b"ticket 4711").unwrap();
    let flipped = {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let half = good[..good.len() / 2].to_vec();
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("another kind of file", b"#!/bin/sh\n".repeat(1_000)),
        ("zeros", vec![0; good.len()]),
        ("half", half),
        ("one bit", flipped),
    ] {
        fs::write(&file, &bytes).unwrap();
        let error = refused(&state, LIMITS);
        assert!(matches!(error, DiskError::Broken { .. }), "{what}: {error:?}");
        let told = error.to_string();
        assert!(told.contains("state.redb") && told.contains("move it away"), "{told}");
        assert_eq!(fs::read(&file).unwrap().len(), bytes.len(), "{what}: it was touched");
    }
    // Another program's tables.
    fs::remove_file(&file).unwrap();
    {
        let database = redb::Database::create(&file).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = redb::TableDefinition::<u64, u64>::new("theirs");
        transaction.open_table(table).unwrap().insert(1, 1).unwrap();
        transaction.commit().unwrap();
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(refused(&state, LIMITS), DiskError::Broken { .. }));
    fs::write(&file, &good).unwrap();
    let fewer = MemoryLimits { kept_max: 100, ..LIMITS };
    assert!(matches!(refused(&state, fewer), DiskError::TooMany(_)));
    let (store, task) = open(&state, 1_000);
    assert_eq!(store.numbers().entries, 200);
    task.flush_and_stop(PATIENCE).unwrap();
}

#[test]
fn what_others_can_read_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (store, task) = open(&state, 1_000);
    task.flush_and_stop(PATIENCE).unwrap();
    drop(store);
    for (path, mode) in [(state.clone(), 0o750), (state.join("state.redb"), 0o640)] {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = refused(&state, LIMITS);
        assert!(matches!(error, DiskError::OpenToOthers { .. }) && error.to_string().contains("chmod"), "{error}");
        fs::set_permissions(&path, before).unwrap();
    }
    // A directory that is a file.
    assert!(matches!(refused(&state.join("state.redb"), LIMITS), DiskError::Directory { .. }));
    // What was begun and never became whole is begun again.
    let other = directory.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(other.join("state.redb.new"), b"half").unwrap();
    let (_store, task) = open(&other, 1_000);
    task.flush_and_stop(PATIENCE).unwrap();
}
