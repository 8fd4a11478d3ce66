//! Conformance suite of the asset catalogue. A catalogue starts empty and is used by one subject only.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use segue_domain::asset::{OWNER_MAX, TITLE_MAX};
use segue_domain::{Asset, AssetId, AssetKind, Epoch};

use super::{Capabilities, Subject, all_at_once, fresh, run_clauses};
use segue_ports::catalogue::{AssetCatalogue, AssetPlace, AssetUpdate, NewAsset};
use segue_ports::error::PortErrorKind;

type Port = Arc<dyn AssetCatalogue>;

/// Runs every clause.
pub async fn run<F, Fut>(factory: F, caps: Capabilities)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Subject<dyn AssetCatalogue>>,
{
    run_clauses!(factory, &caps;
        an_asset_is_created_once,
        one_of_many_creators_creates,
        an_asset_out_of_bounds_is_misuse,
        an_asset_is_updated_by_revision,
        an_update_changes_no_fixed_fact,
        one_of_many_updaters_wins,
        no_update_is_lost,
        assets_are_listed_newest_first_in_pages,
        a_listing_goes_on_while_assets_are_deleted,
        a_listing_takes_its_own_tokens_only,
        a_deleted_asset_is_a_tombstone,
        many_deletions_are_one,
        old_tombstones_alone_are_purged,
        late_calls_do_not_touch_the_next_asset_of_an_id,
    );
}

fn fresh_asset() -> AssetId {
    fresh("asset").parse().expect("a plain id")
}

fn new(id: &AssetId, owner: &str) -> NewAsset {
    NewAsset {
        id: id.clone(),
        owner: owner.to_owned(),
        kind: AssetKind::Video,
        title: "Ein \u{dc}berblick: 100 %".to_owned(),
        file_name: "talk 1/2 \"final\".mp4".to_owned(),
        media_type: "video/mp4".to_owned(),
        size_bytes: Some(u64::from(u32::MAX) + 7),
        source_key: format!("input/{id}/source.mp4"),
        duration_ms: None,
    }
}

async fn created(port: &Port, owner: &str) -> Asset {
    let created = port.create(new(&fresh_asset(), owner)).await.unwrap();
    assert!(created.created, "{} is there already", created.asset.id);
    created.asset
}

async fn updated(port: &Port, asset: &Asset) -> Asset {
    match port.update(asset).await.unwrap() {
        AssetUpdate::Updated(after) => after,
        refused => panic!("the update is refused: {refused:?}"),
    }
}

async fn deleted(port: &Port, asset: &Asset) -> Asset {
    port.delete(&asset.id, &asset.epoch).await.unwrap().expect("a tombstone")
}

fn titled(asset: &Asset, title: &str) -> Asset {
    Asset { title: title.to_owned(), ..asset.clone() }
}

/// Every page of the listing, page by page.
async fn walk(port: &Port, owner: &str, max: usize) -> Vec<Asset> {
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = port.list(owner, from.as_deref(), max).await.unwrap();
        assert!(page.assets.len() <= max, "a page has at most {max} assets");
        all.extend(page.assets);
        match page.next {
            Some(next) => assert_ne!(from.replace(next.clone()), Some(next), "the same page again"),
            None => return all,
        }
    }
}

/// The second creation changes nothing and returns the first asset, whatever its owner.
pub async fn an_asset_is_created_once(port: Port, _caps: &Capabilities) {
    let id = fresh_asset();
    assert_eq!(port.get(&id).await.unwrap(), None);
    let first = port.create(new(&id, "ada")).await.unwrap();
    let NewAsset { owner, kind, title, file_name, media_type, source_key, .. } = new(&id, "ada");
    let expected = Asset { owner, kind, title, file_name, media_type, source_key, ..first.asset.clone() };
    assert_eq!((first.created, &first.asset), (true, &expected));
    assert_eq!((first.asset.revision, first.asset.deleted_at_ms), (1, None));
    assert_eq!((first.asset.size_bytes, first.asset.duration_ms), (Some((1 << 32) + 6), None));
    for owner in ["ada", "mallory"] {
        let again = port.create(NewAsset { title: "another".to_owned(), ..new(&id, owner) }).await.unwrap();
        assert_eq!((again.created, &again.asset), (false, &first.asset), "the second creation of an asset");
    }
    assert_eq!(port.get(&id).await.unwrap(), Some(first.asset));
    assert_eq!(walk(&port, "mallory", 10).await, []);
}

