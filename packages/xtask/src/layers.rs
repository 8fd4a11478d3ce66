//! The layer rules, held over what cargo itself knows of the workspace.
//!
//! A rule says which of our packages a package may name, and what must not be found
//! anywhere below it. A package without a rule breaks the check: whoever adds one decides
//! where it stands.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use clap::Args;

use crate::program;
use crate::table::Table;

/// `cargo xtask layers`
#[derive(Debug, Args)]
pub struct LayersArgs {
    /// Check a folder with another workspace than this one
    #[arg(long, value_name = "DIR")]
    workspace: Option<std::path::PathBuf>,
}

/// What one package may know.
struct Rule {
    /// The package; `*` at its end stands for any ending.
    package: &'static str,
    /// Packages of ours that it may name.
    may: &'static [&'static str],
    /// What may not be found anywhere below it.
    never: &'static [&'static [&'static str]],
    /// What it may not name itself, though others below it may.
    itself: &'static [&'static [&'static str]],
    /// Why.
    reason: &'static str,
}

const ASYNC: &[&str] = &["tokio", "tokio-util", "async-trait", "async-std", "smol"];
const DATABASE: &[&str] = &["rusqlite", "libsqlite3-sys", "sqlx", "tokio-postgres", "postgres", "redis"];
const CLOUD: &[&str] =
    &["aws-*", "aws_lambda_events", "lambda_runtime", "object_store", "rusoto*", "azure*", "google-cloud*"];
const NETWORK: &[&str] = &["reqwest", "hyper", "ureq", "curl", "isahc"];
const PROCESS: &[&str] = &["nix", "process-wrap", "command-group", "duct"];
const ENGINE: &[&str] = &["whisper-rs", "whisper-rs-sys", "ffmpeg-*", "rsmpeg"];
const SCREEN: &[&str] = &["clap", "indicatif", "crossterm"];

const RULES: &[Rule] = &[
    Rule {
        package: "segue-domain",
        may: &[],
        never: &[ASYNC, DATABASE, CLOUD, NETWORK, PROCESS, ENGINE, SCREEN],
        itself: &[],
        reason: "the words and rules are pure: no clock, file, process, network or executor",
    },
    Rule {
        package: "segue-ports",
        may: &["segue-domain"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, ENGINE, SCREEN],
        itself: &[],
        reason: "a port names no vendor; tokio is there for the in-memory adapters' time",
    },
    Rule {
        package: "segue-pipeline",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, ENGINE, SCREEN],
        itself: &[],
        reason: "a role runs over any adapter and any engine, so it can know none",
    },
    Rule {
        package: "segue-media",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, CLOUD, NETWORK, &["whisper-rs", "whisper-rs-sys"], SCREEN],
        itself: &[],
        reason: "ffmpeg is fenced off here; voice, storage and queues are others' matter",
    },
    Rule {
        package: "segue-speech",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, SCREEN],
        itself: &[],
        reason: "whisper is fenced off here; it hears samples and starts no program",
    },
    Rule {
        package: "segue-adapter-folder",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, CLOUD, NETWORK, ENGINE, SCREEN],
        itself: &[],
        reason: "a folder opens without a database, so that any ledger can stand beside it",
    },
    Rule {
        package: "segue-adapter-local",
        may: &["segue-domain", "segue-ports", "segue-adapter-folder"],
        never: &[CLOUD, NETWORK, ENGINE, SCREEN],
        itself: &[],
        reason: "what runs on one machine asks nobody else",
    },
    Rule {
        package: "segue-adapter-aws",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, ENGINE, SCREEN],
        itself: &[],
        reason: "the only place that knows the vendor's SDK",
    },
    Rule {
        package: "segue-adapter-*",
        may: &["segue-domain", "segue-ports"],
        never: &[ENGINE, SCREEN],
        itself: &[],
        reason: "one vendor each: an adapter knows neither an engine nor another adapter",
    },
    Rule {
        package: "segue-runtime",
        may: &[
            "segue-domain",
            "segue-ports",
            "segue-pipeline",
            "segue-media",
            "segue-speech",
            "segue-adapter-*",
        ],
        never: &[SCREEN],
        itself: &[CLOUD, DATABASE],
        reason: "the only place that names them all; what the user sees is the programs' matter",
    },
    Rule {
        package: "segue-lambda",
        may: &["segue-domain", "segue-ports", "segue-pipeline", "segue-adapter-aws"],
        never: &[DATABASE, ENGINE, SCREEN],
        itself: &[],
        reason: "a function that starts in a moment has no engine in it, so it goes past the runtime",
    },
    Rule {
        package: "segue-fleet",
        may: &["segue-domain", "segue-ports", "segue-adapter-aws", "segue-tests"],
        never: &[DATABASE, ENGINE],
        itself: &[],
        reason: "it looks at what real processes leave on an emulator, and works on nothing itself",
    },
    Rule {
        package: "segue-simulator",
        may: &["segue-domain", "segue-ports", "segue-pipeline"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, ENGINE],
        itself: &[],
        reason: "it runs the roles over services and engines of its own and starts nothing real",
    },
    Rule {
        package: "segue-torture",
        may: &["segue-domain"],
        never: &[CLOUD, NETWORK, ENGINE],
        itself: &[],
        reason: "it sees programs and what they leave from outside; the database it opens is a copy",
    },
    Rule {
        package: "segue-cli",
        may: &["segue-domain", "segue-ports", "segue-runtime"],
        never: &[],
        itself: &[CLOUD, DATABASE, ENGINE],
        reason: "a program is a thin shell over the runtime",
    },
    Rule {
        package: "segue-tests",
        may: &[],
        never: &[DATABASE, CLOUD, ENGINE],
        itself: &[],
        reason: "system tests see the program as a user does, so they can know none of its parts",
    },
    Rule {
        package: "segue-fuzz",
        may: &["segue-domain", "segue-media"],
        never: &[DATABASE, CLOUD, NETWORK, SCREEN],
        itself: &[],
        reason: "parsers of our own, and nothing that they are used for",
    },
    Rule {
        package: "xtask",
        may: &["segue-fuzz"],
        never: &[DATABASE, CLOUD, NETWORK],
        itself: &[],
        reason: "it fuzzes the parsers of our own; everything else it runs as a program",
    },
];

