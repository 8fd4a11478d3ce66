# A queue for each lane, and behind each a queue for what was put aside.

locals {
  # 14 days, the most that SQS keeps: a deployment that stood still over a week-end goes on
  retention_s = 1209600
}

resource "aws_sqs_queue" "dead" {
  for_each = toset(var.lanes)

  name                              = "${var.name}-${each.value}-dead"
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = 300
  message_retention_seconds         = local.retention_s
}

resource "aws_sqs_queue" "lane" {
  for_each = toset(var.lanes)

  name                              = "${var.name}-${each.value}"
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = 300
  message_retention_seconds         = local.retention_s
  visibility_timeout_seconds        = var.visibility_timeout_s
  receive_wait_time_seconds         = 20

  # not the number of tries, which the ledger counts: a worker that finds a task's lease held
  # hides the message for later, so most are received more than once
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[each.value].arn
    maxReceiveCount     = lookup(var.max_receive_counts, each.value, 100)
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  for_each = aws_sqs_queue.dead

  queue_url = each.value.id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.lane[each.key].arn]
  })
}

resource "aws_sqs_queue_policy" "lane" {
  for_each = aws_sqs_queue.lane

  queue_url = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "TlsOnly"
          Effect    = "Deny"
          Principal = "*"
          Action    = "sqs:*"
          Resource  = each.value.arn
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
      ],
      each.key != var.upload_lane ? [] : [
        {
          Sid       = "Uploads"
          Effect    = "Allow"
          Principal = { Service = "s3.amazonaws.com" }
          Action    = "sqs:SendMessage"
          Resource  = each.value.arn
          Condition = {
            ArnEquals    = { "aws:SourceArn" = var.upload_bucket_arn }
            StringEquals = { "aws:SourceAccount" = var.account_id }
          }
        },
      ]
    )
  })
}

resource "aws_sqs_queue_policy" "dead" {
  for_each = aws_sqs_queue.dead

  queue_url = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.value.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