/// Of concurrent creations exactly one creates; the others get its asset.
pub async fn one_of_many_creators_creates(port: Port, caps: &Capabilities) {
    for _ in 0..3 {
        let id = fresh_asset();
        let calls = (0..caps.callers).map(|n| {
            let (port, id) = (Arc::clone(&port), id.clone());
            async move {
                let asset = NewAsset { title: format!("creator {n}"), ..new(&id, "ada") };
                port.create(asset).await.unwrap()
            }
        });
        let results = all_at_once(calls).await;
        assert_eq!(results.iter().filter(|r| r.created).count(), 1, "exactly one of many creators creates");
        let stored = port.get(&id).await.unwrap().expect("an asset");
        assert!(results.iter().all(|r| r.asset == stored), "a creator got an asset that is not stored");
    }
}

/// An invalid asset is refused at creation and at an update; nothing is stored.
pub async fn an_asset_out_of_bounds_is_misuse(port: Port, _caps: &Capabilities) {
    let id = fresh_asset();
    let long = |bytes: usize| "x".repeat(bytes);
    let refused = [
        NewAsset { owner: String::new(), ..new(&id, "ada") },
        NewAsset { owner: long(OWNER_MAX + 1), ..new(&id, "ada") },
        NewAsset { title: long(TITLE_MAX + 1), ..new(&id, "ada") },
        NewAsset { media_type: "video".to_owned(), ..new(&id, "ada") },
        NewAsset { source_key: "input/another/source.mp4".to_owned(), ..new(&id, "ada") },
    ];
    for asset in refused {
        let what = format!("{asset:?}");
        let error = port.create(asset).await.expect_err(&what);
        assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    }
    assert_eq!(port.get(&id).await.unwrap(), None, "an asset out of bounds is stored");
    let longest = NewAsset { owner: long(OWNER_MAX), title: long(TITLE_MAX), ..new(&id, "ada") };
    let asset = port.create(longest).await.unwrap().asset;
    let error = port.update(&titled(&asset, "")).await.expect_err("a title that is empty");
    assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    assert_eq!(port.get(&id).await.unwrap(), Some(asset));
}

/// An update requires the stored revision; stale and missing are distinct results.
pub async fn an_asset_is_updated_by_revision(port: Port, _caps: &Capabilities) {
    let first = created(&port, "ada").await;
    let facts = Asset { size_bytes: None, duration_ms: Some(2000), kind: AssetKind::Audio, ..first.clone() };
    let second = updated(&port, &titled(&facts, "second")).await;
    assert_eq!(second, Asset { revision: 2, ..titled(&facts, "second") });
    assert_eq!(port.get(&first.id).await.unwrap().as_ref(), Some(&second));
    for revision in [0, 1, 3] {
        let update = port.update(&Asset { revision, ..titled(&first, "late") }).await.unwrap();
        assert_eq!(update, AssetUpdate::Stale(second.clone()), "an update of revision {revision}");
    }
    let third = updated(&port, &titled(&second, "third")).await;
    assert_eq!((third.revision, port.get(&first.id).await.unwrap()), (3, Some(third.clone())));
    let unknown = fresh_asset();
    let source_key = format!("input/{unknown}/source.mp4");
    let update = port.update(&Asset { id: unknown.clone(), source_key, ..third.clone() }).await.unwrap();
    assert_eq!(update, AssetUpdate::Missing, "an update of an asset that was never created");
    assert_eq!(port.get(&unknown).await.unwrap(), None, "an update creates nothing");
    let epoch: Epoch = fresh("life").parse().expect("a plain id");
    let update = port.update(&Asset { epoch, ..third.clone() }).await.unwrap();
    assert_eq!(update, AssetUpdate::Missing, "an update of another life");
    deleted(&port, &third).await;
    let update = port.update(&third).await.unwrap();
    assert_eq!(update, AssetUpdate::Missing, "an update after the deletion");
}

/// Owner, source and time of creation are fixed, and only a deletion makes a tombstone.
pub async fn an_update_changes_no_fixed_fact(port: Port, _caps: &Capabilities) {
    let asset = created(&port, "ada").await;
    let changes = [
        Asset { owner: "mallory".to_owned(), ..asset.clone() },
        Asset { source_key: format!("input/{}/source.mov", asset.id), ..asset.clone() },
        Asset { created_at_ms: asset.created_at_ms + 1, ..asset.clone() },
        Asset { deleted_at_ms: Some(asset.created_at_ms), ..asset.clone() },
    ];
    for change in changes {
        let error = port.update(&change).await.expect_err("a fact that is fixed was changed");
        assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    }
    assert_eq!(port.get(&asset.id).await.unwrap(), Some(asset));
}