/// A package of ours as cargo sees it.
#[derive(Debug, Default, Clone)]
struct Package {
    /// Packages of ours that it names, for whatever purpose.
    names: BTreeSet<String>,
    /// Everything that it names and that gets into a build of it.
    direct: BTreeSet<String>,
    /// Everything below it that gets into a build of it.
    below: BTreeSet<String>,
}

/// Runs the check and prints the rules.
///
/// # Errors
/// A workspace that cargo cannot read.
pub fn run(args: &LayersArgs) -> Result<bool> {
    let root = args.workspace.clone().unwrap_or_else(program::root);
    let metadata = MetadataCommand::new().current_dir(root).exec()?;
    let packages = packages(&metadata);
    let mut table = Table::new(["package", "may name", "because"]);
    for rule in RULES {
        let may = if rule.may.is_empty() { "none of ours".to_owned() } else { rule.may.join(", ") };
        table.row([rule.package.to_owned(), may, rule.reason.to_owned()]);
    }
    print!("{}", table.markdown());
    let broken = check(&packages);
    for line in &broken {
        println!("BROKEN: {line}");
    }
    println!("{} packages, {} rules broken", packages.len(), broken.len());
    Ok(broken.is_empty())
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Every rule that is broken, as a line that says how.
fn check(packages: &BTreeMap<String, Package>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, package) in packages {
        let Some(rule) = RULES.iter().find(|rule| matches(rule.package, name)) else {
            broken.push(format!("{name} has no rule; say in packages/xtask/src/layers.rs what it may know"));
            continue;
        };
        for named in &package.names {
            if !rule.may.iter().any(|may| matches(may, named)) {
                broken.push(format!("{name} names {named}: {}", rule.reason));
            }
        }
        let among = |groups: &[&[&str]], found: &str| {
            groups.iter().flat_map(|group| group.iter()).any(|never| matches(never, found))
        };
        for found in package.below.iter().filter(|found| among(rule.never, found)) {
            broken.push(format!("{name} has {found} below it: {}", rule.reason));
        }
        for found in package.direct.iter().filter(|found| among(rule.itself, found)) {
            broken.push(format!("{name} itself names {found}: {}", rule.reason));
        }
    }
    broken
}

