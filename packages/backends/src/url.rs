//! URLs of the parts of a backend.

use std::fmt;
use std::str::FromStr;

use segue_domain::Failure;

use crate::failure::usage;
use crate::provider::{self, Scheme};

/// A part of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Jobs, completions and leases.
    Ledger,
    /// Messages.
    Queue,
    /// Media store.
    Store,
}

impl Part {
    /// Every part.
    pub const ALL: [Part; 3] = [Part::Ledger, Part::Queue, Part::Store];

    /// Its display name.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Ledger => "ledger",
            Part::Queue => "queue",
            Part::Store => "store",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Part::Ledger => "SEGUE_LEDGER",
            Part::Queue => "SEGUE_QUEUE",
            Part::Store => "SEGUE_STORE",
        }
    }
}

/// A checked URL whose scheme is compiled in. A path without a scheme is a folder.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendUrl {
    scheme: &'static str,
    rest: String,
}

/// Only the scheme: the rest may hold a password.
impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://…", self.scheme)
    }
}

/// Schemes that a build may lack, with the names of their services.
const NOT_COMPILED: &[(&str, &str)] = &[
    ("aws", "AWS"),
    ("dynamodb", "DynamoDB"),
    ("sqs", "SQS"),
    ("s3", "S3"),
    ("postgres", "Postgres"),
    ("postgresql", "Postgres"),
    ("redis", "Redis"),
    ("rediss", "Redis"),
    ("webdav", "WebDAV"),
    ("webdavs", "WebDAV"),
    ("azblob", "Azure Blob Storage"),
    ("gs", "Google Cloud Storage"),
];

impl BackendUrl {
    /// Its scheme; `file` for a path.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// What follows `SCHEME://`; the path of a folder. It may hold a password.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    fn serves(&self, part: Part) -> Result<(), Failure> {
        let Some(Scheme { name, parts, .. }) = provider::scheme(self.scheme) else { return Ok(()) };
        if parts.contains(&part) {
            return Ok(());
        }
        let can = parts.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(" and ");
        Err(usage(format!("{name}:// is a {can}, not a {}", part.as_str())))
    }
}

impl FromStr for BackendUrl {
    type Err = Failure;

    fn from_str(text: &str) -> Result<BackendUrl, Failure> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None if text.is_empty() => return Err(usage("the backend's folder has no name")),
            None => return Ok(BackendUrl { scheme: "file", rest: text.to_owned() }),
        };
        if let Some(known) = provider::scheme(scheme) {
            (known.check)(rest)?;
            return Ok(BackendUrl { scheme: known.name, rest: rest.to_owned() });
        }
        match NOT_COMPILED.iter().find(|(name, _)| *name == scheme) {
            Some((_, service)) => Err(usage(format!(
                "the {service} backend ({scheme}://) is not compiled into this build; give a folder on this machine"
            ))),
            None => Err(usage(format!(
                "there is no backend for {scheme}://; give a folder on this machine or a file:// URL"
            ))),
        }
    }
}

/// The URLs as settings give them.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartUrls<'a> {
    /// Shorthand for all parts.
    pub backend: Option<&'a str>,
    /// Ledger, instead of that of the shorthand.
    pub ledger: Option<&'a str>,
    /// Queue, likewise.
    pub queue: Option<&'a str>,
    /// Store, likewise.
    pub store: Option<&'a str>,
}

/// The URL of each part of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendUrls {
    /// Ledger.
    pub ledger: BackendUrl,
    /// Queue.
    pub queue: BackendUrl,
    /// Store.
    pub store: BackendUrl,
}

impl BackendUrls {
    /// Each part's own URL, else the shorthand.
    ///
    /// # Errors
    /// A part without a URL; a URL that is not valid, is not compiled in, or does not serve that
    /// part.
    pub fn new(given: PartUrls<'_>) -> Result<BackendUrls, Failure> {
        let shorthand = given.backend.map(whole).transpose()?;
        let of = |part: Part, own: Option<&str>| {
            let url = match own {
                Some(own) => own.parse::<BackendUrl>()?,
                None => shorthand.clone().ok_or_else(|| missing(part, &given))?,
            };
            url.serves(part).map(|()| url)
        };
        Ok(BackendUrls {
            ledger: of(Part::Ledger, given.ledger)?,
            queue: of(Part::Queue, given.queue)?,
            store: of(Part::Store, given.store)?,
        })
    }

