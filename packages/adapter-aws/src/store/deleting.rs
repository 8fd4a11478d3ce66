//! Deletion: one object, or batches of S3's maximum size.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use segue_domain::Key;
use segue_ports::PortError;

use super::S3Store;
use crate::error::{self, odd};

/// Maximum number of keys in a delete request of S3.
const BATCH: usize = 1000;

impl S3Store {
    pub(super) async fn delete_one(&self, key: &Key) -> Result<(), PortError> {
        let request = self.client.delete_object().bucket(self.buckets.of(key)).key(key.to_string());
        let deleted = request.send().await;
        deleted.map(drop).map_err(|e| error::sdk(format_args!("cannot delete {key}"), e))
    }

    pub(super) async fn delete_in_batches(&self, keys: &[Key]) -> Result<(), PortError> {
        let mut by_bucket = BTreeMap::<&str, Vec<&Key>>::new();
        for key in keys {
            by_bucket.entry(self.buckets.of(key)).or_default().push(key);
        }
        for (bucket, keys) in by_bucket {
            for batch in keys.chunks(BATCH) {
                match batch {
                    [key] => self.delete_one(key).await?,
                    batch => self.delete_batch(bucket, batch).await?,
                }
            }
        }
        Ok(())
    }

    async fn delete_batch(&self, bucket: &str, keys: &[&Key]) -> Result<(), PortError> {
        let name = |key: &&Key| ObjectIdentifier::builder().key(key.to_string()).build();
        let names = keys.iter().map(name).collect::<Result<Vec<_>, _>>();
        let names = names.and_then(|names| Delete::builder().set_objects(Some(names)).quiet(true).build());
        let names = names.map_err(|e| odd("a list of keys", e))?;
        let deleted = self.client.delete_objects().bucket(bucket).delete(names).send().await;
        let deleted = deleted
            .map_err(|e| error::sdk(format_args!("cannot delete {} objects of {bucket}", keys.len()), e))?;
        // the request succeeds even if some of its keys fail
        match deleted.errors() {
            [] => Ok(()),
            [first, ..] => {
                let name = first.key().unwrap_or("an object");
                Err(error::of_code(format_args!("cannot delete {name}"), first.code(), first.message()))
            }
        }
    }
}
