//! The catalogue's table: lost answers, documents of a newer build, listings of several batches.

use std::sync::Mutex;

use aws_sdk_dynamodb::types::AttributeValue;
use segue_adapter_aws::testing::{emulator, provision};
use segue_domain::AssetKind;
use segue_ports::{AssetCatalogue, AssetUpdate, NewAsset, PortErrorKind};

use crate::support::{Fault, over};

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

/// The SDK repeats a write whose answer was lost; its condition fails then, and it took place.
#[tokio::test]
async fn a_write_whose_answer_was_lost_took_place() {
    let last = Mutex::new(Fault::None);
    let every_other_put = move |_: u64, name: &str| {
        let mut last = last.lock().unwrap();
        match (name, *last) {
            ("PutItem", Fault::None) => *last = Fault::LostAnswer,
            ("PutItem", _) => *last = Fault::None,
            _ => return Fault::None,
        }
        *last
    };
    let (_deployment, backend, line) = over(Box::new(every_other_put)).await;
    let catalogue = backend.catalogue.unwrap();
    let created = catalogue.create(new("a")).await.unwrap();
    assert!(created.created, "its own asset is taken for another's");
    let AssetUpdate::Updated(asset) = catalogue.update(&created.asset).await.unwrap() else {
        panic!("its own update is taken for another's");
    };
    assert_eq!(asset.revision, 2);
    let tombstone = catalogue.delete(&asset.id, &asset.epoch).await.unwrap();
    assert_eq!(tombstone.map(|tombstone| tombstone.revision), Some(3));
    assert_eq!(line.seen()["PutItem"], 6, "each of three writes was repeated once");
    assert!(!catalogue.create(new("a")).await.unwrap().created);
}

/// A document of a newer build is left to that build, and does not hide the documents around it.
#[tokio::test]
async fn a_newer_asset_is_reported_and_left_out_of_listings() {
    let deployment = provision(emulator().endpoint()).await;
    let catalogue = deployment.connect().await.catalogue.unwrap();
    for id in ["a", "b", "c"] {
        catalogue.create(new(id)).await.unwrap();
    }
    let b = catalogue.get(&"b".parse().unwrap()).await.unwrap().unwrap();
    let client = aws_sdk_dynamodb::Client::new(&deployment.sdk().await);
    let update = client.update_item().set_table_name(deployment.settings.assets_table.clone());
    update
        .key("asset_id", AttributeValue::S("b".into()))
        .update_expression("SET document = :document")
        .expression_attribute_values(":document", AttributeValue::S("{\"version\":99,\"new\":[1]}".into()))
        .send()
        .await
        .unwrap();
    for error in [
        catalogue.get(&b.id).await.unwrap_err(),
        catalogue.create(new("b")).await.unwrap_err(),
        catalogue.update(&b).await.unwrap_err(),
        catalogue.delete(&b.id, &b.epoch).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, PortErrorKind::Newer, "{error}");
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
}

/// More assets than one batch of items holds, listed and purged without a scan.
#[tokio::test]
async fn assets_of_more_than_one_batch_are_listed_and_purged() {
    let (_deployment, backend, line) = over(Box::new(|_, _| Fault::None)).await;
    let catalogue = backend.catalogue.unwrap();
    for n in 0..120 {
        catalogue.create(new(&format!("a{n}"))).await.unwrap();
    }
    let page = catalogue.list("ada", None, 1000).await.unwrap();
    assert_eq!((page.assets.len(), page.next), (120, None));
    for asset in &page.assets {
        catalogue.delete(&asset.id, &asset.epoch).await.unwrap();
    }
    assert_eq!(catalogue.list("ada", None, 1000).await.unwrap().assets, []);
    assert_eq!(catalogue.purge(i64::MAX, 1000).await.unwrap(), 120);
    assert_eq!(catalogue.get(&page.assets[0].id).await.unwrap(), None);
    assert!(!line.seen().contains_key("Scan"), "a table was scanned");
}

#[tokio::test]
async fn without_a_table_there_is_no_catalogue() {
    let mut deployment = provision(emulator().endpoint()).await;
    deployment.settings.assets_table = None;
    assert!(deployment.connect().await.catalogue.is_none());
}
