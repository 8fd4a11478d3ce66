//! `bootstrap`: the program that AWS Lambda starts.

use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use segue_adapter_aws::{AwsBackend, AwsSettings, S3Notices};
use segue_lambda::{Handler, recipe};
use segue_pipeline::Deps;
use segue_ports::NoReport;
use serde_json::Value;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let filter = variable("SEGUE_LOG").unwrap_or_else(|| "info".to_owned());
    // JSON: the service adds the context of the call
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stdout).init();

    let settings = AwsSettings::read(variable)?;
    let recipe = recipe(variable, settings.segment_duration)?;
    let backend = AwsBackend::connect(&settings).await;
    let handler = Handler {
        deps: Deps {
            ledger: backend.ledger,
            queue: backend.queue,
            documents: backend.store.clone(),
            store: backend.store,
            reporter: Arc::new(NoReport),
            gpu_tasks: settings.gpu_tasks.into(),
        },
        reader: Arc::new(S3Notices::of(settings.buckets.input)),
        recipe,
    };
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async {
        handler.handle(event.payload).await.map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "call not handled");
            lambda_runtime::Error::from(format!("{error:#}"))
        })
    }))
    .await
}
