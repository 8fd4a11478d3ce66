//! `segue doctor`: what is installed, what is missing, and how to fix it.

use std::process::ExitCode;

use segue_domain::{Failure, FaultKind};
use segue_runtime::doctor::{Check, Health, examine, is_able};
use segue_runtime::{Settings, failure};

use crate::args::DoctorArgs;
use crate::output;

/// Checks this machine.
pub async fn doctor(args: &DoctorArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let checks = examine(settings).await;
    let able = is_able(&checks);
    if args.json {
        output::json(&serde_json::json!({ "able": able, "checks": checks }));
    } else {
        for check in &checks {
            output::text(lines(check));
        }
        output::line(if able {
            "ready"
        } else {
            "not ready: run the commands after the arrows, then run segue doctor again"
        });
    }
    Ok(if able { ExitCode::SUCCESS } else { ExitCode::from(failure::exit_code(FaultKind::Environment)) })
}

fn lines(check: &Check) -> String {
    let mark = match check.health {
        Health::Ok => "ok",
        Health::Limited => "limited",
        Health::Missing => "MISSING",
    };
    let found = output::one_line(&check.found);
    let fix = check.fix.as_ref().map(|fix| format!("{:>25} {fix}\n", "->")).unwrap_or_default();
    format!("{mark:<8} {:<15} {found}\n{fix}", check.name)
}