/// Concurrent updates of one revision: exactly one writes, and its document remains.
pub async fn one_of_many_updaters_wins(port: Port, caps: &Capabilities) {
    let mut asset = created(&port, "ada").await;
    for round in 0..3 {
        let calls = (0..caps.callers).map(|n| {
            let (port, asset) = (Arc::clone(&port), titled(&asset, &format!("updater {n} of {round}")));
            async move { port.update(&asset).await.unwrap() }
        });
        let results = all_at_once(calls).await;
        let won: Vec<_> = results.iter().filter(|r| matches!(r, AssetUpdate::Updated(_))).collect();
        assert_eq!(won.len(), 1, "exactly one of many updaters wins");
        let stored = port.get(&asset.id).await.unwrap().expect("an asset");
        assert_eq!(*won[0], AssetUpdate::Updated(stored.clone()), "the winner's stands");
        assert!(!results.contains(&AssetUpdate::Missing), "a loser is stale");
        asset = stored;
    }
}

/// A number in the title that several updaters increment by compare-and-swap.
pub async fn no_update_is_lost(port: Port, _caps: &Capabilities) {
    const UPDATERS: u32 = 3;
    const EACH: u32 = 6;
    let asset = updated(&port, &titled(&created(&port, "ada").await, "0")).await;
    let calls = (0..UPDATERS).map(|_| {
        let (port, mut now) = (Arc::clone(&port), asset.clone());
        async move {
            let mut done = 0;
            while done < EACH {
                let next = now.title.parse::<u32>().expect("a number") + 1;
                now = match port.update(&titled(&now, &next.to_string())).await.unwrap() {
                    AssetUpdate::Updated(after) => {
                        done += 1;
                        after
                    }
                    AssetUpdate::Stale(current) => current,
                    AssetUpdate::Missing => panic!("the asset is missing"),
                };
            }
        }
    });
    all_at_once(calls).await;
    let last = port.get(&asset.id).await.unwrap().expect("an asset");
    assert_eq!(last.title, (UPDATERS * EACH).to_string(), "an update is lost");
    assert_eq!(last.revision, asset.revision + u64::from(UPDATERS * EACH));
}

/// Each asset on one page, whatever the size of the pages, and none of another owner.
pub async fn assets_are_listed_newest_first_in_pages(port: Port, caps: &Capabilities) {
    let owners = ["ada", "ada#b", "ada/b", "\u{00e4}da"];
    let mut assets = Vec::new();
    for n in 0..6 {
        for owner in owners {
            assets.push(created(&port, owner).await);
        }
        if n % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    assets[0] = updated(&port, &titled(&assets[0], "an update does not move an asset")).await;
    tokio::time::sleep(caps.settle).await;
    for owner in owners {
        let mut expected: Vec<Asset> = assets.iter().filter(|a| a.owner == owner).cloned().collect();
        expected.sort_by_key(|asset| std::cmp::Reverse(AssetPlace::of(asset)));
        for max in [1, 2, 3, 6, 100] {
            assert_eq!(walk(&port, owner, max).await, expected, "assets of {owner} in pages of {max}");
        }
    }
    assert_eq!(walk(&port, "nobody", 10).await, []);
}

/// An asset that stays is on exactly one page, also when the last asset of a page is deleted before the next.
pub async fn a_listing_goes_on_while_assets_are_deleted(port: Port, caps: &Capabilities) {
    let mut ids = BTreeSet::new();
    for _ in 0..9 {
        ids.insert(created(&port, "ada").await.id);
    }
    tokio::time::sleep(caps.settle).await;
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let page = port.list("ada", from.as_deref(), 2).await.unwrap();
        for asset in &page.assets {
            deleted(&port, asset).await;
        }
        seen.extend(page.assets.into_iter().map(|asset| asset.id));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), ids.len(), "assets that are on no page, or on two");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(walk(&port, "ada", 2).await, [], "a deleted asset is listed");
}

/// A token of another owner, or an invalid one, is refused.
pub async fn a_listing_takes_its_own_tokens_only(port: Port, caps: &Capabilities) {
    for owner in ["ada", "ada", "ada", "bob", "bob"] {
        created(&port, owner).await;
    }
    tokio::time::sleep(caps.settle).await;
    let token = port.list("ada", None, 1).await.unwrap().next.expect("a second page");
    assert_eq!(port.list("ada", Some(&token), 1).await.unwrap().assets.len(), 1);
    let misuses = [("bob", token.as_str(), 1), ("ada", "", 1), ("ada", "x", 1), ("ada", "1/../ada", 1)];
    for (owner, token, max) in misuses.into_iter().chain([("ada", token.as_str(), 0), ("", "", 1)]) {
        let from = Some(token).filter(|_| !owner.is_empty());
        let error = port.list(owner, from, max).await.expect_err("a token of another listing is taken");
        assert_eq!(error.kind, PortErrorKind::Misuse, "{error}");
    }
}

