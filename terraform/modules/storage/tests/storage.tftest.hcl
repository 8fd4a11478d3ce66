mock_provider "aws" {}

variables {
  input_bucket  = "segue-in"
  output_bucket = "segue-out"
  kms_key_arn   = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000"
}

run "closed_encrypted_and_tidy" {
  command = plan

  assert {
    condition     = alltrue([for block in aws_s3_bucket_public_access_block.this : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets]) && length(aws_s3_bucket_public_access_block.this) == 2
    error_message = "a bucket can be made public"
  }

  assert {
    condition = alltrue([
      for encryption in aws_s3_bucket_server_side_encryption_configuration.this : alltrue([
        for rule in encryption.rule : rule.bucket_key_enabled && rule.apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn && rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
      ])
    ])
    error_message = "objects are not encrypted with the key"
  }

  assert {
    condition = alltrue([
      for policy in aws_s3_bucket_policy.this : alltrue([
        for s in jsondecode(policy.policy).Statement : s.Effect == "Deny"
      ]) && contains([for s in jsondecode(policy.policy).Statement : try(s.Condition.Bool["aws:SecureTransport"], "")], "false")
    ])
    error_message = "a bucket takes requests without TLS"
  }

  assert {
    condition = alltrue([
      for lifecycle in aws_s3_bucket_lifecycle_configuration.this : contains([for rule in lifecycle.rule : rule.abort_incomplete_multipart_upload[0].days_after_initiation if length(rule.abort_incomplete_multipart_upload) > 0], 1)
    ])
    error_message = "unfinished uploads stay"
  }

  assert {
    condition = { for key, lifecycle in aws_s3_bucket_lifecycle_configuration.this : key => [
      for rule in lifecycle.rule : [rule.filter[0].prefix, rule.expiration[0].days] if startswith(rule.id, "expire-")
    ] } == { input = [["segments/", 14]], output = [["work/", 14]] }
    error_message = "what is only needed on the way has to expire, and nothing else"
  }
}

run "sources_expire_where_asked" {
  command = plan

  variables {
    expire_sources_after_days = 30
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this["input"].rule : rule.filter[0].prefix if rule.id == "expire-sources"] == ["input/"]
    error_message = "sources do not expire"
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this["output"].rule : rule.id] == ["abort-uploads", "forget-versions", "expire-work"]
    error_message = "results must never expire"
  }
}

run "a_job_needs_its_parts_for_a_day" {
  command = plan

  variables {
    expire_transient_after_days = 1
  }

  expect_failures = [var.expire_transient_after_days]
}
