# The ledger: jobs, completions, leases. What the columns mean is in packages/adapter-aws/design.md.

resource "aws_dynamodb_table" "jobs" {
  name                        = "${var.name}-jobs"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job_id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "job_id"
    type = "S"
  }

  attribute {
    name = "state"
    type = "S"
  }

  attribute {
    name = "state_since_ms"
    type = "N"
  }

  # jobs by state, the longest in it first; moves with the state, not with the count
  global_secondary_index {
    name            = "by-state"
    hash_key        = "state"
    range_key       = "state_since_ms"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "expires_at_s"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "completions" {
  name                        = "${var.name}-segment-completions"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job"
  range_key                   = "item"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "job"
    type = "S"
  }

  attribute {
    name = "item"
    type = "S"
  }

  ttl {
    attribute_name = "expires_at_s"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}

# no TTL: a term must never come twice, so a lease is never forgotten
resource "aws_dynamodb_table" "leases" {
  name                        = "${var.name}-reassembly-triggered"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job"
  range_key                   = "lease"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "job"
    type = "S"
  }

  attribute {
    name = "lease"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
