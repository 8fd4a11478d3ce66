//! Layer rules, checked against the dependency graph of cargo.
//!
//! A rule lists the workspace packages that a package may depend on, and the crates that must
//! not be among its transitive dependencies. A package without a rule fails the check.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use clap::Args;

use crate::program;
use crate::table::Table;

/// `cargo xtask layers`
#[derive(Debug, Args)]
pub struct LayersArgs {
    /// Check the workspace in this folder
    #[arg(long, value_name = "DIR")]
    workspace: Option<std::path::PathBuf>,
}

/// Allowed dependencies of one package.
struct Rule {
    /// The package; a final `*` matches any suffix.
    package: &'static str,
    /// Workspace packages that it may depend on.
    may: &'static [&'static str],
    /// Crates that must not be among its transitive dependencies.
    never: &'static [&'static [&'static str]],
    /// Crates that must not be direct dependencies, but may be transitive ones.
    itself: &'static [&'static [&'static str]],
    /// Reason for the rule.
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

/// Any package may have it as a dev-dependency; without a rule that names it, only so.
const TESTKIT: &str = "segue-ports-testkit";

const RULES: &[Rule] = &[
    Rule {
        package: "segue-domain",
        may: &[],
        never: &[ASYNC, DATABASE, CLOUD, NETWORK, PROCESS, ENGINE, SCREEN],
        itself: &[],
        reason: "pure types and rules: no clock, file, process, network or executor",
    },
    Rule {
        package: "segue-ports",
        may: &["segue-domain"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, ENGINE, SCREEN],
        itself: &[],
        reason: "ports are independent of vendors, and start neither a task nor a timer",
    },
    Rule {
        package: "segue-ports-testkit",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, ENGINE, SCREEN],
        itself: &[],
        reason: "in-memory adapters and conformance suites, without a vendor; only tests depend on it",
    },
    Rule {
        package: "segue-pipeline",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, ENGINE, SCREEN],
        itself: &[],
        reason: "roles run with any adapter and any engine, so they depend on none",
    },
    Rule {
        package: "segue-process",
        may: &[],
        never: &[DATABASE, CLOUD, NETWORK, ENGINE, SCREEN],
        itself: &[],
        reason: "it starts and sandboxes programs, and knows no media, no job and no key",
    },
    Rule {
        package: "segue-image",
        may: &["segue-process"],
        never: &[DATABASE, CLOUD, NETWORK, ENGINE, SCREEN],
        itself: &[],
        reason: "it decodes and encodes images, and knows no job, no key and no ffmpeg",
    },
    Rule {
        package: "segue-media",
        may: &["segue-domain", "segue-ports", "segue-process"],
        never: &[DATABASE, CLOUD, NETWORK, &["whisper-rs", "whisper-rs-sys"], SCREEN],
        itself: &[],
        reason: "the only package that runs ffmpeg; no speech recognition, storage or queues",
    },
    Rule {
        package: "segue-speech",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, SCREEN],
        itself: &[],
        reason: "the only package that links whisper; it takes samples and starts no program",
    },
    Rule {
        package: "segue-engines",
        may: &["segue-domain", "segue-ports", "segue-image", "segue-media", "segue-speech"],
        never: &[DATABASE, CLOUD, NETWORK, SCREEN],
        itself: &[PROCESS, ENGINE],
        reason: "outputs become tasks and tasks become calls of media and speech; no role, queue or ledger",
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
        reason: "runs on one machine without network or cloud",
    },
    Rule {
        package: "segue-adapter-aws",
        may: &["segue-domain", "segue-ports"],
        never: &[DATABASE, ENGINE, SCREEN],
        itself: &[],
        reason: "the only package that depends on the AWS SDK",
    },
    Rule {
        package: "segue-adapter-*",
        may: &["segue-domain", "segue-ports"],
        never: &[ENGINE, SCREEN],
        itself: &[],
        reason: "one vendor each: an adapter depends neither on an engine nor on another adapter",
    },
    Rule {
        package: "segue-backends",
        may: &["segue-domain", "segue-ports", "segue-adapter-*"],
        never: &[ENGINE, SCREEN],
        itself: &[CLOUD, DATABASE],
        reason: "the only place that names all adapters: a URL becomes ports, without engine or role",
    },
    Rule {
        package: "segue-runtime",
        may: &[
            "segue-domain",
            "segue-ports",
            "segue-pipeline",
            "segue-media",
            "segue-process",
            "segue-speech",
            "segue-engines",
            "segue-backends",
        ],
        never: &[SCREEN],
        itself: &[CLOUD, DATABASE],
        reason: "the only package that combines engines, roles and backends; user interfaces are in the programs",
    },
    Rule {
        package: "segue-lambda",
        may: &["segue-domain", "segue-ports", "segue-pipeline", "segue-adapter-aws"],
        never: &[DATABASE, ENGINE, SCREEN],
        itself: &[],
        reason: "must start fast, so it bypasses the runtime and links no engine",
    },
    Rule {
        package: "segue-fleet",
        may: &["segue-domain", "segue-ports", "segue-adapter-aws", "segue-tests"],
        never: &[DATABASE, ENGINE],
        itself: &[],
        reason: "inspects what real processes leave on an emulator; links no engine",
    },
    Rule {
        package: "segue-simulator",
        may: &["segue-domain", "segue-ports", "segue-ports-testkit", "segue-pipeline"],
        never: &[DATABASE, CLOUD, NETWORK, PROCESS, ENGINE],
        itself: &[],
        reason: "runs the roles on simulated services and engines; starts no real service",
    },
    Rule {
        package: "segue-torture",
        may: &["segue-domain"],
        never: &[CLOUD, NETWORK, ENGINE],
        itself: &[],
        reason: "inspects programs and their files from outside; opens only copies of databases",
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
        reason: "system tests use the program like a user, so they depend on none of its packages",
    },
    Rule {
        package: "segue-fuzz",
        may: &["segue-domain", "segue-media"],
        never: &[DATABASE, CLOUD, NETWORK, SCREEN],
        itself: &[],
        reason: "depends only on the packages with parsers",
    },
    Rule {
        package: "xtask",
        may: &["segue-fuzz"],
        never: &[DATABASE, CLOUD, NETWORK],
        itself: &[],
        reason: "links the parsers for fuzzing; runs everything else as a program",
    },
];