    /// Whether workers on several machines share it.
    pub fn spans_machines(&self) -> bool {
        self.ledger.scheme != "file"
    }
}

/// The shorthand has to serve every part.
fn whole(text: &str) -> Result<BackendUrl, Failure> {
    if text.starts_with("s3://") {
        return Err(usage("s3:// names a source or a store, not a whole backend; the one for AWS is aws://"));
    }
    let url: BackendUrl = text.parse()?;
    Part::ALL.into_iter().try_for_each(|part| url.serves(part)).map(|()| url)
}

fn missing(part: Part, given: &PartUrls<'_>) -> Failure {
    if given.ledger.is_none() && given.queue.is_none() && given.store.is_none() {
        return usage("no backend is named; give --backend, a folder or aws://, or set SEGUE_BACKEND");
    }
    usage(format!("the backend has no {}; set {} or SEGUE_BACKEND", part.as_str(), part.variable()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> Result<BackendUrls, Failure> {
        BackendUrls::new(PartUrls { backend: Some(text), ..PartUrls::default() })
    }

    #[test]
    fn a_url_or_a_path_chooses() {
        for (text, folder) in [("x", "x"), ("/a/b", "/a/b"), ("file:///a", "/a")] {
            let urls = backend(text).unwrap();
            for url in [&urls.ledger, &urls.queue, &urls.store] {
                assert_eq!((url.scheme(), url.rest()), ("file", folder), "{text}");
            }
        }
        for (text, said) in [
            (
                "postgres://me:secret@host/db",
                "the Postgres backend (postgres://) is not compiled into this build",
            ),
            ("azblob://secret", "not compiled into this build"),
            ("s3://secret", "names a source"),
            ("gopher://secret", "no backend for gopher"),
            ("file://secret", "from the root"),
            ("", "no name"),
        ] {
            let cause = backend(text).unwrap_err().cause;
            assert!(cause.contains(said), "{cause}");
            assert!(!cause.contains("secret"), "{cause}");
        }
    }

    #[test]
    fn each_part_has_a_url_of_its_own_or_the_shorthand() {
        let urls = BackendUrls::new(PartUrls {
            backend: Some("/a"),
            store: Some("file:///b"),
            ..PartUrls::default()
        });
        let urls = urls.unwrap();
        assert_eq!((urls.ledger.rest(), urls.queue.rest(), urls.store.rest()), ("/a", "/a", "/b"));
        let part =
            BackendUrls::new(PartUrls { ledger: Some("/a"), store: Some("/b"), ..PartUrls::default() });
        assert!(part.unwrap_err().cause.contains("no queue; set SEGUE_QUEUE or SEGUE_BACKEND"));
        let none = BackendUrls::new(PartUrls::default()).unwrap_err().cause;
        assert!(none.contains("no backend is named"), "{none}");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn services_of_aws_are_named_by_their_schemes_alone() {
        assert!(backend("aws://").unwrap().spans_machines());
        assert!(!backend("/a").unwrap().spans_machines());
        let cause = backend("aws://key:secret@x").unwrap_err().cause;
        assert!(cause.contains("stands alone") && !cause.contains("secret"), "{cause}");
        let mixed = PartUrls {
            backend: None,
            ledger: Some("dynamodb://"),
            queue: Some("sqs://"),
            store: Some("file:///a"),
        };
        let urls = BackendUrls::new(mixed).unwrap();
        assert_eq!((urls.ledger.scheme(), urls.store.scheme()), ("dynamodb", "file"));
        let wrong = BackendUrls::new(PartUrls { ledger: Some("s3://"), ..mixed }).unwrap_err().cause;
        assert_eq!(wrong, "s3:// is a store, not a ledger");
        let wrong = backend("sqs://").unwrap_err().cause;
        assert_eq!(wrong, "sqs:// is a queue, not a ledger");
    }

    #[test]
    fn a_url_is_never_printed_whole() {
        assert_eq!(format!("{:?}", backend("/secret").unwrap().ledger), "file://…");
    }
}
