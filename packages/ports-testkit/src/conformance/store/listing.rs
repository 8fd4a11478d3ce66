//! Listings: ordered, paged, and stable during concurrent changes.

use std::sync::Arc;

use segue_domain::{JobId, Key};

use super::{Port, job, published, work};
use crate::conformance::Capabilities;

/// Names whose order by folder differs from their order by bytes.
const NAMES: [&str; 9] = ["a", "a-b", "a.b", "b/c", "b-c", "b.c", "b/c.d", "c/d/e/f", "c/d-e"];

/// `a/…` cannot be stored beside `a` in a folder; those names are left out above.
async fn fill(port: &Port, job: &JobId) -> Vec<String> {
    let mut keys = Vec::new();
    for (n, name) in NAMES.iter().enumerate() {
        let key = published(job, name);
        port.put(&key, "x".repeat(n)).await;
        keys.push(key.to_string());
    }
    keys.sort();
    keys
}

async fn walk(port: &Port, prefix: &str, max: usize) -> Vec<String> {
    let mut keys = Vec::new();
    let mut from: Option<String> = None;
    loop {
        let page = port.store.list(prefix, from.as_deref(), max).await.unwrap();
        assert!(page.objects.len() <= max, "a page holds at most {max}");
        keys.extend(page.objects.into_iter().map(|object| object.key));
        match page.next {
            Some(next) => assert_ne!(from.replace(next.clone()), Some(next), "the same page again"),
            None => return keys,
        }
    }
}

/// Ordered by the bytes of the whole key, with sizes.
pub async fn a_listing_is_in_order_of_keys(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let keys = fill(&port, &job).await;
    let page = port.store.list(&Key::published_prefix(&job), None, 100).await.unwrap();
    assert_eq!(page.next, None, "there is no second page");
    assert_eq!(page.objects.iter().map(|o| o.key.clone()).collect::<Vec<_>>(), keys);
    for object in page.objects {
        let name = object.key.strip_prefix(&Key::published_prefix(&job)).expect("the prefix");
        let size = NAMES.iter().position(|n| *n == name).expect("one of them");
        assert_eq!(object.bytes, size as u64, "{name}");
    }
}

/// Each object is on one page, whatever the size of the pages.
pub async fn a_listing_comes_in_pages(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let keys = fill(&port, &job).await;
    for max in 1..=keys.len() + 1 {
        assert_eq!(walk(&port, &Key::published_prefix(&job), max).await, keys, "in pages of {max}");
    }
    let everything = walk(&port, "", 4).await;
    assert!(keys.iter().all(|key| everything.contains(key)), "the empty prefix is every key");
    assert!(everything.is_sorted());
}

/// A prefix may end within a name, or match nothing.
pub async fn a_prefix_is_a_text(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let keys = fill(&port, &job).await;
    port.put(&work(&job, "b/c"), "other area").await;
    let root = Key::published_prefix(&job);
    for end in ["a", "b", "b/", "b/c", "b/c.", "c/d", "c/d/", "c/d/e/f", "c/d/e/f/", "d", "../", "/"] {
        let prefix = format!("{root}{end}");
        let expected: Vec<String> = keys.iter().filter(|k| k.starts_with(&prefix)).cloned().collect();
        assert_eq!(walk(&port, &prefix, 2).await, expected, "prefix {end:?}");
    }
    for outside in ["/", "../", "jobs/../", "nothing", ".tmp/", "/etc/pass"] {
        assert_eq!(walk(&port, outside, 10).await, Vec::<String>::new(), "prefix {outside:?}");
    }
}

/// Objects that stay are listed during concurrent writes and deletions of others.
pub async fn a_listing_bears_changes(port: Arc<Port>, _caps: &Capabilities) {
    let job = job();
    let keys = fill(&port, &job).await;
    let changer = {
        let (port, job) = (Arc::clone(&port), job.clone());
        tokio::spawn(async move {
            for n in 0..30 {
                let key = published(&job, &format!("bb/{}/x", n % 3));
                port.put(&key, "x").await;
                port.store.delete(&key).await.unwrap();
            }
        })
    };
    while !changer.is_finished() {
        let found = walk(&port, &Key::published_prefix(&job), 2).await;
        assert!(keys.iter().all(|key| found.contains(key)), "an object that stayed is missing");
        tokio::task::yield_now().await;
    }
    changer.await.expect("the changer");
}
