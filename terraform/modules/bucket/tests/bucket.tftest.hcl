mock_provider "aws" {}

variables {
  name        = "segue-out"
  kms_key_arn = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
  expire      = { work = 14 }
}

run "closed_encrypted_and_tidy" {
  command = plan

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.ignore_public_acls && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "it can be made public"
  }

  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : rule.bucket_key_enabled && rule.apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn && rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    ]) && length(aws_s3_bucket_server_side_encryption_configuration.this.rule) == 1
    error_message = "objects are not encrypted with the key"
  }

  assert {
    condition = alltrue([
      for s in jsondecode(aws_s3_bucket_policy.this.policy).Statement : s.Effect == "Deny" && s.Resource == ["arn:aws:s3:::segue-out", "arn:aws:s3:::segue-out/*"]
    ]) && contains([for s in jsondecode(aws_s3_bucket_policy.this.policy).Statement : try(s.Condition.Bool["aws:SecureTransport"], "")], "false")
    error_message = "it takes requests without TLS"
  }

  assert {
    condition     = contains([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.abort_incomplete_multipart_upload[0].days_after_initiation if length(rule.abort_incomplete_multipart_upload) > 0], 1)
    error_message = "unfinished uploads stay"
  }

  assert {
    condition     = output.expire == { "work/" = 14 }
    error_message = "what is only needed on the way has to expire, and nothing else"
  }

  assert {
    condition     = length(aws_s3_bucket_logging.this) == 0 && length(aws_s3_bucket_cors_configuration.this) == 0
    error_message = "what was not asked for"
  }
}

run "logs_and_browsers" {
  command = plan

  variables {
    access_log_bucket = "logs"
    upload_origins    = ["https://example.org"]
  }

  assert {
    condition     = aws_s3_bucket_logging.this[0].target_bucket == "logs" && one(aws_s3_bucket_cors_configuration.this[0].cors_rule).allowed_methods == toset(["PUT"])
    error_message = "what was asked for"
  }
}
