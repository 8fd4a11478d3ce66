//! The catalogue's rows: those of a newer build, and the indexes that listings use.

use segue_adapter_local::LocalBackend;
use segue_domain::AssetKind;
use segue_ports::{AssetCatalogue, NewAsset, PortErrorKind};

fn new(id: &str) -> NewAsset {
    NewAsset {
        id: id.parse().unwrap(),
        owner: "ada".into(),
        kind: AssetKind::Video,
        title: "t".into(),
        file_name: "f.mp4".into(),
        media_type: "video/mp4".into(),
        size_bytes: None,
        source_key: format!("input/{id}/source.mp4"),
        duration_ms: None,
    }
}

/// A document of a newer build is left to that build, and does not hide the documents around it.
#[tokio::test]
async fn a_newer_asset_is_reported_and_left_out_of_listings() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = LocalBackend::open(folder.path()).unwrap().catalogue;
    for id in ["a", "b", "c"] {
        catalogue.create(new(id)).await.unwrap();
    }
    let b = catalogue.get(&"b".parse().unwrap()).await.unwrap().unwrap();
    let db = rusqlite::Connection::open(folder.path().join("segue.db")).unwrap();
    let newer = "{\"version\":99,\"whatever\":[1]}";
    db.execute("UPDATE assets SET document = ?1 WHERE id = 'b'", [newer]).unwrap();
    for error in [
        catalogue.get(&b.id).await.unwrap_err(),
        catalogue.create(new("b")).await.unwrap_err(),
        catalogue.update(&b).await.unwrap_err(),
        catalogue.delete(&b.id, &b.epoch).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, PortErrorKind::Newer, "{error}");
        assert!(error.message.contains("newer segue") && !error.message.contains('\n'), "{error}");
    }
    for max in [1, 2, 10] {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let page = catalogue.list("ada", from.as_deref(), max).await.unwrap();
            all.extend(page.assets.into_iter().map(|asset| asset.id.to_string()));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        all.sort();
        assert_eq!(all, ["a", "c"], "in pages of {max}");
    }
    let stored: String =
        db.query_row("SELECT document FROM assets WHERE id = 'b'", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, newer, "a newer document was changed");
}

/// A page reads the owner's newest assets, and a purge the oldest tombstones, and not the whole table.
#[test]
fn listings_and_purges_use_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    drop(LocalBackend::open(folder.path()).unwrap());
    let db = rusqlite::Connection::open(folder.path().join("segue.db")).unwrap();
    let list = "SELECT id, created_at_ms, document FROM assets
                WHERE owner = 'o' AND deleted_at_ms IS NULL AND (created_at_ms, id) < (1, '~')
                ORDER BY created_at_ms DESC, id DESC LIMIT 10";
    let purge = "SELECT id FROM assets WHERE deleted_at_ms < 1 ORDER BY deleted_at_ms LIMIT 10";
    for (sql, index) in [(list, "assets_by_owner"), (purge, "deleted_assets")] {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert!(steps.len() == 1 && steps[0].contains(&format!("INDEX {index}")), "{steps:?}");
    }
}
