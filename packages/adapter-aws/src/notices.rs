//! Adapts S3's notices for the roles: which sources have arrived in *this* deployment.

use segue_ports::{ArrivalNotice, ReadArrivals};

use crate::event::{self, IgnoredKind, Notice};

/// Parser of the notices of one input bucket.
#[derive(Debug, Clone)]
pub struct S3Notices {
    bucket: String,
}

impl S3Notices {
    /// Accepts sources of `bucket` and of no other.
    pub fn of(bucket: impl Into<String>) -> S3Notices {
        S3Notices { bucket: bucket.into() }
    }

    /// Classifies a parsed notice for this deployment. One that also has records
    /// of a newer version is left for a newer build as a whole: all of it can be
    /// repeated.
    pub fn arrivals(&self, notice: &Notice) -> ArrivalNotice {
        let Notice::Objects { uploads, ignored } = notice else {
            return ArrivalNotice::Sources { sources: Vec::new(), odd: Vec::new() };
        };
        if let Some(newer) = ignored.iter().find(|record| record.kind == IgnoredKind::Newer) {
            return ArrivalNotice::Newer(newer.why.clone());
        }
        let mut odd = Vec::new();
        for record in ignored {
            match record.kind {
                IgnoredKind::Odd => odd.push(format!("{:?}: {}", record.key, record.why)),
                IgnoredKind::Other => tracing::debug!(key = record.key, why = record.why, "no upload"),
                IgnoredKind::Newer => {}
            }
        }
        let mut sources = Vec::new();
        for upload in uploads {
            if upload.bucket == self.bucket {
                sources.push(upload.key.clone());
            } else {
                odd.push(format!(
                    "\"{}\": it is in bucket {}, not in {}",
                    upload.key, upload.bucket, self.bucket
                ));
            }
        }
        ArrivalNotice::Sources { sources, odd }
    }
}

impl ReadArrivals for S3Notices {
    fn read(&self, text: &str) -> ArrivalNotice {
        match event::parse(text) {
            Ok(notice) => self.arrivals(&notice),
            Err(error) => ArrivalNotice::Unreadable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record(version: &str, name: &str, bucket: &str, key: &str) -> Value {
        json!({
            "eventVersion": version, "eventSource": "aws:s3", "eventName": name,
            "eventTime": "2026-01-02T03:04:05.678Z", "awsRegion": "eu-west-1",
            "userIdentity": {}, "requestParameters": {}, "responseElements": {},
            "s3": { "bucket": { "name": bucket }, "object": { "key": key, "size": 1 } },
        })
    }

    fn read(records: &[Value]) -> ArrivalNotice {
        S3Notices::of("in").read(&json!({ "Records": records }).to_string())
    }

    #[test]
    fn what_can_be_used_is_not_held_up_by_the_rest() {
        let put = "ObjectCreated:Put";
        let notice = read(&[
            record("2.1", put, "in", "input/a/source.mp4"),
            record("2.1", put, "in", "input/../source.mp4"),
            record("2.1", put, "in", "input/%C3%BC/source.mp4"),
            record("2.1", put, "in", &format!("input/a/source.{}", "x".repeat(1024))),
            record("2.1", put, "elsewhere", "input/b/source.mp4"),
            record("2.1", "ObjectRemoved:Delete", "in", "input/c/source.mp4"),
            record("2.1", put, "in", "segments/a/video/1/plan.json"),
            record("2.99", put, "in", "input/d/source.mov"),
        ]);
        let ArrivalNotice::Sources { sources, odd } = notice else { panic!("{notice:?}") };
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        assert_eq!(sources, ["input/a/source.mp4", "input/d/source.mov"]);
        assert_eq!(odd.len(), 4, "{odd:?}");
        assert!(odd.iter().any(|why| why.contains("elsewhere")), "{odd:?}");
    }

    #[test]
    fn a_newer_version_is_left_and_a_test_is_nothing() {
        let notice = read(&[
            record("2.1", "ObjectCreated:Put", "in", "input/a/source.mp4"),
            record("3.0", "ObjectCreated:Put", "in", "input/b/source.mp4"),
        ]);
        assert!(matches!(notice, ArrivalNotice::Newer(_)), "{notice:?}");
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"in"}"#;
        let nothing = ArrivalNotice::Sources { sources: vec![], odd: vec![] };
        assert_eq!(S3Notices::of("in").read(test), nothing);
        for text in ["", "hello", "[]", r#"{"Records":7}"#, "{}"] {
            let notice = S3Notices::of("in").read(text);
            assert!(matches!(notice, ArrivalNotice::Unreadable(_)), "{text}: {notice:?}");
        }
    }
}
