//! Listings: four areas in two buckets, in the order of their keys.

use segue_ports::{Object, ObjectPage, PortError};

use super::{Buckets, S3Store};
use crate::error;

/// Maximum number of objects in a listing of S3.
const PAGE_MAX: usize = 1000;

/// The areas of the store, in order, each in its bucket.
fn areas(buckets: &Buckets) -> [(&'static str, &str); 4] {
    [
        ("input/", &buckets.input),
        ("jobs/", &buckets.output),
        ("segments/", &buckets.input),
        ("work/", &buckets.output),
    ]
}

/// The listing prefix of an area for keys that start with `prefix`; `None` if no key does.
fn prefix_within<'a>(area: &'a str, prefix: &'a str) -> Option<&'a str> {
    if prefix.starts_with(area) { Some(prefix) } else { area.starts_with(prefix).then_some(area) }
}

impl S3Store {
    pub(super) async fn list_areas(
        &self,
        prefix: &str,
        from: Option<&str>,
        max: usize,
    ) -> Result<ObjectPage, PortError> {
        let mut objects = Vec::new();
        for (area, bucket) in areas(&self.buckets) {
            let Some(prefix) = prefix_within(area, prefix) else { continue };
            if objects.len() <= max {
                // one more than requested shows whether there is another page
                self.list_area(bucket, prefix, from, max + 1, &mut objects).await?;
            }
        }
        let more = objects.len() > max;
        objects.truncate(max);
        let next = objects.last().filter(|_| more).map(|object: &Object| object.key.clone());
        Ok(ObjectPage { objects, next })
    }

    /// Adds the objects after `from`, until there are `most` in total.
    async fn list_area(
        &self,
        bucket: &str,
        prefix: &str,
        from: Option<&str>,
        most: usize,
        objects: &mut Vec<Object>,
    ) -> Result<(), PortError> {
        let mut start = from.map(str::to_owned);
        while objects.len() < most {
            let page = self
                .client
                .list_objects_v2()
                .bucket(bucket)
                .prefix(prefix)
                .set_start_after(start.take())
                .max_keys((most - objects.len()).min(PAGE_MAX) as i32)
                .send()
                .await
                .map_err(|e| error::sdk(format_args!("cannot list {prefix}"), e))?;
            let found = page.contents().iter().filter_map(|object| {
                let bytes = u64::try_from(object.size().unwrap_or(0)).unwrap_or(0);
                Some(Object { key: object.key()?.to_owned(), bytes })
            });
            let before = objects.len();
            objects.extend(found);
            if !page.is_truncated().unwrap_or(false) || objects.len() == before {
                break;
            }
            start = objects.last().map(|object| object.key.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_meets_the_areas_that_it_can() {
        assert_eq!(prefix_within("jobs/", ""), Some("jobs/"));
        assert_eq!(prefix_within("jobs/", "jo"), Some("jobs/"));
        assert_eq!(prefix_within("jobs/", "jobs/x/a"), Some("jobs/x/a"));
        for none in ["k", "/", "../", "jobsx", "input/"] {
            assert_eq!(prefix_within("jobs/", none), None, "{none}");
        }
    }

    #[test]
    fn areas_are_in_the_order_of_their_keys() {
        let buckets = Buckets { input: "i".into(), output: "o".into() };
        assert!(areas(&buckets).map(|(area, _)| area).is_sorted());
    }
}