/// A tombstone can be read, is on no page, and occupies its id.
pub async fn a_deleted_asset_is_a_tombstone(port: Port, caps: &Capabilities) {
    let (asset, other) = (created(&port, "ada").await, created(&port, "ada").await);
    assert_eq!(port.delete(&fresh_asset(), &asset.epoch).await.unwrap(), None, "an unknown asset");
    let epoch: Epoch = fresh("life").parse().expect("a plain id");
    assert_eq!(port.delete(&asset.id, &epoch).await.unwrap(), None, "another life was deleted");
    assert_eq!(port.get(&asset.id).await.unwrap(), Some(asset.clone()), "another life was deleted");

    let asset = updated(&port, &titled(&asset, "since then")).await;
    let tombstone = deleted(&port, &asset).await;
    let at_ms = tombstone.deleted_at_ms.expect("a time");
    assert!((asset.created_at_ms..=asset.created_at_ms + 60_000).contains(&at_ms), "deleted at {at_ms}");
    assert_eq!(tombstone, Asset { revision: 3, deleted_at_ms: Some(at_ms), ..asset.clone() });
    assert_eq!(port.get(&asset.id).await.unwrap(), Some(tombstone.clone()));
    tokio::time::sleep(caps.settle).await;
    assert_eq!(walk(&port, "ada", 10).await, [other], "a deleted asset is listed");
    assert_eq!(deleted(&port, &asset).await, tombstone, "the second deletion");
    let again = port.create(new(&asset.id, "ada")).await.unwrap();
    assert_eq!((again.created, again.asset), (false, tombstone), "a creation over a tombstone");
}

/// Deletions and an update at the same time: one tombstone, and nothing after it.
pub async fn many_deletions_are_one(port: Port, caps: &Capabilities) {
    let asset = created(&port, "ada").await;
    let calls = (0..caps.callers).map(|n| {
        let (port, asset) = (Arc::clone(&port), asset.clone());
        async move {
            if n % 4 == 1 {
                port.update(&titled(&asset, &format!("updater {n}"))).await.unwrap();
                return None;
            }
            Some(deleted(&port, &asset).await)
        }
    });
    let tombstones = all_at_once(calls).await;
    let stored = port.get(&asset.id).await.unwrap().expect("a tombstone");
    assert!(stored.is_deleted(), "an update undid the deletion");
    assert!(tombstones.into_iter().flatten().all(|tombstone| tombstone == stored), "deletions differ");
}

/// Purges tombstones deleted before the time, and at most `max`.
pub async fn old_tombstones_alone_are_purged(port: Port, caps: &Capabilities) {
    let alive = created(&port, "ada").await;
    let mut old = Vec::new();
    for _ in 0..5 {
        old.push(deleted(&port, &created(&port, "ada").await).await);
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let young = deleted(&port, &created(&port, "ada").await).await;
    tokio::time::sleep(caps.settle).await;
    let first_ms = old.iter().filter_map(|asset| asset.deleted_at_ms).min().expect("a time");
    assert_eq!(port.purge(first_ms, 10).await.unwrap(), 0, "a tombstone is purged too early");
    let before_ms = young.deleted_at_ms.expect("a time");
    assert_eq!(port.purge(before_ms, 2).await.unwrap(), 2, "at most 2 are purged");
    let mut left = 0;
    for asset in &old {
        left += usize::from(port.get(&asset.id).await.unwrap().is_some());
    }
    assert_eq!(left, 3, "tombstones left by the first purge");
    tokio::time::sleep(caps.settle).await;
    assert_eq!(port.purge(before_ms, 10).await.unwrap(), 3);
    for asset in &old {
        assert_eq!(port.get(&asset.id).await.unwrap(), None, "a tombstone is left");
    }
    assert_eq!(port.get(&young.id).await.unwrap(), Some(young), "a young tombstone is purged");
    tokio::time::sleep(caps.settle).await;
    assert_eq!(walk(&port, "ada", 10).await, [alive], "an asset is purged");
}

/// After a purge the id is free; updates and deletions of the earlier life are too late.
pub async fn late_calls_do_not_touch_the_next_asset_of_an_id(port: Port, caps: &Capabilities) {
    let first = created(&port, "ada").await;
    let tombstone = deleted(&port, &first).await;
    tokio::time::sleep(caps.settle).await;
    assert_eq!(port.purge(tombstone.deleted_at_ms.expect("a time") + 1, 10).await.unwrap(), 1);
    let again = port.create(new(&first.id, "bob")).await.unwrap();
    assert!(again.created, "the id of a purged tombstone is free");
    let second = again.asset;
    assert_ne!(second.epoch, first.epoch, "a later life has another epoch");
    assert_eq!(port.update(&titled(&first, "late")).await.unwrap(), AssetUpdate::Missing);
    assert_eq!(port.delete(&first.id, &first.epoch).await.unwrap(), None, "a late deletion");
    assert_eq!(port.get(&first.id).await.unwrap(), Some(second));
}