/// A workspace package in the dependency graph.
#[derive(Debug, Default, Clone)]
struct Package {
    /// Workspace packages that it depends on, dev-dependencies included.
    names: BTreeSet<String>,
    /// Direct dependencies without dev-dependencies.
    direct: BTreeSet<String>,
    /// Transitive dependencies without dev-dependencies.
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

/// One line per violated rule.
fn check(packages: &BTreeMap<String, Package>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, package) in packages {
        let Some(rule) = RULES.iter().find(|rule| matches(rule.package, name)) else {
            broken.push(format!("{name} has no rule; add one in packages/xtask/src/layers.rs"));
            continue;
        };
        for named in &package.names {
            let only_tests = named == TESTKIT && !package.direct.contains(named);
            if !only_tests && !rule.may.iter().any(|may| matches(may, named)) {
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
            // a package depends on itself when its tests enable one of its features
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
            ("segue-process", &["segue-domain"], &[], "segue-process names segue-domain"),
            ("segue-speech", &["segue-media"], &[], "segue-speech names segue-media"),
            ("segue-engines", &["segue-pipeline"], &[], "segue-engines names segue-pipeline"),
            ("segue-engines", &[], &["rusqlite"], "segue-engines has rusqlite"),
            ("segue-adapter-aws", &["segue-adapter-local"], &[], "segue-adapter-aws names"),
            ("segue-adapter-aws", &[], &["rusqlite"], "segue-adapter-aws has rusqlite"),
            ("segue-adapter-folder", &[], &["rusqlite"], "segue-adapter-folder has rusqlite"),
            ("segue-adapter-folder", &["segue-adapter-local"], &[], "segue-adapter-folder names"),
            ("segue-adapter-local", &[], &["whisper-rs"], "segue-adapter-local has whisper-rs"),
            ("segue-adapter-local", &[], &["aws-sdk-s3"], "segue-adapter-local has aws-sdk-s3"),
            ("segue-adapter-local", &["segue-adapter-aws"], &[], "segue-adapter-local names"),
            ("segue-cli", &["segue-media"], &[], "segue-cli names segue-media"),
            ("segue-runtime", &["segue-cli"], &[], "segue-runtime names segue-cli"),
            ("segue-runtime", &["segue-adapter-aws"], &[], "segue-runtime names segue-adapter-aws"),
            ("segue-backends", &["segue-media"], &[], "segue-backends names segue-media"),
            ("segue-backends", &["segue-pipeline"], &[], "segue-backends names segue-pipeline"),
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
    fn a_product_has_the_testkit_only_as_a_dev_dependency() {
        for (name, allowed) in [("segue-pipeline", false), ("segue-cli", false), ("segue-simulator", true)] {
            let mut packages = workspace(name, &[TESTKIT], &[]);
            assert!(check(&packages).is_empty(), "{name}: its tests may");
            packages.get_mut(name).unwrap().direct.insert(TESTKIT.to_owned());
            assert_eq!(check(&packages).is_empty(), allowed, "{name}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        assert!(check(&workspace("segue-domain", &[], &["serde"])).is_empty());
        assert!(check(&workspace("segue-ports", &["segue-domain"], &["tokio"])).is_empty());
        assert!(check(&workspace("segue-adapter-aws", &["segue-ports"], &["aws-sdk-s3"])).is_empty());
        assert!(check(&workspace("segue-backends", &["segue-adapter-aws"], &["aws-sdk-s3"])).is_empty());
        assert!(check(&workspace("segue-runtime", &["segue-backends"], &["tokio", "ureq"])).is_empty());
    }
}
