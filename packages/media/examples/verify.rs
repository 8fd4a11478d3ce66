//! Compares a result with its source: `verify SOURCE FINAL`.

use std::path::Path;
use std::process::ExitCode;

use segue_media::{Limits, Tools, Verdict, verify};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, source, result] = args.as_slice() else {
        eprintln!("verify SOURCE FINAL");
        return ExitCode::from(2);
    };
    let compared = async {
        let tools = Tools::discover().await?;
        verify(&tools, Path::new(source), Path::new(result), &Limits::default()).await
    };
    match compared.await {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).unwrap_or_default());
            ExitCode::from(u8::from(report.verdict != Verdict::Same))
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(3)
        }
    }
}
