# The function that takes notices of uploads and makes jobs of them.

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/ingest"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_117:It talks to S3, SQS and DynamoDB alone, over TLS with its own role; a VPC would add a cold start and guard nothing
  #checkov:skip=CKV_AWS_272:The bundle is built from this repository and its hash stands in the plan; who wants a signer adds one
  function_name = "${var.name}-ingest"
  description   = "Uploads to input/ become jobs"
  role          = var.role_arn

  package_type     = "Zip"
  filename         = var.bundle
  source_code_hash = filebase64sha256(var.bundle)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]

  memory_size                    = var.memory_mb
  timeout                        = var.timeout_s
  reserved_concurrent_executions = var.concurrency
  kms_key_arn                    = var.kms_key_arn

  environment {
    variables = var.environment
  }

  logging_config {
    log_format = "Text" # the program writes JSON by itself
    log_group  = aws_cloudwatch_log_group.this.name
  }

  tracing_config {
    mode = "PassThrough"
  }

  # what S3 could not deliver in all its tries
  dead_letter_config {
    target_arn = var.dead_queue_arn
  }
}

# S3 calls the function without waiting, and tries again by itself.

resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_event_age_in_seconds = 21600
  maximum_retry_attempts       = 2
}

resource "aws_lambda_permission" "bucket" {
  count = var.queue == null ? 1 : 0

  statement_id   = "uploads"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = var.upload_bucket_arn
  source_account = var.account_id
}

# Or S3 tells a queue, and the function reads that in batches. Only what failed of a batch
# comes again.

resource "aws_lambda_event_source_mapping" "queue" {
  count = var.queue == null ? 0 : 1

  event_source_arn                   = var.queue.arn
  function_name                      = aws_lambda_function.this.arn
  batch_size                         = 10
  maximum_batching_window_in_seconds = 0
  function_response_types            = ["ReportBatchItemFailures"]
}
