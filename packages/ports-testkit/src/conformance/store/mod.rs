//! Conformance suite of the media store.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use segue_domain::{JobId, Key, OutputId, Term};

use super::{Capabilities, Subject, fresh, run_clauses};
use segue_ports::error::PortError;
use segue_ports::store::{FileUse, MediaStore, PutOptions, Version};

pub mod listing;
pub mod ranges;
pub mod reading;
pub mod writing;

/// A store, and a local folder for uploads and downloads.
#[derive(Clone)]
pub struct Port {
    /// The store.
    pub store: Arc<dyn MediaStore>,
    /// The folder, on the file system that engines would use.
    pub scratch: PathBuf,
}

/// Runs every clause.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<Port>>,
{
    run_clauses!(factory, &caps;
        writing::replacing_replaces,
        writing::one_of_many_writes_remains,
        writing::a_reader_sees_the_whole_or_nothing,
        writing::a_file_is_uploaded_and_kept_or_consumed,
        writing::a_link_is_not_a_file,
        writing::media_type_and_cache_control_are_returned,
        writing::promotion_gives_a_second_name,
        writing::promotion_replaces,
        writing::deleting_is_for_good_and_twice_is_once,
        writing::many_are_deleted_at_once,
        writing::writers_and_deleters_do_not_meet,
        reading::what_is_not_there_is_not_found,
        reading::small_objects_are_bounded,
        reading::files_are_read_where_they_lie,
        reading::every_key_is_a_name,
        ranges::a_range_is_its_bytes,
        ranges::a_range_lies_within_the_object,
        ranges::another_version_is_an_error,
        ranges::a_stream_is_of_one_version,
        listing::a_listing_is_in_order_of_keys,
        listing::a_listing_comes_in_pages,
        listing::a_prefix_is_a_text,
        listing::a_listing_bears_changes,
    );
}

pub(super) fn job() -> JobId {
    fresh("job").parse().expect("a plain id")
}

fn output() -> OutputId {
    "video".parse().expect("a plain id")
}

fn work(job: &JobId, name: &str) -> Key {
    let (output, task) = (output(), "digest-00000".parse().expect("a plain id"));
    Key::work(job, &output, &task, Term(1), name).expect("a plain name")
}

pub(super) fn published(job: &JobId, name: &str) -> Key {
    Key::published(job, name).expect("a plain name")
}

impl Port {
    async fn put(&self, key: &Key, bytes: impl Into<Bytes>) {
        self.store.put_bytes(key, bytes.into(), &PutOptions::default()).await.unwrap();
    }

    async fn upload(&self, key: &Key, file: &Path, file_use: FileUse) -> Result<(), PortError> {
        self.store.upload(key, file, file_use, &PutOptions::default()).await
    }

    async fn promote(&self, from: &Key, to: &Key) -> Result<(), PortError> {
        self.store.promote(from, to, &PutOptions::default()).await
    }

    async fn text(&self, key: &Key) -> String {
        let bytes = self.store.get_bytes(key, 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    async fn version(&self, key: &Key) -> Version {
        self.store.head(key).await.unwrap().expect("an object").version
    }

    async fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.scratch.join(fresh("file"));
        tokio::fs::write(&path, bytes).await.expect("scratch can be written");
        path
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