fn packages(metadata: &Metadata) -> BTreeMap<String, Package> {
    let ours: BTreeMap<_, _> = metadata.workspace_packages().into_iter().map(|p| (&p.id, p)).collect();
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|p| (&p.id, p.name.to_string())).collect();
    let nodes: BTreeMap<_, _> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| (&node.id, node)).collect();
    let built = |kinds: &[cargo_metadata::DepKindInfo]| {
        kinds.iter().any(|kind| kind.kind != DependencyKind::Development)
    };
    let mut all = BTreeMap::new();
    for (id, package) in &ours {
        let mut found = Package::default();
        let mut left = Vec::new();
        for dep in nodes.get(id).map(|node| node.deps.as_slice()).unwrap_or_default() {
            // a package whose tests want a feature of it names itself
            if ours.contains_key(&dep.pkg) && dep.pkg != **id {
                found.names.insert(names[&dep.pkg].clone());
            }
            if built(&dep.dep_kinds) {
                found.direct.insert(names[&dep.pkg].clone());
                left.push(&dep.pkg);
            }
        }
        let mut seen = BTreeSet::new();
        while let Some(id) = left.pop() {
            if !seen.insert(id) {
                continue;
            }
            found.below.insert(names[id].clone());
            let deps = nodes.get(id).map(|node| node.deps.as_slice()).unwrap_or_default();
            left.extend(deps.iter().filter(|dep| built(&dep.dep_kinds)).map(|dep| &dep.pkg));
        }
        all.insert(package.name.to_string(), found);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(name: &str, names: &[&str], below: &[&str]) -> BTreeMap<String, Package> {
        let set = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        let (names, below, direct) = (set(names), set(below), BTreeSet::new());
        BTreeMap::from([(name.to_owned(), Package { names, direct, below })])
    }

    #[test]
    fn a_broken_rule_is_found() {
        type Case = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);
        let cases: &[Case] = &[
            ("segue-domain", &["segue-ports"], &[], "segue-domain names segue-ports"),
            ("segue-domain", &[], &["tokio"], "segue-domain has tokio below it"),
            ("segue-ports", &[], &["rusqlite"], "segue-ports has rusqlite"),
            ("segue-ports", &[], &["aws-sdk-s3"], "segue-ports has aws-sdk-s3"),
            ("segue-pipeline", &["segue-media"], &[], "segue-pipeline names segue-media"),
            ("segue-media", &["segue-speech"], &[], "segue-media names segue-speech"),
            ("segue-speech", &["segue-media"], &[], "segue-speech names segue-media"),
            ("segue-adapter-aws", &["segue-adapter-local"], &[], "segue-adapter-aws names"),
            ("segue-adapter-aws", &[], &["rusqlite"], "segue-adapter-aws has rusqlite"),
            ("segue-adapter-folder", &[], &["rusqlite"], "segue-adapter-folder has rusqlite"),
            ("segue-adapter-folder", &["segue-adapter-local"], &[], "segue-adapter-folder names"),
            ("segue-adapter-local", &[], &["whisper-rs"], "segue-adapter-local has whisper-rs"),
            ("segue-adapter-local", &[], &["aws-sdk-s3"], "segue-adapter-local has aws-sdk-s3"),
            ("segue-adapter-local", &["segue-adapter-aws"], &[], "segue-adapter-local names"),
            ("segue-cli", &["segue-media"], &[], "segue-cli names segue-media"),
            ("segue-runtime", &["segue-cli"], &[], "segue-runtime names segue-cli"),
            ("segue-tests", &["segue-domain"], &[], "segue-tests names segue-domain"),
            ("segue-new", &[], &[], "segue-new has no rule"),
        ];
        for (name, names, below, expected) in cases {
            let broken = check(&workspace(name, names, below));
            assert!(broken.len() == 1 && broken[0].starts_with(expected), "{expected}: {broken:?}");
        }
    }

    #[test]
    fn only_an_adapter_names_its_vendor() {
        for (name, allowed) in [("segue-cli", false), ("segue-runtime", false), ("segue-adapter-aws", true)] {
            let mut packages = workspace(name, &[], &["aws-sdk-s3"]);
            assert!(check(&packages).is_empty(), "{name}: something below it may");
            packages.get_mut(name).unwrap().direct.insert("aws-sdk-s3".to_owned());
            assert_eq!(check(&packages).is_empty(), allowed, "{name}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        assert!(check(&workspace("segue-domain", &[], &["serde"])).is_empty());
        assert!(check(&workspace("segue-ports", &["segue-domain"], &["tokio"])).is_empty());
        assert!(check(&workspace("segue-adapter-aws", &["segue-ports"], &["aws-sdk-s3"])).is_empty());
        assert!(check(&workspace("segue-runtime", &["segue-adapter-aws"], &["tokio", "ureq"])).is_empty());
    }
}
