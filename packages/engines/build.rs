//! Takes hls.js from the npm packages of the workspace, for the page that plays a stream. A build without them
//! works: the page then relies on the browser's own HLS.

use std::path::{Path, PathBuf};

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let library = workspace.join("node_modules/hls.js/dist/hls.min.js");
    // a path that is missing would run this for every build
    let watched = if library.exists() { library.clone() } else { workspace.join("package-lock.json") };
    println!("cargo::rerun-if-changed={}", watched.display());
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("hls.js");
    let text = std::fs::read_to_string(&library).unwrap_or_default();
    // the end of the element that will hold it, and a map that is not published
    let text = text.replace("</script", "<\\/script").replace("//# sourceMappingURL=hls.min.js.map", "");
    std::fs::write(&out, text).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
