# What a person has to hear of, what a person may want to see, and what it may cost.

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
      {
        Sid       = "Budget"
        Effect    = "Allow"
        Principal = { Service = "budgets.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

# Queues: what was put aside, what waits too long.

resource "aws_cloudwatch_metric_alarm" "dead" {
  for_each = var.dead_queue_names

  alarm_name          = "${var.name}-${each.key}-dead"
  alarm_description   = "Messages of ${each.key} were put aside: segue dlq list"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "age" {
  for_each = var.queue_names

  alarm_name          = "${var.name}-${each.key}-age"
  alarm_description   = "The oldest message of ${each.key} waits for more than ${var.oldest_message_s} s"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = each.value }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.oldest_message_s
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# What the programs say, counted. The words are those of packages/pipeline, and a test holds
# them to it: tests of terraform/, run by scripts/terraform.

locals {
  sayings = {
    # the sweeper found an output that was unchanged for a while
    stalled = { programs = ["sweeper"], pattern = "{ $.fields.message = \"resuming\" }" }
    # an output failed
    failed = { programs = ["chunker", "worker", "gpu-worker", "reassembler"], pattern = "{ $.fields.message = \"output failed\" }" }
    # anything else that is an error
    errors = { programs = ["chunker", "worker", "gpu-worker", "reassembler", "sweeper", "ingest"], pattern = "{ $.level = \"ERROR\" }" }
  }
  counted = merge([
    for saying, what in local.sayings : {
      for program in what.programs : "${saying}/${program}" => { saying = saying, program = program, pattern = what.pattern }
      if contains(keys(var.log_group_names), program)
    }
  ]...)
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.counted

  name           = "${var.name}-${each.value.saying}-${each.value.program}"
  log_group_name = var.log_group_names[each.value.program]
  pattern        = each.value.pattern

  metric_transformation {
    namespace     = "Segue/${var.name}"
    name          = each.value.saying
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "stalled" {
  alarm_name          = "${var.name}-stalled"
  alarm_description   = "The sweeper resumes outputs more than ${var.stalled_per_15_min} times in 15 minutes: a role does not do its work"
  namespace           = "Segue/${var.name}"
  metric_name         = "stalled"
  statistic           = "Sum"
  period              = 900
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.stalled_per_15_min
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# A sweeper that does not run reports nothing: its silence is the alarm.

resource "aws_cloudwatch_metric_alarm" "sweeper" {
  count = var.sweeper == null ? 0 : 1

  alarm_name          = "${var.name}-no-sweeper"
  alarm_description   = "No sweeper runs: what stalls stays so"
  namespace           = "ECS/ContainerInsights"
  metric_name         = "RunningTaskCount"
  dimensions          = { ClusterName = var.sweeper.cluster, ServiceName = var.sweeper.service }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "failed" {
  alarm_name          = "${var.name}-failed"
  alarm_description   = "More than ${var.failed_per_15_min} outputs failed in 15 minutes"
  namespace           = "Segue/${var.name}"
  metric_name         = "failed"
  statistic           = "Sum"
  period              = 900
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.failed_per_15_min
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-errors"
  alarm_description   = "The programs log more than ${var.errors_per_15_min} errors in 15 minutes"
  namespace           = "Segue/${var.name}"
  metric_name         = "errors"
  statistic           = "Sum"
  period              = 900
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.errors_per_15_min
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

# The ledger: throttling is waited out, for ever if need be; that should not be found in a bill.

resource "aws_cloudwatch_metric_alarm" "throttled" {
  for_each = var.table_names

  alarm_name          = "${var.name}-${each.key}-throttled"
  alarm_description   = "DynamoDB throttles the table ${each.value}"
  namespace           = "AWS/DynamoDB"
  metric_name         = "ThrottledRequests"
  dimensions          = { TableName = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 100
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "function" {
  for_each = var.function_name == null ? toset([]) : toset(["Errors", "Throttles", "DeadLetterErrors"])

  alarm_name          = "${var.name}-ingest-${lower(each.value)}"
  alarm_description   = "The function that takes uploads has ${lower(each.value)}"
  namespace           = "AWS/Lambda"
  metric_name         = each.value
  dimensions          = { FunctionName = var.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

# One page.

locals {
  widgets = [
    {
      title   = "Waiting"
      stat    = "Maximum"
      metrics = [for lane, name in var.queue_names : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { label = lane }]]
    },
    {
      title   = "In flight"
      stat    = "Maximum"
      metrics = [for lane, name in var.queue_names : ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", name, { label = lane }]]
    },
    {
      title   = "Age of the oldest message, s"
      stat    = "Maximum"
      metrics = [for lane, name in var.queue_names : ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", name, { label = lane }]]
    },
    {
      title   = "Put aside"
      stat    = "Maximum"
      metrics = [for lane, name in var.dead_queue_names : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { label = lane }]]
    },
    {
      title   = "Resumed, failed, errors"
      stat    = "Sum"
      metrics = [for saying in keys(local.sayings) : ["Segue/${var.name}", saying, { label = saying }]]
    },
    {
      title   = "Tasks"
      stat    = "Maximum"
      metrics = [for service, cluster in var.services : ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", cluster, "ServiceName", service, { label = service }]]
    },
    {
      title = "Rows read and written"
      stat  = "Sum"
      metrics = concat([for table, name in var.table_names : [
        for what in ["Read", "Write"] : ["AWS/DynamoDB", "Consumed${what}CapacityUnits", "TableName", name, { label = "${table} ${lower(what)}" }]
      ]]...)
    },
  ]
  shown = [for widget in local.widgets : widget if length(widget.metrics) > 0]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for index, widget in local.shown : {
      type   = "metric"
      x      = 12 * (index % 2)
      y      = 6 * floor(index / 2)
      width  = 12
      height = 6
      properties = {
        title   = widget.title
        region  = var.region
        stat    = widget.stat
        period  = 60
        metrics = widget.metrics
      }
    }]
  })
}

resource "aws_budgets_budget" "this" {
  count = var.monthly_budget_usd == null ? 0 : 1

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  # the tag has to be made a cost allocation tag once, by hand, in the account that pays
  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:%s$%s", var.cost_tag.key, var.cost_tag.value)]
  }

  notification {
    comparison_operator       = "GREATER_THAN"
    threshold                 = 80
    threshold_type            = "PERCENTAGE"
    notification_type         = "ACTUAL"
    subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
  }

  notification {
    comparison_operator       = "GREATER_THAN"
    threshold                 = 100
    threshold_type            = "PERCENTAGE"
    notification_type         = "FORECASTED"
    subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
  }
}
