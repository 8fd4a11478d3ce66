//! Cases specific to a folder: links, hard links, sources that stay at their path.

use std::fs;
use std::os::unix::fs::symlink;

use futures::StreamExt;
use segue_adapter_folder::FolderStore;
use segue_domain::{JobId, Key};
use segue_ports::{FileUse, MediaStore, PortErrorKind, PutOptions};

fn job() -> JobId {
    "j".parse().unwrap()
}

#[tokio::test]
async fn an_adopted_source_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(&folder.path().join("media")).unwrap();
    let (talk, other) = (folder.path().join("talk.mp4"), folder.path().join("other.mp4"));
    fs::write(&talk, "talk").unwrap();
    fs::write(&other, "other").unwrap();
    let key = Key::source(&job(), "mp4");
    store.adopt(&key, &talk).await.unwrap();
    store.adopt(&key, &talk).await.expect("a repeat");
    assert_eq!(store.adopt(&key, &other).await.unwrap_err().kind, PortErrorKind::Misuse);
    assert_eq!(store.head(&key).await.unwrap().unwrap().bytes, 4);
    let path = store.get_file(&key, folder.path()).await.unwrap();
    assert_eq!(path, store.root().join("input/j/source.mp4"));
    assert_eq!(fs::read(path).unwrap(), b"talk");
    assert_eq!(store.list("input/", None, 10).await.unwrap().objects.len(), 1);

    fs::rename(&talk, folder.path().join("moved")).unwrap();
    assert_eq!(store.head(&key).await.unwrap(), None);
    let error = store.get_file(&key, folder.path()).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(error.message.contains("talk.mp4 is gone, put it back"), "{error}");
    fs::rename(folder.path().join("moved"), &talk).unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(fs::read(&talk).unwrap(), b"talk", "the user's file was deleted");
    assert!(!store.root().join("input/j").exists(), "an empty folder is left");

    let elsewhere = Key::published(&job(), "x").unwrap();
    assert_eq!(store.adopt(&elsewhere, &talk).await.unwrap_err().kind, PortErrorKind::Misuse);
    assert_eq!(store.adopt(&key, folder.path()).await.unwrap_err().kind, PortErrorKind::Misuse);
    let absent = folder.path().join("absent");
    assert_eq!(store.adopt(&key, &absent).await.unwrap_err().kind, PortErrorKind::NotFound);
}

#[tokio::test]
async fn nothing_is_written_or_deleted_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(&folder.path().join("media")).unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "precious").unwrap();
    fs::create_dir(store.root().join("jobs")).unwrap();
    symlink(&outside, store.root().join("jobs/j")).unwrap();
    let key = Key::published(&job(), "x").unwrap();
    let error = store.put_bytes(&key, "new".into(), &PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Denied, "{error}");
    assert_eq!(store.delete(&key).await.unwrap_err().kind, PortErrorKind::Denied);
    assert_eq!(fs::read(outside.join("x")).unwrap(), b"precious");

    // a link in an object's place is replaced, not followed
    let key = Key::segment(&job(), &"video".parse().unwrap(), segue_domain::Term(1), "y").unwrap();
    fs::create_dir_all(store.root().join("segments/j/video/1")).unwrap();
    symlink(outside.join("x"), store.root().join("segments/j/video/1/y")).unwrap();
    store.put_bytes(&key, "new".into(), &PutOptions::default()).await.unwrap();
    assert_eq!(fs::read(outside.join("x")).unwrap(), b"precious");
    assert_eq!(store.get_bytes(&key, 10).await.unwrap(), "new");
}

#[tokio::test]
async fn a_file_with_two_names_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(&folder.path().join("media")).unwrap();
    let (source, output) = (folder.path().join("source"), folder.path().join("output"));
    fs::write(&source, "before").unwrap();
    // a map command may do this instead of a copy
    fs::hard_link(&source, &output).unwrap();
    let key = Key::segment(&job(), &"video".parse().unwrap(), segue_domain::Term(1), "y").unwrap();
    store.upload(&key, &output, FileUse::Consume, &PutOptions::default()).await.unwrap();
    fs::write(&source, "after!").unwrap();
    assert_eq!(store.get_bytes(&key, 10).await.unwrap(), "before");
    assert!(!output.exists());
}

#[tokio::test]
async fn a_source_that_is_written_to_in_its_place_is_another_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(&folder.path().join("media")).unwrap();
    let talk = folder.path().join("talk.mp4");
    fs::write(&talk, vec![1; 3 << 20]).unwrap();
    let key = Key::source(&job(), "mp4");
    store.adopt(&key, &talk).await.unwrap();
    let found = store.head(&key).await.unwrap().unwrap();
    let mut stream = store.get_range(&key, &found.version, 0..found.bytes).await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().iter().all(|byte| *byte == 1));
    let file = fs::File::options().write(true).open(&talk).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[2; 9], 2 << 20).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(9)).unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Replaced, "{error}");
    let error = store.get_range(&key, &found.version, 0..1).await.err().expect("another version");
    assert_eq!(error.kind, PortErrorKind::Replaced, "{error}");
}
